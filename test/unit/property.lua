-- The policy of test_property.c. It leaves marks in everything that lasts, and prints all that it
-- sees, which the test compares with a model of its own. Several sessions run at a time, so that
-- what leaks from one into another shows.
require("msys.core")
local core = msys.core
local CONN, MESS = core.VCTX_CONN, core.VCTX_MESS

local KEPT = 4
local msgs, vctxs = {}, {} -- objects that scripts kept, the newest KEPT of each
local msg_count, vctx_count = 0, 0

local function keep(msg, vctx)
  if msg then
    msg_count = msg_count % KEPT + 1
    msgs[msg_count] = msg
  end
  if vctx then
    vctx_count = vctx_count % KEPT + 1
    vctxs[vctx_count] = vctx
  end
end

-- The senders that kept messages tell: nobody's but the one of this message may be reachable.
local function reachable(msg, vctx)
  local seen, names = {}, {}
  keep(msg, vctx)
  for _, other in pairs(msgs) do
    local ok, sender = pcall(other.mailfrom, other)
    if ok and not seen[sender] then
      seen[sender] = true
      names[#names + 1] = "<" .. sender .. ">"
    end
  end
  for _, other in pairs(vctxs) do
    if vctx and other ~= vctx and pcall(other.get, other, CONN, "trail") then
      names[#names + 1] = "another vctx"
    end
  end
  table.sort(names)
  return table.concat(names, " ")
end

-- The same marks go into self and into VCTX_CONN.
local function mark(self, vctx, what)
  local own, conn = (self.trail or "") .. what, vctx:get(CONN, "trail") .. what
  self.trail = own
  vctx:set(CONN, "trail", conn)
  return own == conn and own or own .. " but " .. conn
end

local function mark_message(vctx, what)
  local trail = vctx:get(MESS, "trail") .. what
  vctx:set(MESS, "trail", trail)
  return trail
end

local function line(...)
  print("a " .. table.concat({ ... }, "|"))
end

local function tags(msg)
  return table.concat(msg:header("X-Tag"), " ")
end

local mod = {}

function mod:validate_connect(_, vctx)
  line("connect", mark(self, vctx, "C"))
  return core.VALIDATE_CONT
end

function mod:validate_ehlo(str, _, vctx)
  local name = tostring(str):match("^EHLO (%S+)")
  line("ehlo", name, mark(self, vctx, "E" .. name:match("%d+")))
  if name:find("^no") then vctx:set_code(550, "5.7.1 no") end
  return core.VALIDATE_CONT
end

function mod:validate_mailfrom(_, _, vctx)
  local sender = vctx:get(MESS, "mailfrom_localpart")
  line("mail", vctx:get(MESS, "trail"), sender, vctx:get(CONN, "connection_message_count"),
    vctx:get(CONN, "message_rcpt_count"), mark(self, vctx, "M"))
  mark_message(vctx, "M" .. (sender:match("%d+") or ""))
  if sender:find("^no") then vctx:set_code(451, "4.7.1 no") end
  return core.VALIDATE_CONT
end

function mod:validate_rcptto(msg, _, _, vctx)
  local address = msg:rcptto()
  line("rcpt", address, msg:mailfrom(), mark_message(vctx, "R" .. address:match("%d+")),
    vctx:get(CONN, "connection_rcpt_count"), vctx:get(CONN, "message_rcpt_count"),
    mark(self, vctx, "R"), reachable(msg, vctx))
  if address:find("^no") then vctx:set_code(550, "5.1.1 no") end
  return core.VALIDATE_CONT
end

function mod:validate_rcptto_list(list)
  line("list", table.concat(list, " "))
  return core.VALIDATE_CONT
end

function mod:validate_rcptto_list_final(list)
  line("final list", table.concat(list, " "))
  return core.VALIDATE_CONT
end

function mod:validate_data(msg, _, vctx)
  line("data", tags(msg), msg:mailfrom(), mark_message(vctx, "D"), mark(self, vctx, "D"),
    reachable(msg, vctx))
  return core.VALIDATE_CONT
end

function mod:validate_data_spool(msg, _, vctx)
  msg:header("X-Trail", vctx:get(MESS, "trail"))
  return core.VALIDATE_CONT
end

function mod:validate_data_spool_each_rcpt(msg, _, vctx)
  local address = msg:rcptto()
  local kind = address:match("^%a+")
  line("each", address, tags(msg), msg:context_get(MESS, "trail"),
    mark_message(vctx, "V" .. address:match("%d+")), reachable(msg, vctx))
  if kind == "refuse" then
    vctx:set_code(550, "5.7.1 refused")
  elseif kind == "defer" then
    vctx:set_code(451, "4.7.1 later")
  elseif kind == "red" then
    msg:header("X-Red", "1")
  end
  return core.VALIDATE_CONT
end

function mod:validate_set_binding(msg)
  line("binding", msg:rcptto(), msg:context_get(MESS, "trail"), reachable(msg))
  return core.VALIDATE_CONT
end

function mod:core_final_validation(msg)
  line("final", msg:context_get(MESS, "trail"), table.concat(msg:header("X-Red")), reachable(msg))
end

function mod:validate_dealloc()
  line("dealloc", self.trail or "")
end

msys.registerModule("a", mod)
