#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Recipients of one message that are judged differently.

What cannot be said in one answer leaves by submission: a copy for those whose
version differs, a bounce for those who were refused.
"""

import re

from harness import Lease, Postfix, Sendmail, case, run
from rig import both, drained, mail, no_script_errors, policy, same

SITES = both()
BODY = ".dot\n..dots\nGr\u00fc\u00dfe\n" + "x" * 900 + "\n" + "line\n" * 20000 + "end\n"
SENDER = "sender@example.org"


class Copies:
    """A daemon with the policy, submitting to the very server it filters for."""

    def __init__(self, site, **settings):
        mta = site.started()
        self.site = site
        self.daemon = site.daemon({"each": policy("each")}, settings={
            "submission": f"inet:{mta.port}@127.0.0.1", **settings})

    def __enter__(self):
        self.site.sink.clear()
        self.daemon.start()
        return self

    def __exit__(self, kind, value, trace):
        self.daemon.stop()

    def send(self, *recipients, sender=SENDER, body=BODY):
        """One message to all; returns what the client was told."""
        with self.site.client() as smtp:
            result = smtp.send(sender, [f"{one}@example.com" for one in recipients],
                               mail(body=body))
            assert all(reply.ok for reply in result.rcpt), result.last
            smtp.quit()
        return result

    def arrivals(self):
        """Wait until nothing is under way; recipient -> its messages."""
        drained(self.site.mta)
        found = {}
        for message in self.site.sink.messages:
            for recipient in message.recipients:
                found.setdefault(recipient.partition("@")[0], []).append(message)
        no_script_errors(self.daemon)
        return found

    def scans(self):
        """What the policy saw, in order."""
        return re.findall(r"scan: (.*) \[", self.daemon.log())


def version(message):
    """What tells the copies apart."""
    same(message.body, BODY.encode().replace(b"\n", b"\r\n"))
    same(message.header("X-Scanned"), ["yes"])
    return message.header("X-Colour"), message.header("Subject"), message.sender


PLAIN = ([], ["hello"], SENDER)
RED = (["red"], ["red hello"], SENDER)
BLUE = (["blue"], ["blue hello"], SENDER)


def refused_and_kept(site):
    """The kept recipient gets the mail, the sender a bounce."""
    with Copies(site) as copies:
        assert copies.send("keep", "refuse").accepted
        site.sink.wait(2)
        found = copies.arrivals()
        same(sorted(found), ["keep", "sender"])
        [kept], [bounce] = found["keep"], found["sender"]
        same(version(kept), PLAIN)
        same(copies.scans(), ["connect", "spool", "each keep@example.com",
                              "each refuse@example.com", "connect"])
    same(bounce.sender, "")
    report = bounce.message
    same((report.get_content_type(), report.get_param("report-type")),
         ("multipart/report", "delivery-status"))
    text, status, original = report.iter_parts()
    assert "<refuse@example.com>: 550 5.7.1 not for you" in text.get_content()
    same(status.get_content_type(), "message/delivery-status")
    per_message, per_recipient = status.get_payload()
    assert per_message["Reporting-MTA"] == f"dns; {hostname(site)}", per_message.items()
    same([per_recipient[name] for name in ("Final-Recipient", "Action", "Status",
                                           "Diagnostic-Code")],
         ["rfc822; refuse@example.com", "failed", "5.7.1", "smtp; 550 5.7.1 not for you"])
    assert "Subject: hello" in original.as_string(), original.as_string()
    same(report["Auto-Submitted"], "auto-replied")


def hostname(site):
    """What the mail server calls itself."""
    return "mx.postfix.test" if site.make is Postfix else "mx.sendmail.test"


def versions(site):
    """Each recipient gets its own version, once, and the copies are not judged again."""
    with Copies(site) as copies:
        assert copies.send("red1", "plain", "blue", "red2", "red3").accepted
        site.sink.wait(3)
        found = copies.arrivals()
        same({one: [version(message) for message in messages]
              for one, messages in found.items()},
             {"red1": [RED], "red2": [RED], "red3": [RED], "plain": [PLAIN], "blue": [BLUE]})
        scans = copies.scans()
        same(sorted(scan for scan in scans if scan != "connect"),
             ["each blue@example.com", "each plain@example.com", "each red1@example.com",
              "each red2@example.com", "each red3@example.com", "spool"])


def versions_and_refusal(site):
    """Both at once: two versions, one bounce."""
    with Copies(site) as copies:
        assert copies.send("red", "refuse", "blue").accepted
        site.sink.wait(3)
        found = copies.arrivals()
        same(sorted(found), ["blue", "red", "sender"])
        same((version(*found["red"]), version(*found["blue"])), (RED, BLUE))
        same(found["sender"][0].sender, "")


def same_version(site):
    """Versions that end equal need no copy: nothing is submitted."""
    with Copies(site, submission="") as copies:
        assert copies.send("red1", "red2").accepted
        site.sink.wait(1)
        found = copies.arrivals()
        same({one: [version(message) for message in messages]
              for one, messages in found.items()}, {"red1": [RED], "red2": [RED]})


def other_recipient(site):
    """A recipient that was exchanged."""
    with Copies(site, submission="") as copies:
        assert copies.send("other", "keep").accepted
        site.sink.wait(1)
        found = copies.arrivals()
        same(sorted(found), ["instead", "keep"])
        same([version(*found[one]) for one in sorted(found)], [PLAIN, PLAIN])


def all_refused(site):
    """One answer is enough: the client hears it, nothing is bounced."""
    with Copies(site) as copies:
        same(str(copies.send("refuse1", "refuse2").end), "550 5.7.1 not for\n5.7.1 you")
        same(copies.arrivals(), {})


def one_deferred(site):
    """The client has to come again for all."""
    with Copies(site) as copies:
        same(str(copies.send("keep", "defer", "refuse").end), "451 4.7.1 not yet")
        same(copies.arrivals(), {})


def null_sender(site):
    """Nobody to tell: no bounce about a bounce."""
    with Copies(site, submission="") as copies:
        assert copies.send("keep", "refuse", sender="").accepted
        site.sink.wait(1)
        found = copies.arrivals()
        same(sorted(found), ["keep"])
        same(version(*found["keep"])[2], "")


def no_bounces(site):
    """bounce_refused_recipients = false: left out without a word."""
    with Copies(site, submission="", bounce_refused_recipients=False) as copies:
        assert copies.send("refuse", "keep").accepted
        site.sink.wait(1)
        same(sorted(copies.arrivals()), ["keep"])


def cannot_submit(site):
    """Where copies cannot be submitted the message is deferred: not lost, not half sent."""
    dead = Lease()
    try:
        for submission in ("", f"inet:{dead.port}@127.0.0.1"):
            with Copies(site, submission=submission) as copies:
                for recipients in (("red", "blue"), ("keep", "refuse")):
                    result = copies.send(*recipients)
                    same(str(result.end),
                         "451 4.3.0 temporary issue, please retry your message later")
                same(copies.arrivals(), {})
                copies.daemon.wait_log("the message is deferred: "
                                       + ("submission to" if submission else ".*'submission'"))
                copies.daemon.wait_log("message: .* nrcpt=2 verdict=tempfail module=none")
    finally:
        dead.release()


for one_site in SITES:
    for what, check in (
            ("one recipient refused, another kept", refused_and_kept),
            ("every recipient gets its own version", versions),
            ("two versions and a refusal", versions_and_refusal),
            ("equal versions leave as one message", same_version),
            ("a recipient exchanged for another", other_recipient),
            ("all recipients refused", all_refused),
            ("one recipient deferred", one_deferred),
            ("no bounce to the null sender", null_sender),
            ("no bounce where the site wants none", no_bounces),
            ("without submission the message is deferred", cannot_submit)):
        case(f"{one_site.name}: {what}")(lambda site=one_site, check=check: check(site))


if __name__ == "__main__":
    run(needs=[Postfix.check, Sendmail.check])
