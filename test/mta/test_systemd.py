#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The systemd unit: its exposure, the daemon under its restrictions, what systemd is told."""

import ctypes
import os
import re
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

from harness import Missing, Postfix, Scriptletd, case, run, wait_until
from harness.server import need
from rig import HERE, SCRIPTLET, mail, module, no_script_errors, policy, same

UNIT = Path(os.environ.get("SCRIPTLETD_BUILD", "build")) / "contrib/scriptletd.service"
DAEMON = os.path.abspath(os.environ.get("SCRIPTLETD", "build/src/scriptletd"))
BEST = 1.5

GOOD = module("good", validate_ehlo="str, ac, vctx: return msys.core.VALIDATE_CONT")


def unit():
    """The lines of the unit."""
    return UNIT.read_text(encoding="utf-8").splitlines()


# The unit

@case(f"systemd-analyze finds an exposure of {BEST} or better")
def _():
    shown = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", UNIT],
        capture_output=True, text=True, check=True).stdout
    [score] = re.findall(r"Overall exposure level for scriptletd\.service: ([\d.]+)", shown)
    assert float(score) <= BEST, shown


@case("the unit is understood, and names what is installed")
def _():
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", UNIT], capture_output=True,
                          text=True, check=False)
    # it is read before it is installed
    strange = [line for line in done.stderr.splitlines()
               if UNIT.name in line and "is not executable: No such file" not in line]
    same(strange, [])
    programs = {line.partition("=")[0]: line.partition("=")[2].split()
                for line in unit() if line.startswith("Exec")}
    same(sorted(programs), ["ExecReload", "ExecStart", "ExecStartPre"])
    same([os.path.basename(programs[name][0]) for name in sorted(programs)],
         ["scriptlet", "scriptletd", "scriptletd"])
    same(programs["ExecReload"][1:2], ["reload"])
    assert "-f" in programs["ExecStart"] and "-t" in programs["ExecStartPre"]
    same(len({words[-1] for words in programs.values()}), 1)


# Under its restrictions

CONFINED = module("confined", init="self: return jit.status()",
                  validate_data_spool="""msg, ac, vctx:
    local sum = 0
    for i = 1, 1e6 do sum = sum + i % 7 end -- long enough to be compiled
    msg:header("X-Mark", string.format("%d", sum))
    return msys.core.VALIDATE_CONT""")
SUM = str(sum(i % 7 for i in range(1, 10**6 + 1)))

# What is forbidden is tried in the place where scripts run.
PROBE = module("probe", validate_connect="""ac, vctx:
    local ffi = require("ffi")
    ffi.cdef("int socket(int, int, int); int unshare(int); int chmod(const char *, unsigned);"
        .. "int setuid(unsigned); long personality(unsigned long); char *strerror(int);")
    local function try(what, result)
        print(what .. ": " .. (result < 0 and ffi.string(ffi.C.strerror(ffi.errno())) or "allowed"))
    end
    try("netlink", ffi.C.socket(16, 3, 0))
    try("packet", ffi.C.socket(17, 3, 0))
    try("inet", ffi.C.socket(2, 1, 0))
    try("unshare", ffi.C.unshare(0x10000000))
    try("setuid bit", ffi.C.chmod("@STATE@/file", 2541))
    try("chmod", ffi.C.chmod("@STATE@/file", 384))
    try("personality", tonumber(ffi.C.personality(0x0040000)))
    print("state: " .. tostring(io.open("@STATE@/new", "w") ~= nil))
    print("elsewhere: " .. tostring(select(2, io.open("@HOME@/new", "w"))))
    print("tmp: " .. tostring(io.open("/tmp/scriptletd-confined", "w") ~= nil))
    return msys.core.VALIDATE_CONT""")


class Confined(Scriptletd):
    """A daemon under the restrictions of the unit."""

    def __init__(self, scripts, **options):
        super().__init__(scripts, socket_group="postfix", binary=str(HERE / "confine.py"),
                         **options)

    def environment_of(self, program):
        """What confine.py is told."""
        return {"CONFINE_UNIT": str(UNIT.resolve()), "CONFINE_PROGRAM": program,
                "CONFINE_USER": f"{self.user}:{self.group},postfix",
                "CONFINE_HOME": str(self.directory),
                "CONFINE_WRITABLE": f"{self.directory}/run:{self.directory}/state"}

    def _start(self):
        self.environment.update(self.environment_of(DAEMON))
        super()._start()

    def reload_by_command(self):
        """ExecReload=, which runs under the same restrictions; status and output."""
        self.write_config()
        done = subprocess.run(
            [HERE / "confine.py", "reload", "-c", self.config_path], check=False,
            env={**os.environ, **self.environment_of(os.path.abspath(SCRIPTLET))},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr


def flows(mta, recipients, mark):
    """A mail goes through the policy to the sink."""
    mta.sink.clear()
    with mta.client() as smtp:
        smtp.ehlo()
        result = smtp.send("a@example.org", recipients, mail())
        assert result.accepted, result.last
        smtp.quit()
    for recipient in recipients:
        same(mta.sink.wait_for(recipient).header("X-Mark"), [mark])


@case("the daemon serves, reloads and submits under the restrictions of its unit")
def _():
    daemon = Confined({"confined": CONFINED, "each": policy("each")})
    with daemon, Postfix(milters=[daemon.address]) as mta:
        for row in daemon.processes():
            status = Path(f"/proc/{row.pid}/status").read_text(encoding="ascii")
            fields = dict(re.findall(r"^(\w+):\s+(.*)$", status, re.M))
            same((fields["Seccomp"], fields["NoNewPrivs"]), ("2", "1"))
            if os.geteuid() == 0:
                same((fields["CapBnd"], fields["CapEff"]), ("0" * 16, "0" * 16))
        flows(mta, ["plain1@example.com"], SUM)
        daemon.settings["submission"] = f"inet:{mta.port}@127.0.0.1"
        same(daemon.reload_by_command(), (0, "reloaded\n"))
        flows(mta, ["red@example.com", "plain2@example.com"], SUM)
        daemon.scripts["confined"] = CONFINED.replace("%d", "v2 %d")
        daemon.reload()
        daemon.wait_log("ready: generation 3")
        flows(mta, ["plain3@example.com"], f"v2 {SUM}")
        daemon.scripts["confined"] = "this is no Lua"
        status, words = daemon.reload_by_command()
        same(status, 1)
        assert "confined.lua:1:" in words, words
        flows(mta, ["plain4@example.com"], f"v2 {SUM}")
        no_script_errors(daemon)


@case("what the unit forbids is forbidden to scripts, too")
def _():
    daemon = Confined({})
    state = daemon.prepare() / "state"
    (state / "file").touch()
    os.chmod(state / "file", 0o666)
    os.chown(state / "file", state.stat().st_uid, -1)
    daemon.scripts["probe"] = PROBE.replace("@STATE@", str(state)).replace(
        "@HOME@", str(daemon.directory))
    with daemon, Postfix(milters=[daemon.address]) as mta:
        with mta.client() as smtp:
            smtp.ehlo()
            smtp.quit()
        daemon.wait_log("tmp: ")
        found = dict(re.findall(r"scriptlet: ([\w ]+): ([\w -]+?) \[", daemon.log()))
        same({name: found.get(name) for name in
              ("netlink", "packet", "inet", "unshare", "setuid bit", "chmod", "personality")},
             {"netlink": "Address family not supported by protocol",
              "packet": "Address family not supported by protocol", "inet": "allowed",
              "unshare": "Operation not permitted", "setuid bit": "Operation not permitted",
              "chmod": "allowed", "personality": "Operation not permitted"})
        same((found["state"], found["tmp"]), ("true", "true"))
        if os.geteuid() == 0:
            daemon.wait_log("elsewhere: .*Read-only file system")
            assert not os.path.exists("/tmp/scriptletd-confined"), "the /tmp of everybody"


# What systemd is told

class Notified(Scriptletd):
    """A daemon that tells a socket of ours what it would tell systemd."""

    def __init__(self, scripts, watchdog=None, **options):
        super().__init__(scripts, **options)
        self.watchdog = watchdog
        self.received = []
        self.socket = None

    def _start(self):
        path = self.directory / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind(str(path))
        path.chmod(0o666)
        self.socket.setblocking(False)
        self.environment["NOTIFY_SOCKET"] = str(path)
        if self.watchdog:
            self.environment["WATCHDOG_USEC"] = "150000"
            wrapper = self.directory / "wrapper"
            wrapper.write_text(f'#!/bin/sh\nWATCHDOG_PID={self.watchdog}\nexport WATCHDOG_PID\n'
                               f'exec "{DAEMON}" "$@"\n', encoding="utf-8")
            wrapper.chmod(0o755)
            self.binary = str(wrapper)
        super()._start()

    def _stop(self):
        try:
            super()._stop()
        finally:
            self.collect()
            self.socket.close()
            self.socket = None

    def collect(self):
        """Take what has arrived: the first words of each message, as NAME=1."""
        while self.socket:
            try:
                text, ancillary, *_ = self.socket.recvmsg(4096, socket.CMSG_SPACE(12))
            except BlockingIOError:
                break
            [(_, _, credentials)] = ancillary
            # NotifyAccess=main: systemd would ignore anybody else
            same(struct.unpack("3i", credentials)[0], self.pid)
            self.received.append(dict(line.split("=", 1) for line in text.decode().split("\n")))
        return self.received

    def words(self):
        """READY, RELOADING, STOPPING in the order they came."""
        return [name for message in self.collect() for name in message
                if message[name] == "1" and name != "WATCHDOG"]

    def pings(self):
        """How often WATCHDOG=1 came."""
        return sum(message.get("WATCHDOG") == "1" for message in self.collect())

    def hears(self, *words):
        """Wait until exactly these were said."""
        wait_until(lambda: len(self.words()) >= len(words), 20, " ".join(words))
        same(self.words(), list(words))


@case("READY when it serves, RELOADING around a reload, STOPPING at the end")
def _():
    with Notified({"good": GOOD}) as daemon:
        daemon.hears("READY")
        before = monotonic_us()
        daemon.reload()
        daemon.hears("READY", "RELOADING", "READY")
        reloading = daemon.received[1]
        # with which systemd tells this reload from another (sd_notify(3))
        assert before <= int(reloading["MONOTONIC_USEC"]) <= monotonic_us(), reloading
        done = subprocess.run([SCRIPTLET, "reload", "-c", daemon.config_path], timeout=60,
                              capture_output=True, text=True, check=False)
        same((done.returncode, done.stdout), (0, "reloaded\n"))
        daemon.hears("READY", *["RELOADING", "READY"] * 2)
        daemon.signal(signal.SIGTERM)
        daemon.session.leader.wait(30)
        daemon.hears("READY", *["RELOADING", "READY"] * 2, "STOPPING")
    same(daemon.pings(), 0)


def monotonic_us():
    """CLOCK_MONOTONIC, as systemd counts."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


@case("a reload that fails ends with READY, too")
def _():
    with Notified({"good": GOOD}) as daemon:
        daemon.hears("READY")
        said = ["READY"]
        for source in ("this is no Lua", module("good", init="self: return false")):
            daemon.scripts["good"] = source
            daemon.reload()
            said += ["RELOADING", "READY"]
            daemon.hears(*said)
        daemon.wait_log("(?s)(reload failed.*){2}")


@case("nothing is READY that was refused")
def _():
    daemon = Notified({"good": module("good", init="self: return false")}, expect_exit=78)
    try:
        daemon.start()
    except RuntimeError as problem:
        assert "before it was ready" in str(problem), problem
    else:
        raise AssertionError("it started")
    assert "READY" not in [name for message in daemon.received for name in message]


@case("the watchdog of systemd is fed, by the process that it asks")
def _():
    with Notified({"good": GOOD}, watchdog="$$") as daemon:
        daemon.hears("READY")
        wait_until(lambda: daemon.pings() >= 5, 20, "pings")
        seen = daemon.pings()
        daemon.reload()
        daemon.hears("READY", "RELOADING", "READY")
        wait_until(lambda: daemon.pings() >= seen + 5, 20, "pings after a reload")
    # another process was meant
    with Notified({"good": GOOD}, watchdog="1") as daemon:
        daemon.hears("READY")
        daemon.reload()
        daemon.hears("READY", "RELOADING", "READY")
    same(daemon.pings(), 0)


def check_systemd():
    """Raise Missing where the unit cannot be looked at, or systemd is not told anything."""
    need("systemd-analyze")
    if not UNIT.exists():
        raise Missing(f"{UNIT} was not made; set SCRIPTLETD_BUILD")
    if "Type=notify" not in unit():
        raise Missing("built without libsystemd")
    try:
        ctypes.CDLL("libseccomp.so.2")
    except OSError as problem:
        raise Missing("libseccomp2 is not installed") from problem


if __name__ == "__main__":
    run(needs=[Postfix.check, check_systemd])
