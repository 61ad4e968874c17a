"""Counts and spans for a monitoring program."""

from __future__ import annotations

import pytest

from gateway.counting import Spans, count, counted, outcomes
from gateway.store import Store, Tx


class Refusal(Exception):
    pass


class Worse(Refusal):
    pass


async def test_what_a_call_comes_to_is_counted_once_by_its_word(store: Store) -> None:
    noun = f"tests of outcomes at {store.place}"

    @outcomes(noun, "done", {Worse: "worse", Refusal: "refused"})
    async def call(_: Tx, error: type[Exception] | None) -> str:
        """What it says."""
        if error:
            raise error
        return "result"

    assert await store.write(call, None) == "result"
    for error in (Refusal, Worse, Refusal, KeyError):
        with pytest.raises(error):
            await store.write(call, error)
    assert counted(noun) == {"done": 1, "refused": 2, "worse": 1}
    assert call.__doc__ == "What it says."


async def test_what_was_undone_after_all_is_not_counted_as_done(store: Store) -> None:
    noun = f"tests of undoing at {store.place}"

    @outcomes(noun, "done", {Refusal: "refused"})
    async def call(_: Tx) -> None:
        """Always well."""

    async def whole(tx: Tx) -> None:
        await call(tx)
        raise KeyError

    with pytest.raises(KeyError):
        await store.write(whole)

    assert counted(noun) == {}


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
