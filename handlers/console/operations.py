"""What a marketer can ask for, as plain functions: the command line and the private listener both call these.

Each takes the app, a `tell` for progress and plain arguments, and returns what JSON can carry. Times are milliseconds
since 1970, money is in millionths. What the person at the keyboard can mend is a CarillonError.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from campaigns import launching, people, planning, reports, runs, stories
from campaigns.business import Business, open_business
from campaigns.importing import Batch, Reject, Row
from campaigns.planning import Plan
from campaigns.runs import Run
from campaigns.settings import Config
from gateway.config import KEY, ConfigErrors, Loaded, Where, load
from gateway.errors import CarillonError
from gateway.messages import State
from gateway.routes import CAMPAIGNS, LANES
from gateway.store import Tx
from gateway.wording import either, nearest
from handlers.app import App
from handlers.console import keys, previews, routing, status, stop_lists, webhooks
from handlers.console.facts import audience_of, header, plan_of, run_of

Tell = Callable[[Mapping[str, Any]], Awaitable[None]]
Answer = dict[str, Any]


class Unknown(CarillonError):
    """A name that nothing bears; says the nearest one that something does."""

    def __init__(self, noun: str, name: str, known: list[str]) -> None:
        near = nearest(name, known)
        there = f"there {'is' if len(known) == 1 else 'are'} {', '.join(known) or 'none yet'}"
        super().__init__(f'no {noun} "{name}"; {f"did you mean {near}?" if near else there}')


# --- the file and the business ---------------------------------------------------------------------------------------


async def read_file(app: App, config: str) -> Loaded[Config]:
    """The file as it stands now. Raises ConfigErrors, also for dates that are past and were not launched in time."""
    campaigns, contests = await app.store.read(planning.launched, app.brand)
    now = app.clock.now()
    try:
        return load(Path(config), Config, os.environ, lambda value: value.past(now, campaigns | contests))
    except ConfigErrors as errors:
        raise CarillonError(brief("\n".join([*map(str, errors.mistakes), "Nothing changed."]), config)) from None


def brief(text: str, config: str) -> str:
    """Mistakes cite files as seen from the folder of the config file."""
    return text.replace(f"{Path(config).parent}{os.sep}", "")


async def business_of(app: App, config: Config, version: int) -> Business:
    """The business of an applied config."""
    return await app.store.write(
        open_business,
        brand=app.brand,
        config=config,
        version=version,
        ids=app.ids,
        clock=app.clock,
        texts=app.texts,
        now=app.clock.now_ms(),
        quality=app.quality,
    )


async def business_for_import(app: App, config: str) -> Business:
    """The applied business; before the first apply one of the file in which no contest opens and no coupon counts."""
    if not app.has_business:
        loaded = await read_file(app, config)
        app.take(await business_of(app, loaded.value.model_copy(update={"contests": {}, "coupons": {}}), 0))
    return app.business


def _draft(app: App, config: Config) -> Business:
    return planning.draft(config, brand=app.brand, ids=app.ids, clock=app.clock, texts=app.texts, quality=app.quality)


def applied(app: App) -> Business:
    """The business that runs. Raises CarillonError before the first apply."""
    if not app.has_business:
        raise CarillonError("nothing has been applied yet: look with run.py plan, then run.py apply")
    return app.business


async def run_named(app: App, campaign: str) -> Run:
    """The run of a campaign. Raises CarillonError with the nearest name that has one."""
    known = {run.campaign: run for run in await app.store.read(runs.every, app.brand)}
    if campaign in known:
        return known[campaign]
    if app.has_business and campaign in app.business.config.campaigns:
        raise CarillonError(f"{campaign} has not been launched yet; run.py apply launches it")
    raise Unknown("campaign", campaign, [*known])


# --- check, plan, apply ----------------------------------------------------------------------------------------------


async def check(app: App, tell: Tell, *, config: str) -> Answer:
    """Read the file: its warnings. Raises ConfigErrors with every mistake."""
    loaded = await read_file(app, config)
    return {"warnings": [brief(str(warning), config) for warning in loaded.warnings]}


async def plan(app: App, tell: Tell, *, config: str) -> Answer:
    """What an apply of this file would do now; kept under an id."""
    loaded = await read_file(app, config)
    return plan_of(await _plan(app, tell, config, loaded), loaded.value)


async def _plan(app: App, tell: Tell, config: str, loaded: Loaded[Config]) -> Plan:
    async def hear(campaign: str, people_counted: int) -> None:
        await tell({"campaign": campaign, "people": people_counted})

    def shown(complaints: list[str]) -> list[str]:
        return [brief(each, config) for each in complaints]

    async def pinned(number: int) -> Config:
        return await planning.pinned_config(app.store, app.brand, number, os.environ, app.config_path.parent)

    made = await planning.plan(app.store, _draft(app, loaded.value), loaded, pinned, hear)
    made.mistakes, made.questions, made.warnings = map(shown, (made.mistakes, made.questions, made.warnings))
    return made


async def apply(
    app: App, tell: Tell, *, config: str, plan: str = "", accept: bool = False, go: bool = False, yes: bool = False
) -> Answer:
    """Make the file the applied version, launch what is new, stop what is gone.

    `plan` is the id of the plan to hold it against, else the latest. `accept` goes on although it grew or asks a
    question; with a real carrier `go` launches what testers have seen, and `yes` launches without waiting.
    """
    path = Path(config)
    loaded = await read_file(app, config)
    before = await app.store.read(planning.saved, app.brand, plan)
    if plan and (before is None or before.digest != loaded.digest):
        why = f"no plan {plan}" if before is None else f"the file has changed since plan {plan}"
        raise CarillonError(f"{why}; look again with run.py plan")
    is_served = app.runner is not None or bool(await app.store.read(lambda tx: tx.rows("member_list")))
    _refuse_other_channels(app, loaded.value, is_served=is_served)
    made = await _plan(app, tell, config, loaded)
    _refuse_what_grew(made, before, loaded.digest, accept=accept)
    trial = not (loaded.value.is_simulated or yes or go)
    if not loaded.value.is_simulated and not yes:
        await _refuse_untried(app, loaded.value, made, go=go)
    outcome = None
    try:
        async with app.opening(loaded.value) if app.opening else nullcontext():  # first, for a port may be taken
            outcome = await _carry_out(app, loaded, path, made, trial=trial)
    except CarillonError as error:
        if outcome is None:
            raise
        raise CarillonError(
            f"{error}. The file is applied as version {outcome.version}; to open its doors, say run.py apply again"
        ) from error
    return {"plan": plan_of(made, loaded.value), "is_served": is_served, **asdict(outcome)}


async def _carry_out(app: App, loaded: Loaded[Config], path: Path, made: Plan, *, trial: bool) -> launching.Outcome:
    """What is kept is launched too, whatever becomes of the doors."""
    outcome = await app.store.write(launching.keep, app.brand, loaded, path, made, app.clock.now_ms())
    app.take(await business_of(app, loaded.value, outcome.version))
    now = app.clock.now_ms()
    await app.store.write(launching.launch, app.business, made, outcome, trial=trial, now=now)
    if app.gateway is not None:
        await app.gateway.adopt()  # looks at the pace of queues again
    _stir(app)
    return outcome


def _refuse_other_channels(app: App, config: Config, *, is_served: bool) -> None:
    """While serving, lines to carriers stay as they are."""
    if not (is_served and app.has_business):
        return
    running = app.business.config
    changed = [name for name in {**running.channels, **config.channels}
               if _line(running, name) != _line(config, name)]  # fmt: skip
    others = [word for word in ("listen", "store", "simulator") if getattr(running, word) != getattr(config, word)]
    if changed or others or running.brand.languages != config.brand.languages:
        what = ", ".join([*changed, *others]) or "brand.languages"
        raise CarillonError(
            f"{what} changed, which a running serve cannot take over: stop it, say run.py apply, start it again"
        )


def _line(config: Config, name: str) -> object:
    """What a channel and its numbers are to the carrier; its price is only ours, its rate can be followed."""
    channel = config.channels.get(name)
    numbers = sorted(
        number for sender in config.senders.values() if sender.channel == name for number in sender.numbers
    )
    return (channel.model_dump(exclude={"price", "rate"}), numbers) if channel else None


def _refuse_what_grew(made: Plan, before: planning.Saved | None, digest: str, *, accept: bool) -> None:
    if made.mistakes:
        raise CarillonError("\n".join([*made.mistakes, "Nothing changed."]))
    complaints = list(made.questions)
    if before is not None and before.digest == digest:
        complaints += planning.grown(before, made)
    if complaints and not accept:
        raise CarillonError("\n".join([*complaints, "Nothing changed. To go on: run.py apply --accept"]))


async def _refuse_untried(app: App, config: Config, made: Plan, *, go: bool) -> None:
    new = [config.campaigns[each.campaign] for each in made.new]
    if new and not config.brand.testers:
        raise CarillonError(
            "a first launch goes to our own phones: name some under brand.testers, or say run.py apply --yes"
        )
    untried = await app.store.read(launching.untried, app.brand, new) if go else []
    if untried:
        raise CarillonError(f"no tester has seen {', '.join(untried)} yet: run.py apply sends it to them first")


async def preview(app: App, tell: Tell, *, config: str, campaign: str, number: str = "") -> Answer:
    """A campaign's text as phones would show it, with parts, price and the character that made it dear."""
    loaded = await read_file(app, config)
    known = loaded.value.campaigns
    if campaign not in known:
        raise Unknown("campaign", campaign, list(known))
    business = _draft(app, loaded.value)
    return {"campaign": campaign, "texts": await previews.texts(app.store, business, known[campaign], number)}


async def route(app: App, tell: Tell, *, config: str, number: str, campaign: str = "", lane: str = CAMPAIGNS) -> Answer:
    """Who texts this number, as the file stands now, from which of our numbers, and why."""
    loaded = await read_file(app, config)
    if campaign and campaign not in loaded.value.campaigns:
        raise Unknown("campaign", campaign, list(loaded.value.campaigns))
    if lane not in LANES:
        raise Unknown("lane", lane, list(LANES))
    if campaign and lane != CAMPAIGNS:
        raise CarillonError("a reply belongs to no campaign; take --campaign out, or --lane")
    asked = routing.Asked(_draft(app, loaded.value), number, campaign, lane)
    answer = await app.store.read(routing.explained, asked)
    if rule := answer["rule"]:
        rule["place"] = _place(loaded, ("routes", rule["name"], KEY), config)
    elif campaign and loaded.value.campaigns[campaign].senders:
        answer["named"] = _place(loaded, ("campaigns", campaign, "senders"), config)
    told = {each["channel"]: each for each in status.lines(app)}
    answer["channels"] = {name: told.get(name) for name in routing.channels(answer)}
    return answer


def _place(loaded: Loaded[Config], path: Where, config: str) -> str:
    """`config.yaml:40`."""
    spot = loaded.position(path)
    return brief(f"{spot.file}:{spot.line}", config)


# --- runs ------------------------------------------------------------------------------------------------------------


def _stir(app: App) -> None:
    if app.runner is not None:
        app.runner.stir()
    if app.gateway is not None:
        app.gateway.wake()


async def pause(app: App, tell: Tell, *, campaign: str, why: str = "") -> Answer:
    """Hold a campaign: nothing more is planned or claimed."""
    return await _change(app, campaign, "pause", "paused", why or "paused by hand")


async def resume(app: App, tell: Tell, *, campaign: str) -> Answer:
    """Go on where it was held."""
    return await _change(app, campaign, "resume", "sending", "")


async def stop(app: App, tell: Tell, *, campaign: str, why: str = "") -> Answer:
    """End a campaign for good; what has not left will not."""
    return await _change(app, campaign, "stop", "stopped", why or "stopped by hand")


async def _change(app: App, campaign: str, verb: str, aim: str, why: str) -> Answer:
    run = await run_named(app, campaign)
    if verb == "pause":
        changed = await app.store.write(runs.pause, app.brand, run, why)
    elif verb == "resume":
        changed = await app.store.write(runs.resume, app.brand, run)
    else:
        changed = await app.store.write(runs.stop, app.brand, run, why)
    _stir(app)
    await app.shared.invalidate("board", str(app.business.version))  # it stands there at once, however long a look took
    after = await run_named(app, campaign)
    if not changed and after.state not in (aim, "stopping" if verb == "stop" else aim):
        raise CarillonError(f"{campaign} is {after.state}, so it cannot {verb}")
    counted = await app.store.read(runs.waterfall, after)
    return {**run_of(after), "changed": changed, "unsent": counted.in_state(State.QUEUED), **audience_of(counted)}


async def report(app: App, tell: Tell, *, campaign: str) -> Answer:
    """What a campaign came to."""
    business = applied(app)
    now = app.clock.now_ms()
    made = await reports.report(app.store, business, await run_named(app, campaign))
    return {
        **run_of(made.run),
        **audience_of(made.waterfall),
        "is_complete": made.is_complete,
        "lines": [line._asdict() for line in made.lines()],
        **asdict(made.sums),
        "currency": business.config.brand.currency,
        "replies": made.replies,
        "given": made.given,
        "redeemed": made.redeemed,
        "votes": dict(made.votes),
        "per_second": round(made.per_second(now), 1),
    }


async def explain(app: App, tell: Tell, *, number: str) -> Answer:
    """One person's whole story, and what a campaign would do about them now."""
    business = applied(app)
    now = app.clock.now_ms()
    address = _spelled(app, number)

    async def read(tx: Tx) -> Answer | None:
        person = await people.find_by_address(tx, business, address)
        if person is None:
            return None
        told = await stories.chapters(tx, business, person)
        outlook = await stories.outlook(tx, business, person, now)
        return {
            "number": person.address,
            "name": person.first_name,
            "country": person.country,
            "zone": person.zone,
            "language": person.language,
            "left": person.stopped_at,
            "story": [chapter._asdict() for chapter in told],
            "now": [each._asdict() for each in outlook],
        }

    found = await app.store.read(read)
    if found is None:
        raise CarillonError(f"nobody with the number {address} is known")
    return found


# --- people ----------------------------------------------------------------------------------------------------------


async def import_begin(app: App, tell: Tell, *, config: str, digest: str, program: str | None) -> Answer:
    """How to read a customer file, and how far one with this digest has been read before.

    `program` is what a yes joins; None: the only one that there is.
    """
    loaded = (await read_file(app, config)).value
    business = await business_for_import(app, config)
    joins = _program(loaded, business, program)
    attributes = {name: list(each.values) for name, each in loaded.attributes.items()}
    # What the columns mean is part of it: after a change of `attributes:` the same file is worth reading again.
    meaning = json.dumps([digest, joins, loaded.brand.country, attributes], ensure_ascii=False)
    digest = hashlib.sha256(meaning.encode()).hexdigest()
    progress = await app.store.read(people.progress_of, business, digest) or people.Progress(0, people.Counts())
    return {
        "digest": digest,
        "program": joins,
        "line": progress.line,
        "counts": asdict(progress.counts),
        "country": loaded.brand.country,
        "languages": list(loaded.brand.languages),
        "attributes": attributes,
        "timezone": loaded.brand.timezone,
        "now": app.clock.now_ms(),
    }


def _program(config: Config, business: Business, name: str | None) -> str:
    """The programme that a yes in a file joins; it must be applied, for its wording is kept with the yes."""
    known = list(config.programs)
    if name is None:
        if len(known) > 1:
            raise CarillonError(f"which programme does a yes join? Say --program {either(known)}")
        return known[0] if known else ""
    if name not in known:
        raise Unknown("program", name, known)
    if name not in business.config.programs:
        raise CarillonError(f"the programme {name} has not been applied yet: run.py apply")
    return name


async def count_people(app: App) -> int:
    """How many people we know."""

    async def read(tx: Tx) -> int:
        found: int = await tx.value("people_count", brand=app.brand)
        return found

    return await app.store.read(read)


async def import_batch(
    app: App,
    tell: Tell,
    *,
    config: str,
    digest: str,
    name: str,
    program: str,
    was: int,
    line: int,
    rows: list[dict[str, Any]],
    merged: int,
    rejected: int,
) -> Answer:
    """Merge a batch of rows that follows line `was` of the file and ends with `line`, in one transaction."""
    business = await business_for_import(app, config)
    batch = Batch(tuple(Row(**_row(row)) for row in rows), merged, (Reject(0, "", ""),) * rejected, (), line, 0, "", ())
    now = app.clock.now_ms()

    async def write(tx: Tx) -> people.Counts:
        before = await people.progress_of(tx, business, digest) or people.Progress(0, people.Counts())
        if before.line != was:
            raise CarillonError("another import of this file has gone on meanwhile; start this one again")
        return await people.import_batch(tx, business, batch, program, digest, name, before.counts, now)

    return asdict(await app.store.write_bulk(write))


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """A row out of JSON: lists become tuples again."""
    return {**row, "zones": tuple(row["zones"]), "tags": tuple(row["tags"])}


async def stops_begin(app: App, tell: Tell, *, config: str, digest: str, column: str = "", program: str = "") -> Answer:
    """How to read a list of STOPs, and how far one with this digest has been taken over before."""
    business = await business_for_import(app, config)
    if program and program not in business.config.programs:
        raise Unknown("program", program, list(business.config.programs))
    return await stop_lists.begin(app.store, business, digest, column, program)


async def stops_batch(app: App, tell: Tell, *, config: str, stops: list[list[Any]], **batch: Any) -> Answer:
    """Take over the next lines of a list of STOPs, in one transaction."""
    return await stop_lists.batch(app.store, await business_for_import(app, config), stops, **batch)


async def export_page(app: App, tell: Tell, *, after: int) -> Answer:
    """The next thousand people after an id."""
    business = applied(app)

    async def read(tx: Tx) -> tuple[int, list[dict[str, Any]]]:
        return await people.export_page(tx, business, after)

    last, rows = await app.store.read(read)
    return {"after": last, "rows": rows, "headings": people.export_headings(business)}


# --- keys of programs ------------------------------------------------------------------------------------------------


async def key_new(
    app: App, tell: Tell, *, client: str, kind: str = "live", may: Collection[str] = (), label: str = "",
    expires_old: str = "",
) -> Answer:  # fmt: skip
    """A new key, which is told this once."""
    wanted = keys.Wanted(client, kind, may, label, expires_old)
    return {**await keys.new(app.store, applied(app), app.clock, wanted)}


async def key_list(app: App, tell: Tell, *, client: str = "") -> Answer:
    """The keys of one program, or of all."""
    return {**await keys.listed(app.store, applied(app), app.clock, client)}


async def key_end(app: App, tell: Tell, *, id: str, after: str = "") -> Answer:
    """End a key, at once or after a time."""
    return {**await keys.end(app.store, applied(app), app.clock, id, after)}


# --- what programs are told ------------------------------------------------------------------------------------------


async def webhook_list(app: App, tell: Tell) -> Answer:
    """How every program stands."""
    return {**await webhooks.overview(app.store, applied(app), app.clock)}


async def webhook_show(app: App, tell: Tell, *, client: str) -> Answer:
    """One program with its latest notices."""
    return {**await webhooks.shown(app.store, applied(app), app.clock, client)}


async def webhook_secret(app: App, tell: Tell, *, client: str) -> Answer:
    """What a program checks our signatures with."""
    return {**webhooks.secret(applied(app), client)}


async def webhook_replay(
    app: App, tell: Tell, *, client: str, since: str, until: str = "", kinds: Collection[str] = ()
) -> Answer:
    """Tell a program again what was made in a span of time."""
    return {**await webhooks.replay(app.store, applied(app), app.clock, client, since, until, kinds)}


async def webhook_news(app: App, tell: Tell, *, client: str, after: str, known: Collection[str]) -> Answer:
    """What a program is told from now on, as it is made."""
    return {**await webhooks.news(app.store, applied(app), app.clock, client, after, known)}


# --- phones and the whole --------------------------------------------------------------------------------------------

ANSWER_S = 5.0  # how long `text` waits for an answer


async def text(app: App, tell: Tell, *, number: str, words: str, to: str = "") -> Answer:
    """A virtual handset texts us; the answer that it gets, if one comes soon."""
    if app.simulator is None:
        raise CarillonError("no handset is there: start one with make run, or run.py serve with the simulator")
    handset = app.simulator.handset(_spelled(app, number))
    after = handset.count
    recipient = to or _sender_for(app, handset.number)
    await app.simulator.text(handset.number, recipient, words)
    try:
        reply = await handset.wait(after, ANSWER_S)
    except TimeoutError:
        return {"number": handset.number, "to": recipient, "reply": None}
    shown = {"text": reply.text, "parts": reply.parts, "seconds": (reply.delay_ms or 0) / 1000}
    return {"number": handset.number, "to": recipient, "reply": shown}


def _spelled(app: App, number: str) -> str:
    """A number as the gateway writes it."""
    return previews.parse_number(number, applied(app).config.brand.country).e164


def _sender_for(app: App, number: str) -> str:
    """The number of ours that a phone of this country texts."""
    config = applied(app).config
    country = previews.parse_number(number, config.brand.country).country
    serving = [sender.number for sender in config.senders.values() if country in sender.countries]
    return (serving or [sender.number for sender in config.senders.values()])[0]


async def show_status(app: App, tell: Tell) -> Answer:
    """How everything stands at this moment."""
    return await status.status(app)


def hello(app: App, config: Config | None = None) -> Answer:
    """Simulator or live, with which carriers, and what time it is."""
    told = header(config or applied(app).config, app.clock, app.gateway is not None)
    return {**told, "has_handset": app.simulator is not None}


async def say_hello(app: App, tell: Tell) -> Answer:
    """The same as an operation."""
    return hello(app)


OPERATIONS: Mapping[str, Callable[..., Awaitable[Answer]]] = {
    "hello": say_hello,
    "check": check,
    "plan": plan,
    "apply": apply,
    "preview": preview,
    "status": show_status,
    "pause": pause,
    "resume": resume,
    "stop": stop,
    "report": report,
    "explain": explain,
    "route": route,
    "import_begin": import_begin,
    "import_batch": import_batch,
    "stops_begin": stops_begin,
    "stops_batch": stops_batch,
    "export_page": export_page,
    "key_new": key_new,
    "key_list": key_list,
    "key_end": key_end,
    "webhook_list": webhook_list,
    "webhook_show": webhook_show,
    "webhook_secret": webhook_secret,
    "webhook_replay": webhook_replay,
    "webhook_news": webhook_news,
    "text": text,
}
