-- checks: 2
-- log: at the file level
-- log: one	2	true	nil
-- log: masked ? and ? kept
-- log: table: by tostring
-- log: EHLO localhost
local check = require "check"

print("at the file level")

msys.registerModule("print", {
  validate_ehlo = function(_, str)
    print("one", 2, true, nil)
    print("masked \27 and \0 kept")
    print(setmetatable({}, { __tostring = function() return "table: by tostring" end }))
    print(str)
    print()
    check.raises("must return a string", print,
      setmetatable({}, { __tostring = function() return {} end }))
    check.eq(select("#", print("x")), 0)
    return msys.core.VALIDATE_CONT
  end,
  validate_dealloc = check.report,
})
