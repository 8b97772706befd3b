#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How the daemon starts, or says why not: configuration, -t, init(), daemon mode."""

import os
import re
import signal
import subprocess

from harness import Postfix, Raw, Scriptletd, case, run, wait_until
from harness.daemon import handshake
from harness.process import Session, guard, processes
from rig import mail, module, outcome, same

GOOD = module("good", validate_ehlo="str, ac, vctx: return msys.core.VALIDATE_CONT")


def line_of(daemon, text):
    """The number of the configuration's line that has this text."""
    daemon.write_config()
    lines = daemon.config_path.read_text(encoding="utf-8").splitlines()
    [number] = [number for number, line in enumerate(lines, 1) if text in line]
    return number


def bad_config():
    """A daemon with several faults in its configuration."""
    return Scriptletd({"good": GOOD}, settings={
        "workres": 2, "drain_timeout": "soon", "socket_mode": "rw", "received_limit": 0,
        "log": {"level": "loud"}, "submission": "nonsense"})


# -t

@case("-t finds nothing wrong with a good configuration, and touches nothing")
def _():
    daemon = Scriptletd({"good": GOOD, "init": module("init", init="self: error('ran')")})
    run_dir = daemon.prepare() / "run"
    same(outcome_kept(daemon, "-t"), (0, ""))
    same(os.listdir(run_dir), [])
    daemon.stop()


def outcome_kept(daemon, *arguments):
    """outcome(), leaving the directory for a look."""
    daemon.write_config()
    done = subprocess.run([os.path.abspath(daemon.binary), "-c", daemon.config_path, *arguments],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          timeout=60)
    return done.returncode, done.stderr


@case("a bad configuration ends in 78, every fault with file and line")
def _():
    for arguments in (("-t",), ("-f",), ()):
        daemon = bad_config()
        lines = {key: line_of(daemon, f"{key} = ") for key in
                 ("workres", "drain_timeout", "socket_mode", "received_limit", "level",
                  "submission")}
        status, words = outcome(daemon, *arguments)
        same(status, 78)
        for key, number in lines.items():
            assert re.search(rf"^scriptletd\.conf:{number}: .", words, re.M), (key, number, words)
        for word in ("workres", "drain_timeout", "socket_mode", "received_limit", "loud",
                     "nonsense"):
            assert word in words, (word, words)
        same(len(words.splitlines()), len(lines))


@case("a configuration that is no configuration, or not there")
def _():
    daemon = Scriptletd({}, settings={"workers": Raw("1 2")})
    number = line_of(daemon, "workers = ")
    status, words = outcome(daemon, "-t")
    same(status, 78)
    assert re.match(rf"scriptletd\.conf:{number}: ", words), words
    done = subprocess.run([os.path.abspath(daemon.binary), "-t", "-c", "/nonexistent/x.conf"],
                          capture_output=True, text=True, check=False, timeout=60)
    same(done.returncode, 78)
    assert done.stderr.startswith("/nonexistent/x.conf:"), done.stderr


@case("bad scripts: every fault at once, with the script's line")
def _():
    scripts = {"syntax": "require('msys.core')\nlocal x = = 1\n",
               "crash": "local t = nil\n\nprint(t.field)\n",
               "good": GOOD,
               "gone": {"source": "no.such.script"}}
    for arguments in (("-t",), ("-f",)):
        status, words = outcome(Scriptletd(scripts), *arguments)
        same(status, 78)
        for pattern in (r"lua/syntax\.lua:2: ", r"lua/crash\.lua:3: ",
                        r"scriptletd\.conf:\d+: .*no\.such\.script"):
            assert re.search(pattern, words), (pattern, words)
        assert "lua/good.lua" not in words, words


@case("a stanza whose script registers nothing is a warning, with --strict a fault")
def _():
    scripts = {"good": GOOD, "quiet": "require('msys.core')\n",
               "odd": module("odd", validate_eloh="str: return 0")}
    status, words = outcome(Scriptletd(scripts), "-t")
    same((status, len(words.splitlines())), (0, 2))
    assert all(line.startswith("warning: scriptletd.conf:") for line in words.splitlines()), words
    status, strict = outcome(Scriptletd(scripts), "-t", "--strict")
    same((status, strict), (78, words.replace("warning: ", "")))
    status, _ = outcome(Scriptletd(scripts, settings={"scriptlet": {"strict": True}}), "-f")
    same(status, 78)
    with Scriptletd(scripts) as daemon:
        same(len(re.findall(r":config: .*scriptletd\.conf:\d+: ", daemon.log())), 2)


@case("wrong arguments")
def _():
    for arguments in (("-x",), ("-t", "word"), ("-c",)):
        done = subprocess.run([os.path.abspath(Scriptletd().binary), *arguments],
                              capture_output=True, text=True, check=False, timeout=60)
        same((done.returncode, done.stdout), (64, ""))
        assert done.stderr


@case("a user or group that does not exist")
def _():
    for settings, word in (({"user": "no-such-user"}, "user 'no-such-user'"),
                           ({"group": "no-such-group"}, "group 'no-such-group'"),
                           ({"socket_group": "no-such-group"}, "'no-such-group'")):
        status, words = outcome(Scriptletd({"good": GOOD}, settings=settings), "-f")
        same(status, 71)
        assert word in words and "does not exist" in words, words


# init() and deinit()

def stages(name, init="return true", deinit="return true"):
    """A module that says when it begins and ends."""
    return module(name, init=f"self: print('{name} begins') {init}",
                  deinit=f"self: print('{name} ends') {deinit}")


@case("init() that does not succeed refuses the start")
def _():
    for init in ("return false", "return nil", "", "error('no database')"):
        for arguments in (("-f",), ()):
            daemon = Scriptletd({"first": stages("first"), "second": stages("second", init),
                                 "third": stages("third")},
                                settings={"log": {"to": "file:/dev/null"}})
            status, words = outcome(daemon, *arguments)
            same((init, status), (init, 78))
            if arguments:
                assert re.search(r"config: .*scriptletd\.conf:\d+: .*second", words), words
                assert "no database" in words or "error" not in init, words
                assert "third begins" not in words, words
                same((words.count("first begins"), words.count("first ends")), (1, 1))


@case("init() and deinit() run once, however many workers and states there are")
def _():
    with Scriptletd({"zero": stages("zero", "return 0"), "text": stages("text", "return 'ok'")},
                    settings={"workers": 2, "scriptlet": {"states": 3}}) as daemon:
        same(re.findall(r"(\w+ (?:begins|ends))", daemon.log()), ["zero begins", "text begins"])
        start = daemon.mark()
        daemon.signal(signal.SIGTERM)
        daemon.session.leader.wait(30)
        same(sorted(re.findall(r"(\w+ (?:begins|ends))", daemon.log()[start:])),
             ["text ends", "zero ends"])


@case("deinit() that fails does not keep the daemon from stopping")
def _():
    with Scriptletd({"one": stages("one", deinit="error('stuck')"),
                     "two": stages("two")}) as daemon:
        daemon.signal(signal.SIGTERM)
        daemon.wait_log("stuck")
        daemon.session.leader.wait(30)
        assert "two ends" in daemon.log()


# Daemon mode

class Detached:
    """The daemon without -f: what it leaves running is ours to watch and to end."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.pid = None

    def __enter__(self):
        self.daemon.write_config()
        self.directory = self.daemon.directory
        starter = Session([os.path.abspath(self.daemon.binary), "-c", self.daemon.config_path],
                          self.directory / "output")
        same(starter.leader.wait(60), 0)
        starter.kill()
        self.pid = int((self.directory / "run/scriptletd.pid").read_text(encoding="ascii"))
        guard().tell("+session", self.pid)
        return self

    def __exit__(self, kind, value, trace):
        for row in self.members():
            os.kill(row.pid, signal.SIGKILL)
        guard().tell("-session", self.pid)
        self.daemon.stop()

    def members(self):
        """Its living processes."""
        return [row for row in processes() if row.session == self.pid and row.alive]

    def log(self):
        """The log file."""
        return (self.directory / "state/log").read_text(encoding="utf-8")

    def stopped(self):
        """SIGTERM; returns the exit status."""
        os.kill(self.pid, signal.SIGTERM)
        _, status = os.waitpid(self.pid, 0)
        wait_until(lambda: not self.members(), 30, "the end of all processes")
        return os.waitstatus_to_exitcode(status)


@case("daemon mode: ready when the starter returns, logs to a file, stops on SIGTERM")
def _():
    daemon = Scriptletd({"stage": stages("stage"), "good": module(
        "good", validate_ehlo="str, ac, vctx: print('greeted') return 0")},
        socket_group="postfix")
    daemon.settings = {"log": {"to": f"file:{daemon.prepare()}/state/log", "level": "info"}}
    with Detached(daemon) as detached:
        assert handshake(daemon.address), "not ready"
        same((daemon.directory / "output").read_text(encoding="utf-8"), "")
        same(os.readlink(f"/proc/{detached.pid}/cwd"), "/")
        for number in range(3):
            same(os.readlink(f"/proc/{detached.pid}/fd/{number}"), "/dev/null")
        with Postfix(milters=[daemon.address]) as mta, mta.client() as smtp:
            smtp.ehlo()
            assert smtp.send("a@example.org", "x@example.com", mail()).accepted
            mta.sink.wait(1)
            smtp.quit()
        same(detached.stopped(), 0)
        for pattern in ("stage begins", "process: ready", "scriptlet: greeted", "stopping",
                        "stage ends"):
            assert len(re.findall(pattern, detached.log())) == 1, detached.log()
        same(os.listdir(daemon.directory / "run"), [])


@case("daemon mode: what hinders the start is the starter's exit status")
def _():
    daemon = Scriptletd({"bad": "error('at load')"},
                        settings={"log": {"to": "file:/dev/null"}})
    run_dir = daemon.prepare() / "run"
    status, _ = outcome_kept(daemon)
    same(status, 78)
    wait_until(lambda: not os.listdir(run_dir), 10, "an empty run_dir")
    daemon.stop()
    daemon = Scriptletd({"good": GOOD}, settings={"log": {"to": "file:/nonexistent/log"}})
    status, words = outcome(daemon)
    same(status, 71)
    assert "/nonexistent/log" in words, words


if __name__ == "__main__":
    run(needs=[Postfix.check])
