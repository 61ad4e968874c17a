"""What is known of a carrier comes from what it did lately, and fades."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.quality import ASSUMED, GRACE_MS, HALF_LIFE_MS, LEAST, NOTHING, Quality, Score, alike

SOON = 1_000


def test_of_nobody_is_anything_known_before_texts_have_met_their_end() -> None:
    quality = Quality()
    quality.sent("us", "US", 1_000, 0)
    assert quality.score("us", "US", SOON) == NOTHING
    assert quality.score("cn", "CN", SOON) == NOTHING
    assert not NOTHING.is_known


def test_the_rate_is_the_share_of_delivered_and_the_latency_their_mean() -> None:
    quality = Quality()
    quality.sent("us", "US", 100, 0)
    quality.delivered("us", "US", 90, 90 * 2_500, 0)
    quality.failed("us", "US", 10, 0)
    assert quality.score("us", "US", 0) == Score(0.9, 2_500, 100)
    assert quality.scores(0) == {("us", "US"): Score(0.9, 2_500, 100)}


def test_each_country_is_known_for_itself() -> None:
    quality = Quality()
    quality.failed("us", "US", 100, 0)
    quality.delivered("us", "CA", 100, 0, 0)
    assert (quality.score("us", "US", 0).rate, quality.score("us", "CA", 0).rate) == (0.0, 1.0)


def test_a_carrier_that_says_nothing_is_waited_for_and_then_held_to_have_failed() -> None:
    quality = Quality()
    quality.sent("us", "US", 100, 0)
    quality.delivered("us", "US", 60, 60, SOON)
    assert quality.score("us", "US", GRACE_MS - 1).rate == 1.0
    assert quality.score("us", "US", GRACE_MS).rate == pytest.approx(0.6, abs=0.01)
    assert quality.score("us", "US", 3 * GRACE_MS).rate == pytest.approx(0.6, abs=0.01)
    quality.delivered("us", "US", 40, 40, GRACE_MS + 5_000)  # late, and all the same delivered
    assert quality.score("us", "US", GRACE_MS + 5_000).rate == pytest.approx(1.0, abs=0.01)


def test_a_carrier_that_delivers_everything_at_once_is_known_as_that_however_long_it_goes_on() -> None:
    quality = Quality()
    for now in range(0, 300 * 60_000, 60_000):
        quality.sent("us", "US", 100, now)
        quality.delivered("us", "US", 100, 100_000, now + 1_000)
    assert quality.score("us", "US", 300 * 60_000).rate == pytest.approx(1.0, abs=0.001)


def test_what_was_long_ago_counts_less() -> None:
    quality = Quality()
    quality.failed("us", "US", 1_000, 0)
    quality.delivered("us", "US", 1_000, 0, 10 * HALF_LIFE_MS)
    found = quality.score("us", "US", 10 * HALF_LIFE_MS)
    assert found.rate > 0.99
    assert found.samples == pytest.approx(1_001, abs=1)
    assert quality.score("us", "US", 40 * HALF_LIFE_MS).samples < LEAST


def test_a_clock_that_steps_back_changes_nothing() -> None:
    quality = Quality()
    quality.delivered("us", "US", 100, 100, 5_000)
    quality.delivered("us", "US", 100, 100, 0)
    assert quality.score("us", "US", 0) == Score(1.0, 1.0, 200)


def test_to_ask_changes_nothing() -> None:
    quality = Quality()
    quality.sent("us", "US", 100, 0)
    quality.delivered("us", "US", 50, 0, 0)
    first = quality.score("us", "US", 3 * GRACE_MS)
    assert quality.score("us", "US", 3 * GRACE_MS) == first
    assert quality.score("us", "US", 0).rate == 1.0  # as before the silence


WHAT = st.tuples(st.sampled_from(["sent", "delivered", "failed"]), st.integers(1, 500), st.integers(0, GRACE_MS))


@given(st.lists(WHAT, max_size=40))
def test_whatever_happens_a_rate_is_a_share_and_nothing_is_below_none(deeds: list[tuple[str, int, int]]) -> None:
    quality, now = Quality(), 0
    for what, count, wait in deeds:
        now += wait
        if what == "delivered":
            quality.delivered("us", "US", count, count * 1_000, now)
        else:
            getattr(quality, what)("us", "US", count, now)
        found = quality.score("us", "US", now)
        assert 0.0 <= found.rate <= 1.0
        assert found.latency_ms == 0 or found.latency_ms == pytest.approx(1_000)
        assert found.samples >= 0


def test_who_is_not_known_ranks_between_the_good_and_the_bad() -> None:
    good, bad = Score(ASSUMED + 0.05, 1_000, LEAST), Score(ASSUMED - 0.05, 1_000, LEAST)
    assert sorted([bad, NOTHING, good], key=lambda one: one.rank) == [good, NOTHING, bad]


def test_knowledge_is_alike_while_nobody_would_change_places() -> None:
    before = {("us", "US"): Score(0.951, 1_000, 500)}
    assert alike(before, {("us", "US"): Score(0.953, 1_200, 900)})
    assert not alike(before, {("us", "US"): Score(0.93, 1_000, 500)})
    assert not alike(before, {**before, ("cn", "CN"): Score(0.5, 1_000, 500)})
    assert alike(before, {**before, ("cn", "CN"): Score(0.5, 1_000, 3)})  # too few to say anything
