"""The life of a campaign's run: launched, planned in batches, sent, paused, stopped, done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, repeat
from typing import NamedTuple

from campaigns import coupons, links
from campaigns.audience import (
    BUDGET,
    COUPON_FIELDS,
    COUPON_OVER,
    COUPON_USED,
    LAST_ZONE,
    NO_CODE,
    Brief,
    Casting,
    Crowd,
    Member,
    channels_of,
    due_at,
    lasts_ms,
    share,
)
from campaigns.business import Business
from campaigns.settings import SEND_AGAIN, Campaign
from gateway import failpoints, outbox
from gateway.messages import Lane, Purpose, State
from gateway.outbox import Message
from gateway.store import Tx

# Half the time of the named tuples' own constructors: there is one of each for every person.
_member = partial(tuple.__new__, Member)
_message = partial(tuple.__new__, Message)

PURPOSE = Purpose.MARKETING.value  # plain, for the store takes several times as long to bind a member of an enum
PAGE = 1_000  # people in one transaction of the planner
ONCE = "1"  # the occurrence of a campaign that is sent once
STOP_BATCH = 1_000


class Run(NamedTuple):
    """One sending of a campaign, as it is kept."""

    id: int
    campaign: str
    occurrence: str
    config: int
    state: str
    resume: str
    why: str
    due: int
    until: int
    checkpoint: int
    matched: int
    spent: int
    started_at: int | None
    planned_at: int | None
    ended_at: int | None
    parts: int  # of everything planned so far
    unit: int | None  # the price of each part; None where there are several, or nothing yet
    taken_parts: int  # of messages of which a carrier has taken anything
    taken_cost: int

    @property
    def is_over(self) -> bool:
        """Whether nothing of it will be sent any more."""
        return self.state in {"done", "stopped"}


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of the audience; `last` is the person it ends with, None at the end of all."""

    last: int | None
    members: Sequence[Member]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Where a page stands in the audience: read behind the person `was`, it ends with `end`.

    `last` is the same, None at the end of all. `known` are by person the numbers of our pools that they know, the
    latest first. `lines` is what was found of numbers that had not been looked at: kind, network and person.
    """

    was: int
    end: int
    last: int | None
    known: Mapping[int, Sequence[str]] = field(default_factory=dict)
    lines: Sequence[tuple[str, str, int]] = ()


@dataclass(frozen=True, slots=True)
class Cast:
    """A page with what was decided about its people: all but the codes and the money."""

    page: Stretch
    matched: int  # without testers, who got theirs first and count in nothing
    crowds: Sequence[Crowd]
    refused: Sequence[tuple[int, str]]


async def launch(tx: Tx, business: Business, campaign: Campaign, now: int) -> Run:
    """Make the run of a campaign unless it has one; a second apply launches nothing twice."""
    due = due_at(campaign, business.config.brand.timezone, now)
    until = ends_at(business, campaign, now)
    await tx.run(
        "run_insert",
        id=business.ids.next(),
        brand=business.brand,
        campaign=campaign.key,
        occurrence=ONCE,
        config=business.version,
        due=due,
        until=until,
    )
    run = await find(tx, business.brand, campaign.key)
    if run is None:
        raise LookupError(campaign.key)
    return run


def ends_at(business: Business, campaign: Campaign, now: int) -> int:
    """When a run that is launched now is over, everywhere: what has not left by then is dropped. In milliseconds."""
    due = due_at(campaign, business.config.brand.timezone, now, LAST_ZONE)
    return max(now, due) + lasts_ms(campaign)


async def find(tx: Tx, brand: int, campaign: str) -> Run | None:
    """The newest run of a campaign."""
    return await tx.one(Run, "run_of_campaign", brand=brand, campaign=campaign)


async def every(tx: Tx, brand: int) -> list[Run]:
    """All runs, oldest first."""
    return await tx.all(Run, "run_list", brand=brand)


async def begin(tx: Tx, business: Business, run: Run, casting: Casting, now: int) -> dict[str, list[int]]:
    """Start planning: the queues of this run by channel, one for each of its slots, which share the pace."""
    await tx.run("run_begin", id=run.id, now=now)
    rate = share(casting.campaign, business.config)
    queues: dict[str, list[int]] = {}
    for channel in channels_of(casting.campaign, business.config):
        slots = business.config.channels[channel].slots
        queues[channel] = [
            await outbox.ensure_queue(
                tx, business.ids, business.brand, channel, Lane.BULK, run=run.id, rate=rate / slots, shard=shard
            )
            for shard in range(slots)
        ]
    return queues


async def read_page(tx: Tx, business: Business, casting: Casting, after: int, now: int) -> Page:
    """The next stretch of the audience, for an estimate. Runs beside the writer, on a snapshot."""
    rows = await tx.people(
        "audience_page",
        casting.condition(now),
        brand=business.brand,
        program=casting.campaign.program,
        after=after,
        limit=PAGE,
    )
    casting.look(now)
    members, _ = casting.looked_at([*map(_member, rows)])
    return Page(members[-1].id if len(members) == PAGE else None, members)


async def cast_page(
    tx: Tx, business: Business, run: Run, casting: Casting, after: int, now: int
) -> Cast:  # fmt: skip
    """Read the next stretch and decide about it, beside the writer, who has enough to do."""
    rows: Sequence[Brief] = await tx.people(
        "audience_brief",
        casting.condition(now),
        brand=business.brand,
        program=casting.campaign.program,
        after=after,
        limit=PAGE,
        **casting.asks,
    )
    casting.look(now)
    rows, lines = casting.looked_up(rows)
    end = rows[-1][0] if rows else after
    known = await _known(tx, rows[0][0], end) if rows and casting.has_pools else {}
    page = Stretch(after, end, end if len(rows) == PAGE else None, known, lines)
    if business.testers:
        rows = [row for row in rows if row[2] not in business.testers]
    return Cast(page, len(rows), *casting.cast(rows, now, run.until))


async def _known(tx: Tx, first: int, last: int) -> dict[int, list[str]]:
    """By person, the numbers of our pools that they know, the latest first."""
    known: dict[int, list[str]] = {}
    for person, number in await tx.rows("sticky_among", first=first, last=last):
        known.setdefault(person, []).append(number)
    return known


async def write_page(
    tx: Tx, business: Business, run: Run, casting: Casting, queues: Mapping[str, Sequence[int]], cast: Cast, now: int
) -> bool:
    """Turn a page into messages and refusals, with the checkpoint, in one transaction.

    Each person of the page becomes exactly one row, save testers, who count in nothing. False: the run is not
    being planned any more, or this page has been written already.
    """
    current = await tx.one(Run, "run_by_id", id=run.id)
    page, crowds, refused = cast.page, cast.crowds, [*cast.refused]
    if current is None or current.state != "planning" or current.checkpoint != page.was:
        return False
    coupon, budget = casting.campaign.coupon, casting.campaign.budget
    if coupon and crowds:
        crowds = await _with_codes(tx, business, run, casting, crowds, refused, now)
    if budget:
        crowds, poor = within(budget.millionths - current.spent, crowds)
        refused += [(person, BUDGET) for person in poor]
        if coupon and poor:
            await coupons.take_back(tx, business, coupon, poor, run.id)
    batch = Batch(business, run, casting, page.known)
    batch.add(crowds)
    await batch.put(tx, queues, now)
    await tx.many("person_line_put", page.lines)
    await refuse(tx, business.brand, run, refused)
    await tx.run(
        "run_advance", id=run.id, was=page.was, checkpoint=page.end, matched=cast.matched,
        spent=sum(crowd.cost for crowd in crowds), parts=sum(sum(crowd.parts) for crowd in crowds),
        unit=_unit(current, crowds),
    )  # fmt: skip
    if page.last is None:
        await tx.run("run_planned", id=run.id, now=now)
    failpoints.hit("plan")
    return True


def _unit(run: Run, crowds: Sequence[Crowd]) -> int | None:
    """The price of a part, where it is the same in all that was planned with these crowds."""
    prices: set[int | None] = {crowd.sample.price for crowd in crowds}
    if run.parts:
        prices.add(run.unit)
    return prices.pop() if len(prices) == 1 else None


async def refuse(tx: Tx, brand: int, run: Run, refused: Sequence[tuple[int, str]]) -> None:
    """Keep who of the audience gets nothing and why, and how many they are."""
    await tx.many("refusal_insert", [(run.id, person, brand, reason) for person, reason in refused])
    sums = Counter(reason for _, reason in refused)
    await tx.many("refused_add", [(run.id, reason, brand, n) for reason, n in sums.items()])


async def _with_codes(
    tx: Tx, business: Business, run: Run, casting: Casting, crowds: Sequence[Crowd], refused: list[tuple[int, str]],
    now: int,
) -> list[Crowd]:  # fmt: skip
    """The crowds with their codes and their texts; those for whom there is no code are refused."""
    asking = sorted(chain.from_iterable(crowd.people for crowd in crowds))
    given = await coupons.give_many(tx, business, casting.campaign.coupon or "", asking, run.id, now)
    refused += [(person, why_no_code(reason)) for person, reason in given.refused.items()]
    said = []
    for crowd in [crowd.among(given.given) for crowd in crowds] if given.refused else crowds:
        values = [coupon_values(business, given.given[person].code) for person in crowd.people]
        said.append(casting.say(crowd, {name: [each[name] for each in values] for name in COUPON_FIELDS}))
    return said


def within(left: int, crowds: Sequence[Crowd]) -> tuple[Sequence[Crowd], list[int]]:
    """Those whose texts the money that is left pays for, in the order of people, and the others."""
    if sum(crowd.cost for crowd in crowds) <= left:
        return crowds, []
    poor = []
    prices = (zip(crowd.people, crowd.parts, repeat(crowd.sample.price)) for crowd in crowds)
    for person, parts, price in sorted(chain.from_iterable(prices)):
        if parts * price > left:
            poor.append(person)
        else:
            left -= parts * price
    rich = {person for crowd in crowds for person in crowd.people}.difference(poor)
    return [crowd.among(rich) for crowd in crowds], poor


class Batch:
    """The messages of one page."""

    def __init__(self, business: Business, run: Run, casting: Casting, known: Mapping[int, Sequence[str]]) -> None:
        self._business, self._run, self._casting, self._known = business, run, casting, known
        self._repeat = int(casting.campaign.when_in_doubt == SEND_AGAIN)
        self._met: list[tuple[int, str]] = []  # people, and the number of a pool that they meet by this page
        self._by_queue: dict[tuple[str, int], list[tuple[object, ...]]] = {}

    def add(self, crowds: Sequence[Crowd]) -> None:
        """Make the messages; their ids are in the order of people, whichever crowd they stand in."""
        people = sorted(chain.from_iterable(crowd.people for crowd in crowds))
        ids = dict(zip(people, self._business.ids.take(len(people)), strict=True))
        for crowd in crowds:
            queue = crowd.sample.sender.channel, crowd.sample.due
            rows = self._rows(crowd, map(ids.__getitem__, crowd.people))
            self._by_queue.setdefault(queue, []).extend(rows)

    def _rows(self, crowd: Crowd, ids: Iterable[int]) -> Iterable[tuple[object, ...]]:
        """A message for each of a crowd; what all have in common is said once."""
        member, sender, _, price, _ = crowd.sample
        campaign, zone = self._casting.campaign, member.zone
        numbers = self._numbers(crowd) if self._casting.is_pooled(sender) else repeat(sender.number)
        return zip(
            ids, repeat(self._business.brand), repeat(self._run.id), crowd.people,
            repeat(PURPOSE), repeat(campaign.program), repeat(sender.channel), numbers, crowd.addresses, repeat(zone),
            crowd.texts, crowd.parts, [parts * price for parts in crowd.parts],
            repeat(self._casting.ends_at(zone, self._run.until)), repeat(self._repeat), repeat(0),
        )  # fmt: skip

    def _numbers(self, crowd: Crowd) -> list[str]:
        """The numbers of a pool, which these people know from now on."""
        numbers = []
        for person, address in zip(crowd.people, crowd.addresses, strict=True):
            known = self._known.get(person, ())
            number = self._casting.number_for(crowd.sample.sender, person, address, known).number
            if not known or known[0] != number:
                self._met.append((person, number))
            numbers.append(number)
        return numbers

    async def put(self, tx: Tx, queues: Mapping[str, Sequence[int]], now: int) -> None:
        """Into the outbox, in person order within each queue."""
        for (channel, due), messages in self._by_queue.items():
            messages.sort()  # by their ids, so that the store only appends
            slots = queues[channel]
            share = -(-len(messages) // len(slots))
            for slot, queue in enumerate(slots):
                await outbox.put(tx, messages[slot * share : (slot + 1) * share], queue, due)
        brand = self._business.brand
        await tx.many("sticky_put", [(person, number, brand, now) for person, number in self._met])


def coupon_values(business: Business, code: str) -> dict[str, str]:
    """What a text may say of a code."""
    return {"coupon.link": links.coupon_link(business, code), "coupon.code": coupons.shown(code)}


def why_no_code(reason: coupons.NoCoupon) -> str:
    """The reason in a report for an audience that gets no code."""
    return {coupons.AlreadyUsed: COUPON_USED, coupons.Expired: COUPON_OVER}.get(type(reason), NO_CODE)


async def pause(tx: Tx, brand: int, run: Run, why: str) -> bool:
    """Hold a run: nothing more is planned or claimed. False when it is over or held already."""
    changed = await tx.run("run_pause", id=run.id, why=why)
    await tx.run("queue_set_active", brand=brand, run=run.id, active=0)
    return bool(changed)


async def resume(tx: Tx, brand: int, run: Run) -> bool:
    """Go on where it was held."""
    changed = await tx.run("run_resume", id=run.id)
    if changed:
        await tx.run("queue_set_active", brand=brand, run=run.id, active=1)
    return bool(changed)


async def stop(tx: Tx, brand: int, run: Run, why: str) -> bool:
    """End a run for good: what has not been claimed will not be; `drain` counts it out."""
    changed = await tx.run("run_stop", id=run.id, why=why)
    await tx.run("queue_set_active", brand=brand, run=run.id, active=0)
    return bool(changed)


async def drain(tx: Tx, brand: int, run: Run, now: int) -> bool:
    """Take a batch of a stopped run out of the outbox, each with its reason. True while there is more."""
    for queue, _ in await tx.rows("run_queues", brand=brand, run=run.id):
        rows = await tx.rows("outbox_of_run", queue=queue, limit=STOP_BATCH)
        if not rows:
            continue
        await tx.many(
            "event_insert",
            [(brand, run.id, id_, -1, parts, State.STOPPED, now, "run stopped", "") for _, _, id_, _, parts in rows],
        )
        await tx.run("outbox_delete_through", queue=queue, due=rows[-1][1], id=rows[-1][2])
        return True
    return not await _end(tx, brand, run, "stopped", now)


async def finish(tx: Tx, brand: int, run: Run, now: int) -> bool:
    """Call a run done when nothing of it waits or is in the air. Receipts may still come."""
    return await _end(tx, brand, run, "done", now)


async def _end(tx: Tx, brand: int, run: Run, state: str, now: int) -> bool:
    queues = [queue for queue, _ in await tx.rows("run_queues", brand=brand, run=run.id)]
    for queue in queues:
        if await tx.value("run_is_waiting", queue=queue):
            return False
    await tx.run("run_end", id=run.id, state=state, was=run.state, now=now)
    await tx.many("queue_drop", [(queue,) for queue in queues])
    return True


@dataclass(frozen=True, slots=True)
class Waterfall:
    """A run's audience, counted out: matched = refused by reason + sending by state. Sums add up at every moment."""

    matched: int
    refused: Mapping[str, int]
    states: Mapping[tuple[State, str], int]

    @property
    def sending(self) -> int:
        """Messages that were made."""
        return sum(self.states.values())

    @property
    def adds_up(self) -> bool:
        """Whether every member of the audience is accounted for."""
        return self.matched == sum(self.refused.values()) + self.sending

    def in_state(self, *states: State) -> int:
        """Messages in any of these states."""
        return sum(n for (state, _), n in self.states.items() if state in states)


async def waterfall(tx: Tx, run: Run) -> Waterfall:
    """Count a run out, in one snapshot."""
    fresh = await tx.one(Run, "run_by_id", id=run.id) or run
    states: Counter[tuple[State, str]] = Counter()
    for state, reason, n in await tx.rows("tally_of_run", run=run.id):
        states[State(state), reason] += n
    refused = dict(await tx.all(_pair, "refusals_of_run", run=run.id))
    return Waterfall(fresh.matched, refused, dict(states))


def _pair(reason: str, n: int) -> tuple[str, int]:
    return reason, n
