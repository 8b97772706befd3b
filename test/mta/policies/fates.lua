-- SPDX-License-Identifier: MIT
-- The subject decides; every message must start with nothing left of the one before.
require("msys.core")

local CONN, MESS = msys.core.VCTX_CONN, msys.core.VCTX_MESS
local mod = {}

function mod:validate_connect()
	self.log = "connect"
	return msys.core.VALIDATE_CONT
end

function mod:validate_ehlo(_, _, vctx)
	self.ehlos = (self.ehlos or 0) + 1
	self.log = (self.log or "") .. " ehlo"
	print("ehlo " .. self.ehlos .. " tls=" .. vctx:get(CONN, "tls"))
	return msys.core.VALIDATE_CONT
end

function mod:validate_mailfrom(_, _, vctx)
	if vctx:get(MESS, "mark") ~= "" then
		error("left over from another message: " .. vctx:get(MESS, "mark"))
	end
	vctx:set(MESS, "mark", vctx:get(MESS, "mailfrom_localpart"))
	self.log = self.log .. " mail"
	return msys.core.VALIDATE_CONT
end

function mod:validate_rcptto(msg, _, _, vctx)
	self.log = self.log .. " rcpt"
	if msg:context_get(MESS, "rcptto_localpart") == "refuse" then
		vctx:set_code(550, "5.1.1 no such user")
	end
	return msys.core.VALIDATE_CONT
end

function mod:validate_data_spool(msg, _, vctx)
	local subject = msg:header("Subject")[1]
	self.log = self.log .. " " .. subject
	if subject == "reject" then
		vctx:set_code(550, "5.7.1 no")
	elseif subject == "defer" then
		vctx:set_code(451, "4.7.1 not now")
	else
		msg:header("X-Mark", msg:context_get(MESS, "mark"))
		msg:header("X-Numbers", vctx:get(CONN, "connection_message_count") .. " "
			.. vctx:get(CONN, "message_rcpt_count") .. " "
			.. vctx:get(CONN, "connection_rcpt_count"))
		for _, name in ipairs { "tls", "tls_cipher", "tls_cipher_usebits", "auth_user",
			"auth_status", "can_relay", "zone", "ehlo_domain" } do
			msg:header("X-Var-" .. name, name .. "=" .. vctx:get(CONN, name))
		end
	end
	return msys.core.VALIDATE_CONT
end

function mod:validate_dealloc()
	print("over: " .. self.log)
end

msys.registerModule("fates", mod)
