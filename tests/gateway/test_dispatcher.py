"""The dispatcher never sends a part again that the carrier took, holds everything when told to, and loses no answer."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from gateway import outbox
from gateway.clock import StoppedClock
from gateway.dispatcher import Dispatcher, Queue
from gateway.errors import Failure, Retry
from gateway.ids import Ids
from gateway.journal import Journal
from gateway.messages import Lane, Outbound, Purpose, State
from gateway.outbox import Gate, Go, Later, Message, Never, Waiting
from gateway.pacing import Pace
from gateway.store import Store, Tx
from tests.gateway.carrier import Carrier, parts_in

RUN = 7


class Desk:
    """One dispatcher in front of a carrier that the test plays."""

    def __init__(self, store: Store, clock: StoppedClock) -> None:
        self.store, self.clock = store, clock
        self.ids, self.carrier, self.journal = Ids(clock.now_ms), Carrier(), Journal(1)
        self.stops: list[Failure] = []
        self.gate: Gate = lambda waiting, now: Go()
        self.dispatcher = Dispatcher(
            name="us", store=store, clock=clock, brand=1, journal=self.journal,
            gate=self._ask, rate=100_000, chance=random.Random(1),
            stopped=lambda name, failure: self.stops.append(failure),
        )  # fmt: skip
        self.dispatcher.channel = self.carrier
        self.carrier.answered = self.dispatcher.answered
        self.queue = 0

    def _ask(self, waiting: Waiting, now: int) -> Go | Later | Never:
        return self.gate(waiting, now)

    @asynccontextmanager
    async def open(self, count: int = 1, *, parts: int = 1, repeat: int = 0) -> AsyncIterator[None]:
        """Send so many messages."""
        self.queue = await self.store.write(outbox.ensure_queue, self.ids, 1, "us", Lane.BULK, run=RUN)
        messages = [
            Message(
                self.ids.next(), 1, RUN, n + 1, Purpose.MARKETING, "club", "us", "20655", f"+120655511{n:02}", "UTC",
                f"text {n}", parts, 100, 0, repeat,
            )
            for n in range(count)
        ]  # fmt: skip
        await self.store.write(outbox.put, messages, self.queue, self.clock.now_ms())
        epoch = await self.store.write(
            outbox.take_over, brand=1, queue=self.queue, owner="me", now=self.clock.now_ms()
        )  # fmt: skip
        self.dispatcher.queues.append(Queue(self.queue, Lane.BULK, RUN, epoch, Pace(0, 0)))
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
        while (await self.store.write(self.journal.fold, self.clock.now_ms())).more:
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
            found: bytes | None = await tx.value("reach_get", person=person, program="club")
            return found

        return await self.store.read(read)


@pytest.fixture
def desk(store: Store, clock: StoppedClock) -> Desk:
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
        for sent in range(1, outbox.POISON + 1):
            outbound = (await desk.until_sent(sent))[-1]
            assert outbound.possible_duplicate is (sent > 1)
            if sent == 1:
                desk.carrier.answer(outbound, 0, 2)
            else:
                assert parts_in(outbound, 2) == [1]
            desk.carrier.doubt(outbound, 1, 2)  # it goes again at once
        await desk.recorded()
        await asyncio.sleep(0.05)
        assert len(desk.carrier.sent) == outbox.POISON

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
    return Go((waiting.reached or b"") + now.to_bytes(8, "little"))


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
            assert (outbound.attempt, outbound.possible_duplicate) == (0, False)
            desk.carrier.take(outbound)
        await desk.recorded()

    assert await desk.states() == {(State.SENT, ""): 2}
    assert await desk.reach(1) == now.to_bytes(8, "little")


# --- trouble ---------------------------------------------------------------------------------------------------------


async def test_a_refused_account_holds_everything_though_the_channel_has_room(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.dispatcher.HOLD_S", 0.4)
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
    monkeypatch.setattr("gateway.dispatcher.RETRY_SETTLE_S", 0.05)
    settle, tries = outbox.settle, 0

    async def fails_twice(tx: Tx, settlement: outbox.Settlement) -> None:
        nonlocal tries
        tries += 1
        await settle(tx, settlement)
        if tries <= 2:
            raise OSError("the disk is full")

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
    monkeypatch.setattr("gateway.dispatcher.RETRY_SETTLE_S", 0.05)
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
