-- simulate: --rcpt one@x
-- checks: 42
-- change: add_header X-Final 1
local check = require "check"
local core = msys.core
local kept = {}

local function refused(name, callout, fn, ...)
  check.raises(name .. ": not available in " .. callout, fn, ...)
end

local vctx_methods = require "msys.extended.vctx"
local msg_methods = require "msys.extended.message"
for name, fn in pairs({ get = vctx_methods.get, set = vctx_methods.set,
    set_code = vctx_methods.set_code, disconnect = vctx_methods.disconnect }) do
  refused("vctx:" .. name, "the file level", fn)
end
for _, name in ipairs({ "mailfrom", "rcptto", "header", "context_get", "context_set",
    "context_exists", "context_exists_and_get", "context_delete" }) do
  refused("msg:" .. name, "the file level", msg_methods[name])
end

msys.registerModule("phases", {
  validate_connect = function(_, _, vctx)
    refused("msg:mailfrom", "validate_connect", msg_methods.mailfrom)
    kept.vctx = vctx
    return core.VALIDATE_CONT
  end,
  validate_ehlo = function(_, _, _, vctx)
    check.eq(kept.vctx, vctx, "one for the connection")
    check.eq(vctx:get(core.VCTX_CONN, "x"), "")
    refused("msg:header", "validate_ehlo", msg_methods.header)
    return core.VALIDATE_CONT
  end,
  validate_mailfrom = function()
    refused("msg:mailfrom", "validate_mailfrom", msg_methods.mailfrom)
    refused("msg:context_get", "validate_mailfrom", msg_methods.context_get)
    return core.VALIDATE_CONT
  end,
  validate_rcptto = function(_, msg)
    kept.msg = msg
    refused("msg:header", "validate_rcptto", msg.header, msg, "Subject")
    check.eq(msg:context_get(core.VCTX_MESS, "rcptto_localpart"), "one")
    return core.VALIDATE_CONT
  end,
  validate_rcptto_list = function(_, list, vctx)
    check.list(list, { "one@x" })
    check.eq(vctx, kept.vctx)
    refused("msg:mailfrom", "validate_rcptto_list", kept.msg.mailfrom, kept.msg)
    return core.VALIDATE_CONT
  end,
  validate_rcptto_list_final = function(_, list)
    check.list(list, { "one@x" })
    refused("msg:rcptto", "validate_rcptto_list_final", kept.msg.rcptto, kept.msg)
    return core.VALIDATE_CONT
  end,
  validate_data_spool_each_rcpt = function(_, msg, _, vctx)
    check.ok(msg ~= kept.msg)
    vctx:set_code(250, "fine")
    check.eq(#msg:header("Subject"), 1)
    return core.VALIDATE_CONT
  end,
  validate_set_binding = function(_, msg)
    refused("vctx:set_code", "validate_set_binding", kept.vctx.set_code, kept.vctx, 550, "x")
    refused("vctx:disconnect", "validate_set_binding", kept.vctx.disconnect, kept.vctx)
    check.eq(kept.vctx:get(core.VCTX_CONN, "x"), "")
    check.raises("cannot be changed in validate_set_binding", function() msg:header("X-A", "1") end)
    check.eq(msg:mailfrom(), "sender@example.org")
    return core.VALIDATE_CONT
  end,
  core_final_validation2 = function(_, msg, _, vctx)
    vctx:set_code(250, "2.0.0 words of a final hook")
    check.eq(msg:header("X-Final", "1"), true)
    return core.EC_HOOK_CONT
  end,
  core_config_get_message_routing_domain = function(_, _, msg, buffer)
    check.eq(#buffer, 0)
    check.raises("cannot be changed in core_config_get_message_routing_domain",
      function() msg:header("X-A", "1") end)
    check.list(msg:header("X-Final"), {})
    return 0
  end,
  validate_dealloc = function()
    refused("vctx:set_code", "validate_dealloc", kept.vctx.set_code, kept.vctx, 550, "x")
    refused("msg:mailfrom", "validate_dealloc", kept.msg.mailfrom, kept.msg)
    check.eq(kept.vctx:get(core.VCTX_CONN, "ehlo_domain"), "localhost")
    check.report()
  end,
})
