"""A SQLite file as one end of a move."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TypeVar

from gateway.errors import StoreError
from gateway.store import moved, sqlite
from gateway.store.moved import Mark
from gateway.store.moving_side import PAGE, STAYING, Kind, Row, Side, Table, quoted
from gateway.store.queries import WIDE

T = TypeVar("T")

KINDS = {"INTEGER": Kind.INTEGER, "REAL": Kind.REAL, "TEXT": Kind.TEXT, "BLOB": Kind.BLOB}
CURES = {
    sqlite3.SQLITE_FULL: "the disk is full: make room there; the move goes on where it stopped",
    sqlite3.SQLITE_READONLY: "we may not write there: give this user the right to its folder and files",
    sqlite3.SQLITE_CANTOPEN: "we may not open it: give this user the right to its folder and files",
    sqlite3.SQLITE_PERM: "we may not open it: give this user the right to its folder and files",
    sqlite3.SQLITE_NOTADB: "this is no SQLite file: did you mean another one?",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: take a backup of it (docs/operations.md)",
    sqlite3.SQLITE_CONSTRAINT: "two rows have the same key here",
}
NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS)


class SqliteSide(Side):
    """A file, with the one right to write it."""

    keeps_nul = True
    keeps_days = False

    def __init__(self, path: Path, *, is_target: bool) -> None:
        self.path = path
        self.name = f"sqlite:{path}"
        with told(self.name):
            if is_target:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            elif not path.is_file():
                raise StoreError(f"{self.name}: there is no such file")
            self._lock = sqlite.take_lock(path)
        try:
            with told(self.name):
                self._connection = sqlite.connect(path)
        except BaseException:
            os.close(self._lock)
            raise

    async def _do(self, work: Callable[[], T]) -> T:
        """Beside the event loop, so that the other end can work meanwhile."""

        def told_work() -> T:
            with told(self.name):
                return work()

        return await asyncio.to_thread(told_work)

    async def _rows(self, sql: str) -> list[Row]:
        return await self._do(lambda: self._connection.execute(sql).fetchall())

    async def schema(self) -> int:
        """The number of its newest migration; 0 when there is nothing yet."""
        if not await self._rows("SELECT 1 FROM sqlite_schema WHERE name = 'migration'"):
            return 0
        found: int = (await self._rows("SELECT coalesce(max(number), 0) FROM migration"))[0][0]
        return found

    async def prepare(self) -> None:
        """Make the tables that are missing."""
        await self._do(lambda: sqlite.migrate(self._connection))

    async def tables(self) -> dict[str, Table]:
        """What can be moved, by name."""
        names = await self._rows(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name"
        )
        return {name: await self._table(name) for (name,) in names if name not in STAYING}

    async def _table(self, name: str) -> Table:
        rows = await self._rows(f"SELECT name, type, pk FROM pragma_table_info('{name}')")
        key = sorted((place, column) for column, _, place in rows if place)
        return Table(
            name, {column: KINDS.get(kind, Kind.TEXT) for column, kind, _ in rows}, tuple(column for _, column in key)
        )

    async def pages(
        self, table: Table, columns: Sequence[str], *, skip: int = 0, is_ordered: bool = True
    ) -> AsyncGenerator[list[Row], None]:
        """The rows of the business, a page at a time."""
        order = f"ORDER BY {quoted(*table.key)} LIMIT -1 OFFSET {skip}" if is_ordered else ""
        sql = f"SELECT {quoted(*columns)} FROM {quoted(table.name)} WHERE {table.where} {order}"
        cursor = await self._do(lambda: self._connection.execute(sql))
        try:
            while rows := await self._do(lambda: cursor.fetchmany(PAGE)):
                yield rows
        finally:
            cursor.close()

    async def write(self, table: Table, columns: Sequence[str], rows: list[Row]) -> None:
        """Add these rows in one commit."""
        await self._do(lambda: self._write(table, columns, rows))

    def _write(self, table: Table, columns: Sequence[str], rows: list[Row]) -> None:
        head = f"INSERT INTO {quoted(table.name)} ({quoted(*columns)}) VALUES "
        one = f"({', '.join('?' * len(columns))})"
        wide = head + ", ".join([one] * WIDE)
        whole = len(rows) - len(rows) % WIDE
        execute = self._connection.execute
        with self._transaction():
            for first in range(0, whole, WIDE):
                execute(wide, [*chain.from_iterable(rows[first : first + WIDE])])
            self._connection.executemany(head + one, rows[whole:])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    async def set_mark(self, mark: Mark | None) -> None:
        """Say what this store is in a move."""
        words = (moved.UNMARK, ()) if mark is None else (moved.SET_MARK.format("?"), (mark.text(),))
        await self._do(lambda: self._connection.execute(*words))

    async def make_room(self, days: Sequence[int]) -> None:
        """No days are kept apart here."""

    async def numbers(self) -> dict[str, int]:
        """The last event, and the last claim."""
        return dict(
            await self._rows(
                """SELECT 'event', coalesce(max(n), 0) FROM event
                   UNION ALL SELECT name, seq FROM sqlite_sequence WHERE name = 'flight'"""
            )
        )

    async def set_numbers(self, numbers: Mapping[str, int]) -> None:
        """Go on behind these numbers.

        Events are numbered behind the greatest that there is. Where the last ones were dropped for their age, a row of
        no business holds its place: what is folded is told by number, and a number must never come again.
        """
        await self._do(lambda: self._set_numbers(numbers))

    def _set_numbers(self, numbers: Mapping[str, int]) -> None:
        event, flight = numbers.get("event", 0), numbers.get("flight", 0)
        with self._transaction():
            self._connection.execute(
                """INSERT INTO event (n, brand_id, run, message, part, parts, state, at, code, ref)
                   SELECT ?1, 0, 0, 0, 0, 0, 0, 0, '', '' WHERE ?1 > (SELECT coalesce(max(n), 0) FROM event)""",
                (event,),
            )
            (known,) = self._connection.execute(
                "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'flight'"
            ).fetchone()
            self._connection.execute("DELETE FROM sqlite_sequence WHERE name = 'flight'")
            self._connection.execute(
                "INSERT INTO sqlite_sequence (name, seq) VALUES ('flight', ?)", (max(known, flight),)
            )

    async def close(self) -> None:
        """Let others in again."""
        await self._do(self._connection.close)
        os.close(self._lock)


@contextmanager
def told(name: str) -> Iterator[None]:
    """What goes wrong with a file, in words and with the cure."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        raise StoreError(f"{name}: {CURES.get(code, 'cannot be used as a store')} ({error})") from error
    except OSError as error:
        cure = CURES[sqlite3.SQLITE_CANTOPEN] if error.errno in NO_RIGHT else "cannot be used as a store"
        cure = CURES[sqlite3.SQLITE_FULL] if error.errno == errno.ENOSPC else cure
        raise StoreError(f"{name}: {cure} ({error.strerror})") from error
