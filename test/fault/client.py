# SPDX-License-Identifier: MIT
"""The MTA's side of the milter protocol, version 6, for asyncio.

A client sends what the negotiation left over and waits only where an answer was
promised, as Postfix does. What it does not do is protect the milter from wrong
orders of commands: that is a matter of the tests.
"""

import asyncio
import struct
from dataclasses import dataclass, field

ACTIONS, STEPS = 0x1FF, 0x1FFFFF
SKIP = 0x400
# command -> the step bits that leave it out, and that leave its answer out
NO = {b"C": 0x1, b"H": 0x2, b"M": 0x4, b"R": 0x8, b"B": 0x10, b"L": 0x20, b"N": 0x40,
      b"U": 0x100, b"T": 0x200}
NO_REPLY = {b"L": 0x80, b"C": 0x1000, b"H": 0x2000, b"M": 0x4000, b"R": 0x8000,
            b"T": 0x10000, b"U": 0x20000, b"N": 0x40000, b"B": 0x80000}
KINDS = {b"c": "continue", b"a": "accept", b"r": "reject", b"t": "tempfail",
         b"d": "discard", b"y": "text", b"s": "skip", b"f": "fail", b"4": "shutdown"}
CHANGES = b"+-2hime" + b"bq"


class Lost(Exception):
    """The milter closed the connection."""


def frame(command, data=b""):
    """A packet."""
    return struct.pack("!I", len(data) + 1) + command + data


def strings(*words):
    """Words, each ended by a NUL."""
    return b"".join((word if isinstance(word, bytes) else word.encode()) + b"\0"
                    for word in words)


@dataclass
class Reply:
    """What the milter said: text is that of an SMTP reply, with its code."""

    kind: str
    text: str = ""
    changes: list = field(default_factory=list)

    @property
    def ok(self):
        """Whether the MTA goes on."""
        return self.kind in ("continue", "accept", "skip")

    @property
    def code(self):
        """The SMTP code that the MTA would answer."""
        if self.kind == "text":
            return int(self.text[:3])
        return {"reject": 550, "tempfail": 451}.get(self.kind, 250)


CONTINUE = Reply("continue")


class Milter:
    """One milter connection."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.steps = 0
        self.keepalives = 0
        self.timeout = 60

    @classmethod
    async def open(cls, address, steps=STEPS, actions=ACTIONS):
        """Connect and negotiate."""
        self = await cls.connect(address)
        try:
            await self.negotiate(steps, actions)
        except BaseException:
            self.drop()
            raise
        return self

    @classmethod
    async def connect(cls, address):
        """Connect, and say nothing yet."""
        path = address.removeprefix("unix:")
        for _ in range(100):
            try:
                return cls(*await asyncio.open_unix_connection(path))
            except BlockingIOError:  # the backlog is full
                await asyncio.sleep(0.02)
        raise Lost("cannot connect")

    async def negotiate(self, steps, actions):
        """Agree on the steps that are left out."""
        await self.put(frame(b"O", struct.pack("!III", 6, actions, steps)))
        command, data = await self.read()
        if command != b"O":
            raise Lost(f"negotiation answered with {command}")
        _, _, self.steps = struct.unpack("!III", data[:12])

    async def put(self, data):
        """Send bytes as they are."""
        try:
            self.writer.write(data)
            await self.writer.drain()
        except OSError as problem:
            raise Lost(str(problem)) from problem

    async def read(self):
        """A packet of the milter."""
        try:
            async with asyncio.timeout(self.timeout):
                head = await self.reader.readexactly(5)
                size, command = struct.unpack("!Ic", head)
                return command, await self.reader.readexactly(size - 1)
        except TimeoutError:    # an OSError, too
            raise
        except (OSError, asyncio.IncompleteReadError) as problem:
            raise Lost(str(problem)) from problem

    async def answer(self):
        """What the milter decides, keep-alives left out and changes collected."""
        changes = []
        while True:
            command, data = await self.read()
            if command == b"p":
                self.keepalives += 1
            elif command in KINDS:
                return Reply(KINDS[command], data.rstrip(b"\0").decode(errors="replace"), changes)
            elif command in CHANGES:
                changes.append((command.decode(), data))
            else:
                raise Lost(f"unknown packet {command}")

    async def say(self, command, data=b""):
        """Send a command, if it is wanted; the answer, if one was promised."""
        if self.steps & NO.get(command, 0):
            return CONTINUE
        await self.put(frame(command, data))
        if self.steps & NO_REPLY.get(command, 0):
            return CONTINUE
        return await self.answer()

    async def macros(self, command, **values):
        """Macros for the next command."""
        pairs = [word for pair in values.items() for word in pair]
        await self.put(frame(b"D", command + strings(*pairs)))

    async def hello(self, name="client.test", addr="198.51.100.7", port=25025):
        """The connection, as it was announced to the MTA."""
        return await self.say(b"C", strings(name) + b"4" + struct.pack("!H", port) + strings(addr))

    async def helo(self, name):
        """HELO or EHLO."""
        return await self.say(b"H", strings(name))

    async def mail(self, sender, *args):
        """MAIL FROM."""
        await self.macros(b"M", i=f"Q{id(self):X}")
        return await self.say(b"M", strings(f"<{sender}>", *args))

    async def rcpt(self, recipient, *args):
        """RCPT TO."""
        return await self.say(b"R", strings(f"<{recipient}>", *args))

    async def data(self):
        """DATA."""
        return await self.say(b"T")

    async def header(self, name, value):
        """A header field."""
        return await self.say(b"L", strings(name, " " + value))

    async def eoh(self):
        """The end of the header."""
        return await self.say(b"N")

    async def body(self, chunk):
        """A part of the body."""
        return await self.say(b"B", chunk)

    async def eom(self):
        """The end of the message: the verdict, and the changes before it."""
        return await self.say(b"E")

    async def content(self, fields, body=b"body\r\n"):
        """A whole message after DATA: header, body, end."""
        for name, value in fields:
            await self.header(name, value)
        await self.eoh()
        await self.body(body)
        return await self.eom()

    async def abort(self):
        """RSET: no answer."""
        await self.put(frame(b"A"))

    async def quit(self):
        """A clean end."""
        try:
            await self.put(frame(b"Q"))
        finally:
            self.drop()

    def drop(self):
        """The connection is lost."""
        self.writer.transport.abort()


def added(reply, name):
    """Values of the header fields of that name that a reply adds."""
    values = []
    for kind, data in reply.changes:
        if kind in "hi":
            words = (data[4:] if kind == "i" else data).split(b"\0")
            if words[0].decode() == name:
                values.append(words[1].decode().strip())
    return values
