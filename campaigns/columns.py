"""Finds out what the columns of a customer file mean, and what is to be said of those that mean nothing to us."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import orjson

from campaigns import cells
from campaigns.spreadsheets import BadFile
from gateway import numbers
from gateway.clock import from_ms

MOST_VALUES = 12  # a column with more different ones is free text, not an attribute

# Headings in lower case, words joined by underscores.
HEADINGS = {
    heading: name
    for name, headings in {
        "phone": "phone phone_number phone_no mobile mobile_number mobile_phone mobile_no msisdn number cell "
        "cell_phone cellphone tel telephone 手机 手机号 手机号码 移动电话 电话 电话号码 联系电话",
        "name": "name full_name fullname 姓名",
        "first_name": "first_name firstname first given_name 名 名字",
        "last_name": "last_name lastname last surname family_name 姓 姓氏",
        "language": "language lang locale 语言",
        "city": "city town 城市",
        "birthday": "birthday birth_date birthdate date_of_birth dob 生日 出生日期",
        "gender": "gender sex 性别",
        "tags": "tags tag labels 标签",
        "lat": "latitude lat 纬度",
        "lon": "longitude lon lng long 经度",
        "seen": "seen seen_at last_seen 最近出现",
        "consent": "consent opt_in optin opted_in 同意 是否同意",
        "consent_time": "consent_time consent_at consent_date consented_at opt_in_time 同意时间",
        "consent_source": "consent_source opt_in_source 同意来源",
        "zone": "zone timezone time_zone 时区",
    }.items()
    for heading in headings.split()
}
_PLAIN_YAML = re.compile(r"(?!(?:yes|no|on|off|y|n|true|false|null)$)[^\W\d][\w-]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Unmapped:
    """A column that nobody asked for: its heading and its values so far, None if they are too many to list."""

    heading: str
    values: tuple[str, ...] | None


class Column(NamedTuple):
    """A column that means something: where it stands, and how its cells become a field of `Row`."""

    place: int
    heading: str
    name: str
    meaning: Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Sheet:
    """What the columns of this file mean. Only the sets of values seen in `unmapped` change."""

    country: str
    width: int
    phone: int
    phone_heading: str
    known: tuple[Column, ...]
    attributes: tuple[Column, ...]
    unmapped: tuple[tuple[int, str, set[str]], ...]

    def notice(self, found: list[str]) -> None:
        """Remember what stands in the columns that nobody asked for, up to `MOST_VALUES` each."""
        for place, _, seen in self.unmapped:
            if len(seen) <= MOST_VALUES and (cell := found[place].strip()):
                seen.add(cell)

    def unmapped_so_far(self) -> tuple[Unmapped, ...]:
        """The columns that nobody asked for, with their values until now."""
        return tuple(
            Unmapped(heading, tuple(sorted(seen)) if len(seen) <= MOST_VALUES else None)
            for _, heading, seen in self.unmapped
        )


Meaning = tuple[str, Callable[[str], Any]]  # the field of a row that a column fills, and the reader of its cells


def meanings(*, country: str, languages: Sequence[str], now_ms: int, timezone: str) -> dict[str, Meaning]:
    """For each known column but the phone what it means; readers of what recurs remember their answers."""
    birthday = partial(cells.birthday, today=from_ms(now_ms).date(), country=country)
    moment = lru_cache(8192)(partial(cells.moment, now_ms=now_ms, zone=ZoneInfo(timezone)))
    recurring = lru_cache(8192)
    return {
        "name": ("name", cells.full_name),
        "first_name": ("first_name", cells.words),
        "last_name": ("last_name", cells.words),
        "language": ("language", recurring(cells.language(languages))),
        "city": ("city", cells.words),
        "birthday": ("birthday", lru_cache(65536)(birthday)),
        "gender": ("gender", recurring(cells.gender)),
        "tags": ("tags", recurring(cells.tags)),
        "lat": ("lat", partial(cells.degrees, most=90)),
        "lon": ("lon", partial(cells.degrees, most=180)),
        "seen": ("seen_ms", moment),
        "consent": ("consent", recurring(cells.yes_or_no)),
        "consent_time": ("consent_ms", moment),
        "consent_source": ("consent_source", cells.words),
        "zone": ("zone", recurring(cells.zone)),
    }


def match(
    headings: list[str], meanings: Mapping[str, Meaning], attributes: Mapping[str, Sequence[str]], country: str
) -> Sheet:
    """Match headings with fields and attributes. Raises `BadFile` if no column is the phone, or two are one thing."""
    declared = {normal(name): name for name in attributes}
    places: dict[str, int] = {}
    known, own, unmapped = [], [], []
    for place, heading in enumerate(headings):
        key = normal(heading)
        name = HEADINGS.get(key) or declared.get(key)
        if name is None:
            if heading.strip():
                unmapped.append((place, heading.strip(), set[str]()))
            continue
        if name in places:
            raise _twice(name, headings, places[name], place)
        places[name] = place
        if name in meanings:
            known.append(Column(place, heading, *meanings[name]))
        elif name in attributes:
            own.append(Column(place, heading, name, lru_cache(4096)(cells.one_of(attributes[name]))))
    if "phone" not in places:
        raise _no_phone(headings, country)
    phone = places["phone"]
    return Sheet(country, len(headings), phone, headings[phone], tuple(known), tuple(own), tuple(unmapped))


def paste(unmapped: Iterable[Unmapped]) -> str:
    """The lines for `attributes:` in config.yaml that would keep these columns; a comment where none can."""
    return "\n".join(map(_paste_one, unmapped))


def normal(heading: str) -> str:
    """A heading without case, width and punctuation: `Date of Birth ` is `date_of_birth`."""
    plain = unicodedata.normalize("NFKC", heading).casefold()
    return re.sub(r"[\W_]+", "_", plain).strip("_")


def _twice(name: str, headings: list[str], first: int, second: int) -> BadFile:
    return BadFile(
        f'columns {first + 1} "{headings[first]}" and {second + 1} "{headings[second]}" both hold the {name}: '
        "keep one, or give the other a heading of its own"
    )


def _no_phone(headings: list[str], country: str) -> BadFile:
    """Says whether the headings lack a phone or the file lacks the headings."""
    for heading in headings:
        try:
            numbers.parse(heading, country)
        except numbers.BadNumber:
            continue
        return BadFile("line 1 holds a person, not headings: put a line such as phone,first_name,consent above it")
    found = ", ".join(f'"{heading}"' for heading in headings) or "nothing"
    return BadFile(f"no column holds the phone: found {found}; name one phone, mobile, msisdn or 手机")


def _paste_one(column: Unmapped) -> str:
    name = normal(column.heading)
    if not column.values:
        why = "more than 12 different values" if column.values is None else "only empty cells"
        return f"  # {column.heading}: {why}, so it is no attribute"
    return f"  {_yaml(name)}: [{', '.join(map(_yaml, column.values))}]"


def _yaml(text: str) -> str:
    return text if _PLAIN_YAML.fullmatch(text) else orjson.dumps(text).decode()
