error("annotations are for reading")

--- The accept construct: the connection as the MTA accepted it. It has no methods yet; scripts pass
--- it on.
---@class ac
local ac = {}

return ac
