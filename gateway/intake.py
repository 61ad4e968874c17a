"""Gathers what programs bring while the last commit runs, and accepts it in one transaction."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from gateway import failpoints
from gateway.errors import CarillonError, StoreError
from gateway.store import Store, Tx

log = logging.getLogger(__name__)

AT_ONCE = 2_000  # texts in one transaction; what one call brought is never parted
MOST = 50_000  # texts that may wait
BUSY_S = 1.0
# Whoever was just answered may be about to call again: after a batch of several calls as many are waited for, at most
# so long. Without this those who call at once fall into two halves that take turns, each with a commit of its own, and
# a text costs a tenth more. A lone caller's batches are of one call, and wait for nobody.
TOGETHER_S = 0.005
SEVERAL = 4

S = TypeVar("S", bound="Call")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Call(Protocol):
    """What one call brought."""

    @property
    def size(self) -> int:
        """How many texts it asks for; one with much beside its letters counts as several."""


class Busy(CarillonError):
    """So much waits to be accepted that more would only wait in memory; come again in so many seconds."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("too much waits to be written down; come again in a moment")
        self.retry_after_s = retry_after_s


class Accepted(Protocol[R_co]):
    """What a transaction came to: a result or an error for each call, and whether there are new queues."""

    @property
    def results(self) -> Sequence[R_co | Exception]:
        """One a call, in their order."""

    @property
    def queues(self) -> Collection[int]:
        """Those in which something waits now."""

    @property
    def is_new(self) -> bool:
        """Whether there are queues among them that nobody owns yet."""


Done = Callable[[R | None, BaseException | None], None]


class _Waiting(NamedTuple, Generic[S, R]):
    call: S
    done: Done[R]


class Intake(Generic[S, R]):
    """The one way in for texts of programs.

    `accept` is the transaction; `accepted(queues, is_new)` is called after each commit, for there is something to send.
    """

    def __init__(
        self,
        store: Store,
        accept: Callable[[Tx, Sequence[S]], Coroutine[Any, Any, Accepted[R]]],
        accepted: Callable[[Collection[int], bool], None],
    ) -> None:
        self._store, self._accept, self._accepted = store, accept, accepted
        self._waiting: deque[_Waiting[S, R]] = deque()
        self._texts = 0  # that wait, or are being written
        self._is_writing = False
        self._gathering: asyncio.TimerHandle | None = None
        self._awaited = 0  # calls for which the next batch waits

    def submit(self, call: S) -> Awaitable[R]:
        """Accept what a call brought; what is returned is on disk. Raises Busy, StoreError, or the call's own error."""
        waiter: asyncio.Future[R] = asyncio.get_running_loop().create_future()

        def done(result: R | None, error: BaseException | None) -> None:
            if waiter.cancelled():  # it hung up; the others of the batch must hear all the same
                return
            if error is not None:
                waiter.set_exception(error)
            else:
                waiter.set_result(result)  # type: ignore[arg-type]  # one of the two is there

        self.put(call, done)
        return waiter

    def put(self, call: S, done: Done[R]) -> None:
        """The same without a future: `done(result, error)` is called in this loop after the commit. Raises Busy."""
        size = call.size
        if self._texts and self._texts + size > MOST:
            raise Busy(BUSY_S)
        self._texts += size
        self._waiting.append(_Waiting(call, done))
        if not self._is_writing:
            self._is_writing = True
            # In a moment, so that all requests of one read of the loop go together.
            asyncio.get_running_loop().call_soon(self._write)
        elif self._gathering is not None and len(self._waiting) >= self._awaited:
            self._stop_gathering()
            asyncio.get_running_loop().call_soon(self._write)

    def _gather(self, calls: int) -> None:
        """Begin the next batch when as many calls have come as the last one had, or after a moment."""
        if calls < SEVERAL or len(self._waiting) >= calls or self._texts > AT_ONCE:
            self._write()
            return
        self._awaited = calls
        self._gathering = asyncio.get_running_loop().call_later(TOGETHER_S, self._write)

    def _stop_gathering(self) -> None:
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None

    def _write(self) -> None:
        self._stop_gathering()
        batch: list[_Waiting[S, R]] = []
        size = 0
        while self._waiting and (not batch or size + self._waiting[0].call.size <= AT_ONCE):
            one = self._waiting.popleft()
            batch.append(one)
            size += one.call.size
        if not batch:
            self._is_writing = False
            return
        calls = [one.call for one in batch]
        try:
            self._store.submit(
                self._accept, calls, done=lambda accepted, error: self._written(batch, size, accepted, error)
            )
        except StoreError as error:  # it was closed while more was gathered
            self._written(batch, size, None, error)

    def _written(
        self, batch: list[_Waiting[S, R]], size: int, accepted: Accepted[R] | None, error: BaseException | None
    ) -> None:
        failpoints.hit("accepted")
        self._texts -= size
        try:
            self._end(batch, accepted, error)
        finally:
            self._gather(len(batch))

    def _end(self, batch: list[_Waiting[S, R]], accepted: Accepted[R] | None, error: BaseException | None) -> None:
        """Tell who waits, before the next batch is made ready: their answers need not wait for that."""
        if accepted is not None:
            _tell(batch, accepted.results)
            self._accepted(accepted.queues, accepted.is_new)
        elif len(batch) > 1 and not isinstance(error, CarillonError):  # one of them may be what fails: each alone
            log.error("calls of programs could not be accepted together, trying each by itself", exc_info=error)
            for one in batch:
                self._alone(one)
        else:
            _tell(batch, [error or CarillonError("no result")] * len(batch))

    def _alone(self, one: _Waiting[S, R]) -> None:
        size = one.call.size
        self._texts += size
        self._store.submit(
            self._accept, [one.call], done=lambda accepted, error: self._written([one], size, accepted, error)
        )


def _tell(batch: Sequence[_Waiting[S, R]], results: Sequence[R | BaseException]) -> None:
    for one, result in zip(batch, results, strict=True):
        try:
            if isinstance(result, BaseException):
                one.done(None, result)
            else:
                one.done(result, None)
        except Exception:  # what is committed stays so; the others of the batch must hear all the same
            log.exception("a program could not be told what became of its call")
