# SPDX-License-Identifier: MIT
"""A small test runner that speaks TAP (Test Anything Protocol).

    from harness import case, run

    @case("a mail arrives")
    def _():
        ...

    run(needs=[Postfix.check])

Cases run in the order of their definition, or those named on the command line
by number or by a part of their name. A failure prints its traceback and the
logs of all servers that had a part in it. Whatever a case leaves running is
stopped after it, and a case or a run that hangs is ended with a stack dump.
"""

import faulthandler
import os
import signal
import sys
import time
import traceback

from .process import leftovers
from .server import Missing, Server

LOG_TAIL = 300
GRACE = 60


class Hang(Exception):
    """A case took too long."""


class _Case:
    def __init__(self, name, function, timeout):
        self.name = name
        self.function = function
        self.timeout = timeout


_cases = []


def case(name, timeout=120):
    """Register the decorated function; the name says what it shows."""
    def register(function):
        _cases.append(_Case(name, function, timeout))
        return function
    return register


def keep(server):
    """Let a server live until the end of the run, for several cases."""
    server.shared = True
    return server


def diagnose(text):
    """Text as TAP diagnostics."""
    for line in text.rstrip("\n").split("\n"):
        print(f"# {line}")


def _alarm(*_):
    faulthandler.dump_traceback(all_threads=True)
    raise Hang("took too long; the stacks are on stderr")


def _terminated(signo, *_):
    # As an exception, so that everything on the way out is cleaned up.
    sys.exit(128 + signo)


def _show_logs(marks):
    """The logs, of servers that lived before the case only what is new."""
    for server in Server.evidence:
        lines = server.log()[marks.get(server, 0):].splitlines()
        diagnose(f"--- log of {server.name}, {len(lines)} lines")
        for line in lines[-LOG_TAIL:]:
            diagnose(line)
    diagnose("---")


def _stop_servers(shared):
    """Stop what still runs; returns the problems met on the way."""
    problems = []
    for server in reversed(Server.evidence):
        if server.running and (shared or not server.shared):
            try:
                server.stop()
            except Exception as problem:
                problems.append(problem)
    return problems


def _chosen(words):
    if not words:
        return list(_cases)
    return [one for number, one in enumerate(_cases, 1)
            if any(word == str(number) or (not word.isdigit() and word in one.name)
                   for word in words)]


def _insist():
    return os.environ.get("SCRIPTLETD_REQUIRE_MTA") == "1"


def _attempt(one):
    """Run one case; returns what it lacked and what went wrong."""
    missing, problems = None, []
    signal.alarm(one.timeout)
    try:
        one.function()
    except Missing as lack:
        missing = lack
        if _insist():
            problems.append(lack)
    except Exception as problem:
        problems.append(problem)
    finally:
        signal.alarm(0)
    return missing, problems + _stop_servers(shared=False)


def _report(number, one):
    """Run a case and print its line; returns whether it was good."""
    began = time.monotonic()
    marks = {server: server.mark() for server in Server.evidence}
    missing, problems = _attempt(one)
    seconds = time.monotonic() - began
    if problems:
        print(f"not ok {number} - {one.name}")
        for problem in problems:
            diagnose("".join(traceback.format_exception(problem)))
        _show_logs(marks)
    else:
        print(f"ok {number} - {one.name}" + (f" # SKIP {missing}" if missing else ""))
    diagnose(f"{seconds:.2f} s")
    sys.stdout.flush()
    Server.evidence[:] = [server for server in Server.evidence if server.running]
    return not problems


def _finish(good):
    """Stop the shared servers; nothing may be left, or the run has failed."""
    for problem in _stop_servers(shared=True):
        diagnose(f"while stopping: {problem}")
        good = False
    remaining = leftovers()
    for row in remaining:
        diagnose(f"left behind: {row.command}[{row.pid}]")
        os.kill(row.pid, signal.SIGKILL)
    return good and not remaining


def run(needs=(), timeout=600):
    """Run the cases and exit.

    needs       functions that raise Missing when the machine lacks something:
                the run is skipped, or with SCRIPTLETD_REQUIRE_MTA=1 failed
    timeout     of the whole run, in seconds
    """
    signal.signal(signal.SIGALRM, _alarm)
    signal.signal(signal.SIGTERM, _terminated)
    signal.signal(signal.SIGHUP, _terminated)
    # Should Python itself be stuck: no cleaning up here, that is the guard's.
    faulthandler.dump_traceback_later(timeout + GRACE, exit=True)
    try:
        for need in needs:
            need()
    except Missing as missing:
        if not _insist():
            print(f"1..0 # SKIP {missing}")
            sys.exit(0)
        print(f"1..1\nnot ok 1 - {missing}")
        sys.exit(1)
    chosen = _chosen(sys.argv[1:])
    print(f"1..{len(chosen)}", flush=True)
    good, deadline = bool(chosen), time.monotonic() + timeout
    try:
        for number, one in enumerate(chosen, 1):
            one.timeout = min(one.timeout, max(1, int(deadline - time.monotonic())))
            good &= _report(number, one)
    finally:
        good = _finish(good)
    faulthandler.cancel_dump_traceback_later()
    sys.exit(0 if good else 1)
