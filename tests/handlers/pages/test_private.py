"""The board and the handset page over everything that really runs: simulator, gateway, campaign, answers."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import quote

import orjson

from campaigns import coupons, runs
from campaigns.runs import Run
from gateway.messages import State
from handlers.pages.handset import linked
from tests.handlers.pages.conftest import MAYA, SHIHAN, Browser, Theatre

BUBBLE = re.compile(r'<li id="text-(\d)-\d+"( class="mine")?><p>(.*?)</p><small>(.*?)</small></li>', re.DOTALL)


async def text(browser: Browser, words: str, number: str = MAYA, to: str = "20655") -> str:
    await browser.open("/handset")
    pair = {"left": MAYA, "right": SHIHAN}
    return (await browser.post("/handset", {"from": number, "to": to, "words": words, **pair})).text


async def test_a_text_from_a_handset_is_answered_with_parts_and_delay(theatre: Theatre) -> None:
    async with theatre.browser() as owner:
        page = await text(owner, "votee 3")
        assert "Seattle, English · +12065550142" in page
        left = [bubble for bubble in BUBBLE.findall(page) if bubble[0] == "1"]
        assert [(mine, words) for _, mine, words, _ in left] == [
            (' class="mine"', "votee 3"),
            ("", "Did you mean 3, The owl? Reply 3. Choices: 1 fox, 2 crane, 3 owl."),
        ]
        assert re.fullmatch(r"6:3\d pm", left[0][3])
        assert re.fullmatch(r"6:3\d pm · 1 part · (&lt; )?0\.\d\d s", left[1][3])
        assert "Got it: 3, The owl. Next vote from this phone: tomorrow." in await text(owner, "3")


async def test_a_chinese_phone_is_answered_in_chinese_with_a_link_to_tap(theatre: Theatre) -> None:
    async with theatre.browser("zh") as owner:
        page = await text(owner, "拿铁", SHIHAN, "10690555")
        answer = next(words for side, mine, words, _ in BUBBLE.findall(page) if side == "2" and not mine)
        assert re.search(r'拿铁买一送一：<a href="http://localhost:8080/c/[0-9a-z]{16}"', answer)
        assert 'aria-label="+8615900001785的短信"' in page


async def test_what_a_handset_texts_stays_text(theatre: Theatre) -> None:
    hostile = "\"><script>alert('x')</script> {{ 7*7 }} javascript:alert(1) http://a.example/\"onload=x"
    async with theatre.browser() as owner:
        page = await text(owner, hostile)
    assert "<script>alert(" not in page
    assert '"onload' not in page
    assert "&lt;script&gt;" in page


async def test_a_text_to_nobody_or_from_no_phone_is_refused(theatre: Theatre) -> None:
    async with theatre.browser() as owner:
        await owner.open("/handset")
        for number, to in ((MAYA, "12345"), ("Lantern", "20655"), ("", ""), ("+1206555014２", "20655")):
            assert (await owner.post("/handset", {"from": number, "to": to, "words": "HELP"})).status == 400
        assert (await owner.post("/handset", {"from": MAYA, "to": "20655", "words": "  "})).status == 200


async def test_any_numbers_may_be_chosen_and_nonsense_leaves_them_as_they_are(theatre: Theatre) -> None:
    async with theatre.browser() as owner:
        page = (await owner.open(f"/handset?left={quote('(206) 555-0177')}&right={quote('x' * 50)}")).text
    assert "+12065550177" in page
    assert f'value="{SHIHAN}" list="numbers"' in page


async def test_the_board_counts_a_campaign_out_and_tells_the_news(theatre: Theatre) -> None:
    app = theatre.app

    async def delivered(run: Run) -> int:
        return (await app.store.read(runs.waterfall, run)).in_state(State.DELIVERED)

    run = await app.store.write(
        runs.launch, app.business, app.business.config.campaigns["spring"], app.clock.now_ms()
    )  # fmt: skip
    assert app.runner
    app.runner.stir()
    async with theatre.browser() as owner, theatre.browser("zh") as chinese:
        for _ in range(100):
            if await delivered(run):
                break
            await asyncio.sleep(0.1)
        await text(owner, "VOTE 3")
        page, facts = (await owner.open("/")).text, orjson.loads((await owner.open("/board.json")).text)
        there = (await chinese.open("/")).text
    campaign = facts["campaigns"][0]
    assert campaign["matched"] == sum(campaign["refused"].values()) + campaign["sending"]
    assert sum(campaign["states"].values()) == campaign["sending"] > 0
    assert "SIMULATOR" in page
    assert "no text leaves this machine" in page
    assert "+1206***0142 voted for The owl" in page
    assert MAYA not in page
    assert "+1206***0142 投给猫头鹰" in there
    assert {channel["bound"] for channel in facts["channels"]} == {1}
    assert page.count("✓ connected") == 2


async def test_texts_that_a_person_must_read_stand_on_the_board(theatre: Theatre) -> None:
    async with theatre.browser() as owner:
        await text(owner, "fuck you all")
        page = (await owner.open("/")).text
    assert "A person should read these" in page
    assert "+1206***0142: fuck you all" in page


async def test_after_a_text_without_an_answer_a_page_without_script_looks_again_for_a_while(theatre: Theatre) -> None:
    async with theatre.browser() as owner:
        await text(owner, "STOP")
        page = await text(owner, "STOP")  # has one confirmation, never two
        assert '<noscript><meta http-equiv="refresh"' in page
        assert page.count("you are unsubscribed") == 1
        assert "http-equiv" not in (await owner.open("/handset?since=1")).text
        assert "http-equiv" not in (await owner.open("/handset?since=x²")).text


async def test_the_board_tells_who_joined_and_what_was_redeemed_without_their_number(theatre: Theatre) -> None:
    app, now = theatre.app, theatre.app.clock.now_ms()
    async with theatre.browser() as owner:
        await text(owner, "LATTE", "+12065550199")
        left = (await owner.open("/handset?left=%2B12065550199")).text
        code = re.findall(r"/c/([0-9a-z]{8})", left)[0]
        await app.store.write(coupons.redeem, app.business, code, "pike_place", "till 1", "page", now)
        await asyncio.sleep(0.6)
        board = (await owner.open("/")).text
    assert "+1206***0199 joined Lantern Club" in board
    assert "+1206***0199 redeemed Two lattes for the price of one" in board


def test_a_link_is_found_where_chinese_leaves_no_space_and_ends_before_a_full_stop() -> None:
    assert str(linked("买一送一：http://a.example/c/1。<b>")) == (
        '买一送一：<a href="http://a.example/c/1" target="_blank" rel="noopener">http://a.example/c/1</a>。&lt;b&gt;'
    )
    assert str(linked("See http://a.example/c/1.")).endswith("</a>.")
