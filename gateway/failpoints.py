"""Dies on purpose at a named place, so that tests can show what survives it.

`CARILLON_FAILPOINT=settle` kills this process with SIGKILL when it comes to `settle` for the first time, `settle:7` for
the seventh. The places, in the order in which a message meets them: `plan` (before the commit of planned messages),
`claim` (before the claim's commit), `claimed` (after it, before any byte), `written` (the bytes have left), `answered`
(before the answer is written down), `settle` (before that commit), `settled` (after it); of a text or a receipt that
comes in: `keep` (before its commit), `kept` (after it, before the carrier is thanked), `thanked`, `think` (before the
commit of the answer), `thought`; of what a program brings: `accept` (before its commit), `accepted` (after it, before
the program is answered); and `fold`.
"""

from __future__ import annotations

import os
import signal

PLACES = (
    "plan", "claim", "claimed", "written", "answered", "settle", "settled", "keep", "kept", "thanked", "think",
    "thought", "accept", "accepted", "fold",
)  # fmt: skip


def _read(wish: str) -> tuple[str, int]:
    place, _, count = wish.partition(":")
    if place and place not in PLACES:
        raise ValueError(f"CARILLON_FAILPOINT: no place {place!r}; there are {', '.join(PLACES)}")
    return place, int(count or 1)


_place, _left = _read(os.environ.get("CARILLON_FAILPOINT", ""))


def is_set(place: str) -> bool:
    """Whether somebody wishes to see us die here."""
    return place == _place


def hit(place: str) -> None:
    """Die here if that was wished for."""
    global _left  # noqa: PLW0603  the process dies of it
    if place == _place:
        _left -= 1
        if _left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
