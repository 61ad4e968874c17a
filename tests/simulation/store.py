"""The real store with its real SQL, whose commits are callbacks of the loop: late by a seed, failing by a seed.

A process crash is what is tried here, not the loss of power, so nothing is synced. A killed process closes its
connections where it stands: what was committed is there, what waited is not.
"""

from __future__ import annotations

import contextvars
import random
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.store import sqlite
from gateway.store.door import Job, deliver
from gateway.store.sqlite import Line, Store, Worker, connect
from tests.simulation.loop import Loop
from tests.simulation.trace import Trace

SLOW = (0.3, 1.8)  # seconds: some claims are too late then, some are not
sqlite.BATCH_S = 1e9  # the real clock must not decide how much one commit takes; `Disk.most` does


@dataclass
class Disk:
    """How the disk behaves; times in seconds. `most` is how many jobs one commit takes at most."""

    delay: tuple[float, float] = (0.0002, 0.004)
    hand_over: tuple[float, float] = (0.0, 0.002)  # from the commit until the loop hears of it
    full: float = 0.0  # the chance that a commit fails for want of room
    locked: float = 0.0
    most: int = 50
    slow_until: float = 0.0  # until when a commit takes as long as `SLOW`, in seconds of the loop

    def delay_at(self, now: float) -> tuple[float, float]:
        """Between what and what a commit takes that is begun now."""
        return SLOW if now < self.slow_until else self.delay


class Failing:
    """A connection whose disk fails when it is told to: at the begin, in the middle or at the commit."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.fails_at = ""
        self.statements = 0  # how many more succeed, where it fails in the middle

    @property
    def in_transaction(self) -> bool:
        return self.connection.in_transaction

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        word = sql.partition(" ")[0]
        if word == self.fails_at and word in {"BEGIN", "COMMIT"}:
            code = sqlite3.SQLITE_BUSY if word == "BEGIN" else sqlite3.SQLITE_FULL
            raise _failure("database is locked" if word == "BEGIN" else "database or disk is full", code)
        return self.connection.execute(sql, *values)

    def cursor(self) -> FailingCursor:
        return FailingCursor(self, self.connection.cursor())

    def close(self) -> None:
        self.connection.close()


class FailingCursor:
    """Its statements fail in the middle of a transaction."""

    def __init__(self, owner: Failing, cursor: sqlite3.Cursor) -> None:
        self._owner, self._cursor = owner, cursor

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        self._count(sql)
        return self._cursor.execute(sql, *values)

    def executemany(self, sql: str, *values: Any) -> sqlite3.Cursor:
        self._count(sql)
        return self._cursor.executemany(sql, *values)

    def _count(self, sql: str) -> None:
        owner = self._owner
        if owner.fails_at != "middle" or sql.startswith(("SELECT", "ROLLBACK", "RELEASE", "SAVEPOINT")):
            return
        owner.statements -= 1
        if owner.statements < 0:
            if owner.statements % 2:  # SQLite rolls a full disk back itself, mostly
                owner.connection.execute("ROLLBACK")
            raise _failure("database or disk is full", sqlite3.SQLITE_FULL)


def _failure(words: str, code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(words)
    error.sqlite_errorcode = code
    return error


class CommitLine(Line):
    """A line whose jobs are run by the loop, in place of a thread that takes them."""

    def __init__(self, store: SimulatedStore, connection: Failing, begin: str, name: str) -> None:
        super().__init__()
        self._store, self._connection, self._name = store, connection, name
        self._worker = Worker(name, connection, self, begin)  # type: ignore[arg-type]  # never started
        self._context = contextvars.copy_context()
        self._set = False
        self._delivered_at = 0.0

    def put(self, job: Job, *, bulk: bool) -> None:
        if self._store.is_dead:
            return
        super().put(job, bulk=bulk)
        self._wake()

    def _wake(self) -> None:
        if not self._set and (self.urgent or self.bulk):
            self._set = True
            store = self._store
            delay = store.disk.delay_at(store.loop.time())
            store.loop.call_later(store.chance.uniform(*delay), self._commit, context=self._context)

    def _commit(self) -> None:
        """Everything that waits in one commit; whoever waits for it hears a moment later, in order."""
        self._set = False
        store = self._store
        if store.is_dead:
            return
        disk, chance, connection = store.disk, store.chance, self._connection
        jobs = [self.urgent.popleft() for _ in range(min(len(self.urgent), disk.most))]
        if self.bulk and len(jobs) < disk.most:
            jobs.append(self.bulk.popleft())
        is_writer = self._name == "writer"
        connection.fails_at = self._fate() if is_writer else ""
        connection.statements = chance.randrange(6) if connection.fails_at == "middle" else 0
        done = self._worker._commit(jobs)
        failed = connection.fails_at
        connection.fails_at = ""
        store.trace.note(self._name, failed, *(_named(job) for job in done))
        self._delivered_at = max(self._delivered_at, store.loop.time() + chance.uniform(*disk.hand_over))
        store.loop.call_at(self._delivered_at, deliver, done, context=self._context)
        if is_writer:
            store.on_commit(any(job.error for job in done))
        self._wake()

    def _fate(self) -> str:
        disk, chance = self._store.disk, self._store.chance
        if disk.full and chance.random() < disk.full:
            return chance.choice(("COMMIT", "middle"))
        return "BEGIN" if disk.locked and chance.random() < disk.locked else ""


def _named(job: Job) -> str:
    return f"{getattr(job.function, '__qualname__', '?')}{'!' if job.error else ''}"


class SimulatedStore(Store):
    """A store without threads. `on_commit` is called after each commit, before anybody hears of it, with whether a job
    in it failed."""

    def __init__(
        self, path: Path, loop: Loop, chance: random.Random, disk: Disk, trace: Trace, on_commit: Callable[[bool], None]
    ) -> None:
        self.path = path
        self.loop, self.chance, self.disk, self.trace, self.on_commit = loop, chance, disk, trace, on_commit
        self.is_dead = False
        self.connections = [unsynced(path), unsynced(path)]
        writer, reader = (Failing(each) for each in self.connections)
        self._writes = CommitLine(self, writer, "BEGIN IMMEDIATE", "writer")
        self._reads = CommitLine(self, reader, "BEGIN", "reader")
        self._workers = []

    @property
    def writer(self) -> sqlite3.Connection:
        """The writing connection, for witnesses of a transaction."""
        return self.connections[0]

    def close(self) -> None:
        """As after kill -9: nothing more is taken, committed or told."""
        if not self.is_dead:
            self.is_dead = True
            for connection in self.connections:
                connection.close()

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits for a commit."""
        return not (self._writes.urgent or self._writes.bulk)


def unsynced(path: Path) -> sqlite3.Connection:
    """A connection whose commits survive the death of a process only."""
    connection = connect(path)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def run_alone(path: Path, work: Callable[[SimulatedStore], Any]) -> Any:
    """Run a coroutine on a store in a loop of its own, without faults: to set a stage or to look at one."""
    loop = Loop(random.Random(0))
    store = SimulatedStore(path, loop, random.Random(0), Disk(), Trace(loop.time), lambda failed: None)
    try:
        return loop.run_until_complete(work(store))
    finally:
        store.close()
        loop.close()
