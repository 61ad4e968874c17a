"""Takes back a text that a program planned, as long as it has not left."""

from __future__ import annotations

from typing import Final, Literal

from campaigns.business import Business
from campaigns.client_settings import Client
from gateway.ids import moment
from gateway.messages import State
from gateway.store import Tx

CANCELLED: Final = "cancelled"
LEFT: Final = "left"  # it has left, is leaving at this moment, or has ended otherwise
UNKNOWN: Final = "unknown"
CODE: Final = "cancelled"  # why it ended, in its journal
BEFORE_MS: Final = 2_000  # a message is due when its transaction began, and gets its id while that runs
AFTER_MS: Final = 50
EVER_MS: Final = 1 << 52
Outcome = Literal["cancelled", "left", "unknown"]


async def cancel(tx: Tx, business: Business, client: Client, message: int, now: int) -> Outcome:
    """Stop a message of this client that waits and has never been tried; whose row is gone, a claim has it."""
    rows = await tx.rows("message_of", id=message)
    if not rows or rows[0][1] != client.id:
        return UNKNOWN
    _, _, _, _, channel, _, _, _, parts, _ = rows[0]
    if await tx.value("api_state", message=message):  # most have left: their queues need not be searched
        return LEFT
    made = moment(message)
    for since, until in ((made - BEFORE_MS, made + AFTER_MS), (0, EVER_MS)):  # due as it came, or else at some time
        if await tx.run(
            "api_cancel", brand=business.brand, client=client.id, channel=channel, message=message, since=since,
            until=until,
        ):  # fmt: skip
            break
    else:
        return LEFT
    await tx.run(
        "event_insert", brand=business.brand, run=client.id, message=message, part=-1, parts=parts,
        state=State.STOPPED, at=now, code=CODE, ref="",
    )  # fmt: skip
    return CANCELLED
