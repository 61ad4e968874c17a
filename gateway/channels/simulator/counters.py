"""What the simulated carrier has done so far, in numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Each counts from the start of the simulator."""

    submitted: int = 0
    answered: int = 0  # with OK and an id
    throttled: int = 0
    rejected: int = 0
    lines_dropped: int = 0
    receipts_sent: int = 0  # written to a line; again counts again
    receipts_acknowledged: int = 0
    texts_sent: int = 0  # parts of texts from handsets, likewise
    texts_acknowledged: int = 0
    duplicates: int = 0  # same sender, recipient and words as before; counted when watched
