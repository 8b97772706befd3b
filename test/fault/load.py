# SPDX-License-Identifier: MIT
"""Innocent sessions that keep a daemon busy, and know what it has to answer.

Each session connects, sends a few messages to recipients that are accepted and
refused, quits and begins again, until it is told to stop. Whatever is not as the
policy (policies/innocent.lua) says is written down, with all details.
"""

import asyncio
import os
import re
import sys
from contextlib import asynccontextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "mta"))

from client import Lost, Milter, added  # noqa: E402
from harness import Scriptletd, wait_until  # noqa: E402,F401

SCRIPTLET = os.environ.get("SCRIPTLET", "build/src/scriptlet")
SANITIZED = "asan" in Path(os.environ.get("SCRIPTLETD_BUILD", "")).name
SORRY = "451 4.3.0 temporary issue, please retry your message later"
GIVEN_UP = r"the Lua state of this connection was given up"
# Every name has a network of its own, for what is to happen at connect.
NAMES = ["while", "count", "tables", "strings", "tailcalls", "pcalls", "nested", "pattern", "rep",
         "recursion", "coroutine", "inside", "result", "hoard", "error", "crash", "exit", "asleep", "stuck"]


def innocent(version="V1", sleep=0.1):
    """The policy of the innocent."""
    text = (HERE / "policies" / "innocent.lua").read_text(encoding="utf-8")
    return text.replace("@VERSION@", version).replace("@SLEEP@", str(sleep))


def faults():
    """All faults, for a policy to choose from."""
    return (HERE / "policies" / "faults.lua").read_text(encoding="utf-8")


def faulty():
    """The policy that does what it is told."""
    return faults() + (HERE / "policies" / "faulty.lua").read_text(encoding="utf-8")


def address_of(name):
    """The client address at which a fault happens at connect."""
    return f"192.0.2.{NAMES.index(name) + 1}"


def daemon(scripts, scriptlet=None, **settings):
    """A daemon with tight limits, ready to be started."""
    peers = tuple({"network": [address_of(name)], "context": {"fault": name}} for name in NAMES)
    options = settings.pop("options", {})
    limits = {"time_limit": 300, "memory_limit": 64, **(scriptlet or {})}
    server = Scriptletd(scripts, {"peer": peers, "drain_timeout": 20, "scriptlet": limits,
                                  "log": {"to": "stderr", "level": "info"}, **settings}, **options)
    # States that were given up are lost on purpose, and a crash is not for the sanitizer.
    server.environment.update(
        ASAN_OPTIONS="detect_leaks=0:abort_on_error=1:handle_segv=0:allocator_may_return_null=1",
        UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1")
    return server


def begun(server):
    """The daemon, started and with all its workers at work."""
    server.start()
    server.wait_log("process: ready")
    return server


async def scriptlet(server, verb, *words):
    """A verb of the tool on the control socket: status, output."""
    child = await asyncio.create_subprocess_exec(
        SCRIPTLET, verb, "--socket", str(server.directory / "run" / "control.sock"), *words,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    output, _ = await child.communicate()
    return child.returncode, output.decode()


async def until(probe, timeout, what):
    """wait_until() that lets the load go on meanwhile."""
    async with asyncio.timeout(timeout):
        while not probe():
            await asyncio.sleep(0.02)
    return what


def workers(server):
    """Process ids of the workers of all generations."""
    return [row.pid for row in server.processes() if row.command == "scriptletd:work"]


def init_processes(server):
    """Process ids of the init processes."""
    return [row.pid for row in server.processes() if row.command == "scriptletd:init"]


class Load:
    """The innocent.

    versions    told before each session: the versions of the policy that may serve it
    forgiving   lost connections are counted, not taken for failures
    sorry       what else those hear whose Lua state had to be given up
    """

    def __init__(self, server, sessions=6, pause=0.005, versions=None, forgiving=False,
                 messages=3, sorry=()):
        self.address = server.address
        self.server = server
        self.sessions, self.pause, self.messages = sessions, pause, messages
        self.versions = versions
        self.sorry = {SORRY, *sorry}
        self.forgiving = forgiving
        self.failures = []
        self.done = 0           # sessions that ended well
        self.sent = 0           # messages
        self.lost = 0
        self.given_up = 0       # answers that a lost state cost
        self.stopping = False
        self._number = 0
        self._mark = server.mark()

    def blame(self, client, what):
        """Write a failure down."""
        self.failures.append(f"{client}: {what}")

    def _expect(self, client, what, reply, code, text=None):
        """True when the answer is right; a state that was given up excuses another."""
        if reply.text in self.sorry:
            self.given_up += 1
            return False
        if reply.code != code or (text is not None and reply.text != text):
            self.blame(client, f"{what}: {reply}, not {code} {text or ''}")
            return False
        return True

    def _version(self, client, known, found):
        """A session has one version, and one that could be."""
        if known[0] is None:
            known[0] = found
        if found != known[0]:
            self.blame(client, f"policy {found} answered in a session of {known[0]}")

    async def _message(self, milter, client, number, known):
        sender = f"{client}-m{number}"
        if not self._expect(client, "MAIL", await milter.mail(f"{sender}@example.org"), 250):
            return await milter.abort()
        for rcpt in ("r1-ok", "r2-ok"):
            reply = await milter.rcpt(f"{sender}-{rcpt}@example.com")
            if not self._expect(client, "RCPT", reply, 250):
                return await milter.abort()
        reply = await milter.rcpt(f"{sender}-r3-no@example.com")
        if not self._expect(client, "RCPT", reply, 550):
            return await milter.abort()
        self._version(client, known, reply.text.rpartition(" ")[2])
        if not self._expect(client, "RCPT", reply, 550,
                            f"550 5.1.1 not here, says {known[0]}"):
            return await milter.abort()
        await milter.data()
        if number % 3 == 2:
            return await milter.abort()
        reply = await milter.content([("From", "a@example.org"), ("Subject", sender)])
        self.sent += 1
        if self._expect(client, "end of message", reply, 250):
            fields = added(reply, "X-Innocent")
            if fields != [f"{client} 2 {known[0]}"]:
                self.blame(client, f"end of message: {fields}")

    async def session(self, client):
        """One session from the first to the last byte."""
        known = [None]
        before = self.versions() if self.versions else None
        milter = await Milter.open(self.address)
        try:
            after = self.versions() if self.versions else None
            self._expect(client, "connect", await milter.hello(), 250)
            self._expect(client, "EHLO", await milter.helo(f"{client}.test"), 250)
            for number in range(1, self.messages + 1):
                await self._message(milter, client, number, known)
                await asyncio.sleep(self.pause)
            if before and known[0] and not before[0] <= int(known[0][1:]) <= after[1]:
                self.blame(client, f"served by {known[0]}, not {before} to {after}")
            await milter.quit()
            self.done += 1
        finally:
            milter.drop()

    async def _run(self):
        while not self.stopping:
            self._number += 1
            client = f"s{self._number}"
            try:
                await self.session(client)
            except (Lost, OSError, TimeoutError) as problem:
                self.lost += 1
                if not self.forgiving:
                    self.blame(client, f"connection lost: {problem!r}")
                await asyncio.sleep(0.02)

    def excused(self):
        """How many answers lost states may have cost, by the log."""
        return len(re.findall(r"scriptlet-00239: \w+ error: " + GIVEN_UP,
                              self.server.log()[self._mark:]))

    def judge(self):
        """Fail, if anything was wrong."""
        assert not self.failures, "\n".join(
            [f"{len(self.failures)} wrong outcomes:"] + self.failures[:20])
        excused = self.excused() if self.given_up else 0
        assert self.given_up <= excused, \
            f"{self.given_up} sessions deferred, {excused} lost states to excuse it"

    async def progress(self, count=None, timeout=20):
        """Wait until so many more sessions are done (default: all once)."""
        goal = self.done + (self.sessions if count is None else count)
        async with asyncio.timeout(timeout):
            while self.done < goal:
                await asyncio.sleep(0.01)

    @asynccontextmanager
    async def running(self):
        """The load, while the block runs; judged at its end."""
        tasks = [asyncio.create_task(self._run()) for _ in range(self.sessions)]
        try:
            await self.progress()
            yield self
            await self.progress()
        finally:
            self.stopping = True
            await asyncio.wait(tasks, timeout=30)
            for task in tasks:
                task.cancel()
        self.judge()


class Refused(Exception):
    """The session ended at a phase before the one it was meant for."""


async def provoke(server, name, phase):
    """A session that asks for a fault in a phase: the answer to it.

    connect is answered at HELO, as the configuration says.
    """
    milter = await Milter.open(server.address)
    try:
        at = phase == "connect"
        reply = await milter.hello(addr=address_of(name) if at else "192.0.2.200")
        assert reply.ok, reply
        reply = await milter.helo("faulty.test")
        if at:
            return reply
        assert reply.ok, reply
        reply = await milter.mail(f"fault-{name}@example.org" if phase == "eom" else "f@example.org")
        assert reply.ok, reply
        reply = await milter.rcpt(f"fault-{name}@example.com" if phase == "rcptto"
                                  else "f@example.com")
        if phase == "rcptto":
            return reply
        assert reply.ok, reply
        await milter.data()
        return await milter.content([("Subject", "fault")])
    finally:
        milter.drop()
