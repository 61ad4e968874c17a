"""A line that is complained about goes slower at once, and by and by as fast as before. R-2.6."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.channels.smpp.throttle import BACK_S, CAREFUL_S, NEAR, REST_S, Throttle

WINDOW, RATE = 100, 1000.0
STEP_S = 0.05
LONG_ENOUGH_S = CAREFUL_S * NEAR + BACK_S


def busy(throttle: Throttle, begin: float, seconds: float) -> int:
    """Write all that there is room for, answered at once; how many parts left."""
    written = 0
    for step in range(round(seconds / STEP_S)):
        now = begin + step * STEP_S
        parts = throttle.room(now, 0)
        throttle.wrote(parts, now)
        written += parts
    return written


def test_nobody_is_held_back_before_the_first_complaint() -> None:
    throttle = Throttle(WINDOW, RATE)

    assert [throttle.room(0, in_flight) for in_flight in (0, 99, 100, 101)] == [100, 1, 0, 0]
    assert (throttle.rate, throttle.wait_s(0), throttle.complaints) == (None, 0, 0)


def test_nothing_leaves_for_a_second_and_then_half_of_what_did() -> None:
    throttle = Throttle(WINDOW, RATE)
    throttle.wrote(80, 10.0)
    throttle.slow_down(10.5)

    assert [throttle.room(at, 0) for at in (10.5, 11.0, 11.49)] == [0, 0, 0]
    assert throttle.rate == 40
    assert 0 < throttle.room(12.0, 0) <= 50
    assert 38 <= busy(throttle, 12.0, 1.0) <= 46


def test_complaints_about_one_burst_count_once_and_each_lengthens_the_rest() -> None:
    throttle = Throttle(WINDOW, RATE)
    throttle.wrote(80, 10.0)
    for at in (10.5, 10.6, 10.9):
        throttle.slow_down(at)

    assert (throttle.complaints, throttle.rate) == (3, 40)
    assert throttle.room(11.8, 0) == 0
    assert throttle.wait_s(11.4) > 0.49


def test_each_new_complaint_halves_again_down_to_one_part_a_second() -> None:
    throttle, now = Throttle(WINDOW, RATE), 0.0
    for _ in range(20):
        throttle.wrote(1, now)
        throttle.slow_down(now)
        now += 2

    assert throttle.rate == 1
    assert throttle.room(now + 1, 0) == 1


def test_a_text_in_parts_may_overdraw_and_the_next_waits_for_it() -> None:
    throttle = Throttle(WINDOW, RATE)
    throttle.wrote(8, 0.0)
    throttle.slow_down(0.5)
    assert throttle.room(3.0, 0) == 1
    throttle.wrote(5, 3.0)

    assert throttle.room(3.1, 0) == 0
    assert 0.9 < throttle.wait_s(3.0) < 1.3


moments = st.lists(
    st.tuples(st.floats(0, 5), st.integers(0, 50), st.booleans()), max_size=40
)  # how long after the last, parts written, whether it is complained about


@given(moments, st.integers(1, 1000), st.floats(0.5, 5000))
def test_window_and_rate_never_leave_their_bounds(
    story: list[tuple[float, int, bool]], window: int, rate: float
) -> None:
    throttle, now = Throttle(window, rate), 0.0
    for passed, parts, complained in story:
        now += passed
        assert 0 <= throttle.room(now, 0) <= window
        throttle.wrote(parts, now)
        if complained:
            throttle.slow_down(now)
            assert throttle.room(now + REST_S * 0.99, 0) == 0
        assert throttle.rate is None or min(1.0, rate) <= throttle.rate <= rate
        assert throttle.wait_s(now) >= 0


@given(moments)
def test_who_is_no_longer_complained_about_is_back_at_the_ceilings_in_ninety_seconds(
    story: list[tuple[float, int, bool]],
) -> None:
    throttle, now = Throttle(WINDOW, RATE), 0.0
    for passed, parts, complained in story:
        now += passed
        throttle.wrote(parts, now)
        if complained:
            throttle.slow_down(now)
    now += REST_S + LONG_ENOUGH_S + 0.001
    throttle.room(now, 0)

    assert throttle.rate is None
    assert throttle.room(now, 0) == WINDOW


@given(moments, st.floats(0.001, 20), st.floats(0.001, 20))
def test_the_rate_only_grows_while_nobody_complains(
    story: list[tuple[float, int, bool]], first: float, second: float
) -> None:
    throttle, now = Throttle(WINDOW, RATE), 0.0
    for passed, parts, complained in story:
        now += passed
        throttle.wrote(parts, now)
        if complained:
            throttle.slow_down(now)
    rates = []
    for passed in (0.0, first, second):
        now += passed
        throttle.room(now, 0)
        rates.append(throttle.rate or RATE)

    assert rates == sorted(rates)


@given(st.floats(2, 400), st.floats(0, 0.9))
def test_after_the_wait_there_is_room_so_that_nobody_is_woken_for_nothing(rate: float, begun: float) -> None:
    throttle = Throttle(WINDOW, RATE)
    throttle.wrote(int(rate), 0.0)
    throttle.slow_down(begun)
    now = begun
    for _ in range(3):  # the rest, then what the rate lacks
        now += throttle.wait_s(now)

    assert throttle.room(now, 0) >= 1


def test_a_carrier_that_takes_less_than_we_may_is_kept_busy_and_rarely_annoyed() -> None:
    """A carrier of 50 a second, with a configured rate of 1000: it complains about what is over."""
    throttle, complaints, taken = Throttle(WINDOW, RATE), 0, 0
    for second in range(300):
        looked_at = 0
        for step in range(20):
            now = second + step * STEP_S
            parts = min(throttle.room(now, 0), 50)  # our own pace
            throttle.wrote(parts, now)
            over = max(0, looked_at + parts - 50) - max(0, looked_at - 50)
            looked_at += parts
            taken += parts - over
            if over:
                complaints += over
                throttle.slow_down(now)

    assert taken > 300 * 50 * 0.5
    assert complaints < taken * 0.02
