"""Keep, thank, think: what arrives is on disk before the carrier is thanked, and answered after that."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
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

THINK_AT_ONCE = 200  # texts in one transaction
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


Recognise = Callable[[Tx, str, Inbound, int], Coroutine[Any, Any, tuple[int, str]]]
Answer = Callable[[Tx, Kept], Coroutine[Any, Any, str]]


@dataclass(slots=True)
class Arrivals:
    """What came in on a channel while the last commit ran."""

    channel: str
    alive: frozenset[int] = frozenset()  # the connections that live when the commit begins
    receipts: Arrived = field(default_factory=Arrived)
    texts: list[Inbound] = field(default_factory=list)
    handles: list[object] = field(default_factory=list)


class Inbox:
    """Takes what channels bring.

    `recognise` finds the person and obeys an opt-out inside the transaction that keeps the text; `answer`
    decides on a kept text and puts its reply, in the transaction that marks it as thought.
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
        if texts:
            arrivals.texts += texts
            arrivals.handles += [text.handle for text in texts]
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
        """One transaction for all that has come; what comes meanwhile waits for the next."""
        if not self._gathered:
            return
        batch, self._gathered = list(self._gathered.values()), {}
        for arrivals in batch:
            arrivals.alive = frozenset(self.channels[arrivals.channel].alive())
        self._keeping = True
        is_beside = not any(arrivals.texts or arrivals.receipts.left for arrivals in batch)
        keep = self._keep_receipts if is_beside else self._keep
        self._store.submit(keep, batch, done=lambda kept, error: self._kept(batch, kept, error))

    @beside
    async def _keep_receipts(self, tx: Tx, batch: list[Arrivals]) -> tuple[int, list[Parked]]:
        """The same where there are no texts, which may be a STOP and must be alone."""
        return await self._keep(tx, batch)

    async def _keep(self, tx: Tx, batch: list[Arrivals]) -> tuple[int, list[Parked]]:
        """How many texts wait to be thought about, and the receipts that fitted nothing."""
        kept = 0
        parked: list[Parked] = []
        for arrivals in batch:
            parked += await self._journal.record(tx, arrivals.receipts)
            await self._see_off(tx, arrivals.receipts.left)
            kept += await self._keep_texts(tx, arrivals)
            lines = {text.line for text in arrivals.texts}
            now = self._clock.now_ms()
            await tx.many("line_alive", [(arrivals.channel, line, self._brand, now) for line in lines])
        failpoints.hit("keep")
        return kept, parked

    def _kept(
        self, batch: list[Arrivals], result: tuple[int, list[Parked]] | None, error: BaseException | None
    ) -> None:
        failpoints.hit("kept")
        self._keeping = False
        for arrivals in batch:
            channel = self.channels[arrivals.channel]
            if result is None:
                channel.refuse(arrivals.handles)
            else:
                channel.thank(arrivals.handles)
                self._journal.forget(arrivals.receipts.delivered)
        if result is None:  # the store is full or broken; the carrier brings these again
            log.error("arrivals could not be kept", exc_info=error)
        else:
            failpoints.hit("thanked")
            kept, parked = result
            self._journal.park(parked)
            if kept:
                self.think()
            if any(text.media for arrivals in batch for text in arrivals.texts):
                self._pictured()
        self._keep_gathered()

    async def _see_off(self, tx: Tx, left: list[tuple[int, str, int]]) -> None:
        """Obey what receipts say of people who have left."""
        people = {id_: person for id_, person, _, _ in await tx.rows("message_sizes", ids=[row[0] for row in left])}
        for message, why, at in left:
            await outbox.see_off(tx, self._left, people.get(message, 0), why, at)

    async def _keep_texts(self, tx: Tx, arrivals: Arrivals) -> int:
        """Keep all texts of a read at once; should one of them fail, each by itself, so that only that one does."""
        try:
            return await tx.attempt(self._keep_each, arrivals, self._recognise) if arrivals.texts else 0
        except StoreError:
            raise
        except Exception:
            return await self._keep_each(tx, arrivals, self._recognise_alone)

    async def _keep_each(self, tx: Tx, arrivals: Arrivals, recognise: Recognise) -> int:
        kept = 0
        for text in arrivals.texts:
            kept += await self._keep_text(tx, arrivals.channel, text, arrivals.alive, recognise)
        return kept

    async def _recognise_alone(self, tx: Tx, channel: str, text: Inbound, now: int) -> tuple[int, str]:
        return await tx.attempt(self._recognise, channel, text, now)

    async def _keep_text(
        self, tx: Tx, channel: str, text: Inbound, alive: frozenset[int], recognise: Recognise
    ) -> bool:
        """Keep one text, or one piece of a long one; False when there is nothing to think about yet."""
        now = self._clock.now_ms()
        if await self._is_repeat(tx, channel, text, alive, now):
            if not (text.carrier_id or text.joint):  # only a likeness: should it be a second STOP, it is obeyed
                await recognise(tx, channel, text, now)
            return False
        if text.joint is not None:
            whole = await self._join(tx, channel, text, now)
            if whole is None:
                return False
            text = whole
        try:
            person, intent = await recognise(tx, channel, text, now)
            thought, outcome = WAITING, ""
        except StoreError:  # no fault of the text: the carrier is told to bring it again
            raise
        except Exception as error:  # one text must not keep the others from being kept
            if recognise == self._recognise:
                raise
            log.exception("a text could not be recognised")
            person, intent, thought, outcome = 0, "", FAILED, f"not understood by the program: {error!r}"
            tx.after_commit(self._one_failed)
        id_ = self._ids.next()
        row = (
            id_, self._brand, channel, text.sender, text.recipient, text.text, person, now, intent,
            thought, outcome,
        )  # fmt: skip
        await tx.many("inbound_insert", [row])
        if text.media:
            await media.keep(tx, self._brand, id_, channel, text.media, now)
        return thought == WAITING

    async def _is_repeat(self, tx: Tx, channel: str, text: Inbound, alive: frozenset[int], now: int) -> bool:
        """Whether the carrier brings this for the second time.

        A carrier's own id settles it. SMPP has none: there an identical text is a repeat only on a later
        line, when the first came within a minute before its line fell, so that our thanks may have been
        lost, and comes back soon. On one line it is a new text: a second VOTE is a second VOTE. A repeat takes the
        first one's place, so that of two equal texts each may come back once. Of a long text, the same piece within
        ten minutes is no second text, for its number and its reference would be new.
        """
        mark = text.carrier_id or text.fingerprint
        if not mark:
            return False
        seen = await tx.rows("seen_get", channel=channel, mark=mark)
        stamp = max([now, *(at + 1 for line, at, _ in seen if line == text.line)])
        for line, at, alive_at in seen:
            if text.carrier_id or (text.joint and now - at < PIECES_MS):
                return True
            fell_at = alive_at or at
            if line == text.line or line in alive or at < fell_at - REPEAT_MS:
                continue
            if self._lives_elsewhere(mark, line, fell_at, now):
                continue
            if now - max(fell_at, text.line) <= RETURN_MS:
                await tx.run("seen_move", channel=channel, mark=mark, line=line, at=at, to_line=text.line, to_at=stamp)
                return True
        await tx.many("seen_insert", [(channel, mark, self._brand, text.line, stamp)])
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
            text = Inbound(sender, recipient, parts.join(dict(pieces)))
            await self._keep_text(tx, channel, text, frozenset(), self._recognise_alone)
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
        waiting = await tx.all(Kept, "inbound_waiting", limit=THINK_AT_ONCE)
        try:
            marks = await tx.attempt(self._think_all, waiting)
        except StoreError:  # no fault of the texts: they are thought about again
            raise
        except Exception:
            marks = [await self._think_alone(tx, kept) for kept in waiting]
        await tx.many("inbound_thought", marks)
        failpoints.hit("think")
        return len(waiting)

    async def _think_all(self, tx: Tx, waiting: list[Kept]) -> list[tuple[int, str, int]]:
        return [(DONE, await self._answer(tx, kept), kept.id) for kept in waiting]

    async def _think_alone(self, tx: Tx, kept: Kept) -> tuple[int, str, int]:
        try:
            return DONE, await tx.attempt(self._answer, kept), kept.id
        except StoreError:
            raise
        except Exception as error:
            log.exception("a text could not be answered", extra={"inbound": kept.id})
            tx.after_commit(self._one_failed)
            return FAILED, f"the program failed: {error!r}", kept.id

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
        if self._think_again or count == THINK_AT_ONCE:
            self.think()
