-- policy: first=live
-- settings: {"pathway": "inbound", "received_limit": 3}
-- settings: {"relay_networks": ["192.0.2.0/24", "2001:db8:1::/48"], "peer": [
-- settings:   {"network": "192.0.2.0/24", "context": {"zone": "wide", "wide": "yes"}},
-- settings:   {"network": ["192.0.2.128/25", "2001:db8::/32"], "context": {"zone": "narrow"}}]}
-- The predefined context variables, when they are there and when not.
local t = require "lib"

-- Prints the named variables in every callout, "-" for one that does not exist.
local function watch(names)
  local code = ([[
    local out = {}
    for name in ("%s"):gmatch("%%S+") do
      local value
      for _, kind in ipairs { CONN, MESS } do
        local text = vctx:get(kind, name)
        if text ~= "" then value = text end
      end
      out[#out + 1] = value or "-"
    end
    print("@ " .. table.concat(out, " | ") .. " @")
    return CONT ]]):format(names)
  local orders = {}
  for _, callout in ipairs { "connect", "ehlo", "mailfrom", "rcptto", "data", "data_spool_each_rcpt" } do
    orders["first.validate_" .. callout] = code
  end
  t.orders(orders)
end

local from = 0
local function said()
  local log = t.log()
  local list = {}
  for text in log:sub(from + 1):gmatch("scriptlet: @ (.-) @ %[") do
    list[#list + 1] = text
  end
  from = #log
  return list
end

local function start(address)
  local s = t.connect()
  s:conninfo("client.example.com", address or "198.51.100.1")
  s:helo("client.example.com")
  return s
end

watch "ehlo_string ehlo_domain"
local s = t.connect()
s:conninfo("client.example.com", "198.51.100.1")
s:helo("one.example.com")
t.is(said(), { "- | -", "EHLO one.example.com | one.example.com" }, "ehlo_*: from EHLO on")
s:helo("two.example.com")
t.is(said(), { "EHLO two.example.com | two.example.com" }, "ehlo_*: of the last one")

watch "mailfrom_string mailfrom_localpart mailfrom_domain"
s:mail("<a@example.com>", "SIZE=100", "BODY=8BITMIME")
t.is(said(), { "MAIL FROM:<a@example.com> SIZE=100 BODY=8BITMIME | a | example.com" },
  "mailfrom_*: with parameters")
s:mail("a@example.com")
t.is(said(), { "MAIL FROM:<a@example.com> | a | example.com" }, "mailfrom_*: sent without brackets")
s:mail("<>")
t.is(said(), { "MAIL FROM:<> | - | -" }, "mailfrom_*: the null sender")
s:mail([[<"a@b"@example.com>]])
t.is(said(), { [[MAIL FROM:<"a@b"@example.com> | "a@b" | example.com]] }, "mailfrom_*: a quoted one")

watch "rcptto_string rcptto_localpart rcptto_domain"
s:mail("<a@example.com>")
s:rcpt("<b@example.net>", "NOTIFY=NEVER")
s:rcpt("<c@example.org>")
s:rcpt("<postmaster>")
t.is(said(), { "- | - | -", "RCPT TO:<b@example.net> NOTIFY=NEVER | b | example.net",
  "RCPT TO:<c@example.org> | c | example.org", "RCPT TO:<postmaster> | postmaster | -" },
  "rcptto_*: of the last one")
s:data()
s:header("Subject", "hello")
s:body("hello\r\n")
s:eom()
t.is(said(), { "RCPT TO:<postmaster> | postmaster | -",
  "RCPT TO:<b@example.net> NOTIFY=NEVER | b | example.net",
  "RCPT TO:<c@example.org> | c | example.org", "RCPT TO:<postmaster> | postmaster | -" },
  "rcptto_*: of each copy its own")
s:mail("<a@example.com>")
t.is(said(), { "- | - | -" }, "rcptto_*: not in the next message")
s:quit()

-- counters
watch "connection_message_count connection_rcpt_count message_rcpt_count"
s = start()
t.is(said(), { "- | - | -", "- | - | -" }, "counts: none before MAIL")
s:message { rcpts = { "<b@example.com>", "<c@example.com>" } }
t.is(said(), { "1 | - | 0", "1 | 1 | 1", "1 | 2 | 2", "1 | 2 | 2", "1 | 2 | 2", "1 | 2 | 2" },
  "counts: a message")
s:mail("<a@example.com>")
s:rcpt("<b@example.com>")
t.is(said(), { "2 | 2 | 0", "2 | 3 | 1" }, "counts: the next one")
s:quit()
watch "conntrol_unrecognized_commands"
s = start()
s:unknown("HELP ME")
s:unknown("XYZZY")
s:mail("<a@example.com>")
t.is(said(), { "-", "-", "2" }, "counts: unknown commands")
s:quit()

-- where the client comes from
watch "pathway can_relay zone wide"
for address, wanted in pairs {
  ["198.51.100.1"] = "inbound | - | - | -", ["192.0.2.1"] = "inbound | true | wide | yes",
  ["192.0.2.129"] = "inbound | true | narrow | yes", ["2001:db8:1::25"] = "inbound | true | narrow | -",
  ["2001:db8:2::25"] = "inbound | - | narrow | -", ["2001:db9::1"] = "inbound | - | - | -",
  ["unspec"] = "inbound | - | - | -",
} do
  s = start(address)
  t.is(said(), { wanted, wanted }, "network: " .. address)
  s:quit()
end

-- TLS: of the second EHLO
watch "tls tls_cipher tls_cipher_algbits tls_cipher_usebits"
s = start()
t.is(said(), { "- | - | - | -", "- | - | - | -" }, "TLS: not at first")
s:macro("H", "{tls_version}", "TLSv1.3", "{cipher}", "TLS_AES_256_GCM_SHA384", "{cipher_bits}", "256")
s:helo("client.example.com")
local encrypted = "on | TLS_AES_256_GCM_SHA384 | 256 | 256"
t.is(said(), { encrypted }, "TLS: after STARTTLS and the second EHLO")
s:mail("<a@example.com>")
t.is(said(), { encrypted }, "TLS: in the transaction too")
s:quit()

local names = { "tls_client_cert_subject", "tls_client_cert_subject_cn", "tls_client_cert_issuer",
  "tls_client_cert_issuer_cn", "tls_client_verified" }
watch(table.concat(names, " "))
local function certificate(wanted, name, ...)
  s = start()
  s:macro("M", "{tls_version}", "TLSv1.2", ...)
  s:mail("<a@example.com>")
  t.is(said()[3], wanted, "certificate: " .. name)
  s:quit()
end
certificate("- | - | - | - | -", "none")
certificate("/C=DE/CN=c.example.com | c.example.com | /C=DE/CN=CA | CA | yes", "Sendmail's",
  "{cert_subject}", "/C=DE/CN=c.example.com", "{cn_subject}", "c.example.com", "{cert_issuer}", "/C=DE/CN=CA",
  "{cn_issuer}", "CA", "{verify}", "OK")
certificate("/CN=c | c | /CN=CA | CA | -", "Sendmail's, not verified",
  "{cert_subject}", "/CN=c", "{cn_subject}", "c", "{cert_issuer}", "/CN=CA",
  "{cn_issuer}", "CA", "{verify}", "FAIL")
certificate("c.example.com | c.example.com | CA | CA | yes", "Postfix's",
  "{cert_subject}", "c.example.com", "{cert_issuer}", "CA")
certificate("- | - | - | - | -", "Sendmail's, none", "{verify}", "NO")

-- AUTH
watch "auth_user auth_name auth_status can_relay"
s = start()
s:mail("<a@example.com>")
s:macro("M", "{auth_type}", "PLAIN", "{auth_authen}", "alice")
s:mail("<a@example.com>")
s:rcpt("<b@example.com>")
t.is(said(), { "- | - | - | -", "- | - | - | -", "- | - | - | -", "alice | PLAIN | pass | true",
  "alice | PLAIN | pass | true" }, "AUTH: from the MAIL after it")
s:quit()

-- what only the header tells
watch "rfc2822_date_missing mail_loop_header_count"
s = start()
said()
local function headers(wanted, name, list)
  s:message { headers = list }
  t.is(said(), wanted, "header: " .. name)
end
local DATE, RECEIVED = { "Date", "Mon, 1 Jan 2024 00:00:00 +0000" }, { "Received", "from x" }
headers({ "- | -", "- | -", "true | -", "true | -" }, "no date", { RECEIVED, RECEIVED, RECEIVED })
headers({ "- | -", "- | -", "- | -", "- | -" }, "a date, in the next message", { DATE })
headers({ "- | -", "- | -", "- | 4", "- | 4" }, "more Received than allowed",
  { DATE, RECEIVED, RECEIVED, RECEIVED, RECEIVED })
headers({ "- | -", "- | -", "- | -", "- | -" }, "and the next message is no loop", { DATE })
s:quit()

-- existence, deletion, macros, and the command that scripts get as `str`
t.orders {
  ["first.validate_ehlo"] = [[
    print("@ " .. #str .. " " .. str:gsub("\r\n", "<CRLF>") .. " @") return CONT ]],
  ["first.validate_mailfrom"] = [[ print("@ " .. tostring(str):gsub("\r\n", "<CRLF>") .. " @") return CONT ]],
  ["first.validate_rcptto"] = [[ print("@ " .. tostring(str):gsub("\r\n", "<CRLF>") .. " @")
    local macros = "%{vctx_conn:ehlo_domain}/%{vctx_mess:mailfrom_domain}/%{vctx_conn:none}/100%"
    print("@ " .. msys.expandMacro(macros) .. " @")
    vctx:set(MESS, "k", "v")
    print("@ " .. msg:context_exists(MESS, "k") .. msg:context_delete(MESS, "k")
      .. msg:context_delete(MESS, "k") .. msg:context_exists(MESS, "k")
      .. msg:context_exists(MESS, "rfc2822_date_missing") .. " @")
    return CONT ]],
}
said()
s = start()
s:mail("<a@example.com>", "SIZE=1")
s:rcpt("<b@example.com>", "NOTIFY=NEVER")
t.is(said(), { "25 EHLO client.example.com<CRLF>", "MAIL FROM:<a@example.com> SIZE=1<CRLF>",
  "RCPT TO:<b@example.com> NOTIFY=NEVER<CRLF>", "client.example.com/example.com//100%", "11000" },
  "str, macros, existence")

-- the MTA's queue id in the log
s:macro("R", "i", "4QUEUEID")
s:rcpt("<c@example.com>")
t.ok(t.log():find("RCPT TO:<c@example.com><CRLF> @ %[%w+ 4QUEUEID%]"), "queue id: from when it is known")
s:mail("<a@example.com>")
t.ok(t.log():find("MAIL FROM:<a@example.com><CRLF> @ %[%w+%]\n$"), "queue id: not in the next message")
s:quit()
