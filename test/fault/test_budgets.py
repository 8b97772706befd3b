#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Scripts that use too much of what they share, in every phase, while others work."""

import asyncio

import load
from load import SORRY, Load, begun, daemon, faults, faulty, innocent, provoke
from harness import case, keep, run
from harness.tap import diagnose

# fault -> what the log has to say about its end
LIMITS = {
    "while": "time_limit", "count": "time_limit", "tables": "time_limit|memory_limit",
    "strings": "time_limit|memory_limit", "tailcalls": "time_limit", "pcalls": "time_limit",
    "nested": "time_limit", "pattern": "time_limit", "rep": "memory_limit",
    "recursion": "stack overflow", "coroutine": "time_limit", "inside": "time_limit",
    "result": "memory_limit", "hoard": "time_limit|memory_limit",
}
CALLOUTS = {"connect": "validate_connect", "rcptto": "validate_rcptto",
            "eom": "validate_data_spool"}
shared = []


def the_daemon():
    """One for all these cases: what one leaves behind, the next must not notice."""
    if not shared or not shared[0].running or not shared[0].session.running():
        shared[:] = [keep(begun(daemon({"faulty": faulty(), "innocent": innocent()})))]
    return shared[0]


async def hurt(server, name, phase, reply):
    """The fault costs its own session a reply, nobody else anything."""
    mark = server.mark()
    async with Load(server).running():
        answer = await provoke(server, name, phase)
        assert answer.text == reply, answer
        # long enough for the callout to be caught twice, were it still running
        again = await provoke(server, name, phase)
        assert again.text == reply, again
    server.wait_log(rf"scriptlet-00147: {CALLOUTS[phase]} error: .*({LIMITS[name]})", since=mark)
    server.wait_log(rf"scriptlet-00239: faulty error: .*({LIMITS[name]})", since=mark)


for fault in LIMITS:
    for where in CALLOUTS:
        @case(f"{fault} at {where}: deferred, named in the log, noticed by nobody else", timeout=60)
        def _(name=fault, phase=where):
            asyncio.run(hurt(the_daemon(), name, phase, SORRY))


for fault in LIMITS:
    @case(f"{fault} in init(): refused as a configuration")
    def _(name=fault):
        script = (faults() + f"local mod = {{}}\nfunction mod:init()\nlocal x = faults['{name}']()"
                  "\nprint(#tostring(x))\nreturn true\nend\nmsys.registerModule('bad', mod)\n")
        server = daemon({"bad": script}, options={"expect_exit": 78})
        try:
            server.start()
            raise AssertionError("it started")
        except RuntimeError:
            pass
        assert server.status == 78, server.status
        server.wait_log(rf"module bad: init\(\) .*({LIMITS[name]})", timeout=1)


@case("endless loops while a script is loaded: refused as a configuration")
def _():
    for name in ("while", "hoard", "pattern"):
        server = daemon({"bad": faults() + f"faults['{name}']()\n"},
                        options={"expect_exit": 78})
        try:
            server.start()
            raise AssertionError("it started")
        except RuntimeError:
            pass
        assert server.status == 78, server.status
        server.wait_log(rf"bad.lua.*({LIMITS[name]})", timeout=1)


@case("a budget of one script is not that of another")
def _():
    scripts = {"faulty": {"lua": faulty(), "time_limit": 1500, "on_error": "reject"},
               "innocent": innocent()}

    refused = "550 5.7.1 message refused by policy"

    async def main(server):
        async with Load(server, sorry=[refused]).running():
            began = asyncio.get_running_loop().time()
            answer = await provoke(server, "while", "rcptto")
            took = asyncio.get_running_loop().time() - began
            assert answer.text == refused, answer
            assert took > 1.3, f"{took:.2f} s"
            diagnose(f"stopped after {took:.2f} s of 1.5")

    with begun(daemon(scripts)) as server:
        asyncio.run(main(server))


async def tolerated(server):
    """Faults that are to change nothing.

    Where the state had to be given up, a module that had kept something there
    for this session fails by its own on_error.
    """
    for name in ("while", "error", "rep"):
        for phase in CALLOUTS:
            mark = server.mark()
            answer = await provoke(server, name, phase)
            assert b"never" not in repr(answer).encode(), answer
            if name == "while" and phase != "connect" and answer.text == SORRY:
                server.wait_log(f"innocent error: {load.GIVEN_UP}", since=mark)
            else:
                assert answer.ok, (name, phase, answer)


@case("on_error = accept: the next module decides")
def _():
    scripts = {"faulty": {"lua": faulty(), "on_error": "accept"}, "innocent": innocent()}

    async def main(server):
        async with Load(server).running():
            await tolerated(server)

    with begun(daemon(scripts)) as server:
        asyncio.run(main(server))


@case("on_error = reject: 550, in every phase")
def _():
    async def main(server):
        for phase in CALLOUTS:
            answer = await provoke(server, "while", phase)
            assert answer.text == "550 5.7.1 message refused by policy", (phase, answer)

    with begun(daemon({"faulty": faulty()}, {"on_error": "reject"})) as server:
        asyncio.run(main(server))


@case("error_reply: the reply of the site")
def _():
    async def main(server):
        for phase in CALLOUTS:
            answer = await provoke(server, "pcalls", phase)
            assert answer.text == "421 4.3.2 come back", (phase, answer)

    with begun(daemon({"faulty": faulty()}, {"error_reply": "421 4.3.2 come back"})) as server:
        asyncio.run(main(server))


@case("observe: faults and decisions are logged, nothing is applied")
def _():
    watcher = """
require("msys.core")
local mod = {}
function mod:validate_rcptto(msg, str, ac, vctx)
    vctx:set_code(550, "5.7.1 never said")
    return msys.core.VALIDATE_DONE
end
function mod:validate_data_spool(msg, ac, vctx)
    msg:header("X-Watcher", "never seen")
    vctx:set_code(451, "4.7.1 never said either")
    return msys.core.VALIDATE_DONE
end
msys.registerModule("watcher", mod)
"""
    scripts = {"watcher": {"lua": watcher, "mode": "observe"},
               "faulty": {"lua": faulty(), "mode": "observe"}, "innocent": innocent()}

    async def main(server):
        async with Load(server).running():
            await tolerated(server)
        server.wait_log("module watcher would answer 550 5.7.1 never said")
        server.wait_log("module watcher would add the header field X-Watcher: never seen")
        server.wait_log("module watcher would answer 451 4.7.1 never said either")
        server.wait_log("faulty error: .*time_limit")
        status, text = await load.scriptlet(server, "stats")
        assert status == 0 and "observed decisions 0" not in text, text

    with begun(daemon(scripts)) as server:
        asyncio.run(main(server))


run(timeout=240)
