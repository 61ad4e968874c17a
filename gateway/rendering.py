"""Puts words together: a marketer's text for one person, our own texts by language, dates and sums, and pages."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from decimal import Decimal
from difflib import get_close_matches
from functools import lru_cache
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import yaml
from babel import Locale, UnknownLocaleError
from babel.dates import DateTimePattern, parse_pattern
from babel.numbers import format_decimal, get_currency_precision
from jinja2 import FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from gateway.errors import CarillonError

LONGEST_VALUE = 60  # characters of a name or city: longer ones are jokes, attacks or import mistakes
_ANYWHERE = {"brand"}  # Chinese texts open with 【brand】 where English ones open with the programme
LONGEST_WORDING = 480  # characters of a value in our own texts: a contest's list of choices must fit

_NAME = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_PLACEHOLDER = re.compile(
    rf"""\{{\{{ \s* (?P<field>{_NAME})
    (?: \s+ or \s+ (?: '(?P<single>[^'{{}}]*)' | "(?P<double>[^"{{}}]*)" ) )?
    \s* \}}\}}""",
    re.VERBOSE,
)
_NOT_FOR_LITERALS = re.compile(r"[{}\x00-\x09\x0b-\x1f\x7f]")
_BLANKS = re.compile(r"\s+")
_JOINERS = "\u200c\u200d"  # without them some family emoji and Persian names fall apart


class BadTemplate(CarillonError):
    """A text asks for more than fields. `position` counts characters from 0; `text` says what to write instead."""

    def __init__(self, position: int, text: str) -> None:
        super().__init__(text)
        self.position = position
        self.text = text


class BadTexts(CarillonError):
    """The files of our own texts do not agree; the message lists every mistake, one a line."""


class Slot(NamedTuple):
    """A place in a text that a field fills: `place` among the pieces, and what to say when the field is empty."""

    place: int
    field: str
    otherwise: str | None
    longest: int


@dataclass(frozen=True, slots=True)
class CompiledText:
    """A text cut into literals and slots once, so that rendering it for a person is one join."""

    fields: frozenset[str]
    pieces: tuple[str, ...]
    slots: tuple[Slot, ...]

    def render(self, values: Mapping[str, str]) -> str:
        """The text for one person; `values` holds every field that has no `or`, else KeyError."""
        pieces = list(self.pieces)
        for place, field, otherwise, longest in self.slots:
            value = values[field] if otherwise is None else values.get(field) or otherwise
            pieces[place] = _fitted(value, otherwise, longest)
        return "".join(pieces)

    def render_many(self, columns: Mapping[str, Sequence[str]], count: int) -> list[str]:
        """The texts for `count` people at once, as `render` has each: a column for every field, one value a person.

        Nearly every column is short and clean, and is found to be so in one look at all its values together.
        """
        pieces: list[Iterable[str]] = [repeat(piece, count) for piece in self.pieces]
        for place, field, otherwise, longest in self.slots:
            if otherwise is None:
                values = columns[field]
            else:
                values = [value or otherwise for value in columns.get(field) or repeat("", count)]
            if not _are_clean(values, longest):
                values = [_fitted(value, otherwise, longest) for value in values]
            pieces[place] = values
        return [*map("".join, zip(*pieces, strict=True))]


def compile_text(template: str, fields: Collection[str], longest: int = LONGEST_VALUE) -> CompiledText:
    """Read a text that knows `{{ field }}`, `{{ dotted.field }}` and `{{ field or 'text' }}`, and nothing else.

    `fields` lists the names that may be used; `longest` bounds each value in characters (never a link).
    Raises BadTemplate for everything else that braces could mean elsewhere: calls, filters, loops, comments.
    """
    text = _cut(template, longest)
    for match in _PLACEHOLDER.finditer(template):
        if match["field"] not in fields:
            raise BadTemplate(match.start("field"), _unknown(match["field"], fields))
    return text


def _cut(template: str, longest: int) -> CompiledText:
    pieces: list[str] = []
    slots: list[Slot] = []
    end = 0
    for match in _PLACEHOLDER.finditer(template):
        pieces.append(_literal(template, end, match.start()))
        field, otherwise = match["field"], match["single"]
        if otherwise is None:
            otherwise = match["double"]
        # Half a link leads nowhere, so links are bounded by their maker, not here.
        limit = LONGEST_WORDING if field.endswith("link") else longest
        slots.append(Slot(len(pieces), field, otherwise, limit))
        pieces.append("")
        end = match.end()
    pieces.append(_literal(template, end, len(template)))
    return CompiledText(frozenset(slot.field for slot in slots), tuple(pieces), tuple(slots))


def _literal(template: str, start: int, end: int) -> str:
    wrong = _NOT_FOR_LITERALS.search(template, start, end)
    if wrong:
        _refuse(template, wrong.start())
    return template[start:end]


def _refuse(template: str, position: int) -> NoReturn:
    character = template[position]
    if character not in "{}":
        raise BadTemplate(position, f"the invisible character U+{ord(character):04X} stands here; delete it")
    close = template.find("}}", position)
    if template.startswith("{{", position) and close > 0:
        found = template[position : min(close + 2, position + LONGEST_VALUE)]
        raise BadTemplate(position, f"{found}: only {{{{ field }}}} or {{{{ field or 'text' }}}} can stand in braces")
    raise BadTemplate(position, f"a lone {character}: a field is written {{{{ field }}}}, other braces cannot be sent")


def _unknown(field: str, fields: Collection[str]) -> str:
    near = get_close_matches(field, fields, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(fields)) or 'none'}"
    return f'no field "{field}"; {hint}'


def _fitted(value: str, otherwise: str | None, longest: int) -> str:
    # Nearly every value is short and clean; the test for that costs a tenth of the cleaning.
    clean = len(value) <= longest and value.isprintable()
    return value if clean else _tidy(value, longest) or otherwise or ""


def _are_clean(values: Sequence[str], longest: int) -> bool:
    return max(map(len, values), default=0) <= longest and "".join(values).isprintable()


def _tidy(value: str, longest: int) -> str:
    squeezed = _BLANKS.sub(" ", value[: longest * 4]).strip()
    kept = (one for one in squeezed if one in _JOINERS or not unicodedata.category(one).startswith("C"))
    return "".join(kept)[:longest].rstrip(" " + _JOINERS)


class Texts:
    """What we say to people, by name and language, from `<folder>/<language>.yaml` and `pages.<language>.yaml`.

    The first language says which names and fields there are and also serves readers of any other.
    """

    def __init__(self, folder: Path, languages: Sequence[str]) -> None:
        """Read and compile everything. Raises BadTexts with every mistake in every file."""
        mistakes: list[str] = []
        self.languages = tuple(languages)
        self._texts = {language: _load(folder, language, mistakes) for language in languages}
        self._first = self._texts[self.languages[0]]
        for language in self.languages[1:]:
            mistakes += _differences(language, self._texts[language], self._first)
        if mistakes:
            raise BadTexts("\n".join(mistakes))

    @property
    def fields(self) -> dict[str, frozenset[str]]:
        """Every text's name with the fields that it needs in one language or another."""
        every = self._texts.values()
        return {name: frozenset().union(*(texts[name].fields for texts in every)) for name in self._first}

    def say(self, name: str, language: str, /, **values: str) -> str:
        """The named text in the reader's language, or in the first language where we do not speak it."""
        return self._texts.get(language, self._first)[name].render(values)


def _load(folder: Path, language: str, mistakes: list[str]) -> dict[str, CompiledText]:
    texts: dict[str, CompiledText] = {}
    for path in (folder / f"{language}.yaml", folder / f"pages.{language}.yaml"):
        if not path.exists():
            if not path.name.startswith("pages."):
                mistakes.append(f"{path}: missing; every language of the brand needs its texts")
            continue
        # Every scalar stays a string: a text that reads "no" must not become False.
        for name, template in yaml.load(path.read_text("utf-8"), yaml.BaseLoader).items():  # noqa: S506  makes strings only
            if name in texts:
                mistakes.append(f"{path}: {name}: the name stands in two files")
            try:
                texts[name] = _cut(template, LONGEST_WORDING)
            except BadTemplate as bad:
                mistakes.append(f"{path}: {name}: {bad.text}")
    return texts


def _differences(language: str, texts: Mapping[str, CompiledText], first: Mapping[str, CompiledText]) -> list[str]:
    found = [f"{language}: {name}: missing" for name in first if name not in texts]
    for name, text in texts.items():
        if name not in first:
            found.append(f"{language}: {_unknown(name, first).replace('field', 'text', 1)}")
        elif odd_fields := (text.fields ^ first[name].fields) - _ANYWHERE:
            odd = ", ".join(sorted(odd_fields))
            found.append(f"{language}: {name}: not the fields of the first language: {odd}")
    return found


# A day without its year, as people say it; other languages take the CLDR's own short form.
_DAY = {"en": "d MMM", "zh": "M月d日"}
_DAY_AND_TIME = {"en": "EEE d MMM 'at' h:mm a", "zh": "M月d日HH:mm"}


def day_and_time(at: datetime, zone: tzinfo, language: str) -> str:
    """An aware time as people read it there: `Tue 1 Dec at 6:42 pm`, `12月1日18:42`."""
    local = at.astimezone(zone)
    return _say_time(local.replace(second=0, microsecond=0, tzinfo=None), language)


def day(at: datetime, zone: tzinfo, language: str) -> str:
    """The day of an aware time as people read it there: `15 Dec`, `12月15日`."""
    return _say_day(at.astimezone(zone).date(), language)


def number(n: float, language: str) -> str:
    """A number with the reader's thousands: `5,000`."""
    return _plain_spaces(format_decimal(n, locale=_locale(language)))


def money(micros: int, currency: str, language: str) -> str:
    """Millionths of a currency as a sum with its code: `3.64 USD`, and `0.0079 USD` below a dime."""
    amount = Decimal(micros) / 1_000_000
    places = get_currency_precision(currency)
    most = max(places, 4) if abs(amount) < Decimal("0.1") else places
    decimals = "." + "0" * places + "#" * (most - places) if most else ""
    return f"{_plain_spaces(format_decimal(amount, '#,##0' + decimals, _locale(language)))} {currency}"


@lru_cache(4096)
def _say_time(local: datetime, language: str) -> str:
    said = _plain_spaces(_pattern("time", language).apply(local, _locale(language)))
    return said.replace("AM", "am").replace("PM", "pm")


@lru_cache(4096)
def _say_day(local: date, language: str) -> str:
    return _plain_spaces(_pattern("day", language).apply(local, _locale(language)))


@lru_cache(64)
def _pattern(what: str, language: str) -> DateTimePattern:
    locale = _locale(language)
    if what == "day":
        return parse_pattern(_DAY.get(locale.language) or locale.datetime_skeletons["MMMd"])
    skeletons = locale.datetime_skeletons
    plain = f"{skeletons['MMMEd'].pattern} {skeletons['Hm'].pattern}"
    return parse_pattern(_DAY_AND_TIME.get(locale.language) or plain)


@lru_cache(64)
def _locale(language: str) -> Locale:
    try:
        return Locale.parse(language.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        return Locale("en")


def _plain_spaces(said: str) -> str:
    # The CLDR likes narrow and unbreakable spaces; one of them turns a text of 160 characters into three parts.
    return said.replace("\u202f", " ").replace("\u00a0", " ")


class Pages:
    """What a phone or a till shows: our own templates in a folder, escaped, sandboxed, nothing undefined.

    In a template: `{{ say('name', field=value) }}` speaks the page's language; `at | day_and_time`,
    `at | day` (in the page's `zone`, or one given), `n | number` and `micros | money(currency)` read as there.
    """

    def __init__(self, folder: Path, texts: Texts) -> None:
        self._texts = texts
        self._environment = ImmutableSandboxedEnvironment(
            loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined, auto_reload=False,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        self._environment.globals["say"] = self._say
        self._environment.filters |= {
            "day_and_time": _day_and_time_filter,
            "day": _day_filter,
            "number": _number_filter,
            "money": _money_filter,
        }

    def render(self, name: str, language: str, /, **context: Any) -> str:
        """The page `name` (`vote.html`) for a reader of `language`; the template sees `language` and the context."""
        return self._environment.get_template(name).render(context, language=language)

    @pass_context
    def _say(self, context: Context, name: str, /, **values: str) -> str:
        return self._texts.say(name, context["language"], **values)


@pass_context
def _day_and_time_filter(context: Context, at: datetime, zone: tzinfo | None = None) -> str:
    return day_and_time(at, zone or context["zone"], context["language"])


@pass_context
def _day_filter(context: Context, at: datetime, zone: tzinfo | None = None) -> str:
    return day(at, zone or context["zone"], context["language"])


@pass_context
def _number_filter(context: Context, n: float) -> str:
    return number(n, context["language"])


@pass_context
def _money_filter(context: Context, micros: int, currency: str) -> str:
    return money(micros, currency, context["language"])
