"""A reply leaves from the number that was texted, at its exact price."""

from __future__ import annotations

import pytest

from campaigns import people, replies
from campaigns.business import Business
from campaigns.settings import Config
from gateway.store import Store
from tests.conftest import Apply


async def put(store: Store, business: Business, address: str, sender: str, channel: str, text: str) -> int:
    person = await store.write(people.find_or_create, business, address, 0) or people.Person(
        1, address, "", "", "", "", None
    )  # fmt: skip
    return await store.write(
        replies.reply, business, person, sender, channel, text, answers=5, now=business.clock.now_ms()
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "sent", "parts", "price"),
    [
        ("您好", "【灯笼咖啡】您好", 1, 6_500),
        ("【灯笼咖啡】您好", "【灯笼咖啡】您好", 1, 6_500),
        ("好" * 65, "【灯笼咖啡】" + "好" * 65, 2, 13_000),
    ],
)
async def test_the_senders_sign_stands_before_it_once_and_is_paid_for(
    store: Store, business: Business, text: str, sent: str, parts: int, price: int
) -> None:
    number = await put(store, business, "+8615900001785", "10690555", "cn_sms", text)
    message = (await store.read(lambda tx: tx.rows("message_of", id=number)))[0]
    assert message[7:] == (sent, parts, price)


async def test_a_reply_waits_in_the_urgent_lane(store: Store, business: Business) -> None:
    number = await put(store, business, "+12065550142", "20655", "us_sms", "Hello")
    waiting = await store.read(lambda tx: tx.rows("outbox_of_run", queue=business.queues["us_sms"], limit=9))
    assert [row[2] for row in waiting] == [number]


@pytest.mark.parametrize("address", ["20655", "Lantern"])
async def test_machines_are_never_answered(store: Store, business: Business, address: str) -> None:
    assert await put(store, business, address, "20655", "us_sms", "Hello") == 0


async def test_nothing_is_put_into_a_channel_that_is_gone(store: Store, apply: Apply, shipped_config: Config) -> None:
    channels = {"us_sms": shipped_config.channels["us_sms"]}
    business = await apply(shipped_config.model_copy(update={"channels": channels}))
    assert await put(store, business, "+8615900001785", "10690555", "cn_sms", "您好") == 0
