-- checks: 1
-- log: init: the namespaces are there
local check = require "check"

msys.registerModule("init_context", {
  init = function(self)
    check.eq(self.name, "mine", "self is the module")
    check.raises("vctx:get: not available in init", require("msys.extended.vctx").get, {}, 0, "x")
    print("init: the namespaces are there")
    return 0
  end,
  name = "mine",
  validate_ehlo = function()
    check.ok(true)
    return msys.core.VALIDATE_CONT
  end,
  validate_dealloc = check.report,
})
