"""Processes that can be killed: an SMSC with its own synced log, and a gateway that serves from a folder."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import run
from bench.stage import row_of
from campaigns import people, runs, versions
from campaigns.runs import Waterfall
from campaigns.settings import Config
from gateway.config import load
from gateway.messages import State
from gateway.store import Tx
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
SEEDS = range(1, 21) if os.environ.get("CARILLON_TORTURE") else range(1, 2)  # make torture tries twenty

CONFIG = """
brand: {{name: Faults, country: US, timezone: America/Los_Angeles, languages: [en], currency: USD}}
channels:
  us:
    {{kind: smpp, carrier: "127.0.0.1:{port}", account: us, password_file: password, rate: {rate}/s, window: 200,
     price: 0.01 USD per part}}
senders: {{shop: {{number: "20655", channel: us, countries: [US]}}}}
programs: {{club: {{name: Club, consent: Yes please, at_most: [4 per 30 d, 2 per 24 h], hours: 0:00-24:00}}}}
segments: {{everyone: {{age: 10-150}}}}
contests:
  cup:
    {{kind: vote, question: "Which?", options: {{1: fox, 2: crane, 3: owl}}, open: {{from: apply, for: 30 d}},
     votes: 1 per day}}
keywords: {{VOTE: {{vote: cup}}}}
campaigns:
  big:
    program: club
    audience: {{segment: everyone}}
    senders: [shop]
    send: {{at: apply, within: 20 h}}
    text: "Hello {{{{ first_name or 'friend' }}}}. Reply STOP to end"
store: "sqlite:faults.db"
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One after the other, where tests run beside each other: each of these needs many processes and keeps time."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("faults"))


@dataclass
class Smsc:
    """The simulator as a process of its own, which outlives every kill of the gateway."""

    log: Path
    port: int
    process: asyncio.subprocess.Process
    echoed: list[dict[str, object]] = field(default_factory=list)

    async def text(self, number: str, words: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"text": [number, "20655", words]}).encode() + b"\n")
        await self.process.stdin.drain()

    async def listen(self) -> None:
        """Note what handsets receive, for as long as it runs."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.echoed.append(json.loads(line))

    def submits(self) -> list[dict[str, object]]:
        """Every submit it took, from its own log."""
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def texts_to(self) -> Counter[str]:
        """How many texts each phone got."""
        return Counter(str(one["recipient"]) for one in self.submits())


@pytest.fixture
async def smsc(tmp_path: Path) -> AsyncIterator[Smsc]:
    """An SMSC that keeps its own fsynced log and sends receipts."""
    log, port = tmp_path / "smsc.log", free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.channels.simulator", "--port", str(port), "--number", "20655=us",
        "--log", str(log), "--fsync", "--keep", "1000", "--echo", "--delay-ms", "20", "300",
        cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 22,
    )  # fmt: skip
    assert process.stdout is not None
    assert "listening" in json.loads(await process.stdout.readline())
    found = Smsc(log, port, process)
    listening = asyncio.create_task(found.listen())
    yield found
    process.kill()
    await process.wait()
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


@dataclass
class Gateway:
    """A gateway's folder and the process that serves it, if one does."""

    folder: Path
    process: asyncio.subprocess.Process | None = None

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, str(Path(__file__).parent / "served.py"), str(self.config), cwd=ROOT,
            stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            assert await self.process.stdout.readline() == b"ready\n"

    async def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def end(self) -> int:
        """Ask it to stop; its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            return await self.process.wait()

    async def waterfall(self) -> Waterfall:
        """Where every message stands; only while nothing serves."""
        loaded = load(self.config, Config, os.environ)
        async with run.opened(loaded.value, self.config, os.environ) as app:
            return await app.store.read(_waterfall)

    async def ask(self, query: str, **values: object) -> list[tuple[object, ...]]:
        """Rows of a named query; only while nothing serves."""

        async def rows(tx: Tx) -> list[tuple[object, ...]]:
            return await tx.rows(query, **values)

        loaded = load(self.config, Config, os.environ)
        async with run.opened(loaded.value, self.config, os.environ) as app:
            return await app.store.read(rows)


async def _waterfall(tx: Tx) -> Waterfall:
    found = await runs.find(tx, 1, "big")
    assert found is not None
    return await runs.waterfall(tx, found)


@pytest.fixture
async def make_gateway(tmp_path: Path, smsc: Smsc) -> AsyncIterator[object]:
    """Set up a gateway with so many people, to send at such a rate."""
    made: list[Gateway] = []

    async def make(count: int, rate: int) -> Gateway:
        found = Gateway(tmp_path)
        found.config.write_text(CONFIG.format(port=smsc.port, rate=rate))
        (tmp_path / "password").write_text("secret")
        (tmp_path / "password").chmod(0o600)
        loaded = load(found.config, Config, os.environ)
        async with run.opened(loaded.value, found.config, os.environ) as app:
            now = app.clock.now_ms()
            version = await app.store.write(versions.keep, app.brand, loaded, found.config, now)
            app.take(await run.business_of(app, loaded.value, version))
            for first in range(0, count, 2_000):
                rows = [row_of(n, now) for n in range(first, min(first + 2_000, count))]
                await app.store.write(people.import_rows, app.business, rows, "club", now)
        made.append(found)
        return found

    yield make
    for each in made:
        if each.process is not None and each.process.returncode is None:
            await each.kill()


__all__ = ["Gateway", "Smsc", "State"]
