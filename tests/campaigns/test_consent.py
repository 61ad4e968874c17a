"""Who may be texted, how that came, and that nothing but their own word brings back whoever left."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from campaigns import consent
from campaigns.business import Business
from campaigns.consent import HasLeft
from campaigns.settings import Config
from gateway.messages import Inbound
from gateway.store import Store
from gateway.values import LocalText
from tests.conftest import Apply, People

CLUB = "lantern_club"


async def hear(
    store: Store, business: Business, text: str, at: int = 1_000, recipient: str = "20655"
) -> tuple[int, str]:
    inbound = Inbound("+12065550142", recipient, text)
    [(person, intent, *_)] = await store.write(consent.recognise, business, "us_sms", [inbound], at)
    return person, intent


async def programs_of(store: Store, person: int) -> list[str]:
    return [row[0] for row in await store.read(lambda tx: tx.rows("consent_list", person=person))]


async def ledger_of(store: Store, person: int) -> list[tuple[Any, ...]]:
    return await store.read(lambda tx: tx.rows("ledger_of_person", person=person))


async def test_a_stop_is_obeyed_in_the_transaction_that_keeps_it(store: Store, business: Business) -> None:
    maya, _ = await hear(store, business, "hello")
    await store.write(consent.join, business, maya, CLUB, language="en", at=1, source="page")

    assert await hear(store, business, "Ｓｔｏｐ！", at=5) == (maya, "stop")

    assert await programs_of(store, maya) == []
    assert await store.read(lambda tx: tx.value("stop_get", person=maya)) == 5
    ledger = await ledger_of(store, maya)
    assert [row[:5] for row in ledger] == [(CLUB, "joined", 1, "page", ""), ("", "left", 5, "text", "Ｓｔｏｐ！")]


async def test_a_second_stop_changes_nothing_and_is_known_as_such(store: Store, business: Business) -> None:
    maya, _ = await hear(store, business, "STOP", at=5)

    assert await hear(store, business, "STOP", at=9) == (maya, "stopped")
    assert await hear(store, business, "wrong number", at=10) == (maya, "stopped")
    assert len(await ledger_of(store, maya)) == 1


async def test_a_senders_own_stop_words_count_on_that_sender_only(store: Store, business: Business) -> None:
    assert (await hear(store, business, "R"))[1] == ""
    assert (await hear(store, business, "R", recipient="10690555"))[1] == "stop"


@pytest.mark.parametrize("sender", ["20655", "10690123", "Lantern", "?"])
async def test_what_is_no_phone_is_nobody(store: Store, business: Business, sender: str) -> None:
    heard = await store.write(consent.recognise, business, "us_sms", [Inbound(sender, "20655", "STOP")], 1)
    assert heard == [(0, "", False, "")]


async def test_a_reaction_that_quotes_our_stop_changes_nothing(store: Store, business: Business) -> None:
    maya, intent = await hear(store, business, "Liked “Lantern Coffee: 2 for 1. Reply STOP to end”")

    assert intent == "reaction"
    assert await store.read(lambda tx: tx.value("stop_get", person=maya)) is None


async def test_joining_twice_is_joining_once(store: Store, business: Business, make_people: People) -> None:
    [maya] = await make_people(1)

    joined = [
        await store.write(
            consent.join, business, maya, CLUB, language="zh", at=at, source="text", said="拿铁", inbound=4
        )
        for at in (7, 8)
    ]

    assert joined == [True, False]
    [entry] = await ledger_of(store, maya)
    assert entry == (CLUB, "joined", 7, "text", "拿铁", "同意接收灯笼咖啡优惠短信，每月最多4条，非购买条件。", 4)


async def test_who_has_left_cannot_be_joined_but_by_their_own_start(
    store: Store, business: Business, make_people: People
) -> None:
    [maya] = await make_people(1)
    await store.write(consent.join, business, maya, CLUB, language="en", at=1, source="page")
    await store.write(consent.leave, business, maya, at=2, source="page")

    with pytest.raises(HasLeft) as left:
        await store.write(consent.join, business, maya, CLUB, language="en", at=3, source="page")
    returned = await store.write(consent.come_back, business, maya, language="en", at=4, source="text", said="START")

    assert left.value.at == 2
    assert returned == await programs_of(store, maya) == [CLUB]
    ledger = await ledger_of(store, maya)
    assert [row[1] for row in ledger] == ["joined", "left", "returned"]


async def test_coming_back_joins_nothing_that_was_not_left(
    store: Store, business: Business, make_people: People
) -> None:
    [maya] = await make_people(1)
    come_back = partial(consent.come_back, language="en", source="text", said="START")

    assert await store.write(come_back, business, maya, at=1) is None
    await store.write(consent.leave, business, maya, at=2, source="text")
    assert await store.write(come_back, business, maya, at=3) == []
    assert await programs_of(store, maya) == []


async def test_a_changed_wording_is_kept_beside_the_old_one(
    store: Store, apply: Apply, business: Business, shipped_config: Config, make_people: People
) -> None:
    maya, noah = await make_people(2)
    club = shipped_config.programs[CLUB].model_copy(update={"consent": LocalText({"": "Now up to 9 a month."})})
    changed = await apply(shipped_config.model_copy(update={"programs": {CLUB: club}}))

    await store.write(consent.join, business, maya, CLUB, language="en", at=1, source="page")
    await store.write(consent.join, changed, noah, CLUB, language="en", at=2, source="page")

    shown = [(await ledger_of(store, person))[0][5] for person in (maya, noah)]
    assert shown == [shipped_config.programs[CLUB].consent.say("en"), "Now up to 9 a month."]
