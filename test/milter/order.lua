-- policy: first=live second=live
-- settings: {"connect_reply": "connect"}
-- Every callout runs, in the order of the stanzas, once or for each recipient.
local t = require "lib"

local function calls(log)
  local list = {}
  for name in log:gmatch("%d+:scriptlet: (%w+ %w+_[%w_]+) %[") do
    list[#list + 1] = name
  end
  return list
end

local function pairs_of(names)
  local list = {}
  for name, times in names:gmatch("([%a_2]+)%*?(%d*)") do
    for _ = 1, tonumber(times) or 1 do
      list[#list + 1] = "first " .. name
      list[#list + 1] = "second " .. name
    end
  end
  return list
end

local s = t.connect()
local last = 0
local function new_calls()
  local log = t.log()
  local list = calls(log:sub(last + 1))
  last = #log
  return list
end

s:conninfo("client.example.com", "192.0.2.1")
t.is(new_calls(), pairs_of "validate_connect", "connect")
s:helo("client.example.com")
t.is(new_calls(), pairs_of "validate_ehlo", "EHLO")
s:mail("<a@example.com>")
t.is(new_calls(), pairs_of "validate_mailfrom", "MAIL")
for _, rcpt in ipairs { "<b@example.com>", "<c@example.com>" } do
  s:rcpt(rcpt)
  t.is(new_calls(), pairs_of "validate_rcptto validate_rcptto_list", "RCPT " .. rcpt)
end
s:data()
t.is(new_calls(), pairs_of "validate_rcptto_list_final", "DATA")
s:header("Subject", "hello")
s:body("hello\r\n")
t.is(new_calls(), {}, "nothing runs while the message comes in")
local reply, changes = s:eom()
t.is(reply, "ACCEPT", "the message is accepted")
t.is(changes, {}, "and left as it is")
t.is(new_calls(), pairs_of [[validate_data validate_data_spool validate_data_spool_each_rcpt*2
  validate_set_binding*2 core_config_get_message_routing_domain*2
  core_final_validation2 core_final_validation core_post_final_validation]], "end of message")
s:quit()
t.ok(t.logged("second validate_dealloc"), "dealloc follows the end of the connection")
t.is(new_calls(), pairs_of "validate_dealloc", "once for each module")

-- dealloc is due only where another callout of that module ran
t.orders { ["first.validate_connect"] = [[ return DONE ]] }
s = t.connect()
s:conninfo("client.example.com", "192.0.2.1")
s:quit()
t.ok(t.logged("first validate_dealloc", last), "dealloc after a connection that says nothing")
t.is(new_calls(), { "first validate_connect", "first validate_dealloc" },
  "none for a module that did not run")

s = t.connect()
s:quit()
t.orders {}
t.greeted():quit()
t.ok(t.logged("second validate_dealloc", last), "the next connection is served")
t.is(#new_calls(), 6, "an MTA that only looks whether a milter is there runs nothing")
