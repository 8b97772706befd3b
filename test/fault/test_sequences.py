#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whatever a client says, in whatever order: no state of one message is seen by another."""

import asyncio
import os
import random
import struct

import load
from client import ACTIONS, STEPS, Lost, Milter, frame, strings
from load import Load, begun, daemon, innocent, workers
from harness import case, run
from harness.tap import diagnose

SEQUENCES = int(os.environ.get("FAULT_SEQUENCES", "1000"))
SEED = int(os.environ.get("FAULT_SEED", "0")) or random.randrange(1, 1 << 32)

# Every message has a tag, in its sender, recipients, subject and body; the policy compares.
POLICY = """
require("msys.core")
local CONN, MESS = msys.core.VCTX_CONN, msys.core.VCTX_MESS
local CONT = msys.core.VALIDATE_CONT
local mod = {}

local function same(what, got, expected)
	if got ~= expected then
		error("MIXED UP: " .. what .. " is '" .. tostring(got) .. "', not '"
			.. tostring(expected) .. "'", 2)
	end
end

local function tag(text)
	return string.match(text, "^(t%d+%-%d+)")
end

function mod:validate_mailfrom(_, _, vctx)
	same("context of MAIL", vctx:get(MESS, "tag"), "")
	same("recipients", vctx:get(MESS, "rcptto_localpart"), "")
	self.tag = tag(vctx:get(MESS, "mailfrom_localpart"))
	self.rcpts = {}
	self.spooled = nil
	vctx:set(MESS, "tag", self.tag)
	self.client = self.client or string.match(self.tag, "^t%d+")
	same("client", string.match(self.tag, "^t%d+"), self.client)
	return CONT
end

-- False for a message without MAIL, which a client in a wrong order may get through.
local function check(self, msg, vctx)
	if vctx:get(MESS, "tag") == "" then
		same("sender without MAIL", msg:mailfrom(), "")
		return false
	end
	same("context", vctx:get(MESS, "tag"), self.tag)
	same("context of msg", msg:context_get(MESS, "tag"), self.tag)
	same("sender", tag(msg:mailfrom()), self.tag)
	return true
end

function mod:validate_rcptto(msg, _, _, vctx)
	if not check(self, msg, vctx) then
		return CONT
	end
	same("recipient", tag(msg:rcptto()), self.tag)
	if string.find(msg:rcptto(), "-no@", 1, true) then
		vctx:set_code(550, "5.1.1 no")
	else
		table.insert(self.rcpts, msg:rcptto())
	end
	return CONT
end

function mod:validate_rcptto_list_final(list, vctx)
	if vctx:get(MESS, "tag") == "" then
		return CONT
	end
	same("recipients", #list, #self.rcpts)
	for i = 1, #list do
		same("recipient", list[i], self.rcpts[i])
	end
	return CONT
end

function mod:validate_data_spool(msg, _, vctx)
	if not check(self, msg, vctx) then
		return CONT
	end
	same("spooled", self.spooled, nil)
	self.spooled = true
	for _, subject in ipairs(msg:header("Subject")) do
		same("subject", subject, self.tag)
	end
	same("field of another", #msg:header("X-Tag"), 0)
	msg:header("X-Tag", self.tag)
	msg:context_set(MESS, "spooled", self.tag)
	return CONT
end

function mod:validate_data_spool_each_rcpt(msg, _, vctx)
	if not check(self, msg, vctx) then
		return CONT
	end
	same("spooled", msg:context_get(MESS, "spooled"), self.tag)
	same("recipient", tag(msg:rcptto()), self.tag)
	return CONT
end

msys.registerModule("mixed", mod)
"""


class Walk:
    """A random session. What needs an order keeps it, or now and then does not."""

    def __init__(self, random_, number):
        self.random = random_
        self.client = f"t{number}"
        self.messages = 0
        self.trail = []

    def tag(self):
        return f"{self.client}-{self.messages}"

    async def say(self, milter, what, reply):
        self.trail.append(what)
        reply = await reply
        # answers of libmilter to wrong orders are its own
        if reply is not None and reply.kind == "text" and reply.text.startswith("451"):
            raise AssertionError(f"{self.trail}: {reply}")
        return reply

    async def message(self, milter):
        """A transaction, that may end anywhere."""
        choice = self.random.random
        self.messages += 1
        tag = self.tag()
        await self.say(milter, "mail", milter.mail(f"{tag}@example.org"))
        rcpts = self.random.randrange(4)
        for number in range(rcpts):
            kind = "no" if choice() < 0.3 else "ok"
            await self.say(milter, "rcpt", milter.rcpt(f"{tag}-{number}-{kind}@example.com"))
            if choice() < 0.05:
                return await self.say(milter, "abort", milter.abort())
        # without a recipient there is no DATA
        if not rcpts or choice() < 0.2:
            return await self.say(milter, "abort", milter.abort())
        if choice() < 0.05:
            return None     # a second MAIL without the end of the first
        await self.say(milter, "data", milter.data())
        for _ in range(self.random.randrange(3)):
            await self.say(milter, "header", milter.header("Subject", tag))
        if choice() < 0.1:
            return await self.say(milter, "abort", milter.abort())
        await self.say(milter, "eoh", milter.eoh())
        for _ in range(self.random.randrange(3)):
            await self.say(milter, "body", milter.body(tag.encode() * 100))
        if choice() < 0.1:
            return await self.say(milter, "abort", milter.abort())
        return await self.say(milter, "eom", milter.eom())

    async def wrong(self, milter):
        """Commands out of order: libmilter may end the session for it."""
        tag = self.tag()
        for _ in range(self.random.randrange(1, 4)):
            command, data = self.random.choice([
                (b"R", strings(f"<{tag}-9-ok@example.com>")), (b"T", b""), (b"N", b""),
                (b"B", b"body of nobody"), (b"L", strings("Subject", " nobody's")),
                (b"H", strings("again.test")), (b"U", strings("NOOP")), (b"A", b"")])
            self.trail.append(f"wrong {command}")
            await milter.put(frame(command, data))
        if self.random.random() < 0.5:
            await asyncio.sleep(0)
            raise Lost("enough")

    async def run(self, address):
        """Until the end, whichever it is."""
        milter = await Milter.open(address)
        milter.timeout = 20
        try:
            if self.random.random() < 0.95:
                await self.say(milter, "connect", milter.hello())
            if self.random.random() < 0.95:
                await self.say(milter, "helo", milter.helo("x.test"))
            for _ in range(self.random.randrange(5)):
                await self.message(milter)
                if self.random.random() < 0.05:
                    return "dropped"
                if self.random.random() < 0.03:
                    await self.wrong(milter)
                    return "wrong"
            await milter.quit()
            return "done"
        except Lost:
            if any("wrong" in word for word in self.trail):
                return "wrong"
            raise AssertionError(f"connection lost: {self.trail}") from None
        finally:
            milter.drop()


@case(f"{SEQUENCES} random sequences of commands, FAULT_SEED={SEED}", timeout=120)
def _():
    async def main(server):
        random_ = random.Random(SEED)
        ends = {"done": 0, "dropped": 0, "wrong": 0}
        before = workers(server)
        # what a session does depends on its own seed only
        seeds = [random_.randrange(1 << 32) for _ in range(SEQUENCES)]
        queue = list(enumerate(seeds))

        async def worker():
            while queue:
                number, seed = queue.pop()
                ends[await Walk(random.Random(seed), number).run(server.address)] += 1

        await asyncio.gather(*(worker() for _ in range(20)))
        diagnose(f"FAULT_SEED={SEED}: {ends}")
        log = server.log()
        wrong = [line for line in log.splitlines() if "MIXED" in line or " error: " in line]
        assert not wrong, "\n".join(wrong[:10])
        assert workers(server) == before, "a worker died"
        await asyncio.sleep(0.3)
        status, text = await load.scriptlet(server, "stats")
        assert status == 0 and ", open 0;" in text, text

    with begun(daemon({"mixed": POLICY}, workers=2)) as server:
        asyncio.run(main(server))


def packets():
    """Malformed ones, each with whether the negotiation goes before it."""
    long = struct.pack("!I", 0x7FFFFFFF)
    return {
        "nothing at all": (False, b""), "half a length": (False, b"\0\0"),
        "a length and no more": (False, struct.pack("!I", 13)),
        "length zero": (False, struct.pack("!I", 0)),
        "length zero, later": (True, struct.pack("!I", 0)),
        "a huge length": (False, long + b"O"), "a huge length, later": (True, long + b"C"),
        "the largest length": (True, b"\xff\xff\xff\xffM"),
        "one more than is allowed": (True, struct.pack("!I", 1024 * 1024 + 2) + b"B" + b"x" * 9000),
        "a short negotiation": (False, frame(b"O", b"\0\0\0\6")),
        "an empty negotiation": (False, frame(b"O")),
        "version 0": (False, frame(b"O", struct.pack("!III", 0, ACTIONS, STEPS))),
        "version 255": (False, frame(b"O", struct.pack("!III", 255, ACTIONS, STEPS))),
        "two negotiations": (True, frame(b"O", struct.pack("!III", 6, ACTIONS, STEPS))),
        "an unknown command": (True, frame(b"?", b"what")),
        "an unknown command first": (False, frame(b"?", b"what")),
        "command NUL": (True, frame(b"\0")), "HTTP": (False, b"GET / HTTP/1.1\r\n\r\n"),
        "SMTP": (False, b"EHLO client.test\r\nMAIL FROM:<a@example.org>\r\n"),
        "connect without data": (True, frame(b"C")),
        "connect without an end": (True, frame(b"C", b"client.test")),
        "connect without an address": (True, frame(b"C", b"client.test\0" + b"4")),
        "connect with half a port": (True, frame(b"C", b"client.test\0" + b"4\0")),
        "connect with rubbish": (True, frame(b"C", b"client.test\0" + b"4\0\x19not an address\0")),
        "an unknown family": (True, frame(b"C", b"client.test\0" + b"Z\0\x191.2.3.4\0")),
        "HELO without data": (True, frame(b"H")), "HELO without NUL": (True, frame(b"H", b"a" * 99)),
        "HELO of NULs": (True, frame(b"H", b"\0" * 99)),
        "MAIL without data": (True, frame(b"M")), "MAIL without NUL": (True, frame(b"M", b"<a@b>")),
        "MAIL of NULs": (True, frame(b"M", b"\0" * 5000)),
        "MAIL, empty": (True, frame(b"M", b"\0")),
        "MAIL, long": (True, frame(b"M", b"<" + b"a" * 60000 + b"@example.org>\0")),
        "RCPT without data": (True, frame(b"M", strings("<t0-0@b>")) + frame(b"R")),
        "RCPT, long": (True, frame(b"M", strings("<t0-0@b>"))
                       + frame(b"R", b"<t0-0" + b"a" * 60000 + b">\0")),
        "a field without a value": (True, frame(b"M", strings("<t0-0@b>")) + frame(b"T")
                                    + frame(b"L", b"Subject\0") + frame(b"E")),
        "a field without NUL": (True, frame(b"M", strings("<t0-0@b>")) + frame(b"T")
                                + frame(b"L", b"Subject") + frame(b"E")),
        "a field without data": (True, frame(b"M", strings("<t0-0@b>")) + frame(b"L") + frame(b"E")),
        "macros without data": (True, frame(b"D") + frame(b"H", b"x\0")),
        "macros of no command": (True, frame(b"D", b"?i\0x\0") + frame(b"M", b"<t0-0@b>\0")),
        "the end of no message": (True, frame(b"E")),
        "an end with more body": (True, frame(b"M", strings("<t0-0@b>")) + frame(b"E", b"body")),
        "an abort with data": (True, frame(b"A", b"\0\0data")),
        "quit with data": (True, frame(b"Q", b"\0\0data")),
        "quit, then more": (True, frame(b"Q") + frame(b"M", b"<t0-0@b>\0")),
        "a packet cut short": (True, frame(b"M", b"<t0-0@example.org>\0")[:12]),
    }


async def offer(server, name, negotiated, data):
    """Say it and close our end: the daemon has to close the other."""
    milter = await (Milter.open if negotiated else Milter.connect)(server.address)
    try:
        await milter.put(data)
        milter.writer.write_eof()
        async with asyncio.timeout(8):
            while await milter.reader.read(4096):
                pass
    except (Lost, OSError):
        pass
    except TimeoutError:
        raise AssertionError(f"{name}: the connection stays open") from None
    finally:
        milter.drop()


@case("malformed packets: the connection ends or goes on, the daemon is unharmed", timeout=90)
def _():
    async def main(server):
        before = workers(server)
        rng = random.Random(SEED)
        async with Load(server, sessions=4).running():
            for name, (negotiated, data) in packets().items():
                await offer(server, name, negotiated, data)
                assert workers(server) == before, f"{name}: a worker died"
            for number in range(300):
                data = bytes(rng.choices(range(256), k=rng.randrange(1, 200)))
                if number % 2:
                    data = frame(data[:1].replace(b"D", b"?"), data[1:]) + frame(rng.choice(
                        [b"M", b"R", b"L", b"B", b"E", b"C", b"H"]), data)
                await offer(server, f"random {number} of {SEED}", number % 3 > 0, data)
        assert workers(server) == before, "a worker died"

    with begun(daemon({"innocent": innocent()}, workers=2)) as server:
        asyncio.run(main(server))


# libmilter looks for macros beyond the end of a list with a name and no value.
@case("macros without a value: libmilter itself crashes, the worker is replaced", timeout=60)
def _():
    async def main(server):
        for words in (b"Mi\0", b"Mi"):
            await offer(server, "macros", True, frame(b"D", words) + frame(b"M", b"<t0-0@b>\0"))
            async with Load(server, forgiving=True).running():
                pass

    with begun(daemon({"innocent": innocent()}, workers=2)) as server:
        asyncio.run(main(server))


run(timeout=300)
