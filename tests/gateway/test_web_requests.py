"""Each request has a name by which it is found again in logs; carriers' calls that are turned away are counted."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus

import pytest
from aiohttp import ClientSession

from gateway import logs, web
from gateway.channels.base import Call, Door, Reply
from gateway.counting import counted

SITE = web.Site(b"s" * 32, ("en",), lambda status, _: f"sorry {status}", "default-src 'none'", proxies=1)


class Lines(logging.Handler):
    """Keeps what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, str]] = []
        self.setFormatter(logs.Json())

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


async def breaks(request: web.Request) -> web.Response:
    await asyncio.sleep(0.01)
    raise RuntimeError(request.query["who"])


async def answers(_call: Call) -> Reply:
    return Reply(HTTPStatus.OK)


async def turns_away(call: Call) -> Reply:
    return Reply(int(call.body))


@asynccontextmanager
async def opened(site: web.Site) -> AsyncIterator[ClientSession]:
    doors = [Door("/ok", answers), Door("/says", turns_away)]
    listener = web.Listener(
        web.application(site, pages=[web.get("/breaks", breaks)], doors=doors, address="https://x.example"),
        "127.0.0.1", 0, setting="listen.public",
    )  # fmt: skip
    await listener.start()
    async with ClientSession(f"http://127.0.0.1:{listener.port}") as session:
        yield session
    await listener.stop()


async def name_of(client: ClientSession, given: str | None = None) -> str:
    async with client.get("/nowhere", headers={"X-Request-Id": given} if given else {}) as answer:
        return answer.headers["X-Request-Id"]


async def test_a_name_comes_from_our_own_proxy_if_it_is_well_formed_and_is_ours_else() -> None:
    async with opened(SITE) as client:
        assert await name_of(client, "proxy-1234567890") == "proxy-1234567890"
        for strange in ("short", "x" * 65, "with space-1", "<script>1</script>", "номер12345", "a;b=c;d=e"):
            mine = await name_of(client, strange)
            assert mine != strange
            assert len(mine) == 16
        assert await name_of(client) != await name_of(client)
    async with opened(replace(SITE, proxies=0)) as client:
        assert await name_of(client, "stranger-12345") != "stranger-12345"


async def test_what_is_written_while_a_request_is_answered_bears_its_name() -> None:
    handler = Lines()
    logging.getLogger("carillon.web").addHandler(handler)
    try:
        async with opened(SITE) as client:

            async def ask(n: int) -> str:
                async with client.get(f"/breaks?who=guest{n}") as answer:
                    return answer.headers["X-Request-Id"]

            names = await asyncio.gather(*map(ask, range(8)))
    finally:
        logging.getLogger("carillon.web").removeHandler(handler)
    told = {line["request"]: line["error"] for line in handler.lines}
    assert set(told) == set(names)
    assert all(f"guest{n}" in told[name] for n, name in enumerate(names))


@pytest.mark.parametrize(
    ("status", "reason"), [(403, "proof"), (400, "malformed"), (405, "malformed"), (503, "not kept"), (500, "failed")]
)
async def test_a_call_that_is_turned_away_is_counted_by_its_reason(status: int, reason: str) -> None:
    before = Counter(counted("webhook_rejected"))
    async with opened(SITE) as client:
        for path, body in (("/ok", b""), ("/says", str(status).encode())):
            await client.post(path, data=body)
    assert Counter(counted("webhook_rejected")) - before == {reason: 1}


async def test_a_call_that_is_too_large_is_counted_too() -> None:
    before = Counter(counted("webhook_rejected"))
    async with opened(SITE) as client:
        await client.post("/ok", data=b"x" * (web.DOOR_LIMIT + 1))
    assert Counter(counted("webhook_rejected")) - before == {"large": 1}
