#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Processes that die or hang, while others work."""

import asyncio
import os
import re
import signal
import time

import load
from client import Lost, Milter
from load import SORRY, Load, begun, daemon, faulty, init_processes, innocent, provoke, workers
from harness import case, run, wait_until
from harness.tap import diagnose

SCRIPTS = {"faulty": faulty(), "innocent": innocent()}


async def dies(server, name, phase):
    """The session of a worker that dies gets no answer."""
    try:
        answer = await provoke(server, name, phase)
    except Lost:
        return
    raise AssertionError(f"an answer from the dead: {answer}")


async def survivors(server, kill):
    """Sessions of one worker are lost, those of the other are not, new ones are served."""
    sessions = [await Milter.open(server.address) for _ in range(20)]
    for number, milter in enumerate(sessions):
        assert (await milter.hello()).ok and (await milter.helo(f"s9{number}.test")).ok
    _, rows = await load.scriptlet(server, "sessions", "--json")
    before = workers(server)
    victim = await kill(rows)
    wait_until(lambda: victim is None or victim not in workers(server), 10, "end of the worker")
    alive = 0
    for number, milter in enumerate(sessions):
        try:
            assert (await milter.mail(f"s9{number}-m1@example.org")).ok
            await milter.quit()
            alive += 1
        except Lost:
            milter.drop()
    return before, alive


@case("a segfault in ffi costs the sessions of its worker only; it is replaced at once", timeout=60)
def _():
    async def main(server):
        for phase in ("connect", "rcptto", "eom"):
            async def crash(_, where=phase):
                await dies(server, "crash", where)
                return None
            mark = server.mark()
            before, alive = await survivors(server, crash)
            assert 0 < alive < 20, f"{alive} of 20 sessions survive the end of one of two workers"
            server.wait_log(r"the worker \d+ was ended by signal 11", since=mark)
            server.wait_log(r"the worker \d+ takes over", since=mark)
            wait_until(lambda: len(workers(server)) == 2, 10, "two workers")
            assert len(set(before) & set(workers(server))) == 1
            load_ = Load(server)
            async with load_.running():
                pass

    with begun(daemon(SCRIPTS, workers=2)) as server:
        asyncio.run(main(server))


@case("os.exit() in a script ends a worker, not the daemon", timeout=60)
def _():
    async def main(server):
        await dies(server, "exit", "rcptto")
        server.wait_log(r"the worker \d+ exited with status 3")
        server.wait_log(r"the worker \d+ takes over")
        async with Load(server).running():
            pass

    with begun(daemon(SCRIPTS)) as server:
        asyncio.run(main(server))


@case("kill -9 of a worker: its sessions are lost, the others are not", timeout=60)
def _():
    async def main(server):
        async def kill(_):
            victim = workers(server)[0]
            os.kill(victim, signal.SIGKILL)
            return victim
        _, alive = await survivors(server, kill)
        assert 0 < alive < 20, alive
        server.wait_log(r"the worker \d+ was ended by signal 9")
        server.wait_log(r"the worker \d+ takes over")
        busy = Load(server, forgiving=True, sessions=10)
        async with busy.running():
            for _ in range(2):
                os.kill(workers(server)[-1], signal.SIGKILL)
                await busy.progress(20)
        assert busy.lost <= 40, f"{busy.lost} connections lost"
        diagnose(f"{busy.lost} connections lost, {busy.done} sessions done")
        status, text = await load.scriptlet(server, "stats", "--json")
        assert status == 0 and '"worker_restarts": 3' in text.replace('":3', '": 3'), text

    with begun(daemon(SCRIPTS, workers=2)) as server:
        asyncio.run(main(server))


@case("kill -9 of the init process: no session notices, control and reload come back", timeout=60)
def _():
    async def main(server):
        async with Load(server).running() as busy:
            for _ in range(2):
                mark = server.mark()
                os.kill(init_processes(server)[0], signal.SIGKILL)
                server.wait_log(r"the init process \d+ was ended by signal 9", since=mark)
                server.wait_log(r"the init process \d+ takes over", since=mark)
                await busy.progress(10)
            status, text = await load.scriptlet(server, "reload")
            assert status == 0, text
            os.kill(init_processes(server)[-1], signal.SIGKILL)
            await busy.progress(10)

    with begun(daemon(SCRIPTS)) as server:
        asyncio.run(main(server))


@case("kill -9 of the supervisor: sessions end well, a new one takes the stale sockets", timeout=60)
def _():
    async def main(server):
        held = await Milter.open(server.address)
        assert (await held.hello()).ok and (await held.helo("s1.test")).ok
        old = server.session
        os.kill(server.pid, signal.SIGKILL)
        await asyncio.sleep(0.5)
        assert workers(server), "the worker does not wait for its session"
        # the harness takes a server for one process: a second daemon of the same settings
        server.session = None
        server._spawn([os.path.abspath(server.binary), "-f", "-c", server.config_path],
                      server.log_path, env={**os.environ, **server.environment},
                      cwd=server.directory)
        server.wait_log("process: ready: .*(\n.*)*process: ready: ")
        async with Load(server).running():
            await held.mail("s1-m1@example.org")
            assert (await held.rcpt("s1-m1-r1-ok@example.com")).ok
            await held.data()
            answer = await held.content([("Subject", "s1-m1")])
            assert answer.ok, answer
            await held.quit()
            await load.until(lambda: not old.members(), 15, "end of the old processes")
        old.leader.wait()
        old.kill()

    with begun(daemon(SCRIPTS)) as server:
        asyncio.run(main(server))


@case("a crash loop backs off, is called one, and costs nobody else", timeout=90)
def _():
    async def main(server):
        mark = server.mark()
        began = time.monotonic()
        while "crash loop" not in server.log()[mark:]:
            try:
                milter = await Milter.connect(server.address)
                milter.timeout = 2
                await milter.negotiate(load_steps, load_actions)
                await milter.hello(addr=load.address_of("crash"))
                await milter.read()
            except (Lost, TimeoutError, OSError):
                pass
            finally:
                milter.drop()
            assert time.monotonic() < began + 60, "no crash loop"
        log = server.log()[mark:]
        ends = len(re.findall("was ended by signal 11", log))
        assert ends <= 8, f"{ends} deaths before it was called a loop"
        match = re.search(r"crash loop: the worker has ended (\d+) times in a row", log)
        assert match, log
        diagnose(f"crash loop after {time.monotonic() - began:.1f} s and {ends} deaths")
        # when nobody asks for it any more, it serves
        async with Load(server, sessions=2).running():
            pass

    from client import ACTIONS as load_actions, STEPS as load_steps
    with begun(daemon({"faulty": faulty(), "innocent": innocent()})) as server:
        asyncio.run(main(server))


@case("a callout that nothing can stop: its worker is replaced, other sessions finish", timeout=90)
def _():
    async def main(server):
        # asleep in C: a signal ends that, and then it is over
        answer = await provoke(server, "asleep", "eom")
        assert answer.text == SORRY, answer
        server.wait_log("faulty error: .*callout_timeout|worker .* cannot be stopped")
        # two states: the other one goes on working
        others = [await Milter.open(server.address) for _ in range(6)]
        for number, milter in enumerate(others):
            assert (await milter.hello()).ok
            assert (await milter.helo(f"s{number}.test")).ok
        old = workers(server)
        victim = asyncio.create_task(provoke(server, "stuck", "rcptto"))
        began = time.monotonic()
        while "a callout cannot be stopped, replacing the worker" not in server.log():
            await asyncio.sleep(0.1)
            assert time.monotonic() < began + 20, "not replaced"
        diagnose(f"replaced after {time.monotonic() - began:.1f} s")
        wait_until(lambda: len(workers(server)) == 2, 10, "another worker")
        finished = []

        async def finish(number, milter):
            # libmilter may hand several sessions to one thread, one after the other, and each
            # in the stuck state takes its callout_timeout there
            milter.timeout = 10
            reply = await milter.mail(f"s{number}-m1@example.org")
            if reply.ok:
                assert (await milter.rcpt(f"s{number}-m1-r1-ok@example.com")).ok
                await milter.data()
                reply = await milter.content([("Subject", f"s{number}-m1")])
                assert reply.ok, reply
            else:
                # it lives in the state that is held for ever
                assert reply.text == SORRY, reply
            finished.append(reply.ok)
            milter.drop()

        await asyncio.gather(*(finish(*item) for item in enumerate(others)))
        assert finished.count(True) >= 3, finished
        diagnose(f"sessions of the stuck worker finished: {finished}")
        async with Load(server).running():
            pass
        victim.cancel()
        wait_until(lambda: not set(old) & set(workers(server)), 20, "end of the stuck worker")

    limits = {"callout_timeout": 1, "eom_timeout": 1}
    with begun(daemon(SCRIPTS, limits, drain_timeout=12)) as server:
        asyncio.run(main(server))


@case("the control socket: plausible numbers under load", timeout=60)
def _():
    import json

    async def main(server):
        held = await Milter.open(server.address)
        assert (await held.hello(addr="198.51.100.99")).ok
        async with Load(server).running() as busy:
            answer = await provoke(server, "error", "rcptto")
            assert answer.text == SORRY, answer
            await provoke(server, "while", "connect")
            status, text = await load.scriptlet(server, "stats", "--json")
            stats = json.loads(text)
            assert status == 0, text
            assert stats["sessions"] >= busy.done and stats["messages"] > 0, stats
            assert 1 <= stats["sessions_open"] <= 12, stats
            assert stats["errors"]["script"] == 1 and stats["errors"]["time_limit"] == 1, stats
            assert stats["processes"] == 2 and stats["generation"] == 1, stats
            assert stats["replies"]["rcptto"]["550"] > 0, stats
            assert stats["replies"]["rcptto"]["451"] >= 1, stats
            rows = {(row["module"], row["callout"]): row for row in stats["callouts"]}
            row = rows["innocent", "validate_rcptto"]
            assert row["calls"] == sum(row["log2_us"]), row
            assert rows["faulty", "validate_rcptto"]["errors"] >= 1, rows
            status, text = await load.scriptlet(server, "stats")
            assert status == 0 and re.search(r"^callout innocent validate_rcptto calls \d+", text,
                                             re.M), text
            status, text = await load.scriptlet(server, "sessions", "--json")
            held_rows = [one for one in json.loads(text) if one["client"] == "198.51.100.99"]
            assert len(held_rows) == 1 and held_rows[0]["state"] == "idle", text
            status, text = await load.scriptlet(server, "loglevel")
            assert (status, text) == (0, "info\n"), text
            status, text = await load.scriptlet(server, "loglevel", "err")
            assert (status, text) == (0, "err\n"), text
            await asyncio.sleep(0.2)
            mark = server.mark()
            await busy.progress(10)
            assert not re.search("^.*policy: ", server.log()[mark:], re.M), server.log()[mark:]
            status, text = await load.scriptlet(server, "loglevel", "nonsense")
            assert status == 1, text
            await load.scriptlet(server, "loglevel", "info")
        await held.quit()

    with begun(daemon(SCRIPTS)) as server:
        asyncio.run(main(server))


run(timeout=300)
