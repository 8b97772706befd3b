-- simulate: --rcpt one@x --rcpt two@x
-- checks: 1
-- result: tempfail 421 4.7.0 go away
local check = require "check"

msys.registerModule("disconnect", {
  validate_rcptto = function(_, msg, _, _, vctx)
    check.eq(msg:rcptto(), "one@x", "the connection is closed after the first")
    vctx:disconnect(554, "5.7.0 go away")
    return msys.core.VALIDATE_CONT
  end,
  validate_dealloc = check.report,
})
