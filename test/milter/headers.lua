-- policy: first=live second=live
-- Header fields added, replaced, deleted and prepended: the changes an MTA gets, in their order.
-- luacheck: read globals MT_HDRADD
local t = require "lib"

local RECEIVED = {
  { "Received", "from c" }, { "X-Seen", "one" }, { "Subject", "hello" }, { "X-SEEN", "two" },
  { "Received", "from d" }, { "x-seen", "three" },
}

local s = t.greeted()

local function check(code, wanted, name, headers)
  t.orders { ["first.validate_data_spool"] = code .. " return CONT" }
  local reply, changes = s:message { headers = headers or RECEIVED }
  t.is(reply, "ACCEPT", name .. ": accepted")
  t.is(changes, wanted, name)
end

check([[ msg:header("X-A", "v") ]], { "add X-A: v" }, "a new field goes to the end")
t.ok(s:check(MT_HDRADD, "X-A", " v"), "as miltertest saw it")
check([[ msg:header("X-A", "v", "append") msg:header("X-A", "w", "append") ]], { "add X-A: v", "add X-A: w" },
  "two of one name")
check([[ msg:header("X-A", "v", "prepend") ]], { "insert 0 X-A: v" }, "prepended")
check([[ msg:header("X-A", "1", "prepend") msg:header("X-B", "2", "prepend") ]],
  { "insert 0 X-A: 1", "insert 0 X-B: 2" }, "the last prepended stands first")
check([[ msg:header("X-A", { "1", "2", "3" }, "prepend") ]],
  { "insert 0 X-A: 3", "insert 0 X-A: 2", "insert 0 X-A: 1" }, "several prepended keep their order")
check([[ msg:header("X-A", { "1", "2" }) ]], { "add X-A: 1", "add X-A: 2" }, "several added keep theirs")
check([[ msg:header("Subject", "other") ]], { "delete 1 Subject", "add Subject: other" }, "replaced")
check([[ msg:header("subject", "other", "replace") ]], { "delete 1 Subject", "add subject: other" },
  "case of the name does not matter")
check([[ msg:header("X-Seen", "") ]], { "delete 3 x-seen", "delete 2 X-SEEN", "delete 1 X-Seen" },
  "all of a name deleted, from the last on so that the numbers hold")
check([[ msg:header("X-Seen", "") msg:header("Received", "") ]],
  { "delete 3 x-seen", "delete 2 Received", "delete 2 X-SEEN", "delete 1 X-Seen", "delete 1 Received" },
  "two names deleted")
check([[ msg:header("X-Seen", { "two" }) ]],
  { "delete 3 x-seen", "delete 2 X-SEEN", "delete 1 X-Seen", "add X-Seen: two" }, "several replaced by one")
check([[ msg:header("X-A", "") ]], {}, "deleting what is not there")
check([[ msg:header("X-A", "v") msg:header("X-A", "") ]], {}, "deleting what was only just added")
check([[ msg:header("X-A", "v") msg:header("X-A", "w") ]], { "add X-A: w" }, "replacing it")
check([[ msg:header("X-A", "v", "prepend") msg:header("Subject", "other") ]],
  { "delete 1 Subject", "insert 0 X-A: v", "add Subject: other" }, "deletions come first")
check([[ msg:header("Received", "by us", "prepend") ]], { "insert 0 Received: by us" },
  "prepended before others of its name")
check([[ for _, name in ipairs { "Received", "X-Seen", "Subject" } do msg:header(name, "") end
         msg:header("X-A", "v") ]],
  { "delete 3 x-seen", "delete 2 Received", "delete 2 X-SEEN", "delete 1 Subject", "delete 1 X-Seen",
    "delete 1 Received", "add X-A: v" }, "nothing but a new field left")

-- values
check([[ msg:header("X-A", "one\ntwo") ]], { "add X-A: one\n\ttwo" }, "a line break folds")
check([[ msg:header("X-A", "one\r\n\ttwo\r\n") ]], { "add X-A: one\n\ttwo" },
  "so does CRLF; the last one goes")
check([[ msg:header("X-A", "v\r\nX-Evil: yes") ]], { "add X-A: v\n\tX-Evil: yes" },
  "no field can be smuggled in")
check([[ msg:header("X-A", "na\195\175ve") ]], { "add X-A: =?UTF-8?b?bmHDr3Zl?=" }, "8-bit text is encoded")
check([[ msg:header("X-A", "100% %s") ]], { "add X-A: 100% %s" }, "a percent sign is no format here")
check([[ msg:header("X-A", 42) ]], { "add X-A: 42" }, "a number")
check([[ msg:header("X-A", ("x"):rep(5000)) ]], { "add X-A: " .. ("x"):rep(5000) }, "a long value")

-- what scripts see
check([[ msg:header("X-B", table.concat(msg:header("x-seen"), ",")) ]], { "add X-B: one,two,three" },
  "get: all values, any case")
check([[ msg:header("X-B", #msg:header("X-None")) ]], { "add X-B: 0" }, "get: none")
check([[ msg:header("X-A", "v") msg:header("X-B", msg:header("X-A")[1]) ]], { "add X-A: v", "add X-B: v" },
  "get: what was set before")
check([[ msg:header("X-B", msg:header("Subject")[1]) ]], { "add X-B: =?UTF-8?b?bmHDr3Zl?= one\ttwo" },
  "get: unfolded and decoded", { { "Subject", "=?ISO-8859-1?Q?na=EFve?=\n one\n\ttwo" } })
check([[ msg:header("X-B", "[" .. msg:header("Subject")[1] .. "]") ]], { "add X-B: []" },
  "get: an empty value",  { { "Subject", "" } })

-- two modules, one after the other
t.orders {
  ["first.validate_data"] = [[ msg:header("X-A", "first") return CONT ]],
  ["second.validate_data"] = [[ msg:header("X-B", msg:header("X-A")[1]) return CONT ]],
  ["second.validate_data_spool"] = [[ msg:header("X-A", "second") return CONT ]],
}
local reply, changes = s:message()
t.is(reply, "ACCEPT", "two modules: accepted")
t.is(changes, { "add X-B: first", "add X-A: second" }, "two modules: each sees what was changed before it")

-- a refused message is not changed
t.orders { ["first.validate_data"] = [[ msg:header("X-A", "v") vctx:set_code(550, "5.7.1 no") return CONT ]] }
reply, changes = s:message()
t.is(reply, "550 5.7.1 no", "a refused message: refused")
t.is(changes, {}, "a refused message: not changed")
t.orders { ["first.validate_data"] = [[ msg:header("X-A", "v") error("broken") ]] }
reply, changes = s:message()
t.is(reply, t.SORRY, "a broken script: deferred")
t.is(changes, {}, "a broken script: not changed")
t.orders {}
reply, changes = s:message()
t.is(reply, "ACCEPT", "the message after it: accepted")
t.is(changes, {}, "the message after it: nothing left behind")

-- what cannot be a header
for _, name in ipairs { [["X A"]], [["X:A"]], [[""]], [["X\nA"]], [["X\195\175"]], [[("X"):rep(999)]] } do
  t.orders { ["first.validate_data"] = ("msg:header(%s, 'v') return CONT"):format(name) }
  t.is(s:message(), t.SORRY, name .. " is no name of a field")
end
for _, callout in ipairs { "validate_rcptto", "validate_set_binding" } do
  t.orders { ["first." .. callout] = [[ msg:header("X-A", "v") return CONT ]] }
  local before = #t.log()
  local last = s:message()
  t.ok(t.log():find(callout .. " error: order:1: msg:header", before, true),
    callout .. ": no header can be changed there")
  t.ok(callout == "validate_rcptto" or last:match("^451"), callout .. ": and the message is deferred")
end

-- more than can be kept
t.orders {}
local fields = {}
for n = 1, 5001 do
  fields[n] = { "X-Many", "v" }
end
t.is(s:message { headers = fields }, "552 5.3.4 the message header is too big", "too many fields are refused")
t.is(s:message(), "ACCEPT", "and the next message is accepted")

-- our own marks
local function marks(code, wanted, name)
  t.orders { ["first.validate_data"] = code .. " return CONT" }
  reply, changes = s:message { headers = {
    { "X-Scriptlet-Route", "evil.example.com" }, { "Subject", "hello" },
    { "x-scriptlet-route", "also.example.com" }, { "X-Scriptlet-Binding", "evil" },
  } }
  t.is(reply, "ACCEPT", name .. ": accepted")
  t.is(changes, wanted, name)
end
local TAKEN_OFF = {
  "delete 1 X-Scriptlet-Binding", "delete 2 x-scriptlet-route", "delete 1 X-Scriptlet-Route",
}
marks("", TAKEN_OFF, "marks from outside are removed")
marks([[ if #msg:header("X-Scriptlet-Route") > 0 then error("seen") end ]], TAKEN_OFF,
  "before a script sees them")
