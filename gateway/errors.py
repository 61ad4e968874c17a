"""What goes wrong, said so that three questions are answered: what happened, try again, whose fault."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Retry(StrEnum):
    """When a failed part may be tried again."""

    NEVER = "never"
    ONCE = "once"  # likely for good, but carriers use the code loosely
    LATER = "later"  # with growing, jittered pauses
    THROTTLED = "throttled"  # the carrier asks the whole line to slow down; costs no attempt
    STOP_CHANNEL = "stop channel"  # our account or set-up is wrong: hold everything, tell the operator


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a part was not taken: the carrier's code, plain words for people, and when to try again.

    `elsewhere`: it is this carrier's way to the phone that fails, so another carrier may take it. `left`: the carrier
    holds that the person has left the sender, which we must obey as if STOP had been texted.
    """

    code: str
    words: str
    retry: Retry
    elsewhere: bool = False
    left: bool = False


class CarillonError(Exception):
    """Something the person at the keyboard can mend. Its text says what was found and the cure."""


class PortTaken(CarillonError):
    """Another program listens on a port that we need."""


class StoreError(CarillonError):
    """The database cannot be opened or is not ours to write."""


class Fenced(StoreError):
    """Another process has taken over what this one was: nothing that it wrote since is kept."""
