import io

import pytest

from campaigns import spreadsheets
from campaigns.spreadsheets import BadFile, Record


def records(content: bytes) -> list[Record]:
    """All records below the headings."""
    return list(spreadsheets.open_csv(io.BytesIO(content))[2])


TEXT = "手机,姓名\n+8613800138000,王小明\n"


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (TEXT.encode(), "utf-8"),
        (TEXT.encode("utf-8-sig"), "utf-8"),
        (TEXT.encode("gb18030"), "gb18030"),
        (TEXT.replace("手机,姓名", "phone,name").encode("gb18030"), "gb18030"),
        (TEXT.replace("\n", "\r\n").encode(), "utf-8"),
    ],
)
def test_a_chinese_file_is_read_in_the_encoding_that_it_has(content: bytes, encoding: str) -> None:
    lines, headings, found = spreadsheets.open_csv(io.BytesIO(content))

    assert [record.cells for record in found] == [["+8613800138000", "王小明"]]
    assert headings in (["手机", "姓名"], ["phone", "name"])
    assert (lines.encoding, lines.number, lines.bytes_read) == (encoding, 2, len(content))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("named", [True, False])
def test_the_delimiter_is_found_out(delimiter: str, named: bool) -> None:
    text = "phone,city\n+12065550142,Seattle\n".replace(",", delimiter)

    found = records(((f"sep={delimiter}\n" if named else "") + text).encode())

    assert [record.cells for record in found] == [["+12065550142", "Seattle"]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("phone,name\n+12065550142,André\n".encode("cp1252"), "line 2 is not UTF-8 or GB18030"),
        ("phone,name\n1,王\n".encode() + b"2,\xd0\xd0\n", "line 3 is not UTF-8 like the lines before"),
        (b"phone,name\n1,\xff\xff\xff\n", "line 2 is not"),
        ("phone,name\n".encode("utf-16"), "UTF-16"),
        (b"PK\x03\x04rest", "Excel workbook"),
        (b"\xd0\xcf\x11\xe0rest", "old Excel workbook"),
        (b"phone,name\r1,Ann\r", "old Macintosh"),
        (b'"phone,name\n1,Ann\n', "headings cannot be read"),
        (b"p" * (1 << 20), "no end within 1 MB"),
    ],
)
def test_a_file_that_is_no_csv_says_how_to_save_it(content: bytes, words: str) -> None:
    with pytest.raises(BadFile, match=words):
        records(content)


def test_a_record_knows_its_first_line_also_after_blank_lines_and_line_breaks_in_cells() -> None:
    found = records(b'phone,city\n\n1,"Sea\nttle"\n,\n2,Tacoma\n')

    assert [(record.line, record.cells) for record in found] == [(3, ["1", "Sea\nttle"]), (6, ["2", "Tacoma"])]


def test_a_quotation_mark_that_is_never_closed_costs_a_reason_and_not_silence() -> None:
    found = records(b'phone,city\n1,Seattle\n2,"Tacoma\n3,Olympia\n4,Yakima\n')

    assert [record.problem for record in found] == [
        "",
        "a quotation mark is opened and not closed; lines 3 to 5 were not read",
    ]


def test_a_quotation_mark_within_a_cell_costs_its_own_line_only() -> None:
    found = records(b'phone,city\n1,"Sea"ttle"\n2,Tacoma\n')

    assert "must be doubled" in found[0].problem
    assert found[0].raw == '1,"Sea"ttle"\n'
    assert found[1].cells == ["2", "Tacoma"]


def test_lines_that_were_done_before_are_passed_over() -> None:
    lines, _, found = spreadsheets.open_csv(io.BytesIO(b"phone\n1\n2\n3\n"))

    lines.skip(3)

    assert [record.cells for record in found] == [["3"]]


def test_an_empty_file_has_no_headings() -> None:
    assert spreadsheets.open_csv(io.BytesIO(b""))[1] == []
