"""HELP says who we are, to everyone."""

from __future__ import annotations

from campaigns.settings import Config
from gateway.store import Store
from tests.conftest import Apply
from tests.handlers.keywords.conftest import Phone

HELP = (
    "Lantern Coffee (Lantern Club): up to 4 texts a month. Help: 206-555-0100, help@lantern.example. "
    "Msg&data rates may apply. Text STOP to end."
)


async def test_help_names_us_our_limit_whom_to_ask_and_how_to_end_it(phone: Phone) -> None:
    assert await phone.texts("help?") == [HELP]


async def test_help_is_answered_after_a_stop(phone: Phone) -> None:
    await phone.texts("STOP")
    assert await phone.texts("HELP") == [HELP]


async def test_help_names_the_senders_own_stop_word(chinese_phone: Phone) -> None:
    [text] = await chinese_phone.texts("帮助")
    assert text == "【灯笼咖啡】灯笼会：每月最多4条短信。客服206-555-0100，help@lantern.example。退订回R。"


async def test_help_works_for_a_brand_without_programmes_and_support(
    store: Store, apply: Apply, shipped_config: Config
) -> None:
    brand = shipped_config.brand.model_copy(update={"support": type(shipped_config.brand.support)()})
    business = await apply(shipped_config.model_copy(update={"programs": {}, "brand": brand}))
    [text] = await Phone(store, business, "+12065550142").texts("HELP")
    assert text == (
        "Lantern Coffee (Lantern Coffee): message frequency varies. Help: localhost:8080, localhost:8080. "
        "Msg&data rates may apply. Text STOP to end."
    )
