"""A line to a carrier over SMPP: holds it, writes texts, brings answers, receipts and what people text back."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import random
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Final, Literal, NamedTuple, cast

from pydantic import Field

from gateway.channels.base import CarrierSettings, Door, LineState, Surroundings, Upward
from gateway.codecs import parts, smpp
from gateway.codecs import smpp_session as sessions
from gateway.config import Secret
from gateway.errors import Failure, Retry
from gateway.messages import Answer, Asked, Inbound, Outbound, Receipt
from gateway.values import As, HostPort
from gateway.wording import found

log = logging.getLogger(__name__)

FIRST_PAUSE_S: Final = 1.0
STEADY_S: Final = 10.0  # a line that was bound for so long is connected again without a grown pause
SLOWER_S: Final = 1.0  # how long nothing new leaves after the carrier asked us to slow down
GOODBYE_S: Final = 2.0
SHORTEST_NUMBER: Final = 7  # digits; a shorter one is a short code, whatever type the carrier gives it


SIMULATOR: Final = "simulator"


def _carrier(text: str) -> HostPort | str:
    if text == SIMULATOR:
        return SIMULATOR
    if ":" not in text:
        raise ValueError(f"found {found(text)}, expected simulator, or a host and a port such as smpp.example.net:2776")
    return HostPort.parse(text)


Carrier = Annotated[
    HostPort | str,
    As(_carrier, "simulator, or a host and a port", (SIMULATOR, "smpp.example.net:2776"), kinds=(HostPort,)),
]


class SmppCarrier(CarrierSettings):
    """A line to a carrier over SMPP."""

    kind: Literal["smpp"] = Field(description="How the carrier is spoken to: smpp.")
    carrier: Carrier = Field(description="simulator, or the carrier's host and port.")
    account: str = Field("carillon", description="The account (system_id) that the carrier gave us.", max_length=15)
    password_file: Secret | None = Field(None, description="The file that holds the account's password.")
    window: int = Field(100, description="How many parts may wait for the carrier's answer at once.", ge=1, le=10_000)
    tls: bool = Field(False, description="Encrypt the line.")

    @property
    def is_simulated(self) -> bool:
        """True when no text leaves this machine through this channel."""
        return self.carrier == SIMULATOR

    @property
    def place(self) -> str:
        """`simulator`, or host and port."""
        return str(self.carrier)

    @property
    def is_secured(self) -> bool:
        """Whether there is a password."""
        return self.is_simulated or self.password_file is not None


@dataclass(frozen=True, slots=True)
class SmppAddress:
    """Where the carrier listens. With `tls` its certificate and name are checked, by `authorities` if given (PEM)."""

    host: str
    port: int
    tls: bool
    authorities: str | None = None


@dataclass(frozen=True, slots=True)
class SmppSettings:
    """How a line is held. `binds` has one mode for each line, so that a carrier who wants two may have
    `("transmitter", "receiver")`; `window` is for each line.
    """

    address: SmppAddress
    account: str
    password: str = field(repr=False)
    system_type: str = ""
    binds: tuple[str, ...] = ("transceiver",)
    window: int = 1000  # parts on the way
    enquire_s: float = 30  # silence after which the carrier is asked whether it is there
    answer_s: float = 30
    longest_pause_s: float = 60
    refused_pause_s: float = 300  # after a wrong password: a person has to mend that
    short_code: tuple[int, int] = (smpp.NETWORK, 0)  # type of number and numbering plan for our short codes
    own: tuple[str, ...] = ()  # the numbers we send from, as people write them: they come back so, whatever their type
    bare_is_international: bool = True  # other numbers of 7 digits and more that come without a type get a plus
    respell_receipts: bool = True  # also look for a receipt's id in decimal and hexadecimal


class SmppChannel:
    """A `Channel` over SMPP 3.4. `now_ms` is the time of day by which messages expire.

    Raises ValueError for an account or a password that cannot be written in Latin-1.
    """

    def __init__(self, name: str, settings: SmppSettings, upward: Upward, *, now_ms: Callable[[], int]) -> None:
        self.name = name
        self._settings = settings
        self._upward = upward
        self._now_ms = now_ms
        self._last_number = 0
        self._own = {number.removeprefix("+"): number for number in settings.own}
        self._respell = smpp.spellings if settings.respell_receipts else None
        self._stirred = asyncio.Event()  # something came in, or a line ended
        self._leaving = asyncio.Event()
        for word in (settings.account, settings.password, settings.system_type):
            smpp.text(word)  # a word that cannot be written is to be known now, not at each bind
        self._lines = [_Line(self, mode) for mode in settings.binds]

    def lines(self) -> list[LineState]:
        """Each line's state at this moment."""
        return [line.state() for line in self._lines]

    def next_number(self) -> int:
        """A number for a new connection, greater than all before, also over restarts: hence the time of day."""
        self._last_number = max(self._last_number + 1, self._now_ms())
        return self._last_number

    def is_leaving(self) -> bool:
        """True once `drain` was called."""
        return self._leaving.is_set()

    async def run(self) -> None:
        """Hold the lines until cancelled, or until `drain` has ended."""
        async with asyncio.TaskGroup() as group:
            for number, line in enumerate(self._lines, 1):
                group.create_task(line.hold(), name=f"{self.name} line {number}")

    def room(self) -> int:
        """Parts that may be written now, on all lines."""
        return 0 if self.is_leaving() else sum(line.room() for line in self._lines)

    def alive(self) -> list[int]:
        """The numbers of the connections that are bound."""
        return [line.wire.number for line in self._lines if line.wire is not None and line.wire.session.mode]

    def doors(self) -> Sequence[Door]:
        """None: a line brings everything."""
        return ()

    def query(self, asked: Sequence[Asked]) -> None:
        """Not yet."""

    def send(self, batch: Sequence[Outbound]) -> list[Outbound]:
        """Write the batch; return what was not touched, in its order.

        A message that no carrier can take (a text of too many parts, an address that cannot be written) is
        answered with a failure, on the next turn of the loop.
        """
        sheets = [] if self.is_leaving() else [_Sheet(line) for line in self._lines if line.room()]
        refused: list[Answer] = []
        now_ms = self._now_ms()
        touched = 0
        for message in batch:
            if not sheets:
                break
            sheet = sheets[0] if len(sheets) == 1 else max(sheets, key=_room_of)
            try:
                bodies = self._bodies(message, now_ms)
            except (ValueError, OverflowError) as error:
                refused.append(_unwritable(message, str(error)))
            else:
                if len(bodies) > sheet.room:
                    if len(bodies) <= self._settings.window:
                        break
                    refused.append(_unwritable(message, f"{len(bodies)} parts do not fit into the carrier's window"))
                else:
                    sheet.room -= len(bodies)
                    sheet.bodies += bodies
            touched += 1
        for sheet in sheets:
            sheet.line.write(sheet.bodies)
        if refused:
            asyncio.get_running_loop().call_soon(self._upward.answered, self.name, refused)
        return list(batch[touched:])

    def thank(self, handles: Sequence[object]) -> None:
        """Acknowledge what has been kept, in one write a line; handles of lines that are gone are ignored."""
        self._acknowledge(handles, smpp.OK)

    def refuse(self, handles: Sequence[object]) -> None:
        """Ask the carrier to bring these again later (RX_T_APPN)."""
        self._acknowledge(handles, smpp.COME_AGAIN)

    async def drain(self, timeout_s: float) -> None:
        """Write nothing new, wait at most so long for answers on the way, then unbind."""
        self._leaving.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._until(lambda: all(line.in_flight() == 0 for line in self._lines))
        for line in self._lines:
            line.unbind()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                await self._until(lambda: all(line.wire is None for line in self._lines))
        for line in self._lines:
            line.hang_up("drained")

    # --- outwards

    def _bodies(self, message: Outbound, now_ms: int) -> list[tuple[sessions.Token, bytes]]:
        """The missing parts of a message, each with the token by which its answer is known.

        The reference is the same in every attempt, so that a phone can join parts of two attempts. It is a hash
        (Fibonacci's) because the low bits of ids made in different milliseconds are mostly equal.
        """
        reference = (message.id * 0x9E3779B97F4A7C15 >> 56) & 0xFF
        coding, texts = parts.split(message.text, reference)
        sender = _sender_octets(message.sender, self._settings.short_code)
        recipient = _octets(message.recipient, self._settings.short_code)
        validity = smpp.relative_time((message.valid_until - now_ms) // 1000) if message.valid_until else b""
        count = len(texts)
        esm_class = smpp.HAS_HEADER if count > 1 else 0
        return [
            (
                (message.id, message.attempt, part, count),
                smpp.message_body(
                    sender,
                    recipient,
                    text,
                    esm_class=esm_class,
                    data_coding=coding,
                    registered=1,
                    validity=validity,
                ),
            )
            for part, text in enumerate(texts)
            if message.missing >> part & 1
        ]

    async def _until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            self._stirred.clear()
            await self._stirred.wait()

    # --- inwards

    def _acknowledge(self, handles: Sequence[object], status: int) -> None:
        by_wire: dict[_Wire, list[int]] = {}
        for handle in handles:
            if isinstance(handle, _Handle):
                by_wire.setdefault(handle.wire, []).append(handle.sequence)
        for wire, sequences in by_wire.items():
            wire.session.acknowledge(sequences, status)
            wire.flush()

    def _receipt(self, message: smpp.ShortMessage, handle: _Handle) -> Receipt:
        """A receipt comes from the phone to our number: the reverse of the message that it is about."""
        ids, state, code = smpp.read_receipt(message)
        return Receipt(ids, state, code, self._recipient_of(message), self._sender_of(message), handle, self._respell)

    def _inbound(self, message: smpp.ShortMessage, handle: _Handle) -> Inbound:
        octets, has_header = message.octets, bool(message.esm_class & smpp.HAS_HEADER)
        if message.options and not has_header:
            header = _header_of(message.options)
            octets, has_header = header + octets, bool(header)
        text, joint = parts.read(octets, message.data_coding, has_header)
        return Inbound(
            sender=self._sender_of(message),
            recipient=self._recipient_of(message),
            text=text,
            fingerprint=_fingerprint(message, octets),
            joint=joint,
            line=handle.wire.number,
            handle=handle,
        )

    def _sender_of(self, message: smpp.ShortMessage) -> str:
        return self._as_people_write(message.sender_ton, message.sender)

    def _recipient_of(self, message: smpp.ShortMessage) -> str:
        return self._as_people_write(message.recipient_ton, message.recipient)

    def _as_people_write(self, ton: int, who: str) -> str:
        if who in self._own:
            return self._own[who]
        if len(who) < SHORTEST_NUMBER or not who.isdecimal():
            return who
        is_international = ton == smpp.INTERNATIONAL or self._settings.bare_is_international
        return f"+{who}" if is_international and ton != smpp.ALPHANUMERIC else who


class _Handle(NamedTuple):
    """Names a delivery that waits for thanks."""

    wire: _Wire
    sequence: int


class _Sheet:
    """What one `send` writes on one line."""

    __slots__ = ("bodies", "line", "room")

    def __init__(self, line: _Line) -> None:
        self.line = line
        self.room = line.room()
        self.bodies: list[tuple[sessions.Token, bytes]] = []


class _Line:
    """One of the channel's lines: connects, and connects again."""

    def __init__(self, channel: SmppChannel, mode: str) -> None:
        self.wire: _Wire | None = None
        self.throttled = 0
        self.lost = 0
        self.trouble: Failure | None = None
        self._channel = channel
        self._settings = channel._settings
        self._mode = mode
        self._tls = _tls(self._settings.address)

    def state(self) -> LineState:
        bound = self.wire is not None and bool(self.wire.session.mode)
        return LineState(self._mode, bound, self.in_flight(), self.throttled, self.lost, self.trouble)

    def room(self) -> int:
        return self.wire.room() if self.wire is not None else 0

    def in_flight(self) -> int:
        return self.wire.session.in_flight if self.wire is not None else 0

    def write(self, bodies: list[tuple[sessions.Token, bytes]]) -> None:
        if self.wire is not None and bodies:
            self.wire.send(bodies)

    def unbind(self) -> None:
        if self.wire is not None:
            self.wire.unbind()

    def hang_up(self, why: str) -> None:
        if self.wire is not None:
            self.wire.hang_up(why)

    async def hold(self) -> None:
        """Connect again and again until cancelled or drained."""
        pauses = 0
        while not self._channel.is_leaving():
            steady = await self._connect_and_stay()
            pauses = 0 if steady else pauses + 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s(pauses)):
                    await self._channel._leaving.wait()

    async def _connect_and_stay(self) -> bool:
        """Be connected until the line ends. True when it had been bound for long enough to call it steady."""
        loop = asyncio.get_running_loop()
        address, settings = self._settings.address, self._settings
        bind = sessions.Bind(self._mode, settings.account, settings.password, settings.system_type)
        wire = _Wire(self, self._channel, bind)
        try:
            async with asyncio.timeout(settings.answer_s):
                await loop.create_connection(lambda: wire, address.host, address.port, ssl=self._tls)
            await wire.gone.wait()
        except (OSError, TimeoutError, UnicodeError) as error:  # the last for a host that is no name
            self.trouble = Failure("no connection", str(error) or "the carrier does not answer", Retry.LATER)
            log.warning("%s: no connection to %s:%s: %s", self._channel.name, address.host, address.port, error)
            return False
        finally:
            wire.hang_up("the line was given up")
            self.wire = None
            self._channel._stirred.set()
        self.lost += wire.bound_at is not None
        return wire.bound_at is not None and loop.time() - wire.bound_at >= STEADY_S

    def _pause_s(self, pauses: int) -> float:
        """Full jitter, so that lines which fell together do not come back together."""
        if self.trouble is not None and self.trouble.retry is Retry.STOP_CHANNEL:
            return random.uniform(0.5, 1.0) * self._settings.refused_pause_s  # noqa: S311 - jitter is no secret
        longest = min(self._settings.longest_pause_s, FIRST_PAUSE_S * 2 ** min(pauses, 16))
        return random.uniform(0.02, longest)  # noqa: S311 - jitter is no secret


class _Wire(asyncio.Protocol):
    """One connection: carries octets between the transport and the session, and tells the channel what they mean."""

    def __init__(self, line: _Line, channel: SmppChannel, bind: sessions.Bind) -> None:
        settings = channel._settings
        self.session = sessions.Client(
            bind, window=settings.window, enquire_s=settings.enquire_s, answer_s=settings.answer_s
        )
        self.number = channel.next_number()
        self.gone = asyncio.Event()
        self.bound_at: float | None = None
        self._line = line
        self._channel = channel
        self._upward = channel._upward
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._tick_s = min(1.0, settings.enquire_s / 4, settings.answer_s / 4)
        self._timer: asyncio.TimerHandle | None = None
        self._slower: asyncio.TimerHandle | None = None
        self._is_paused = False
        self._is_forgotten = False  # the carrier says that we are not bound

    # --- what the line asks

    def room(self) -> int:
        return 0 if self._slower is not None or self._is_paused or self._is_forgotten else self.session.room

    def send(self, bodies: list[tuple[sessions.Token, bytes]]) -> None:
        self.session.send(bodies, self._loop.time())
        self.flush()

    def unbind(self) -> None:
        self.session.unbind(self._loop.time())
        self.flush()

    def flush(self) -> None:
        out = self.session.take_out()
        if out and self._transport is not None:
            self._transport.write(out)

    def hang_up(self, why: str) -> None:
        """End now; what had no answer is told as in doubt."""
        if self._transport is not None:
            self._tell(self.session.lost(why))

    # --- what asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # asyncio and uvloop set TCP_NODELAY themselves
        self._line.wire = self
        if self._channel.is_leaving():
            self.hang_up("we are leaving")
            return
        self.session.start(self._loop.time())
        self.flush()
        self._tick()

    def data_received(self, data: bytes) -> None:
        events = self.session.receive(data, self._loop.time())
        self.flush()
        self._tell(events)

    def connection_lost(self, exc: Exception | None) -> None:
        self._tell(self.session.lost(str(exc) if exc else "the carrier hung up"))
        self._end()

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        self._tell_of_room()

    def _tick(self) -> None:
        self._tell(self.session.tick(self._loop.time()))
        self.flush()
        if not self.session.closed:
            self._timer = self._loop.call_later(self._tick_s, self._tick)

    # --- what events mean

    def _tell(self, events: Sequence[sessions.Event]) -> None:
        for event in events:
            if isinstance(event, sessions.Answered):
                self._answered(event.answers)
            elif isinstance(event, sessions.Arrived):
                self._arrived(event.messages)
            elif isinstance(event, sessions.Unanswered):
                self._in_doubt(event.tokens)
            elif isinstance(event, sessions.Bound):
                self._bound()
            elif isinstance(event, sessions.Refused):
                self._line.trouble = smpp.failure(event.status)
            elif isinstance(event, sessions.Closed):
                self._closed(event)
        if self._is_forgotten and not self.session.in_flight and not self.session.closed:  # sooner would leave doubts
            self.hang_up("the carrier says that the line is not bound")
        if events:
            self._channel._stirred.set()

    def _bound(self) -> None:
        self.bound_at = self._loop.time()
        self._line.trouble = None
        log.info("%s: bound", self._channel.name)
        self._upward.ready(self._channel.name)

    def _answered(self, answers: list[tuple[sessions.Token, int, str]]) -> None:
        told = []
        refusals = set()
        for (message, attempt, part, count), status, carrier_id in answers:
            if status:
                refusals.add(status)
                told.append(Answer(message, attempt, part, count, "", smpp.failure(status)))
            else:
                told.append(Answer(message, attempt, part, count, carrier_id))
        if smpp.THROTTLED in refusals:
            self._slow_down()
        self._is_forgotten |= smpp.NOT_BOUND in refusals
        self._upward.answered(self._channel.name, told)
        self._tell_of_room()

    def _slow_down(self) -> None:
        self._line.throttled += 1
        if self._slower is not None:
            self._slower.cancel()
        self._slower = self._loop.call_later(SLOWER_S, self._go_on)

    def _go_on(self) -> None:
        self._slower = None
        self._tell_of_room()

    def _tell_of_room(self) -> None:
        if self.room():
            self._upward.ready(self._channel.name)

    def _in_doubt(self, tokens: list[sessions.Token]) -> None:
        told = [Answer(message, attempt, part, count, in_doubt=True) for message, attempt, part, count in tokens]
        if told:
            self._upward.answered(self._channel.name, told)
            self._tell_of_room()

    def _arrived(self, messages: list[tuple[int, smpp.ShortMessage]]) -> None:
        receipts, texts = [], []
        for sequence, message in messages:
            handle = _Handle(self, sequence)
            if smpp.is_receipt(message):
                receipts.append(self._channel._receipt(message, handle))
            else:
                texts.append(self._channel._inbound(message, handle))
        self._upward.arrived(self._channel.name, receipts, texts)

    def _closed(self, event: sessions.Closed) -> None:
        log.info("%s: %s", self._channel.name, event.why)
        if self.bound_at is not None:
            self._line.trouble = Failure("line lost", event.why, Retry.LATER)
        self.flush()
        self._in_doubt(event.tokens)
        if self._transport is not None:
            self._transport.close()
            self._loop.call_later(GOODBYE_S, self._transport.abort)  # a dead peer never reads what is left to write
        self._end()

    def _end(self) -> None:
        for timer in (self._timer, self._slower):
            if timer is not None:
                timer.cancel()
        self._timer = self._slower = None
        self.gone.set()


def _room_of(sheet: _Sheet) -> int:
    return sheet.room


def _octets(who: str, short_code: tuple[int, int]) -> bytes:
    """An address as SMPP writes it, its type told by its shape (5.2.5, 5.2.6). Raises ValueError if it cannot be."""
    if who[:1] == "+":
        return smpp.address(smpp.INTERNATIONAL, 1, who[1:])
    if not who.isdecimal():
        return smpp.address(smpp.ALPHANUMERIC, 0, who)
    return smpp.address(*short_code, who) if len(who) < SHORTEST_NUMBER else smpp.address(0, 1, who)


_sender_octets = lru_cache(maxsize=1024)(_octets)  # senders are few, recipients are not


def _unwritable(message: Outbound, words: str) -> Answer:
    return Answer(message.id, message.attempt, -1, 1, failure=Failure("unwritable", words, Retry.NEVER))


def _header_of(options: Mapping[int, bytes]) -> bytes:
    """The header that a phone would have written, from the sar_ parameters that some carriers make of it."""
    reference, total, number = (options.get(tag, b"") for tag in (smpp.SAR_REFERENCE, smpp.SAR_TOTAL, smpp.SAR_NUMBER))
    if (len(reference), len(total), len(number)) != (2, 1, 1):
        return b""
    return b"\6\x08\4" + reference + total + number


def _fingerprint(message: smpp.ShortMessage, octets: bytes) -> str:
    names = f"{message.sender}\0{message.recipient}\0{message.esm_class}\0{message.data_coding}\0"
    return hashlib.blake2b(names.encode() + octets, digest_size=16).hexdigest()


def _tls(address: SmppAddress) -> ssl.SSLContext | None:
    if not address.tls:
        return None
    context = ssl.create_default_context(cafile=address.authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def channel(settings: SmppCarrier, around: Surroundings) -> SmppChannel:
    """The channel of these settings. On the simulator it has an account of its own, whatever the real one will be."""
    carrier = settings.carrier if isinstance(settings.carrier, HostPort) else around.simulator
    account = around.name[:15] if settings.is_simulated else settings.account
    password = settings.password_file.text if settings.password_file and not settings.is_simulated else ""
    address = SmppAddress(carrier.host, carrier.port, settings.tls and not settings.is_simulated)
    line = SmppSettings(address, account, password, window=settings.window, own=around.own)
    return SmppChannel(around.name, line, around.upward, now_ms=around.now_ms)
