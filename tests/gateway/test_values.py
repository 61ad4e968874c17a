"""The small values of config.yaml mean what a marketer means, and say what was expected where they do not."""

from collections.abc import Callable
from datetime import datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.values import (
    Calendar,
    Frequency,
    HostPort,
    Hours,
    LocalText,
    Money,
    Price,
    Rate,
    duration_text,
    is_date_only,
    parse_colour,
    parse_distance,
    parse_duration,
    parse_moment,
    parse_percent,
    parse_phone,
    parse_time,
    parse_timezone,
)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("30 d", timedelta(days=30)),
        ("2 h", timedelta(hours=2)),
        ("10 min", timedelta(minutes=10)),
        ("45s", timedelta(seconds=45)),
        ("2 w", timedelta(days=14)),
        ("1.5 h", timedelta(minutes=90)),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, span: timedelta) -> None:
    assert parse_duration(text) == span


@given(st.integers(1, 10_000), st.sampled_from(["s", "min", "h", "d"]))
def test_a_duration_that_is_written_out_reads_back_the_same(number: int, unit: str) -> None:
    span = parse_duration(f"{number} {unit}")
    assert parse_duration(duration_text(span)) == span


@pytest.mark.parametrize(
    ("parse", "text", "complaint"),
    [
        (parse_duration, "30", "found 30 without a unit; units are s, min, h, d, w: 30 d?"),
        (parse_duration, "30 days", 'found the unit "days"; units are s, min, h, d, w; did you mean 30 d?'),
        (parse_duration, "5 minutes", 'found the unit "minutes"; units are s, min, h, d, w; did you mean 5 min?'),
        (parse_duration, "soon", 'found "soon", expected a number, a space and a unit (s, min, h, d, w), '),
        (parse_duration, "0 d", 'found "0 d", expected a time longer than nothing'),
        (parse_distance, "800", "found 800 without a unit; units are m, km: 800 m?"),
        (parse_distance, "1 mile", 'found the unit "mile"; units are m, km; did you mean 1 m?'),
        (parse_colour, "brown", 'found "brown", expected a colour in quotes such as "#7A3E1D"'),
        (parse_percent, "120%", 'found "120%", expected a share such as 2.5%'),
        (parse_time, "24:00", 'found "24:00", expected a time of day such as 18:30'),
        (parse_time, "1110", 'found "1110", expected a time of day such as 18:30'),
        (parse_timezone, "America/Los_Angels", "did you mean America/Los_Angeles?"),
        (parse_timezone, "shanghai", "did you mean Asia/Shanghai?"),
        (parse_phone, "call us", 'found "call us", expected a telephone number such as +1 206 555 0100'),
        (parse_moment, "20/3/2027", 'found "20/3/2027", expected a date such as 2027-03-20, or'),
        (parse_moment, "2027-03-20T10:00+02:00", "leave out the offset and name the zone in timezone"),
        (Rate.parse, "fifty", 'found "fifty", expected a rate such as 50/s or 600/min'),
        (Rate.parse, "0/s", 'found "0/s", expected a rate'),
        (Money.parse, "40", 'found "40", expected an amount and a currency such as 40 USD'),
        (Money.parse, "$40", 'found "$40", expected an amount and a currency such as 40 USD'),
        (Price.parse, "0.0079 USD", 'found "0.0079 USD", expected a price such as 0.0079 USD per part'),
        (Hours.parse, "9-20", 'found "9-20", expected hours such as 9:00-20:00'),
        (Hours.parse, "9:00-9:00", 'found "9:00-9:00", expected hours such as 9:00-20:00'),
        (Frequency.parse, "4", 'found "4", expected how many in which period, such as 4 per 30 d'),
        (Frequency.parse, "1 per year", 'found "1 per year", expected how many in which period'),
        (Frequency.parse, "4 per 30", "found 30 without a unit"),
        (HostPort.parse, "8080", 'found "8080", expected a host and a port such as 127.0.0.1:8081'),
        (HostPort.parse, "localhost:80800", 'found "localhost:80800", expected a host and a port'),
    ],
)
def test_a_wrong_value_is_told_with_what_was_expected(
    parse: Callable[[str], object], text: str, complaint: str
) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse(text)
    assert complaint in str(caught.value)


def test_money_is_kept_in_millionths_without_loss() -> None:
    assert Price.parse("0.0079 USD per part") == Price(7900, "USD")
    assert Money.parse("40 USD").millionths == 40_000_000


def test_money_is_rounded_only_when_shown() -> None:
    assert str(Money(3_644_999, "USD")) == "3.64 USD"
    assert str(Price(7900, "USD")) == "0.0079 USD per part"


@given(st.integers(0, 10**12))
def test_a_price_that_is_written_out_reads_back_the_same(millionths: int) -> None:
    price = Price(millionths, "USD")
    assert Price.parse(str(price)) == price


def test_hours_hold_their_begin_and_not_their_end() -> None:
    hours = Hours.parse("9:00-20:00")
    assert [hours.contain(minute) for minute in (539, 540, 1199, 1200)] == [False, True, True, False]


def test_hours_may_go_through_the_night() -> None:
    bar = Hours.parse("20:00-2:00")
    assert [bar.contain(minute) for minute in (1199, 1200, 0, 119, 120)] == [False, True, True, True, False]


def test_hours_may_end_with_the_day() -> None:
    assert Hours.parse("0:00-24:00").contain(23 * 60 + 59)


def test_a_frequency_is_rolling_or_of_the_calendar_or_in_all() -> None:
    assert Frequency.parse("4 per 30 d") == Frequency(4, timedelta(days=30))
    assert Frequency.parse("1 per day") == Frequency(1, Calendar.DAY)
    assert Frequency.parse("1 in all") == Frequency(1, None)


@pytest.mark.parametrize("text", ["4 per 30 d", "2 per 1 d", "1 per week", "3 in all"])
def test_a_frequency_is_shown_as_it_is_written(text: str) -> None:
    assert str(Frequency.parse(text)) == text


@pytest.mark.parametrize(("text", "per_s"), [("50/s", 50.0), ("600/min", 10.0), ("3600 / h", 1.0)])
def test_a_rate_is_so_many_in_a_second(text: str, per_s: float) -> None:
    assert Rate.parse(text).per_s == per_s


def test_distances_shares_and_times_are_read() -> None:
    assert (parse_distance("2 km"), parse_percent("2.5%"), parse_time("18:30")) == (2000.0, 0.025, time(18, 30))


def test_a_host_may_be_an_address_of_version_6() -> None:
    assert HostPort.parse("[::1]:8080") == HostPort("::1", 8080)
    assert str(HostPort("::1", 8080)) == "[::1]:8080"


def test_a_moment_may_be_a_day_alone() -> None:
    assert parse_moment("2027-03-21") == datetime(2027, 3, 21)  # noqa: DTZ001  its zone is named elsewhere
    assert is_date_only("2027-03-21")
    assert not is_date_only("2027-03-21 10:00")


def test_a_reader_gets_the_own_language_then_the_first() -> None:
    text = LocalText.read({"en": "Hello", "zh": "您好"})
    assert [text.say("zh", ["en"]), text.say("fr", ["zh", "en"]), text.say("zh-TW", ["en"])] == ["您好", "您好", "您好"]


def test_a_plain_text_serves_every_language() -> None:
    text = LocalText.parse("Lantern")
    assert text.say("zh", ["en"]) == "Lantern"
    assert text.missing(["en", "zh"]) == []


def test_a_text_without_a_language_is_told() -> None:
    assert LocalText.read({"en": "Hello"}).missing(["en", "zh"]) == ["zh"]


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ({"en": "Hello", "worlds": "yes"}, '"worlds" is no language; put quotes around a text that holds'),
        ({"en": ["Hello"]}, "found a list for en, expected a text"),
        ({}, "found an empty map"),
        (["Hello"], "found a list, expected a text, or a map of texts by language"),
        ("  ", "found an empty text"),
    ],
)
def test_what_is_no_text_is_told(value: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        LocalText.read(value)
    assert complaint in str(caught.value)
