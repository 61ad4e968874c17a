"""A channel to the fake Twilio, and our doors on a real port: everything but the store."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from gateway.channels.base import Call, Reply, Surroundings, Upward
from gateway.channels.twilio import TwilioCarrier, TwilioChannel
from gateway.config import Secret
from gateway.messages import Answer, Inbound, Outbound, Receipt
from gateway.values import HostPort, Price
from tests.peers.fake_twilio import FakeTwilio, options_from

ACCOUNT = "AC" + "0" * 32
TOKEN = "the-token"
NOW_MS = 1_800_000_000_000
FROM, TO = "+12065550100", "+12065550142"


def settings(tmp_path: Path, **others: object) -> TwilioCarrier:
    """A Twilio account as config.yaml would describe it."""
    given: dict[str, object] = {
        "kind": "twilio",
        "account": ACCOUNT,
        "token_file": Secret(tmp_path / "token", TOKEN),
        "price": Price.parse("0.01 USD per part"),
        "at_once": 5,
        **others,
    }
    return TwilioCarrier.model_validate(given)


def text(n: int = 1, to: str = TO, words: str = "hello", **others: object) -> Outbound:
    return Outbound(n, 0, FROM, to, words)._replace(**others)  # type: ignore[arg-type]


@dataclass
class Stage:
    """What a channel told, and the hands that keep or refuse what arrived."""

    name: str = "tw"
    answers: list[Answer] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    texts: list[Inbound] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    ready: int = 0
    keep: Callable[[list[object]], None] | None = None
    channel: TwilioChannel = field(init=False)
    fake: FakeTwilio = field(init=False)
    site: str = ""
    waiting: set[asyncio.Event] = field(default_factory=set)

    def upward(self) -> Upward:
        return Upward(self._answered, self._arrived, self._ready)

    def _answered(self, name: str, answers: list[Answer]) -> None:
        self.answers += answers
        self.order.append("answer")
        self._stir()

    def _arrived(self, name: str, receipts: list[Receipt], texts: list[Inbound]) -> None:
        self.receipts += receipts
        self.texts += texts
        self.order.append("receipt" if receipts else "text")
        handles = [each.handle for each in receipts] + [each.handle for each in texts]
        (self.keep or self.channel.thank)(handles)
        self._stir()

    def _ready(self, name: str) -> None:
        self.ready += 1

    def _stir(self) -> None:
        for event in self.waiting:
            event.set()

    async def until(self, is_so: Callable[[], object], seconds: float = 5) -> None:
        """Wait for something to become so."""
        event = asyncio.Event()
        self.waiting.add(event)
        try:
            async with asyncio.timeout(seconds):
                while not is_so():
                    with suppress(TimeoutError):
                        await asyncio.wait_for(event.wait(), 0.02)
                    event.clear()
        finally:
            self.waiting.discard(event)

    async def call(self, call: Call) -> Reply:
        """Knock at a door, as the web server would."""
        path = call.url.partition("?")[0].rpartition("/")[2]
        return await next(door for door in self.channel.doors() if door.path == path).serve(call)


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """An application on a port of its own; its address."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def doors(stage: Stage) -> web.Application:
    """Our doors as the public site opens them."""

    async def serve(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        call = Call(request.method, stage.site + request.raw_path, headers, await request.read())
        reply = await stage.call(call)
        return web.Response(
            status=reply.status,
            body=reply.body.encode(),
            headers={"Content-Type": reply.content_type, **reply.headers},
        )

    app = web.Application()
    app.router.add_route("*", "/carriers/tw/{path}", serve)
    return app


Staged = Callable[..., Awaitable[Stage]]


@pytest.fixture
async def staged(tmp_path: Path) -> AsyncIterator[Staged]:
    """Sets a stage: `fake` are words for the fake's command line, the rest are settings."""
    async with AsyncExitStack() as stack:

        async def set_up(*fake: str, **others: object) -> Stage:
            stage = Stage()
            log = str(tmp_path / "taken.jsonl")
            stage.fake = FakeTwilio(options_from(["--log", log, "--account", ACCOUNT, "--token", TOKEN, *fake]))
            api = await stack.enter_async_context(serving(stage.fake.app()))
            stage.site = await stack.enter_async_context(serving(doors(stage)))
            around = Surroundings(
                stage.name, (FROM,), stage.upward(), lambda: NOW_MS, HostPort("127.0.0.1", 1), stage.site,
                random.Random(1),
            )  # fmt: skip
            stage.channel = TwilioChannel(settings(tmp_path, **{"api": api, **others}), around)
            running = asyncio.create_task(stage.channel.run())
            stack.push_async_callback(_stop, stage.channel, running)
            await stage.until(stage.channel.room)
            return stage

        yield set_up


async def _stop(channel: TwilioChannel, running: asyncio.Task[None]) -> None:
    await channel.drain(0.01)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
