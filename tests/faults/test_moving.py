"""A business that moves to another engine amid of a campaign: it goes on there, and nobody is texted twice."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from gateway.messages import State
from tests.faults.conftest import ROOT, Gateway, Smsc
from tests.servers import PostgresServer

Make = Callable[[int, int], Awaitable[Gateway]]
PEOPLE = 6_000


@pytest.fixture
def url(postgres: PostgresServer) -> Iterator[str]:
    """An empty database."""
    lent = postgres.lend()
    yield lent
    postgres.take_back(lent)


async def say(gateway: Gateway, *words: str) -> tuple[int, str, str]:
    """A command beside it; exit status and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "run.py"), "--config", str(gateway.config), *words,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def moved(gateway: Gateway, source: str, target: str) -> dict[str, Any]:
    """Move it, and serve it there from now on."""
    status, out, err = await say(gateway, "migrate-store", source, target, "--json")
    assert status == 0, err
    gateway.config.write_text(gateway.config.read_text().replace(f'store: "{source}"', f'store: "{target}"'))
    found: dict[str, Any] = json.loads(out)
    return found


async def some_more(smsc: Smsc, count: int) -> None:
    """Wait until the carrier has taken so many more."""
    before = len(smsc.submits())
    async with asyncio.timeout(40):
        while len(smsc.submits()) < before + count:  # noqa: ASYNC110  another process
            await asyncio.sleep(0.05)


async def test_a_campaign_goes_on_where_it_was_and_nobody_is_texted_twice(
    make_gateway: Make, smsc: Smsc, url: str
) -> None:
    gateway = await make_gateway(PEOPLE, 1_200)
    places = ["sqlite:faults.db", url, "sqlite:back.db"]
    for source, target in itertools.pairwise(places):
        await gateway.start()
        await some_more(smsc, 1_000)
        status, _, err = await say(gateway, "migrate-store", source, target)
        assert (status, "stop" in err) == (1, True)
        await gateway.kill()  # so that texts are on the way while it moves
        made = await moved(gateway, source, target)
        assert made["is_complete"]
        assert {each["table"]: each["source"]["rows"] for each in made["tables"]}["message"] > 1_000
    await gateway.start()
    async with asyncio.timeout(60):
        while len(smsc.submits()) < PEOPLE - 1_500:  # noqa: ASYNC110  another process
            await asyncio.sleep(0.1)
    await asyncio.sleep(3)
    assert await gateway.end() == 0

    found, sent = await gateway.waterfall(), smsc.texts_to()
    assert max(sent.values()) == 1
    assert (found.matched, found.adds_up, found.in_state(State.QUEUED)) == (PEOPLE, True, 0)
    assert found.in_state(State.DELIVERED, State.SENT) <= len(sent) <= PEOPLE
    assert len(sent) + found.in_state(State.IN_DOUBT) >= PEOPLE
    status, _, err = await say(gateway, "status")
    assert status == 0, err
