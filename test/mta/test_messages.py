#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Messages as they arrive, and sessions with more than one of them."""

from harness import Postfix, Sendmail, case, run
from rig import both, mail, no_script_errors, policy, same

SITES = both(tls=True)
POSTFIX = SITES[0]
PEERS = ({"network": ["2001:db8::/32"], "context": {"zone": "documentation"}},
         {"network": ["127.0.0.1", "::1"], "context": {"zone": "loopback"}})


def deliver(site, smtp, recipient, **fields):
    """One accepted message; returns it as it arrived."""
    result = smtp.send("a@example.org", recipient, mail(**fields))
    assert result.accepted, result.last
    return site.sink.wait_for(recipient)


def edits(site):
    """Header fields added, replaced, deleted and prepended arrive as meant."""
    with site.daemon({"edit": policy("edit")}) as daemon:
        with site.client() as smtp:
            content = ("X-Many: 1\nFrom: a@example.org\nX-Kept: old\nX-Kept-Top: old\n"
                       "To: b@example.com\nX-Many: 2\nSubject: hello\nX-Remove: 1\n"
                       "x-remove: 2\n\tfolded\nX-MANY: 3\nX-Last: untouched\n\nbody\n")
            assert smtp.send("a@example.org", "edit@example.com", content).accepted
        message = site.sink.wait_for("edit@example.com")
        no_script_errors(daemon)
    for name, values in {
            "X-Early": ["set by validate_data"], "X-Twice": ["set 1 again"],
            "X-New": ["100% new"], "X-Several": ["one", "two", "three"],
            "Subject": ["replaced hello"], "X-Many": ["only one"], "X-Remove": [],
            "X-Absent": [], "X-Kept": ["old", "added"], "X-Kept-Top": ["above", "old"],
            "X-Top": ["first", "second"], "X-Last": ["untouched"],
            "From": ["a@example.org"], "To": ["b@example.com"]}.items():
        same((name, message.header(name)), (name, values))
    same(message.message["X-Umlaut"], "Grüße")
    same(message.body, b"body\r\n")
    names = [name.lower() for name in message.message.keys()]
    assert names.index("x-top") < names.index("from") < names.index("x-last"), names
    assert names.index("x-last") < names.index("x-new") < names.index("x-several"), names


def untouched(site):
    """What no script changes arrives as it was sent, byte by byte."""
    head = (b"From: a@example.org\r\nTo: b@example.com\r\nDate: Sat, 01 Jun 2024 12:00:00 +0000\r\n"
            b"Message-ID: <u@example.org>\r\nX-No-Blank:x\r\nX-Two-Blanks:  x\r\n"
            b"X-Folded: a\r\n\tb\r\n  c\r\nX-Percent: %s%n\r\nX-Empty:\r\n")
    body = b"".join(bytes([byte]) for byte in range(1, 128) if byte not in b"\r\n") + b"\r\n.\r\n"
    with site.daemon({"fates": policy("fates")}):
        with site.client() as smtp:
            assert smtp.send("a@example.org", "bytes@example.com",
                             head + b"Subject: plain\r\n\r\n" + body).accepted
        message = site.sink.wait_for("bytes@example.com")
    same(message.body, body)
    for line in (b"\r\nX-Folded: a\r\n\tb\r\n  c\r\n", b"\r\nX-Percent: %s%n\r\n"):
        assert line in message.data, message.data


def fates(site):
    """Messages on one connection are judged each by itself."""
    with site.daemon({"fates": policy("fates")}) as daemon:
        with site.client() as smtp:
            first = deliver(site, smtp, "first@example.com", subject="one")
            result = smtp.send("b@example.org", "x@example.com", mail("reject"))
            same(str(result.end), "550 5.7.1 no")
            assert smtp.mail("c@example.org").ok and smtp.rcpt("x@example.com").ok
            assert smtp.rset().ok
            result = smtp.send("d@example.org", "refuse@example.com", mail("never"))
            assert result.data is None and result.rcpt[0].code == 550, result.last
            result = smtp.send("e@example.org", "x@example.com", mail("defer"))
            same(str(result.end), "451 4.7.1 not now")
            assert smtp.mail("f@example.org").ok
            smtp.ehlo()
            result = smtp.send("g@example.org", ["refuse@example.com", "last@example.com"],
                               mail("two"))
            assert result.accepted, result.last
            smtp.quit()
        last = site.sink.wait_for("last@example.com")
        over = daemon.wait_log(r"over: (.*) \[")[1]
        no_script_errors(daemon)
    same(over, "connect ehlo mail rcpt one mail rcpt reject mail rcpt mail rcpt mail rcpt defer"
               " mail ehlo mail rcpt rcpt two")
    same((first.header("X-Mark"), first.header("X-Numbers")), (["a"], ["1 1 1"]))
    same((last.header("X-Mark"), last.header("X-Numbers")), (["g"], ["7 2 7"]))
    same(last.recipients, ["last@example.com"])


def hang_up(site):
    """A client that vanishes in mid-message leaves nothing to the next."""
    with site.daemon({"fates": policy("fates")}) as daemon:
        for step in range(4):
            with site.client(f"step{step}.test") as smtp:
                if step > 0:
                    assert smtp.mail(f"gone{step}@example.org").ok
                if step > 1:
                    assert smtp.rcpt("gone@example.com").ok
                if step > 2:
                    assert smtp.data().code == 354
                    smtp.raw(b"Subject: half a mess")
                smtp.abort()
        daemon.wait_log(r"(?s)(over: .*){4}")
        with site.client() as smtp:
            message = deliver(site, smtp, "after@example.com", subject="after")
        same((message.header("X-Mark"), message.header("X-Numbers")), (["a"], ["1 1 1"]))
        no_script_errors(daemon)
    assert all("gone@example.com" not in one.recipients for one in site.sink.messages)


def starttls(site):
    """A second EHLO after STARTTLS: same session, TLS variables set."""
    with site.daemon({"fates": policy("fates")}) as daemon:
        with site.client("plain.test") as smtp:
            assert smtp.starttls().code == 220
            assert smtp.ehlo("secret.test").ok
            cipher, _, bits = smtp.socket.cipher()
            message = deliver(site, smtp, "tls@example.com")
            smtp.quit()
        daemon.wait_log(r"ehlo 1 tls= \[")
        daemon.wait_log(r"ehlo 2 tls=on \[")
        daemon.wait_log(r"over: connect ehlo ehlo mail rcpt hello \[")
        no_script_errors(daemon)
        with site.client() as smtp:
            plain = deliver(site, smtp, "plain@example.com")
    same(message.header("X-Var-tls"), ["tls=on"])
    same(message.header("X-Var-tls_cipher"), [f"tls_cipher={cipher}"])
    same(message.header("X-Var-tls_cipher_usebits"), [f"tls_cipher_usebits={bits}"])
    same(message.header("X-Var-ehlo_domain"), ["ehlo_domain=secret.test"])
    same(plain.header("X-Var-tls"), ["tls="])


def addresses(site):
    """IPv4 and IPv6 clients are told apart by their networks."""
    with site.daemon({"fates": policy("fates")}, settings={"peer": PEERS}) as daemon:
        for host in site.started().hosts:
            recipient = "six@example.com" if ":" in host else "four@example.com"
            with site.client(host=host) as smtp:
                message = deliver(site, smtp, recipient)
            same(message.header("X-Var-zone"), ["zone=loopback"])
            same(message.header("X-Var-can_relay"), ["can_relay=true"])
        no_script_errors(daemon)


for one_site in SITES:
    for what, check in (("header changes arrive as meant", edits),
                        ("what is not changed stays as it was", untouched),
                        ("messages on one connection have their own fates", fates),
                        ("clients that hang up leave nothing behind", hang_up),
                        ("STARTTLS", starttls),
                        ("clients of both address families", addresses)):
        case(f"{one_site.name}: {what}")(lambda site=one_site, check=check: check(site))


@case("Postfix: an IPv6 client by XCLIENT is another session from there on")
def _():
    with POSTFIX.daemon({"fates": policy("fates")}, settings={"peer": PEERS}) as daemon:
        with POSTFIX.client("proxy.test") as smtp:
            assert smtp.xclient(addr="2001:db8::25", name="mail.example.org").code == 220
            assert smtp.ehlo("real.test").ok
            message = deliver(POSTFIX, smtp, "xclient@example.com")
        no_script_errors(daemon)
    same(message.header("X-Var-zone"), ["zone=documentation"])
    same(message.header("X-Var-can_relay"), ["can_relay="])
    same(message.header("X-Var-ehlo_domain"), ["ehlo_domain=real.test"])
    same(message.header("X-Numbers"), ["1 1 1"])


@case("Postfix: who has authenticated is known")
def _():
    with POSTFIX.daemon({"fates": policy("fates")}) as daemon:
        with POSTFIX.client() as smtp:
            assert smtp.xclient(addr="192.0.2.9", login="alice").code == 220
            assert smtp.ehlo().ok
            message = deliver(POSTFIX, smtp, "auth@example.com")
        no_script_errors(daemon)
    same([message.header(f"X-Var-{name}") for name in ("auth_user", "auth_status", "can_relay")],
         [["auth_user=alice"], ["auth_status=pass"], ["can_relay=true"]])


if __name__ == "__main__":
    run(needs=[Postfix.check, Sendmail.check])
