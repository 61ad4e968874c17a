"""The pages that move by themselves, under their own policy in a real browser, served by our own listener."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Page, async_playwright

from gateway import web
from gateway.palette import palette
from gateway.rendering import Pages, Texts

ROOT = Path(__file__).parents[2] / "templates"
CHROMIUM = shutil.which("chromium")
PAGES = Pages(ROOT / "pages", Texts(ROOT / "texts", ("en", "zh")))
SITE = {
    "name": "Lantern Coffee", "palette": palette("#7A3E1D"), "languages": [("en", "English"), ("zh", "中文")],
    "home": "/", "support": {"phone": "", "email": ""},
}  # fmt: skip
FRAME = {"site": SITE, "zone": ZoneInfo("UTC"), "mode": "simulator", "carriers": "", "clocks": [], "tabs": []}


class Desk:
    """A handset and a board over nothing but a list: what is texted is answered in kind."""

    def __init__(self) -> None:
        self.texts: list[dict[str, Any]] = []
        self.votes = 0

    def render_handset(self, language: str, token: str) -> str:
        phone = {"number": "+12065550142", "title": "Seattle", "to": "20655", "log": self.texts, "tries": ["VOTE 3"]}
        other = phone | {"number": "+8613800138000", "log": []}
        context = {"here": "/handset", "phones": [phone, other], "numbers": [], "token": token, "refresh_s": 1}
        return PAGES.render("handset.html", language, **FRAME | context)

    def render_board(self, language: str) -> str:
        contest = {"question": "Which cup?", "open": True, "votes": self.votes, "rows": []}
        nothing: dict[str, Any] = dict.fromkeys(("campaigns", "coupons", "clients", "channels", "feed", "look"), ())
        context = {"here": "/", "contests": [contest]} | nothing
        return PAGES.render("board.html", language, **FRAME | context)

    async def show(self, request: web.Request) -> web.Response:
        return web.page(self.render_handset(web.language(request), web.token(request)))

    async def send(self, request: web.Request) -> web.Response:
        words = web.form(request)["words"]
        for mine, text in ((True, words), (False, f"You said {words}.")):
            number = len(self.texts)
            self.texts.append({"id": number, "mine": mine, "text": text, "time": "now", "parts": 1, "delay": ""})
        return web.see_other("/handset")

    async def board(self, request: web.Request) -> web.Response:
        return web.page(self.render_board(web.language(request)))


@pytest.fixture
async def desk() -> AsyncIterator[tuple[Desk, str]]:
    desk = Desk()
    policy = web.content_policy([desk.render_handset("en", ""), desk.render_board("en")], connect=True)
    site = web.Site(b"k" * 32, ("en", "zh"), lambda status, _: str(status), policy, hosts=web.LOOPBACK_NAMES)
    routes = [web.get("/handset", desk.show), web.post("/handset", desk.send), web.get("/", desk.board)]
    listener = web.Listener(web.application(site, pages=routes), "127.0.0.1", 0, setting="listen.private")
    await listener.start()
    yield desk, f"http://127.0.0.1:{listener.port}"
    await listener.stop()


@pytest.fixture(params=[True, False], ids=["script", "no script"])
async def screen(request: pytest.FixtureRequest) -> AsyncIterator[Page]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed here")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page(java_script_enabled=request.param)
        yield page
        await browser.close()


async def test_a_text_sent_by_keyboard_alone_is_answered_on_the_handset(desk: tuple[Desk, str], screen: Page) -> None:
    complaints: list[str] = []
    screen.on("console", lambda message: complaints.append(message.text))
    await screen.goto(desk[1] + "/handset")
    await screen.focus("#words-1")
    await screen.keyboard.type("votee 3")
    await screen.keyboard.press("Enter")
    await screen.get_by_text("You said votee 3.").wait_for()
    assert complaints == []  # the browser complains here of whatever the policy forbids


async def test_a_suggested_text_is_one_tap(desk: tuple[Desk, str], screen: Page) -> None:
    await screen.goto(desk[1] + "/handset")
    await screen.fill("#words-1", "half a thought")
    await screen.get_by_role("button", name="VOTE 3").first.click()
    await screen.get_by_text("You said VOTE 3.").wait_for()
    assert [text["text"] for text in desk[0].texts if text["mine"]] == ["VOTE 3"]


async def test_the_board_moves_by_itself(desk: tuple[Desk, str], screen: Page) -> None:
    await screen.goto(desk[1] + "/")
    desk[0].votes = 770
    await screen.get_by_text("Votes: 770.").wait_for()
