-- SPDX-License-Identifier: MIT
-- Does what faults.lua (put before this) has to offer: at connect what the network of the client
-- says, at RCPT what the recipient is called, at the end of a message what the sender is called.
require("msys.core")

local CONN = msys.core.VCTX_CONN
local CONT = msys.core.VALIDATE_CONT
local mod = {}

local function try(name, vctx)
  if not faults[name] then
    return CONT
  end
  local result = faults[name]()
  -- what came to an end is used as scripts use it
  vctx:set_code(550, "5.7.1 " .. tostring(result))
  return CONT
end

function mod:validate_connect(_, vctx)
  return try(vctx:get(CONN, "fault"), vctx)
end

function mod:validate_rcptto(msg, _, _, vctx)
  return try(string.match(msg:rcptto(), "^fault%-(%a+)@"), vctx)
end

function mod:validate_data_spool(msg, _, vctx)
  return try(string.match(msg:mailfrom(), "^fault%-(%a+)@"), vctx)
end

msys.registerModule("faulty", mod)
