error("annotations are for reading")

--- The global table msys. It is there without require; `require "msys"` returns it.
---@class msys
---@field core msys.core
---@field extended table<string, table> message, vctx, ac: the methods of these classes
msys = {}

--- Registers a module: a table of functions, which are looked up by the names of the callouts and
--- hooks when loading is over. Possible while scripts are loaded only: later it is an error, as is
--- a name that is taken.
--- Phases: any
---@param name string name of the module, the one of its script stanza
---@param module table the functions
function msys.registerModule(name, module) end

--- Replaces every %{namespace:key} by its value. Namespaces are vctx_conn and vctx_mess; an unknown
--- one, a key that is absent and everything outside callouts give nothing. Text without a closing
--- brace stays as it is. An error for an argument that is no string.
--- Phases: any
---@param text string
---@return string
function msys.expandMacro(text) end

--- Waits. In a callout only this connection waits, others go on; where that cannot be (see asyncOk)
--- the Lua state is held. Longer than the milter command has left (see deadline) is an error of the
--- callout.
--- Phases: any
---@param seconds number from 0 to 86400, fractions count
function msys.sleep(seconds) end

--- Whether waiting here holds up nobody else: false in init, in coroutines of the script's own and
--- inside functions that Lua calls from C, such as the order function of table.sort.
--- Phases: any
---@return boolean
function msys.asyncOk() end

--- How long this milter command may still take, by callout_timeout or eom_timeout.
--- Phases: any
---@return number? seconds nil where there is no limit
function msys.deadline() end

return msys
