-- policy: first=live
-- A refused connection or EHLO stays refused; 421 closes. Decided at connect, said at HELO.
local t = require "lib"

local function order(callout, code)
  t.orders { ["first." .. callout] = code .. " return CONT" }
end
local function start()
  local s = t.connect()
  return s, s:conninfo("client.example.com", "192.0.2.1")
end
local REFUSE = [[ vctx:set_code(554, "5.7.1 not you") ]]
local NO = "554 5.7.1 not you"

order("validate_connect", REFUSE)
local s, reply = start()
t.is(reply, "NONE", "no reply to the connection is negotiated")
t.is(s:helo("x.example.com"), NO, "it comes at HELO")
local before = #t.log()
t.is(s:helo("y.example.com"), NO, "at the next one too")
t.is(s:mail("<a@example.com>"), NO, "and at MAIL")
t.is(s:mail("<a@example.com>"), NO, "and again")
t.ok(not t.log():find("first validate_", before, true), "and nothing runs any more")
s:quit()

s = start()
s:abort() -- gets miltertest past HELO
t.is(s:mail("<a@example.com>"), NO, "a client that omits HELO hears it at MAIL")
s:quit()

order("validate_connect", [[ error("broken") ]])
s = start()
t.is(s:helo("x.example.com"), t.SORRY,
  "an error at connect is said at HELO")
s:quit()

order("validate_ehlo", [[
  if tostring(str):find("bad", 1, true) then vctx:set_code(550, "5.7.1 bad name") end ]])
s = start()
t.is(s:helo("bad.example.com"), "550 5.7.1 bad name", "EHLO is refused")
t.is(s:mail("<a@example.com>"), "550 5.7.1 bad name", "and so is MAIL")
t.is(s:helo("good.example.com"), "CONTINUE", "another name is judged anew")
t.is(s:message(), "ACCEPT", "and its mail passes")
t.is(s:helo("bad.example.com"), "550 5.7.1 bad name", "even after that a name can be refused")
s:quit()

-- MAIL refuses one transaction only, RCPT one recipient only
order("validate_mailfrom", [[
  if tostring(str):find("bad", 1, true) then vctx:set_code(550, "5.7.1 bad sender") end ]])
s = t.greeted()
t.is(s:mail("<bad@example.com>"), "550 5.7.1 bad sender", "MAIL is refused")
t.is(s:message(), "ACCEPT", "the next one is judged anew")
s:quit()

-- disconnect
order("validate_rcptto", [[ vctx:disconnect() ]])
s = t.greeted()
s:mail("<a@example.com>")
t.is(s:rcpt("<b@example.com>"), "421 deferred by policy, please retry later", "disconnect() says 421")
t.is(s:rcpt("<c@example.com>"), "421 deferred by policy, please retry later", "to everything that follows")
s:abort()
t.is(s:mail("<a@example.com>"), "421 deferred by policy, please retry later", "also after RSET")
t.is(s:helo("x.example.com"), "421 deferred by policy, please retry later", "also after EHLO")
s:quit()

for code, wanted in pairs {
  [ [[ vctx:disconnect(421, "4.7.0 bye\nnow") ]] ] = "421-4.7.0 bye\r\n421 4.7.0 now",
  [ [[ vctx:disconnect(550, "5.7.1 bye") ]] ] = "421 4.7.1 bye",
  [ [[ vctx:disconnect(521, "5.7.1 bye") ]] ] = "421 4.7.1 bye",
  [ [[ vctx:disconnect("421", "bye") ]] ] = "421 bye",
  [ [[ vctx:disconnect(200, "2.0.0 bye") ]] ] = "421 4.0.0 bye",
} do
  order("validate_mailfrom", code)
  s = t.greeted()
  t.is(s:mail("<a@example.com>"), wanted, "policy:" .. code)
  s:quit()
  order("validate_data_spool", code)
  s = t.greeted()
  t.is(s:message(), wanted, "the same at the end of the message")
  s:quit()
end

order("validate_connect", [[ vctx:disconnect(421, "4.7.0 bye") ]])
s = start()
t.is(s:helo("x.example.com"), "421 4.7.0 bye", "disconnect at connect is said at HELO")
s:quit()

order("validate_data_spool_each_rcpt", [[ vctx:disconnect(421, "4.7.0 bye") ]])
s = t.greeted()
t.is(s:message { rcpts = { "<b@example.com>", "<c@example.com>" } }, "421 4.7.0 bye",
  "disconnect for one recipient's view ends the message")
t.is(s:mail("<a@example.com>"), "421 4.7.0 bye", "and the connection")
s:quit()
