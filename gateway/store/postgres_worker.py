"""Those who work for the shared engine: each has a connection and runs gathered transactions on it, come what may."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import asyncpg

from gateway.errors import Fenced, StoreError
from gateway.store.door import BATCH_S, Job, hand_over
from gateway.store.postgres_schema import cure
from gateway.store.postgres_tx import Fault, Session, Tx, fault_of, quoted, watched

if TYPE_CHECKING:
    from gateway.store.postgres import Store

GIVE_UP_S = 5.0  # how long what waits for a database that is away goes on waiting
PATIENCE_S = 15.0  # how long one transaction may take before its line is given up
PAUSE_S = 0.05  # before the second attempt to connect, and twice as much before each later one
LONGEST_PAUSE_S = 1.0
TRIES = 6  # of transactions that stood in each other's way
CHANNEL = "carillon"  # on which every process listens
DISK_FULL = "53100"


class Line:
    """Jobs that wait for one of several connections: urgent ones leave first.

    Other threads only append and call; everything else happens in the engine's loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.urgent: deque[Job] = deque()
        self.bulk: deque[Job] = deque()
        self.was_urgent = False  # whose turn it was last, where both wait
        self._loop = loop
        self._idle: list[asyncio.Future[None]] = []
        self._is_called = False
        self.is_closed = False

    def put(self, job: Job, *, bulk: bool) -> None:
        """Add a job and wake a connection."""
        if self.is_closed:
            raise StoreError("the store is closed")
        (self.bulk if bulk else self.urgent).append(job)
        if not self._is_called:  # one call for all that come until it is heard
            self._is_called = True
            self._loop.call_soon_threadsafe(self._hear)

    def _hear(self) -> None:
        self._is_called = False
        self._wake()

    def _wake(self) -> None:
        """Wake the one that rested last: the others need no connection while one keeps up."""
        while self._idle and (self.urgent or self.bulk):
            waiter = self._idle.pop()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def take(self, gather: Callable[[Line], list[Job]]) -> list[Job] | None:
        """What one transaction shall do; None once closed and empty."""
        while not (self.urgent or self.bulk):
            if self.is_closed:
                return None
            waiter = self._loop.create_future()
            self._idle.append(waiter)
            await waiter
        jobs = gather(self)
        self._wake()
        return jobs

    def give_back(self, jobs: list[Job]) -> None:
        """Put back what one commit had no time for, before everything else."""
        self.urgent.extendleft(reversed(jobs))
        self._wake()

    def give_up(self, words: str) -> None:
        """Tell those who have waited too long."""
        late = time.monotonic() - GIVE_UP_S
        for jobs in (self.urgent, self.bulk):
            while jobs and jobs[0].put_at < late:
                hand_over(refused([jobs.popleft()], StoreError(words)))

    def wake_all(self) -> None:
        """It was closed: who has nothing to do may go."""
        for waiter in self._idle:
            if not waiter.done():
                waiter.set_result(None)
        self._idle.clear()


def gather_all(line: Line) -> list[Job]:
    """All urgent jobs and one bulk job."""
    jobs = list(line.urgent)
    line.urgent.clear()
    if line.bulk:
        jobs.append(line.bulk.popleft())
    return jobs


def gather_alike(line: Line) -> list[Job]:
    """The first job, and the urgent ones that do the same: so that transactions beside each other lock in one order.

    Urgent and bulk jobs take turns where both wait, so that neither waits for ever.
    """
    line.was_urgent = bool(line.urgent) and not (line.bulk and line.was_urgent)
    if not line.was_urgent:
        return [line.bulk.popleft()]
    first = line.urgent.popleft()
    work = function_of(first)
    same = [job for job in line.urgent if function_of(job) is work]
    if same:
        others = [job for job in line.urgent if function_of(job) is not work]
        line.urgent.clear()
        line.urgent.extend(others)
    return [first, *same]


def gather_one(line: Line) -> list[Job]:
    """One job: each read sees a snapshot of its own."""
    return [(line.urgent or line.bulk).popleft()]


def function_of(job: Job) -> Any:
    """What a job does, whatever object it is bound to."""
    return getattr(job.function, "__func__", job.function)


class InDoubtError(Exception):
    """The line broke while a commit was on its way: nobody knows yet whether these jobs are kept."""

    def __init__(self, jobs: list[Job]) -> None:
        super().__init__("the answer to a commit was lost")
        self.jobs = jobs


class UndoneError(Exception):
    """One of several jobs failed, and with it all of them were undone."""


class StumbledError(Exception):
    """A job failed by its own fault, which is the cause."""


class AwayError(Exception):
    """The database has not answered for too long."""


class Worker:
    """A connection that runs gathered jobs, each batch between one BEGIN and one COMMIT.

    A job that fails undoes the others of its batch, so then each is run again alone: that is rare, and a savepoint a
    job would cost two trips to the server each.
    """

    def __init__(self, store: Store, line: Line, kind: str, gather: Callable[[Line], list[Job]]) -> None:
        self._store = store
        self._line = line
        self._kind = kind
        self._gather = gather
        self._session: Session | None = None
        self._id = secrets.randbits(62)  # names our row in `mark`
        self._serial = 0

    def start_with(self, session: Session) -> None:
        """Use a connection that is open already."""
        self._session = session

    async def work(self) -> None:
        """Take, commit, deliver, until the line is closed."""
        while (jobs := await self._line.take(self._gather)) is not None:
            try:
                ended = await self._persist(jobs)
                self._line.give_back(jobs[len(ended) :])
                hand_over(ended)
            except UndoneError:
                for job in jobs:
                    hand_over(await self._persist([job]))
        if self._session is not None:
            await self._farewell(self._session.connection)

    async def _farewell(self, connection: asyncpg.Connection) -> None:
        with contextlib.suppress(Exception):
            if self._serial:
                await connection.execute(f"DELETE FROM mark WHERE session = {self._id}")
            await connection.close(timeout=2)

    async def _persist(self, jobs: list[Job]) -> list[Job]:
        """Do these in one transaction, whatever the line does meanwhile; those that are done or have failed."""
        tries = 0
        while True:
            try:
                session = await self._open(jobs)
            except AwayError as error:
                return refused(jobs, StoreError(str(error)))
            for job in jobs:
                job.result = job.error = None
                job.endings.clear()
            try:
                return await self._transact(session, jobs)
            except InDoubtError as doubt:
                try:
                    if await self._is_kept():
                        return doubt.jobs
                except AwayError as error:
                    return refused(doubt.jobs, StoreError(str(error)))
            except Exception as error:
                tries += 1
                if (refusal := await self._recover(session, error, tries)) is None:
                    continue
                if len(jobs) > 1 and not isinstance(refusal, Fenced):
                    raise UndoneError from error
                return refused(jobs, refusal)

    async def _recover(self, session: Session, error: Exception, tries: int) -> BaseException | None:
        """Make the connection fit for the next BEGIN. None: try the same again; else what to tell who waits."""
        own = error.__cause__ if isinstance(error, StumbledError) else None
        fault = Fault.OWN if own else fault_of(error, session.connection)
        if fault is Fault.LOST or not await self._is_undone(session):
            self._drop()
            return None if tries < TRIES else StoreError(f"the line to the store broke again and again: {error}")
        if fault is Fault.AGAIN:
            session.forget(error)
            if tries < TRIES:
                await asyncio.sleep(random.uniform(0, 0.01 * 2**tries))  # noqa: S311  two must not meet again
                return None
        if fault is Fault.OWN:
            return own or error
        kind = Fenced if fault is Fault.FENCED else StoreError
        refusal = kind(f"the store could not write: {told(error)}")
        refusal.__cause__ = error
        return refusal

    async def _transact(self, session: Session, jobs: list[Job]) -> list[Job]:
        """Once between BEGIN and COMMIT; the jobs for which there was time."""
        tx = Tx(session, is_alone=self._kind == "alone")
        watch = watched(session.connection, PATIENCE_S)
        try:
            # A trip of its own: should the line be lost in it, what waits there for a lock ends with nothing. With what
            # was posted and COMMIT behind it, it could be kept after we had asked in vain and done it once more.
            await tx.say(self._begin())
            started = time.perf_counter()
            ended: list[Job] = []
            for job in jobs:
                if ended and time.perf_counter() - started > BATCH_S:
                    break
                ended.append(job)
                await self._run(tx, job)
            await self._commit(tx, session, ended)
            return ended
        finally:
            watch.cancel()

    def _begin(self) -> str:
        if self._kind == "read":
            return "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
        if self._kind == "apart":
            return "BEGIN"
        self._serial += 1
        node, epoch = self._store.member or ("NULL", "NULL")
        is_alone = self._kind == "alone"
        return f"BEGIN; SELECT carillon_enter({is_alone}, {self._id}, {self._serial}, {node}, {epoch})"

    async def _run(self, tx: Tx, job: Job) -> None:
        tx.endings = job.endings
        try:
            job.result = await job.function(tx, *job.arguments, **job.keywords)
        except Exception as error:
            if tx.spoilt is not None:  # the first trouble, whatever the function made of it
                raise tx.spoilt from None
            raise StumbledError from error
        if tx.spoilt is not None:
            raise tx.spoilt

    async def _commit(self, tx: Tx, session: Session, jobs: list[Job]) -> None:
        telling = "".join(f"NOTIFY {CHANNEL}, {quoted(topic)}; " for topic in tx.topics)
        try:
            done = await tx.say(f"{telling}COMMIT")
        except Exception as error:
            if self._kind not in {"read", "apart"} and fault_of(error, session.connection) is Fault.LOST:
                self._drop()
                raise InDoubtError(jobs) from error
            raise
        if done != "COMMIT":
            raise RuntimeError(f"the transaction ended with {done}")

    async def _is_undone(self, session: Session) -> bool:
        """Roll back; whether the connection is as before its BEGIN."""
        watch = watched(session.connection, PATIENCE_S)
        try:
            await session.connection.execute("ROLLBACK")
        except Exception:
            return False
        finally:
            watch.cancel()
        return True

    def _drop(self) -> None:
        """Let the connection go as it is."""
        if self._session is not None:
            self._session.connection.terminate()
            self._session = None

    async def _open(self, jobs: list[Job]) -> Session:
        """The connection, made anew if it is gone. Raises AwayError when that takes longer than jobs can wait."""
        if self._session is not None and not self._session.connection.is_closed():
            return self._session
        pauses = Pauses()
        while True:
            try:
                return await self._connect()
            except Exception as error:
                away = self._tell_away(error)
                if min(job.put_at for job in jobs) < time.monotonic() - GIVE_UP_S:
                    raise away from error
                await pauses.rest()

    async def _connect(self) -> Session:
        session = await self._store.connect(is_reader=self._kind == "read")
        self._session = session
        return session

    def _tell_away(self, error: Exception) -> AwayError:
        """Tell those who have waited too long behind us."""
        words = self._store.note_away(error)
        self._line.give_up(words)
        return AwayError(words)

    async def _is_kept(self) -> bool:
        """Whether the last commit was kept, as the database says.

        Our row in `mark` has the number of the last transaction that was. Who asks for that row to change it waits
        until the transaction on the broken line has ended, in whatever way. (The state of a transaction's number would
        not do: after a crash a number of which nothing had reached the disk is given once more.)
        """
        pauses, asked_at = Pauses(), time.monotonic()
        while True:
            try:
                session = await self._connect()
                watch = watched(session.connection, PATIENCE_S)
                try:
                    last = await session.connection.fetchval(
                        "SELECT serial FROM mark WHERE session = $1 FOR UPDATE", self._id
                    )
                finally:
                    watch.cancel()
                return bool(last == self._serial)
            except Exception as error:
                self._drop()
                self._tell_away(error)
                if self._line.is_closed and time.monotonic() - asked_at > GIVE_UP_S:
                    words = f"{self._store.place}: it is not known whether the last changes were kept: {error}"
                    raise AwayError(words) from error
                await pauses.rest()


class Pauses:
    """Longer and longer ones between attempts, by chance, so that not all come at once."""

    def __init__(self) -> None:
        self._longest = PAUSE_S

    async def rest(self) -> None:
        """The next pause."""
        await asyncio.sleep(random.uniform(0, self._longest))  # noqa: S311  no secret
        self._longest = min(LONGEST_PAUSE_S, 2 * self._longest)


def refused(jobs: list[Job], error: BaseException) -> list[Job]:
    """These jobs, each with this error."""
    for job in jobs:
        job.result, job.error = None, error
    return jobs


def told(error: BaseException) -> str:
    """What the server said, and the cure where its disk is full."""
    return f"{error}: {cure(error)}" if getattr(error, "sqlstate", None) == DISK_FULL else str(error)
