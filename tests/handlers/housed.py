"""A business with one program that has a webhook, and its true receiver."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import run
from campaigns.settings import Config
from campaigns.wishes import Submission, Wish
from gateway import notices
from gateway.config import load
from gateway.notices import WAITS
from gateway.store import Tx
from handlers.app import App
from handlers.console import operations
from handlers.console.client import Business, reach
from handlers.console.doors import Doors, doors
from tests.gateway.receiver import Receiver
from tests.handlers.console.conftest import hush

MAYA = "+12065550142"


def with_client(path: Path, written: str) -> None:
    """The file with this one program."""
    lines = path.read_text("utf-8").splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith("clients:"))
    lines[place : place + 2] = ["clients:", f"  shop: {written}"]
    path.write_text("\n".join(lines) + "\n", "utf-8")


@asynccontextmanager
async def applied(path: Path) -> AsyncIterator[App]:
    config = load(path, Config, {}).value
    async with run.opened(config, path, {}) as app:
        if not app.has_business:
            await operations.apply(app, hush, config=str(path))
        yield app


async def note(app: App, count: int, state: int = WAITS, trouble: str = "", kind: str = "message.sent") -> list[str]:
    """So many notices of the shop; their ids."""
    ids, now = app.ids.take(count), app.clock.now_ms()
    client = app.business.clients["shop"].id
    rows = [
        (number, 1, client, "webhook", kind, f"p:{MAYA}" if "received" in kind else f"m:{number}", now,
         json.dumps({"type": kind}), "", now, int(bool(trouble)), state, trouble)
        for number in ids
    ]  # fmt: skip

    async def insert(tx: Tx) -> None:
        await tx.many("notice_insert", rows)
        tx.notify(notices.TOPIC)

    await app.store.write(insert)
    return [str(number) for number in ids]


@dataclass
class House:
    """A business that serves, with the true receiver of its program."""

    app: App
    path: Path
    receiver: Receiver
    doors: Doors

    async def send(self, to: str = MAYA) -> None:
        assert self.app.intake is not None
        client = self.app.business.clients["shop"]
        await self.app.intake.submit(Submission(client, [Wish(to=to, text="Your order 7 is ready")]))

    async def ask(self, work: Callable[[Business], Any]) -> Any:
        def reached() -> Any:
            with reach(lambda: importlib.import_module("run"), self.path) as business:
                return work(business)

        return await asyncio.to_thread(reached)


@asynccontextmanager
async def housed(path: Path, written: str = "") -> AsyncIterator[House]:
    receiver = Receiver()
    await receiver.open()
    with_client(path, written or f"{{private: yes, webhook: {{url: 'http://127.0.0.1:{receiver.port}/hook'}}}}")
    try:
        async with applied(path) as app, run.serving(app, {}), doors(app) as opened:
            yield House(app, path, receiver, opened)
    finally:
        await receiver.close()
