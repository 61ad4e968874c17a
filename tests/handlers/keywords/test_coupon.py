"""LATTE joins and gives, once; afterwards it shows what there is, or says why not."""

from __future__ import annotations

import re

from campaigns import coupons
from campaigns.settings import Config
from gateway.clock import StoppedClock
from gateway.codecs.parts import measure
from gateway.store import Store
from tests.conftest import Apply
from tests.handlers.keywords.conftest import Phone


def link_in(text: str) -> str:
    return text[text.index("http") :].split(maxsplit=1)[0]


async def test_latte_joins_and_gives_in_one_part(phone: Phone) -> None:
    [welcome] = await phone.texts("LATTE")
    assert welcome.startswith(
        "Welcome to Lantern Club: up to 4 texts a month. Msg&data rates may apply. HELP for help, STOP to end. Coupon: "
    )
    assert measure(welcome).parts == 1
    assert re.fullmatch(r"joined lantern_club, latte \w{4}-\w{4} given", phone.said)


async def test_latte_twice_gives_the_same_code(phone: Phone) -> None:
    [welcome] = await phone.texts("LATTE")
    [again] = await phone.texts("拿铁")
    assert again == f"Here it is again: {link_in(welcome)} Show it at the till by 15 Dec."


async def test_a_short_offer_is_named_in_the_welcome(store: Store, apply: Apply, shipped_config: Config) -> None:
    latte = shipped_config.coupons["latte"].model_copy(
        update={"offer": type(shipped_config.brand.name)({"": "2 for 1"})}
    )
    business = await apply(shipped_config.model_copy(update={"coupons": {"latte": latte}}))
    [welcome] = await Phone(store, business, "+12065550142").texts("LATTE")
    assert " 2 for 1: http" in welcome
    assert measure(welcome).parts == 1


async def test_a_member_is_not_welcomed_again(store: Store, phone: Phone) -> None:
    await phone.texts("START")
    await phone.texts("YES")
    [text] = await phone.texts("LATTE")
    assert text == f"Two lattes for the price of one: {link_in(text)} Show it at the till by 15 Dec."


async def test_after_use_latte_says_when_and_where(store: Store, phone: Phone, clock: StoppedClock) -> None:
    await phone.texts("LATTE")
    code = phone.said.split()[-2]
    clock.advance(seconds=12 * 60)
    await store.write(coupons.redeem, phone.business, code, "pike_place", "1", "page", clock.now_ms())
    assert await phone.texts("LATTE") == ["Used on Tue 1 Dec at 6:42 pm, Pike Place."]
    assert phone.said == "latte not given: coupon used"


async def test_after_its_last_day_latte_says_so(phone: Phone, clock: StoppedClock) -> None:
    await phone.texts("LATTE")
    clock.advance(seconds=20 * 86_400)
    assert await phone.texts("LATTE") == ["This offer ended on 15 Dec."]


async def test_when_all_codes_are_taken_the_person_has_joined_all_the_same(
    store: Store, apply: Apply, shipped_config: Config
) -> None:
    latte = shipped_config.coupons["latte"].model_copy(update={"codes": 1})
    business = await apply(shipped_config.model_copy(update={"coupons": {"latte": latte}}))
    await Phone(store, business, "+12065550142").texts("LATTE")
    late = Phone(store, business, "+12065550143")

    [text] = await late.texts("LATTE")

    assert text.startswith("Welcome to Lantern Club")
    assert text.endswith("All 1 are taken.")
    assert late.said == "joined lantern_club, latte not given: no codes left"


async def test_whoever_left_is_told_once_how_to_come_back_and_joins_nothing(phone: Phone) -> None:
    await phone.texts("STOP")
    assert await phone.texts("LATTE") == ["You left on 1 Dec. Text START, then LATTE."]
    assert await phone.texts("LATTE") == []
    assert await phone.count("consent_list", person=phone.person) == 0
    assert await phone.count("coupon_of_person", person=phone.person) == 0


async def test_whoever_left_again_is_told_again(phone: Phone, clock: StoppedClock) -> None:
    for _ in range(2):
        await phone.texts("STOP")
        assert await phone.texts("LATTE") == ["You left on 1 Dec. Text START, then LATTE."]
        await phone.texts("START")
        clock.advance(seconds=60)


async def test_a_latte_that_is_thought_about_after_a_stop_gives_nothing(phone: Phone, clock: StoppedClock) -> None:
    await phone.keeps("LATTE")
    clock.advance(seconds=1)
    await phone.keeps("STOP")
    await phone.thinks()
    [confirmation] = await phone.got()
    assert "unsubscribed" in confirmation


async def test_a_keyword_may_join_without_giving(store: Store, apply: Apply, shipped_config: Config) -> None:
    club = shipped_config.keywords["LATTE"].model_copy(update={"key": "CLUB", "give": None})
    phone = Phone(
        store, await apply(shipped_config.model_copy(update={"keywords": {"CLUB": club}})), "+12065550142"
    )  # fmt: skip
    assert len(await phone.texts("CLUB")) == 1
    assert phone.said == "joined lantern_club, welcomed"
    assert await phone.texts("CLUB") == [
        "Lantern Coffee: you are subscribed to Lantern Club. HELP for help, STOP to end."
    ]
