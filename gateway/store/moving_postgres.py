"""A PostgreSQL database as one end of a move."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Self

import asyncpg

from gateway.errors import StoreError
from gateway.ids import EPOCH_MS
from gateway.store import moved, postgres_schema, queries
from gateway.store.moved import Mark
from gateway.store.moving_side import (
    DAY_MS,
    PAGE,
    STAYING,
    Kind,
    Row,
    Side,
    Table,
    json_without_nul,
    quoted,
    without_nul,
)  # fmt: skip

KINDS = {
    "bigint": Kind.INTEGER,
    "integer": Kind.INTEGER,
    "double precision": Kind.REAL,
    "text": Kind.TEXT,
    "bytea": Kind.BLOB,
    "jsonb": Kind.JSON,
}
HOLDS_NUL = (asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError)
# Whoever writes takes this lock in each transaction (migrations/0005.postgresql.sql: carillon_enter).
HOLD = "SELECT pg_try_advisory_lock(1667330665, 0)"
EVENT_NUMBERS = "event_n"
LAST_MS = EPOCH_MS + (1 << 41)  # ids cannot tell of later days
LEAVING_S = 4.0  # by then the server has noticed that a killed process is gone
PAUSE_S = 0.05


class PostgresSide(Side):
    """A database, with the lock of its business."""

    keeps_nul = False
    keeps_days = True

    def __init__(self, url: str, connection: asyncpg.Connection) -> None:
        self.name = postgres_schema.named(url)
        self._url = url
        self._connection = connection

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect, and see to it that nobody else writes there."""
        try:
            connection = await postgres_schema.connect(url)
        except Exception as error:
            raise postgres_schema.explained(error, url) from error
        side = cls(url, connection)
        try:
            with side._told():
                await postgres_schema.examine(connection, side.name)
                await connection.execute("SET idle_in_transaction_session_timeout = 0; SET enable_seqscan = on")
                await side._hold()
        except BaseException:
            connection.terminate()
            raise
        return side

    async def _hold(self) -> None:
        """Take the lock once everybody has left; who has just ended is seen for a moment longer."""
        end = time.monotonic() + LEAVING_S
        while (others := await self._others()) or not await self._connection.fetchval(HOLD):
            if time.monotonic() > end:
                raise StoreError(
                    f"{self.name}: Carillon is at work there ({others} open connections): stop every serve and every"
                    " command that uses it, then say this again; a move needs the business at rest"
                )
            await asyncio.sleep(PAUSE_S)

    async def _others(self) -> int:
        found: int = await self._connection.fetchval(
            """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
               AND application_name = 'carillon'"""
        )
        return found

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise postgres_schema.explained(error, self._url) from error

    async def _rows(self, sql: str, *values: object) -> list[Row]:
        with self._told():
            return [*map(tuple, await self._connection.fetch(sql, *values))]

    async def schema(self) -> int:
        """The number of its newest migration; 0 when there is nothing yet."""
        if (await self._rows("SELECT to_regclass('migration') IS NULL"))[0][0]:
            return 0
        found: int = (await self._rows("SELECT coalesce(max(number), 0) FROM migration"))[0][0]
        return found

    async def prepare(self) -> None:
        """Make the tables that are missing."""
        with self._told():
            async with self._connection.transaction():
                await postgres_schema.migrate(self._connection, self.name)
            (now,) = (await self._rows(queries.load("postgresql")["database_now"].sql))[0]
            async with self._connection.transaction():
                await postgres_schema.make_days(self._connection, now)

    async def tables(self) -> dict[str, Table]:
        """What can be moved, by name."""
        rows = await self._rows(
            """SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
                      array_position(i.indkey::int[], a.attnum::int)
               FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
               LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
               WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
                     AND NOT c.relispartition
               ORDER BY c.relname, a.attnum"""
        )
        columns: dict[str, dict[str, Kind]] = {}
        keys: dict[str, dict[int, str]] = {}
        for table, column, kind, place in rows:
            if table not in STAYING:
                columns.setdefault(table, {})[column] = KINDS.get(kind, Kind.TEXT)
                if place is not None:
                    keys.setdefault(table, {})[place] = column
        return {
            name: Table(name, each, tuple(column for _, column in sorted(keys.get(name, {}).items())))
            for name, each in columns.items()
        }

    async def pages(
        self, table: Table, columns: Sequence[str], *, skip: int = 0, is_ordered: bool = True
    ) -> AsyncGenerator[list[Row], None]:
        """The rows of the business, a page at a time, out of one snapshot."""
        order = f"ORDER BY {quoted(*table.key)} OFFSET {skip}" if is_ordered else ""
        sql = f"SELECT {quoted(*columns)} FROM {quoted(table.name)} WHERE {table.where} {order}"
        with self._told():
            async with self._connection.transaction(isolation="repeatable_read", readonly=True):
                # In order: as the keys stand, not sorted after a long wait; without one: as they lie.
                await self._connection.execute(f"SET LOCAL enable_seqscan = {'off' if is_ordered else 'on'}")
                cursor = await self._connection.cursor(sql)
                while records := await cursor.fetch(PAGE):
                    yield [*map(tuple, records)]

    async def write(self, table: Table, columns: Sequence[str], rows: list[Row]) -> None:
        """Add these rows by one COPY, which is kept as a whole or not at all."""
        try:
            await self._copy(table, columns, rows)
        except HOLDS_NUL:
            await self._copy(table, columns, [self._mended(table, columns, row) for row in rows])

    async def _copy(self, table: Table, columns: Sequence[str], rows: list[Row]) -> None:
        try:
            await self._connection.copy_records_to_table(table.name, records=rows, columns=columns)
        except HOLDS_NUL:
            raise
        except (asyncpg.UniqueViolationError, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
            words = " ".join(str(error).split())
            raise StoreError(f"{self.name}: a row of {table.name} cannot be kept there: {words}") from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise postgres_schema.explained(error, self._url) from error

    def _mended(self, table: Table, columns: Sequence[str], row: Row) -> Row:
        """A row without the one character that no text of PostgreSQL can hold."""
        return tuple(
            json_without_nul(value) if table.columns[column] is Kind.JSON else without_nul(value)
            for column, value in zip(columns, row, strict=True)
        )

    async def set_mark(self, mark: Mark | None) -> None:
        """Say what this store is in a move. Who was a member is struck off, and can write nothing should it wake."""
        async with self._connection.transaction():
            if mark is None:
                await self._rows(moved.UNMARK)
            else:
                await self._rows(moved.SET_MARK.format("$1"), mark.text())
            await self._rows("DELETE FROM member")
            await self._rows("UPDATE lease SET node = 0, epoch = 0")

    async def make_room(self, days: Sequence[int]) -> None:
        """Make the tables of these days. What bears no sensible day needs no table of its own."""
        with self._told():
            for day in (day for day in days if EPOCH_MS <= day * DAY_MS < LAST_MS):
                async with self._connection.transaction():
                    await postgres_schema.make_days(self._connection, day * DAY_MS)

    async def numbers(self) -> dict[str, int]:
        """The last event, and the last claim."""
        (event,) = (await self._rows(f"SELECT last_value FROM {EVENT_NUMBERS}"))[0]
        (flight,) = (await self._rows("SELECT pg_sequence_last_value(pg_get_serial_sequence('flight', 'id'))"))[0]
        return {"event": event, "flight": flight or 0}

    async def set_numbers(self, numbers: Mapping[str, int]) -> None:
        """Go on behind these numbers, and behind every number that is in a table."""
        rows = await self._rows(
            """SELECT c.relname, a.attname, pg_get_serial_sequence(quote_ident(c.relname), a.attname)
               FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attidentity <> ''
               WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
                     AND NOT c.relispartition"""
        )
        for table, column, sequence in [*rows, ("event", "n", EVENT_NUMBERS)]:
            last = f"greatest((SELECT max({quoted(column)}) FROM {quoted(table)}), $2::bigint)"
            await self._rows(
                f"SELECT setval($1::text::regclass, {last}) WHERE {last} > 0",
                sequence,
                numbers.get(table, 0),
            )

    async def close(self) -> None:
        """Let others in again."""
        try:
            await self._connection.close(timeout=2)
        except (
            OSError,
            TimeoutError,
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
        ):  # the line is gone: so is the lock
            self._connection.terminate()
