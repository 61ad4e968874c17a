"""What carriers said of every part: appended at once, folded into states and sums a moment later.

A part that was answered is remembered until its receipt has come, because a random key in an index costs ten times
the row: only what waits long is written to the table `ref`. After a crash the memory is read back from the events
behind the cursor `ref`. All of the memory lives in the event loop; the writing thread only gets rows.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from gateway import failpoints, happenings
from gateway.channels.base import Deliveries
from gateway.happenings import Alike
from gateway.ids import first_at
from gateway.messages import Receipt, State
from gateway.quality import Quality
from gateway.store import Store, Tx, beside
from gateway.watching import Watch

DELIVERED = int(State.DELIVERED)  # plain: a member of an enumeration takes the store several times as long
FOLD_EVENTS = 4_000  # in one transaction: about 15 ms
KEEP_LEGS = 100_000  # parts that wait for a receipt in memory, in each of two generations
KEEP_EVENTS = 400_000  # how far back the oldest of them may stand: a start reads no more than that again
KEEP_DONE = 20_000  # ids that are known to be delivered, in each of two generations
KEEP_MS = 10 * 60_000  # how long a generation grows at most: then the carrier is asked about what is left of it
REF_ROWS = 2_000  # written to `ref` in one transaction
DOUBT_REST_MS = 10_000  # how long a receipt waits for its answer before it may settle a doubt
DOUBT_LOOK_MS = 2_000  # how often receipts are held against the doubts
SHELF_LOOK_MS = 30_000
SHELF_BACK = 5_000
PARKED_MS = 72 * 3_600_000
PARKED_MOST = 100_000  # a carrier that sends us another's receipts must not fill our memory: the oldest go
REF_MS = 8 * 86_400_000

TellFates = Callable[[Tx], Coroutine[Any, Any, None]]  # asked in each fold, while what it changed is there to be read
Leg = tuple[int, int, int, int]  # run, message, part, parts: what a carrier's id names; a plain tuple, for its speed


async def nobody_told(tx: Tx) -> None:
    """Where no program is told anything."""


def ref_of(channel: str, carrier_id: str) -> str:
    """How a carrier's id is kept: two carriers may use the same one. Empty where it gave none, which names nothing."""
    return f"{channel}:{carrier_id}" if carrier_id else ""


def fit_of(channel: str, sender: str, recipient: str) -> str:
    """A hash that a receipt and a doubtful message share when they may belong together."""
    text = f"{channel}\n{sender.lstrip('+')}\n{recipient.lstrip('+')}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


async def fits(tx: Tx, leg: Leg, fit: str) -> bool:
    """Whether a receipt with this hash can be about this message."""
    rows = await tx.rows("message_route", id=leg[1])
    return bool(rows) and fit_of(*rows[0]) == fit


class Unmatched(NamedTuple):
    """A receipt whose id is not in memory; `guess` is the part that another spelling of it, `named`, names."""

    channel: str
    receipt: Receipt
    at: int
    guess: Leg | None
    named: str


@dataclass(slots=True)
class Arrived:
    """Receipts of one read of the socket, sorted. `delivered` are ids that need no memory once this is on disk.

    `left` are messages whose receipt says that the person has left: with why, and when.
    """

    events: list[tuple[object, ...]] = field(default_factory=list)
    alike: list[Alike] = field(default_factory=list)
    unmatched: list[Unmatched] = field(default_factory=list)
    delivered: list[str] = field(default_factory=list)
    left: list[tuple[int, str, int]] = field(default_factory=list)
    repeats: int = 0

    def take_in(self, other: Arrived) -> None:
        """Add what came a moment later."""
        self.events += other.events
        self.alike += other.alike
        self.unmatched += other.unmatched
        self.delivered += other.delivered
        self.left += other.left
        self.repeats += other.repeats


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


PARKED = ("brand", "channel", "refs", "fit", "state", "code", "at")


class Match(NamedTuple):
    """A parked receipt and the part that it is about; not `sure`, it counts only if the phone is the same."""

    parked: Parked
    leg: Leg
    sure: bool


class Doubt(NamedTuple):
    """A message that a receipt without a known id may be about; `state` is IN_DOUBT where that would settle it.

    `repeat`: its parts may have been sent several times. `sent` has a bit for each part whose answer or receipt has
    come: its own receipts have a known id.
    """

    message: int
    run: int
    parts: int
    repeat: int
    sent: int
    state: int
    at: int
    channel: str
    sender: str
    recipient: str


class Recalled(NamedTuple):
    """What a start finds of an earlier process: parts that wait for receipts, receipts that wait for parts."""

    since: int  # the last event before the oldest of the parts
    legs: dict[str, Leg]
    done: list[str]  # ids of parts that were delivered: their receipts may be brought again
    parked: list[Parked]


class Folded(NamedTuple):
    """What one step did: events folded, the last of them, and whether more waits."""

    events: int
    cursor: int
    more: bool


class Shelf:
    """The parked receipts, oldest first, found by any of their ids and by what they fit."""

    def __init__(self) -> None:
        self.receipts: dict[int, Parked] = {}
        self.by_ref: dict[str, list[int]] = {}
        self.by_fit: dict[str, list[int]] = {}

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


class Journal:
    """The memory beside the event table.

    It has two generations, so that what is old is known without a look at each: when the young one is full, what is
    left of the old one goes to the table, in the order of its key, and the young one becomes the old.
    """

    def __init__(
        self, brand: int, watch: Watch | None = None, *, is_shared: bool = False, folded: TellFates = nobody_told
    ) -> None:
        self.brand = brand
        self._folded = folded
        self.is_shared = is_shared  # other processes bring receipts, too, and may have had the answers
        self.slots: set[str] = set()  # whose answers come to this memory; each has a cursor of its own
        self.watch = watch or Watch(Quality())
        self.shelf = Shelf()
        self._young: dict[str, Leg] = {}
        self._old: dict[str, Leg] = {}
        self._young_since = self._old_since = 0  # the last event before the first id of each
        self._turned_at = 0
        self._doubts_at = 0  # when receipts were last held against doubts
        self._done: set[str] = set()  # ids of parts that were delivered a little while ago
        self._done_before: set[str] = set()
        self._named: dict[str, Leg] = {}  # ids of parked receipts that an answer has named meanwhile
        self._worn: list[int] = []  # parked receipts that were brought twice
        self._shelf_at = 0  # when all that is parked was last looked through

    def learn_all(self, named: Mapping[str, Leg]) -> None:
        """As `learn`, for all that one read brought. No ref may be empty."""
        self._done.difference_update(named)  # a carrier that counts its ids anew
        self._done_before.difference_update(named)
        self._young.update(named)
        if self.shelf.by_ref:
            self._named.update({ref: leg for ref, leg in named.items() if ref in self.shelf.by_ref})

    def learn(self, ref: str, leg: Leg) -> None:
        """Remember which part a carrier's id names, at once when the answer comes."""
        if ref:
            self._done.discard(ref)  # a carrier that counts its ids anew
            self._done_before.discard(ref)
            self._young[ref] = leg
            if ref in self.shelf.by_ref:
                self._named[ref] = leg

    def _find(self, ref: str) -> Leg | None:
        return self._young.get(ref) or self._old.get(ref)

    # --- receipts

    def match(self, channel: str, receipts: list[Receipt], at: int) -> Arrived:
        """Sort receipts into events of known parts and those whose part must be looked up.

        Only the first spelling of an id is proof alone: decimal and hexadecimal readings of short ids may be
        another message's, so they count only if the phone is the same. After delivered nothing changes: call `forget`
        when the events are kept. They bear the id: should the answer's own event be lost by a crash, it tells a repeat.
        """
        arrived = Arrived()
        events, young, old, brand = arrived.events, self._young, self._old, self.brand
        watched = self.watch.parts
        for receipt in receipts:
            ids, state = receipt[0], receipt[1]
            ref = f"{channel}:{ids[0]}" if ids else ""
            leg = young.get(ref) or old.get(ref)
            if leg is None:
                self._look_elsewhere(channel, receipt, at, arrived)
                continue
            if state == State.DELIVERED:
                arrived.delivered.append(ref)
            if ref in watched:
                self.watch.receipt(ref, state, at)
            run, message, part, parts = leg
            if receipt.failure is not None and receipt.failure.left:
                arrived.left.append((message, f"{channel}: {receipt.failure.words}", at))
            events.append((brand, run, message, part, parts, state, at, receipt[2], ref))
        return arrived

    def match_deliveries(self, channel: str, deliveries: Deliveries, at: int) -> Arrived:
        """As `match`, for receipts that come in columns."""
        arrived = Arrived()
        happened, delivered = arrived.events.append, arrived.delivered.append
        brand, prefix, watched = self.brand, channel + ":", self.watch.parts
        alike: defaultdict[tuple[int, str], dict[str, int]] = defaultdict(dict)
        refs = [prefix + ident for ident in deliveries.ids]
        legs = list(map(self._young.get, refs))
        if None in legs:
            legs = [leg or self._old.get(ref) for leg, ref in zip(legs, refs, strict=True)]
            for place in [place for place, leg in enumerate(legs) if leg is None]:
                self._look_elsewhere(channel, deliveries.receipt(place), at, arrived)
        for ref, leg, code in zip(refs, legs, deliveries.codes, strict=True):
            if leg is None:
                continue
            run, message, part, parts = leg
            delivered(ref)
            if parts == 1 and part == 0:
                alike[run, code][ref] = message
            else:
                happened((brand, run, message, part, parts, DELIVERED, at, code, ref))
            if ref in watched:
                self.watch.receipt(ref, State.DELIVERED, at)
        arrived.alike += [Alike(brand, run, DELIVERED, at, code, refs) for (run, code), refs in alike.items()]
        return arrived

    def _look_elsewhere(self, channel: str, receipt: Receipt, at: int, arrived: Arrived) -> None:
        """A receipt whose first spelling is not in memory: one that was brought before, or one to be looked up."""
        refs = [ref_of(channel, each) for each in receipt.spellings]
        if any(ref in self._done or ref in self._done_before for ref in refs):
            arrived.repeats += 1  # the carrier did not hear our thanks
            return
        named = next((ref for ref in refs[1:] if self._find(ref) is not None), "")
        arrived.unmatched.append(Unmatched(channel, receipt, at, self._find(named), named))

    def forget(self, refs: Iterable[str]) -> None:
        """These parts are delivered, and that is on disk. For a while this is known: receipts may be repeated."""
        young, old, done = self._young, self._old, self._done
        for ref in refs:
            young.pop(ref, None)
            old.pop(ref, None)  # in both, where a carrier counts its ids anew
            done.add(ref)
        if len(done) > KEEP_DONE:
            self._done_before, self._done = done, set()

    async def record(self, tx: Tx, arrived: Arrived) -> list[Parked]:
        """Append receipts. Returns those that fit nothing and were parked: hand them to `park` after the commit."""
        events = list(arrived.events)
        parked: list[Parked] = []
        strange: list[tuple[object, ...]] = []
        if arrived.unmatched:
            refs = [ref_of(each.channel, id_) for each in arrived.unmatched for id_ in each.receipt.spellings]
            known: dict[str, Leg] = {
                ref: (run, message, part, parts)
                for ref, run, message, part, parts in await tx.rows("ref_get", refs=refs)
            }
            for channel, receipt, at, guess, named in arrived.unmatched:
                first, *others = [ref_of(channel, id_) for id_ in receipt.spellings] or [""]
                fit = fit_of(channel, receipt.sender, receipt.recipient)
                leg = known.get(first)
                if leg is None:
                    other = guess or next((known[ref] for ref in others if ref in known), None)
                    leg = other if other is not None and await fits(tx, other, fit) else None
                if leg is not None:
                    events.append((self.brand, *leg, receipt.state, at, receipt.code, ""))
                    if receipt.state == State.DELIVERED and leg == guess:
                        tx.after_commit(arrived.delivered.append, named)
                    continue
                if receipt.state == State.SENT:  # a word on the way: it could settle nothing
                    continue
                spelled = [first, *others]
                row = (self.brand, channel, orjson.dumps(spelled).decode(), fit, receipt.state, receipt.code, at)
                if self.is_shared:  # likely the answer is another's, who looks for it on the shelf
                    strange.append(row)
                else:
                    n = await tx.value("parked_insert", **dict(zip(PARKED, row, strict=True)))
                    parked.append(Parked(n, spelled, fit, receipt.state, receipt.code, at))
        if strange:
            await tx.many("parked_put", strange)
        await happenings.record(tx, events, arrived.alike)
        return parked

    # --- receipts that came before their answers

    def park(self, parked: Iterable[Parked]) -> None:
        """Let receipts wait for their answers; some may have come while these were written."""
        for each in parked:
            if any(ref in self._done or ref in self._done_before for ref in each.refs):
                self._worn.append(each.n)  # brought again, to another process, which could not know
                continue
            self.shelf.put(each)
            for ref in each.refs:
                leg = self._find(ref)
                if leg is not None:
                    self._named[ref] = leg

    async def _look_at_shelf(self, store: Store, now: int) -> None:
        """Take in what other processes have parked; now and then all of it, so that what they took back goes here too.

        Numbers are given before they are committed, so some may come late: hence the look back.
        """
        if is_whole := not self._shelf_at <= now < self._shelf_at + SHELF_LOOK_MS:
            self._shelf_at = now
        after = -1 if is_whole else max([0, *self.shelf.receipts]) - SHELF_BACK
        there = {each.n: each for each in await store.read(_parked, after)}
        if is_whole:
            for n in [n for n in self.shelf.receipts if n not in there]:
                self.shelf.take(n)
        self.park(each for n, each in there.items() if n not in self.shelf.receipts)

    async def unpark(self, store: Store, now: int) -> int:
        """Give parked receipts their message: the answer has come by now, or exactly one doubt fits.

        Returns how many events were written.
        """
        if self.is_shared:
            await self._look_at_shelf(store, now)
        if not (self.shelf.receipts or self._worn):
            self._named.clear()
            return 0
        named, self._named = self._named, {}
        found: dict[int, Match] = {}
        for ref, leg in named.items():
            for n in self.shelf.by_ref.get(ref, ()):
                parked = self.shelf.receipts[n]
                if n not in found or ref == parked.refs[0]:
                    found[n] = Match(parked, leg, ref == parked.refs[0])
        try:
            if not self._doubts_at <= now < self._doubts_at + DOUBT_LOOK_MS:
                self._settle_doubts(await store.read(_doubts, first_at(now - PARKED_MS)), now, found)
                self._doubts_at = now
            worn = [*self._worn, *self.shelf.outworn(now)]
            if not (found or worn):
                return 0
            settled = await store.write_bulk(self._unpark, list(found.values()), worn)
        except BaseException:
            self._named = named | self._named
            raise
        for n in settled:
            parked, leg, _ = found[n]
            if parked.refs[0] and self._find(parked.refs[0]) is None:
                self.learn(parked.refs[0], leg)  # it may be brought again
        matched = [found[n].parked for n in settled]
        self.forget(one.refs[0] for one in matched if one.state == State.DELIVERED and one.refs[0])
        self._worn.clear()
        gone = {*settled, *worn, *(n for n, each in found.items() if each.sure)}  # the rest may yet fit something
        for n in gone & set(self.shelf.receipts):
            self.shelf.take(n)
        return len(settled)

    async def _unpark(self, tx: Tx, found: list[Match], worn: list[int]) -> list[int]:
        """Which of these were settled. Another process may have taken one meanwhile: then it has settled it."""
        fitting = [each for each in found if each.sure or await fits(tx, each.leg, each.parked.fit)]
        taken = {n for (n,) in await tx.rows("parked_take", ns=[*{*(each.parked.n for each in fitting), *worn}])}
        fitting = [each for each in fitting if each.parked.n in taken]
        events = [(self.brand, *leg, one.state, one.at, one.code, one.refs[0]) for one, leg, _ in fitting]
        await tx.many("event_insert", events)  # with the id, so that also after a start a repeat is known as one
        return [each.parked.n for each in fitting]

    def _settle_doubts(self, rows: list[Doubt], now: int, found: dict[int, Match]) -> None:
        """An unknown receipt settles a doubt only if it came after the bytes may have left, and fits nothing else.

        It does not say which part of a long text it is about. So that text waits until it has one for each part whose
        id is not known, for then all of them are told of. Where parts were sent twice not even that is sure: two
        receipts may be about the copies of one part; nor where a receipt bears no id: it may be the same one, again.
        """
        doubts: dict[str, list[Doubt]] = {}
        for doubt in rows:
            doubts.setdefault(fit_of(doubt.channel, doubt.sender, doubt.recipient), []).append(doubt)
        for fit, fitting in doubts.items():
            doubt = fitting[0]
            if len(fitting) > 1 or doubt.state != State.IN_DOUBT or (doubt.repeat and doubt.parts > 1):
                continue
            open_parts = [part for part in range(doubt.parts) if not doubt.sent >> part & 1]
            told: list[list[int]] = []
            for n in self.shelf.by_fit.get(fit, ()):
                parked = self.shelf.receipts[n]
                is_about = doubt.at <= parked.at < now - DOUBT_REST_MS and parked.state != State.SENT
                is_about = is_about and (doubt.parts == 1 or parked.refs[0] != "")
                if is_about and n not in found and not any(n in same for same in told):
                    told.append(self._same(n))  # one receipt may have been brought twice
            if len(told) < len(open_parts):
                continue
            for part, same in zip(open_parts, told, strict=False):
                leg = doubt.run, doubt.message, part, doubt.parts
                found.update({n: Match(self.shelf.receipts[n], leg, sure=True) for n in same})

    def _same(self, n: int) -> list[int]:
        """The parked receipts that bear the same id as this one, itself among them."""
        ref = self.shelf.receipts[n].refs[0]
        others = self.shelf.by_ref.get(ref, ()) if ref else (n,)
        return [each for each in others if self.shelf.receipts[each].refs[0] == ref]

    # --- memory and its limits

    async def begin(self, tx: Tx, slots: Collection[str]) -> None:
        """Note from where on these slots' answers are to be read back, where that is not known: from now on."""
        known = {name for name in map(_cursor, slots) if await tx.value("cursor_get", name=name) is not None}
        oldest = await tx.value("cursor_get", name="ref")
        since = await tx.value("event_last") if oldest is None else oldest
        await _set_cursors(tx, [(name, self.brand, since) for name in map(_cursor, slots) if name not in known])

    async def recall(self, tx: Tx, slots: Collection[str]) -> Recalled:
        """What is known of the answers of these slots: the parts that still wait for a receipt, and parked receipts.

        Of what was delivered as much as without a restart would be remembered, however long ago the last turn was.
        """
        oldest = await tx.value("cursor_get", name="ref") or 0  # of all slots, as older versions kept it
        cursors = [await tx.value("cursor_get", name=_cursor(slot)) for slot in slots]
        since = min((oldest if n is None else n for n in cursors), default=oldest)
        channels = {slot.partition(":")[0] for slot in slots}
        legs: dict[str, Leg] = {}
        done: dict[str, None] = {}
        after = min(since, await tx.value("event_last") - 2 * KEEP_DONE)
        for n, ref, run, message, part, parts, is_delivered in await tx.rows("event_refs", after=after):
            if ref.partition(":")[0] not in channels:
                continue
            if is_delivered:
                done[ref] = None
                continue
            done.pop(ref, None)  # a carrier that counts its ids anew
            if n > since:
                legs[ref] = (run, message, part, parts)
        return Recalled(since, legs, [*done][-KEEP_DONE:], await tx.all(Parked.read, "parked_after", after=-1))

    def remember(self, recalled: Recalled, slots: Collection[str]) -> None:
        """Take in what `recall` found; these slots are ours from now on."""
        is_first = not self.slots
        self.slots |= set(slots)
        self._young_since = recalled.since if is_first else min(self._young_since, recalled.since)
        self._old_since = recalled.since if is_first else min(self._old_since, recalled.since)
        self._done.update(recalled.done)
        self._young.update({ref: leg for ref, leg in recalled.legs.items() if ref not in self._old})
        self._named.update({ref: leg for ref, leg in recalled.legs.items() if ref in self.shelf.by_ref})
        for n in {n for ref in recalled.done for n in self.shelf.by_ref.get(ref, ())}:
            self._worn.append(n)
            self.shelf.take(n)
        self.park(each for each in recalled.parked if each.n not in self.shelf.receipts)

    def leave(self, slots: Collection[str]) -> None:
        """These are another's from now on, who recalls what is not delivered from the events."""
        self.slots -= set(slots)

    async def turn(self, store: Store, cursor: int, now: int) -> list[tuple[str, Leg]]:
        """Let the young generation be the old one when it is time; what is left of the old goes to the table `ref`.

        `cursor` is the last event that was folded. Returns what went to the table: the carrier may be asked about it.
        """
        self._turned_at = self._turned_at or now
        is_late = now - self._turned_at > KEEP_MS and bool(self._young or self._old)
        if len(self._young) < KEEP_LEGS and cursor - self._young_since < KEEP_EVENTS // 2 and not is_late:
            return []
        left = sorted(self._old.items())
        for first in range(0, len(left), REF_ROWS):
            rows = [(ref, self.brand, *leg, now) for ref, leg in left[first : first + REF_ROWS]]
            await store.write_bulk(_write_refs, rows)
        await store.write_bulk(_set_cursors, [(_cursor(slot), self.brand, self._young_since) for slot in self.slots])
        self._old, self._young = self._young, {}
        self._old_since, self._young_since = self._young_since, cursor
        self._turned_at = now
        return left

    # --- folding

    @beside
    async def fold(self, tx: Tx) -> Folded:
        """Fold the next events into states and sums. Call again at once while `more`.

        Where several processes write, numbers of events are given before they are committed. So it goes only as far
        as nothing can come late any more.

        It is all done inside the engine, in a few statements for the whole batch: rows that pass through Python cost
        the interpreter's lock, which the event loop needs.
        """
        after = await tx.value("cursor_get", name="fold") or 0
        last = max(after, await tx.value("event_settled"))
        until = min(last, after + FOLD_EVENTS)
        if until > after:
            await tx.post("fold_short", after=after, until=until)
            await tx.post("fold_long", after=after, until=until)
            await tx.post("fold_states", brand=self.brand)
            await self._folded(tx)
            # The sums come last, with the commit: their rows are everybody's, and locked until then. In the order in
            # which a planner's page takes them (put, then run_advance), or the two would stand in each other's way.
            await tx.post("fold_tally", brand=self.brand)
            await tx.post("fold_taken")
            await tx.post("fold_clear")
            await tx.post_many("cursor_set", [("fold", self.brand, until)])
            failpoints.hit("fold")
        return Folded(until - after, until, until < last)


async def _doubts(tx: Tx, made_after: int) -> list[Doubt]:
    return await tx.all(Doubt, "doubts_fitting", made_after=made_after)


async def _parked(tx: Tx, after: int) -> list[Parked]:
    return await tx.all(Parked.read, "parked_after", after=after)


def _cursor(slot: str) -> str:
    return f"ref:{slot}"


@beside
async def _write_refs(tx: Tx, rows: Sequence[tuple[object, ...]]) -> None:
    await tx.many("ref_put", rows)


@beside
async def _set_cursors(tx: Tx, rows: list[tuple[str, int, int]]) -> None:
    await tx.many("cursor_set", rows)
