# SPDX-License-Identifier: MIT
"""Real mail servers, run privately, for end-to-end tests.

Every server here owns one temporary directory, one process session and the
ports it listens on; all three are gone after stop(), and a guard process sees
to that even when the test itself is killed.
"""

from .client import Client, Disconnected, Reply, Transaction
from .daemon import Raw, Scriptletd
from .postfix import Postfix
from .process import Lease
from .sendmail import Sendmail
from .server import Missing, Server, wait_until
from .sink import Sink
from .tap import case, keep, run

__all__ = [
    "Client", "Disconnected", "Lease", "Missing", "Postfix", "Raw", "Reply",
    "Scriptletd", "Sendmail", "Server", "Sink", "Transaction", "case", "keep",
    "run", "wait_until",
]
