-- One callout only: what it does not need is negotiated away.
require "msys.core"

local mod = {}

function mod:validate_ehlo()
  print("ehlo_only")
  return msys.core.VALIDATE_CONT
end

msys.registerModule("@NAME@", mod)
