-- policy: list_final_only
-- What a policy with validate_rcptto_list_final only asks of the MTA.
local t = require "lib"

local s = t.connect()
s:wants("CONNECT HELO MAIL RCPT DATA UNKNOWN", "DATA", "")
s:conninfo("client.example.com", "192.0.2.1")
s:helo("client.example.com")
local function to(...)
  s:mail("<a@example.com>")
  for _, rcpt in ipairs { ... } do
    t.is(s:rcpt(rcpt), "NONE", rcpt .. " is not answered")
  end
  return s:data()
end
t.is(to("<b@example.com>", "<c@example.com>"), "CONTINUE", "two are accepted at DATA")
t.is(to("<b@example.com>", "<c@example.com>", "<d@example.com>"),
  "550 5.5.3 too many recipients", "three are not")
