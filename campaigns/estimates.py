"""Counts an audience out before the launch: who gets the campaign, who does not and why, the cost, the time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import combinations

from campaigns import people, runs
from campaigns.audience import BUDGET, COUPON_OVER, COUPON_USED, NO_CODE, Casting, Invitation, share
from campaigns.business import Business
from campaigns.gate import HOURS
from campaigns.runs import Page, Run
from campaigns.settings import Campaign
from gateway.store import Store, Tx

SAMPLE_CODE = "K7QM2X9F"  # codes all have one length and one alphabet, so any stands for all in the count of parts
NO_LIMIT = float("inf")


@dataclass(slots=True)
class Estimate:
    """What a campaign would come to if it were launched now: matched = refused by reason + sending.

    `cost` is in millionths, `seconds` the time that what may leave at once takes at its pace. `later` wait for
    their hours, the first until `opens_at`. `other_language` counts readers by the language that they read and
    the one that they would get. `codes` are new ones.
    """

    campaign: str
    matched: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    sending: int = 0
    parts: int = 0
    cost: int = 0
    seconds: float = 0
    later: int = 0
    opens_at: int = 0
    other_language: Counter[tuple[str, str]] = field(default_factory=Counter)
    codes: int = 0
    codes_left: int | None = None  # in the pool, before this campaign; None without a coupon
    parts_saved: int = 0  # by straightening; or that could be saved, where the campaign does not say so
    straightened: dict[str, str] = field(default_factory=dict)  # each character that it changes or would, into what
    was_in: Counter[str] = field(default_factory=Counter)  # how many were in the audience of a run that is gone

    @property
    def typography(self) -> str:
        """What straightening writes for what."""
        return typography(self.straightened)


def typography(changes: Mapping[str, str]) -> str:
    """What straightening writes for what: `’ as ', … as ...`."""
    return ", ".join(f"{sign} as {plain or 'nothing'}" for sign, plain in changes.items())


class Survey:
    """Decides about one audience as the run itself would, page by page, and writes nothing."""

    def __init__(self, business: Business, campaign: Campaign, now: int, gone: Sequence[Run] = ()) -> None:
        self.estimate = Estimate(campaign.key)
        self.after = 0  # the last person counted
        self.is_over = False
        self._business, self._campaign, self._now, self._gone = business, campaign, now, gone
        self._casting = Casting(business, campaign)
        self._until = runs.ends_at(business, campaign, now)
        self._coupon = business.config.coupons[campaign.coupon] if campaign.coupon else None
        self._values = runs.coupon_values(business, SAMPLE_CODE) if campaign.coupon else {}
        self._parts_now: Counter[str] = Counter()  # by channel, of those that may leave at once
        self._parts_from: Counter[str] = Counter()  # the same by sender
        self._sure = (self.estimate, self._parts_now, self._parts_from)  # after the last page that was read whole

    async def step(self, tx: Tx) -> list[int]:
        """Count the next page; the people in it who would get a text. Runs beside the writer, on a snapshot.

        It is counted into copies, for a reading whose line is lost is begun anew.
        """
        self.estimate, self._parts_now, self._parts_from = deepcopy(self._sure)
        if self._coupon is not None and self.estimate.codes_left is None:
            left = await codes_left(tx, self._campaign.coupon or "", self._coupon.codes)
            self.estimate.codes_left = max(0, left - await self._codes_of_testers(tx))
        page = await runs.read_page(tx, self._business, self._casting, self.after, self._now)
        sending = await self._count(tx, page)
        tx.after_commit(self._pass, page.last)
        return sending

    def _pass(self, last: int | None) -> None:
        self._sure = (self.estimate, self._parts_now, self._parts_from)
        self.is_over = last is None
        self.after = last or self.after

    async def _count(self, tx: Tx, page: Page) -> list[int]:
        estimate = self.estimate
        members = [member for member in page.members if member.address not in self._business.testers]
        estimate.matched += len(members)
        invited: list[Invitation] = []
        for member in members:
            verdict = self._casting.decide(member, self._now)
            if isinstance(verdict, str):
                estimate.refused[verdict] += 1
            elif verdict.due >= self._casting.ends_at(member.zone, self._until):
                estimate.refused[HOURS] += 1
            else:
                invited.append(verdict)
        ids = [member.id for member in members]
        for run in self._gone:
            estimate.was_in[run.campaign] += await tx.value("run_among", run=run.id, people=ids)
        codes = await self._codes(tx, [each.member.id for each in invited]) if self._coupon else {}
        return [each.member.id for each in invited if self._add(each, codes.get(each.member.id, ""))]

    def _add(self, invitation: Invitation, code: str) -> bool:
        """Count one invitation; False when codes or money have run out."""
        estimate = self.estimate
        left = (estimate.codes_left or 0) - estimate.codes
        if code in (COUPON_USED, COUPON_OVER) or (code == NEW and left <= 0):
            estimate.refused[NO_CODE if code == NEW else code] += 1
            return False
        _, parts = self._casting.words(invitation, self._values)
        cost = parts * invitation.price
        budget = self._campaign.budget
        if budget is not None and estimate.cost + cost > budget.millionths:
            estimate.refused[BUDGET] += 1
            return False
        estimate.codes += code == NEW
        estimate.sending += 1
        estimate.parts += parts
        estimate.cost += cost
        estimate.parts_saved += self._casting.saves(invitation, self._values, parts)
        self._note_time(invitation, parts)
        self._note_language(invitation)
        return True

    def _note_time(self, invitation: Invitation, parts: int) -> None:
        estimate = self.estimate
        if invitation.due <= self._now:
            self._parts_now[invitation.sender.channel] += parts
            self._parts_from[invitation.sender.key] += parts
            return
        estimate.later += 1
        estimate.opens_at = min(estimate.opens_at or invitation.due, invitation.due)

    def _note_language(self, invitation: Invitation) -> None:
        texts = self._campaign.text.texts
        wanted = invitation.member.language
        if wanted and "" not in texts and wanted not in texts:
            languages = self._business.config.brand.languages
            got = next((code for code in languages if code in texts), next(iter(texts)))
            self.estimate.other_language[wanted, got] += 1

    async def _codes(self, tx: Tx, asking: list[int]) -> Mapping[int, str]:
        """For each person: '' for a good code that they have, NEW for one to be given, else why there is none."""
        held: dict[int, list[tuple[int, int | None]]] = {}
        for person, _, code, expires_at, redeemed_at, _ in await tx.rows(
            "coupon_held", coupon=self._campaign.coupon, people=asking
        ):
            held.setdefault(person, []).extend([(expires_at, redeemed_at)] if code else [])
        most = self._coupon.per_person if self._coupon else 0
        return {person: code_for(codes, most, self._now) for person, codes in held.items()}

    async def _codes_of_testers(self, tx: Tx) -> int:
        """How many codes our own phones will take first."""
        taken = 0
        for address in self._business.testers:
            person = await people.find_by_address(tx, self._business, address)
            codes = await self._codes(tx, [person.id]) if person else {0: NEW}
            taken += NEW in codes.values()
        return taken

    def finish(self) -> Estimate:
        """The estimate, once every page has been counted."""
        for wording in self._casting.wordings.values():
            self.estimate.straightened |= wording.changes
        config = self._business.config
        own = share(self._campaign, config) or NO_LIMIT
        times = [parts / min(own, config.channels[name].rate.per_s) for name, parts in self._parts_now.items()]
        for name, parts in self._parts_from.items():
            sender = config.senders[name]
            times += [parts / (sender.rate.per_s * len(sender.numbers))] if sender.rate else []
        self.estimate.seconds = max(times, default=0.0)
        return self.estimate


NEW = "new"


def code_for(codes: list[tuple[int, int | None]], most: int, now: int) -> str:
    """What `coupons.give` would do for a person who has these codes, each when it expires and when it was used."""
    if any(redeemed_at is None and expires_at >= now for expires_at, redeemed_at in codes):
        return ""
    if len(codes) < most:
        return NEW
    return COUPON_OVER if codes[-1][1] is None else COUPON_USED


async def codes_left(tx: Tx, coupon: str, size: int) -> int:
    """How many codes of a coupon of this size nobody has yet."""
    rows = await tx.rows("pool_of", coupon=coupon)
    return max(0, size - (rows[0][1] if rows else 0))


async def survey(
    store: Store,
    surveys: Sequence[Survey],
    tell: Callable[[str, int], Awaitable[None]],
) -> tuple[list[Estimate], dict[tuple[str, str], int]]:
    """Walk several audiences side by side in the order of people; memory does not grow with them.

    `tell` hears a campaign's key and how many people of it were counted. Returns the estimates, and how many
    people would get both of two campaigns.
    """
    ahead: dict[str, set[int]] = {each.estimate.campaign: set() for each in surveys}
    both: Counter[tuple[str, str]] = Counter()
    while going := [each for each in surveys if not each.is_over]:
        behind = min(going, key=lambda each: each.after)
        ahead[behind.estimate.campaign].update(await store.read(behind.step))
        await tell(behind.estimate.campaign, behind.estimate.matched)
        await asyncio.sleep(0)
        least = min((each.after for each in surveys if not each.is_over), default=None)
        _count_both(ahead, least, both)
    return [each.finish() for each in surveys], dict(both)


def _count_both(ahead: dict[str, set[int]], least: int | None, both: Counter[tuple[str, str]]) -> None:
    """Compare what every walk has passed, and forget it. `least` is the person whom all have reached, None: the end."""
    passed = {name: {one for one in those if least is None or one <= least} for name, those in ahead.items()}
    for first, second in combinations(passed, 2):
        shared = len(passed[first] & passed[second])
        if shared:
            both[first, second] += shared
    for name, those in passed.items():
        ahead[name] -= those
