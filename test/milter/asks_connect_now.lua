-- policy: connect_only
-- settings: {"connect_reply": "connect"}
-- What a policy with validate_connect only, its reply at once asks of the MTA.
local t = require "lib"

local s = t.connect()
s:wants("CONNECT UNKNOWN", "CONNECT", "")
t.is(s:conninfo("client.example.com", "192.0.2.1"), "REJECT", "the connection is refused")
