# SPDX-License-Identifier: MIT
"""An SMTP client that does exactly what it is told.

smtplib repairs, hides and decides; a test wants to send wrong lines, see every
line of a reply and hang up in the middle. One method, one command, one Reply.
"""

import re
import socket
import ssl
import struct
from dataclasses import dataclass, field


class Disconnected(Exception):
    """The server closed the connection instead of answering."""


@dataclass(frozen=True)
class Reply:
    """One reply: the code, and the text of each line without it."""

    code: int
    lines: tuple

    @property
    def text(self):
        """All lines, joined by newlines."""
        return "\n".join(self.lines)

    @property
    def enhanced(self):
        """The enhanced status code ("4.7.1") of the first line, or None."""
        match = re.match(r"([245]\.\d{1,3}\.\d{1,3})(?: |$)", self.lines[0])
        return match[1] if match else None

    @property
    def ok(self):
        """Whether the command was taken (2xx, 3xx)."""
        return 200 <= self.code < 400

    def __str__(self):
        return f"{self.code} {self.text}"


@dataclass
class Transaction:
    """The replies to one message, up to where it was refused."""

    mail: Reply = None
    rcpt: list = field(default_factory=list)
    data: Reply = None
    end: Reply = None

    @property
    def last(self):
        """The reply that decided."""
        return self.end or self.data or (self.rcpt[-1] if self.rcpt else self.mail)

    @property
    def accepted(self):
        """Whether the server took responsibility for the message."""
        return self.end is not None and self.end.code == 250


def xtext(value):
    """XCLIENT attribute values are xtext encoded (RFC 3461)."""
    return "".join(char if 33 <= ord(char) <= 126 and char not in "+=" else f"+{ord(char):02X}"
                   for char in value)


def wire(data):
    """Text becomes UTF-8 with CRLF line ends; bytes stay as they are."""
    if isinstance(data, str):
        return re.sub(r"\r?\n", "\r\n", data).encode("utf-8", "surrogateescape")
    return data


class Client:
    """One connection; the greeting is in .banner."""

    def __init__(self, host="127.0.0.1", port=25, timeout=30.0, read_banner=True):
        self.socket = socket.create_connection((host, port), timeout)
        self.extensions = {}
        self._buffer = b""
        self.banner = None
        if read_banner:
            try:
                self.banner = self.reply()
            except BaseException:
                self.close()
                raise

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.close()

    # The wire.

    def raw(self, data):
        """Send bytes (or text, as Latin-1) and read nothing."""
        self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def line(self):
        """One line of the server, without its line end."""
        while b"\n" not in self._buffer:
            try:
                chunk = self.socket.recv(65536)
            except (ConnectionError, ssl.SSLError) as problem:
                raise Disconnected(str(problem)) from problem
            if not chunk:
                raise Disconnected(f"after {self._buffer!r}")
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.rstrip(b"\r").decode("utf-8", "surrogateescape")

    def reply(self):
        """A whole reply, however many lines it has."""
        lines = []
        while True:
            line = self.line()
            if not re.match(r"\d{3}([ -]|$)", line):
                raise ValueError(f"not an SMTP reply: {line!r}")
            lines.append(line[4:])
            if line[3:4] != "-":
                return Reply(int(line[:3]), tuple(lines))

    def command(self, line):
        """Send one line, read one reply."""
        self.raw(line.encode("utf-8", "surrogateescape") + b"\r\n")
        return self.reply()

    # The commands.

    def ehlo(self, name="client.test"):
        """EHLO; .extensions maps keywords to their parameters."""
        reply = self.command(f"EHLO {name}")
        self.extensions = {}
        if reply.ok:
            for line in reply.lines[1:]:
                keyword, _, parameters = line.partition(" ")
                self.extensions[keyword.upper()] = parameters
        return reply

    def helo(self, name="client.test"):
        """HELO."""
        return self.command(f"HELO {name}")

    def starttls(self, context=None, name="mail.test"):
        """STARTTLS and the handshake; any certificate will do by default."""
        reply = self.command("STARTTLS")
        if reply.code == 220:
            if context is None:
                context = ssl.create_default_context()
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket, server_hostname=name)
            self._buffer = b""
        return reply

    def xclient(self, **attributes):
        """Postfix's XCLIENT: addr=, name=, helo=, port=, proto=, login=, ...

        An address with a colon gets its IPV6: prefix. The answer is a new
        greeting, after which the session begins again with EHLO.
        """
        words = []
        for key, value in attributes.items():
            value = str(value)
            if key.lower() in ("addr", "destaddr") and ":" in value:
                value = value if value.upper().startswith("IPV6:") else f"IPV6:{value}"
            words.append(f"{key.upper()}={xtext(value)}")
        return self.command("XCLIENT " + " ".join(words))

    def mail(self, sender, *parameters):
        """MAIL FROM; the address comes without brackets."""
        return self.command(" ".join([f"MAIL FROM:<{sender}>", *parameters]))

    def rcpt(self, recipient, *parameters):
        """RCPT TO; the address comes without brackets."""
        return self.command(" ".join([f"RCPT TO:<{recipient}>", *parameters]))

    def data(self):
        """The DATA command alone; then body()."""
        return self.command("DATA")

    def body(self, content):
        """A message after DATA: dots stuffed, ended, answered."""
        content = wire(content)
        if content and not content.endswith(b"\r\n"):
            content += b"\r\n"
        content = re.sub(rb"(^|\r\n)\.", rb"\1..", content)
        self.raw(content + b".\r\n")
        return self.reply()

    def rset(self):
        """RSET."""
        return self.command("RSET")

    def send(self, sender, recipients, content):
        """A whole message; ends with RSET where it is refused half-way."""
        recipients = [recipients] if isinstance(recipients, str) else recipients
        result = Transaction(mail=self.mail(sender))
        if result.mail.ok:
            result.rcpt = [self.rcpt(recipient) for recipient in recipients]
            if any(reply.ok for reply in result.rcpt):
                result.data = self.data()
                if result.data.code == 354:
                    result.end = self.body(content)
                    return result
        if result.last.code != 421:
            self.rset()
        return result

    # The end.

    def quit(self):
        """QUIT, and close."""
        try:
            return self.command("QUIT")
        finally:
            self.close()

    def abort(self):
        """Hang up with a reset, as a crashed or impatient client would."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        """Close without a word."""
        self.socket.close()
