"""Sends what waits for one channel: reserve pace, claim, hand over."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway import failpoints, outbox
from gateway.breaking import Breaker
from gateway.channels.base import Channel
from gateway.clock import Clock
from gateway.errors import Failure
from gateway.ids import Ids
from gateway.journal import Journal
from gateway.messages import NOTHING, Answer, Cargo, Content, Lane, Outbound
from gateway.outbox import Claim, Flight, Gate, Go, Later, Left, Never, Waiting, nobody_left
from gateway.pacing import Pace
from gateway.settling import Settling
from gateway.store import Store
from gateway.watching import Watch

log = logging.getLogger(__name__)

POLL_S = 0.25  # how long a message may wait should a wake-up be lost
BATCH = 1_000  # messages in one claim: about 15 ms of the writing thread
GATHER_S = 0.01  # what the pace allows within this time leaves together: a commit for each part would be too dear
TOGETHER_S = 0.005  # a queue that was emptied is looked at again no sooner: a claim for each few costs a third more
SOON_S = 0.001  # the shortest rest, so that a clock that rings a little early makes nobody spin
LEAVES_S = 1.0  # what is claimed leaves within this time, or is released and asked about again
AHEAD = 2  # claims under way: the next is decided while the last is synced, and half the writer's pauses are gone
URGENT_SHARE = 20  # bulk leaves a twentieth of the window free, so that an urgent message need not wait for answers
BULK_WAIT_S = 1.0  # however much is urgent, bulk gets a turn after so long
AGAIN_S = 1.0  # before a claim that failed is tried again
HOLD_S = 60.0  # how long everything is held back after the carrier refused our account or set-up
FULL_S = 0.02  # a long message waits for the window to empty; claiming it again at once would only spin
LET_GO_S = 0.01
WRITTEN_S = 0.005  # by then the bytes have left this process


@dataclass(slots=True)
class Queue:
    """A line of waiting messages that this process owns. `home` is the channel that its messages were meant for."""

    id: int
    lane: Lane
    run: int
    epoch: int
    pace: Pace
    home: str = ""
    slot: int = 0  # of the channel, by which processes divide the queues
    rest_until: float = 0.0  # nothing was due at the last look
    gathers_until: float = 0.0  # what is put in until then is claimed together
    served_at: float = 0.0
    asked: int = 0  # claims that are being written
    asked_parts: int = 0  # what they may come to at most
    is_deep: bool = False  # the last claim left something behind, which may be claimed ahead
    is_stirred: bool = False  # something was put in since the last claim was asked for


@dataclass(frozen=True, slots=True)
class Ways:
    """Which numbers a channel sends from, and who stands in for whom.

    `stands_in` gives, by the number of another channel, the own number from which its texts leave through this one;
    `elsewhere`, by an own number, the channels that may carry its texts, the best first; `rates` are the parts a second
    that own numbers may send, where they are bound to fewer than the channel; `carries` is what each channel can carry
    beside letters.
    """

    stands_in: Mapping[str, str] = field(default_factory=dict)
    elsewhere: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)
    are_bound: bool = False
    carries: Mapping[str, frozenset[Cargo]] = field(default_factory=dict)


class Dispatcher:
    """The sender of one channel.

    `run` is one loop without a task a message: answers come in as lists from the channel, and `Settling` records them.
    """

    def __init__(
        self,
        *,
        name: str,
        store: Store,
        clock: Clock,
        ids: Ids,
        brand: int,
        journal: Journal,
        gate: Gate,
        rate: float,
        chance: random.Random,
        watch: Watch,
        ways: Ways | None = None,
        stopped: Callable[[str, Failure], None] = lambda name, failure: None,
        left: Left = nobody_left,
        moved: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.queues: list[Queue] = []
        self.channel: Channel
        self.ways = ways or Ways()
        self.trouble: Failure | None = None  # why the channel holds everything back, if it does
        self._store, self._clock, self._brand, self._gate, self._stopped = store, clock, brand, gate, stopped
        self._settling = Settling(
            name=name, store=store, clock=clock, ids=ids, brand=brand, journal=journal, chance=chance, watch=watch,
            elsewhere=self.ways.elsewhere, carries=self.ways.carries, left=left, stirred=self.wake, moved=moved,
            refused=self._hold,
        )  # fmt: skip
        self._flying = self._settling.flying
        self.counters = self._settling.counters
        self._now = asyncio.get_running_loop().time
        self.breaker = Breaker(self._now(), chance)
        self._rate, self._part = rate, 1.0
        self._pace = Pace(rate, self._now())
        self._paces = {number: Pace(each, self._now()) for number, each in self.ways.rates.items()}
        self._held_until = 0.0
        self._served = Lane.BULK  # what was claimed from last, be it in vain: or empty queues would keep the turn
        self._asked = self._asked_parts = 0  # claims that are being written, of queues that are gone among them
        self._wake = asyncio.Event()
        self._draining = False
        self._is_held = True  # a slot of the channel is ours

    # --- what others tell it

    def wake(self, among: Collection[int] | None = None) -> None:
        """There may be something to send, in these queues or in any."""
        for queue in self.queues:
            if among is None or queue.id in among:
                queue.rest_until, queue.is_stirred = queue.gathers_until, True
                self._wake.set()

    def share(self, slots: Collection[int], of: int) -> None:
        """Hold these slots of the channel, of so many: their lines, their part of the pace."""
        self.channel.share(slots)
        self._is_held, self._part = bool(slots), len(slots) / of
        self._repace()

    def follow(self, rate: float, ways: Ways) -> None:
        """Go on with another rate and other ways, as a newly applied file has them.

        What was moved here by an earlier way leaves as it was meant to.
        """
        self._rate = rate
        self.ways = replace(ways, stands_in={**self.ways.stands_in, **ways.stands_in})
        self._settling.elsewhere, self._settling.carries = ways.elsewhere, ways.carries
        self._paces = {
            number: self._paces.get(number) or Pace(each, self._now()) for number, each in ways.rates.items()
        }
        self._repace()
        self.wake()

    def _repace(self) -> None:
        now = self._now()
        self._pace.change(self._rate * self._part, now)
        for number, rate in self.ways.rates.items():
            self._paces[number].change(rate * self._part, now)

    async def let_go(self, going: Sequence[Queue], timeout_s: float) -> None:
        """Claim nothing more from these queues; return when the carrier's answers to their messages are on disk.

        They need not be here: what was claimed before they moved to another channel may still be on its way.
        """
        gone = {queue.id for queue in going}
        self.queues = [queue for queue in self.queues if queue.id not in gone]
        end = self._now() + timeout_s
        await self._until(
            lambda: (
                not any(queue.asked for queue in going)
                and not any(each.claim.queue in gone for each in self._flying.values())
            ),
            end,
        )
        settlements = self._settling.promised  # others of this process go on, and theirs need not be waited for
        await self._until(lambda: self._settling.kept >= settlements, end)

    async def _until(self, is_so: Callable[[], bool], end: float) -> None:
        while not is_so() and self._now() < end:  # noqa: ASYNC110  rare, and it has no event of its own
            await asyncio.sleep(LET_GO_S)

    def ready(self) -> None:
        """The channel has room again."""
        self._wake.set()

    @property
    def in_flight(self) -> int:
        """Messages that were handed over and are not answered."""
        return len(self._flying)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is claimed or in flight, and every answer is on disk."""
        return not self._asked and self._settling.is_idle

    # --- out

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            try:
                pause = self._turn()
            except Exception:
                log.exception("%s: nothing could be claimed", self.name)
                pause = AGAIN_S
            if pause:
                await self._rest(pause)
            else:
                await asyncio.sleep(0)

    async def _rest(self, pause: float) -> None:
        try:
            async with asyncio.timeout(pause):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    def _turn(self) -> float:
        """Ask for one claim, if there is room for what it may bring; how long to rest before the next."""
        now = self._now()
        if self.trouble and now >= self._held_until:
            self.trouble = None
        room = 0 if self._draining or self.trouble or not self._is_held else self.channel.room()
        reserve = (room + len(self._flying)) // URGENT_SHARE
        tries = self.breaker.allowance(now)  # few, while a channel that was out is tried again
        coming = self._asked_parts
        most = self._pace.room(now, room) - coming
        if tries is not None:
            most = min(most, tries - coming)
        if self.ways.are_bound:  # to look at more would only put them off, again and again
            most = min(most, sum(pace.peek(now, room) for pace in self._paces.values()) - coming)
        if most <= 0:
            return min(map(_rest_s, (self._pace, *self._paces.values()))) if room and not coming else POLL_S
        rest = min(_rest_s(self._pace), self._resting_s(now))
        for queue in self._in_order(now):
            is_urgent = queue.lane is Lane.URGENT
            free = most if is_urgent else min(most, room - reserve - coming)
            parts = min(queue.pace.room(now, room) - queue.asked_parts, free, BATCH)
            if parts <= 0:
                rest = min(rest, _rest_s(queue.pace))
            elif self._asked < AHEAD + (is_urgent or self._is_owed(queue, now)) and (queue.is_deep or not queue.asked):
                self._ask(queue, parts)
                return 0.0
        return rest

    def _ask(self, queue: Queue, parts: int) -> None:
        """Have a claim written, which is sent at the moment at which it is known to be on the disk."""
        asked = self._now()
        queue.is_stirred = False

        def done(claim: Claim | None, error: BaseException | None) -> None:
            self._count_asked(queue, -1, -parts)
            self._wake.set()
            if error is None:
                self._claimed(queue, claim, asked)
                return
            log.error("%s: a claim failed", self.name, exc_info=error)  # nothing was claimed, so nothing is lost
            queue.rest_until, queue.is_deep = self._now() + AGAIN_S, False

        self._store.submit(
            outbox.claim, brand=self._brand, queue=queue.id, epoch=queue.epoch, now=self._clock.now_ms(),
            messages=parts, parts=parts, gate=self._paced if self._paces else self._gate,
            sender_of=self._sender_of(queue), done=done,
        )  # fmt: skip
        queue.served_at, self._served = asked, queue.lane
        self._count_asked(queue, 1, parts)

    def _count_asked(self, queue: Queue, claims: int, parts: int) -> None:
        queue.asked += claims
        queue.asked_parts += parts
        self._asked += claims
        self._asked_parts += parts

    def _claimed(self, queue: Queue, claim: Claim | None, asked: float) -> None:
        if claim is None:
            log.info("%s: queue %s is gone, or another process owns it now", self.name, queue.id)
            if queue in self.queues:
                self.queues.remove(queue)
            return
        queue.is_deep = claim.is_more
        if not claim.is_more:
            queue.gathers_until = asked + TOGETHER_S
            queue.rest_until = queue.gathers_until if claim.looked or queue.is_stirred else self._now() + POLL_S
        if claim.flights and not self._hand_over(queue, claim, asked):
            queue.rest_until, queue.is_deep = self._now() + FULL_S, False

    def _resting_s(self, now: float) -> float:
        """Until the first queue that rests may be looked at again."""
        soonest = min((each.rest_until for each in self.queues if each.rest_until > now), default=now + POLL_S)
        return max(soonest - now, SOON_S)

    def _sender_of(self, queue: Queue) -> Callable[[str, Content | None], str] | None:
        if queue.home != self.name:
            return self._stand_in
        return self._own if self.ways.stands_in else None

    def _own(self, number: str, _content: Content | None) -> str:
        """A message that was moved here alone leaves from the number that stands in; all others from their own."""
        return self.ways.stands_in.get(number, number)

    def _stand_in(self, number: str, content: Content | None) -> str:
        can = content is None or content.needs <= self.ways.carries.get(self.name, NOTHING)
        return self.ways.stands_in.get(number, "") if can else ""

    def _paced(self, waiting: Waiting, now: int) -> Go | Later | Never:
        """The gate's word, put off while the number has sent all that it may. Runs in the writing thread."""
        pace = self._paces.get(waiting.sender)
        if pace is not None:
            if not pace.room(self._now(), 1):
                return Later(now + 1 + int(pace.wait_s() * 1000))
            verdict = self._gate(waiting, now)
            if isinstance(verdict, Go):
                pace.spend(waiting.parts, self._now())
            return verdict
        return self._gate(waiting, now)

    def _in_order(self, now: float) -> list[Queue]:
        """Urgent queues first, then bulk, the one served last last. Bulk that waited long takes turns with urgent."""

        def place(queue: Queue) -> tuple[int, float]:
            if queue.lane is Lane.URGENT:
                return 1, 0.0
            return 0 if self._is_owed(queue, now) else 2, queue.served_at

        return sorted((queue for queue in self.queues if queue.rest_until <= now), key=place)

    def _is_owed(self, queue: Queue, now: float) -> bool:
        """Bulk that has waited long while urgent was served."""
        return queue.lane is Lane.BULK and self._served is Lane.URGENT and now - queue.served_at > BULK_WAIT_S

    def _hand_over(self, queue: Queue, claim: Claim, asked: float) -> bool:
        """Write the bytes; release what could not be written. False when that was everything."""
        failpoints.hit("claimed")
        flying, flights = self._flying, claim.flights
        for flight in flights:
            flying[flight.waiting.id] = flight
        outbounds = [flight.outbound for flight in flights]
        is_late = self._now() - asked > LEAVES_S  # a slow disk: a STOP may have come, an hour have struck
        if is_late:
            log.warning(
                "%s: a claim took longer than %g s to be written down, nothing of it leaves", self.name, LEAVES_S
            )
        is_over = self.trouble or self._draining or is_late or not self._is_held
        untouched = outbounds if is_over else self._send(flights, outbounds)
        if failpoints.is_set("written"):
            asyncio.get_running_loop().call_later(WRITTEN_S, failpoints.hit, "written")
        released = [flying.pop(outbound.id) for outbound in untouched]
        parts = sum(flight.size for flight in flights) - sum(flight.size for flight in released)
        now = self._now()
        self._pace.spend(parts, now)
        queue.pace.spend(parts, now)
        self.breaker.spent(len(flights) - len(released), self._now())
        self.counters.claimed += len(flights)
        self.counters.written_parts += parts
        if released:
            self._settling.release(released)
        return len(released) < len(flights)

    def _send(self, flights: list[Flight], outbounds: list[Outbound]) -> list[Outbound]:
        try:
            return self.channel.send(outbounds)
        except Exception:  # a fault of the channel: what of it has left, nobody knows
            log.exception("%s: a batch could not be written", self.name)
            doubts = [
                Answer(flight.waiting.id, flight.waiting.attempt, -1, flight.waiting.parts, in_doubt=True)
                for flight in flights
            ]
            asyncio.get_running_loop().call_soon(self.answered, doubts)
            return []

    # --- back

    def answered(self, answers: list[Answer]) -> None:
        """Take the carrier's answers. Called by the channel; returns at once."""
        failpoints.hit("answered")
        tried = self._settling.answered(answers)
        self.breaker.answered(tried.taken, tried.failed, self._now())
        self._wake.set()

    def _hold(self, failure: Failure) -> None:
        """Hold everything back for a while, and say so once; then see whether somebody has mended it."""
        if self.trouble is None:
            self._stopped(self.name, failure)
        self.trouble = failure
        self._held_until = self._now() + HOLD_S
        self.breaker.trouble(failure.words, self._now())

    async def hold(self, timeout_s: float) -> None:
        """Claim nothing more and let answers come in and be recorded, for at most so long."""
        self._draining = True
        end = self._now() + timeout_s
        while not self.is_idle and self._now() < end:
            await self._rest(0.01)

    async def drain(self, timeout_s: float) -> None:
        """Claim nothing more, say goodbye to the carrier, and record what it still had to say."""
        self._draining = True
        await self.channel.drain(timeout_s)
        await self.hold(timeout_s)


def _rest_s(pace: Pace) -> float:
    """Until something may leave again, where the pace is what holds it back."""
    wait = pace.wait_s()
    return min(POLL_S, max(GATHER_S, wait)) if wait else POLL_S
