"""Reads the lines and cells of a CSV file, whatever program saved it: encodings, delimiters, quotation marks."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO, NamedTuple

from gateway.errors import CarillonError

LONGEST_LINE = 1 << 20  # bytes
_NOT_CSV = {
    b"PK\x03\x04": "is an Excel workbook",
    b"\xd0\xcf\x11\xe0": "is an old Excel workbook",
    b"\xff\xfe": "is UTF-16 text",
    b"\xfe\xff": "is UTF-16 text",
}
_TWO_HIGH_BYTES = re.compile(rb"[\x80-\xff]{2}")


class BadFile(CarillonError):
    """A file that cannot be read as a list of people; the text says where and what to do."""


class Record(NamedTuple):
    """One line of the file (or several, where a quoted cell has line breaks); `problem` if it is no CSV."""

    line: int
    cells: list[str]
    raw: str
    problem: str = ""


def open_csv(file: BinaryIO) -> tuple[Lines, list[str], Iterator[Record]]:
    """The counted lines of a file, its headings, and the records below them, read as they are asked for.

    Commas, semicolons or tabs; UTF-8 or GB18030. Raises `BadFile`.
    """
    lines = Lines(file)
    first = next(lines, "")
    if first.startswith("sep="):  # Excel's own way to name the delimiter
        first = next(lines, "")
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
    try:
        headings = next(reader, [])
    except csv.Error as error:
        raise BadFile(f"line 1: the headings cannot be read as CSV ({error})") from None
    return lines, headings, _records(reader, lines, delimiter)


class Lines(Iterator[str]):
    """The file's lines as text, counted; the first line that is not plain ASCII settles the encoding."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._settled = False
        self.encoding = "utf-8"
        self.number = 0
        self.bytes_read = 0
        self.last = ""

    def __next__(self) -> str:
        raw = self._file.readline(LONGEST_LINE)
        if not raw:
            raise StopIteration
        self.number += 1
        self.bytes_read += len(raw)
        if self.number == 1:
            raw = self._begin(raw)
        if len(raw) == LONGEST_LINE:
            raise BadFile(f"line {self.number} has no end within 1 MB: is this a CSV file?")
        self.last = raw.decode() if raw.isascii() else self._decode(raw)
        return self.last

    def skip(self, last: int) -> None:
        """Pass over the lines up to and with `last`."""
        while self.number < last and next(self, None) is not None:
            pass

    def _begin(self, raw: bytes) -> bytes:
        for beginning, what in _NOT_CSV.items():
            if raw.startswith(beginning):
                raise BadFile(f"the file {what}: open it in the spreadsheet and save it as CSV UTF-8")
        if b"\r" in raw.rstrip(b"\r\n"):
            raise BadFile("the lines end as on an old Macintosh: save the file again as CSV UTF-8")
        self._settled = raw.startswith(b"\xef\xbb\xbf")
        return raw.removeprefix(b"\xef\xbb\xbf")

    def _decode(self, raw: bytes) -> str:
        try:
            text = raw.decode(self.encoding)
        except UnicodeDecodeError:
            # Chinese stands in runs; a lone high byte is a Western code page, which GB18030 would turn to gibberish.
            if self._settled or not _TWO_HIGH_BYTES.search(raw):
                raise self._unreadable() from None
            self.encoding = "gb18030"
            try:
                text = raw.decode(self.encoding)
            except UnicodeDecodeError:
                raise self._unreadable() from None
        self._settled = True
        return text

    def _unreadable(self) -> BadFile:
        known = f"{self.encoding.upper()} like the lines before" if self._settled else "UTF-8 or GB18030"
        return BadFile(f"line {self.number} is not {known}: save the file as CSV UTF-8 and import it again")


def _records(reader: Iterator[list[str]], lines: Lines, delimiter: str) -> Iterator[Record]:
    """The records after the headings, without blank ones."""
    while True:
        line = lines.number + 1
        try:
            found = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Record(line, [], lines.last, _csv_problem(error, line, lines.number))
            continue
        if any(found):
            yield Record(line, found, delimiter.join(found))


def _csv_problem(error: csv.Error, first: int, last: int) -> str:
    """What the csv module's complaint means, and how many lines it cost."""
    where = f"lines {first} to {last} were not read" if last > first else "the line was not read"
    if "expected after" in str(error):
        return f'a quotation mark within a quoted cell must be doubled (""); {where}'
    return f"a quotation mark is opened and not closed; {where}"
