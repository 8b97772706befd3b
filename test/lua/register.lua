-- checks: 12
local check = require "check"

local module = {
  validate_ehlo = function()
    check.raises("while scripts are loaded, not later", msys.registerModule, "late", {})
    return msys.core.VALIDATE_CONT
  end,
  validate_dealloc = check.report,
}

check.raises("string expected, got no value", msys.registerModule)
check.raises("string expected, got nil", msys.registerModule, nil, {})
check.raises("string expected, got table", msys.registerModule, {}, {})
check.raises("table expected, got no value", msys.registerModule, "x")
check.raises("table expected, got function", msys.registerModule, "x", print)
check.eq(select("#", msys.registerModule("register", module)), 0)
check.raises("the module name 'register' is taken", msys.registerModule, "register", {})
-- a script may have several modules
msys.registerModule("other", {
  validate_ehlo = function(self)
    check.eq(self.shown, "module", "self sees its module")
    self.shown = "own"
    return msys.core.VALIDATE_CONT
  end,
  validate_mailfrom = function(self)
    check.eq(self.shown, "own")
    return msys.core.VALIDATE_CONT
  end,
  shown = "module",
})
-- not looked at again once loading is over
module.validate_mailfrom = function()
  check.ok(true)
  return msys.core.VALIDATE_CONT
end
check.eq(package.loaded.msys, msys)
