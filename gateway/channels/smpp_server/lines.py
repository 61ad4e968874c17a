"""One connection of a program that bound to us: its texts in, our receipts out, and no more than was agreed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, Protocol, cast

from gateway.channels.smpp_server import reading
from gateway.channels.smpp_server.account import Account, Answers, Upward
from gateway.channels.smpp_server.deliveries import NOT_TAKEN, Delivery
from gateway.channels.smpp_server.doorkeeper import Doorkeeper, place_of
from gateway.channels.smpp_server.reading import SYSTEM_ERROR, Submit
from gateway.codecs import smpp, smpp_session
from gateway.codecs.smpp import Pdu, ShortMessage, Value
from gateway.codecs.smpp_session import Answered, Arrived, Bind, Bound, Closed, Event, Reassured, Unanswered

log = logging.getLogger(__name__)

NAME: Final = "Carillon"  # the system_id that we give
BIND_S: Final = 10.0  # who is not bound by then is hung up on, however slowly it talks
ANSWER_S: Final = 30.0  # how long what we bring waits for its answer
QUIET_S: Final = 30.0  # after so long without a word we ask whether somebody is there
GOODBYE_S: Final = 2.0


class Hall(Protocol):
    """All lines together: what each of them tells and asks. It is the server, which makes the lines."""

    keeper: Doorkeeper
    loop: asyncio.AbstractEventLoop
    now_ms: Callable[[], int]
    upward: Upward

    def enters(self, line: Line) -> bool:
        """A connection is there. False: there are too many that nobody is bound on."""

    def leaves(self, line: Line) -> None:
        """A connection is gone."""

    def admit(self, line: Line, bind: Bind) -> int | None:
        """Judge a bind, which takes its time; None says so."""

    def bound(self, line: Line) -> None:
        """A program is let in."""

    def allowed(self, account: Account, count: int, unanswered: int) -> int:
        """How many of so many texts may come in now."""

    def requested(self, line: Line, pdu: Pdu) -> None:
        """A program asks what became of a text, or takes one back."""

    def answered(self, line: Line, answers: Sequence[tuple[Delivery, int, str]]) -> None:
        """What we brought was taken, or was not."""

    def pump(self, line: Line) -> None:
        """There is room on the line again."""


class Line(asyncio.Protocol):
    """One connection. Everything that comes in one read is answered in one write, as far as it can be answered at once;
    the answers of one commit leave in another. `place` is its name among the lines that all processes hold; one that
    `is_ending` is to part.
    """

    def __init__(self, hall: Hall) -> None:
        self.account: Account | None = None
        self.host, self.place = "", ""
        self.gone: asyncio.Future[None] = hall.loop.create_future()
        self._hall = hall
        self._loop = hall.loop
        self._session = smpp_session.Server(NAME, self._admit, enquire_s=QUIET_S, answer_s=ANSWER_S)
        self._transport: asyncio.Transport
        self._born = hall.loop.time()
        self.is_ending = False
        self._is_full = self._is_flushing = self._is_entering = self._is_parting = False

    @property
    def room(self) -> int:
        """How many receipts and texts may be written now."""
        return 0 if self._is_full or self.is_ending else self._session.room

    @property
    def unanswered(self) -> int:
        """Texts that the program waits to have answered."""
        return self._session.unanswered

    @property
    def in_flight(self) -> int:
        """Receipts and texts that it has not answered."""
        return self._session.in_flight

    @property
    def takes(self) -> bool:
        """Whether receipts and texts may be brought on it."""
        return self._session.mode in ("transceiver", "receiver") and not self.is_ending

    # --- what asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A program has dialled."""
        self._transport = cast("asyncio.Transport", transport)
        self.host = str((transport.get_extra_info("peername") or ("",))[0])
        self._is_entering = self._hall.enters(self)
        if not self._is_entering:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take what one read brought."""
        self._heed(self._session.receive(data, self._loop.time()))

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone; what was on the way has not been taken."""
        self._heed(self._session.lost())
        self._enter()
        self._hall.leaves(self)
        if not self.gone.done():
            self.gone.set_result(None)

    def pause_writing(self) -> None:
        """The program does not read: neither do we, so that answers cannot pile up."""
        self._is_full = True
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """There is room in the socket again."""
        self._is_full = False
        if not self._transport.is_closing():
            self._transport.resume_reading()
        self._hall.pump(self)

    # --- what the server asks for

    def tick(self, now: float) -> None:
        """Let time pass."""
        if self.account is None and now - self._born > BIND_S:
            self.cut("nobody was bound in time")
        else:
            self._heed(self._session.tick(now))

    def decide(self, status: int, account: Account | None) -> None:
        """Answer the bind: with status 0 it is let in as this account."""
        if self._session.closed:
            return
        if account is not None and not status:
            self.account = account
            self._session.window = account.window
            self._enter()
        events = self._session.decide(status)
        self._heed(events)
        if status:
            self._hang_up()

    def revise(self, account: Account) -> None:
        """What the program may do has changed."""
        self.account = account
        self._session.window = account.window

    def deliver(self, deliveries: Sequence[tuple[Delivery, bytes]]) -> None:
        """Send receipts and texts in one write."""
        self._session.send(deliveries, self._loop.time())
        self._flush()

    def answer(self, answers: Answers) -> None:
        """Answer texts; all that is answered in one turn of the loop leaves in one write."""
        events = self._session.answer(answers)
        if events:  # it said goodbye, and this was the last answer
            self._heed(events)
        elif not self._is_flushing:
            self._is_flushing = True
            self._loop.call_soon(self._flush_later)

    def reply(self, request: Pdu, status: int, **fields: Value) -> None:
        """Answer a request that is no text."""
        self._session.reply(request, status, **fields)
        self._flush()

    def wind_up(self) -> None:
        """Take and bring nothing more, since it is to part; what came is still answered."""
        self.is_ending = True

    def part(self) -> None:
        """Say goodbye, take nothing more, and hang up in a moment whatever the program does."""
        if self._is_parting or self._session.closed:
            return
        self._is_parting = self.is_ending = True
        self._session.unbind(self._loop.time())
        self._flush()
        self._loop.call_later(GOODBYE_S, self._transport.abort)

    def cut(self, why: str) -> None:
        """End it at once."""
        log.info("smpp: the line from %s was cut: %s", self.host, why)
        self._heed(self._session.lost(why))
        self._transport.abort()

    # --- within

    def _enter(self) -> None:
        """It waits before the door no longer."""
        if self._is_entering:
            self._is_entering = False
            self._hall.keeper.leaves(place_of(self.host))

    def _admit(self, bind: Bind) -> int | None:
        return self._hall.admit(self, bind)

    def _flush_later(self) -> None:
        self._is_flushing = False
        self._flush()

    def _flush(self) -> None:
        out = self._session.take_out()
        if out and not self._transport.is_closing():
            self._transport.write(out)

    def _hang_up(self) -> None:
        self._flush()
        if not self._transport.is_closing():
            self._transport.close()
            self._loop.call_later(GOODBYE_S, self._transport.abort)  # a dead peer never reads what is left to write

    def _heed(self, events: Sequence[Event]) -> None:
        for event in events:
            match event:
                case Arrived(messages):
                    self._arrived(messages)
                case Answered(answers):
                    self._hall.answered(self, answers)
                case Bound(mode, name):
                    log.info("smpp: %s is bound as %s from %s", name, mode, self.host)
                    self._hall.bound(self)
                case Reassured():
                    self._hall.pump(self)
                case Unanswered(tokens):
                    self._hall.answered(self, [(token, NOT_TAKEN, "") for token in tokens])
                case Closed(why, tokens):
                    log.info("smpp: the line from %s has ended: %s", self.host, why)
                    self._hall.answered(self, [(token, NOT_TAKEN, "") for token in tokens])
                    self._hang_up()
                case smpp_session.Requested(pdu):
                    self._hall.requested(self, pdu)
        self._flush()

    def _arrived(self, messages: Sequence[tuple[int, ShortMessage]]) -> None:
        """Take what one read brought, as far as window and pace allow."""
        account = self.account
        if account is None:
            return
        room = (
            0
            if self.is_ending
            else self._hall.allowed(account, len(messages), self._session.unanswered - len(messages))
        )
        now_ms = self._hall.now_ms()
        submits, refused = [], []
        for sequence, message in messages[:room]:
            submit = self._read(sequence, message, now_ms)
            if isinstance(submit, int):
                refused.append((sequence, submit, ""))
            else:
                submits.append(submit)
        refused += [(sequence, smpp.THROTTLED, "") for sequence, _ in messages[room:]]
        if refused:
            self.answer(refused)
        if submits:
            self._hall.upward.submitted(account, submits, self.answer)

    def _read(self, sequence: int, message: ShortMessage, now_ms: int) -> Submit | int:
        """What it asks for, or why not; what we fail to read costs one answer, never the line."""
        try:
            return reading.read(sequence, message, now_ms)
        except Exception:
            log.exception("smpp: a text from %s could not be read", self.host)
            return SYSTEM_ERROR
