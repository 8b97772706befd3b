-- simulate: --rcpt one@x --rcpt two@x
-- checks: 48
local check = require "check"
local core = msys.core
local CONN, MESS = core.ECMESS_CTX_CONN, core.ECMESS_CTX_MESS

local function values(msg, type)
  check.eq(msg:context_get(type, "key"), "")
  check.eq(msg:context_exists(type, "key"), 0)
  local there, value = msg:context_exists_and_get(type, "key")
  check.eq(there, 0)
  check.eq(value, nil)
  check.eq(msg:context_delete(type, "key"), 0)
  check.eq(msg:context_set(type, "key", "value"), 1)
  check.eq(msg:context_get(type, "key"), "value")
  check.eq(msg:context_exists(type, "key"), 1)
  there, value = msg:context_exists_and_get(type, "key")
  check.eq(there, 1)
  check.eq(value, "value")
  check.eq(msg:context_set(type, "key", ""), 1)
  check.eq(msg:context_exists(type, "key"), 1, "empty is not absent")
  check.eq(msg:context_set(type, "key", 12), 1)
  check.eq(msg:context_get(type, "key"), "12")
  check.eq(msg:context_set(type, nil, "x"), 0)
  check.eq(msg:context_set(type, "key", nil), 0)
  check.eq(msg:context_get(type, "key"), "12")
  check.eq(msg:context_delete(type, "key"), 1)
  check.eq(msg:context_exists(type, "key"), 0)
end

msys.registerModule("context", {
  validate_data = function(_, msg, _, vctx)
    values(msg, CONN)
    values(msg, MESS)
    check.raises("VCTX_CONN or VCTX_MESS expected", function() msg:context_get(9, "x") end)
    check.raises("string expected", function() msg:context_get(MESS, nil) end)
    check.raises("string expected", function() msg:context_set(MESS, "x", {}) end)
    check.raises("msg expected as argument #1, got userdata", msg.context_get, vctx, MESS, "x")
    msg:context_set(MESS, "shared", "all")
    return core.VALIDATE_CONT
  end,
  -- every recipient has a message context of its own, the connection's is one
  validate_data_spool_each_rcpt = function(_, msg)
    check.eq(msg:context_get(MESS, "shared"), "all")
    check.eq(msg:context_get(MESS, "rcptto_string"), "RCPT TO:<" .. msg:rcptto() .. ">")
    check.eq(msg:context_get(CONN, "seen"), msg:rcptto() == "one@x" and "" or "one@x")
    msg:context_set(MESS, "shared", msg:rcptto())
    msg:context_set(CONN, "seen", msg:rcptto())
    return core.VALIDATE_CONT
  end,
  validate_dealloc = check.report,
})
