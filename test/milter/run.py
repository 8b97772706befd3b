#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run a miltertest script against a daemon of its own; speaks TAP.

    SCRIPTLETD=build/src/scriptletd test/milter/run.py test/milter/replies.lua

The first lines of the script say what daemon it wants:

    -- policy: first=live second=live
        stanzas in their order: module name, and the scriptlet in policies/;
        "ehlo_only" alone is both. In a scriptlet, @NAME@ stands for the module
        name and @ORDERS@ for a folder that script and scriptlet share.
    -- settings: {"connect_reply": "connect"}
        JSON, laid over the configuration; may go on in further lines.
    -- listen: unix inet inet6
        by default a unix socket only; the script finds each as a global.
"""

import grp
import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "mta"))

from harness import Missing, Scriptletd  # noqa: E402
from harness.daemon import connect, merge  # noqa: E402
from harness.process import loopback_hosts  # noqa: E402
from harness.tap import diagnose  # noqa: E402

TIMEOUT = 60
# Nothing here may reach a mail server.
SETTINGS = {"submission": "", "bounce_refused_recipients": False}
# miltertest reads a frame of any length into 1024 bytes.
FRAME_MAX = 1000


class Wiretap:
    """Stands between miltertest and the daemon, and records what the daemon says.

    miltertest tells a script of a reply before the end of the message only
    what kind it is, not its words, and cannot connect to inet6. The n-th
    connection is recorded in PATH.n, one frame a line, before miltertest sees
    it: so the record is complete whenever the script looks.
    """

    def __init__(self, path, address):
        self.path, self.address = path, address
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        for number in itertools.count(1):
            client, _ = self.listener.accept()
            server = connect(self.address)
            server.settimeout(None)
            record = open(f"{self.path}.{number}", "w", buffering=1, encoding="ascii")
            for function, *arguments in ((self._up, client, server),
                                         (self._down, server, client, record)):
                threading.Thread(target=function, args=arguments, daemon=True).start()

    @staticmethod
    def _up(client, server):
        try:
            while data := client.recv(65536):
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    @staticmethod
    def _down(server, client, record):
        with client, server, record, server.makefile("rb") as stream:
            try:
                while len(head := stream.read(5)) == 5:
                    data = stream.read(int.from_bytes(head[:4], "big") - 1)
                    record.write(f"{chr(head[4])} {data.hex()}\n")
                    data = data[:FRAME_MAX]
                    client.sendall((len(data) + 1).to_bytes(4, "big") + head[4:] + data)
            except OSError:
                pass


def wishes(script):
    """The comments at the top of a script: a list of values by keyword."""
    found = {"policy": [], "settings": [], "listen": []}
    for line in script.read_text(encoding="utf-8").splitlines():
        match = re.match(r"-- (policy|settings|listen): (.*)", line)
        if match:
            found[match[1]].append(match[2])
        elif not line.startswith("--"):
            break
    return found


def make_daemon(wanted):
    """The daemon a script wants, and its address by kind."""
    settings = SETTINGS
    text = " ".join(wanted["settings"])
    while text := text.lstrip():
        more, end = json.JSONDecoder().raw_decode(text)
        settings, text = merge(settings, more), text[end:]
    if os.geteuid() == 0:
        group = "nogroup"
    else:
        group = grp.getgrgid(os.getegid()).gr_name
    daemon = Scriptletd(settings=settings, socket_group=group)
    orders = daemon.prepare() / "lua"
    for name, _, policy in (word.partition("=") for word in " ".join(wanted["policy"]).split()):
        text = (HERE / "policies" / f"{policy or name}.lua").read_text(encoding="utf-8")
        daemon.scripts[name] = text.replace("@NAME@", name).replace("@ORDERS@", str(orders))
    addresses = {}
    for kind in " ".join(wanted["listen"]).split() or ["unix"]:
        if kind == "unix":
            addresses[kind] = f"unix:{daemon.directory}/run/milter.sock"
            continue
        host = "127.0.0.1" if kind == "inet" else "::1"
        if host in loopback_hosts():
            addresses[kind] = f"{kind}:{daemon.lease([host])}@{host}"
    daemon.listen = list(addresses.values())
    return daemon, addresses


def miltertest(script, daemon, addresses):
    """Run the script; returns its exit status and its output."""
    command = ["miltertest", "-D", f"log={daemon.log_path}",
               "-D", f"orders={daemon.directory}/lua"]
    for kind, address in addresses.items():
        tap = Wiretap(daemon.directory / kind, address)
        command += ["-D", f"{kind}={tap.path}"]
    command += ["-D", f"case={script}", "-s", str(HERE / "driver.lua")]
    try:
        done = subprocess.run(command, timeout=TIMEOUT, umask=0o022,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False,
                              env={**os.environ, "LUA_PATH": f"{HERE}/?.lua"})
    except subprocess.TimeoutExpired as late:
        return "a timeout", (late.output or b"").decode("latin-1")
    return done.returncode, done.stdout.decode("latin-1")


def rows(output):
    """What the script checked: (passed, description), in its order."""
    for line in output.splitlines():
        match = re.match(r"(not )?ok - (.*)", line)
        if match:
            yield not match[1], match[2]


def main(script):
    if not shutil.which("miltertest"):
        raise Missing("miltertest is not installed")
    wanted = wishes(script)
    daemon, addresses = make_daemon(wanted)
    output, checks = "", []
    try:
        daemon.start()
        status, output = miltertest(script, daemon, addresses)
        checks = list(rows(output))
        checks.append((bool(checks) and status == 0, "the script runs to its end"))
        if status != 0:
            output += f"miltertest ended with {status}\n"
    except (Missing, RuntimeError, TimeoutError) as problem:
        output += f"{problem}\n"
        checks.append((False, "the daemon starts"))
    finally:
        try:
            daemon.stop()
            checks.append((True, "the daemon ends cleanly"))
        except AssertionError as problem:
            output += f"{problem}\n"
            checks.append((False, "the daemon ends cleanly"))
    for number, (good, name) in enumerate(checks, 1):
        # a hash would begin a directive
        print("ok" if good else "not ok", number, "-",
              f"{script.stem}: {name}".replace("#", "number "))
    print(f"1..{len(checks)}")
    if all(good for good, _ in checks):
        return 0
    diagnose("--- miltertest\n" + output)
    diagnose("--- log of the daemon\n" + daemon.log())
    return 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: run.py SCRIPT.lua")
    try:
        sys.exit(main(Path(sys.argv[1])))
    except Missing as missing:
        print(f"1..0 # SKIP {missing}")
