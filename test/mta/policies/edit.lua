-- SPDX-License-Identifier: MIT
-- Every way to change a header.
require("msys.core")

local mod = {}

function mod:validate_data(msg)
	msg:header("X-Early", "set by validate_data")
	msg:header("X-Twice", "set first")
	return msys.core.VALIDATE_CONT
end

function mod:validate_data_spool(msg)
	msg:header("X-New", "100% new")
	msg:header("X-Several", { "one", "two", "three" })
	msg:header("Subject", "replaced " .. msg:header("Subject")[1])
	msg:header("X-Many", "only one")
	msg:header("X-Remove", "")
	msg:header("X-Absent", "")
	msg:header("X-Kept", "added", "append")
	msg:header("X-Top", { "first", "second" }, "prepend")
	msg:header("X-Kept-Top", "above", "prepend")
	msg:header("X-Twice", "set " .. #msg:header("X-Twice") .. " again")
	msg:header("X-Umlaut", "Gr\195\188\195\159e")
	return msys.core.VALIDATE_CONT
end

msys.registerModule("edit", mod)
