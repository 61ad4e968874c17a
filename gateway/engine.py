"""The moving parts of the gateway: channels, their dispatchers, the inbox and the journal, started and drained."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress

from gateway import channels as carriers
from gateway import messages, outbox
from gateway.breaking import Standing
from gateway.channels.base import Channel, Surroundings, Upward
from gateway.clock import Clock
from gateway.dispatcher import Dispatcher, Queue, Ways
from gateway.errors import Failure, Fenced
from gateway.ids import Ids, first_at
from gateway.inbox import Answer, Inbox, Recognise
from gateway.journal import REF_MS, Journal, Leg, TellFates, nobody_told
from gateway.messages import Asked, Lane, State
from gateway.outbox import Gate, Left, nobody_left
from gateway.pacing import Pace
from gateway.quality import Quality
from gateway.routes import substitutes
from gateway.settings import SenderSettings
from gateway.store import Store, Tx, beside
from gateway.values import HostPort
from gateway.watching import Watch

log = logging.getLogger(__name__)

FOLD_S = 0.25
SHIFT_S = 1.0
ALIVE_S = 5.0
ALIVE_SHARED_S = 1.0  # others ask whether a line lives
ADOPT_S = 0.5
LET_GO_S = 5.0  # how long a carrier's answers are waited for when another process shall have a slot
SEEN_MS = 7 * 86_400_000
GRACE_MS = 6 * 3_600_000  # how long after a message's life its receipt is waited for
OVERDUE = 1_000  # messages whose fate is given up on in one transaction
OLD = 2_000  # what is forgotten in one transaction
ASKED = 1_000  # parts that carriers are asked about at once


class Gateway:
    """Sends, receives and remembers for one brand. `run` holds it up until cancelled; `drain` comes first."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        ids: Ids,
        brand: int,
        gate: Gate,
        recognise: Recognise,
        answer: Answer,
        chance: random.Random,
        left: Left = nobody_left,
        quality: Quality | None = None,
        pictured: Callable[[], None] = lambda: None,
        folded: TellFates = nobody_told,
    ) -> None:
        self.quality = quality or Quality()
        self.watch = Watch(self.quality)
        self.journal = Journal(brand, self.watch, is_shared=store.is_shared, folded=folded)
        self.dispatchers: dict[str, Dispatcher] = {}
        self.channels: dict[str, Channel] = {}
        self.folded = 0  # events since the start
        self.is_planning = True  # no other process folds the journal, nor looks after what is nobody's
        self.inbox = Inbox(
            store=store,
            clock=clock,
            ids=ids,
            brand=brand,
            journal=self.journal,
            recognise=recognise,
            answer=answer,
            replied=self.wake,
            pictured=pictured,
            left=left,
        )
        self._store, self._clock, self._ids, self._brand = store, clock, ids, brand
        self._gate, self._chance, self._left = gate, chance, left
        self._folding = asyncio.Lock()
        self._loop_time = asyncio.get_running_loop().time
        self._adopting = asyncio.Lock()
        self._must_adopt = False
        self._look = asyncio.Event()  # do what is due once a second now
        self._owner = ""
        self._of: dict[str, int] = {}  # slots of each channel
        self._slots: dict[str, set[int]] = {}  # those that are ours
        self._orphans: set[int] = set()  # queues of channels that are no longer in the file

    # --- start

    async def open(
        self,
        settings: Mapping[str, carriers.AnyCarrier | carriers.BuiltIn],
        senders: Mapping[str, SenderSettings],
        simulator: HostPort,
        owner: str,
        site: str = "",
        *,
        alone: bool = True,
    ) -> None:
        """Make the channels. A process that is alone holds all of them; else it is given slots (`hold_slots`)."""
        upward = Upward(self._answered, self.inbox.arrived, self._ready, self.inbox.delivered)
        numbers: dict[str, list[str]] = {name: [] for name in settings}
        for sender in senders.values():
            numbers[sender.channel] += sender.numbers
        ways = ways_of(senders, settings)
        for name, each in settings.items():
            dispatcher = Dispatcher(
                name=name,
                store=self._store,
                clock=self._clock,
                ids=self._ids,
                brand=self._brand,
                journal=self.journal,
                gate=self._gate,
                rate=each.rate.per_s,
                chance=self._chance,
                watch=self.watch,
                ways=ways[name],
                stopped=self._stopped,
                left=self._left,
                moved=self._adopt_soon,
            )
            dispatcher.channel = carriers.make(
                each,
                Surroundings(name, tuple(numbers[name]), upward, self._clock.now_ms, simulator, site, self._chance),
            )
            dispatcher.share((), each.slots)
            self.dispatchers[name] = dispatcher
            self.channels[name] = dispatcher.channel
            self._slots[name] = set()
            self._of[name] = each.slots
        self.inbox.channels = self.channels
        self._owner, self.is_planning = owner, alone
        if alone:
            await self.hold_slots({name: set(range(of)) for name, of in self._of.items()})

    async def hold_slots(self, slots: Mapping[str, Collection[int]]) -> None:
        """Take over these slots: decide about what their last owner left in the air, bind their lines, send."""
        names = [f"{channel}:{slot}" for channel, held in slots.items() for slot in sorted(held)]
        await self._store.write(self.journal.begin, names)
        self.journal.remember(await self._store.read(self.journal.recall, names), names)
        for channel, held in slots.items():
            self._slots[channel] |= set(held)
        await self.adopt()
        for channel in slots:
            self.dispatchers[channel].share(self._slots[channel], self._of[channel])

    async def let_go_of(self, slots: Mapping[str, Collection[int]]) -> None:
        """Send nothing more by these slots; return when nothing of them is on the way and their lines are ended."""
        for channel, held in slots.items():
            self._slots[channel] -= set(held)
            dispatcher = self.dispatchers[channel]
            going = [  # one that stands in may carry what waits for this channel
                queue
                for each in self.dispatchers.values()
                for queue in each.queues
                if queue.home == channel and queue.slot in held
            ]
            await asyncio.gather(*(each.let_go(going, LET_GO_S) for each in self.dispatchers.values() if going))
            dispatcher.share(self._slots[channel], self._of[channel])
            await dispatcher.channel.parted()
            self.journal.leave([f"{channel}:{slot}" for slot in held])

    def _adopt_soon(self) -> None:
        """A message was moved to another channel, perhaps into a queue that is new."""
        self._must_adopt = True

    async def adopt(self) -> None:
        """Own every queue of our slots that is not ours yet."""
        # Looked up here and not in the writing thread: meanwhile dispatchers move their queues about.
        async with self._adopting:
            owned = {queue.id: queue for dispatcher in self.dispatchers.values() for queue in dispatcher.queues}
            rows = await self._store.read(self._queues)
            self._repace(rows, owned)
            if not self._is_any_new(rows, owned):
                return
            for channel, queue in await self._store.write(self._adopt, owned):
                dispatcher = self.dispatchers.get(channel)
                if dispatcher is not None:
                    dispatcher.queues.append(queue)
                else:
                    log.warning("%s is no longer a channel: what waits for it stays until it is one again", channel)
                    self._orphans.add(queue.id)
        self.wake()

    def follow(
        self, settings: Mapping[str, carriers.AnyCarrier | carriers.BuiltIn], senders: Mapping[str, SenderSettings]
    ) -> None:
        """Take over the rates of a newly applied file, and who stands in for whom; lines stay as they are."""
        ways = ways_of(senders, settings)
        for name, dispatcher in self.dispatchers.items():
            if name in settings:
                dispatcher.follow(settings[name].rate.per_s, ways[name])

    def _repace(
        self, rows: Iterable[tuple[int, str, str, int, int, int, float, int]], owned: Mapping[int, Queue]
    ) -> None:
        """Follow what was written of the pace of queues."""
        for id_, _, _, _, _, _, rate, _ in rows:
            if id_ in owned and owned[id_].pace.rate != rate:
                owned[id_].pace.change(rate, self._loop_time())

    async def _queues(self, tx: Tx) -> list[tuple[int, str, str, int, int, int, float, int]]:
        return [(*row,) for row in await tx.rows("queue_list", brand=self._brand)]

    def _is_any_new(
        self, rows: Iterable[tuple[int, str, str, int, int, int, float, int]], owned: Collection[int]
    ) -> bool:
        return any(id_ not in owned and self._is_ours(id_, channel, shard) for id_, channel, _, _, shard, *_ in rows)

    def _is_ours(self, queue: int, channel: str, shard: int) -> bool:
        """Also of channels that are no longer in the file: what a crash left there in the air ends as a doubt."""
        of = self._of.get(channel)
        if of is None:
            return self.is_planning and queue not in self._orphans
        return shard % of in self._slots[channel]

    async def _adopt(self, tx: Tx, owned: Collection[int]) -> list[tuple[str, Queue]]:
        now, now_s = self._clock.now_ms(), self._loop_time()
        adopted = []
        for id_, channel, lane, run, shard, _, rate, _ in await self._queues(tx):
            if id_ in owned or not self._is_ours(id_, channel, shard):
                continue
            epoch = await outbox.take_over(tx, brand=self._brand, queue=id_, owner=self._owner, now=now)
            slot = shard % self._of.get(channel, 1)
            adopted.append((channel, Queue(id_, Lane(lane), run, epoch, Pace(rate, now_s), channel, slot)))
        return adopted

    # --- run

    async def run(self) -> None:
        """Hold everything up until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, dispatcher in self.dispatchers.items():
                group.create_task(dispatcher.channel.run(), name=f"channel {name}")
                group.create_task(dispatcher.run(), name=f"dispatcher {name}")
            group.create_task(self._fold_on(), name="fold")
            group.create_task(self._say_alive(), name="alive")
            group.create_task(self._shift_on(), name="shift")
            if self._store.is_shared:
                group.create_task(self._adopt_on(), name="adopt")
            self.inbox.think()

    def wake(self) -> None:
        """There may be something to send."""
        for dispatcher in self.dispatchers.values():
            dispatcher.wake()

    def heard(self, topic: str) -> None:
        """Another process, or this one, tells of something to send; one that is not ours yet is found by `adopt`."""
        queues = outbox.queues_of(topic)
        if queues is None:
            self.wake()
        elif queues:
            self.accepted(queues, is_new=False)

    def accepted(self, queues: Collection[int], is_new: bool) -> None:
        """Programs have brought something to send into these queues, of which some may be nobody's yet."""
        for dispatcher in self.dispatchers.values():
            dispatcher.wake(queues)
        if is_new:
            self._must_adopt = True
            self._look.set()

    async def hold(self, timeout_s: float) -> None:
        """Claim nothing more; wait for answers on the way."""
        async with asyncio.TaskGroup() as group:
            for dispatcher in self.dispatchers.values():
                group.create_task(dispatcher.hold(timeout_s))

    async def drain(self, timeout_s: float) -> None:
        """Claim nothing more, wait for answers on the way, record them, unbind, fold what is left."""
        async with asyncio.TaskGroup() as group:
            for dispatcher in self.dispatchers.values():
                group.create_task(dispatcher.drain(timeout_s))
        await self.fold()

    def _answered(self, channel: str, answers: list[messages.Answer]) -> None:
        self.dispatchers[channel].answered(answers)

    def _ready(self, channel: str) -> None:
        self.dispatchers[channel].ready()

    def _stopped(self, channel: str, failure: Failure) -> None:
        log.error("%s: the carrier refuses our account or set-up, everything is held: %s", channel, failure.words)

    async def _fold_on(self) -> None:
        while True:
            await asyncio.sleep(FOLD_S)
            await self.fold()

    async def fold(self) -> None:
        """Bring states and sums up to date with everything that has happened."""
        async with self._folding:
            try:
                cursor = await self._fold_all()
                now = self._clock.now_ms()
                if await self.journal.unpark(self._store, now):
                    cursor = await self._fold_all()
                await self._query(await self.journal.turn(self._store, cursor, now))
            except Fenced:
                raise
            except Exception:  # a full disk, say: nothing is lost, the events are there
                log.exception("folding failed, trying again")

    async def _fold_all(self) -> int:
        """How far the journal is folded; where another process folds it, that is only looked up."""
        if not self.is_planning:
            return await self._store.read(_folded)
        while True:
            folded = await self._store.write_bulk(self.journal.fold)
            self.folded += folded.events
            if not folded.more:
                return folded.cursor

    async def _query(self, unheard: list[tuple[str, Leg]]) -> None:
        """Ask carriers about parts whose receipts are long in coming."""
        routes = dict(await self._store.read(_routes, [leg[1] for _, leg in unheard[:ASKED]])) if unheard else {}
        by_channel: dict[str, list[Asked]] = {}
        for ref, leg in unheard[:ASKED]:
            channel, _, carrier_id = ref.partition(":")
            if leg[1] in routes:
                by_channel.setdefault(channel, []).append(Asked(carrier_id, *routes[leg[1]]))
        for channel, asked in by_channel.items():
            if channel in self.channels:
                self.channels[channel].query(asked)

    # --- carriers that are out

    async def _shift_on(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(SHIFT_S):
                    await self._look.wait()
            self._look.clear()
            self.shift()
            if self._must_adopt:
                await self._try_to_adopt()

    async def _adopt_on(self) -> None:
        """Other processes make queues, too."""
        while True:
            await asyncio.sleep(ADOPT_S)
            await self._try_to_adopt()

    async def _try_to_adopt(self) -> None:
        try:
            self._must_adopt = False
            await self.adopt()
        except Fenced:
            raise
        except Exception:  # a full disk, say: what waits there must not be forgotten
            log.exception("a queue could not be taken over, trying again")
            self._must_adopt = True

    def shift(self) -> None:
        """Give the queues of channels that are out to those that stand in for them, and take them back in time."""
        now = self._loop_time()
        held = {name: each for name, each in self.dispatchers.items() if self._slots[name]}  # others know of the rest
        for dispatcher in held.values():
            dispatcher.breaker.line(bound=any(line.bound for line in dispatcher.channel.lines()), now=now)
        out = {name for name, each in held.items() if each.breaker.state(now) is Standing.SHUT}
        for name in out - self.quality.out:
            log.warning("%s is out: %s", name, self.dispatchers[name].breaker.why)
        self.quality.out = out
        for name, dispatcher in self.dispatchers.items():
            for queue in [*dispatcher.queues]:
                better = self._best_for(queue.home, out)
                if better != name and better in self.dispatchers:
                    dispatcher.queues.remove(queue)
                    self.dispatchers[better].queues.append(queue)
                    self.dispatchers[better].wake()
                    log.warning("%s carries what waits for %s", better, queue.home)

    def _best_for(self, home: str, out: set[str]) -> str:
        """The queue's own channel, or the first that stands in for it while it is out."""
        if home in out:
            for ways in self.dispatchers[home].ways.elsewhere.values():
                for other in ways:
                    if other not in out and self._slots.get(other):
                        return other
        return home

    async def _say_alive(self) -> None:
        """Note which lines live, so that a repeat after a crash can be told from a new text."""
        while True:
            await asyncio.sleep(ALIVE_SHARED_S if self._store.is_shared else ALIVE_S)
            now = self._clock.now_ms()
            rows = [(name, line, self._brand, now) for name, each in self.channels.items() for line in each.alive()]
            try:
                await self._store.write_bulk(_note_lines, rows)
            except Exception:  # a full disk, say: nothing may end for want of a note
                log.exception("the lines that live could not be noted")

    # --- housekeeping, now and then

    async def tidy(self) -> None:
        """Give up on receipts that will not come, join what is left of long texts, forget what is old."""
        now = self._clock.now_ms()
        found = OVERDUE
        while found == OVERDUE:
            found = await self._store.write_bulk(self._give_up, now)
            await self.fold()  # or the same messages would be found again
        if await self._store.write_bulk(self.inbox.complete_stale, now):
            self.inbox.think()
        while await self._store.write_bulk(self._forget_old, now) >= OLD:
            pass

    async def _give_up(self, tx: Tx, now: int) -> int:
        """Messages without a receipt by the end of their life and the grace are unknown for good."""
        events: list[tuple[object, ...]] = []
        before = now - GRACE_MS
        for state in (State.SENT, State.IN_DOUBT):
            room = OVERDUE - len(events)
            rows = await tx.rows(
                "state_overdue", state=int(state), made_before=first_at(before), before=before, limit=room
            )
            events += [
                (self._brand, run, message, -1, parts, State.UNKNOWN, now, "no receipt", "")
                for message, run, parts in rows
            ]
        await tx.many("event_insert", events)
        return len(events)

    async def _forget_old(self, tx: Tx, now: int) -> int:
        """A bounded number of each; the greatest number of any."""
        await tx.run("line_expire", before=now - SEEN_MS)
        seen = await tx.run("seen_expire", before=now - SEEN_MS, limit=OLD)
        return max(seen, await tx.run("ref_expire", before=now - REF_MS, limit=OLD))


async def _folded(tx: Tx) -> int:
    cursor: int | None = await tx.value("cursor_get", name="fold")
    return cursor or 0


@beside
async def _note_lines(tx: Tx, rows: Iterable[tuple[object, ...]]) -> None:
    await tx.many("line_alive", rows)


async def _routes(tx: Tx, messages: list[int]) -> list[tuple[int, tuple[str, str]]]:
    """From whom and to whom each message went."""
    return [(id_, (sender, address)) for id_, sender, address in await tx.rows("message_routes", ids=messages)]


def ways_of(
    senders: Mapping[str, SenderSettings], channels: Mapping[str, carriers.AnyCarrier | carriers.BuiltIn]
) -> dict[str, Ways]:
    """For each channel, who stands in for it, for whom it stands in, and how fast each of its numbers may send."""
    elsewhere: dict[str, dict[str, tuple[str, ...]]] = {name: {} for name in channels}
    stands_in: dict[str, dict[str, str]] = {name: {} for name in elsewhere}
    rates: dict[str, dict[str, float]] = {name: {} for name in elsewhere}
    for channel, by_number in substitutes(senders).items():
        for number, others in by_number.items():
            elsewhere[channel][number] = tuple(dict.fromkeys(name for name, _ in others))
            for name, own in others:
                stands_in[name].setdefault(number, own)
    for sender in senders.values():
        if sender.rate is not None:
            rates[sender.channel] |= dict.fromkeys(sender.numbers, sender.rate.per_s)
    free = {sender.channel for sender in senders.values() if sender.rate is None}
    carries = {name: carrier.carries for name, carrier in channels.items()}
    return {name: Ways(stands_in[name], elsewhere[name], rates[name], bool(rates[name]) and name not in free, carries)
            for name in elsewhere}  # fmt: skip
