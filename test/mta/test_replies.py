#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the SMTP client is told, word for word, by Postfix and by Sendmail.

Each phase gives every form of reply on one connection, so that a reply which
stuck to the connection would show at the next message.
"""

from harness import Disconnected, Postfix, Sendmail, case, run
from rig import both, mail, module, no_script_errors, policy, same

# Kind of reply, as in policies/replies.lua: code, enhanced code, lines.
KINDS = {
    "hard": (550, "5.7.1", ["not from you"]),
    "soft": (451, "4.7.1", ["come back later"]),
    "bare": (554, None, ["no enhanced code here"]),
    "multi": (550, "5.7.1", ["first line", "second line", "third line"]),
    "percent": (550, "5.7.1", ["100% refused: %d %s %n %% 50%"]),
    "softmulti": (450, "4.2.1", ["one", "two"]),
}
CRASH = "451 4.3.0 temporary issue, please retry your message later"
# Phase: whose address asks for the reply, and which command gets it.
PHASES = {
    "mailfrom": ("sender", "mail"),
    "rcptto": ("recipient", "rcpt"),
    "list": ("recipient", "rcpt"),
    "final": ("recipient", "data"),
    "data": ("sender", "end"),
    "spool": ("sender", "end"),
    "each": ("recipient", "end"),
}
SITES = both()


def wording(site, phase, kind, address):
    """The reply as this mail server words it."""
    code, xcode, lines = KINDS[kind]
    lines = list(lines)
    if site.make is Sendmail:
        # Its own habits: an address where the command has one, a code always.
        if code in (450, 550) and phase in ("mailfrom", "rcptto", "list"):
            lines[0] = f"<{address}>... {lines[0]}"
        xcode = xcode or f"{code // 100}.0.0"
    return f"{code} " + "\n".join(f"{xcode} {line}" if xcode else line for line in lines)


def envelope(phase, key):
    """Sender, recipient, and the address of the two that asks."""
    if PHASES[phase][0] == "sender":
        return f"{key}@example.org", "b@example.com", f"{key}@example.org"
    return "a@example.org", f"{key}@example.com", f"{key}@example.com"


def answer(result, stage):
    """The reply to one command of a message that got no further."""
    same(str(result.last), str({"mail": result.mail, "rcpt": (result.rcpt or [None])[-1],
                                "data": result.data, "end": result.end}[stage]))
    return str(result.last)


def closes(smtp):
    """Assert that the server has hung up."""
    try:
        raise AssertionError(f"still open: {smtp.line()}")
    except Disconnected:
        pass


def every_reply(site, phase):
    """All kinds of reply at one phase, a good message, then the 421."""
    stage = PHASES[phase][1]
    good = f"good-{phase}@example.com"
    with site.daemon({"replies": policy("replies")}) as daemon:
        with site.client() as smtp:
            for kind in KINDS:
                sender, recipient, address = envelope(phase, f"{phase}-{kind}")
                result = smtp.send(sender, recipient, mail())
                same(answer(result, stage), wording(site, phase, kind, address))
            assert smtp.send("a@example.org", good, mail()).accepted
            sender, recipient, _ = envelope(phase, f"{phase}-twohundred")
            assert smtp.send(sender, recipient, mail()).accepted, "2xx is no refusal"
            no_script_errors(daemon)
            sender, recipient, _ = envelope(phase, f"{phase}-crash")
            same(answer(smtp.send(sender, recipient, mail()), stage), CRASH)
            daemon.wait_log(r"scriptlet-00239.* replies error: .*replies\.lua:\d+: asked to fail")
            sender, recipient, _ = envelope(phase, f"{phase}-close")
            result = smtp.send(sender, recipient, mail())
            same(answer(result, stage), f"421 4.3.2 closing at {phase}")
            closes(smtp)
    assert site.sink.wait_for(good).recipients == [good]


def every_ehlo_reply(site):
    """The same for EHLO, which no MTA refuses itself: the refusal comes with the message.

    Both of them keep it for the whole connection, so each reply has its own.
    """
    with site.daemon({"replies": policy("replies")}) as daemon:
        for kind in KINDS:
            with site.client(ehlo=f"ehlo-{kind}.test") as smtp:
                result = smtp.send("a@example.org", "b@example.com", mail())
                same(str(first_refusal(result)), wording(site, "ehlo", kind, None))
                assert smtp.quit().code == 221
        with site.client(ehlo="ehlo-twohundred.test") as smtp:
            assert smtp.send("a@example.org", "good-ehlo@example.com", mail()).accepted
        with site.client(ehlo=None) as smtp:
            same(str(smtp.ehlo("ehlo-close.test")), "421 4.3.2 closing at ehlo")
            closes(smtp)
        no_script_errors(daemon)
        with site.client(ehlo="ehlo-crash.test") as smtp:
            result = smtp.send("a@example.org", "b@example.com", mail())
            same(str(first_refusal(result)), CRASH)
    site.sink.wait_for("good-ehlo@example.com")


def first_refusal(result):
    """The reply to MAIL or RCPT that refused a message."""
    return next(reply for reply in [result.mail, *result.rcpt] if not reply.ok)


def some_recipients(site):
    """One recipient refused by rcptto, one by the list: the third gets the mail, once."""
    with site.daemon({"replies": policy("replies")}) as daemon:
        with site.client() as smtp:
            one, bad, two, worse, three = recipients = [
                f"{name}@example.com" for name in ("one", "rcptto-hard", "two", "list-soft",
                                                   "three")]
            result = smtp.send("a@example.org", recipients, mail())
            assert result.accepted, result.last
            same([reply.code for reply in result.rcpt], [250, 550, 250, 451, 250])
            same(str(result.rcpt[1]), wording(site, "rcptto", "hard", bad))
            same(str(result.rcpt[3]), wording(site, "list", "soft", worse))
            smtp.quit()
        same(sorted(arrived(site, [one, two, three])), sorted([one, two, three]))
        no_script_errors(daemon)
    delivered = [rcpt for message in site.sink.messages for rcpt in message.recipients]
    assert bad not in delivered and worse not in delivered, delivered


def arrived(site, recipients):
    """The recipients of all messages that came for these, each as often as it came."""
    for recipient in recipients:
        site.sink.wait_for(recipient)
    return [rcpt for message in site.sink.messages for rcpt in message.recipients
            if rcpt in recipients]


def at_connect(site, action, connect_reply, talk):
    """A connection that validate_connect refuses."""
    lua = module("gate", validate_connect=f"ac, vctx: {action} return msys.core.VALIDATE_CONT")
    with site.daemon({"gate": lua}, settings={"connect_reply": connect_reply}) as daemon:
        with site.client(ehlo=None) as smtp:
            talk(smtp)
        no_script_errors(daemon)


def refused_for_good(smtp):
    """The banner is as ever; nothing that follows is taken, and the client hears why."""
    assert smtp.banner.code == 220, smtp.banner
    smtp.ehlo()
    for _ in range(2):
        result = smtp.send("a@example.org", "b@example.com", mail())
        same(str(first_refusal(result)), "550 5.7.1 go %d\n5.7.1 away")
    smtp.ehlo()
    assert not smtp.send("a@example.org", "b@example.com", mail()).accepted
    assert smtp.quit().code == 221


def refused_at_once(smtp):
    """libmilter allows no text here: the banner itself says no."""
    assert smtp.banner.code == 554, smtp.banner
    smtp.ehlo()
    assert not smtp.send("a@example.org", "b@example.com", mail()).accepted


def deferred(smtp):
    """A temporary refusal in the script's words."""
    smtp.ehlo()
    result = smtp.send("a@example.org", "b@example.com", mail())
    same(str(first_refusal(result)), "451 4.7.1 later")


def closed_at_helo(smtp):
    """The connection goes with the answer to EHLO."""
    assert smtp.banner.code == 220
    same(str(smtp.ehlo()), "421 4.3.2 too busy")
    closes(smtp)


def deferred_at_once(smtp):
    """libmilter has no way to close here: every message is put off in the MTA's words."""
    smtp.ehlo()
    refused = first_refusal(smtp.send("a@example.org", "b@example.com", mail()))
    assert 400 <= refused.code < 500 and "busy" not in refused.text, refused


HARD = 'vctx:set_code(550, "5.7.1 go %d\\naway")'
SOFT = 'vctx:set_code(451, "4.7.1 later")'
CLOSE = 'vctx:disconnect(421, "4.3.2 too busy")'
CONNECTS = [(HARD, "helo", refused_for_good, "550 said from HELO on"),
            (HARD, "connect", refused_at_once, "554 in the banner"),
            (SOFT, "helo", deferred, "451 said from HELO on"),
            (CLOSE, "helo", closed_at_helo, "421 at HELO"),
            (CLOSE, "connect", deferred_at_once, "a temporary refusal without text")]

for one_site in SITES:
    for one_phase in PHASES:
        case(f"{one_site.name}: every form of reply at {one_phase}")(
            lambda site=one_site, phase=one_phase: every_reply(site, phase))
    case(f"{one_site.name}: every form of reply at ehlo")(
        lambda site=one_site: every_ehlo_reply(site))
    case(f"{one_site.name}: refused recipients are left out, the others get the mail")(
        lambda site=one_site: some_recipients(site))
    for row in CONNECTS:
        case(f"{one_site.name}: connect_reply {row[1]}, {row[3]}")(
            lambda site=one_site, row=row: at_connect(site, *row[:3]))


if __name__ == "__main__":
    run(needs=[Postfix.check, Sendmail.check])
