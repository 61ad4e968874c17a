"""The lines to clients, and all that waits to be brought over them until it is acknowledged."""

from __future__ import annotations

import asyncio
import heapq
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, cast

from gateway.channels.simulator import receipts
from gateway.channels.simulator.counters import Counters
from gateway.channels.simulator.fates import DELETED
from gateway.channels.simulator.receipts import Receipt
from gateway.codecs import smpp_session
from gateway.codecs.smpp import Pdu, ShortMessage, Value
from gateway.codecs.smpp_session import (
    Answered,
    Arrived,
    Bind,
    Bound,
    Closed,
    Event,
    Reassured,
    Server,
    Unanswered,
)
from gateway.errors import CarillonError

NAME: Final = "SIMULATOR"  # the system_id that it gives
TICK_MS: Final = 10  # receipts that fall due within a tick leave together
COME_BACK_S: Final = 1.0  # the pause before what was not taken is brought again
ANSWER_S: Final = 60  # how long a receipt or a text waits for its acknowledgement


class _Posted:
    """A text from a handset, until all its parts are taken."""

    __slots__ = ("_left", "taken")

    def __init__(self, count: int) -> None:
        self._left = count
        self.taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def part_taken(self) -> None:
        self._left -= 1
        if not self._left and not self.taken.done():
            self.taken.set_result(None)


class _Delivery(NamedTuple):
    """A deliver_sm that its account has not acknowledged; without `posted` it is a receipt."""

    account: str
    body: bytes
    posted: _Posted | None
    origin: object = None


class Deliveries:
    """Receipts and texts by account: first to come, first to be brought, and kept until they are acknowledged."""

    def __init__(self, counters: Counters, now_ms: Callable[[], int], *, elsewhere: bool = False) -> None:
        self.lines: list[Line] = []
        self.cancelled: set[bytes] = set()  # the ids of texts whose receipt, still to come, says that they were deleted
        self._elsewhere = elsewhere
        self._counters = counters
        self._now_ms = now_ms
        self._loop = asyncio.get_running_loop()
        self._waiting: defaultdict[str, deque[_Delivery]] = defaultdict(deque)  # by account
        self._due: dict[int, list[Receipt | _Delivery]] = {}  # by tick
        self._ticks: list[int] = []  # a heap of the keys of _due
        self._alarm: asyncio.TimerHandle | None = None
        self._posted: set[_Posted] = set()

    def post(self, account: str, bodies: Sequence[bytes]) -> asyncio.Future[None]:
        """Bring the parts of a handset's text; the future is done when every one is acknowledged."""
        posted = _Posted(len(bodies))
        self._posted.add(posted)
        posted.taken.add_done_callback(lambda _: self._posted.discard(posted))
        self._waiting[account].extend(_Delivery(account, body, posted) for body in bodies)
        self.pump(account)
        return posted.taken

    def end(self) -> None:
        """Bring nothing more. A text that nobody has taken raises CarillonError where it is awaited."""
        if self._alarm:
            self._alarm.cancel()
        for posted in self._posted:
            if not posted.taken.done():
                posted.taken.set_exception(CarillonError("The simulator was stopped before anyone took this text."))
                posted.taken.exception()  # told to whoever waits; nobody has to

    def plan(self, at: float, what: Receipt | _Delivery) -> None:
        """Bring it at a time of the loop's clock, within a tick."""
        tick = int(at * 1000) // TICK_MS + 1
        if tick in self._due:
            self._due[tick].append(what)
            return
        self._due[tick] = [what]
        heapq.heappush(self._ticks, tick)
        if self._ticks[0] == tick:
            self._set_alarm()

    def _set_alarm(self) -> None:
        if self._alarm:
            self._alarm.cancel()
        self._alarm = self._loop.call_at(self._ticks[0] * TICK_MS / 1000, self._on_alarm) if self._ticks else None

    def _on_alarm(self) -> None:
        """Bring what fell due: one wake-up and one write a line, however many."""
        early_ms = 1  # timers may ring within a millisecond before their time
        self._bring(int(self._loop.time() * 1000 + early_ms) // TICK_MS)

    async def hurry(self, timeout_s: float) -> None:
        """Bring everything now, and wait until it has been acknowledged, at most so long."""
        if self._ticks:
            self._bring(max(self._ticks))
        end = self._loop.time() + timeout_s
        counters = self._counters
        # The counters ring no bell; this is looked at for a moment, once, at the end.
        while counters.receipts_sent > counters.receipts_acknowledged and self._loop.time() < end:  # noqa: ASYNC110  see above
            await asyncio.sleep(TICK_MS / 1000)

    def _bring(self, tick: int) -> None:
        now_ms = self._now_ms()
        accounts = set()
        while self._ticks and self._ticks[0] <= tick:
            for due in self._due.pop(heapq.heappop(self._ticks)):
                if isinstance(due, Receipt):
                    due = self._receipt(due, now_ms)  # noqa: PLW2901 - it is due: now a body
                self._waiting[due.account].append(due)
                accounts.add(due.account)
        self._set_alarm()
        for account in accounts:
            self.pump(account)

    def _receipt(self, due: Receipt, now_ms: int) -> _Delivery:
        if self.cancelled and due.message_id in self.cancelled:
            self.cancelled.discard(due.message_id)
            due = due._replace(word=DELETED)
        return _Delivery(due.account, receipts.body(due, now_ms), None, due.origin)

    def pump(self, account: str) -> None:
        """Spread what waits for an account over its lines, as far as their windows go."""
        waiting = self._waiting[account]
        if self._elsewhere and waiting:
            self._bring_elsewhere(account, waiting)
            return
        lines = [line for line in self.lines if line.account == account and line.room] if waiting else []
        for left, line in zip(range(len(lines), 0, -1), lines, strict=True):
            count = min(line.room, -(-len(waiting) // left))
            self._deliver(line, [waiting.popleft() for _ in range(count)])

    def _deliver(self, line: Line, deliveries: Sequence[_Delivery]) -> None:
        texts = sum(delivery.posted is not None for delivery in deliveries)
        self._counters.texts_sent += texts
        self._counters.receipts_sent += len(deliveries) - texts
        line.deliver(deliveries)

    def _bring_elsewhere(self, account: str, waiting: deque[_Delivery]) -> None:
        """Each on a line by which its text did not come; on that one only where there is no other."""
        while waiting:
            lines = [line for line in self.lines if line.account == account and line.takes]
            others = [line for line in lines if line is not waiting[0].origin] or lines
            line = next((line for line in others if line.room), None)
            if line is None:
                return
            self._deliver(line, [waiting.popleft()])

    def acknowledged(self, account: str, answers: Sequence[tuple[object, int, str]]) -> None:
        """What was taken is done with; anything else is brought again after a pause."""
        for token, status, _ in answers:
            delivery = cast("_Delivery", token)
            if status:
                self.plan(self._loop.time() + COME_BACK_S, delivery)
            elif delivery.posted is None:
                self._counters.receipts_acknowledged += 1
            else:
                self._counters.texts_acknowledged += 1
                delivery.posted.part_taken()
        self.pump(account)

    def take_back(self, tokens: Sequence[object]) -> None:
        """What no answer came for waits again, first in line."""
        for delivery in reversed(cast("Sequence[_Delivery]", tokens)):
            self._waiting[delivery.account].appendleft(delivery)
        for account in {delivery.account for delivery in cast("Sequence[_Delivery]", tokens)}:
            self.pump(account)


Submitted = Callable[["Line", Sequence[tuple[int, ShortMessage]]], None]
Requested = Callable[["Line", Pdu], None]


class Line(asyncio.Protocol):
    """One connection of a client."""

    def __init__(
        self, deliveries: Deliveries, admit: Callable[[Bind], int], submitted: Submitted, requested: Requested
    ) -> None:
        self._deliveries = deliveries
        self._submitted, self._requested = submitted, requested
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._is_full = False
        self._session = Server(NAME, admit, answer_s=ANSWER_S)
        self.gone: asyncio.Future[None] = self._loop.create_future()

    @property
    def account(self) -> str:
        """The system_id of who is bound; empty before."""
        return self._session.client

    @property
    def takes(self) -> bool:
        """Whether receipts and texts may be brought on it at all."""
        return self._session.mode in ("transceiver", "receiver")

    @property
    def room(self) -> int:
        """How many receipts and texts may be written now."""
        return 0 if self._is_full else self._session.room

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has dialled."""
        self._transport = cast("asyncio.Transport", transport)
        self._deliveries.lines.append(self)

    def data_received(self, data: bytes) -> None:
        """Take what one read brought."""
        self._heed(self._session.receive(data, self._loop.time()))

    def tick(self) -> None:
        """Let time pass."""
        self._heed(self._session.tick(self._loop.time()))

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone; what was on the way waits again."""
        self._deliveries.lines.remove(self)
        self._heed(self._session.lost())
        self.gone.set_result(None)

    def pause_writing(self) -> None:
        """The socket is full."""
        self._is_full = True

    def resume_writing(self) -> None:
        """There is room in the socket again."""
        self._is_full = False
        self._deliveries.pump(self.account)

    def deliver(self, deliveries: Sequence[_Delivery]) -> None:
        """Send receipts and texts in one write."""
        self._session.send(((delivery, delivery.body) for delivery in deliveries), self._loop.time())
        self._flush()

    def answer(self, answers: Iterable[tuple[int, int, str]]) -> None:
        """Answer submits in one write."""
        self._heed(self._session.answer(answers))

    def reply(self, request: Pdu, status: int, **fields: Value) -> None:
        """Answer a request that is no submit."""
        self._session.reply(request, status, **fields)
        self._flush()

    def cut(self) -> None:
        """The line falls, with all that is on the way."""
        self._transport.abort()
        self._heed(self._session.lost())

    def part(self) -> None:
        """Say goodbye."""
        self._session.unbind(self._loop.time())
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        out = self._session.take_out()
        if out:
            self._transport.write(out)

    def _heed(self, events: Sequence[Event]) -> None:
        for event in events:
            match event:
                case Arrived(messages):
                    self._submitted(self, messages)
                case Answered(answers):
                    self._deliveries.acknowledged(self.account, answers)
                case Bound() | Reassured():
                    self._deliveries.pump(self.account)
                case Unanswered(tokens):
                    self._deliveries.take_back(tokens)
                case Closed(_, tokens):
                    self._deliveries.take_back(tokens)
                    self._flush()
                    self._transport.close()
                case smpp_session.Requested(pdu):
                    self._requested(self, pdu)
        self._flush()
