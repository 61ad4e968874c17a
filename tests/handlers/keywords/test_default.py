"""What is said to a text that nobody understands."""

from __future__ import annotations

from campaigns.settings import Config
from gateway.store import Store
from tests.conftest import Apply
from tests.handlers.keywords.conftest import Phone


async def test_words_are_named_in_the_readers_script(chinese_phone: Phone) -> None:
    assert await chinese_phone.texts("早上好") == ["【灯笼咖啡】没看懂您的短信。可回复拿铁 投票 营业时间，或HELP。"]


async def test_a_brand_without_keywords_names_none(store: Store, apply: Apply, shipped_config: Config) -> None:
    business = await apply(shipped_config.model_copy(update={"keywords": {}}))
    phone = Phone(store, business, "+12065550142")
    assert await phone.texts("hello") == []
    assert phone.said == "not understood, no words to name"
