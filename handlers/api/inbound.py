"""Tells a program of the texts that came to its senders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from gateway import web
from gateway.store import Tx
from handlers.api import bodies, models
from handlers.api.calls import WALK, Call, Operation, next_cursor, paged, time_of, told
from handlers.api.messages import bounds, spelled
from handlers.api.problems import Problem


class Row(NamedTuple):
    """A text that came in, in the order of the api_inbound queries."""

    id: int
    channel: str
    sender: str
    recipient: str
    text: str
    person: int
    at: int
    intent: str


def own_numbers(call: Call) -> list[str]:
    """The numbers whose texts this client is told of: those of the senders that it `receives`."""
    senders = call.business.config.senders
    return [number for key in call.login.client.settings.receives for number in senders[key].numbers]


async def listing(call: Call) -> web.Response:
    """A page of texts that came in."""
    query: models.InboundPage = call.query
    rows, walked, media = await call.app.store.read(_page, call, query)
    cursor = next_cursor([row.id for row in rows], query.limit, walked)
    return paged(call, [_shown(row, media) for row in rows], cursor)


async def _page(
    tx: Tx, call: Call, query: models.InboundPage
) -> tuple[list[Row], tuple[int, int], dict[int, list[dict[str, Any]]]]:
    mine = own_numbers(call)
    if not mine:
        return [], (0, 0), {}
    before, since = bounds(query.cursor, query.since, query.until)
    sender = spelled(call, query.from_) if query.from_ else ""
    rows = await tx.all(
        Row, "api_inbound", brand=call.app.brand, before=before, since=since, walk=WALK, numbers=mine, sender=sender,
        limit=query.limit,
    )  # fmt: skip
    (walked,) = await tx.rows("api_inbound_walked", before=before, since=since, walk=WALK)
    return rows, (int(walked[0]), int(walked[1])), await _media(tx, rows)


async def show(call: Call) -> web.Response:
    """One text that came in."""
    inbound = bodies.path_id(call.request)
    rows, media = await call.app.store.read(_one, call, inbound)
    if not rows:
        raise Problem("not-found", f"no text {inbound} came to the senders that {call.login.client.name} receives")
    return told(_shown(rows[0], media))


async def _one(tx: Tx, call: Call, inbound: int) -> tuple[list[Row], dict[int, list[dict[str, Any]]]]:
    rows = await tx.all(Row, "api_inbound_one", brand=call.app.brand, inbound=inbound, numbers=own_numbers(call))
    return rows, await _media(tx, rows)


async def _media(tx: Tx, rows: Sequence[Row]) -> dict[int, list[dict[str, Any]]]:
    came: dict[int, list[dict[str, Any]]] = {}
    for inbound, number, kind, said, size in await tx.rows("api_media", ids=[row.id for row in rows]):
        came.setdefault(inbound, []).append({"number": number, "type": kind or said, "size": size})
    return came


def _shown(row: Row, media: dict[int, list[dict[str, Any]]]) -> dict[str, Any]:
    return {
        "id": str(row.id), "from": row.sender, "to": row.recipient, "text": row.text, "intent": row.intent,
        "channel": row.channel, "at": time_of(row.at), "person": str(row.person) if row.person else None,
        "media": media.get(row.id, []),
    }  # fmt: skip


OPERATIONS = [
    Operation(
        "GET", "/v1/inbound", "listInbound", "Look for texts that came in", listing, "read",
        {200: ("The newest first.", models.InboundTexts)}, query=models.InboundPage,
        detail="Those to the senders that config.yaml names under `receives`.",
    ),
    Operation(
        "GET", "/v1/inbound/{id}", "getInbound", "One text that came in", show, "read",
        {200: ("The text.", models.Inbound)}, paths={"id": "The text's id."},
    ),
]  # fmt: skip
