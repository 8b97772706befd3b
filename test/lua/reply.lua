-- simulate: --rcpt one@x --rcpt two@x --rcpt three@x
-- checks: 17
-- result: reject 550 5.7.1 the last word
-- log: validate_ehlo: 999 is not an SMTP reply code, using 550
-- log: validate_ehlo: the enhanced code 4.7.1 contradicts the reply code 550, using 5.7.1
local check = require "check"
local core = msys.core

msys.registerModule("reply", {
  validate_ehlo = function(_, _, _, vctx)
    check.eq(select("#", vctx:set_code(550, "no")), 0)
    vctx:set_code("451", "a numeric string")
    vctx:set_code(999, "impossible")
    vctx:set_code(550, "4.7.1 contradiction")
    vctx:set_code(550)
    vctx:set_code(550, nil)
    vctx:set_code(550, "100%s %n\r\nsecond line")
    vctx:set_code(250, "2.0.0 the last call decides")
    check.raises("number expected", function() vctx:set_code() end)
    check.raises("number expected", function() vctx:set_code(nil, "x") end)
    check.raises("number expected", function() vctx:set_code("no", "x") end)
    check.raises("string expected", function() vctx:set_code(550, {}) end)
    check.raises("not an SMTP reply code", function() vctx:set_code(-1, "x") end)
    check.raises("not an SMTP reply code", function() vctx:set_code(1e6, "x") end)
    check.raises("not an SMTP reply code", function() vctx:set_code(0 / 0, "x") end)
    check.raises("vctx expected", vctx.set_code, {}, 550, "x")
    check.raises("number expected", function() vctx:disconnect({}) end)
    check.raises("string expected", function() vctx:disconnect(421, {}) end)
    check.raises("not an SMTP reply code", function() vctx:disconnect(-1) end)
    return core.VALIDATE_CONT
  end,
  validate_rcptto = function(_, msg, _, _, vctx)
    if msg:rcptto() == "two@x" then
      vctx:set_code(550, "5.1.1 unknown")
    end
    return core.VALIDATE_CONT
  end,
  validate_rcptto_list_final = function(_, list)
    check.list(list, { "one@x", "three@x" })
    check.eq(#list, 2)
    return core.VALIDATE_CONT
  end,
  validate_data_spool = function(_, _, _, vctx)
    vctx:set_code(550, "5.7.1 the last word")
    return core.VALIDATE_DONE
  end,
  validate_data_spool_each_rcpt = function()
    error("runs after a refusal")
  end,
  validate_dealloc = function(self)
    check.eq(self.x, nil)
    check.ok(self)
    check.report()
  end,
})
