"""What meets a text at the simulated carrier: taken, refused, delivered late, or never heard of again.

Numbers that end so always meet the same fate, whatever the rules: 0000 undeliverable, 0001 refused at once,
0002 never a receipt, 0003 a receipt after 20 seconds.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.codecs import smpp

BAD_RECIPIENT: Final = 0x0B  # command_status RINVDSTADR (SMPP 3.4, 5.1.3)

DELIVERED: Final = b"DELIVRD"  # the words of receipts (SMPP 3.4, appendix B)
UNDELIVERABLE: Final = b"UNDELIV"
EXPIRED: Final = b"EXPIRED"
DELETED: Final = b"DELETED"
ENROUTE: Final = b"ENROUTE"


@dataclass(frozen=True, slots=True)
class Rules:
    """How the carrier behaves. Shares are of submits (each part is one) and exclude each other.

    Raises ValueError for shares over 1 together and for a range of delays that runs backwards.
    """

    delay_ms: tuple[int, int] = (300, 1500)  # a receipt comes after a random time in this range
    lose: float = 0.0  # taken, and no receipt ever
    fail: float = 0.0  # taken, and the receipt says undeliverable
    reject: float = 0.0  # refused at once and for good
    throttle: int = 0  # submits a second that are looked at, the others are answered RTHROTTLED; 0 = all
    drop_every: int = 0  # the line falls after so many submits, the last of them taken and not answered; 0 = never
    answer_ms: int = 0  # how late a submit is answered
    hex_ids: bool = False  # ids are hexadecimal in answers and decimal in receipts
    elsewhere: bool = False  # receipts come on another line of the account than the text went, where there is one

    def __post_init__(self) -> None:
        if min(self.lose, self.fail, self.reject) < 0 or self.lose + self.fail + self.reject > 1:
            raise ValueError("lose, fail and reject are shares: from 0, and not over 1 together")
        if not 0 <= self.delay_ms[0] <= self.delay_ms[1]:
            raise ValueError("delay_ms goes from the least to the greatest delay")


class Fate(NamedTuple):
    """The command_status that a submit is answered with, and, if taken, its receipt.

    `word` is empty for no receipt; `delay_ms` is None where the rules' range holds.
    """

    status: int = smpp.OK
    word: bytes = DELIVERED
    delay_ms: int | None = None


_TAKEN = Fate()
_FAILED = Fate(word=UNDELIVERABLE)
_LOST = Fate(word=b"")
_REJECTED = Fate(status=BAD_RECIPIENT)
_THROTTLED = Fate(status=smpp.THROTTLED)
_MAGIC: Final = {"0000": _FAILED, "0001": _REJECTED, "0002": _LOST, "0003": Fate(delay_ms=20_000)}


class Fates:
    """Draws the fates of submits, the same ones for the same seed and order."""

    def __init__(self, rules: Rules, seed: int) -> None:
        self._rules = rules
        self._draw = random.Random(seed).random  # noqa: S311 - a play, not a secret
        self._second, self._looked_at = 0, 0

    def of(self, recipient: str, now: float) -> Fate:
        """What a submit to this number meets at `now`, in seconds of a rising clock."""
        rules = self._rules
        if rules.throttle and self._is_too_fast(int(now)):
            return _THROTTLED
        magic = _MAGIC.get(recipient[-4:])
        if magic:
            return magic
        drawn = self._draw()
        if drawn < rules.reject:
            return _REJECTED
        if drawn < rules.reject + rules.lose:
            return _LOST
        return _FAILED if drawn < rules.reject + rules.lose + rules.fail else _TAKEN

    def delay_s(self, fate: Fate) -> float:
        """How long after the submit its fate is sealed and its receipt comes, in seconds."""
        if fate.delay_ms is not None:
            return fate.delay_ms / 1000
        least, most = self._rules.delay_ms
        return (least + (most - least) * self._draw()) / 1000

    def _is_too_fast(self, second: int) -> bool:
        if second != self._second:
            self._second, self._looked_at = second, 0
        self._looked_at += 1
        return self._looked_at > self._rules.throttle
