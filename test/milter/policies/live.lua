-- A module whose callouts do what the test orders: the file module.callout has the Lua code, which
-- knows the arguments of the callout by their names; without one, the callout returns CONT.
require "msys.core"

local arguments = {
  validate_connect = "ac, vctx",
  validate_ehlo = "str, ac, vctx",
  validate_mailfrom = "str, ac, vctx",
  validate_rcptto = "msg, str, ac, vctx",
  validate_rcptto_list = "list, vctx",
  validate_rcptto_list_final = "list, vctx",
  validate_data = "msg, ac, vctx",
  validate_data_spool = "msg, ac, vctx",
  validate_data_spool_each_rcpt = "msg, ac, vctx",
  validate_set_binding = "msg",
  core_final_validation2 = "msg, ac, vctx",
  core_final_validation = "msg, ac, vctx",
  core_post_final_validation = "msg, ac, vctx",
  core_config_get_message_routing_domain = "opaque, msg, buff, len",
}

local prelude = [[
local CONT, DONE, AGAIN = msys.core.VALIDATE_CONT, msys.core.VALIDATE_DONE, msys.core.VALIDATE_AGAIN
local CONN, MESS = msys.core.VCTX_CONN, msys.core.VCTX_MESS
local self, %s = ...
]]

local function obey(callout, names)
  return function(...)
    print("@NAME@ " .. callout)
    local file = io.open("@ORDERS@/@NAME@." .. callout)
    if not file then
      return msys.core.VALIDATE_CONT
    end
    local code = prelude:format(names):gsub("\n", " ") .. file:read("*a")
    file:close()
    return assert(loadstring(code, "=order"))(...)
  end
end

local mod = {}
for callout, names in pairs(arguments) do
  mod[callout] = obey(callout, names)
end
mod.validate_dealloc = obey("validate_dealloc", "nothing")
msys.registerModule("@NAME@", mod)
