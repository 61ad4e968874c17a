"""Tells a program again what its webhook is told: for those who poll, and for those who missed something."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from gateway import web
from gateway.store import Tx
from handlers.api import bodies, models
from handlers.api.calls import WALK, Call, Operation, next_cursor, paged, time_of, told
from handlers.api.messages import LATEST
from handlers.api.problems import Problem

STATES = ("waits", "told", "given up", "kept")


class Row(NamedTuple):
    """A notice, in the order of the api_notice queries."""

    id: int
    kind: str
    at: int
    body: str
    state: int
    tries: int
    trouble: str


async def listing(call: Call) -> web.Response:
    """A page of events."""
    query: models.EventsPage = call.query
    rows, walked = await call.app.store.read(_page, call, query)
    cursor = next_cursor([row.id for row in rows], query.limit, walked)
    if query.order == "oldest" and cursor is None and (rows or query.cursor):
        cursor = str(rows[-1].id) if rows else query.cursor  # who polls goes on from here
    return paged(call, [_shown(row) for row in rows], cursor)


async def _page(tx: Tx, call: Call, query: models.EventsPage) -> tuple[list[Row], tuple[int, int]]:
    place = min(int(query.cursor), LATEST) if query.cursor else None
    span: dict[str, int] = {"client": call.login.client.id, "walk": WALK}
    if query.order == "oldest":
        name, span["after"] = "api_notices_since", place or 0
    else:
        name, span["before"], span["after"] = "api_notices", LATEST if place is None else place, 0
    rows = await tx.all(Row, name, **span, kind=query.type or "", limit=query.limit)
    (walked,) = await tx.rows(f"{name}_walked", **span)
    return rows, (int(walked[0]), int(walked[1]))


async def show(call: Call) -> web.Response:
    """One event."""
    event = bodies.path_id(call.request)
    row = await call.app.store.read(_one, call.login.client.id, event)
    if row is None:
        raise Problem("not-found", f"{call.login.client.name} has no event {event}")
    return told(_shown(row))


async def _one(tx: Tx, client: int, event: int) -> Row | None:
    return await tx.one(Row, "api_notice", client=client, notice=event)


def _shown(row: Row) -> dict[str, Any]:
    body = orjson.loads(row.body)
    return {
        "id": str(row.id), "type": row.kind, "at": body.get("at", time_of(row.at)), "data": body["data"],
        "delivery": {"state": STATES[row.state], "tries": row.tries, "trouble": row.trouble},
    }  # fmt: skip


OPERATIONS = [
    Operation(
        "GET", "/v1/events", "listEvents", "What the client is told", listing, "read",
        {200: ("Events, as the webhook gets them.", models.Events)}, query=models.EventsPage,
        detail="What is written down is what config.yaml names under `events`, or everything once there is a webhook. "
        "To poll, ask with `order=oldest`, keep `next_cursor`, and ask with it again.",
    ),
    Operation(
        "GET", "/v1/events/{id}", "getEvent", "One event", show, "read",
        {200: ("The event.", models.Event)}, paths={"id": "The event's id: the `webhook-id` of the webhook."},
    ),
]  # fmt: skip
