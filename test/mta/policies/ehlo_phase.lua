-- SPDX-License-Identifier: MIT
-- The registration example of Momentum's manual.
-- luacheck: ignore 212 (as published)
require("msys.core");

local mod = {};

function mod:validate_ehlo(str, accept, vctx)
  print(msys.expandMacro("The ehlo string is %{vctx_conn:ehlo_string}"));
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("ehlo_phase", mod);
