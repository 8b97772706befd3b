-- Judges and changes each recipient's copy.
require "msys.core"

local mod = {}

function mod:validate_data_spool_each_rcpt(msg, _, vctx)
  local user = vctx:get(msys.core.VCTX_MESS, "rcptto_localpart")
  if user == "never" then
    vctx:set_code(550, "5.1.1 no such user")
  elseif user == "moved" then
    msg:rcptto("new@example.net")
  end
  return msys.core.VALIDATE_CONT
end

msys.registerModule("@NAME@", mod)
