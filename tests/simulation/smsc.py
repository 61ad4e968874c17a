"""An SMSC of the tests' own, with octets of its own, that lives through every crash of the gateway and forgets nothing.

It does all that carriers do: throttles, refuses, answers late or never, sends receipts early, late, twice, in any
order, for messages that nobody sent, or not at all; brings texts again when it did not hear our thanks, and sometimes
when it did. What it took and what it was thanked for is the truth that the gateway's own account is held against.
It shares no line of code with the gateway: sources are SMPP 3.4 sections 4 and 5, 3GPP 23.040 9.2.3.24.
"""

from __future__ import annotations

import asyncio
import random
import struct
from dataclasses import dataclass, field
from typing import NamedTuple, cast

from tests.simulation.loop import Loop
from tests.simulation.network import End, Network, Server
from tests.simulation.trace import Trace

HEAD = struct.Struct(">IIII")
RESPONSE = 0x80000000
NACK, RECEIVER, TRANSMITTER, QUERY, SUBMIT, DELIVER = RESPONSE, 1, 2, 3, 4, 5
UNBIND, TRANSCEIVER, ENQUIRE, DATA = 6, 9, 0x15, 0x103
OK, SYSTEM_ERROR, BAD_ADDRESS, QUEUE_FULL, THROTTLED, SUBMIT_FAILED = 0, 8, 0xB, 0x14, 0x58, 0x45
NOT_BOUND, BIND_FAILED = 4, 0xD
AGAIN_S = (1.0, 6.0)  # until a text or a receipt that was not thanked for is brought again
RECALL_S = 20.0  # so shortly before its line fell a text may have been thanked for and come again all the same
ANSWER_S = 20.0  # how long thanks are waited for on a line


@dataclass
class Temper:
    """How the carrier feels: chances of each, and times in seconds."""

    throttle: float = 0.0
    refuse: float = 0.0  # for good
    upset: float = 0.0  # refuses for a reason that passes
    forget: float = 0.0  # takes nothing and says nothing
    mute: float = 0.0  # takes it and never says so
    slow: float = 0.0  # answers after 5 to 45 s
    drop: float = 0.0  # hangs up at a submit
    bind_fails: float = 0.0
    fail: float = 0.0  # a receipt says undeliverable
    lose: float = 0.0  # no receipt
    early: float = 0.0  # the receipt comes before the answer
    twice: float = 0.0  # a receipt comes twice
    halfway: float = 0.0  # an intermediate receipt
    stray: float = 0.0  # a receipt for nobody's message
    recall: float = 0.0  # a text comes again on a new line although it was thanked for
    answer: tuple[float, float] = (0.0, 0.3)
    receipt: tuple[float, float] = (0.1, 4.0)


@dataclass
class Taken:
    """One part that the carrier took."""

    carrier_id: str
    at: float  # in seconds of the loop
    left_at: float  # when the gateway wrote its last octet
    sender: str
    address: str
    text: str
    reference: int
    total: int
    number: int
    fate: str = ""  # what the receipt says
    is_thanked: bool = False  # for that receipt


@dataclass
class Delivery:
    """A text or a receipt on its way to the gateway."""

    number: int
    source: str
    target: str
    body: bytes
    is_receipt: bool
    taken: Taken | None = None
    is_last_word: bool = False  # a receipt that is not an intermediate one
    thanked_at: list[float] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)  # on which it was brought
    is_open: bool = True  # not thanked for yet
    is_recalled: bool = False  # brought again although it was thanked for


class Text(NamedTuple):
    """What a person texted; the truth about it is in the delivery."""

    at: float
    sender: str
    words: str
    delivery: Delivery


class Smsc:
    """The carrier: one port, any number of lines."""

    def __init__(self, loop: Loop, network: Network, chance: random.Random, trace: Trace, port: int) -> None:
        self.loop, self.network, self.chance, self.trace, self.port = loop, network, chance, trace, port
        self.temper = Temper()
        self.taken: list[Taken] = []
        self.texts: list[Text] = []
        self.deliveries: list[Delivery] = []
        self.waiting: list[Delivery] = []  # for a line that takes them
        self.sessions: list[Session] = []
        self.ids_in_hex = chance.random() < 0.3  # as some carriers: hexadecimal in the answer, decimal in the receipt
        self._server: Server | None = None
        self._next_id = chance.randrange(10**9, 2 * 10**9)

    # --- up and down

    def open(self) -> None:
        if self._server is None:
            self._server = self.network.listen(lambda: Session(self), self.port)

    def close(self) -> None:
        """Go down: no new lines, and every line is cut."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for session in list(self.sessions):
            session.end.abort()

    # --- what people do

    def text(self, sender: str, recipient: str, words: str) -> None:
        """A person texts."""
        delivery = self._delivery(sender, recipient, words.encode("ascii"), is_receipt=False)
        self.texts.append(Text(self.loop.time(), sender, words, delivery))
        self.trace.note("texts", sender, words)
        self.bring(delivery)

    def _delivery(self, source: str, target: str, body: bytes, *, is_receipt: bool) -> Delivery:
        delivery = Delivery(len(self.deliveries), source, target, body, is_receipt)
        self.deliveries.append(delivery)
        return delivery

    def bring(self, delivery: Delivery) -> None:
        """Deliver on any line that takes deliveries, or keep it until there is one."""
        takers = [each for each in self.sessions if each.mode in {RECEIVER, TRANSCEIVER} and not each.end.is_closing()]
        if takers:
            self.chance.choice(takers).deliver(delivery)
        else:
            self.waiting.append(delivery)

    def bring_waiting(self) -> None:
        waiting, self.waiting = self.waiting, []
        self.chance.shuffle(waiting)
        for delivery in waiting:
            self.bring(delivery)

    @property
    def open_deliveries(self) -> int:
        return sum(each.is_open for each in self.deliveries)

    # --- what the gateway sends

    def take(self, session: Session, sequence: int, part: Part, left_at: float) -> None:
        """Decide about one part."""
        temper, chance = self.temper, self.chance
        for odds, status in (
            (temper.throttle, chance.choice((THROTTLED, QUEUE_FULL))),
            (temper.refuse, chance.choice((BAD_ADDRESS, SUBMIT_FAILED))),
            (temper.upset, SYSTEM_ERROR),
        ):
            if chance.random() < odds:
                self.loop.call_later(chance.uniform(*temper.answer), session.answer, sequence, status, None)
                return
        if chance.random() < temper.forget:
            return
        self._next_id += chance.randint(1, 9)
        taken = Taken(
            str(self._next_id), self.loop.time(), left_at, part.sender, part.address, part.text, part.reference,
            part.total, part.number,
        )  # fmt: skip
        self.taken.append(taken)
        self.trace.note("takes", taken.carrier_id, taken.address, taken.number, taken.total)
        self._plan(session, sequence, taken)
        if chance.random() < temper.drop:
            session.end.abort()

    def _plan(self, session: Session, sequence: int, taken: Taken) -> None:
        """When the answer comes, when which receipts."""
        temper, chance, later = self.temper, self.chance, self.loop.call_later
        answer_s = chance.uniform(5, 45) if chance.random() < temper.slow else chance.uniform(*temper.answer)
        receipt_s = answer_s + chance.uniform(*temper.receipt)
        if chance.random() < temper.early:
            receipt_s = chance.uniform(0, answer_s)
        if chance.random() >= temper.mute:
            later(answer_s, session.answer, sequence, OK, taken)
        if chance.random() < temper.halfway:
            later(receipt_s * chance.random() * 1.5, self.receipt, taken, "ENROUTE", "000")
        if chance.random() < temper.stray:
            stray = Taken(
                str(chance.randrange(10**9)), 0, 0, taken.sender, f"1999{chance.randrange(10**7):07}", "", 0, 1, 1
            )
            later(receipt_s, self.receipt, stray, "DELIVRD", "000")
        if chance.random() < temper.lose:
            return
        fate, code = (
            ("DELIVRD", "000")
            if chance.random() >= temper.fail
            else chance.choice((("UNDELIV", "001"), ("EXPIRED", "002"), ("REJECTD", "003")))
        )
        taken.fate = fate
        for _ in range(1 + (chance.random() < temper.twice)):
            later(receipt_s, self.receipt, taken, fate, code)
            receipt_s += chance.uniform(0, 10)

    def receipt(self, taken: Taken, fate: str, code: str) -> None:
        """Send a receipt (appendix B)."""
        words = (
            f"id:{taken.carrier_id} sub:001 dlvrd:001 submit date:2612012057 done date:2612012058 stat:{fate} "
            f"err:{code} text:{taken.text[:20]}"
        )
        delivery = self._delivery(taken.address, taken.sender, words.encode("ascii", "replace"), is_receipt=True)
        delivery.taken, delivery.is_last_word = taken, fate != "ENROUTE"
        self.bring(delivery)

    def id_in_answer(self, taken: Taken) -> str:
        return f"{int(taken.carrier_id):X}" if self.ids_in_hex else taken.carrier_id


class Part(NamedTuple):
    """One submit_sm as the phone would see it."""

    sender: str
    address: str
    text: str
    reference: int
    total: int
    number: int


class Session(asyncio.Protocol):
    """One line from the gateway."""

    end: End

    def __init__(self, smsc: Smsc) -> None:
        self.smsc = smsc
        self.mode = 0
        self._rest = b""
        self._read = 0  # octets of whole packets
        self._sequence = 0
        self._kinds: dict[int, int] = {}  # submits that wait for their answer: submit_sm or data_sm
        self._unthanked: dict[int, Delivery] = {}
        self._thanked: list[tuple[float, Delivery]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.end = cast(End, transport)
        self.smsc.sessions.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """What was not thanked for is brought again; of what was, some all the same."""
        smsc = self.smsc
        self.mode = 0
        if self in smsc.sessions:
            smsc.sessions.remove(self)
        lost = list(self._unthanked.values())
        self._unthanked.clear()
        for at, delivery in self._thanked:
            is_late = smsc.loop.time() - at < RECALL_S and not delivery.is_recalled
            if is_late and smsc.chance.random() < smsc.temper.recall:
                delivery.is_recalled = True
                lost.append(delivery)
        for delivery in lost:
            smsc.loop.call_later(smsc.chance.uniform(*AGAIN_S), smsc.bring, delivery)

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while len(self._rest) >= 16:
            length, command, status, sequence = HEAD.unpack_from(self._rest)
            assert 16 <= length < 10_000, f"a packet of {length} octets"
            if len(self._rest) < length:
                return
            body, self._rest = self._rest[16:length], self._rest[length:]
            self._read += length
            self._packet(command, status, sequence, body)
            if self.end.is_closing():
                return

    def _packet(self, command: int, status: int, sequence: int, body: bytes) -> None:
        if command in (RECEIVER, TRANSMITTER, TRANSCEIVER):
            self._bind(command, sequence)
        elif command in (SUBMIT, DATA):
            if self.mode not in {TRANSMITTER, TRANSCEIVER}:
                self._write(command | RESPONSE, NOT_BOUND, sequence)
                return
            part = read_submit(body) if command == SUBMIT else read_data(body)
            self._kinds[sequence] = command
            self.smsc.take(self, sequence, part, self.end.peer.left_at(self._read))
        elif command in (DELIVER | RESPONSE, NACK):
            self._thanks(sequence, status)
        elif command == ENQUIRE:
            self._write(ENQUIRE | RESPONSE, OK, sequence)
        elif command == QUERY:
            self._query(sequence, body)
        elif command == UNBIND:
            self._write(UNBIND | RESPONSE, OK, sequence)
            self.end.close()
        elif not command & RESPONSE:
            self._write(NACK, 3, sequence)

    def _bind(self, command: int, sequence: int) -> None:
        smsc = self.smsc
        if smsc.chance.random() < smsc.temper.bind_fails:
            self._write(command | RESPONSE, BIND_FAILED, sequence)
            self.end.close()
            return
        self.mode = command
        self._write(command | RESPONSE, OK, sequence, b"tests\0")
        smsc.trace.note("bound", self.end.name, command)
        smsc.loop.call_later(smsc.chance.uniform(0, 0.5), smsc.bring_waiting)

    def _query(self, sequence: int, body: bytes) -> None:
        """Tell the state of a message by its id (4.8)."""
        asked = body.partition(b"\0")[0].decode()
        known = {self.smsc.id_in_answer(each): each for each in self.smsc.taken}
        found = known.get(asked)
        if found is None:
            self._write(QUERY | RESPONSE, 0x67, sequence)
            return
        state = {"DELIVRD": 2, "UNDELIV": 5, "EXPIRED": 3, "REJECTD": 8}.get(found.fate, 7)
        self._write(QUERY | RESPONSE, OK, sequence, asked.encode() + b"\0\0" + bytes((state, 0)))

    def answer(self, sequence: int, status: int, taken: Taken | None) -> None:
        """Answer a submit_sm, if the line is there still."""
        if self.end.is_closing():
            return
        body = b""
        if taken is not None:
            body = self.smsc.id_in_answer(taken).encode() + b"\0"
        self._write(self._kinds.pop(sequence) | RESPONSE, status, sequence, body)

    def deliver(self, delivery: Delivery) -> None:
        """Bring a text or a receipt (4.6)."""
        self._sequence += 1
        delivery.lines.append(self.end.name)
        self._unthanked[self._sequence] = delivery
        esm = 4 if delivery.is_receipt else 0
        body = b"".join(
            (
                b"\0\1\1", delivery.source.lstrip("+").encode(), b"\0\0\1", delivery.target.encode(), b"\0",
                bytes((esm, 0, 0)), b"\0\0", bytes((0, 0, 0, 0, len(delivery.body))), delivery.body,
            )
        )  # fmt: skip
        self._write(DELIVER, OK, self._sequence, body)
        self.smsc.loop.call_later(ANSWER_S, self._too_late, self._sequence)

    def _too_late(self, sequence: int) -> None:
        """No thanks on a line that stands: carriers hang up then."""
        if sequence in self._unthanked and not self.end.is_closing():
            self.end.abort()

    def _thanks(self, sequence: int, status: int) -> None:
        smsc = self.smsc
        delivery = self._unthanked.pop(sequence, None)
        if delivery is None:
            return
        if status == OK:
            delivery.is_open = False
            delivery.thanked_at.append(smsc.loop.time())
            self._thanked.append((smsc.loop.time(), delivery))
            if delivery.taken is not None and delivery.is_last_word:
                delivery.taken.is_thanked = True
        else:
            smsc.loop.call_later(smsc.chance.uniform(*AGAIN_S), smsc.bring, delivery)

    def _write(self, command: int, status: int, sequence: int, body: bytes = b"") -> None:
        self.end.write(HEAD.pack(16 + len(body), command, status, sequence) + body)


def read_submit(body: bytes) -> Part:
    """The mandatory fields of 4.4.1 and what follows them."""
    _, body = word(body)
    sender, body = word(body[2:])
    address, body = word(body[2:])
    esm, body = body[0], body[3:]
    _, body = word(body)
    _, body = word(body)
    coding, length = body[2], body[4]
    return part_of(sender, address, esm, coding, body[5 : 5 + length], tlvs(body[5 + length :]))


def read_data(body: bytes) -> Part:
    """The mandatory fields of 4.7.1 and what follows them."""
    _, body = word(body)
    sender, body = word(body[2:])
    address, body = word(body[2:])
    return part_of(sender, address, body[0], body[2], b"", tlvs(body[3:]))


def word(body: bytes) -> tuple[str, bytes]:
    """A string that ends with a zero, and the rest."""
    found, end, rest = body.partition(b"\0")
    assert end, "a string without an end"
    return found.decode("latin-1"), rest


def tlvs(body: bytes) -> dict[int, bytes]:
    found = {}
    while body:
        tag, length = struct.unpack_from(">HH", body)
        assert len(body) >= 4 + length, "a parameter that is cut off"
        found[tag] = body[4 : 4 + length]
        body = body[4 + length :]
    return found


def part_of(sender: str, address: str, esm: int, coding: int, octets: bytes, options: dict[int, bytes]) -> Part:
    """What the phone shows, and its place among the parts of a long text."""
    octets = options.get(0x0424, octets)
    reference, total, number = 0, 1, 1
    if esm & 0x40:
        header, octets = octets[1 : 1 + octets[0]], octets[1 + octets[0] :]
        while header:
            element, value, header = header[0], header[2 : 2 + header[1]], header[2 + header[1] :]
            if element == 0:
                reference, total, number = value
            elif element == 8:
                reference, total, number = value[0] << 8 | value[1], value[2], value[3]
    elif 0x020E in options:
        reference = int.from_bytes(options[0x020C], "big")
        total, number = options[0x020E][0], options[0x020F][0]
    text = octets.decode("utf-16-be") if coding & 0x0F == 8 else gsm(octets)
    return Part(sender, address, text, reference, total, number)


ALPHABET = (  # 3GPP 23.038, 6.2.1; what is not in it is not used here
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
ESCAPED = {0x28: "{", 0x29: "}", 0x2F: "\\", 0x3C: "[", 0x3D: "~", 0x3E: "]", 0x40: "|", 0x65: "€", 0x14: "^"}


def gsm(octets: bytes) -> str:
    """Septets, one an octet, as text."""
    text, is_escaped = "", False
    for octet in octets:
        if octet == 0x1B and not is_escaped:
            is_escaped = True
            continue
        text += ESCAPED[octet] if is_escaped else ALPHABET[octet]
        is_escaped = False
    return text
