-- policy: first=live
-- What a policy with every callout asks of MTAs old and new, and how it speaks to them.
-- luacheck: read globals SMFIF_CHGBODY SMFIP_HDR_LEADSPC
local t = require "lib"

local s = t.connect()
s:wants("CONNECT HELO MAIL RCPT DATA HDRS EOH BODY UNKNOWN", "HELO MAIL RCPT DATA BODY",
  "ADDHDRS CHGHDRS CHGFROM ADDRCPT DELRCPT")
t.is(s.version, 6, "the version of the protocol")
local TLS = "{tls_version} {cipher} {cipher_bits} {verify} {cert_subject} {cert_issuer} " ..
  "{cn_subject} {cn_issuer}"
t.is(s.macros[1], TLS, "macros at HELO")
t.is(s.macros[2], "i {auth_type} {auth_authen} " .. TLS, "macros at MAIL")
for stage = 3, 5 do
  t.is(s.macros[stage], "i", "macros at stage " .. stage)
end
s:quit()

t.orders { ["first.validate_data"] = [[
  msg:header("X-A", "[" .. msg:header("Subject")[1] .. "]") return CONT ]] }

-- an MTA that keeps the blank after the colon for itself
s = t.greeted { steps = 0x1fffff & ~SMFIP_HDR_LEADSPC }
local reply, changes = s:message()
t.is(reply, "ACCEPT", "without leading blanks: accepted")
t.is(changes, { "add X-A:[hello]" }, "without leading blanks: none is sent")
s:quit()
s = t.greeted()
reply, changes = s:message()
t.is(changes, { "add X-A: [hello]" }, "with leading blanks: one is sent, " .. reply)
s:quit()

-- an MTA that wants an answer to everything, and sends everything
s = t.connect { steps = 0 }
t.is(s.steps, 0, "an MTA that grants no step: none is left out")
t.is(s:conninfo("client.example.com", "192.0.2.1"), "CONTINUE", "answers everything: the connection")
t.is(s:helo("client.example.com"), "CONTINUE", "answers everything: EHLO")
t.is(s:unknown("XYZZY"), "CONTINUE", "answers everything: an unknown command")
t.is(s:mail("<a@example.com>"), "CONTINUE", "answers everything: MAIL")
t.is(s:rcpt("<b@example.com>"), "CONTINUE", "answers everything: RCPT")
t.is(s:data(), "CONTINUE", "answers everything: DATA")
t.is(s:header("Subject", "hello"), "CONTINUE", "answers everything: a header field")
t.is(s:eoh(), "CONTINUE", "answers everything: the end of the header")
t.is(s:body("hello\r\n"), "CONTINUE", "answers everything: the body")
t.is(s:eom(), "ACCEPT", "answers everything: the end")
s:quit()

-- a refusal at connect still has its chance
t.orders { ["first.validate_connect"] = [[ vctx:set_code(554, "5.7.1 not you") return CONT ]] }
s = t.connect { steps = 0 }
t.is(s:conninfo("client.example.com", "192.0.2.1"), "CONTINUE", "answers everything: refused, but not yet")
t.is(s:helo("client.example.com"), "554 5.7.1 not you", "answers everything: up to EHLO")
s:quit()

-- on the same daemon, each session keeps its own terms
t.orders { ["first.validate_data"] = [[ msg:header("X-A", "v") return CONT ]] }
local old, new = t.greeted { steps = 0, actions = SMFIF_CHGBODY }, t.connect()
new:conninfo("client.example.com", "192.0.2.1")
new:helo("client.example.com")
t.is(old:message(), t.SORRY, "two MTAs: one grants nothing of use")
reply, changes = new:message()
t.is(changes, { "add X-A: v" }, "two MTAs: the other all, " .. reply)
