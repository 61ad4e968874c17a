"""The simulated carrier itself: takes submits, keeps what it has to bring, and never brings less than it took."""

from __future__ import annotations

import asyncio
import errno
import heapq
import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, cast

import orjson

from gateway.channels.simulator import receipts
from gateway.channels.simulator.fates import UNDELIVERABLE, Fate, Fates, Rules
from gateway.channels.simulator.handsets import Handset, HandsetMessage, Handsets
from gateway.channels.simulator.receipts import Receipt
from gateway.codecs import parts, smpp
from gateway.codecs.smpp import ShortMessage
from gateway.codecs.smpp_session import Answered, Arrived, Bind, Bound, Closed, Event, Requested, Server, Unanswered
from gateway.errors import CarillonError, PortTaken

NAME: Final = "SIMULATOR"  # the system_id that it gives
TICK_MS: Final = 10  # receipts that fall due within a tick leave together
COME_BACK_S: Final = 1.0  # the pause before what was not taken is brought again
ANSWER_S: Final = 60  # how long a receipt or a text waits for its acknowledgement
GOODBYE_S: Final = 1.0  # how long the last octets of a line may take to leave

BAD_PASSWORD: Final = 0x0E  # command_status (SMPP 3.4, 5.1.3)
BAD_ACCOUNT: Final = 0x0F
CANNOT_QUERY: Final = 0x67


@dataclass(slots=True)
class Counters:
    """What has happened so far."""

    submitted: int = 0
    answered: int = 0  # with OK and an id
    throttled: int = 0
    rejected: int = 0
    lines_dropped: int = 0
    receipts_sent: int = 0  # written to a line; again counts again
    receipts_acknowledged: int = 0
    texts_sent: int = 0  # parts of texts from handsets, likewise
    texts_acknowledged: int = 0
    duplicates: int = 0  # same sender, recipient and words as before; counted when watched


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


@dataclass(slots=True)
class _Read:
    """What one read of a line brought, and what becomes of it."""

    account: str
    now_ms: int
    now: float
    answers: list[tuple[int, int, str]] = field(default_factory=list)
    records: list[bytes] = field(default_factory=list)
    shown: list[tuple[HandsetMessage, str]] = field(default_factory=list)


class Simulator:
    """An SMSC on loopback.

    `numbers` says which account (system_id) owns each of our numbers. `keep` bounds the messages on all handsets
    together; 0 keeps none. `log` gets a JSON line for each submit taken, before it is answered; with `fsync` it is
    on disk by then. `passwords` by account; without it any account may bind. `watch_duplicates` costs about 70
    octets a message. Functions in `on_message` are called with each whole text that reaches a handset, and the
    handset's number; they must not raise.
    """

    def __init__(
        self,
        rules: Rules,
        *,
        numbers: Mapping[str, str],
        now_ms: Callable[[], int],
        seed: int,
        log: Path | None = None,
        fsync: bool = False,
        passwords: Mapping[str, str] | None = None,
        keep: int = 20_000,
        watch_duplicates: bool = False,
    ) -> None:
        self.counters = Counters()
        self.on_message: list[Callable[[HandsetMessage, str], None]] = []
        self._rules, self._fates = rules, Fates(rules, seed)
        self._numbers, self._passwords = numbers, passwords
        self._now_ms = now_ms
        self._log_path, self._fsync = log, fsync
        self._log = -1
        self._handsets = Handsets(keep)
        self._seen: set[int] | None = set() if watch_duplicates else None
        self._lines: list[_Line] = []
        self._waiting: defaultdict[str, deque[_Delivery]] = defaultdict(deque)  # by account
        self._due: dict[int, list[Receipt | _Delivery]] = {}  # by tick
        self._ticks: list[int] = []  # a heap of the keys of _due
        self._alarm: asyncio.TimerHandle | None = None
        self._posted: set[_Posted] = set()
        self._reference = 0
        self._last_id = now_ms() << 20  # so that ids differ from those before a restart

    # --- the house

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes any free one, see `port`. Raises PortTaken."""
        self._loop = asyncio.get_running_loop()
        try:
            self._server = await self._loop.create_server(lambda: _Line(self), host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise PortTaken(
                f"The simulator cannot listen on {host}:{port}: another program does. "
                "Stop that program, or write another port under listen: smsc: in config.yaml."
            ) from error
        if self._log_path is not None:
            self._log = os.open(self._log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._heartbeat = self._loop.call_later(1, self._on_second)

    async def stop(self) -> None:
        """Say goodbye on every line and stop listening. A `text` that nobody has taken raises CarillonError."""
        self._server.close()
        self._heartbeat.cancel()
        if self._alarm:
            self._alarm.cancel()
        for posted in self._posted:
            if not posted.taken.done():
                posted.taken.set_exception(CarillonError("The simulator was stopped before anyone took this text."))
        lines = list(self._lines)
        for line in lines:
            line.part()
        if lines:
            await asyncio.wait([line.gone for line in lines], timeout=GOODBYE_S)
        for line in list(self._lines):
            line.cut()
        await self._server.wait_closed()
        if self._log >= 0:
            os.close(self._log)
            self._log = -1

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.sockets[0].getsockname()[1])

    # --- the phones

    def handset(self, number: str) -> Handset:
        """The virtual phone with this number, `+12065550142`."""
        return self._handsets.of(number)

    async def text(self, number: str, to: str, words: str) -> None:
        """The phone `number` texts `words` to our number `to`; returns once our side has acknowledged every part.

        Kept, and brought again after each broken line or "come again". Raises CarillonError for a `to` that is
        nobody's, ValueError for more than 255 parts.
        """
        await self.post(number, to, words)

    def post(self, number: str, to: str, words: str) -> asyncio.Future[None]:
        """The same without waiting: the future is done when every part is acknowledged."""
        account = self._numbers.get(to)
        if account is None:
            ours = ", ".join(self._numbers) or "there are none"
            raise CarillonError(f"{to} is not one of our numbers ({ours}). Text one of those.")
        self._reference += 1
        coding, pieces = parts.split(words, self._reference)
        self._handsets.sent(number, to, words, len(pieces), self._now_ms())
        posted = _Posted(len(pieces))
        self._posted.add(posted)
        posted.taken.add_done_callback(lambda _: self._posted.discard(posted))
        sender, recipient = receipts.address(number), receipts.address(to)
        esm_class = smpp.HAS_HEADER if len(pieces) > 1 else 0
        self._waiting[account].extend(
            _Delivery(
                account, smpp.message_body(sender, recipient, piece, esm_class=esm_class, data_coding=coding), posted
            )
            for piece in pieces
        )
        self._pump(account)
        return posted.taken

    # --- what clients bring

    def _admit(self, bind: Bind) -> int:
        if self._passwords is None:
            return smpp.OK
        if bind.system_id not in self._passwords:
            return BAD_ACCOUNT
        return smpp.OK if self._passwords[bind.system_id] == bind.password else BAD_PASSWORD

    def _submitted(self, line: _Line, messages: Sequence[tuple[int, ShortMessage]]) -> None:
        """Take what one read brought: decide, log, answer, in this order."""
        read = _Read(line.session.client, self._now_ms(), self._loop.time())
        falls = False
        for sequence, message in messages:
            answer = self._meet(read, sequence, message)
            falls = bool(self._rules.drop_every) and self.counters.submitted % self._rules.drop_every == 0
            if falls:
                break
            read.answers.append(answer)
            self.counters.answered += not answer[1]
        self._write_log(read.records)
        if self._rules.answer_ms:
            self._loop.call_later(self._rules.answer_ms / 1000, line.answer, read.answers)
        else:
            line.answer(read.answers)
        if falls:
            self.counters.lines_dropped += 1
            line.cut()
        for message_shown, number in read.shown:
            for heard in self.on_message:
                heard(message_shown, number)

    def _meet(self, read: _Read, sequence: int, message: ShortMessage) -> tuple[int, int, str]:
        """One submit meets its fate; what comes back is its answer."""
        self.counters.submitted += 1
        fate = self._fates.of(message.recipient, read.now)
        if not fate.status:
            return sequence, smpp.OK, self._take(read, message, fate)
        if fate.status == smpp.THROTTLED:
            self.counters.throttled += 1
        else:
            self.counters.rejected += 1
        return sequence, fate.status, ""

    def _take(self, read: _Read, message: ShortMessage, fate: Fate) -> str:
        """Give it an id, note it for the log, plan its receipt, show it on the handset."""
        self._last_id += 1
        message_id = f"s{self._last_id:x}"  # with a letter that is no hexadecimal digit: it has one spelling only
        sender, recipient = receipts.sender_of(message), receipts.recipient_of(message)
        text, joint = parts.read(message.octets, message.data_coding, bool(message.esm_class & smpp.HAS_HEADER))
        reference, total, part = joint or (0, 1, 1)
        if self._log >= 0:
            record = {"at_ms": read.now_ms, "id": message_id, "account": read.account, "sender": sender}
            record |= {"recipient": recipient, "text": text, "reference": reference, "part": part, "parts": total}
            read.records.append(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
        if self._seen is not None:
            mark = hash((sender, recipient, text, part, total))
            self.counters.duplicates += mark in self._seen
            self._seen.add(mark)
        if _wants_receipt(message.registered_delivery, fate.word):
            receipt = Receipt(read.account, message, message_id.encode(), read.now_ms, fate.word)
            self._plan(read.now + self._fates.delay_s(fate), receipt)
        if fate.word != UNDELIVERABLE:
            whole = self._handsets.received(recipient, sender, text, joint, read.now_ms)
            if whole is not None and self.on_message:
                read.shown.append((whole, recipient))
        return message_id

    def _write_log(self, records: list[bytes]) -> None:
        if records:
            os.write(self._log, b"".join(records))
            if self._fsync:
                os.fsync(self._log)

    # --- what clients are brought

    def _plan(self, at: float, what: Receipt | _Delivery) -> None:
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
        tick = int(self._loop.time() * 1000 + 1) // TICK_MS  # timers may ring within a millisecond before their time
        now_ms = self._now_ms()
        accounts = set()
        while self._ticks and self._ticks[0] <= tick:
            for due in self._due.pop(heapq.heappop(self._ticks)):
                if isinstance(due, Receipt):
                    due = _Delivery(due.account, receipts.body(due, now_ms), None)  # noqa: PLW2901 - it is due: now a body
                self._waiting[due.account].append(due)
                accounts.add(due.account)
        self._set_alarm()
        for account in accounts:
            self._pump(account)

    def _on_second(self) -> None:
        self._heartbeat = self._loop.call_later(1, self._on_second)
        for line in list(self._lines):
            line.tick()

    def _pump(self, account: str) -> None:
        """Spread what waits for an account over its lines, as far as their windows go."""
        waiting = self._waiting[account]
        lines = [line for line in self._lines if line.session.client == account and line.room] if waiting else []
        for left, line in zip(range(len(lines), 0, -1), lines, strict=True):
            count = min(line.room, -(-len(waiting) // left))
            deliveries = [waiting.popleft() for _ in range(count)]
            texts = sum(delivery.posted is not None for delivery in deliveries)
            self.counters.texts_sent += texts
            self.counters.receipts_sent += count - texts
            line.deliver(deliveries)

    def _acknowledged(self, account: str, answers: Sequence[tuple[object, int, str]]) -> None:
        """What was taken is done with; anything else is brought again after a pause."""
        for token, status, _ in answers:
            delivery = cast("_Delivery", token)
            if status:
                self._plan(self._loop.time() + COME_BACK_S, delivery)
            elif delivery.posted is None:
                self.counters.receipts_acknowledged += 1
            else:
                self.counters.texts_acknowledged += 1
                delivery.posted.part_taken()
        self._pump(account)

    def _take_back(self, tokens: Sequence[object]) -> None:
        """What no answer came for waits again, first in line."""
        for delivery in reversed(cast("Sequence[_Delivery]", tokens)):
            self._waiting[delivery.account].appendleft(delivery)


class _Line(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._is_full = False
        self.session = Server(NAME, simulator._admit, answer_s=ANSWER_S)
        self.gone: asyncio.Future[None] = self._loop.create_future()

    @property
    def room(self) -> int:
        """How many receipts and texts may be written now."""
        return 0 if self._is_full else self.session.room

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._simulator._lines.append(self)

    def data_received(self, data: bytes) -> None:
        self._heed(self.session.receive(data, self._loop.time()))

    def tick(self) -> None:
        """Let time pass."""
        self._heed(self.session.tick(self._loop.time()))

    def connection_lost(self, exc: Exception | None) -> None:
        self._simulator._lines.remove(self)
        self._heed(self.session.lost())
        self.gone.set_result(None)

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self._simulator._pump(self.session.client)

    def deliver(self, deliveries: Sequence[_Delivery]) -> None:
        """Send receipts and texts in one write."""
        self.session.send(((delivery, delivery.body) for delivery in deliveries), self._loop.time())
        self._flush()

    def answer(self, answers: Iterable[tuple[int, int, str]]) -> None:
        """Answer submits in one write."""
        self.session.answer(answers)
        self._flush()

    def cut(self) -> None:
        """The line falls, with all that is on the way."""
        self._transport.abort()
        self._heed(self.session.lost())

    def part(self) -> None:
        """Say goodbye."""
        self.session.unbind(self._loop.time())
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        out = self.session.take_out()
        if out:
            self._transport.write(out)

    def _heed(self, events: Sequence[Event]) -> None:
        for event in events:
            match event:
                case Arrived(messages):
                    self._simulator._submitted(self, messages)
                case Answered(answers):
                    self._simulator._acknowledged(self.session.client, answers)
                case Bound():
                    self._simulator._pump(self.session.client)
                case Unanswered(tokens):
                    self._simulator._take_back(tokens)
                case Closed(_, tokens):
                    self._simulator._take_back(tokens)
                    self._flush()
                    self._transport.close()
                case Requested(pdu):
                    self.session.reply(pdu, CANNOT_QUERY)
        self._flush()


def _wants_receipt(registered_delivery: int, word: bytes) -> bool:
    """5.2.17: 1 asks for every final receipt, 2 only for that of a failure."""
    asked = registered_delivery & 3
    return bool(word) and (asked == 1 or (asked == 2 and word == UNDELIVERABLE))
