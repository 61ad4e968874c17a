"""A business that serves programs, whole and in this process: its listeners, its simulated carrier, its courier."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl

from aiohttp import web

import run
from campaigns import clients
from campaigns.settings import Config
from gateway.config import load
from gateway.store import Tx
from handlers.app import App
from handlers.console import operations
from handlers.console.doors import doors
from tests.handlers.console.conftest import hush
from tests.ports import free_ports

ACCOUNT, TOKEN = "AC" + "0" * 31 + "7", "0123456789abcdef0123456789abcdef"
MAYA, LEO = "+12065550142", "+12065550143"
DESK, SHORT = "+12065550100", "20655"

FILE = """
brand:
  name: Lantern Coffee
  country: US
  timezone: America/Los_Angeles
  languages: [en]
  currency: USD
  site: http://localhost:8080
  support: {phone: +1 206 555 0100, email: help@lantern.example}
channels:
  us_sms: {kind: smpp, carrier: simulator, rate: 500/s, price: 0.0079 USD per part}
senders:
  seattle: {number: 20655, channel: us_sms, countries: [US]}
  desk: {number: +12065550100, channel: us_sms, countries: [US]}
simulator: {seed: 7}
store: %s
listen: {public: 127.0.0.1:%d, private: 127.0.0.1:%d, smsc: 127.0.0.1:%d, api: 127.0.0.1:%d}
"""
SHOP = """
clients:
  shop:
    receives: [desk]
    private: yes
    twilio: {account: %s, token_file: token, inbound_url: %s}
  other:
    senders: [seattle]
    may: [read]
    twilio: {account: %s, token_file: other}
  slow:
    rate: 1/s
    twilio: {account: %s, token_file: slow}
"""
OTHER, SLOW = "AC" + "0" * 31 + "8", "AC" + "0" * 31 + "9"
TOKENS = {"token": TOKEN, "other": "other-token-of-another-program", "slow": "token-of-a-slow-program-of-ours"}


@dataclass
class Letterbox:
    """A server of a program's own, which is told things; `answer` is what it says."""

    came: list[Came] = field(default_factory=list)
    answer: Callable[[Came], web.Response] = lambda came: web.Response()
    url: str = ""

    async def take(self, request: web.Request) -> web.Response:
        body = (await request.read()).decode()
        came = Came(request.method, self.url + request.raw_path, dict(request.headers), body)
        self.came.append(came)
        return self.answer(came)

    async def until(self, is_so: Callable[[], object], seconds: float = 20) -> None:
        """Wait for something to become so."""
        async with asyncio.timeout(seconds):
            while not is_so():  # noqa: ASYNC110  what is waited for happens elsewhere
                await asyncio.sleep(0.02)


@dataclass
class Came:
    """One call as it came."""

    method: str
    url: str
    headers: dict[str, str]
    body: str

    @property
    def fields(self) -> list[tuple[str, str]]:
        return parse_qsl(self.body, keep_blank_values=True)

    @property
    def form(self) -> dict[str, str]:
        return dict(self.fields)


@dataclass
class Stage:
    """A business that serves, the address of its API, and a letterbox."""

    app: App
    api: str
    box: Letterbox

    async def key(self, name: str = "shop", kind: clients.Kind = clients.Kind.LIVE) -> str:
        """A new key of a client."""
        app = self.app
        client = app.business.clients[name]

        async def make(tx: Tx) -> clients.Made:
            scopes = list(client.settings.may)
            return await clients.make_key(tx, app.business, client, kind, scopes, "test", app.clock.now_ms())

        made: clients.Made = await app.store.write(make)
        return made.shown


@asynccontextmanager
async def letterbox() -> AsyncIterator[Letterbox]:
    """A letterbox on a port of its own."""
    box = Letterbox()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", box.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    box.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield box
    finally:
        await runner.cleanup()


@asynccontextmanager
async def staged(
    folder: Path, store: str = "sqlite:data/carillon.db", change: Callable[[str, str], str] = lambda text, url: text
) -> AsyncIterator[Stage]:
    """Everything, for as long as the block runs. `change` makes another file of it, given the letterbox's address."""
    async with AsyncExitStack() as stack:
        box = await stack.enter_async_context(letterbox())
        path = folder / "config.yaml"
        text = FILE % (store, *free_ports(4)) + SHOP % (ACCOUNT, f"{box.url}/inbound", OTHER, SLOW)
        for name, token in TOKENS.items():
            (folder / name).write_text(token)
            (folder / name).chmod(0o600)
        path.write_text(change(text, box.url), "utf-8")
        config = load(path, Config, {}).value
        app = await stack.enter_async_context(run.opened(config, path, {}))
        await operations.apply(app, hush, config=str(path))
        await stack.enter_async_context(run.serving(app, {}))
        opened = await stack.enter_async_context(doors(app))
        yield Stage(app, opened.api, box)
