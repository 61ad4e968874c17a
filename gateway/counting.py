"""Counts what has happened since this process started, for a monitoring program: a noun, a word for how, how often."""

from __future__ import annotations

import functools
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    from gateway.store import Tx

P = ParamSpec("P")
T = TypeVar("T")
Step = Callable[Concatenate["Tx", P], Coroutine[Any, Any, T]]

_counts: Counter[tuple[str, str]] = Counter()


def count(noun: str, how: str = "", n: int = 1) -> None:
    """Add `n`. Each noun is counted in one thread, or is worth no lock: a sum for a graph, not for an invoice."""
    _counts[noun, how] += n


def counted(noun: str) -> Mapping[str, int]:
    """How often, by how."""
    return {how: n for (each, how), n in dict(_counts).items() if each == noun}


def outcomes(noun: str, done: str, refusals: Mapping[type[Exception], str]) -> Callable[[Step[P, T]], Step[P, T]]:
    """Count what each call of a function of a transaction came to, when that is over: `done` where it was committed, or
    the word of the first refusal that its error is one of.
    """

    def watched(function: Step[P, T]) -> Step[P, T]:
        @functools.wraps(function)
        async def watching(tx: Tx, /, *args: P.args, **kwargs: P.kwargs) -> T:
            try:
                result = await function(tx, *args, **kwargs)
            except tuple(refusals) as refusal:
                tx.at_end(count, noun, next(word for kind, word in refusals.items() if isinstance(refusal, kind)))
                raise
            tx.after_commit(count, noun, done)
            return result

        return watching

    return watched


class Spans:
    """How long something took, sorted into buckets: how many took at most so many seconds, and the sum."""

    BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)

    def __init__(self) -> None:
        self.sum = 0.0
        self._counts = [0] * (len(self.BOUNDS) + 1)

    def add(self, seconds: float) -> None:
        """One more; a clock that stepped back makes it none."""
        seconds = max(0.0, seconds)
        self.sum += seconds
        self._counts[bisect_left(self.BOUNDS, seconds)] += 1

    def buckets(self) -> list[tuple[str, float]]:
        """Each upper bound, the last `+Inf`, with how many took at most that long."""
        found, total = [], 0
        for bound, n in zip((*map(str, self.BOUNDS), "+Inf"), self._counts, strict=True):
            total += n
            found.append((bound, float(total)))
        return found
