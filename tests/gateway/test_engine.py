"""The gateway against a real SMSC over a real socket: out, answers, receipts, and texts that come in."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway import outbox
from gateway.channels.simulator import Rules, Simulator
from gateway.channels.smpp import SmppCarrier
from gateway.clock import StoppedClock
from gateway.engine import GRACE_MS, Gateway
from gateway.errors import Failure, Retry, StoreError
from gateway.ids import Ids
from gateway.inbox import Heard, Kept
from gateway.journal import REF_MS
from gateway.messages import Answer, Inbound, Lane, Outbound, Purpose, State
from gateway.outbox import Go, Message
from gateway.settings import SenderSettings
from gateway.store import Store, Tx
from gateway.values import HostPort
from tests.tables import look

RUN = 7
NOW = datetime(2026, 12, 2, 2, 30, tzinfo=UTC)
QUICK = Rules(delay_ms=(1, 20))


class House:
    """A gateway, its simulator and what they share."""

    def __init__(self, store: Store, clock: StoppedClock, rules: Rules) -> None:
        self.store, self.clock = store, clock
        self.ids = Ids(clock.now_ms)
        self.simulator = Simulator(rules, numbers={"20655": "us"}, now_ms=clock.now_ms, seed=1, watch_duplicates=True)
        self.thought: list[str] = []
        self.reply: Callable[[Tx, Kept], Awaitable[None]] | None = None
        self.senders: dict[str, SenderSettings] = {}
        self.gateway: Gateway

    async def recognise(self, tx: Tx, channel: str, texts: Sequence[Inbound], at: int) -> list[Heard]:
        if any(text.text == "unreadable" for text in texts):
            raise ValueError("unreadable")
        return [Heard(1, "")] * len(texts)

    async def answer(self, tx: Tx, texts: Sequence[Kept]) -> list[str]:
        return [await self._answer(tx, kept) for kept in texts]

    async def _answer(self, tx: Tx, kept: Kept) -> str:
        if kept.text == "trap":
            await tx.run("fact_set", brand=1, name="trap", value="half done")
            raise ValueError("trap")
        self.thought.append(kept.text)
        if self.reply:
            await self.reply(tx, kept)
        return f"heard {kept.text}"

    @asynccontextmanager
    async def open(self, *, rate: str = "10000/s", window: int = 100) -> AsyncIterator[None]:
        await self.simulator.start("127.0.0.1", 0)
        try:
            async with self.serving(rate=rate, window=window):
                yield
        finally:
            await self.simulator.stop()

    @asynccontextmanager
    async def serving(
        self, *, rate: str = "10000/s", window: int = 100, names: tuple[str, ...] = ("us",)
    ) -> AsyncIterator[None]:
        self.gateway = Gateway(
            store=self.store, clock=self.clock, ids=self.ids, brand=1, gate=lambda waiting, now: Go(),
            recognise=self.recognise, answer=self.answer, chance=random.Random(1),
        )  # fmt: skip
        settings = {
            name: SmppCarrier.model_validate(
                {
                    "kind": "smpp",
                    "carrier": "simulator",
                    "rate": rate,
                    "price": "0.01 USD per part",
                    "window": window,
                    "key": name,
                }
            )
            for name in names
        }
        await self.gateway.open(settings, self.senders, HostPort("127.0.0.1", self.simulator.port), "me")
        task = asyncio.create_task(self.gateway.run())
        try:
            yield
        finally:
            await self.gateway.drain(2)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def put(
        self,
        count: int,
        *,
        text: str = "hello {n}",
        lane: Lane = Lane.BULK,
        number: str = "+120655{n:05}",
        valid_until: int = 0,
    ) -> None:
        run = RUN if lane is Lane.BULK else 0
        queue = await self.store.write(outbox.ensure_queue, self.ids, 1, "us", lane, run=run)
        texts = [text.format(n=n) for n in range(count)]
        messages = [
            Message(
                self.ids.next(), 1, run, n + 1, Purpose.MARKETING, "club", "us", "20655",
                number.format(n=n + 11_000), "UTC", said, 1 + (len(said) - 1) // 153 if len(said) > 160 else 1, 100,
                valid_until,
            )
            for n, said in enumerate(texts)
        ]  # fmt: skip
        await self.store.write(outbox.put, messages, queue, self.clock.now_ms())
        await self.gateway.adopt()

    async def tally(self, run: int = RUN) -> dict[tuple[State, str], int]:
        await self.gateway.fold()

        async def read(tx: Tx) -> dict[tuple[State, str], int]:
            return {(State(state), reason): n for state, reason, n in await tx.rows("tally_of_run", run=run)}

        return await self.store.read(read)

    async def settled(self, *, step_s: float = 0) -> dict[tuple[State, str], int]:
        """Where everything stands once nothing waits for the carrier any more; the clock moves by `step_s` a look."""
        found = await self.tally()
        async with asyncio.timeout(30):
            while {state for state, _ in found} & {State.QUEUED, State.SENT}:
                await asyncio.sleep(0.02)
                self.clock.advance(seconds=step_s)
                found = await self.tally()
        return found

    async def until(self, wanted: dict[tuple[State, str], int], run: int = RUN) -> None:
        found: dict[tuple[State, str], int] = {}
        for _ in range(500):
            found = await self.tally(run)
            if found == wanted:
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"{found} is not {wanted}")


@pytest.fixture
def house(store: Store) -> House:
    return House(store, StoppedClock(NOW), QUICK)


async def test_a_thousand_messages_are_sent_once_each_and_delivered(house: House) -> None:
    async with house.open():
        await house.put(1_000)
        await house.until({(State.DELIVERED, ""): 1_000})

        assert house.simulator.counters.submitted == 1_000
        assert house.simulator.counters.duplicates == 0


async def test_a_long_text_is_delivered_when_all_its_parts_are(house: House) -> None:
    async with house.open(window=5):
        await house.put(3, text="long {n} " + "x" * 400)
        await house.until({(State.DELIVERED, ""): 3})

        phone = house.simulator.handset("+12065511001")
        assert [(one.parts, len(one.text)) for one in phone.messages] == [(3, 407)]


async def test_what_the_carrier_refuses_for_good_fails_with_its_code(store: Store) -> None:
    house = House(store, StoppedClock(NOW), Rules(delay_ms=(1, 5), reject=1.0))
    async with house.open():
        await house.put(5)
        await house.until({(State.FAILED, "0x0B RINVDSTADR"): 5})


async def test_what_the_receipt_calls_undeliverable_fails(store: Store) -> None:
    house = House(store, StoppedClock(NOW), Rules(delay_ms=(1, 5), fail=1.0))
    async with house.open():
        await house.put(5)
        found = await house.settled()

        assert {state for state, _ in found} == {State.FAILED}


async def test_a_throttling_carrier_gets_everything_a_little_later_and_nothing_twice(store: Store) -> None:
    house = House(store, StoppedClock(NOW), Rules(delay_ms=(1, 5), throttle=40))
    async with house.open(window=30):
        await house.put(60)
        found = await house.settled(step_s=1)  # retries wait on the business clock

        assert found == {(State.DELIVERED, ""): 60}
        assert house.simulator.counters.throttled > 0
        assert house.simulator.counters.duplicates == 0


async def test_when_the_line_falls_what_was_on_the_way_is_in_doubt_and_the_rest_goes_on(store: Store) -> None:
    house = House(store, StoppedClock(NOW), Rules(delay_ms=(1, 5), drop_every=40, answer_ms=5))
    async with house.open(window=10):
        await house.put(100)
        found = await house.settled()

        assert sum(found.values()) == 100
        assert house.simulator.counters.duplicates == 0
        assert found[State.DELIVERED, ""] + found.get((State.IN_DOUBT, "no answer"), 0) == 100
        assert found.get((State.IN_DOUBT, "no answer"), 0) > 0


async def test_an_urgent_message_overtakes_a_bulk_queue(house: House) -> None:
    async with house.open(rate="40/s"):
        await house.put(200)
        await asyncio.sleep(0.3)
        await house.put(1, lane=Lane.URGENT, number="+12065559999")
        await house.simulator.handset("+12065559999").wait(0, 2)

        assert house.simulator.counters.submitted < 100


async def test_the_pace_of_a_channel_is_kept(house: House) -> None:
    async with house.open(rate="50/s"):
        await house.put(200)
        await asyncio.sleep(2)

        assert 80 <= house.simulator.counters.submitted <= 120


async def test_a_text_is_kept_thought_about_once_and_answered(house: House) -> None:
    async def reply(tx: Tx, kept: Kept) -> None:
        queue = await outbox.ensure_queue(tx, house.ids, 1, "us", Lane.URGENT)
        message = Message(
            house.ids.next(), 1, 0, 1, Purpose.REPLY, "", "us", "20655", kept.sender, "UTC", "hi", 1, 100,
            answers=kept.id,
        )  # fmt: skip
        await outbox.put(tx, [message], queue, house.clock.now_ms())

    house.reply = reply
    async with house.open():
        await house.put(0, lane=Lane.URGENT)
        await house.simulator.text("+12065550142", "20655", "hello")
        heard = await house.simulator.handset("+12065550142").wait(1, 3)

        assert heard.text == "hi"
        assert house.thought == ["hello"]


async def test_the_same_words_twice_on_one_line_are_two_texts(house: House) -> None:
    async with house.open():
        await house.simulator.text("+12065550142", "20655", "VOTE 3")
        await house.simulator.text("+12065550142", "20655", "VOTE 3")
        await asyncio.sleep(0.2)

        assert house.thought == ["VOTE 3", "VOTE 3"]


async def test_a_long_text_in_chinese_comes_in_whole(house: House) -> None:
    words = "我想说很多很多的话" * 20
    async with house.open():
        await house.simulator.text("+8613800138000", "20655", words)
        await asyncio.sleep(0.2)

        assert house.thought == [words]


async def test_a_text_that_breaks_its_handler_is_marked_undone_and_does_not_hold_up_the_next(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    async with house.open():
        for words in ("trap", "unreadable", "fine"):
            await house.simulator.text("+12065550142", "20655", words)
        await asyncio.sleep(0.3)

    async def look(tx: Tx) -> tuple[object, list[tuple[str, int]]]:
        rows = await tx.rows("inbound_of_person", person=1) + await tx.rows("inbound_of_person", person=0)
        return await tx.value("fact_get", brand=1, name="trap"), sorted((row[2 + 1], row[6]) for row in rows)

    fact, marks = await house.store.read(look)
    assert fact is None
    assert marks == [("fine", 1), ("trap", 2), ("unreadable", 2)]
    assert house.thought == ["fine"]


async def test_after_a_restart_texts_that_were_kept_but_not_answered_are_answered(house: House) -> None:
    async def keep(tx: Tx) -> None:
        row = (house.ids.next(), 1, "us", "+12065550142", "20655", "left over", 1, house.clock.now_ms(), "", 0, "")
        await tx.many("inbound_insert", [row])

    await house.store.write(keep)
    async with house.open():
        await asyncio.sleep(0.2)

    assert house.thought == ["left over"]


async def test_draining_leaves_nothing_in_the_air(house: House) -> None:
    async with house.open(rate="500/s"):
        await house.put(300)
        await asyncio.sleep(0.2)
        await house.gateway.drain(2)
        found = await house.tally()

        assert house.gateway.dispatchers["us"].in_flight == 0
        assert sum(found.values()) == 300
        assert not [state for state, _ in found if state is State.IN_DOUBT]


# --- from one channel to another -------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_full", [False, True])
async def test_what_is_moved_to_a_channel_that_has_no_queue_for_it_yet_leaves_there(
    house: House, monkeypatch: pytest.MonkeyPatch, is_full: bool
) -> None:
    house.senders = {
        "here": sender("here", "20655", "us", ["there"]), "there": sender("there", "30655", "eu"),
    }  # fmt: skip
    await house.simulator.start("127.0.0.1", 0)
    try:
        async with house.serving(names=("us", "eu")):
            us = house.gateway.dispatchers["us"]
            away = Failure("0x08", "their network is down", Retry.LATER, elsewhere=True)
            refused: list[Outbound] = []

            def refuse(batch: Sequence[Outbound]) -> list[Outbound]:
                refused.extend(batch)
                asyncio.get_running_loop().call_soon(
                    us.answered, [Answer(each.id, each.attempt, 0, 1, failure=away) for each in batch]
                )
                return []

            monkeypatch.setattr(us.channel, "send", refuse)
            if is_full:
                adopt, tries = house.gateway._adopt, 0

                async def full_at_first(tx: Tx, owned: set[int]) -> Any:
                    nonlocal tries
                    tries += bool(refused)
                    if tries == 1:
                        raise StoreError("the disk is full")
                    return await adopt(tx, owned)

                monkeypatch.setattr(house.gateway, "_adopt", full_at_first)
            await house.put(3)
            await house.until({(State.DELIVERED, ""): 3})
            [heard] = house.simulator.handset("+12065511000").messages

            assert heard.other == "30655"
            assert len(refused) == 3
    finally:
        await house.simulator.stop()


def sender(key: str, number: str, channel: str, fallback: Sequence[str] = ()) -> SenderSettings:
    return SenderSettings.model_validate(
        {"key": key, "number": number, "channel": channel, "countries": ["US"], "fallback": list(fallback)}
    )


# --- tidying ---------------------------------------------------------------------------------------------------------


async def test_a_message_without_a_receipt_is_unknown_after_its_life_and_the_grace_and_no_sooner(store: Store) -> None:
    house = House(store, StoppedClock(NOW), Rules(delay_ms=(1, 5), lose=1.0))
    life_ms = 10 * 3_600_000
    async with house.open():
        await house.put(5, valid_until=house.clock.now_ms() + life_ms)
        await house.until({(State.SENT, ""): 5})
        house.clock.advance(ms=life_ms + GRACE_MS)
        await house.gateway.tidy()
        assert await house.tally() == {(State.SENT, ""): 5}
        house.clock.advance(ms=1)
        await house.gateway.tidy()

        assert await house.tally() == {(State.UNKNOWN, "no receipt"): 5}


async def test_a_doubt_ends_as_delivered_by_its_receipt_or_as_unknown_and_what_was_delivered_stays_so(
    store: Store,
) -> None:
    house = House(store, StoppedClock(NOW), Rules(delay_ms=(1, 5), drop_every=20))
    async with house.open(window=3):
        await house.put(25)
        found: dict[tuple[State, str], int] = {}
        for _ in range(500):
            found = await house.tally()
            if not found.get((State.QUEUED, "")) and not found.get((State.SENT, "")):
                break
            await asyncio.sleep(0.02)
        doubtful, delivered = found[State.IN_DOUBT, "no answer"], found[State.DELIVERED, ""]
        house.clock.advance(ms=GRACE_MS + 1)
        await house.gateway.tidy()
        ended = await house.tally()

        assert doubtful + delivered == 25
        assert set(ended) <= {(State.UNKNOWN, "no receipt"), (State.DELIVERED, "")}
        assert ended[State.DELIVERED, ""] >= delivered
        assert sum(ended.values()) == 25


async def test_more_than_one_transaction_can_hold_are_given_up_in_several_each_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.engine.OVERDUE", 10)
    house = House(store, StoppedClock(NOW), Rules(delay_ms=(1, 5), lose=1.0))
    async with house.open():
        await house.put(35)
        await house.until({(State.SENT, ""): 35})
        house.clock.advance(ms=GRACE_MS + 1)
        await house.gateway.tidy()
        await house.gateway.tidy()

        assert await house.tally() == {(State.UNKNOWN, "no receipt"): 35}
        events = await house.store.read(lambda tx: tx.rows("event_after", n=0, limit=1_000))
        assert sum(row[5] == State.UNKNOWN for row in events) == 35


async def test_what_there_is_of_a_long_text_is_answered_when_its_last_piece_has_not_come(house: House) -> None:
    async def piece(tx: Tx) -> None:
        await tx.run(
            "piece_insert", channel="us", sender="+12065550142", recipient="20655", reference=1, total=2, number=1,
            brand=1, text="half a", at=house.clock.now_ms(),
        )  # fmt: skip

    async with house.open():
        await house.store.write(piece)
        await house.gateway.tidy()
        assert house.thought == []
        house.clock.advance(seconds=601)
        await house.gateway.tidy()
        await asyncio.sleep(0.1)

        assert house.thought == ["half a"]


# --- trouble ---------------------------------------------------------------------------------------------------------


async def test_a_full_disk_ends_nothing_that_runs(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*arguments: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr("gateway.engine.ALIVE_S", 0.01)
    house = House(store, StoppedClock(NOW), QUICK)
    async with house.open():
        with monkeypatch.context() as patched:
            patched.setattr(store, "write_bulk", full)
            await asyncio.sleep(0.1)
        await house.put(5)
        await house.until({(State.DELIVERED, ""): 5})


async def test_a_queue_that_its_dispatcher_moves_about_while_others_are_adopted_stays_its_own(house: House) -> None:
    go_on = threading.Event()

    async def hold(tx: Tx) -> None:
        go_on.wait(5)

    async def epochs(tx: Tx) -> list[int]:
        return [row[7] for row in await tx.rows("queue_list", brand=1)]

    async with house.open():
        await house.put(1)
        await house.until({(State.DELIVERED, ""): 1})
        queues = house.gateway.dispatchers["us"].queues
        holding = asyncio.ensure_future(house.store.write(hold))
        adopting = asyncio.ensure_future(house.gateway.adopt())
        await asyncio.sleep(0.01)
        queue = queues.pop()  # as between the two halves of its move to the end of the line
        go_on.set()
        await asyncio.gather(holding, adopting)
        queues.append(queue)

        assert queues == [queue]
        assert await house.store.read(epochs) == [queue.epoch]


async def test_what_a_crash_left_in_the_air_on_a_channel_that_is_gone_is_in_doubt_and_holds_up_no_run(
    house: House,
) -> None:
    text = Message(1, 1, RUN, 9, Purpose.MARKETING, "club", "gone", "20655", "+12065550142", "UTC", "hello", 1, 100)
    now = house.clock.now_ms()
    queue = await house.store.write(outbox.ensure_queue, house.ids, 1, "gone", Lane.BULK, run=RUN)
    await house.store.write(outbox.put, [text], queue, now)
    epoch = await house.store.write(outbox.take_over, brand=1, queue=queue, owner="dead", now=now)
    await house.store.write(
        outbox.claim, brand=1, queue=queue, epoch=epoch, now=now, messages=1, parts=1, gate=lambda waiting, now: Go()
    )

    async with house.open():
        assert await house.tally() == {(State.IN_DOUBT, "interrupted"): 1}
    assert not await house.store.read(lambda tx: tx.value("run_is_waiting", queue=queue))


async def test_a_long_text_to_an_address_that_cannot_be_written_fails_and_does_not_fly_for_ever(house: House) -> None:
    async with house.open():
        await house.put(1, text="x" * 400, number="+1206€{n:04}")
        await house.until({(State.FAILED, "unwritable"): 1})

        assert house.gateway.dispatchers["us"].in_flight == 0


async def test_what_is_old_is_forgotten_however_much_there_is(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.engine.OLD", 2)

    async def remember(tx: Tx) -> None:
        now = house.clock.now_ms()
        await tx.many("seen_insert", [("us", f"mark {n}", 1, 1, now) for n in range(7)])
        await tx.many("ref_put", [(f"us:{n}", 1, RUN, n, 0, 1, now) for n in range(3)])

    async def left(tx: Tx) -> list[int]:
        return [(await look(tx, f"SELECT count(*) FROM {table}"))[0][0] for table in ("seen", "ref")]

    async with house.open():
        await house.store.write(remember)
        house.clock.advance(ms=REF_MS + 1)
        await house.gateway.tidy()

    assert await house.store.read(left) == [0, 0]


async def test_a_queue_goes_on_at_the_pace_that_is_written_down_for_it_now(house: House, store: Store) -> None:
    async with house.open():
        queue = await store.write(outbox.ensure_queue, house.ids, 1, "us", Lane.BULK, run=RUN, rate=0.01)
        await house.put(20)
        (owned,) = house.gateway.dispatchers["us"].queues
        assert (owned.id, owned.pace.rate) == (queue, 0.01)

        async def repace(tx: Tx) -> None:
            await tx.run("queue_repace", brand=1, run=RUN, channel="us", lane=Lane.BULK, rate=1000)

        await store.write(repace)
        await house.gateway.adopt()

        assert await house.settled() == {(State.DELIVERED, ""): 20}
