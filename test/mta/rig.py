# SPDX-License-Identifier: MIT
"""What the end-to-end tests share: one mail server for many policies.

A mail server takes longer to start than the daemon, and its configuration is
the same in most cases. So a Site keeps one running and each case starts the
daemon it needs at the address the mail server already knows.
"""

import os
import re
import subprocess
from pathlib import Path

from harness import Postfix, Scriptletd, Sendmail, keep, wait_until
from harness.process import Lease

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parents[1]
SCRIPTLET = os.environ.get("SCRIPTLET", "build/src/scriptlet")
MAIL = ("From: a@example.org\nTo: b@example.com\nSubject: hello\n"
        "Date: Sat, 01 Jun 2024 12:00:00 +0000\nMessage-ID: <1@example.org>\n\nbody\n")


def mail(subject="hello", body="body\n", **fields):
    """A message; underscores in names of further fields stand for hyphens."""
    lines = [f"{name.replace('_', '-')}: {value}\n"
             for name, value in {"From": "a@example.org", "To": "b@example.com",
                                 "Subject": subject, **fields}.items()]
    return "".join(lines) + "\n" + body


def policy(name):
    """The source of a policy beside the tests."""
    return (HERE / "policies" / f"{name}.lua").read_text(encoding="utf-8")


def module(name, **callouts):
    """The source of a module: callout -> "parameters: body"."""
    functions = []
    for callout, text in callouts.items():
        parameters, _, body = text.partition(":")
        functions.append(f"function mod:{callout}({parameters})\n{body}\nend\n")
    return ('require("msys.core")\nlocal mod = {}\n' + "".join(functions)
            + f'msys.registerModule("{name}", mod)\n')


class Site:
    """One mail server, whose milter is whatever daemon runs now.

    make    Postfix or Sendmail, called with the arguments given here and the
            milter's address
    """

    def __init__(self, make, **options):
        self.make = make
        self.options = options
        self.mta = None
        self.address = None
        self._lease = None

    @property
    def name(self):
        """Postfix or Sendmail."""
        return self.make.__name__

    def started(self):
        """The mail server, running."""
        if self.mta is None:
            self._lease = Lease()
            self.address = f"inet:{self._lease.port}@127.0.0.1"
            self.mta = keep(self.make(milters=[self.address], **self.options))
            self.mta.sink.shared = True
            self.mta.start()
        return self.mta

    def daemon(self, scripts, **options):
        """A daemon for this mail server; to be used with `with`."""
        self.started()
        return Scriptletd(scripts, listen=self.address, **options)

    def client(self, ehlo="client.test", **options):
        """A connection that has said EHLO, unless told not to."""
        smtp = self.started().client(**options)
        if ehlo:
            reply = smtp.ehlo(ehlo)
            assert reply.ok, reply
        return smtp

    @property
    def sink(self):
        """Where its mail arrives."""
        return self.mta.sink


def both(**options):
    """A Postfix and a Sendmail site."""
    return [Site(Postfix, **options), Site(Sendmail, **options)]


def same(actual, expected):
    """Assert equality, saying both."""
    assert actual == expected, f"\n  got      {actual!r}\n  expected {expected!r}"


def no_script_errors(daemon):
    """Assert that no callout failed: scripts report what is wrong by error()."""
    found = re.findall(r"^.* error: .*$", daemon.log(), re.MULTILINE)
    assert not found, "\n".join(found[:10])


def drained(mta):
    """Wait until nothing is under way any more."""
    wait_until(mta.queue_empty, 30, "empty queue")


def outcome(daemon, *arguments):
    """Run the daemon where it is to end by itself; returns its status and its words.

    For those that must not come up: start() would take another daemon's answer
    at the same address for theirs.
    """
    try:
        daemon.write_config()
        done = subprocess.run(
            [os.path.abspath(daemon.binary), "-c", daemon.config_path, *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60,
            cwd=daemon.directory)
        same(done.stdout, "")
        return done.returncode, done.stderr.replace(f"{daemon.directory}/", "")
    finally:
        daemon.stop()
