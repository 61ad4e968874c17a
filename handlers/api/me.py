"""Tells a program who it is to us: its scopes, its limits, and the senders that it may use."""

from __future__ import annotations

from gateway import web
from handlers.api import models
from handlers.api.calls import Call, Operation, told


async def show(call: Call) -> web.Response:
    """Who is asking."""
    client, config = call.login.client, call.business.config
    own = client.settings.senders or tuple(config.senders)
    return told(
        {
            "client": client.name, "key": call.login.key_id, "test": call.login.is_test,
            "scopes": sorted(call.login.scopes),
            "rate": client.settings.rate.per_s if client.settings.rate else None,
            "program": client.settings.program,
            "senders": [
                {"name": key, "numbers": [*config.senders[key].numbers], "countries": [*config.senders[key].countries]}
                for key in own
            ],
            "programs": [*config.programs],
        }
    )  # fmt: skip


OPERATIONS = [
    Operation(
        "GET", "/v1/me", "getMe", "Who is asking", show, None,
        {200: ("The client of this key.", models.Me)}, detail="The first call to make: it needs no scope.",
    ),
]  # fmt: skip
