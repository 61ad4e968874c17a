"""What holds for every page: reading changes nothing, forms are ours, pages are small, hostile input stays input."""

from __future__ import annotations

import re

import pytest

from campaigns import coupons, links
from campaigns.business import Business
from handlers import pages
from handlers.pages import leave
from tests.conftest import Apply
from tests.handlers.pages.conftest import MAYA, SHIHAN, Shop

LIGHT = 14 * 1024


async def every_page(shop: Shop) -> list[str]:
    """A path for each public route that can be opened, with things behind them."""
    used, unused, person = await shop.give("+12065550156"), await shop.give(), await shop.person()
    now = shop.clock.now_ms()
    await shop.store.write(coupons.redeem, shop.business, used, "pike_place", "till 1", "page", now)
    vote = await shop.vote_path()
    return [
        "/", "/cup", "/cup/results", "/cup/voted", "/latte", "/till", "/CUP", "/nothing", "/favicon.ico", vote,
        f"{vote}/voted", shop.coupon_path(used), shop.coupon_path(unused), shop.coupon_path("ABCDEFGH"),
        leave.path(shop.business, person), f"/till/undo/{used}", f"/till/undo/{unused}", "/latte/results",
    ]  # fmt: skip


async def test_opening_any_page_changes_nothing(shop: Shop) -> None:
    paths = await every_page(shop)
    async with shop.till() as staff, shop.browser() as guest, shop.browser(private=True) as owner:
        before = await shop.fingerprint()
        for path in paths:
            for browser in (staff, guest):
                for asked in (path, f"{path}?lang=zh"):
                    assert (await browser.open(asked)).status in {200, 404}, asked
                assert (await browser._ask("HEAD", path, None, {})).status in {200, 404}
        for path in ("/", "/board.json", "/handset", "/?lang=zh"):
            await owner.open(path)
        assert await shop.fingerprint() == before


async def test_every_route_is_opened_above(shop: Shop) -> None:
    opened = await every_page(shop)
    shapes = [re.sub(r"\{[^}]+\}", "[^/]+", route.path) for route in pages.routes(shop.app) if route.method == "GET"]
    assert [shape for shape in shapes if not any(re.fullmatch(shape, path) for path in opened)] == []


async def test_no_form_is_taken_without_our_token_or_from_elsewhere(shop: Shop) -> None:
    paths = await every_page(shop)
    posts = [*paths, "/till/sign-in", "/till/sign-out"]
    async with shop.till() as staff:
        before = await shop.fingerprint()
        for path in posts:
            assert (await staff.send(path, "", choice="3", code="K7QM2X9F", reason="other")).status in {403, 405, 404}
            elsewhere = {"Origin": "https://elsewhere.example", "Content-Type": "application/x-www-form-urlencoded"}
            assert (await staff._ask("POST", path, f"token={staff.token}", elsewhere)).status in {403, 404, 405}
        assert await shop.fingerprint() == before


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_a_page_travels_in_one_flight_without_script_and_with_its_guards(shop: Shop, language: str) -> None:
    async with shop.till(language=language) as staff, shop.browser(language) as guest:
        for path in await every_page(shop):
            for browser in (staff, guest):
                seen = await browser.open(path)
                assert seen.size < LIGHT, path
                assert "<script" not in seen.text
                assert seen.headers["Cache-Control"] == "no-store"
                assert "default-src 'none'" in seen.headers["Content-Security-Policy"]
                assert seen.headers["Referrer-Policy"] == "no-referrer"
                assert f'lang="{"zh-Hans" if language == "zh" else "en"}"' in seen.text


HOSTILE = ["'\"><script>alert(1)</script>", "%00", "%F0%9F%A6%89", "%ff%fe", "..%2f..%2fetc%2fpasswd", "{{7*7}}",
           "%0d%0aX:1", "a" * 4000, "%ED%A0%80", "-1", "%E2%80%AE"]  # fmt: skip


async def test_hostile_addresses_find_nothing_and_break_nothing(shop: Shop) -> None:
    async with shop.browser() as guest:
        for piece in HOSTILE:
            for path in ("/", "/c/", "/v/cup/", "/v/", "/leave/", "/cup/", "/till/undo/", "/cup?v=", "/till?verdict=",
                         "/cup/voted?v=", "/?lang="):  # fmt: skip
                seen = await guest.open(path + piece)
                assert seen.status in {200, 400, 404}, (path, piece)
                assert "alert(1)</script>" not in seen.text
                assert "X" not in seen.headers


async def test_hostile_cookies_are_nothing(shop: Shop) -> None:
    async with shop.browser() as guest:
        for value in ("x", "a.b.c", "MQ.99999999999999.AAAA", "é", "." * 200):
            seen = await guest.open("/cup", Cookie=f"phone={value}; shift={value}; visit={value}; lang={value}")
            assert (seen.status, "<form" in seen.text) == (200, False)


async def test_home_names_what_is_going_on_and_not_the_till(shop: Shop) -> None:
    async with shop.browser() as guest:
        door = await guest.open("/")
    assert re.findall(r'class="option" href="([^"]+)"', door.text) == ["/cup", "/latte"]


async def test_a_page_for_a_coupon_tells_the_terms_and_writes_the_text(shop: Shop) -> None:
    async with shop.browser() as guest, shop.browser("zh") as chinese:
        page = await guest.open("/latte")
        assert 'href="sms:20655?&amp;body=LATTE"' in page.text
        assert "Offers by text from Lantern Coffee, up to 4 a month. Not needed to buy anything." in page.text
        there = await chinese.open("/latte")
    assert "同意接收灯笼咖啡优惠短信" in there.text
    assert "发送“拿铁”到10690555" in there.text


async def test_when_all_codes_are_taken_the_page_says_so(shop: Shop, apply: Apply) -> None:
    config = shop.business.config
    few = config.coupons["latte"].model_copy(update={"codes": 1})
    shop.app.take(await apply(config.model_copy(update={"coupons": {"latte": few}})))
    await shop.give()
    async with shop.browser() as guest:
        assert "All 1 are taken." in (await guest.open("/latte")).text


async def test_a_lost_coupon_is_found_again_on_its_page_in_the_same_browser(shop: Shop) -> None:
    path = shop.coupon_path(await shop.give())
    async with shop.browser() as guest, shop.browser() as stranger:
        await guest.open(path)
        assert f'href="{path}">Show the coupon again' in (await guest.open("/latte")).text
        assert "again" not in (await stranger.open("/latte")).text


async def test_a_friends_coupon_does_not_make_a_browser_the_friends_phone(shop: Shop) -> None:
    async with shop.browser() as guest:
        await guest.open(await shop.vote_path())
        await guest.open(shop.coupon_path(await shop.give(SHIHAN)))
        assert "as the phone ending 42" in (await guest.open("/cup")).text


async def test_leaving_takes_one_tap_and_opening_the_page_none(shop: Shop) -> None:
    person = await shop.person()
    path = leave.path(shop.business, person)

    async def stopped() -> object:
        return await shop.store.read(lambda tx: tx.value("stop_get", person=person))

    async with shop.browser() as phone:
        asked = await phone.open(path)
        assert "Should the phone ending 42 get no more texts from Lantern Coffee?" in asked.text
        assert await stopped() is None
        left = await phone.send(path)
        assert (left.status, left.path) == (200, path)
        assert "The phone ending 42 will get no more texts from us." in left.text
        assert "sms:20655?&amp;body=START" in left.text
        assert await stopped() == shop.clock.now_ms()
        assert "You are unsubscribed" in (await phone.send(path)).text  # once more is the same
    rows = await shop.store.read(lambda tx: tx.rows("ledger_of_person", person=person))
    assert [(row[1], row[3]) for row in rows] == [("left", "page")]


async def test_a_link_is_good_for_one_thing_only(shop: Shop) -> None:
    person = await shop.person()
    vote = links.person_token(shop.business, "vote:cup", person)
    left = links.person_token(shop.business, leave.LEAVE, person)
    async with shop.browser() as phone:
        assert (await phone.open(f"/leave/{vote}")).status == 404
        assert (await phone.open(f"/v/cup/{left}")).status == 404
        assert (await phone.open(f"/c/{left}")).status == 404


async def test_a_coupon_names_nobody_and_leads_on_to_the_vote(shop: Shop) -> None:
    code = await shop.give(MAYA)
    async with shop.browser() as phone:
        seen = await phone.open(shop.coupon_path(code))
        assert coupons.shown(code) in seen.text
        assert "<svg" in seen.text
        assert "Valid through" in seen.text
        assert "15 Dec" in seen.text
        assert MAYA not in seen.text
        assert "phone ending" not in seen.text
        onward = re.findall(r'href="(/v/cup/[^"]+)"', seen.text)
        assert "as the phone ending 42" in (await phone.open(onward[0])).text


async def test_a_coupon_that_left_the_file_is_no_longer_good(shop: Shop, apply: Apply) -> None:
    code = await shop.give()
    config = shop.business.config
    less = config.model_copy(update={"coupons": {}, "pages": {}, "campaigns": {}, "keywords": {}})
    shop.app.take(await apply(less))
    async with shop.browser() as phone:
        assert "This coupon is no longer good." in (await phone.open(shop.coupon_path(code))).text


async def test_a_config_that_is_applied_is_followed_at_once(shop: Shop, business: Business, apply: Apply) -> None:
    page = business.config.pages["cup"].model_copy(update={"key": "mugs"})
    config = business.config.model_copy(update={"pages": {"mugs": page}})
    async with shop.browser() as guest:
        assert (await guest.open("/mugs")).status == 404
        shop.app.take(await apply(config))
        assert (await guest.open("/mugs")).status == 200
        assert (await guest.open("/cup")).status == 404


async def test_the_private_pages_answer_only_under_names_of_this_machine(shop: Shop) -> None:
    async with shop.browser(private=True) as owner:
        assert (await owner.open("/")).status == 200
        assert (await owner.open("/", Host="rebound.example:8081")).status == 403
        assert (await owner.open("/handset")).status == 404  # no simulator is running here
