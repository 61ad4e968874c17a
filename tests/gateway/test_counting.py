"""Counts and spans for a monitoring program."""

from __future__ import annotations

import pytest

from gateway.counting import Spans, count, counted, outcomes


class Refusal(Exception):
    pass


class Worse(Refusal):
    pass


async def test_what_a_call_comes_to_is_counted_once_by_its_word() -> None:
    @outcomes("tests of outcomes", "done", {Worse: "worse", Refusal: "refused"})
    async def call(error: type[Exception] | None) -> str:
        """What it says."""
        if error:
            raise error
        return "result"

    assert await call(None) == "result"
    for error in (Refusal, Worse, Refusal, KeyError):
        with pytest.raises(error):
            await call(error)
    assert counted("tests of outcomes") == {"done": 1, "refused": 2, "worse": 1}
    assert call.__doc__ == "What it says."


def test_nouns_do_not_mix() -> None:
    count("tests of one", "a", 3)
    count("tests of another", "a")
    assert counted("tests of one") == {"a": 3}


def test_a_span_counts_in_its_bucket_and_in_all_above() -> None:
    spans = Spans()
    for seconds in (0.001, 0.002, 7.0, 10_000.0, -5.0):
        spans.add(seconds)
    buckets = dict(spans.buckets())
    assert (buckets["0.001"], buckets["0.0025"], buckets["5.0"], buckets["10.0"]) == (2, 3, 3, 4)
    assert (buckets["3600.0"], buckets["+Inf"]) == (4, 5)
    assert spans.sum == pytest.approx(10_007.003)
