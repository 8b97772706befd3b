-- Changes each message as a whole.
require "msys.core"

local mod = {}

function mod:validate_data_spool(msg)
  local order = msg:header("X-Order")[1]
  if order == "replace" then
    msg:header("Subject", "replaced")
  elseif order == "delete" then
    msg:header("Subject", "")
  elseif order == "sender" then
    msg:mailfrom("new@example.net")
  else
    msg:header("X-Checked", "yes")
  end
  return msys.core.VALIDATE_CONT
end

msys.registerModule("@NAME@", mod)
