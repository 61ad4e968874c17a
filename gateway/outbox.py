"""Messages that wait for a carrier: put, claimed, settled, each in one transaction."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.errors import Failure, Retry
from gateway.ids import Ids
from gateway.messages import ALL_PARTS, Lane, Outbound, Purpose, State
from gateway.store import Tx

TRIES = 5  # attempts at a part that fails for a reason that may pass
FIRST_PAUSE_S = 15.0
LONGEST_PAUSE_S = 3600.0
THROTTLE_PAUSE_S = 2.0
POISON = 3  # a message that was on the way in so many crashes is given up
MOST_PARTS = 63  # each is a bit of one number in the store


class Message(NamedTuple):
    """One text to one phone as it is kept, in the order of the table's columns.

    `price` is in millionths of the brand's currency for all parts; `valid_until` in milliseconds since
    1970, 0 for no end; `repeat` means at least once: sent again when its fate is in doubt.
    """

    id: int
    brand_id: int
    run: int
    person: int
    purpose: Purpose
    program: str
    channel: str
    sender: str
    address: str
    zone: str
    text: str
    parts: int
    price: int
    valid_until: int = 0
    repeat: int = 0
    answers: int = 0


class Waiting(NamedTuple):
    """One row of the outbox with all that the gate asks about."""

    due: int
    id: int
    person: int
    attempt: int
    missing: int
    crashes: int
    run: int
    purpose: str
    program: str
    sender: str
    address: str
    zone: str
    text: str
    parts: int
    valid_until: int
    repeat: int
    stopped_at: int | None
    reached: bytes | None


class Go(NamedTuple):
    """It may leave now; `reached` is what to remember against the caps, empty for nothing."""

    reached: bytes = b""


class Later(NamedTuple):
    """Not now, but at `due` (milliseconds since 1970)."""

    due: int


class Never(NamedTuple):
    """It must not leave; the reason is for people."""

    reason: str


Gate = Callable[[Waiting, int], Go | Later | Never]


class Claimed(NamedTuple):
    """A message that was claimed: its record is on disk, so bytes may leave."""

    outbound: Outbound
    person: int
    run: int
    program: str
    parts: int
    crashes: int
    repeat: int
    due: int
    charged_at: int  # when the claim was counted against the caps, 0 if it was not


@dataclass(slots=True)
class Settlement:
    """What became of claimed messages, gathered for one transaction.

    `events`, `landed`, `again` and `uncharge` are rows in the order of event_insert, (queue, id),
    outbox_insert, and (person, program, brand, charged at) of caps to be given back. `epochs` are those at which
    the queues were claimed from.
    """

    events: list[tuple[object, ...]] = field(default_factory=list)
    landed: list[tuple[int, int]] = field(default_factory=list)
    again: list[tuple[object, ...]] = field(default_factory=list)
    uncharge: list[tuple[int, str, int, int]] = field(default_factory=list)
    epochs: dict[int, int] = field(default_factory=dict)

    def leave_out(self, queues: set[int]) -> Settlement:
        """Without what only the owner of these queues may do. What the carrier said is true whoever owns them."""
        landed = [row for row in self.landed if row[0] not in queues]
        return Settlement(self.events, landed, [row for row in self.again if row[0] not in queues])


async def ensure_queue(tx: Tx, ids: Ids, brand: int, channel: str, lane: Lane, *, run: int = 0, rate: float = 0) -> int:
    """The queue of this channel, lane and run; made if it is not there."""
    await tx.run("queue_insert", id=ids.next(), brand=brand, channel=channel, lane=lane, run=run, rate=rate)
    found: int = await tx.value("queue_find", brand=brand, channel=channel, lane=lane, run=run)
    return found


async def put(tx: Tx, messages: Sequence[Message], queue: int, due: int) -> None:
    """Keep messages and let them wait in a queue until `due`. All must be of one run.

    Raises ValueError for more parts than can be kept account of.
    """
    longest = max((each.parts for each in messages), default=0)
    if longest > MOST_PARTS:
        raise ValueError(f"a text of {longest} parts: {MOST_PARTS} are the most")
    await tx.many("message_insert", messages)
    await tx.many(
        "outbox_insert", [(queue, due, each.id, each.brand_id, each.person, 0, ALL_PARTS, 0) for each in messages]
    )
    if messages:
        first = messages[0]
        await tx.run("tally_add", run=first.run, state=State.QUEUED, reason="", brand=first.brand_id, n=len(messages))


@dataclass(slots=True)
class Claim:
    """What one claim took and what it must write; `looked` counts the rows that were decided on."""

    looked: int = 0
    claimed: list[Claimed] = field(default_factory=list)
    flights: list[tuple[object, ...]] = field(default_factory=list)
    reached: list[tuple[object, ...]] = field(default_factory=list)
    later: list[tuple[object, ...]] = field(default_factory=list)
    events: list[tuple[object, ...]] = field(default_factory=list)

    def go(self, row: Waiting, reached: bytes, *, brand: int, queue: int, epoch: int, now: int) -> None:
        """Its record goes to disk with this transaction; after that, bytes may leave."""
        id_, person, attempt, missing, crashes = row.id, row.person, row.attempt, row.missing, row.crashes
        self.flights.append((queue, id_, brand, person, attempt, missing, crashes, epoch, now))
        if reached:
            self.reached.append((person, row.program, brand, reached))
        outbound = Outbound(
            id_, attempt, row.sender, row.address, row.text, missing, row.valid_until, crashes > 0
        )  # fmt: skip
        self.claimed.append(
            Claimed(
                outbound, person, row.run, row.program, row.parts, crashes, row.repeat, row.due, now if reached else 0
            )
        )

    async def write(self, tx: Tx) -> None:
        """Four statements at most, each for the whole batch."""
        if self.flights:
            await tx.many("flight_insert", self.flights)
        if self.reached:
            await tx.many("reach_put", self.reached)
        if self.later:
            await tx.many("outbox_insert", self.later)
        if self.events:
            await tx.many("event_insert", self.events)


async def claim(
    tx: Tx, *, brand: int, queue: int, epoch: int, now: int, messages: int, parts: int, gate: Gate
) -> Claim | None:
    """Take what may leave now, at most so many messages and parts. None: the queue is no longer ours.

    The gate is asked inside the transaction, with the stop and the caps as they stand at this moment.
    """
    owned = await tx.rows("queue_state", queue=queue)
    if not owned or owned[0][0] != epoch:
        return None
    taken = Claim()
    if not owned[0][1]:
        return taken
    last = None
    for row in await tx.rows("outbox_due", queue=queue, now=now, limit=messages):
        waiting = Waiting._make(row)
        size = waiting.parts if waiting.missing == ALL_PARTS else waiting.missing.bit_count()
        if size > parts and taken.claimed:
            break
        last = waiting
        taken.looked += 1
        verdict = gate(waiting, now)
        if isinstance(verdict, Go):
            parts -= size
            taken.go(waiting, verdict.reached, brand=brand, queue=queue, epoch=epoch, now=now)
        elif isinstance(verdict, Later):
            due = max(verdict.due, now + 1)
            taken.later.append((queue, due, waiting.id, brand, waiting.person, *waiting[3:6]))
        else:
            state = State.EXPIRED if verdict.reason == EXPIRED else State.REFUSED
            taken.events.append((brand, waiting.run, waiting.id, -1, waiting.parts, state, now, verdict.reason, ""))
    if last is not None:
        await tx.run("outbox_delete_through", queue=queue, due=last.due, id=last.id)
    await taken.write(tx)
    return taken


EXPIRED = "expired"  # the gate's reason for what waited too long


async def settle(tx: Tx, settlement: Settlement) -> None:
    """Record what became of claimed messages.

    Another owner of a queue has decided about its flights: only the answers to them are recorded then.
    """
    lost = {queue for queue, epoch in settlement.epochs.items() if await tx.value("queue_state", queue=queue) != epoch}
    if lost:
        settlement = settlement.leave_out(lost)
    if settlement.events:
        await tx.many("event_insert", settlement.events)
    if settlement.landed:
        by_queue: dict[int, list[int]] = {}
        for queue, id_ in settlement.landed:
            by_queue.setdefault(queue, []).append(id_)
        for queue, ids in by_queue.items():
            await tx.run("flight_delete", queue=queue, ids=ids)
    if settlement.again:
        await tx.many("outbox_insert", settlement.again)
    for person, program, brand, at in settlement.uncharge:
        times = await tx.value("reach_get", person=person, program=program)
        if times:
            await tx.many("reach_put", [(person, program, brand, without(times, at))])


def without(times: bytes, at: int) -> bytes:
    """The times at which a person was reached, 8 octets each, less the one at `at`: others may stand behind it."""
    mark = at.to_bytes(8, "little")
    for start in range(len(times) - 8, -1, -8):
        if times[start : start + 8] == mark:
            return times[:start] + times[start + 8 :]
    return times


async def take_over(tx: Tx, *, brand: int, queue: int, owner: str, now: int) -> int:
    """Become the owner of a queue: raise its epoch and decide about what its last owner left in the air.

    A message that is sent at least once waits again, marked as a possible duplicate; any other is in
    doubt, and shown as such. Returns the new epoch.
    """
    epoch: int = await tx.value("queue_take", queue=queue, owner=owner)
    settlement = Settlement()
    for id_, person, attempt, missing, crashes, _, run, parts, repeat in await tx.rows("flight_left", queue=queue):
        if repeat and crashes + 1 < POISON:
            settlement.again.append((queue, now, id_, brand, person, attempt, missing, crashes + 1))
        else:
            code = "poison" if repeat else "interrupted"
            settlement.events.extend(
                (brand, run, id_, part, parts, State.IN_DOUBT, now, code, "") for part in parts_of(missing, parts)
            )
    await settle(tx, settlement)
    await tx.run("flight_clear", queue=queue)
    return epoch


def parts_of(missing: int, parts: int) -> Iterable[int]:
    """The numbers of the parts whose bits are set."""
    return (part for part in range(parts) if missing >> part & 1)


def pause_s(failure: Failure, attempt: int, chance: random.Random) -> float | None:
    """How long to wait before the next attempt, with full jitter; None when there should be none."""
    if failure.retry in {Retry.THROTTLED, Retry.STOP_CHANNEL}:
        return THROTTLE_PAUSE_S * (1 + chance.random())
    tries = {Retry.LATER: TRIES, Retry.ONCE: 2}.get(failure.retry, 1)
    if attempt + 1 >= tries:
        return None
    longest: float = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 4**attempt)
    return longest * (0.5 + chance.random() / 2)
