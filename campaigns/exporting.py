"""Writes people and results as files that a spreadsheet or a program can open without harm."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import orjson

from gateway import numbers

BYTE_ORDER_MARK = "\ufeff"  # without it Excel reads Chinese as gibberish; the import skips it
# A cell that begins so is run as a formula, in Chinese and Japanese Excel also when full-width (OWASP, CSV injection).
DANGEROUS = frozenset("=+-@\t\r\0＝＋－＠")


def safe_cell(value: object) -> str:
    """One value as a cell: text that a spreadsheet would run as a formula gets a leading quote.

    A number in E.164 keeps its plus, so that it goes through a spreadsheet and back; it can do no harm.
    Several values are joined by semicolons; true and false are yes and no; nothing is the empty cell.
    """
    match value:
        case str():
            return f"'{value}" if value[:1] in DANGEROUS and not numbers.SHAPE.fullmatch(value) else value
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return str(value)
        case datetime():
            return value.isoformat()
        case list() | tuple():
            return safe_cell(";".join(map(str, value)))
    raise TypeError(f"no cell can hold a {type(value).__name__}")


def plain_cell(cell: str) -> str:
    """What `safe_cell` was given: the guarding quote is taken off."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] in DANGEROUS else cell


def csv_lines(headings: Sequence[str], rows: Iterable[Mapping[str, object]]) -> Iterator[str]:
    """A CSV file line by line (RFC 4180, UTF-8 with byte order mark): the headings, then a line a row.

    What a row lacks is an empty cell; what stands under no heading is left out.
    """
    write = csv.writer(_Echo()).writerow
    yield BYTE_ORDER_MARK + write(map(safe_cell, headings))
    for row in rows:
        yield write([safe_cell(row.get(heading)) for heading in headings])


def json_lines(rows: Iterable[Mapping[str, object]]) -> Iterator[bytes]:
    """One JSON object a line (UTF-8), values as they are: for programs, so nothing is guarded."""
    for row in rows:
        yield orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


class _Echo:
    """Gives the CSV writer's text back instead of keeping it; `writerow` returns what `write` returns."""

    def write(self, text: str, /) -> str:
        return text
