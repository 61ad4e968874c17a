"""The shared engine: PostgreSQL, which many processes write at once, driven by a thread with a loop of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import asyncpg

from gateway.errors import Fenced, StoreError
from gateway.store import door, postgres_schema, queries
from gateway.store.door import BATCH_S, Job, Kind, hand_over
from gateway.store.postgres_tx import Fault, Session, Tx, fault_of, watched

log = logging.getLogger(__name__)

BESIDE = 3  # connections of those who may write beside each other
READERS = 3
GIVE_UP_S = 5.0  # how long what waits for a database that is away goes on waiting
PATIENCE_S = 15.0  # how long one transaction may take before its line is given up
PAUSE_S = 0.05  # before the second attempt to connect, and twice as much before each later one
LONGEST_PAUSE_S = 1.0
TRIES = 6  # of transactions that stood in each other's way
HEART_S = 5.0  # how often the line that listens is tried
CHANNEL = "carillon"


class Line:
    """Jobs that wait for one of several connections: urgent ones leave first.

    Other threads only append and call; everything else happens in the engine's loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.urgent: deque[Job] = deque()
        self.bulk: deque[Job] = deque()
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
    """The first job, and those that do the same: so that transactions beside each other lock in one order."""
    first = (line.urgent or line.bulk).popleft()
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
        refusal = kind(f"the store could not write: {error}")
        refusal.__cause__ = error
        return refusal

    async def _transact(self, session: Session, jobs: list[Job]) -> list[Job]:
        """Once between BEGIN and COMMIT; the jobs for which there was time."""
        tx = Tx(session, is_alone=self._kind == "alone")
        watch = watched(session.connection, PATIENCE_S)
        try:
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
        self._serial += 1
        node, epoch = self._store.member or ("NULL", "NULL")
        is_alone = self._kind == "alone"
        return f"BEGIN; SELECT carillon_enter({is_alone}, {self._id}, {self._serial}, {node}, {epoch})"

    async def _run(self, tx: Tx, job: Job) -> None:
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
            await tx.say(f"{telling}COMMIT")
        except Exception as error:
            if self._kind != "read" and fault_of(error, session.connection) is Fault.LOST:
                self._drop()
                raise InDoubtError(jobs) from error
            raise

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
        words = str(postgres_schema.explained(error, self._store.url))
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


def quoted(words: str) -> str:
    """A text as SQL writes it."""
    return "'" + words.replace("'", "''").replace("\0", "") + "'"


class Ear:
    """The line that listens: what others tell of after their commits, and word that it was away for a while."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._heard: list[tuple[asyncio.AbstractEventLoop, Callable[[str], None]]] = []
        self._task: asyncio.Task[None] | None = None

    def add(self, loop: asyncio.AbstractEventLoop, heard: Callable[[str], None]) -> None:
        """One more who wants to hear, in its own loop."""
        self._heard.append((loop, heard))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._listen())

    async def close(self) -> None:
        """Listen no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _listen(self) -> None:
        pauses = Pauses()
        while True:
            connection = None
            try:
                connection = await postgres_schema.connect(self._store.url)
                await connection.add_listener(CHANNEL, lambda *said: self._tell(said[3]))
                self._tell("")
                pauses = Pauses()
                await self._try_now_and_then(connection)
            except Exception as error:
                log.warning("%s", postgres_schema.explained(error, self._store.url))
            finally:
                if connection is not None:
                    connection.terminate()
            await pauses.rest()

    async def _try_now_and_then(self, connection: asyncpg.Connection) -> None:
        while True:
            await asyncio.sleep(HEART_S)
            watch = watched(connection, HEART_S)
            try:
                await connection.execute("SELECT 1")
            finally:
                watch.cancel()

    def _tell(self, topic: str) -> None:
        for loop, heard in self._heard:
            with contextlib.suppress(RuntimeError):  # that loop was closed
                loop.call_soon_threadsafe(heard, topic)


class Store(door.Store):
    """A database that many processes may write."""

    is_shared = True

    def __init__(self, url: str) -> None:
        self.url = url
        self.place = postgres_schema.named(url)
        self._loop = quick_loop()
        self._alone, self._beside, self._reads = (Line(self._loop) for _ in range(3))
        self._ear = Ear(self)
        self._opened: Future[None] = Future()
        self._thread = threading.Thread(target=self._live, name="store-postgres", daemon=True)
        self._thread.start()
        try:
            self._opened.result()
        except BaseException:
            self._thread.join()
            raise

    def _live(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        workers = [Worker(self, self._alone, "alone", gather_all)]
        try:
            connection = await postgres_schema.connect(self.url)
            try:
                await postgres_schema.prepare(connection, self.url)
                workers[0].start_with(await self._made_ready(connection, is_reader=False))
            except BaseException:
                connection.terminate()
                raise
        except Exception as error:
            refusal = postgres_schema.explained(error, self.url)
            refusal.__cause__ = error if refusal is not error else error.__cause__
            self._opened.set_exception(refusal)
            return
        workers += [Worker(self, self._beside, "beside", gather_alike) for _ in range(BESIDE)]
        workers += [Worker(self, self._reads, "read", gather_one) for _ in range(READERS)]
        self._opened.set_result(None)
        await asyncio.gather(*(worker.work() for worker in workers))
        await self._ear.close()

    async def connect(self, *, is_reader: bool) -> Session:
        """One more connection, in the engine's loop."""
        return await self._made_ready(await postgres_schema.connect(self.url), is_reader=is_reader)

    async def _made_ready(self, connection: asyncpg.Connection, *, is_reader: bool) -> Session:
        if not is_reader:
            await connection.execute(queries.load("postgresql")["folding_create"].sql)
        return Session(connection)

    def _put(self, kind: Kind, job: Job) -> None:
        job.put_at = time.monotonic()
        if kind is Kind.READ:
            line = self._reads
        else:
            line = self._beside if getattr(job.function, "is_beside", False) else self._alone
        line.put(job, bulk=kind is Kind.BULK)

    def listen(self, heard: Callable[[str], None]) -> None:
        """Hear of topics in the caller's loop, through a connection of its own."""
        self._loop.call_soon_threadsafe(self._ear.add, asyncio.get_running_loop(), heard)

    async def keep_partitions(self, now_ms: int, retention_days: int | None = None) -> int:
        """Make the tables of the coming days and drop those of old ones, alone."""
        return await self._wait(Kind.BULK, postgres_schema.keep_days, (now_ms, retention_days), {})

    def close(self) -> None:
        """Finish what waits, then close."""
        for line in (self._alone, self._beside, self._reads):
            line.is_closed = True
            self._loop.call_soon_threadsafe(line.wake_all)
        self._thread.join()


def quick_loop() -> asyncio.AbstractEventLoop:
    """The fastest event loop that this system has."""
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:  # not on every system
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def open_store(url: str) -> Store:
    """Connect, and bring the tables up to date. Raises StoreError with the cure when that cannot be."""
    return Store(url)
