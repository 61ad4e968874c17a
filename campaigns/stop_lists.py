"""Takes over a list of people who have left elsewhere: their STOP holds here from that moment on.

A number, or a line of a CSV file, is a STOP. What cannot be read is told by line, for a STOP that is lost is one that
is broken. In doubt a STOP holds: only a START that the person texted here after the time in the list outweighs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date
from functools import lru_cache, partial
from itertools import chain, islice
from typing import BinaryIO, NamedTuple
from zoneinfo import ZoneInfo

import orjson

from campaigns import cells, columns, people, spreadsheets
from campaigns.business import Business
from campaigns.importing import BATCH, Reject
from gateway import numbers
from gateway.store import Tx

# Headings of the time at which a person left; an empty cell below one of them says that they have not.
WHEN_LEFT = frozenset((
    "left", "left_at", "stopped", "stopped_at", "opted_out", "opted_out_at", "opt_out", "opt_out_at", "opt_out_time",
    "opt_out_date", "unsubscribed", "unsubscribed_at", "unsubscribe_date", "date_unsubscribed", "退订", "退订时间",
))  # fmt: skip
# Of any time that stands beside a STOP; not when a row was made, which may be long before the person left.
WHEN = frozenset(("time", "timestamp", "at", "date_sent", "received", "received_at", "时间"))
# Below WHEN_LEFT these say who has left; to `cells.yes_or_no`, which reads them as words of consent, the opposite.
LEFT = frozenset(("opted_out", "unsubscribed", "stopped", "stop", "left", "不同意", "退订", "已退订"))
STAYED = frozenset(("subscribed", "opted_in", "active"))


class Stop(NamedTuple):
    """Whose phone (E.164), and when they left: milliseconds since 1970, 0 where the list does not tell."""

    phone: str
    at: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Up to 1,000 lines: each phone once, `repeated` lines named one again. `line` is the last that was read."""

    stops: tuple[Stop, ...]
    repeated: int
    rejects: tuple[Reject, ...]
    line: int
    bytes_read: int


@dataclass(frozen=True, slots=True)
class Counts:
    """What a list came to: who left by it, had left already, has texted START here since, or could not be read.

    With a programme, `already` are those who were not in it.
    """

    added: int = 0
    already: int = 0
    returned: int = 0
    rejected: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(Counts)))


class Progress(NamedTuple):
    """How far a list has been taken over: through `line`, with these counts."""

    line: int
    counts: Counts


# --- reading ---------------------------------------------------------------------------------------------------------


class _Sheet(NamedTuple):
    """Where the phone and the time stand; places are -1 where there is none."""

    phone: int
    when: int
    heading: str
    is_left: bool  # an empty time says that the person has not left
    has_headings: bool


def read(
    file: BinaryIO, *, country: str, now_ms: int, timezone: str, column: str = "", start_line: int = 0
) -> Iterator[Batch]:
    """Read a list in batches; memory does not grow with it. Raises `spreadsheets.BadFile`.

    One number a line, or a CSV file with headings, of which `column` names that of the phone where it is none that we
    know. `country` (ISO) says how to read a number without plus, `timezone` (IANA) a time without offset.
    """
    lines, first, records = spreadsheets.open_csv(file)
    sheet = _sheet(first, column, country)
    if not sheet.has_headings and not start_line:
        records = chain([spreadsheets.Record(lines.number, first, ",".join(first))], records)
    lines.skip(start_line)
    moment = lru_cache(8192)(partial(_moment, now_ms=now_ms, zone=ZoneInfo(timezone)))
    while chunk := list(islice(records, BATCH)):
        stops: dict[str, int] = {}
        rejects = []
        for record in chunk:
            problem, stop = _stop(record, sheet, country, moment)
            if stop:
                stops[stop.phone] = max(stop.at, stops.get(stop.phone, 0))
            if problem:
                rejects.append(Reject(record.line, problem, record.raw, kept=stop is not None))
        repeated = len(chunk) - len(stops) - sum(not each.kept for each in rejects)
        yield Batch(tuple(map(Stop._make, stops.items())), repeated, tuple(rejects), lines.number, lines.bytes_read)


def _sheet(first: list[str], column: str, country: str) -> _Sheet:
    headings = [columns.normal(heading) for heading in first]
    wanted = columns.normal(column)
    if column and wanted not in headings:
        there = ", ".join(f'"{heading}"' for heading in first)
        raise spreadsheets.BadFile(f'no column "{column}": found {there}')
    phones = [place for place, name in enumerate(headings)
              if (name == wanted if column else columns.HEADINGS.get(name) == "phone")]  # fmt: skip
    if len(phones) > 1:
        there = ", ".join(f'"{first[place]}"' for place in phones)
        raise spreadsheets.BadFile(f"{len(phones)} columns hold numbers: {there}; say --column, one at a time")
    if phones:
        left = next((place for place, name in enumerate(headings) if name in WHEN_LEFT), -1)
        when = left if left >= 0 else next((place for place, name in enumerate(headings) if name in WHEN), -1)
        return _Sheet(phones[0], when, first[when] if when >= 0 else "", left >= 0, has_headings=True)
    places = [place for place, cell in enumerate(first) if _parsed(cell, country)[1]]
    if len(places) > 1:
        there = ", ".join(f'"{first[place]}"' for place in places)
        raise spreadsheets.BadFile(f"line 1 holds {len(places)} numbers: {there}; give it headings and say --column")
    if places:
        return _Sheet(places[0], -1, "", is_left=False, has_headings=False)
    there = ", ".join(f'"{heading}"' for heading in first) or "nothing"
    raise spreadsheets.BadFile(f"line 1 holds neither a number nor a heading that we know: found {there}; say --column")


def _stop(
    record: spreadsheets.Record, sheet: _Sheet, country: str, moment: Callable[[str], int]
) -> tuple[str, Stop | None]:
    """The STOP of a line, and what is to be told of it: without a STOP why it is none."""
    if record.problem:
        return record.problem, None
    if len(record.cells) <= sheet.phone:
        return "the line has no cell for the number", None
    reason, phone = _parsed(record.cells[sheet.phone], country)
    if not phone:
        return reason, None
    if not sheet.has_headings:
        others = [cell for place, cell in enumerate(record.cells) if place != sheet.phone and _parsed(cell, country)[1]]
        return f"{', '.join(others)} not stopped: write one number a line" if others else "", Stop(phone, 0)
    if sheet.when < 0:
        return "", Stop(phone, 0)
    cell = record.cells[sheet.when].strip() if len(record.cells) > sheet.when else ""
    return _timed(phone, cell, sheet, moment)


def _timed(phone: str, cell: str, sheet: _Sheet, moment: Callable[[str], int]) -> tuple[str, Stop | None]:
    if not cell:
        return (f"nothing stands under {sheet.heading}: has this person left?", None) if sheet.is_left else (
            "", Stop(phone, 0)
        )  # fmt: skip
    try:
        return "", Stop(phone, moment(cell))
    except cells.Unusable as unusable:
        reason = str(unusable)
    has_left = _has_left(cell) if sheet.is_left else None
    if has_left is None:
        return f'{sheet.heading} "{cell[:40]}" {reason}; the STOP counts from now', Stop(phone, 0)
    return ("", Stop(phone, 0)) if has_left else (f'{sheet.heading} says "{cell}": no STOP', None)


def _has_left(cell: str) -> bool | None:
    """Whether a word says that the person has left; None if it says neither."""
    word = cell.casefold().replace("-", "_").replace(" ", "_")
    if word in LEFT or word in STAYED:
        return word in LEFT
    try:
        return cells.yes_or_no(cell)
    except cells.Unusable:
        return None


def _moment(cell: str, *, now_ms: int, zone: ZoneInfo) -> int:
    """A time as in `cells.moment`. A day alone counts to its end, so that no START of that day outweighs the STOP."""
    try:
        date.fromisoformat(cell.replace("/", "-"))
    except ValueError:
        return cells.moment(cell, now_ms=now_ms, zone=zone)
    return min(now_ms, cells.moment(f"{cell}T23:59:59.999", now_ms=now_ms, zone=zone))


def _parsed(cell: str, country: str) -> tuple[str, str]:
    """Why a cell is no phone, or the phone."""
    try:
        return "", numbers.parse(cell.strip().removeprefix("'"), country).e164
    except numbers.BadNumber as error:
        return error.reason, ""


# --- writing ---------------------------------------------------------------------------------------------------------


async def progress_of(tx: Tx, business: Business, digest: str) -> Progress | None:
    """How far a list with this digest has been taken over, None if never."""
    rows = await tx.rows("import_get", brand=business.brand, digest=digest)
    return Progress(rows[0][0], Counts(**orjson.loads(rows[0][1]))) if rows else None


async def keep_progress(tx: Tx, business: Business, digest: str, name: str, progress: Progress, now: int) -> None:
    """Note how far the list `name` with this digest has been taken over, in the transaction that does it."""
    counts = asdict(progress.counts)
    await tx.run(
        "import_put", brand=business.brand, digest=digest, name=name, line=progress.line, counts=counts, at=now
    )


async def record(tx: Tx, business: Business, stops: Sequence[Stop], program: str, source: str, now: int) -> Counts:
    """Obey STOPs of a list; with a `program` (else empty) the people leave only that. Whom we do not know we make.

    Each stands in the ledger with its own time and with `source`. As with every import, programs are told of nobody.
    """
    ids = await people.find_or_create_all(tx, business, [stop.phone for stop in stops], now)
    times = {ids[phone]: min(at, now) or now for phone, at in stops if phone in ids}
    asked = [[person, at] for person, at in times.items()]
    if program:
        rows = await tx.rows("stop_list_withdraw", program=program, people=asked)
        left = {person: [program] for (person,) in rows}
        still_in: int = await tx.value("stop_list_members", program=program, people=[*times])
        counts = Counts(len(left), len(times) - len(left) - still_in, still_in)
    else:
        left = {person: [] for (person,) in await tx.rows("stop_list_add", brand=business.brand, people=asked)}
        stopped: int = await tx.value("stop_count", people=[*times])
        counts = Counts(len(left), stopped - len(left), len(times) - stopped)
        for person, ended in await tx.rows("stop_list_consents", people=[*left]):
            left[person].append(ended)
        await tx.run("stop_list_dialogs", people=[*left])
    await tx.many(
        "ledger_insert",
        [(business.brand, person, program, "left", times[person], source, "", None, None) for person in left],
    )
    await tx.many(
        "activity_insert",
        [(business.brand, person, "left", subject, times[person], "import")
         for person, ended in left.items() for subject in ended or [""]],
    )  # fmt: skip
    return counts
