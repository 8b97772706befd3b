-- simulate: --rcpt one@x
-- checks: 1
-- result: reject 550 5.7.1 message refused by policy
local check = require "check"

msys.registerModule("final_refuses", {
  validate_data = function()
    check.ok(true)
    return msys.core.VALIDATE_CONT
  end,
  core_final_validation2 = function()
    return msys.core.EC_HOOK_DONE
  end,
  core_final_validation = function()
    error("runs after a refusal")
  end,
  validate_dealloc = check.report,
})
