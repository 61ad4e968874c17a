"""Writes down what programs are to be told, in the very transaction of what it tells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from campaigns.business import Business
from campaigns.client_settings import Client
from gateway.channels.smpp_server import receipts
from gateway.clock import from_ms
from gateway.ids import moment
from gateway.inbox import Kept
from gateway.messages import Content, State
from gateway.notices import KEPT, PARCEL, TOPIC, WAITS, WEBHOOK
from gateway.store import Tx
from gateway.values import Money

TWILIO, KANNEL, SMPP = "twilio", "kannel", "smpp"  # doors, beside our own webhooks

KINDS = {
    State.IN_DOUBT: "message.in_doubt",
    State.SENT: "message.sent",
    State.STOPPED: "message.stopped",
    State.REFUSED: "message.refused",
    State.EXPIRED: "message.expired",
    State.FAILED: "message.failed",
    State.UNKNOWN: "message.unknown",
    State.DELIVERED: "message.delivered",
}
WORDS = {state.value: state.name.lower() for state in State}
RECEIVED = "message.received"
PARCEL_SIZE = 100  # receipts in a row; if we die before all have their answer, all come again, the answered too
INTERMEDIATE = 0x10  # of registered_delivery: what is not final is asked for, too (SMPP 3.4, 5.2.17)
PLAIN = tuple(f'{{"door":"{SMPP}","asked":{asked},' for asked in (1, 2, 3))  # callbacks that ask for the end alone


class Fate(NamedTuple):
    """A change of state of a text that a client asked for."""

    message: int
    client: int
    was: int
    state: int
    sent: int  # a bit for each part that its carrier took
    code: str
    at: int
    parts: int
    channel: str
    sender: str
    address: str
    text: str
    price: int
    is_test: int
    reference: str
    callback: str
    content: str | None


def wants(client: Client, kind: str) -> bool:
    """Whether things of this kind are kept for a client: once it has a webhook, or has said which it wants."""
    settings = client.settings
    is_asked = settings.webhook is not None or "events" in settings.model_fields_set
    return is_asked and kind in settings.events


async def fates(tx: Tx, business: Business) -> None:
    """Tell clients what the fold has found out of their texts."""
    by_id = {client.id: client for client in business.clients.values()}
    if not by_id:
        return
    rows, currency = [], business.config.brand.currency
    by_line: dict[int, list[Fate]] = {}
    hearing = [client.id for client in by_id.values() if any(wants(client, kind) for kind in KINDS.values())]
    for fate in await tx.all(Fate, "fates_told", clients=[*by_id], hearing=hearing, sent=int(State.SENT)):
        client, kind = by_id[fate.client], KINDS[State(fate.state)]
        body = ""
        if wants(client, kind):
            body = _fate(fate, kind, currency)
            rows.append(_notice(business, client, WEBHOOK, kind, f"m:{fate.message}", fate.at, body, ""))
        if fate.callback.startswith(PLAIN) and fate.was <= State.SENT < fate.state:
            by_line.setdefault(fate.client, []).append(fate)
        elif fate.callback:
            target = orjson.loads(fate.callback)
            door = target["door"]
            if door == SMPP and _is_only_receipt(fate, target):
                by_line.setdefault(fate.client, []).append(fate)
                continue
            subject = f"m:{fate.message}:callback"  # of its own: the client's webhook may be down
            if door in (TWILIO, KANNEL) and _has_skipped_sent(fate):
                sent, was = fate._replace(state=int(State.SENT), code=""), KINDS[State.SENT]
                told = _fate(sent, was, currency)
                rows.append(_notice(business, client, door, was, subject, fate.at, told, fate.callback))
            if door != SMPP or fate.state > State.SENT or target.get("asked", 0) & INTERMEDIATE:
                body = body or _fate(fate, kind, currency)
                rows.append(_notice(business, client, door, kind, subject, fate.at, body, fate.callback))
    for number, those in by_line.items():
        rows += _parcels(business, by_id[number], those)
    await _put(tx, rows)


def _is_only_receipt(fate: Fate, target: Mapping[str, Any]) -> bool:
    """Whether nothing was told of the text by SMPP before, so that no order is to be kept."""
    return fate.was <= State.SENT < fate.state and not target.get("asked", 0) & INTERMEDIATE


def _parcels(business: Business, client: Client, fates: Sequence[Fate]) -> Iterator[tuple[object, ...]]:
    """Receipts as rows that hold many of them: to write, claim and settle each by itself costs twenty times as much."""
    for first in range(0, len(fates), PARCEL_SIZE):
        piece = fates[first : first + PARCEL_SIZE]
        fields = [
            (
                number,
                fate.message,
                WORDS[fate.state],
                fate.code,
                moment(fate.message),
                fate.at,
                fate.text,
                fate.callback,
            )
            for number, fate in zip(business.ids.take(len(piece)), piece, strict=True)
        ]
        body, many = receipts.pack(fields), str(len(piece))
        yield _notice(business, client, SMPP, receipts.KIND, PARCEL, piece[0].at, body, many)


def _has_skipped_sent(fate: Fate) -> bool:
    """Whether its answer and its end came in one fold: who waits for the answer alone must hear of it, too."""
    return fate.was < State.SENT < fate.state and (fate.state == State.DELIVERED or fate.sent == (1 << fate.parts) - 1)


async def received(tx: Tx, business: Business, kept: Kept, outcome: str) -> None:
    """Tell clients of a text to a sender of theirs."""
    clients = [*receivers(business, kept.recipient)]
    if not clients:
        return
    media = await tx.rows("media_told", inbound=kept.id)
    body = _body(
        RECEIVED,
        kept.at,
        {
            "id": str(kept.id), "from": kept.sender, "to": kept.recipient, "text": kept.text, "at": _time(kept.at),
            "channel": kept.channel, "person": str(kept.person) if kept.person else None, "intent": kept.intent,
            "outcome": outcome, "media": [{"number": n, "type": kind} for n, kind in media],
        },
    )  # fmt: skip
    subject, rows = f"p:{kept.sender}", []
    for client in clients:
        if wants(client, RECEIVED):
            rows.append(_notice(business, client, WEBHOOK, RECEIVED, subject, kept.at, body, ""))
        if client.settings.smpp is not None:
            rows.append(_notice(business, client, SMPP, RECEIVED, subject, kept.at, body, ""))
        if client.settings.twilio is not None and client.settings.twilio.inbound_url:
            rows.append(_notice(business, client, TWILIO, RECEIVED, subject, kept.at, body, ""))
    await _put(tx, rows)


def receivers(business: Business, number: str) -> Iterable[Client]:
    """The clients that texts to this number of ours are for."""
    sender = business.senders.get(number)
    return [each for each in business.clients.values() if sender and sender.key in each.settings.receives]


async def subscriber(
    tx: Tx, business: Business, person: int, change: str, program: str, at: int, source: str
) -> None:  # fmt: skip
    """Tell clients that somebody joined a programme, left, or came back. Imports tell of nobody."""
    kind = f"subscriber.{change}"
    clients = [each for each in business.clients.values() if wants(each, kind) and "subscribers" in each.settings.may]
    if not clients:
        return
    address = await tx.value("person_address", person=person)
    body = _body(kind, at, {"phone": address, "program": program, "source": source, "at": _time(at)})
    await _put(tx, [_notice(business, each, WEBHOOK, kind, f"p:{address}", at, body, "") for each in clients])


def _notice(
    business: Business, client: Client, door: str, kind: str, subject: str, at: int, body: str, target: str
) -> tuple[object, ...]:  # fmt: skip
    """A row of notice_insert. `target` empty: the client's own address for this door."""
    nowhere = door == WEBHOOK and not target and client.settings.webhook is None
    state, due = KEPT if nowhere else WAITS, business.clock.now_ms()
    return (
        business.ids.next(), business.brand, client.id, door, kind, subject, at, body, target, due, 0, state, "",
    )  # fmt: skip


def _fate(fate: Fate, kind: str, currency: str) -> str:
    return _body(
        kind,
        fate.at,
        {
            "id": str(fate.message), "to": fate.address, "from": fate.sender, "state": State(fate.state).name.lower(),
            "code": fate.code, "parts": fate.parts, "price": Money(fate.price, currency).for_programs(),
            "reference": fate.reference, "test": bool(fate.is_test),
            "taken": fate.sent != 0 or fate.state == State.DELIVERED, "channel": fate.channel,
            "created_at": _time(moment(fate.message)), "text": fate.text,
            **(Content.read(fate.content).told() if fate.content else {}),
        },
    )  # fmt: skip


def _body(kind: str, at: int, data: dict[str, Any]) -> str:
    return orjson.dumps({"type": kind, "at": _time(at), "data": data}).decode()


def _time(ms: int) -> str:
    return from_ms(ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def _put(tx: Tx, rows: list[tuple[object, ...]]) -> None:
    if rows:
        await tx.many("notice_insert", rows)
        tx.notify(TOPIC)
