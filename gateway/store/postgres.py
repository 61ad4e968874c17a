"""The shared engine: PostgreSQL, which many processes write at once, driven by a thread with a loop of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime

import asyncpg

from gateway.store import door, postgres_schema, queries
from gateway.store.door import Job, Kind
from gateway.store.postgres_tx import Session, watched
from gateway.store.postgres_worker import CHANNEL, Line, Pauses, Worker, gather_alike, gather_all, gather_one

log = logging.getLogger(__name__)

BESIDE = 4  # connections of those who may write beside each other; claims that wait for their turn hold some
READERS = 3
TURN_S = 0.001  # how long our loop's thread may wait for the interpreter's lock: it does so after each trip
TRIES = 10  # to let go of a day, which needs a moment in which nobody reads
BETWEEN_S = 0.5
HEART_S = 5.0  # how often the line that listens is tried


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
                self._store.note_back()
                pauses = Pauses()
                await self._try_now_and_then(connection)
            except Exception as error:
                self._store.note_away(error)
            finally:
                if connection is not None:
                    connection.terminate()
            await pauses.rest()

    async def _try_now_and_then(self, connection: asyncpg.Connection) -> None:
        """Until the line is gone; one that was cut somewhere on the way says nothing of it."""
        gone = asyncio.Event()
        connection.add_termination_listener(lambda _: gone.set())
        while not gone.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(gone.wait(), HEART_S)
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
        self._alone, self._beside, self._apart, self._reads = (Line(self._loop) for _ in range(4))
        self._ear = Ear(self)
        self._opened: Future[None] = Future()
        self._is_away = False
        self._told: dict[str, int] = {}  # what lasts, and on which day it was told
        sys.setswitchinterval(min(sys.getswitchinterval(), TURN_S))
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
        workers.append(Worker(self, self._apart, "apart", gather_all))
        workers += [Worker(self, self._reads, "read", gather_one) for _ in range(READERS)]
        self._opened.set_result(None)
        await asyncio.gather(*(worker.work() for worker in workers))
        await self._ear.close()

    async def connect(self, *, is_reader: bool) -> Session:
        """One more connection, in the engine's loop."""
        session = await self._made_ready(await postgres_schema.connect(self.url), is_reader=is_reader)
        self.note_back()
        return session

    def note_away(self, error: BaseException) -> str:
        """Say once that the database does not answer; why it does not, in words."""
        words = str(postgres_schema.explained(error, self.url))
        if not self._is_away:
            log.warning("%s", words)
        self._is_away = True
        return words

    def note_back(self) -> None:
        """Say that it answers again."""
        if self._is_away:
            log.info("%s: the database answers again", self.place)
        self._is_away = False

    async def _made_ready(self, connection: asyncpg.Connection, *, is_reader: bool) -> Session:
        if not is_reader:
            await connection.execute(queries.load("postgresql")["folding_create"].sql)
        return Session(connection)

    def _put(self, kind: Kind, job: Job) -> None:
        job.put_at = time.monotonic()
        if kind is Kind.READ:
            line = self._reads
        elif getattr(job.function, "is_apart", False):
            line = self._apart
        else:
            line = self._beside if getattr(job.function, "is_beside", False) else self._alone
        line.put(job, bulk=kind is Kind.BULK)

    def listen(self, heard: Callable[[str], None]) -> None:
        """Hear of topics in the caller's loop, through a connection of its own."""
        self._loop.call_soon_threadsafe(self._ear.add, asyncio.get_running_loop(), heard)

    async def let_go(self, now_ms: int, retention_days: int | None) -> int:
        """Let go of old days, one by one, and remove those beside all else."""
        gone = 0 if retention_days is None else await self._let_go_all(now_ms, retention_days)
        try:
            await postgres_schema.remove_dropped(self.url)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise postgres_schema.explained(error, self.url) from error
        return gone

    async def make_room(self, now_ms: int) -> bool:
        """Make the tables of the coming days. False where one is missing still."""
        unmade: str = await self._wait(Kind.BULK, postgres_schema.keep_days, (now_ms,), {})
        if unmade:
            words = f"the table for {unmade} could not be made yet: somebody reads beside it for long, a backup say"
            self._tell("room", words, now_ms)
        return not unmade

    async def first_kept(self) -> int:
        """No message with a lesser id is there any more."""
        found: int = await self._wait(Kind.READ, postgres_schema.first_kept, (), {})
        return found

    async def _let_go_all(self, now_ms: int, retention_days: int) -> int:
        """Let go of old days, up to the first that somebody reads. How many went."""
        days = await self._wait(Kind.READ, postgres_schema.old_days, (now_ms, retention_days), {})
        for why in sorted({why for why in days.values() if why}):
            held = [f"{day:%F}" for day, its in days.items() if its == why]
            more = f" and {len(held) - 1} later ones" if len(held) > 1 else ""
            self._tell(why, f"{held[0]}{more} cannot be let go: {why}", now_ms)
        gone = 0
        for day in (day for day, why in days.items() if not why):
            if why := await self._let_go(day):
                log.warning("%s: %s could not be let go: %s; trying again in an hour", self.place, f"{day:%F}", why)
                break
            gone += 1
        return gone

    async def _let_go(self, day: datetime) -> str:
        """What holds a day although it was asked several times; nothing where it went."""
        why = ""
        for _ in range(TRIES):
            why = await self._wait(Kind.BULK, postgres_schema.let_go, (day,), {})
            if not why:
                break
            await asyncio.sleep(BETWEEN_S)
        return why

    def _tell(self, kind: str, words: str, now_ms: int) -> None:
        """Warn of what lasts, once a day."""
        day = now_ms // postgres_schema.DAY_MS
        if self._told.get(kind) != day:
            self._told[kind] = day
            log.warning("%s: %s", self.place, words)

    def close(self) -> None:
        """Finish what waits, then close."""
        for line in (self._alone, self._beside, self._apart, self._reads):
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
