error("annotations are for reading")

--- Constants of msys.core. The table is there without require; `require "msys.core"` returns it.
--- Present in every phase.
---@class msys.core
---@field VALIDATE_CONT 0 the next module decides
---@field VALIDATE_DONE 1 no further module of this phase is asked
---@field VALIDATE_AGAIN 2 call this function again, later
---@field EC_HOOK_CONT 0 as VALIDATE_CONT, for hooks
---@field EC_HOOK_DONE 1 as VALIDATE_DONE; of core_final_validation2: refuse the message
---@field EC_HOOK_RETRY 2 of core_final_validation2: defer the message
---@field VCTX_CONN 0 the context of the connection
---@field VCTX_MESS 1 the context of the message, emptied before each MAIL FROM
---@field ECMESS_CTX_CONN 0 the same as VCTX_CONN
---@field ECMESS_CTX_MESS 1 the same as VCTX_MESS
local core = {}

core.VALIDATE_CONT = 0
core.VALIDATE_DONE = 1
core.VALIDATE_AGAIN = 2
core.EC_HOOK_CONT = 0
core.EC_HOOK_DONE = 1
core.EC_HOOK_RETRY = 2
core.VCTX_CONN = 0
core.VCTX_MESS = 1
core.ECMESS_CTX_CONN = 0
core.ECMESS_CTX_MESS = 1

return core
