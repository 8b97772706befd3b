#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reloads while sessions go on: no connection lost, no verdict of a policy that could not give it."""

import asyncio
import os
import re
import time
from pathlib import Path

import load
from client import Milter, added
from load import Load, begun, daemon, innocent, until
from harness import case, run
from harness.tap import diagnose

RELOADS = int(os.environ.get("FAULT_RELOADS", "200"))
SESSIONS = 50
# How long a session that was begun before the end of a reload may still go to the old policy.
GRACE = 1.0
BROKEN = 'require("msys.core")\nlocal mod = {\nthis is no Lua\n'


class Versions:
    """Which policy may serve a session that begins now."""

    def __init__(self):
        self.history = [(0.0, 1)]   # when it was in force, for all we know
        self.coming = 1

    def __call__(self):
        now = time.monotonic()
        oldest = max((version for when, version in self.history if when <= now - GRACE),
                     default=1)
        return oldest, self.coming

    def settle(self):
        """The coming one is in force."""
        self.history.append((time.monotonic(), self.coming))


def weigh(pid):
    """Resident KiB of its own and number of descriptors of a process.

    What the supervisor shares with the workers, the metrics, has a row for every process and
    so grows with the most there ever were at once.
    """
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"RssAnon:\s+(\d+)", status)[1]), len(os.listdir(f"/proc/{pid}/fd"))


async def reload(server):
    """The tool's outcome."""
    return await load.scriptlet(server, "reload")


@case(f"{RELOADS} reloads under load, some broken, some changing the policy", timeout=200)
def _():
    async def main(server):
        versions = Versions()
        busy = Load(server, sessions=SESSIONS, pause=0.02, versions=versions)
        weights, ok, failed = [], 0, 0
        began = time.monotonic()
        async with busy.running():
            for number in range(1, RELOADS + 1):
                broken = number % 10 == 0
                if broken:
                    server.write_lua("innocent.lua", BROKEN)
                elif number % 7 == 0:
                    versions.coming += 1
                if not broken:
                    server.write_lua("innocent.lua", innocent(f"V{versions.coming}"))
                status, text = await reload(server)
                if broken:
                    assert status == 1 and re.search(r"innocent\.lua:3: ", text), (status, text)
                    failed += 1
                else:
                    assert (status, text) == (0, "reloaded\n"), (status, text)
                    versions.settle()
                    ok += 1
                if number % 20 == 0:
                    weights.append(weigh(server.pid))
        took = time.monotonic() - began
        diagnose(f"{ok} reloads, {failed} refused, in {took:.1f} s; {busy.done} sessions, "
                 f"{busy.sent} messages, {versions.coming} policies")
        diagnose(f"supervisor, KiB and descriptors: {weights}")
        await until(lambda: len(server.processes()) == 4, 20, "end of the old generations")
        begin, end = weights[len(weights) // 4], weights[-1]
        # the sanitizer keeps what was freed for a while
        assert load.SANITIZED or end[0] - begin[0] < 1024, "memory grows"
        assert max(end[1], weigh(server.pid)[1]) <= begin[1] + 12, "descriptors are not closed"
        assert weigh(server.pid)[1] <= 16, os.listdir(f"/proc/{server.pid}/fd")
        status, text = await load.scriptlet(server, "stats")
        assert f"reloads {ok} ok, {failed} failed" in text, text

    with begun(daemon({"innocent": innocent("V1")}, workers=2)) as server:
        asyncio.run(main(server))


@case("sessions that are idle, in mid-body, asleep: each ends under the policy it began with",
      timeout=60)
def _():
    async def start(server, client):
        milter = await Milter.open(server.address)
        assert (await milter.hello()).ok and (await milter.helo(f"{client}.test")).ok
        return milter

    async def envelope(milter, client, number=1):
        sender = f"{client}-m{number}"
        assert (await milter.mail(f"{sender}@example.org")).ok
        assert (await milter.rcpt(f"{sender}-r1-ok@example.com")).ok
        await milter.data()

    async def finish(milter, client, number=1):
        reply = await milter.eom()
        assert reply.ok and added(reply, "X-Innocent") == [f"{client} 1 old"], reply
        sender = f"{client}-m{number + 1}"
        assert (await milter.mail(f"{sender}@example.org")).ok
        reply = await milter.rcpt(f"{sender}-r1-no@example.com")
        assert reply.text == "550 5.1.1 not here, says old", reply
        await milter.quit()

    async def main(server):
        idle = await start(server, "s1")
        body = await start(server, "s2")
        await envelope(body, "s2")
        await body.header("Subject", "s2-m1")
        await body.eoh()
        await body.body(b"half of it\r\n")
        asleep = await start(server, "s3")
        assert (await asleep.mail("s3-m1@example.org")).ok
        nap = asyncio.create_task(asleep.rcpt("s3-m1-r1-slow-no@example.com"))
        await asyncio.sleep(0.2)
        server.write_lua("innocent.lua", innocent("new"))
        assert (await reload(server))[0] == 0
        fresh = await start(server, "s4")
        assert (await fresh.mail("s4-m1@example.org")).ok
        reply = await fresh.rcpt("s4-m1-r1-no@example.com")
        assert reply.text == "550 5.1.1 not here, says new", reply
        await fresh.quit()
        assert not nap.done(), "it did not sleep"
        reply = await nap
        assert reply.text == "550 5.1.1 not here, says old", reply
        await asleep.abort()
        await envelope(asleep, "s3", 2)
        await asleep.header("Subject", "s3-m2")
        await finish(asleep, "s3", 2)
        await body.body(b"the rest\r\n")
        await finish(body, "s2")
        await envelope(idle, "s1")
        await idle.header("Subject", "s1-m1")
        await finish(idle, "s1")
        await until(lambda: len(server.processes()) == 3, 10, "end of the old generation")

    scripts = {"innocent": innocent("old", 2)}
    with begun(daemon(scripts)) as server:
        asyncio.run(main(server))


@case("reloads of everything else: workers, addresses, log; broken configurations", timeout=60)
def _():
    async def main(server):
        async with Load(server).running():
            settings = dict(server.settings)
            server.settings = {**settings, "workers": 3}
            server.write_config()
            assert (await reload(server))[0] == 0
            await until(lambda: len(load.workers(server)) >= 3, 10, "three workers")
            other = f"unix:{server.directory}/run/other.sock"
            first = server.address
            server.listen = [first, other]
            server.write_config()
            assert (await reload(server))[0] == 0
            await (await Milter.open(other)).quit()
            server.listen = None
            server.settings = {**settings, "workers": 1}
            server.write_config()
            assert (await reload(server))[0] == 0
            await until(lambda: not os.path.exists(other.removeprefix("unix:")), 25,
                       "end of the second address")
            text = server.config_path.read_text(encoding="utf-8")
            for change, expected in (("nonsense = 1;\n", r"scriptletd\.conf:\d+: "),
                                     ("workers = ;\n", r"scriptletd\.conf:\d+: ")):
                server.config_path.write_text(text + change, encoding="utf-8")
                status, output = await reload(server)
                assert status == 1 and re.search(expected, output), (status, output)
            server.write_lua("innocent.lua", innocent().replace(
                "local mod = {}", "local mod = {}\nfunction mod:init() return false end"))
            server.config_path.write_text(text, encoding="utf-8")
            status, output = await reload(server)
            assert status == 1 and re.search(r":\d+: module innocent: init\(\) ", output), output
            server.write_lua("innocent.lua", innocent())
            assert (await reload(server))[0] == 0

    # without privileges, a new socket can be given to no group but the daemon's own
    with begun(daemon({"innocent": innocent("V1")}, socket_group="")) as server:
        asyncio.run(main(server))


run(timeout=300)
