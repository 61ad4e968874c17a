"""The whole gateway before the fake Twilio: claims, answers, receipts, texts and pictures, over real sockets."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from gateway import media, outbox
from gateway.channels.base import Call
from gateway.clock import StoppedClock
from gateway.engine import Gateway
from gateway.ids import Ids
from gateway.inbox import Heard, Kept
from gateway.media import Gallery
from gateway.messages import Inbound, Lane, Purpose, State
from gateway.outbox import Go, Message
from gateway.settings import SenderSettings
from gateway.store import Store, Tx
from gateway.values import HostPort
from tests.gateway.channels.twilio.conftest import ACCOUNT, FROM, TO, TOKEN, serving, settings
from tests.peers.fake_twilio import PICTURE, FakeTwilio, options_from

RUN = 7


class House:
    """A gateway with one channel, the fake, and doors on a port."""

    def __init__(self, store: Store, clock: StoppedClock, tmp_path: Path) -> None:
        self.store, self.clock, self.path = store, clock, tmp_path
        self.ids = Ids(clock.now_ms)
        self.thought: list[str] = []
        self.fake: FakeTwilio
        self.gateway: Gateway
        self.gallery: Gallery
        self.site = ""

    async def recognise(self, tx: Tx, channel: str, texts: Sequence[Inbound], at: int) -> list[Heard]:
        return [Heard(1, text.obeyed) for text in texts]

    async def answer(self, tx: Tx, texts: Sequence[Kept]) -> list[str]:
        self.thought += [kept.text for kept in texts]
        return ["heard"] * len(texts)

    @asynccontextmanager
    async def open(self, *words: str) -> AsyncIterator[None]:
        log = str(self.path / "taken.jsonl")
        self.fake = FakeTwilio(options_from(["--log", log, "--account", ACCOUNT, "--token", TOKEN, *words]))
        async with serving(self.fake.app()) as api, serving(self._doors()) as self.site, self._running(api):
            yield

    @asynccontextmanager
    async def _running(self, api: str) -> AsyncIterator[None]:
        carrier = settings(self.path, api=api, rate="2000/s")
        self.gallery = Gallery(
            store=self.store, clock=self.clock, folder=self.path / "media", logins={"tw": carrier.login}
        )
        self.gateway = Gateway(
            store=self.store, clock=self.clock, ids=self.ids, brand=1, gate=lambda waiting, now: Go(),
            recognise=self.recognise, answer=self.answer, chance=random.Random(1), pictured=self.gallery.wake,
        )  # fmt: skip
        sender = SenderSettings(number=FROM, channel="tw", countries=("US",))
        await self.gateway.open({"tw": carrier}, {"shop": sender}, HostPort("127.0.0.1", 1), "me", self.site)
        tasks = [asyncio.create_task(each.run()) for each in (self.gateway, self.gallery)]
        try:
            yield
        finally:
            await self.gateway.drain(2)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _doors(self) -> web.Application:
        async def serve(request: web.Request) -> web.Response:
            found = {door.path: door for door in self.gateway.channels["tw"].doors()}[request.match_info["path"]]
            headers = {name.lower(): value for name, value in request.headers.items()}
            call = Call(request.method, self.site + request.raw_path, headers, await request.read())
            reply = await found.serve(call)
            kind = {"Content-Type": reply.content_type}
            return web.Response(status=reply.status, body=reply.body.encode(), headers={**kind, **reply.headers})

        app = web.Application()
        app.router.add_route("*", "/carriers/tw/{path}", serve)
        return app

    async def put(self, *numbers: str) -> None:
        queue = await self.store.write(outbox.ensure_queue, self.ids, 1, "tw", Lane.BULK, run=RUN)
        texts = [
            Message(
                self.ids.next(), 1, RUN, n + 1, Purpose.MARKETING, "club", "tw", FROM, number, "UTC", "hello", 1, 100,
                self.clock.now_ms() + 3_600_000,
            )
            for n, number in enumerate(numbers)
        ]  # fmt: skip
        await self.store.write(outbox.put, texts, queue, self.clock.now_ms())
        await self.gateway.adopt()
        self.gateway.wake()

    async def tally(self) -> Counter[State]:
        async def read(tx: Tx) -> Counter[State]:
            found: Counter[State] = Counter()
            for state, _, n in await tx.rows("tally_of_run", run=RUN):
                found[State(state)] += n
            return +found

        await self.gateway.fold()
        return await self.store.read(read)

    async def until(self, is_so: Callable[[Counter[State]], bool], seconds: float = 20) -> Counter[State]:
        async with asyncio.timeout(seconds):
            while not is_so(found := await self.tally()):
                await asyncio.sleep(0.05)
                self.clock.advance(ms=50)
        return found

    def taken(self) -> Counter[str]:
        return Counter(json.loads(line)["To"] for line in (self.path / "taken.jsonl").read_text().splitlines())


@pytest.fixture
def house(store: Store, clock: StoppedClock, tmp_path: Path) -> House:
    return House(store, clock, tmp_path)


async def test_receipts_in_any_order_and_twice_end_as_delivered_and_each_text_left_once(house: House) -> None:
    numbers = [f"+1206555{n:04}" for n in range(100)]
    async with house.open("--scramble", "--receipts", "0.005", "--seed", "3"):
        await house.put(*numbers)
        assert await house.until(lambda found: found[State.DELIVERED] == 100) == {State.DELIVERED: 100}
    assert house.taken() == Counter(numbers)


async def test_each_text_ends_as_twilio_says(house: House) -> None:
    async with house.open():
        await house.put(TO, "+1999021211", "+1999130005", "+1999130036", "+1999021610")
        found = await house.until(
            lambda found: found[State.DELIVERED] + found[State.FAILED] + found[State.EXPIRED] == 5
        )
    assert found == {State.DELIVERED: 1, State.FAILED: 3, State.EXPIRED: 1}


async def test_an_answer_that_was_lost_comes_with_the_receipt_and_nothing_is_sent_again(house: House) -> None:
    """Taken and then reset, or answered with nonsense: a doubt, until the receipt names the text."""
    async with house.open("--receipts", "0.1"):
        await house.put("+19993100001", "+19993300001")
        found = await house.until(lambda found: found[State.DELIVERED] == 2)
    assert found == {State.DELIVERED: 2}
    assert set(house.taken().values()) == {1}


async def test_what_was_never_taken_stays_a_doubt_and_is_never_sent_again(house: House) -> None:
    async with house.open():
        await house.put("+1999200503", "+19993200001")
        found = await house.until(lambda found: found[State.IN_DOUBT] == 2)
    assert found == {State.IN_DOUBT: 2}
    assert house.taken() == {}


async def test_slow_down_sends_each_text_once_and_loses_none(house: House) -> None:
    numbers = [f"+1999340{n:04}" for n in range(6)]
    async with house.open("--receipts", "0.005"):
        await house.put(*numbers)
        assert await house.until(lambda found: found[State.DELIVERED] == 6, 30) == {State.DELIVERED: 6}
    assert house.taken() == Counter(numbers)


async def test_one_text_brought_twice_at_once_is_one_text_with_its_picture(house: House) -> None:
    async with house.open():
        sid = "MM" + "1" * 32
        origin = str(house.gallery._logins["tw"].place)
        fields = {
            "MessageSid": sid, "From": TO, "To": FROM, "Body": "VOTE 3", "NumMedia": "1",
            "MediaUrl0": f"{origin}/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid}/Media/ME1",
            "MediaContentType0": "image/png",
        }  # fmt: skip
        url = f"{house.site}/carriers/tw/in"
        statuses = await asyncio.gather(*(house.fake.call(url, fields) for _ in range(8)))
        assert set(statuses) == {200}
        assert await house.fake.call(url, fields) == 200  # and once more, later
        async with asyncio.timeout(5):
            while not house.thought:  # noqa: ASYNC110  thinking rings no bell here
                await asyncio.sleep(0.01)
            found: list[media.Kept] = []
            while not found or found[0].state != media.KEPT:
                await asyncio.sleep(0.01)
                found = await house.store.read(_all_media)
        assert house.thought == ["VOTE 3"]
        assert house.gallery.path(found[0]).read_bytes() == PICTURE


async def _all_media(tx: Tx) -> list[media.Kept]:
    rows = await tx.rows("inbound_of_person", person=1)
    return await media.of_text(tx, rows[0][0]) if rows else []
