"""One phone, one vote, whichever door; the figures are those of the votes."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from campaigns import contests
from campaigns.business import Business
from campaigns.contests import PAGE, TEXT, AlreadyVoted, Closed, NoSuchOption, NotOpenYet, Voted
from campaigns.settings import Config, Opening
from gateway.clock import StoppedClock, from_ms, to_ms
from gateway.store import Store
from gateway.values import Calendar, Frequency
from tests.conftest import Apply, People

DAY_MS = 24 * 3_600_000


def with_cup(config: Config, **changes: object) -> Config:
    cup = config.contests["cup"].model_copy(update=changes)
    return config.model_copy(update={"contests": {"cup": cup}})


async def test_a_vote_by_text_and_one_by_page_are_one_vote(
    store: Store, business: Business, make_people: People
) -> None:
    [maya] = await make_people(1)
    now = business.clock.now_ms()

    voted = await store.write(contests.vote, business, "cup", maya, "3", TEXT, now)
    with pytest.raises(AlreadyVoted) as refused:
        await store.write(contests.vote, business, "cup", maya, "1", PAGE, now + 1)

    assert voted.choice == refused.value.choice == "3"
    assert refused.value.at == now
    assert (await store.read(contests.results, business, "cup")).votes == {"1": 0, "2": 0, "3": 1}


async def test_the_next_vote_is_possible_when_the_day_begins_in_the_brands_zone(
    store: Store, business: Business, make_people: People
) -> None:
    [maya] = await make_people(1)
    midnight = to_ms(datetime(2026, 12, 2, 8, tzinfo=UTC))  # in Seattle

    voted = await store.write(contests.vote, business, "cup", maya, "3", TEXT, business.clock.now_ms())
    with pytest.raises(AlreadyVoted) as refused:
        await store.write(contests.vote, business, "cup", maya, "3", TEXT, midnight - 1)

    assert voted.next == refused.value.next == midnight
    assert (await store.write(contests.vote, business, "cup", maya, "2", TEXT, midnight)).choice == "2"


async def test_votes_count_from_the_opening_until_just_before_the_end(
    store: Store, apply: Apply, shipped_config: Config, make_people: People
) -> None:
    opening = Opening.model_validate({"from": "2027-03-01", "until": "2027-03-21"})
    business = await apply(with_cup(shipped_config, open=opening))
    early, first, last, late = await make_people(4)
    opens, closes = to_ms(datetime(2027, 3, 1, 8, tzinfo=UTC)), to_ms(datetime(2027, 3, 22, 7, tzinfo=UTC))

    with pytest.raises(NotOpenYet) as not_yet:
        await store.write(contests.vote, business, "cup", early, "1", TEXT, opens - 1)
    await store.write(contests.vote, business, "cup", first, "1", TEXT, opens)
    voted = await store.write(contests.vote, business, "cup", last, "1", TEXT, closes - 1)
    with pytest.raises(Closed) as closed:
        await store.write(contests.vote, business, "cup", late, "1", TEXT, closes)

    assert (not_yet.value.at, closed.value.at) == (opens, closes)
    assert voted.next is None, "nobody is told of a vote after the end"


async def test_applying_again_does_not_move_a_window_that_opened_with_the_first_apply(
    apply: Apply, shipped_config: Config, clock: StoppedClock
) -> None:
    first = (await apply(shipped_config)).windows["cup"]
    clock.advance(seconds=86_400)

    assert (await apply(shipped_config)).windows["cup"] == first
    assert first.closes_at - first.opens_at == 30 * DAY_MS


async def test_an_option_that_is_not_there_is_no_vote(store: Store, business: Business, make_people: People) -> None:
    [maya] = await make_people(1)
    with pytest.raises(NoSuchOption):
        await store.write(contests.vote, business, "cup", maya, "4", TEXT, business.clock.now_ms())
    assert (await store.read(contests.recount, business, "cup")).total == 0


async def test_of_10000_votes_at_once_by_1000_people_1000_count_and_the_recount_agrees(
    store: Store, business: Business, make_people: People
) -> None:
    voters, now = await make_people(1_000), business.clock.now_ms()

    async def vote(person: int, n: int) -> Voted | None:
        try:
            return await store.write(contests.vote, business, "cup", person, str(n % 3 + 1), (TEXT, PAGE)[n % 2], now)
        except AlreadyVoted:
            return None

    done = await asyncio.gather(*(vote(person, n) for n in range(10) for person in voters))

    counted = Counter(voted.choice for voted in done if voted)
    results = await store.read(contests.results, business, "cup")
    assert sum(counted.values()) == results.total == 1_000
    assert results == await store.read(contests.recount, business, "cup")
    assert {key: votes for key, votes in results.votes.items() if votes} == counted


@pytest.mark.parametrize(
    ("period", "at", "period_name", "ends"),
    [
        (Calendar.DAY, datetime(2026, 12, 31, 20, tzinfo=UTC), "2026-12-31", datetime(2027, 1, 1, 8, tzinfo=UTC)),
        (Calendar.WEEK, datetime(2027, 1, 2, tzinfo=UTC), "2026-W53", datetime(2027, 1, 4, 8, tzinfo=UTC)),
        (Calendar.MONTH, datetime(2026, 12, 31, 20, tzinfo=UTC), "2026-12", datetime(2027, 1, 1, 8, tzinfo=UTC)),
        # The clocks go forward on 14 March 2027: the next midnight is seven hours from UTC.
        (Calendar.DAY, datetime(2027, 3, 14, 20, tzinfo=UTC), "2027-03-14", datetime(2027, 3, 15, 7, tzinfo=UTC)),
        (None, datetime(2026, 12, 31, tzinfo=UTC), "all", None),
    ],
)
async def test_a_period_is_the_calendars_in_the_brands_zone(
    apply: Apply, shipped_config: Config, period: Calendar | None, at: datetime, period_name: str, ends: datetime | None
) -> None:
    business = await apply(with_cup(shipped_config, votes=Frequency(1, period)))

    limit = contests.limit_at(business, "cup", to_ms(at))

    assert limit.period == period_name
    assert (from_ms(limit.ends_at) if limit.ends_at else None) == ends


async def test_a_rolling_limit_makes_room_when_its_oldest_vote_is_old_enough(
    store: Store, apply: Apply, shipped_config: Config, make_people: People
) -> None:
    business = await apply(with_cup(shipped_config, votes=Frequency(2, timedelta(hours=24))))
    [maya] = await make_people(1)
    start = business.clock.now_ms()

    async def vote(after_h: float) -> Voted:
        return await store.write(
            contests.vote, business, "cup", maya, "2", TEXT, start + int(after_h * 3_600_000)
        )  # fmt: skip

    assert (await vote(0)).left == 1
    assert await vote(5) == Voted("2", 0, start + DAY_MS)
    with pytest.raises(AlreadyVoted) as refused:
        await vote(23.9)
    assert refused.value.next == start + DAY_MS
    assert (await vote(24)).next == start + 5 * 3_600_000 + DAY_MS


async def test_several_votes_a_day_are_counted_down(
    store: Store, apply: Apply, shipped_config: Config, make_people: People
) -> None:
    business = await apply(with_cup(shipped_config, votes=Frequency(3, Calendar.DAY)))
    [maya] = await make_people(1)
    now = business.clock.now_ms()

    left = [(await store.write(contests.vote, business, "cup", maya, "1", TEXT, now)).left for _ in range(3)]

    assert left == [2, 1, 0]
    with pytest.raises(AlreadyVoted):
        await store.write(contests.vote, business, "cup", maya, "1", PAGE, now)


async def test_figures_that_are_shown_when_closed_are_not_shown_before(apply: Apply, shipped_config: Config) -> None:
    business = await apply(with_cup(shipped_config, results="when closed"))
    end = business.windows["cup"].closes_at

    assert [contests.shows_results(business, "cup", at) for at in (end - 1, end)] == [False, True]


def test_shares_are_whole_per_cents_and_nothing_is_nothing_of_nothing() -> None:
    assert [contests.Results({"1": 1, "2": 2}).percent(option) for option in ("1", "2")] == [33, 67]
    assert contests.Results({"1": 0}).percent("1") == 0
