"""What a program is to be told is written in the transaction of what it tells: neither without the other."""

from __future__ import annotations

from functools import partial
from typing import Any

import orjson
import pytest

from campaigns import accepting, consent, people, telling
from campaigns.business import Business
from campaigns.client_settings import ClientSettings
from campaigns.settings import Config
from campaigns.wishes import Result, Submission, Taken, Wish
from gateway.channels.smpp_server import reading, receipts
from gateway.codecs import smpp
from gateway.ids import moment
from gateway.inbox import Kept
from gateway.journal import Journal
from gateway.messages import State
from gateway.notices import KEPT, PARCEL, WAITS
from gateway.store import Store
from handlers.keywords.answer import answer
from tests import tables
from tests.conftest import BRAND, Apply

SEATTLE = "+12065550142"
HOOK = {"url": "https://shop.example/hook"}
CALLBACK = '{"door":"kannel","url":"https://shop.example/dlr?%d"}'


@pytest.fixture
async def business(apply: Apply, shipped_config: Config) -> Business:
    """The shipped business with a program that has a webhook, one that has none, and one that only asks."""
    clients = {
        "shop": ClientSettings.model_validate({"key": "shop", "webhook": HOOK, "receives": ["seattle"]}),
        "deaf": ClientSettings(key="deaf"),
        "asks": ClientSettings(key="asks", events=("message.delivered", "subscriber.left")),
    }
    return await apply(shipped_config.model_copy(update={"clients": clients}))


async def send(store: Store, business: Business, client: str, **wish: Any) -> int:
    submission = Submission(business.clients[client], [Wish(SEATTLE, "hi", **wish)])
    ((result,)) = (await store.write(accepting.accept, business, [submission], business.clock.now_ms())).results
    assert isinstance(result, Result)
    assert isinstance(result.outcomes[0], Taken)
    return result.outcomes[0].id


async def happen(store: Store, business: Business, message: int, client: str, *states: State) -> None:
    """What a carrier said, and the fold that finds it."""
    run, now = business.clients[client].id, business.clock.now_ms()
    rows = [(BRAND, run, message, 0, 1, int(state), now, "", "") for state in states]
    await store.write(lambda tx: tx.many("event_insert", rows))
    await store.write(Journal(BRAND, folded=partial(telling.fates, business=business)).fold)


async def notices(store: Store, business: Business) -> list[tuple[str, str, str, str, int]]:
    """Client, door, kind, subject and state of all, in their order."""
    names = {client.id: client.name for client in business.clients.values()}
    rows = await store.read(
        lambda tx: tables.look(tx, "SELECT client, door, kind, subject, state FROM notice ORDER BY id")
    )
    return [(names[row[0]], *row[1:]) for row in rows]


async def bodies(store: Store) -> list[dict[str, Any]]:
    rows = await store.read(lambda tx: tables.look(tx, "SELECT body FROM notice ORDER BY id"))
    return [orjson.loads(body) for (body,) in rows]


async def test_each_state_that_a_text_reaches_is_told_once(store: Store, business: Business) -> None:
    message = await send(store, business, "shop", reference="order 7")
    for states in ([State.SENT], [], [State.SENT], [State.DELIVERED], [State.DELIVERED, State.SENT]):
        await happen(store, business, message, "shop", *states)
    subject = f"m:{message}"
    assert await notices(store, business) == [
        ("shop", "webhook", "message.sent", subject, WAITS),
        ("shop", "webhook", "message.delivered", subject, WAITS),
    ]
    told = (await bodies(store))[-1]
    assert told["type"] == "message.delivered"
    assert {name: told["data"][name] for name in ("id", "to", "from", "state", "reference", "text", "test")} == {
        "id": str(message), "to": SEATTLE, "from": "20655", "state": "delivered", "reference": "order 7", "text": "hi",
        "test": False,
    }  # fmt: skip


async def test_a_late_receipt_corrects_what_was_told(store: Store, business: Business) -> None:
    message = await send(store, business, "shop")
    await happen(store, business, message, "shop", State.SENT, State.FAILED)
    await happen(store, business, message, "shop", State.DELIVERED)
    assert [kind for _, _, kind, _, _ in await notices(store, business)] == ["message.failed", "message.delivered"]


async def test_who_has_no_webhook_is_told_nothing_unless_it_named_what_to_keep(
    store: Store, business: Business
) -> None:
    deaf, message = await send(store, business, "deaf"), await send(store, business, "asks")
    for state in (State.SENT, State.DELIVERED):
        await happen(store, business, deaf, "deaf", state)
        await happen(store, business, message, "asks", state)
    assert await notices(store, business) == [("asks", "webhook", "message.delivered", f"m:{message}", KEPT)]


async def test_a_text_with_an_address_of_its_own_is_told_there_also_that_it_was_sent(
    store: Store, business: Business
) -> None:
    message = await send(store, business, "deaf", callback=CALLBACK)
    await happen(store, business, message, "deaf", State.SENT, State.DELIVERED)
    kinds = [(door, kind) for _, door, kind, _, _ in await notices(store, business)]
    assert kinds == [("kannel", "message.sent"), ("kannel", "message.delivered")]
    targets = await store.read(lambda tx: tables.look(tx, "SELECT target FROM notice"))
    assert targets == [(CALLBACK,)] * 2


def by_line(asked: int) -> str:
    return f'{{"door":"smpp","asked":{asked},"sender":[3,0,"20655"],"recipient":[1,1,"12065550142"],"reference":""}}'


async def parcels(store: Store) -> list[list[receipts.Receipt]]:
    rows = await store.read(
        lambda tx: tables.look(tx, "SELECT body, target FROM notice WHERE subject = 'parcel' ORDER BY id")
    )
    found = [receipts.unpack(body) for body, _ in rows]
    assert [str(len(each)) for each in found] == [target for _, target in rows]
    return found


@pytest.mark.parametrize("asked", range(0x20))
def test_who_asks_for_the_end_alone_is_known_by_how_the_callback_begins(asked: int) -> None:
    """As `fates_told` reads it, too: by its first 25 characters."""
    sender, recipient, body = smpp.address(3, 0, "20655"), smpp.address(1, 1, "12065550142"), b"Hello"
    octets = smpp.message_body(sender, recipient, body, registered=asked)
    callback = reading.callback_of(smpp.read_message(octets, 0, len(octets)), "7")
    assert (callback[:25] in telling.PLAIN) == (asked & reading.ASKED in (1, 2, 3))
    assert {len(each) for each in telling.PLAIN} == {25}


async def test_that_a_carrier_took_it_is_told_to_who_hears_of_everything_and_not_by_smpp(
    store: Store, business: Business
) -> None:
    for client in ("shop", "deaf"):
        await happen(store, business, await send(store, business, client, callback=by_line(1)), client, State.SENT)
    assert [(door, kind) for _, door, kind, _, _ in await notices(store, business)] == [("webhook", "message.sent")]


async def test_receipts_of_a_fold_share_a_row_each_with_a_number_of_its_own(
    store: Store, business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "PARCEL_SIZE", 2)
    sent = [await send(store, business, "deaf", callback=by_line(1)) for _ in range(3)]
    run, now = business.clients["deaf"].id, business.clock.now_ms()
    events = [(BRAND, run, message, 0, 1, int(State.DELIVERED), now, "", "") for message in sent[1:]]
    await store.write(lambda tx: tx.many("event_insert", events))
    await happen(store, business, sent[0], "deaf", State.FAILED)
    found = await parcels(store)
    assert [[(each.message, each.state) for each in one] for one in found] == [
        [(sent[0], "failed"), (sent[1], "delivered")], [(sent[2], "delivered")],
    ]  # fmt: skip
    numbers = [each.notice for one in found for each in one]
    assert len({*numbers}) == 3
    assert found[0][0].asked == orjson.loads(by_line(1))
    assert found[0][0].created_at == moment(sent[0])


async def test_what_must_keep_its_order_is_told_by_itself(store: Store, business: Business) -> None:
    step, message = [await send(store, business, "deaf", callback=by_line(asked)) for asked in (0x11, 1)]
    for state in (State.SENT, State.FAILED, State.DELIVERED):
        await happen(store, business, step, "deaf", state)
        await happen(store, business, message, "deaf", state)
    assert [[each.message for each in one] for one in await parcels(store)] == [[message]]
    told = [(kind, subject) for _, _, kind, subject, _ in await notices(store, business)]
    assert told == [
        ("message.sent", f"m:{step}:callback"),
        ("message.failed", f"m:{step}:callback"), (receipts.KIND, PARCEL),
        ("message.delivered", f"m:{step}:callback"), ("message.delivered", f"m:{message}:callback"),
    ]  # fmt: skip


async def test_texts_of_campaigns_are_told_to_nobody(store: Store, business: Business) -> None:
    rows = [(BRAND, 0, 77, 0, 1, int(State.DELIVERED), 1, "", "")]
    await store.write(lambda tx: tx.many("event_insert", rows))
    await store.write(Journal(BRAND, folded=partial(telling.fates, business=business)).fold)
    assert await notices(store, business) == []


async def receive(store: Store, business: Business, text: str, recipient: str = "20655") -> str:
    now = business.clock.now_ms()
    person = await store.write(people.find_or_create, business, SEATTLE, now)
    assert person is not None
    kept = Kept(business.ids.next(), "us_sms", SEATTLE, recipient, text, person.id, now, "")
    [outcome] = await store.write(answer, business, [kept])
    return outcome


async def test_a_text_to_a_sender_of_a_program_is_told_to_it_instead_of_our_default(
    store: Store, business: Business
) -> None:
    outcome = await receive(store, business, "where is my order")
    assert outcome == "told to a program, which may answer"
    assert await notices(store, business) == [("shop", "webhook", "message.received", f"p:{SEATTLE}", WAITS)]
    (told,) = await bodies(store)
    assert (told["data"]["from"], told["data"]["to"], told["data"]["text"]) == (SEATTLE, "20655", "where is my order")


async def test_a_keyword_is_answered_and_told_all_the_same(store: Store, business: Business) -> None:
    outcome = await receive(store, business, "HOURS")
    assert "told to a program" not in outcome
    assert len(await notices(store, business)) == 1


async def test_other_numbers_are_no_business_of_the_program(store: Store, business: Business) -> None:
    await receive(store, business, "where is my order", "10690555")
    assert await notices(store, business) == []


async def test_who_leaves_is_told_to_who_asked_for_it(store: Store, business: Business) -> None:
    now = business.clock.now_ms()
    person = await store.write(people.find_or_create, business, SEATTLE, now)
    assert person is not None
    await store.write(consent.join, business, person.id, "lantern_club", language="en", at=now, source="text")
    await store.write(consent.leave, business, person.id, at=now, source="text")
    await store.write(consent.leave, business, person.id, at=now, source="text")
    await store.write(consent.come_back, business, person.id, language="en", at=now, source="text")
    kinds = [(client, kind, state) for client, _, kind, _, state in await notices(store, business)]
    assert sorted(kinds) == [
        ("asks", "subscriber.left", KEPT),
        ("shop", "subscriber.joined", WAITS),
        ("shop", "subscriber.left", WAITS),
        ("shop", "subscriber.returned", WAITS),
    ]
