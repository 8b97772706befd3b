#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Many sessions at once: asleep in a callout, or idle."""

import asyncio
import re
import resource
import time
from pathlib import Path

import load
from client import Milter
from load import Load, begun, daemon, innocent, provoke, workers
from harness import case, run
from harness.tap import diagnose

SLEEPERS, NAP = 500, 2
IDLE = 2000
SLEEPY = """
require("msys.core")
local mod = {}
function mod:validate_mailfrom(str, ac, vctx)
    self.sender = vctx:get(msys.core.VCTX_MESS, "mailfrom_localpart")
    if string.find(self.sender, "^sleepy") then
        msys.sleep(%d)
        if vctx:get(msys.core.VCTX_MESS, "mailfrom_localpart") ~= self.sender then
            error("SESSION MIXED UP")
        end
        vctx:set_code(550, "5.7.1 good morning, " .. self.sender)
    end
    return msys.core.VALIDATE_CONT
end
msys.registerModule("sleepy", mod)
"""


def more_descriptors(count):
    """Room for our end of the connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, max(count, hard)))


def resident(pids):
    """Resident KiB of some processes."""
    return sum(int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])
               for pid in pids)


@case(f"{SLEEPERS} sessions in msys.sleep({NAP}) on one worker with two states", timeout=120)
def _():
    async def main(server):
        sessions = await asyncio.gather(*(Milter.open(server.address) for _ in range(SLEEPERS)))
        for number, milter in enumerate(sessions):
            assert (await milter.hello()).ok and (await milter.helo("x.test")).ok
        busy = Load(server, sessions=4)
        slowest = 0.0

        async def sleeper(number, milter):
            reply = await milter.mail(f"sleepy{number}@example.org")
            assert reply.text == f"550 5.7.1 good morning, sleepy{number}", reply
            await milter.quit()

        async with busy.running():
            began = time.monotonic()
            naps = asyncio.gather(*(sleeper(*item) for item in enumerate(sessions)))
            while not naps.done():
                before = time.monotonic()
                await busy.progress(1)
                slowest = max(slowest, time.monotonic() - before)
            await naps
            took = time.monotonic() - began
        diagnose(f"{SLEEPERS} sleepers answered after {took:.2f} s; "
                 f"meanwhile, another session done after {slowest:.2f} s at most")
        assert NAP <= took < (20 if load.SANITIZED else 2 * NAP), f"{took:.2f} s"
        assert slowest < (20 if load.SANITIZED else NAP), f"another session took {slowest:.2f} s"

    with begun(daemon({"sleepy": SLEEPY % NAP, "innocent": innocent()})) as server:
        asyncio.run(main(server))


@case("a client that leaves a sleeping callout leaves nothing behind", timeout=60)
def _():
    async def main(server):
        sessions = await asyncio.gather(*(Milter.open(server.address) for _ in range(50)))
        naps = []
        for number, milter in enumerate(sessions):
            assert (await milter.hello()).ok and (await milter.helo("x.test")).ok
            naps.append(asyncio.create_task(milter.mail(f"sleepy{number}@example.org")))
        await asyncio.sleep(0.3)
        for nap, milter in zip(naps, sessions):
            nap.cancel()
            milter.drop()
        async with Load(server).running():
            pass
        await asyncio.sleep(NAP)
        status, text = await load.scriptlet(server, "stats")
        assert status == 0 and ", open 0;" in text, text
        assert "MIXED" not in server.log()

    with begun(daemon({"sleepy": SLEEPY % NAP, "innocent": innocent()})) as server:
        asyncio.run(main(server))


@case(f"{IDLE} idle connections, and sessions on top", timeout=120)
def _():
    more_descriptors(IDLE + 200)

    async def main(server):
        await provoke(server, "error", "eom")
        before = resident(workers(server))
        idle = []
        for number in range(IDLE):
            milter = await Milter.open(server.address)
            assert (await milter.hello()).ok and (await milter.helo(f"s9{number}.test")).ok
            idle.append(milter)
        grown = resident(workers(server)) - before
        diagnose(f"{grown / IDLE:.2f} KiB resident for each of {IDLE} idle sessions")
        began = time.monotonic()
        busy = Load(server)
        async with busy.running():
            await busy.progress(30)
        diagnose(f"{busy.done} sessions on top of them in {time.monotonic() - began:.2f} s")
        status, text = await load.scriptlet(server, "stats")
        assert status == 0 and f", open {IDLE};" in text, text
        assert grown / IDLE < (200 if load.SANITIZED else 32), f"{grown} KiB"
        # all of them still live
        for number, milter in enumerate(idle):
            if number % 50 == 0:
                assert (await milter.mail(f"s9{number}-m1@example.org")).ok
            await milter.quit()

    with begun(daemon({"innocent": innocent(), "faulty": load.faulty()}, workers=2)) as server:
        asyncio.run(main(server))


run(timeout=300)
