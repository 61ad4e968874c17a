"""kill -9 while programs bring texts: what was answered is there, a key has one effect, what is to be told is told."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

import run
from campaigns import clients, versions
from campaigns.clients import Kind
from campaigns.settings import Config
from gateway.config import load
from tests.faults.carriers import Smsc, ending
from tests.faults.folders import Folder
from tests.ports import free_port

CALLS, AT_ONCE = 120, 8
AGAIN_S = 0.1
CLIENTS = """
clients:
  shop: {{private: yes, events: [message.delivered], webhook: {{url: "http://127.0.0.1:{port}/hook"}}}}
"""


class Receiver:
    """A program's webhook that refuses every third thing that it is told once; what it was told, by message."""

    def __init__(self) -> None:
        self.port = free_port()
        self.told: dict[str, set[str]] = defaultdict(set)  # by message: the ids under which it was told
        self._met: set[str] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_post("/hook", self._hear)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        try:
            yield
        finally:
            await runner.cleanup()

    async def _hear(self, request: web.Request) -> web.Response:
        id_ = request.headers["webhook-id"]
        if id_ not in self._met:
            self._met.add(id_)
            if len(self._met) % 3 == 0:
                return web.Response(status=503)
        event = json.loads(await request.read())
        self.told[event["data"]["id"]].add(id_)
        return web.Response()


async def key_of(folder: Folder) -> str:
    """A live key of the shop, made while nobody serves."""
    loaded = load(folder.config, Config, os.environ)
    async with run.opened(loaded.value, folder.config, os.environ) as app:
        version = await app.store.write(versions.keep, app.brand, loaded, folder.config, app.clock.now_ms())
        app.take(await run.business_of(app, loaded.value, version))
        made = await app.store.write(
            clients.make_key, app.business, app.business.clients["shop"], Kind.LIVE, ("send", "read"), "",
            app.clock.now_ms(),
        )  # fmt: skip
        return made.shown


class Program:
    """Brings each of its texts under a key of its own, again and again until it has been answered."""

    def __init__(self, folder: Folder, key: str) -> None:
        self.ids: dict[int, str] = {}
        self._url = f"http://127.0.0.1:{folder.api}/v1/messages"
        self._key = key
        self._next = iter(range(CALLS))

    async def run(self) -> None:
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {self._key}"}) as session:
            await asyncio.gather(*(self._bring(session) for _ in range(AT_ONCE)))

    async def _bring(self, session: aiohttp.ClientSession) -> None:
        for number in self._next:
            while number not in self.ids:
                try:
                    await self._once(session, number)
                except (aiohttp.ClientError, TimeoutError):
                    await asyncio.sleep(AGAIN_S)

    async def _once(self, session: aiohttp.ClientSession, number: int) -> None:
        body = {"to": f"+1206{2_001_000 + number}", "text": f"Order {number}", "reference": str(number)}
        timeout = aiohttp.ClientTimeout(10)
        async with session.post(
            self._url, json=body, headers={"Idempotency-Key": f"order-{number}"}, timeout=timeout
        ) as answer:
            if answer.status == 201:
                self.ids[number] = (await answer.json())["id"]
            else:
                assert answer.status in (409, 429, 503), await answer.text()
                await asyncio.sleep(AGAIN_S)


@pytest.mark.parametrize("place", ["accept", "accepted"])
async def test_a_program_that_repeats_its_calls_through_crashes_sends_each_text_once(
    tmp_path: Path, place: str
) -> None:
    receiver = Receiver()
    carrier = Smsc(tmp_path, "20655")
    with ending(carrier):
        folder = Folder(
            tmp_path / "gateway", carrier, "20655", people=0, clients=CLIENTS.format(port=receiver.port), rate=400
        )
        await folder.prepare()
        program = Program(folder, await key_of(folder))
        async with receiver.listening(), ended(folder):
            # Given a server that dies twice at this place while a program brings its texts
            bringing = asyncio.create_task(program.run())
            for meeting in (2, 5):
                await folder.serve(f"{place}:{meeting}")
                assert await folder.fall(60) == -signal.SIGKILL
            await folder.serve()
            # When it has been answered to everything, and everything has come to its end
            async with asyncio.timeout(60):
                await bringing
            assert await folder.settle(60) == {}
            await all_told(folder)
            assert await folder.leave() == 0
        # Then each key had one effect, what was answered is there, and no phone was texted twice
        rows = folder.rows("SELECT s.reference, s.message FROM submission s JOIN message m ON m.id = s.message")
        assert {int(reference): str(message) for reference, message in rows} == program.ids
        assert len(rows) == CALLS
        copies = [copy.text for copy in carrier.copies("20655")]
        assert len(copies) == len(set(copies))
        doubtful = {str(message) for (message,) in folder.rows("SELECT message FROM state WHERE state = 10")}
        assert len(copies) + len(doubtful) >= CALLS
        # and the program was told of every text that arrived, of each under one id
        delivered = {str(message) for (message,) in folder.rows("SELECT message FROM state WHERE state = 50")}
        assert set(receiver.told) == delivered
        assert all(len(ids) == 1 for ids in receiver.told.values())


@asynccontextmanager
async def ended(folder: Folder) -> AsyncIterator[None]:
    """Nothing serves there after the block."""
    try:
        yield
    finally:
        await folder.kill()


async def all_told(folder: Folder) -> None:
    """Wait until no notice waits; what was on the way in a crash is brought again after a minute."""
    async with asyncio.timeout(120):
        while folder.rows("SELECT 1 FROM notice WHERE state = 0 LIMIT 1"):  # noqa: ASYNC110  another process
            await asyncio.sleep(0.1)
