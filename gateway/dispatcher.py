"""Sends what waits for one channel: reserve pace, claim, hand over, settle the answers."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway import outbox
from gateway.channels.base import Channel
from gateway.clock import Clock
from gateway.errors import Failure, Retry
from gateway.journal import Journal, Leg, ref_of
from gateway.messages import ALL_PARTS, Answer, Lane, State
from gateway.outbox import Claimed, Gate, Settlement
from gateway.pacing import Pace
from gateway.store import Store

log = logging.getLogger(__name__)

POLL_S = 0.25  # how long a message may wait should a wake-up be lost
BATCH = 500  # messages in one claim: about 10 ms of the writing thread
RETRY_SETTLE_S = 1.0
HOLD_S = 60.0  # how long everything is held back after the carrier refused our account or set-up
FULL_S = 0.02  # a long message waits for the window to empty; claiming it again at once would only spin


@dataclass(slots=True)
class Queue:
    """A line of waiting messages that this process owns."""

    id: int
    lane: Lane
    run: int
    epoch: int
    pace: Pace
    rest_until: float = 0.0  # nothing was due at the last look


@dataclass(slots=True)
class Flight:
    """A message that the carrier has in part or whole not yet answered."""

    queue: Queue
    claimed: Claimed
    open: int  # a bit for each part without an answer
    again: int = 0  # a bit for each part to be sent again
    pause_s: float = 0.0
    tried: bool = False  # a refused part has cost an attempt; being throttled costs none
    failed: bool = False  # a part is refused for good, so the others are not tried again
    doubted: bool = False  # no answer came, and it is to be sent again all the same


@dataclass(slots=True)
class Counters:
    """What this channel did since the process started, for metrics."""

    claimed: int = 0
    sent_parts: int = 0
    refused_parts: int = 0
    doubtful_parts: int = 0
    retried: int = 0
    released: int = 0


class Dispatcher:
    """The sender of one channel.

    `run` is one loop without a task a message: answers come in as lists from the channel, are gathered
    while the last commit runs, and are settled together.
    """

    def __init__(
        self,
        *,
        name: str,
        store: Store,
        clock: Clock,
        brand: int,
        journal: Journal,
        gate: Gate,
        rate: float,
        chance: random.Random,
        stopped: Callable[[str, Failure], None] = lambda name, failure: None,
    ) -> None:
        self.name = name
        self.counters = Counters()
        self.queues: list[Queue] = []
        self.channel: Channel
        self.trouble: Failure | None = None  # why the channel holds everything back, if it does
        self._store, self._clock, self._brand = store, clock, brand
        self._journal, self._gate, self._chance, self._stopped = journal, gate, chance, stopped
        self._pace = Pace(rate, time.monotonic())
        self._held_until = 0.0
        self._wake = asyncio.Event()
        self._flying: dict[int, Flight] = {}
        self._settlement = Settlement()
        self._settling = False
        self._draining = False

    # --- what others tell it

    def wake(self) -> None:
        """There may be something to send."""
        for queue in self.queues:
            queue.rest_until = 0.0
        self._wake.set()

    def ready(self) -> None:
        """The channel has room again."""
        self._wake.set()

    @property
    def in_flight(self) -> int:
        """Messages that were handed over and are not answered."""
        return len(self._flying)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in flight and every answer is on disk."""
        return not (self._flying or self._settling or self._settlement.landed or self._settlement.events)

    # --- out

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            try:
                pause = await self._turn()
            except Exception:  # a full disk, say: nothing was claimed, so nothing is lost by waiting
                log.exception("%s: a claim failed", self.name)
                pause = RETRY_SETTLE_S
            if pause:
                await self._rest(pause)

    async def _rest(self, pause: float) -> None:
        try:
            async with asyncio.timeout(pause):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _turn(self) -> float:
        """One claim and its sending; how long to rest before the next."""
        now = time.monotonic()
        if self.trouble and now >= self._held_until:
            self.trouble = None
        room = 0 if self._draining or self.trouble else self.channel.room()
        most = self._pace.room(now, min(room, BATCH))
        if most <= 0:
            return min(POLL_S, self._pace.wait_s() or POLL_S) if room else POLL_S
        for queue in self._in_order(now):
            parts = queue.pace.room(now, most)
            if parts <= 0:
                continue
            claim = await self._store.write(
                outbox.claim,
                brand=self._brand,
                queue=queue.id,
                epoch=queue.epoch,
                now=self._clock.now_ms(),
                messages=min(parts, BATCH),
                parts=parts,
                gate=self._gate,
            )
            if claim is None:
                log.info("%s: queue %s is gone, or another process owns it now", self.name, queue.id)
                self.queues.remove(queue)
            elif claim.claimed and not self._hand_over(queue, claim.claimed):
                return FULL_S
            if claim is None or claim.looked:
                return 0.0
            queue.rest_until = now + POLL_S
        return min(POLL_S, self._pace.wait_s() or POLL_S)

    def _in_order(self, now: float) -> list[Queue]:
        """Urgent queues first; among bulk ones the one that was served last stands last."""
        return sorted(
            (queue for queue in self.queues if queue.rest_until <= now), key=lambda queue: queue.lane is Lane.BULK
        )

    def _hand_over(self, queue: Queue, batch: list[Claimed]) -> bool:
        """Write the bytes; release what could not be written. False when that was everything."""
        flying = self._flying
        for claimed in batch:
            missing = claimed.outbound.missing
            flying[claimed.outbound.id] = Flight(
                queue, claimed, (1 << claimed.parts) - 1 if missing == ALL_PARTS else missing
            )
        outbounds = [claimed.outbound for claimed in batch]
        untouched = outbounds if self.trouble else self.channel.send(outbounds)  # trouble came during the claim
        released = [flying.pop(outbound.id) for outbound in untouched]
        gone = {id(flight.claimed) for flight in released}
        parts = sum(
            claimed.parts if claimed.outbound.missing == ALL_PARTS else claimed.outbound.missing.bit_count()
            for claimed in batch
            if id(claimed) not in gone
        )
        self._pace.spend(parts)
        queue.pace.spend(parts)
        self.counters.claimed += len(batch)
        if released:
            self._release(released)
        if queue.lane is Lane.BULK:  # the others' turn
            self.queues.remove(queue)
            self.queues.append(queue)
        return len(released) < len(batch)

    def _release(self, flights: list[Flight]) -> None:
        """Nothing left: back into the queue as if it had never been claimed."""
        self.counters.released += len(flights)
        for flight in flights:
            claimed = flight.claimed
            self._again(flight, claimed.due, claimed.outbound.attempt, claimed.outbound.missing)
            self._uncharge(claimed)
        self._settle()

    # --- back

    def answered(self, answers: list[Answer]) -> None:
        """Take the carrier's answers. Called by the channel; returns at once."""
        now = self._clock.now_ms()
        flying, events, brand, name = self._flying, self._settlement.events, self._brand, self.name
        learn, landed, epochs = self._journal.learn, self._settlement.landed, self._settlement.epochs
        for answer in answers:
            flight = flying.get(answer.message)
            if flight is None or flight.claimed.outbound.attempt != answer.attempt:
                continue
            claimed, part = flight.claimed, answer.part
            flight.open = flight.open & ~(1 << part) if part >= 0 else 0
            if answer.failure is None and not answer.in_doubt:
                ref = ref_of(name, answer.carrier_id)
                learn(ref, Leg(claimed.run, answer.message, part, claimed.parts))
                events.append((brand, claimed.run, answer.message, part, claimed.parts, State.SENT, now, "", ref))
                self.counters.sent_parts += 1
            else:
                self._not_taken(flight, answer, now)
            if not flight.open:
                del flying[answer.message]
                if flight.again and not flight.failed:
                    self._try_again(flight, now)
                else:
                    landed.append((flight.queue.id, answer.message))
                    epochs[flight.queue.id] = flight.queue.epoch
        self._settle()
        self._wake.set()

    def _not_taken(self, flight: Flight, answer: Answer, now: int) -> None:
        """A part was refused, or its fate is unknown."""
        claimed, part = flight.claimed, answer.part
        failure = answer.failure
        if failure is None:
            self.counters.doubtful_parts += 1
            if claimed.repeat and claimed.crashes + 1 < outbox.POISON:
                flight.again |= 1 << part
                flight.doubted = True
                return
            self._event(claimed, part, State.IN_DOUBT, "no answer", now)
            return
        if failure.retry is Retry.STOP_CHANNEL:
            self._hold(failure)
        pause = outbox.pause_s(failure, claimed.outbound.attempt, self._chance)
        if pause is not None:
            flight.again |= 1 << part
            flight.pause_s = max(flight.pause_s, pause)
            flight.tried |= failure.retry not in {Retry.THROTTLED, Retry.STOP_CHANNEL}
            return
        flight.failed = True
        self.counters.refused_parts += 1
        self._event(claimed, part, State.FAILED, failure.code, now)
        if claimed.parts == 1 or part < 0:
            self._uncharge(claimed)

    def _hold(self, failure: Failure) -> None:
        """Hold everything back for a while, and say so once; then see whether somebody has mended it."""
        if self.trouble is None:
            self._stopped(self.name, failure)
        self.trouble = failure
        self._held_until = time.monotonic() + HOLD_S

    def _try_again(self, flight: Flight, now: int) -> None:
        """Only the parts that were not taken go back, after a pause; being throttled costs no attempt."""
        self.counters.retried += 1
        outbound = flight.claimed.outbound
        attempt = outbound.attempt + (flight.tried or flight.doubted)
        self._again(flight, now + int(flight.pause_s * 1000), attempt, flight.again)
        self._uncharge(flight.claimed)

    def _again(self, flight: Flight, due: int, attempt: int, missing: int) -> None:
        claimed = flight.claimed
        id_ = claimed.outbound.id
        crashes = claimed.crashes + flight.doubted
        self._settlement.landed.append((flight.queue.id, id_))
        self._settlement.epochs[flight.queue.id] = flight.queue.epoch
        self._settlement.again.append(
            (flight.queue.id, due, id_, self._brand, claimed.person, attempt, missing, crashes)
        )

    def _uncharge(self, claimed: Claimed) -> None:
        if claimed.charged_at:
            self._settlement.uncharge.append((claimed.person, claimed.program, self._brand, claimed.charged_at))

    def _event(self, claimed: Claimed, part: int, state: State, code: str, now: int) -> None:
        self._settlement.events.append(
            (self._brand, claimed.run, claimed.outbound.id, part, claimed.parts, state, now, code, "")
        )

    def _settle(self) -> None:
        """Record everything gathered, in one transaction; what comes meanwhile waits for the next."""
        if self._settling or not (self._settlement.events or self._settlement.landed):
            return
        settlement, self._settlement = self._settlement, Settlement()
        self._settling = True
        self._store.submit(outbox.settle, settlement, done=lambda _, error: self._settled(settlement, error))

    def _settled(self, settlement: Settlement, error: BaseException | None) -> None:
        if error is not None:  # the carrier has answered, so this must be written: try until it is
            log.error("%s: answers could not be recorded, trying again", self.name, exc_info=error)
            asyncio.get_running_loop().call_later(RETRY_SETTLE_S, self._settle_again, settlement)
            return
        self._settling = False
        if settlement.again:
            self.wake()
        self._settle()

    def _settle_again(self, settlement: Settlement) -> None:
        self._store.submit(outbox.settle, settlement, done=lambda _, error: self._settled(settlement, error))

    async def hold(self, timeout_s: float) -> None:
        """Claim nothing more and let answers come in and be recorded, for at most so long."""
        self._draining = True
        end = time.monotonic() + timeout_s
        while not self.is_idle and time.monotonic() < end:
            await self._rest(0.01)

    async def drain(self, timeout_s: float) -> None:
        """Claim nothing more, say goodbye to the carrier, and record what it still had to say."""
        self._draining = True
        await self.channel.drain(timeout_s)
        await self.hold(timeout_s)
