"""Nobody is texted while the clock on their own wall stands outside the hours, on the odd days of the year too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.hours import OpenHours, next_window
from gateway.clock import from_ms, to_ms
from gateway.values import Hours

SEATTLE = "America/Los_Angeles"
MINUTE = 60_000
ZONES = [
    SEATTLE, "America/New_York", "Asia/Shanghai", "Asia/Kathmandu", "Europe/London", "Australia/Lord_Howe",
    "America/Havana", "America/Santiago", "Africa/Cairo", "Pacific/Apia", "Pacific/Kiritimati", "UTC",
]  # fmt: skip
HOURS = st.tuples(st.integers(0, 24 * 60 - 1), st.integers(1, 24 * 60)).filter(lambda both: both[0] < both[1])


def at(zone: str, year: int, month: int, day: int, hour: int, minute: int, second: int = 0, *, fold: int = 0) -> int:
    return to_ms(datetime(year, month, day, hour, minute, second, fold=fold, tzinfo=ZoneInfo(zone)))


def minute_of(zone: str, ms: int) -> int:
    there = from_ms(ms).astimezone(ZoneInfo(zone))
    return there.hour * 60 + there.minute


@pytest.mark.parametrize(
    ("hours", "zone"),
    [("8:00-21:00", "America/New_York"), ("8:00-20:00", "America/New_York"), ("8:00-22:00", "Asia/Shanghai")],
    ids=["the default of the US", "Florida", "China"],
)
def test_the_last_second_sends_and_the_next_waits_for_the_morning(hours: str, zone: str) -> None:
    # reliability-security
    open_hours = OpenHours(Hours.parse(hours))
    close = open_hours.hours.end // 60
    last = at(zone, 2026, 3, 10, close - 1, 59, 59) + 999

    assert open_hours.opens(zone, last) == last
    assert open_hours.opens(zone, last + 1) == at(zone, 2026, 3, 11, 8, 0)


def test_a_clock_that_is_put_back_finds_the_hours_of_its_own_day() -> None:
    open_hours = OpenHours(Hours.parse("9:00-20:00"))
    open_hours.opens(SEATTLE, at(SEATTLE, 2036, 1, 1, 22, 0))  # a wrong year, before the clock was set

    noon = at(SEATTLE, 2026, 12, 1, 12, 0)
    assert open_hours.opens(SEATTLE, noon) == noon


def test_before_the_morning_one_waits_for_the_same_days_opening() -> None:
    assert OpenHours(Hours.parse("9:00-20:00")).opens(SEATTLE, at(SEATTLE, 2026, 12, 1, 3, 0)) == at(
        SEATTLE, 2026, 12, 1, 9, 0
    )


def test_people_of_one_moment_are_in_their_own_time() -> None:
    open_hours = OpenHours(Hours.parse("9:00-20:00"))
    evening = at(SEATTLE, 2026, 12, 1, 18, 30)

    assert open_hours.opens(SEATTLE, evening) == evening
    assert open_hours.opens("Asia/Shanghai", evening) == evening  # 10:30 in the morning there
    assert open_hours.opens("Europe/London", evening) == at("Europe/London", 2026, 12, 2, 9, 0)


def test_hours_that_close_within_the_skipped_hour_close_before_it() -> None:
    # 8 March 2026: 02:00 becomes 03:00. The wall never shows 02:30, and at 03:00 it is past it.
    begin, end = next_window(Hours.parse("1:00-2:30"), SEATTLE, at(SEATTLE, 2026, 3, 8, 0, 0))

    assert begin == at(SEATTLE, 2026, 3, 8, 1, 0)
    assert at(SEATTLE, 2026, 3, 8, 1, 30) <= end <= at(SEATTLE, 2026, 3, 8, 3, 0)


def test_hours_that_open_within_the_skipped_hour_open_after_it() -> None:
    begin, _ = next_window(Hours.parse("2:30-5:00"), SEATTLE, at(SEATTLE, 2026, 3, 8, 0, 0))

    assert at(SEATTLE, 2026, 3, 8, 3, 0) <= begin <= at(SEATTLE, 2026, 3, 8, 3, 30)


def test_hours_that_close_within_the_doubled_hour_close_the_first_time() -> None:
    # 1 November 2026: 02:00 becomes 01:00 again
    _, end = next_window(Hours.parse("0:00-1:30"), SEATTLE, at(SEATTLE, 2026, 11, 1, 0, 0))

    assert end == at(SEATTLE, 2026, 11, 1, 1, 30, fold=0)


def test_hours_that_open_within_the_doubled_hour_open_the_second_time() -> None:
    begin, _ = next_window(Hours.parse("1:30-9:00"), SEATTLE, at(SEATTLE, 2026, 11, 1, 0, 0))

    assert begin == at(SEATTLE, 2026, 11, 1, 1, 30, fold=1)


def test_a_day_that_a_place_skips_altogether_has_no_hours() -> None:
    # Samoa went from 29 to 31 December 2011
    begin, end = next_window(Hours.parse("9:00-20:00"), "Pacific/Apia", at("Pacific/Apia", 2011, 12, 29, 20, 0))

    assert (begin, end) == (at("Pacific/Apia", 2011, 12, 31, 9, 0), at("Pacific/Apia", 2011, 12, 31, 20, 0))


@given(HOURS, st.sampled_from(ZONES), st.integers(0, 365 * 24 * 60), st.floats(0, 1, exclude_max=True))
def test_no_moment_of_a_window_is_outside_the_hours_of_the_wall(
    hours: tuple[int, int], zone: str, minutes: int, share: float
) -> None:
    now = to_ms(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes))
    begin, end = next_window(Hours(*hours), zone, now)

    assert max(begin, now) < end
    for moment in (begin, end - 1, begin + int((end - begin) * share)):
        assert hours[0] <= minute_of(zone, moment) < hours[1]


@given(HOURS, st.sampled_from(ZONES), st.integers(0, 365 * 24 * 60))
def test_whoever_stands_within_the_hours_is_not_put_off_save_near_a_change_of_the_clock(
    hours: tuple[int, int], zone: str, minutes: int
) -> None:
    now = to_ms(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes))
    where, there = ZoneInfo(zone), from_ms(now).astimezone(ZoneInfo(zone))
    offsets = {(there + timedelta(hours=around)).astimezone(UTC).astimezone(where).utcoffset() for around in (-26, 26)}
    inside = hours[0] <= minute_of(zone, now) < hours[1]

    found = OpenHours(Hours(*hours)).opens(zone, now)

    assert found >= now
    if len(offsets) == 1:
        assert (found == now) is inside


@given(HOURS, st.sampled_from(ZONES), st.lists(st.integers(0, 3 * 24 * 60), min_size=1, max_size=20))
def test_what_is_remembered_of_a_zone_changes_no_answer(hours: tuple[int, int], zone: str, minutes: list[int]) -> None:
    remembering = OpenHours(Hours(*hours))
    start = at("UTC", 2026, 3, 7, 0, 0)
    for moment in (start + minute * MINUTE for minute in sorted(minutes)):
        assert remembering.opens(zone, moment) == OpenHours(Hours(*hours)).opens(zone, moment)
