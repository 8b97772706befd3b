-- SPDX-License-Identifier: MIT
-- Keeps in `self` what the session said and compares it with what every later callout is
-- told. Names: EHLO sN-cN.test, sender sN-cN-mN@, recipients sN-cN-mN-rN@; a session that
-- sees a name of another one fails loudly.
require("msys.core")

local CONN, MESS = msys.core.VCTX_CONN, msys.core.VCTX_MESS
local CONT, AGAIN = msys.core.VALIDATE_CONT, msys.core.VALIDATE_AGAIN
local mod = { shared = "of the module" }

local function same(what, got, expected)
	if got ~= expected then
		error("SESSION MIXED UP: " .. what .. " is '" .. tostring(got) .. "', not '"
			.. tostring(expected) .. "'", 2)
	end
end

local function starts(what, text, prefix)
	same(what, string.sub(text, 1, #prefix), prefix)
end

local function same_list(what, got, expected)
	same("length of " .. what, #got, #expected)
	for i = 1, #expected do
		same(what .. " " .. i, got[i], expected[i])
	end
end

function mod:validate_connect(_, vctx)
	same("client at connect", rawget(self, "client"), nil)
	self.n = 0
	self.phase = "connect"
	vctx:set(CONN, "phase", "connect")
	return CONT
end

function mod:validate_ehlo(str, _, vctx)
	same("phase", self.phase, "connect")
	same("phase of vctx", vctx:get(CONN, "phase"), "connect")
	self.phase = "ehlo"
	self.client = string.match(vctx:get(CONN, "ehlo_domain"), "^(s%d+%-c%d+)%.test$")
	same("str", tostring(str), "EHLO " .. self.client .. ".test\r\n")
	vctx:set(CONN, "client", self.client)
	return CONT
end

function mod:validate_mailfrom(str, _, vctx)
	same("client of vctx", vctx:get(CONN, "client"), self.client)
	same("left over sender", vctx:get(MESS, "sender"), "")
	self.n = self.n + 1
	self.rcpts = {}
	self.sender = vctx:get(MESS, "mailfrom_localpart")
	same("sender", self.sender, self.client .. "-m" .. self.n)
	starts("str", tostring(str), "MAIL FROM:<" .. self.sender .. "@")
	vctx:set(MESS, "sender", self.sender)
	return CONT
end

-- What every callout with a message has to find.
local function check(self, msg, vctx)
	same("client of vctx", vctx:get(CONN, "client"), self.client)
	same("sender of vctx", vctx:get(MESS, "sender"), self.sender)
	same("sender of msg", msg:mailfrom(), self.sender .. "@example.org")
	same("context of msg", msg:context_get(MESS, "sender"), self.sender)
	same("client of msg", msg:context_get(CONN, "client"), self.client)
	same("message count", vctx:get(CONN, "connection_message_count"), tostring(self.n))
	same("module", self.shared, "of the module")
	self.conn_id = self.conn_id or msg.conn_id
	same("conn_id", msg.conn_id, self.conn_id)
end

function mod:validate_rcptto(msg, str, _, vctx)
	check(self, msg, vctx)
	local rcpt = msg:rcptto()
	starts("recipient", rcpt, self.sender .. "-r")
	starts("str", tostring(str), "RCPT TO:<" .. rcpt .. ">")
	-- now and then, let others run in the middle of this one
	if self.n % 5 == 0 and self.again ~= rcpt then
		self.again = rcpt
		return AGAIN
	end
	if string.find(rcpt, "refused", 1, true) then
		vctx:set_code(550, "5.1.1 refused by " .. self.client)
	else
		table.insert(self.rcpts, rcpt)
	end
	return CONT
end

function mod:validate_rcptto_list(list, vctx)
	same("client of vctx", vctx:get(CONN, "client"), self.client)
	same_list("list", list, self.rcpts)
	return CONT
end

function mod:validate_rcptto_list_final(list, vctx)
	same("sender of vctx", vctx:get(MESS, "sender"), self.sender)
	same_list("final list", list, self.rcpts)
	return CONT
end

function mod:validate_data(msg, _, vctx)
	check(self, msg, vctx)
	same("subject", msg:header("Subject")[1], self.sender)
	self.phase = "data " .. self.n
	return CONT
end

function mod:validate_data_spool(msg, _, vctx)
	check(self, msg, vctx)
	same("phase", self.phase, "data " .. self.n)
	self.views = 0
	msg:header("X-Client", self.client)
	msg:context_set(MESS, "spooled", self.sender)
	return CONT
end

function mod:validate_data_spool_each_rcpt(msg, _, vctx)
	check(self, msg, vctx)
	self.views = self.views + 1
	same("recipient", msg:rcptto(), self.rcpts[self.views])
	same("spooled", msg:context_get(MESS, "spooled"), self.sender)
	same("header", msg:header("X-Client")[1], self.client)
	return CONT
end

function mod:core_final_validation(msg, _, vctx)
	check(self, msg, vctx)
	same("views", self.views, #self.rcpts)
end

function mod:validate_dealloc()
	if not string.find(self.client or "", "^s%d+%-c%d+$") then
		error("SESSION MIXED UP: dealloc with client " .. tostring(self.client))
	end
	same("messages", self.n > 0, true)
	print("over: " .. self.client .. " " .. self.n)
end

msys.registerModule("selves", mod)
