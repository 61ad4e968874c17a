"""What happened to every message: appended at once, folded into states and sums a moment later."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from gateway.ids import moment
from gateway.messages import Receipt, State
from gateway.store import Tx

FOLD_EVENTS = 2_000  # in one transaction: about 10 ms
KEEP_LEGS = 50_000  # parts that wait for a receipt in memory before their carrier id is written to `ref`
KEEP_EVENTS = 200_000  # how far back the oldest of them may stand: a start reads no more than that again
DOUBT_REST_MS = 10_000  # how long a receipt waits for its answer before it may settle a doubt
DOUBT_LOOK_MS = 2_000  # how often receipts are held against the doubts
PARKED_MS = 72 * 3_600_000
PARKED_MOST = 100_000  # a carrier that sends us another's receipts must not fill our memory: the oldest go
REF_MS = 8 * 86_400_000


class Leg(NamedTuple):
    """One part of one message, as a carrier's id names it."""

    run: int
    message: int
    part: int
    parts: int


@dataclass(slots=True)
class Merged:
    """The fold of one message's events. Every field only grows, so any order gives the same."""

    run: int
    parts: int
    sent: int = 0
    delivered: int = 0
    worst: int = State.QUEUED
    code: str = ""
    state: int = State.QUEUED

    def add(self, part: int, state: int, code: str) -> None:
        """Take in one event; part -1 is the whole message."""
        bits = (1 << self.parts) - 1 if part < 0 else 1 << part
        if state == State.SENT:
            self.sent |= bits
        elif state == State.DELIVERED:
            self.sent |= bits
            self.delivered |= bits
        elif (state, code) > (self.worst, self.code):  # of two codes of one rank the greater: any order, one result
            self.worst, self.code = state, code
        every = (1 << self.parts) - 1
        if self.delivered == every:
            self.state = State.DELIVERED
        elif self.sent == every:
            self.state = max(State.SENT, self.worst)
        else:
            self.state = self.worst

    @property
    def reason(self) -> str:
        """What the sums are grouped by beside the state."""
        return self.code if self.state == self.worst else ""


def ref_of(channel: str, carrier_id: str) -> str:
    """How a carrier's id is kept: two carriers may use the same one. Empty where it gave none, which names nothing."""
    return f"{channel}:{carrier_id}" if carrier_id else ""


def fit_of(channel: str, sender: str, recipient: str) -> str:
    """A hash that a receipt and a doubtful message share when they may belong together."""
    text = f"{channel}\n{sender.lstrip('+')}\n{recipient.lstrip('+')}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


async def fits(tx: Tx, leg: Leg, fit: str) -> bool:
    """Whether a receipt with this hash can be about this message."""
    rows = await tx.rows("message_route", id=leg.message)
    return bool(rows) and fit_of(*rows[0]) == fit


class Journal:
    """The memory beside the event table.

    `learn`, `match` and `release` are called in the event loop, `record` and `fold` in the writing thread.
    A part that was answered is remembered until its receipt has come; only what waits long is written to
    the table `ref`, because a random key in an index costs ten times the row. After a crash the memory is
    read back from the events behind the cursor `ref`.
    """

    def __init__(self, brand: int) -> None:
        self.brand = brand
        self._recent: dict[str, Leg] = {}
        self._fold: Fold | None = None

    def learn(self, ref: str, leg: Leg) -> None:
        """Remember which part a carrier's id names, at once when the answer comes."""
        if ref:
            self._recent[ref] = leg

    def release(self, refs: list[str]) -> None:
        """Forget ids that the fold has settled or written to the table."""
        for ref in refs:
            self._recent.pop(ref, None)

    def match(self, channel: str, receipts: list[Receipt], at: int) -> Arrived:
        """Sort receipts into events of known parts and those whose part must be looked up.

        Only the first spelling of an id is proof alone: decimal and hexadecimal readings of short ids may be
        another message's, so they count only if the phone is the same.
        """
        arrived = Arrived()
        recent = self._recent
        for receipt in receipts:
            ids = receipt.carrier_ids
            leg = recent.get(f"{channel}:{ids[0]}") if ids else None
            if leg is not None:
                arrived.events.append((self.brand, *leg, receipt.state, at, receipt.code, ""))
                continue
            others = (ref_of(channel, each) for each in receipt.spellings[1:])
            guess = next((recent[ref] for ref in others if ref in recent), None)
            arrived.unmatched.append(Unmatched(channel, receipt, at, guess))
        return arrived

    async def record(self, tx: Tx, arrived: Arrived) -> None:
        """Append receipts; those that fit nothing are parked."""
        events = arrived.events
        if arrived.unmatched:
            refs = [ref_of(each.channel, id_) for each in arrived.unmatched for id_ in each.receipt.spellings]
            known = {ref: Leg(*leg) for ref, *leg in await tx.rows("ref_get", refs=refs)}
            for channel, receipt, at, guess in arrived.unmatched:
                first, *others = [ref_of(channel, id_) for id_ in receipt.spellings] or [""]
                fit = fit_of(channel, receipt.sender, receipt.recipient)
                leg = known.get(first)
                if leg is None:
                    other = guess or next((known[ref] for ref in others if ref in known), None)
                    leg = other if other is not None and await fits(tx, other, fit) else None
                if leg is not None:
                    events.append((self.brand, *leg, receipt.state, at, receipt.code, ""))
                    continue
                spellings = orjson.dumps([first, *others]).decode()
                await tx.many("parked_insert", [(self.brand, channel, spellings, fit, receipt.state, receipt.code, at)])
        if events:
            await tx.many("event_insert", events)

    async def fold(self, tx: Tx, now: int) -> Folded:
        """Fold the next events. Call again at once while `more`; call `forget` when a commit has failed."""
        if self._fold is None:
            self._fold = await Fold.load(tx, self.brand)
        return await self._fold.step(tx, now)

    async def recall(self, tx: Tx) -> dict[str, Leg]:
        """At start: the parts that still wait for a receipt."""
        if self._fold is None:
            self._fold = await Fold.load(tx, self.brand)
        found = {ref: waiting.leg for ref, waiting in self._fold.legs.items()}
        for _, run, message, part, parts, _, _, _, ref in await tx.rows(
            "event_after", n=self._fold.cursor, limit=1_000_000
        ):
            if ref:
                found[ref] = Leg(run, message, part, parts)
        return found

    def remember(self, found: dict[str, Leg]) -> None:
        """Take in what `recall` found."""
        self._recent.update(found)

    def forget(self) -> None:
        """The last fold was not committed: read everything again."""
        self._fold = None


@dataclass(slots=True)
class Arrived:
    """Receipts of one read of the socket, sorted."""

    events: list[tuple[object, ...]] = field(default_factory=list)
    unmatched: list[Unmatched] = field(default_factory=list)


class Unmatched(NamedTuple):
    """A receipt whose id is not in memory; `guess` is the part that another spelling of the id names."""

    channel: str
    receipt: Receipt
    at: int
    guess: Leg | None


class Folded(NamedTuple):
    """What one step did: events folded, ids that need no memory any more, and whether more waits."""

    events: int
    released: list[str]
    more: bool


class Waiting(NamedTuple):
    """A part that the carrier took and whose receipt may still come."""

    n: int
    leg: Leg
    at: int


class Parked(NamedTuple):
    """A receipt that fits no message yet; `refs` are its ids in every spelling, the surest first."""

    n: int
    refs: list[str]
    fit: str
    state: int
    code: str
    at: int

    @classmethod
    def read(cls, n: int, refs: str, fit: str, state: int, code: str, at: int) -> Parked:
        """One row; `refs` is JSON."""
        return cls(n, orjson.loads(refs), fit, state, code, at)


class Shelf:
    """The parked receipts, oldest first, found by any of their ids and by what they fit.

    So a fold costs by what is new and not by how many wait.
    """

    def __init__(self) -> None:
        self.receipts: dict[int, Parked] = {}
        self.by_ref: dict[str, list[int]] = {}
        self.by_fit: dict[str, list[int]] = {}

    @property
    def last(self) -> int:
        """The greatest number here. Numbers of receipts that were taken away may be used again, always above this."""
        return next(reversed(self.receipts), 0)

    def put(self, parked: Parked) -> None:
        """Add a receipt."""
        self.receipts[parked.n] = parked
        for ref in filter(None, parked.refs):
            self.by_ref.setdefault(ref, []).append(parked.n)
        self.by_fit.setdefault(parked.fit, []).append(parked.n)

    def take(self, n: int) -> None:
        """Remove a receipt."""
        parked = self.receipts.pop(n)
        for index, keys in ((self.by_ref, filter(None, parked.refs)), (self.by_fit, [parked.fit])):
            for key in keys:
                index[key].remove(n)
                if not index[key]:
                    del index[key]

    def outworn(self, now: int) -> list[int]:
        """Those that have waited for too long, or are too many."""
        found: list[int] = []
        for n, parked in self.receipts.items():
            if parked.at >= now - PARKED_MS and len(self.receipts) - len(found) <= PARKED_MOST:
                break
            found.append(n)
        return found


class Fold:
    """The state of folding between two steps; lives in the writing thread."""

    def __init__(self, brand: int, cursor: int) -> None:
        self.brand = brand
        self.cursor = cursor
        self.legs: dict[str, Waiting] = {}  # by ref, oldest first
        self._ref_of: dict[tuple[int, int], str] = {}  # by message and part
        self._parked = Shelf()
        self._named: list[str] = []  # ids of parked receipts that the last batch of events has named
        self._doubts_at = 0  # when receipts were last held against doubts

    @classmethod
    async def load(cls, tx: Tx, brand: int) -> Fold:
        """Read back where the last process stood."""
        fold = cls(brand, await tx.value("cursor_get", name="fold") or 0)
        behind = await tx.value("cursor_get", name="ref") or 0
        fold._follow(await tx.rows("event_between", after=behind, until=fold.cursor))
        return fold

    def _follow(self, events: list[tuple[Any, ...]]) -> list[str]:
        """Keep track of which carrier ids still matter; returns those that do not. After delivered nothing changes."""
        released: list[str] = []
        legs, ref_of_part, parked = self.legs, self._ref_of, self._parked.by_ref
        for n, run, message, part, parts, state, at, _, ref in events:
            if ref:
                before = legs.pop(ref, None)
                if before is not None:  # a carrier that gives one id to two parts: the later one has it
                    ref_of_part.pop((before.leg.message, before.leg.part), None)
                legs[ref] = Waiting(n, Leg(run, message, part, parts), at)
                ref_of_part[message, part] = ref
                if ref in parked:
                    self._named.append(ref)
            elif state == State.DELIVERED and (message, part) in ref_of_part:
                gone = ref_of_part.pop((message, part))
                legs.pop(gone, None)
                released.append(gone)
        return released

    async def step(self, tx: Tx, now: int) -> Folded:
        """One batch: early receipts matched, events to states and sums, old ids written away."""
        await self._unpark(tx, now)
        events = await tx.rows("event_after", n=self.cursor, limit=FOLD_EVENTS)
        if not events:
            return Folded(0, [], False)
        released = self._follow(events)
        await self._write(tx, await self._merge(tx, events), now)
        self.cursor = events[-1][0]
        await self._write_refs(tx, released)
        behind = next(iter(self.legs.values())).n - 1 if self.legs else self.cursor
        await tx.many("cursor_set", [("fold", self.brand, self.cursor), ("ref", self.brand, min(behind, self.cursor))])
        return Folded(len(events), released, len(events) == FOLD_EVENTS)

    async def _merge(self, tx: Tx, events: list[tuple[Any, ...]]) -> dict[int, tuple[Merged, int, str]]:
        """The new state of every message in the batch, beside its old state and reason."""
        messages = sorted({event[2] for event in events})
        before = {row[0]: row[1:] for row in await tx.rows("state_get", messages=messages)}
        merged: dict[int, tuple[Merged, int, str]] = {}
        for _, run, message, part, parts, state, _, code, _ in events:
            found = merged.get(message)
            if found is None:
                one = Merged(run, parts)
                old = before.get(message)
                if old is not None:
                    one.parts, one.sent, one.delivered, one.worst, one.state, one.code = old
                found = merged[message] = (one, one.state, one.reason)
            found[0].add(part, state, code)
        return merged

    async def _write(self, tx: Tx, merged: dict[int, tuple[Merged, int, str]], now: int) -> None:
        brand = self.brand
        moved: Counter[tuple[int, int, str]] = Counter()
        states = []
        for message, (one, was, why) in sorted(merged.items()):
            states.append(
                (message, brand, one.run, one.parts, one.sent, one.delivered, one.worst, one.state, one.code, now)
            )
            if (was, why) != (one.state, one.reason):
                moved[one.run, was, why] -= 1
                moved[one.run, one.state, one.reason] += 1
        await tx.many("state_put", states)
        await tx.many("tally_add", [(run, state, why, brand, n) for (run, state, why), n in moved.items() if n])

    async def _write_refs(self, tx: Tx, released: list[str]) -> None:
        """When memory is full or reaches too far back, the older half goes to the table, in the order of the key."""
        first = next(iter(self.legs.values()), None)
        if first is None or (len(self.legs) <= KEEP_LEGS and first.n > self.cursor - KEEP_EVENTS):
            return
        spare = len(self.legs) - KEEP_LEGS // 2
        oldest = [
            (ref, waiting)
            for place, (ref, waiting) in enumerate(self.legs.items())
            if place < spare or waiting.n <= self.cursor - KEEP_EVENTS // 2
        ]
        await tx.many("ref_put", sorted((ref, self.brand, *waiting.leg, waiting.at) for ref, waiting in oldest))
        for ref, waiting in oldest:
            del self.legs[ref]
            self._ref_of.pop((waiting.leg.message, waiting.leg.part), None)
            released.append(ref)

    async def _unpark(self, tx: Tx, now: int) -> None:
        """Give parked receipts their message: the answer has come by now, or exactly one doubt fits."""
        shelf = self._parked
        tried = {n for ref in self._named for n in shelf.by_ref.get(ref, ())}
        self._named.clear()
        for parked in await tx.all(Parked.read, "parked_after", n=shelf.last):
            shelf.put(parked)
            tried.add(parked.n)
        if not shelf.receipts:
            return
        found: dict[int, Leg] = {}
        for n in sorted(tried):
            leg = await self._leg_of(tx, shelf.receipts[n])
            if leg is not None:
                found[n] = leg
        if not self._doubts_at <= now < self._doubts_at + DOUBT_LOOK_MS:
            self._doubts_at = now
            await self._settle_doubts(tx, now, found)
        events = [(shelf.receipts[n], leg) for n, leg in found.items()]
        await tx.many("event_insert", [(self.brand, *leg, one.state, one.at, one.code, "") for one, leg in events])
        gone = found.keys() | shelf.outworn(now)
        await tx.many("parked_delete", [(n,) for n in gone])
        for n in gone:
            shelf.take(n)

    async def _leg_of(self, tx: Tx, parked: Parked) -> Leg | None:
        """The part that a parked receipt names."""
        first, *others = parked.refs
        if first in self.legs:
            return self.legs[first].leg
        guess = next((self.legs[ref].leg for ref in others if ref in self.legs), None)
        return guess if guess is not None and await fits(tx, guess, parked.fit) else None

    async def _settle_doubts(self, tx: Tx, now: int, found: dict[int, Leg]) -> None:
        """An unknown receipt settles a doubt only if exactly one doubtful message fits it, and no later one."""
        doubts: dict[str, list[tuple[Leg, int]]] = {}
        for message, run, parts, delivered, *route in await tx.rows("doubts_fitting"):
            doubts.setdefault(fit_of(*route), []).append((Leg(run, message, 0, parts), delivered))
        for fit, fitting in doubts.items():
            if len(fitting) > 1:
                continue
            leg, delivered = fitting[0]
            open_parts = (part for part in range(leg.parts) if not delivered >> part & 1)
            for n in self._parked.by_fit.get(fit, ()):
                parked = self._parked.receipts[n]
                is_about = moment(leg.message) <= parked.at < now - DOUBT_REST_MS and parked.state != State.SENT
                if n not in found and is_about and (part := next(open_parts, None)) is not None:
                    found[n] = leg._replace(part=part)
