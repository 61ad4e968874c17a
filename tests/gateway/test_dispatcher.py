"""The dispatcher never sends a part again that the carrier took, holds everything when told to, and loses no answer."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import outbox
from gateway.clock import StoppedClock
from gateway.dispatcher import FULL_S, Dispatcher, Queue, Ways
from gateway.errors import Failure, Retry
from gateway.ids import Ids
from gateway.journal import Journal
from gateway.messages import Answer, Cargo, Content, Lane, Outbound, Purpose, Receipt, State
from gateway.outbox import Gate, Go, Later, Message, Never, Waiting
from gateway.pacing import Pace
from gateway.store import Store, Tx, sqlite
from tests.conftest import EVENING, EmptyStores
from tests.gateway.carrier import Carrier, parts_in
from tests.tables import look

RUN = 7


class Desk:
    """One dispatcher in front of a carrier that the test plays."""

    def __init__(self, store: Store, clock: StoppedClock) -> None:
        self.store, self.clock = store, clock
        self.ids, self.carrier, self.journal = Ids(clock.now_ms), Carrier(), Journal(1)
        self.stops: list[Failure] = []
        self.gate: Gate = lambda waiting, now: Go()
        self.left: list[tuple[int, str, int]] = []
        self.moved = 0
        self.dispatcher = self.another()
        self.queue = 0

    def another(self, rate: float = 100_000, ways: Ways | None = None) -> Dispatcher:
        """A dispatcher for the carrier, as at the start of a process."""

        def moved() -> None:
            self.moved += 1

        dispatcher = Dispatcher(
            name="us", store=self.store, clock=self.clock, ids=self.ids, brand=1, journal=self.journal,
            gate=self._ask, rate=rate, chance=random.Random(1), watch=self.journal.watch, ways=ways,
            stopped=lambda name, failure: self.stops.append(failure), left=self._left, moved=moved,
        )  # fmt: skip
        dispatcher.channel = self.carrier
        dispatcher.queues = self.dispatcher.queues if hasattr(self, "dispatcher") else []
        self.carrier.upward = dispatcher.answered
        self.dispatcher = dispatcher
        return dispatcher

    async def _left(self, tx: Tx, person: int, why: str, at: int) -> None:
        await tx.run("stop_insert", person=person, brand=1, at=at, source=why)
        self.left.append((person, why, at))

    def _ask(self, waiting: Waiting, now: int) -> Go | Later | Never:
        return self.gate(waiting, now)

    @asynccontextmanager
    async def open(self, count: int = 1, *, parts: int = 1, repeat: int = 0) -> AsyncIterator[None]:
        """Send so many messages."""
        self.queue = await self.put(count, parts=parts, repeat=repeat)
        async with self.running():
            yield

    async def put(
        self, count: int, *, parts: int = 1, repeat: int = 0, lane: Lane = Lane.BULK, run: int = RUN, home: str = "us"
    ) -> int:
        """Let so many messages wait in a queue of this dispatcher; the queue."""
        queue = await self.store.write(outbox.ensure_queue, self.ids, 1, home, lane, run=run)
        messages = [
            Message(
                self.ids.next(), 1, run, n + 1, Purpose.MARKETING, "club", home, "20655", f"+120655{n:05}", "UTC",
                f"{lane} {run} {n}", parts, 100, 0, repeat,
            )
            for n in range(count)
        ]  # fmt: skip
        await self.store.write(outbox.put, messages, queue, self.clock.now_ms())
        if queue not in [each.id for each in self.dispatcher.queues]:
            await self.take_over(queue, lane, run, home)
        self.dispatcher.wake()
        return queue

    async def take_over(self, queue: int, lane: Lane = Lane.BULK, run: int = RUN, home: str = "us") -> None:
        epoch = await self.store.write(outbox.take_over, brand=1, queue=queue, owner="me", now=self.clock.now_ms())
        self.dispatcher.queues.append(Queue(queue, lane, run, epoch, Pace(0, 0), home))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While the dispatcher runs."""
        task = asyncio.create_task(self.dispatcher.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until_sent(self, count: int) -> list[Outbound]:
        """What the carrier was given, once it was given so many."""
        await self.until(lambda: len(self.carrier.sent) >= count)
        assert len(self.carrier.sent) == count
        return self.carrier.sent

    async def until(self, holds: Callable[[], bool]) -> None:
        for _ in range(1_000):
            if holds():
                return
            await asyncio.sleep(0.003)
        raise AssertionError(f"never so; sent {len(self.carrier.sent)}")

    async def recorded(self) -> None:
        """Until every answer is on the disk."""
        await self.until(lambda: self.dispatcher.is_idle)

    async def later(self, seconds: float = 3600) -> None:
        """Time passes on the business clock."""
        await self.recorded()
        self.clock.advance(seconds=seconds)
        self.dispatcher.wake()

    async def states(self) -> dict[tuple[State, str], int]:
        while (await self.store.write(self.journal.fold)).more:
            pass

        async def read(tx: Tx) -> dict[tuple[State, str], int]:
            return {(State(state), reason): n for state, reason, n in await tx.rows("tally_of_run", run=RUN)}

        return await self.store.read(read)

    async def events(self) -> list[tuple[int, State]]:
        """Part and state of everything that happened, in order."""

        async def read(tx: Tx) -> list[tuple[int, State]]:
            return [(row[3], State(row[5])) for row in await tx.rows("event_after", n=0, limit=1000)]

        return await self.store.read(read)

    async def reach(self, person: int) -> bytes | None:
        async def read(tx: Tx) -> bytes | None:
            found: bytes | None = next((times for _, _, times in await tx.rows("reach_among", people=[person])), None)
            return found

        return await self.store.read(read)


@pytest.fixture
async def desk(store: Store, clock: StoppedClock) -> Desk:
    return Desk(store, clock)


# --- parts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
async def test_parts_that_were_taken_are_never_sent_again(desk: Desk, order: tuple[int, ...]) -> None:
    async with desk.open(parts=3):
        [first] = await desk.until_sent(1)
        for part in order:
            desk.carrier.answer(first, part, 3, Retry.LATER if part == 1 else None)
        await desk.later()
        again = (await desk.until_sent(2))[1]
        assert parts_in(again, 3) == [1]
        assert again.attempt == 1
        desk.carrier.take(again, 3)
        await desk.recorded()

    assert await desk.states() == {(State.SENT, ""): 1}
    assert sorted(await desk.events()) == [(0, State.SENT), (1, State.SENT), (2, State.SENT)]


async def test_a_message_is_tried_again_only_when_all_its_parts_are_answered(desk: Desk) -> None:
    async with desk.open(parts=2):
        [first] = await desk.until_sent(1)
        desk.carrier.answer(first, 0, 2, Retry.LATER)
        desk.clock.advance(seconds=3600)
        desk.dispatcher.wake()
        await asyncio.sleep(0.05)
        assert len(desk.carrier.sent) == 1
        desk.carrier.answer(first, 1, 2)
        await desk.later()
        assert parts_in((await desk.until_sent(2))[1], 2) == [0]


async def test_when_one_part_is_refused_for_good_the_others_are_not_tried_again(desk: Desk) -> None:
    async with desk.open(parts=3):
        [first] = await desk.until_sent(1)
        desk.carrier.answer(first, 0, 3, Retry.NEVER)
        desk.carrier.answer(first, 1, 3, Retry.LATER)
        desk.carrier.answer(first, 2, 3)
        await desk.later()
        await asyncio.sleep(0.05)
        assert len(desk.carrier.sent) == 1

    assert await desk.states() == {(State.FAILED, "0x42"): 1}


async def test_a_part_without_an_answer_leaves_the_message_in_doubt_and_is_not_sent_again(desk: Desk) -> None:
    async with desk.open(parts=2):
        [first] = await desk.until_sent(1)
        desk.carrier.answer(first, 0, 2)
        desk.carrier.doubt(first, 1, 2)
        await desk.later()
        await asyncio.sleep(0.05)
        assert len(desk.carrier.sent) == 1

    assert await desk.states() == {(State.IN_DOUBT, "no answer"): 1}


async def test_what_must_arrive_is_sent_again_in_doubt_but_only_the_doubtful_part_and_not_for_ever(desk: Desk) -> None:
    async with desk.open(parts=2, repeat=1):
        for sent in range(1, outbox.TRIES + 1):
            outbound = (await desk.until_sent(sent))[-1]
            assert outbound.attempt == sent - 1
            if sent == 1:
                desk.carrier.answer(outbound, 0, 2)
            else:
                assert parts_in(outbound, 2) == [1]
            desk.carrier.doubt(outbound, 1, 2)
            await desk.recorded()
            if sent < outbox.TRIES:
                assert await desk.states() == {(State.IN_DOUBT, outbox.SENT_AGAIN): 1}
            await desk.later()
        await asyncio.sleep(0.05)
        assert len(desk.carrier.sent) == outbox.TRIES

    assert await desk.states() == {(State.IN_DOUBT, "no answer"): 1}


# --- tries -----------------------------------------------------------------------------------------------------------


async def test_a_refusal_that_may_pass_is_tried_so_often_and_then_it_failed(desk: Desk) -> None:
    async with desk.open():
        for attempt in range(outbox.TRIES):
            outbound = (await desk.until_sent(attempt + 1))[-1]
            assert outbound.attempt == attempt
            desk.carrier.answer(outbound, 0, 1, Retry.LATER)
            await desk.later()
        await asyncio.sleep(0.05)
        assert len(desk.carrier.sent) == outbox.TRIES

    assert await desk.states() == {(State.FAILED, "0x42"): 1}


async def test_being_throttled_costs_no_attempt_and_a_refused_part_beside_it_does(desk: Desk) -> None:
    async with desk.open(parts=2):
        for sent in range(1, 10):
            outbound = (await desk.until_sent(sent))[-1]
            assert outbound.attempt == 0
            desk.carrier.answer(outbound, 0, 2, Retry.THROTTLED)
            desk.carrier.answer(outbound, 1, 2, Retry.THROTTLED)
            await desk.later(10)
        outbound = (await desk.until_sent(10))[-1]
        desk.carrier.answer(outbound, 0, 2, Retry.LATER)
        desk.carrier.answer(outbound, 1, 2, Retry.THROTTLED)
        await desk.later()
        assert (await desk.until_sent(11))[-1].attempt == 1


async def test_an_answer_to_an_earlier_attempt_changes_nothing(desk: Desk) -> None:
    async with desk.open():
        [first] = await desk.until_sent(1)
        desk.carrier.answer(first, 0, 1, Retry.LATER)
        await desk.later()
        second = (await desk.until_sent(2))[1]
        desk.carrier.answer(first, 0, 1, Retry.NEVER)
        assert desk.dispatcher.in_flight == 1
        desk.carrier.take(second)
        await desk.recorded()

    assert await desk.states() == {(State.SENT, ""): 1}


# --- caps and release ------------------------------------------------------------------------------------------------


def charging(waiting: Waiting, now: int) -> Go:
    return Go(bytes.fromhex(waiting.reached or "") + now.to_bytes(8, "little"))


async def test_a_cap_is_given_back_for_a_sure_failure_and_kept_for_a_doubt(desk: Desk) -> None:
    desk.gate = charging
    async with desk.open(3):
        refused, doubtful, taken = await desk.until_sent(3)
        now = desk.clock.now_ms()
        desk.carrier.answer(refused, 0, 1, Retry.NEVER)
        desk.carrier.doubt(doubtful, 0, 1)
        desk.carrier.take(taken)
        await desk.recorded()

    assert [await desk.reach(person) for person in (1, 2, 3)] == [b"", *([now.to_bytes(8, "little")] * 2)]


async def test_a_failure_gives_back_its_own_charge_and_not_that_of_a_later_campaign(desk: Desk) -> None:
    desk.gate = charging
    async with desk.open():
        [first] = await desk.until_sent(1)
        now = desk.clock.now_ms()
        own, later = now.to_bytes(8, "little"), (now + 5000).to_bytes(8, "little")

        async def charge(tx: Tx) -> None:
            await tx.many("reach_put", [(1, "club", 1, own + later)])

        await desk.store.write(charge)
        desk.carrier.answer(first, 0, 1, Retry.NEVER)
        await desk.recorded()

    assert await desk.reach(1) == later


async def test_what_the_channel_did_not_touch_goes_back_as_if_it_had_never_been_claimed(desk: Desk) -> None:
    desk.gate = charging
    desk.carrier.takes = lambda outbound: False
    async with desk.open(2):
        await desk.until(lambda: desk.dispatcher.counters.released >= 2)
        await desk.recorded()
        desk.carrier.takes = lambda outbound: True
        sent = await desk.until_sent(2)
        now = desk.clock.now_ms()
        for outbound in sent:
            assert outbound.attempt == 0
            desk.carrier.take(outbound)
        await desk.recorded()

    assert await desk.states() == {(State.SENT, ""): 2}
    assert await desk.reach(1) == now.to_bytes(8, "little")


# --- trouble ---------------------------------------------------------------------------------------------------------


async def test_a_refused_account_holds_everything_though_the_channel_has_room(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.dispatcher.HOLD_S", 0.4)
    monkeypatch.setattr("gateway.breaking.FIRST_PAUSE_S", 0.5)
    desk.carrier.takes = lambda outbound: len(desk.carrier.sent) < 2
    async with desk.open(5):
        first, second = await desk.until_sent(2)
        for outbound in (first, second):
            desk.carrier.answer(outbound, 0, 1, Retry.STOP_CHANNEL)
        desk.carrier.takes = lambda outbound: True
        desk.dispatcher.ready()  # as a channel says after every answer
        await desk.later()
        await asyncio.sleep(0.1)
        assert len(desk.carrier.sent) == 2
        assert desk.dispatcher.trouble is not None
        assert [failure.code for failure in desk.stops] == ["0x42"]

        everything = (await desk.until_sent(7))[2:]  # the operator has mended it meanwhile
        assert {outbound.attempt for outbound in everything} == {0}
        for outbound in everything:
            desk.carrier.take(outbound)
        await desk.recorded()
        assert desk.dispatcher.trouble is None

    assert await desk.states() == {(State.SENT, ""): 5}


async def test_answers_that_could_not_be_recorded_are_recorded_later_each_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.settling.AGAIN_S", 0.05)
    settle, tries = outbox.settle, 0

    async def fails_twice(*arguments: Any) -> outbox.Settled:
        nonlocal tries
        tries += 1
        moved = await settle(*arguments)
        if tries <= 2:
            raise OSError("the disk is full")
        return moved

    async with desk.open(3):
        first, second, third = await desk.until_sent(3)
        monkeypatch.setattr("gateway.outbox.settle", fails_twice)
        desk.carrier.take(first)
        await asyncio.sleep(0.02)
        assert not desk.dispatcher.is_idle
        desk.carrier.take(second)  # gathered behind the one that fails
        desk.carrier.answer(third, 0, 1, Retry.NEVER)
        await desk.recorded()

    assert await desk.states() == {(State.SENT, ""): 2, (State.FAILED, "0x42"): 1}
    assert len(await desk.events()) == 3
    assert "could not be recorded" in caplog.text


async def test_a_claim_that_fails_is_made_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.dispatcher.AGAIN_S", 0.05)
    tries = 0

    def fails_once(waiting: Waiting, now: int) -> Go:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise OSError("the disk is full")
        return Go()

    desk.gate = fails_once
    async with desk.open(2):
        for outbound in list(await desk.until_sent(2)):
            desk.carrier.take(outbound)
        await desk.recorded()

    assert await desk.states() == {(State.SENT, ""): 2}
    assert "a claim failed" in caplog.text


async def test_a_queue_that_another_process_took_is_left_to_it(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.carrier.window = 0
    async with desk.open(2):
        await desk.store.write(
            outbox.take_over, brand=1, queue=desk.queue, owner="other", now=desk.clock.now_ms()
        )  # fmt: skip
        desk.carrier.window = 100
        desk.dispatcher.ready()
        await desk.until(lambda: not desk.dispatcher.queues)

    assert desk.carrier.sent == []
    assert await desk.states() == {(State.QUEUED, ""): 2}


async def test_a_late_answer_changes_nothing_that_the_next_owner_of_the_queue_decided(desk: Desk) -> None:
    async with desk.open(repeat=1):
        await desk.until_sent(1)
        await desk.store.write(
            outbox.take_over, brand=1, queue=desk.queue, owner="next", now=desk.clock.now_ms()
        )  # fmt: skip
        desk.carrier.answer(desk.carrier.sent[0], 0, 1, Retry.LATER)
        await desk.recorded()

        waiting = await desk.store.read(lambda tx: tx.rows("outbox_of_run", queue=desk.queue, limit=9))
        assert [row[1] for row in waiting] == [desk.clock.now_ms()]  # the next owner's, at once, and no second one


async def test_a_window_that_is_full_is_waited_for_and_not_asked_for_again_and_again(desk: Desk) -> None:
    desk.carrier.takes = lambda outbound: False
    async with desk.open(2):
        await asyncio.sleep(0.4)
        desk.carrier.takes = lambda outbound: True
        await desk.until_sent(2)

    assert desk.dispatcher.counters.released <= 2 * 0.4 / FULL_S + 2


# --- a slow disk -----------------------------------------------------------------------------------------------------


async def test_bulk_that_waited_long_gets_its_turn_though_urgent_is_claimed_ahead(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.dispatcher.BATCH", 2)
    monkeypatch.setattr("gateway.dispatcher.BULK_WAIT_S", 0.05)
    urgent = await desk.put(600, lane=Lane.URGENT, run=0)
    bulk = await desk.put(2, run=8)

    def gate(waiting: Waiting, now: int) -> Go:
        time.sleep(0.001)  # so that three claims are always under way
        return Go()

    desk.gate = gate
    assert urgent != bulk
    async with desk.running():
        await desk.until(lambda: any(each.text.startswith("bulk 8") for each in desk.carrier.sent))
        assert len(desk.carrier.sent) < 600


async def test_the_next_claim_is_decided_while_the_last_is_synced(
    tmp_path: Path, clock: StoppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.dispatcher.BATCH", 2)
    is_well, synced = threading.Event(), sqlite.sync
    asked: list[int] = []

    def slow(file: int) -> None:
        is_well.wait(5)
        synced(file)

    def gate(waiting: Waiting, now: int) -> Go:
        asked.append(waiting.id)
        return Go()

    desk = Desk(sqlite.open_store(tmp_path / "store.db"), clock)
    desk.gate = gate
    desk.queue = await desk.put(2)
    await desk.put(6)  # into the same queue
    async with desk.running():
        monkeypatch.setattr(sqlite, "sync", slow)
        desk.dispatcher.queues[0].is_deep = True
        await desk.until(lambda: len(asked) == 4)
        assert not desk.carrier.sent  # nothing leaves before its claim is on the disk
        is_well.set()
        sent = [each.id for each in await desk.until_sent(8)]
        assert sent == asked
    desk.store.close()


async def test_what_took_more_than_a_second_to_claim_is_released_and_asked_about_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.dispatcher.LEAVES_S", 0.5)
    slow = [0.6, 0.0]

    def gate(waiting: Waiting, now: int) -> Go:
        time.sleep(slow.pop(0) if slow else 0)
        return charging(waiting, now)

    desk.gate = gate
    async with desk.open():
        [outbound] = await desk.until_sent(1)
        assert desk.dispatcher.counters.released == 1
        assert outbound.attempt == 0
        now = desk.clock.now_ms()
        desk.carrier.take(outbound)
        await desk.recorded()

    assert await desk.states() == {(State.SENT, ""): 1}
    assert await desk.reach(1) == now.to_bytes(8, "little")  # and charged once


async def test_a_stop_that_came_while_a_claim_was_slow_is_obeyed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.dispatcher.LEAVES_S", 0.1)
    asked = 0

    def gate(waiting: Waiting, now: int) -> Go | Never:
        nonlocal asked
        asked += 1
        if waiting.stopped_at is not None:
            return Never("left")
        time.sleep(0.2)
        return Go()

    desk.gate = gate
    await desk.put(1)
    async with desk.running():
        await desk.until(lambda: asked == 1)
        await desk.store.write(
            lambda tx: tx.run("stop_insert", person=1, brand=1, at=desk.clock.now_ms(), source="text")
        )
        await desk.until(lambda: asked == 2)
        await desk.recorded()

    assert desk.carrier.sent == []
    assert await desk.states() == {(State.REFUSED, "left"): 1}


async def test_a_claim_that_is_on_its_way_when_we_stop_ends_in_the_queue_and_not_in_doubt(desk: Desk) -> None:
    begun = threading.Event()

    def gate(waiting: Waiting, now: int) -> Go:
        begun.set()
        time.sleep(0.1)
        return Go()

    desk.gate = gate
    async with desk.open(1, repeat=0):
        await desk.until(begun.is_set)
        await desk.dispatcher.drain(2)
        sent = len(desk.carrier.sent)
    await asyncio.sleep(0.2)
    await desk.store.write(outbox.take_over, brand=1, queue=desk.queue, owner="next", now=desk.clock.now_ms())

    assert sent == len(desk.carrier.sent) == 0
    assert await desk.states() == {(State.QUEUED, ""): 1}
    assert len(await desk.store.read(lambda tx: tx.rows("outbox_of_run", queue=desk.queue, limit=9))) == 1


# --- late answers ----------------------------------------------------------------------------------------------------


async def test_an_answer_that_comes_after_we_gave_up_is_recorded_and_its_receipt_is_known(desk: Desk) -> None:
    async with desk.open():
        [outbound] = await desk.until_sent(1)
        desk.carrier.doubt(outbound, 0, 1)
        await desk.recorded()
        assert await desk.states() == {(State.IN_DOUBT, "no answer"): 1}
        desk.carrier.take(outbound)
        await desk.recorded()
        assert await desk.states() == {(State.SENT, ""): 1}
        assert desk.journal.match("us", [receipt_of(outbound)], 1).events
        desk.carrier.take(outbound)  # and once more, which is nothing new
        await desk.recorded()

    assert await desk.states() == {(State.SENT, ""): 1}


async def test_a_late_refusal_leaves_the_doubt(desk: Desk) -> None:
    async with desk.open():
        [outbound] = await desk.until_sent(1)
        desk.carrier.doubt(outbound, 0, 1)
        desk.carrier.answer(outbound, 0, 1, Retry.NEVER)
        await desk.recorded()

    assert await desk.states() == {(State.IN_DOUBT, "no answer"): 1}


async def test_a_late_answer_to_the_first_of_two_sendings_is_recorded_beside_the_second(desk: Desk) -> None:
    async with desk.open(repeat=1):
        [first] = await desk.until_sent(1)
        desk.carrier.doubt(first, 0, 1)
        await desk.later()
        second = (await desk.until_sent(2))[1]
        desk.carrier.take(first)
        assert desk.dispatcher.in_flight == 1
        desk.carrier.take(second)
        await desk.recorded()
        for outbound in (first, second):
            assert desk.journal.match("us", [receipt_of(outbound)], 1).events

    assert await desk.states() == {(State.SENT, ""): 1}


def receipt_of(outbound: Outbound) -> Receipt:
    return Receipt((f"{outbound.id}.0.{outbound.attempt}",), State.DELIVERED, "", "20655", outbound.recipient)


async def test_doubts_without_end_do_not_fill_the_memory(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.settling.DOUBTS_KEPT", 10)
    async with desk.open(30):
        for outbound in await desk.until_sent(30):
            desk.carrier.doubt(outbound, 0, 1)
        await desk.recorded()

    assert len(desk.dispatcher._settling.doubts) == 10


# --- urgent and bulk -------------------------------------------------------------------------------------------------


async def test_a_full_window_of_bulk_leaves_room_for_what_is_urgent(desk: Desk) -> None:
    desk.carrier.window = 100
    await desk.put(300)
    async with desk.running():
        await desk.until_sent(95)
        await asyncio.sleep(0.05)
        await desk.put(3, lane=Lane.URGENT, run=0)
        sent = await desk.until_sent(98)

    assert [outbound.text for outbound in sent[95:]] == ["urgent 0 0", "urgent 0 1", "urgent 0 2"]


@pytest.mark.parametrize("window", [1, 5, 20, 50])
async def test_a_window_that_has_shrunk_still_lets_bulk_pass(desk: Desk, window: int) -> None:
    desk.carrier.window = 2_000
    await desk.put(100)
    async with desk.running():
        for outbound in [*await desk.until_sent(100)]:
            desk.carrier.take(outbound)
        desk.carrier.window = window
        await desk.put(1)
        await desk.until_sent(101)


async def test_bulk_gets_a_turn_however_much_is_urgent(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.dispatcher.BULK_WAIT_S", 0.5)
    await desk.put(1)
    await desk.put(3_000, lane=Lane.URGENT, run=0)
    desk.another(rate=400)
    bulk, urgent = desk.dispatcher.queues
    bulk.served_at = asyncio.get_running_loop().time()
    urgent.is_deep = True  # or bulk would be claimed from while the first urgent claim is written
    async with desk.running():
        await desk.until(lambda: any(outbound.text.startswith("bulk") for outbound in desk.carrier.sent))

    assert len(desk.carrier.sent) > 10


@pytest.mark.parametrize(("queues", "rate"), [(1, 10), (12, 40)])
async def test_an_urgent_text_waits_for_no_number_of_bulk_queues_at_any_rate(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, queues: int, rate: float
) -> None:
    monkeypatch.setattr("gateway.dispatcher.BULK_WAIT_S", 0.05)  # less than the time between two of these parts
    for run in range(1, queues + 1):
        await desk.put(200, run=run)
    desk.another(rate=rate)
    async with desk.running():
        await desk.until(lambda: len(desk.carrier.sent) > 3)
        before = len(desk.carrier.sent)
        await desk.put(1, lane=Lane.URGENT, run=0)
        await desk.until(lambda: any(outbound.text.startswith("urgent") for outbound in desk.carrier.sent))

    place = [outbound.text for outbound in desk.carrier.sent].index("urgent 0 0")
    assert place - before <= 0.25 * rate + 2  # what leaves at once, and one in a hurry


async def test_bulk_queues_that_are_looked_at_in_vain_do_not_hold_up_what_is_urgent(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on a slow disk: when the last of these queues has been looked at, the first is due to be once more.
    monkeypatch.setattr("gateway.dispatcher.POLL_S", 0.0)
    monkeypatch.setattr("gateway.dispatcher.BULK_WAIT_S", 0.0)
    desk.carrier.window = 1  # no claim is asked for while another is under way
    for run in (1, 2, 3):
        await desk.put(0, run=run)
    await desk.put(1, lane=Lane.URGENT, run=0)
    async with desk.running():
        [first] = await desk.until_sent(1)
        desk.carrier.take(first)
        await desk.put(1, lane=Lane.URGENT, run=0)
        await desk.until_sent(2)


async def test_a_bulk_queue_of_nothing_but_refusals_does_not_hold_up_what_is_urgent(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.dispatcher.BATCH", 5)
    monkeypatch.setattr("gateway.dispatcher.BULK_WAIT_S", 0.0)
    asked: list[str] = []

    def gate(waiting: Waiting, now: int) -> Go | Never:
        asked.append(waiting.text)
        return Go() if waiting.text.startswith("urgent") else Never("left")

    desk.gate = gate
    await desk.put(500)
    await desk.put(1, lane=Lane.URGENT, run=0)
    async with desk.running():
        await desk.until_sent(1)

    assert asked.index("urgent 0 0") <= 10


# --- other channels --------------------------------------------------------------------------------------------------

AWAY = Failure("0x08", "their network is down", Retry.LATER, elsewhere=True)


def refuse(desk: Desk, outbound: Outbound, failure: Failure, parts: int = 1, part: int = 0) -> None:
    desk.carrier.answered([Answer(outbound.id, outbound.attempt, part, parts, failure=failure)])


async def waiting_on(desk: Desk, channel: str) -> list[tuple[int, int]]:
    """Message and attempt of all that waits for a channel."""

    async def read(tx: Tx) -> list[tuple[int, int]]:
        sql = "SELECT o.id, o.attempt FROM outbox o JOIN queue q ON q.id = o.queue WHERE q.channel = ? ORDER BY o.id"
        return await look(tx, sql, channel)

    return await desk.store.read(read)


async def test_what_this_carrier_cannot_bring_goes_to_another_at_once_and_its_charge_is_given_back(desk: Desk) -> None:
    desk.gate = charging
    desk.another(ways=Ways(elsewhere={"20655": ("eu", "asia")}))
    async with desk.open(2):
        first, second = await desk.until_sent(2)
        refuse(desk, first, AWAY)
        desk.carrier.take(second)
        await desk.recorded()
        assert await waiting_on(desk, "eu") == [(first.id, 1)]
        assert await waiting_on(desk, "us") == []
        assert desk.moved == 1
        assert await desk.reach(1) == b""

    assert await desk.states() == {(State.QUEUED, ""): 1, (State.SENT, ""): 1}


async def test_a_picture_goes_only_to_a_channel_that_carries_pictures(desk: Desk) -> None:
    carries = {"asia": frozenset((Cargo.PICTURES,))}
    desk.another(ways=Ways(elsewhere={"20655": ("eu", "asia")}, carries=carries))
    async with desk.open():
        [outbound] = await desk.until_sent(1)
        flight = desk.dispatcher._flying[outbound.id]
        flight.outbound = outbound._replace(content=Content(("https://shop.example/latte.jpg",)))
        refuse(desk, outbound, AWAY)
        await desk.recorded()
        assert await waiting_on(desk, "eu") == []
        assert await waiting_on(desk, "asia") == [(outbound.id, 1)]


async def test_when_every_channel_has_been_tried_the_last_failure_counts(desk: Desk) -> None:
    desk.another(ways=Ways(elsewhere={"20655": ()}))
    async with desk.open():
        [outbound] = await desk.until_sent(1)
        refuse(desk, outbound, Failure("0x08", "their network is down", Retry.NEVER, elsewhere=True))
        await desk.recorded()

    assert await desk.states() == {(State.FAILED, "0x08"): 1}


async def test_a_long_text_of_which_a_part_was_taken_stays_with_its_channel(desk: Desk) -> None:
    desk.another(ways=Ways(elsewhere={"20655": ("eu",)}))
    async with desk.open(parts=2):
        [outbound] = await desk.until_sent(1)
        desk.carrier.answer(outbound, 0, 2)
        refuse(desk, outbound, AWAY, 2, 1)
        await desk.recorded()
        assert await waiting_on(desk, "eu") == []
        assert await waiting_on(desk, "us") == [(outbound.id, 1)]


async def test_what_moves_survives_a_settlement_that_could_not_be_written_and_moves_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.settling.AGAIN_S", 0.02)
    desk.another(ways=Ways(elsewhere={"20655": ("eu",)}))
    settle, tries = outbox.settle, 0

    async def fails_once(*arguments: Any) -> outbox.Settled:
        nonlocal tries
        tries += 1
        moved = await settle(*arguments)
        if tries == 1:
            raise OSError("the disk is full")
        return moved

    async with desk.open():
        [outbound] = await desk.until_sent(1)
        monkeypatch.setattr("gateway.outbox.settle", fails_once)
        refuse(desk, outbound, AWAY)
        await desk.recorded()

    assert tries == 2
    assert await waiting_on(desk, "eu") == [(outbound.id, 1)]
    assert desk.moved == 1


async def test_a_channel_that_stands_in_sends_another_ones_queue_from_its_own_number(desk: Desk) -> None:
    desk.another(ways=Ways(stands_in={"20655": "30655"}))
    await desk.put(2, home="eu")
    async with desk.running():
        sent = await desk.until_sent(2)
        for outbound in sent:
            desk.carrier.take(outbound)
        await desk.recorded()

    assert {outbound.sender for outbound in sent} == {"30655"}
    assert await desk.states() == {(State.SENT, ""): 2}


async def test_what_a_stand_in_has_no_number_for_waits_for_its_own_channel(desk: Desk) -> None:
    desk.another(ways=Ways(stands_in={"another": "30655"}))
    await desk.put(2, home="eu")
    async with desk.running():
        await asyncio.sleep(0.1)

    assert desk.carrier.sent == []
    assert len(await waiting_on(desk, "eu")) == 2


# --- who left by the carrier's word ----------------------------------------------------------------------------------


async def test_who_the_carrier_says_has_left_is_stopped_and_only_they(desk: Desk) -> None:
    async with desk.open(3):
        gone, also, stays = await desk.until_sent(3)
        refuse(desk, gone, Failure("21610", "they have left", Retry.NEVER, left=True))
        refuse(desk, also, Failure("30005", "no such phone", Retry.NEVER))
        desk.carrier.take(stays)
        await desk.recorded()

    assert [(person, why) for person, why, _ in desk.left] == [(1, "us: they have left")]
    assert await desk.states() == {(State.FAILED, "21610"): 1, (State.FAILED, "30005"): 1, (State.SENT, ""): 1}


# --- wherever it dies ------------------------------------------------------------------------------------------------

FATES = st.sampled_from(["taken", "later", "throttled", "never", "doubt"])


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 1)), min_size=1, max_size=4),
    st.data(),
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_wherever_it_dies_every_part_is_answered_in_doubt_or_waits_and_none_that_was_taken_goes_again(
    empty_stores: EmptyStores, texts: list[tuple[int, int]], data: st.DataObject
) -> None:
    with empty_stores() as store:
        asyncio.run(dies_somewhere(store, texts, data))


async def dies_somewhere(store: Store, texts: list[tuple[int, int]], data: st.DataObject) -> None:
    desk = Desk(store, StoppedClock(EVENING))
    for parts, repeat in texts:
        desk.queue = await desk.put(1, parts=parts, repeat=repeat)
    desk.dispatcher._turn()
    await desk.until(lambda: not desk.dispatcher._asked)
    open_parts = [(one, part) for one in desk.carrier.sent for part in range(texts[index_of(desk, one)][0])]
    answers = data.draw(st.permutations(open_parts))
    for one, part in answers[: data.draw(st.integers(0, len(answers)))]:
        parts = texts[index_of(desk, one)][0]
        match data.draw(FATES):
            case "taken":
                desk.carrier.answer(one, part, parts)
            case "doubt":
                desk.carrier.doubt(one, part, parts)
            case fate:
                desk.carrier.answer(one, part, parts, RETRIES[fate])
        if data.draw(st.booleans()):  # a commit before the next answer
            await desk.until(lambda: not desk.dispatcher._settling.is_busy)
        desk.clock.advance(seconds=data.draw(st.sampled_from([0, 0, 6])))  # and its row is written anew
    await desk.until(lambda: not desk.dispatcher._settling.is_busy)
    await desk.store.write(outbox.take_over, brand=1, queue=desk.queue, owner="next", now=desk.clock.now_ms())

    for one in desk.carrier.sent:
        parts, repeat = texts[index_of(desk, one)]
        rows = await desk.store.read(told_of, one.id)
        told = {part: state for part, state, code in rows if code != outbox.SENT_AGAIN}
        waits = {part for (bits,) in await desk.store.read(waits_of, one.id) for part in outbox.parts_of(bits, parts)}
        taken = {part for part, state in told.items() if state == State.SENT}
        assert not waits & taken
        assert State.FAILED in told.values() or waits | set(told) == set(range(parts))
        if repeat and State.FAILED not in told.values():
            assert waits == set(range(parts)) - taken


RETRIES = {"later": Retry.LATER, "throttled": Retry.THROTTLED, "never": Retry.NEVER}


def index_of(desk: Desk, outbound: Outbound) -> int:
    return [one.id for one in desk.carrier.sent].index(outbound.id)


async def told_of(tx: Tx, message: int) -> list[tuple[int, int, str]]:
    sql = "SELECT part, state, code FROM event WHERE message = ? ORDER BY state"
    return await look(tx, sql, message)


async def waits_of(tx: Tx, message: int) -> list[tuple[int]]:
    return await look(tx, "SELECT missing FROM outbox WHERE id = ?", message)


async def test_a_campaign_with_a_rate_of_its_own_leaves_as_fast_as_that_and_not_slower(desk: Desk) -> None:
    """Seen once: between two parts it waited for the next look, and a campaign of 25 a second left at 4."""
    loop = asyncio.get_running_loop()
    async with desk.open(20):
        desk.dispatcher.queues[0].pace = Pace(40, loop.time())
        began = loop.time()
        await desk.until(lambda: len(desk.carrier.sent) >= 20)

    assert 0.3 < loop.time() - began < 1.5  # half a second by its rate; five when it only looks four times a second


async def test_another_rate_holds_at_once_for_the_channel_and_for_its_numbers(desk: Desk) -> None:
    desk.another(rate=1, ways=Ways(rates={"20655": 1.0}))
    async with desk.open(10):
        await desk.until_sent(1)
        desk.dispatcher.follow(100_000, Ways(rates={"20655": 50_000.0}))
        await desk.until_sent(10)


async def test_what_was_moved_by_an_earlier_way_leaves_as_it_was_meant_to(desk: Desk) -> None:
    desk.another(ways=Ways(stands_in={"20655": "+12065550100"}))
    desk.dispatcher.follow(100_000, Ways())
    async with desk.open(1):
        (sent,) = await desk.until_sent(1)
    assert sent.sender == "+12065550100"
