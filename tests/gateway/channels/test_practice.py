"""The carrier of test keys, through the whole gateway: the number decides what becomes of a text."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from gateway import outbox
from gateway.channels.base import Surroundings, Upward
from gateway.channels.practice import FATES, MOST, PracticeCarrier, PracticeChannel, channel
from gateway.clock import StoppedClock
from gateway.engine import Gateway
from gateway.ids import Ids
from gateway.inbox import Heard, Kept
from gateway.messages import Answer, Asked, Inbound, Lane, Outbound, Purpose, Receipt, State
from gateway.outbox import Go, Message
from gateway.store import Store, Tx
from gateway.values import HostPort
from tests.tables import look

NOW = datetime(2026, 12, 2, 2, 30, tzinfo=UTC)
SHOP = 7
NOBODY = HostPort("127.0.0.1", 0)
(DELIVERED, FAILED, UNDELIVERED, SLOW, SILENT, EXPIRED) = FATES


class House:
    """A gateway that has nothing but the channel of test keys."""

    def __init__(self, store: Store) -> None:
        self.store, self.clock = store, StoppedClock(NOW)
        self.ids = Ids(self.clock.now_ms)
        self.gateway: Gateway

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        self.gateway = Gateway(
            store=self.store, clock=self.clock, ids=self.ids, brand=1, gate=lambda waiting, now: Go(),
            recognise=_recognise, answer=_answer, chance=random.Random(1),
        )  # fmt: skip
        await self.gateway.open({"test": PracticeCarrier()}, {}, NOBODY, "me")
        task = asyncio.create_task(self.gateway.run())
        try:
            yield
        finally:
            await self.gateway.drain(2)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def put(self, *recipients: str, parts: int = 1, repeat: bool = False) -> dict[str, int]:
        """Texts to these numbers; their ids."""
        queue = await self.store.write(outbox.ensure_queue, self.ids, 1, "test", Lane.BULK, run=SHOP)
        ids = {to: self.ids.next() for to in recipients}
        messages = [
            Message(
                id_, 1, SHOP, 0, Purpose.SERVICE, "", "test", "20655", to, "UTC", "x" * 153 * parts, parts, 0, 0, repeat
            )
            for to, id_ in ids.items()
        ]
        await self.store.write(outbox.put, messages, queue, self.clock.now_ms())
        await self.gateway.adopt()
        return ids

    async def states(self, ids: dict[str, int]) -> dict[str, State]:
        await self.gateway.fold()

        async def read(tx: Tx) -> dict[int, State]:
            rows = await look(tx, "SELECT message, state FROM state")
            return {message: State(state) for message, state in rows}

        found = await self.store.read(read)
        return {to: found.get(id_, State.QUEUED) for to, id_ in ids.items()}

    async def until(self, ids: dict[str, int], wanted: dict[str, State]) -> None:
        found: dict[str, State] = {}
        for _ in range(300):
            found = await self.states(ids)
            if found == wanted:
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"{found} is not {wanted}")


async def _recognise(tx: Tx, channel: str, texts: Sequence[Inbound], at: int) -> list[Heard]:
    raise AssertionError("nobody texts us here")


async def _answer(tx: Tx, texts: Sequence[Kept]) -> list[str]:
    raise AssertionError("nobody texts us here")


@pytest.fixture
def house(store: Store) -> House:
    return House(store)


async def test_each_number_has_its_fate_and_any_other_is_delivered(house: House) -> None:
    async with house.serving():
        ids = await house.put(*FATES, "+12065550142")
        await house.until(
            ids,
            {
                DELIVERED: State.DELIVERED,
                FAILED: State.FAILED,
                UNDELIVERED: State.FAILED,
                SLOW: State.SENT,
                SILENT: State.IN_DOUBT,
                EXPIRED: State.EXPIRED,
                "+12065550142": State.DELIVERED,
            },
        )


async def test_a_text_is_sent_for_a_moment_before_it_is_delivered(house: House) -> None:
    async with house.serving():
        ids = await house.put(DELIVERED)
        await house.until(ids, {DELIVERED: State.SENT})
        await house.until(ids, {DELIVERED: State.DELIVERED})


async def test_a_long_text_has_one_fate(house: House) -> None:
    async with house.serving():
        ids = await house.put(DELIVERED, UNDELIVERED, parts=4)
        await house.until(ids, {DELIVERED: State.DELIVERED, UNDELIVERED: State.FAILED})


async def test_what_may_be_sent_twice_is_delivered_at_the_second_try(house: House) -> None:
    async with house.serving():
        ids = await house.put(SILENT, repeat=True)
        await house.until(ids, {SILENT: State.IN_DOUBT})
        for _ in range(20):
            house.clock.advance(seconds=60)
            house.gateway.wake()
            if (await house.states(ids))[SILENT] is State.DELIVERED:
                break
            await asyncio.sleep(0.1)
        assert await house.states(ids) == {SILENT: State.DELIVERED}


async def test_a_slow_receipt_comes_at_the_latest_when_we_leave(house: House) -> None:
    async with house.serving():
        ids = await house.put(SLOW)
        await house.until(ids, {SLOW: State.SENT})
    await house.until(ids, {SLOW: State.DELIVERED})


# --- the channel alone


class Ear:
    """A channel and what it says upwards."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.receipts: list[Receipt] = []
        upward = Upward(self._answered, self._arrived, lambda name: None)
        self.channel: PracticeChannel = channel(
            PracticeCarrier(), Surroundings("test", (), upward, lambda: 0, NOBODY, "", random.Random(1))
        )

    def _answered(self, name: str, answers: list[Answer]) -> None:
        self.answers += answers

    def _arrived(self, name: str, receipts: list[Receipt], texts: Collection[Inbound]) -> None:
        self.receipts += receipts


def texts(count: int, to: str = DELIVERED) -> Sequence[Outbound]:
    return [Outbound(n, 0, "20655", to, "hello") for n in range(count)]


async def test_memory_is_bounded_what_is_too_much_stays_with_us() -> None:
    heard = Ear()
    assert heard.channel.room() == MOST
    untouched = heard.channel.send(texts(MOST + 3))
    assert [each.id for each in untouched] == [MOST, MOST + 1, MOST + 2]
    assert heard.channel.room() == 0
    await heard.channel.drain(1)
    assert (len(heard.receipts), len(heard.answers)) == (MOST, MOST)


async def test_who_leaves_takes_nothing_new() -> None:
    heard = Ear()
    await heard.channel.drain(1)
    assert heard.channel.room() == 0
    assert len(heard.channel.send(texts(2))) == 2


async def test_a_receipt_that_a_crash_has_swallowed_is_made_again_when_it_is_asked_for() -> None:
    heard = Ear()
    heard.channel.query([Asked("1.0", "20655", UNDELIVERED), Asked("2.0", "20655", SLOW), Asked("", "20655", SLOW)])
    assert [(each.carrier_ids, each.state) for each in heard.receipts] == [
        (("1.0",), State.FAILED),
        (("2.0",), State.DELIVERED),
    ]


def test_it_costs_nothing_and_reaches_nobody() -> None:
    assert PracticeCarrier().is_simulated
    assert PracticeCarrier().price.millionths == 0
    assert PracticeCarrier().place == "test keys"
