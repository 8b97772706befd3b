-- Defines every callout and hook and uses what each may use; run under valgrind.
require "msys.core"

local core = msys.core
local all = {}

function all:init()
  return true
end

function all:deinit()
  return true
end

function all:validate_connect(_, vctx)
  self.seen = 1
  vctx:set(core.VCTX_CONN, "kept", "value")
  return core.VALIDATE_CONT
end

function all:validate_ehlo(str, _, _)
  self.seen = self.seen + #str
  print(msys.expandMacro("%{vctx_conn:ehlo_string} %{vctx_conn:kept}"))
  return core.VALIDATE_CONT
end

function all:validate_mailfrom(_, _, _)
  msys.sleep(0.01)
  self.again = (self.again or 0) + 1
  return self.again < 2 and core.VALIDATE_AGAIN or core.VALIDATE_CONT
end

function all:validate_rcptto(msg, _, _, vctx)
  msg:context_set(core.ECMESS_CTX_MESS, "last", msg:rcptto())
  vctx:set_code(250, "2.1.5 fine")
  return core.VALIDATE_CONT
end

function all:validate_rcptto_list(list)
  assert(#list > 0)
  return core.VALIDATE_CONT
end

function all:validate_rcptto_list_final(list)
  assert(#list == 3)
  return core.VALIDATE_CONT
end

function all:validate_data(msg)
  msg:header("Subject", "gr\195\188n")
  msg:header("X-Many", { "a", "b" }, "prepend")
  msg:mailfrom("new@example.org")
  return core.VALIDATE_CONT
end

function all:validate_data_spool()
  return core.VALIDATE_DONE
end

function all:validate_data_spool_each_rcpt(msg, _, vctx)
  local name = msg:rcptto():sub(1, 1)
  if name == "b" then
    vctx:set_code(550, "5.1.1 no b\nat all")
  elseif name == "c" then
    msg:header("X-C", "yes")
    msg:rcptto("d@example.org")
  end
  return core.VALIDATE_CONT
end

function all:validate_set_binding()
  return core.VALIDATE_CONT
end

function all:core_config_get_message_routing_domain(_, msg, buff)
  buff:set(msg:rcptto():match("@(.*)"))
  return #buff
end

function all:core_final_validation2(msg)
  msg:header("X-Final", msg:header("Subject")[1], "append")
  return core.EC_HOOK_CONT
end

function all:core_final_validation()
  local t = setmetatable({}, { __tostring = function() return "made" end })
  print(t, nil, 1)
end

function all:core_post_final_validation()
  pcall(error, { "an error that is no string" })
end

function all:validate_dealloc()
  error("an error where nothing is left to decide")
end

msys.registerModule("all", all)
