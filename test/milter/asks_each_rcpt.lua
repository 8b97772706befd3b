-- policy: each_rcpt_only
-- What a policy with validate_data_spool_each_rcpt only asks of the MTA.
-- luacheck: read globals SMFIF_ADDHDRS SMFIF_ADDRCPT SMFIF_CHGHDRS SMFIP_SKIP
local t = require "lib"

local s = t.connect()
s:wants("CONNECT HELO MAIL RCPT HDRS BODY UNKNOWN", "BODY", "ADDHDRS CHGHDRS CHGFROM ADDRCPT DELRCPT")
t.ok(s:asks "SKIP", "can do without the rest of a body")
s:conninfo("client.example.com", "192.0.2.1")
s:helo("client.example.com")
local function body(...)
  s:mail("<a@example.com>")
  for _, rcpt in ipairs { ... } do
    s:rcpt(rcpt)
  end
  s:header("Subject", "hello")
  return s:body("hello\r\n")
end
t.is(body "<b@example.com>", "SKIP", "one recipient: the body is not needed")
t.is(s:eom(), "ACCEPT", "one recipient: accepted")
t.is(body("<b@example.com>", "<never@example.com>"), "CONTINUE", "two recipients: it is")
local reply, changes = s:eom()
t.is(changes, { "del_rcpt <never@example.com>" }, "two recipients: one is removed, " .. reply)
s:quit()

-- an MTA that does not know how to skip
s = t.greeted { steps = 0x1fffff & ~SMFIP_SKIP }
t.ok(not s:asks "SKIP" and s:asks "NR_BODY", "cannot skip: chunks are not answered")
t.is(body "<b@example.com>", "NONE", "cannot skip: indeed")
t.is(s:eom(), "ACCEPT", "cannot skip: accepted")
s:quit()

-- an MTA that lets no recipient be removed
local SORRY = t.SORRY
s = t.greeted { actions = SMFIF_ADDHDRS + SMFIF_CHGHDRS + SMFIF_ADDRCPT }
t.is(s:message { rcpts = { "<b@example.com>", "<never@example.com>" } }, SORRY, "cannot remove: deferred")
t.ok(t.logged("the MTA did not grant this milter to remove recipients"), "cannot remove: the log says so")
t.is(s:message { rcpts = { "<moved@example.com>" } }, SORRY, "cannot remove: nor changed")
t.ok(t.logged("the MTA did not grant this milter to change recipients"), "cannot remove: the error says so")
t.is(s:message { rcpts = { "<never@example.com>" } }, "550 5.1.1 no such user",
  "cannot remove: but refuse all")
s:quit()
