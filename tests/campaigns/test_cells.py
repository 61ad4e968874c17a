from datetime import UTC, date, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns import cells
from gateway.clock import to_ms

TODAY = date(2026, 11, 21)
NOW = to_ms(datetime(2026, 11, 21, 18, 30, tzinfo=UTC))
birthday = partial(cells.birthday, today=TODAY, country="US")
moment = partial(cells.moment, now_ms=NOW, zone=ZoneInfo("America/Los_Angeles"))


@pytest.mark.parametrize(
    ("cell", "country"),
    [
        ("2004-03-25", "US"),
        ("20040325", "US"),
        ("2004/3/25", "CN"),
        ("2004.03.25", "DE"),
        ("2004年3月25日", "CN"),
        ("2004-03-25 00:00:00", "US"),
        ("3/25/2004", "US"),
        ("25/3/2004", "GB"),
        ("25.03.2004", "DE"),
        ("25/3/2004", "US"),  # there is no month 25, so it can mean one thing only
    ],
)
def test_a_birthday_is_read_as_people_write_it(cell: str, country: str) -> None:
    assert cells.birthday(cell, today=TODAY, country=country) == "2004-03-25"


def test_a_birthday_that_could_be_two_days_is_read_as_its_country_does() -> None:
    assert cells.birthday("3/4/2004", today=TODAY, country="US") == "2004-03-04"
    assert cells.birthday("3/4/2004", today=TODAY, country="GB") == "2004-04-03"


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("soon", "not a date"),
        ("38071", "not a date"),  # a day number of a spreadsheet
        ("3/25/04", "no year of four digits"),
        ("2004-02-30", "not in the calendar"),
        ("31/31/2004", "not in the calendar"),
        ("2027-01-01", "in the future"),
        ("1890-01-01", "136 years old"),
    ],
)
def test_an_impossible_birthday_says_why(cell: str, words: str) -> None:
    with pytest.raises(cells.Unusable, match=words):
        birthday(cell)


@given(st.dates(min_value=date(1910, 1, 1), max_value=TODAY))
def test_a_birthday_survives_every_spelling(day: date) -> None:
    spellings = [day.isoformat(), f"{day:%Y/%m/%d}", f"{day.month}/{day.day}/{day.year}", f"{day.year}年{day:%m月%d}日"]

    assert {birthday(spelling) for spelling in spellings} == {day.isoformat()}


@pytest.mark.parametrize(
    ("cell", "minutes"),
    [
        ("40 min ago", 40),
        ("1 minute ago", 1),
        ("2 h ago", 120),
        ("3 hours ago", 180),
        ("1 d ago", 1440),
        ("5分钟前", 5),
    ],
)
def test_a_time_may_be_told_by_how_long_ago_it_was(cell: str, minutes: int) -> None:
    assert moment(cell) == NOW - minutes * 60_000


@pytest.mark.parametrize(
    "cell", ["2026-03-14T10:22-07:00", "2026-03-14T17:22Z", "2026-03-14 10:22", "2026/03/14 10:22:00"]
)
def test_a_time_without_offset_is_read_in_the_zone_of_the_brand(cell: str) -> None:
    assert moment(cell) == to_ms(datetime(2026, 3, 14, 17, 22, tzinfo=UTC))


def test_a_time_in_the_future_is_a_slip_but_clocks_may_differ_by_a_day() -> None:
    at = datetime.fromtimestamp(NOW / 1000, UTC)

    assert moment((at + timedelta(hours=23)).isoformat()) > NOW
    with pytest.raises(cells.Unusable, match="in the future"):
        moment((at + timedelta(hours=25)).isoformat())


@pytest.mark.parametrize("cell", ["yesterday", "99999999999999999999", "0001-01-01", "1969-12-31", "99999 d ago"])
def test_what_is_no_time_of_a_mobile_phone_is_unusable(cell: str) -> None:
    with pytest.raises(cells.Unusable, match=r"not a time|before 1970"):
        cells.moment(cell, now_ms=NOW, zone=ZoneInfo("Asia/Shanghai"))


@pytest.mark.parametrize("cell", ["yes", "YES", "Y", "true", "1", "x", "✓", "是", "同意"])
def test_a_clear_yes_is_consent(cell: str) -> None:
    assert cells.yes_or_no(cell) is True


@pytest.mark.parametrize("cell", ["no", "N", "FALSE", "0", "否", "不同意", "unsubscribed"])
def test_a_clear_no_is_none(cell: str) -> None:
    assert cells.yes_or_no(cell) is False


@pytest.mark.parametrize("cell", ["maybe", "2", "yes?", "pending"])
def test_anything_between_is_neither(cell: str) -> None:
    with pytest.raises(cells.Unusable, match="neither yes nor no"):
        cells.yes_or_no(cell)


@pytest.mark.parametrize(
    ("cell", "code"),
    [("en", "en"), ("EN-us", "en"), ("zh_Hans_CN", "zh"), ("中文", "zh"), ("Chinese", "zh"), ("英语", "en")],
)
def test_a_language_is_known_by_code_and_by_name(cell: str, code: str) -> None:
    assert cells.language(["en", "zh"])(cell) == code


def test_a_language_with_a_country_keeps_it_where_it_is_declared() -> None:
    assert cells.language(["pt-BR", "en"])("pt_br") == "pt-BR"


def test_a_language_that_the_brand_does_not_speak_names_those_it_does() -> None:
    with pytest.raises(cells.Unusable, match="not one of the languages en, zh"):
        cells.language(["en", "zh"])("Klingon")


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("Ana Ruiz", ("Ana", "Ruiz")),
        ("Ana María Ruiz", ("Ana María", "Ruiz")),
        ("Ruiz, Ana María", ("Ana María", "Ruiz")),
        ("Madonna", ("Madonna", "")),
        ("王小明", ("小明", "王")),
        ("欧阳静", ("静", "欧阳")),
        ("司马", ("马", "司")),
    ],
)
def test_a_full_name_is_parted(cell: str, name: tuple[str, str]) -> None:
    assert cells.full_name(cell) == name


def test_a_name_of_two_hundred_characters_is_the_longest() -> None:
    assert cells.words("a" * 200) == "a" * 200
    with pytest.raises(cells.Unusable, match="201 characters"):
        cells.words("a" * 201)


@pytest.mark.parametrize(("cell", "word"), [("F", "female"), ("女", "female"), ("Male", "male"), ("x", "other")])
def test_gender_has_three_words(cell: str, word: str) -> None:
    assert cells.gender(cell) == word


@pytest.mark.parametrize("cell", ["95.1", "-91", "nan", "north"])
def test_a_latitude_outside_the_globe_is_unusable(cell: str) -> None:
    with pytest.raises(cells.Unusable, match=r"degrees|swapped"):
        cells.degrees(cell, most=90)


def test_tags_are_split_at_any_separator_and_lose_case_and_repeats() -> None:
    assert cells.tags("VIP; student，vip|newsletter;") == ("vip", "student", "newsletter")


def test_an_attribute_takes_any_case_and_keeps_the_declared_spelling() -> None:
    read = cells.one_of(["Latte", "mocha"])

    assert [read("LATTE"), read("mocha")] == ["Latte", "mocha"]
    with pytest.raises(cells.Unusable, match="not one of Latte, mocha"):
        read("chai")


@pytest.mark.parametrize("cell", ["Mars/Olympus", "America", "../etc/passwd", "PST8PDT?"])
def test_a_zone_that_does_not_exist_is_unusable(cell: str) -> None:
    assert cells.zone("Asia/Shanghai") == "Asia/Shanghai"
    with pytest.raises(cells.Unusable, match="not a time zone"):
        cells.zone(cell)


def test_a_gender_that_is_no_word_of_ours_is_unusable() -> None:
    with pytest.raises(cells.Unusable, match="female, male or other"):
        cells.gender("7")
