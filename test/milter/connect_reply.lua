-- policy: first=live
-- settings: {"connect_reply": "connect"}
-- A connection that is refused at once: where libmilter lets no text be sent.
local t = require "lib"

local function connection(code)
  t.orders { ["first.validate_connect"] = code .. " return CONT" }
  local s = t.connect()
  return s:conninfo("client.example.com", "192.0.2.1"), s
end

t.is(connection "", "CONTINUE", "accepted")
t.is(connection [[ vctx:set_code(554, "5.7.1 not you") ]], "REJECT", "refused, without a text")
t.is(connection [[ vctx:set_code(450, "4.7.1 not now") ]], "TEMPFAIL", "deferred, without a text")
t.is(connection [[ vctx:disconnect(421, "4.7.0 bye") ]], "TEMPFAIL", "disconnected, without a text")
t.is(connection [[ error("broken") ]], "TEMPFAIL", "an error defers")

local reply, s = connection ""
t.is(reply, "CONTINUE", "another is accepted")
t.is(s:helo("client.example.com"), "CONTINUE", "goes on")
t.is(s:message(), "ACCEPT", "and sends")
