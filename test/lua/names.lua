-- checks: 20
local check = require "check"
local core = require "msys.core"

check.eq(core, msys.core)
check.eq(require "msys", msys)
check.eq(core.VALIDATE_CONT, 0)
check.eq(core.VALIDATE_DONE, 1)
check.eq(core.VALIDATE_AGAIN, 2)
check.eq(core.EC_HOOK_CONT, 0)
check.eq(core.EC_HOOK_DONE, 1)
check.eq(core.EC_HOOK_RETRY, 2)
check.eq(core.VCTX_CONN, 0)
check.eq(core.VCTX_MESS, 1)
check.eq(core.ECMESS_CTX_CONN, 0)
check.eq(core.ECMESS_CTX_MESS, 1)
check.eq(core.NO_SUCH, nil)
check.eq(require "msys.extended.message", msys.extended.message)
check.eq(require "msys.extended.vctx", msys.extended.vctx)
check.eq(require "msys.extended.ac", msys.extended.ac)
check.raises("module 'msys.nosuch' not found", require, "msys.nosuch")
check.eq(type(msys.extended.vctx.get), "function")
check.eq(type(msys.extended.message.header), "function")

msys.registerModule("names", {
  validate_ehlo = function(_, _, _, vctx)
    check.eq(vctx.get, msys.extended.vctx.get)
    return core.VALIDATE_CONT
  end,
  validate_dealloc = check.report,
})
