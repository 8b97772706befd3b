#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs a program under the restrictions of a systemd unit, without systemd as process 1.

    CONFINE_UNIT=FILE CONFINE_PROGRAM=FILE CONFINE_USER=USER:GROUP[,GROUP...] \
        CONFINE_HOME=DIR CONFINE_WRITABLE=DIR:DIR confine.py ARGUMENTS

Applied are those settings that a process can apply to itself: the filters of system calls, address
families, namespaces and modes as real seccomp filters, no new privileges, the bounding set of
capabilities, and, as root, user and groups, a private /tmp, and a read-only file system. What the
unit does not set is not applied.
"""

import ctypes
import ctypes.util
import errno
import grp
import os
import pwd
import subprocess
import sys
from pathlib import Path

PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP = 38, 24
CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 0x1000, 0x4000, 0x40000
SYS_MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 1
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
NE, EQ, GT, MASKED_EQ = 1, 4, 6, 7
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}
NAMESPACES = (0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
REALTIME = (1, 2, 6)
SET_ID = (0o4000, 0o2000)

libc = ctypes.CDLL(None, use_errno=True)


class Compare(ctypes.Structure):
    """struct scmp_arg_cmp"""
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int),
                ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def checked(result, what):
    """The result of a call of libc, or its error."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def settings(unit):
    """Name -> values, as a unit file has them."""
    found = {}
    for line in Path(unit).read_text(encoding="utf-8").splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def expand(name):
    """The system calls of a group; a single one is itself."""
    if not name.startswith("@"):
        return {name}
    shown = subprocess.run(["systemd-analyze", "--no-pager", "syscall-filter", name], check=True,
                           capture_output=True, text=True).stdout
    calls = set()
    for line in shown.splitlines()[1:]:
        word = line.strip()
        if word and not word.startswith("#"):
            calls |= expand(word)
    return calls


def allowed_calls(filters):
    """What is left of an allow list after all its lines, as systemd.exec(5) reads them."""
    allowed = expand("@default")
    for line in filters:
        away = line.startswith("~")
        for word in line.lstrip("~").split():
            allowed = allowed - expand(word) if away else allowed | expand(word)
    return allowed


class Filter:
    """One seccomp filter."""

    def __init__(self, default):
        name = ctypes.util.find_library("seccomp") or "libseccomp.so.2"
        self.lib = ctypes.CDLL(name)
        self.lib.seccomp_init.restype = ctypes.c_void_p
        self.context = ctypes.c_void_p(self.lib.seccomp_init(ctypes.c_uint32(default)))

    def rule(self, action, call, *compares):
        """Add a rule; calls that this machine does not have need none."""
        number = self.lib.seccomp_syscall_resolve_name(call.encode())
        if number < 0:
            return
        array = (Compare * len(compares))(*compares)
        result = self.lib.seccomp_rule_add_array(
            self.context, ctypes.c_uint32(action), number, len(compares), array)
        if result < 0:
            raise OSError(-result, f"rule for {call}: {os.strerror(-result)}")

    def load(self):
        """From now on it holds, over exec, too."""
        result = self.lib.seccomp_load(self.context)
        if result < 0:
            raise OSError(-result, f"seccomp_load: {os.strerror(-result)}")


def deny(code):
    """The action that fails with this error."""
    return ERRNO | code


def argument_filter(unit):
    """Settings that look at arguments of system calls."""
    rules = Filter(ALLOW)
    if "RestrictAddressFamilies" in unit:
        kept = {FAMILIES[name] for name in unit["RestrictAddressFamilies"][0].split()}
        for family in set(range(max(kept))) - kept:
            rules.rule(deny(errno.EAFNOSUPPORT), "socket", Compare(0, EQ, family, 0))
        rules.rule(deny(errno.EAFNOSUPPORT), "socket", Compare(0, GT, max(kept), 0))
    if unit.get("RestrictNamespaces") == ["yes"]:
        rules.rule(deny(errno.EPERM), "unshare")
        rules.rule(deny(errno.EPERM), "setns")
        rules.rule(deny(errno.ENOSYS), "clone3")
        for flag in NAMESPACES:
            rules.rule(deny(errno.EPERM), "clone", Compare(0, MASKED_EQ, flag, flag))
    if unit.get("RestrictRealtime") == ["yes"]:
        for policy in REALTIME:
            rules.rule(deny(errno.EPERM), "sched_setscheduler", Compare(1, EQ, policy, 0))
    if unit.get("RestrictSUIDSGID") == ["yes"]:
        for bit in SET_ID:
            for call, argument in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("mkdir", 1),
                                   ("mkdirat", 2), ("mknod", 1), ("mknodat", 2)):
                rules.rule(deny(errno.EPERM), call, Compare(argument, MASKED_EQ, bit, bit))
    if unit.get("LockPersonality") == ["yes"]:
        rules.rule(deny(errno.EPERM), "personality", Compare(0, NE, 0, 0))
    return rules


def call_filter(unit):
    """SystemCallFilter=."""
    rules = Filter(deny(getattr(errno, unit["SystemCallErrorNumber"][0])))
    for call in sorted(allowed_calls(unit["SystemCallFilter"])):
        rules.rule(ALLOW, call)
    return rules


def mount(source, target, kind=None, flags=0):
    """mount(2)"""
    checked(libc.mount(source and str(source).encode(), str(target).encode(),
                       kind and kind.encode(), ctypes.c_ulong(flags), None), f"mount {target}")


def set_read_only(path, on, recursive):
    """mount_setattr(2)"""
    attributes = (ctypes.c_uint64 * 4)(MOUNT_ATTR_RDONLY if on else 0,
                                       0 if on else MOUNT_ATTR_RDONLY, 0, 0)
    checked(libc.syscall(SYS_MOUNT_SETATTR, AT_FDCWD, str(path).encode(),
                         AT_RECURSIVE if recursive else 0, attributes,
                         ctypes.c_size_t(ctypes.sizeof(attributes))), f"mount_setattr {path}")


def confine_files(unit, home, writable):
    """PrivateTmp=, ProtectSystem=strict. `home`, where the test has its files, stays visible."""
    checked(libc.unshare(CLONE_NEWNS), "unshare")
    mount(None, "/", flags=MS_REC | MS_PRIVATE)
    if unit.get("PrivateTmp") == ["yes"]:
        held = os.open(home, os.O_PATH)
        for private in ("/tmp", "/var/tmp"):
            mount("tmpfs", private, "tmpfs")
            os.chmod(private, 0o1777)
        home.mkdir(parents=True, exist_ok=True)
        mount(f"/proc/self/fd/{held}", home, flags=MS_BIND)
        os.close(held)
    if unit.get("ProtectSystem") == ["strict"]:
        for path in writable:
            mount(path, path, flags=MS_BIND)
        set_read_only("/", True, recursive=True)
        for path in (*writable, *(["/tmp"] if unit.get("PrivateTmp") == ["yes"] else [])):
            set_read_only(path, False, recursive=False)


def become(names):
    """User=, Group=, SupplementaryGroups=."""
    user, _, groups = names.partition(":")
    ids = [grp.getgrnam(name).gr_gid for name in groups.split(",")]
    os.setgroups(ids[1:])
    os.setresgid(ids[0], ids[0], ids[0])
    uid = pwd.getpwnam(user).pw_uid
    os.setresuid(uid, uid, uid)


def main(arguments):
    """Apply, then run the program in our place."""
    unit = settings(os.environ["CONFINE_UNIT"])
    # opened now: what was built below /tmp is not to be seen later
    program = os.open(os.environ["CONFINE_PROGRAM"], os.O_PATH)
    # made before anything is forbidden, because this asks systemd-analyze
    filters = [argument_filter(unit), call_filter(unit)]
    os.umask(int(unit["UMask"][0], 8))
    if os.geteuid() == 0:
        confine_files(unit, Path(os.environ["CONFINE_HOME"]),
                      os.environ["CONFINE_WRITABLE"].split(":"))
        if unit.get("CapabilityBoundingSet") == [""]:
            for capability in range(64):
                libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
        become(os.environ["CONFINE_USER"])
    if unit.get("NoNewPrivileges") == ["yes"]:
        checked(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    for rules in filters:
        rules.load()
    os.execve(program, [os.environ["CONFINE_PROGRAM"], *arguments], os.environ)


if __name__ == "__main__":
    main(sys.argv[1:])
