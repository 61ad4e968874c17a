"""The page of what programs are told: sums, the last trouble, and a form that tells it again, without script."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession, CookieJar

from gateway.notices import GIVEN_UP, TOLD, WAITS
from tests.handlers.console.conftest import config_file  # noqa: F401  a fixture
from tests.handlers.housed import House, housed, note
from tests.handlers.pages.conftest import Browser


@pytest.fixture
async def house(config_file: Path) -> AsyncIterator[House]:  # noqa: F811  the fixture
    async with housed(config_file) as made:
        yield made


@asynccontextmanager
async def browsing(house: House, language: str = "en") -> AsyncIterator[Browser]:
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
        yield Browser(session, house.doors.private, language)


async def test_the_page_tells_what_waits_what_was_told_and_the_last_trouble(house: House) -> None:
    await note(house.app, 3, TOLD)
    await note(house.app, 2, GIVEN_UP, "HTTP 404")
    async with browsing(house) as owner, browsing(house, "zh") as chinese:
        page, there = (await owner.open("/webhooks")).text, (await chinese.open("/webhooks")).text
    assert "<dt>told</dt><dd>3</dd>" in page
    assert '<dt>given up</dt><dd class="down">2</dd>' in page
    assert "HTTP 404" in page
    assert house.receiver.url in page
    assert '<a href="/webhooks" aria-current="page">Webhooks</a>' in page
    assert "已放弃" in there


async def test_the_form_tells_again_and_says_how_many(house: House) -> None:
    ids = await note(house.app, 3, TOLD)
    await note(house.app, 1, TOLD, kind="message.delivered")
    async with browsing(house) as owner:
        await owner.open("/webhooks")
        page = await owner.send("/webhooks", client="shop", span="24", kind="message.sent")
        assert "shop will be told again: 3, in order" in page.text
        await house.receiver.has(3)
        assert "will be told again" not in (await owner.open("/webhooks")).text
    assert house.receiver.good == ids


@pytest.mark.parametrize(
    "form",
    [
        {"client": "stranger", "span": "24", "kind": ""},
        {"client": "shop", "span": "9999", "kind": ""},
        {"client": "shop", "span": "²", "kind": ""},
        {"client": "shop", "span": "24", "kind": "x"},
        {},
    ],
)
async def test_a_form_that_is_not_ours_is_refused(house: House, form: dict[str, str]) -> None:
    await note(house.app, 1, TOLD)
    async with browsing(house) as owner:
        await owner.open("/webhooks")
        assert (await owner.post("/webhooks", form)).status == 400
    assert house.receiver.good == []


async def test_what_waits_is_not_told_twice_by_the_form(house: House) -> None:
    await house.receiver.close()
    await note(house.app, 1, WAITS)
    async with browsing(house) as owner:
        await owner.open("/webhooks")
        page = await owner.send("/webhooks", client="shop", span="1", kind="")
    assert "told again: 0," in page.text
