"""Whatever a receiver does, each notice reaches it at last, in the order of its subject, and others do not wait."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from aiohttp import web

from gateway import courier, notices
from gateway.clock import StoppedClock, wall_ms
from gateway.courier import Courier, Outgoing, Shape, outcome_of
from gateway.errors import CarillonError, StoreError
from gateway.fetching import Teller, Told
from gateway.notices import GIVEN_UP, TOLD, WAITS, Listed, Notice
from gateway.store import Store, Tx, open_store
from tests.conftest import ROOT
from tests.gateway.receiver import Call, Receiver

BRAND, SHOP, BANK = 1, 101, 102
HOUR_S = 3600
REDIRECTED = "HTTP 302: it leads elsewhere, which we do not follow; name the place itself"


class Client(NamedTuple):
    id: int


@dataclass
class House:
    """Two programs, and where each is told."""

    clients: Mapping[str, Client]
    urls: dict[int, str] = field(default_factory=dict)
    private: bool = True


def letter(notice: Notice, house: Any) -> Outgoing | None:
    url = orjson.loads(notice.target)["url"] if notice.target else house.urls[notice.client]
    return Outgoing("POST", url, {"webhook-id": str(notice.id)}, notice.body.encode(), house.private)


@dataclass
class Post:
    """A store, a clock that is moved, and couriers over them."""

    store: Store
    clock: StoppedClock
    house: House
    shapes: Mapping[str, Shape]
    answers: dict[str, Any] = field(default_factory=dict)
    teller: Callable[[], Teller] = Teller
    running: list[tuple[Courier, asyncio.Task[None]]] = field(default_factory=list)
    last: int = 0

    async def write(self, *notes: tuple[int, str], target: str = "", door: str = "webhook") -> list[int]:
        """Notices of (client, subject); their ids."""
        now = self.clock.now_ms()
        ids = [*range(self.last + 1, self.last + 1 + len(notes))]
        self.last += len(notes)
        rows = [
            (number, BRAND, client, door, "message.sent", subject, now, f'{{"n":{number}}}', target, now, 0, 0, "")
            for number, (client, subject) in zip(ids, notes, strict=True)
        ]

        async def insert(tx: Tx) -> None:
            await tx.many("notice_insert", rows)
            tx.notify(notices.TOPIC)

        await self.store.write(insert)
        for each, _ in self.running:
            each.wake()
        return ids

    def start(self) -> Courier:
        made = Courier(
            self.store, self.clock, lambda: self.house, self.shapes, self.answers,
            teller=self.teller, chance=random.Random(1),
        )  # fmt: skip
        self.running.append((made, asyncio.create_task(made.run())))
        return made

    async def stop(self) -> None:
        for _, task in self.running:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self.running.clear()

    async def pass_time(self, seconds: float, step: float = 60, rest: float = 0.01) -> None:
        """Let time pass, in steps in which things can happen."""
        left = seconds
        while left > 0:
            self.clock.advance(seconds=min(step, left))
            left -= step
            for each, _ in self.running:
                each.wake()
            await asyncio.sleep(rest)

    async def listed(self, client: int = SHOP) -> list[Listed]:
        async def read(tx: Tx) -> list[Listed]:
            return await notices.after(tx, client, 0, 100_000)

        return await self.store.read(read)

    async def until(self, state: int, count: int, client: int = SHOP) -> list[Listed]:
        """Wait until so many are in a state."""
        async with asyncio.timeout(10):
            while len(found := [each for each in await self.listed(client) if each.state == state]) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        return found

    async def tried(self, tries: int, client: int = SHOP) -> Listed:
        """Wait until the first notice has been tried so often."""
        async with asyncio.timeout(10):
            while (found := (await self.listed(client))[0]).notice.tries < tries:  # noqa: ASYNC110  the store has no bell
                await asyncio.sleep(0.005)
        return found


@pytest.fixture
async def post(store: Store, clock: StoppedClock) -> AsyncIterator[Post]:
    made = Post(store, clock, House({"shop": Client(SHOP), "bank": Client(BANK)}), {"webhook": letter})
    yield made
    await made.stop()


@asynccontextmanager
async def receiving(post: Post, client: int = SHOP) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    await receiver.open()
    post.house.urls[client] = receiver.url
    try:
        yield receiver
    finally:
        await receiver.close()


@pytest.fixture
async def shop(post: Post) -> AsyncIterator[Receiver]:
    async with receiving(post) as receiver:
        yield receiver


@pytest.fixture
async def bank(post: Post) -> AsyncIterator[Receiver]:
    async with receiving(post, BANK) as receiver:
        yield receiver


def always(status: int, **headers: str) -> Callable[[Call], Any]:
    async def answer(_call: Call) -> web.Response:
        return web.Response(status=status, headers={name.replace("_", "-"): text for name, text in headers.items()})

    return answer


def ordered(ids: Sequence[str], subjects: Mapping[int, str]) -> None:
    """Each subject's notices came in their order."""
    for subject in set(subjects.values()):
        own = [int(each) for each in ids if subjects[int(each)] == subject]
        assert own == sorted(own)


# --- when all is well


async def test_a_notice_is_told_as_soon_as_it_is_written_and_once(post: Post, shop: Receiver) -> None:
    post.start()
    await asyncio.sleep(0.05)
    await post.write((SHOP, "m:1"))
    await shop.has(1, seconds=0.9)
    [found] = await post.until(TOLD, 1)
    assert (found.notice.tries, found.trouble) == (1, "")
    await post.pass_time(HOUR_S)
    assert [(call.id, call.body) for call in shop.calls] == [("1", b'{"n":1}')]


async def test_one_that_nobody_woke_us_for_is_found_all_the_same(post: Post, shop: Receiver) -> None:
    await post.write((SHOP, "m:1"))
    post.start()
    await shop.has(1)


async def test_many_go_at_once_but_one_after_another_of_a_subject(post: Post, shop: Receiver) -> None:
    at_once: dict[str, int] = {}
    subjects: dict[int, str] = {}

    async def answer(call: Call) -> web.Response:
        subject = subjects[int(call.id)]
        at_once[subject] = at_once.get(subject, 0) + 1
        assert at_once[subject] == 1
        await asyncio.sleep(0.002)
        at_once[subject] -= 1
        return web.Response()

    shop.answer = answer
    wanted = [(SHOP, f"m:{n % 40}") for n in range(200)]
    subjects |= {n: subject for n, (_, subject) in enumerate(wanted, 1)}
    post.start()
    await post.write(*wanted)
    await shop.has(200)
    assert len(shop.calls) == 200
    assert 4 <= shop.most_at_once <= courier.EACH_AT_ONCE
    ordered(shop.good, subjects)


async def test_a_door_may_have_nothing_to_tell(post: Post, shop: Receiver) -> None:
    post.shapes = {"kannel": lambda notice, house: None}
    post.start()
    await post.write((SHOP, "m:1"), door="kannel")
    [found] = await post.until(TOLD, 1)
    assert found.notice.door == "kannel"
    assert shop.calls == []


async def test_doors_without_a_shape_are_left_to_others(post: Post, shop: Receiver) -> None:
    post.start()
    await post.write((SHOP, "m:1"), door="smpp")
    await post.write((SHOP, "m:2"))
    await shop.has(1)
    assert shop.good == ["2"]


# --- when the receiver fails


async def test_a_receiver_that_is_down_for_an_hour_gets_everything_in_order(
    post: Post, shop: Receiver, bank: Receiver
) -> None:
    await shop.close()
    post.start()
    wanted = [(SHOP, f"m:{n % 30}") for n in range(60)]
    subjects = {n: subject for n, (_, subject) in enumerate(wanted, 1)}
    await post.write(*wanted)
    await post.pass_time(HOUR_S)
    assert {each.state for each in await post.listed()} == {WAITS}
    await post.write((BANK, "m:1"))
    await bank.has(1, seconds=1)

    await shop.open()
    await post.pass_time(90, step=5, rest=0.05)  # found again within a minute and some
    await shop.has(60)
    await post.until(TOLD, 60)
    assert sorted(map(int, shop.good)) == [*range(1, 61)]
    ordered(shop.good, subjects)


async def test_while_it_is_down_it_is_tried_with_one_at_a_time_ever_more_seldom(post: Post, shop: Receiver) -> None:
    shop.answer = always(503)
    post.start()
    await post.write(*((SHOP, f"m:{n}") for n in range(50)))
    await post.pass_time(20, step=1)
    first = len(shop.calls)
    assert first <= courier.EACH_AT_ONCE + 4
    shop.most_at_once = 0
    await post.pass_time(10 * 60, step=5)
    assert shop.most_at_once == 1
    assert 7 <= len(shop.calls) - first <= 14  # one in some sixty seconds


async def test_one_bad_notice_does_not_hold_up_the_others(post: Post, shop: Receiver) -> None:
    async def answer(call: Call) -> web.Response:
        return web.Response(status=500 if int(call.id) % 10 == 0 else 200)

    shop.answer = answer
    post.start()
    await post.write(*((SHOP, f"m:{n}") for n in range(100)))
    await post.pass_time(120, step=2)
    await shop.has(90)
    assert {each.notice.id for each in await post.listed() if each.state == WAITS} == {*range(10, 101, 10)}


async def test_bad_notices_at_the_head_of_the_line_let_the_others_by(post: Post, shop: Receiver) -> None:
    async def answer(call: Call) -> web.Response:
        return web.Response(status=500 if int(call.id) <= 20 else 200)

    shop.answer = answer
    post.start()
    await post.write(*((SHOP, f"m:{n}") for n in range(60)))
    await post.pass_time(10 * 60, step=2)
    await shop.has(40, seconds=1)


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        (always(500), "HTTP 500"),
        (always(404), "HTTP 404"),
        (always(302, Location="https://elsewhere.example/"), REDIRECTED),
    ],
)
async def test_a_wrong_answer_is_told_in_plain_words_and_tried_again(
    post: Post, shop: Receiver, answer: Any, trouble: str
) -> None:
    shop.answer = answer
    post.start()
    await post.write((SHOP, "m:1"))
    assert (await post.tried(1)).trouble == trouble
    assert len(shop.calls) == 1
    shop.answer = always(200)
    await post.pass_time(10)
    assert [each.trouble for each in await post.until(TOLD, 1)] == [""]


async def test_each_pause_is_longer_and_after_three_days_it_is_given_up(
    post: Post, shop: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    shop.answer = always(500)
    post.start()
    [number] = await post.write((SHOP, "m:1"))
    pauses, ages, begun = [], [], post.clock.now_ms()
    with caplog.at_level(logging.WARNING):
        for tries in range(1, 300):
            found = await post.tried(tries)
            if found.state == GIVEN_UP:
                break
            pauses.append((found.due - post.clock.now_ms()) / 1000)
            ages.append(post.clock.now_ms() - begun)
            post.clock.at_ms = found.due
            post.running[0][0].wake()
    young = [5, 30, 120, *[600] * 300]  # who is up again within a day need not wait for hours
    expected = [young[n] if age < courier.DAY_MS else 7_200 for n, age in enumerate(ages)]
    assert all(0.8 * right <= pause <= 1.2 * right for pause, right in zip(pauses, expected, strict=True))
    assert 2.9 * 86_400 <= (post.clock.now_ms() - begun) / 1000 <= 3 * 86_400
    assert f"{number}" in str([record.__dict__.get("id") for record in caplog.records])
    assert "given up: HTTP 500" in caplog.text


async def test_one_who_asks_for_time_gets_it(post: Post, shop: Receiver) -> None:
    shop.answer = always(429, Retry_After="120")
    post.start()
    await post.write((SHOP, "m:1"))
    assert (await post.tried(1)).due - post.clock.now_ms() == 120_000


async def test_what_is_gone_is_given_up_at_once_and_what_follows_is_told(post: Post, shop: Receiver) -> None:
    async def answer(call: Call) -> web.Response:
        return web.Response(status=410 if call.id == "1" else 200)

    shop.answer = answer
    post.start()
    await post.write((SHOP, "m:1"), (SHOP, "m:1"))
    await shop.has(1)
    [found] = await post.until(GIVEN_UP, 1)
    assert (found.notice.id, found.trouble) == (1, "HTTP 410: it is gone")


async def test_a_slow_receiver_delays_nobody_else(
    post: Post, shop: Receiver, bank: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "LIMITS", courier.LIMITS._replace(seconds=2))

    async def answer(_call: Call) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    shop.answer = answer
    post.start()
    await post.write(*((SHOP, f"m:{n}") for n in range(100)))
    await asyncio.sleep(0.1)
    await post.write(*((BANK, f"m:{n}") for n in range(20)))
    await bank.has(20, seconds=1.5)
    assert (await post.tried(1)).trouble == "no answer within 2 s"


async def test_ten_thousand_that_wait_for_a_dead_client_do_not_stand_before_another(
    post: Post, shop: Receiver, bank: Receiver
) -> None:
    await shop.close()
    await post.write(*((SHOP, f"m:{n // 2}") for n in range(10_000)))
    post.start()
    for _ in range(3):
        await post.pass_time(10, step=1)
        done = len(bank.good)
        await post.write((BANK, f"m:{done}"))
        await bank.has(done + 1, seconds=5)
    await shop.open()
    await post.pass_time(90, step=5, rest=0.05)
    await shop.has(200, seconds=10)


async def test_a_dead_address_among_callbacks_does_not_delay_those_of_a_good_one(post: Post, shop: Receiver) -> None:
    post.start()
    dead = orjson.dumps({"url": "http://127.0.0.1:9/dead"}).decode()
    good = orjson.dumps({"url": shop.url}).decode()
    await post.write(*((SHOP, f"m:{n}") for n in range(500)), target=dead)
    await post.pass_time(6, step=1, rest=0.05)
    await post.write(*((SHOP, f"n:{n}") for n in range(20)), target=good)
    await post.pass_time(4, step=1, rest=0.05)
    await shop.has(20, seconds=2)


async def test_what_waits_behind_a_dead_place_is_given_up_after_three_days_too(post: Post, shop: Receiver) -> None:
    await shop.close()
    post.start()
    await post.write(*((SHOP, f"m:{n}") for n in range(30)))
    await post.pass_time(3 * 86_400 + 9 * HOUR_S, step=1200, rest=0.005)
    found = await post.until(GIVEN_UP, 30)
    assert courier.DOWN in {each.trouble for each in found}


async def test_after_a_long_absence_of_ours_nothing_is_given_up_unheard(post: Post, shop: Receiver) -> None:
    await post.write((SHOP, "m:1"))
    post.clock.advance(seconds=30 * 86_400)
    shop.answer = always(500)
    post.start()
    assert (await post.tried(1)).state == WAITS
    shop.answer = always(200)
    await post.pass_time(10)
    await shop.has(1)


# --- addresses


async def test_a_private_address_is_refused_unless_it_may_be_and_nothing_is_lost(post: Post, shop: Receiver) -> None:
    post.house.private = False
    post.start()
    await post.write((SHOP, "m:1"))
    assert (await post.tried(1)).trouble == "an address that is not on the public internet"
    assert shop.calls == []
    post.house.private = True
    await post.pass_time(10)
    await shop.has(1)


@pytest.mark.parametrize("url", ["nonsense", "file:///etc/passwd", "http://", "gopher://x/", "//x/"])
async def test_what_is_no_web_address_is_a_trouble_like_any_other(post: Post, url: str) -> None:
    post.house.urls[SHOP] = url
    post.start()
    await post.write((SHOP, "m:1"))
    found = await post.tried(1)
    assert found.state == WAITS
    assert found.trouble


async def test_an_address_is_called_letter_for_letter(post: Post, shop: Receiver) -> None:
    post.start()
    path = "/a%2Fb%7e?x=%2b1206&y=a+b&z=%E4%BD%A0"
    await post.write((SHOP, "m:1"), target=orjson.dumps({"url": f"http://127.0.0.1:{shop.port}{path}"}).decode())
    await shop.has(1)
    assert shop.calls[0].path == path


async def test_a_line_break_in_an_address_makes_no_second_header(post: Post, shop: Receiver) -> None:
    post.start()
    url = f"http://127.0.0.1:{shop.port}/a b\r\nX-Made-Up: 1"
    await post.write((SHOP, "m:1"), target=orjson.dumps({"url": url}).decode())
    await post.tried(1)
    assert all("x-made-up" not in call.headers for call in shop.calls)


# --- when we fail


async def test_a_courier_that_died_in_between_tells_it_again_under_the_same_id(
    post: Post, shop: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived = asyncio.Event()

    async def answer(_call: Call) -> web.Response:
        arrived.set()
        await asyncio.sleep(30)
        return web.Response()

    shop.answer = answer

    async def silently(self: Courier, teller: Teller) -> None:
        for _, call in self._calls.values():
            call.cancel()
        await teller.close()

    post.start()
    await post.write((SHOP, "m:1"), (SHOP, "m:1"))
    await arrived.wait()
    with monkeypatch.context() as killed:
        killed.setattr(Courier, "_end", silently)  # it writes nothing down any more
        await post.stop()
    shop.answer = always(200)
    post.start()
    await shop.has(2)  # nobody waits for a minute that was the dead one's
    assert [call.id for call in shop.calls] == ["1", "1", "2"]


async def test_what_is_on_the_way_at_the_end_is_told_at_the_next_start_without_delay(
    post: Post, shop: Receiver
) -> None:
    arrived = asyncio.Event()

    async def answer(_call: Call) -> web.Response:
        arrived.set()
        await asyncio.sleep(30)
        return web.Response()

    shop.answer = answer
    post.start()
    await post.write((SHOP, "m:1"))
    await arrived.wait()
    await post.stop()
    [left] = await post.listed()
    assert (left.notice.tries, left.due) == (0, post.clock.now_ms())
    shop.answer = always(200)
    post.start()
    await shop.has(1, seconds=1)


async def test_one_that_ended_can_be_started_again(post: Post, shop: Receiver) -> None:
    arrived = asyncio.Event()

    async def answer(_call: Call) -> web.Response:
        arrived.set()
        await asyncio.sleep(30)
        return web.Response()

    shop.answer = answer
    same = post.start()
    await post.write((SHOP, "m:1"), (SHOP, "m:2"))
    await arrived.wait()
    await post.stop()
    shop.answer = always(200)
    post.running.append((same, asyncio.create_task(same.run())))
    await shop.has(2, seconds=1)


async def test_wherever_it_is_ended_nothing_waits_for_its_minute(post: Post, shop: Receiver) -> None:
    ids = await post.write(*((SHOP, f"m:{n}") for n in range(200)))
    steps = 0
    while len(set(shop.good)) < len(ids):
        post.start()
        for _ in range(steps % 13):
            await asyncio.sleep(0.001)
        steps += 1
        await post.stop()
    assert set(map(int, shop.good)) == set(ids)
    post.start()  # the last may have ended between an answer and its being written down
    await post.until(TOLD, len(ids))


async def test_what_failed_alone_goes_at_once_when_another_shows_that_the_place_is_up(
    post: Post, shop: Receiver
) -> None:
    await shop.close()
    post.start()
    await post.write((SHOP, "m:1"))
    await post.pass_time(70, step=5)
    await shop.open()
    assert (await post.listed())[0].due > post.clock.now_ms() + 60_000
    await post.write((SHOP, "m:2"))
    await shop.has(2, seconds=2)


async def test_one_that_fails_alone_is_not_tried_anew_with_each_success_of_another(post: Post, shop: Receiver) -> None:
    async def answer(call: Call) -> web.Response:
        return web.Response(status=404 if call.id == "1" else 200)

    shop.answer = answer
    post.start()
    await post.write((SHOP, "m:1"))
    for n in range(2, 22):
        await post.write((SHOP, f"m:{n}"))
        await post.pass_time(1)
    assert [call.id for call in shop.calls].count("1") <= 3


async def test_a_store_that_fails_for_a_while_loses_nothing(
    post: Post, shop: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "AGAIN_S", 0.02)
    failing = [True, False, True, True, False, True]
    write = post.store.write_bulk

    async def sometimes(*args: Any) -> Any:
        if failing and failing.pop(0):
            raise StoreError("the disk is full")
        return await write(*args)

    monkeypatch.setattr(post.store, "write_bulk", sometimes)
    post.start()
    await post.write(*((SHOP, f"m:{n % 3}") for n in range(12)))
    await shop.has(12)
    await post.until(TOLD, 12)
    assert len(shop.calls) == 12


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (CarillonError("shop has no webhook in the file"), "shop has no webhook in the file"),
        (KeyError("slip"), "it could not be put into words; the log says why"),
    ],
)
async def test_one_that_cannot_be_put_into_words_waits_and_others_go(
    post: Post, shop: Receiver, error: Exception, trouble: str
) -> None:
    def shape(notice: Notice, house: Any) -> Outgoing | None:
        if notice.id == 1:
            raise error
        return letter(notice, house)

    post.shapes = {"webhook": shape}
    post.start()
    await post.write((SHOP, "m:1"), (SHOP, "m:2"))
    await shop.has(1)
    assert (await post.tried(1)).trouble == trouble


async def test_a_process_that_is_killed_loses_nothing_and_keeps_the_order(
    store_place: Path | str, tmp_path: Path
) -> None:
    """Killed three times while calls are on the way, each time a minute later; twice is allowed, never is not."""
    subjects = {number: f"m:{number % 10}" for number in range(1, 301)}
    made_at = wall_ms()
    store = open_store(store_place)

    async def insert(tx: Tx) -> None:
        await tx.many(
            "notice_insert",
            [(number, BRAND, SHOP, "webhook", "message.sent", subject, made_at, "{}", "", made_at, 0, 0, "")
             for number, subject in subjects.items()],
        )  # fmt: skip

    await store.write(insert)
    store.close()
    receiver = Receiver()
    await receiver.open()

    async def slowly(_call: Call) -> web.Response:
        await asyncio.sleep(0.005)
        return web.Response()

    receiver.answer = slowly
    for life in range(4):
        command = [sys.executable, "-m", "tests.gateway.courier_process", str(store_place), receiver.url,
                   str(life * 61_000)]  # fmt: skip
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
        want = 300 if life == 3 else len(set(receiver.good)) + 60
        async with asyncio.timeout(30):
            while len(set(receiver.good)) < want:  # noqa: ASYNC110  it has no bell
                await asyncio.sleep(0.002)
        process.kill()
        await process.wait()
    await receiver.close()
    assert set(map(int, receiver.good)) == set(subjects)
    assert len(receiver.calls) <= 300 + 3 * 2 * courier.EACH_AT_ONCE
    for subject in set(subjects.values()):
        own = [int(number) for number in receiver.good if subjects[int(number)] == subject]
        assert own == sorted(own)


# --- answers


async def test_what_a_client_answers_is_handed_over_before_the_notice_counts_as_told(
    post: Post, shop: Receiver
) -> None:
    taken: list[tuple[int, str, bytes]] = []

    async def take(notice: Notice, _house: Any, headers: Mapping[str, str], octets: bytes) -> None:
        taken.append((notice.id, headers["Content-Type"], octets))
        if len(taken) == 1:
            raise StoreError("the disk is full")

    async def answer(_call: Call) -> web.Response:
        return web.Response(body=b"x" * 100_000, content_type="text/xml")

    shop.answer = answer
    post.answers["webhook"] = take
    post.start()
    await post.write((SHOP, "m:1"))
    assert (await post.tried(1)).trouble == "the disk is full"
    await post.pass_time(10)
    await post.until(TOLD, 1)
    assert taken == [(1, "text/xml", b"x" * 65_536)] * 2


def told(status: int, **headers: str) -> Told:
    return Told(status, {name.replace("_", "-"): text for name, text in headers.items()}, b"", True)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_is_well(status: int) -> None:
    assert outcome_of(told(status)) == courier.Outcome()


@pytest.mark.parametrize("wait", ["", "x", "-1", "1e9", "9999999999", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_time_that_cannot_be_read_is_passed_over(wait: str) -> None:
    assert outcome_of(told(503, Retry_After=wait)) == courier.Outcome("HTTP 503")
