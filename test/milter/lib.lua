-- luacheck: std lua53
-- What the miltertest scripts share: checks, and a session that knows the words of each reply.
--
-- A step of a session returns what the daemon said: "CONTINUE", "ACCEPT", "REJECT", "TEMPFAIL",
-- "DISCARD", "SKIP", the text of an SMTP reply, or "NONE" where none was negotiated.
local lib = {}

io.stdout:setvbuf("no")

-- What any failure of a script or of the daemon answers.
lib.SORRY = "451 4.3.0 temporary issue, please retry your message later"

-- Checks, one TAP row each; run.py numbers them.

local function shown(value)
  if type(value) ~= "table" then
    return tostring(value)
  end
  return "{ " .. table.concat(value, " | ") .. " }"
end

function lib.ok(good, name)
  print((good and "ok" or "not ok") .. " - " .. name)
  return good
end

-- Compares strings, or lists of strings.
function lib.is(got, wanted, name)
  got, wanted = shown(got), shown(wanted)
  if not lib.ok(got == wanted, name) then
    print("  got    " .. got)
    print("  wanted " .. wanted)
  end
end

-- The log of the daemon.

function lib.log()
  local file = assert(io.open(_G.log, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

-- Whether the log has that text after that many bytes, now or soon: only what precedes a reply is
-- there at once.
function lib.logged(text, after)
  for _ = 1, 1000 do
    if lib.log():find(text, (after or 0) + 1, true) then
      return true
    end
    mt.sleep(0.01)
  end
  return false
end

-- Orders for the modules of policies/live.lua: { ["module.callout"] = "Lua code" }.

local given = {}

function lib.orders(orders)
  for _, path in ipairs(given) do
    os.remove(path)
  end
  given = {}
  for name, code in pairs(orders) do
    local path = _G.orders .. "/" .. name
    local file = assert(io.open(path, "wb"))
    file:write(code)
    file:close()
    given[#given + 1] = path
  end
end

-- Frames of the milter protocol.

local words = {
  a = "ACCEPT", c = "CONTINUE", d = "DISCARD", r = "REJECT", s = "SKIP", t = "TEMPFAIL",
}

local function reply_of(frame)
  if frame.letter == "y" then
    return (frame.data:gsub("%z$", ""))
  end
  return words[frame.letter] or error("unknown reply " .. frame.letter)
end

local function field(data)
  local index, name, value = string.unpack(">I4zz", data)
  return index, name, value
end

local change_of = {
  h = function(data)
    return "add " .. data:gsub("%z$", ""):gsub("%z", ":")
  end,
  i = function(data)
    local index, name, value = field(data)
    -- behind all that can be there is one of two ways to say "at the end"
    return (index > 0xffff and "add" or "insert " .. index) .. (" %s:%s"):format(name, value)
  end,
  m = function(data)
    local index, name, value = field(data)
    return ("%s %d %s%s"):format(value == "" and "delete" or "change", index, name,
      value == "" and "" or ":" .. value)
  end,
  e = function(data)
    return "from " .. string.unpack("z", data)
  end,
  ["+"] = function(data)
    return "add_rcpt " .. string.unpack("z", data)
  end,
  ["-"] = function(data)
    return "del_rcpt " .. string.unpack("z", data)
  end,
  p = function() -- "I am still at it"
    return nil
  end,
}

-- Sessions.

local session = {}
session.__index = session

local connections = {}

-- options: socket (a global of run.py), and what the MTA offers: actions, steps
function lib.connect(options)
  options = options or {}
  local path = options.socket or _G.unix
  connections[path] = (connections[path] or 0) + 1
  local self = setmetatable({
    conn = mt.connect("unix:" .. path),
    path = path .. "." .. connections[path],
  }, session)
  -- miltertest takes steps before actions, whatever its manual says
  local problem = mt.negotiate(self.conn, nil, options.steps, options.actions)
  if problem then
    error("negotiation: " .. problem, 2)
  end
  local answer = self:frames()[1]
  self.version, self.actions, self.steps = string.unpack(">I4I4I4", answer.data)
  self.macros = {}
  local at = 13
  while at <= #answer.data do
    local stage, names
    stage, names, at = string.unpack(">I4z", answer.data, at)
    self.macros[stage] = names
  end
  return self
end

-- What the daemon has sent since the last call.
function session:frames()
  self.record = self.record or assert(io.open(self.path))
  self.record:seek("cur", 0) -- forget the end of file met before
  local list = {}
  for line in self.record:lines() do
    local letter, hex = line:match("^(.) (%x*)$")
    local data = hex:gsub("%x%x", function(byte)
      return string.char(tonumber(byte, 16))
    end)
    list[#list + 1] = { letter = letter, data = data }
  end
  return list
end

local function send(self, name, ...)
  local problem = mt[name](self.conn, ...)
  if problem then
    error(name .. ": " .. problem, 3)
  end
end

local function step(name)
  return function(self, ...)
    send(self, name, ...)
    local frames = self:frames()
    if #frames > 1 then
      error(name .. ": more than one reply", 2)
    elseif #frames == 0 then
      return "NONE"
    elseif mt.getreply(self.conn) ~= frames[1].letter:byte() then
      error(name .. ": miltertest saw another reply", 2)
    end
    return reply_of(frames[1])
  end
end

session.conninfo = step "conninfo"
session.helo = step "helo"
session.mail = step "mailfrom"
session.rcpt = step "rcptto"
session.data = step "data"
session.header = step "header"
session.eoh = step "eoh"
session.body = step "bodystring"
session.unknown = step "unknown"

-- Returns the reply, and the list of changes in their order.
function session:eom()
  send(self, "eom")
  local frames = self:frames()
  local last = table.remove(frames)
  local changes = {}
  for _, frame in ipairs(frames) do
    changes[#changes + 1] = (change_of[frame.letter] or error("unknown change " .. frame.letter))(frame.data)
  end
  return reply_of(last), changes
end

function session:abort()
  send(self, "abort")
end

-- What the MTA tells with a command: its letter in the protocol, then names and values.
function session:macro(letter, ...)
  send(self, "macro", letter:byte(), ...)
end

-- Whether the daemon wants that of the MTA: "NORCPT", "NR_MAIL", "ADDHDRS", ...
function session:asks(name)
  local option, action = _G["SMFIP_" .. name], _G["SMFIF_" .. name]
  if option then
    return mt.test_option(self.conn, option)
  end
  return mt.test_action(self.conn, action or error("no such option: " .. name))
end

-- Checks that the daemon asks for just these steps, answers just these, and may make these changes.
function session:wants(steps, answers, changes)
  local no_reply = {
    CONNECT = "NR_CONN", HELO = "NR_HELO", MAIL = "NR_MAIL", RCPT = "NR_RCPT", DATA = "NR_DATA",
    HDRS = "NR_HDR", EOH = "NR_EOH", BODY = "NR_BODY", UNKNOWN = "NR_UNKN",
  }
  local asked, answered, made = {}, {}, {}
  for step_name in ("CONNECT HELO MAIL RCPT DATA HDRS EOH BODY UNKNOWN"):gmatch("%S+") do
    if not self:asks("NO" .. step_name) then
      asked[#asked + 1] = step_name
      if not self:asks(no_reply[step_name]) then
        answered[#answered + 1] = step_name
      end
    end
  end
  for name in ("ADDHDRS CHGHDRS CHGFROM CHGBODY ADDRCPT DELRCPT QUARANTINE ADDRCPT_PAR"):gmatch("%S+") do
    made[#made + 1] = self:asks(name) and name or nil
  end
  lib.is(table.concat(asked, " "), steps, "the steps it asks for")
  lib.is(table.concat(answered, " "), answers, "those it answers")
  lib.is(table.concat(made, " "), changes, "the changes it may make")
end

-- What miltertest itself makes of the changes.
function session:check(...)
  return mt.eom_check(self.conn, ...)
end

function session:quit()
  mt.disconnect(self.conn)
end

-- The MTA is gone, without a word.
function session:drop()
  mt.disconnect(self.conn, false)
end

-- Connection and HELO; returns both replies.
function session:greet(helo)
  return self:conninfo("client.example.com", "192.0.2.1"), self:helo(helo or "client.example.com")
end

local function good(reply)
  return reply == "CONTINUE" or reply == "NONE"
end

-- One whole message, by default from a@example.com to b@example.com, of which the daemon hears what
-- it asked for. Goes on whatever is said but for a refused sender or DATA; returns the last reply
-- and the changes.
function session:message(mail)
  mail = mail or {}
  local function hears(name)
    return not self:asks("NO" .. name)
  end
  local reply = hears "MAIL" and self:mail(mail.from or "<a@example.com>") or "NONE"
  if not good(reply) then
    return reply
  end
  for _, rcpt in ipairs(hears "RCPT" and (mail.rcpts or { "<b@example.com>" }) or {}) do
    self:rcpt(rcpt)
  end
  reply = hears "DATA" and self:data() or "NONE"
  if not good(reply) then
    return reply
  end
  for _, header in ipairs(hears "HDRS" and (mail.headers or { { "Subject", "hello" } }) or {}) do
    self:header(header[1], header[2])
  end
  if hears "EOH" then
    self:eoh()
  end
  if hears "BODY" then
    self:body(mail.body or "hello\r\n")
  end
  return self:eom()
end

-- A session that is greeted already.
function lib.greeted(options)
  local self = lib.connect(options)
  self:greet()
  return self
end

return lib
