"""What a move asks of either end, and the sums by which it shows that both ends hold the same."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from enum import StrEnum
from hashlib import blake2b
from typing import Any

import orjson

from gateway.errors import StoreError
from gateway.ids import COUNTER_BITS, EPOCH_MS, NODE_BITS
from gateway.store import moved
from gateway.store.door import SCHEMA
from gateway.store.moved import Mark

PAGE = 10_000  # rows in one commit
DAY_MS = 86_400_000
NUL = "\0"
UNKNOWN = "\ufffd"  # what the PostgreSQL engine keeps in its place
# Processes of one place say nothing to another; and brand 0 is the store itself, no business.
STAYING = frozenset({"migration", "member", "lease", "mark"})
OURS = {"fact": "brand_id <> 0", "event": "brand_id <> 0"}

MADE = f"(id >> {NODE_BITS + COUNTER_BITS}) / {DAY_MS} + {EPOCH_MS // DAY_MS}"
DAYS = f"""SELECT {MADE} FROM message UNION SELECT {MADE.replace("id", "message")} FROM state
           UNION SELECT at / {DAY_MS} FROM event WHERE brand_id <> 0"""

Row = tuple[Any, ...]


class Kind(StrEnum):
    """What a column holds, whatever the engine calls it."""

    INTEGER = "integer"
    REAL = "real"
    TEXT = "text"
    BLOB = "blob"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Table:
    """A table as one end has it: its columns by name, and its primary key in order."""

    name: str
    columns: Mapping[str, Kind]
    key: tuple[str, ...]

    @property
    def where(self) -> str:
        """Which of its rows belong to a business."""
        return OURS.get(self.name, "true")


class Side(ABC):
    """One end of a move, held so that nobody else writes there until it is closed.

    All of it raises StoreError, with the cure.
    """

    name: str  # as a person would type it, without the password
    keeps_nul: bool  # texts may hold the character NUL
    keeps_days: bool  # messages and events are kept by day

    @abstractmethod
    async def _rows(self, sql: str) -> list[Row]:
        """What a statement brings."""

    @abstractmethod
    async def schema(self) -> int:
        """The number of its newest migration; 0 when there is nothing yet."""

    @abstractmethod
    async def prepare(self) -> None:
        """Make the tables that are missing."""

    @abstractmethod
    async def tables(self) -> dict[str, Table]:
        """What can be moved, by name."""

    async def count(self, table: Table) -> int:
        """How many rows of the business a table has."""
        found = await self._rows(f"SELECT count(*) FROM {quoted(table.name)} WHERE {table.where}")
        return int(found[0][0])

    @abstractmethod
    def pages(
        self, table: Table, columns: Sequence[str], *, skip: int = 0, is_ordered: bool = True
    ) -> AsyncGenerator[list[Row], None]:
        """The rows of the business, in the order of the key, behind the first `skip`; or as they come."""

    @abstractmethod
    async def write(self, table: Table, columns: Sequence[str], rows: list[Row]) -> None:
        """Add these rows, all of them or, if the process dies, none."""

    async def clear(self, table: Table) -> None:
        """Remove the rows of the business."""
        await self._rows(f"DELETE FROM {quoted(table.name)} WHERE {table.where}")

    async def mark(self) -> Mark | None:
        """What this store is in a move."""
        rows = await self._rows(moved.MARK)
        return moved.read(rows[0][0] if rows else None)

    @abstractmethod
    async def set_mark(self, mark: Mark | None) -> None:
        """Say what this store is in a move; None: nothing, so that it may be served."""

    async def days(self) -> list[int]:
        """The days of its messages and events, in days since 1970."""
        return sorted(day for (day,) in await self._rows(DAYS))

    @abstractmethod
    async def make_room(self, days: Sequence[int]) -> None:
        """Prepare for the messages and events of these days."""

    @abstractmethod
    async def numbers(self) -> dict[str, int]:
        """The greatest number that was given so far, of tables where it must never be given again."""

    @abstractmethod
    async def set_numbers(self, numbers: Mapping[str, int]) -> None:
        """Go on behind these numbers, and behind every number that is in a table."""

    @abstractmethod
    async def close(self) -> None:
        """Let others in again."""


def quoted(*names: str) -> str:
    """Names of tables or columns, as both engines take them."""
    return ", ".join(f'"{name}"' for name in names)


def refuse_other_schema(name: str, have: int) -> None:
    """Raise StoreError unless a source has the schema of this code."""
    if have == 0:
        raise StoreError(f"{name}: there is no business here; did you mean another place?")
    if have < SCHEMA:
        raise StoreError(
            f"{name}: has schema {have}, older than {SCHEMA} of this version. Open it once where it is: with this place"
            " under `store:`, say run.py check; then move it"
        )
    if have > SCHEMA:
        raise StoreError(f"{name}: has schema {have}, newer than {SCHEMA} of this version: install a newer Carillon")


# --- JSON ------------------------------------------------------------------------------------------------------------


def without_nul(value: Any) -> Any:
    """A value as PostgreSQL can keep it."""
    if isinstance(value, str):
        return value.replace(NUL, UNKNOWN)
    if isinstance(value, list):
        return [without_nul(each) for each in value]
    if isinstance(value, dict):
        return {without_nul(name): without_nul(each) for name, each in value.items()}
    return value


def json_without_nul(text: str | None) -> str | None:
    """The same for JSON, where the character hides behind an escape."""
    if text is None or "\\u0000" not in text:
        return text
    return json.dumps(without_nul(json.loads(text)), ensure_ascii=False)


# --- sums ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Sum:
    """How many rows, and a sum that is the same for the same rows in whatever order they come.

    `altered` are the keys of the first few rows with a character that the target cannot keep; `altered_n` counts all.
    """

    rows: int = 0
    check: int = 0
    altered_n: int = 0
    altered: list[Row] = field(default_factory=list)

    def same_as(self, other: Sum) -> bool:
        """Whether both stand for the same rows."""
        return (self.rows, self.check) == (other.rows, other.check)


FEW = 3
ESCAPED_NUL = b"\\u0000"
EXACT = Context(prec=100_000)  # digits that no number in JSON has


class Summing:
    """Makes the sum of a table's rows, from what each value means and not from how an engine keeps it.

    A row counts by 64 bits of its BLAKE2b; the sum is modulo 2^64. `keeps_nul`: the target can keep the character NUL;
    else a row counts as what becomes of it there.
    """

    def __init__(self, columns: Mapping[str, Kind], key: Sequence[str], *, keeps_nul: bool) -> None:
        self.sum = Sum()
        self._keeps_nul = keeps_nul
        self._names = tuple(columns)
        self._key = [self._names.index(name) for name in key]
        self._odd = [(place, MEANINGS[kind]) for place, kind in enumerate(columns.values()) if kind in MEANINGS]

    def add(self, rows: Iterable[Row]) -> None:
        """Count these rows in."""
        if self._odd:
            rows = map(self._meant, rows)
        total = count = 0
        for row in rows:
            said = orjson.dumps(row)
            if ESCAPED_NUL in said and not self._keeps_nul:
                said = self._alter(row, said)
            total += int.from_bytes(blake2b(said, digest_size=8).digest())
            count += 1
        self.sum.rows += count
        self.sum.check = (self.sum.check + total) % (1 << 64)

    def _meant(self, row: Row) -> Row:
        values = list(row)
        for place, meaning in self._odd:
            values[place] = meaning(values[place])
        return tuple(values)

    def _alter(self, row: Row, said: bytes) -> bytes:
        altered = orjson.dumps(without_nul(list(row)))
        if altered != said:
            self.sum.altered_n += 1
            if len(self.sum.altered) < FEW:
                self.sum.altered.append(tuple(row[place] for place in self._key))
        return altered


def meant_by_json(text: str | None) -> Any:
    """JSON apart from the order of names, spaces, and the spelling of numbers."""
    return None if text is None else [in_order(json.loads(text, parse_int=Decimal, parse_float=Decimal))]


def in_order(value: Any) -> Any:
    """A value out of JSON, its names in order and its numbers in one spelling."""
    if isinstance(value, dict):
        return {name: in_order(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [in_order(each) for each in value]
    if isinstance(value, Decimal):
        return ["number", str(value.normalize(EXACT)) if value else "0"]
    return value


def meant_by_number(value: float | None) -> str | None:
    """A number as text. SQLite keeps no NaN and no -0.0: the one is NULL there, the other 0."""
    if value is None or math.isnan(value):
        return None
    if isinstance(value, int) or value.is_integer():
        return str(int(value))
    return repr(value)


def meant_by_octets(value: bytes | None) -> str | None:
    """Octets as text."""
    return None if value is None else value.hex()


MEANINGS: dict[Kind, Callable[[Any], Any]] = {
    Kind.JSON: meant_by_json,
    Kind.REAL: meant_by_number,
    Kind.BLOB: meant_by_octets,
}
