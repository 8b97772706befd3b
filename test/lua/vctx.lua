-- simulate: --client-addr 192.0.2.7 --helo h.example --from a@b.example --rcpt c@d.example
-- checks: 35
-- log: {file}:22: vctx:set: attempt to set a nil key or value, ignored
-- log: {file}:23: vctx:set: attempt to set a nil key or value, ignored
local check = require "check"
local core = msys.core
local CONN, MESS = core.VCTX_CONN, core.VCTX_MESS

local function values(vctx)
  check.eq(vctx:get(CONN, "nosuch"), "")
  check.eq(select("#", vctx:set(CONN, "key", "value")), 0)
  check.eq(vctx:get(CONN, "key"), "value")
  vctx:set(CONN, "key", "")
  check.eq(vctx:get(CONN, "key"), "")
  vctx:set(CONN, "number", 42)
  check.eq(vctx:get(CONN, "number"), "42")
  vctx:set(CONN, "true", true)
  vctx:set(CONN, "false", false)
  check.eq(vctx:get(CONN, "true") .. vctx:get(CONN, "false"), "truefalse")
  vctx:set(CONN, 7, "by number")
  check.eq(vctx:get(CONN, "7"), "by number")
  vctx:set(CONN, nil, "x")
  vctx:set(CONN, "key", nil)
  check.eq(vctx:get(CONN, "key"), "")
  vctx:set(CONN, "bytes", "\255\1\n")
  check.eq(vctx:get(CONN, "bytes"), "\255\1\n")
  vctx:set(MESS, "mess", "1")
  check.eq(vctx:get(MESS, "mess"), "1")
  check.eq(vctx:get(CONN, "mess"), "")
end

local function misuse(vctx)
  check.raises("VCTX_CONN or VCTX_MESS expected", function() vctx:get(2, "x") end)
  check.raises("VCTX_CONN or VCTX_MESS expected", function() vctx:set(-1, "x", "y") end)
  check.raises("number expected", function() vctx:get("x", "y") end)
  check.raises("number expected", function() vctx:get(nil, "y") end)
  check.raises("string expected", function() vctx:get(CONN) end)
  check.raises("string expected", function() vctx:get(CONN, nil) end)
  check.raises("string expected, got table", function() vctx:set(CONN, "x", {}) end)
  check.raises("string expected, got table", function() vctx:set(CONN, {}, "x") end)
  check.raises("NUL", function() vctx:set(CONN, "x", "a\0b") end)
  check.raises("NUL", function() vctx:set(CONN, "a\0b", "x") end)
  check.raises("vctx expected as argument #1, got table", vctx.get, {}, CONN, "x")
  check.raises("vctx expected as argument #1, got nil", vctx.get, nil, CONN, "x")
  check.raises("the context is full", function() vctx:set(CONN, "big", ("x"):rep(2 ^ 20)) end)
  check.eq(vctx:get(CONN, "big"), "")
end

msys.registerModule("vctx", {
  validate_connect = function(_, ac, vctx)
    check.raises("vctx expected as argument #1, got userdata", vctx.get, ac, CONN, "x")
    check.eq(vctx:get(CONN, "pathway"), "default")
    check.eq(vctx:get(CONN, "can_relay"), "")
    values(vctx)
    misuse(vctx)
    return core.VALIDATE_CONT
  end,
  validate_ehlo = function(_, _, _, vctx)
    check.eq(vctx:get(CONN, "key"), "", "set in another phase")
    check.eq(vctx:get(CONN, "number"), "42")
    check.eq(vctx:get(CONN, "ehlo_string"), "EHLO h.example")
    return core.VALIDATE_CONT
  end,
  validate_mailfrom = function(_, _, _, vctx)
    check.eq(vctx:get(MESS, "mess"), "", "emptied before MAIL")
    check.eq(vctx:get(MESS, "mailfrom_domain"), "b.example")
    return core.VALIDATE_CONT
  end,
  validate_data = function(_, msg, _, vctx)
    check.eq(vctx:get(MESS, "rcptto_localpart"), "c")
    vctx:set(MESS, "same", "dictionary")
    check.eq(msg:context_get(MESS, "same"), "dictionary")
    return core.VALIDATE_CONT
  end,
  validate_dealloc = check.report,
})
