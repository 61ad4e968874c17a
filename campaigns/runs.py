"""The life of a campaign's run: launched, planned in batches, sent, paused, stopped, done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from campaigns import coupons, links
from campaigns.audience import (
    BUDGET,
    COUPON_OVER,
    COUPON_USED,
    LAST_ZONE,
    NO_CODE,
    Casting,
    Invitation,
    Member,
    channels_of,
    due_at,
    lasts_ms,
    share,
)
from campaigns.business import Business
from campaigns.gate import HOURS
from campaigns.settings import SEND_AGAIN, Campaign
from gateway import failpoints, outbox
from gateway.messages import Lane, Purpose, State
from gateway.outbox import Message
from gateway.store import Tx

# Half the time of the named tuples' own constructors: there is one of each for every person.
_member = partial(tuple.__new__, Member)
_message = partial(tuple.__new__, Message)

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

    @property
    def is_over(self) -> bool:
        """Whether nothing of it will be sent any more."""
        return self.state in {"done", "stopped"}


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of the audience, read at a checkpoint; `last` is the person it ends with, None at the end of all.

    `known` are by person the numbers of our pools that they know, the latest first. `lines` is what was found of
    numbers that had not been looked at: kind, network and person.
    """

    was: int
    last: int | None
    members: Sequence[Member]
    known: Mapping[int, Sequence[str]] = field(default_factory=dict)
    lines: Sequence[tuple[str, str, int]] = ()


@dataclass(frozen=True, slots=True)
class Cast:
    """A page with what was decided about its members: all but the codes and the money.

    `said` are the texts with their parts, in the order of `invited`; None where a text needs its code first.
    """

    page: Page
    members: int  # without testers, who got theirs first and count in nothing
    invited: Sequence[Invitation]
    refused: Sequence[tuple[int, str]]
    said: Sequence[tuple[str, int]] | None


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


async def begin(tx: Tx, business: Business, run: Run, casting: Casting, now: int) -> dict[str, int]:
    """Start planning: the queues of this run by channel."""
    await tx.run("run_begin", id=run.id, now=now)
    rate = share(casting.campaign, business.config)
    return {
        channel: await outbox.ensure_queue(tx, business.ids, business.brand, channel, Lane.BULK, run=run.id, rate=rate)
        for channel in channels_of(casting.campaign, business.config)
    }


async def read_page(tx: Tx, business: Business, casting: Casting, after: int, now: int) -> Page:
    """The next stretch of the audience. Runs beside the writer, on a snapshot."""
    rows = await tx.people(
        "audience_page",
        casting.condition(now),
        brand=business.brand,
        program=casting.campaign.program,
        after=after,
        limit=PAGE,
    )
    casting.look(now)
    members, lines = casting.looked_at([*map(_member, rows)])
    known = await _known(tx, members) if casting.has_pools else {}
    return Page(after, members[-1].id if len(members) == PAGE else None, members, known, lines)


async def _known(tx: Tx, members: Sequence[Member]) -> dict[int, list[str]]:
    """By person, the numbers of our pools that they know, the latest first."""
    known: dict[int, list[str]] = {}
    if members:
        for person, number in await tx.rows("sticky_among", first=members[0].id, last=members[-1].id):
            known.setdefault(person, []).append(number)
    return known


async def cast_page(
    tx: Tx, business: Business, run: Run, casting: Casting, after: int, now: int
) -> Cast:  # fmt: skip
    """Read the next stretch and decide about it, beside the writer, who has enough to do."""
    page = await read_page(tx, business, casting, after, now)
    refused: list[tuple[int, str]] = []
    invited: list[Invitation] = []
    members = [member for member in page.members if member.address not in business.testers]
    for member in members:
        verdict = casting.decide(member, now)
        if isinstance(verdict, str):
            refused.append((member.id, verdict))
        elif verdict.due >= run.until:  # the gate would say so later: better nobody waits for it
            refused.append((member.id, HOURS))
        else:
            invited.append(verdict)
    said = None if casting.campaign.coupon else [casting.words(invitation, {}) for invitation in invited]
    return Cast(page, len(members), invited, refused, said)


async def write_page(
    tx: Tx, business: Business, run: Run, casting: Casting, queues: Mapping[str, int], cast: Cast, now: int
) -> bool:
    """Turn a page into messages and refusals, with the checkpoint, in one transaction.

    Each person of the page becomes exactly one row, save testers, who count in nothing. False: the run is not
    being planned any more, or this page has been written already.
    """
    current = await tx.one(Run, "run_by_id", id=run.id)
    page, invited, refused = cast.page, cast.invited, [*cast.refused]
    if current is None or current.state != "planning" or current.checkpoint != page.was:
        return False
    given = coupons.Batch({}, {})
    coupon = casting.campaign.coupon
    if coupon and invited:
        given = await coupons.give_many(tx, business, coupon, [each.member.id for each in invited], run.id, now)
    budget = casting.campaign.budget
    left = budget.millionths - current.spent if budget else None
    batch = Batch(business, run, casting, given, left, page.known)
    for place, invitation in enumerate(invited):
        batch.add(invitation, cast.said[place] if cast.said is not None else None, refused)
    await batch.put(tx, queues, now)
    await tx.many("person_line_put", page.lines)
    if coupon and batch.unused:
        await coupons.take_back(tx, business, coupon, batch.unused, run.id)
    await tx.many("refusal_insert", [(run.id, person, business.brand, reason) for person, reason in refused])
    last = page.members[-1].id if page.members else page.was
    await tx.run("run_advance", id=run.id, was=page.was, checkpoint=last, matched=cast.members, spent=batch.spent)
    if page.last is None:
        await tx.run("run_planned", id=run.id, now=now)
    failpoints.hit("plan")
    return True


class Batch:
    """The messages of one page."""

    def __init__(
        self, business: Business, run: Run, casting: Casting, given: coupons.Batch, left: int | None,
        known: Mapping[int, Sequence[str]],
    ) -> None:  # fmt: skip
        self._business, self._run, self._casting, self._given, self._left = business, run, casting, given, left
        self._known, self._repeat = known, int(casting.campaign.when_in_doubt == SEND_AGAIN)
        self._met: list[tuple[int, str]] = []  # people, and the number of a pool that they meet by this page
        self._ids = iter(business.ids.take(PAGE))
        self._by_queue: dict[tuple[str, int], list[Message]] = {}
        self.spent = 0
        self.unused: list[int] = []  # people whose code goes back to the pool

    def add(self, invitation: Invitation, said: tuple[str, int] | None, refused: list[tuple[int, str]]) -> None:
        """Write the text for one person; or refuse, when codes or money have run out."""
        member, sender, _, price, due = invitation
        coupon: dict[str, str] = {}
        if self._casting.campaign.coupon:
            given = self._given.given.get(member.id)
            if given is None:
                refused.append((member.id, why_no_code(self._given.refused[member.id])))
                return
            coupon = coupon_values(self._business, given.code)
        text, parts = said or self._casting.words(invitation, coupon)
        cost = parts * price
        if self._left is not None and self.spent + cost > self._left:
            refused.append((member.id, BUDGET))
            if coupon:
                self.unused.append(member.id)
            return
        self.spent += cost
        number = self._number(invitation) if self._casting.is_pooled(sender) else sender.number
        run = self._run
        self._by_queue.setdefault((sender.channel, due), []).append(
            _message((
                next(self._ids), self._business.brand, run.id, member.id, Purpose.MARKETING,
                self._casting.campaign.program, sender.channel, number, member.address, member.zone, text,
                parts, cost, self._casting.ends_at(member.zone, run.until), self._repeat, 0,
            ))
        )  # fmt: skip

    def _number(self, invitation: Invitation) -> str:
        """The number of a pool, which the person knows from now on."""
        person = invitation.member.id
        known = self._known.get(person, ())
        number = self._casting.number(invitation, known).number
        if not known or known[0] != number:
            self._met.append((person, number))
        return number

    async def put(self, tx: Tx, queues: Mapping[str, int], now: int) -> None:
        """Into the outbox, in person order within each queue."""
        for (channel, due), messages in self._by_queue.items():
            await outbox.put(tx, messages, queues[channel], due)
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
