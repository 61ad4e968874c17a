"""An event loop in which nothing is left to chance but a seed: its time is made up, and so is who runs first.

Time hardly moves while anything can run, and leaps to the next timer when nothing can. What is ready is kept in
streams, one for each source (the object whose method is called: a task, a connection, a waiter). Within a stream
order is kept, because asyncio promises that `call_soon` is first in, first out, and protocols rest on it. Among streams
the seed decides, because there the kernel, the threads and the length of others' turns decide in real life.

A `Process` is what can be killed, frozen and thawed: every callback belongs to the one in whose context it was asked
for. A dead one's callbacks are dropped without a word to the code they belong to, as after kill -9.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import heapq
import random
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Context = contextvars.Context
BURIAL_STEPS = 200_000
STEP_S = 1e-6  # what one callback takes: without it, whoever waits for less than time can tell waits for ever


class Deadlock(Exception):
    """Nothing can run, nothing will, and what was waited for is not there."""


class Unhandled(Exception):
    """A callback raised, or a task nobody waits for did."""


class Process:
    """What a callback belongs to; `fuse` is after how many more callbacks it is killed, if not None."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.fuse: int | None = None
        self.on_fuse: Callable[[], None] = lambda: None
        self.tasks: list[asyncio.Task[Any]] = []  # held on to, or the collector would run their ends
        self.held: list[asyncio.Handle] | None = None  # what it would have done while it is frozen
        self.never: list[asyncio.Handle] = []  # what it would have done had it lived: its tasks cannot end without it
        self.context = contextvars.copy_context()
        self.context.run(OWNER.set, self)

    def spawn(self, coroutine: Coroutine[Any, Any, T], name: str = "") -> asyncio.Task[T]:
        """Start a task that lives and dies with this process."""
        loop = asyncio.get_running_loop()
        task = self.context.run(lambda: loop.create_task(coroutine, name=name or self.name))
        task.add_done_callback(_raise, context=self.context)
        return task

    def __repr__(self) -> str:
        return self.name


OWNER: contextvars.ContextVar[Process | None] = contextvars.ContextVar("owner", default=None)


def _raise(task: asyncio.Task[Any]) -> None:
    """What a process did not expect ends the world, with its trace."""
    if not task.cancelled():
        task.result()


if TYPE_CHECKING:
    Anything = asyncio.BaseEventLoop  # the type checker asks for every method of a loop
else:
    Anything = asyncio.AbstractEventLoop  # these raise NotImplementedError, as they should


class Loop(Anything):
    """Runs on made-up time. `network` is what `create_connection` and `create_server` reach."""

    def __init__(self, chance: random.Random) -> None:
        self.steps = 0
        self.network: Any = None
        self._chance = chance.random
        self._now = 0.0
        self._number = 0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._streams: dict[int, deque[asyncio.Handle]] = {}
        self._ready: list[int] = []  # the keys of `_streams`, in no order
        self._running = False
        self._closed = False
        self._errors: list[BaseException] = []
        self._burying = False

    # --- time and callbacks

    def time(self) -> float:
        """Seconds since the world began."""
        return self._now

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._add(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._number += 1
        heapq.heappush(self._timers, (when, self._number, handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Asked for by asyncio; a cancelled timer is passed over when its time comes."""

    def _add(self, handle: asyncio.Handle) -> None:
        key = _source_of(handle)
        stream = self._streams.get(key)
        if stream is None:
            self._streams[key] = deque((handle,))
            self._ready.append(key)
        else:
            stream.append(handle)

    # --- running

    def _step(self) -> None:
        """Run one callback, or let time pass to the next timer."""
        ready = self._ready
        if not ready:
            self._pass_time()
            return
        place = int(self._chance() * len(ready))
        key = ready[place]
        stream = self._streams[key]
        handle = stream.popleft()
        if not stream:
            del self._streams[key]
            ready[place] = ready[-1]
            ready.pop()
        if handle._cancelled:
            return
        owner = handle._context.get(OWNER)  # type: ignore[attr-defined]  # asyncio's own name
        if owner is not None and not self._may_run(owner, handle):
            return
        self.steps += 1
        self._now += STEP_S
        handle._run()
        if owner is not None and owner.fuse is not None and owner.alive:
            self._burn(owner)
        if self._errors:
            error, *_ = self._errors
            self._errors.clear()
            raise Unhandled(repr(error)) from error

    def _may_run(self, owner: Process, handle: asyncio.Handle) -> bool:
        if owner.alive or self._burying:
            if owner.held is None:
                return True
            owner.held.append(handle)
        else:
            owner.never.append(handle)
        return False

    def _burn(self, owner: Process) -> None:
        if owner.fuse == 0:
            owner.fuse = None
            owner.on_fuse()
        elif owner.fuse is not None:
            owner.fuse -= 1

    def _pass_time(self) -> None:
        timers = self._timers
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
        if not timers:
            raise Deadlock(f"at {self._now:.3f} s nothing is ready and no timer is set")
        self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            _, _, handle = heapq.heappop(timers)
            if not handle._cancelled:
                self._add(handle)

    def run_until_complete(self, future: Coroutine[Any, Any, T] | asyncio.Future[T] | Any) -> T:
        """Run until this is done. Raises Deadlock, Unhandled, and what it raises itself."""
        before = events._get_running_loop()
        events._set_running_loop(self)
        self._running = True
        try:
            task: asyncio.Future[T] = asyncio.ensure_future(future, loop=self)
            while not task.done():
                self._step()
            return task.result()
        finally:
            self._running = False
            events._set_running_loop(before)

    # --- processes

    def thaw(self, process: Process) -> None:
        """Let a frozen process go on."""
        held, process.held = process.held or [], None
        for handle in held:
            self._add(handle)

    def bury(self, processes: list[Process]) -> None:
        """Run the ends of dead tasks, when nothing that they do can reach anybody any more."""
        self._burying = True
        self._errors.clear()
        before = events._get_running_loop()
        events._set_running_loop(self)
        try:
            tasks = [task for process in processes for task in process.tasks]
            for process in processes:
                self.thaw(process)
                for handle in process.never:
                    self._add(handle)
            for _ in range(20):
                left = [task for task in tasks if not task.done()]
                if not left:
                    break
                for task in left:
                    task.cancel()
                for _ in range(BURIAL_STEPS):
                    if not self._ready:
                        break
                    self._step_over()
            for task in tasks:
                if task.done() and not task.cancelled():
                    task.exception()
                task._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio's own name
        finally:
            events._set_running_loop(before)

    def _step_over(self) -> None:
        try:
            self._step()
        except Unhandled:
            self._errors.clear()

    # --- the rest of what asyncio asks of a loop

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: object = None, context: Context | None = None) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(
            coro, loop=self, name=None if name is None else str(name), context=context
        )
        owner = (context or contextvars.copy_context()).get(OWNER)
        if owner is not None:
            owner.tasks.append(task)
        return task

    async def create_connection(  # type: ignore[override]  # the many other forms are not for here
        self, protocol_factory: Callable[[], asyncio.BaseProtocol], host: str, port: int, *, ssl: object = None
    ) -> Any:
        if ssl is not None:
            raise NotImplementedError("no TLS in here")
        return await self.network.connect(protocol_factory, port)

    async def create_server(  # type: ignore[override]
        self, protocol_factory: Callable[[], asyncio.BaseProtocol], host: str, port: int, *, ssl: object = None
    ) -> Any:
        if ssl is not None:
            raise NotImplementedError("no TLS in here")
        return self.network.listen(protocol_factory, port)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self._errors.append(error if error is not None else RuntimeError(context["message"]))

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        self._closed = True
        self._timers.clear()
        self._streams.clear()
        self._ready.clear()


def _source_of(handle: asyncio.Handle) -> int:
    """What names the stream of a callback: the object whose method it is; for a plain function its process."""
    callback: Any = handle._callback  # type: ignore[attr-defined]  # asyncio's own name
    while isinstance(callback, functools.partial):
        callback = callback.func
    source = getattr(callback, "__self__", None)
    return id(handle._context.get(OWNER) if source is None else source)  # type: ignore[attr-defined]
