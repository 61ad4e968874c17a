"""The nouns that travel: what we send, what the carrier answers, what a receipt says, what a person texts."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum, StrEnum
from typing import NamedTuple

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
