error("annotations are for reading")

--- The message. In validate_data_spool_each_rcpt and later it is the view of one recipient, with
--- header, sender and message context of its own. An error when it is used after its message ended,
--- or for another connection.
---@class msg
---@field id string id of the message, of each recipient's view another one
---@field batch_id string id of the SMTP transaction
---@field conn_id string id of the connection
local msg = {}

--- The sender, bare, "" for the null sender; with an argument, changes it first. An error for what
--- is no address (too long, control characters, blanks or brackets outside quotes), when the MTA did
--- not grant the change, and from validate_set_binding on, where the sender is settled.
--- Phases: rcptto, data, data_spool, each_rcpt, set_binding, final, routing
---@param address? string
---@return string
function msg:mailfrom(address) end

--- The recipient, bare: the one of this view; before there are views the one being decided, or the
--- first. With an argument, changes it first, which only validate_data_spool_each_rcpt may. Errors
--- as for mailfrom, and for an empty address.
--- Phases: rcptto, data, data_spool, each_rcpt, set_binding, final, routing
---@param address? string
---@return string
function msg:rcptto(address) end

--- The values of a header field, decoded to UTF-8 and unfolded, in the order of the message; an
--- empty table when there is none. With a value, sets it: "replace" (the default) takes the place of
--- all fields of that name, "append" adds at the end, "prepend" at the top; a table gives several
--- fields, "" deletes all. Line breaks become folds. An error for what is no header name, for a
--- header that gets too big, when the MTA did not grant the change, and for changes in
--- validate_set_binding and the routing hook.
--- Phases: data, data_spool, each_rcpt, set_binding, final, routing
---@param name string
---@param value? string|string[]
---@param mode? "replace"|"append"|"prepend"
---@return string[]|true
function msg:header(name, value, mode) end

--- A context variable, "" when absent. An error for a type that is none and for a nil key.
--- Phases: rcptto, data, data_spool, each_rcpt, set_binding, final, routing
---@param type integer msys.core.ECMESS_CTX_CONN or ECMESS_CTX_MESS
---@param key string
---@return string
function msg:context_get(type, key) end

--- Sets a context variable; 0 for a nil key or value. An error for a value that is no string,
--- number or boolean or has a NUL inside, and when the context passes its limit.
--- Phases: rcptto, data, data_spool, each_rcpt, set_binding, final, routing
---@param type integer msys.core.ECMESS_CTX_CONN or ECMESS_CTX_MESS
---@param key string?
---@param value string|number|boolean|nil
---@return 0|1
function msg:context_set(type, key, value) end

--- Whether a context variable is there.
--- Phases: rcptto, data, data_spool, each_rcpt, set_binding, final, routing
---@param type integer msys.core.ECMESS_CTX_CONN or ECMESS_CTX_MESS
---@param key string
---@return 0|1
function msg:context_exists(type, key) end

--- Both at once: 1 and the value, or 0 and nil.
--- Phases: rcptto, data, data_spool, each_rcpt, set_binding, final, routing
---@param type integer msys.core.ECMESS_CTX_CONN or ECMESS_CTX_MESS
---@param key string
---@return 0|1
---@return string?
function msg:context_exists_and_get(type, key) end

--- Deletes a context variable; 0 when it was absent.
--- Phases: rcptto, data, data_spool, each_rcpt, set_binding, final, routing
---@param type integer msys.core.ECMESS_CTX_CONN or ECMESS_CTX_MESS
---@param key string
---@return 0|1
function msg:context_delete(type, key) end

return msg
