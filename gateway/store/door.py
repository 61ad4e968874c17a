"""What both databases share: how the house asks for rows, changes them, and hears that somebody else has."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

import orjson

from gateway.store.conditions import Condition

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

log = logging.getLogger(__name__)

SCHEMA = 7  # the newest migration that this code knows, on either engine
BATCH_S = 0.020  # how long one commit may gather before what waits longest gets its turn


def beside(function: F) -> F:
    """Mark a transaction's function as safe to run beside others like it, in this process or another.

    Every other function that writes is alone: nobody else writes to the business from its first statement to its
    commit. SQLite has one writer at a time and asks nothing.
    """
    function.is_beside = True  # type: ignore[attr-defined]  # functions may bear marks
    return function


def apart(function: F) -> F:
    """Mark a transaction's function as one that waits for nobody, not even for who is alone: a sign of life.

    It changes one row, looks itself whether that is still ours, and may be done twice.
    """
    function.is_apart = True  # type: ignore[attr-defined]
    return function


class Tx(ABC):
    """One transaction as its function sees it. Only these methods may be awaited inside one.

    Parameters go by name; where a query takes a list, a list is handed over, and what is kept as JSON may be a list
    or a dict.

    The function may be run again from its start, after two stood in each other's way or a line was lost. So it changes
    nothing in memory itself: it has that done by `after_commit` or `at_end`, which are called once, in the event loop.
    """

    __slots__ = ("endings",)

    def __init__(self) -> None:
        self.endings: list[Ending] = []

    def after_commit(self, call: Callable[..., object], *arguments: object) -> None:
        """Have this called when what was done up to here is committed; not at all when it is undone."""
        self.endings.append(Ending(call, arguments))

    def at_end(self, call: Callable[..., object], *arguments: object) -> None:
        """Have this called when the transaction is over, also when it was undone: for counting refusals."""
        self.endings.append(Ending(call, arguments, even_undone=True))

    def undo_endings(self, mark: int) -> None:
        """What was registered since there were `mark` of them was undone."""
        self.endings[mark:] = [each for each in self.endings[mark:] if each.even_undone]

    @abstractmethod
    async def rows(self, query: str, /, **values: object) -> list[tuple[Any, ...]]:
        """All rows of a query, as plain tuples."""

    async def all(self, into: Callable[..., T], query: str, /, **values: object) -> list[T]:
        """All rows, each as what `into` makes of its columns."""
        return [into(*row) for row in await self.rows(query, **values)]

    async def one(self, into: Callable[..., T], query: str, /, **values: object) -> T | None:
        """The first row, or None."""
        rows = await self.rows(query, **values)
        return into(*rows[0]) if rows else None

    async def value(self, query: str, /, **values: object) -> Any:
        """The first column of the first row, or None."""
        rows = await self.rows(query, **values)
        return rows[0][0] if rows else None

    @abstractmethod
    async def run(self, query: str, /, **values: object) -> int:
        """Run a statement; how many rows it touched."""

    @abstractmethod
    async def many(self, query: str, rows: Iterable[Sequence[object]], /) -> int:
        """Run a statement for each row, its values in the order in which the statement names them."""

    async def look(self, *asked: tuple[str, Mapping[str, object]]) -> list[list[tuple[Any, ...]]]:
        """The rows of several queries, none of which needs what another finds; one trip where each would cost one."""
        return [await self.rows(query, **values) for query, values in asked]

    async def keep(self, *inserts: tuple[str, list[tuple[Any, ...]]]) -> None:
        """`many` of several plain inserts, none of which reads what another writes; one trip where that costs one."""
        for query, rows in inserts:
            await self.many(query, rows)

    async def post(self, query: str, /, **values: object) -> None:
        """`run` of which nobody needs to hear: it may go with what is asked next, or with the commit."""
        await self.run(query, **values)

    async def post_many(self, query: str, rows: Iterable[Sequence[object]], /) -> None:
        """`many` of which nobody needs to hear."""
        await self.many(query, rows)

    @abstractmethod
    async def attempt(self, function: Callable[..., Coroutine[Any, Any, T]], *args: object) -> T:
        """Run a part of the transaction that may fail alone: what it wrote is undone, its error is raised.

        Trouble of the store itself (a full disk, say) is nobody's own: it comes as StoreError, which ends the whole.
        """

    @abstractmethod
    async def people(self, query: str, condition: Condition, /, **values: object) -> list[tuple[Any, ...]]:
        """Rows of a query over person `p` with `AND :condition` in it, filled from the tree."""

    @abstractmethod
    async def turn(self, name: str) -> None:
        """Wait until no other transaction holds the turn of this name, and hold it until the end of this one."""

    @abstractmethod
    def notify(self, topic: str) -> None:
        """Once this is committed, those who `listen` to the store hear the topic, in every process."""


class Ending(NamedTuple):
    """What is done in memory when a transaction is over."""

    call: Callable[..., object]
    arguments: tuple[object, ...]
    even_undone: bool = False


class Kind(Enum):
    """How soon a transaction is wanted, and whether it writes."""

    WRITE = "write"
    BULK = "bulk"  # behind everything urgent
    READ = "read"  # one snapshot, beside those who write


@dataclass(slots=True)
class Job:
    """A transaction that waits for its engine; `done` is called in the event loop after the commit."""

    loop: asyncio.AbstractEventLoop
    done: Callable[[Job], None]
    function: Callable[..., Coroutine[Any, Any, Any]]
    arguments: tuple[Any, ...]
    keywords: dict[str, Any] = field(default_factory=dict)
    result: Any = None
    error: BaseException | None = None
    put_at: float = 0.0  # when it began to wait, where that matters; monotonic, in seconds
    endings: list[Ending] = field(default_factory=list)

    def end(self) -> None:
        """Do in memory what its last run asked for, then tell who waits."""
        try:
            for call, arguments, even_undone in self.endings:
                if even_undone or self.error is None:
                    call(*arguments)
        finally:
            self.done(self)


class Store(ABC):
    """The database of one business.

    `write` runs a function of a transaction and returns its result after the commit is on the disk;
    `submit` does the same without a task or a future for callers who handle whole batches. `read` sees
    one snapshot.

    `is_shared`: other processes may write to it too. `member` is who we are among them, our node and its epoch; once
    it is set, every write is refused with Fenced as soon as the table of members has another epoch for our node.
    """

    is_shared: bool
    place: str  # for people; holds no password
    member: tuple[int, int] | None = None

    async def write(
        self, function: Callable[Concatenate[Tx, P], Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `function(tx, ...)` as one transaction; return after its commit."""
        return await self._wait(Kind.WRITE, function, args, kwargs)

    async def write_bulk(
        self, function: Callable[Concatenate[Tx, P], Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The same behind everything urgent: for planner, importer and other long work, in short pieces."""
        return await self._wait(Kind.BULK, function, args, kwargs)

    async def read(
        self, function: Callable[Concatenate[Tx, P], Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `function(tx, ...)` on one snapshot, beside those who write."""
        return await self._wait(Kind.READ, function, args, kwargs)

    def submit(
        self,
        function: Callable[..., Coroutine[Any, Any, T]],
        *args: Any,
        done: Callable[[T | None, BaseException | None], None],
        **kwargs: Any,
    ) -> None:
        """Write without waiting; `done(result, error)` is called in this loop after the commit."""
        loop = asyncio.get_running_loop()
        self._put(Kind.WRITE, Job(loop, lambda job: done(job.result, job.error), function, args, kwargs))

    async def _wait(self, kind: Kind, function: Callable[..., Coroutine[Any, Any, T]], args: Any, kwargs: Any) -> T:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[T] = loop.create_future()

        def done(job: Job) -> None:
            if waiter.cancelled():
                return
            if job.error is not None:
                waiter.set_exception(job.error)
            else:
                waiter.set_result(job.result)

        self._put(kind, Job(loop, done, function, args, kwargs))
        return await waiter

    @abstractmethod
    def _put(self, kind: Kind, job: Job) -> None:
        """Let a job wait for its turn."""

    @abstractmethod
    def listen(self, heard: Callable[[str], None]) -> None:
        """Call `heard(topic)` in this event loop after each commit that tells of a topic, our own among them.

        `heard("")` says that something may have been missed.
        """

    @abstractmethod
    async def make_room(self, now_ms: int) -> bool:
        """Make room ahead for the messages of the coming days. False where that must be tried again soon.

        `now_ms` in milliseconds since 1970. A store that keeps no days apart does nothing.
        """

    @abstractmethod
    async def first_kept(self) -> int:
        """No message with a lesser id is there any more; 0 where none is ever let go."""

    @abstractmethod
    async def let_go(self, now_ms: int, retention_days: int | None) -> int:
        """Let go of days older than the retention, of which nothing waits; None: of none. How many went.

        `now_ms` in milliseconds since 1970. A store that keeps no days apart does nothing.
        """

    @abstractmethod
    def close(self) -> None:
        """Finish what waits, then close."""


def deliver(jobs: list[Job]) -> None:
    """Hand results to those who wait, in the event loop. What is committed stays so, whoever stumbles over it."""
    for job in jobs:
        try:
            job.end()
        except Exception:  # the others of the batch must hear all the same
            log.exception("a waiter failed at the result of its transaction")


def hand_over(jobs: list[Job]) -> None:
    """Deliver jobs from another thread: one wake-up of a loop for all of a batch."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Job]] = {}
    for job in jobs:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, done in by_loop.items():
        try:
            loop.call_soon_threadsafe(deliver, done)
        except RuntimeError:  # the loop was closed while we committed; what is committed stays so
            continue


def plain(value: object) -> Any:
    """A value as an engine takes it: what is kept as JSON becomes text."""
    if isinstance(value, list | dict | tuple | set | frozenset):
        return orjson.dumps(list(value) if isinstance(value, set | frozenset) else value).decode()
    return value
