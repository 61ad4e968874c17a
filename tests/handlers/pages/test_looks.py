"""Results and the board cost one look for all who watch, in all processes that share."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from campaigns import runs
from gateway import shared
from gateway.shared import opened
from handlers.console import operations
from tests.handlers.console.conftest import hush
from tests.handlers.pages.conftest import Shop, Theatre
from tests.valkey import Valkey, one_valkey  # noqa: F401  a fixture

SECRET = b"s" * 32


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy with other tests may take its time."""
    monkeypatch.setattr(shared, "ANSWER_S", 5.0)


async def vote(shop: Shop, number: str, choice: str) -> None:
    async with shop.browser() as phone:
        path = await shop.vote_path(number)
        await phone.open(path)
        assert (await phone.send(path, choice=choice)).status == 200


async def test_results_show_a_vote_a_moment_later(shop: Shop) -> None:
    await vote(shop, "+12065550142", "3")
    async with shop.browser() as phone:
        assert "Votes: 1." in (await phone.open("/cup/results")).text
        await vote(shop, "+12065550156", "3")
        async with asyncio.timeout(10):
            while "Votes: 2." not in (await phone.open("/cup/results")).text:
                pass


async def test_what_another_process_has_looked_up_is_shown(shop: Shop, valkey: Valkey) -> None:
    async def theirs() -> dict[str, int]:
        return {"1": 5, "2": 0, "3": 7}

    async with opened(valkey.url, SECRET) as shop.app.shared, opened(valkey.url, SECRET) as other:
        await other.look("results", f"cup {shop.business.version}", theirs, 60)
        async with shop.browser() as phone:
            assert "Votes: 12." in (await phone.open("/cup/results")).text
            valkey.stop()
            await asyncio.sleep(0.05)
            assert "Votes: 12." not in (await phone.open("/cup/results")).text


async def test_what_was_done_by_hand_stands_on_every_board_at_once(theatre: Theatre, valkey: Valkey) -> None:
    app = theatre.app
    await app.store.write(runs.launch, app.business, app.business.config.campaigns["spring"], app.clock.now_ms())
    async with (
        opened(valkey.url, SECRET) as app.shared,
        opened(valkey.url, SECRET) as other,
        theatre.browser() as owner,
    ):
        made = orjson.loads((await owner.open("/board.json")).text)

        async def long_ago() -> dict[str, Any]:
            return {**made, "people": 4711}

        version = str(app.business.version)
        await app.shared.invalidate("board", version)
        await other.look("board", version, long_ago, 60)
        assert orjson.loads((await owner.open("/board.json")).text)["people"] == 4711

        await operations.pause(app, hush, campaign="spring")

        assert orjson.loads((await owner.open("/board.json")).text)["people"] == made["people"]


async def test_two_boards_look_once_and_each_shows_its_own_lines(theatre: Theatre, valkey: Valkey) -> None:
    async def theirs() -> dict[str, Any]:
        async with theatre.browser() as owner:
            facts: dict[str, Any] = orjson.loads((await owner.open("/board.json")).text)
        del facts["channels"]
        return {**facts, "people": 4711}

    made = await theirs()
    async with opened(valkey.url, SECRET) as theatre.app.shared, opened(valkey.url, SECRET) as other:

        async def other_made() -> dict[str, Any]:
            return made

        await other.look("board", str(theatre.app.business.version), other_made, 60)
        async with theatre.browser() as owner:
            facts = orjson.loads((await owner.open("/board.json")).text)
            page = await owner.open("/")
    assert facts["people"] == 4711
    assert [each["sent_per_s"] for each in facts["channels"]]
    assert page.status == 200
