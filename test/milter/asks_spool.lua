-- policy: spool_only
-- What a policy with validate_data_spool only asks of the MTA.
-- luacheck: read globals SMFIF_ADDHDRS SMFIF_CHGBODY SMFIF_CHGFROM SMFIF_CHGHDRS
local t = require "lib"

local s = t.connect()
s:wants("CONNECT HELO MAIL RCPT HDRS UNKNOWN", "", "ADDHDRS CHGHDRS CHGFROM")
s:conninfo("client.example.com", "192.0.2.1")
s:helo("client.example.com")
local reply, changes = s:message()
t.is(reply, "ACCEPT", "accepted")
t.is(changes, { "add X-Checked: yes" }, "changed")

-- an MTA that grants less than all changes
local SORRY = t.SORRY
local function granted(actions, order, wanted, wanted_changes, complaint, name)
  local limited = t.greeted { actions = actions }
  local last, list = limited:message { headers = { { "X-Order", order }, { "Subject", "hello" } } }
  t.is(last, wanted, name .. ": reply")
  t.is(list, wanted_changes, name)
  if complaint then
    t.ok(t.logged(complaint), name .. ": the error says so")
  end
  limited:quit()
end
local ADD, CHANGE, FROM = SMFIF_ADDHDRS, SMFIF_CHGHDRS, SMFIF_CHGFROM
granted(ADD, "add", "ACCEPT", { "add X-Checked: yes" }, nil, "granted to add, adds")
granted(ADD, "replace", SORRY, {}, "the MTA did not grant this milter to delete header fields",
  "granted to add, replaces")
granted(ADD, "delete", SORRY, {}, "the MTA did not grant this milter to delete header fields",
  "granted to add, deletes")
granted(ADD, "sender", SORRY, {}, "the MTA did not grant this milter to change the sender",
  "granted to add, changes the sender")
granted(CHANGE, "add", SORRY, {}, "the MTA did not grant this milter to add header fields",
  "granted to change, adds")
granted(CHANGE, "delete", "ACCEPT", { "delete 1 Subject" }, nil, "granted to change, deletes")
granted(FROM, "sender", "ACCEPT", { "from <new@example.net>" }, nil, "granted to change the sender")
granted(ADD + CHANGE + FROM, "replace", "ACCEPT", { "delete 1 Subject", "add Subject: replaced" }, nil,
  "granted all, replaces")
granted(SMFIF_CHGBODY, "add", SORRY, {}, "the MTA did not grant this milter to add header fields",
  "granted nothing of use, adds")
