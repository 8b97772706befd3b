-- checks: 1
-- result: tempfail 451 4.3.0 temporary issue, please retry your message later
-- error: validate_mailfrom fails.lua:15: the reason
local check = require "check"

msys.registerModule("fails", {
  validate_connect = function(self)
    self.there = true
    return msys.core.VALIDATE_CONT
  end,
  -- what the manual warns of: the connection is told a temporary failure, and cleaning up goes on
  validate_mailfrom = function(_, _, _, vctx)
    vctx:set_code(250, "2.0.0 fine")
    local why = "the reason"
    error(why)
  end,
  validate_rcptto = function()
    error("runs after a failure")
  end,
  validate_dealloc = function(self)
    check.ok(self.there)
    check.report()
  end,
})
