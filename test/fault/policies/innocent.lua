-- SPDX-License-Identifier: MIT
-- The policy of those who must not notice anything. Names: EHLO sN.test, sender sN-mM@,
-- recipients sN-mM-rK-ok@ or -no@. What a session keeps is compared with what it is told.
require("msys.core")

local CONN, MESS = msys.core.VCTX_CONN, msys.core.VCTX_MESS
local CONT = msys.core.VALIDATE_CONT
local VERSION = "@VERSION@"
local mod = {}

local function same(what, got, expected)
  if got ~= expected then
    error("SESSION MIXED UP: " .. what .. " is '" .. tostring(got) .. "', not '"
      .. tostring(expected) .. "'", 2)
  end
end

-- Sessions of others, and those whose beginning was lost with a Lua state.
local function ours(self, vctx)
  return self.client or string.find(vctx:get(CONN, "ehlo_domain"), "^s%d+%.test$")
end

function mod:validate_ehlo(_, _, vctx)
  if not ours(self, vctx) then
    return CONT
  end
  same("client at EHLO", rawget(self, "client"), nil)
  same("client of vctx at EHLO", vctx:get(CONN, "client"), "")
  self.client = string.match(vctx:get(CONN, "ehlo_domain"), "^(s%d+)%.test$")
  vctx:set(CONN, "client", self.client)
  self.n = 0
  return CONT
end

function mod:validate_mailfrom(_, _, vctx)
  if not ours(self, vctx) then
    return CONT
  end
  same("left over from a message", vctx:get(MESS, "seen"), "")
  local sender = vctx:get(MESS, "mailfrom_localpart")
  -- `self` may be fresh after a state was given up; the connection's context is not
  local client = vctx:get(CONN, "client")
  same("sender's client", string.match(sender, "^(s%d+)%-m%d+$"), client)
  same("client of self", self.client or client, client)
  self.client = client
  self.sender = sender
  self.rcpts = 0
  vctx:set(MESS, "seen", sender)
  return CONT
end

local function check(self, msg, vctx)
  same("client", vctx:get(CONN, "client"), self.client)
  same("sender in context", vctx:get(MESS, "seen"), self.sender)
  same("sender of msg", msg:mailfrom(), self.sender .. "@example.org")
  same("context of msg", msg:context_get(MESS, "seen"), self.sender)
end

function mod:validate_rcptto(msg, _, _, vctx)
  if not self.sender then
    return CONT
  end
  check(self, msg, vctx)
  local rcpt = msg:rcptto()
  same("recipient", string.sub(rcpt, 1, #self.sender + 2), self.sender .. "-r")
  if string.find(rcpt, "-no@", 1, true) then
    vctx:set_code(550, "5.1.1 not here, says " .. VERSION)
  else
    self.rcpts = self.rcpts + 1
  end
  if string.find(rcpt, "-slow-", 1, true) then
    msys.sleep(tonumber("@SLEEP@"))
    check(self, msg, vctx)
  end
  return CONT
end

function mod:validate_data_spool(msg, _, vctx)
  if not self.sender then
    return CONT
  end
  check(self, msg, vctx)
  same("subject", msg:header("Subject")[1], self.sender)
  same("fields", #msg:header("X-Innocent"), 0)
  msg:header("X-Innocent", self.client .. " " .. self.rcpts .. " " .. VERSION)
  return CONT
end

-- As above, so that it fails at once if a message were seen twice.
function mod:core_final_validation(msg, _, vctx)
  if self.sender then
    check(self, msg, vctx)
    self.sender = nil
  end
end

msys.registerModule("innocent", mod)
