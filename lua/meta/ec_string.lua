error("annotations are for reading")

--- A string to be written into: command lines (`str`) and the buffers of hooks. Every method of Lua
--- strings works on it as well (`str:match(...)`), and so do #, .. and tostring(); it is no Lua
--- string, so functions of the string library and == need tostring(str).
---@class ec_string
---@operator len: integer
---@operator concat(string|ec_string): string
local ec_string = {}

--- Replaces the content. A buffer of a hook keeps what fits, the rest is cut off. An error for what
--- is no string.
--- Phases: any
---@param text string
function ec_string:set(text) end

--- Appends text, or its first `length` bytes; what a buffer of a hook cannot hold is cut off. An
--- error for what is no string, and for a length that is negative or beyond the text.
--- Phases: any
---@param text string
---@param length? integer
function ec_string:write(text, length) end

return ec_string
