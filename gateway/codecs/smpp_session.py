"""One line to a carrier (or to one of our own clients) as a conversation: who is bound, what waits for an answer.

Nothing here knows a socket or a clock. Octets and `now` (seconds, rising) go in; events come out of
`receive` and `tick`, and octets to write out of `take_out`. `Client` is the side that binds, `Server` the
side that is bound to; both send and take messages in the same way.

    session = Client(Bind("transceiver", "lantern", "secret"))
    session.start(now)
    transport.write(session.take_out())
    for event in session.receive(data, now): ...
    transport.write(session.take_out())  # all answers to one read leave in one write

The reads of a fast line hold hundreds of packets, so those that are many are read in place, by as few steps as can be.
Measured (CPython 3.11, one shared core, 1,000 messages a read): with the channel around it, writing a text costs 1.5
microseconds, its answer 0.7, its receipt 1.7 (some 4 where it is not of the usual form) and the thanks 0.05.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Final, NamedTuple

from gateway.codecs import smpp, smpp_usual
from gateway.codecs.smpp import ANSWER, HEADER, LAST_SEQUENCE, Pdu, Reading, RemoteError, ShortMessage

VERSION: Final = 0x34
MOST_LATE: Final = 10_000  # messages without an answer that are remembered, should one come after all
_MODES: Final = {
    "transceiver": smpp.BIND_TRANSCEIVER,
    "transmitter": smpp.BIND_TRANSMITTER,
    "receiver": smpp.BIND_RECEIVER,
}
_NAMES: Final = {command: mode for mode, command in _MODES.items()}
WORTHWHILE: Final = 500  # octets: to begin a shorter run costs more than it saves
ONE_BY_ONE: Final = 32  # packets that are read without looking for a run after a short one
_UNANSWERED: Final = (smpp.ALERT_NOTIFICATION, smpp.OUTBIND)  # the standard knows no answer to these, and we no use

Token = Any  # whatever the owner wants back with an answer; never looked into


class Bind(NamedTuple):
    """How a client introduces itself. `mode` is `transceiver`, `transmitter` or `receiver`."""

    mode: str
    system_id: str
    password: str
    system_type: str = ""

    def __repr__(self) -> str:
        """Without the password: this may come into a log."""
        return f"Bind({self.mode!r}, {self.system_id!r})"


class Bound(NamedTuple):
    """The line is bound. `system_id` is the name that the other side gave."""

    mode: str
    system_id: str


class Refused(NamedTuple):
    """The bind was refused with this command_status; `Closed` follows."""

    status: int


class Answered(NamedTuple):
    """Answers to what we sent: (token, command_status, message id), in the order they came.

    `congestion` is the most that one of them said of how busy the other side is: 0 idle or nothing said, 100 full.
    """

    answers: list[tuple[Token, int, str]]
    congestion: int = 0


class Unanswered(NamedTuple):
    """What had no answer in time. The line stays, and an answer that comes after all is told like any other."""

    tokens: list[Token]


class Reassured(NamedTuple):
    """The other side is there after all: after a late answer there was no room until it had shown that."""


class Arrived(NamedTuple):
    """Messages from the other side: (sequence, message). Each waits until it is answered with its sequence."""

    messages: list[tuple[int, ShortMessage]]


class Delivered(NamedTuple):
    """Receipts of delivery in the usual form: their sequences, and what each says, with the fields of a `Delivery`.

    They wait like messages that arrived.
    """

    sequences: list[int]
    deliveries: list[tuple[str, str, str, str, str, str]]


class Learned(NamedTuple):
    """The answer to a question about a message: a command_status, and what became of it where that is 0."""

    token: Token
    status: int
    reading: Reading | None


class Requested(NamedTuple):
    """A query_sm, cancel_sm or replace_sm that a client asked of our server; answer it with `Server.reply`."""

    pdu: Pdu


class Closed(NamedTuple):
    """The conversation is over: write what `take_out` holds and hang up. `tokens` had no answer yet."""

    why: str
    tokens: list[Token]


Event = Bound | Refused | Answered | Unanswered | Reassured | Arrived | Delivered | Learned | Requested | Closed


@dataclass(slots=True)
class _Read:
    """What one read brought."""

    events: list[Event]
    answers: list[tuple[Token, int, str]]
    delivered: list[int]
    deliveries: list[tuple[str, str, str, str, str, str]]
    messages: list[tuple[int, ShortMessage]]
    congestion: int = 0


class Session:
    """What both sides share. Use `Client` or `Server`."""

    _sends: int  # the command of our messages
    _takes: int  # the command of theirs

    def __init__(self, *, window: int, enquire_s: float, answer_s: float) -> None:
        self.window = window
        self.mode = ""  # empty until bound
        self.closed = False
        self.unanswered = 0  # messages of the other side that wait for our answer
        self._may_send = self._may_take = False
        self._enquire_s = enquire_s
        self._answer_s = answer_s
        self._out: list[bytes] = []
        self._rest = b""
        self._sequence = 0
        self._waiting: dict[int, tuple[Token, float]] = {}  # in the order sent, so the oldest stands first
        self._late: dict[int, Token] = {}  # no answer came in time
        self._questions: dict[int, tuple[Token, float]] = {}  # what was asked about messages
        self._heard: float | None = None
        self._asked: tuple[int, float, int] | None = None  # an enquire_link, bind or unbind: sequence, when, which
        self._is_doubtful = False  # an answer is late: nothing new leaves until we know that somebody is there
        self._other_takes: set[int] = set()  # sequences that came as data_sm and are answered as such
        self._farewell: Closed | None = None

    # --- what the owner of the socket asks

    @property
    def in_flight(self) -> int:
        """Messages that wait for an answer."""
        return len(self._waiting)

    @property
    def room(self) -> int:
        """Messages that may be sent now: 0 unless bound in a mode that sends."""
        if not self._may_send or self._is_doubtful:
            return 0
        return max(0, self.window - len(self._waiting) - len(self._questions))

    def take_out(self) -> bytes:
        """Everything there is to write, once."""
        out, self._out = self._out, []
        return b"".join(out)

    # --- what the owner of the socket does

    def send(self, messages: Iterable[tuple[Token, bytes]], now: float) -> None:
        """Send message bodies (of `smpp.message_body`), each with a token by which its answer is told.

        The caller keeps to `room`.
        """
        sequence, waiting, pack, command = self._sequence, self._waiting, HEADER.pack, self._sends
        write = self._out.append
        for token, body in messages:
            sequence = sequence + 1 if sequence < LAST_SEQUENCE else 1
            waiting[sequence] = (token, now)
            write(pack(16 + len(body), command, 0, sequence))
            write(body)
        self._sequence = sequence

    def unbind(self, now: float) -> None:
        """Say goodbye; `Closed` comes with the answer, or when there is none in time."""
        self._may_send = False
        if not self.closed:
            self._ask(smpp.UNBIND, now)

    def lost(self, why: str = "the line was lost") -> list[Event]:
        """The transport is gone. Tells what it took with it."""
        return [self._close(why)] if not self.closed else []

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take what one read brought, cut anywhere. All answers of it come in one event, all messages in another."""
        if self.closed:
            return []
        self._heard = now
        if self._rest:
            data = self._rest + data
        at, size = 0, len(data)
        words = data.decode("latin-1")  # once: the texts in it are then cut out of this, without a decoding each
        read = _Read([], [], [], [], [])
        while not self.closed:
            end = self._read_usual(data, words, at, read)
            most = 1 if end - at >= WORTHWHILE else ONE_BY_ONE
            at = self._read_each(data, words, end, most, now, read)
            if at == end:
                break
        self._rest = data[at:] if at < size and not self.closed else b""
        return self._in_order(read)

    def tick(self, now: float) -> list[Event]:
        """Let time pass: ask a silent peer whether it is there, give up on answers that are too late."""
        if self.closed:
            return []
        events: list[Event] = []
        if self._heard is None:
            self._heard = now
        if self._asked is not None:
            if now - self._asked[1] >= self._answer_s:
                if not self._is_there_all_the_same():
                    return [self._close("no answer to a bind, an enquire_link or an unbind")]
                self._asked = None
                self._reassure(events)
        elif now - self._heard >= self._enquire_s:
            if not self.mode:
                return [self._close("nobody was bound in time")]
            self._ask(smpp.ENQUIRE_LINK, now)
        late = self._give_up(now)
        if late:
            events.append(Unanswered(late))
            self._is_doubtful = True
            if self._asked is None:  # the line may be dead, or a message forgotten: asking tells which
                self._ask(smpp.ENQUIRE_LINK, now)
        return events

    # --- within

    def _read_usual(self, data: bytes, words: str, at: int, read: _Read) -> int:
        """Read what can be read at one go; where that ends."""
        return at

    def _read_each(self, data: bytes, words: str, at: int, most: int, now: float, read: _Read) -> int:
        """Read at most so many packets of whatever kind; where that ends. It is `at` where no packet is all there."""
        size, unpack, waiting = len(data), HEADER.unpack_from, self._waiting
        hot_answer, hot_message = self._sends | ANSWER, self._takes
        while most and size - at >= 16 and not self.closed:
            length, command, status, sequence = unpack(data, at)
            if not 16 <= length <= smpp.MOST_OCTETS:
                self._cannot_be(length, sequence)
                break
            start, end = at + 16, at + length
            if end > size:
                break
            if command == hot_answer:
                entry = waiting.pop(sequence, None) or self._late_entry(sequence)
                stop = words.find("\0", start, end)
                name = words[start:stop] if stop + 1 == end else self._unusual_answer(data, start, end, read)
                if entry is not None:
                    read.answers.append((entry[0], status, name))
            elif command == hot_message and self._may_take:
                self._take(data, start, end, sequence, read.messages)
            else:
                self._other(data[at:end], now, read)
            at = end
            most -= 1
        return at

    def _is_there_all_the_same(self) -> bool:
        """Whether something came since we asked: then the peer was only too busy for the question."""
        asked = self._asked
        return asked is not None and asked[2] == smpp.ENQUIRE_LINK and (self._heard or 0.0) > asked[1]

    def _reassure(self, events: list[Event]) -> None:
        if self._is_doubtful:
            self._is_doubtful = False
            events.append(Reassured())

    def _give_up(self, now: float) -> list[Token]:
        """What waits for too long, and is from now on late."""
        late: list[Token] = []
        for sequence in _overdue(self._waiting, now - self._answer_s):
            token = self._waiting.pop(sequence)[0]
            late.append(token)
            self._late[sequence] = token
        while len(self._late) > MOST_LATE:
            del self._late[next(iter(self._late))]
        for sequence in _overdue(self._questions, now - self._answer_s):
            del self._questions[sequence]
        return late

    def _late_entry(self, sequence: int) -> tuple[Token] | None:
        return (self._late.pop(sequence),) if sequence in self._late else None

    def _unusual_answer(self, data: bytes, start: int, end: int, read: _Read) -> str:
        """The id in an answer that has more than an id, or less."""
        name, found = smpp.read_answer(data, start, end)
        read.congestion = max(read.congestion, smpp.congestion(found) or 0)
        return name

    def _take(self, data: bytes, start: int, end: int, sequence: int, messages: list[tuple[int, ShortMessage]]) -> None:
        try:
            messages.append((sequence, smpp.read_message(data, start, end)))
        except RemoteError as error:
            self._write(self._takes | ANSWER, error.status, sequence)

    def _in_order(self, read: _Read) -> list[Event]:
        events = read.events
        self.unanswered += len(read.messages) + len(read.delivered)
        if read.answers or read.congestion:
            events.append(Answered(read.answers, read.congestion))
        if read.deliveries:
            events.append(Delivered(read.delivered, read.deliveries))
        if read.messages:
            events.append(Arrived(read.messages))
        if self._farewell is not None:
            events.append(self._farewell)
        return events

    def _next_sequence(self) -> int:
        self._sequence = self._sequence + 1 if self._sequence < LAST_SEQUENCE else 1
        return self._sequence

    def _cannot_be(self, length: int, sequence: int) -> None:
        """A length that cannot be ends the conversation: no next packet can be found."""
        self._write(smpp.GENERIC_NACK, smpp.BAD_LENGTH, sequence)
        self._close(f"a packet says it has {length} octets")

    def _write(self, command: int, status: int, sequence: int, body: bytes = b"") -> None:
        self._out.append(HEADER.pack(16 + len(body), command, status, sequence) + body)

    def _ask(self, command: int, now: float, body: bytes = b"") -> None:
        sequence = self._next_sequence()
        self._asked = (sequence, now, command)
        self._write(command, 0, sequence, body)

    def _close(self, why: str) -> Closed:
        self.closed = True
        self.mode = ""
        self._may_send = self._may_take = False
        tokens = [token for token, _ in self._waiting.values()]
        self._waiting.clear()
        self._late.clear()
        self._questions.clear()
        self._farewell = Closed(why, tokens)
        return self._farewell

    def _other(self, frame: bytes, now: float, read: _Read) -> None:
        """One packet that is neither a message nor the answer to one."""
        _, command, status, sequence = HEADER.unpack_from(frame)
        if command == smpp.ENQUIRE_LINK:
            self._write(smpp.ENQUIRE_LINK | ANSWER, 0, sequence)
        elif command == smpp.UNBIND:
            self._part(sequence, read)
        elif command == smpp.GENERIC_NACK:
            self._nacked(status or smpp.UNKNOWN_ERROR, sequence, read)
        elif command == smpp.QUERY_SM | ANSWER:
            self._learn(frame, status, sequence, read.events)
        elif command & ANSWER:
            self._settle_asked(command, status, sequence, read.events, _first_text(frame))
        elif command not in _UNANSWERED:
            try:
                self._request(smpp.decode(frame), read)
            except RemoteError as error:
                known = command in smpp.BODIES
                self._write(command | ANSWER if known else smpp.GENERIC_NACK, error.status, sequence)

    def _part(self, sequence: int, read: _Read) -> None:
        """The other side says goodbye."""
        self._say_goodbye(sequence)

    def _say_goodbye(self, sequence: int) -> Closed:
        self._write(smpp.UNBIND | ANSWER, 0, sequence)
        return self._close("the other side said goodbye")

    def _nacked(self, status: int, sequence: int, read: _Read) -> None:
        entry = self._waiting.pop(sequence, None) or self._late_entry(sequence)
        if entry is not None:
            read.answers.append((entry[0], status, ""))
        elif sequence in self._questions:
            read.events.append(Learned(self._questions.pop(sequence)[0], status, None))
        else:
            self._settle_asked(smpp.GENERIC_NACK, status, sequence, read.events, "")

    def _learn(self, frame: bytes, status: int, sequence: int, events: list[Event]) -> None:
        """The answer to a question about a message; one that cannot be read says nothing."""
        entry = self._questions.pop(sequence, None)
        if entry is None:
            return
        try:
            reading = None if status else smpp.read_query_answer(smpp.decode(frame))
        except RemoteError as error:
            status, reading = error.status, None
        events.append(Learned(entry[0], status, reading))

    def _settle_asked(self, command: int, status: int, sequence: int, events: list[Event], name: str) -> None:
        if self._asked is None or self._asked[0] != sequence:
            return
        self._asked = None
        self._reassure(events)
        if command == smpp.UNBIND | ANSWER:
            self._close("we said goodbye")
        else:
            self._asked_is_answered(command, status, events, name)

    def _asked_is_answered(self, command: int, status: int, events: list[Event], name: str) -> None:
        """An answer other than to an unbind: only the client's bind wants more."""

    def _request(self, pdu: Pdu, read: _Read) -> None:
        """A request other than enquire_link and unbind."""
        command = pdu.command
        if command == smpp.DATA_SM and self._may_take:
            self._other_takes.add(pdu.sequence)
            read.messages.append((pdu.sequence, smpp.message_of(pdu)))
        elif command in (self._takes, smpp.DATA_SM):
            self._write(command | ANSWER, smpp.NOT_BOUND, pdu.sequence)
        else:
            self._role_request(pdu, read.events)

    def _role_request(self, pdu: Pdu, events: list[Event]) -> None:
        self._write(smpp.GENERIC_NACK, smpp.BAD_COMMAND, pdu.sequence)

    def _answer_command(self, sequence: int) -> int:
        if sequence in self._other_takes:
            self._other_takes.discard(sequence)
            return smpp.DATA_SM | ANSWER
        return self._takes | ANSWER


class Client(Session):
    """The side that binds: it sends submit_sm, or data_sm where the carrier wants that, and takes deliver_sm.

    `part` is the goodbye that leaves nothing open, `unbind` the one that does not wait.
    With `reads_deliveries` usual receipts of delivery are told as `Delivered` where some stand together, which costs
    half the time; any of them may come as `Arrived` all the same.
    """

    _sends = smpp.SUBMIT_SM
    _takes = smpp.DELIVER_SM

    def __init__(
        self,
        bind: Bind,
        *,
        window: int = 1000,
        enquire_s: float = 30,
        answer_s: float = 30,
        use_data_sm: bool = False,
        reads_deliveries: bool = False,
    ) -> None:
        super().__init__(window=window, enquire_s=enquire_s, answer_s=answer_s)
        self._bind = bind
        self._sends = smpp.DATA_SM if use_data_sm else smpp.SUBMIT_SM
        self._reads_deliveries = reads_deliveries
        self._has_rows = True  # usual packets stand together, many in a row
        self.is_parting = False  # a goodbye waits for what is open

    def part(self, now: float) -> None:
        """Send nothing new, and say goodbye once all that was sent has its answer and all that came has ours."""
        self._may_send, self.is_parting = False, True
        self._part_if_done(now)

    def unbind(self, now: float) -> None:
        """Say goodbye; `Closed` comes with the answer, or when there is none in time."""
        self.is_parting = False
        super().unbind(now)

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take what one read brought, cut anywhere. All answers of it come in one event, all messages in another."""
        events = super().receive(data, now)
        if self.is_parting:
            self._part_if_done(now)
        return events

    def _part_if_done(self, now: float) -> None:
        if not self._waiting and self.unanswered <= 0:
            self.unbind(now)

    def ask_about(self, questions: Iterable[tuple[Token, bytes]], now: float) -> None:
        """Ask what became of messages: a token and a body (of `smpp.query_body`) each. `Learned` comes, or nothing.

        The caller keeps to `room`.
        """
        for token, body in questions:
            sequence = self._next_sequence()
            self._questions[sequence] = (token, now)
            self._write(smpp.QUERY_SM, 0, sequence, body)

    def _read_usual(self, data: bytes, words: str, at: int, read: _Read) -> int:
        usual = smpp_usual.pattern(self._sends | ANSWER, takes_deliveries=self._reads_deliveries and self._may_take)
        run = smpp_usual.read(usual, data, words, at, by_columns=self._has_rows)
        if at < run.end < len(data) - smpp_usual.WORTHWHILE:  # as long as this one was, the next is likely to be
            self._has_rows = run.end - at >= smpp_usual.STEADY
        entries: list[tuple[Any, ...] | None] = list(map(self._waiting.pop, run.answered, repeat(None)))
        if None in entries:
            entries = [each or self._late_entry(sequence) for each, sequence in zip(entries, run.answered, strict=True)]
        read.answers += [
            (entry[0], smpp.OK, ident) for entry, ident in zip(entries, run.idents, strict=True) if entry is not None
        ]
        read.delivered += run.delivered
        read.deliveries += run.deliveries
        return run.end

    def start(self, now: float) -> None:
        """Ask to be bound. `Bound` or `Refused` follows. Raises ValueError for a name that cannot be written."""
        self._heard = now
        body = b"".join(
            (
                smpp.text(self._bind.system_id),
                smpp.text(self._bind.password),
                smpp.text(self._bind.system_type),
                bytes((VERSION, 0, 0, 0)),
            )
        )
        self._ask(_MODES[self._bind.mode], now, body)

    def acknowledge(self, sequences: Sequence[int], status: int = smpp.OK) -> None:
        """Answer messages that arrived: with OK they are ours, with `smpp.COME_AGAIN` the carrier keeps them."""
        if self.closed:
            return
        if self._other_takes:
            self._out += [_THANKS.pack(_THANKS.size, self._answer_command(each), status, each) for each in sequences]
        else:
            self._out.append(_thanks(sequences, status))
        self.unanswered -= len(sequences)
        if self.is_parting:
            self._part_if_done(self._heard or 0.0)

    def _asked_is_answered(self, command: int, status: int, events: list[Event], name: str) -> None:
        if self.mode or command not in (_MODES[self._bind.mode] | ANSWER, smpp.GENERIC_NACK):
            return
        if status or command == smpp.GENERIC_NACK:
            events.append(Refused(status or smpp.UNKNOWN_ERROR))
            self._close("the carrier refused the bind")
            return
        self.mode = self._bind.mode
        self._may_send, self._may_take = self.mode != "receiver", self.mode != "transmitter"
        events.append(Bound(self.mode, name))


class Server(Session):
    """The side that is bound to: it takes submit_sm and sends deliver_sm.

    `admit` is asked once for each bind and answers with a command_status: 0 lets the client in. With None it takes its
    time: `decide` then has its answer. A client that says goodbye hears it back once all its messages are answered.
    """

    _sends = smpp.DELIVER_SM
    _takes = smpp.SUBMIT_SM

    def __init__(
        self,
        system_id: str,
        admit: Callable[[Bind], int | None],
        *,
        window: int = 1000,
        enquire_s: float = 30,
        answer_s: float = 30,
    ) -> None:
        super().__init__(window=window, enquire_s=enquire_s, answer_s=answer_s)
        self.client = ""  # the system_id of who is bound
        self._system_id = system_id
        self._admit = admit
        self._asking: Pdu | None = None  # a bind that is not decided on
        self._goodbye: int | None = None  # the sequence of an unbind that waits for our answers

    def answer(self, answers: Iterable[tuple[int, int, str]]) -> list[Event]:
        """Answer submits: (sequence, command_status, message id). The id is left out where the status is not 0.

        `Closed` comes of the last answer that a goodbye waited for; else nothing.
        """
        if self.closed:
            return []
        pack, write, submit = HEADER.pack, self._out.append, smpp.SUBMIT_SM | ANSWER
        for sequence, status, message_id in answers:
            command = self._answer_command(sequence) if self._other_takes else submit
            body = message_id.encode("latin-1") + b"\0" if not status else b""
            write(pack(16 + len(body), command, status, sequence) + body)
            self.unanswered -= 1
        if self._goodbye is not None and self.unanswered <= 0:
            return [self._say_goodbye(self._goodbye)]
        return []

    def decide(self, status: int) -> list[Event]:
        """Answer the bind that `admit` left open, as `admit` would have. Nothing happens where there is none."""
        asking, self._asking = self._asking, None
        events: list[Event] = []
        if asking is not None and not self.closed:
            self._answer_bind(asking, status, events)
        return events

    def reply(self, request: Pdu, status: int, **fields: smpp.Value) -> None:
        """Answer a `Requested`; the fields are those of the table in `smpp.BODIES`."""
        if not self.closed:
            self._out.append(smpp.encode(Pdu(request.command | ANSWER, status, request.sequence, fields)))

    def _role_request(self, pdu: Pdu, events: list[Event]) -> None:
        command = pdu.command
        if command in _NAMES:
            self._let_in(pdu, events)
        elif command not in (smpp.QUERY_SM, smpp.CANCEL_SM, smpp.REPLACE_SM):
            super()._role_request(pdu, events)
        elif not self.mode:
            self._write(command | ANSWER, smpp.NOT_BOUND, pdu.sequence)
        else:
            events.append(Requested(pdu))

    def _part(self, sequence: int, read: _Read) -> None:
        self._may_send = self._may_take = False
        if self.unanswered + len(read.messages) > 0:
            self._goodbye = sequence
        else:
            self._say_goodbye(sequence)

    def _let_in(self, pdu: Pdu, events: list[Event]) -> None:
        if self.mode or self._asking is not None:
            self._write(pdu.command | ANSWER, smpp.ALREADY_BOUND, pdu.sequence)
            return
        self._asking = pdu
        status = self._admit(_bind_of(pdu))
        if status is not None:
            events += self.decide(status)

    def _answer_bind(self, pdu: Pdu, status: int, events: list[Event]) -> None:
        if status:
            self._write(pdu.command | ANSWER, status, pdu.sequence)
            return
        mode, self.client = _NAMES[pdu.command], str(pdu.fields["system_id"])
        self.mode = mode
        self._may_send, self._may_take = mode != "transmitter", mode != "receiver"
        body = smpp.text(self._system_id) + smpp.options({smpp.INTERFACE_VERSION: bytes((VERSION,))})
        self._write(pdu.command | ANSWER, smpp.OK, pdu.sequence, body)
        events.append(Bound(mode, self.client))


def _bind_of(pdu: Pdu) -> Bind:
    fields = pdu.fields
    return Bind(_NAMES[pdu.command], str(fields["system_id"]), str(fields["password"]), str(fields["system_type"]))


_THANKS: Final = struct.Struct(">IIIIx")  # a deliver_sm_resp, whose message_id is always empty (4.6.2)


def _thanks(sequences: Sequence[int], status: int) -> bytes:
    """A deliver_sm_resp to each: one packet again and again, into whose copies the sequences are written."""
    packets = bytearray(_THANKS.pack(_THANKS.size, smpp.DELIVER_SM | ANSWER, status, 0) * len(sequences))
    numbers = struct.pack(f">{len(sequences)}I", *sequences)
    for octet in range(4):
        packets[12 + octet :: _THANKS.size] = numbers[octet::4]
    return bytes(packets)


def _first_text(frame: bytes) -> str:
    return frame[HEADER.size :].partition(b"\0")[0].decode("latin-1")


def _overdue(waiting: Mapping[int, tuple[Token, float]], before: float) -> list[int]:
    """The sequences of what was sent so early, oldest first."""
    found = []
    for sequence, (_, sent) in waiting.items():
        if sent > before:
            break
        found.append(sequence)
    return found
