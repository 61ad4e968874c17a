"""What one cell of a customer file means: dates, yes and no, languages and positions, as people write them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

from babel import Locale

from gateway.clock import to_ms

LONGEST = 200  # characters of a name or a city; more is another file's text
OLDEST = 120  # years
DAY_MS = 86_400_000


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_MONTH_FIRST = _set("US PR GU VI AS MP PH FM PW MH")  # 3/25/2004; day first everywhere else
_DATE = re.compile(r"(\d{1,4})[-/.年 ]+(\d{1,2})[-/.月 ]+(\d{1,4})日?(?:[T ].*)?")
_AGO = re.compile(r"(\d+) ?(min(?:ute)?s?|h(?:ours?|rs?)?|d(?:ays?)?|分钟前?|小时前?|天前?)(?: ago)?", re.IGNORECASE)
_UNIT_MS = {"m": 60_000, "分": 60_000, "h": 3_600_000, "小": 3_600_000, "d": DAY_MS, "天": DAY_MS}
_BETWEEN_TAGS = re.compile(r"\s*[,;|，；、]\s*")
_YES = _set("yes y true t 1 x on ok ✓ ✔ √ 是 同意 有 opted_in opted-in subscribed")
_NO = _set("no n false f 0 off ✗ × 否 不同意 无 opted_out opted-out unsubscribed")
_GENDERS = {
    **dict.fromkeys(_set("f female w woman 女 女性 女士"), "female"),
    **dict.fromkeys(_set("m male man 男 男性 先生"), "male"),
    **dict.fromkeys(_set("o other x d diverse nonbinary non-binary 其他"), "other"),
}
# The commonest surnames of two characters; all others have one.
_TWO_CHARACTER_SURNAMES = _set("欧阳 司马 上官 诸葛 司徒 东方 夏侯 皇甫 尉迟 公孙 慕容 长孙 宇文 令狐 端木")
_HAN_NAME = re.compile(r"[\u4e00-\u9fff]{2,4}")


class Unusable(ValueError):
    """A cell that cannot be understood; the text completes the sentence `birthday "…" …`."""


def words(cell: str) -> str:
    """A name or a city, as it stands."""
    if len(cell) > LONGEST:
        raise Unusable(f"has {len(cell)} characters, at most {LONGEST} fit")
    return cell


def full_name(cell: str) -> tuple[str, str]:
    """First and last name of a cell that holds both: `Ana Ruiz`, `Ruiz, Ana`, `王小明`."""
    words(cell)
    if _HAN_NAME.fullmatch(cell):
        end = 2 if cell[:2] in _TWO_CHARACTER_SURNAMES and len(cell) > 2 else 1
        return cell[end:], cell[:end]
    last, comma, first = cell.partition(", ")
    if comma:
        return first, last
    first, _, last = cell.rpartition(" ")
    return (first, last) if first else (last, "")


def birthday(cell: str, *, today: date, country: str) -> str:
    """A day of birth as `2004-03-25`. `3/4/2004` is read as the country does; people over 120 are a slip."""
    day = _day(cell, month_first=country in _MONTH_FIRST)
    if day > today:
        raise Unusable("is in the future")
    if (age := today.year - day.year) > OLDEST:
        raise Unusable(f"would make this person {age} years old")
    return day.isoformat()


def gender(cell: str) -> str:
    """`female`, `male` or `other`."""
    if found := _GENDERS.get(cell.casefold()):
        return found
    raise Unusable("is not known: write female, male or other")


def yes_or_no(cell: str) -> bool:
    """True for a clear yes, false for a clear no; anything between is no consent and no refusal."""
    word = cell.casefold()
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise Unusable("is neither yes nor no")


def moment(cell: str, *, now_ms: int, zone: ZoneInfo) -> int:
    """A time in milliseconds since 1970: ISO 8601, or `40 min ago`, `2 h ago`, `3 d ago`.

    Without an offset it is read in `zone`. More than a day ahead of now is a slip; less is a clock that differs.
    """
    if ago := _AGO.fullmatch(cell):
        at_ms = now_ms - int(ago[1]) * _UNIT_MS[ago[2][0].lower()]
    else:
        try:
            at = datetime.fromisoformat(cell.replace("/", "-"))
            at_ms = to_ms(at if at.tzinfo else at.replace(tzinfo=zone))
        except (ValueError, OverflowError):
            raise Unusable("is not a time: write 2026-03-25T14:30+01:00 or 40 min ago") from None
    if at_ms > now_ms + DAY_MS:
        raise Unusable("is in the future")
    if at_ms < 0:
        raise Unusable("is before 1970, so it is no time of a mobile phone")
    return at_ms


def degrees(cell: str, *, most: int) -> float:
    """A latitude (`most` 90) or longitude (`most` 180) in decimal degrees."""
    try:
        value = float(cell)
    except ValueError:
        raise Unusable("is not a number of degrees, such as 47.6097") from None
    if not -most <= value <= most:
        raise Unusable(f"is not within -{most} and {most}: are latitude and longitude swapped?")
    return value


def tags(cell: str) -> tuple[str, ...]:
    """Tags in lower case, without repeats, split at `;`, `,` or `|`."""
    return tuple(dict.fromkeys(tag for tag in _BETWEEN_TAGS.split(cell.casefold()) if tag))


def zone(cell: str) -> str:
    """An IANA zone that exists."""
    try:
        return ZoneInfo(cell).key
    except (KeyError, ValueError, OSError):
        raise Unusable("is not a time zone: write America/Los_Angeles") from None


def language(languages: Sequence[str]) -> Callable[[str], str]:
    """A reader of languages: the codes of `languages` (`zh`, `zh-CN`, `zh_Hans`) and names (`中文`, `Chinese`)."""
    codes = {code.casefold(): code for code in languages}
    names = {
        name.casefold(): code
        for code in languages
        for reader in {*languages, "en"}
        if (name := Locale.parse(code, sep="-").get_language_name(Locale.parse(reader, sep="-")))
    }

    def read(cell: str) -> str:
        word = cell.casefold()
        tag = word.replace("_", "-")
        if found := codes.get(tag) or codes.get(tag.partition("-")[0]) or names.get(word):
            return found
        raise Unusable(f"is not one of the languages {', '.join(languages)}")

    return read


def one_of(allowed: Sequence[str]) -> Callable[[str], str]:
    """A reader of a declared attribute: any case is taken, the declared spelling is kept."""
    spelling = {value.casefold(): value for value in allowed}

    def read(cell: str) -> str:
        if (found := spelling.get(cell.casefold())) is not None:
            return found
        raise Unusable(f"is not one of {', '.join(allowed)}")

    return read


def _day(cell: str, *, month_first: bool) -> date:
    try:
        return date.fromisoformat(cell)
    except ValueError:
        found = _DATE.fullmatch(cell)
    if not found:
        raise Unusable("is not a date: write 2004-03-25")
    first, second, third = (int(part) for part in found.groups())
    if len(found[1]) == 4:
        orders = [(first, second, third)]
    elif len(found[3]) == 4:
        orders = [(third, first, second), (third, second, first)]
        if not month_first:
            orders.reverse()
    else:
        raise Unusable("has no year of four digits: write 2004-03-25")
    for year, month, day in orders:
        try:
            return date(year, month, day)
        except ValueError:
            continue
    raise Unusable("is not in the calendar: write 2004-03-25")
