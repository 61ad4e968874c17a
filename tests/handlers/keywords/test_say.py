"""A keyword may simply answer."""

from __future__ import annotations

from tests.handlers.keywords.conftest import Phone


async def test_hours_are_told_in_the_readers_language_also_after_a_stop(phone: Phone, chinese_phone: Phone) -> None:
    await phone.texts("STOP")
    assert await phone.texts("hours?") == ["Pike Place: 7am-7pm every day."]
    assert await chinese_phone.texts("营业时间") == ["【灯笼咖啡】南京路店：每天8:00-22:00。"]
