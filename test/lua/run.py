#!/usr/bin/env python3
"""Runs a scriptlet under `scriptlet simulate` and prints TAP.

The head of the file says what is done and what must come of it:

    -- simulate: OPTIONS      options, as in a shell; {dir} is the folder of the file
    -- checks: N              so many checks must have run
    -- result: ACTION [CODE XCODE TEXT]     (default: accept)
    -- change: OP NAME VALUE  one line for each change, in order; NAME#N for one with an index
    -- log: TEXT              a line that must be in the log; {file} is the file
    -- error: CALLOUT TEXT    the one error that this callout must have, and TEXT in it
    -- fault: TEXT            the scripts must be refused with TEXT; nothing else is looked at
"""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path


class Plan:
    def __init__(self, path):
        self.lines = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line.startswith("--"):
                break
            key, colon, value = line[2:].strip().partition(":")
            if colon:
                self.lines.setdefault(key, []).append(value.strip())

    def all(self, key):
        return self.lines.get(key, [])

    def one(self, key, default=None):
        return self.all(key)[0] if key in self.lines else default


class Tap:
    def __init__(self):
        self.rows = 0
        self.failed = 0

    def row(self, good, name, *details):
        self.rows += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.rows} - {name}")
        for detail in [] if good else details:
            for line in str(detail).splitlines():
                print(f"# {line}")

    def end(self):
        print(f"1..{self.rows}")
        return 1 if self.failed else 0


STATUS = {"accept": 0, "reject": 1, "tempfail": 2, "discard": 3}


def simulate(path, plan):
    options = shlex.split(plan.one("simulate", "").replace("{dir}", str(path.parent)))
    env = dict(os.environ, LUA_PATH=f"{path.parent}/?.lua;;")
    command = [os.environ["SCRIPTLET"], "simulate", "--script", f"{path.stem}={path}", "--json"]
    return subprocess.run(command + options, env=env, stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=60, check=False)


def show_change(change):
    index = f"#{change['index']}" if "index" in change else ""
    parts = [change["op"], change.get("name", "") + index, change["value"]]
    return " ".join(part for part in parts if part)


def show_result(result):
    parts = [result["action"]]
    if result["action"] != "accept":
        parts += [str(result["code"]), result["xcode"], result["text"]]
    return " ".join(part for part in parts if part)


def compare(tap, path, plan, run):
    report = json.loads(run.stdout)
    errors = [f"{callout['callout']} {callout['error']}"
              for phase in report["phases"] for callout in phase["callouts"]
              if callout["return"] == "error"]
    wanted = plan.all("error")
    same = len(errors) == len(wanted) and all(
        got.startswith(want.split()[0] + " ") and want.partition(" ")[2] in got
        for got, want in zip(errors, wanted))
    tap.row(same, "errors of callouts", "got:", *errors, "wanted:", *wanted)

    ran = [line for line in report["log"] if line.startswith("checks: ")]
    tap.row(ran == [f"checks: {plan.one('checks')}"], f"{plan.one('checks')} checks ran", ran)

    result = show_result(report["result"])
    tap.row(result == plan.one("result", "accept"), "result", result)
    tap.row(run.returncode == STATUS[report["result"]["action"]], "exit status", run.returncode)

    changes = [show_change(change) for change in report["changes"]]
    tap.row(changes == plan.all("change"), "changes", "got:", *changes)

    for line in plan.all("log"):
        line = line.replace("{file}", str(path))
        tap.row(line in report["log"], f"log has {line!r}", "got:", *report["log"])


def main():
    path = Path(sys.argv[1]).resolve()
    plan = Plan(path)
    tap = Tap()
    run = simulate(path, plan)
    stderr = run.stderr.decode(errors="replace")
    if plan.all("fault"):
        tap.row(run.returncode == 78, "exit status", run.returncode, stderr)
        for text in plan.all("fault"):
            tap.row(text in stderr, f"fault {text!r}", stderr)
    elif run.returncode not in STATUS.values():
        tap.row(False, "simulate", f"exit status {run.returncode}", stderr)
    else:
        compare(tap, path, plan, run)
        tap.row(not stderr, "nothing on stderr", stderr)
    return tap.end()


sys.exit(main())
