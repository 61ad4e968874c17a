"""The pace is kept over any second, and a debt is waited off."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.pacing import BURST_S, Pace


@given(st.floats(1, 5_000), st.lists(st.floats(0.001, 0.5), min_size=5, max_size=200))
def test_no_second_carries_more_than_the_rate_and_the_burst(rate: float, pauses: list[float]) -> None:
    pace, now, sent = Pace(rate, 0.0), 0.0, []
    for pause in pauses:
        now += pause
        parts = pace.room(now, 100_000)
        pace.spend(parts, now)
        sent.append((now, parts))
    for start, _ in sent:
        within = sum(parts for at, parts in sent if start <= at < start + 1)
        assert within <= rate + max(1.0, rate * BURST_S) + 1


def test_a_message_of_several_parts_is_paid_off_before_the_next_leaves() -> None:
    pace = Pace(2, 0.0)
    assert pace.room(1.0, 10) == 1
    pace.spend(3, 1.0)

    assert pace.room(1.5, 10) == 0
    assert pace.room(3.0, 10) == 1


def test_no_rate_means_no_limit() -> None:
    assert Pace(0, 0.0).room(0.0, 777) == 777


def test_what_came_in_while_the_first_were_written_does_not_leave_at_once_behind_them() -> None:
    pace = Pace(80, 0.0)
    asked = pace.room(10.0, 100)
    pace.spend(asked, 10.43)

    assert asked + pace.room(10.43, 100) <= 80 * BURST_S


def test_who_is_given_a_share_begins_with_nothing_saved_up() -> None:
    pace = Pace(100, 0.0)
    pace.change(0, 5.0)
    pace.change(50, 60.0)

    assert pace.room(60.0, 100) == 0
    assert pace.room(60.1, 100) == 2
