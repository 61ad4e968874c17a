"""Notices when a carrier's way is out, keeps texts from it, and tries it again with a few before it is trusted."""

from __future__ import annotations

import random
from collections import deque
from enum import StrEnum

WINDOW_S = 30.0  # answers older than this say nothing about now
LEAST = 20  # answers that must be there before their share of failures counts
RATIO = 0.5  # the share of failures at which a way is out
DOWN_S = 10.0  # how long a line may be down before its texts go elsewhere
FIRST_PAUSE_S, LONGEST_PAUSE_S = 15.0, 900.0
PROBES = 5  # messages that try a way again
PATIENCE_S = 60.0  # how long the fate of a probe is waited for


class Standing(StrEnum):
    """How much may be sent."""

    OPEN = "open"  # everything
    TRYING = "trying"  # a few messages, to see
    SHUT = "shut"  # nothing


class Breaker:
    """Watches one channel. It knows no clock and no socket: every call brings `now`, in seconds that only rise.

    Whose failures these are is the caller's to judge: `bad` counts answers that speak against the carrier's way
    (no answer, its own troubles), never those that speak against one phone. Being throttled is neither.
    """

    def __init__(self, now: float, chance: random.Random) -> None:
        self.why = ""  # in plain words, while it is not open
        self._chance = chance
        self._standing = Standing.OPEN
        self._answers: deque[list[float]] = deque()  # [second, good, bad]
        self._down_since: float | None = None
        self._until = now  # when a shut way is tried again
        self._pauses = 0  # in a row
        self._probes = 0  # that may still be sent
        self._good = 0  # probes that went well
        self._trying_since = now

    # --- what happens

    def answered(self, good: int, bad: int, now: float) -> None:
        """So many answers came, once a batch."""
        self._turn(now)
        if self._standing is Standing.TRYING:
            self._try(good, bad, now)
        elif self._standing is Standing.OPEN and good + bad:
            self._note(good, bad, now)
            goods, bads = sum(each[1] for each in self._answers), sum(each[2] for each in self._answers)
            if goods + bads >= LEAST and bads >= RATIO * (goods + bads):
                self._shut(f"{bads:.0f} of {goods + bads:.0f} texts failed", now)

    def line(self, *, bound: bool, now: float) -> None:
        """Whether any line of the channel is bound; may be told again and again."""
        self._turn(now)
        if not bound:
            self._down_since = now if self._down_since is None else self._down_since
            self._turn(now)
        elif self._down_since is not None:
            self._down_since = None
            if self._standing is Standing.SHUT and self.why == NO_LINE:  # it was only waited for
                self._begin_trying(now)

    def trouble(self, words: str, now: float) -> None:
        """The carrier refuses our account or set-up: nothing of ours can pass."""
        self._turn(now)
        self._shut(words, now)

    def spent(self, messages: int, now: float) -> None:
        """So many messages were handed over."""
        self._turn(now)
        if self._standing is Standing.TRYING:
            self._probes = max(0, self._probes - messages)

    # --- what follows from it

    def state(self, now: float) -> Standing:
        """How much may be sent at this moment."""
        self._turn(now)
        return self._standing

    def allowance(self, now: float) -> int | None:
        """Messages that may be handed over now; None: no limit."""
        self._turn(now)
        return {Standing.OPEN: None, Standing.SHUT: 0, Standing.TRYING: self._probes}[self._standing]

    def tries_at(self, now: float) -> float:
        """When a shut way is tried again; `now` for one that is not shut. Without a line it is tried when one is."""
        self._turn(now)
        return self._until if self._standing is Standing.SHUT else now

    # --- inside

    def _turn(self, now: float) -> None:
        """Let time pass."""
        if self._down_since is not None:
            if self._standing is not Standing.SHUT and now - self._down_since >= DOWN_S:
                self._shut(NO_LINE, now)
        elif self._standing is Standing.SHUT and now >= self._until:
            self._begin_trying(now)
        elif self._standing is Standing.TRYING and not self._probes and now - self._trying_since >= PATIENCE_S:
            self._shut("no answer to the texts that tried it", now)

    def _note(self, good: int, bad: int, now: float) -> None:
        while self._answers and self._answers[0][0] < now - WINDOW_S:
            self._answers.popleft()
        if self._answers and now - self._answers[-1][0] < 1.0:
            self._answers[-1][1] += good
            self._answers[-1][2] += bad
        else:
            self._answers.append([now, good, bad])

    def _try(self, good: int, bad: int, now: float) -> None:
        if bad:
            self._shut(f"{bad} of the texts that tried it failed", now)
            return
        self._good += good
        if self._good >= PROBES:
            self._standing, self.why, self._pauses = Standing.OPEN, "", 0
            self._answers.clear()

    def _begin_trying(self, now: float) -> None:
        self._standing, self._probes, self._good, self._trying_since = Standing.TRYING, PROBES, 0, now

    def _shut(self, why: str, now: float) -> None:
        """Full jitter over the upper half, so that many channels are not tried in one moment."""
        if self._standing is Standing.SHUT and self._until > now:  # a second trouble does not make the first one longer
            self.why = why
            return
        longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self._pauses, 10))
        self._standing, self.why, self._pauses = Standing.SHUT, why, self._pauses + 1
        self._until = now + longest * self._chance.uniform(0.5, 1.0)
        self._answers.clear()


NO_LINE = "no line to the carrier"
