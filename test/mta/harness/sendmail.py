# SPDX-License-Identifier: MIT
"""A private Sendmail.

Debian's sendmail-bin and postfix exclude each other, so Sendmail is not
installed: its packages are downloaded into a cache and unpacked there, and the
program runs from the cache with a configuration built for this one instance.
Whatever is accepted goes to a Sink by way of a smart host.
"""

import atexit
import fcntl
import os
import pwd
import re
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from .client import Client
from .postfix import milter_address
from .process import PrivateDirectory, listeners, loopback_hosts
from .server import Missing, Server, need, wait_until
from .sink import Sink
from .tls import self_signed

PROGRAM = "usr/libexec/sendmail/sendmail"
PACKAGES = ("sendmail-bin", "sendmail-cf", "sendmail-base")
# Where the program's libraries come from, should the loader miss one.
LIBRARIES = "liblockfile1 libnsl2 libwrap0 libldap-2.5-0 libdb5.3 libsasl2-2 libssl3"

# Nothing outside the private directory is read, nothing is delivered locally,
# and the load of the machine changes nothing.
MC = """\
divert(-1)
define(`MAIL_SETTINGS_DIR', `{etc}/')
divert(0)dnl
OSTYPE(`linux')dnl
define(`confDOMAIN_NAME', `{hostname}')dnl
define(`confPID_FILE', `{directory}/sendmail.pid')dnl
define(`QUEUE_DIR', `{directory}/queue')dnl
define(`ALIAS_FILE', `')dnl
define(`HELP_FILE', `')dnl
define(`STATUS_FILE', `{directory}/statistics')dnl
define(`confSERVICE_SWITCH_FILE', `{etc}/service.switch')dnl
define(`confRUN_AS_USER', `{user}')dnl
define(`confDONT_PROBE_INTERFACES', `True')dnl
define(`confTO_IDENT', `0')dnl
define(`confQUEUE_LA', `100000')dnl
define(`confREFUSE_LA', `100000')dnl
define(`confDELAY_LA', `0')dnl
define(`confMIN_FREE_BLOCKS', `0')dnl
define(`confLOG_LEVEL', `14')dnl
define(`confMILTER_LOG_LEVEL', `14')dnl
define(`confCOPY_ERRORS_TO', `')dnl
define(`confDOUBLE_BOUNCE_ADDRESS', `')dnl
define(`confDONT_BLAME_SENDMAIL',
`GroupReadableKeyFile,GroupWritableDirPathSafe')dnl
define(`SMART_HOST', `relay:[127.0.0.1]')dnl
define(`MAIL_HUB', `relay:[127.0.0.1]')dnl
define(`RELAY_MAILER_ARGS', `TCP $h {sink}')dnl
FEATURE(`nocanonify')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`accept_unqualified_senders')dnl
FEATURE(`no_default_msa')dnl
{lines}
MAILER(`smtp')dnl
"""

PRELOAD = Path(__file__).with_name("sendmail_preload.c")


@lru_cache(maxsize=None)
def default_cache():
    """Beside the build directory; without one, a folder that lasts for this run."""
    build = os.environ.get("SCRIPTLETD_BUILD")
    if build:
        return Path(build).resolve().parent / "sendmail"
    private = PrivateDirectory("sendmail-cache")
    atexit.register(private.remove)
    return private.path


@contextmanager
def locked(directory):
    """Tests that run in parallel fill the cache once."""
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def unpack(cache):
    """The unpacked packages below the cache, downloaded if need be."""
    root = cache / "root"
    with locked(cache):
        if not root.exists():
            apt, dpkg = need("apt-get", "dpkg-deb")
            with tempfile.TemporaryDirectory(dir=cache) as work:
                done = subprocess.run(
                    [apt, "-q", "-o", "APT::Sandbox::User=root", "download", *PACKAGES],
                    cwd=work, capture_output=True, text=True, check=False, timeout=300)
                if done.returncode:
                    raise Missing(f"cannot download {' '.join(PACKAGES)}: {done.stderr.strip()}")
                for package in sorted(Path(work).glob("*.deb")):
                    subprocess.run([dpkg, "-x", package, f"{work}/root"], check=True, timeout=60)
                # Set-group-id as packaged: the loader would ignore LD_PRELOAD.
                (Path(work) / "root" / PROGRAM).chmod(0o755)
                os.rename(f"{work}/root", root)
    program = root / PROGRAM
    linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=True,
                            timeout=30).stdout
    if "not found" in linked:
        raise Missing(f"Sendmail needs some of the packages {LIBRARIES}: {linked}")
    return root


def build_preload(cache):
    """The library that cuts Sendmail off from the machine; see its source."""
    [compiler] = need("cc")
    library = cache / "sendmail_preload.so"
    with locked(cache):
        if not library.exists() or library.stat().st_mtime < PRELOAD.stat().st_mtime:
            subprocess.run([compiler, "-O1", "-Wall", "-shared", "-fPIC", "-o", library, PRELOAD],
                           check=True, capture_output=True, timeout=60)
    return library


class Sendmail(Server):
    """One Sendmail instance.

    sink        where mail goes; without one, the instance makes its own
    milters     in the notation of libmilter; or whole argument lists of
                INPUT_MAIL_FILTER ("S=unix:/x, F=T, T=R:20s")
    milter_flag F= of those given by address: T tempfails without the milter,
                R rejects, an empty string goes on
    tls         offer STARTTLS with a certificate made at start
    mc          more lines for the .mc file, before the MAILER lines
    user        RunAsUser
    cache       folder of the unpacked packages; by default "sendmail" beside
                the directory that SCRIPTLETD_BUILD names, else a temporary one

    Accepts any recipient from loopback. It has no XCLIENT: the client is
    always localhost.
    """

    def __init__(self, sink=None, milters=(), milter_flag="T", tls=False, mc=(),
                 user="nobody:nogroup", cache=None, name="sendmail"):
        super().__init__(name)
        self.own_sink = sink is None
        self.sink = Sink(f"{name}-sink") if sink is None else sink
        self.milters = list(milters)
        self.milter_flag = milter_flag
        self.tls = tls
        self.mc = list(mc)
        self.user = user
        self.cache = Path(cache) if cache else None
        self.hosts = loopback_hosts()
        self.hostname = "mx.sendmail.test"
        self.port = None
        self.root = None

    @staticmethod
    def check():
        """Raise Missing unless this machine can run it, the download apart."""
        if os.geteuid() != 0:
            raise Missing("Sendmail needs root")
        need("m4", "cc", "ldd", "apt-get", "dpkg-deb", "openssl")

    # Start and stop.

    def _start(self):
        self.check()
        cache = self.cache or default_cache()
        self.root = unpack(cache)
        preload = build_preload(cache)
        if self.own_sink and not self.sink.running:
            self.sink.start()
        self.port = self.lease(self.hosts)
        self._configure()
        self.transcript_path = self.directory / "transcript"
        self.log_path = self.directory / "syslog"
        for path in (self.transcript_path, self.log_path, self.directory / "statistics"):
            path.touch()
            path.chmod(0o666)
        self._environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LD_PRELOAD": str(preload),
                             "HARNESS_LOG": str(self.log_path), "HARNESS_HOST": self.hostname}
        self._spawn([*self._program(), "-bD", "-X", self.transcript_path],
                    self.directory / "output", env=self._environment, cwd=self.directory)
        self._wait_ready(self._listens, 30)

    def _stop(self):
        try:
            if self.session:
                self.status, _ = self.session.stop()
                if self.status not in (0, -signal.SIGTERM):
                    raise RuntimeError(f"{self.name}: ended with {self.status}")
        finally:
            if self.own_sink:
                self.sink.stop()

    def _program(self):
        return [self.root / PROGRAM, "-C",
                self.directory / "etc/sendmail.cf"]

    def _uid(self):
        return pwd.getpwnam(self.user.partition(":")[0]).pw_uid

    def _configure(self):
        etc, queue = self.directory / "etc", self.directory / "queue"
        etc.mkdir()
        queue.mkdir(mode=0o700)
        os.chown(queue, self._uid(), -1)
        (etc / "service.switch").write_text("hosts files\naliases files\n", encoding="ascii")
        source = MC.format(directory=self.directory, etc=etc, user=self.user,
                           hostname=self.hostname, sink=self.sink.port,
                           lines="\n".join(self._lines(etc)))
        (etc / "sendmail.mc").write_text(source, encoding="utf-8")
        cf = self.root / "usr/share/sendmail/cf"
        [m4] = need("m4")
        done = subprocess.run([m4, f"-D_CF_DIR_={cf}/", cf / "m4/cf.m4", etc / "sendmail.mc"],
                              capture_output=True, text=True, check=True, timeout=60)
        if done.stderr:
            raise RuntimeError(f"m4: {done.stderr}")
        (etc / "sendmail.cf").write_text(done.stdout, encoding="utf-8")

    def _lines(self, etc):
        """The part of the .mc file that depends on the arguments."""
        for host in self.hosts:
            family = "inet6" if ":" in host else "inet"
            yield (f"DAEMON_OPTIONS(`Name=MTA-{family}, Family={family}, "
                   f"Addr={host}, Port={self.port}, M=A')dnl")
        if self.tls:
            certificate, key = self_signed(etc, self.hostname)
            os.chown(key, self._uid(), -1)
            for option, path in (("CACERT", certificate), ("SERVER_CERT", certificate),
                                 ("SERVER_KEY", key), ("CACERT_PATH", etc)):
                yield f"define(`conf{option}', `{path}')dnl"
        for number, milter in enumerate(self.milters):
            if not milter.startswith("S="):
                flag = f", F={self.milter_flag}" if self.milter_flag else ""
                milter = f"S={milter}{flag}"
            yield f"INPUT_MAIL_FILTER(`milter{number}', `{milter}')dnl"
        yield from self.mc

    def _listens(self):
        """Ready when the kernel says so.

        Not a connection: that would already be one to the milter. And not the
        pid file: Sendmail writes it before it listens.
        """
        return listeners(self.port) == len(self.hosts)

    # What a test uses.

    def client(self, host="127.0.0.1", **options):
        """A new SMTP connection."""
        return Client(host, self.port, **options)

    def command(self, *arguments):
        """Run the program in another mode on this instance; returns its output."""
        done = subprocess.run([*self._program(), *map(str, arguments)], capture_output=True,
                              stdin=subprocess.DEVNULL, check=False, timeout=60,
                              env=self._environment, cwd=self.directory)
        return (done.stdout + done.stderr).decode(errors="replace")

    def flush(self):
        """Try all queued mail now.

        A queue run skips what another process still has in hand, and the log
        tells of a delivery before its process lets go.
        """
        wait_until(lambda: not self._locked(), 30, "unlocked queue")
        self.command("-q")

    def _locked(self):
        """The queue files that some process works on."""
        busy = []
        for path in (self.directory / "queue").glob("qf*"):
            try:
                with open(path, "rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                busy.append(path)
            except FileNotFoundError:
                pass
        return busy

    def queue(self):
        """Ids of the messages in the queue; "hf" files are quarantined ones."""
        return [path.name[2:] for path in (self.directory / "queue").iterdir()
                if path.name[:2] in ("qf", "hf")]

    def quarantined(self):
        """Ids of the messages that a milter put into quarantine."""
        return [path.name[2:] for path in (self.directory / "queue").glob("hf*")]

    def queue_empty(self):
        """Whether nothing waits and nothing is under way."""
        return not self.queue()

    def transcript(self):
        """Both sides of every SMTP conversation (option -X)."""
        return self.transcript_path.read_text(encoding="utf-8", errors="replace")

    def complaints(self):
        """Log lines that no healthy run contains."""
        return re.findall(r"^.*(?:SYSERR|Milter.*error|to error state|savemail panic).*$",
                          self.log(), re.MULTILINE)

    def log(self):
        """The system log of this instance; what it printed comes last."""
        text = super().log()
        if self.directory is not None:
            output = self.directory / "output"
            if output.exists():
                text += output.read_text(encoding="utf-8", errors="replace")
        return text
