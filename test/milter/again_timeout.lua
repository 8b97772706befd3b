-- policy: first=live second=live
-- settings: {"scriptlet": {"callout_timeout": 1, "eom_timeout": 1}}
-- A callout that returns AGAIN for ever.
local t = require "lib"

local FOREVER = [[ vctx:set_code(550, "5.7.1 not yet") return AGAIN ]]

local function check(callout, setting, reply_of)
  t.orders { ["first." .. callout] = FOREVER }
  local s = t.greeted()
  local before = #t.log()
  t.is(reply_of(s), t.SORRY, callout .. ": the client is to come again")
  local why = " error: " .. setting .. ": the callout returned VALIDATE_AGAIN until the end"
  t.ok(t.log():find(callout .. why, before, true) and t.log():find("first" .. why, before, true),
    callout .. ": the log says why")
  t.ok(not t.log():find("second " .. callout, before, true), callout .. ": the next module does not run")
  t.orders {}
  s:abort()
  t.is(s:message(), "ACCEPT", callout .. ": and the next message is accepted")
  s:quit()
end

check("validate_mailfrom", "callout_timeout", function(s)
  return s:mail("<a@example.com>")
end)
check("validate_data_spool_each_rcpt", "eom_timeout", function(s)
  return (s:message())
end)
