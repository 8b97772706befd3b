#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The daemon's life under a real Postfix: sockets, signals, and processes that die."""

import grp
import os
import pwd
import re
import signal
import socket
import stat
from contextlib import ExitStack
from pathlib import Path

from harness import Lease, Postfix, Scriptletd, case, run, wait_until
from harness.daemon import handshake
from harness.process import loopback_hosts, processes
from rig import mail, module, no_script_errors, outcome, same

MARK = module("mark", validate_data_spool="""msg, ac, vctx:
    msg:header("X-Mark", "seen")
    return msys.core.VALIDATE_CONT""",
              init="self: print('init runs') return true",
              deinit="self: print('deinit runs') return true")


def start(**options):
    """A daemon that marks every mail, with a socket for Postfix; all its workers serve."""
    daemon = Scriptletd({"mark": MARK}, socket_group="postfix", **options).start()
    daemon.wait_log("process: ready")
    return daemon


def front(daemon, address=None):
    """A Postfix before it."""
    return Postfix(milters=[address or daemon.address]).start()


def flows(mta, recipient="flow@example.com"):
    """A mail goes through the policy to the sink."""
    with mta.client() as smtp:
        smtp.ehlo()
        result = smtp.send("a@example.org", recipient, mail())
        assert result.accepted, result.last
        smtp.quit()
    same(mta.sink.wait_for(recipient).header("X-Mark"), ["seen"])


def path_of(address):
    """The path of a unix socket's address."""
    return Path(address.removeprefix("unix:"))


def ended(daemon):
    """Wait for the daemon's end; stop() judges its exit status."""
    daemon.session.leader.wait(30)
    wait_until(lambda: not daemon.processes(), 10, "the end of all processes")


def workers(daemon):
    """The workers, by the name that ps shows."""
    return [row.pid for row in processes() if row.parent == daemon.pid and row.alive
            and row.command == "scriptletd:work"]


# Sockets

@case("a unix socket has the mode, owner and group that the settings say")
def _():
    for mode, group in (("0660", "postfix"), ("0604", "mail")):
        with start(settings={"socket_mode": mode, "socket_group": group}) as daemon:
            path = path_of(daemon.address)
            status = path.lstat()
            assert stat.S_ISSOCK(status.st_mode)
            same(oct(stat.S_IMODE(status.st_mode)), oct(int(mode, 8)))
            same((pwd.getpwuid(status.st_uid).pw_name, grp.getgrgid(status.st_gid).gr_name),
                 ("nobody", group))
            daemon.session.send(signal.SIGTERM)
            ended(daemon)
            assert not os.path.lexists(path), "left behind"


@case("unix, inet and inet6 sockets at once, and mail by each")
def _():
    hosts = loopback_hosts()
    lease = Lease(hosts)
    shared = Scriptletd(name="directory")
    addresses = [f"unix:{shared.prepare()}/run/one", f"unix:{shared.directory}/run/two",
                 *(f"inet{'6' * (':' in host)}:{lease.port}@{host}" for host in hosts)]
    try:
        with start(listen=addresses) as daemon:
            for number, address in enumerate(addresses):
                with front(daemon, address) as mta:
                    flows(mta, f"way{number}@example.com")
            no_script_errors(daemon)
    finally:
        lease.release()
        shared.stop()


@case("no process keeps root's rights")
def _():
    with start(settings={"workers": 2}) as daemon:
        nobody = pwd.getpwnam("nobody").pw_uid
        rows = daemon.processes()
        same(len(rows), 4)
        for row in rows:
            status = Path(f"/proc/{row.pid}/status").read_text(encoding="ascii")
            same(re.search(r"^Uid:\s+(.*)$", status, re.M)[1].split(), [str(nobody)] * 4)
            same(re.search(r"^CapEff:\s+(.*)$", status, re.M)[1], "0" * 16)


@case("the stale socket of a daemon that was killed is replaced")
def _():
    first = start(expect_exit=None)
    first.session.kill()
    assert path_of(first.address).exists() and not handshake(first.address)
    with start(listen=first.address) as second, front(second) as mta:
        flows(mta)
    first.stop()


@case("a socket on which another daemon listens is a fatal error")
def _():
    with start() as first, front(first) as mta:
        path = path_of(first.address)
        for arguments in ((), ("-f",)):
            same(outcome(Scriptletd({"mark": MARK}, listen=first.address), *arguments),
                 (71, f"scriptletd: another process is listening on {path}\n"))
        flows(mta)


@case("a port on which somebody listens is a fatal error")
def _():
    with socket.create_server(("127.0.0.1", 0)) as occupant:
        port = occupant.getsockname()[1]
        status, words = outcome(Scriptletd({"mark": MARK}, listen=f"inet:{port}@127.0.0.1"), "-f")
    same((status, words), (71, f"scriptletd: cannot listen on port {port} of 127.0.0.1: "
                               "Address already in use\n"))


@case("a file in the place of the socket is left alone")
def _():
    daemon = Scriptletd({"mark": MARK})
    path = daemon.prepare() / "run" / "milter.sock"
    path.write_text("precious", encoding="ascii")
    kept = path.with_name("kept")
    os.link(path, kept)
    status, words = outcome(daemon, "-f")
    same((status, words), (71, "scriptletd: run/milter.sock exists and is no socket\n"))


# The end

def in_the_middle(mta):
    """A client that has sent half a message."""
    smtp = mta.client()
    smtp.ehlo()
    assert smtp.mail("a@example.org").ok and smtp.rcpt("drain@example.com").ok
    assert smtp.data().code == 354
    smtp.raw(b"Subject: half\r\n\r\n")
    return smtp


@case("while it stops, who connects is soon refused, not left waiting")
def _():
    lease = Lease(["127.0.0.1"])
    try:
        with (start(listen=f"inet:{lease.port}@127.0.0.1", settings={"workers": 2}) as daemon,
              front(daemon) as mta, in_the_middle(mta) as smtp):
            daemon.signal(signal.SIGTERM)
            daemon.wait_log("process: stopping")

            def refused():
                try:
                    socket.create_connection(("127.0.0.1", lease.port), 5).close()
                except ConnectionRefusedError:
                    return True
                return False

            wait_until(refused, 30, "the first refusal")
            assert daemon.session.running()
            same(smtp.body(b"end\r\n").code, 250)
            smtp.quit()
            ended(daemon)
    finally:
        lease.release()


for signo in (signal.SIGTERM, signal.SIGINT):
    @case(f"{signo.name} lets sessions finish")
    def _(signo=signo):
        with (start(settings={"workers": 2}) as daemon, front(daemon) as mta,
              ExitStack() as stack):
            # So many that every worker has some.
            clients = [stack.enter_context(in_the_middle(mta)) for _ in range(8)]
            daemon.signal(signo)
            daemon.wait_log("process: stopping")
            wait_until(lambda: not handshake(daemon.address), 30, "end of new sessions")
            for smtp in clients:
                assert daemon.session.running()
                same(smtp.body(b"end\r\n").code, 250)
            for smtp in clients:
                assert smtp.send("a@example.org", "second@example.com", mail()).accepted
                assert daemon.session.running()
                smtp.quit()
            ended(daemon)
            for message in mta.sink.wait(16):
                same(message.header("X-Mark"), ["seen"])
            same(daemon.log().count("deinit runs"), 1)
            assert not path_of(daemon.address).exists()


@case("drain_timeout ends what does not end by itself")
def _():
    with start(settings={"drain_timeout": 1}) as daemon, front(daemon) as mta:
        with in_the_middle(mta) as smtp:
            daemon.signal(signal.SIGTERM)
            daemon.wait_log(r"drain_timeout \(1 s\) passed, 1 connections? (is|are) cut off")
            ended(daemon)
            same(smtp.body(b"end\r\n").code, 451)
        same(daemon.log().count("deinit runs"), 1)


@case("SIGHUP loads the configuration anew, in processes of its own")
def _():
    with start() as daemon, front(daemon) as mta:
        before = set(workers(daemon))
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("ready: generation 2")
        wait_until(lambda: not before & set(workers(daemon)), 10, "the end of the old workers")
        flows(mta)


# Processes that die

@case("a worker that is killed is replaced, and mail flows on")
def _():
    with start(settings={"workers": 2}) as daemon, front(daemon) as mta:
        victims = workers(daemon)
        same(len(victims), 2)
        with in_the_middle(mta) as smtp:
            for pid in victims:
                os.kill(pid, signal.SIGKILL)
                daemon.wait_log(rf"the worker {pid} was ended by signal 9 \(Killed\)")
            same(smtp.body(b"end\r\n").code, 451)
        daemon.wait_log(r"(?s)(the worker \d+ takes over.*){2}")
        same(len(workers(daemon)), 2)
        assert not set(workers(daemon)) & set(victims)
        for number in range(4):
            flows(mta, f"after{number}@example.com")


@case("the init process is replaced, and mail flows on")
def _():
    with start() as daemon, front(daemon) as mta:
        [init] = [row.pid for row in daemon.processes()
                  if row.pid not in (daemon.pid, *workers(daemon))]
        os.kill(init, signal.SIGKILL)
        daemon.wait_log(rf"the init process {init} was ended by signal 9")
        daemon.wait_log(r"the init process \d+ takes over")
        flows(mta)
    same(daemon.log().count("deinit runs"), 1)


@case("a supervisor that is killed takes its processes with it")
def _():
    with start(expect_exit=None) as daemon, front(daemon) as mta:
        flows(mta)
        os.kill(daemon.pid, signal.SIGKILL)
        ended(daemon)
        assert not handshake(daemon.address)


if __name__ == "__main__":
    run(needs=[Postfix.check])
