"""What comes of a request to Twilio: it has taken a text, it surely has not, or nobody knows."""

from __future__ import annotations

from typing import NamedTuple

from gateway.errors import Failure


class Refused(Exception):
    """Twilio did not take it. `wait_s` is how long it asks us to wait; 0 where it does not."""

    def __init__(self, failure: Failure, wait_s: float) -> None:
        super().__init__(failure.words)
        self.failure = failure
        self.wait_s = wait_s


class Unknown(Exception):
    """Bytes have left, and nobody knows what became of them."""


class Taken(NamedTuple):
    """What Twilio says of a text: its name there, how it stands, and how many parts were made of it (0: not known)."""

    sid: str
    status: str
    error: int
    segments: int
    sender: str
    recipient: str
