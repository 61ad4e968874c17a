"""What became of texts, for programs that asked for receipts: how many of them are kept in one row of the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import orjson

KIND: Final = "receipts"  # of a notice whose body `pack` wrote
LETTERS: Final = 20  # of the text that a receipt repeats (SMPP 3.4, appendix B)

Fields = tuple[int, int, str, str, int, int, str, str]  # those of a Receipt, `asked` as JSON still


class Receipt(NamedTuple):
    """What became of a text. Moments are in milliseconds since 1970.

    `notice` is its own number among all that is told, `asked` what `reading.callback_of` wrote.
    """

    notice: int
    message: int
    state: str
    code: str
    created_at: int
    at: int
    text: str
    asked: Mapping[str, Any]


def pack(receipts: Iterable[Fields]) -> str:
    """Receipts as JSON, with no more of each text than is told."""
    rows = [(*fields[:6], fields[6][:LETTERS], orjson.Fragment(fields[7])) for fields in receipts]
    return orjson.dumps(rows).decode()


def pack_again(receipts: Iterable[Receipt]) -> str:
    """The same of some that were read."""
    return orjson.dumps([tuple(receipt) for receipt in receipts]).decode()


def unpack(body: str) -> list[Receipt]:
    """What `pack` wrote. Raises ValueError or TypeError."""
    return [Receipt(*fields) for fields in orjson.loads(body)]
