"""What the measurements share: a business in a scratch folder, its people, and the serving process around them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import run
from campaigns import people, runs, versions
from campaigns.importing import Row
from campaigns.settings import Config
from gateway.config import load
from gateway.messages import State
from gateway.store import Tx
from handlers.app import App


def say(words: str) -> None:
    """A word to the person who waits; figures alone go to standard output."""
    print(words, file=sys.stderr, flush=True)


def installed_loop(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run on uvloop where it is installed."""
    try:
        import uvloop  # noqa: PLC0415  not to be had on every system
    except ImportError:
        asyncio.run(main())
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())


@asynccontextmanager
async def carrier(smsc: str | None, texts: Iterable[tuple[str, str]] = ()) -> AsyncIterator[str]:
    """Where the SMSC is: the one that was named, else our simulator as a process of its own.

    `texts` are (number, words) that its phones send to 20655 once the bind is there.
    """
    if smsc:
        yield smsc
        return
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.channels.simulator", "--port", "0", "--number", "20655=bench", "--keep", "0",
        "--delay-ms", "0", "0", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("no pipes to the simulator")
    port = json.loads(await process.stdout.readline())["listening"]
    for number, words in texts:
        process.stdin.write(json.dumps({"text": [number, "20655", words]}).encode() + b"\n")
    listening = asyncio.create_task(_drop(process.stdout))
    try:
        yield f"127.0.0.1:{port}"
    finally:
        listening.cancel()
        process.kill()
        await process.wait()


async def _drop(stream: asyncio.StreamReader) -> None:
    async for _ in stream:
        pass


@dataclass(frozen=True)
class Standing:
    """How far a run is."""

    is_planned: bool
    delivered: int
    waterfall: runs.Waterfall


class Stage:
    """One business under measurement."""

    def __init__(self, app: App) -> None:
        self.app = app

    @classmethod
    @asynccontextmanager
    async def open(cls, folder: Path, text: str) -> AsyncIterator[Stage]:
        """Write the config, open the store, apply."""
        path = folder / "config.yaml"
        path.write_text(text, encoding="utf-8")
        (folder / "bench.password").write_text("secret")
        (folder / "bench.password").chmod(0o600)
        loaded = load(path, Config, os.environ)
        async with run.opened(loaded.value, path, os.environ) as app:
            version = await app.store.write(versions.keep, app.brand, loaded, path, app.clock.now_ms())
            app.take(await run.business_of(app, loaded.value, version))
            yield cls(app)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Everything that runs, for as long as the block."""
        async with run.serving(self.app, os.environ):
            yield

    async def launch(self, campaign: str) -> None:
        """Launch a campaign at once."""
        app = self.app
        settings = app.business.config.campaigns[campaign]
        await app.store.write(runs.launch, app.business, settings, app.clock.now_ms())
        if app.runner:
            app.runner.stir()

    async def standing(self, campaign: str) -> Standing:
        """How far a campaign is."""
        return await self.app.store.read(_standing, self.app.brand, campaign)

    def sent_parts(self) -> int:
        """Parts that the carriers have taken."""
        gateway = self.app.gateway
        return sum(each.counters.sent_parts for each in gateway.dispatchers.values()) if gateway else 0


async def _standing(tx: Tx, brand: int, campaign: str) -> Standing:
    run_now = await runs.find(tx, brand, campaign)
    if run_now is None:
        raise LookupError(campaign)
    found = await runs.waterfall(tx, run_now)
    return Standing(run_now.planned_at is not None, found.in_state(State.DELIVERED), found)


async def add_people(stage: Stage, count: int, *, program: str = "club") -> None:
    """Made-up subscribers with consent, in batches."""
    app = stage.app
    now = app.clock.now_ms()
    for first in range(0, count, 2_000):
        rows = [row_of(number, now) for number in range(first, min(first + 2_000, count))]
        await app.store.write_bulk(people.import_rows, app.business, rows, program, now)


def phone_of(number: int) -> str:
    """A made-up telephone number; never one that the simulator treats in a way of its own (0000 to 0003 at the end)."""
    return f"+1206{2_001_000 + number // 9_000 * 10_000 + number % 9_000}"


def row_of(number: int, now: int) -> Row:
    """One made-up subscriber."""
    zone = "America/Los_Angeles"
    return Row(
        line=number + 2, e164=phone_of(number), country="US", zone=zone, zones=(zone,), region="WA",
        first_name=f"Name{number % 977}", last_name="", language="en", city="Seattle", birthday="2001-04-05", gender="",
        tags=(), attributes={}, lat=None, lon=None, seen_ms=None, consent=True, consent_ms=now, consent_source="form",
    )  # fmt: skip
