import pytest
import yaml

from campaigns import columns
from campaigns.columns import Sheet, Unmapped
from campaigns.spreadsheets import BadFile

ATTRIBUTES = {"favourite": ["latte", "mocha"], "shoe_size": ["41", "42"]}


def match(*headings: str) -> Sheet:
    """The sheet of a file with these headings, for the brand of the tests."""
    meanings = columns.meanings(country="US", languages=["en", "zh"], now_ms=1_795_000_000_000, timezone="UTC")
    return columns.match(list(headings), meanings, ATTRIBUTES, "US")


@pytest.mark.parametrize(
    "heading", ["phone", "Mobile", "MSISDN", "Phone Number", "cell-phone", "手机", "手机号码", "ＰＨＯＮＥ"]
)
def test_the_phone_goes_by_many_names(heading: str) -> None:
    assert match("city", heading).phone == 1


def test_headings_are_known_in_any_case_and_punctuation() -> None:
    sheet = match("phone", "Date of Birth", " First-Name ", "LNG", "Opt in", "时区")

    assert [column.name for column in sheet.known] == ["birthday", "first_name", "lon", "consent", "zone"]


def test_declared_attributes_stand_under_their_own_names() -> None:
    sheet = match("phone", "Favourite", "Shoe size")

    assert [(column.place, column.name) for column in sheet.attributes] == [(1, "favourite"), (2, "shoe_size")]


def test_two_columns_that_are_both_the_phone_are_refused_with_both_places() -> None:
    with pytest.raises(BadFile, match='columns 1 "phone" and 3 "Mobile" both hold the phone'):
        match("phone", "city", "Mobile")


def test_a_file_without_a_phone_says_which_headings_it_has() -> None:
    with pytest.raises(BadFile, match='found "name", "city"'):
        match("name", "city")


def test_a_file_without_headings_is_told_from_one_without_a_phone() -> None:
    with pytest.raises(BadFile, match="line 1 holds a person, not headings"):
        match("Ann", "+12065550142")


def test_a_column_that_nobody_asked_for_is_offered_as_a_line_for_the_config() -> None:
    sheet = match("phone", "Milk kind", "notes", "empty", "")
    for index in range(20):
        sheet.notice(["", ["oat", "whole", "no", "2 %"][index % 4], f"note {index}", " ", "x"])

    text = columns.paste(sheet.unmapped_so_far())

    assert yaml.safe_load(text) == {"milk_kind": ["2 %", "no", "oat", "whole"]}
    assert "# notes: more than 12 different values" in text
    assert "# empty: only empty cells" in text


def test_what_is_pasted_cannot_break_out_of_its_line() -> None:
    text = columns.paste([Unmapped("a: b", ("x, y", "]", "on", "#", '"'))])

    assert yaml.safe_load(text) == {"a_b": ["x, y", "]", "on", "#", '"']}
