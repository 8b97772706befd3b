-- simulate: --eml {dir}/mails/headers.eml
-- checks: 64
-- change: delete_header From#1
-- change: delete_header X-Multi#3
-- change: delete_header x-multi#2
-- change: delete_header X-Multi#1
-- change: delete_header Subject#1
-- change: insert_header X-Top two
-- change: insert_header X-Top one
-- change: insert_header X-Top zero
-- change: add_header From new@b
-- change: add_header X-Added a
-- change: add_header X-Added b
-- change: add_header X-Empty more
-- change: add_header X-Text =?UTF-8?b?Z3LDvMOfZQ==?=
local check = require "check"
local core = msys.core

local function reading(msg)
  check.list(msg:header("subject"), { "gr\195\188\195\159e" })
  check.list(msg:header("X-MULTI"), { "first", "second folded", "third" })
  check.list(msg:header("X-Empty"), { "" })
  check.list(msg:header("X-None"), {})
  check.list(msg:header("From", nil), { "a@b" })
  msg:header("From")[1] = "changed"
  check.list(msg:header("From"), { "a@b" }, "a copy")
end

local function writing(msg)
  check.eq(msg:header("From", "new@b"), true)
  check.list(msg:header("From"), { "new@b" })
  check.eq(msg:header("X-Multi", ""), true, "deletes")
  check.list(msg:header("X-Multi"), {})
  check.eq(msg:header("X-None", ""), true, "nothing to delete")
  check.eq(msg:header("X-Added", "a", "append"), true)
  check.eq(msg:header("X-Added", "b", "append"), true)
  check.list(msg:header("X-Added"), { "a", "b" })
  check.eq(msg:header("X-Top", { "one", "two" }, "prepend"), true)
  check.eq(msg:header("X-Top", "zero", "prepend"), true)
  check.list(msg:header("X-Top"), { "zero", "one", "two" })
  check.eq(msg:header("X-Empty", "more", "append"), true)
  check.list(msg:header("X-Empty"), { "", "more" })
  check.eq(msg:header("X-Gone", { "1", "2" }, "replace"), true)
  check.list(msg:header("X-Gone"), { "1", "2" })
  check.eq(msg:header("X-Gone", {}), true, "replaced by none")
  check.list(msg:header("X-Gone"), {})
  check.eq(msg:header("X-Gone", 42), true)
  check.list(msg:header("X-Gone"), { "42" })
  check.eq(msg:header("X-Gone", "x\r\nBcc: evil@x\n\nbody"), true)
  check.list(msg:header("Bcc"), {}, "a value cannot end its field")
  check.list(msg:header("X-Gone"), { "x\tBcc: evil@x\tbody" })
  check.eq(msg:header("X-Gone", ""), true)
  check.eq(msg:header("Subject", ""), true)
  check.eq(msg:header("X-Text", "gr\195\188\195\159e"), true)
  check.list(msg:header("X-Text"), { "gr\195\188\195\159e" })
end

local function misuse(msg)
  for _, name in ipairs({ "", "a b", "a:", "a\n", "\195\188", ("x"):rep(999) }) do
    check.raises("not a header name", function() msg:header(name, "x") end)
  end
  check.raises("string expected", function() msg:header(nil) end)
  check.raises("invalid option 'insert'", function() msg:header("X-A", "x", "insert") end)
  check.raises("NUL", function() msg:header("X-A", "a\0b") end)
  check.raises("string expected", function() msg:header("X-Added", print) end)
  check.raises("the header is too big", function()
    msg:header("X-Big", ("x"):rep(4 * 2 ^ 20), "append")
  end)
  check.raises("msg expected", msg.header, {}, "x")
  -- one bad value among several changes nothing
  check.raises("string expected", function() msg:header("X-Added", { "c", {} }) end)
  check.list(msg:header("X-Added"), { "a", "b" }, "failures change nothing")
end

msys.registerModule("header", {
  validate_data = function(_, msg)
    reading(msg)
    return core.VALIDATE_CONT
  end,
  validate_data_spool = function(_, msg)
    writing(msg)
    misuse(msg)
    return core.VALIDATE_CONT
  end,
  validate_dealloc = check.report,
})
