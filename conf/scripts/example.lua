-- An example policy: one module, one function for each SMTP phase it cares about.
-- Switch it on in scriptletd.conf:  script = ( { name = "example"; source = "example"; } );
-- and try it first:  scriptlet simulate --rcpt nobody@example.org

require("msys.core")
require("msys.extended.message")

local example = {}

-- `self` belongs to this module and this connection: what is kept here is seen in later phases.
function example:validate_ehlo(str, _, vctx)
  print(msys.expandMacro("The ehlo string is %{vctx_conn:ehlo_string}"))
  self.is_literal = tostring(str):match("^EHLO %[") ~= nil
  vctx:set(msys.core.VCTX_CONN, "helo_is_literal", self.is_literal)
  return msys.core.VALIDATE_CONT
end

-- A refusal: set the reply, and end the phase.
function example:validate_rcptto(msg, _, _, vctx)
  if msg:rcptto():match("^nobody@") then
    vctx:set_code(550, "5.1.1 there is nobody here by that name")
    return msys.core.VALIDATE_DONE
  end
  return msys.core.VALIDATE_CONT
end

-- The whole message is here: header fields can be read and changed.
function example:validate_data(msg)
  local subject = msg:header("Subject")[1] or "(none)"
  msg:header("X-Example-Policy", "seen, subject has " .. #subject .. " characters")
  return msys.core.VALIDATE_CONT
end

msys.registerModule("example", example)
