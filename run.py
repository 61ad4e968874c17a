#!/usr/bin/env python3
"""The command line of Carillon; it only introduces the parts to each other, and takes leave in reverse."""
# ruff: noqa: E402 - commands come before the parts, so that --help answers at once

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
PYTHON = HERE / ".venv" / "bin" / "python"

if __name__ == "__main__":
    if not PYTHON.exists() and importlib.util.find_spec("click") is None:
        sys.exit("the libraries are not installed: make setup")
    if PYTHON.exists() and Path(sys.prefix) != PYTHON.parents[1]:
        os.execv(PYTHON, [str(PYTHON), *sys.argv])  # noqa: S606  the same command with the project's own Python
    from handlers.console.commands import main

    main(lambda: importlib.import_module("run"))
    sys.exit()

import asyncio
import gc
import logging
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from campaigns import accepting, clients, consent, telling, versions
from campaigns.accepting import Accepted
from campaigns.business import Business
from campaigns.gate import Gatekeeper
from campaigns.runner import Runner
from campaigns.settings import Config
from campaigns.wishes import Submission
from gateway import notices, shared
from gateway.channels.simulator import Rules, Simulator
from gateway.channels.twilio import TwilioCarrier
from gateway.clock import Clock, resume
from gateway.courier import Courier
from gateway.engine import Gateway
from gateway.errors import StoreError
from gateway.fleet import PLAN, Fleet, slot_of, slots_in
from gateway.ids import Ids
from gateway.inbox import Heard, Kept
from gateway.intake import Intake
from gateway.media import Gallery
from gateway.messages import Inbound
from gateway.rendering import Pages, Texts
from gateway.store import BATCH_S, Tx, beside, open_store
from handlers import api
from handlers.api import twiml
from handlers.app import App
from handlers.console.operations import business_of
from handlers.keywords.answer import answer as answer_text
from handlers.people import live

__all__ = ["business_of", "opened", "serving", "store_place", "until_asked_to_stop"]

log = logging.getLogger(__name__)

BRAND = 1  # the file may later hold several
TEMPLATES = HERE / "templates"
CLOCK_S = 5.0  # how often the business clock is written down
TIDY = timedelta(seconds=30)
SOON = timedelta(minutes=1)


def store_place(config: Config, config_path: Path) -> Path | str:
    """Where everything is kept: a file, relative to config.yaml, or the address of a PostgreSQL."""
    return config_path.parent / config.store.removeprefix("sqlite:") if config.store.startswith(FILE) else config.store


def tune() -> None:
    """Fit the interpreter to a loop and a writing thread that both are busy: some 5 to 15 % less work for each message.

    The thread holds the lock only between two calls of SQLite, so it may keep it for the length of a batch;
    handing it over every 5 ms only makes both wait. What is made here lives for one batch or for good, so the
    collector of cycles need not look after every 700 objects.
    """
    sys.setswitchinterval(BATCH_S)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@asynccontextmanager
async def opened(
    config: Config, config_path: Path, environ: Mapping[str, str], roles: Collection[str] = ()
) -> AsyncIterator[App]:
    """The store with the clock, the ids and the applied business: what every command needs.

    A process that serves beside others, in these roles, becomes a member of their fleet.
    """
    tune()
    place = store_place(config, config_path)
    store = open_store(place)
    fleet = Fleet(store, BRAND, process_name(), " ".join(roles)) if store.is_shared and roles else None
    try:
        node = await fleet.join() if fleet else 0 if store.is_shared else BRAND
        clock = Clock(await store.write(set_clock, config))
        ids = Ids(clock.now_ms, node=node, last=await store.read(last_id))
        texts = Texts(TEMPLATES / "texts", config.brand.languages)
        pages = Pages(TEMPLATES / "pages", texts)
        folder = place.parent if isinstance(place, Path) else config_path.parent / "data"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        app = App(config_path, folder, store, clock, ids, texts, pages, fleet=fleet)
        version = await store.read(versions.latest, BRAND)
        if version is not None:
            applied = versions.read(version, environ, config_path.parent)
            app.take(await business_of(app, applied, version.number))
        yield app
        await store.write(keep_clock, clock)
    finally:
        if fleet:
            with suppress(StoreError):  # then the others notice by its silence
                await fleet.leave()
        store.close()


async def last_id(tx: Tx) -> int:
    """The greatest id in the store."""
    found: int = await tx.value("last_id")
    return found


async def set_clock(tx: Tx, config: Config) -> int:
    """The offset of the business clock: 0 with any real carrier; else the demo's evening, never going back."""
    if not config.is_simulated or config.simulator.clock is None:
        return 0
    last = await tx.value("fact_get", brand=BRAND, name="clock")
    return resume(config.simulator.clock, config.brand.timezone, int(last) if last else None)


async def keep_clock(tx: Tx, clock: Clock, ahead_s: float = 0) -> None:
    """Write down how late it is, or how late it may be before this is written again: a crash must not put it back."""
    await tx.run("fact_set", brand=BRAND, name="clock", value=str(clock.now_ms() + int(ahead_s * 1000)))


@asynccontextmanager
async def serving(app: App, environ: Mapping[str, str]) -> AsyncIterator[App]:
    """Everything that runs: simulator, gateway, runner, schedule. The business must have been applied."""
    business = app.business
    config = business.config
    gatekeeper = Gatekeeper(config.programs)

    async def recognise(tx: Tx, channel: str, texts: Sequence[Inbound], at: int) -> list[Heard]:
        return await consent.recognise(tx, app.business, channel, texts, at)

    async def answer(tx: Tx, texts: Sequence[Kept]) -> list[str]:
        return await answer_text(tx, app.business, texts)

    async def pinned(number: int) -> Business:
        version = await app.store.read(versions.one, app.brand, number)
        return await business_of(app, versions.read(version, environ, app.config_path.parent), number)

    async def left(tx: Tx, person: int, why: str, at: int) -> None:
        await consent.left_by_carrier(tx, app.business, person, why, at)

    async def folded(tx: Tx) -> None:
        await telling.fates(tx, app.business)

    async def accept(tx: Tx, submissions: Sequence[Submission]) -> Accepted:
        return await accepting.accept(tx, app.business, submissions, app.clock.now_ms())

    logins = {name: each.login for name, each in config.channels.items() if isinstance(each, TwilioCarrier)}
    gallery = Gallery(store=app.store, clock=app.clock, folder=app.media, logins=logins)
    gateway = Gateway(
        store=app.store,
        clock=app.clock,
        ids=app.ids,
        brand=app.brand,
        gate=gatekeeper,
        recognise=recognise,
        answer=answer,
        chance=random.Random(),  # noqa: S311  jitter, not a secret
        left=left,
        quality=app.quality,
        pictured=gallery.wake,
        folded=folded,
    )
    runner = Runner(
        store=app.store, business=lambda: app.business, pinned=pinned, adopt=gateway.adopt, wake=gateway.wake
    )
    app.gateway, app.runner = gateway, runner
    app.intake = Intake(app.store, beside(accept), gateway.accepted)
    app.on_taken.append(lambda taken: gateway.follow(taken.config.carriers, taken.config.senders))
    app.on_taken.append(lambda taken: gatekeeper.update(taken.config.programs))
    courier = Courier(app.store, app.clock, lambda: app.business, api.SHAPES, {"twilio": twiml.answered(app)})
    planning = Planning(app, config, gateway, runner, gallery, courier)
    async with (
        shared.opened(config.shared, business.secret) as app.shared,
        asyncio.TaskGroup() as tasks,
    ):
        if app.fleet is None:
            await planning.begin(tasks)
        await gateway.open(
            config.carriers, config.senders, config.listen.smsc, process_name(), config.brand.site,
            alone=app.fleet is None,
        )  # fmt: skip
        running = [tasks.create_task(gateway.run(), name="gateway")]
        if app.fleet is not None:
            await join_in(app, app.fleet, gateway, partial(planning.begin, tasks))
            running.append(tasks.create_task(app.fleet.run(), name="fleet"))
            running.append(tasks.create_task(follow(app, environ), name="follow"))
        try:
            yield app
        finally:
            planning.pause()
            await gateway.hold(HOLD_S)
            if app.simulator is not None:
                await app.simulator.hurry(HOLD_S)
            await gateway.drain(DRAIN_S)
            for task in running:
                task.cancel()
            await planning.end()


class Planning:
    """What only one process of all that serve does: runs, the fold, notices, media, the demo's carrier and people."""

    def __init__(
        self, app: App, config: Config, gateway: Gateway, runner: Runner, gallery: Gallery, courier: Courier
    ) -> None:
        self._app, self._config, self._gateway, self._runner, self._gallery = app, config, gateway, runner, gallery
        self._courier = courier
        self._scheduler = AsyncIOScheduler()
        self._running: list[asyncio.Task[None]] = []

    async def begin(self, tasks: asyncio.TaskGroup) -> None:
        """Begin all of it."""
        app, config, gateway = self._app, self._config, self._gateway
        gateway.is_planning = True
        if any(channel.is_simulated for channel in config.channels.values()):
            app.simulator = simulator_of(config, app.clock)
            await app.simulator.start(*config.listen.smsc)
        work = {"runner": self._runner.run(), "clock": _write_clock(app), "gallery": self._gallery.run()}
        work["courier"] = self._courier.run()
        if config.is_simulated and config.simulator.people == "lively":
            work["people"] = live(app)
        self._running = [tasks.create_task(each, name=name) for name, each in work.items()]
        self._scheduler.add_job(
            gateway.tidy, "interval", seconds=TIDY.total_seconds(), max_instances=1, coalesce=True
        )  # fmt: skip
        self._scheduler.add_job(
            self._keep_days, "interval", hours=1, max_instances=1, coalesce=True, next_run_time=datetime.now(UTC) + SOON
        )  # fmt: skip
        self._scheduler.add_job(
            self._forget, "interval", seconds=TIDY.total_seconds(), max_instances=1, coalesce=True
        )  # fmt: skip
        self._scheduler.start()
        await self._make_room()

    async def _make_room(self) -> None:
        """Make room for the days to come, and no more: other processes' lines wait until a take-over is done."""
        is_made = False
        try:
            is_made = await self._app.store.make_room(self._app.clock.now_ms())
        except StoreError:  # the database is away, say: rows of a day without a table of its own find room all the same
            log.exception("no room could be made for the coming days, trying again in a minute")
        if not is_made:
            self._scheduler.add_job(
                self._make_room, "date", run_date=datetime.now(UTC) + SOON, id="room", replace_existing=True
            )  # fmt: skip

    async def _keep_days(self) -> None:
        """Make room for the days to come, and let go of those that the file keeps no longer."""
        retention = self._app.business.config.retention
        await self._make_room()
        try:
            await self._app.store.let_go(self._app.clock.now_ms(), retention.days if retention else None)
        except StoreError:
            log.exception("old days could not be let go, trying again in an hour")

    async def _forget(self) -> None:
        """Let go of what programs may no longer ask for."""
        store, now = self._app.store, self._app.clock.now_ms()
        try:
            while await store.write_bulk(clients.tidy, now, OLD) >= OLD:
                pass
            while await store.write_bulk(notices.tidy, now - NOTICES_MS, OLD) >= OLD:
                pass
            await clients.forget_asked(store, self._app.business.clients.values())
        except StoreError:
            log.exception("what is old could not be forgotten, trying again in a while")

    def pause(self) -> None:
        """Begin nothing new."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        for task in self._running:
            task.cancel()

    async def end(self) -> None:
        """Let the simulated carrier go, at last: it had to answer what was on the way."""
        if self._app.simulator is not None:
            await self._app.simulator.stop()


def process_name() -> str:
    """Which process of which machine this is, for people."""
    return f"{os.uname().nodename}:{os.getpid()}"


async def join_in(app: App, fleet: Fleet, gateway: Gateway, plan: Callable[[], Awaitable[None]]) -> None:
    """Hold what is free of that for which this process has the role."""
    channels = app.business.config.carriers

    async def gained(names: frozenset[str]) -> None:
        await gateway.hold_slots(slots_in(names))
        if PLAN in names:
            await plan()

    async def let_go(names: frozenset[str]) -> None:
        await gateway.let_go_of(slots_in(names))

    def hushed(names: frozenset[str]) -> None:
        for name in slots_in(names):
            gateway.dispatchers[name].share((), channels[name].slots)

    slots = {slot_of(name, slot) for name, channel in channels.items() for slot in range(channel.slots)}
    wanted = (slots if "dispatch" in fleet.roles else set()) | ({PLAN} if "plan" in fleet.roles else set())
    built_in = slots_in(slots).keys() - app.business.config.channels.keys()  # it has no lines to share
    fleet.whole |= {slot_of(name, slot) for name in built_in for slot in range(channels[name].slots)}
    fleet.wanted, fleet.gained, fleet.let_go, fleet.hushed = frozenset(wanted), gained, let_go, hushed
    app.store.listen(gateway.heard)
    await fleet.beat()


async def follow(app: App, environ: Mapping[str, str]) -> None:
    """Take over what another process has applied."""
    trouble = ""
    while True:
        await asyncio.sleep(FOLLOW_S)
        try:
            version = await app.store.read(versions.latest, app.brand)
            if version is not None and version.number > app.business.version:
                applied = versions.read(version, environ, app.config_path.parent)
                app.take(await business_of(app, applied, version.number))
            if app.opening is not None:  # each time: a port that was taken may be free now
                async with app.opening(app.business.config):
                    pass
            trouble = ""
        except Exception as error:  # the database is away, say: the next look finds it
            if str(error) != trouble:
                log.exception("a newly applied config could not be taken over, trying again")
            trouble = str(error)


FILE = "sqlite:"
FOLLOW_S = 1.0
SAME_S = 0.5
NOTICES_MS = 30 * 86_400_000  # how long what a program was told can be told again
OLD = 2_000  # forgotten in one transaction
HOLD_S = 1.0
DRAIN_S = 2.0


async def _write_clock(app: App) -> None:
    while True:
        try:
            await app.store.write_bulk(keep_clock, app.clock, 2 * CLOCK_S)
        except Exception:  # a full disk, say: the whole house must not fall for it
            log.exception("the time could not be written down")
        await asyncio.sleep(CLOCK_S)


def simulator_of(config: Config, clock: Clock) -> Simulator:
    """The simulated carrier with the rules of the file."""
    settings = config.simulator
    delay = settings.delay
    rules = Rules(
        delay_ms=(int(delay.total_seconds() * 500), int(delay.total_seconds() * 1500)) if delay else (300, 1500),
        fail=settings.fail,
        lose=settings.lose,
        reject=settings.reject,
        throttle=int(settings.throttle.per_s) if settings.throttle else 0,
        drop_every=settings.drop_every,
    )
    numbers = {number: sender.channel[:15] for sender in config.senders.values() for number in sender.numbers}
    return Simulator(rules, numbers=numbers, now_ms=clock.now_ms, seed=settings.seed)


async def until_asked_to_stop() -> None:
    """Return at Ctrl-C or SIGTERM; a second one ends the process at once.

    One that follows within half a second is the same: make passes on what its whole group has got already.
    """
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    first = 0.0

    def stop() -> None:
        nonlocal first
        if asked.is_set() and loop.time() - first > SAME_S:
            os._exit(1)
        if not asked.is_set():
            first = loop.time()
        asked.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    await asked.wait()
