"""The demonstration that contrib/demo runs: one Postfix, one policy, four mails.

It stands on the harness of the end-to-end tests, so nothing of the machine's own mail system is
touched, and nothing is left behind.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "test/mta"))

from harness import Postfix, Scriptletd, Sink  # noqa: E402

POLICY = (ROOT / "conf/scripts/example.lua").read_text()

MAIL = "From: Alice <alice@example.org>\r\nSubject: {}\r\n\r\nHello.\r\n"


def title(text):
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n== {text}", flush=True)


def dialogue(client, line):
    reply = client.command(line)
    print(f"    C: {line}")
    for text in reply.lines:
        print(f"    S: {reply.code} {text}")
    return reply


def mail(client, subject, recipients):
    dialogue(client, "MAIL FROM:<alice@example.org>")
    accepted = [dialogue(client, f"RCPT TO:<{rcpt}>").ok for rcpt in recipients]
    if not any(accepted):
        dialogue(client, "RSET")
        return
    dialogue(client, "DATA")
    print(f"    C: (a mail with the subject {subject!r})")
    reply = client.body(MAIL.format(subject))
    print(f"    S: {reply.code} {reply.text}")


def main():
    title("The policy: conf/scripts/example.lua")
    print("".join(f"    {line}\n" for line in POLICY.splitlines() if line), end="")
    daemon = Scriptletd({"example": POLICY}, socket_group="postfix")
    with Sink() as sink, daemon, Postfix(sink, milters=[daemon.address]) as postfix:
        title(f"A private Postfix on 127.0.0.1:{postfix.port}, filtered by scriptletd")
        with postfix.client() as client:
            dialogue(client, "EHLO client.example.org")
            mail(client, "to Bob", ["bob@example.com"])
            mail(client, "to Bob and nobody", ["nobody@example.com", "bob@example.com"])
            mail(client, "to nobody", ["nobody@example.com"])
            dialogue(client, "QUIT")
        delivered = sink.wait(2, timeout=30)
        title("What was delivered behind Postfix")
        for message in delivered:
            print(f"    to {', '.join(message.recipients)}")
            for name in ("Subject", "X-Example-Policy"):
                print(f"        {name}: {', '.join(message.header(name))}")
        title("What scriptletd logged")
        print("".join(f"    {line}\n" for line in daemon.log().splitlines()), end="")
    title("Stopped, and nothing left behind.")


if __name__ == "__main__":
    main()
