-- simulate: --rcpt 1@x --rcpt 2@x --rcpt 3@x --rcpt 4@x --rcpt 5@x --rcpt 6@x --rcpt 7@x --rcpt 8@x
-- simulate: --rcpt 9@x --rcpt 10@x --rcpt 11@x --rcpt 12@x --rcpt 13@x --rcpt 14@x --rcpt 15@x
-- checks: 1
-- Three quarters of memory_limit (64 MiB) are alive: garbage must be collected before it is full.
local check = require "check"

local alive = {}
for i = 1, 600000 do
  alive[i] = ("x"):rep(30) .. i
end

msys.registerModule("memory", {
  validate_rcptto = function(_, msg)
    local garbage = {}
    for i = 1, 20000 do
      garbage[i] = i .. msg:rcptto()
    end
    return #garbage > 0 and msys.core.VALIDATE_CONT
  end,
  validate_dealloc = function()
    check.eq(#alive, 600000)
    check.report()
  end,
})
