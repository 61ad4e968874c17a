"""What becomes of messages that were handed to one channel: each answer is sorted, and all are recorded together."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gateway import failpoints, outbox
from gateway.clock import Clock
from gateway.errors import Failure, Fenced, Retry
from gateway.happenings import Alike
from gateway.ids import Ids
from gateway.journal import Journal, Leg, ref_of
from gateway.messages import ALL_PARTS, NOTHING, Answer, Cargo, State
from gateway.outbox import Flight, Left, Settled, Settlement
from gateway.store import Store
from gateway.watching import EACH, Watch

log = logging.getLogger(__name__)

SENT = int(State.SENT)  # plain: the store takes several times as long to bind a member of an enumeration
AGAIN_S = 1.0  # before what could not be recorded is tried again
DOUBTS_KEPT = 10_000  # doubtful parts whose answer may still come


@dataclass(slots=True)
class Counters:
    """What this channel did since the process started, for metrics."""

    claimed: int = 0
    written_parts: int = 0
    sent_parts: int = 0
    refused_parts: int = 0
    doubtful_parts: int = 0
    retried: int = 0
    released: int = 0
    moved: int = 0


class Tried(NamedTuple):
    """How good a carrier's way was in one batch of answers: parts that it took, phones to which it failed."""

    taken: int
    failed: int


class Settling:
    """The messages that one channel has on the way, until their answers are on disk.

    `elsewhere` gives, by an own number, the channels that may carry its texts; `carries` what each can carry beside
    letters. `stirred` is called when something is back in our queues, `moved` when it is in another channel's,
    `refused` when the carrier wants nothing from us.
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
        chance: random.Random,
        watch: Watch,
        elsewhere: Mapping[str, tuple[str, ...]],
        carries: Mapping[str, frozenset[Cargo]],
        left: Left,
        stirred: Callable[[], None],
        moved: Callable[[], None],
        refused: Callable[[Failure], None],
    ) -> None:
        self.flying: dict[int, Flight] = {}
        self.counters = Counters()
        self.is_busy = False  # a settlement is being written
        self.kept = 0  # settlements that are on disk
        self.doubts: dict[tuple[int, int, int], Leg] = {}  # message, attempt, part: an answer may come after all
        self._name, self._store, self._clock, self._ids, self._brand = name, store, clock, ids, brand
        self._journal, self._chance, self._watch, self.elsewhere = journal, chance, watch, elsewhere
        self.carries = carries
        self._left, self._stirred, self._moved, self._refused = left, stirred, moved, refused
        self._settlement = Settlement()
        self._bad: list[str] = []  # phones to which the carrier's way failed, in this batch of answers

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on the way, and every answer is on disk."""
        return not (self.flying or self.is_busy or self._settlement)

    @property
    def promised(self) -> int:
        """How many settlements are on disk once every answer that has come until now is."""
        return self.kept + self.is_busy + bool(self._settlement)

    def release(self, flights: list[Flight]) -> None:
        """Nothing left: back into the queue as if it had never been claimed."""
        self.counters.released += len(flights)
        for flight in flights:
            self._again(flight, flight.waiting.due, flight.waiting.attempt, flight.waiting.missing)
            self._uncharge(flight)
        self._settle()

    def answered(self, answers: list[Answer]) -> Tried:
        """Sort the carrier's answers, and begin to record them."""
        now = self._clock.now_ms()
        flying, settlement, brand, prefix = self.flying, self._settlement, self._brand, self._name + ":"
        events, claims = settlement.events, settlement.claims
        named: dict[str, Leg] = {}
        alike: defaultdict[int, dict[str, int]] = defaultdict(dict)  # by run: texts of one part that were taken
        sent = 0
        taken: list[tuple[str, str, int]] = []  # some parts whose receipts tell how good the way is
        self._bad.clear()
        for answer in answers:
            message, attempt, part, _, carrier_id, failure, in_doubt = answer
            flight = flying.get(message)
            if flight is None or (waiting := flight.waiting).attempt != attempt:
                self._too_late(answer, now)
                continue
            if failure is None and not in_doubt:
                run, parts = waiting[6], waiting[13]
                ref = prefix + carrier_id if carrier_id else ""
                if parts == 1 and part == 0 and ref and ref not in named:
                    alike[run][ref] = message
                else:
                    events.append((brand, run, message, part, parts, SENT, now, "", ref))
                named[ref] = run, message, part, parts
                sent += 1
                if sent <= EACH:
                    taken.append((ref, waiting.address, flight.claim.at))
            else:
                self._not_taken(flight, answer, now)
            flight.open = flight.open & ~(1 << part) if part >= 0 else 0
            if not flight.open:
                del flying[message]
                claim = flight.claim
                claim.open -= 1
                claims[claim.id] = claim
                if flight.again or flight.failed:
                    self._landed_otherwise(flight, now)
        settlement.alike += [Alike(brand, run, SENT, now, "", refs) for run, refs in alike.items()]
        named.pop("", None)  # where the carrier gave no id
        self._journal.learn_all(named)
        self.counters.sent_parts += sent
        if taken:
            self._watch.sent(self._name, taken, now)
        if self._bad:
            self._watch.failed(self._name, self._bad, now)
        self._settle()
        return Tried(sent, len(self._bad))

    # --- what is not simply taken

    def _landed_otherwise(self, flight: Flight, now: int) -> None:
        flight.claim.is_changed = True
        if flight.again and not flight.failed:
            self._try_again(flight, now)

    def _too_late(self, answer: Answer, now: int) -> None:
        """The carrier took it after all, when we had given up waiting: its receipt may come."""
        leg = self.doubts.pop((answer.message, answer.attempt, answer.part), None)
        if answer.failure is not None or answer.in_doubt:
            return
        ref = ref_of(self._name, answer.carrier_id)
        if leg is None:
            if ref and answer.message not in self.flying:  # of an earlier process, perhaps
                self._settlement.late.append(outbox.Late(self._brand, answer.message, answer.part, ref, now))
            return
        self._journal.learn(ref, leg)
        self._settlement.events.append((self._brand, *leg, State.SENT, now, "", ref))

    def _not_taken(self, flight: Flight, answer: Answer, now: int) -> None:
        """A part was refused, or its fate is unknown."""
        part, failure = answer.part, answer.failure
        bits = flight.open if part < 0 else 1 << part
        if failure is None:
            self._bad.append(flight.waiting.address)
            self._doubt(flight, part, bits)
            return
        if failure.elsewhere or failure.retry is Retry.LATER:
            self._bad.append(flight.waiting.address)
        if failure.retry is Retry.STOP_CHANNEL:
            self._refused(failure)
        if failure.left and flight.waiting.person:
            self._settlement.left.append((flight.waiting.person, f"{self._name}: {failure.words}", now))
        if failure.elsewhere and self._move(flight, bits):
            return
        pause = outbox.pause_s(failure, flight.waiting.attempt, self._chance)
        if pause is not None:
            flight.again |= bits
            flight.pause_s = max(flight.pause_s, pause)
            flight.tried |= failure.retry not in {Retry.THROTTLED, Retry.STOP_CHANNEL}
            return
        flight.failed = True
        self.counters.refused_parts += 1
        self._event(flight, part, State.FAILED, failure.code, now)
        if flight.waiting.parts == 1 or part < 0:
            self._uncharge(flight)

    def _doubt(self, flight: Flight, part: int, bits: int) -> None:
        self.counters.doubtful_parts += 1
        waiting = flight.waiting
        self.doubts[waiting.id, waiting.attempt, part] = (waiting.run, waiting.id, part, waiting.parts)
        if len(self.doubts) > DOUBTS_KEPT:
            del self.doubts[next(iter(self.doubts))]
        pause = outbox.doubt_pause_s(waiting.attempt, self._chance) if waiting.is_sent_again else None
        if pause is not None:
            flight.again |= bits
            flight.doubted = True
            flight.pause_s = max(flight.pause_s, pause)
        code = "no answer" if pause is None else outbox.SENT_AGAIN
        self._event(flight, part, State.IN_DOUBT, code, flight.claim.at)

    def _move(self, flight: Flight, bits: int) -> bool:
        """Give a whole message that this carrier cannot bring to another channel, which does not pass it on."""
        waiting, content = flight.waiting, flight.outbound.content
        ways: Iterable[str] = self.elsewhere.get(waiting.sender, ())
        if content is not None:
            ways = [name for name in ways if content.needs <= self.carries.get(name, NOTHING)]
        way = next((name for name in ways if name not in self._watch.quality.out), None)
        if way is None or bits != (1 << waiting.parts) - 1:
            return False
        claim, now = flight.claim, self._clock.now_ms()
        row = (now, waiting.id, self._brand, waiting.person, waiting.attempt + 1, ALL_PARTS, waiting.crashes)
        self._settlement.moved.append((claim.epoch, claim.queue, way, waiting.run, row))
        self._uncharge(flight)
        claim.is_changed = True
        self.counters.moved += 1
        return True

    def _try_again(self, flight: Flight, now: int) -> None:
        """Only the parts that were not taken go back, after a pause; being throttled costs no attempt."""
        self.counters.retried += 1
        attempt = flight.waiting.attempt + (flight.tried or flight.doubted)
        missing = flight.again
        if not flight.doubted and missing == (1 << flight.waiting.parts) - 1:
            missing = ALL_PARTS  # nothing has left, so that it was not counted against the caps
            self._uncharge(flight)
        self._again(flight, now + int(flight.pause_s * 1000), attempt, missing)
        self._settlement.is_stirred = True

    def _again(self, flight: Flight, due: int, attempt: int, missing: int) -> None:
        """Back into the queue that it was claimed from."""
        claim, waiting = flight.claim, flight.waiting
        if flight.open:
            flight.open = 0
            claim.open -= 1
        claim.is_changed = True
        self._settlement.claims[claim.id] = claim
        row = (claim.queue, due, waiting.id, self._brand, waiting.person, attempt, missing, waiting.crashes)
        self._settlement.again.append((claim.epoch, row))

    def _uncharge(self, flight: Flight) -> None:
        if flight.charged_at:
            waiting, claim = flight.waiting, flight.claim
            row = (waiting.person, waiting.program, self._brand, flight.charged_at)
            self._settlement.uncharge.append((claim.epoch, claim.queue, row))

    def _event(self, flight: Flight, part: int, state: State, code: str, now: int) -> None:
        waiting = flight.waiting
        row = (self._brand, waiting.run, waiting.id, part, waiting.parts, state, now, code, "")
        self._settlement.events.append(row)

    # --- onto the disk

    def _settle(self) -> None:
        """Record everything gathered, in one transaction; what comes meanwhile waits for the next."""
        if self.is_busy or not self._settlement:
            return
        settlement, self._settlement = self._settlement.cut(self._clock.now_ms()), Settlement()
        self.is_busy = True
        self._submit(settlement)

    def _submit(self, settlement: Settlement) -> None:
        def done(settled: Settled | None, error: BaseException | None) -> None:
            self._settled(settlement, settled, error)

        if settlement.left:
            self._store.submit(outbox.settle, settlement, self._ids, self._left, done=done)
        else:
            self._store.submit(outbox.settle_beside, settlement, self._ids, done=done)

    def _settled(self, settlement: Settlement, settled: Settled | None, error: BaseException | None) -> None:
        if isinstance(error, Fenced):  # others have taken this process for dead, and decided about its flights
            log.error("%s: answers of a carrier cannot be recorded: %s", self._name, error)
            return
        if settled is None:  # the carrier has answered, so this must be written: try until it is
            log.error("%s: answers could not be recorded, trying again", self._name, exc_info=error)
            asyncio.get_running_loop().call_later(AGAIN_S, self._submit, settlement)
            return
        failpoints.hit("settled")
        self.is_busy = False
        self.kept += 1
        if settlement.is_stirred:
            self._stirred()
        for ref, *leg in settled.late:
            self._journal.learn(ref, (leg[0], leg[1], leg[2], leg[3]))
        if settled.moved:
            self._moved()
        self._settle()
