"""Who belongs to a segment, as the file says it: by age, city, tag, attribute, place, and by what people did."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from pydantic import ValidationInfo

from gateway.config import KEY, Reading, Where, wrong
from gateway.values import parse_duration
from gateway.wording import either, found, nearest


class Kind(StrEnum):
    """What a person can have done: the one vocabulary of events."""

    JOINED = "joined"
    REPLIED = "replied"
    VOTED = "voted"
    GIVEN = "given"
    REDEEMED = "redeemed"
    LEFT = "left"


SUBJECTS = {  # the section that holds what an event is about, and the word for it inside a map
    Kind.JOINED: ("programs", "program"),
    Kind.REPLIED: ("campaigns", "campaign"),
    Kind.VOTED: ("contests", "contest"),
    Kind.GIVEN: ("coupons", "coupon"),
    Kind.REDEEMED: ("coupons", "coupon"),
    Kind.LEFT: ("programs", "program"),
}
NOT_YET = ("clicked", "received", "entered")
OLDEST = 150


@dataclass(frozen=True, slots=True)
class Age:
    """Whole years of age on the brand's day, both ends included. None is no bound."""

    low: int | None
    high: int | None


@dataclass(frozen=True, slots=True)
class City:
    """Lives in one of these cities."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Language:
    """Reads one of these languages."""

    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gender:
    """Is of one of these genders, as the customer file writes them."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tag:
    """Bears one of these tags."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attribute:
    """Has one of these values in a declared attribute."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """Was last seen within the radius of a place, not longer ago than `last` (None: ever)."""

    place: str
    last: timedelta | None


@dataclass(frozen=True, slots=True)
class Did:
    """Did it with this campaign, contest, coupon or programme ("" is any), at most `last` ago (None: ever)."""

    kind: Kind
    subject: str
    last: timedelta | None


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Belongs to at least one."""

    parts: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    """Belongs to every one."""

    parts: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Does not belong."""

    part: Segment


@dataclass(frozen=True, slots=True)
class Ref:
    """Belongs to the segment of this name."""

    segment: str


Segment = Age | City | Language | Gender | Tag | Attribute | Seen | Did | AnyOf | AllOf | Not | Ref


def read_segment(value: object, info: ValidationInfo) -> Segment:
    """The tree of what stands in the file. Raises an error that holds every mistake in it."""
    if isinstance(value, Segment):
        return value
    reader = _SegmentReader(info.context if isinstance(info.context, Reading) else None)
    segment = reader.segment(value, ())
    if reader.mistakes:
        raise wrong(reader.mistakes)
    return segment


def inner(segment: Segment) -> tuple[Segment, ...]:
    """The segments that a segment is made of."""
    if isinstance(segment, AnyOf | AllOf):
        return segment.parts
    return (segment.part,) if isinstance(segment, Not) else ()


def every(segment: Segment) -> Iterator[Segment]:
    """A segment and all that stands in it."""
    yield segment
    for part in inner(segment):
        yield from every(part)


NOBODY = AnyOf(())  # stands for what could not be read


class _SegmentReader:
    """Reads one segment and gathers its mistakes, so it goes on after each."""

    def __init__(self, reading: Reading | None) -> None:
        attributes = reading.raw.get("attributes") if reading else None
        self._attributes = attributes if isinstance(attributes, dict) else {}
        self._reading = reading
        self.mistakes: list[tuple[Where, str]] = []
        self._words: Mapping[str, Callable[[Any, Where], Segment]] = {
            "age": self._age,
            "city": lambda value, path: self._listed(City, value, path),
            "language": lambda value, path: self._listed(Language, value, path),
            "gender": lambda value, path: self._listed(Gender, value, path),
            "tag": lambda value, path: self._listed(Tag, value, path),
            "seen": self._seen,
            "any": lambda value, path: self._several(AnyOf, value, path),
            "all": lambda value, path: self._several(AllOf, value, path),
            "not": self._not,
        }

    def segment(self, value: object, path: Where) -> Segment:
        """A name, or a map whose keys must all hold."""
        if isinstance(value, str):
            self._check_name("segments", value, path)
            return Ref(value)
        if not isinstance(value, dict) or not value:
            return self._wrong(path, f"found {found(value)}, expected a segment such as {{age: 17-25, city: Seattle}}")
        parts = tuple(self._one(key, inside, (*path, key)) for key, inside in value.items())
        return parts[0] if len(parts) == 1 else AllOf(parts)

    def _one(self, key: str, value: Any, path: Where) -> Segment:
        if key in self._words:
            return self._words[key](value, path)
        if key in tuple(Kind):
            return self._did(Kind(key), value, path)
        if self._reading is None or key in self._attributes or self._reading.known.get("attributes", {}) is None:
            return self._attribute(key, value, path)
        if key in NOT_YET:
            return self._wrong((*path, KEY), f'"{key}" comes later; so far there are {either(Kind)}')
        near = nearest(key, [*self._words, *Kind, *self._attributes, *NOT_YET])
        hint = f"did you mean {near}?" if near else f"expected {either([*self._words, *Kind])}, or a declared attribute"
        return self._wrong((*path, KEY), f'no attribute "{key}" to choose people by; {hint}')

    def _age(self, value: Any, path: Where) -> Segment:
        text = value.strip() if isinstance(value, str) else ""
        if match := re.fullmatch(r"(\d{1,3})\s*[-–]\s*(\d{1,3})", text):
            low, high = int(match[1]), int(match[2])
            if low <= high <= OLDEST:
                return Age(low, high)
        elif match := re.fullmatch(r"(\d{1,3})(\+?)", text):
            low = int(match[1])
            if low <= OLDEST:
                return Age(low, None if match[2] else low)
        return self._wrong(path, f"found {found(value)}, expected ages such as 17-25, 18+ or 30")

    def _listed(self, kind: Callable[[tuple[str, ...]], Segment], value: Any, path: Where) -> Segment:
        words = [value] if isinstance(value, str) else value
        if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
            return self._wrong(path, f"found {found(value)}, expected a word or a list such as [Seattle, Shanghai]")
        return kind(tuple(words))

    def _attribute(self, name: str, value: Any, path: Where) -> Segment:
        listed = self._attributes.get(name)
        declared = [word for word in listed if isinstance(word, str)] if isinstance(listed, list) else []
        for place, word in enumerate(value if isinstance(value, list) else [value]):
            if declared and isinstance(word, str) and word not in declared:
                near = nearest(word, declared)
                hint = f"did you mean {near}?" if near else f"expected {either(declared)}"
                self._wrong((*path, place) if isinstance(value, list) else path, f'no {name} "{word}"; {hint}')
        return self._listed(lambda values: Attribute(name, values), value, path)

    def _seen(self, value: Any, path: Where) -> Segment:
        example = "{within: pike_place, last: 2 h}"
        inside = self._settings(value, ("within", "last"), example, path)
        if isinstance(value, dict) and "within" not in value:
            return self._wrong(path, f"within is missing; expected a place such as {example}")
        place = inside.get("within", "")
        if inside:
            self._check_name("places", place, (*path, "within"))
        return Seen(place, self._last(inside, path))

    def _did(self, kind: Kind, value: Any, path: Where) -> Segment:
        section, word = SUBJECTS[kind]
        if isinstance(value, str):
            self._check_name(section, value, path)
            return Did(kind, value, None)
        inside = self._settings(value, (word, "last"), f"a {word}, or a map such as {{last: 60 d}}", path)
        if word in inside:
            self._check_name(section, inside[word], (*path, word))
        return Did(kind, inside.get(word, ""), self._last(inside, path))

    def _last(self, inside: Mapping[str, Any], path: Where) -> timedelta | None:
        if "last" not in inside:
            return None
        try:
            return parse_duration(inside["last"] if isinstance(inside["last"], str) else "")
        except ValueError as error:
            self._wrong((*path, "last"), str(error))
            return None

    def _several(self, kind: Callable[[tuple[Segment, ...]], Segment], value: Any, path: Where) -> Segment:
        if not isinstance(value, list) or not value:
            return self._wrong(path, f"found {found(value)}, expected a list such as [students, {{favourite: latte}}]")
        return kind(tuple(self.segment(part, (*path, place)) for place, part in enumerate(value)))

    def _not(self, value: Any, path: Where) -> Segment:
        if isinstance(value, list):
            return self._wrong(path, "found a list, expected one segment; for several say {any: [...]}")
        return Not(self.segment(value, path))

    def _settings(self, value: Any, words: tuple[str, ...], example: str, path: Where) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            self._wrong(path, f"found {found(value)}, expected {example}")
            return {}
        for key in value:
            if key not in words:
                near = nearest(key, words)
                hint = f"did you mean {near}?" if near else f"there are {' and '.join(words)}"
                self._wrong((*path, key, KEY), f'no setting "{key}" here; {hint}')
        return value

    def _check_name(self, section: str, name: object, path: Where) -> None:
        complaint = self._reading.unknown(section, name) if self._reading else ""
        if complaint:
            self._wrong(path, complaint)

    def _wrong(self, path: Where, text: str) -> Segment:
        self.mistakes.append((path, text))
        return NOBODY
