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
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from campaigns import consent, versions
from campaigns.business import Business
from campaigns.gate import Gatekeeper
from campaigns.runner import Runner
from campaigns.settings import Config
from gateway.channels.simulator import Rules, Simulator
from gateway.channels.twilio import TwilioCarrier
from gateway.clock import Clock, resume
from gateway.engine import Gateway
from gateway.ids import Ids
from gateway.inbox import Kept
from gateway.media import Gallery
from gateway.messages import Inbound
from gateway.rendering import Pages, Texts
from gateway.store import BATCH_S, Tx, open_store
from handlers.app import App
from handlers.console.operations import business_of
from handlers.keywords.answer import answer as answer_text
from handlers.people import live

__all__ = ["business_of", "opened", "serving", "store_path", "until_asked_to_stop"]

log = logging.getLogger(__name__)

BRAND = 1  # the file may later hold several
TEMPLATES = HERE / "templates"
CLOCK_S = 5.0  # how often the business clock is written down
TIDY = timedelta(seconds=30)


def store_path(config: Config, config_path: Path) -> Path:
    """The file of the embedded store; relative to config.yaml."""
    return config_path.parent / config.store.removeprefix("sqlite:")


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
async def opened(config: Config, config_path: Path, environ: Mapping[str, str]) -> AsyncIterator[App]:
    """The store with the clock, the ids and the applied business: what every command needs."""
    tune()
    store = open_store(store_path(config, config_path))
    try:
        clock = Clock(await store.write(set_clock, config))
        ids = Ids(clock.now_ms, node=BRAND, last=await store.read(last_id))
        texts = Texts(TEMPLATES / "texts", config.brand.languages)
        pages = Pages(TEMPLATES / "pages", texts)
        app = App(config_path, store, clock, ids, texts, pages)
        version = await store.read(versions.latest, BRAND)
        if version is not None:
            applied = versions.read(version, environ, config_path.parent)
            app.take(await business_of(app, applied, version.number))
        yield app
        await store.write(keep_clock, clock)
    finally:
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

    async def recognise(tx: Tx, channel: str, inbound: Inbound, at: int) -> tuple[int, str]:
        return await consent.recognise(tx, app.business, channel, inbound, at)

    async def answer(tx: Tx, kept: Kept) -> str:
        return await answer_text(tx, app.business, kept)

    async def pinned(number: int) -> Business:
        version = await app.store.read(versions.one, app.brand, number)
        return await business_of(app, versions.read(version, environ, app.config_path.parent), number)

    async def left(tx: Tx, person: int, why: str, at: int) -> None:
        await consent.left_by_carrier(tx, app.business, person, why, at)

    logins = {name: each.login for name, each in config.channels.items() if isinstance(each, TwilioCarrier)}
    gallery = Gallery(store=app.store, clock=app.clock, folder=app.store.path.parent / MEDIA, logins=logins)
    owner = f"{os.uname().nodename}:{os.getpid()}"
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
    )

    async def adopt() -> None:
        await gateway.adopt(owner)

    runner = Runner(store=app.store, business=lambda: app.business, pinned=pinned, adopt=adopt, wake=gateway.wake)
    app.gateway, app.runner = gateway, runner
    app.on_taken.append(lambda taken: gatekeeper.update(taken.config.programs))
    async with AsyncExitStack() as stack:
        if any(channel.is_simulated for channel in config.channels.values()):
            app.simulator = simulator_of(config, app.clock)
            await app.simulator.start(*config.listen.smsc)
            stack.push_async_callback(app.simulator.stop)
        await gateway.open(config.channels, config.senders, config.listen.smsc, owner, config.brand.site)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        running = [
            tasks.create_task(gateway.run(), name="gateway"),
            tasks.create_task(runner.run(), name="runner"),
            tasks.create_task(_write_clock(app), name="clock"),
            tasks.create_task(gallery.run(), name="gallery"),
        ]
        if config.is_simulated and config.simulator.people == "lively":
            running.append(tasks.create_task(live(app), name="people"))
        scheduler = AsyncIOScheduler()
        scheduler.add_job(gateway.tidy, "interval", seconds=TIDY.total_seconds(), max_instances=1, coalesce=True)
        scheduler.start()
        try:
            yield app
        finally:
            scheduler.shutdown(wait=False)
            for task in running[1:]:
                task.cancel()
            await gateway.hold(HOLD_S)
            if app.simulator is not None:
                await app.simulator.hurry(HOLD_S)
            await gateway.drain(DRAIN_S)
            for task in running:
                task.cancel()


SAME_S = 0.5
MEDIA = "media"  # the folder beside the store that holds what people sent with their texts
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
