"""Finds what is wrong in config.yaml only when seen together: words that clash, circles, missing languages."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from importlib.resources import files
from math import asin, cos, radians, sin, sqrt
from typing import NamedTuple

from campaigns import words
from campaigns.segment_language import Ref, Segment, every
from gateway import numbers, rendering
from gateway.config import KEY, Finding, Settings, Where
from gateway.values import LocalText

PERSON_FIELDS = ("first_name", "last_name", "city")  # what a text may say of a person, beside declared attributes
COUPON_FIELDS = ("coupon.link", "coupon.code")
SHIPPED_PINS = ("2468", "1357")  # everybody can read them in the file that comes with Carillon
FARTHEST_KM = 4_000  # from the city that a time zone is named after to the farthest place in it, roughly
LONGEST_TEXT = 1_600  # characters; ten to twenty-four parts


class Word(NamedTuple):
    """A word that a phone may text, where it stands, and whose it is."""

    path: Where
    text: str
    owner: str


def keys(names: Iterable[Where]) -> Iterator[Finding]:
    """Names that could not stand in an address, a command or a template."""
    for path in names:
        name = str(path[-1])
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
            yield Finding((*path, KEY), f'found "{name}", expected a name of letters, digits, _ and -')


def reserved(answers: Iterable[Word], stop_words: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Keywords and options that would be taken for STOP, HELP, START or YES. (R-6.3)"""
    for word in answers:
        intent = words.intent_of(word.text)
        if intent is not None:
            yield Finding(word.path, f'"{word.text}" always means {intent.upper()}; choose another word')
        for sender, own in stop_words.items() if intent is None else ():
            if words.fold(word.text) in map(words.fold, own):
                yield Finding(word.path, f'"{word.text}" is a stop word of the sender {sender}; choose another word')


def collisions(spoken: Iterable[Word]) -> Iterator[Finding]:
    """Words that mean two things."""
    owners: dict[str, Word] = {}
    for word in spoken:
        first = owners.setdefault(words.fold(word.text), word)
        if first is not word:
            yield Finding(word.path, f'"{word.text}" is already a word of {first.owner}', see=first.path)


def keyword_shapes(spoken: Iterable[Word], option_keys: Mapping[str, Collection[str]]) -> Iterator[Finding]:
    """Keywords that no text could begin with, or that hide the answers of a contest."""
    for word in spoken:
        if not words.fold(word.text) or re.search(r"\s", word.text):
            yield Finding(word.path, f'found "{word.text}", expected one word')
        for contest, options in option_keys.items():
            if words.fold(word.text) in map(words.fold, options):
                yield Finding(word.path, f'"{word.text}" is an answer in the contest {contest}; choose another word')


def circles(segments: Mapping[str, Segment]) -> Iterator[Finding]:
    """Segments that are made of themselves."""
    leads_to = {name: {one.segment for one in every(tree) if isinstance(one, Ref)} for name, tree in segments.items()}
    told: set[str] = set()
    for name in segments:
        way = _way_back(name, leads_to)
        if way and not told.intersection(way):
            told.update(way)
            yield Finding(("segments", name, KEY), f"goes round in a circle: {' -> '.join([*way, name])}")


def _way_back(name: str, leads_to: Mapping[str, set[str]]) -> list[str]:
    ways = [[name]]
    seen = set()
    while ways:
        way = ways.pop()
        for step in sorted(leads_to.get(way[-1], ())):
            if step == name:
                return way
            if step not in seen:
                seen.add(step)
                ways.append([*way, step])
    return []


def local_texts(value: object, path: Where = ()) -> Iterator[tuple[Where, LocalText]]:
    """Every text that people read, with its path in the file."""
    if isinstance(value, LocalText):
        yield path, value
    elif isinstance(value, Settings):
        for name, info in type(value).model_fields.items():
            yield from local_texts(getattr(value, name, None), (*path, info.alias or name))
    elif isinstance(value, Mapping):
        for name, inside in value.items():
            yield from local_texts(inside, (*path, name))


def languages(texts: Iterable[tuple[Where, LocalText]], spoken: Sequence[str]) -> Iterator[Finding]:
    """Texts in a language that the brand does not speak, and readers who would get another's language."""
    for path, text in texts:
        for code in text.texts:
            if code and code not in spoken:
                expected = f"expected one of brand.languages ({', '.join(spoken)})"
                hint = 'put quotes around a text that holds ", "'
                yield Finding((*path, code, KEY), f'found the language "{code}", {expected}; {hint}')
        for code in text.missing(spoken):
            shown = next(iter(text.texts))
            yield Finding(path, f"no text for readers of {code}; they would get {shown}", is_warning=True)


def placeholders(texts: Iterable[tuple[Where, LocalText]], fields: Collection[str]) -> Iterator[Finding]:
    """Fields that nobody can fill, and braces that mean nothing."""
    for path, text in texts:
        for code, template in text.texts.items():
            try:
                rendering.compile_text(template, fields)
            except rendering.BadTemplate as bad:
                yield Finding((*path, code) if code else path, bad.text)


def lengths(texts: Iterable[tuple[Where, LocalText]]) -> Iterator[Finding]:
    """Texts that no carrier would take, the more so once their fields are filled in."""
    for path, text in texts:
        for code, said in text.texts.items():
            if len(said) > LONGEST_TEXT:
                words = (
                    f"found {len(said):,} characters, expected at most {LONGEST_TEXT:,}: nobody reads more on a phone"
                )
                yield Finding((*path, code) if code else path, words)


def telephones(found: Iterable[tuple[Where, str]], country: str) -> Iterator[Finding]:
    """Numbers that cannot be called."""
    for path, text in found:
        try:
            numbers.parse(text, country)
        except numbers.BadNumber as bad:
            yield Finding(path, bad.reason)


def shared(owned: Iterable[tuple[Where, str]], what: str) -> Iterator[Finding]:
    """Things that only one may have."""
    owners: dict[str, Where] = {}
    for path, thing in owned:
        first = owners.setdefault(thing, path)
        if first != path:
            yield Finding(path, f"{what} {thing} is taken already by {'.'.join(map(str, first[:2]))}", see=first)


def unused(section: str, names: Iterable[str], used: Collection[str], cure: str) -> Iterator[Finding]:
    """Warn of things that nothing leads to."""
    for name in names:
        if name not in used:
            noun = section.removesuffix("s")
            yield Finding((section, name, KEY), f"nothing uses the {noun} {name}; {cure}", is_warning=True)


def swapped(path: Where, at: tuple[float, float], zone: str) -> Iterator[Finding]:
    """Ask about a position that would lie in its time zone if latitude and longitude changed places."""
    home = _cities().get(zone)
    if home and abs(at[1]) <= 90 and _km(at, home) > FARTHEST_KM > _km((at[1], at[0]), home):
        question = f"far from {zone}; is it swapped? [{at[1]:g}, {at[0]:g}] would be near"
        yield Finding(path, question, is_warning=True)


def _cities() -> dict[str, tuple[float, float]]:
    """The position of the city of each zone, from the tz database's own table (zone1970.tab)."""
    cities = {}
    for line in files("tzdata").joinpath("zoneinfo", "zone1970.tab").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            _, position, zone, *_ = line.split("\t")
            latitude, longitude = re.findall(r"[+-]\d+", position)
            cities[zone] = _degrees(latitude, 2), _degrees(longitude, 3)
    return cities


def _degrees(text: str, digits: int) -> float:
    degrees, minutes = int(text[1 : 1 + digits]), int(text[1 + digits : 3 + digits])
    return (degrees + minutes / 60) * (-1 if text[0] == "-" else 1)


def _km(one: tuple[float, float], other: tuple[float, float]) -> float:
    """The way between two positions, by the haversine formula."""
    (south, west), (north, east) = [tuple(map(radians, at)) for at in (one, other)]
    half = sin((north - south) / 2) ** 2 + cos(south) * cos(north) * sin((east - west) / 2) ** 2
    return 2 * 6371 * asin(sqrt(half))


def names_of(segments: Iterable[Segment]) -> set[str]:
    """The segments that these are made of."""
    return {one.segment for tree in segments for one in every(tree) if isinstance(one, Ref)}


def past(moments: Iterable[tuple[Where, object]], now: datetime) -> Iterator[Finding]:
    """Dates that are over. `now` is the brand's own clock, without a zone, as the file's dates are."""
    for path, moment in moments:
        if isinstance(moment, datetime) and moment <= now:
            yield Finding(path, f"{moment:%Y-%m-%d %H:%M} is past; it is {now:%Y-%m-%d %H:%M}")
