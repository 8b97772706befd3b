-- Two recipients are enough.
require "msys.core"

local mod = {}

function mod:validate_rcptto_list_final(list, vctx)
  if #list > 2 then
    vctx:set_code(550, "5.5.3 too many recipients")
  end
  return msys.core.VALIDATE_CONT
end

msys.registerModule("@NAME@", mod)
