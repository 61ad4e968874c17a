"""What waits and has never been tried can be taken back, wherever it stands in its queue; nothing else can."""

from __future__ import annotations

import pytest

from campaigns import accepting
from campaigns.business import Business
from campaigns.client_settings import Client, ClientSettings
from campaigns.settings import Config
from campaigns.wishes import Result, Submission, Taken, Wish
from gateway.messages import State
from gateway.store import Store, Tx
from handlers.api.cancelling import CANCELLED, LEFT, UNKNOWN, cancel
from tests.conftest import Apply
from tests.tables import look

SEATTLE = "+12065550142"
HOUR_MS = 3_600_000


@pytest.fixture
async def business(apply: Apply, shipped_config: Config) -> Business:
    """A business with two programs."""
    clients = {name: ClientSettings(key=name) for name in ("shop", "till")}
    return await apply(shipped_config.model_copy(update={"clients": clients}))


async def taken(store: Store, business: Business, *, send_at: int = 0) -> Taken:
    """A text of the shop's that waits."""
    submission = Submission(business.clients["shop"], [Wish(SEATTLE, "Ready", send_at=send_at)])
    accepted = await store.write(accepting.accept, business, [submission], business.clock.now_ms())
    (result,) = accepted.results
    assert isinstance(result, Result)
    (outcome,) = result.outcomes
    assert isinstance(outcome, Taken)
    return outcome


async def ask(store: Store, business: Business, message: int, client: Client | None = None) -> str:
    return await store.write(
        cancel, business, client or business.clients["shop"], message, business.clock.now_ms()
    )  # fmt: skip


@pytest.mark.parametrize("later", [0, HOUR_MS])
async def test_what_waits_is_taken_back_whether_it_is_due_now_or_later(
    store: Store, business: Business, later: int
) -> None:
    mine = await taken(store, business, send_at=business.clock.now_ms() + later if later else 0)
    other = await taken(store, business)

    assert await ask(store, business, mine.id, business.clients["till"]) == UNKNOWN
    assert await ask(store, business, mine.id) == CANCELLED
    assert await ask(store, business, mine.id) == LEFT

    assert await store.read(lambda tx: look(tx, "SELECT id FROM outbox")) == [(other.id,)]
    assert await store.read(lambda tx: look(tx, "SELECT message, state FROM event")) == [(mine.id, State.STOPPED)]


async def test_what_was_put_off_is_found_where_it_stands_now(store: Store, business: Business) -> None:
    mine = await taken(store, business)

    async def put_off(tx: Tx) -> None:
        await look(tx, f"UPDATE outbox SET due = due + {HOUR_MS}")

    await store.write(put_off)
    assert await ask(store, business, mine.id) == CANCELLED


async def test_what_was_tried_is_not_taken_back(store: Store, business: Business) -> None:
    mine = await taken(store, business)

    async def try_once(tx: Tx) -> None:
        await look(tx, "UPDATE outbox SET attempt = 1")

    await store.write(try_once)
    assert await ask(store, business, mine.id) == LEFT
