"""Turns a segment of the file into a condition that the store can look people up by."""

from __future__ import annotations

import calendar
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import assert_never

from campaigns.hours import zone_of
from campaigns.segment_language import (
    Age,
    AllOf,
    AnyOf,
    Attribute,
    City,
    Did,
    Gender,
    Language,
    Not,
    Ref,
    Seen,
    Segment,
    Tag,
)  # fmt: skip
from campaigns.settings import Config, Place
from gateway.clock import from_ms
from gateway.store import conditions
from gateway.store.conditions import Condition, Trait

METRES_PER_DEGREE = 111_320.0


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the words of a segment refer to: other segments, places, and the day in the brand's zone."""

    segments: Mapping[str, Segment]
    places: Mapping[str, Place]
    now: int
    today: date

    @classmethod
    def at(cls, config: Config, now: int) -> Lookup:
        """As of a moment, in milliseconds since 1970."""
        return cls(config.segments, config.places, now, from_ms(now).astimezone(zone_of(config.brand.timezone)).date())


def condition(segment: Segment, lookup: Lookup) -> Condition:
    """The condition that holds for exactly the members of a segment."""
    match segment:
        case Ref(name):
            return condition(lookup.segments[name], lookup)
        case AnyOf(parts):
            return conditions.Any(tuple(condition(part, lookup) for part in parts))
        case AllOf(parts):
            return conditions.All(tuple(condition(part, lookup) for part in parts))
        case Not(part):
            return conditions.Not(condition(part, lookup))
        case Age(low, high):
            after = "" if high is None else years_before(lookup.today, high + 1)
            return Trait("born_between", {"after": after, "until": years_before(lookup.today, low or 0)})
        case City(names):
            return Trait("lives_in", {"cities": [name.lower() for name in names]})
        case Language(codes):
            return Trait("language_is", {"languages": list(codes)})
        case Gender(values):
            return Trait("gender_is", {"genders": list(values)})
        case Tag(names):
            return Trait("tagged", {"tags": list(names)})
        case Attribute(name, values):
            return Trait("attribute_is", {"attribute": name, "choices": list(values)})
        case Seen(place, last):
            return near(lookup.places[place], since(last, lookup.now))
        case Did(kind, subject, last):
            return Trait("did", {"kind": str(kind), "subject": subject, "since": since(last, lookup.now)})
        case _:
            assert_never(segment)


def near(place: Place, since_ms: int) -> Condition:
    """Seen within the place's radius since a moment."""
    latitude, longitude = place.at
    return Trait(
        "seen_near",
        {
            "since": since_ms,
            "lat": latitude,
            "lon": longitude,
            "metres_lat": METRES_PER_DEGREE,
            "metres_lon": METRES_PER_DEGREE * math.cos(math.radians(latitude)),
            "radius": place.radius,
        },
    )


def since(last: timedelta | None, now: int) -> int:
    """The moment that lies so long ago; 0 for ever."""
    return 0 if last is None else now - int(last.total_seconds() * 1000)


def years_before(day: date, years: int) -> str:
    """The ISO date so many years earlier; 29 February counts as 28 in other years."""
    year = day.year - years
    if (day.month, day.day) == (2, 29) and not calendar.isleap(year):
        return f"{year:04}-02-28"
    return f"{year:04}-{day.month:02}-{day.day:02}"
