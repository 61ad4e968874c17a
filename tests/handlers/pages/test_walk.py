"""A guest and the staff, on phones 360 px wide without script: from the vote to the till and back."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
from playwright.async_api import Page, async_playwright

from tests.handlers.pages.conftest import MAYA, SHIHAN, Shop

CHROMIUM = shutil.which("chromium")
WIDTH = 360


@dataclass(frozen=True)
class Words:
    """What is met on the way, in one language."""

    locale: str
    number: str
    place: str
    pin: str
    voted: str
    again: str
    yes: str
    no: str
    used: str
    undone: str


EN = Words(
    "en-US", MAYA, "pike_place", "2468", "Got it, thank you!",
    "This phone voted today for 3, The owl. It still counts.",
    "YES ✓", "NO ✗", "Used on Tue 1 Dec at 6:30 pm, Pike Place.", "is good again",
)  # fmt: skip
ZH = Words(
    "zh-CN", SHIHAN, "nanjing_road", "1357", "已收到，谢谢！", "本机今天已投3号 猫头鹰，仍然有效。",
    "可用 ✓", "不可用 ✗", "已于12月2日10:30在南京路店使用。", "已恢复可用",
)  # fmt: skip

NewPhone = Callable[[str], Awaitable[Page]]


@pytest.fixture
async def new_phone() -> AsyncIterator[NewPhone]:
    """Makes phones: a small screen, no script, cookies of their own."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed here")
    async with AsyncExitStack() as stack:
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        stack.push_async_callback(browser.close)

        async def make(locale: str) -> Page:
            context = await browser.new_context(
                viewport={"width": WIDTH, "height": 740}, locale=locale, java_script_enabled=False
            )
            return await context.new_page()

        yield make


async def sees(page: Page, words: str) -> None:
    """The words stand on the page, and nothing hangs over the edge of the screen."""
    await page.get_by_text(words).first.wait_for()
    boxes = [await each.bounding_box() for each in await page.locator("a, button, input, h1, p").all()]
    assert [box for box in boxes if box and box["x"] + box["width"] > WIDTH] == []


@pytest.mark.parametrize("words", [EN, ZH], ids=["en", "zh"])
async def test_from_the_vote_to_the_till_and_back(shop: Shop, new_phone: NewPhone, words: Words) -> None:
    coupon = shop.public + shop.coupon_path(await shop.give(words.number))
    guest, staff = await new_phone(words.locale), await new_phone(words.locale)

    await guest.goto(coupon)
    await guest.locator('a[href^="/v/cup/"]').click()
    ballot = guest.url
    await guest.locator("label[for=choice-3]").click()
    await guest.locator("main button").click()
    await sees(guest, words.voted)
    await guest.goto(ballot)
    await guest.locator("label[for=choice-1]").click()
    await guest.locator("main button").click()
    await sees(guest, words.again)

    await staff.goto(shop.public + "/till")
    await staff.locator(f"label[for=shop-{words.place}]").click()
    await staff.locator("#pin").fill(words.pin)
    await staff.locator("#pin").press("Enter")
    assert await staff.locator("#code:focus").count() == 1  # ready for a scanner
    await staff.goto(coupon)
    await staff.locator("button.huge").click()
    await sees(staff, words.yes)
    await guest.goto(coupon)
    await sees(guest, words.used)
    code = await guest.locator(".code").inner_text()
    await staff.locator("#code").fill(code.lower().replace("-", " "))
    await staff.locator("#code").press("Enter")
    await sees(staff, words.no)
    await sees(staff, words.used)
    await staff.locator("a.verdict").click()
    assert await staff.locator(".verdict").count() == 0

    await staff.goto(f"{shop.public}/till/undo/{code}")
    await staff.locator("label[for=reason-changed_mind]").click()
    await staff.locator("main button").first.click()
    await sees(staff, words.undone)
    await staff.locator("#code").fill(code)
    await staff.locator("#code").press("Enter")
    await sees(staff, words.yes)
