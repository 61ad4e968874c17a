import csv
import io
import runpy
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

import campaigns
from campaigns import exporting, importing
from campaigns.importing import Batch, Reject, Row
from gateway import numbers
from gateway.clock import to_ms

NOW = to_ms(datetime(2026, 11, 21, 18, 30, tzinfo=UTC))
SAMPLE = Path(campaigns.__file__).with_name("sample.csv")
BRAND: dict[str, Any] = {
    "country": "US",
    "languages": ["en", "zh"],
    "attributes": {"favourite": ["latte", "mocha", "tea"], "tier": ["gold", "silver", "bronze"]},
    "now_ms": NOW,
    "timezone": "America/Los_Angeles",
}


def read(text: str, **changes: Any) -> Batch:
    """The only batch of a small file."""
    (batch,) = importing.read(io.BytesIO(text.encode()), **BRAND | changes)
    return batch


def many(count: int) -> str:
    """A file of that many people."""
    return "phone,first_name\n" + "".join(f"+1206{200 + n // 10000}{n % 10000:04d},P{n}\n" for n in range(count))


def test_a_whole_row_is_read() -> None:
    batch = read(
        "mobile,First Name,surname,lang,city,DOB,sex,favourite,tier,tags,lat,lng,last seen,opt-in,consent time,"
        "consent source\n"
        "(206) 555-0142,Maya,Okafor,English,Seattle,3/14/2004,f,Latte,gold,VIP;student,47.6097,-122.3425,40 min ago,"
        "yes,2026-03-14 10:22,form\n"
    )

    assert batch.rows == (
        Row(
            line=2,
            e164="+12065550142",
            country="US",
            zone="America/Los_Angeles",
            zones=("America/Los_Angeles",),
            region="WA",
            first_name="Maya",
            last_name="Okafor",
            language="en",
            city="Seattle",
            birthday="2004-03-14",
            gender="female",
            tags=("vip", "student"),
            attributes={"favourite": "latte", "tier": "gold"},
            lat=47.6097,
            lon=-122.3425,
            seen_ms=NOW - 40 * 60_000,
            consent=True,
            consent_ms=to_ms(datetime(2026, 3, 14, 17, 22, tzinfo=UTC)),
            consent_source="form",
            line_type="mobile or landline",
        ),
    )
    assert (batch.merged, batch.rejects, batch.notes, batch.unmapped) == (0, (), (), ())


def test_what_the_file_does_not_tell_stays_empty() -> None:
    (row,) = read("phone,first_name,consent\n+12065550142, ,-\n").rows

    assert (row.first_name, row.language, row.birthday, row.consent, row.lat, row.attributes) == (
        "",
        "",
        "",
        None,
        None,
        {},
    )


def test_a_chinese_file_is_read_by_its_own_headings() -> None:
    (row,) = read(
        "手机号,姓名,城市,语言,生日,是否同意\n13800138000,王小明,上海,中文,2004年3月5日,是\n", country="CN"
    ).rows

    assert (row.e164, row.first_name, row.last_name, row.city) == ("+8613800138000", "小明", "王", "上海")
    assert (row.language, row.birthday, row.consent, row.zone) == ("zh", "2004-03-05", True, "Asia/Shanghai")


def test_a_first_name_of_its_own_column_stands_before_one_taken_from_the_full_name() -> None:
    (row,) = read("phone,name,first_name\n+12065550142,Margaret Hill,Peggy\n").rows

    assert (row.first_name, row.last_name) == ("Peggy", "Hill")


def test_a_row_is_refused_when_its_phone_cannot_be_used() -> None:
    batch = read("city,phone\nTacoma,1.38E+10\nSeattle,+12065550142\nOlympia,\n")

    assert [row.city for row in batch.rows] == ["Seattle"]
    assert [(reject.line, reject.raw) for reject in batch.rejects] == [(2, "Tacoma,1.38E+10"), (4, "Olympia,")]
    assert "a spreadsheet shortened it" in batch.rejects[0].reason
    assert batch.rejects[1].reason.startswith("phone: empty")


def test_lines_that_are_no_csv_are_refused_with_their_numbers_and_the_rest_is_read() -> None:
    batch = read('phone,city\n+12065550142,"Sea"ttle"\n+12065550143,Tacoma\n+12065550144,"Olympia\n')

    assert [row.e164 for row in batch.rows] == ["+12065550143"]
    assert [reject.line for reject in batch.rejects] == [2, 4]
    assert "must be doubled" in batch.rejects[0].reason
    assert "opened and not closed" in batch.rejects[1].reason


def test_a_row_with_more_cells_than_headings_is_refused_since_its_cells_may_be_shifted() -> None:
    batch = read("phone,name,city\n+12065550142,Okafor, Maya,Seattle\n+12065550143,Ann,Seattle,,\n+12065550144\n")

    assert [reject.reason for reject in batch.rejects] == [
        "4 cells under 3 headings: quote a cell that has the delimiter in it"
    ]
    assert [row.e164 for row in batch.rows] == ["+12065550143", "+12065550144"]


def test_a_cell_that_cannot_be_understood_is_left_out_and_noted_and_the_person_kept() -> None:
    batch = read("phone,language,birthday,tier,city\n+12065550142,tlh,2031-01-01,platinum,Seattle\n")

    (row,) = batch.rows
    assert (row.city, row.language, row.birthday, row.attributes) == ("Seattle", "", "", {})
    assert batch.rejects == ()
    assert batch.notes == (
        Reject(
            2,
            'language "tlh" is not one of the languages en, zh; left out; '
            'birthday "2031-01-01" is in the future; left out; '
            'tier "platinum" is not one of gold, silver, bronze; left out',
            "+12065550142,tlh,2031-01-01,platinum,Seattle",
            kept=True,
        ),
    )


@pytest.mark.parametrize(
    ("lat", "lon", "noted"),
    [("47.6", "", "half a position"), ("-122.3", "47.6", "swapped"), ("0", "0.0", "")],
)
def test_a_position_is_whole_or_none(lat: str, lon: str, noted: str) -> None:
    batch = read(f"phone,lat,lon,seen\n+12065550142,{lat},{lon},2 h ago\n")

    (row,) = batch.rows
    assert (row.lat, row.lon, row.seen_ms) == (None, None, None)
    assert noted in "".join(note.reason for note in batch.notes)


def test_a_zone_that_the_file_states_stands_before_the_one_of_the_number() -> None:
    (row,) = read("phone,timezone\n+12065550142,America/New_York\n").rows

    assert (row.zone, row.zones, row.region) == ("America/New_York", ("America/New_York",), "WA")


def test_lines_of_one_phone_become_one_person_and_the_later_cell_wins_where_it_says_something() -> None:
    batch = read(
        "phone,first_name,city,favourite,tier\n"
        "+12065550142,Maya,Seattle,latte,gold\n"
        "+12065550143,Ann,Tacoma,,\n"
        "206-555-0142,,Tacoma,mocha,\n"
    )

    maya, ann = batch.rows
    assert batch.merged == 1
    assert (maya.line, maya.first_name, maya.city) == (2, "Maya", "Tacoma")
    assert maya.attributes == {"favourite": "mocha", "tier": "gold"}
    assert ann.line == 3


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["yes,2026-01-01T00:00Z,form", "no,2026-02-01T00:00Z,call"], (False, "call")),
        (["no,2026-02-01T00:00Z,call", "yes,2026-01-01T00:00Z,form"], (False, "call")),
        (["no,,", "yes,2026-01-01T00:00Z,form"], (True, "form")),
        (["yes,2026-01-01T00:00Z,form", "no,,"], (False, "")),
        (["yes,2026-01-01T00:00Z,form", ",,"], (True, "form")),
    ],
)
def test_of_two_words_on_consent_the_newer_counts_with_its_own_source(
    lines: list[str], expected: tuple[bool, str]
) -> None:
    text = "phone,consent,consent_time,consent_source\n" + "".join(f"+12065550142,{line}\n" for line in lines)

    (row,) = read(text).rows

    assert (row.consent, row.consent_source) == expected


def test_a_guarded_cell_of_an_export_is_read_without_its_guard() -> None:
    text = "".join(exporting.csv_lines(["phone", "first_name"], [{"phone": "+12065550142", "first_name": "-Ann"}]))

    (row,) = read(text).rows

    assert (row.e164, row.first_name) == ("+12065550142", "-Ann")


def test_a_column_that_nobody_asked_for_is_reported_with_its_values() -> None:
    batch = read("phone,milk\n+12065550142,oat\n+12065550143,whole\n")

    assert [(column.heading, column.values) for column in batch.unmapped] == [("milk", ("oat", "whole"))]


def test_a_file_without_people_still_tells_its_columns() -> None:
    batch = read("phone,milk\n")

    assert (batch.rows, batch.line, [column.heading for column in batch.unmapped]) == ((), 1, ["milk"])


def test_a_large_file_comes_in_batches_that_show_how_far_they_are() -> None:
    text = many(2_500)

    batches = list(importing.read(io.BytesIO(text.encode()), **BRAND))

    assert [len(batch.rows) for batch in batches] == [1000, 1000, 500]
    assert [batch.line for batch in batches] == [1001, 2001, 2501]
    assert batches[-1].bytes_read == len(text)


def test_a_reading_that_was_cut_off_goes_on_at_its_checkpoint_and_gets_the_same_people() -> None:
    content = (many(1_500) + '+12065550142,"Ann\nLee"\n' + many(2_400).partition("\n")[2]).encode()
    whole = list(importing.read(io.BytesIO(content), **BRAND))

    for done, batch in enumerate(whole, start=1):
        rest = list(importing.read(io.BytesIO(content), **BRAND, start_line=batch.line))
        assert [row for later in rest for row in later.rows] == [row for later in whole[done:] for row in later.rows]


def test_memory_does_not_grow_with_the_file() -> None:
    class Endless(io.RawIOBase):
        """A file that is made up while it is read."""

        def __init__(self, count: int) -> None:
            self.lines: Iterator[bytes] = (
                b"phone,first_name\n" if n == 0 else b"+1206%07d,Person %d\n" % (2_000_000 + n, n) for n in range(count)
            )

        def readline(self, size: int | None = -1, /) -> bytes:
            return next(self.lines, b"")

    def peak(count: int) -> int:
        tracemalloc.start()
        for _ in importing.read(Endless(count), **BRAND):  # type: ignore[arg-type]
            pass
        try:
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    numbers.region_of("+12065550142")  # its tables are loaded once
    peak(2_000)

    assert peak(12_000) < 1.3 * peak(4_000)


def test_the_rejects_file_can_be_opened_without_harm(tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"

    importing.write_rejects(path, [Reject(9, "=bad\nreason", "=cmd(),x"), Reject(4, "noted", "y", kept=True)])
    importing.write_rejects(path, [Reject(12, "later", "+1\n2")])

    with path.open(encoding="utf-8-sig", newline="") as file:
        assert list(csv.reader(file)) == [
            ["line", "result", "reason", "row"],
            ["4", "kept", "noted", "y"],
            ["9", "rejected", "'=bad reason", "'=cmd(),x"],
            ["12", "rejected", "later", "'+1 2"],
        ]


def test_no_rejects_make_no_file(tmp_path: Path) -> None:
    importing.begin_rejects(tmp_path / "rejects.csv")
    importing.write_rejects(tmp_path / "rejects.csv", [])

    assert list(tmp_path.iterdir()) == []


def test_a_resumed_import_keeps_the_rejects_up_to_its_checkpoint_and_no_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"
    importing.write_rejects(path, [Reject(line, "bad", "x") for line in (5, 900, 1500)])
    with path.open("a") as file:
        file.write("16")

    importing.begin_rejects(path, start_line=1001)

    assert [line.split(",")[0] for line in path.read_text("utf-8-sig").splitlines()] == ["line", "5", "900"]


@pytest.mark.parametrize("start_line", [0, 3])
def test_rejects_of_an_earlier_import_do_not_stay(tmp_path: Path, start_line: int) -> None:
    path = tmp_path / "rejects.csv"
    importing.write_rejects(path, [Reject(5, "bad", "x")])

    importing.begin_rejects(path, start_line)

    assert not path.exists()


@pytest.fixture(scope="module")
def sample() -> Batch:
    with SAMPLE.open("rb") as file:
        (batch,) = importing.read(file, **BRAND)
    return batch


def test_the_sample_has_992_people_5_repeats_and_3_lines_that_no_one_can_use(sample: Batch) -> None:
    assert (len(sample.rows), sample.merged, sample.notes, sample.unmapped) == (992, 5, (), ())
    assert [reject.reason for reject in sample.rejects] == [
        (
            "phone: a spreadsheet shortened it to 1.38E+10 and its last digits are lost: "
            "format the column as text there and export again"
        ),
        "phone: too short for a number in US: a digit is missing",
        "phone: not a phone number: write digits, such as +1 206 555 0142",
    ]


def test_the_sample_is_what_its_script_makes(tmp_path: Path) -> None:
    script = runpy.run_path(str(Path(__file__).parents[1] / "data" / "make_sample.py"))

    script["main"](tmp_path / "sample.csv")

    assert (tmp_path / "sample.csv").read_bytes() == SAMPLE.read_bytes()


def test_the_sample_begins_with_the_one_whom_the_tour_texts(sample: Batch) -> None:
    first = sample.rows[0]

    assert (first.e164, first.language, first.city, first.attributes["favourite"]) == (
        "+12065550142",
        "en",
        "Seattle",
        "latte",
    )
    assert date(2026, 11, 21).year - int(first.birthday[:4]) == 22
    assert first.consent
    assert "+12065550143" in {row.e164 for row in sample.rows}


def test_two_thirds_of_the_sample_are_americans_with_numbers_kept_for_fiction(sample: Batch) -> None:
    americans = [row for row in sample.rows if row.country == "US"]

    assert len(americans) == 664
    assert {row.country for row in sample.rows} == {"US", "CN"}
    assert all(row.e164[5:10] == "55501" for row in americans)  # 555-0100 to 555-0199, NANPA
    assert len({row.e164[2:5] for row in americans}) >= 12


@pytest.mark.parametrize("year", [2026, 2027, 2028, 2029])
def test_about_half_of_the_sample_are_17_to_25_also_in_later_years(sample: Batch, year: int) -> None:
    young = [row for row in sample.rows if row.birthday and 17 <= year - int(row.birthday[:4]) <= 25]

    assert 0.42 < len(young) / len(sample.rows) < 0.62


def test_19_of_20_people_of_the_sample_have_said_yes_and_when_and_how(sample: Batch) -> None:
    agreed = [row for row in sample.rows if row.consent]

    assert 0.94 < len(agreed) / len(sample.rows) < 0.97
    assert {row.consent_source for row in agreed} == {"form"}
    assert all(row.consent_ms and row.consent_ms < NOW for row in agreed)


def test_some_people_of_the_sample_were_near_a_shop_just_now(sample: Batch) -> None:
    seen = [NOW - row.seen_ms for row in sample.rows if row.seen_ms]

    assert len(seen) > 50
    assert sum(ago <= 3_600_000 for ago in seen) > 20
