"""The nouns that travel: what we send, what the carrier answers, what a receipt says, what a person texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from gateway.errors import Failure

ALL_PARTS = -1  # a bit for each part; minus one has every bit set


class Lane(StrEnum):
    """Which line a message waits in. A waiting urgent message always leaves before a bulk one."""

    URGENT = "urgent"
    BULK = "bulk"


class Purpose(StrEnum):
    """Why a message is sent: marketing is bound by STOP, hours and caps, service by STOP, a reply by nothing."""

    MARKETING = "marketing"
    SERVICE = "service"  # what a program tells somebody of their own affairs
    REPLY = "reply"


class State(IntEnum):
    """What has become of a message. The number is its rank: states are merged by taking the highest.

    So any order of answers and receipts, with any repeats, ends in one result, and a late receipt may
    still raise a failed or unknown message to delivered.
    """

    QUEUED = 0
    IN_DOUBT = 10  # bytes may have left, no answer came
    SENT = 20  # the carrier has taken every part
    STOPPED = 40  # its run was stopped before it left
    REFUSED = 41  # the gate said never; the reason says why
    EXPIRED = 42
    FAILED = 43
    UNKNOWN = 44  # no receipt within validity and grace
    DELIVERED = 50

    @property
    def is_final(self) -> bool:
        """True when only a correction to delivered can follow."""
        return self >= State.STOPPED

    @property
    def word(self) -> str:
        """The state in the word that people read: `in doubt`, `delivered`."""
        return self.name.lower().replace("_", " ")


class Cargo(StrEnum):
    """What not every channel can carry."""

    PICTURES = "pictures"
    OCTETS = "octets"  # and texts with a header


NOTHING: frozenset[Cargo] = frozenset()
MOST_PICTURES = 10  # of one message
MOST_ADDRESSES = 2_048  # characters of the addresses of all of them
MOST_OCTETS = 63 * 140  # as many parts as can be kept account of
NONE_WAITS, THROWN_AWAY = 4, 8  # bits of Content.waiting: nothing waits any more; the phone need not keep the text
_PORTS = frozenset((0x04, 0x05))  # elements that name a program on the phone (3GPP 23.040, 9.2.3.24.3 and 4)


@dataclass(frozen=True, slots=True)
class Content:
    """What a message is beyond its letters; where it is nothing else, None stands in its place.

    `media` are the addresses of pictures, which the carrier fetches. `octets` stand in the place of letters; None where
    it has letters. `header` are the elements that open a part, without the octet that counts them (3GPP 23.040,
    9.2.3.24). `message_class` is 0 (flash) to 3; `is_short_class`: data coding 0xF0 and its kin say it, not 0x10.
    `waiting` is 0 to 3 for messages that wait (voice, fax, e-mail, other), with NONE_WAITS for none, and with
    THROWN_AWAY the phone need not keep the text (23.038, section 4).
    """

    media: tuple[str, ...] = ()
    octets: bytes | None = None
    header: bytes = b""
    message_class: int | None = None
    is_short_class: bool = False
    waiting: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it is nothing without letters."""
        return not (self.media or self.octets or (self.octets is not None and self.header))

    @property
    def is_for_a_program(self) -> bool:
        """Whether a program on the phone reads it, and no person: nothing may be set before or behind it."""
        return self.octets is not None or not self.kinds.isdisjoint(_PORTS)

    @property
    def kinds(self) -> frozenset[int]:
        """Which elements its header has."""
        found, place = [], 0
        while place < len(self.header):
            found.append(self.header[place])
            place += 2 + sum(self.header[place + 1 : place + 2])
        return frozenset(found)

    @property
    def is_shown_otherwise(self) -> bool:
        """Whether it has a class, or says that messages wait."""
        return self.message_class is not None or self.waiting is not None

    @property
    def needs(self) -> frozenset[Cargo]:
        """What a channel must be able to carry. Without its class a text is still the same text."""
        pictures = (Cargo.PICTURES,) if self.media else ()
        return frozenset(pictures if self.octets is None and not self.header else (*pictures, Cargo.OCTETS))

    @property
    def size(self) -> int:
        """About how many octets it takes in the store."""
        return 100 + sum(map(len, self.media)) + 2 * len(self.octets or b"") + 2 * len(self.header)

    def excess(self) -> str:
        """What it has too much of, and how much is the most; empty where it has not."""
        addresses, octets = sum(map(len, self.media)), len(self.octets or b"")
        if addresses > MOST_ADDRESSES:
            return f"the addresses of the pictures have {addresses:,} characters; {MOST_ADDRESSES:,} are the most"
        return f"{octets:,} octets; {MOST_OCTETS:,} are the most" if octets > MOST_OCTETS else ""

    def or_none(self) -> Content | None:
        """None where it is nothing beyond letters."""
        return None if self == _PLAIN else self

    def shown(self, text: str) -> str:
        """The message for people's eyes: its letters, or `[42 octets]`."""
        return text if self.octets is None else f"[{len(self.octets)} octets]"

    def told(self) -> dict[str, Any]:
        """Each thing that it is, as it is kept and as programs are told: octets and whole header in hexadecimal."""
        told: dict[str, Any] = {}
        if self.media:
            told["media"] = [*self.media]
        if self.octets is not None:
            told["octets"] = self.octets.hex()
        if self.header:
            told["header"] = bytes((len(self.header), *self.header)).hex()
        if self.message_class is not None:
            told["message_class"] = self.message_class
        if self.is_short_class:
            told["short_class"] = True
        if self.waiting is not None:
            told["waiting"] = self.waiting
        return told

    def written(self) -> str:
        """As the store keeps it; `read` reads it."""
        return orjson.dumps(self.told()).decode()

    @staticmethod
    def read(written: str) -> Content:
        """What was written."""
        return _read_often(written) if len(written) <= _SHORT else _read(written)


def _read(written: str) -> Content:
    told = orjson.loads(written)
    octets = told.get("octets")
    return Content(
        tuple(told.get("media", ())),
        None if octets is None else bytes.fromhex(octets),
        bytes.fromhex(told.get("header", ""))[1:],
        told.get("message_class"),
        told.get("short_class", False),
        told.get("waiting"),
    )


_PLAIN = Content()
_SHORT = 100  # as flash texts are, which are all alike; what is longer is no other's
_read_often = lru_cache(maxsize=1024)(_read)


class Outbound(NamedTuple):
    """One text as a channel gets it to send.

    `sender` and `recipient` are as people write them: `+12065550142`, `20655` or `Lantern`. `missing` has
    a bit for each part that is still to be sent (bit 0 is the first part). `valid_until` is in
    milliseconds since 1970, UTC; 0 means the carrier's own default.
    """

    id: int
    attempt: int
    sender: str
    recipient: str
    text: str
    missing: int = ALL_PARTS
    valid_until: int = 0
    content: Content | None = None  # what it is beyond its letters


class Answer(NamedTuple):
    """What the carrier said to one part: an id, a failure, or nothing at all (`in_doubt`)."""

    message: int
    attempt: int
    part: int  # counted from 0; -1 = the whole message, of which nothing was written
    parts: int
    carrier_id: str = ""
    failure: Failure | None = None
    in_doubt: bool = False


class Receipt(NamedTuple):
    """The carrier's later word on one part that it had taken.

    `handle` is the channel's own mark by which `thank` acknowledges it; `sender` and `recipient` are those
    of the message that the receipt is about. `respell` gives other spellings of an id, for carriers whose
    receipts write it otherwise than their answers; it is asked only when nothing else fits. `failure` is there
    where the carrier says more than a code: that the person has left, say.
    """

    carrier_ids: tuple[str, ...]  # as the receipt gives it, the surest first
    state: State
    code: str
    sender: str
    recipient: str
    handle: object = None
    respell: Callable[[str], tuple[str, ...]] | None = None
    failure: Failure | None = None

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every id under which the answer may have named the part, the surest first."""
        if self.respell is None:
            return self.carrier_ids
        return tuple(
            dict.fromkeys((*self.carrier_ids, *(each for id_ in self.carrier_ids for each in self.respell(id_))))
        )


class Joint(NamedTuple):
    """Which piece of a long text an inbound is: `number` of `total`, counted from 1."""

    reference: int
    total: int
    number: int


class Media(NamedTuple):
    """A picture or another file that came with a text: where the carrier keeps it, and what it says it is."""

    url: str
    kind: str  # the media type, such as image/jpeg


class Asked(NamedTuple):
    """A part whose fate the carrier is asked about: its id there, and from whom to whom it went."""

    carrier_id: str
    sender: str
    recipient: str


class Inbound(NamedTuple):
    """One text (or one piece of a long one) from a person, as the carrier brought it.

    `carrier_id` is empty where the carrier gives none (SMPP). `fingerprint` is a hash of addresses, bytes
    and header, by which a repeat after a broken line is known; `line` is a number that rises with each
    connection, also over restarts: the time at which it was made, in milliseconds. `handle` is what `thank` needs.
    `obeyed` is `stop`, `start` or `help` where the carrier itself has obeyed that word and answered the person.
    """

    sender: str
    recipient: str
    text: str
    carrier_id: str = ""
    fingerprint: str = ""
    joint: Joint | None = None
    line: int = 0
    handle: object = None
    media: tuple[Media, ...] = ()
    obeyed: str = ""
