"""Who may vote when, how often a phone may, and how a contest stands: the same for a text and a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from campaigns.business import Business, in_ms
from gateway.clock import from_ms, to_ms
from gateway.counting import outcomes
from gateway.store import Tx
from gateway.values import Calendar

MINUTE_MS = 60_000
TEXT, PAGE = "text", "page"  # the doors through which people come


class AlreadyVoted(Exception):
    """This phone has no vote left now: it last voted for `choice` at `at`, and may again at `next` (None: never)."""

    def __init__(self, choice: str, at: int, next: int | None) -> None:
        super().__init__(choice, at, next)
        self.choice = choice
        self.at = at
        self.next = next


class NotOpenYet(Exception):
    """Votes are taken from `at` on."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


class Closed(Exception):
    """No vote was taken after `at`."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


class NoSuchOption(Exception):
    """The contest has no such choice."""


@dataclass(frozen=True, slots=True)
class Voted:
    """A vote that counts. `left` more are possible at once; `next` says when the next one is, None for never."""

    choice: str
    left: int
    next: int | None


@dataclass(frozen=True, slots=True)
class Results:
    """How a contest stands: votes by option, in the order of the options."""

    votes: Mapping[str, int]

    @property
    def total(self) -> int:
        """All votes."""
        return sum(self.votes.values())

    def percent(self, option: str) -> int:
        """An option's share of all votes, in whole per cent."""
        return round(100 * self.votes[option] / self.total) if self.total else 0


class Limit(NamedTuple):
    """What a phone's vote at one moment is counted against.

    `period` is the key of its row, the same for all votes that share a limit; votes after `since` count;
    `ends_at` is when a calendar's period is over.
    """

    period: str
    since: int
    ends_at: int | None


REFUSALS = {AlreadyVoted: "already voted", NotOpenYet: "not open", Closed: "closed", NoSuchOption: "no such option"}


async def vote(tx: Tx, business: Business, contest: str, person_id: int, choice: str, door: str, now: int) -> Voted:
    """Take a vote, and count it. Raises as `take` does."""
    voted = await take(tx, business, contest, person_id, choice, door, now)
    await count(tx, business, [Ballot(contest, choice, person_id, now)])
    return voted


class Ballot(NamedTuple):
    """A vote that was taken at `at`."""

    contest: str
    choice: str
    person: int
    at: int


async def count(tx: Tx, business: Business, ballots: Sequence[Ballot]) -> None:
    """Add votes to the running count and to what people did, in the transaction that took them."""
    sums = Counter((ballot.contest, ballot.choice) for ballot in ballots)
    rows = [(contest, choice, business.brand, votes) for (contest, choice), votes in sums.items()]
    await tx.many("ballot_add", rows)
    deeds = [(business.brand, person, "voted", contest, at, choice) for contest, choice, person, at in ballots]
    await tx.many("activity_insert", deeds)


@outcomes("votes", "counted", REFUSALS)
async def take(tx: Tx, business: Business, contest: str, person_id: int, choice: str, door: str, now: int) -> Voted:
    """Take a vote that is to be counted. `now` is when it reached us, so that a late answer of ours shuts nobody out.

    Raises AlreadyVoted, NotOpenYet, Closed or NoSuchOption. The primary key decides: of two votes that come
    together by text and page, one counts.
    """
    settings = business.config.contests[contest]
    if choice not in settings.options:
        raise NoSuchOption(choice)
    check_open(business, contest, now)
    most, limit = settings.votes.count, limit_at(business, contest, now)
    key = {"contest": contest, "person": person_id, "period": limit.period}
    counted = await tx.rows(
        "vote_insert", **key, brand=business.brand, choice=choice, at=now, door=door, since=limit.since, most=most
    )  # fmt: skip
    if not counted:
        times = await tx.rows("vote_latest", **key)
        raise AlreadyVoted(times[0][0], times[0][1], await _next(tx, business, contest, key, limit, now))
    before = counted[0][0] if limit.since == 0 else await tx.value("vote_within", **key, since=limit.since) - 1
    left = most - 1 - before
    return Voted(choice, left, now if left > 0 else await _next(tx, business, contest, key, limit, now))


def check_open(business: Business, contest: str, now: int) -> None:
    """Raise NotOpenYet or Closed when the contest takes no votes at this moment."""
    window = business.windows[contest]
    if now < window.opens_at:
        raise NotOpenYet(window.opens_at)
    if now >= window.closes_at:
        raise Closed(window.closes_at)


def limit_at(business: Business, contest: str, now: int) -> Limit:
    """What a vote at this moment is counted against, on the brand's calendar."""
    period = business.config.contests[contest].votes.period
    if period is None:
        return Limit("all", 0, None)
    if isinstance(period, timedelta):
        return Limit("rolling", now - in_ms(period), None)
    return _calendar_limit(period, business.zone, now // MINUTE_MS)


@lru_cache(256)  # thousands vote within a minute, and no day begins within one
def _calendar_limit(period: Calendar, zone: ZoneInfo, minute: int) -> Limit:
    name, following = _calendar(period, from_ms(minute * MINUTE_MS).astimezone(zone).date())
    return Limit(name, 0, to_ms(datetime.combine(following, time(), zone)))


def _calendar(period: Calendar, today: date) -> tuple[str, date]:
    """The name of the running period and the first day of the next."""
    if period is Calendar.DAY:
        return today.isoformat(), today + timedelta(days=1)
    if period is Calendar.WEEK:
        year, week, weekday = today.isocalendar()
        return f"{year}-W{week:02}", today + timedelta(days=8 - weekday)
    return f"{today:%Y-%m}", (today.replace(day=1) + timedelta(days=32)).replace(day=1)


async def _next(
    tx: Tx, business: Business, contest: str, key: Mapping[str, object], limit: Limit, now: int
) -> int | None:
    """When the next vote of a phone that has none left is possible; None when it is not before the end."""
    settings = business.config.contests[contest]
    at = limit.ends_at
    if isinstance(settings.votes.period, timedelta):
        # The oldest vote that still counts makes room first.
        oldest: int = await tx.value("vote_oldest", **key, since=limit.since)
        at = oldest + in_ms(settings.votes.period)
    return at if at is not None and at < business.windows[contest].closes_at else None


def shows_results(business: Business, contest: str, now: int) -> bool:
    """Whether people may see the figures now."""
    is_over = now >= business.windows[contest].closes_at
    return is_over or business.config.contests[contest].results == "live"


async def results(tx: Tx, business: Business, contest: str) -> Results:
    """How a contest stands, by the running count."""
    return _results(business, contest, await tx.rows("ballot_list", contest=contest))


async def recount(tx: Tx, business: Business, contest: str) -> Results:
    """How a contest stands, counted from the votes themselves: must equal `results`."""
    return _results(business, contest, await tx.rows("vote_count", contest=contest))


def _results(business: Business, contest: str, rows: list[tuple[str, int]]) -> Results:
    # An option that was taken out of the file keeps its votes.
    return Results(dict.fromkeys(business.config.contests[contest].options, 0) | dict(rows))
