"""A reply leaves from the number that was texted, at its exact price."""

from __future__ import annotations

import pytest

from campaigns import people, replies
from campaigns.business import Business
from campaigns.settings import Config
from gateway.settings import RouteSettings
from gateway.store import Store, Tx
from tests.conftest import Apply


async def put(store: Store, business: Business, address: str, sender: str, channel: str, text: str) -> int:
    person = await store.write(people.find_or_create, business, address, 0) or people.Person(
        1, address, "", "", "", "", None
    )  # fmt: skip
    return await store.write(_put, business, person, sender, channel, text)


async def _put(tx: Tx, business: Business, person: people.Person, sender: str, channel: str, text: str) -> int:
    now = business.clock.now_ms()
    reply = await replies.reply(tx, business, person, sender, channel, text, answers=5, now=now)
    await replies.put(tx, [reply] if reply else [], now)
    return reply.message.id if reply else 0


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


async def repeats(store: Store, business: Business, number: int) -> int:
    """Whether a message is sent again when in doubt, as the gateway reads it."""

    async def read(tx: Tx) -> int:
        rows = await tx.rows(
            "outbox_due", queue=business.queues["us_sms"], epoch=0, now=business.clock.now_ms(), limit=9
        )
        return next(int(row[15]) for row in rows if row[1] == number)

    return await store.read(read)


@pytest.mark.parametrize(("policy", "repeat"), [("send again", 1), ("leave", 0)])
async def test_an_answer_in_doubt_is_sent_again_unless_the_file_says_leave(
    store: Store, apply: Apply, shipped_config: Config, policy: str, repeat: int
) -> None:
    replies_ = shipped_config.replies.model_copy(update={"when_in_doubt": policy})
    business = await apply(shipped_config.model_copy(update={"replies": replies_}))
    number = await put(store, business, "+12065550142", "20655", "us_sms", "Hello")
    assert await repeats(store, business, number) == repeat


async def test_only_for_a_number_that_is_gone_do_rules_choose_another(
    store: Store, apply: Apply, shipped_config: Config
) -> None:
    rule = RouteSettings.model_validate({"lane": "replies", "network": "China Mobile", "senders": ["shanghai"]})
    business = await apply(shipped_config.model_copy(update={"routes": {"china": rule}}))

    async def sent_from(address: str, sender: str, channel: str) -> str:
        number = await put(store, business, address, sender, channel, "您好")
        return str((await store.read(lambda tx: tx.rows("message_of", id=number)))[0][5])

    assert await sent_from("+8613812345678", "10690555", "cn_sms") == "10690555"
    assert await sent_from("+8613812345678", "10699999", "cn_sms") == "10690555"  # ours no more
    assert await sent_from("+8613812345678", "10699999", "gone") == "10690555"  # nor its channel
    assert await sent_from("+8613012345678", "10699999", "cn_sms") == "10699999"  # China Unicom: no rule fits
    assert await put(store, business, "+8613012345678", "10699999", "gone", "您好") == 0
