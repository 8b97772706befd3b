-- The second module of test_property.c: it counts its calls in a `self` of its own.
require("msys.core")

local function count(self, what)
  self.n = (self.n or 0) + 1
  print(string.format("b %s %d%s", what, self.n, self.trail and " with the trail of a" or ""))
  return msys.core.VALIDATE_CONT
end

msys.registerModule("b", {
  validate_ehlo = function(self) return count(self, "ehlo") end,
  validate_rcptto = function(self) return count(self, "rcpt") end,
  validate_data = function(self) return count(self, "data") end,
  validate_data_spool_each_rcpt = function(self) return count(self, "each") end,
  validate_dealloc = function(self) count(self, "dealloc") end,
})
