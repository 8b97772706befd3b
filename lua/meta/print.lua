error("annotations are for reading")

-- luacheck: globals print

--- One entry of the log, at every log level: the arguments as tostring() shows them, divided by
--- tabs. Line breaks stay, other control characters become "?".
--- Phases: any
---@param ... any
function print(...) end
