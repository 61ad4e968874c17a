"""What every channel promises, and what it is given."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from pydantic import Field

from gateway.config import Named
from gateway.errors import Failure, Retry
from gateway.messages import Answer, Asked, Cargo, Content, Inbound, Outbound, Receipt
from gateway.values import HostPort, Money, Price, Rate
from gateway.wording import either


class CarrierSettings(Named):
    """A line to a carrier: what every kind has in common."""

    kind: str = Field(description="How the carrier is spoken to.")
    rate: Rate = Field(Rate(10), description="How many parts the carrier takes in a second.")
    price: Price = Field(description="What one part costs.")

    @property
    def is_simulated(self) -> bool:
        """True when no text leaves this machine through this channel."""
        return False

    @property
    def carries(self) -> frozenset[Cargo]:
        """What it can carry beside letters."""
        return frozenset()

    @property
    def shows_class(self) -> bool:
        """Whether what is to flash does so, and what says that messages wait; elsewhere it is a text like any other."""
        return False

    @property
    def media_price(self) -> Money:
        """What one message with pictures costs."""
        return self.price

    @property
    def slots(self) -> int:
        """Into how many shares processes may divide what the carrier allows, each with its part of the rate."""
        return 1

    @property
    def place(self) -> str:
        """Where the carrier is, for people: `simulator`, `smpp.example.net:2776`, `api.twilio.com`."""
        raise NotImplementedError  # each kind of carrier says where it is

    @property
    def is_secured(self) -> bool:
        """Whether what a real line needs to prove who we are (a password, a token) is there."""
        return True

    @property
    def is_encrypted(self) -> bool:
        """False where texts, numbers and our password would cross the network for all to read."""
        return True

    @property
    def comes_to_us(self) -> bool:
        """Whether the carrier must reach our public pages to bring receipts and texts."""
        return False


def cannot_carry(content: Content) -> Failure:
    """What a channel says that was given what it does not carry: its kind was changed since the message was taken."""
    return Failure("cannot carry", f"this channel carries no {either(sorted(content.needs))}", Retry.NEVER)


class Deliveries(NamedTuple):
    """Receipts of one read that all say delivered, in columns, for there are many: as lists of the same order.

    `receipt` tells one of them in full, by its place; it is asked where an id is not known. One handle thanks all.
    """

    ids: Sequence[str]
    codes: Sequence[str]
    receipt: Callable[[int], Receipt]
    handle: object


@dataclass(frozen=True, slots=True)
class Upward:
    """The callables a channel is handed at start. They return at once and never raise.

    `answered` takes the carrier's answers, as many as one read of the socket brought. `arrived` takes
    receipts and texts; each stays unthanked until `thank` is called with its handle. `ready` says that
    there is room again, or that a line was bound.
    """

    answered: Callable[[str, list[Answer]], None]
    arrived: Callable[[str, list[Receipt], list[Inbound]], None]
    ready: Callable[[str], None]
    delivered: Callable[[str, Deliveries], None] | None = None  # receipts that `arrived` would take too, faster


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a channel is made with, beside its settings."""

    name: str
    own: tuple[str, ...]  # the numbers that we send from through it, as people write them
    upward: Upward
    now_ms: Callable[[], int]  # the time of day by which messages expire
    simulator: HostPort  # where the simulated carrier listens
    site: str  # the web address of our public pages, under which a carrier reaches our doors
    chance: random.Random  # jitter


class Call(NamedTuple):
    """What a carrier sent to one of our doors. `url` is as the carrier must have written it, on our public site."""

    method: str
    url: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes


class Reply(NamedTuple):
    """What we answer to a call."""

    status: int
    body: str = ""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = {}


class Door(NamedTuple):
    """Where a carrier that speaks HTTP reaches us: `SITE/carriers/CHANNEL/path`. `serve` never raises."""

    path: str
    serve: Callable[[Call], Awaitable[Reply]]


class LineState(NamedTuple):
    """One line as metrics and the console show it."""

    mode: str
    bound: bool
    in_flight: int
    throttled: int  # times the carrier asked to slow down
    lost: int  # bound lines that ended, since start
    trouble: Failure | None  # why it is not bound, where the carrier said so
    rate: float | None = None  # parts a second that it is held to since the carrier asked to slow down


class Channel(Protocol):
    """A line to a carrier.

    1. `run` MUST hold the line until cancelled: connect, bind, keep alive, connect again with jittered
       pauses. It MUST NOT raise for anything that the carrier does.
    2. `room` MUST say how many parts may be written at this moment: 0 without a bound line.
    3. `send` MUST write every missing part of a message contiguously on one line, or nothing of it, and
       MUST return the messages that it did not touch. It MUST NOT wait.
    4. For every part written, exactly one Answer MUST come through `answered`: the carrier's, or one that
       is in doubt when the line fell or the answer did not come in time. A carrier that answers after all MAY
       bring one more. A message that can never be written counts as touched, and one Answer for the whole of
       it (part -1) MUST come.
    5. A receipt or a text MUST NOT be acknowledged before `thank` is called with its handle; a handle of
       a line that is gone MUST be ignored.
    6. A part's failure MUST carry the carrier's own code, plain words and a Retry.
    7. `drain` MUST wait for answers on the way, at most so long, and then unbind.
    8. `query` MAY ask the carrier what became of parts; its word comes as receipts whose handle is None.
    9. `share` says which of the carrier's slots this process holds, all before it is called. Lines of other slots
       MUST write nothing new and be ended with a goodbye, soon, and be held again when they come back; `parted` MUST
       return when they have ended.
    """

    name: str

    async def run(self) -> None:
        """Hold the line until cancelled."""
        ...

    def room(self) -> int:
        """Parts that may be written now."""
        ...

    def lines(self) -> list[LineState]:
        """Each line's state at this moment."""
        ...

    def alive(self) -> list[int]:
        """The numbers (`Inbound.line`) of the connections that are bound at this moment."""
        ...

    def doors(self) -> Sequence[Door]:
        """Where the carrier reaches us by HTTP; none for a carrier that we hold a line to."""
        ...

    def send(self, batch: Sequence[Outbound]) -> list[Outbound]:
        """Write the batch; return what was not touched."""
        ...

    def query(self, asked: Sequence[Asked]) -> None:
        """Ask what became of these parts; does nothing where the carrier cannot be asked."""
        ...

    def share(self, slots: Collection[int]) -> None:
        """Hold these slots of the carrier and no others."""
        ...

    async def parted(self) -> None:
        """Return when no line is there of a slot that we do not hold."""
        ...

    def thank(self, handles: Sequence[object]) -> None:
        """Acknowledge what has been kept, in one write a line."""
        ...

    def refuse(self, handles: Sequence[object]) -> None:
        """Tell the carrier to bring these again later: they could not be kept."""
        ...

    async def drain(self, timeout_s: float) -> None:
        """Let answers on the way come in, then say goodbye."""
        ...
