#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Proves the harness itself, without the daemon.

When an end-to-end test fails, the first question is whether the servers around
the daemon were at fault. These cases answer it.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness import (Client, Disconnected, Lease, Postfix, Raw, Scriptletd, Sendmail, Sink,
                     case, keep, run, wait_until)
from harness.daemon import settings_text
from harness.process import Session, leftovers
from harness.tls import self_signed

MAIL = "From: a@example.org\nTo: b@example.com\nSubject: hello\n\nfirst\n.dotted\n..twice\n"
BODY = b"first\r\n.dotted\r\n..twice\r\n"

_kept = {}


def postfix():
    """One Postfix for all cases that need nothing special."""
    if "postfix" not in _kept:
        _kept["postfix"] = keep(Postfix(tls=True))
        _kept["postfix"].sink.shared = True
        _kept["postfix"].start()
    return _kept["postfix"]


def deliver(mta, recipient, **client):
    """One mail all the way; returns what the sink got."""
    with mta.client(**client) as smtp:
        assert smtp.banner.code == 220
        assert smtp.ehlo().ok
        result = smtp.send("a@example.org", recipient, MAIL)
        assert result.accepted, result.last
        assert smtp.quit().code == 221
    return mta.sink.wait_for(recipient)


# The client, the sink and the configuration writer need no mail server.

@case("client and sink understand each other, dots and all")
def _():
    with Sink() as sink:
        with Client(port=sink.port) as smtp:
            assert "DSN" in {word.split()[0] for word in smtp.ehlo().lines[1:]}
            assert smtp.extensions["SIZE"] == "104857600"
            assert smtp.send("", ["x@example.com", "y@example.com"], MAIL).accepted
        [message] = sink.wait(1)
        assert message.sender == "" and message.recipients == ["x@example.com", "y@example.com"]
        assert message.body == BODY and message.header("subject") == ["hello"]
        sink.refuse("rcpt", "550 5.1.1 nobody", match="^nobody@", count=1)
        with Client(port=sink.port) as smtp:
            smtp.ehlo()
            result = smtp.send("a@example.org", ["nobody@example.com", "b@example.com"], MAIL)
            assert [reply.code for reply in result.rcpt] == [550, 250]
            assert result.rcpt[0].enhanced == "5.1.1" and result.accepted


@case("settings come out as libconfig")
def _():
    text = settings_text({
        "a": 'say "hi"\\\n', "b": True, "c": 5000000000, "d": 1.0, "e": ["x", "y"],
        "f": ({"name": "m"},), "g": {"h": []}, "i": Raw("0x1F"), "gone": None})
    assert text == ('a = "say \\"hi\\"\\\\\\n";\nb = true;\nc = 5000000000L;\nd = 1.0;\n'
                    'e = ["x", "y"];\nf = ({\n    name = "m";\n  });\n'
                    'g = {\n  h = [];\n};\ni = 0x1F;\n'), text


@case("a leased port is refused until someone listens, and is not given twice")
def _():
    leases = [Lease() for _ in range(50)]
    assert len({lease.port for lease in leases}) == len(leases)
    try:
        Client(port=leases[0].port)
        raise AssertionError("connected to a closed port")
    except ConnectionRefusedError:
        pass
    for lease in leases:
        lease.release()


# Postfix

@case("a mail goes through Postfix to the sink")
def _():
    message = deliver(postfix(), "one@example.com")
    assert message.sender == "a@example.org"
    assert message.body == BODY, message.body
    assert message.message["Subject"] == "hello"
    wait_until(postfix().queue_empty, 10, "empty queue")
    assert not postfix().complaints(), postfix().complaints()


@case("Postfix listens on ::1 too")
def _():
    if len(postfix().hosts) > 1:
        deliver(postfix(), "six@example.com", host="::1")
        postfix().wait_log(r"connect from unknown\[::1\]")


@case("XCLIENT gives the client any address and name")
def _():
    with postfix().client() as smtp:
        smtp.ehlo()
        assert "ADDR" in smtp.extensions["XCLIENT"]
        assert smtp.xclient(addr="2001:db8::25", name="mail.example.org").code == 220
        smtp.ehlo("helo.example.org")
        result = smtp.send("a@example.org", ["two@example.com", "x@elsewhere.test"], MAIL)
        assert [reply.code for reply in result.rcpt] == [250, 554], "no longer from loopback"
        assert result.accepted
    received = postfix().sink.wait_for("two@example.com").header("Received")[0]
    assert "from helo.example.org (mail.example.org [IPv6:2001:db8::25])" in received, received


@case("Postfix speaks TLS")
def _():
    with postfix().client() as smtp:
        smtp.ehlo()
        assert smtp.starttls().code == 220
        assert smtp.socket.version().startswith("TLSv1")
        assert "STARTTLS" not in smtp.ehlo().lines and "STARTTLS" not in smtp.extensions
        assert smtp.send("a@example.org", "tls@example.com", MAIL).accepted
    assert "using TLSv1" in postfix().sink.wait_for("tls@example.com").header("Received")[0]


@case("the client can be rude: pipelining, nonsense, an abrupt end")
def _():
    with postfix().client() as smtp:
        smtp.raw(b"EHLO x\r\nNONSENSE\r\nMAIL FROM:<a@example.org>\r\n")
        assert smtp.reply().code == 250
        assert smtp.reply().code in (500, 502)
        assert smtp.reply().code == 250
        assert smtp.rcpt("gone@example.com").ok and smtp.data().code == 354
        start = postfix().mark()
        smtp.raw(b"Subject: half a mess")
        smtp.abort()
    postfix().wait_log(r"lost connection after DATA", since=start)
    with postfix().client() as smtp:
        smtp.quit()
        try:
            smtp.socket = Client(port=postfix().port).socket
            smtp.raw(b"QUIT\r\n")
            smtp.reply()
            smtp.reply()
            raise AssertionError("a reply after QUIT")
        except Disconnected:
            pass


@case("mail is submitted by sendmail(1)")
def _():
    postfix().submit("a@example.org", "local@example.com", MAIL)
    assert postfix().sink.wait_for("local@example.com").body == BODY


@case("refused for now stays in the queue, refused for good bounces")
def _():
    with Postfix() as mta:
        mta.sink.refuse("rcpt", "450 4.2.1 later", match="^later@")
        mta.sink.refuse("rcpt", "550 5.1.1 never", match="^never@")
        with mta.client() as smtp:
            smtp.ehlo()
            assert smtp.send("a@example.org", ["later@example.com"], MAIL).accepted
            assert smtp.send("a@example.org", ["never@example.com"], MAIL).accepted
        bounce = mta.sink.wait_for("a@example.org")
        assert bounce.sender == "" and b"5.1.1 never" in bounce.data
        mta.wait_log(r"status=deferred .*4\.2\.1 later")
        wait_until(lambda: mta.queue("deferred"), 10, "deferred mail")
        mta.sink.accept()
        mta.flush()
        mta.sink.wait_for("later@example.com")
        wait_until(mta.queue_empty, 10, "empty queue")


@case("Postfix asks its milters: one that is not there means 451")
def _():
    closed = Lease()
    with Postfix(milters=[f"inet:{closed.port}@127.0.0.1"],
                 parameters={"milter_default_action": "tempfail"}) as mta:
        with mta.client() as smtp:
            smtp.ehlo()
            assert smtp.mail("a@example.org").code == 451
        mta.wait_log(r"connect to Milter service inet:127\.0\.0\.1:\d+: Connection refused")
        assert mta.complaints()
    closed.release()


@case("a Postfix that cannot start says so and leaves nothing")
def _():
    with Sink() as occupant:
        before = {row.pid for row in leftovers()}
        mta = Postfix(services=[f"127.0.0.1:{occupant.port} inet n - n - - smtpd"])
        try:
            mta.start()
            raise AssertionError("started on an occupied port")
        except RuntimeError:
            pass
        assert "Address already in use" in mta.log(), mta.log()
        assert mta.directory is None and not mta.sink.running
        assert {row.pid for row in leftovers()} <= before


# Sendmail

@case("a mail goes through Sendmail to the sink")
def _():
    with Sendmail() as mta:
        message = deliver(mta, "one@example.com")
        assert message.body == BODY, message.body
        assert "by mx.sendmail.test (8." in message.header("Received")[0]
        mta.wait_log(r"stat=Sent \(kept\)")
        wait_until(mta.queue_empty, 10, "empty queue")
        assert not mta.complaints(), mta.complaints()
        assert "<<< MAIL FROM:<a@example.org>" in mta.transcript()
        if len(mta.hosts) > 1:
            deliver(mta, "six@example.com", host="::1")


@case("Sendmail speaks TLS")
def _():
    with Sendmail(tls=True) as mta:
        with mta.client() as smtp:
            smtp.ehlo()
            assert smtp.starttls().code == 220
            smtp.ehlo()
            assert smtp.send("a@example.org", "tls@example.com", MAIL).accepted
        assert "version=TLSv1" in mta.sink.wait_for("tls@example.com").header("Received")[0]


@case("Sendmail asks its milters: one that is not there means 451")
def _():
    closed = Lease()
    with Sendmail(milters=[f"inet:{closed.port}@127.0.0.1"]) as mta:
        with mta.client() as smtp:
            smtp.ehlo()
            assert smtp.mail("a@example.org").code == 451
        mta.wait_log(r"Milter \(milter0\): to error state")
    closed.release()


@case("mail that Sendmail cannot deliver stays in its queue")
def _():
    with Sendmail() as mta:
        mta.sink.refuse("rcpt", "450 4.2.1 later", count=1)
        with mta.client() as smtp:
            smtp.ehlo()
            assert smtp.send("a@example.org", "later@example.com", MAIL).accepted
        mta.wait_log(r"stat=Deferred: 450 4\.2\.1 later")
        assert len(mta.queue()) == 1 and not mta.quarantined()
        mta.flush()
        mta.sink.wait_for("later@example.com")
        wait_until(mta.queue_empty, 10, "empty queue")


# The class that runs the daemon, tried on a stand-in.

STAND_IN = '''#!{python}
import re, signal, socket, struct, sys
config = open(sys.argv[sys.argv.index("-c") + 1]).read()
path = re.search(r'listen = "unix:([^"]+)"', config)[1]
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("started", *sys.argv[1:], file=sys.stderr, flush=True)
print({words!r}, file=sys.stderr, flush=True)
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen()
while True:
    peer = server.accept()[0]
    peer.recv(1000)
    peer.sendall(struct.pack("!IcIII", 13, b"O", 6, 0, 0))
    peer.close()
'''


def stand_in(directory, words):
    """A program that takes the daemon's arguments and answers one handshake."""
    path = Path(directory) / f"stand-in-{len(words)}"
    path.write_text(STAND_IN.format(python=sys.executable, words=words), encoding="utf-8")
    path.chmod(0o755)
    return path


@case("the daemon's runner waits, reads the log and notices a sanitizer report")
def _():
    with tempfile.TemporaryDirectory() as directory:
        with Scriptletd({"first": "return {}"}, binary=stand_in(directory, "")) as daemon:
            daemon.wait_log(r"^started -f -c .*scriptletd\.conf$")
            text = daemon.config_path.read_text(encoding="utf-8")
            assert 'name = "first";' in text and 'listen = "unix:' in text
            assert len(daemon.processes()) == 1
        assert daemon.status == 0 and daemon.directory is None
        daemon = Scriptletd(binary=stand_in(directory, "==1==ERROR: AddressSanitizer: x"))
        daemon.start()
        try:
            daemon.stop()
            raise AssertionError("not noticed")
        except AssertionError as problem:
            assert "AddressSanitizer" in str(problem), problem


# Running side by side, and the end

@case("servers run side by side")
def _():
    servers = [Postfix(name=f"postfix{number}") for number in range(3)]
    servers += [Sendmail(name=f"sendmail{number}") for number in range(2)]
    with ThreadPoolExecutor(len(servers)) as pool:
        list(pool.map(lambda server: server.start(), servers))
        assert len({server.port for server in servers}) == len(servers)
        list(pool.map(lambda server: deliver(server, "many@example.com"), servers))
        list(pool.map(lambda server: server.stop(), servers))
    assert all(len(server.sink.messages) == 1 for server in servers)


VICTIM = """
import sys, time
from harness import Postfix
mta = Postfix().start()
print(mta.session.pid, mta.directory, flush=True)
time.sleep(600)
"""


@case("a test that is killed outright leaves no process and no file")
def _():
    with subprocess.Popen([sys.executable, "-c", VICTIM], stdout=subprocess.PIPE, text=True,
                          cwd=Path(__file__).parent) as victim:
        session, directory = victim.stdout.readline().split()
        watch = Session.__new__(Session)
        watch.pid, watch.strays = int(session), set()
        assert len(watch.members()) > 1 and os.path.isdir(directory)
        victim.send_signal(signal.SIGKILL)
    wait_until(lambda: not watch.members() and not os.path.exists(directory), 15,
               "cleaning up by the guard")


@case("an ill-tempered server is stopped all the same")
def _():
    with tempfile.TemporaryDirectory() as directory:
        script = "trap '' TERM; setsid sleep 300 & sleep 300 & wait; sleep 300"
        session = Session(["sh", "-c", script], f"{directory}/out")
        wait_until(lambda: len(session.members()) >= 3, 10, "its children")
        began = time.monotonic()
        _, killed = session.stop(timeout=0.3)
        assert len(killed) >= 3 and time.monotonic() - began < 5, killed
        assert not session.members()


@case("a certificate is made and kept private")
def _():
    with tempfile.TemporaryDirectory() as directory:
        certificate, key = self_signed(Path(directory), "mail.test")
        assert certificate.read_text().startswith("-----BEGIN CERTIFICATE")
        assert key.stat().st_mode & 0o077 == 0


if __name__ == "__main__":
    run(needs=[Postfix.check, Sendmail.check])
