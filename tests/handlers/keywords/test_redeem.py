"""A shop's own phone redeems; no other does."""

from __future__ import annotations

import pytest

from campaigns import coupons
from campaigns.settings import Config, Keyword
from gateway.clock import StoppedClock
from gateway.store import Store
from tests.conftest import Apply
from tests.handlers.keywords.conftest import Phone


@pytest.fixture
async def shop(store: Store, apply: Apply, shipped_config: Config) -> Phone:
    """The phone of Pike Place."""
    place = shipped_config.places["pike_place"].model_copy(update={"phones": ("(206) 555-0177",)})
    word = Keyword(key="REDEEM", redeem=("latte",))
    changes = {
        "places": {**shipped_config.places, "pike_place": place},
        "keywords": {**shipped_config.keywords, "REDEEM": word},
    }
    return Phone(store, await apply(shipped_config.model_copy(update=changes)), "+12065550177")


@pytest.fixture
async def code(store: Store, shop: Phone) -> str:
    guest = Phone(store, shop.business, "+12065550142")
    await guest.texts("LATTE")
    return guest.said.split()[-2]


async def test_a_shop_redeems_once_and_is_told_when_it_was(shop: Phone, code: str, clock: StoppedClock) -> None:
    typed = f"redeem {code.lower().replace('-', ' ')}"
    assert await shop.texts(typed) == [
        f"YES: Two lattes for the price of one. {code}, Pike Place, Tue 1 Dec at 6:30 pm."
    ]
    assert shop.said == f"latte {code} redeemed at pike_place"
    clock.advance(seconds=60)
    assert await shop.texts(typed) == ["NO: Used on Tue 1 Dec at 6:30 pm, Pike Place."]
    assert shop.said == "redeem refused: AlreadyUsed"


async def test_a_guests_phone_cannot_redeem(store: Store, shop: Phone, code: str) -> None:
    guest = Phone(store, shop.business, "+12065550142")
    await guest.texts("hello")
    assert await guest.texts(f"REDEEM {code}") == [
        "Only the shop's own phone can redeem. Please show your coupon at the till."
    ]
    assert len(await shop.texts(f"REDEEM {code}")) == 1


async def test_a_code_without_a_word_and_a_slip_are_explained(shop: Phone, code: str) -> None:
    wrong = code[:-1] + ("0" if code[-1] != "0" else "1")
    assert await shop.texts("REDEEM") == ["Text REDEEM and the code, like REDEEM K7QM-2X9F."]
    assert await shop.texts(f"REDEEM {wrong}") == ["NO: We cannot find this code. Check the letters, please."]


async def test_guessing_is_slowed_down(shop: Phone, code: str) -> None:
    for _ in range(10):
        await shop.texts(f"REDEEM {coupons.new_code()}")
    await shop.texts(f"REDEEM {coupons.new_code()}")
    assert (await shop.got())[-1] == "Lantern Coffee: too many tries. Please wait 5 min."
    [still] = await shop.texts(f"REDEEM {code}")
    assert still.startswith("YES")


async def test_a_coupon_of_another_shop_is_refused_with_the_right_one(store: Store, apply: Apply, shop: Phone) -> None:
    config = shop.business.config
    latte = config.coupons["latte"].model_copy(update={"places": ("nanjing_road",)})
    shop.business = await apply(config.model_copy(update={"coupons": {"latte": latte}}))
    guest = Phone(store, shop.business, "+12065550142")
    await guest.texts("LATTE")
    assert await shop.texts(f"REDEEM {guest.said.split()[-2]}") == [
        "NO: This coupon is good at Nanjing Road, not here."
    ]
