"""A demo's clock starts in the evening, goes on where it stood, and never goes back."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import clock
from gateway.clock import EVENING, Clock, StoppedClock, from_ms, resume, to_ms

SEATTLE = "America/Los_Angeles"
EVENING_TIME = time(18, 30)
WALL = to_ms(datetime(2026, 11, 21, 9, 0, tzinfo=UTC))  # one in the morning in Seattle
ZONES = [SEATTLE, "Asia/Shanghai", "Europe/London", "Australia/Lord_Howe", "Pacific/Kiritimati", "America/Santiago"]
MOMENTS = st.integers(to_ms(datetime(2026, 1, 1, tzinfo=UTC)), to_ms(datetime(2028, 1, 1, tzinfo=UTC)))


@pytest.fixture(autouse=True)
def wall(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's clock stands still."""
    monkeypatch.setattr(clock, "wall_ms", lambda: WALL)


def shown(offset: int, zone: str = SEATTLE) -> datetime:
    return from_ms(WALL + offset).astimezone(ZoneInfo(zone))


def evening(day: int, hour: int = 18, minute: int = 30, month: int = 12) -> int:
    return to_ms(datetime(2026, month, day, hour, minute, tzinfo=ZoneInfo(SEATTLE)))


def test_a_new_store_starts_in_todays_evening_whether_past_or_to_come() -> None:
    assert shown(resume(EVENING_TIME, SEATTLE, None)) == datetime(2026, 11, 21, 18, 30, tzinfo=ZoneInfo(SEATTLE))
    assert shown(resume(time(0, 15), SEATTLE, None)) == datetime(2026, 11, 21, 0, 15, tzinfo=ZoneInfo(SEATTLE))


@pytest.mark.parametrize(
    ("stood", "goes_on"),
    [
        (evening(1), evening(1)),
        (evening(1, 19, 10), evening(1, 19, 10)),
        (evening(1, 20, 0), evening(1, 20, 0)),
        (evening(1, 20, 0) + 1, evening(2)),
        (evening(1, 23, 59), evening(2)),
        (evening(2, 0, 1), evening(2)),
        (evening(2, 18, 29), evening(2)),
    ],
    ids=["at the evening", "within it", "its last moment", "just over", "late", "after midnight", "just before"],
)
def test_it_goes_on_where_it_stood_within_an_hour_and_a_half_else_in_the_next_evening(stood: int, goes_on: int) -> None:
    assert WALL + resume(EVENING_TIME, SEATTLE, stood) == goes_on


@given(MOMENTS, st.sampled_from(ZONES), st.times())
def test_it_never_goes_back_and_never_stands_outside_the_evening(stood: int, zone: str, at: time) -> None:
    at = at.replace(second=0, microsecond=0)
    offset = resume(at, zone, stood)

    assert WALL + offset >= stood
    assert WALL + offset - stood <= timedelta(hours=26) / timedelta(milliseconds=1)
    if WALL + offset != stood:
        there = shown(offset, zone)
        skipped = there.astimezone(UTC).astimezone(ZoneInfo(zone)).time() != at
        assert there.time().replace(fold=0) == at or skipped
    else:
        begun = shown(offset, zone).replace(hour=at.hour, minute=at.minute, second=0, microsecond=0)
        assert begun <= shown(offset, zone) <= begun + EVENING


@given(MOMENTS, st.sampled_from(ZONES), st.times())
def test_starting_again_and_again_stays_in_one_evening(stood: int, zone: str, at: time) -> None:
    first = WALL + resume(at.replace(second=0, microsecond=0), zone, stood)

    assert WALL + resume(at.replace(second=0, microsecond=0), zone, first) == first


@given(MOMENTS)
def test_a_moment_survives_being_made_a_time_and_back(ms: int) -> None:
    assert to_ms(from_ms(ms)) == ms
    assert to_ms(from_ms(ms).astimezone(ZoneInfo(SEATTLE))) == ms


def test_a_time_without_a_zone_is_no_moment() -> None:
    with pytest.raises(ValueError, match="zone"):
        to_ms(datetime(2026, 12, 1, 12, 0))  # noqa: DTZ001


def test_business_time_is_the_machines_clock_with_an_offset() -> None:
    assert Clock(5).now_ms() == WALL + 5
    assert Clock(0).now() == from_ms(WALL)


def test_a_stopped_clock_moves_when_told() -> None:
    stopped = StoppedClock(datetime(2026, 12, 1, tzinfo=UTC))
    stopped.advance(seconds=1.5, ms=3)

    assert stopped.now() == datetime(2026, 12, 1, 0, 0, 1, 503_000, tzinfo=UTC)
