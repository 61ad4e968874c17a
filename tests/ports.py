"""Ports on which nobody listens, and which the system gives to nobody else before they are needed."""

from __future__ import annotations

import itertools
import os
import random
import socket
from contextlib import suppress

# The system gives ports from 32768 on (Linux; elsewhere from 49152) to whoever asks for any: one that a test found free
# there may be another's when the test opens it. Each of the processes that test side by side has a strip of its own.
FIRST, STRIP = 10_000, 2_200
_mine = FIRST + STRIP * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 10)
_numbers = itertools.count(random.randrange(STRIP))


def free_port() -> int:
    """One that was not given before."""
    (port,) = free_ports(1)
    return port


def free_ports(count: int) -> list[int]:
    """So many, all different; the same come again only when the strip is used up."""
    found: list[int] = []
    while len(found) < count:
        port = _mine + next(_numbers) % STRIP
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found
