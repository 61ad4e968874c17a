"""What programs ask us to send, and what they are answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from campaigns.client_settings import Client
from gateway.errors import CarillonError
from gateway.messages import Content


class Why(StrEnum):
    """Why a text is not accepted."""

    BAD_NUMBER = "bad number"
    LANDLINE = "landline"
    NO_TEXT = "no text"
    BAD_TEXT = "bad text"
    TOO_LONG = "too long"
    NOT_YOURS = "sender not yours"
    NO_SENDER = "no sender"
    LEFT = "left"
    NO_PROGRAM = "no programme"
    NO_CONSENT = "no consent"
    TOO_LATE = "too late"
    CANNOT_CARRY = "cannot carry"
    NOT_ALL = "not all"


class Wish(NamedTuple):
    """One text that a client asks us to send.

    `to` and `sender` as people write them; without a sender we choose. `program` None is the client's own, empty a text
    that is no marketing. `send_at` and `valid_until` are in milliseconds since 1970, 0 for now and for a day. `repeat`
    None: again when in doubt if it is urgent. `callback` is JSON that names the door by which its fate is told.
    `content` is what it is beyond its letters: a text may be empty where that holds pictures, and is where it holds
    octets.
    """

    to: str
    text: str
    sender: str = ""
    program: str | None = None
    urgent: bool = False
    send_at: int = 0
    valid_until: int = 0
    repeat: bool | None = None
    reference: str = ""
    callback: str = ""
    content: Content | None = None


MOST_CONTENT = 4_000_000  # octets that the contents of one call may take: one content is kept for each of its phones
_CONTENT_OF_A_TEXT = 1_000  # so many count as one text more in the queue of what is to be written


class Taken(NamedTuple):
    """A text that is on disk and will be sent. `price` is in millionths of the brand's currency."""

    id: int
    to: str
    sender: str
    channel: str
    parts: int
    price: int
    due: int


class Refused(NamedTuple):
    """A text that will not be sent; `detail` says what was found and what to do."""

    why: Why
    detail: str


Outcome = Taken | Refused


@dataclass(frozen=True, slots=True)
class Submission:
    """What one call brought. `key` is its idempotency key, `digest` tells its body from any other."""

    client: Client
    wishes: Sequence[Wish]
    key: str = ""
    digest: str = ""
    is_test: bool = False
    is_all_or_none: bool = False

    @property
    def content_size(self) -> int:
        """About how many octets all that is more than letters takes in the store."""
        return sum([wish.content.size for wish in self.wishes if wish.content is not None])

    @property
    def size(self) -> int:
        """How much it is to write down, in texts."""
        return len(self.wishes) + self.content_size // _CONTENT_OF_A_TEXT

    def excess(self) -> str:
        """That its contents are too much for one call, in words; empty where they are not."""
        size = self.content_size
        if size <= MOST_CONTENT:
            return ""
        return (
            f"pictures and octets for {len(self.wishes):,} phones are {size:,} octets to keep, "
            f"and {MOST_CONTENT:,} are the most of one call; send to fewer at once"
        )


class Result(NamedTuple):
    """What became of each wish, in their order. `is_repeat`: it was decided at an earlier call with the same key."""

    outcomes: list[Outcome]
    is_repeat: bool = False


class KeyReused(CarillonError):
    """The same idempotency key came with another body."""
