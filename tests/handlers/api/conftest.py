"""What tests of the doors for programs share: the shipped business with three clients, and somebody who calls."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import orjson
import pytest

import run
from campaigns import clients
from campaigns.clients import Kind
from campaigns.settings import Config
from gateway.config import load
from gateway.web import Listener
from handlers.api import app as api
from handlers.app import App
from tests.ports import free_ports

ROOT = Path(__file__).parents[3]
CLIENTS = """
clients:
  shop: {receives: [seattle], private: yes, events: [message.delivered, message.received, subscriber.left]}
  other: {receives: [shanghai]}
  slow: {may: [send], rate: 5/s, program: lantern_club}
"""
SHIPPED = ("0.0.0.0:8080", "127.0.0.1:8081", "127.0.0.1:2775", "127.0.0.1:8082")
ANA, BEN, LI = "+12065550142", "+12065550143", "+8613800138000"


class Told(NamedTuple):
    """An answer."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return orjson.loads(self.raw)

    @property
    def problem(self) -> str:
        """The name of the problem, which must be a whole problem document."""
        assert self.headers["Content-Type"] == "application/problem+json", self.raw
        assert self.body["status"] == self.status
        assert self.body["title"]
        assert self.body["detail"]
        assert self.body["request_id"] == self.headers["X-Request-Id"]
        return str(self.body["type"]).removeprefix("/problems/")


class Caller:
    """Somebody who calls the API with a key."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str) -> None:
        self.session, self.url, self.key = session, url, key

    async def __call__(self, method: str, path: str, value: Any = None, **headers: str) -> Told:
        given = {name.replace("_", "-"): text for name, text in headers.items()}
        if self.key:
            given.setdefault("Authorization", f"Bearer {self.key}")
        body = value if isinstance(value, bytes) else None if value is None else orjson.dumps(value)
        if body is not None:
            given.setdefault("Content-Type", "application/json")
        async with self.session.request(
            method,
            self.url + path,
            data=io.BytesIO(body) if body else body,
            headers=given,
            skip_auto_headers=["Content-Type"],
        ) as response:
            return Told(response.status, response.headers, await response.read())

    async def post(self, path: str, value: Any = None, **headers: str) -> Told:
        return await self("POST", path, value, **headers)

    async def get(self, path: str, **headers: str) -> Told:
        return await self("GET", path, **headers)

    def by(self, key: str) -> Caller:
        """The same with another key."""
        return Caller(self.session, self.url, key)


@pytest.fixture
def config_file(tmp_path: Path, store_place: Path | str) -> Path:
    """The shipped config with clients, on free ports."""
    text = (ROOT / "config.yaml").read_text("utf-8")
    for shipped, port in zip(SHIPPED, free_ports(len(SHIPPED)), strict=True):
        text = text.replace(shipped, f"127.0.0.1:{port}")
    text = text.replace(", people: lively", "").replace("clock: 18:30, ", "")
    place = store_place if isinstance(store_place, str) else f"sqlite:{store_place}"
    text = text.replace("store: sqlite:data/carillon.db", f'store: "{place}"')
    text = re.sub(r"^clients:.*?\n(?=\S)", "", text, flags=re.MULTILINE | re.DOTALL)
    path = tmp_path / "config.yaml"
    path.write_text(text + CLIENTS, "utf-8")
    return path


@asynccontextmanager
async def served(config_file: Path, *roles: str) -> AsyncIterator[App]:
    """The app of a config file with everything running; one of several processes when it is given roles."""
    config = load(config_file, Config, {}).value
    async with run.opened(config, config_file, {}, roles) as app:
        app.take(await run.business_of(app, config, 1))
        async with run.serving(app, {}):
            yield app


@pytest.fixture
async def app(config_file: Path) -> AsyncIterator[App]:
    """The app with everything running."""
    async with served(config_file) as running:
        yield running


async def key_of(app: App, client: str, kind: Kind = Kind.LIVE, *scopes: str) -> str:
    """A new key of a client."""
    business = app.business
    made = await app.store.write(
        clients.make_key, business, business.clients[client], kind, scopes, "test", app.clock.now_ms()
    )
    return made.shown


@asynccontextmanager
async def listening(app: App) -> AsyncIterator[str]:
    """The listener for programs, and where it is."""
    listener = Listener(api.application(app), "127.0.0.1", 0, setting="listen.api")
    await listener.start()
    try:
        yield f"http://127.0.0.1:{listener.port}"
    finally:
        await listener.stop()


@pytest.fixture
async def shop(app: App) -> AsyncIterator[Caller]:
    """The shop, with a live key that may do everything."""
    async with listening(app) as url, aiohttp.ClientSession() as session:
        yield Caller(session, url, await key_of(app, "shop"))


@pytest.fixture
def example() -> dict[str, Any]:
    """A message that is right."""
    return {"to": ANA, "text": "Your order 7 is ready."}
