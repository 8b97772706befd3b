-- policy: first=live second=live
-- Recipients judged one by one, at RCPT and as copies of the message at its end.
local t = require "lib"

local s = t.greeted()
local each = "first.validate_data_spool_each_rcpt"

-- at RCPT
t.orders {
  ["first.validate_rcptto"] = [[
    local user = msg:rcptto():match("^[^@]+")
    if user == "never" then vctx:set_code(550, "5.1.1 no such user") end
    if user == "later" then vctx:set_code(450, "4.2.1 try later") end
    return CONT ]],
  ["first.validate_rcptto_list"] = [[
    if #list > 2 then vctx:set_code(452, "4.5.3 too many recipients") end
    return CONT ]],
  [each] = [[ print("copy for " .. msg:rcptto()) return CONT ]],
}
s:mail("<a@example.com>")
t.is(s:rcpt("<b@example.com>"), "CONTINUE", "RCPT: the first is accepted")
t.is(s:rcpt("<never@example.com>"), "550 5.1.1 no such user", "RCPT: the second refused")
t.is(s:rcpt("<later@example.com>"), "450 4.2.1 try later", "RCPT: the third deferred")
t.is(s:rcpt("<c@example.com>"), "CONTINUE", "RCPT: the fourth accepted")
local before = #t.log()
t.is(s:rcpt("<d@example.com>"), "452 4.5.3 too many recipients", "RCPT: the fifth refused by the list")
t.is(s:rcpt("<never@example.com>"), "550 5.1.1 no such user", "RCPT: a refused one has no list callout")
local _, lists = t.log():sub(before):gsub("first validate_rcptto_list ", "")
t.is(lists, 1, "RCPT: which ran once only")
before = #t.log()
s:data()
s:header("Subject", "hello")
s:body("hello\r\n")
local reply, changes = s:eom()
t.is(reply, "ACCEPT", "RCPT: the message goes to the others")
t.is(changes, {}, "RCPT: as the MTA knows them already")
local log = t.log():sub(before)
t.ok(log:find("copy for b@", 1, true) and log:find("copy for c@", 1, true),
  "RCPT: these two have their copies")
local _, copies = log:gsub("copy for ", "")
t.is(copies, 2, "RCPT: and nobody else")

-- copies: all refused, some refused, one deferred
local three = { rcpts = { "<b@example.com>", "<c@example.com>", "<d@example.com>" } }
local function judge(verdicts)
  t.orders { [each] = [[ local verdicts = {]] .. verdicts .. [[}
    local verdict = verdicts[msg:rcptto():sub(1, 1)]
    if verdict then vctx:set_code(verdict, verdict .. " for " .. msg:rcptto()) end
    return CONT ]] }
  before = #t.log()
  return s:message(three)
end
local function ran(name)
  return select(2, t.log():sub(before):gsub(name .. " ", ""))
end

reply, changes = judge "b = 550, c = 550, d = 554"
t.is(reply, "554 554 for d@example.com", "copies: all refused, so is the message")
t.is(changes, {}, "copies: all refused, none removed")
t.is(ran "second validate_data_spool_each_rcpt", 3, "copies: the second module sees each")
t.is(ran "first validate_set_binding", 0, "copies: a refused one has no binding")

reply, changes = judge "c = 550"
t.is(reply, "ACCEPT", "copies: one refused, the message is accepted")
t.is(changes, { "del_rcpt <c@example.com>" }, "copies: that one is removed")
t.is(ran "first validate_set_binding", 2, "copies: the others have their bindings")
t.is(ran "first core_final_validation", 1, "copies: but are one message")

reply, changes = judge "b = 550, d = 550"
t.is(changes, { "del_rcpt <b@example.com>", "del_rcpt <d@example.com>" }, "copies: two refused, " .. reply)
reply, changes = judge "b = 550, c = 450"
t.is(reply, "450 450 for c@example.com", "copies: one deferred, so is the message")
t.is(changes, {}, "copies: one deferred, nothing changed")
reply = judge "b = 550, c = 550, d = 421"
t.is(reply, "421 421 for d@example.com", "copies: deferring outweighs refusing")
reply = judge ""
t.is(reply, "ACCEPT", "copies: nothing is left of the refusals before")
reply = judge "b = 250"
t.is(reply, "ACCEPT", "copies: a 250 is no refusal")

-- the reply starts fresh for each copy, also when only one module speaks
t.orders { [each] = [[ vctx:set_code(550, "5.7.1 " .. (msg:rcptto())) return CONT ]],
           ["second.validate_data_spool_each_rcpt"] =
             [[ if msg:rcptto() ~= "b@example.com" then vctx:set_code(250, "fine") end return CONT ]] }
reply, changes = s:message(three)
t.is(changes, { "del_rcpt <b@example.com>" }, "copies: the second module overrules for two, " .. reply)

-- DONE and an error concern the chain of one copy, or everything
t.orders { [each] = [[ if msg:rcptto() == "b@example.com" then return DONE end return CONT ]] }
before = #t.log()
s:message(three)
t.is(ran "second validate_data_spool_each_rcpt", 2, "copies: DONE ends the chain of one")
t.orders { [each] = [[ if msg:rcptto() == "c@example.com" then error("broken") end return CONT ]] }
before = #t.log()
reply = s:message(three)
t.is(reply, t.SORRY, "copies: an error defers all")
t.is(ran "first validate_data_spool_each_rcpt", 2, "copies: at once")

-- each copy has its own message context, made from the shared one, and its own id
t.orders {
  ["first.validate_data"] = [[ vctx:set(MESS, "shared", "yes") return CONT ]],
  [each] = [[ print(("copy %s shared=%s own=%s rcpt=%s %s"):format(msg:rcptto(),
        msg:context_get(MESS, "shared"), vctx:get(MESS, "own"), vctx:get(MESS, "rcptto_localpart"),
        vctx:get(MESS, "rcptto_string")))
      vctx:set(MESS, "own", msg:rcptto())
      msg:context_set(MESS, "shared", "no")
      return CONT ]],
  ["second.validate_data_spool_each_rcpt"] = [[
      print("second " .. msg:rcptto() .. " " .. msg:context_get(MESS, "own")) return CONT ]],
  ["first.validate_set_binding"] = [[
      print("binding " .. msg:rcptto() .. " " .. msg:context_get(MESS, "own")) return CONT ]],
}
reply = s:message { rcpts = { "<b@example.com>", "<c@example.com>" } }
t.is(reply, "ACCEPT", "context: accepted")
for _, user in ipairs { "b", "c" } do
  local rcpt = user .. "@example.com"
  t.ok(t.logged(("copy %s shared=yes own= rcpt=%s RCPT TO:<%s>"):format(rcpt, user, rcpt)),
    "context: a copy begins with what is shared, for " .. rcpt)
  t.ok(t.logged("second " .. rcpt .. " " .. rcpt), "context: the next module sees what was set, for " .. rcpt)
  t.ok(t.logged("binding " .. rcpt .. " " .. rcpt), "context: later callouts too, for " .. rcpt)
end
local IDS = [[ print(("ids %s %s %s."):format(msg.id, msg.batch_id, msg.conn_id)) return CONT ]]
t.orders { ["first.validate_data"] = IDS, [each] = IDS }
before = #t.log()
s:message { rcpts = { "<b@example.com>", "<c@example.com>" } }
local seen, batch, conn, distinct = {}, nil, nil, 0
for id, batch_id, conn_id in t.log():sub(before):gmatch("ids (%w+) (%w+) (%w+)%.") do
  distinct = distinct + (seen[id] and 0 or 1)
  seen[id] = true
  t.ok((batch or batch_id) == batch_id and (conn or conn_id) == conn_id, "ids: one batch, one connection")
  batch, conn = batch_id, conn_id
end
t.is(distinct, 3, "ids: each view has its own")
