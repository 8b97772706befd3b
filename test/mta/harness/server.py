# SPDX-License-Identifier: MIT
"""What all servers of the harness have in common.

A server starts completely or not at all, stops completely in every case, and
keeps its log readable after it has gone: the log is what a failed test needs.
"""

import re
import shutil
import time
from pathlib import Path

from .process import Lease, PrivateDirectory, Session


class Missing(Exception):
    """The machine lacks what a test needs: skip, unless told to insist."""


def need(*programs):
    """The paths of programs, looked for where root's programs lie too."""
    found = []
    for program in programs:
        path = shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin")
        if path is None:
            raise Missing(f"{program} is not installed")
        found.append(path)
    return found


def wait_until(probe, timeout, what):
    """Poll until probe() gives something true; return it."""
    deadline = time.monotonic() + timeout
    while True:
        result = probe()
        if result:
            return result
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {what} within {timeout:g} s")
        time.sleep(0.01)


class Server:
    """Base class: subclasses provide _start() and, if need be, _stop()."""

    #: Servers that have been started since the list was last cleared, stopped
    #: or not; the test runner prints their logs when a case fails.
    evidence = []

    def __init__(self, name):
        self.name = name
        self.running = False
        self.shared = False
        self.session = None
        self.status = None
        self.directory = None
        self.log_path = None
        self._final_log = ""
        self._leases = []

    # What a subclass fills in.

    def _start(self):
        raise NotImplementedError

    def _stop(self):
        """Stop the processes; may raise to report that they ended badly."""
        if self.session:
            self.status, _ = self.session.stop()

    # What a test uses.

    def start(self):
        """Start and wait for readiness; a failure leaves nothing behind."""
        if self.running:
            raise RuntimeError(f"{self.name} runs already")
        self.running = True
        Server.evidence.append(self)
        try:
            self.prepare()
            self._start()
        except BaseException as problem:
            try:
                self.stop()
            except Exception as another:  # the first problem says more
                problem.add_note(f"and then: {another}")
            raise
        return self

    def stop(self):
        """Stop everything and remove the private directory. Idempotent."""
        try:
            if self.running:
                self._stop()
        finally:
            self._sweep()

    def _sweep(self):
        """The unconditional half of stop()."""
        try:
            if self.session:
                self.session.kill()
        finally:
            self._final_log = self.log()
            self.running = False
            self.session = None
            while self._leases:
                self._leases.pop().release()
            if self.directory:
                self._private.remove()
                self.directory = self.log_path = None

    def __enter__(self):
        return self if self.running else self.start()

    def __exit__(self, kind, value, trace):
        self.stop()

    def prepare(self):
        """Make the private directory, for files wanted before start()."""
        if self.directory is None:
            self._private = PrivateDirectory(self.name)
            self.directory = self._private.path
        return self.directory

    def lease(self, hosts=("127.0.0.1",)):
        """Reserve a loopback port until stop(); returns the number."""
        self._leases.append(Lease(hosts))
        return self._leases[-1].port

    def log(self):
        """The whole log so far; still available after stop()."""
        if self.log_path is None:
            return self._final_log
        try:
            return Path(self.log_path).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def mark(self):
        """The present end of the log, for wait_log(since=...)."""
        return len(self.log())

    def wait_log(self, pattern, timeout=15.0, since=0):
        """Wait for a line that matches; returns the match object."""
        regex = re.compile(pattern, re.MULTILINE)
        return wait_until(lambda: regex.search(self.log()[since:]), timeout,
                          f"/{pattern}/ in the log of {self.name}")

    # What a subclass uses.

    def _spawn(self, argv, output, **options):
        self.session = Session(argv, output, **options)
        return self.session

    def _wait_ready(self, probe, timeout):
        """Wait for a handshake, but not for a server that has died."""
        def alive_and_ready():
            if not self.session.running():
                raise RuntimeError(
                    f"{self.name} ended with status {self.session.leader.returncode}"
                    " before it was ready")
            return probe()
        return wait_until(alive_and_ready, timeout, f"readiness of {self.name}")
