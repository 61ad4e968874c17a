"""Reads many packets of one make by columns: the same octets in the same places, and others between them.

A carrier's answers in a row differ in their sequences and ids alone, its receipts in a phone and a few words more. Once
one of them was read, where things stand in it is where they stand in all of its length; so each field of all of them is
cut out in one call, looked at once, and decoded once. That takes a third of the time of an expression.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

FEWEST: Final = 16  # turns: fewer are read sooner by an expression
_FIRST_LOOK: Final = 32  # turns that are cut up before we know whether more are alike; then twice as many

# What stands in a receipt where it may differ from the one that was read (SMPP 3.4, appendix B).
_DATES: Final = re.compile(rb" sub:\d+ dlvrd:\d+ submit date:\d+ done date:\d+")
_STATE: Final = len(" stat:DELIVRD err:")  # the same in all, so that one that failed ends the row
_CODE: Final = re.compile(rb"[^\s:\0-\x1f]+")
_TEXT: Final = re.compile(rb"(?: [^\0]*)?")
_NO_IDENT: Final = re.compile(rb"[\s:\0]")

Columns = Sequence[tuple[bytes, ...]]


class Make(NamedTuple):
    """Where the fields of a packet stand: their sizes, and which of them are the same in all packets of this make."""

    is_answer: bool
    sizes: tuple[int, ...]
    same: tuple[int, ...]


class Answers(NamedTuple):
    """Plain answers: their sequences, as they stand there, and their ids."""

    sequences: list[bytes]
    idents: list[str]


class Deliveries(NamedTuple):
    """Receipts of delivery: their sequences, as they stand there, and what each says, as a `Delivery` has it."""

    sequences: list[bytes]
    deliveries: list[tuple[str, str, str, str, str, str]]


def answer(length: int) -> Make:
    """A plain answer of so many octets: its head, its sequence, an id, a zero."""
    return Make(True, (12, 4, length - 17, 1), (0, 3))


def delivery(
    length: int,
    phone: tuple[int, int],
    ident: tuple[int, int],
    code: tuple[int, int],
    text: int,
    again: tuple[int, int],
) -> Make:
    """A receipt of so many octets, by where these stand in it, and where its text ends.

    Its fields: its head, its sequence, the phone between two that are the same in all, the id, counts and dates, the
    state, the code, the rest of the text, the id once more between two that are the same.
    """
    ends = (12, 16, *phone, *ident, code[0] - _STATE, *code, text, *again, length)
    return Make(False, tuple(end - start for start, end in zip((0, *ends), ends, strict=False)), (0, 2, 4, 7, 10, 12))


def rows(octets: bytes, at: int, makes: tuple[Make, ...]) -> Iterator[tuple[Columns, int]]:
    """The fields of packets of these makes, which take turns from `at` on, by columns, and where they end.

    So many at a time; up to the first that is not alike, or to nothing where they are few.
    """
    shape, same = _shape(makes)
    left = (len(octets) - at) // shape.size
    if left < FEWEST:
        return
    view, first, most = memoryview(octets), shape.unpack_from(octets, at), _FIRST_LOOK
    while left:
        count = min(most, left)
        found = list(shape.iter_unpack(view[at : at + count * shape.size]))
        columns = list(zip(*found, strict=True))
        for place in same:
            column = columns[place][:count]
            if column.count(first[place]) < count:
                left = count = next(n for n, piece in enumerate(column) if piece != first[place])
        if count < len(found):
            columns = list(zip(*found[:count], strict=True))
        if not count or (count < FEWEST and most == _FIRST_LOOK):
            return
        at += count * shape.size
        left -= count
        most *= 2
        yield columns, at


@lru_cache(maxsize=256)
def _shape(makes: tuple[Make, ...]) -> tuple[struct.Struct, tuple[int, ...]]:
    """How the packets of one turn are cut up, and which of all fields must be the same in each turn."""
    same: list[int] = []
    before = 0
    for make in makes:
        same += [before + place for place in make.same]
        before += len(make.sizes)
    return struct.Struct("".join(f"{size}s" for make in makes for size in make.sizes)), tuple(same)


def read_answers(columns: Columns) -> Answers | None:
    """Plain answers by their columns; None where one is something else."""
    _, sequences, idents, _ = columns
    names = _decoded(idents)
    return None if names is None else Answers([b"".join(sequences)], names)


def read_deliveries(columns: Columns) -> Deliveries | None:
    """Receipts of delivery by their columns; None where one is something else."""
    _, sequences, (before, *_), phones, (behind, *_), idents, dates, _, codes, texts, _, again, _ = columns
    senders, names, said = _decoded(phones), _decoded(idents), _decoded(codes)
    if senders is None or names is None or said is None:
        return None
    if not (_are_all(_DATES, dates) and _are_all(_CODE, codes) and _are_all(_TEXT, texts)):
        return None
    if _NO_IDENT.search(b"".join(idents)) or (again[0] and again != idents):
        return None
    ton, own_ton, own = chr(before[1]), chr(behind[1]), behind[3 : behind.index(0, 3)].decode("latin-1")
    told = [(ton, phone, own_ton, own, name, code) for phone, name, code in zip(senders, names, said, strict=True)]
    return Deliveries([b"".join(sequences)], told)


def _are_all(wanted: re.Pattern[bytes], values: Sequence[bytes]) -> bool:
    return all(map(wanted.fullmatch, {*values}))


def _decoded(values: Sequence[bytes]) -> list[str] | None:
    """All of them as text, in one go; None where a zero octet stands in one."""
    joined = b"\0".join(values)
    return joined.decode("latin-1").split("\0") if joined.count(0) == len(values) - 1 else None
