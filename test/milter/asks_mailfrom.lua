-- policy: mailfrom_only
-- What a policy with validate_mailfrom only asks of the MTA.
local t = require "lib"

local s = t.connect()
s:wants("CONNECT HELO MAIL UNKNOWN", "MAIL", "")
t.is(s:conninfo("client.example.com", "192.0.2.1"), "NONE", "the connection is not answered")
t.is(s:helo("client.example.com"), "NONE", "nor is EHLO")
t.is(s:mail("<a@example.com>"), "CONTINUE", "MAIL is")
t.is(s:mail("<a\1@example.com>"), "451 4.3.0 the address has a control character",
  "also when it is impossible")
