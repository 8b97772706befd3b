# SPDX-License-Identifier: MIT
"""Processes, private directories and ports that cannot outlive a test.

Mail servers fork, detach and change user, so "kill the child" is not enough.
Each server is started as the leader of a session of its own, and this process
makes itself the reaper of orphans: whatever a server leaves behind is either
in that session or becomes our child, and both can be listed.
"""

import ctypes
import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

PR_SET_CHILD_SUBREAPER = 36
# The path of a Unix socket has 107 bytes; servers put theirs some way down.
PATH_LIMIT = 80


class Process(NamedTuple):
    """One line of the process table."""

    pid: int
    parent: int
    session: int
    state: str
    command: str

    @property
    def alive(self):
        """False for a zombie, which has left nothing but its exit status."""
        return self.state not in "ZX"


def processes():
    """The process table, read from /proc."""
    table = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            stat = Path(f"/proc/{entry}/stat").read_text(encoding="latin-1")
        except OSError:
            continue
        head, _, tail = stat.rpartition(")")
        fields = tail.split()
        table.append(Process(int(entry), int(fields[1]), int(fields[3]),
                             fields[0], head.partition("(")[2]))
    return table


def descendants(root, table=None):
    """All processes below root, at any depth."""
    table = processes() if table is None else table
    found, frontier = [], {root}
    while frontier:
        children = [row for row in table if row.parent in frontier]
        found += children
        frontier = {row.pid for row in children}
    return found


def leftovers():
    """What still runs below this process, the guard apart."""
    own = _guard.process.pid if _guard else 0
    return [row for row in descendants(os.getpid())
            if row.alive and row.pid != own]


class Guard:
    """Our end of the pipe to guard.py."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-I", str(Path(__file__).with_name("guard.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True, cwd="/")
        self.lock = threading.Lock()

    def tell(self, word, value):
        """Add or remove one thing on the guard's list."""
        with self.lock:
            self.process.stdin.write(f"{word} {value}\n".encode())
            self.process.stdin.flush()


_guard = None
_guard_lock = threading.Lock()


def guard():
    """The guard of this process, started when first needed."""
    global _guard
    with _guard_lock:
        if _guard is None:
            ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            _guard = Guard()
        return _guard


class Session:
    """A command that leads a session of its own, and all that it started."""

    def __init__(self, argv, output, env=None, cwd="/"):
        watcher = guard()
        with open(output, "ab") as out:
            self.leader = subprocess.Popen(
                [str(word) for word in argv], stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, env=env, cwd=cwd, umask=0o022,
                start_new_session=True)
        self.pid = self.leader.pid
        self.strays = set()
        watcher.tell("+session", self.pid)

    def members(self):
        """The living processes of this server; dead orphans are reaped."""
        table = processes()
        self.strays |= {row.pid for row in descendants(self.pid, table)
                        if row.session != self.pid}
        alive = []
        for row in table:
            if row.session != self.pid and row.pid not in self.strays:
                continue
            if row.alive:
                alive.append(row)
            elif row.parent == os.getpid() and row.pid != self.pid:
                try:
                    os.waitpid(row.pid, os.WNOHANG)
                except ChildProcessError:
                    pass
        return alive

    def running(self):
        """Whether the leader lives."""
        return self.leader.poll() is None

    def send(self, signo):
        """Signal the leader only."""
        if self.running():
            self.leader.send_signal(signo)

    def stop(self, timeout=10.0):
        """SIGTERM the leader, give the rest time, SIGKILL what remains.

        Returns the exit status of the leader (negative: killed by a signal)
        and the names of those that had to be killed.
        """
        self.members()
        self.send(signal.SIGTERM)
        deadline = time.monotonic() + timeout
        try:
            self.leader.wait(timeout)
        except subprocess.TimeoutExpired:
            pass
        while self.members() and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.kill()

    def kill(self):
        """SIGKILL everything and wait until it is gone."""
        killed = []
        deadline = time.monotonic() + 10.0
        while True:
            alive = self.members()
            for row in alive:
                killed.append(f"{row.command}[{row.pid}]")
                try:
                    os.kill(row.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.leader.poll()
            if not alive:
                break
            if time.monotonic() > deadline:
                raise RuntimeError(f"cannot be killed: {killed}")
            time.sleep(0.01)
        status = self.leader.wait()
        guard().tell("-session", self.pid)
        return status, sorted(set(killed))


class PrivateDirectory:
    """A temporary directory that other users may walk through, not list.

    The servers drop their privileges, so each user they drop to has to reach
    the files below; secrets in here are the server's own to protect.
    """

    def __init__(self, prefix):
        self.path = Path(tempfile.mkdtemp(prefix=f"scriptletd-{prefix}-"))
        guard().tell("+path", self.path)
        self.path.chmod(0o711)
        if len(str(self.path)) > PATH_LIMIT:
            self.remove()
            raise RuntimeError(f"{self.path}: too long for sockets below; set TMPDIR elsewhere")
        for parent in self.path.parents:
            if not parent.stat().st_mode & 0o001:
                self.remove()
                raise RuntimeError(
                    f"{parent}: closed to other users; set TMPDIR elsewhere")

    def remove(self):
        """Delete it all; SCRIPTLETD_KEEP leaves it for a post-mortem."""
        if os.environ.get("SCRIPTLETD_KEEP"):
            print(f"# kept {self.path}", flush=True)
        else:
            shutil.rmtree(self.path, ignore_errors=True)
        guard().tell("-path", self.path)


class Lease:
    """A loopback port that is ours, though nothing listens on it yet.

    A bound socket that does not listen keeps the kernel from giving the port
    to anyone who asks for any port, yet lets a server that sets SO_REUSEADDR
    listen there. Until then, connecting to it is refused: a lease is also the
    one sure way to have a closed port.
    """

    def __init__(self, hosts=("127.0.0.1",)):
        for _ in range(100):
            self.sockets = []
            try:
                self.port = self._bind(hosts)
                return
            except OSError as problem:
                self.release()
                if problem.errno != errno.EADDRINUSE:
                    raise
        raise RuntimeError(f"no port is free on all of {hosts}")

    def _bind(self, hosts):
        port = 0
        for host in hosts:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_STREAM)
            self.sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
            port = sock.getsockname()[1]
        return port

    def release(self):
        """Give the port back."""
        while self.sockets:
            self.sockets.pop().close()


def loopback_hosts():
    """The loopback addresses this machine has: IPv6 may be switched off."""
    try:
        Lease(("::1",)).release()
    except OSError:
        return ("127.0.0.1",)
    return ("127.0.0.1", "::1")


def listeners(port):
    """How many sockets of this machine listen on a TCP port."""
    count = 0
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except FileNotFoundError:
            continue
        for row in rows:
            local, _, state = row.split()[1:4]
            count += state == "0A" and int(local.rpartition(":")[2], 16) == port
    return count
