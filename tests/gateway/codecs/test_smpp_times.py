"""Times as SMPP writes them, held against the calendar."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs import smpp

NOW_MS = 1_795_309_323_400  # 2026-11-22 01:02:03.4 UTC
this_century = st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31, 23, 59, 59), timezones=st.just(UTC))  # noqa: DTZ001
well_within_it = st.datetimes(datetime(2001, 1, 1), datetime(2098, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("seconds", "octets"),
    [
        (0, b"000000000001000R"),
        (7_265, b"000000020105000R"),
        (3 * 86_400, b"000003000000000R"),
        (365 * 86_400, b"000031000000000R"),
    ],
)
def test_a_span_of_time_is_written_as_the_standard_says(seconds: int, octets: bytes) -> None:
    assert smpp.relative_time(seconds) == octets


def test_a_moment_is_written_as_a_foreign_library_writes_it() -> None:
    # node-smpp 0.5.1
    assert smpp.absolute_time(NOW_MS) == b"261122010203400+"


@given(this_century)
def test_every_moment_is_written_as_the_calendar_says_and_read_again(moment: datetime) -> None:
    at_ms = int(moment.timestamp()) * 1000 + moment.microsecond // 100_000 * 100
    written = smpp.absolute_time(at_ms)
    assert written.decode() == moment.strftime("%y%m%d%H%M%S") + f"{moment.microsecond // 100_000}00+"
    assert smpp.read_time(written.decode(), NOW_MS) == at_ms


@given(well_within_it, st.integers(-48, 48))
def test_a_moment_on_another_clock_is_the_same_moment(moment: datetime, quarters: int) -> None:
    local = moment.astimezone(timezone(timedelta(minutes=15 * quarters)))
    written = local.strftime("%y%m%d%H%M%S") + f"0{abs(quarters):02d}{'-' if quarters < 0 else '+'}"
    assert smpp.read_time(written, NOW_MS) == int(moment.timestamp()) * 1000


@given(st.integers(1, 31 * 86_400))
def test_a_span_counts_from_now(seconds: int) -> None:
    assert smpp.read_time(smpp.relative_time(seconds).decode(), NOW_MS) == NOW_MS + seconds * 1000


def test_a_span_may_name_years_and_months() -> None:
    assert smpp.read_time("010200000000000R", NOW_MS) == NOW_MS + (365 + 60) * 86_400_000


@pytest.mark.parametrize(
    "value",
    ["", "soon", "261122010203400", "261322010203400+", "261100010203400+", "261122240203400+", "261122010203449+"],
)
def test_what_is_no_time_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        smpp.read_time(value, NOW_MS)


@pytest.mark.parametrize("at_ms", [-1, 4_102_444_800_000])
def test_a_year_of_another_century_cannot_be_written(at_ms: int) -> None:
    with pytest.raises(ValueError, match="cannot be written with two digits"):
        smpp.absolute_time(at_ms)
