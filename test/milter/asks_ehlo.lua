-- policy: ehlo_only
-- What a policy with validate_ehlo only asks of the MTA.
local t = require "lib"

local s = t.connect()
s:wants("CONNECT HELO UNKNOWN", "HELO", "")
s:conninfo("client.example.com", "192.0.2.1")
t.is(s:helo("client.example.com"), "CONTINUE", "EHLO is answered")
t.ok(t.logged("ehlo_only"), "by its callout")
t.is(s:message(), "ACCEPT", "the message is accepted")
