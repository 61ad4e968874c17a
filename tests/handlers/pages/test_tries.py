"""Guessing is slowed down in all processes together, however it is spread, and nobody else is."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import web as http
from aiohttp.test_utils import make_mocked_request

from gateway import shared, web
from gateway.shared import Shared, opened
from handlers.pages.tries import Tries
from tests.handlers.pages.conftest import Shop
from tests.valkey import Valkey, one_valkey  # noqa: F401  a fixture

SECRET = b"s" * 32


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy with other tests may take its time."""
    monkeypatch.setattr(shared, "ANSWER_S", 5.0)


def request(device: str, address: str = "203.0.113.9") -> web.Request:
    """A request of a device that has a name of ours, from an address."""
    app = http.Application()
    app[web.SITE] = web.Site(SECRET, ("en",), lambda status, language: "", "", proxies=1)
    headers = {"Cookie": f"visit={device:A<22}", "X-Forwarded-For": address}
    return make_mocked_request("POST", "/", headers=headers, app=app)


def pins(of: Shared, **sizes: Any) -> Tries:
    return Tries(of, "pins", **{"device": 3, "address": 5, "pause_s": 60, **sizes})


async def guess(tries: Tries, asked: web.Request, *, right: bool = False, known: bool = False) -> bool:
    """One try; whether it was looked at."""
    async with tries.trying(asked, known=known) as one:
        await asyncio.sleep(0)
        one.is_wrong = not one.wait_s and not right
        return not one.wait_s


async def test_many_guesses_at_once_get_no_further_than_one_after_the_other() -> None:
    tries = pins(Shared())
    looked_at = await asyncio.gather(*[guess(tries, request("one")) for _ in range(50)])
    assert sum(looked_at) == 3
    assert await tries.wait_s(request("one")) > 59


async def test_an_address_is_slowed_down_with_all_its_devices_and_a_known_one_goes_on() -> None:
    tries = pins(Shared())
    assert sum([await guess(tries, request(f"{n}")) for n in range(10)]) == 5
    assert await guess(tries, request("staff"), right=True, known=True)
    assert await tries.wait_s(request("new")) > 0
    assert await tries.wait_s(request("new", "198.51.100.1")) == 0
    # A refused try and a right one have counted nothing.
    assert await tries.wait_s(request("9"), known=True) == 0
    assert not await guess(tries, request("new"))


async def test_what_is_right_or_ends_in_an_error_is_never_counted() -> None:
    tries = pins(Shared())
    for _ in range(10):
        assert await guess(tries, request("one"), right=True)
        try:
            async with tries.trying(request("one")):
                raise OSError
        except OSError:
            pass
    assert await tries.wait_s(request("one")) == 0


async def test_what_takes_its_time_is_counted_in_the_end() -> None:
    tries = pins(Shared())
    for _ in range(3):
        assert await tries.wait_s(request("one")) == 0
        await tries.wrong(request("one"))
    assert await tries.wait_s(request("one")) > 59


async def test_two_processes_slow_one_guesser_down(valkey: Valkey) -> None:
    async with opened(valkey.url, SECRET) as one, opened(valkey.url, SECRET) as other:
        both = [pins(one), pins(other)]
        assert sum([await guess(both[n % 2], request("one")) for n in range(8)]) == 3
        assert [await tries.wait_s(request("one")) > 59 for tries in both] == [True, True]
        assert await guess(both[0], request("two"), right=True)


async def test_a_hundred_pins_at_once_are_no_more_tries_than_one_by_one(shop: Shop) -> None:
    async with AsyncExitStack() as stack:
        thief = await stack.enter_async_context(shop.browser())
        await thief.open("/till")
        body = {"token": thief.token, "shop": "pike_place"}

        async def type_in(pin: int) -> int:
            form = urlencode({**body, "pin": f"{pin:04}"})
            headers = {"Content-Type": web.FORM_TYPE}
            async with thief.session.post(f"{thief.origin}/till/sign-in", data=form, headers=headers) as answer:
                return answer.status

        statuses = await asyncio.gather(*[type_in(9000 + pin) for pin in range(100)])
    assert statuses.count(403) <= 5
    assert set(statuses) == {403, 429}
