-- policy: first=live
-- The envelope: what scripts see of it, and what they change.
-- luacheck: read globals MT_RCPTADD MT_RCPTDELETE
local t = require "lib"

local SORRY = t.SORRY
local each = "first.validate_data_spool_each_rcpt"
local s = t.greeted()

-- the sender
t.orders { ["first.validate_data"] = [[ msg:mailfrom("<new@example.net>") return CONT ]] }
local reply, changes = s:message()
t.is(reply, "ACCEPT", "sender: accepted")
t.is(changes, { "from <new@example.net>" }, "sender: changed")
t.orders { ["first.validate_data"] = [[ msg:mailfrom("new@example.net") return CONT ]] }
reply, changes = s:message()
t.is(changes, { "from <new@example.net>" }, "sender: without brackets, " .. reply)
t.orders { ["first.validate_data"] = [[ msg:mailfrom("") return CONT ]] }
reply, changes = s:message()
t.is(changes, { "from <>" }, "sender: to the null sender, " .. reply)
t.orders { ["first.validate_data"] = [[ msg:mailfrom("a@example.com") return CONT ]] }
reply, changes = s:message()
t.is(changes, {}, "sender: to what it is, " .. reply)
t.orders { ["first.validate_rcptto"] = [[ msg:mailfrom("early@example.net") return CONT ]],
           ["first.validate_data"] = [[ msg:header("X-From", msg:mailfrom()) return CONT ]] }
reply, changes = s:message()
t.is(changes, { "add X-From: early@example.net", "from <early@example.net>" },
  "sender: changed at RCPT, " .. reply)
t.orders { [each] = [[ msg:mailfrom("each@example.net") return CONT ]] }
reply, changes = s:message { rcpts = { "<b@example.com>", "<c@example.com>" } }
t.is(changes, { "from <each@example.net>" }, "sender: the same for each recipient, " .. reply)
t.orders { ["first.validate_data"] = [[ msg:mailfrom("new@example.net\r\nRCPT TO:<x@y>") return CONT ]] }
reply, changes = s:message()
t.is(reply, SORRY, "sender: a line break is an error")
t.is(changes, {}, "sender: and changes nothing")

-- the recipient
t.orders { [each] = [[
  if msg:rcptto() == "c@example.com" then msg:rcptto("new@example.net") end
  return CONT ]] }
reply, changes = s:message { rcpts = { "<b@example.com>", "<c@example.com>", "<d@example.com>" } }
t.is(reply, "ACCEPT", "recipient: accepted")
t.is(changes, { "del_rcpt <c@example.com>", "add_rcpt <new@example.net>" }, "recipient: one of three changed")
t.ok(s:check(MT_RCPTADD, "<new@example.net>") and s:check(MT_RCPTDELETE, "<c@example.com>"),
  "as miltertest saw it")
t.orders { [each] = [[ msg:rcptto("new@example.net") return CONT ]] }
reply, changes = s:message { rcpts = { "c@example.com" } }
t.is(changes, { "del_rcpt c@example.com", "add_rcpt <new@example.net>" },
  "recipient: taken off as the MTA spelt it, " .. reply)
t.orders { [each] = [[ msg:rcptto(msg:rcptto()) return CONT ]] }
reply, changes = s:message()
t.is(changes, {}, "recipient: to what it is, " .. reply)
t.orders { [each] = [[ msg:rcptto("") return CONT ]] }
t.is(s:message(), SORRY, "recipient: cannot be empty")
for _, callout in ipairs { "validate_data", "validate_data_spool", "core_final_validation2" } do
  t.orders { ["first." .. callout] = [[ msg:rcptto("new@example.net") return CONT ]] }
  t.is(s:message(), SORRY, "recipient: cannot be changed in " .. callout)
end

-- what scripts see, in a header for each question
local SEE = [[ msg:header("X-See", msg:mailfrom() .. " " .. msg:rcptto()) return CONT ]]
local function see(from, rcpt, wanted, name)
  t.orders { ["first.validate_data"] = SEE }
  reply, changes = s:message { from = from, rcpts = { rcpt } }
  t.is(changes, { "add X-See:" .. wanted }, name .. ", " .. reply)
end
see("<a@example.com>", "<b@example.com>", " a@example.com b@example.com", "seen: bare addresses")
see("<>", "<b@example.com>", "  b@example.com", "seen: the null sender is empty")
see("a@example.com", "b@example.com", " a@example.com b@example.com", "seen: sent without brackets")
see("<@r.example.net,@q.example.net:a@example.com>", "<b@example.com>", " a@example.com b@example.com",
  "seen: without a source route")
see([[<"a@b c"@example.com>]], "<postmaster>", [[ "a@b c"@example.com postmaster]],
  "seen: quoted, and without a domain")

-- a list of the recipients accepted so far
local LIST = [[ print("list " .. #list .. " " .. table.concat(list, ",")) return CONT ]]
t.orders { ["first.validate_rcptto_list"] = LIST,
           ["first.validate_rcptto"] = [[
  if msg:rcptto():match("^bad") then vctx:set_code(550, "5.1.1 no") end
  return CONT ]] }
s:mail("<a@example.com>")
s:rcpt("<b@example.com>")
t.ok(t.logged("list 1 b@example.com "), "list: the first recipient")
t.is(s:rcpt("<bad@example.com>"), "550 5.1.1 no", "list: one is refused")
s:rcpt("<c@example.com>")
t.ok(t.logged("list 2 b@example.com,c@example.com "), "list: without the refused one")
t.orders { ["first.validate_rcptto_list_final"] = LIST:gsub("list \"", "final \"") }
t.is(s:data(), "CONTINUE", "list: DATA")
t.ok(t.logged("final 2 b@example.com,c@example.com "), "list: the final one")
s:abort()

-- an address that cannot be one is refused by itself
t.orders { ["first.validate_rcptto_list_final"] = LIST:gsub("list \"", "kept \"") }
s:mail("<a@example.com>")
s:rcpt("<good@example.com>")
t.is(s:rcpt("<b\1@example.com>"), "451 4.3.0 the address has a control character",
  "an impossible recipient is refused")
s:data()
t.ok(t.logged("kept 1 good@example.com "), "and the one before it kept")
s:abort()
t.is(s:mail("<a\127@example.com>"), "451 4.3.0 the address has a control character",
  "an impossible sender is refused")
t.is(s:message(), "ACCEPT", "and the next one accepted")
