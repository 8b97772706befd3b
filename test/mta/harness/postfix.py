# SPDX-License-Identifier: MIT
"""A private Postfix.

Configuration, queue, data directory and log lie in one temporary directory;
the installed package lends its programs and its two accounts, nothing else.
Whatever is accepted goes to a Sink by way of relayhost.

master(8) is run directly, in the foreground: "postfix start" would check and
repair the layout of the queue with a shell script that takes longer than most
tests, and would leave us a daemon that is nobody's child.
"""

import grp
import os
import pwd
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

from .client import Client, wire
from .process import loopback_hosts
from .server import Missing, Server, need
from .sink import Sink
from .tls import self_signed

# The services of a stock master.cf that a relay needs, none of them chrooted.
# "ready" answers our handshake: a session there reaches no milter, so the test
# starts with a milter that has seen nothing.
MASTER = """\
{port}     inet  n - n -     - smtpd
ready      unix  n - n -     - smtpd
    -o syslog_name=ready -o smtpd_milters= -o smtpd_milter_maps=
    -o smtpd_client_restrictions= -o smtpd_delay_reject=yes
pickup     unix  n - n 60    1 pickup
cleanup    unix  n - n -     0 cleanup
qmgr       unix  n - n 300   1 qmgr
tlsmgr     unix  - - n 1000? 1 tlsmgr
rewrite    unix  - - n -     - trivial-rewrite
bounce     unix  - - n -     0 bounce
defer      unix  - - n -     0 bounce
trace      unix  - - n -     0 bounce
verify     unix  - - n -     1 verify
flush      unix  n - n 1000? 0 flush
proxymap   unix  - - n -     - proxymap
proxywrite unix  - - n -     1 proxymap
smtp       unix  - - n -     - smtp
relay      unix  - - n -     - smtp
showq      unix  n - n -     - showq
error      unix  - - n -     - error
retry      unix  - - n -     - error
discard    unix  - - n -     - discard
anvil      unix  - - n -     1 anvil
scache     unix  - - n -     1 scache
"""

# Last of all: as soon as this socket exists, master(8) logs through it, and
# what it says before it gives up ("address already in use") would be lost.
POSTLOG = "postlog    unix-dgram n - n - 1 postlogd\n"

# Directory: owner, group, mode; as "postfix set-permissions" would make them.
QUEUE = {
    **{name: ("postfix", "root", 0o700)
       for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold",
                    "incoming", "private", "saved", "trace")},
    "maildrop": ("postfix", "postdrop", 0o730),
    "public": ("postfix", "postdrop", 0o710),
    "pid": ("root", "root", 0o755),
}

COMPLAINT = re.compile(r"^.*(?:panic:|fatal:|error:|bad command startup|killed by signal"
                       r"|warning: (?:process|.*milter|cleanup|smtpd)).*$",
                       re.MULTILINE | re.IGNORECASE)


def milter_address(address):
    """libmilter writes inet:PORT@HOST, Postfix inet:HOST:PORT."""
    match = re.fullmatch(r"inet6?:(\d+)@\[?([^]]+)\]?", address)
    if not match:
        return re.sub(r"^local:", "unix:", address)
    port, host = match.groups()
    return f"inet:[{host}]:{port}" if ":" in host else f"inet:{host}:{port}"


class Postfix(Server):
    """One Postfix instance.

    sink            where mail goes; without one, the instance makes its own
    milters         smtpd_milters, in the notation of libmilter or of Postfix
    non_smtpd_milters   the same, for submit()
    domains         accepted from any client; others only from loopback, which
                    XCLIENT may leave
    tls             offer STARTTLS with a certificate made at start
    parameters      main.cf settings, overriding those below
    services        more master.cf lines; lease() gives ports for them
    """

    DOMAINS = ("example.com", "example.net", "example.org")

    def __init__(self, sink=None, milters=(), non_smtpd_milters=(), domains=DOMAINS,
                 tls=False, parameters=None, services=(), name="postfix"):
        super().__init__(name)
        self.own_sink = sink is None
        self.sink = Sink(f"{name}-sink") if sink is None else sink
        self.milters = list(milters)
        self.non_smtpd_milters = list(non_smtpd_milters)
        self.domains = domains
        self.tls = tls
        self.parameters = dict(parameters or {})
        self.services = list(services)
        self.hosts = loopback_hosts()
        self.port = None
        self.programs = None

    @staticmethod
    def check():
        """Raise Missing unless this machine can run it."""
        if os.geteuid() != 0:
            raise Missing("Postfix needs root")
        need("postfix", "postconf", "postqueue", "sendmail", "openssl")
        try:
            pwd.getpwnam("postfix"), grp.getgrnam("postdrop")
        except KeyError as problem:
            raise Missing(f"Postfix account: {problem}") from problem

    # Start and stop.

    def _start(self):
        self.check()
        if self.own_sink and not self.sink.running:
            self.sink.start()
        self.port = self.lease(self.hosts)
        self._layout()
        self._configure()
        self._spawn([self.programs / "master", "-d", "-c", self.directory / "etc"],
                    self.directory / "master.out", env=self._environment(),
                    cwd=self.directory)
        self._wait_ready(self._greets, 30)

    def _stop(self):
        try:
            if self.session:
                self.status, killed = self.session.stop()
                if self.status not in (0, -signal.SIGTERM):
                    raise RuntimeError(f"{self.name}: master ended with {self.status}")
                if killed:
                    raise RuntimeError(f"{self.name}: did not stop by itself: {killed}")
        finally:
            if self.own_sink:
                self.sink.stop()

    def _layout(self):
        """The directories, owned as the daemons insist on."""
        for name in ("etc", "queue", "data"):
            (self.directory / name).mkdir()
        os.chown(self.directory / "data", pwd.getpwnam("postfix").pw_uid, -1)
        (self.directory / "data").chmod(0o700)
        for name, (owner, group, mode) in QUEUE.items():
            path = self.directory / "queue" / name
            path.mkdir()
            os.chown(path, pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid)
            path.chmod(mode)
        self.log_path = self.directory / "maillog"

    def _configure(self):
        [postconf] = need("postconf")
        version, self.programs = self._defaults(postconf)
        settings = {
            "compatibility_level": ".".join(version.split(".")[:2]),
            "config_directory": self.directory / "etc",
            "queue_directory": self.directory / "queue",
            "data_directory": self.directory / "data",
            "maillog_file": self.log_path,
            "maillog_file_prefixes": self.directory,
            "myhostname": "mx.postfix.test",
            "mydomain": "postfix.test",
            "myorigin": "$myhostname",
            "mydestination": "",
            "mynetworks": "127.0.0.0/8 [::1]/128",
            "inet_interfaces": ", ".join(self.hosts),
            "inet_protocols": "all" if len(self.hosts) > 1 else "ipv4",
            "relay_domains": " ".join(self.domains),
            "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
            "relayhost": f"[127.0.0.1]:{self.sink.port}",
            "local_transport": "error:no local delivery",
            "alias_maps": "",
            "alias_database": "",
            "local_recipient_maps": "",
            "notify_classes": "",
            "disable_dns_lookups": "yes",
            "smtp_host_lookup": "native",
            "smtpd_peername_lookup": "no",
            "smtpd_authorized_xclient_hosts": "127.0.0.0/8 [::1]/128",
            "smtpd_authorized_xforward_hosts": "127.0.0.0/8 [::1]/128",
            # Tests make mistakes on purpose, often and from one address.
            "smtpd_error_sleep_time": "0",
            "smtpd_client_connection_count_limit": "0",
            "in_flow_delay": "0",
            "minimal_backoff_time": "5s",
            "maximal_backoff_time": "5s",
            "queue_run_delay": "5s",
            "smtpd_milters": ", ".join(map(milter_address, self.milters)),
            "non_smtpd_milters": ", ".join(map(milter_address, self.non_smtpd_milters)),
        }
        if self.tls:
            certificate, key = self_signed(self.directory / "etc", "mx.postfix.test")
            settings |= {
                "smtpd_tls_security_level": "may",
                "smtpd_tls_cert_file": certificate,
                "smtpd_tls_key_file": key,
                "smtpd_tls_loglevel": "1",
                "smtpd_tls_received_header": "yes",
            }
        settings |= self.parameters
        etc = self.directory / "etc"
        (etc / "main.cf").write_text(
            "".join(f"{key} = {value}\n" for key, value in settings.items()), encoding="utf-8")
        (etc / "master.cf").write_text(
            MASTER.format(port=self.port) + "".join(f"{line}\n" for line in self.services)
            + POSTLOG, encoding="utf-8")
        (etc / "dynamicmaps.cf").write_text("", encoding="utf-8")
        # A file changed within the last second might still be being written,
        # so every Postfix program would wait until it looks settled.
        for path in etc.iterdir():
            os.utime(path, (time.time() - 60,) * 2)

    def _defaults(self, postconf):
        """Version and program directory, which the package compiled in."""
        lines = subprocess.run(
            [postconf, "-c", self.directory / "etc", "-d", "-h", "mail_version",
             "daemon_directory"],
            capture_output=True, text=True, check=True, timeout=30).stdout.splitlines()
        return lines[0], Path(lines[1])

    def _environment(self):
        # POSTLOG_*: what postfix(1) would set. Without it a program uses syslog
        # until it has read main.cf, and master(8) until it serves.
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C",
                "MAIL_CONFIG": str(self.directory / "etc"),
                "POSTLOG_SERVICE": str(self.directory / "queue/public/postlog"),
                "POSTLOG_HOSTNAME": "mx"}

    def _greets(self):
        """A banner from a socket that only this instance can own.

        master(8) opens its sockets before it serves any, so the TCP ports are
        open by then as well.
        """
        path = self.directory / "queue/public/ready"
        if not path.exists():
            return False
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            try:
                sock.connect(str(path))
                return sock.recv(512).startswith(b"220")
            except ConnectionError:
                return False

    # What a test uses.

    def client(self, host="127.0.0.1", **options):
        """A new SMTP connection."""
        return Client(host, self.port, **options)

    def command(self, program, *arguments, data=b"", check=True):
        """Run a Postfix command on this instance; returns its output."""
        [path] = need(program)
        done = subprocess.run([path, "-C" if program == "sendmail" else "-c",
                               self.directory / "etc", *map(str, arguments)],
                              input=data, capture_output=True, check=False, timeout=60,
                              env=self._environment(), cwd=self.directory)
        if check and done.returncode:
            raise RuntimeError(f"{program}: {done.stderr.decode(errors='replace')}")
        return (done.stdout + done.stderr).decode(errors="replace")

    def submit(self, sender, recipients, content):
        """Hand in a message by sendmail(1): the way of non_smtpd_milters."""
        recipients = [recipients] if isinstance(recipients, str) else recipients
        content = wire(content).replace(b"\r\n", b"\n")
        self.command("sendmail", "-i", "-f", sender, "--", *recipients, data=content)

    def flush(self):
        """Try all deferred mail now."""
        self.command("postqueue", "-f")

    def queue(self, *names):
        """Queue ids in these queues (default: all), for example "hold"."""
        ids = []
        for name in names or ("maildrop", "incoming", "active", "deferred", "hold", "corrupt"):
            ids += [path.name for path in (self.directory / "queue" / name).rglob("*")
                    if path.is_file()]
        return ids

    def queue_empty(self):
        """Whether nothing waits, nothing is held and nothing is under way."""
        return not self.queue()

    def complaints(self):
        """Log lines that no healthy run contains."""
        return COMPLAINT.findall(self.log())

    def log(self):
        """The mail log; before that works, master's own words."""
        text = super().log()
        if self.directory is not None:
            out = self.directory / "master.out"
            if out.exists():
                text += out.read_text(encoding="utf-8", errors="replace")
        return text
