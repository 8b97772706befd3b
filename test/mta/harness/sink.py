# SPDX-License-Identifier: MIT
"""An SMTP server that swallows mail and remembers it.

The mail server under test delivers here, so a test sees what would have left
the house: the envelope with its ESMTP parameters, and every byte of the
message. It can be told to refuse, for queues and bounces.
"""

import email
import email.policy
import re
import socketserver
import threading
import time
from dataclasses import dataclass, field

from .server import Server

STAGES = ("connect", "ehlo", "mail", "rcpt", "data", "end")
EXTENSIONS = ("PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN",
              "SIZE 104857600")
PATH = re.compile(rb"(?:FROM|TO):\s*<([^>]*)>\s*(.*)", re.IGNORECASE | re.DOTALL)


@dataclass
class Message:
    """One delivered message."""

    sender: str
    recipients: list
    data: bytes = b""
    helo: str = ""
    sender_parameters: list = field(default_factory=list)
    recipient_parameters: dict = field(default_factory=dict)

    @property
    def message(self):
        """The content, parsed."""
        return email.message_from_bytes(self.data, policy=email.policy.default)

    @property
    def body(self):
        """All after the first empty line, as delivered."""
        return self.data.partition(b"\r\n\r\n")[2]

    def header(self, name):
        """The raw values of one header, top to bottom, unfolded by nothing."""
        head = b"\r\n" + self.data.partition(b"\r\n\r\n")[0]
        values = re.findall(rb"\r\n" + re.escape(name.encode()) +
                            rb":[ \t]?((?:[^\r]|\r(?!\n)|\r\n(?=[ \t]))*)",
                            head, re.IGNORECASE)
        return [value.decode("utf-8", "surrogateescape") for value in values]


class _Handler(socketserver.StreamRequestHandler):
    """One SMTP session."""

    timeout = 120
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self.sink = self.server.sink
        self.helo = ""
        self.mail = None

    def handle(self):
        try:
            if not self.refused("connect", ""):
                self.say("220 sink.test ESMTP")
            while line := self.rfile.readline(65536):
                self.sink.note("C", line)
                if not self.command(line.rstrip(b"\r\n")):
                    return
        except (ConnectionError, TimeoutError):
            pass

    def say(self, *lines):
        """Send one reply; the code of several lines stands on the first."""
        code = lines[0][:3]
        wire = [f"{code}-{line[4:]}" for line in lines[:-1]] + [f"{code} {lines[-1][4:]}"]
        for line in wire:
            self.sink.note("S", line.encode())
        self.wfile.write("".join(line + "\r\n" for line in wire).encode())

    def refused(self, stage, subject):
        """Give the refusal that the test ordered for this stage, if any."""
        reply = self.sink.refusal(stage, subject)
        if reply:
            self.say(reply)
        return bool(reply)

    def command(self, line):
        """One command; False ends the session."""
        verb, _, argument = line.partition(b" ")
        verb = verb.upper().decode("latin-1")
        if verb in ("EHLO", "HELO"):
            self.helo = argument.decode("latin-1")
            self.mail = None
            if not self.refused("ehlo", self.helo):
                extra = EXTENSIONS if verb == "EHLO" else ()
                self.say("250 sink.test", *(f"250 {word}" for word in extra))
        elif verb == "MAIL":
            path, parameters = self.address(argument)
            if not self.refused("mail", path):
                self.mail = Message(path, [], helo=self.helo, sender_parameters=parameters)
                self.say("250 2.1.0 ok")
        elif verb == "RCPT" and self.mail:
            path, parameters = self.address(argument)
            if not self.refused("rcpt", path):
                self.mail.recipients.append(path)
                self.mail.recipient_parameters[path] = parameters
                self.say("250 2.1.5 ok")
        elif verb == "DATA" and self.mail and self.mail.recipients:
            if not self.refused("data", ""):
                self.data()
        elif verb == "RSET":
            self.mail = None
            self.say("250 2.0.0 ok")
        elif verb == "NOOP":
            self.say("250 2.0.0 ok")
        elif verb == "QUIT":
            self.say("221 2.0.0 bye")
            return False
        else:
            self.say("503 5.5.1 not now")
        return True

    @staticmethod
    def address(argument):
        """Path and parameters of MAIL FROM or RCPT TO."""
        match = PATH.match(argument)
        if not match:
            return argument.decode("utf-8", "replace"), []
        return (match[1].decode("utf-8", "surrogateescape"),
                match[2].decode("utf-8", "surrogateescape").split())

    def data(self):
        """The message itself, dots unstuffed."""
        self.say("354 go on")
        chunks = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                raise ConnectionError("closed in the middle of a message")
            chunks.append(line[1:] if line.startswith(b".") else line)
        message, self.mail = self.mail, None
        message.data = b"".join(chunks)
        if not self.refused("end", message.sender):
            # Kept before it is answered: a sender that has seen 250 may look.
            self.sink.keep(message)
            self.say("250 2.0.0 kept")


class _Listener(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128


class Sink(Server):
    """The SMTP server at the end of the line, on a port of its own."""

    def __init__(self, name="sink"):
        super().__init__(name)
        self.port = None
        self.messages = []
        self._changed = threading.Condition()
        self._refusals = []
        self._talk = []
        self._listener = None

    def prepare(self):
        """No files, hence no directory."""

    def _start(self):
        self._listener = _Listener(("127.0.0.1", 0), _Handler)
        self._listener.sink = self
        self.port = self._listener.server_address[1]
        threading.Thread(target=self._listener.serve_forever, args=(0.05,),
                         name=f"{self.name}:{self.port}", daemon=True).start()

    def _stop(self):
        if self._listener:
            self._listener.shutdown()
            self._listener.server_close()
            self._listener = None

    def log(self):
        """Both sides of every conversation, the messages themselves left out."""
        return "".join(self._talk)

    # What a test asks.

    def wait(self, count=1, timeout=30.0):
        """Wait until at least count messages are here; returns all of them."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.messages) >= count, timeout):
                raise TimeoutError(f"{len(self.messages)} of {count} messages "
                                   f"within {timeout:g} s")
            return list(self.messages)

    def wait_for(self, recipient, timeout=30.0):
        """Wait for a message to this recipient; returns the first one.

        Lets several cases share one sink: each uses recipients of its own.
        """
        def find():
            return next((one for one in self.messages if recipient in one.recipients), None)
        with self._changed:
            if not self._changed.wait_for(find, timeout):
                raise TimeoutError(f"nothing for {recipient} within {timeout:g} s")
            return find()

    def clear(self):
        """Forget the messages; returns them."""
        with self._changed:
            taken, self.messages = self.messages, []
            return taken

    def refuse(self, stage, reply, match="", count=None):
        """From now on answer this stage with this reply.

        match is a regular expression that the address or HELO name must
        contain; count limits how often. Stages: connect, ehlo, mail, rcpt,
        data (the command), end (after the final dot).
        """
        if stage not in STAGES:
            raise ValueError(f"no such stage: {stage}")
        with self._changed:
            self._refusals.append([stage, reply, re.compile(match), count])

    def accept(self):
        """Take back all refusals."""
        with self._changed:
            self._refusals.clear()

    # What a session tells.

    def refusal(self, stage, subject):
        """The reply ordered for this stage, or nothing."""
        with self._changed:
            for order in self._refusals:
                if order[0] == stage and order[2].search(subject) and order[3] != 0:
                    if order[3] is not None:
                        order[3] -= 1
                    return order[1]
        return None

    def keep(self, message):
        """A message has arrived."""
        with self._changed:
            self.messages.append(message)
            self._changed.notify_all()

    def note(self, side, line):
        """One line of a conversation, for the log."""
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        self._talk.append(f"{time.strftime('%H:%M:%S')} {side}: {text}\n")
