"""Tells what happened to one message, part by part, in plain words, from the journal."""

from __future__ import annotations

from typing import NamedTuple

from campaigns.reports import words_of
from gateway.ids import moment
from gateway.messages import State
from gateway.outbox import SENT_AGAIN
from gateway.store import Tx

MOST = 500  # entries
SPAN = 2_000_000  # events that are read through for one message
SLACK_MS = 60_000  # so far from the order of time the journal's order may be


class Entry(NamedTuple):
    """One thing that happened, at a time in milliseconds since 1970; `part` is counted from 1."""

    at: int
    what: str
    part: int | None
    code: str
    words: str


async def entries(tx: Tx, message: int, parts: int, state: State, changed_at: int, now: int) -> list[Entry]:
    """Everything that happened to a message, oldest first."""
    told = [Entry(moment(message), "accepted", None, "", "it was accepted and is on disk")]
    first = await _first_at(tx, moment(message) - SLACK_MS)
    last = await _first_at(tx, max(changed_at, moment(message)) + SLACK_MS) if changed_at else first
    last = min(max(last, first), first + SPAN) if changed_at + SLACK_MS < now else first + SPAN
    for part, of, what, at, code in await tx.rows("api_events", first=first, last=last, message=message, limit=MOST):
        told.append(_entry(part, max(of, parts), State(what), at, code))
    if len(told) == 1 and state is not State.QUEUED:  # the journal is gone, or too long to be read through
        told.append(_entry(-1, parts, state, changed_at, ""))
    return told


async def _first_at(tx: Tx, at: int) -> int:
    """The first event of this time or later, found by halving; one behind the last where there is none."""
    low, high = 0, int(await tx.value("event_last") or 0) + 1
    while low < high:
        middle = (low + high) // 2
        rows = await tx.rows("api_event_at", n=middle)
        if rows and rows[0][1] < at:
            low = int(rows[0][0]) + 1
        else:
            high = middle
    return low


def _entry(part: int, parts: int, state: State, at: int, code: str) -> Entry:
    which = f"part {part + 1} of {parts}" if part >= 0 and parts > 1 else "it"
    number = part + 1 if part >= 0 else None
    if state is State.IN_DOUBT and code == SENT_AGAIN:
        return Entry(at, "sent_again", number, code, f"{which} is sent again, since no answer came: it may come twice")
    why = words_of(code)
    words = f"{which} {_WORDS[state]}" + (f": {why}" if why and state is not State.DELIVERED else "")
    return Entry(at, state.name.lower(), number, code, words)


_WORDS = {
    State.QUEUED: "waits again",
    State.IN_DOUBT: "is in doubt: it may have left, and no answer came",
    State.SENT: "was taken by the carrier",
    State.STOPPED: "was stopped before it left",
    State.REFUSED: "was not sent",
    State.EXPIRED: "was not delivered in time",
    State.FAILED: "failed",
    State.UNKNOWN: "has no known fate: no receipt came in time",
    State.DELIVERED: "was delivered",
}
