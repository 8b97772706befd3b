-- Refuses every client; where that can be said depends on the setting connect_reply.
require "msys.core"

local mod = {}

function mod:validate_connect(_, vctx)
  vctx:set_code(554, "5.7.1 not you")
  return msys.core.VALIDATE_CONT
end

msys.registerModule("@NAME@", mod)
