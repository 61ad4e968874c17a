"""How fast we may send: a token bucket that counts parts."""

from __future__ import annotations


class Pace:
    """At most `rate` parts a second on average, and never more than a twentieth of a second's worth at once.

    `rate` 0 means no limit. `now` is in seconds of any steady clock.
    """

    __slots__ = ("_at", "_tokens", "rate")

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self._tokens = min(rate, 1.0) if rate else 0.0
        self._at = now

    def change(self, rate: float, now: float) -> None:
        """Go on at another rate, with nothing saved up beyond its own burst."""
        held = self._tokens + (now - self._at) * self.rate if self.rate else 0.0
        self.rate, self._at = rate, now
        self._tokens = min(held, max(1.0, rate * BURST_S))

    def room(self, now: float, most: int) -> int:
        """How many parts may leave at this moment, at most `most`."""
        if not self.rate:
            return most
        self._fill(now)
        return max(0, min(most, int(self._tokens)))

    def peek(self, now: float, most: int) -> int:
        """The same for another thread than the one that spends: nothing is changed."""
        if not self.rate:
            return most
        held = min(max(1.0, self.rate * BURST_S), self._tokens + (now - self._at) * self.rate)
        return max(0, min(most, int(held)))

    def spend(self, parts: int, now: float) -> None:
        """Take what was sent at this moment. A message of several parts may run into debt, which is waited off.

        What came in since `room` was asked counts no further than the burst: else it would leave at once behind these.
        """
        if self.rate:
            self._fill(now)
            self._tokens -= parts

    def _fill(self, now: float) -> None:
        self._tokens = min(max(1.0, self.rate * BURST_S), self._tokens + (now - self._at) * self.rate)
        self._at = now

    def wait_s(self) -> float:
        """How long until the next part may leave."""
        if not self.rate or self._tokens >= 1:
            return 0.0
        return (1 - self._tokens) / self.rate


BURST_S = 0.05  # carriers count by the second: after a rest we must not begin with much more than they allow
