"""Numbers for rows: in order of time, unique across processes."""

from __future__ import annotations

import threading
from collections.abc import Callable

COUNTER_BITS = 12
NODE_BITS = 10
EPOCH_MS = 1_577_836_800_000  # 2020-01-01T00:00:00Z; 41 bits of milliseconds from here last until 2089


class Ids:
    """Makes ids of 63 bits: 41 of milliseconds since 2020, 10 of a node, 12 of a counter.

    Never goes below `last` (the greatest stored id), so that a clock that steps back cannot make an id
    twice. A millisecond with more than 4,096 ids borrows from the next one. Safe to call from the event
    loop and the writing thread.
    """

    def __init__(self, now_ms: Callable[[], int], node: int = 0, last: int = 0) -> None:
        if not 0 <= node < 1 << NODE_BITS:
            raise ValueError(f"node {node} is not within 0-{(1 << NODE_BITS) - 1}")
        self._now_ms = now_ms
        self._node = node << COUNTER_BITS
        self._ms = last >> (NODE_BITS + COUNTER_BITS)
        self._lock = threading.Lock()
        self._counter = (1 << COUNTER_BITS) - 1  # so that the first id after a restart takes a new millisecond

    def next(self) -> int:
        """One new id, greater than all before."""
        return self.take(1)[0]

    def take(self, count: int) -> list[int]:
        """`count` new ids in rising order."""
        with self._lock:
            return self._take(count)

    def _take(self, count: int) -> list[int]:
        ms = self._now_ms() - EPOCH_MS
        counter = self._counter
        if ms <= self._ms:
            ms = self._ms
        else:
            counter = -1
        taken: list[int] = []
        node = self._node
        while len(taken) < count:
            if counter + 1 >= 1 << COUNTER_BITS:
                ms, counter = ms + 1, -1
            base = ms << (NODE_BITS + COUNTER_BITS) | node
            last = min(counter + count - len(taken), (1 << COUNTER_BITS) - 1)
            taken += range(base + counter + 1, base + last + 1)
            counter = last
        self._ms, self._counter = ms, counter
        return taken


def moment(an_id: int) -> int:
    """When an id was made, in milliseconds since 1970."""
    return (an_id >> (NODE_BITS + COUNTER_BITS)) + EPOCH_MS


def first_at(ms: int) -> int:
    """The least id that could be made at this millisecond: for reading a span of time by primary key."""
    return max(0, ms - EPOCH_MS) << (NODE_BITS + COUNTER_BITS)
