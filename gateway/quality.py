"""Measures how well each carrier delivers to each country, so that routes can prefer the one that does it best."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

HALF_LIFE_MS = 2 * 3_600_000  # what happened so long ago counts half
GRACE_MS = 10 * 60_000  # how long a receipt is waited for before silence counts against the carrier
STEP_MS = 60_000  # sendings of one minute grow up together
LEAST = 50  # texts that must have met their end before a rate says anything
ASSUMED = 0.9  # the rate of whom we do not know: better than a bad carrier, worse than a good one, so it is tried

Way = tuple[str, str]  # a channel, and the country of the phones


class Score(NamedTuple):
    """What is known of a way: the share of texts delivered, the mean time until the receipt, from how many texts."""

    rate: float
    latency_ms: float
    samples: float

    @property
    def is_known(self) -> bool:
        """Whether there were enough texts to go by."""
        return self.samples >= LEAST

    @property
    def rank(self) -> tuple[int, int]:
        """Sorts the best first. Only differences of a whole percent and of a second count: the rest is chance."""
        if not self.is_known:
            return -round(ASSUMED * 100), 0
        return -round(self.rate * 100), round(self.latency_ms / 1000)


NOTHING = Score(0.0, 0.0, 0.0)


@dataclass(slots=True)
class _Way:
    """The counters of one way, as they stood at `at`; each fades with time."""

    at: int
    delivered: float = 0.0
    failed: float = 0.0
    due: float = 0.0  # texts that were sent so long ago that their receipt should be there
    latency_ms: float = 0.0  # the sum over the delivered
    young: deque[list[int]] = field(default_factory=deque)  # [when, how many] were sent and may still be answered

    def fade(self, now: int) -> None:
        """Bring the counters to `now`. A clock that steps back changes nothing."""
        if now > self.at:
            factor = _faded(now - self.at)
            self.delivered *= factor
            self.failed *= factor
            self.due *= factor
            self.latency_ms *= factor
            self.at = now
        while self.young and self.young[0][0] <= now - GRACE_MS:
            sent_at, n = self.young.popleft()
            self.due += n * _faded(self.at - sent_at)  # as its receipts have faded, or the best carrier lost by age

    def score(self, now: int) -> Score:
        """The score at `now`; changes nothing, so that other threads may ask."""
        young = [(at, n) for at, n in tuple(self.young) if at <= now - GRACE_MS]
        due = self.due + sum(n * _faded(self.at - at) for at, n in young)
        ended = max(self.delivered + self.failed, due)
        if not ended:
            return NOTHING
        latency = self.latency_ms / self.delivered if self.delivered else 0.0
        # A receipt may be of a text that has faded more than itself: never more than all are delivered.
        return Score(min(1.0, self.delivered / ended), latency, ended * _faded(now - self.at))


class Quality:
    """The counters of every way. In memory: after a restart everybody begins anew, as listed.

    Called once a batch with sums, from one thread; `scores` may be asked from any.
    """

    def __init__(self) -> None:
        self.out: set[str] = set()  # channels that carry nothing at this moment; whoever watches them keeps it
        self._ways: dict[Way, _Way] = {}

    def sent(self, channel: str, country: str, n: int, now: int) -> None:
        """The carrier took `n` texts at `now` (milliseconds)."""
        way = self._way(channel, country, now)
        if way.young and now - way.young[-1][0] < STEP_MS:
            way.young[-1][1] += n
        else:
            way.young.append([now, n])

    def delivered(self, channel: str, country: str, n: int, latency_ms: int, now: int) -> None:
        """`n` texts reached their phones, after `latency_ms` milliseconds in sum."""
        way = self._way(channel, country, now)
        way.delivered += n
        way.latency_ms += latency_ms

    def failed(self, channel: str, country: str, n: int, now: int) -> None:
        """`n` texts failed: refused by the carrier, or by their receipts."""
        self._way(channel, country, now).failed += n

    def _way(self, channel: str, country: str, now: int) -> _Way:
        way = self._ways.get((channel, country))
        if way is None:
            way = self._ways[channel, country] = _Way(now)
        way.fade(now)
        return way

    def score(self, channel: str, country: str, now: int) -> Score:
        """What is known of one way."""
        way = self._ways.get((channel, country))
        return way.score(now) if way else NOTHING

    def scores(self, now: int) -> Mapping[Way, Score]:
        """What is known of every way, frozen: a batch is routed by one state of knowledge."""
        return {way: counters.score(now) for way, counters in tuple(self._ways.items())}


def alike(one: Mapping[Way, Score], other: Mapping[Way, Score], ways: Iterable[Way] | None = None) -> bool:
    """Whether two states of knowledge put everybody in the same order."""
    every = set(one) | set(other) if ways is None else set(ways)
    return all(one.get(way, NOTHING).rank == other.get(way, NOTHING).rank for way in every)


def _faded(span_ms: int) -> float:
    return math.exp2(-max(0, span_ms) / HALF_LIFE_MS)
