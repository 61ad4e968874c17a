"""One connection to a carrier: carries octets between the socket and the session, and tells what they mean."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, cast

from gateway.channels.base import Deliveries, Upward
from gateway.channels.smpp.reading import Reader
from gateway.channels.smpp.settings import SmppSettings
from gateway.channels.smpp.throttle import Throttle
from gateway.channels.smpp.writing import Bodies, Writer
from gateway.codecs import smpp
from gateway.codecs import smpp_session as sessions
from gateway.errors import Failure, Retry
from gateway.messages import Answer, Asked, Receipt

log = logging.getLogger(__name__)

GOODBYE_S: Final = 2.0  # from then on nobody waits for the end of a line any more
PARTS_S: Final = 1.0  # of it, how long a goodbye may wait for what is open
QUESTIONS: Final = 10  # about messages, in a second and on one line
CONGESTED: Final = 90  # a carrier that says it is so busy, of 100, wants us to slow down (SMPP 5.0, 4.8.4.18)
_COMPLAINTS: Final = frozenset((smpp.THROTTLED, 0x14))  # RTHROTTLED, RMSGQFUL (3.4, 5.1.3)

_answer = partial(tuple.__new__, Answer)  # half the time of Answer(...)


@dataclass(slots=True)
class Shared:
    """What all lines of a channel have in common."""

    name: str
    settings: SmppSettings
    upward: Upward
    now_ms: Callable[[], int]
    chance: random.Random
    writer: Writer
    reader: Reader
    stirred: asyncio.Event = field(default_factory=asyncio.Event)  # something came in, or a line ended
    leaving: asyncio.Event = field(default_factory=asyncio.Event)
    dialling: asyncio.Lock = field(default_factory=asyncio.Lock)
    refusal: Failure | None = None  # of our account or set-up
    refused_until: float = 0.0  # by the loop's clock: nobody dials before
    questions: deque[Asked] = field(default_factory=lambda: deque(maxlen=10_000))
    last_number: int = 0

    def next_number(self) -> int:
        """A number for a new connection, greater than all before, also over restarts: hence the time of day."""
        self.last_number = max(self.last_number + 1, self.now_ms())
        return self.last_number


class Handle:
    """Names what waits for thanks: all usual receipts of one read, or one other message."""

    __slots__ = ("sequences", "wire")

    def __init__(self, wire: Wire, sequences: Sequence[int]) -> None:
        self.wire = wire
        self.sequences = sequences


class Wire(asyncio.Protocol):
    """One connection, from dialling to its end. `trouble` says why it is not, or no longer, bound."""

    def __init__(self, shared: Shared, mode: str, throttle: Throttle) -> None:
        settings = shared.settings
        self.session = sessions.Client(
            sessions.Bind(mode, settings.account, settings.password, settings.system_type),
            window=settings.window,
            enquire_s=settings.enquire_s,
            answer_s=settings.answer_s,
            use_data_sm=settings.use_data_sm,
            reads_deliveries=True,
        )
        self.number = shared.next_number()
        self.settled = asyncio.Event()  # bound, or gone without having been
        self.gone = asyncio.Event()
        self.bound_at: float | None = None
        self.trouble: Failure | None = None
        self._shared = shared
        self._throttle = throttle
        self._name, self._upward = shared.name, shared.upward
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._tick_s = min(1.0, settings.enquire_s / 4, settings.answer_s / 4)
        self._timer: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._alarm: asyncio.TimerHandle | None = None  # rings when the throttle lets something out again
        self._asked_at = 0.0
        self._is_paused = False
        self._is_forgotten = False  # the carrier says that we are not bound

    # --- what the line asks

    @property
    def space(self) -> int:
        """Parts that the carrier's window has room for; 0 where nothing may be written at all."""
        return 0 if self._is_paused or self._is_forgotten else self.session.room

    @property
    def room(self) -> int:
        """Parts that may be written now."""
        space = self.space
        return min(space, self._throttle.room(self._loop.time(), self.session.in_flight)) if space else 0

    def send(self, bodies: Bodies) -> None:
        """Write parts, in one go."""
        now = self._loop.time()
        self.session.send(bodies, now)
        self._throttle.wrote(len(bodies), now)
        self.flush()
        self._set_alarm()

    def part(self) -> None:
        """Say goodbye when nothing is open any more on either side, or after a moment all the same."""
        self.session.part(self._loop.time())
        self.flush()
        if self._patience is None:
            self._patience = self._loop.call_later(PARTS_S, self._unbind)

    def _unbind(self) -> None:
        if self.session.is_parting:
            self.session.unbind(self._loop.time())
            self.flush()

    def flush(self) -> None:
        """Write what the session has to say."""
        out = self.session.take_out()
        if out and self._transport is not None:
            self._transport.write(out)

    def hang_up(self, why: str) -> None:
        """End now; what had no answer is told as in doubt."""
        if self._transport is not None:
            self._tell(self.session.lost(why))

    # --- what asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The carrier has picked up: ask to be bound."""
        self._transport = cast("asyncio.Transport", transport)  # asyncio and uvloop set TCP_NODELAY themselves
        if self._shared.leaving.is_set():
            self.hang_up("we are leaving")
            return
        self.session.start(self._loop.time())
        self.flush()
        self._tick()

    def data_received(self, data: bytes) -> None:
        """Take what one read brought."""
        events = self.session.receive(data, self._loop.time())
        self.flush()
        self._tell(events)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._tell(self.session.lost(str(exc) if exc else "the carrier hung up"))
        self._end()

    def pause_writing(self) -> None:
        """The socket is full."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """There is room in the socket again."""
        self._is_paused = False
        self._tell_of_room()

    def _tick(self) -> None:
        now = self._loop.time()
        self._tell(self.session.tick(now))
        if self._shared.questions and now - self._asked_at >= 1:
            self._ask(now)
        self.flush()
        if not self.session.closed:
            self._timer = self._loop.call_later(self._tick_s, self._tick)

    # --- questions about messages

    def _ask(self, now: float) -> None:
        """Ask a few, while at least half of the window has nothing better to do."""
        idle = self.room - self._shared.settings.window // 2
        questions: list[tuple[sessions.Token, bytes]] = []
        while self._shared.questions and len(questions) < min(QUESTIONS, idle):
            asked = self._shared.questions.popleft()
            try:
                questions.append((asked, self._shared.writer.question(asked.carrier_id, asked.sender)))
            except ValueError:
                log.debug("%s: nobody can be asked about the id %r", self._name, asked.carrier_id)
        if questions:
            self._asked_at = now
            self.session.ask_about(questions, now)

    def _learned(self, event: sessions.Learned) -> None:
        told = self._shared.reader.answer_to(event.token, event.reading) if event.reading else None
        if told is not None:
            self._upward.arrived(self._name, [told], [])

    # --- what events mean

    def _tell(self, events: Sequence[sessions.Event]) -> None:
        for event in events:
            if isinstance(event, sessions.Answered):
                self._answered(event)
            elif isinstance(event, sessions.Delivered):
                self._delivered(event)
            elif isinstance(event, sessions.Arrived):
                self._arrived(event.messages)
            elif isinstance(event, sessions.Unanswered):
                self._slow_down()  # no carrier forgets answers because it is idle
                self._in_doubt(event.tokens)
            elif isinstance(event, sessions.Reassured):
                self._tell_of_room()
            elif isinstance(event, sessions.Learned):
                self._learned(event)
            elif isinstance(event, sessions.Bound):
                self._bound()
            elif isinstance(event, sessions.Refused):
                self.trouble = smpp.failure(event.status)
            elif isinstance(event, sessions.Closed):
                self._closed(event)
        if self._is_forgotten and not self.session.in_flight and not self.session.closed:  # sooner would leave doubts
            self.hang_up("the carrier says that the line is not bound")
        if events:
            self._shared.stirred.set()

    def _bound(self) -> None:
        self.bound_at = self._loop.time()
        log.info("%s: bound", self._name)
        self.settled.set()
        self._upward.ready(self._name)
        self._set_alarm()

    def _answered(self, event: sessions.Answered) -> None:
        told = []
        refusals = set()
        for (message, attempt, part, count), status, carrier_id in event.answers:
            if status:
                refusals.add(status)
                told.append(Answer(message, attempt, part, count, "", smpp.failure(status)))
            else:
                told.append(_answer((message, attempt, part, count, carrier_id, None, False)))
        if event.congestion >= CONGESTED or not refusals.isdisjoint(_COMPLAINTS):
            self._slow_down()
        self._is_forgotten |= smpp.NOT_BOUND in refusals
        if told:
            self._upward.answered(self._name, told)
        self._tell_of_room()

    def _slow_down(self) -> None:
        self._throttle.slow_down(self._loop.time())
        self._set_alarm()

    def _set_alarm(self) -> None:
        """Be woken when time alone has made room; as long as nobody complains there is nothing to wait for."""
        if self._alarm is None and not self.session.closed:
            wait_s = self._throttle.wait_s(self._loop.time())
            if wait_s:
                self._alarm = self._loop.call_later(wait_s, self._go_on)

    def _go_on(self) -> None:
        self._alarm = None
        self._tell_of_room()
        self._set_alarm()

    def _tell_of_room(self) -> None:
        if self.room:
            self._upward.ready(self._name)

    def _in_doubt(self, tokens: list[sessions.Token]) -> None:
        told = [Answer(message, attempt, part, count, in_doubt=True) for message, attempt, part, count in tokens]
        if told:
            self._upward.answered(self._name, told)
            self._tell_of_room()

    def _delivered(self, event: sessions.Delivered) -> None:
        handle, told, reader = Handle(self, event.sequences), event.deliveries, self._shared.reader
        if self._upward.delivered is None or not reader.knows_spelling:
            self._upward.arrived(self._name, reader.deliveries(told, handle), [])
            return

        def in_full(place: int) -> Receipt:
            return reader.deliveries((told[place],), handle)[0]

        *_, ids, codes = zip(*told, strict=True)
        self._upward.delivered(self._name, Deliveries(ids, codes, in_full, handle))

    def _arrived(self, messages: list[tuple[int, smpp.ShortMessage]]) -> None:
        reader = self._shared.reader
        receipts, texts = [], []
        for sequence, message in messages:
            handle = Handle(self, (sequence,))
            if smpp.is_receipt(message):
                receipts.append(reader.receipt(message, handle))
            else:
                texts.append(reader.inbound(message, self.number, handle))
        self._upward.arrived(self._name, receipts, texts)

    def _closed(self, event: sessions.Closed) -> None:
        log.info("%s: %s", self._name, event.why)
        if self.bound_at is not None or self.trouble is None:
            self.trouble = Failure("line lost", event.why, Retry.LATER)
        self.flush()
        self._in_doubt(event.tokens)
        if self._transport is not None:
            self._transport.close()
            self._loop.call_later(GOODBYE_S, self._transport.abort)  # a dead peer never reads what is left to write
        self._end()

    def _end(self) -> None:
        for timer in (self._timer, self._alarm, self._patience):
            if timer is not None:
                timer.cancel()
        self._timer = self._alarm = self._patience = None
        self.settled.set()
        self.gone.set()
