-- simulate: --from '"a b"@x.example' --rcpt one@x --rcpt two@x
-- checks: 27
-- change: del_rcpt two@x
-- change: add_rcpt new@y.example
-- change: change_from changed@y.example
local check = require "check"
local core = msys.core

msys.registerModule("envelope", {
  validate_rcptto = function(self, msg)
    self.n = (self.n or 0) + 1
    check.eq(msg:mailfrom(), '"a b"@x.example')
    check.eq(msg:rcptto(), self.n == 1 and "one@x" or "two@x", "the one being decided")
    check.raises("validate_data_spool_each_rcpt only", function() msg:rcptto("x@y") end)
    return core.VALIDATE_CONT
  end,
  validate_data = function(_, msg)
    check.eq(msg:rcptto(), "one@x", "the first")
    check.eq(msg:mailfrom("<other@y.example>"), "other@y.example")
    check.eq(msg:mailfrom(), "other@y.example")
    check.eq(msg:mailfrom(""), "")
    check.eq(msg:mailfrom("<>"), "")
    check.eq(msg:mailfrom(nil), "", "nil reads")
    check.eq(msg:mailfrom("changed@y.example"), "changed@y.example")
    check.raises("control character", function() msg:mailfrom("a@b\r\nDATA") end)
    check.raises("NUL", function() msg:mailfrom("a\0@b") end)
    check.raises("longer than", function() msg:mailfrom(("x"):rep(5000)) end)
    check.raises("string expected", function() msg:mailfrom({}) end)
    check.raises("not an address", function() msg:mailfrom("a@b> SIZE=1") end)
    check.raises("not an address", function() msg:mailfrom("a b@c") end)
    check.eq(msg:mailfrom(), "changed@y.example", "failures change nothing")
    return core.VALIDATE_CONT
  end,
  validate_data_spool_each_rcpt = function(_, msg)
    check.eq(msg:mailfrom(), "changed@y.example")
    if msg:rcptto() == "two@x" then
      check.raises("a recipient cannot be empty", function() msg:rcptto("<>") end)
      check.raises("not an address", function() msg:rcptto("a@b> NOTIFY=NEVER") end)
      check.eq(msg:rcptto("<new@y.example>"), "new@y.example")
      check.eq(msg:rcptto(), "new@y.example")
    end
    return core.VALIDATE_CONT
  end,
  core_final_validation = function(_, msg)
    check.raises("the sender cannot be changed in core_final_validation",
      function() msg:mailfrom("x@y") end)
  end,
  validate_dealloc = check.report,
})
