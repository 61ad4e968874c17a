"""One connection to PostgreSQL and one transaction on it: named queries, prepared once, lists sent as columns."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from enum import Enum
from functools import cache
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement

from gateway.errors import StoreError
from gateway.store import conditions, door, queries
from gateway.store.door import plain
from gateway.store.queries import Query

T = TypeVar("T")
Row = TypeVar("Row", bound=Sequence[object])
Own = tuple[int, ...]  # places of the columns in which the rows of an insert differ

TURN = "SELECT pg_advisory_xact_lock(1667330666, hashtext(%s))"
CONFLICT = re.compile(r"\((?P<columns>[^)]*)\)\s*$")
TARGET = re.compile(r"ON CONFLICT \((?P<key>[^)]*)\) DO UPDATE")
MARK = re.compile(r"\$(\d+)")
NUL = "\0"  # the one character that PostgreSQL keeps in no text
UNKNOWN = "\ufffd"


class Fault(Enum):
    """What an error means for the transaction that met it."""

    OWN = "own"  # of the one function: its values, its code
    TROUBLE = "trouble"  # of the database: a full disk, a limit
    AGAIN = "again"  # two stood in each other's way: once more from the start
    LOST = "lost"  # the line broke or the server went down
    FENCED = "fenced"


LOST = {"57P01", "57P02", "57P03", "57P05", "25P03", "25P04", "25006"}
AGAIN = {"40001", "40P01", "55P03"}
TAKEN = "23505"
MEETING = {
    "idem_pkey",
    "person_by_address",
}  # keys at which two meet who bring the same at once: who comes second looks again
STALE = (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)
TROUBLE = {"53", "54", "55", "57", "58", "F0", "XX"}


def fault_of(error: BaseException, connection: asyncpg.Connection) -> Fault:
    """What kind of failure this is."""
    state = getattr(error, "sqlstate", None) or ""
    if state == "CA001":
        return Fault.FENCED
    if state in LOST or state.startswith("08") or isinstance(error, OSError):
        return Fault.LOST
    if connection.is_closed():  # whatever it was called by the time that it came here
        return Fault.LOST
    if state in AGAIN or isinstance(error, STALE):
        return Fault.AGAIN
    if state == TAKEN and getattr(error, "constraint_name", "") in MEETING:
        return Fault.AGAIN
    return Fault.TROUBLE if state[:2] in TROUBLE else Fault.OWN


class Prepared(NamedTuple):
    """A statement that the server knows, and which of its parameters are lists."""

    statement: PreparedStatement
    lists: tuple[bool, ...]

    async def fetch(self, values: Iterable[object]) -> list[Any]:
        """Its rows; lists go as arrays, what else is no plain value as JSON."""
        given = [
            list(value) if is_list else clean(value)  # type: ignore[call-overload]  # only lists are handed over there
            for value, is_list in zip(values, self.lists, strict=True)
        ]
        return await self.statement.fetch(*given)  # type: ignore[no-any-return]

    def spelled(self, values: Iterable[object]) -> str:
        """The same as words, which may go with others in one trip."""
        given = ", ".join(literal(value, is_list=is_list) for value, is_list in zip(values, self.lists, strict=True))
        return f"EXECUTE {self.statement.get_name()}({given})" if given else f"EXECUTE {self.statement.get_name()}"

    def touched(self) -> int:
        """How many rows the last run changed."""
        count = self.statement.get_statusmsg().rpartition(" ")[2]
        return int(count) if count.isdecimal() else 0


def clean(value: object) -> Any:
    """A value as PostgreSQL takes it."""
    return storable(value) if isinstance(value, str) else plain(value)


def storable(words: str) -> str:
    """A text without what no database keeps: NUL, and halves of pairs of which the other half is missing."""
    if NUL in words:
        words = words.replace(NUL, UNKNOWN)
    return words if words.isascii() else words.encode("utf-8", "replace").decode()


def quoted(words: str) -> str:
    """A text as SQL writes it; connections are made with `standard_conforming_strings`, so a backslash is one."""
    return "'" + storable(words).replace("'", "''") + "'"


def literal(value: object, *, is_list: bool = False) -> str:
    """A value as SQL writes it, to be read as whatever type is asked for."""
    if is_list:
        return quoted(f"{{{','.join(map(element, value))}}}")  # type: ignore[call-overload]  # only lists stand there
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return f"'{int.__repr__(value)}'"
    if isinstance(value, bytes):
        return f"'\\x{value.hex()}'"
    return quoted(str(clean(value)))


def element(value: object) -> str:
    """A value inside a list (PostgreSQL, 8.15.6)."""
    if isinstance(value, int):  # also of our own enumerations of numbers, whose words are other than their value
        return int.__repr__(value)
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f'"\\\\x{value.hex()}"'
    return '"' + str(clean(value)).replace("\\", "\\\\").replace('"', '\\"') + '"'


class Session:
    """One connection with what was prepared on it, and the words that are `posted`: they go with the next trip."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self.posted: list[str] = []
        self._known: dict[str, Prepared] = {}
        self._shapes: dict[str, set[Own]] = {}  # in which columns rows of an insert have differed

    async def say(self, words: str = "") -> str:
        """Run statements without parameters, behind what was posted; what the server says of the last one."""
        said = "; ".join([*self.posted, words] if words else self.posted)
        self.posted.clear()
        return await self.connection.execute(said)  # type: ignore[no-any-return]

    async def deliver(self) -> None:
        """Bring what was posted."""
        if self.posted:
            await self.say()

    async def prepared(self, name: str, sql: str) -> Prepared:
        """This statement, prepared at its first use; conditions on people have many, so the oldest are forgotten."""
        known = self._known.get(name)
        if known is None:
            await self.deliver()  # what was posted goes first, as it was said
            statement = await self.connection.prepare(sql)
            lists = tuple(each.kind == "array" for each in statement.get_parameters())
            if len(self._known) > MOST_PREPARED:
                del self._known[next(iter(self._known))]
            known = self._known[name] = Prepared(statement, lists)
        return known

    async def wide(self, found: Query, own: Own) -> Prepared:
        """A plain insert of one row, made to insert whole columns of those that are its `own`."""
        name = f"{found.name} wide {own}"
        return self._known.get(name) or await self.prepared(name, await self._widened(found, own, 1))

    async def together(self, inserts: Sequence[tuple[Query, Own]]) -> Prepared:
        """Several such inserts as one statement, the columns of the first before those of the next."""
        name = " and ".join([f"{found.name} {own}" for found, own in inserts])
        known = self._known.get(name)
        if known is None:
            pieces, at = [], 1
            for place, (found, own) in enumerate(inserts):
                pieces.append(f"i{place} AS ({await self._widened(found, own, at)})")
                at += len(found.names)
            known = await self.prepared(name, f"WITH {', '.join(pieces)} SELECT")
        return known

    async def _widened(self, found: Query, own: Own, start: int) -> str:
        one = await self.prepared(found.name, found.sql)
        types = [each.name for each in one.statement.get_parameters()]
        values = [f"c{place}" if place in own else f"${start + place}::{kind}" for place, kind in enumerate(types)]
        columns = ", ".join([f"${start + place}::{types[place]}[]" for place in own])
        names = ", ".join([f"c{place}" for place in own])
        rows = f" FROM unnest({columns}) AS listed({names})" if own else ""
        return f"{found.head}SELECT {', '.join(values)}{rows}{found.tail}"

    def columns(self, found: Query, rows: Sequence[Sequence[object]]) -> tuple[Own, list[Any]]:
        """Rows as columns: in which they differ, and of those all values, of the others the one that all share.

        To send a number within a list costs asyncpg a look whether it is itself a list, which is most of what a row
        costs here. Of the ways in which rows can be alike only the first few get a statement of their own.
        """
        columns = list(zip(*rows, strict=True))
        count = len(rows)
        own = tuple([place for place, each in enumerate(columns) if each.count(each[0]) < count])
        if not own and count > 1:
            own = (0,)
        shapes = self._shapes.setdefault(found.name, set())
        if own not in shapes:
            if len(shapes) < MOST_SHAPES:
                shapes.add(own)
            else:
                own = tuple(range(len(columns)))
        return own, [column(each) if place in own else clean(each[0]) for place, each in enumerate(columns)]

    def forget(self, error: BaseException) -> None:
        """Prepare everything anew, if that is what the error says: a table has changed."""
        if isinstance(error, STALE):
            self._known.clear()


MOST_PREPARED = 500
MOST_POSTED = 100  # rows
MOST_SHAPES = 3  # of an insert: each costs every connection some milliseconds once


class Tx(door.Tx):
    """A transaction on one connection. `spoilt` is the error after which the server takes nothing more in it."""

    __slots__ = ("_queries", "_session", "is_alone", "spoilt", "topics")

    def __init__(self, session: Session, *, is_alone: bool) -> None:
        super().__init__()
        self._session = session
        self._queries = queries.load("postgresql")
        session.posted.clear()
        self.is_alone = is_alone
        self.topics: dict[str, None] = {}
        self.spoilt: BaseException | None = None

    async def line(self) -> asyncpg.Connection:
        """The connection itself, within this transaction, for what only this engine does."""
        await self._deliver()
        return self._session.connection

    async def rows(self, query: str, /, **values: object) -> list[tuple[Any, ...]]:
        """All rows of a query, as plain tuples."""
        found = self._queries[query]
        return [*map(tuple, (await self._fetch(query, found.sql, [values[name] for name in found.names]))[1])]

    async def run(self, query: str, /, **values: object) -> int:
        """Run a statement; how many rows it touched."""
        found = self._queries[query]
        prepared, _ = await self._fetch(query, found.sql, [values[name] for name in found.names])
        return prepared.touched()

    async def many(self, query: str, rows: Iterable[Sequence[object]], /) -> int:
        """Run a statement for each row; a plain insert takes all rows at once, a column each."""
        found = self._queries[query]
        listed = rows if isinstance(rows, list) else list(rows)
        if not listed:
            return 0
        try:
            if found.head:
                return sum([await self._insert(found, each) for each in rounds(found, listed)])
            prepared = await self._session.prepared(query, found.sql)
            await self._session.deliver()
            await prepared.statement.executemany([[*map(clean, row)] for row in listed])
        except Exception as error:
            self.spoilt = self.spoilt or error
            raise
        return len(listed)

    async def _insert(self, found: Query, rows: Sequence[Sequence[object]]) -> int:
        own, columns = self._session.columns(found, rows)
        prepared = await self._session.wide(found, own)
        await self._session.deliver()
        await prepared.statement.fetch(*columns)
        return prepared.touched()

    async def look(self, *asked: tuple[str, Mapping[str, object]]) -> list[list[tuple[Any, ...]]]:
        """The rows of several queries in one trip."""
        found = tuple(self._queries[query] for query, _ in asked)
        values = [values[name] for each, (_, values) in zip(found, asked, strict=True) for name in each.names]
        _, (row,) = await self._fetch(" and ".join(each.name for each in found), side_by_side(found), values)
        return [[*map(tuple, rows)] for rows in row]

    async def keep(self, *inserts: tuple[str, list[tuple[Any, ...]]]) -> None:
        """Rows of several tables in one trip; only where a key stands twice among those of one, its rest goes after."""
        first: list[tuple[Query, list[tuple[Any, ...]]]] = []
        rest: list[tuple[Query, list[tuple[Any, ...]]]] = []
        for query, rows in inserts:
            found = self._queries[query]
            for turn, each in enumerate(rounds(found, rows) if rows else ()):
                (rest if turn else first).append((found, each))
        try:
            if first:
                shaped = [(found, *self._session.columns(found, rows)) for found, rows in first]
                prepared = await self._session.together([(found, own) for found, own, _ in shaped])
                await self._session.deliver()
                await prepared.statement.fetch(*(value for _, _, columns in shaped for value in columns))
            for found, rows in rest:
                await self._insert(found, rows)
        except Exception as error:
            self.spoilt = self.spoilt or error
            raise

    async def _fetch(self, name: str, sql: str, values: Sequence[object]) -> tuple[Prepared, list[Any]]:
        try:
            prepared = await self._session.prepared(name, sql)
            await self._session.deliver()
            return prepared, await prepared.fetch(values)
        except Exception as error:
            self.spoilt = self.spoilt or error
            raise

    async def post(self, query: str, /, **values: object) -> None:
        """Keep a statement back until the next trip; what it does is seen by all that comes after it."""
        found = self._queries[query]
        await self._post(self._session.prepared(query, found.sql), [values[name] for name in found.names])

    async def post_many(self, query: str, rows: Iterable[Sequence[object]], /) -> None:
        """The same for a plain insert of a few rows; many would only be longer to spell than a trip takes."""
        found = self._queries[query]
        listed = rows if isinstance(rows, list) else list(rows)
        if not found.head or len(listed) > MOST_POSTED:
            await self.many(query, listed)
            return
        for each in rounds(found, listed) if listed else ():
            own, columns = self._session.columns(found, each)
            await self._post(self._session.wide(found, own), columns)

    async def _post(self, preparing: Coroutine[Any, Any, Prepared], values: Sequence[object]) -> None:
        try:
            prepared = await preparing
        except Exception as error:
            self.spoilt = self.spoilt or error
            raise
        self._session.posted.append(prepared.spelled(values))

    async def _deliver(self) -> None:
        if self._session.posted:
            await self.say("")

    async def say(self, words: str) -> str:
        """Run statements without parameters; what the server says of the last one."""
        try:
            return await self._session.say(words)
        except Exception as error:
            self.spoilt = self.spoilt or error
            raise

    async def attempt(self, function: Callable[..., Coroutine[Any, Any, T]], *args: object) -> T:
        """Run a part of the transaction inside a savepoint of its own."""
        mark = len(self.endings)
        await self._part("SAVEPOINT attempt")
        try:
            result = await function(self, *args)
            await self._deliver()
            if self.spoilt is not None:
                raise self.spoilt
        except BaseException as error:
            if self.spoilt is not None and fault_of(self.spoilt, self._session.connection) is not Fault.OWN:
                raise StoreError(f"the store could not write: {self.spoilt}") from error
            if isinstance(error, StoreError):
                raise
            self._session.posted.clear()  # all that was posted before the part went with its SAVEPOINT
            await self.say("ROLLBACK TO attempt; RELEASE attempt")
            self.spoilt = None
            self.undo_endings(mark)
            raise
        await self._part("RELEASE attempt")
        return result

    async def _part(self, words: str) -> None:
        """Begin or end a part; a line that is lost there is no fault of the function."""
        try:
            await self.say(words)
        except Exception as error:
            raise StoreError(f"the store could not write: {error}") from error

    async def people(self, query: str, condition: conditions.Condition, /, **values: object) -> list[tuple[Any, ...]]:
        """Rows of a query over people, with the condition rendered into it."""
        found = self._queries[query]
        sql, inner = conditions.render(condition, self._queries, len(found.names) + 1, mark="$")
        text = found.sql.replace(":condition", sql)
        given = [*(values[name] for name in found.names), *inner]
        return [*map(tuple, (await self._fetch(text, text, given))[1])]

    async def turn(self, name: str) -> None:
        """Wait for the others who asked for the same turn; who is alone has it."""
        if not self.is_alone:
            await self.say(TURN % quoted(name))

    def notify(self, topic: str) -> None:
        """Tell every process of it, once it is committed."""
        self.topics[topic] = None


def column(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values of one column, as PostgreSQL takes them."""
    if isinstance(values[0], int):  # most columns are numbers, or nothing
        return values
    return tuple(map(clean, values))


@cache
def side_by_side(asked: tuple[Query, ...]) -> str:
    """Several queries as one: a row of lists of rows. The parameters of the first stand before those of the next."""
    pieces, before = [], 0
    for each in asked:
        sql = MARK.sub(lambda mark, before=before: f"${int(mark[1]) + before}", each.sql)  # type: ignore[misc]
        pieces.append(f"ARRAY(SELECT asked FROM ({sql}) asked)")
        before += len(each.names)
    return f"SELECT {', '.join(pieces)}"


@cache
def key_of(found: Query) -> tuple[int, ...]:
    """At which places of a row the key stands by which an insert updates; empty where it does not."""
    target, listed = TARGET.search(found.tail), CONFLICT.search(found.head.rstrip())
    if target is None or listed is None:
        return ()
    columns = [each.strip() for each in listed["columns"].split(",")]
    return tuple(columns.index(each.strip()) for each in target["key"].split(","))


def rounds(found: Query, rows: list[Row]) -> list[list[Row]]:
    """Rows in rounds of which none has a key twice, as one statement can take them; in the order of the key, so that
    those who write beside each other lock in one order.
    """
    places = key_of(found)
    if not places or len(rows) == 1:
        return [rows]
    key = itemgetter(*places)
    seen: dict[Any, int] = {}
    found_rounds: list[list[Row]] = []
    for row in rows:
        turn = seen[key(row)] = seen.get(key(row), -1) + 1
        if turn == len(found_rounds):
            found_rounds.append([])
        found_rounds[turn].append(row)
    return [sorted(each, key=key) for each in found_rounds]


def watched(connection: asyncpg.Connection, patience_s: float) -> asyncio.TimerHandle:
    """Give the connection up when it says nothing for so long; cancel the handle when it has."""
    return asyncio.get_running_loop().call_later(patience_s, connection.terminate)
