"""Reads a customer file row by row: which column is what, which number is whose, and what cannot be used and why.

A row is refused only when its phone cannot be used or its cells do not fit the headings. A cell that cannot be
understood (a birthday in the future, an unknown language) is left out, the row is kept, and the rejects file notes
it: people are worth more than cells, and nothing is dropped in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from campaigns import cells, columns, exporting, spreadsheets
from gateway import numbers

BATCH = 1000  # records: large enough for one commit each, small enough to watch

_BLANK = frozenset(("", "-", "n/a", "N/A", "#N/A", "null", "NULL", "NaN"))
# What belongs together is taken from one row, the newer by the time in the last place.
_TOGETHER = (("consent", "consent_source", "consent_ms"), ("lat", "lon", "seen_ms"))


@dataclass(frozen=True, slots=True)
class Row:
    """One person of the file. What the file does not tell is empty or None, so that a store keeps what it has.

    `line` is the first of this person's lines. `zone` is the best guess and `zones` all that may apply (IANA);
    the region is a state or province; `line_type` and `network` are those of `numbers.Line`. `birthday` is ISO.
    `lat` and `lon` are degrees (WGS 84); they come together, `seen_ms` says when. Times are milliseconds since
    1970, UTC.
    """

    line: int
    e164: str
    country: str
    zone: str
    zones: tuple[str, ...]
    region: str
    first_name: str = ""
    last_name: str = ""
    language: str = ""
    city: str = ""
    birthday: str = ""
    gender: str = ""
    tags: tuple[str, ...] = ()
    attributes: dict[str, str] = field(default_factory=dict)
    lat: float | None = None
    lon: float | None = None
    seen_ms: int | None = None
    consent: bool | None = None
    consent_ms: int | None = None
    consent_source: str = ""
    line_type: str = ""
    network: str = ""


@dataclass(frozen=True, slots=True)
class Reject:
    """A line that is in the rejects file: refused, or `kept` without the cells that the reason names."""

    line: int
    reason: str
    raw: str
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """Up to 1,000 records of the file.

    `rows` has each number once; `merged` counts the lines that joined another's row. `rejects` were refused,
    `notes` are kept rows that lost a cell. `line` is the last line read: committed with the rows, it is the
    `start_line` of a later reading. `bytes_read` is for progress.
    """

    rows: tuple[Row, ...]
    merged: int
    rejects: tuple[Reject, ...]
    notes: tuple[Reject, ...]
    line: int
    bytes_read: int
    encoding: str
    unmapped: tuple[columns.Unmapped, ...]


def read(
    file: BinaryIO,
    *,
    country: str,
    languages: Sequence[str],
    attributes: Mapping[str, Sequence[str]],
    now_ms: int,
    timezone: str = "UTC",
    start_line: int = 0,
) -> Iterator[Batch]:
    """Read a CSV file in batches; memory does not grow with the file. Raises `spreadsheets.BadFile`.

    UTF-8 or GB18030; commas, semicolons or tabs; the first line holds the headings. `country` (ISO) says how to
    read a number without plus and a date like 3/4/2004, `timezone` (IANA) a time without offset. `attributes`
    are the declared columns with the values they may have. Lines up to `start_line` were done before.
    """
    lines, headings, records = spreadsheets.open_csv(file)
    meanings = columns.meanings(country=country, languages=languages, now_ms=now_ms, timezone=timezone)
    sheet = columns.match(headings, meanings, attributes, country)
    lines.skip(start_line)
    chunk = list(islice(records, BATCH))
    yield _batch(chunk, sheet, lines)  # also when empty: what the columns mean is worth telling
    while chunk := list(islice(records, BATCH)):
        yield _batch(chunk, sheet, lines)


def begin_rejects(path: Path, start_line: int = 0) -> None:
    """Make the rejects file ready: afresh, or on resuming without what a crash left of lines after `start_line`."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", newline="") as file:
        heading, *kept = file.read().splitlines(keepends=True) or [""]
    kept = [line for line in kept if line.endswith("\n") and int(line.partition(",")[0]) <= start_line]
    if start_line == 0 or not kept:
        path.unlink()
    else:
        path.write_text(heading + "".join(kept), encoding="utf-8", newline="")


def write_rejects(path: Path, rejects: Iterable[Reject]) -> None:
    """Append lines with their reasons to the rejects file, one physical line each; no rejects, no file."""
    headings = ("line", "result", "reason", "row")
    text = list(
        exporting.csv_lines(
            headings,
            (
                {
                    "line": reject.line,
                    "result": "kept" if reject.kept else "rejected",
                    "reason": _one_line(reject.reason),
                    "row": _one_line(reject.raw),
                }
                for reject in sorted(rejects, key=lambda reject: reject.line)
            ),
        )
    )
    if len(text) > 1:
        with path.open("a", encoding="utf-8", newline="") as file:
            file.writelines(text[1:] if file.tell() else text)


def _batch(chunk: list[spreadsheets.Record], sheet: columns.Sheet, lines: spreadsheets.Lines) -> Batch:
    """Rows, rejects and notes of up to 1,000 records."""
    people: dict[str, tuple[int, numbers.Number, dict[str, Any]]] = {}
    rejects, notes = [], []
    merged = 0
    for record in chunk:
        reason, number = _number(record, sheet)
        if number is None:
            rejects.append(Reject(record.line, reason, record.raw))
            continue
        values, complaints = _values(record.cells, sheet)
        if complaints:
            notes.append(Reject(record.line, "; ".join(complaints), record.raw, kept=True))
        if number.e164 in people:
            _merge(people[number.e164][2], values)
            merged += 1
        else:
            people[number.e164] = record.line, number, values
    return Batch(
        tuple(_row(*person) for person in people.values()),
        merged,
        tuple(rejects),
        tuple(notes),
        lines.number,
        lines.bytes_read,
        lines.encoding,
        sheet.unmapped_so_far(),
    )


def _number(record: spreadsheets.Record, sheet: columns.Sheet) -> tuple[str, numbers.Number | None]:
    """The phone of a record whose cells fit under the headings, else why it must be refused."""
    found = record.cells
    if record.problem:
        return record.problem, None
    if len(found) < sheet.width:  # many programs leave out empty cells at the end
        found.extend([""] * (sheet.width - len(found)))
    elif len(found) > sheet.width and any(found[sheet.width :]):
        return f"{len(found)} cells under {sheet.width} headings: quote a cell that has the delimiter in it", None
    try:
        return "", numbers.parse(found[sheet.phone], sheet.country)
    except numbers.BadNumber as error:
        return f"{sheet.phone_heading}: {error.reason}", None


def _values(found: list[str], sheet: columns.Sheet) -> tuple[dict[str, Any], list[str]]:
    """The fields that this row tells, and a complaint for each cell that had to be left out."""
    values: dict[str, Any] = {}
    complaints: list[str] = []
    _fill(values, found, sheet.known, complaints)
    own: dict[str, Any] = {}
    _fill(own, found, sheet.attributes, complaints)
    if own:
        values["attributes"] = own
    if "name" in values:
        for name, part in zip(("first_name", "last_name"), values.pop("name"), strict=True):
            if part:
                values.setdefault(name, part)
    _settle_position(values, complaints)
    sheet.notice(found)
    return values, complaints


def _fill(values: dict[str, Any], found: list[str], wanted: tuple[columns.Column, ...], complaints: list[str]) -> None:
    for place, heading, name, meaning in wanted:
        cell = found[place]
        if cell in _BLANK:
            continue
        cell = " ".join(cell.split())
        if cell[:1] == "'":
            cell = exporting.plain_cell(cell)
        try:
            values[name] = meaning(cell)
        except cells.Unusable as error:
            complaints.append(f'{heading} "{cell[:40]}" {error}; left out')


def _settle_position(values: dict[str, Any], complaints: list[str]) -> None:
    """A position is two figures; 0, 0 lies in the sea and means unknown in every export that has it."""
    lat, lon = values.get("lat"), values.get("lon")
    if lat is None or lon is None or lat == lon == 0:
        values.pop("lat", None)
        values.pop("lon", None)
        values.pop("seen_ms", None)
        if (lat is None) != (lon is None):
            complaints.append("half a position (latitude and longitude are needed); left out")


def _merge(values: dict[str, Any], later: dict[str, Any]) -> None:
    """Let a later line of the same phone fill and replace; consent and position go by their own time."""
    for leader, *others in _TOGETHER:
        if leader in values and leader in later:
            time = others[-1]
            newer_first = values.get(time) and later.get(time) and values[time] > later[time]
            for name in (leader, *others):
                (later if newer_first else values).pop(name, None)
    if "attributes" in values and "attributes" in later:
        later["attributes"] = values["attributes"] | later["attributes"]
    values.update(later)


def _row(line: int, number: numbers.Number, values: dict[str, Any]) -> Row:
    stated = values.pop("zone", "")
    line_type, network = numbers.line_of(number.e164)
    return Row(
        line,
        number.e164,
        number.country,
        stated or number.zone,
        (stated,) if stated else number.zones,
        number.region,
        line_type=line_type,
        network=network,
        **values,
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())
