"""The small values that people write in config.yaml: `30 d`, `50/s`, `40 USD`, `9:00-20:00`, texts by language."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, ClassVar, NamedTuple, Self
from zoneinfo import available_timezones

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from gateway.wording import found, nearest

UNITS = {
    "s": timedelta(seconds=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
METRES = {"m": 1, "km": 1000}
PER_SECOND = {"s": 1, "min": 60, "h": 3600}
MILLION = 1_000_000
DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class As:
    """Tells pydantic to read a text by `parse`, and an editor what such a text looks like."""

    parse: Callable[[str], Any]
    expected: str
    examples: tuple[str, ...]
    kinds: tuple[type, ...] = ()  # what it may have become already
    show: Callable[[Any], str] = str  # a value as it is written

    def __get_pydantic_core_schema__(self, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        kinds = self.kinds or (source,)

        def read(value: object) -> Any:
            if isinstance(value, str):
                return self.parse(value)
            if isinstance(value, kinds):
                return value
            raise ValueError(f"found {found(value)}, expected {self.expected}")

        return core_schema.no_info_plain_validator_function(read)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "examples": list(self.examples)}


class Written:
    """A value that people write as one short text. `parse` raises ValueError that says what was expected."""

    __slots__ = ()
    expected: ClassVar[str]
    examples: ClassVar[tuple[str, ...]]

    @classmethod
    def parse(cls, text: str) -> Self:
        """The value of a text."""
        raise NotImplementedError  # each kind of value reads its own form

    @classmethod
    def read(cls, value: object) -> Self:
        """The value of what stands in the file, or of itself."""
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls.parse(value)
        raise ValueError(f"found {found(value)}, expected {cls.expected}")

    @classmethod
    def wrong(cls, text: str) -> ValueError:
        """The complaint about a text that is not such a value."""
        return ValueError(f"found {found(text)}, expected {cls.expected}")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.read)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "examples": list(cls.examples)}


def _amount(text: str, units: Mapping[str, Any], expected: str) -> tuple[Decimal, str]:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", text.strip())
    if not match:
        raise ValueError(f"found {found(text)}, expected {expected}")
    number, unit = match.groups()
    if not unit:
        usual = expected.rpartition(" ")[2]
        raise ValueError(f"found {number} without a unit; units are {', '.join(units)}: {number} {usual}?")
    if unit not in units:
        hint = nearest(unit, units) or nearest(unit.lower().removesuffix("s")[:3], units) or unit[:1].lower()
        guess = f"; did you mean {number} {hint}?" if hint in units else ""
        raise ValueError(f"found the unit {found(unit)}; units are {', '.join(units)}{guess}")
    return Decimal(number), unit


def parse_duration(text: str) -> timedelta:
    """A span of time of `30 d`, `2 h`, `10 min`: a number, a space and a unit."""
    number, unit = _amount(text, UNITS, DURATION)
    span = float(number) * UNITS[unit]
    if not span:
        raise ValueError(f"found {found(text)}, expected a time longer than nothing")
    return span


def parse_distance(text: str) -> float:
    """Metres of `800 m` or `2 km`."""
    number, unit = _amount(text, METRES, DISTANCE)
    return float(number * METRES[unit])


def parse_colour(text: str) -> str:
    """A colour as the web writes it, `#7A3E1D`."""
    if not re.fullmatch(r"#[0-9A-Fa-f]{6}", text):
        raise ValueError(f'found {found(text)}, expected a colour in quotes such as "#7A3E1D"')
    return text


def parse_percent(text: str) -> float:
    """A share between 0 and 1 of `2.5%`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text.strip())
    if not match or float(match[1]) > 100:
        raise ValueError(f"found {found(text)}, expected a share such as 2.5%")
    return float(match[1]) / 100


def parse_time(text: str) -> time:
    """A time of day, `18:30`."""
    minutes = _minutes(text)
    if minutes is None or minutes == DAY_MINUTES:
        raise ValueError(f"found {found(text)}, expected a time of day such as 18:30")
    return time(minutes // 60, minutes % 60)


def parse_timezone(text: str) -> str:
    """The name of a zone of the tz database, `America/Los_Angeles`."""
    zones = available_timezones()
    if text not in zones:
        by_city = {zone.rpartition("/")[2].lower(): zone for zone in sorted(zones)}
        close = nearest(text, zones) or by_city.get(text.replace(" ", "_").lower(), "")
        raise ValueError(
            f"no time zone {found(text)}"
            + (f"; did you mean {close}?" if close else ", expected one such as Asia/Shanghai")
        )
    return text


def parse_phone(text: str) -> str:
    """A telephone number, kept as it is written; the brand's country tells later how to read it."""
    digits = re.sub(r"[\s().-]", "", text)
    if not re.fullmatch(r"\+?\d{4,15}", digits):
        raise ValueError(f"found {found(text)}, expected a telephone number such as +1 206 555 0100")
    return text


def parse_moment(text: str) -> datetime:
    """A date, or a date and a time, on the clock of a place that is named elsewhere (so it has no zone)."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"found {found(text)}, expected {MOMENT}") from None
    if moment.tzinfo is not None:
        raise ValueError(f"found {found(text)}; leave out the offset and name the zone in timezone")
    return moment


DURATION = "a number, a space and a unit (s, min, h, d, w), for example 30 d"
DISTANCE = "a number, a space and m or km, for example 800 m"
MOMENT = "a date such as 2027-03-20, or a date and time such as 2027-03-20 10:00"

Distance = Annotated[float, As(parse_distance, DISTANCE, ("800 m", "2 km"), show=lambda metres: f"{metres:g} m")]
Colour = Annotated[str, As(parse_colour, "a colour", ("#7A3E1D",))]
Percent = Annotated[float, As(parse_percent, "a share such as 2.5%", ("2%",), show=lambda share: f"{share * 100:g}%")]
TimeOfDay = Annotated[time, As(parse_time, "a time of day such as 18:30", ("18:30",))]
TimeZone = Annotated[str, As(parse_timezone, "a time zone", ("America/Los_Angeles", "Asia/Shanghai"))]
PhoneNumber = Annotated[str, As(parse_phone, "a telephone number", ("+1 206 555 0100",))]


def is_date_only(text: str) -> bool:
    """True when a moment is written without a time of day."""
    try:
        date.fromisoformat(text.strip())
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Rate(Written):
    """How many in a second."""

    per_s: float
    expected: ClassVar[str] = "a rate such as 50/s or 600/min"
    examples: ClassVar[tuple[str, ...]] = ("50/s", "600/min")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The rate of `50/s`."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*/\s*(s|min|h)", text.strip())
        if not match or not float(match[1]):
            raise cls.wrong(text)
        return cls(float(match[1]) / PER_SECOND[match[2]])

    def __str__(self) -> str:
        return f"{self.per_s:g}/s"


@dataclass(frozen=True, slots=True)
class Money(Written):
    """An amount in millionths of its currency, so that the price of one part fits; rounded only when shown."""

    millionths: int
    currency: str
    expected: ClassVar[str] = "an amount and a currency such as 40 USD"
    examples: ClassVar[tuple[str, ...]] = ("40 USD",)
    form: ClassVar[str] = r"(\d+(?:\.\d{1,6})?) ([A-Z]{3})"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The amount of `40 USD`."""
        match = re.fullmatch(cls.form, text.strip())
        if not match:
            raise cls.wrong(text)
        return cls(int(Decimal(match[1]) * MILLION), match[2])

    def __str__(self) -> str:
        return f"{self.millionths / MILLION:.2f} {self.currency}"

    def for_programs(self) -> dict[str, str]:
        """The exact amount as a decimal number in text, so that nobody rounds it."""
        whole, rest = divmod(self.millionths, MILLION)
        return {"amount": f"{whole}.{rest:06d}".rstrip("0") if rest else str(whole), "currency": self.currency}


@dataclass(frozen=True, slots=True)
class Price(Money):
    """What one part of a text costs."""

    expected: ClassVar[str] = "a price such as 0.0079 USD per part"
    examples: ClassVar[tuple[str, ...]] = ("0.0079 USD per part",)
    form: ClassVar[str] = Money.form + " per part"

    def __str__(self) -> str:
        return f"{Decimal(self.millionths) / MILLION:f} {self.currency} per part"


@dataclass(frozen=True, slots=True)
class Hours(Written):
    """From one minute of the day to another, the end excluded. An end before the begin is on the next day."""

    begin: int  # minutes since midnight
    end: int
    expected: ClassVar[str] = "hours such as 9:00-20:00"
    examples: ClassVar[tuple[str, ...]] = ("9:00-20:00",)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The hours of `9:00-20:00`; `24:00` is the end of the day."""
        begin, dash, end = text.replace("–", "-").partition("-")
        first, last = _minutes(begin), _minutes(end)
        if not dash or first is None or last is None or first in (last, DAY_MINUTES):
            raise cls.wrong(text)
        return cls(first, last)

    def contain(self, minute: int) -> bool:
        """True for a minute of the day within the hours."""
        if self.begin < self.end:
            return self.begin <= minute < self.end
        return minute >= self.begin or minute < self.end

    def __str__(self) -> str:
        return "-".join(f"{minute // 60}:{minute % 60:02}" for minute in (self.begin, self.end))


def _minutes(text: str) -> int | None:
    match = re.fullmatch(r"(\d{1,2}):(\d{2})", text.strip())
    if not match:
        return None
    minutes = int(match[1]) * 60 + int(match[2])
    return minutes if int(match[2]) < 60 and minutes <= DAY_MINUTES else None


class Calendar(StrEnum):
    """A period that begins anew with the day, the week (on Monday) or the month."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Frequency(Written):
    """So many in a period: a calendar's, or rolling. No period means in all."""

    count: int
    period: timedelta | Calendar | None
    expected: ClassVar[str] = "how many in which period, such as 4 per 30 d, 1 per day (week, month) or 1 in all"
    examples: ClassVar[tuple[str, ...]] = ("4 per 30 d", "1 per day", "1 in all")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The frequency of `4 per 30 d`, `1 per day` or `1 in all`."""
        match = re.fullmatch(r"(\d+)\s+(?:per\s+(\S.*)|(in all))", text.strip())
        if not match or int(match[1]) == 0:
            raise cls.wrong(text)
        count, period = int(match[1]), match[2]
        if match[3]:
            return cls(count, None)
        if period in tuple(Calendar):
            return cls(count, Calendar(period))
        if period[:1].isdigit():
            return cls(count, parse_duration(period))
        raise cls.wrong(text)

    def __str__(self) -> str:
        if self.period is None:
            return f"{self.count} in all"
        return f"{self.count} per {self.period if isinstance(self.period, Calendar) else duration_text(self.period)}"


def duration_text(span: timedelta) -> str:
    """A span of time as it is written in the file: the greatest unit that fits without a rest."""
    for unit in ("d", "h", "min"):
        if span % UNITS[unit] == timedelta(0):
            return f"{span // UNITS[unit]} {unit}"
    return f"{span.total_seconds():g} s"


Duration = Annotated[timedelta, As(parse_duration, DURATION, ("30 d", "2 h", "10 min"), show=duration_text)]


class HostPort(NamedTuple):
    """Where to listen or to connect."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> HostPort:
        """The host and port of `0.0.0.0:8080`, `smpp.example.net:2776` or `[::1]:8080`."""
        match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):(\d{1,5})", text.strip())
        if not match or int(match[2]) > 65535:
            raise ValueError(f"found {found(text)}, expected a host and a port such as 127.0.0.1:8081")
        return cls(match[1].strip("[]"), int(match[2]))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


Address = Annotated[HostPort, As(HostPort.parse, "a host and a port such as 127.0.0.1:8081", ("127.0.0.1:8081",))]


@dataclass(frozen=True, slots=True)
class LocalText(Written):
    """What people read: one text for all, or one for each language."""

    texts: Mapping[str, str]  # by language code; under "" stands a text for every language
    expected: ClassVar[str] = "a text, or a map of texts by language such as {en: Hello, zh: 您好}"
    examples: ClassVar[tuple[str, ...]] = ("{en: Hello, zh: 您好}",)

    @classmethod
    def parse(cls, text: str) -> Self:
        """One text for every language."""
        if not text.strip():
            raise ValueError("found an empty text, expected words")
        return cls({"": text})

    @classmethod
    def read(cls, value: object) -> Self:
        """The text of a string or of a map by language."""
        if not isinstance(value, dict):
            return super(LocalText, cls).read(value)
        for code, text in value.items():
            if not re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", code):
                raise ValueError(f'{found(code)} is no language; put quotes around a text that holds ", " or ": "')
            if not isinstance(text, str) or not text.strip():
                raise ValueError(f"found {found(text)} for {code}, expected a text")
        if not value:
            raise ValueError(f"found an empty map, expected {cls.expected}")
        return cls(value)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        by_language = {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1}
        return {"anyOf": [{"type": "string"}, by_language], "examples": [{"en": "Hello", "zh": "您好"}]}

    def say(self, language: str, languages: Sequence[str] = ()) -> str:
        """The text for a reader of `language`; else of the first of `languages` that has one; else any."""
        for code in (language, language.partition("-")[0], "", *languages):
            if code in self.texts:
                return self.texts[code]
        return next(iter(self.texts.values()))

    def missing(self, languages: Collection[str]) -> list[str]:
        """The languages that would get another language's text."""
        return [] if "" in self.texts else [code for code in languages if code not in self.texts]
