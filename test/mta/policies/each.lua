-- SPDX-License-Identifier: MIT
-- The local part of a recipient says what becomes of its copy.
require("msys.core")

local mod = {}

function mod:validate_connect()
	print("scan: connect")
	return msys.core.VALIDATE_CONT
end

function mod:validate_data_spool(msg)
	print("scan: spool")
	msg:header("X-Scanned", "yes", "append")
	return msys.core.VALIDATE_CONT
end

function mod:validate_data_spool_each_rcpt(msg, _, vctx)
	local what = string.match(msg:rcptto(), "^(%a+)")
	print("scan: each " .. msg:rcptto())
	if what == "refuse" then
		vctx:set_code(550, "5.7.1 not for\nyou")
	elseif what == "defer" then
		vctx:set_code(451, "4.7.1 not yet")
	elseif what == "red" or what == "blue" then
		msg:header("X-Colour", what)
		msg:header("Subject", what .. " " .. msg:header("Subject")[1])
	elseif what == "other" then
		msg:rcptto("instead@example.com")
	end
	return msys.core.VALIDATE_CONT
end

msys.registerModule("each", mod)
