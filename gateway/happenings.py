"""What happened to parts of messages, on its way into the journal: row by row, or alike for many in one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gateway.store import Tx


class Alike(NamedTuple):
    """The same thing that happened to many texts of one part each; `refs` are their messages by the carrier's id.

    It costs half of what a row for each costs, in the event loop and in the store: of a campaign's answers and
    receipts nearly all are such.
    """

    brand: int
    run: int
    state: int
    at: int  # milliseconds since 1970
    code: str
    refs: Mapping[str, int]

    def rows(self) -> list[tuple[object, ...]]:
        """The same as rows of event_insert."""
        brand, run, state, at, code, refs = self
        return [(brand, run, message, 0, 1, state, at, code, ref) for ref, message in refs.items()]


async def record(tx: Tx, rows: Sequence[tuple[object, ...]], alike: Sequence[Alike]) -> None:
    """Append to the journal; `rows` are those of event_insert."""
    others = list(rows)
    for each in alike:
        if "".join(each.refs).isprintable():  # what some engine may not keep within JSON goes another way
            await tx.post("event_insert_alike", **each._asdict())
        else:
            others += each.rows()
    if others:
        await tx.post_many("event_insert", others)
