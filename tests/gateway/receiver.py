"""A server that is told notices: it can be slow, wrong, gone, and it remembers everything that it was told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from aiohttp import web

Answer = Callable[["Call"], Awaitable[web.Response]]


class Call(NamedTuple):
    """One notice as it arrived."""

    path: str
    id: str
    headers: dict[str, str]
    body: bytes


async def thanks(_call: Call) -> web.Response:
    return web.Response(status=204)


class Receiver:
    """Answers as `answer` says; `calls` are all that arrived, `good` the ids that were thanked for, in their order."""

    def __init__(self) -> None:
        self.answer: Answer = thanks
        self.calls: list[Call] = []
        self.good: list[str] = []
        self.at_once = self.most_at_once = 0
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def open(self) -> None:
        """Listen, at the same port each time."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Hang up and listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def _take(self, request: web.Request) -> web.Response:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            headers = {name.lower(): value for name, value in request.headers.items()}
            call = Call(request.raw_path, headers.get("webhook-id", ""), headers, await request.read())
            self.calls.append(call)
            answer = await self.answer(call)
        finally:
            self.at_once -= 1
        if 200 <= answer.status < 300:
            self.good.append(call.id)
        return answer

    async def has(self, count: int, seconds: float = 10) -> None:
        """Wait until so many were thanked for."""
        async with asyncio.timeout(seconds):
            while len(self.good) < count:  # noqa: ASYNC110  it has no bell
                await asyncio.sleep(0.005)
