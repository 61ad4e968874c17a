"""Long texts that a program brings over SMPP piece by piece: each is kept, and the text accepted once it is whole."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from campaigns.client_settings import Client
from campaigns.wishes import Refused, Result, Submission, Wish
from gateway import notices
from gateway.channels.smpp_server import Submit
from gateway.channels.smpp_server.reading import DOOR
from gateway.clock import from_ms
from gateway.codecs import parts
from gateway.errors import CarillonError
from gateway.messages import Content
from gateway.store import Tx, beside

if TYPE_CHECKING:
    from handlers.app import App

log = logging.getLogger("carillon.api")

MISSING_MS: Final = 5 * 60_000  # how long the missing piece of a text is waited for
LEFT_MS: Final = 10_000  # a whole text that is still there after so long was left by a process that died
TURN: Final = "fragment"
NOT_IN_TIME: Final = "a piece of the text never came"

Answered = Callable[[Sequence[tuple[int, int, str]]], None]


class Key(NamedTuple):
    """What the pieces of one text have in common."""

    client: int
    sender: str
    recipient: str
    reference: int
    total: int


class Piece(NamedTuple):
    """A piece as it is kept: `id` is by which we acknowledged it, `asks` is JSON of all that the program said of it."""

    number: int
    id: int
    text: str
    at: int
    asks: str


@dataclass(slots=True)
class Brought:
    """Pieces of one text that one read brought, and who is to be answered."""

    client: Client
    key: Key
    pieces: list[Piece]
    sequences: list[int]
    answered: Answered


@dataclass(slots=True)
class Kept:
    """What keeping came to: ids in the order of the pieces, and all pieces where now none is missing."""

    ids: list[int]
    whole: list[Piece] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Whole:
    """A text of which all pieces are there. `sequences` of `brought` wait for its fate."""

    client: Client
    key: Key
    pieces: Sequence[Piece]
    brought: Brought | None = None
    ids: Sequence[int] = ()


class Pieces:
    """Gathers pieces while the last commit runs, as the inbox does with what people text.

    `status_of` says in a command_status why a text was refused.
    """

    def __init__(self, app: App, status_of: Callable[[Refused | BaseException], int]) -> None:
        self._app, self._status_of = app, status_of
        self._gathered: list[Brought] = []
        self._is_keeping = False

    def put(self, client: Client, submits: Sequence[Submit], answered: Answered) -> None:
        """Keep pieces; each is answered once it is on disk, the last of a text when that is accepted or refused."""
        now, ids = self._app.clock.now_ms(), self._app.ids.take(len(submits))
        by_key: dict[Key, Brought] = {}
        for id_, submit in zip(ids, submits, strict=True):
            if submit.joint is None:
                continue
            key = Key(client.id, submit.sender, submit.recipient, submit.joint.reference, submit.joint.total)
            brought = by_key.setdefault(key, Brought(client, key, [], [], answered))
            brought.pieces.append(Piece(submit.joint.number, id_, submit.text, now, _asks(submit)))
            brought.sequences.append(submit.sequence)
        self._gathered += by_key.values()
        if not self._is_keeping:
            self._keep_gathered()

    def _keep_gathered(self) -> None:
        if self._gathered:
            batch, self._gathered = self._gathered, []
            self._is_keeping = True
            self._app.store.submit(self._keep, batch, done=lambda kept, error: self._kept(batch, kept, error))

    @beside
    async def _keep(self, tx: Tx, batch: Sequence[Brought]) -> list[Kept]:
        await tx.turn(TURN)  # of two pieces that come to two processes, the second must see the first
        return [await self._keep_one(tx, brought) for brought in batch]

    async def _keep_one(self, tx: Tx, brought: Brought) -> Kept:
        """A piece that is there keeps its id; another text with the same reference takes the place of the old."""
        rows = await tx.all(Piece, "fragment_list", **brought.key._asdict())
        there, ids = {piece.number: piece for piece in rows}, []
        for piece in brought.pieces:
            old = there.get(piece.number)
            if old is not None and old.text == piece.text:
                ids.append(old.id)
                continue
            if old is not None:
                await self._end(tx, brought.key, [*there.values()], NOT_IN_TIME)
                there = {}
            await tx.many("fragment_insert", [self._row(brought.key, piece)])
            there[piece.number] = piece
            ids.append(piece.id)
        return Kept(ids, [there[number] for number in sorted(there)] if len(there) == brought.key.total else [])

    def _row(self, key: Key, piece: Piece) -> tuple[object, ...]:
        return (*key, piece.number, self._app.brand, piece.id, piece.text, piece.at, piece.asks)

    def _kept(self, batch: Sequence[Brought], kept: Sequence[Kept] | None, error: BaseException | None) -> None:
        self._is_keeping = False
        if kept is None:
            log.error("pieces of texts could not be kept", exc_info=error)
            status = self._status_of(error or CarillonError("no result"))
            for brought in batch:
                brought.answered([(sequence, status, "") for sequence in brought.sequences])
        else:
            for brought, each in zip(batch, kept, strict=True):
                if each.whole:
                    self._accept(Whole(brought.client, brought.key, each.whole, brought, each.ids))
                else:
                    brought.answered(_taken(brought.sequences, each.ids))
        self._keep_gathered()

    # --- a text that is whole

    def _accept(self, whole: Whole) -> None:
        """Once only, whoever else finds it whole, for its key is that of its first piece."""
        first = min(piece.id for piece in whole.pieces)
        submission = Submission(whole.client, [_wish(whole)], key=f"{DOOR} {first}")
        intake = self._app.intake
        try:
            if intake is None:
                raise CarillonError("we are not serving")
            intake.put(submission, lambda result, error: self._accepted(whole, result, error))
        except CarillonError as error:
            self._accepted(whole, None, error)

    def _accepted(self, whole: Whole, result: Result | None, error: BaseException | None) -> None:
        brought = whole.brought
        if result is None:  # the pieces stay; the program brings the last one again, or the sweep finds them
            if brought is not None:
                status = self._status_of(error or CarillonError("no result"))
                brought.answered([(sequence, status, "") for sequence in brought.sequences])
            return
        outcome = result.outcomes[0]
        refused = isinstance(outcome, Refused)
        if brought is not None and isinstance(outcome, Refused):
            status = self._status_of(outcome)
            brought.answered([(sequence, status, "") for sequence in brought.sequences])
        elif brought is not None:
            brought.answered(_taken(brought.sequences, whole.ids))
        told = {*whole.ids} if refused else {piece.id for piece in whole.pieces}
        why = outcome.detail if isinstance(outcome, Refused) else ""
        self._app.store.submit(self._finish, whole, told, why, done=_log)

    @beside
    async def _finish(self, tx: Tx, whole: Whole, told: set[int], why: str) -> None:
        """Let go of the pieces. Those that we took, before we knew that the text is refused, get a receipt."""
        await tx.turn(TURN)
        gone = await self._delete(tx, whole.key, whole.pieces)
        await self._tell(tx, whole.key, [piece for piece in gone if piece.id not in told], "refused", why)

    # --- what is left over

    async def sweep(self) -> None:
        """Accept what a process that died has left whole, and give up what is not whole in time. Raises StoreError."""
        now = self._app.clock.now_ms()
        clients = {client.id: client for client in self._app.business.clients.values()}
        for key, pieces in await self._app.store.write_bulk(self._sweep, now):
            client = clients.get(key.client)
            if client is not None:
                self._accept(Whole(client, key, pieces))

    @beside
    async def _sweep(self, tx: Tx, now: int) -> list[tuple[Key, list[Piece]]]:
        """The whole texts; the others end here."""
        await tx.turn(TURN)
        whole = []
        times = {"before": now - MISSING_MS, "whole_before": now - LEFT_MS}
        for key in await tx.all(Key, "fragment_left", brand=self._app.brand, **times):
            pieces = await tx.all(Piece, "fragment_list", **key._asdict())
            if len(pieces) == key.total:
                whole.append((key, pieces))
            else:
                await self._end(tx, key, pieces, NOT_IN_TIME)
        return whole

    async def _end(self, tx: Tx, key: Key, pieces: Sequence[Piece], why: str) -> None:
        await self._tell(tx, key, await self._delete(tx, key, pieces), "failed", why)

    async def _delete(self, tx: Tx, key: Key, pieces: Sequence[Piece]) -> list[Piece]:
        """Those that were still there."""
        gone = {id_ for (id_,) in await tx.rows("fragment_delete", **key._asdict(), ids=[each.id for each in pieces])}
        return [piece for piece in pieces if piece.id in gone]

    async def _tell(self, tx: Tx, key: Key, pieces: Sequence[Piece], state: str, why: str) -> None:
        """Receipts for pieces of a text that will never be sent."""
        now, brand, kind = self._app.clock.now_ms(), self._app.brand, f"message.{state}"
        rows = []
        for piece in pieces:
            asks = orjson.loads(piece.asks)
            if asks["callback"]:
                body, door = _body(key, piece, asks, state, why, now), orjson.loads(asks["callback"])["door"]
                rows.append(
                    (
                        self._app.ids.next(), brand, key.client, door, kind, f"m:{piece.id}:callback", now, body,
                        asks["callback"], now, 0, notices.WAITS, "",
                    )
                )  # fmt: skip
        if rows:
            await tx.many("notice_insert", rows)
            tx.notify(notices.TOPIC)


def _asks(submit: Submit) -> str:
    asked: Mapping[str, Any] = {
        "callback": submit.callback, "send_at": submit.send_at, "valid_until": submit.valid_until,
        "urgent": submit.is_urgent, "reference": submit.reference,
        **({"content": submit.content.written()} if submit.content else {}),
    }  # fmt: skip
    return orjson.dumps(asked).decode()


def _wish(whole: Whole) -> Wish:
    """The text, with a receipt for each piece that asked for one; the rest is as the first piece has it."""
    asks = [orjson.loads(piece.asks) for piece in whole.pieces]
    callbacks = [
        (piece.id, each["callback"]) for piece, each in zip(whole.pieces, asks, strict=True) if each["callback"]
    ]
    callback = ""
    if callbacks:
        written = orjson.loads(callbacks[0][1]) | {"ids": [id_ for id_, _ in callbacks]}
        callback = orjson.dumps(written).decode()
    first = asks[0]
    return Wish(
        whole.key.recipient,
        parts.join({piece.number: piece.text for piece in whole.pieces}),
        whole.key.sender,
        urgent=first["urgent"],
        send_at=first["send_at"],
        valid_until=first["valid_until"],
        reference=first["reference"],
        callback=callback,
        content=Content.read(first["content"]) if "content" in first else None,
    )


def _taken(sequences: Sequence[int], ids: Sequence[int]) -> list[tuple[int, int, str]]:
    return [(sequence, 0, str(id_)) for sequence, id_ in zip(sequences, ids, strict=True)]


def _body(key: Key, piece: Piece, asks: Mapping[str, Any], state: str, why: str, now: int) -> str:
    """As that of any other fate."""
    data = {
        "id": str(piece.id), "to": key.recipient, "from": key.sender, "state": state, "code": "", "parts": 1,
        "reference": asks["reference"], "test": False, "channel": "", "created_at": _time(piece.at), "text": piece.text,
        "detail": why,
    }  # fmt: skip
    return orjson.dumps({"type": f"message.{state}", "at": _time(now), "data": data}).decode()


def _time(ms: int) -> str:
    return from_ms(ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _log(_result: None, error: BaseException | None) -> None:
    if error is not None:  # the sweep finds them
        log.error("pieces of a text could not be let go of", exc_info=error)
