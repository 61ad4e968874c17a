"""Messages that wait for a carrier: put, claimed, settled, each in one transaction."""

from __future__ import annotations

import logging
import random
from collections import defaultdict
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from operator import itemgetter
from typing import Any, NamedTuple

from gateway import failpoints, happenings
from gateway.counting import count
from gateway.errors import Failure, Retry, StoreError
from gateway.happenings import Alike
from gateway.ids import Ids
from gateway.messages import ALL_PARTS, Content, Lane, Outbound, Purpose, State
from gateway.store import Tx, beside

log = logging.getLogger(__name__)

TRIES = 5  # attempts at a part that fails for a reason that may pass
FIRST_PAUSE_S = 15.0
LONGEST_PAUSE_S = 3600.0
THROTTLE_PAUSE_S = 2.0
DOUBT_PAUSE_S = 1.0  # before what must arrive is sent again because no answer came
POISON = 3  # a message that was on the way in so many crashes is given up
_id_of, _parts_of = itemgetter(0), itemgetter(11)  # of a row of a message: half the time of the named tuple
_person_of = itemgetter(2)  # of a row that waits
MOST_PARTS = 63  # each is a bit of one number in the store
AGAIN, MORE = 1, 2  # bits of `repeat`: sent again when its fate is in doubt; there is more than its letters


class Message(NamedTuple):
    """One text to one phone as it is kept, in the order of the table's columns.

    `price` is in millionths of the brand's currency for all parts; `valid_until` in milliseconds since
    1970, 0 for no end; `repeat` holds AGAIN where it is sent at least once, and MORE where its content is kept beside.
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
    reached: str | None  # the times at which the caps counted, 8 octets each, as hexadecimal text; may be empty

    @property
    def is_sent_again(self) -> bool:
        """Whether it is sent at least once."""
        return self.repeat & AGAIN > 0


class Go(NamedTuple):
    """It may leave now; `reached` is what to remember against the caps, empty for nothing.

    `until` is when the phone must not get it any more (the end of the person's hours), 0 where there is no such time:
    the carrier, too, must not bring it later.
    """

    reached: bytes = b""
    until: int = 0


class Later(NamedTuple):
    """Not now, but at `due` (milliseconds since 1970)."""

    due: int


class Never(NamedTuple):
    """It must not leave; the reason is for people."""

    reason: str


# One with the mark `judges_kinds` says the same of messages that differ in nothing but id, person, phone and text.
Gate = Callable[[Waiting, int], Go | Later | Never]
KIND = tuple(place for place, name in enumerate(Waiting._fields) if name not in {"id", "person", "address", "text"})
_waiting = partial(tuple.__new__, Waiting)  # the own constructor costs thrice as much, for each of a thousand
_outbound = partial(tuple.__new__, Outbound)
Left = Callable[[Tx, int, str, int], Coroutine[Any, Any, None]]  # person, why, when: a STOP that the carrier told us of


async def nobody_left(tx: Tx, person: int, why: str, at: int) -> None:
    """Where no carrier keeps a list of its own."""


class Claim:
    """Messages that were claimed together, and what the claim wrote; `looked` counts the rows that were decided on.

    `is_more`: it left some behind that were due, or may have.

    `id` names its row on disk, which is there until every message has landed.
    """

    __slots__ = ("at", "epoch", "flights", "id", "is_changed", "is_more", "looked", "open", "queue", "written_at")

    def __init__(self, queue: int, epoch: int, at: int) -> None:
        self.id = 0
        self.queue = queue
        self.epoch = epoch
        self.at = at
        self.written_at = at  # when its row was written
        self.looked = 0
        self.is_more = False
        self.flights: list[Flight] = []
        self.open = 0  # flights that have not landed
        self.is_changed = False  # some have landed otherwise than by being taken whole: the row must say so

    def left(self) -> list[tuple[int, int, int, int, int]]:
        """The messages that have not landed, as the row keeps them: the parts not answered, and those to go again."""
        return [flight.row(flight.open | flight.again) for flight in self.flights if flight.open]


class Flight:
    """A claimed message: its record is on disk, so bytes may leave. It has landed when no part is open.

    `open` has a bit for each part without an answer, `again` for each that is to be sent again.
    """

    # What is rarely set stands here once for all: a flight is made for every message.
    again = 0
    pause_s = 0.0
    tried = False  # a refused part has cost an attempt; being throttled costs none
    failed = False  # a part is refused for good, so the others are not tried again
    doubted = False  # no answer came to a part, and it is to be sent again all the same

    def __init__(self, claim: Claim, waiting: Waiting, outbound: Outbound, size: int, charged_at: int) -> None:
        self.claim = claim
        self.waiting = waiting
        self.outbound = outbound
        self.size = size  # parts to be written
        self.charged_at = charged_at  # when the claim was counted against the caps, 0 if it was not
        self.open = waiting[4] if waiting[4] != ALL_PARTS else (1 << size) - 1

    def row(self, missing: int) -> tuple[int, int, int, int, int]:
        """What the disk keeps of it while it is on the way."""
        waiting = self.waiting
        return waiting.id, waiting.person, waiting.attempt, missing, waiting.crashes


class Late(NamedTuple):
    """An answer to a message that this process does not have on the way."""

    brand: int
    message: int
    part: int
    ref: str
    at: int


class Settled(NamedTuple):
    """Queues into which something was moved, and what late answers name: a ref, then run, message, part, parts."""

    moved: list[int]
    late: list[tuple[str, int, int, int, int]]


@dataclass(slots=True)
class Settlement:
    """What became of claimed messages, gathered for one transaction.

    `events` are rows of event_insert, `alike` what is the same for many; `again` is (epoch, a row of outbox_insert);
    `moved` is (epoch, queue, channel, run, the rest of such a row) of what another channel shall carry; `uncharge` is
    (epoch, queue, (person, program, brand, charged at)) of caps to be given back; `left` is (person, why, at) of people
    who have left by what the carrier says. `claims` are those from which something has landed: `cut` makes of them what
    their rows on disk say.
    """

    events: list[tuple[object, ...]] = field(default_factory=list)
    alike: list[Alike] = field(default_factory=list)
    claims: dict[int, Claim] = field(default_factory=dict)
    again: list[tuple[int, tuple[int, int, int, int, int, int, int, int]]] = field(default_factory=list)
    moved: list[tuple[int, int, str, int, tuple[int, int, int, int, int, int, int]]] = field(default_factory=list)
    uncharge: list[tuple[int, int, tuple[int, str, int, int]]] = field(default_factory=list)
    left: list[tuple[int, str, int]] = field(default_factory=list)
    late: list[Late] = field(default_factory=list)
    is_stirred: bool = False  # what an answer sent back into the queue may be due soon
    owned: set[tuple[int, int]] = field(default_factory=set)  # queue and the epoch at which it was claimed from
    done: list[int] = field(default_factory=list)  # claims of which nothing is on the way any more
    changed: list[tuple[int, list[tuple[int, int, int, int, int]]]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.events or self.alike or self.claims or self.late)

    def cut(self, now: int) -> Settlement:
        """Close it: later answers belong to the next one."""
        for claim in self.claims.values():
            self.owned.add((claim.queue, claim.epoch))
            if not claim.open:
                self.done.append(claim.id)
                claim.flights.clear()  # each knows its claim: without this only the collector of cycles would free them
            elif claim.is_changed or now - claim.written_at > LONG_MS:
                self.changed.append((claim.id, claim.left()))
                claim.is_changed, claim.written_at = False, now
        self.claims.clear()
        return self

    def leave_out(self, lost: set[tuple[int, int]]) -> None:
        """Drop what only the owner of these queues may do: the next owner has decided about their flights.

        What the carrier said is true whoever owns them. Rows of claims that the next owner has cleared are not there.
        """
        self.again = [row for row in self.again if (row[1][0], row[0]) not in lost]
        self.moved = [row for row in self.moved if (row[1], row[0]) not in lost]
        self.uncharge = [row for row in self.uncharge if (row[1], row[0]) not in lost]


LONG_MS = 5_000  # a claim that is open for so long is written anew, so that a start need not read the journal far back


async def ensure_queue(
    tx: Tx, ids: Ids, brand: int, channel: str, lane: Lane, *, run: int = 0, rate: float = 0, shard: int = 0
) -> int:
    """The queue of this channel, lane, run and shard; made if it is not there."""
    key = {"brand": brand, "channel": channel, "lane": lane, "run": run, "shard": shard}
    await tx.run("queue_insert", **key, id=ids.next(), rate=rate)
    found: int = await tx.value("queue_find", **key)
    return found


class Filling(NamedTuple):
    """New messages of one run, as rows of message_insert, for one queue at one time."""

    queue: int
    due: int
    messages: Sequence[tuple[Any, ...]]


WORK = "work"  # told of to all processes where there may be something to send
MOST_NAMED = 50  # queues in one word to others: it holds at most 8,000 octets


def work_in(queues: Collection[int]) -> str:
    """The topic that there is something to send in these queues; in any, where they are many."""
    return f"{WORK} {' '.join(map(str, queues))}" if len(queues) <= MOST_NAMED else WORK


def queues_of(topic: str) -> list[int] | None:
    """In which queues something waits by this topic; None for any, also where something may have been missed.

    Empty for a topic of another kind.
    """
    kind, _, queues = topic.partition(" ")
    return ([*map(int, queues.split())] or None) if kind in (WORK, "") else []


async def put_all(tx: Tx, fillings: Sequence[Filling], *others: tuple[str, list[tuple[Any, ...]]]) -> None:
    """`put` for several queues, together with plain inserts of `others` (a query and its rows), in one trip."""
    messages: list[tuple[Any, ...]] = []
    waiting: list[tuple[Any, ...]] = []
    sums: dict[tuple[int, int, str, int], int] = {}
    for queue, due, new in fillings:
        _bounded(new)
        first = new[0]
        messages += new
        waiting += [(queue, due, each[0], each[1], each[3], 0, ALL_PARTS, 0) for each in new]
        key = first[2], int(State.QUEUED), "", first[1]
        sums[key] = sums.get(key, 0) + len(new)
        tx.after_commit(count, "accepted", first[6], len(new))
    if fillings:
        tx.notify(work_in({filling.queue for filling in fillings}))
    # The sums come last: their rows are everybody's, and locked until the commit.
    await tx.keep(
        *others, ("message_insert", messages), ("outbox_insert", waiting),
        ("tally_add", [(*key, n) for key, n in sums.items()]),
    )  # fmt: skip


def _bounded(messages: Sequence[tuple[Any, ...]]) -> None:
    longest = max(map(_parts_of, messages), default=0)
    if longest > MOST_PARTS:
        raise ValueError(f"a text of {longest} parts: {MOST_PARTS} are the most")


async def put(tx: Tx, messages: Sequence[tuple[Any, ...]], queue: int, due: int) -> None:
    """Keep messages and let them wait in a queue until `due`. All must be of one run.

    Raises ValueError for more parts than can be kept account of.
    """
    _bounded(messages)
    await tx.many("message_insert", messages)
    if messages:
        tx.notify("work")
        first = messages[0]
        await tx.run("outbox_fill", queue=queue, due=due, ids=[*map(_id_of, messages)])
        tx.after_commit(count, "accepted", first[6], len(messages))
        await tx.run("tally_add", run=first[2], state=State.QUEUED, reason="", brand=first[1], n=len(messages))


SENT_AGAIN = "being sent again"  # why a message was in doubt that waits once more; any final word comes after b
EXPIRED = "expired"  # the gate's reason for what waited too long
BLANKED = "blanked"  # why what a program has blanked does not leave


@beside
async def claim(
    tx: Tx,
    *,
    brand: int,
    queue: int,
    epoch: int,
    now: int,
    messages: int,
    parts: int,
    gate: Gate,
    sender_of: Callable[[str, Content | None], str] | None = None,
) -> Claim | None:
    """Take what may leave now, at most so many messages and parts. None: the queue is no longer ours.

    The gate is asked inside the transaction, with the stop and the caps as they stand at this moment. `sender_of`
    says from which number a channel sends what was meant to leave from another; empty where it cannot, or not carry
    such a content, and then the message waits on. Claims of several processes take turns: two at once could reach one
    person beyond a cap.
    """
    await tx.turn("claim")
    owned, found, numbered = await tx.look(
        ("queue_state", {"queue": queue}),
        ("outbox_due", {"queue": queue, "epoch": epoch, "now": now, "limit": messages}),
        ("flight_next", {}),
    )
    if not owned or owned[0][0] != epoch:
        return None
    taken = Claim(queue, epoch, now)
    if not owned[0][1]:
        return taken
    taken.id = numbered[0][0]
    decided = _decide_alike(taken, found, parts, gate, sender_of)
    if decided is None:
        decided = await _decide_each(tx, taken, brand, found, parts, gate, sender_of)
    taken.is_more = taken.looked < len(found) or len(found) == messages
    await _take(tx, taken, brand, found[: taken.looked], decided.left)
    await _charge(tx, brand, decided.reached)
    await _put_off(tx, decided.later, decided.events)
    failpoints.hit("claim")
    return taken


@dataclass(slots=True)
class _Decided:
    """What a claim writes down: what is on the way (as Flight.row has it), whom it counts, what waits on or is over."""

    left: list[tuple[object, ...]] = field(default_factory=list)
    reached: defaultdict[tuple[str, bytes], list[int]] = field(default_factory=lambda: defaultdict(list))
    later: list[tuple[object, ...]] = field(default_factory=list)
    events: list[tuple[object, ...]] = field(default_factory=list)


def _decide_alike(
    taken: Claim, found: Sequence[tuple[Any, ...]], parts: int, gate: Gate,
    sender_of: Callable[[str, Content | None], str] | None,
) -> _Decided | None:  # fmt: skip
    """Decide once about new messages that differ in nothing but id, person, phone and text, as those of a campaign.

    None where they are not alike, somebody is among them twice, or they may not all leave: then each is asked about.
    """
    if len(found) <= FEW or not getattr(gate, "judges_kinds", False):
        return None
    sample = Waiting(*found[0])
    fits = found[: max(parts // sample.parts, 1)] if sample.parts else found
    columns = list(zip(*fits, strict=True))
    _, ids, people, _, _, _, _, _, _, _, addresses, _, texts, *_ = columns
    if sample.missing != ALL_PARTS or sample.repeat >= MORE or len({*people}) < len(fits) or "" in texts:
        return None
    if any(columns[place].count(sample[place]) < len(fits) for place in KIND):
        return None
    verdict = gate(sample, taken.at)
    sender = sender_of(sample.sender, None) if sender_of is not None else sample.sender
    if not (isinstance(verdict, Go) and sender):
        return None
    charge, until = verdict
    until = min(until, sample.valid_until) if until and sample.valid_until else until or sample.valid_until
    attempt, size, charged_at = sample.attempt, sample.parts, taken.at if charge else 0
    outbounds = zip(
        ids, repeat(attempt), repeat(sender), addresses, texts, repeat(ALL_PARTS), repeat(until), repeat(None)
    )  # fmt: skip
    taken.looked = len(fits)
    taken.flights += [
        Flight(taken, waiting, outbound, size, charged_at)
        for waiting, outbound in zip(map(_waiting, fits), map(_outbound, outbounds), strict=True)
    ]
    decided = _Decided([*zip(*columns[1:6], strict=True)])
    if charge:
        decided.reached[sample.program, charge] += people
    return decided


async def _decide_each(
    tx: Tx, taken: Claim, brand: int, found: Sequence[tuple[Any, ...]], parts: int, gate: Gate,
    sender_of: Callable[[str, Content | None], str] | None,
) -> _Decided:  # fmt: skip
    """Ask about one message after the other, until the parts are used up."""
    decided = _Decided()
    queue, now, flights = taken.queue, taken.at, taken.flights
    left, reached, later, events = decided.left, decided.reached, decided.later, decided.events
    charged: set[tuple[int, str]] = set()
    is_met_again = len({*map(_person_of, found)}) < len(found)
    contents: dict[int, Content | None] = {}
    for row in found:
        waiting = _waiting(row)
        (
            _, id_, person, attempt, missing, _, run, _, program, sender, address, _, text, size, valid_until, kept,
            *_,
        ) = row  # fmt: skip
        whole = size
        if missing != ALL_PARTS:
            size = missing.bit_count()
        if (size > parts and flights) or (is_met_again and (person, program) in charged):
            break  # whom this claim has counted against a cap is asked about again by the next
        taken.looked += 1
        verdict = gate(waiting, now)
        content = await _content(tx, contents, found, id_) if kept >= MORE else None
        if content is None and (kept >= MORE or not text):
            verdict = Never(BLANKED)
        elif sender_of is not None and not (sender := sender_of(sender, content)):
            verdict = Later(now + ELSEWHERE_MS)
        if isinstance(verdict, Go):
            parts -= size
            charge, until = verdict
            until = min(until, valid_until) if until and valid_until else until or valid_until
            outbound = _outbound((id_, attempt, sender, address, text, missing, until, content))
            flights.append(Flight(taken, waiting, outbound, size, now if charge else 0))
            left.append(row[1:6])
            if charge:
                reached[program, charge].append(person)
                if is_met_again:
                    charged.add((person, program))
        elif isinstance(verdict, Later):
            later.append((queue, max(verdict.due, now + 1), id_, brand, person, *row[3:6]))
        else:
            state = State.EXPIRED if verdict.reason == EXPIRED else State.REFUSED
            events.append((brand, run, id_, -1, whole, state, now, verdict.reason, ""))
    return decided


async def _content(
    tx: Tx, known: dict[int, Content | None], found: Sequence[tuple[Any, ...]], id_: int
) -> Content | None:
    """What one of these rows is beyond its letters, None where it was blanked; all that are more are asked at once."""
    if not known:
        ids = [row[1] for row in found if row[15] >= MORE]
        known.update(dict.fromkeys(ids))
        known.update((each, Content.read(written)) for each, written in await tx.rows("message_contents", ids=ids))
    return known[id_]


async def _put_off(tx: Tx, later: list[tuple[object, ...]], events: list[tuple[object, ...]]) -> None:
    """What waits on, and what will never leave."""
    for query, rows in (("outbox_insert", later), ("event_insert", events)):
        if rows:
            await tx.many(query, rows)


async def _take(
    tx: Tx, taken: Claim, brand: int, found: Sequence[tuple[Any, ...]], left: list[tuple[object, ...]]
) -> None:
    """Out of the outbox with all that was decided on, and down with what goes: bytes may leave after the commit."""
    if found:
        dues, ids = zip(*(row[:2] for row in found), strict=True)
        await tx.post("outbox_take", queue=taken.queue, due=dues[-1], id=ids[-1], dues=dues, ids=ids)
    if taken.flights:
        taken.open = len(taken.flights)
        await tx.post(
            "flight_insert", id=taken.id, queue=taken.queue, brand=brand, epoch=taken.epoch, now=taken.at, messages=left
        )  # fmt: skip


async def _charge(tx: Tx, brand: int, reached: Mapping[tuple[str, bytes], Sequence[int]]) -> None:
    """Count messages against the caps: what to remember of whom, by programme."""
    few: list[tuple[object, ...]] = []
    for (program, times), people in reached.items():
        if len(people) > FEW:
            await tx.run("reach_set", people=[*dict.fromkeys(people)], program=program, brand=brand, times=times)
        else:
            few += [(person, program, brand, times) for person in people]
    if few:
        await tx.many("reach_put", few)


FEW = 10  # people to whom a statement of their own would cost more than it saves


ELSEWHERE_MS = 60_000  # how long what this channel cannot carry for another waits before it is looked at again


async def settle(tx: Tx, settlement: Settlement, ids: Ids, left: Left = nobody_left) -> Settled:
    """Record what became of claimed messages.

    Another owner of a queue has decided about its flights: only the answers to them are recorded then.
    """
    if settlement.uncharge:
        await tx.turn("claim")  # nobody else may count against the caps meanwhile
    lost: set[tuple[int, int]] = set()
    if settlement.again or settlement.moved or settlement.uncharge:  # else there is nothing that only the owner may do
        lost = {own for own in settlement.owned if await tx.value("queue_state", queue=own[0]) != own[1]}
    if lost:
        settlement.leave_out(lost)
    await happenings.record(tx, settlement.events, settlement.alike)
    if settlement.done:
        await tx.post("flight_delete", ids=settlement.done)
    for claim_id, messages in settlement.changed:
        await tx.post("flight_update", id=claim_id, messages=messages)
    if settlement.again:
        await tx.many("outbox_insert", [row for _, row in settlement.again])
    moved = []
    for _, _, channel, run, row in settlement.moved:
        queue = await ensure_queue(tx, ids, row[2], channel, Lane.BULK if run else Lane.URGENT, run=run)
        await tx.many("outbox_insert", [(queue, *row)])
        moved.append(queue)
    if settlement.uncharge:
        await _uncharge(tx, [row for _, _, row in settlement.uncharge])
    for person, why, at in settlement.left:
        await see_off(tx, left, person, why, at)
    late = await _record_late(tx, settlement.late)
    failpoints.hit("settle")
    return Settled(moved, late)


@beside
async def settle_beside(tx: Tx, settlement: Settlement, ids: Ids) -> Settled:
    """The same where nobody has left by what the carrier says: a STOP must be alone."""
    return await settle(tx, settlement, ids)


async def see_off(tx: Tx, left: Left, person: int, why: str, at: int) -> None:
    """Obey what a carrier says of somebody who left; whatever goes wrong with that, all else must be recorded."""
    try:
        if person:
            await tx.attempt(left, person, why, at)
    except StoreError:
        raise
    except Exception:
        log.exception("what a carrier says of somebody who left could not be obeyed")


async def _record_late(tx: Tx, late: list[Late]) -> list[tuple[str, int, int, int, int]]:
    """Answers to messages of which this process knows nothing any more: the carrier took them all the same."""
    if not late:
        return []
    sizes = await tx.rows("message_sizes", ids=[each.message for each in late])
    known = {id_: (run, parts) for id_, _, run, parts in sizes}
    events: list[tuple[object, ...]] = []
    learned = []
    for brand, message, part, ref, at in late:
        if message in known:
            run, parts = known[message]
            events.append((brand, run, message, part, parts, State.SENT, at, "", ref))
            learned.append((ref, run, message, part, parts))
    await tx.many("event_insert", events)
    return learned


async def _uncharge(tx: Tx, rows: list[tuple[int, str, int, int]]) -> None:
    """Give caps back: person, programme, brand, and when it was counted."""
    people = sorted({person for person, *_ in rows})
    reached = {(person, program): times for person, program, times in await tx.rows("reach_among", people=people)}
    changed: dict[tuple[int, str], tuple[int, str, int, bytes]] = {}
    for person, program, brand, at in rows:
        if times := reached.get((person, program)):
            reached[person, program] = left = without(times, at)
            changed[person, program] = (person, program, brand, left)
    await tx.many("reach_put", [*changed.values()])


def without(times: bytes, at: int) -> bytes:
    """The times at which a person was reached, 8 octets each, less the one at `at`: others may stand behind it."""
    mark = at.to_bytes(8, "little")
    for start in range(len(times) - 8, -1, -8):
        if times[start : start + 8] == mark:
            return times[:start] + times[start + 8 :]
    return times


async def take_over(tx: Tx, *, brand: int, queue: int, owner: str, now: int) -> int:
    """Become the owner of a queue: raise its epoch and decide about what its last owner left in the air.

    A message that is sent at least once waits again, and its events say that it may come twice; any other is in
    doubt, and shown as such. What has an event behind its claim was answered. Returns the new epoch.
    """
    epoch: int = await tx.value("queue_take", queue=queue, owner=owner)
    flying = await tx.rows("flight_left", queue=queue)
    answered, failed = await _answered(tx, flying)
    events: list[tuple[object, ...]] = []
    again: list[tuple[object, ...]] = []
    for id_, person, attempt, missing, crashes, since, at, run, parts, kept in flying:
        every = (1 << parts) - 1
        silent = every & missing & ~answered.get((id_, since), 0)
        if not silent:
            continue
        code = "poison" if crashes + 1 >= POISON else "interrupted"
        if kept & AGAIN and crashes + 1 < POISON and id_ not in failed:
            again.append((queue, now, id_, brand, person, attempt, silent, crashes + 1))
            code = SENT_AGAIN
        events += [(brand, run, id_, part, parts, State.IN_DOUBT, at, code, "") for part in parts_of(silent, parts)]
    await tx.many("event_insert", events)
    await tx.many("outbox_insert", again)
    await tx.run("flight_clear", queue=queue)
    return epoch


async def _answered(tx: Tx, flying: list[tuple[Any, ...]]) -> tuple[dict[tuple[int, int], int], set[int]]:
    """The parts of each message and claim that something was told about since, and the messages that have failed."""
    bits: dict[tuple[int, int], int] = {}
    failed: set[int] = set()
    since = {row[0]: row[5] for row in flying}
    if since:
        rows = await tx.rows("flight_answered", since=min(since.values()), ids=list(since), again=SENT_AGAIN)
        for message, part, state, n in rows:
            if n > since[message]:
                key = message, since[message]
                bits[key] = ALL_PARTS if part < 0 else bits.get(key, 0) | 1 << part
                failed |= {message} if State.STOPPED <= state <= State.FAILED else set()
    return bits, failed


def parts_of(missing: int, parts: int) -> Iterable[int]:
    """The numbers of the parts whose bits are set."""
    return (part for part in range(parts) if missing >> part & 1)


def doubt_pause_s(attempt: int, chance: random.Random) -> float | None:
    """How long to wait before what must arrive is sent again; None when it was tried often enough."""
    return None if attempt + 1 >= TRIES else DOUBT_PAUSE_S * 4.0**attempt * (0.5 + chance.random() / 2)


def pause_s(failure: Failure, attempt: int, chance: random.Random) -> float | None:
    """How long to wait before the next attempt, with full jitter; None when there should be none."""
    if failure.retry in {Retry.THROTTLED, Retry.STOP_CHANNEL}:
        return THROTTLE_PAUSE_S * (1 + chance.random())
    tries = {Retry.LATER: TRIES, Retry.ONCE: 2}.get(failure.retry, 1)
    if attempt + 1 >= tries:
        return None
    longest: float = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 4**attempt)
    return longest * (0.5 + chance.random() / 2)
