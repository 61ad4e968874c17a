"""Shows what `apply` would do before it does it: what is new, what goes, who would get what, and what it costs."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import orjson

from campaigns import runs, versions
from campaigns.business import Business, by_number, window_of
from campaigns.estimates import Estimate, Survey, codes_left, survey
from campaigns.runs import Run
from campaigns.settings import Campaign, Config
from gateway import numbers
from gateway.clock import Clock
from gateway.config import KEY, Finding, Loaded, Settings
from gateway.ids import Ids
from gateway.messages import State
from gateway.quality import Quality
from gateway.rendering import Texts
from gateway.settings import is_only_here
from gateway.store import Store, Tx

TOLERANCE = 0.05  # by how much size or cost may have grown since the plan before apply asks again
MOSTLY = 0.8  # of the people: then a new campaign is likely an old one under a new name
LEFT_US = (State.IN_DOUBT, State.SENT, State.UNKNOWN, State.DELIVERED)
# With the text, all that makes a launch.
FROZEN = ("program", "audience", "senders", "send", "budget", "coupon", "straighten", "when_in_doubt")

Tell = Callable[[str, int], Awaitable[None]]
Pinned = Callable[[int], Awaitable[Config]]


class Launched(NamedTuple):
    """A run with the campaign as it was launched and what has become of it."""

    run: Run
    campaign: Campaign
    unsent: int
    sent: int


@dataclass(slots=True)
class Difference:
    """What the file says beside what runs now. `gone` are runs that are not over and not in the file any more."""

    new: list[Campaign] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    renamed: list[tuple[str, str]] = field(default_factory=list)  # from, to
    gone: list[Launched] = field(default_factory=list)
    former: list[Run] = field(default_factory=list)  # runs, over or not, whose campaign is not in the file any more
    mistakes: list[Finding] = field(default_factory=list)


@dataclass(slots=True)
class Stock:
    """How many codes of a coupon are left, and how many the new campaigns need at most."""

    coupon: str
    codes: int
    left: int
    needed: int

    @property
    def is_short(self) -> bool:
        """True when an audience could need more than there are."""
        return self.needed > self.left


@dataclass(slots=True)
class Plan:
    """What an apply would do. `mistakes` forbid it; `questions` want an --accept; `warnings` want a look."""

    id: str
    at: int
    digest: str
    people: int
    new: list[Estimate]
    same: list[str]
    renamed: list[tuple[str, str]]
    gone: dict[str, int]  # campaign -> unsent messages that would be stopped
    both: dict[tuple[str, str], int]
    stocks: list[Stock]
    opening: dict[str, tuple[int, int]]  # contests that open with this apply: from, until
    changed: list[str]  # everything else that the file says otherwise than what is applied: `keywords.HOURS`
    mistakes: list[str]
    questions: list[str]
    warnings: list[str]

    @property
    def changes_nothing(self) -> bool:
        """True when everything in the file runs already."""
        return not (self.new or self.renamed or self.gone or self.opening or self.changed)


def draft(
    config: Config, *, brand: int, ids: Ids, clock: Clock, texts: Texts, quality: Quality | None = None
) -> Business:
    """A business of a config that is only looked at: nothing is kept, no contest opens, links lead nowhere."""
    zone = ZoneInfo(config.brand.timezone)
    now = clock.now_ms()
    return Business(
        brand=brand,
        config=config,
        version=0,
        ids=ids,
        clock=clock,
        texts=texts,
        secret=bytes(32),
        zone=zone,
        windows={key: window_of(contest, zone, now) for key, contest in config.contests.items()},
        queues={},
        senders=by_number(config),
        wordings={},
        staff={},
        testers=frozenset(numbers.parse(phone, config.brand.country).e164 for phone in config.brand.testers),
        quality=quality or Quality(),
    )


async def launched(tx: Tx, brand: int) -> tuple[set[str], set[str]]:
    """The campaigns that have a run, and the contests that have opened: their dates may be past."""
    opened = {name.rpartition(":")[2] for name, _ in await tx.rows("fact_list", brand=brand, like=f"{OPENED}%")}
    return {run.campaign for run in await runs.every(tx, brand)}, opened


OPENED = "first_apply:contest:"


# --- the difference --------------------------------------------------------------------------------------------------


async def difference(store: Store, brand: int, config: Config, pinned: Pinned) -> Difference:
    """Compare the file's campaigns with the runs that there are. `pinned` gives the config of a version."""
    found = {run.campaign: run for run in await store.read(runs.every, brand)}
    told = Difference()
    claimed: set[str] = set()
    for key, campaign in config.campaigns.items():
        identity = campaign.was if campaign.was in found else key
        run = found.get(identity)
        if run is None:
            told.new.append(campaign)
            continue
        claimed.add(identity)
        told.mistakes += frozen(campaign, await _launched(store, run, pinned))
        if identity == key:
            told.same.append(key)
        elif key in found:
            told.mistakes.append(Finding(("campaigns", key, "was"), f"both {identity} and {key} have been launched"))
        else:
            told.renamed.append((identity, key))
    for identity, run in found.items():
        if identity in claimed:
            continue
        told.former.append(run)
        if not run.is_over:
            told.gone.append(await _launched(store, run, pinned))
    return told


async def _launched(store: Store, run: Run, pinned: Pinned) -> Launched:
    campaign = (await pinned(run.config)).campaigns[run.campaign]
    counted = await store.read(runs.waterfall, run)
    return Launched(run, campaign, counted.in_state(State.QUEUED), counted.in_state(*LEFT_US))


def frozen(campaign: Campaign, before: Launched) -> Iterator[Finding]:
    """What was changed of a campaign that has been launched: nothing of it can change any more."""
    key = campaign.key
    if campaign.text != before.campaign.text:
        yield Finding(
            ("campaigns", key, "text"),
            f"{before.sent:,} already got the old wording; a launched campaign's text cannot change. "
            "Put the old text back, and give the new one to a campaign with a key of its own",
        )
    for name in FROZEN:
        if getattr(campaign, name) != getattr(before.campaign, name):
            text = f"{key} has been launched with another {name}; put it back, or make a new campaign"
            yield Finding(("campaigns", key, name), text)


def questions(estimates: list[Estimate], former: list[Run]) -> Iterator[Finding]:
    """New campaigns whose audience is mostly that of one that is not in the file any more."""
    sizes = {run.campaign: run.matched for run in former}
    for estimate in estimates:
        for was, shared in estimate.was_in.items():
            if shared and shared >= MOSTLY * max(sizes[was], estimate.matched):
                text = (
                    f"{shared:,} of its {estimate.matched:,} people were in {was}, which is not in the file any more; "
                    f"is this {was} renamed? Then say  was: {was}"
                )
                yield Finding(("campaigns", estimate.campaign, KEY), text)


def unreachable(config: Config, new: list[Campaign]) -> Iterator[Finding]:
    """New campaigns whose links no real phone could open."""
    linking = [campaign.key for campaign in new if campaign.coupon]
    if linking and not config.is_simulated and is_only_here(config.brand.site):
        text = (
            f"{config.brand.site} is this machine alone, and the links of {', '.join(linking)} go to real phones; "
            "write the address that phones can reach"
        )
        yield Finding(("brand", "site"), text)


def changes(before: Config, after: Config) -> Iterator[str]:
    """What two configs say differently, beside campaigns: `keywords.HOURS`, `brand.colour`."""
    for section in type(after).model_fields:
        old, new = getattr(before, section), getattr(after, section)
        if section == "campaigns" or old == new:
            continue
        if isinstance(new, Mapping):
            inside = [*new, *(key for key in old if key not in new)]
            yield from (f"{section}.{key}" for key in inside if old.get(key) != new.get(key))
        elif isinstance(new, Settings):
            yield from (f"{section}.{key}" for key in type(new).model_fields if getattr(old, key) != getattr(new, key))
        else:
            yield section


# --- the plan --------------------------------------------------------------------------------------------------------


async def plan(store: Store, business: Business, loaded: Loaded[Config], pinned: Pinned, tell: Tell) -> Plan:
    """Work out what applying this file would do now, and keep it under a new id. `business` is a draft of the file."""
    brand, config, now = business.brand, loaded.value, business.clock.now_ms()
    told = await difference(store, brand, config, pinned)
    surveys = [Survey(business, campaign, now, told.former) for campaign in told.new]
    estimates, both = await survey(store, surveys, tell)
    stocks = await store.read(_stocks, config, estimates)
    _, opened = await store.read(launched, brand)
    applied = await store.read(versions.latest, brand)
    made = Plan(
        id=secrets.token_hex(2),
        at=now,
        digest=loaded.digest,
        people=await store.read(_people, brand),
        new=estimates,
        same=told.same,
        renamed=told.renamed,
        gone={each.run.campaign: each.unsent for each in told.gone},
        both=both,
        stocks=stocks,
        opening={
            key: (window.opens_at, window.closes_at) for key, window in business.windows.items() if key not in opened
        },
        changed=list(changes(await pinned(applied.number), config)) if applied else [],
        mistakes=[str(loaded.mistake(finding)) for finding in [*told.mistakes, *unreachable(config, told.new)]],
        questions=[str(loaded.mistake(finding)) for finding in questions(estimates, told.former)],
        warnings=[*map(str, loaded.warnings), *_warnings(config, estimates, stocks, both)],
    )
    await store.write(_keep, brand, made)
    return made


async def _people(tx: Tx, brand: int) -> int:
    found: int = await tx.value("people_count", brand=brand)
    return found


async def _stocks(tx: Tx, config: Config, estimates: list[Estimate]) -> list[Stock]:
    needed = dict.fromkeys(config.coupons, 0)
    for estimate in estimates:
        coupon = config.campaigns[estimate.campaign].coupon
        if coupon:
            needed[coupon] += estimate.codes + estimate.refused["no code left"]
    return [
        Stock(key, coupon.codes, await codes_left(tx, key, coupon.codes), needed[key])
        for key, coupon in config.coupons.items()
    ]


def _warnings(
    config: Config, estimates: list[Estimate], stocks: list[Stock], both: Mapping[tuple[str, str], int]
) -> Iterator[str]:
    for estimate in estimates:
        key = estimate.campaign
        for (wanted, got), n in estimate.other_language.items():
            yield f"{key}: {n:,} readers of {wanted} would get {got}"
        if estimate.refused["budget"]:
            budget = config.campaigns[key].budget
            yield f"{key}: the budget of {budget} is too small for {estimate.refused['budget']:,} people"
        if estimate.parts_saved and not config.campaigns[key].straighten:
            yield f"{key}: straighten: yes would save {estimate.parts_saved:,} parts and write {estimate.typography}"
        if not estimate.matched:
            yield f"{key}: nobody is in the segment {config.campaigns[key].audience.segment}"
    for stock in stocks:
        if stock.is_short:
            yield f"{stock.coupon}: {stock.left:,} codes are left, and up to {stock.needed:,} would be needed"
    for (one, other), n in both.items():
        yield f"{n:,} people would get both {one} and {other}"


class Saved(NamedTuple):
    """A plan as it was kept: by campaign how many would get it and what it would cost."""

    id: str
    at: int
    digest: str
    sizes: Mapping[str, tuple[int, int]]


async def _keep(tx: Tx, brand: int, made: Plan) -> None:
    sizes = {each.campaign: [each.sending, each.cost] for each in made.new}
    await tx.run(
        "plan_insert", brand=brand, id=made.id, at=made.at, digest=made.digest, estimate=orjson.dumps(sizes).decode()
    )


async def saved(tx: Tx, brand: int, id_: str = "") -> Saved | None:
    """A kept plan by its id, or the latest."""
    rows = await (tx.rows("plan_get", brand=brand, id=id_) if id_ else tx.rows("plan_latest", brand=brand))
    if not rows:
        return None
    id_, at, digest, estimate = rows[0]
    sizes: dict[str, Any] = orjson.loads(estimate)
    return Saved(id_, at, digest, {key: (size[0], size[1]) for key, size in sizes.items()})


def grown(before: Saved, made: Plan) -> list[str]:
    """Where size or cost is now more than the tolerance above the kept plan, in words."""
    complaints = []
    for estimate in made.new:
        size, cost = before.sizes.get(estimate.campaign, (estimate.sending, estimate.cost))
        for word, was, now in (("people", size, estimate.sending), ("cost", cost, estimate.cost)):
            if now > was * (1 + TOLERANCE):
                share = f"+{(now - was) / was:.0%}" if was else "from none"
                complaints.append(f"{estimate.campaign}: {word} grew since plan {before.id} ({share})")
    return complaints


async def pinned_config(store: Store, brand: int, number: int, environ: Mapping[str, str], home: Path) -> Config:
    """The config of an applied version."""
    return versions.read(await store.read(versions.one, brand, number), environ, home)
