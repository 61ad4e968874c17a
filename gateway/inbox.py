"""Keep, thank, think: what arrives is on disk before the carrier is thanked, and answered after that."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway import failpoints, media, outbox
from gateway.channels.base import Channel, Deliveries
from gateway.clock import Clock
from gateway.codecs import parts
from gateway.errors import StoreError
from gateway.ids import Ids
from gateway.journal import Arrived, Journal, Parked
from gateway.messages import Inbound, Receipt
from gateway.outbox import Left, nobody_left
from gateway.store import Store, Tx, beside

log = logging.getLogger(__name__)

AT_ONCE = 200  # texts in one transaction
REPEAT_MS = 60_000  # a repeat on a later line is one if the first came so shortly before its line fell
RETURN_MS = 60 * 60_000  # how long after the fall, or on how young a line, a repeat may come; later it is a new text
THINK_AGAIN_S = 1.0
UNSURE_MS = 3_000  # a line of another process that was noted so shortly ago may live
MOST_UNSURE = 10_000
PIECES_MS = 10 * 60_000  # how long the missing piece of a long text is waited for
WAITING, DONE, FAILED = 0, 1, 2


class Kept(NamedTuple):
    """A text that is on disk; `intent` is what was recognised when it was kept."""

    id: int
    channel: str
    sender: str
    recipient: str
    text: str
    person: int
    at: int
    intent: str


class Heard(NamedTuple):
    """Who sent a text and what was recognised in it; `leaves` for an opt-out, `trouble` where recognising failed."""

    person: int
    intent: str
    leaves: bool = False
    trouble: str = ""


class New(NamedTuple):
    """A text that is to be written down; `trouble` says why it was not understood by the program, if so."""

    kept: Kept
    trouble: str


class Noted(NamedTuple):
    """What came of arrivals: texts that wait to be thought about, those that were, receipts that fitted nothing."""

    waiting: int
    thought: int
    parked: list[Parked]


Recognise = Callable[[Tx, str, Sequence[Inbound], int], Coroutine[Any, Any, list[Heard]]]
Answer = Callable[[Tx, Sequence[Kept]], Coroutine[Any, Any, list[str]]]


@dataclass(slots=True)
class Arrivals:
    """What came in on a channel while the last commit ran; `handles` are those of receipts."""

    channel: str
    alive: frozenset[int] = frozenset()  # the connections that live when the commit begins
    receipts: Arrived = field(default_factory=Arrived)
    texts: list[Inbound] = field(default_factory=list)
    handles: list[object] = field(default_factory=list)

    def cut(self, most: int) -> Arrivals:
        """Leave so many texts here; all others. What is thanked for together stays together."""
        texts = self.texts
        while 0 < most < len(texts) and texts[most].handle is not None and texts[most].handle is texts[most - 1].handle:
            most += 1
        rest = Arrivals(self.channel, texts=texts[most:])
        del texts[most:]
        return rest


class Inbox:
    """Takes what channels bring.

    `recognise` finds the people who wrote texts of one channel and obeys opt-outs, inside the transaction that keeps
    the texts. `answer` decides on kept texts in their order, puts the replies, and gives a line about each, in the
    transaction that marks them as thought. Unless others wait, that is the one that keeps them.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        ids: Ids,
        brand: int,
        journal: Journal,
        recognise: Recognise,
        answer: Answer,
        replied: Callable[[], None],
        pictured: Callable[[], None] = lambda: None,
        left: Left = nobody_left,
    ) -> None:
        self.channels: Mapping[str, Channel] = {}
        self.failed = 0  # texts that a person must look at
        self._store, self._clock, self._ids, self._brand = store, clock, ids, brand
        self._journal = journal
        self._recognise, self._answer, self._replied = recognise, answer, replied
        self._left = left
        self._pictured = pictured  # there is media to be fetched
        self._gathered: dict[str, Arrivals] = {}
        self._keeping = self._thinking = self._think_again = False
        self._unsure: dict[tuple[str, int], int] = {}  # texts that were sent back, and when

    @property
    def is_idle(self) -> bool:
        """Whether everything that arrived is kept, thanked and thought about."""
        return not (self._gathered or self._keeping or self._thinking)

    def arrived(self, channel: str, receipts: list[Receipt], texts: list[Inbound]) -> None:
        """Take what one read of a socket brought. Called by channels; returns at once."""
        arrivals = self._gathered.get(channel)
        if arrivals is None:
            arrivals = self._gathered[channel] = Arrivals(channel)
        if receipts:
            found = self._journal.match(channel, receipts, self._clock.now_ms())
            arrivals.receipts.take_in(found)
            arrivals.handles += [receipt.handle for receipt in receipts]
        arrivals.texts += texts
        if not self._keeping:
            self._keep_gathered()

    def delivered(self, channel: str, deliveries: Deliveries) -> None:
        """As `arrived`, for receipts that come in columns."""
        arrivals = self._gathered.get(channel)
        if arrivals is None:
            arrivals = self._gathered[channel] = Arrivals(channel)
        arrivals.receipts.take_in(self._journal.match_deliveries(channel, deliveries, self._clock.now_ms()))
        arrivals.handles.append(deliveries.handle)
        if not self._keeping:
            self._keep_gathered()

    def _keep_gathered(self) -> None:
        """One transaction for what has come, of so many texts of each channel; the rest waits for the next."""
        if not self._gathered:
            return
        batch, self._gathered = list(self._gathered.values()), {}
        for arrivals in batch:
            arrivals.alive = frozenset(self.channels[arrivals.channel].alive())
            if (rest := arrivals.cut(AT_ONCE)).texts:
                self._gathered[arrivals.channel] = rest
        self._keeping = True
        is_beside = not any(arrivals.texts or arrivals.receipts.left for arrivals in batch)
        keep = self._keep_receipts if is_beside else self._keep
        self._store.submit(keep, batch, done=lambda noted, error: self._kept(batch, noted, error))

    @beside
    async def _keep_receipts(self, tx: Tx, batch: list[Arrivals]) -> Noted:
        """The same where there are no texts, which may be a STOP and must be alone."""
        return await self._keep(tx, batch)

    async def _keep(self, tx: Tx, batch: list[Arrivals]) -> Noted:
        """Write everything down; think about texts at once if nothing else waits."""
        new: list[New] = []
        parked: list[Parked] = []
        others_wait = any(each.texts for each in batch) and bool(await tx.rows("inbound_waiting", limit=1))
        for arrivals in batch:
            parked += await self._journal.record(tx, arrivals.receipts)
            if arrivals.receipts.left:
                await self._see_off(tx, arrivals.receipts.left)
            if arrivals.texts:
                new += await self._keep_texts(tx, arrivals, new, others_wait)
                lines = {text.line for text in arrivals.texts}
                now = self._clock.now_ms()
                await tx.many("line_alive", [(arrivals.channel, line, self._brand, now) for line in lines])
        waiting = thought = 0
        if new:
            waiting, thought = await self._write_down(tx, new, others_wait)
        failpoints.hit("keep")
        return Noted(waiting, thought, parked)

    def _kept(self, batch: list[Arrivals], noted: Noted | None, error: BaseException | None) -> None:
        failpoints.hit("kept")
        self._keeping = False
        for arrivals in batch:
            channel = self.channels[arrivals.channel]
            handles = [*arrivals.handles, *(text.handle for text in arrivals.texts)]
            if noted is None:
                channel.refuse(handles)
            else:
                channel.thank(handles)
                self._journal.forget(arrivals.receipts.delivered)
        if noted is None:  # the store is full or broken; the carrier brings these again
            log.error("arrivals could not be kept", exc_info=error)
        else:
            failpoints.hit("thanked")
            self._journal.park(noted.parked)
            if noted.thought:
                failpoints.hit("thought")
                self._replied()
            if noted.waiting:
                self.think()
            if any(text.media for arrivals in batch for text in arrivals.texts):
                self._pictured()
        self._keep_gathered()

    async def _see_off(self, tx: Tx, left: list[tuple[int, str, int]]) -> None:
        """Obey what receipts say of people who have left."""
        people = {id_: person for id_, person, _, _ in await tx.rows("message_sizes", ids=[row[0] for row in left])}
        for message, why, at in left:
            await outbox.see_off(tx, self._left, people.get(message, 0), why, at)

    async def _keep_texts(self, tx: Tx, arrivals: Arrivals, before: list[New], others_wait: bool) -> list[New]:
        """Recognise all texts of a read at once; should one fail, each by itself, so that only that one does."""
        try:
            return await tx.attempt(self._keep_each, arrivals, before, others_wait, self._recognise)
        except StoreError:
            raise
        except Exception:
            return await self._keep_each(tx, arrivals, before, others_wait, self._recognise_alone)

    async def _keep_each(
        self, tx: Tx, arrivals: Arrivals, before: list[New], others_wait: bool, recognise: Recognise
    ) -> list[New]:
        """The texts that are new, to be written down.

        So is a repeated STOP while a text of that person that came before it waits for its answer: if it is a START,
        that is over.
        """
        channel, now = arrivals.channel, self._clock.now_ms()
        sifted = await self._sift(tx, arrivals, now)
        heard = await recognise(tx, channel, [text for text, _ in sifted], now) if sifted else []
        new: list[New] = []
        ids = self._ids.take(len(sifted))
        for id_, (text, is_new), (person, intent, leaves, trouble) in zip(ids, sifted, heard, strict=True):
            if is_new or (leaves and await _is_awaited(tx, person, [*before, *new], others_wait)):
                kept = Kept(id_, channel, text.sender, text.recipient, text.text, person, now, intent)
                new.append(New(kept, trouble))
                if text.media:
                    await media.keep(tx, self._brand, id_, channel, text.media, now)
        return new

    async def _recognise_alone(self, tx: Tx, channel: str, texts: Sequence[Inbound], now: int) -> list[Heard]:
        """One text must not keep the others from being kept."""
        heard: list[Heard] = []
        for text in texts:
            try:
                heard += await tx.attempt(self._recognise, channel, [text], now)
            except StoreError:  # no fault of the text: the carrier is told to bring it again
                raise
            except Exception as error:
                log.exception("a text could not be recognised")
                heard.append(Heard(0, "", trouble=f"not understood by the program: {error!r}"))
                tx.after_commit(self._one_failed)
        return heard

    async def _write_down(self, tx: Tx, new: list[New], others_wait: bool) -> tuple[int, int]:
        """Keep texts, with what came of them if they were thought about at once.

        How many wait to be thought about, and how many were.
        """
        sound = [kept for kept, trouble in new if not trouble]
        outcomes = await self._think_along(tx, sound) if sound and not others_wait else None
        told = iter(outcomes or ())
        rows = []
        for (id_, channel, sender, recipient, text, person, at, intent), trouble in new:
            thought = FAILED if trouble else WAITING if outcomes is None else DONE
            outcome = trouble or next(told, "")
            rows.append((id_, self._brand, channel, sender, recipient, text, person, at, intent, thought, outcome))
        await tx.many("inbound_insert", rows)
        return (len(sound), 0) if outcomes is None else (0, len(sound))

    async def _think_along(self, tx: Tx, kept: list[Kept]) -> list[str] | None:
        """Answer texts before they are written down; None when one makes trouble: then they shall wait."""
        try:
            outcomes = await tx.attempt(self._answer, kept)
        except StoreError:
            raise
        except Exception:  # which of them it was shows when each is thought about alone
            return None
        failpoints.hit("think")
        return outcomes

    async def _sift(self, tx: Tx, arrivals: Arrivals, now: int) -> list[tuple[Inbound, bool]]:
        """The texts to be recognised, whole, and whether each is new.

        A repeat that is known only by its likeness is recognised once more: should it be a second STOP, it is obeyed.
        """
        seen = Seen(arrivals.channel, self._brand)
        await seen.look(tx, arrivals.texts)
        sifted: list[tuple[Inbound, bool]] = []
        for text in arrivals.texts:
            if await self._is_repeat(tx, seen, text, arrivals.alive, now):
                if not (text.carrier_id or text.joint):
                    sifted.append((text, False))
                continue
            whole = await self._join(tx, arrivals.channel, text, now) if text.joint is not None else text
            if whole is not None:
                sifted.append((whole, True))
        await seen.write(tx)
        return sifted

    async def _is_repeat(self, tx: Tx, seen: Seen, text: Inbound, alive: frozenset[int], now: int) -> bool:
        """Whether the carrier brings this for the second time.

        A carrier's own id settles it. SMPP has none: there an identical text is a repeat only on a later
        line, when the first came within a minute before its line fell, so that our thanks may have been
        lost, and comes back soon. On one line it is a new text: a second VOTE is a second VOTE. A repeat takes the
        first one's place, so that of two equal texts each may come back once. Of a long text, the same piece within
        ten minutes is no second text, for its number and its reference would be new.
        """
        mark = mark_of(text)
        if not mark:
            return False
        known = seen.of(mark)
        stamp = max([now, *(at + 1 for line, at, _ in known if line == text.line)]) if known else now
        for line, at, alive_at in known:
            if text.carrier_id or (text.joint and now - at < PIECES_MS):
                return True
            fell_at = alive_at or at
            if line == text.line or line in alive or at < fell_at - REPEAT_MS:
                continue
            if self._lives_elsewhere(mark, line, fell_at, now):
                continue
            if now - max(fell_at, text.line) <= RETURN_MS:
                await seen.move(tx, mark, (line, at), (text.line, stamp))
                return True
        seen.add(mark, text.line, stamp)
        return False

    def _lives_elsewhere(self, mark: str, line: int, alive_at: int, now: int) -> bool:
        """Whether the line that brought the same text is another process's and lived when this came: two texts then.

        Raises StoreError while that is open: the carrier shall bring it again in a moment, when the line will have been
        noted once more, or not.
        """
        if not self._journal.is_shared or now - alive_at > UNSURE_MS:
            return False
        if len(self._unsure) > MOST_UNSURE:
            self._unsure.clear()
        asked_at = self._unsure.setdefault((mark, line), now)
        if alive_at <= asked_at:
            raise StoreError("the same text came by another process a moment ago, which may live: it shall come again")
        return True

    async def _join(self, tx: Tx, channel: str, text: Inbound, now: int) -> Inbound | None:
        """Add a piece; the whole text when it was the last one missing."""
        joint = text.joint
        if joint is None:
            return text
        key = {
            "channel": channel,
            "sender": text.sender,
            "recipient": text.recipient,
            "reference": joint.reference,
            "total": joint.total,
        }
        await tx.run("piece_insert", **key, number=joint.number, brand=self._brand, text=text.text, at=now)
        pieces = await tx.rows("piece_list", **key)
        if len(pieces) < joint.total:
            return None
        await tx.run("piece_delete", **key)
        return text._replace(text=parts.join(dict(pieces)), joint=None)

    async def complete_stale(self, tx: Tx, now: int) -> int:
        """Keep long texts whose last piece never came as what there is of them."""
        stale = await tx.rows("piece_stale", before=now - PIECES_MS)
        for channel, sender, recipient, reference, total in stale:
            key = {
                "channel": channel, "sender": sender, "recipient": recipient, "reference": reference, "total": total,
            }  # fmt: skip
            pieces = await tx.rows("piece_list", **key)
            await tx.run("piece_delete", **key)
            whole = Arrivals(channel, texts=[Inbound(sender, recipient, parts.join(dict(pieces)))])
            new = await self._keep_each(tx, whole, [], True, self._recognise_alone)
            await self._write_down(tx, new, others_wait=True)
        return len(stale)

    def think(self) -> None:
        """Answer what waits. Called after keeping, at start, and again a second after a commit that failed."""
        if self._thinking:
            self._think_again = True
            return
        self._thinking = True
        self._think_again = False
        self._store.submit(self._think, done=self._thought)

    async def _think(self, tx: Tx) -> int:
        """Think about the oldest texts, in order; should one fail, each in a savepoint of its own with its mark."""
        waiting = await tx.all(Kept, "inbound_waiting", limit=AT_ONCE)
        try:
            outcomes = await tx.attempt(self._answer, waiting) if waiting else []
            marks = [(DONE, outcome, kept.id) for kept, outcome in zip(waiting, outcomes, strict=True)]
        except StoreError:  # no fault of the texts: they are thought about again
            raise
        except Exception:
            marks = [await self._think_alone(tx, kept) for kept in waiting]
        await tx.many("inbound_thought", marks)
        failpoints.hit("think")
        return len(waiting)

    async def _think_alone(self, tx: Tx, kept: Kept) -> tuple[int, str, int]:
        try:
            [outcome] = await tx.attempt(self._answer, [kept])
        except StoreError:
            raise
        except Exception as error:
            log.exception("a text could not be answered", extra={"inbound": kept.id})
            tx.after_commit(self._one_failed)
            return FAILED, f"the program failed: {error!r}", kept.id
        return DONE, outcome, kept.id

    def _one_failed(self) -> None:
        self.failed += 1

    def _thought(self, count: int | None, error: BaseException | None) -> None:
        self._thinking = False
        if error is not None:
            log.error("thinking could not be committed, trying again", exc_info=error)
            asyncio.get_running_loop().call_later(THINK_AGAIN_S, self.think)
            return
        failpoints.hit("thought")
        if count:
            self._replied()
        if self._think_again or count == AT_ONCE:
            self.think()


class Seen:
    """What a carrier has brought before of the texts of one read, by their marks; lines and times, oldest first."""

    def __init__(self, channel: str, brand: int) -> None:
        self._channel, self._brand = channel, brand
        self._known: dict[str, list[tuple[int, int, int | None]]] = {}  # line, when, when that line last lived
        self._new: list[tuple[object, ...]] = []

    async def look(self, tx: Tx, texts: Sequence[Inbound]) -> None:
        """Look all of them up at once."""
        marks = [*{mark for text in texts if (mark := mark_of(text))}]
        if marks:
            for mark, line, at, alive_at in await tx.rows("seen_among", channel=self._channel, marks=marks):
                self._known.setdefault(mark, []).append((line, at, alive_at))

    def of(self, mark: str) -> Sequence[tuple[int, int, int | None]]:
        """Where and when texts of this mark came, those of this very read among them."""
        return self._known.get(mark, ())

    def add(self, mark: str, line: int, at: int) -> None:
        """A new text."""
        self._known.setdefault(mark, []).append((line, at, None))
        self._new.append((self._channel, mark, self._brand, line, at))

    async def move(self, tx: Tx, mark: str, was: tuple[int, int], now: tuple[int, int]) -> None:
        """A repeat takes the first one's place."""
        await self.write(tx)
        await tx.run(
            "seen_move", channel=self._channel, mark=mark, line=was[0], at=was[1], to_line=now[0], to_at=now[1]
        )  # fmt: skip
        self._known[mark] = [each for each in self._known[mark] if each[:2] != was] + [(*now, None)]

    async def write(self, tx: Tx) -> None:
        """Note what is new."""
        if self._new:
            await tx.many("seen_insert", self._new)
            self._new = []


def mark_of(text: Inbound) -> str:
    """What two texts have in common when one may be a repeat of the other; empty where nothing tells."""
    return text.carrier_id or text.fingerprint


async def _is_awaited(tx: Tx, person: int, new: list[New], others_wait: bool) -> bool:
    """Whether a text of this person waits to be thought about, of those that are to be written down or of others."""
    if any(each.kept.person == person for each in new):
        return True
    return others_wait and bool(await tx.value("inbound_awaited", person=person))
