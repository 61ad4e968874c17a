"""The embedded engine: SQLite in WAL with one writing thread; nobody hears of a commit before it is synced."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from pathlib import Path
from typing import Any, TypeVar

import orjson

from gateway.errors import StoreError
from gateway.store import conditions, door, moved, queries
from gateway.store.door import SCHEMA, Job, Kind, hand_over, plain

T = TypeVar("T")

BATCH_S = door.BATCH_S
READERS = 2
PAGE = 4096
WAL_LIMIT = 48 * 1024 * 1024  # a longer log begins anew, so that the file stays below 64 MB
ROOM, RIGHT = "make room on its disk", "give this user the right to its folder and files"
CURES = {
    sqlite3.SQLITE_FULL: ROOM,
    sqlite3.SQLITE_IOERR: "is its disk full, or failing?",
    sqlite3.SQLITE_READONLY: RIGHT,
    sqlite3.SQLITE_CANTOPEN: RIGHT,
    sqlite3.SQLITE_PERM: RIGHT,
    sqlite3.SQLITE_NOTADB: "did you mean another file?",
    sqlite3.SQLITE_CORRUPT: "the file is damaged, take a backup of it (docs/operations.md)",
}
SYSTEM_CURES = {
    errno.ENOSPC: ROOM, errno.EDQUOT: ROOM, errno.EACCES: RIGHT, errno.EPERM: RIGHT, errno.EROFS: RIGHT,
}  # fmt: skip
UNSYNCED = "{} could not be synced: {}; start anew when the disk is well"
COPY_S = 0.1  # how often the log is copied into the file
sync = getattr(os, "fdatasync", os.fsync)  # not every system has the former


class Tx(door.Tx):
    """A transaction whose methods never wait: the writing thread drives the function from start to end, so that no
    other statement can come in between.
    """

    __slots__ = ("_ears", "_execute", "_executemany", "_queries")

    def __init__(self, connection: sqlite3.Connection, ears: Sequence[Callable[[str], None]] = ()) -> None:
        super().__init__()
        self._ears = ears
        cursor = connection.cursor()
        self._execute = cursor.execute
        self._executemany = cursor.executemany
        self._queries = queries.load("sqlite")

    async def rows(self, query: str, /, **values: object) -> list[tuple[Any, ...]]:
        """All rows of a query, as plain tuples."""
        found = self._queries[query]
        return self._rows(found, found.sql, [plain(values[name]) for name in found.names])

    def _rows(self, query: queries.Query, sql: str, values: list[object]) -> list[tuple[Any, ...]]:
        if query.first:
            return self._alike(query, values)
        rows = self._execute(sql, values).fetchall()
        return list(map(tuple, orjson.loads(rows[0][0]))) if query.is_packed else rows

    def _alike(self, query: queries.Query, values: list[object]) -> list[tuple[Any, ...]]:
        """The rows of a packed query most of which are alike: what they share with the first is written once."""
        found = self._execute(query.first, values).fetchall()
        if not found:
            return []
        own, first = query.own, found[0]
        others = [value for place, value in enumerate(first) if place not in own]
        rows = orjson.loads(self._execute(query.sql, [*values, *others]).fetchall()[0][0])
        columns: list[Iterable[Any]] = list(map(repeat, first))
        if {*map(len, rows)} == {len(own)}:
            for place, column in zip(own, zip(*rows, strict=True), strict=True):
                columns[place] = column
            return list(zip(*columns, strict=False))  # what is alike repeats without end
        return [tuple(row if len(row) > len(own) else filled(first, own, row)) for row in rows]

    async def run(self, query: str, /, **values: object) -> int:
        """Run a statement; how many rows it touched."""
        found = self._queries[query]
        return self._execute(found.sql, [plain(values[name]) for name in found.names]).rowcount

    async def many(self, query: str, rows: Iterable[Sequence[object]], /) -> int:
        """Run a statement for each row, its values in the order in which the statement names them.

        The module sqlite3 lets go of the interpreter's lock and takes it again for every step; with a busy event
        loop beside it that cost more than the insert. So plain inserts go many rows a step.
        """
        found = self._queries[query]
        if not found.wide:
            return self._executemany(found.sql, rows).rowcount
        listed = rows if isinstance(rows, list) else list(rows)
        first = touched = 0
        if found.is_alike and len(listed) >= queries.ALIKE_WIDE:
            first = touched = self._many_alike(found, listed)
        for size, sql in found.wide:
            while len(listed) - first >= size:
                touched += self._execute(sql, [*chain.from_iterable(listed[first : first + size])]).rowcount
                first += size
        if first < len(listed):
            touched += self._executemany(found.sql, listed[first:]).rowcount
        return touched

    def _many_alike(self, query: queries.Query, rows: list[Sequence[object]]) -> int:
        """Insert as many as go in wide steps, and bind what all have in common once: to bind a value takes a third of
        the time of storing it, and is done under the interpreter's lock. How many were inserted.
        """
        columns = list(zip(*rows, strict=True))
        own = tuple(place for place, column in enumerate(columns) if column.count(column[0]) < len(rows))
        shared = [column[0] for place, column in enumerate(columns) if place not in own]
        size, first = queries.ALIKE_WIDE, 0
        sql = queries.wide_alike(query, own, size)
        while len(rows) - first >= size:
            values = zip(*(columns[place][first : first + size] for place in own), strict=True)
            self._execute(sql, [*shared, *chain.from_iterable(values)])
            first += size
        return first

    async def attempt(self, function: Callable[..., Coroutine[Any, Any, T]], *args: object) -> T:
        """Run a part of the transaction inside a savepoint of its own."""
        mark = len(self.endings)
        self._execute("SAVEPOINT attempt")
        try:
            result = await function(self, *args)
        except BaseException as error:
            if is_trouble(error):  # the transaction may be gone, and each statement now a commit of its own
                raise StoreError(f"the store could not write: {error}") from error
            self._execute("ROLLBACK TO attempt")
            self._execute("RELEASE attempt")
            self.undo_endings(mark)
            raise
        self._execute("RELEASE attempt")
        return result

    async def people(self, query: str, condition: conditions.Condition, /, **values: object) -> list[tuple[Any, ...]]:
        """Rows of a query over people, with the condition rendered into it."""
        found = self._queries[query]
        sql, inner = conditions.render(condition, self._queries, len(found.names) + 1)
        given = [values[name] for name in found.names]
        return self._rows(found, found.sql.replace(":condition", sql), [*map(plain, given), *map(plain, inner)])

    async def turn(self, name: str) -> None:
        """Every transaction is alone here."""

    def notify(self, topic: str) -> None:
        """Tell those of this process who listen."""
        for heard in self._ears:
            self.after_commit(heard, topic)


def filled(row: Sequence[Any], places: Sequence[int], values: Sequence[Any]) -> list[Any]:
    """The row with these values in these places."""
    found = list(row)
    for place, value in zip(places, values, strict=True):
        found[place] = value
    return found


def is_trouble(error: BaseException) -> bool:
    """Whether the store itself failed (a full disk, a lock), rather than one statement on its values."""
    if isinstance(error, sqlite3.OperationalError):
        return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF != sqlite3.SQLITE_ERROR
    return isinstance(error, StoreError)


def told(error: BaseException) -> str:
    """What the engine or the system said, and the cure where there is one."""
    if isinstance(error, OSError):
        said, cure = error.strerror or str(error), SYSTEM_CURES.get(error.errno or 0)
    else:
        said, cure = str(error), CURES.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
    return f"{said}: {cure}" if cure else said


@dataclass(slots=True)
class Line:
    """Jobs that wait for a thread: urgent ones leave first."""

    condition: threading.Condition = field(default_factory=threading.Condition)
    urgent: deque[Job] = field(default_factory=deque)
    bulk: deque[Job] = field(default_factory=deque)
    closed: bool = False

    def put(self, job: Job, *, bulk: bool) -> None:
        """Add a job and wake a thread."""
        with self.condition:
            if self.closed:
                raise StoreError("the store is closed")
            (self.bulk if bulk else self.urgent).append(job)
            self.condition.notify()

    def take(self) -> list[Job] | None:
        """All urgent jobs and one bulk job; None once closed and empty."""
        with self.condition:
            while not (self.urgent or self.bulk):
                if self.closed:
                    return None
                self.condition.wait()
            jobs = list(self.urgent)
            self.urgent.clear()
            if self.bulk:
                jobs.append(self.bulk.popleft())
            return jobs

    def give_back(self, jobs: list[Job]) -> None:
        """Put back what one commit had no time for, before everything else."""
        with self.condition:
            self.urgent.extendleft(reversed(jobs))

    def close(self) -> None:
        """Take nothing more; threads end when the line is empty."""
        with self.condition:
            self.closed = True
            self.condition.notify_all()


class Worker(threading.Thread):
    """A thread with a connection of its own, which runs gathered jobs between one BEGIN and one COMMIT.

    Gathering needs no timer: while one batch is written, the next jobs come together. A commit thread costs a fifth
    against committing on the event loop, for the interpreter lock passing back and forth; it is right all the same
    where a sync takes milliseconds. Who writes does not wait for the disk: a `Syncer` does.
    """

    def __init__(
        self, name: str, connection: sqlite3.Connection, line: Line, begin: str, copier: Copier | None = None,
        ears: Sequence[Callable[[str], None]] = (), syncer: Syncer | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name=name, daemon=True)
        self._copier, self._syncer = copier, syncer
        self._connection = connection
        self._line = line
        self._begin = begin
        self._tx = Tx(connection, ears)

    def run(self) -> None:
        """Take, commit, deliver, until the line is closed."""
        while (jobs := self._line.take()) is not None:
            changes = self._connection.total_changes
            done = self._commit(jobs)
            if self._syncer:
                self._syncer.put(done, is_changed=self._connection.total_changes != changes)
            else:
                hand_over(done)
        self._connection.close()

    def _commit(self, jobs: list[Job]) -> list[Job]:
        execute = self._connection.execute
        started = time.perf_counter()
        done: list[Job] = []
        try:
            if self._syncer and self._syncer.failure:
                raise sqlite3.OperationalError(self._syncer.failure)
            execute(self._begin)
            for job in jobs:
                if done and time.perf_counter() - started > BATCH_S:
                    break
                done.append(job)
                self._attempt(job)
            execute("COMMIT")
            if self._copier and self._copier.is_long:
                self._copier.is_long = False
                self._copier.copy(self._connection)
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):  # the next BEGIN is refused then, and this is tried again
                if self._connection.in_transaction:
                    execute("ROLLBACK")
            refused = StoreError(f"the store could not commit: {told(error)}")
            refused.__cause__ = error
            done = done or jobs
            for job in done:
                job.result, job.error = None, job.error or refused
        if len(done) < len(jobs):  # no time for these, or the engine gave up before their turn
            self._line.give_back(jobs[len(done) :])
        return done

    def _attempt(self, job: Job) -> None:
        """One job inside a savepoint of its own, so that its failure is its own."""
        execute = self._connection.execute
        self._tx.endings = job.endings
        execute("SAVEPOINT job")
        try:
            job.result = drive(job.function(self._tx, *job.arguments, **job.keywords))
        except Exception as error:
            job.error = StoreError(f"the store could not write: {told(error)}") if is_trouble(error) else error
            job.error.__cause__ = error if job.error is not error else error.__cause__
            if not self._connection.in_transaction:  # the engine rolled everything back (disk full, say)
                raise sqlite3.OperationalError(str(error)) from error
            execute("ROLLBACK TO job")
        execute("RELEASE job")


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a transaction's function to its end without a loop."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]  # StopIteration knows no types
    coroutine.close()
    raise RuntimeError("a transaction may await nothing but its tx")


class Syncer(threading.Thread):
    """Waits for the disk in place of the writer, and hands over what it has committed once that is synced.

    SQLite itself would sync each commit before it takes the next one, and the writer stood still for a third of its
    time. What is committed meanwhile shares one sync. Batches are handed over in their order, and with one all before
    it are synced: so nobody hears of anything that the loss of power could undo. Where a sync fails, nobody knows what
    of the log is on the disk, nor would the next one tell: everything is refused from then on, and a start finds the
    truth.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(name="store-syncer", daemon=True)
        self.failure = ""  # why nothing is taken any more
        self._path = Path(f"{path}-wal")
        self._line = Line()
        self._log = -1
        self._is_behind = False  # there is something in the log that is not synced

    def put(self, jobs: list[Job], *, is_changed: bool) -> None:
        """Hand these over when the log is synced, if they, or any before them, changed anything."""
        with self._line.condition:
            self._is_behind |= is_changed
            self._line.urgent.extend(jobs)
            self._line.condition.notify()

    def run(self) -> None:
        """Sync, hand over, until told to end."""
        while (jobs := self._line.take()) is not None:
            try:
                if self._is_behind:
                    self._is_behind = False  # first: what the writer adds meanwhile may need the next sync
                    self._sync()
            except OSError as error:
                self.failure = self.failure or UNSYNCED.format("the log", error)
            if self.failure:
                for job in jobs:
                    job.result, job.error = None, StoreError(self.failure)
            hand_over(jobs)

    def _sync(self) -> None:
        if self._log < 0 and self._path.exists():  # it is made by the first that begins to write
            self._log = os.open(self._path, os.O_RDWR)
        if self._log >= 0:
            sync(self._log)

    def end(self) -> None:
        """Hand over what is left, and no more."""
        self._line.close()
        self.join()
        if self._log >= 0:
            os.close(self._log)


class Copier(threading.Thread):
    """Copies the log into the file beside the writer, which else would stand still for it: a fifth of its time.

    While somebody writes, the log never comes to its end and cannot begin anew; so when it is `long` the writer itself
    copies the little that is left.
    """

    def __init__(self, path: Path, syncer: Syncer) -> None:
        super().__init__(name="store-copier", daemon=True)
        self.is_long = False
        self._syncer = syncer
        self._connection = connect(path)
        self._ended = threading.Event()

    def run(self) -> None:
        """Copy now and then, until told to end."""
        while not self._ended.wait(COPY_S):
            if not self._syncer.failure:  # what may not be on the disk must not get into the file
                self.is_long = self.copy(self._connection) > WAL_LIMIT
        self._connection.close()

    def copy(self, connection: sqlite3.Connection) -> int:
        """Copy what can be copied of the log without waiting for anybody; the octets of the log."""
        try:
            _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:  # a full disk, say: the log keeps everything, and is tried again
            if error.sqlite_errorcode == sqlite3.SQLITE_IOERR_FSYNC:  # the next sync would say that all is well
                self._syncer.failure = UNSYNCED.format("the file", error)
            return 0
        return int(pages) * PAGE

    def end(self) -> None:
        """Copy nothing more."""
        self._ended.set()
        self.join()


class Store(door.Store):
    """A file that one process writes."""

    is_shared = False

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self.place = str(path)
        self._lock = lock
        self._writes = Line()
        self._reads = Line()
        self._syncer = Syncer(path)
        self._copier = Copier(path, self._syncer)
        writer = connect(path)
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        writer.execute("PRAGMA synchronous = NORMAL")  # the log is synced before it is copied; commits, by the syncer
        self._ears: list[Callable[[str], None]] = []
        self._workers = [
            Worker("store-writer", writer, self._writes, "BEGIN IMMEDIATE", self._copier, self._ears, self._syncer)
        ]  # fmt: skip
        for number in range(READERS):
            connection = connect(path)
            connection.execute("PRAGMA query_only = ON")
            self._workers.append(Worker(f"store-reader-{number}", connection, self._reads, "BEGIN"))
        for thread in (*self._workers, self._syncer, self._copier):
            thread.start()

    def _put(self, kind: Kind, job: Job) -> None:
        (self._reads if kind is Kind.READ else self._writes).put(job, bulk=kind is Kind.BULK)

    def listen(self, heard: Callable[[str], None]) -> None:
        """Call `heard(topic)` after each commit that tells of one, in the loop of whoever wrote."""
        self._ears.append(heard)

    async def make_room(self, now_ms: int) -> bool:
        """No days are kept apart here."""
        return True

    async def first_kept(self) -> int:
        """All messages are kept here."""
        return 0

    async def let_go(self, now_ms: int, retention_days: int | None) -> int:
        """No days are kept apart here."""
        return 0

    def close(self) -> None:
        """Finish what waits, then close."""
        for line in (self._writes, self._reads):
            line.close()
        for worker in self._workers:
            worker.join()
        self._syncer.end()
        self._copier.end()
        os.close(self._lock)


def connect(path: Path) -> sqlite3.Connection:
    """A connection set up as this house wants it."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512)
    connection.create_function("lower", 1, lower, deterministic=True)
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",  # the writer alone leaves its syncs to another thread
        "busy_timeout = 2000",  # nobody else may write; who waits at a door must hear within seconds
        "temp_store = MEMORY",
        "secure_delete = FAST",  # the outbox deletes as much as it inserts: do not write pages only to blank them
        "cache_size = -65536",
        f"journal_size_limit = {WAL_LIMIT}",
    ):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute(queries.load("sqlite")["folding_create"].sql)
    return connection


def lower(text: str | None) -> str | None:
    """Small letters of every alphabet, as other engines make them; SQLite's own knows only A to Z."""
    return text.lower() if text else text


def open_store(path: Path) -> Store:
    """Open, creating or bringing up to date; StoreError when another process writes or the file is not ours."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = take_lock(path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be used as a store: {told(error)}") from error
    try:
        connection = connect(path)
        try:
            migrate(connection)
            row = connection.execute(moved.MARK).fetchone()
            moved.refuse(row and row[0], f"sqlite:{path}")
        finally:
            connection.close()
        return Store(path, lock)
    except sqlite3.Error as error:
        os.close(lock)
        raise StoreError(f"{path}: cannot be used as a store: {told(error)}") from error
    except BaseException:
        os.close(lock)
        raise


def take_lock(path: Path) -> int:
    """Hold the one right to write this file until closed; the kernel lets go when a process dies."""
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise StoreError(f"{path}: another Carillon process writes here; stop it, or let it do the work") from None
    return descriptor


def is_locked(path: Path) -> bool:
    """Whether a process holds the right to write this file."""
    try:
        descriptor = take_lock(path)
    except (StoreError, FileNotFoundError):
        return path.parent.exists()
    os.close(descriptor)
    return False


def migrate(connection: sqlite3.Connection) -> None:
    """Apply the numbered files that this database lacks, all in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY) STRICT")
    (have,) = connection.execute("SELECT coalesce(max(number), 0) FROM migration").fetchone()
    if have > SCHEMA:
        connection.execute("ROLLBACK")
        raise StoreError(f"the store has schema {have}, this version knows up to {SCHEMA}: install a newer Carillon")
    for number in range(have + 1, SCHEMA + 1):
        text = (queries.FOLDER / "migrations" / f"{number:04}.sqlite.sql").read_text(encoding="utf-8")
        for statement in statements(text):
            connection.execute(statement)
        connection.execute("INSERT INTO migration VALUES (?)", (number,))
    connection.execute("COMMIT")


def statements(text: str) -> Iterable[str]:
    """A script cut into its statements (executescript would commit in between)."""
    held = ""
    for line in text.splitlines(keepends=True):
        held += line
        if sqlite3.complete_statement(held):
            yield held
            held = ""
