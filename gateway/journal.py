"""What happened to every message: appended at once, folded into states and sums a moment later."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from gateway.messages import Receipt, State
from gateway.store import Tx

FOLD_EVENTS = 2_000  # in one transaction: about 10 ms
KEEP_LEGS = 50_000  # parts that wait for a receipt in memory before their carrier id is written to `ref`
DOUBT_REST_MS = 10_000  # how long a receipt waits for its answer before it may settle a doubt
PARKED_MS = 72 * 3_600_000
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
    """How a carrier's id is kept: two carriers may use the same one."""
    return f"{channel}:{carrier_id}"


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
                first, *others = (ref_of(channel, id_) for id_ in receipt.spellings or ("",))
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
    """A receipt that fits no message yet."""

    n: int
    refs: str  # JSON
    fit: str
    state: int
    code: str
    at: int


class Fold:
    """The state of folding between two steps; lives in the writing thread."""

    def __init__(self, brand: int, cursor: int) -> None:
        self.brand = brand
        self.cursor = cursor
        self.legs: dict[str, Waiting] = {}  # by ref, oldest first
        self._ref_of: dict[tuple[int, int], str] = {}  # by message and part
        self._parked: dict[int, Parked] = {}
        self._parked_seen = 0

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
        legs, ref_of_part = self.legs, self._ref_of
        for n, run, message, part, parts, state, at, _, ref in events:
            if ref:
                legs[ref] = Waiting(n, Leg(run, message, part, parts), at)
                ref_of_part[message, part] = ref
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
        """When memory is full, the older half goes to the table, in the order of the key."""
        if len(self.legs) <= KEEP_LEGS:
            return
        oldest = list(self.legs.items())[: len(self.legs) - KEEP_LEGS // 2]
        await tx.many("ref_put", sorted((ref, self.brand, *waiting.leg, waiting.at) for ref, waiting in oldest))
        for ref, waiting in oldest:
            del self.legs[ref]
            self._ref_of.pop((waiting.leg.message, waiting.leg.part), None)
            released.append(ref)

    async def _unpark(self, tx: Tx, now: int) -> None:
        """Give parked receipts their message: the answer has come by now, or exactly one doubt fits."""
        for parked in await tx.all(Parked, "parked_after", n=self._parked_seen):
            self._parked[parked.n] = parked
            self._parked_seen = parked.n
        if not self._parked:
            return
        found: dict[int, Leg] = {}
        for n, parked in self._parked.items():
            first, *others = orjson.loads(parked.refs)
            if first in self.legs:
                found[n] = self.legs[first].leg
                continue
            guess = next((self.legs[ref].leg for ref in others if ref in self.legs), None)
            if guess is not None and await fits(tx, guess, parked.fit):
                found[n] = guess
        rested = [p for n, p in self._parked.items() if n not in found and p.at < now - DOUBT_REST_MS]
        if rested:
            found |= await self._settle_doubts(tx, rested)
        for n, leg in found.items():
            parked = self._parked[n]
            await tx.many("event_insert", [(self.brand, *leg, parked.state, parked.at, parked.code, "")])
        gone = [*found, *(n for n, parked in self._parked.items() if parked.at < now - PARKED_MS)]
        await tx.many("parked_delete", [(n,) for n in gone])
        for n in gone:
            self._parked.pop(n, None)

    async def _settle_doubts(self, tx: Tx, rested: list[Parked]) -> dict[int, Leg]:
        """An unknown receipt settles a doubt only if exactly one doubtful message fits it."""
        doubts: dict[str, list[Leg]] = {}
        for message, run, parts, channel, sender, address in await tx.rows("doubts_fitting"):
            doubts.setdefault(fit_of(channel, sender, address), []).append(Leg(run, message, 0, parts))
        found: dict[int, Leg] = {}
        used: Counter[int] = Counter()
        for parked in rested:
            fitting = doubts.get(parked.fit, [])
            if len(fitting) == 1 and used[fitting[0].message] < fitting[0].parts:
                leg = fitting[0]
                found[parked.n] = leg._replace(part=used[leg.message])
                used[leg.message] += 1
        return found
