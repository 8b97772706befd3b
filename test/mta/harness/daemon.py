# SPDX-License-Identifier: MIT
"""The daemon under test, with a configuration written for one test.

The class knows as little of the daemon as it can: where its settings go, that
a milter handshake on its socket means ready, that SIGTERM means a clean end,
and that a sanitizer report anywhere on stderr is a failure of the test, however
well the mail flowed.
"""

import os
import pwd
import grp
import re
import signal
import socket
import struct
from pathlib import Path

from .server import Missing, Server

SANITIZER = re.compile(r"^.*(?:ERROR: AddressSanitizer|runtime error:|LeakSanitizer"
                       r"|WARNING: ThreadSanitizer|ERROR: ThreadSanitizer"
                       r"|MemorySanitizer).*$", re.MULTILINE)

# The options that a milter handshake offers: version 6, all actions and steps.
NEGOTIATE = b"O" + struct.pack("!III", 6, 0x1FF, 0x1FFFFF)
QUIT = b"Q"


class Raw(str):
    """A setting's value that goes into the configuration as it is written."""


def quote(text):
    """A libconfig string."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f"}
    return '"' + "".join(escapes.get(char, char) for char in text) + '"'


def render(value, indent=""):
    """A Python value in libconfig syntax.

    dict: group; list of scalars: array; other list, or tuple: list.
    """
    deeper = indent + "  "
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}L" if abs(value) > 0x7FFFFFFF else str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, (str, Path)):
        return quote(str(value))
    if isinstance(value, dict):
        return "{\n" + settings_text(value, deeper) + indent + "}"
    scalars = not any(isinstance(one, (dict, list, tuple)) for one in value)
    left, right = "[]" if isinstance(value, list) and scalars else "()"
    return left + ", ".join(render(one, deeper) for one in value) + right


def settings_text(settings, indent=""):
    """The lines of a group, or of a whole file."""
    return "".join(f"{indent}{key} = {render(value, indent)};\n"
                   for key, value in settings.items() if value is not None)


def merge(base, changes):
    """base with changes laid over it, group by group."""
    merged = dict(base)
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            value = merge(merged[key], value)
        merged[key] = value
    return merged


def connect(address, timeout=5.0):
    """A socket connected to a milter address in the notation of libmilter."""
    kind, _, rest = address.partition(":")
    if kind in ("inet", "inet6"):
        port, _, host = rest.partition("@")
        return socket.create_connection((host.strip("[]") or "localhost", int(port)), timeout)
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(timeout)
        sock.connect(rest)
    except BaseException:
        sock.close()
        raise
    return sock


def handshake(address):
    """Whether a milter answers here: option negotiation, then quit."""
    try:
        with connect(address) as sock:
            sock.sendall(struct.pack("!I", len(NEGOTIATE)) + NEGOTIATE)
            answer = sock.recv(5, socket.MSG_WAITALL)
            if len(answer) == 5 and answer[4:] == b"O":
                sock.sendall(struct.pack("!I", len(QUIT)) + QUIT)
                return True
    except OSError:
        pass
    return False


class Scriptletd(Server):
    """One daemon.

    scripts     module name -> Lua source, or -> a dict of the stanza's settings
                with the Lua source under "lua" (or "source" naming a file);
                they run in this order
    settings    laid over the default configuration, group by group; None
                removes a setting
    listen      address or list of addresses; by default a socket in the
                private directory, which is then .address
    socket_group    who may connect besides the daemon's own user
    user, group     what the daemon drops to when the test is root
    arguments   more command line arguments
    environment more environment variables
    binary      default: $SCRIPTLETD, else build/src/scriptletd
    expect_exit the exit status that stop() demands; None: any
    handshake   whether start() waits for a milter negotiation; otherwise for a
                connection to be accepted
    """

    def __init__(self, scripts=None, settings=None, listen=None, socket_group=None,
                 user="nobody", group="nogroup", arguments=(), environment=None,
                 binary=None, expect_exit=0, handshake=True, name="scriptletd"):
        super().__init__(name)
        self.scripts = dict(scripts or {})
        self.settings = dict(settings or {})
        self.listen = listen
        self.socket_group = socket_group
        self.user, self.group = user, group
        self.arguments = list(arguments)
        self.environment = dict(environment or {})
        self.binary = binary or os.environ.get("SCRIPTLETD", "build/src/scriptletd")
        self.expect_exit = expect_exit
        self.handshake = handshake
        self.stop_timeout = 30.0
        self.addresses = []
        self.config_path = None

    @property
    def address(self):
        """The first address it listens on."""
        return self.addresses[0]

    @property
    def pid(self):
        """The process id of the supervisor."""
        return self.session.pid

    # Start and stop.

    def _start(self):
        if not os.access(self.binary, os.X_OK):
            raise Missing(f"{self.binary}: no such program; set SCRIPTLETD")
        self.write_config()
        self.log_path = self.directory / "stderr"
        environment = {
            "ASAN_OPTIONS": "abort_on_error=0:detect_leaks=1",
            "UBSAN_OPTIONS": "print_stacktrace=1",
            **os.environ, **self.environment}
        self._spawn([os.path.abspath(self.binary), "-f", "-c", self.config_path,
                     *self.arguments], self.log_path, env=environment, cwd=self.directory)
        self._wait_ready(lambda: all(map(self._ready, self.addresses)), 30)

    def _ready(self, address):
        if self.handshake:
            return handshake(address)
        try:
            connect(address).close()
        except OSError:
            return False
        return True

    def _stop(self):
        if self.session is None:
            return
        died = not self.session.running()
        self.status, killed = self.session.stop(self.stop_timeout)
        problems = self.sanitizer_reports()
        if killed:
            problems.append(f"did not stop within {self.stop_timeout:g} s: {killed}")
        if self.expect_exit is not None and self.status != self.expect_exit:
            when = "ended by itself" if died else "ended"
            problems.append(f"{when} with status {self.status}, expected {self.expect_exit}")
        if problems:
            raise AssertionError(f"{self.name}: " + "; ".join(problems))

    # The configuration.

    def prepare(self):
        """The private directory, with what the daemon writes to made its own."""
        fresh = self.directory is None
        super().prepare()
        if fresh:
            for name in ("run", "state", "lua"):
                path = self.directory / name
                path.mkdir()
                path.chmod(0o755)
                if os.geteuid() == 0:
                    os.chown(path, pwd.getpwnam(self.user).pw_uid,
                             grp.getgrnam(self.group).gr_gid)
        return self.directory

    def write_config(self):
        """Write configuration and scripts; again before a reload, if changed."""
        self.prepare()
        listen = self.listen or f"unix:{self.directory}/run/milter.sock"
        self.addresses = [listen] if isinstance(listen, str) else list(listen)
        root = os.geteuid() == 0
        config = {
            "listen": listen,
            "user": self.user if root else None,
            "group": self.group if root else None,
            "socket_group": self.socket_group,
            "workers": 1,
            "run_dir": self.directory / "run",
            "state_dir": self.directory / "state",
            "log": {"to": "stderr", "level": "debug"},
            "scriptlet": {
                "states": 2,
                "path": [str(self.directory / "lua" / "?.lua")],
                "script": tuple(self._stanza(*item) for item in self.scripts.items()),
            },
        }
        self.config_path = self.directory / "scriptletd.conf"
        self.config_path.write_text(settings_text(merge(config, self.settings)),
                                    encoding="utf-8")
        self.config_path.chmod(0o644)

    def _stanza(self, name, script):
        stanza = {"lua": script} if isinstance(script, str) else dict(script)
        lua = stanza.pop("lua", None)
        if lua is not None:
            stanza["source"] = self.write_lua(f"{name}.lua", lua)
        return {"name": name, **stanza}

    def write_lua(self, filename, source):
        """A Lua file among the scripts, where require finds it; returns its path."""
        path = self.prepare() / "lua" / filename
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
        path.chmod(0o644)
        return path

    # What a test uses.

    def signal(self, signo):
        """Send a signal to the supervisor."""
        self.session.send(signo)

    def reload(self):
        """SIGHUP, after rewriting configuration and scripts; wait_log() for the end."""
        self.write_config()
        self.signal(signal.SIGHUP)

    def processes(self):
        """The daemon's processes, supervisor and all."""
        return self.session.members()

    def sanitizer_reports(self):
        """What the sanitizers said, the first lines only; the log has the rest."""
        return [line.strip() for line in SANITIZER.findall(self.log())]
