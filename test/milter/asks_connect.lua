-- policy: connect_only
-- What a policy with validate_connect only, its reply at HELO asks of the MTA.
local t = require "lib"

local s = t.connect()
s:wants("CONNECT HELO MAIL UNKNOWN", "HELO MAIL", "")
t.is(s:conninfo("client.example.com", "192.0.2.1"), "NONE", "the connection is not answered")
t.is(s:helo("client.example.com"), "554 5.7.1 not you", "EHLO is")
