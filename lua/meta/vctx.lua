error("annotations are for reading")

--- The validation context: the connection, and the reply of the running phase. An error when it is
--- used after its connection ended, or for another connection.
---@class vctx
local vctx = {}

--- A context variable, "" when absent. An error for a type that is none and for a nil key.
--- Phases: connect, ehlo, mailfrom, rcptto, rcptto_list, rcptto_list_final, data, data_spool,
--- each_rcpt, set_binding, final, routing, dealloc
---@param type integer msys.core.VCTX_CONN or VCTX_MESS
---@param key string
---@return string
function vctx:get(type, key) end

--- Sets a context variable. A nil key or value is logged and ignored. An error for a value that is
--- no string, number or boolean or has a NUL inside, and when the context passes its limit.
--- Phases: connect, ehlo, mailfrom, rcptto, rcptto_list, rcptto_list_final, data, data_spool,
--- each_rcpt, set_binding, final, routing, dealloc
---@param type integer msys.core.VCTX_CONN or VCTX_MESS
---@param key string?
---@param value string|number|boolean|nil
function vctx:set(type, key, value) end

--- Sets the reply of this phase, which the last call decides: 4xx defers, 5xx refuses. An enhanced
--- code may lead the text; line breaks divide a reply into lines. A code that SMTP does not have,
--- or an enhanced code that contradicts it, is corrected and logged; an error for what is no number
--- from 0 to 999999.
--- Phases: connect, ehlo, mailfrom, rcptto, rcptto_list, rcptto_list_final, data, data_spool,
--- each_rcpt, final
---@param code integer|string
---@param text? string
function vctx:set_code(code, text) end

--- Sets the reply of this phase and closes the connection after it. An MTA closes after a 421: other
--- codes become that, which is logged.
--- Phases: connect, ehlo, mailfrom, rcptto, rcptto_list, rcptto_list_final, data, data_spool,
--- each_rcpt, final
---@param code? integer|string 421 when left out
---@param text? string
function vctx:disconnect(code, text) end

--- Holds the reply of this command for that long; the script goes on. Several calls add up, and
--- nothing is held beyond what the milter command may take.
--- Phases: connect, ehlo, mailfrom, rcptto, rcptto_list, rcptto_list_final, data, data_spool,
--- each_rcpt, final
---@param seconds number from 0 to 86400, fractions count
function vctx:tarpit(seconds) end

return vctx
