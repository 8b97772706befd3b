-- policy: rcptto_only
-- What a policy with validate_rcptto only asks of the MTA.
local t = require "lib"

local s = t.connect()
s:wants("CONNECT HELO MAIL RCPT UNKNOWN", "RCPT", "CHGFROM")
s:conninfo("client.example.com", "192.0.2.1")
s:helo("client.example.com")
t.is(s:mail("<a@example.com>"), "NONE", "MAIL is not answered")
t.is(s:rcpt("<b@example.com>"), "CONTINUE", "RCPT is")

-- what could not be said where it happened
t.is(s:mail("<a\1@example.com>"), "NONE", "an impossible sender is not answered")
t.is(s:rcpt("<b@example.com>"), "CONTINUE", "RCPT runs its callout")
local reply = s:eom()
t.is(reply, t.SORRY, "the message is deferred")
