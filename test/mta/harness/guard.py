# SPDX-License-Identifier: MIT
"""The last line of cleaning up: a helper process that outlives the tests.

A test that is killed outright cannot stop its servers, and mail servers are
built to survive their parent. So every test process keeps one guard at the
other end of a pipe and tells it, a line at a time, what exists:

    +session SID     a server runs in this process session
    -session SID     it has been stopped
    +path DIR        a private directory was made
    -path DIR        it has been removed

When the pipe closes, for whatever reason, the guard kills the sessions and
removes the directories that are still on its list.

It is run as a script and imports nothing from the package.
"""

import os
import shutil
import signal
import sys
import time


def session_members(sid):
    """The living processes of a session, found in /proc."""
    members = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="latin-1") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == sid and fields[0] not in "ZX":
            members.append(int(entry))
    return members


def kill_session(sid):
    """SIGTERM first, for those who can clean up; SIGKILL for the rest."""
    for signo, patience in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + patience
        members = session_members(sid)
        for pid in members:
            try:
                os.kill(pid, signo)
            except ProcessLookupError:
                pass
        while members and time.monotonic() < deadline:
            time.sleep(0.05)
            members = session_members(sid)
        if not members:
            return


def main():
    """Keep the list until the pipe closes, then clear it."""
    for signo in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(signo, signal.SIG_IGN)
    alive = {"session": [], "path": []}
    for line in sys.stdin:
        word, _, value = line.rstrip("\n").partition(" ")
        kept = alive[word[1:]]
        if word[0] == "+":
            kept.append(value)
        elif value in kept:
            kept.remove(value)
    for sid in alive["session"]:
        kill_session(int(sid))
    for path in alive["path"]:
        shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    main()
