"""A segment's SQL selects exactly the people whom a plain reading of the same words selects."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from campaigns import segments
from campaigns.segment_language import (
    Age,
    AllOf,
    AnyOf,
    Attribute,
    City,
    Did,
    Gender,
    Kind,
    Language,
    Not,
    Ref,
    Seen,
    Segment,
    Tag,
)  # fmt: skip
from campaigns.segments import Lookup
from campaigns.settings import Config
from gateway.clock import to_ms
from gateway.store import Store, Tx
from tests.conftest import EmptyStores

HOUR = 3_600_000
EARTH_M = 6_371_009.0
NOWS = [
    datetime(2026, 12, 2, 2, 30, tzinfo=UTC),  # still the first of December in Seattle
    datetime(2028, 2, 29, 20, 0, tzinfo=UTC),
    datetime(2027, 2, 28, 20, 0, tzinfo=UTC),
    datetime(2027, 3, 1, 20, 0, tzinfo=UTC),
]
CITIES = ["Seattle", "seattle", "SEATTLE", "Shanghai", "上海", "Łódź", "ŁÓDŹ", "łódź", "Spokane"]
AGO = [0, 1, 2 * HOUR, 2 * HOUR + 1, 24 * HOUR, 60 * 24 * HOUR, 60 * 24 * HOUR + 1]
LASTS = [None, timedelta(hours=2), timedelta(days=60)]
SUBJECTS = ["latte", "cup", "spring"]


@dataclass(frozen=True)
class Somebody:
    """A person as the test made them up."""

    birthday: date | None = None
    city: str = ""
    language: str = ""
    gender: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    tags: frozenset[str] = frozenset()
    position: tuple[float, float] | None = None
    seen_ago: int | None = None  # None: nobody knows when
    did: tuple[tuple[str, str, int], ...] = ()


# --- the plain reading -----------------------------------------------------------------------------------------------


def belongs(who: Somebody, segment: Segment, config: Config, now: datetime) -> bool:
    match segment:
        case Ref(name):
            return belongs(who, config.segments[name], config, now)
        case AnyOf(parts) | AllOf(parts):
            holds = [belongs(who, part, config, now) for part in parts]
            return any(holds) if isinstance(segment, AnyOf) else all(holds)
        case Not(part):
            return not belongs(who, part, config, now)
        case Age(low, high):
            years = age_of(who, now.astimezone(ZoneInfo(config.brand.timezone)).date())
            return years is not None and (low or 0) <= years and (high is None or years <= high)
        case City(names):
            return who.city.lower() in {name.lower() for name in names}
        case Language(codes):
            return who.language in codes
        case Gender(values):
            return who.gender in values
        case Tag(names):
            return bool(who.tags & set(names))
        case Attribute(name, values):
            return who.attributes.get(name) in values
        case Seen(place, last):
            if who.position is None or (last is not None and not was_within(who.seen_ago, last)):
                return False
            return distance_m(who.position, config.places[place].at) <= config.places[place].radius
        case Did(kind, subject, last):
            return any(
                what == kind and subject in ("", about) and (last is None or was_within(ago, last))
                for what, about, ago in who.did
            )


def was_within(ago: int | None, last: timedelta) -> bool:
    return ago is not None and ago <= last / timedelta(milliseconds=1)


def age_of(who: Somebody, today: date) -> int | None:
    born = who.birthday
    if born is None:
        return None
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def distance_m(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Along the great circle (haversine)."""
    lat1, lon1, lat2, lon2 = map(math.radians, (*one, *other))
    half = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_M * math.asin(math.sqrt(half))


def moved(start: tuple[float, float], bearing: float, metres: float) -> tuple[float, float]:
    """Where one gets from a place on the great circle."""
    lat, lon, angle = math.radians(start[0]), math.radians(start[1]), metres / EARTH_M
    to_lat = math.asin(math.sin(lat) * math.cos(angle) + math.cos(lat) * math.sin(angle) * math.cos(bearing))
    east = math.sin(bearing) * math.sin(angle) * math.cos(lat)
    to_lon = lon + math.atan2(east, math.cos(angle) - math.sin(lat) * math.sin(to_lat))
    return math.degrees(to_lat), math.degrees(to_lon)


# --- people and segments at random -----------------------------------------------------------------------------------

PLACES = {"pike_place": ((47.6097, -122.3425), 800.0), "nanjing_road": ((31.2354, 121.4786), 500.0)}
BIRTHDAYS = st.builds(
    lambda now, years, days: now.date().replace(year=now.year - years, day=min(now.day, 28)) + timedelta(days=days),
    st.sampled_from(NOWS), st.integers(0, 80), st.integers(-3, 3),
) | st.sampled_from([date(2008, 2, 29), date(2010, 2, 28), date(2001, 3, 1), date(2000, 2, 29)])  # fmt: skip
POSITIONS = st.builds(
    lambda place, bearing, share: moved(PLACES[place][0], bearing, PLACES[place][1] * share),
    st.sampled_from(sorted(PLACES)), st.floats(0, 6.28), st.sampled_from([0, 0.5, 0.98, 1.02, 3]),
)  # fmt: skip
PEOPLE = st.builds(
    Somebody,
    birthday=st.none() | BIRTHDAYS,
    city=st.sampled_from(["", *CITIES]),
    language=st.sampled_from(["", "en", "zh"]),
    gender=st.sampled_from(["", "female", "male"]),
    attributes=st.fixed_dictionaries(
        {}, optional={"favourite": st.sampled_from(["latte", "tea"]), "tier": st.sampled_from(["gold", "bronze"])}
    ),
    tags=st.frozensets(st.sampled_from(["vip", "student", "newsletter"])),
    position=st.none() | POSITIONS,
    seen_ago=st.none() | st.sampled_from(AGO),
    did=st.lists(
        st.tuples(st.sampled_from([str(kind) for kind in Kind]), st.sampled_from(SUBJECTS), st.sampled_from(AGO)),
        max_size=4,
    ).map(tuple),
)


def some(words: list[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(words), min_size=1, max_size=3).map(tuple)


LEAVES: st.SearchStrategy[Segment] = st.one_of(
    st.tuples(st.integers(0, 80), st.none() | st.integers(0, 80)).map(lambda both: Age(*both)),
    st.integers(17, 26).map(lambda years: Age(years, years)),
    some(CITIES).map(City),
    some(["en", "zh"]).map(Language),
    some(["female", "male"]).map(Gender),
    some(["vip", "student", "newsletter"]).map(Tag),
    some(["latte", "tea", "mocha"]).map(lambda values: Attribute("favourite", values)),
    some(["gold", "bronze"]).map(lambda values: Attribute("tier", values)),
    st.builds(Seen, st.sampled_from(sorted(PLACES)), st.sampled_from(LASTS)),
    st.builds(Did, st.sampled_from(list(Kind)), st.sampled_from(["", *SUBJECTS]), st.sampled_from(LASTS)),
    st.sampled_from(["students", "near_the_market", "gone_quiet", "spring_crowd"]).map(Ref),
)
SEGMENTS: st.SearchStrategy[Segment] = st.recursive(
    LEAVES,
    lambda inside: st.one_of(
        inside.map(Not),
        st.lists(inside, max_size=3).map(tuple).map(AnyOf),
        st.lists(inside, max_size=3).map(tuple).map(AllOf),
    ),
    max_leaves=6,
)


class Census:
    """A store that takes the people of each example as a brand of their own."""

    def __init__(self, store: Store, runner: asyncio.Runner, config: Config) -> None:
        self.store, self.runner, self.config = store, runner, config
        self.brands, self.ids = itertools.count(1), itertools.count(1)

    def check(self, crowd: list[Somebody], wanted: list[Segment], now: datetime) -> None:
        brand = next(self.brands)
        known = {next(self.ids): who for who in crowd}
        self.runner.run(self.store.write(self._keep, brand, known, to_ms(now)))
        lookup = Lookup.at(self.config, to_ms(now))
        for segment in wanted:
            found = self.runner.run(self.store.read(self._members, brand, segment, lookup))
            assert found == [id_ for id_, who in known.items() if belongs(who, segment, self.config, now)], segment

    @staticmethod
    async def _keep(tx: Tx, brand: int, known: dict[int, Somebody], now: int) -> None:
        rows, tags, deeds = [], [], []
        for id_, who in known.items():
            lat, lon = who.position or (None, None)
            seen_at = None if lat is None else 0 if who.seen_ago is None else now - who.seen_ago
            rows.append(
                (id_, brand, f"+1206{id_:07}", "US", "America/Los_Angeles", "", "", "", who.language, "", "",
                 who.city, who.gender, who.birthday.isoformat() if who.birthday else "",
                 orjson.dumps(who.attributes).decode(), lat, lon, seen_at, now, 1)
            )  # fmt: skip
            tags += [(brand, id_, tag) for tag in who.tags]
            deeds += [(brand, id_, kind, subject, now - ago, "") for kind, subject, ago in who.did]
        await tx.many("person_upsert", rows)
        await tx.many("tag_add", tags)
        await tx.many("activity_insert", deeds)

    @staticmethod
    async def _members(tx: Tx, brand: int, segment: Segment, lookup: Lookup) -> list[int]:
        condition = segments.condition(segment, lookup)
        rows = await tx.people("audience_page", condition, brand=brand, program="club", after=0, limit=1000)
        return [row[0] for row in rows]


@pytest.fixture(scope="module")
def census(empty_stores: EmptyStores, shipped_config: Config) -> Iterator[Census]:
    with asyncio.Runner() as runner, empty_stores() as store:
        yield Census(store, runner, shipped_config)


@given(st.lists(PEOPLE, min_size=1, max_size=25), st.lists(SEGMENTS, min_size=1, max_size=8), st.sampled_from(NOWS))
@example([Somebody(city="Łódź"), Somebody(city="ŁÓDŹ")], [City(("łódź",))], NOWS[0])
@settings(max_examples=150, deadline=None)
def test_every_kind_of_condition_selects_whom_a_plain_reading_selects(
    census: Census, crowd: list[Somebody], wanted: list[Segment], now: datetime
) -> None:
    census.check(crowd, wanted, now)


@given(st.lists(PEOPLE, min_size=1, max_size=40), st.sampled_from(NOWS))
@settings(max_examples=50, deadline=None)
def test_every_segment_of_the_shipped_file_selects_whom_a_plain_reading_selects(
    census: Census, crowd: list[Somebody], now: datetime
) -> None:
    census.check(crowd, [*census.config.segments.values()], now)


def test_nobody_is_of_an_age_without_a_birthday_and_so_they_are_among_the_others(census: Census) -> None:
    crowd = [Somebody(), Somebody(birthday=date(2006, 12, 1)), Somebody(birthday=date(2006, 12, 2))]
    lookup = Lookup.at(census.config, to_ms(NOWS[0]))
    census.check(crowd, [], NOWS[0])
    brand = next(census.brands) - 1

    def members(segment: Segment) -> int:
        return len(census.runner.run(census.store.read(census._members, brand, segment, lookup)))

    assert members(Age(20, 20)) == 1  # it is the first of December in Seattle, and the birthday counts
    assert members(Not(Age(20, 20))) == 2


def test_a_segment_of_hundreds_of_conditions_is_read_like_any_other(census: Census) -> None:
    crowd = [Somebody(city=f"City {n}", tags=frozenset({"vip"} if n % 2 else ())) for n in range(300)]
    many = AnyOf(tuple(AllOf((City((f"city {n}",)), Tag(("vip",)), Not(Age(1, 2)))) for n in range(250)))

    census.check(crowd, [many, Not(many)], NOWS[0])
