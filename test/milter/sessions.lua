-- policy: first=live second=live
-- What lasts how long: connections, transactions, RSET, a lost client, a milter attached late.
local t = require "lib"

local NO = "550 5.7.1 no"

-- two messages on one connection with different fates
t.orders { ["first.validate_data"] = [[
  local fate = msg:header("X-Fate")[1]
  msg:header("X-Fate", "was " .. fate)
  if fate == "never" then vctx:set_code(550, "5.7.1 no") end
  if fate == "later" then vctx:set_code(451, "4.7.1 later") end
  if fate == "broken" then error("broken") end
  return CONT ]] }
local s = t.greeted()
local function fated(fate)
  return s:message { headers = { { "X-Fate", fate } } }
end
t.is(fated "never", NO, "fates: refused")
local reply, changes = fated "good"
t.is(reply, "ACCEPT", "fates: accepted")
t.is(changes, { "delete 1 X-Fate", "add X-Fate: was good" }, "fates: changed")
t.is(fated "later", "451 4.7.1 later", "fates: deferred")
t.is(fated "broken", t.SORRY, "fates: broken")
t.is(fated "good", "ACCEPT", "fates: accepted again")
s:quit()

-- self and VCTX_CONN last, VCTX_MESS does not
local COUNT = [[
  self.calls = (self.calls or 0) + 1
  vctx:set(CONN, "calls", self.calls)
  print(("@ %d conn=%s mess=%s"):format(self.calls, vctx:get(CONN, "mark"), vctx:get(MESS, "mark"))) ]]
t.orders {
  ["first.validate_ehlo"] = COUNT,
  ["first.validate_mailfrom"] = COUNT .. [[ vctx:set(MESS, "mark", "m" .. self.calls)
    vctx:set(CONN, "mark", vctx:get(CONN, "mark") .. "c" .. self.calls) ]],
  ["first.validate_rcptto"] = COUNT,
  ["first.validate_data"] = COUNT,
  ["first.validate_dealloc"] = [[ if self.calls then print("@ dealloc " .. self.calls) end ]],
  ["second.validate_rcptto"] = [[ print("@ second " .. tostring(self.calls)) self.calls = 1000 ]],
}
local from = #t.log()
local function said()
  local log = t.log()
  local list = {}
  for line in log:sub(from + 1):gmatch("scriptlet: @ ([^[]*) %[") do
    list[#list + 1] = line
  end
  from = #log
  return list
end
s = t.connect()
s:conninfo("client.example.com", "192.0.2.1")
s:helo("x.example.com")
s:mail("<a@example.com>")
s:rcpt("<b@example.com>")
t.is(said(), { "1 conn= mess=", "2 conn= mess=", "3 conn=c2 mess=m2", "second nil" }, "state: up to RCPT")
s:abort()
s:mail("<a@example.com>")
t.is(said(), { "4 conn=c2 mess=" }, "state: RSET empties the message context only")
s:rcpt("<b@example.com>")
s:data()
s:header("Subject", "hello")
s:body("hello\r\n")
s:eom()
t.is(said(), { "5 conn=c2c4 mess=m4", "second 1000", "6 conn=c2c4 mess=m4" },
  "state: the transaction after it, with a self for each module")
s:mail("<a@example.com>")
t.is(said(), { "7 conn=c2c4 mess=" }, "state: the next MAIL starts fresh")
s:helo("y.example.com")
t.is(said(), { "8 conn=c2c4c7 mess=m7" }, "state: a second EHLO keeps the connection")
s:mail("<a@example.com>")
t.is(said(), { "9 conn=c2c4c7 mess=" }, "state: and is a RSET")

-- two connections at once see nothing of each other
local other = t.connect()
other:conninfo("other.example.com", "192.0.2.2")
other:helo("other.example.com")
other:mail("<a@example.com>")
t.is(said(), { "1 conn= mess=", "2 conn= mess=" }, "two at once: the other one starts fresh")
s:rcpt("<b@example.com>")
t.is(said(), { "10 conn=c2c4c7c9 mess=m9", "second 1000" }, "two at once: this one keeps its own")
other:rcpt("<b@example.com>")
t.is(said(), { "3 conn=c2 mess=m2", "second nil" }, "two at once: and so does the other")
other:quit()
t.ok(t.logged("@ dealloc 3", from), "two at once: dealloc of the other has its self")
s:quit()
t.ok(t.logged("@ dealloc 10", from), "two at once: and so has this one's")
said()

-- the client is lost
s = t.greeted()
s:mail("<a@example.com>")
s:rcpt("<b@example.com>")
s:data()
s:header("Subject", "hello")
s:drop()
t.ok(t.logged("@ dealloc 3", from), "lost: dealloc in mid-message has its self")
said()
s = t.connect()
s:drop()
s = t.connect()
s:conninfo("client.example.com", "192.0.2.1")
s:drop()
s = t.greeted()
t.is(said(), { "1 conn= mess=" }, "lost: the next connection starts fresh")
t.is(s:message(), "ACCEPT", "lost: and is served")
s:quit()
t.ok(t.logged("@ dealloc 4", from), "lost: to its end")

-- RSET at any point, and twice
t.orders { ["first.validate_data"] = [[ print("rcpt " .. msg:rcptto()) return CONT ]] }
s = t.greeted()
s:abort()
s:mail("<a@example.com>")
s:abort()
s:abort()
s:mail("<a@example.com>")
s:rcpt("<old@example.com>")
s:data()
s:abort()
t.is(s:message { rcpts = { "<new@example.com>" } }, "ACCEPT", "RSET: the message after it")
t.ok(t.log():find("rcpt new@example.com", 1, true) and not t.log():find("rcpt old@example.com", 1, true),
  "RSET: forgets the recipients")
s:abort()
s:abort()
t.is(s:message(), "ACCEPT", "RSET: after a message")

-- a refused transaction leaves nothing
t.orders { ["first.validate_rcptto_list_final"] = [[
  if #list > 1 then vctx:set_code(550, "5.7.1 no") end return CONT ]] }
t.is(s:message { rcpts = { "<b@example.com>", "<c@example.com>" } }, NO, "refused DATA")
t.is(s:message(), "ACCEPT", "refused DATA: the next one has its own recipients only")
s:quit()

-- objects of an ended message or another connection
t.orders {
  ["first.validate_data"] = [[ kept_msg, kept_vctx = msg, vctx return CONT ]],
  ["first.validate_mailfrom"] = [[
    if kept_msg then print("old msg " .. tostring(pcall(kept_msg.rcptto, kept_msg))) end
    if kept_vctx and kept_vctx ~= vctx then
      print("old vctx " .. tostring(pcall(kept_vctx.get, kept_vctx, CONN, "x")))
    end
    return CONT ]],
}
-- all Lua states get the objects of somebody else
local others = {}
for n = 1, 4 do
  others[n] = t.greeted()
  others[n]:message()
end
for n = 1, 4 do
  others[n]:mail("<a@example.com>")
end
t.ok(t.logged("old msg false"), "objects: a message that has ended raises an error")
t.ok(not t.log():find("old msg true", 1, true), "objects: always")
s = t.greeted()
s:mail("<a@example.com>")
t.ok(t.logged("old vctx false"), "objects: so does another connection")
t.ok(not t.log():find("old vctx true", 1, true), "objects: always too")
for n = 1, 4 do
  others[n]:quit()
end
s:quit()

-- attached late: no connection, no HELO
t.orders {
  ["first.validate_mailfrom"] = [[ print("late [" .. vctx:get(CONN, "ehlo_string") .. "]") return CONT ]],
  ["first.validate_rcptto"] = [[ print("late " .. msg:mailfrom() .. " to " .. msg:rcptto()) return CONT ]],
}
s = t.connect()
s:abort() -- gets miltertest past HELO
t.is(s:message(), "ACCEPT", "late: MAIL first")
t.ok(t.logged("late []") and t.logged("late a@example.com to b@example.com"), "late: runs what there is")
s:quit()
