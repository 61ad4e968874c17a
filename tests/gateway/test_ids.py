"""Ids rise, whatever the clock does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.ids import EPOCH_MS, Ids, first_at, moment

STEPS = st.lists(st.tuples(st.integers(-5_000, 5_000), st.integers(1, 5_000)), min_size=1, max_size=20)


@given(STEPS)
def test_ids_rise_even_when_the_clock_steps_back(steps: list[tuple[int, int]]) -> None:
    now = [EPOCH_MS + 10_000_000]
    ids = Ids(lambda: now[0], node=3)
    made: list[int] = []
    for step, count in steps:
        now[0] += step
        made += ids.take(count)
    assert made == sorted(set(made))
    assert all(0 < each < 1 << 63 for each in made)


def test_a_restart_goes_on_above_the_greatest_stored_id() -> None:
    last = Ids(lambda: EPOCH_MS + 5_000_000).take(3)[-1]

    assert Ids(lambda: EPOCH_MS, last=last).next() > last


def test_an_id_tells_when_it_was_made() -> None:
    made = Ids(lambda: EPOCH_MS + 123_456).next()

    assert moment(made) == EPOCH_MS + 123_456
    assert first_at(EPOCH_MS + 123_456) <= made < first_at(EPOCH_MS + 123_457)
