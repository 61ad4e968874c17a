"""A vote by page counts like one by text, once for a phone, and tells what already counts."""

from __future__ import annotations

import asyncio

import pytest

from campaigns import contests
from tests.conftest import Apply
from tests.handlers.pages.conftest import MAYA, SHIHAN, Shop

OWL = "3, The owl"


async def test_a_vote_by_personal_link_counts_and_says_when_the_next_one_is(shop: Shop) -> None:
    async with shop.browser() as phone:
        path = await shop.vote_path()
        asked = await phone.open(path)
        assert "Which drawing goes on our next cup?" in asked.text
        assert "You are voting as the phone ending 42." in asked.text
        assert "Not yours? Text VOTE to 20655" in asked.text
        done = await phone.send(path, choice="3")
        assert (done.status, done.path.partition("?")[0]) == (200, f"{path}/voted")
        assert "Got it, thank you!" in done.text
        assert "The owl" in done.text
        assert "Next vote from this phone: tomorrow." in done.text
        assert (await phone.open(done.path)).text == done.text  # loading it again votes for nothing
    assert (await shop.store.read(contests.results, shop.business, "cup")).votes == {"1": 0, "2": 0, "3": 1}


async def test_a_vote_by_text_then_by_page_is_refused_and_the_page_says_for_what(shop: Shop) -> None:
    person = await shop.person()
    await shop.store.write(
        contests.vote, shop.business, "cup", person, "3", contests.TEXT, shop.clock.now_ms()
    )  # fmt: skip
    async with shop.browser() as phone:
        path = await shop.vote_path()
        await phone.open(path)
        refused = await phone.send(path, choice="1")
    assert refused.status == 409
    assert f"This phone voted today for {OWL}. It still counts." in refused.text
    assert "Next vote from this phone: tomorrow." in refused.text
    assert (await shop.store.read(contests.recount, shop.business, "cup")).votes == {"1": 0, "2": 0, "3": 1}


async def test_in_chinese_too(shop: Shop) -> None:
    async with shop.browser("zh-CN,zh;q=0.9") as phone:
        path = await shop.vote_path(SHIHAN)
        asked = await phone.open(path)
        assert '<html lang="zh-Hans">' in asked.text
        assert "您正以尾号85的手机投票。" in asked.text
        assert "请发送“投票”到10690555" in asked.text
        assert "本机下次可投：明天。" in (await phone.send(path, choice="3")).text
        again = await phone.send(path, choice="2")
    assert (again.status, "本机今天已投3号 猫头鹰，仍然有效。" in again.text) == (409, True)


async def test_a_stranger_learns_how_to_vote_by_text(shop: Shop) -> None:
    async with shop.browser() as stranger:
        asked = await stranger.open("/cup")
    assert 'href="sms:20655?&amp;body=VOTE%203"' in asked.text
    assert "<form" not in asked.text
    async with shop.browser("zh") as stranger:
        assert 'href="sms:10690555?&amp;body=%E6%8A%95%E7%A5%A8%203"' in (await stranger.open("/cup")).text


async def test_a_phone_that_came_by_its_link_votes_on_the_posters_page_too(shop: Shop) -> None:
    async with shop.browser() as phone:
        await phone.open(shop.coupon_path(await shop.give()))
        assert "as the phone ending 42" in (await phone.open("/cup")).text
        done = await phone.send("/cup", choice="1")
        assert done.path.startswith("/cup/voted?")
        again = await phone.send("/cup", choice="2")
    assert "This phone voted today for 1, The fox. It still counts." in again.text


async def test_a_stranger_cannot_post_a_vote(shop: Shop) -> None:
    async with shop.till() as someone:  # has a token, but came by no personal link
        refused = await someone.send("/cup", choice="3")
    assert "sms:20655" in refused.text
    assert (await shop.store.read(contests.results, shop.business, "cup")).total == 0


@pytest.mark.parametrize("choice", ["", "4", "3 ", "３", "owl", "'; DROP TABLE vote; --", "\0", "x" * 9_000])
async def test_a_choice_that_is_none_is_asked_for_again(shop: Shop, choice: str) -> None:
    async with shop.browser() as phone:
        path = await shop.vote_path()
        await phone.open(path)
        asked = await phone.send(path, choice=choice)
    assert (asked.status, "Please choose one first." in asked.text) == (400, True)


async def test_a_forged_or_foreign_link_opens_nothing(shop: Shop) -> None:
    path = await shop.vote_path()
    token = path.rpartition("/")[2]
    wrong = ("A" if token[-3] != "A" else "B") + token[-2:]
    async with shop.browser() as phone:
        for other in (
            path[:-3] + wrong, path[:-1], path + "A", f"/v/other/{token}", f"/leave/{token}", "/v/cup/", "/v/cup/%00",
            f"/c/{token}", "/v/cup/" + "A" * 22, "/v/cup/%F0%9F%A6%89", "/v/cup/..%2f..%2fetc",
        ):  # fmt: skip
            assert (await phone.open(other)).status == 404, other
        await phone.open(path)
        assert (await phone.send(path[:-3] + wrong, choice="3")).status == 404
    assert (await shop.store.read(contests.results, shop.business, "cup")).total == 0


async def test_a_vote_without_our_token_is_refused(shop: Shop) -> None:
    async with shop.browser() as phone, shop.browser() as other:
        path = await shop.vote_path()
        await phone.open(path)
        await other.open(path)
        for token in ("", "A" * 22, other.token):
            assert (await phone.send(path, token, choice="3")).status == 403
        assert (await phone._ask("POST", path, f"token={phone.token}&choice=3",
                                 {"Content-Type": "application/x-www-form-urlencoded",
                                  "Origin": "https://elsewhere.example"})).status == 403  # fmt: skip
    assert (await shop.store.read(contests.results, shop.business, "cup")).total == 0


async def test_what_was_counted_cannot_be_made_up(shop: Shop) -> None:
    async with shop.browser() as phone, shop.browser() as other:
        path = await shop.vote_path()
        await phone.open(path)
        done = await phone.send(path, choice="3")
        await other.open(path)
        for made_up in (done.path, f"{path}/voted", f"{path}/voted?v=x", f"{path}/voted?v=a.1.b"):
            assert "Got it" not in (await other.open(made_up)).text


async def test_before_it_opens_and_after_it_ends(shop: Shop) -> None:
    path = await shop.vote_path()
    async with shop.browser() as phone:
        await phone.open(path)
        await phone.send(path, choice="3")
        shop.clock.at_ms = shop.business.windows["cup"].opens_at - 60_000
        early = await phone.open(path)
        assert "Voting opens on" in early.text
        assert "<form" not in early.text
        assert (await phone.send(path, choice="3")).status == 409
        shop.clock.at_ms = shop.business.windows["cup"].closes_at
        assert (await phone.send(path, choice="1")).status == 409
        late = await phone.open("/cup")
    assert "Ended" in late.text
    assert "Closed" in late.text
    assert "<b>100%</b>" in late.text


async def test_results_stand_beside_the_vote_and_lead_back_to_it(shop: Shop) -> None:
    async with shop.browser() as phone:
        path = await shop.vote_path(MAYA)
        await phone.open(path)
        await phone.send(path, choice="3")
        seen = await phone.open("/cup/results")
    assert "Votes: 1." in seen.text
    assert "<b>100%</b>" in seen.text
    assert 'href="/cup"' in seen.text


async def test_figures_that_wait_for_the_end_are_not_even_linked(shop: Shop, apply: Apply) -> None:
    config = shop.business.config
    secret = config.contests["cup"].model_copy(update={"results": "when closed"})
    shop.app.take(await apply(config.model_copy(update={"contests": {"cup": secret}})))
    async with shop.browser() as phone:
        path = await shop.vote_path()
        seen = [await phone.open(path), await phone.send(path, choice="3"), await phone.send(path, choice="3")]
        assert ["/cup/results" in each.text for each in seen] == [False] * 3
        told = await phone.open("/cup/results")
    assert "The results are told when the vote closes." in told.text
    assert "<b>100%</b>" not in told.text


async def test_ten_thousand_votes_of_a_thousand_people_at_once_count_a_thousand(shop: Shop) -> None:
    people = [10_000_000 + number for number in range(1_000)]
    now = shop.clock.now_ms()

    async def vote(number: int) -> bool:
        person, choice = people[number % 1_000], str(number % 3 + 1)
        try:
            await shop.store.write(contests.vote, shop.business, "cup", person, choice, contests.PAGE, now)
        except contests.AlreadyVoted:
            return False
        return True

    counted = await asyncio.gather(*map(vote, range(10_000)))
    tally = await shop.store.read(contests.results, shop.business, "cup")
    assert (sum(counted), tally.total) == (1_000, 1_000)
    assert await shop.store.read(contests.recount, shop.business, "cup") == tally


async def test_a_hundred_votes_of_one_phone_at_once_over_the_line_count_once(shop: Shop) -> None:
    path = await shop.vote_path()
    async with shop.browser() as phone:
        await phone.open(path)
        done = await asyncio.gather(*(phone.send(path, follow=False, choice="3") for _ in range(100)))
    assert sorted(seen.status for seen in done) == [303] + [409] * 99
    assert (await shop.store.read(contests.recount, shop.business, "cup")).total == 1
