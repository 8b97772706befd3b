#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fifty sessions at once: no session ever sees anything of another.

Each session connects several times and sends several messages each time, among
them RSETs, refused recipients and messages that are given up. The policy
compares, in every callout, what it kept in `self` with what it is told.
"""

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from harness import Postfix, Sendmail, case, run, wait_until
from rig import Site, mail, no_script_errors, policy, same


class Traffic:
    """What one client at a time sends, and what must come of it."""

    def __init__(self, site, sessions, connections, messages):
        self.site = site
        self.sessions, self.connections, self.messages = sessions, connections, messages

    @property
    def total(self):
        """Messages that are to arrive."""
        return self.sessions * self.connections * self.messages

    def run(self):
        """All sessions at once; returns the recipients that were accepted."""
        with ThreadPoolExecutor(self.sessions) as pool:
            results = list(pool.map(self.session, range(self.sessions)))
        return [recipient for accepted in results for recipient in accepted]

    def session(self, number):
        """One client, connecting several times."""
        return [recipient for connection in range(self.connections)
                for recipient in self.connection(f"s{number}-c{connection}")]

    def connection(self, client):
        """Several messages on one connection."""
        accepted, count = [], 0
        with self.site.client(f"{client}.test", timeout=100) as smtp:
            for number in range(self.messages):
                if number % 4 == 1:
                    count += 1
                    self.give_up(smtp, f"{client}-m{count}", count)
                count += 1
                accepted += self.message(smtp, client, f"{client}-m{count}", count)
            same(smtp.quit().code, 221)
        return accepted

    @staticmethod
    def give_up(smtp, key, count):
        """A transaction that ends before its message."""
        assert smtp.mail(f"{key}@example.org").ok
        if count % 2:
            assert smtp.rcpt(f"{key}-r1@example.com").ok
        assert smtp.rset().ok

    @staticmethod
    def message(smtp, client, key, count):
        """A message to one, two or three, every third time one more who is refused."""
        recipients = [f"{key}-r{one}@example.com" for one in range(1 + count % 3)]
        refused = f"{key}-refused@example.com" if count % 3 == 0 else None
        wanted = ([refused] if refused else []) + recipients
        if refused:
            wanted[0] = wanted[0].replace("-refused", "-r-refused")
        result = smtp.send(f"{key}@example.org", wanted, mail(subject=key, body=f"{key}\n"))
        if refused:
            same(str(result.rcpt[0]).replace(f"<{wanted[0]}>... ", ""),
                 f"550 5.1.1 refused by {client}")
        assert result.accepted, f"{key}: {result.last}"
        same([reply.ok for reply in result.rcpt[-len(recipients):]], [True] * len(recipients))
        return recipients


def concurrent(site, traffic):
    """Run the traffic; everything accepted arrives once, and nothing else does."""
    with site.daemon({"selves": policy("selves")},
                     settings={"workers": 2, "scriptlet": {"states": 2},
                               "log": {"level": "notice"}}) as daemon:
        accepted = traffic.run()
        site.sink.wait(traffic.total, timeout=100)
        wait_until(site.mta.queue_empty, 60, "empty queue")
        sessions = traffic.sessions * traffic.connections
        wait_until(lambda: len(re.findall(r"scriptlet: over: ", daemon.log())) >= sessions, 30,
                   "the end of every session")
        log = daemon.log()
        assert "MIXED UP" not in log, re.findall(r".*MIXED UP.*", log)[:10]
        no_script_errors(daemon)
        over = Counter(re.findall(r"over: (s\d+-c\d+) \d+ \[", log))
        same((len(over), set(over.values())), (sessions, {1}))
    messages = site.sink.clear()
    same(len(messages), traffic.total)
    same(Counter(rcpt for message in messages for rcpt in message.recipients), Counter(accepted))
    for message in messages:
        [key] = message.header("Subject")
        same((message.sender, message.body), (f"{key}@example.org", f"{key}\r\n".encode()))
        same(message.header("X-Client"), [key.rpartition("-")[0]])
        assert all(rcpt.startswith(f"{key}-r") for rcpt in message.recipients), message.recipients
    assert not site.mta.complaints(), site.mta.complaints()[:10]


@case("Postfix: fifty sessions, 2000 messages", timeout=240)
def _():
    site = Site(Postfix)
    site.started()
    concurrent(site, Traffic(site, sessions=50, connections=4, messages=10))


@case("Sendmail: twenty sessions, 120 messages", timeout=240)
def _():
    site = Site(Sendmail)
    site.started()
    concurrent(site, Traffic(site, sessions=20, connections=2, messages=3))


if __name__ == "__main__":
    run(needs=[Postfix.check, Sendmail.check])
