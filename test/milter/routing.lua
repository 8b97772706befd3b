-- policy: first=live second=live
-- The routing hook: what it writes becomes a header that the MTA routes by.
local t = require "lib"

local SORRY = t.SORRY
local hook = "core_config_get_message_routing_domain"
local s = t.greeted()

local function check(first, second, reply_wanted, wanted, name)
  t.orders { ["first." .. hook] = first, ["second." .. hook] = second }
  local reply, changes = s:message { headers = { { "X-Scriptlet-Route", "evil.example.com" } } }
  t.is(reply, reply_wanted, name .. ": reply")
  t.is(changes, wanted, name)
end
local TAKEN_OFF = "delete 1 X-Scriptlet-Route"
local function routed(domain)
  return { TAKEN_OFF, "add X-Scriptlet-Route: " .. domain }
end

check([[ return 0 ]], [[ return 0 ]], "ACCEPT", { TAKEN_OFF }, "nobody routes")
check([[ ]], [[ ]], "ACCEPT", { TAKEN_OFF }, "returning nothing does not route")
check([[ buff:set("x.example.net") return 1 ]], nil, "ACCEPT", routed "x.example.net", "a route")
check([[ buff:set("x.example.net") return 1 ]], [[ buff:set("y.example.net") return 1 ]], "ACCEPT",
  routed "x.example.net", "the first route wins")
check([[ return 0 ]], [[ buff:set("y.example.net") return 1 ]], "ACCEPT", routed "y.example.net",
  "the second module may route")
check([[ buff:set("x.example.net") return 0 ]], [[ return 0 ]], "ACCEPT", { TAKEN_OFF },
  "written but not meant")
check([[ buff:set("x.example.net") return 0 ]], [[ return 1 ]], SORRY, {},
  "what one module wrote is not the next one's")
check([[ buff:set("[192.0.2.1]:2525") return 1 ]], nil, "ACCEPT", routed "[192.0.2.1]:2525",
  "an address and port")
check([[ buff:set(("x"):rep(300)) buff:set(tostring(#buff)) return 1 ]], nil, "ACCEPT", routed "255",
  "what is too long is cut")
check([[ buff:set(tostring(len)) return 1 ]], nil, "ACCEPT", routed "256", "the length is passed too")
check([[ buff:write("x.") buff:write("example.net") return 1 ]], nil, "ACCEPT", routed "x.example.net",
  "written in pieces")
check([[ buff:set("to-" .. msg:rcptto()) buff:set((tostring(buff):gsub("@", "."))) return 1 ]], nil, "ACCEPT",
  routed "to-b.example.com", "by recipient")
check([[ return 1 ]], nil, SORRY, {}, "an empty route is an error")
check([[ buff:set("x.example.net\r\nX-Evil: yes") return 1 ]], nil, SORRY, {}, "a line break is an error")
check([[ buff:set("x example") return 1 ]], nil, SORRY, {}, "so is a blank")
check([[ error("broken") ]], nil, SORRY, {}, "an error defers")

t.orders { ["first." .. hook] = [[ buff:set("x.example.net") return 1 ]] }
local reply, changes = s:message { rcpts = { "<b@example.com>", "<c@example.com>" } }
t.is(reply, "ACCEPT", "two recipients: accepted")
t.is(changes, { "add X-Scriptlet-Route: x.example.net" }, "two recipients: one route")

-- routes that differ are messages that differ, and here is nowhere to submit the second one
t.orders { ["first.validate_data_spool_each_rcpt"] = [[ msg:header("X-For", msg:rcptto()) return CONT ]],
           ["first." .. hook] = [[ buff:set((msg:rcptto():gsub("@", "."))) return 1 ]] }
reply = s:message { rcpts = { "<b@example.com>", "<c@example.com>" } }
t.is(reply, SORRY, "recipients that part need a place to submit to")
t.ok(t.logged("which needs the setting 'submission'"), "and the log says which")
