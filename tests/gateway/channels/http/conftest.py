"""A house for the channel, and a carrier's server on a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web as http

from tests.gateway.channels.http.house import House, Server


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    served = Server()
    app = http.Application()
    app.router.add_route("*", "/{rest:.*}", served.serve)
    runner = http.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await http.TCPSite(runner, "127.0.0.1", 0).start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield served
    finally:
        await runner.cleanup()
