-- SPDX-License-Identifier: MIT
-- Answers as the client asks for: "PHASE-KIND" as the EHLO name's first label, or as the
-- local part of the sender or of a recipient.
require("msys.core")

local kinds = {
	hard = { 550, "5.7.1 not from you" },
	soft = { 451, "4.7.1 come back later" },
	bare = { 554, "no enhanced code here" },
	multi = { 550, "5.7.1 first line\r\n5.7.1 second line\nthird line" },
	percent = { 550, "5.7.1 100% refused: %d %s %n %% 50%" },
	softmulti = { 450, "4.2.1 one\ntwo" },
}

local function decide(vctx, phase, text)
	local kind = string.match(tostring(text), "^<?" .. phase .. "%-(%a+)")
	if kind == "close" then
		vctx:disconnect(421, "4.3.2 closing at " .. phase)
	elseif kind == "twohundred" then
		vctx:set_code(250, "2.0.0 fine with me")
	elseif kind == "crash" then
		error("asked to fail")
	elseif kind then
		vctx:set_code(kinds[kind][1], kinds[kind][2])
	end
	return msys.core.VALIDATE_CONT
end

local mod = {}

function mod:validate_ehlo(_, _, vctx)
	return decide(vctx, "ehlo", vctx:get(msys.core.VCTX_CONN, "ehlo_domain"))
end

function mod:validate_mailfrom(_, _, vctx)
	return decide(vctx, "mailfrom", vctx:get(msys.core.VCTX_MESS, "mailfrom_localpart"))
end

function mod:validate_rcptto(msg, _, _, vctx)
	return decide(vctx, "rcptto", msg:rcptto())
end

function mod:validate_rcptto_list(list, vctx)
	return decide(vctx, "list", list[#list])
end

function mod:validate_rcptto_list_final(list, vctx)
	return decide(vctx, "final", list[1])
end

function mod:validate_data(msg, _, vctx)
	return decide(vctx, "data", msg:mailfrom())
end

function mod:validate_data_spool(msg, _, vctx)
	return decide(vctx, "spool", msg:mailfrom())
end

function mod:validate_data_spool_each_rcpt(msg, _, vctx)
	return decide(vctx, "each", msg:rcptto())
end

msys.registerModule("replies", mod)
