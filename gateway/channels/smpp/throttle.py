"""How fast one line to a carrier may go: at once slower when the carrier complains, and by and by as fast as before."""

from __future__ import annotations

from typing import Final

REST_S: Final = 1.0  # nothing new leaves for so long after a complaint
NEAR: Final = 1.25  # up to so much above where the carrier complained, growth is careful
CAREFUL_S: Final = 20.0  # careful growth would take so long from nothing to where it complained
BACK_S: Final = 60.0  # beyond that, it takes so long from nothing to the ceiling
BURST_S: Final = 0.05  # of a slowed rate, at most so much may leave at once
SHORTEST_S: Final = 0.001  # a shorter wait might end before the clock has moved
ROUNDING: Final = 1e-6  # what a sum of many short times may lack


class Throttle:
    """Halves window and rate of one line when its carrier complains, and lets both grow steadily up to their ceilings.

    `window` is in parts without an answer, `rate` in parts a second, `now` in seconds of a rising clock. The rate is
    watched only while it is below its ceiling: to that the caller keeps anyway. A line that is no longer complained
    about is back at its ceilings after 75 seconds.
    """

    def __init__(self, window: int, rate: float) -> None:
        self.complaints = 0
        self._window, self._rate = _Level(window), _Level(rate)
        self._rest_until = self._grown_at = 0.0
        self._is_free = True
        self._has_written = True  # since it was last halved
        self._credit = 0.0
        self._second, self._written, self._before = 0.0, 0, 0

    @property
    def rate(self) -> float | None:
        """Parts a second that may leave at present; None where nothing is held back."""
        return None if self._is_free else self._rate.level

    def room(self, now: float, in_flight: int) -> int:
        """Parts that may be written now, with so many on the way."""
        if self._is_free:
            return max(0, int(self._window.ceiling) - in_flight)
        if now < self._rest_until:
            return 0
        self._grow(now)
        room = int(self._window.level) - in_flight
        return max(0, room if self._rate.is_full else min(room, int(self._credit + ROUNDING)))

    def wait_s(self, now: float) -> float:
        """How long until time alone makes room; 0 where it is not time that is waited for."""
        if self._is_free:
            return 0.0
        if now < self._rest_until:
            return max(SHORTEST_S, self._rest_until - now)
        self._grow(now)
        if self._rate.is_full or self._credit + ROUNDING >= 1:
            return 0.0
        worthwhile = max(1.0, self._rate.level * BURST_S / 2)
        return max(SHORTEST_S, (worthwhile - self._credit) / self._rate.level)

    def wrote(self, parts: int, now: float) -> None:
        """So many were written. A text in parts may overdraw: what follows waits the longer."""
        if now - self._second >= 1:
            self._before = self._written if now - self._second < 2 else 0
            self._second, self._written = now, 0
        self._written += parts
        self._has_written = True
        if not self._is_free:
            self._grow(now)
            self._credit -= parts

    def slow_down(self, now: float) -> None:
        """The carrier complained. Complaints about one and the same burst count once."""
        self.complaints += 1
        if not self._is_free:
            self._grow(now)
        if self._has_written:
            self._rate.halve(max(self._written, self._before))
            self._window.halve(self._window.level)
        self._has_written = self._is_free = False
        self._credit = 0.0
        self._rest_until = self._grown_at = now + REST_S

    def _grow(self, now: float) -> None:
        passed = now - self._grown_at
        if passed <= 0:
            return
        self._grown_at = now
        self._credit = min(self._credit + passed * self._rate.level, max(1.0, self._rate.level * BURST_S))
        self._rate.grow(passed)
        self._window.grow(passed)
        self._is_free = self._rate.is_full and self._window.is_full


class _Level:
    """A number below its ceiling that is halved and grows: near where it was halved with care, then faster."""

    __slots__ = ("_knee", "ceiling", "level")

    def __init__(self, ceiling: float) -> None:
        self.ceiling = self.level = self._knee = float(ceiling)

    @property
    def is_full(self) -> bool:
        return self.level >= self.ceiling

    def halve(self, used: float) -> None:
        """Half of what was in use; at least one, for what does not move learns nothing."""
        least = min(1.0, self.ceiling)
        self._knee = max(least, min(self.level, used))
        self.level = max(least, self._knee / 2)

    def grow(self, seconds: float) -> None:
        near = min(self.ceiling, self._knee * NEAR)
        if self.level < near:
            careful_s = (near - self.level) / (self._knee / CAREFUL_S)
            self.level = min(near, self.level + seconds * self._knee / CAREFUL_S)
            seconds = max(0.0, seconds - careful_s)
        if seconds:
            self.level = min(self.ceiling, self.level + seconds * self.ceiling / BACK_S)
