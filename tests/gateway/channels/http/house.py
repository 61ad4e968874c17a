"""A house for the channel: what it tells upwards, a carrier's server on a real socket, and our doors on another."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web as http

from gateway import web
from gateway.channels import AnyCarrier
from gateway.channels.base import Surroundings, Upward
from gateway.channels.http import HttpCarrier, HttpChannel
from gateway.config import Document, load
from gateway.messages import Answer, Inbound, Outbound, Receipt
from gateway.values import HostPort

NOW_MS = 1_780_000_000_000  # 2026-05-28T20:26:40Z
SITE = "https://sms.lantern.example"
DOCS = Path(__file__).parents[4] / "docs" / "http-carriers.md"
HELLO = Outbound(7, 1, "+12065550100", "+12065550142", "Hello")


class Lines(Document):
    """A file with channels alone."""

    channels: Mapping[str, AnyCarrier]


def settings_of(folder: Path, text: str, **secrets: str) -> HttpCarrier:
    """The only channel of this file, whose secrets are `secrets/NAME`."""
    (folder / "secrets").mkdir(exist_ok=True)
    for name, secret in secrets.items():
        path = folder / "secrets" / name
        path.write_text(secret + "\n")
        path.chmod(0o600)
    path = folder / "lines.yaml"
    path.write_text(text, "utf-8")
    (settings,) = load(path, Lines, {}).value.channels.values()
    assert isinstance(settings, HttpCarrier)
    return settings


def example(carrier: str, host: str, server: str) -> str:
    """The description in the docs, its host led to this server."""
    blocks = re.findall(r"```yaml\n(channels:\n  (\w+):.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    (text,) = [str(text) for text, name in blocks if name == carrier]
    assert f"https://{host}" in text
    return text.replace(f"https://{host}", server).replace("    send:\n", "    send:\n      insecure: yes\n")


@dataclass
class House:
    """What a channel tells upwards. Thanks at once, unless a test takes its time."""

    answers: list[Answer] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    texts: list[Inbound] = field(default_factory=list)
    ready: int = 0
    keeps: bool | None = True  # None: says nothing yet
    channel: HttpChannel | None = None
    now_ms: int = NOW_MS

    def surroundings(self, own: tuple[str, ...] = ("+12065550100",), name: str = "line") -> Surroundings:
        upward = Upward(
            answered=lambda _, answers: self.answers.extend(answers), arrived=self._arrived, ready=self._became_ready
        )
        return Surroundings(name, own, upward, lambda: self.now_ms, HostPort("127.0.0.1", 1), SITE, random.Random(7))

    def _became_ready(self, _: str) -> None:
        self.ready += 1

    def _arrived(self, _: str, receipts: list[Receipt], texts: list[Inbound]) -> None:
        self.receipts += receipts
        self.texts += texts
        handles = [*(one.handle for one in receipts), *(one.handle for one in texts)]
        if self.channel is not None and self.keeps is not None:
            (self.channel.thank if self.keeps else self.channel.refuse)(handles)

    @contextlib.asynccontextmanager
    async def hold(self, settings: HttpCarrier, **around: object) -> AsyncIterator[HttpChannel]:
        """The channel, running."""
        self.channel = channel = HttpChannel(settings, self.surroundings(**around))  # type: ignore[arg-type]
        running = asyncio.create_task(channel.run())
        await until(lambda: channel.room() > 0)
        try:
            yield channel
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def send(self, channel: HttpChannel, message: Outbound = HELLO) -> list[Answer]:
        """The answers to one message."""
        before = len(self.answers)
        assert channel.send([message]) == []
        await until(lambda: len(self.answers) > before)
        return self.answers[before:]


async def until(is_so: Callable[[], bool], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not is_so():  # noqa: ASYNC110  what is waited for is another room's
            await asyncio.sleep(0.002)


@dataclass
class Asked:
    """A request as the carrier got it."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Server:
    """A carrier: notes what it is asked, and answers as a test says."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    answer: Callable[[Asked], Awaitable[http.StreamResponse]] | None = None

    async def serve(self, request: http.Request) -> http.StreamResponse:
        asked = Asked(request.method, request.path, request.query, request.headers, await request.read())
        self.asked.append(asked)
        assert self.answer is not None
        return await self.answer(asked)


@contextlib.asynccontextmanager
async def public(channel: HttpChannel) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """Our doors on a socket, and a client who knocks."""
    site = web.Site(b"x" * 32, ("en",), lambda status, _: f"<h1>{status}</h1>", "default-src 'none'")
    doors = [door._replace(path=f"/carriers/{channel.name}/{door.path}") for door in channel.doors()]
    listener = web.Listener(
        web.application(site, pages=(), doors=doors, address=SITE + "/"), "127.0.0.1", 0, setting="listen.public"
    )
    await listener.start()
    try:
        async with aiohttp.ClientSession() as client:
            yield client, f"http://127.0.0.1:{listener.port}/carriers/{channel.name}"
    finally:
        await listener.stop()
