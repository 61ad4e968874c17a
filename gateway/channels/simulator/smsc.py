"""The simulated carrier itself: takes submits, keeps what it has to bring, and never brings less than it took."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final

import orjson

from gateway.channels.simulator import receipts
from gateway.channels.simulator.book import Book, Entry
from gateway.channels.simulator.counters import Counters
from gateway.channels.simulator.fates import DELIVERED, EXPIRED, UNDELIVERABLE, Fate, Fates, Rules
from gateway.channels.simulator.handsets import Handset, HandsetMessage, Handsets
from gateway.channels.simulator.lines import Deliveries, Line
from gateway.channels.simulator.receipts import Receipt
from gateway.channels.smpp.reading import with_header
from gateway.codecs import parts, smpp
from gateway.codecs.smpp import Pdu, ShortMessage
from gateway.codecs.smpp_session import Bind
from gateway.errors import CarillonError, PortTaken
from gateway.messages import Joint

GOODBYE_S: Final = 1.0  # how long the last octets of a line may take to leave

BAD_PASSWORD: Final = 0x0E  # command_status (SMPP 3.4, 5.1.3)
BAD_ACCOUNT: Final = 0x0F
CANNOT_CANCEL: Final = 0x11
CANNOT_REPLACE: Final = 0x13
CANNOT_QUERY: Final = 0x67
_TEXTS: Final = frozenset((parts.GSM, parts.UCS2))  # data codings of nearly all
_TIME_TO_LIVE: Final = 0x0017  # qos_time_to_live: seconds (5.3.2.8)


@dataclass(slots=True)
class _Read:
    """What one read of a line brought, and what becomes of it."""

    line: Line
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
        self._book = Book()
        self._seen: set[int] | None = set() if watch_duplicates else None
        self._reference = 0
        self._last_id = now_ms() << 20  # so that ids differ from those before a restart

    # --- the house

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes any free one, see `port`. Raises PortTaken."""
        self._loop = asyncio.get_running_loop()
        self._deliveries = Deliveries(self.counters, self._now_ms, elsewhere=self._rules.elsewhere)
        try:
            self._server = await self._loop.create_server(
                lambda: Line(self._deliveries, self._admit, self._submitted, self._requested), host, port
            )
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
        self._deliveries.end()
        lines = list(self._deliveries.lines)
        for line in lines:
            line.part()
        if lines:
            await asyncio.wait([line.gone for line in lines], timeout=GOODBYE_S)
        for line in list(self._deliveries.lines):
            line.cut()
        await self._server.wait_closed()
        if self._log >= 0:
            os.close(self._log)
            self._log = -1

    async def hurry(self, timeout_s: float) -> None:
        """Send the receipts that would come later now, before we close: this carrier forgets them."""
        await self._deliveries.hurry(timeout_s)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.sockets[0].getsockname()[1])

    def _on_second(self) -> None:
        self._heartbeat = self._loop.call_later(1, self._on_second)
        for line in list(self._deliveries.lines):
            line.tick()

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
        sender, recipient = receipts.address(number), receipts.address(to)
        header = smpp.HAS_HEADER if len(pieces) > 1 else 0
        return self._deliveries.post(
            account,
            [smpp.message_body(sender, recipient, piece, esm_class=header, data_coding=coding) for piece in pieces],
        )

    # --- what clients bring

    def _admit(self, bind: Bind) -> int:
        if self._passwords is None:
            return smpp.OK
        if bind.system_id not in self._passwords:
            return BAD_ACCOUNT
        return smpp.OK if self._passwords[bind.system_id] == bind.password else BAD_PASSWORD

    def _submitted(self, line: Line, messages: Sequence[tuple[int, ShortMessage]]) -> None:
        """Take what one read brought: decide, log, answer, in this order."""
        read = _Read(line, line.account, self._now_ms(), self._loop.time())
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
        message_id, told_id = self._ids()
        sender, recipient = receipts.sender_of(message), receipts.recipient_of(message)
        text, joint = _text_of(message)
        reference, total, part = joint or (0, 1, 1)
        if self._log >= 0:
            record = {"at_ms": read.now_ms, "id": message_id, "account": read.account, "sender": sender}
            record |= {"recipient": recipient, "text": text, "reference": reference, "part": part, "parts": total}
            read.records.append(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
        if self._seen is not None:
            mark = hash((sender, recipient, text, part, total))
            self.counters.duplicates += mark in self._seen
            self._seen.add(mark)
        word, due = self._end_of(read, message, fate)
        self._book.note(message_id, Entry(message.sender, word, due))
        if _wants_receipt(message.registered_delivery, word):
            receipt = Receipt(read.account, message, told_id.encode(), read.now_ms, word, read.line)
            self._deliveries.plan(due, receipt)
        if word in (b"", DELIVERED):
            whole = self._handsets.received(recipient, sender, text, joint, read.now_ms)
            if whole is not None and self.on_message:
                read.shown.append((whole, recipient))
        return message_id

    def _ids(self) -> tuple[str, str]:
        """The newest message's id as answers and as receipts write it."""
        if self._rules.hex_ids:
            return f"{self._last_id:x}", f"{self._last_id:010d}"
        message_id = f"s{self._last_id:x}"  # with a letter that is no hexadecimal digit: it has one spelling only
        return message_id, message_id

    def _end_of(self, read: _Read, message: ShortMessage, fate: Fate) -> tuple[bytes, float]:
        """How it ends, and when by the loop's clock: a text that would come too late is not brought at all."""
        delay_s = self._fates.delay_s(fate)
        valid_s = _valid_s(message, read.now_ms)
        if fate.word and valid_s is not None and valid_s < delay_s:
            return EXPIRED, read.now + max(0.0, valid_s)
        return fate.word, read.now + delay_s

    def _requested(self, line: Line, pdu: Pdu) -> None:
        """A client asks what became of a text, or takes one back."""
        now = self._loop.time()
        message_id, sender = str(pdu.fields["message_id"]), str(pdu.fields["source_addr"])
        if pdu.command == smpp.CANCEL_SM:
            is_gone = self._book.cancel(message_id, sender, now)
            if is_gone:
                told_id = f"{int(message_id, 16):010d}" if self._rules.hex_ids else message_id
                self._deliveries.cancelled.add(told_id.encode())
            line.reply(pdu, smpp.OK if is_gone else CANNOT_CANCEL)
        elif pdu.command == smpp.QUERY_SM:
            self._tell(line, pdu, self._book.find(message_id, sender), now)
        else:
            line.reply(pdu, CANNOT_REPLACE)

    def _tell(self, line: Line, pdu: Pdu, entry: Entry | None, now: float) -> None:
        if entry is None:
            line.reply(pdu, CANNOT_QUERY)
            return
        word = self._book.state(entry, now)
        error = int(word == UNDELIVERABLE)  # as the receipt says
        message_id = str(pdu.fields["message_id"])
        line.reply(pdu, smpp.OK, message_id=message_id, message_state=receipts.STATES[word], error_code=error)

    def _write_log(self, records: list[bytes]) -> None:
        if records:
            os.write(self._log, b"".join(records))
            if self._fsync:
                os.fsync(self._log)


def _wants_receipt(registered_delivery: int, word: bytes) -> bool:
    """5.2.17: 1 asks for every final receipt, 2 only for that of a failure."""
    asked = registered_delivery & 3
    return bool(word) and (asked == 1 or (asked == 2 and word == UNDELIVERABLE))


def _text_of(message: ShortMessage) -> tuple[str, Joint | None]:
    """What a handset shows: the text, or how many octets came; sar_ fields mean what a header would."""
    octets, has_header = with_header(message)
    text, joint = parts.read(octets, message.data_coding, has_header)
    if message.data_coding not in _TEXTS:
        coding = parts.read_coding(message.data_coding)
        if coding is not None and coding.alphabet == parts.DATA:
            text = f"[{len(octets) - (octets[0] + 1 if has_header and octets else 0)} octets]"
    return text, joint


def _valid_s(message: ShortMessage, now_ms: int) -> float | None:
    """How long a text is worth bringing; None without an end, or with one that cannot be read."""
    if _TIME_TO_LIVE in message.options:
        return float(int.from_bytes(message.options[_TIME_TO_LIVE], "big"))
    validity = message.validity
    if not validity:
        return None
    return _span_s(validity, 0) if validity[-1:] == "R" else _span_s(validity, now_ms)


@lru_cache(maxsize=1024)
def _span_s(validity: str, now_ms: int) -> float | None:
    try:
        return (smpp.read_time(validity, now_ms) - now_ms) / 1000
    except ValueError:
        return None
