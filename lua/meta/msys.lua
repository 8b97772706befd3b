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

return msys
