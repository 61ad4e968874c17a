import csv
import io
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns import exporting
from gateway import numbers


@pytest.mark.parametrize("cell", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\tx", "\rx", "\0x", "＝1+1"])
def test_a_cell_that_a_spreadsheet_would_run_gets_a_quote_and_loses_it_on_import(cell: str) -> None:
    assert exporting.safe_cell(cell) == "'" + cell
    assert exporting.plain_cell("'" + cell) == cell


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("+12065550142", "+12065550142"),
        ("O'Brien", "O'Brien"),
        (-122.3425, "-122.3425"),
        (3, "3"),
        (True, "yes"),
        (False, "no"),
        (None, ""),
        (("vip", "student"), "vip;student"),
        (["=1", "x"], "'=1;x"),
        (datetime(2026, 3, 14, 17, 22, tzinfo=UTC), "2026-03-14T17:22:00+00:00"),
    ],
)
def test_values_become_cells_that_the_import_reads_back(value: object, cell: str) -> None:
    assert exporting.safe_cell(value) == cell


def test_a_value_that_no_cell_can_hold_is_an_error_and_not_a_guess() -> None:
    with pytest.raises(TypeError, match="dict"):
        exporting.safe_cell({})


@given(st.text())
def test_no_text_but_a_phone_begins_dangerously(text: str) -> None:
    cell = exporting.safe_cell(text)

    assert cell[:1] not in exporting.DANGEROUS or numbers.SHAPE.fullmatch(cell)


@given(st.text().filter(lambda text: not text.startswith("'")))
def test_every_text_comes_back_as_it_was(text: str) -> None:
    assert exporting.plain_cell(exporting.safe_cell(text)) == text


def test_a_csv_file_opens_in_a_spreadsheet_with_its_commas_quotes_and_chinese() -> None:
    rows: list[dict[str, object]] = [
        {"phone": "+8613800138000", "name": '王 "小" 明, x', "left out": 1},
        {"phone": "+12065550142"},
    ]

    text = "".join(exporting.csv_lines(["phone", "name"], rows))

    assert text.startswith("\ufeffphone,name\r\n")
    assert list(csv.reader(io.StringIO(text[1:]))) == [
        ["phone", "name"],
        ["+8613800138000", '王 "小" 明, x'],
        ["+12065550142", ""],
    ]


def test_json_lines_hold_one_row_each_as_it_is() -> None:
    rows: list[dict[str, object]] = [
        {"phone": "+12065550142", "first_name": "=1"},
        {"phone": "+8613800138000", "tags": ["vip"]},
    ]

    assert [orjson.loads(line) for line in exporting.json_lines(rows)] == rows
