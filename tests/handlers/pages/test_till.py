"""The till as staff live it: yes or no with the reason, once, undone within ten minutes, and a PIN that holds."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from campaigns import contests, coupons
from gateway.store import Tx
from tests.conftest import Apply
from tests.handlers.pages.conftest import SHIHAN, Shop

TEN_HOURS_MS = 10 * 3_600_000


async def test_a_coupon_is_redeemed_once_and_then_the_till_says_when_and_where(shop: Shop) -> None:
    code = await shop.give()
    async with shop.till() as device:
        yes = await device.send("/till", code=coupons.shown(code).lower())
        assert "YES ✓" in yes.text
        assert "Two lattes for the price of one" in yes.text
        assert "Tue 1 Dec at 6:30 pm" in yes.text
        assert (await device.open(yes.path)).text == yes.text  # it stays, and a reload redeems nothing
        shop.clock.advance(seconds=240)
        no = await device.send("/till", code=code)
        assert "NO ✗" in no.text
        assert "Used on Tue 1 Dec at 6:30 pm, Pike Place." in no.text
        assert "NO ✗" not in (await device.open("/till")).text  # tapped away
    held = await shop.store.read(coupons.find, shop.business, code)
    assert held is not None
    assert (held.place, held.till) == ("pike_place", "till 1")


async def test_a_button_tapped_twice_says_that_it_was_redeemed_a_moment_ago(shop: Shop) -> None:
    code = await shop.give()
    echo = "That was a moment ago, in this shop."
    async with shop.till() as here, shop.till("nanjing_road", "1357") as there:
        await here.send("/till", code=code)
        assert echo in (await here.send("/till", code=code)).text
        assert echo not in (await there.send("/till", code=code)).text
        shop.clock.advance(seconds=21)
        assert echo not in (await here.send("/till", code=code)).text


async def test_in_chinese_too(shop: Shop) -> None:
    code = await shop.give(SHIHAN)
    async with shop.till("nanjing_road", "1357", "zh") as device:
        yes = await device.send("/till", code=f"  {code[:4]}　{code[4:]}")
        assert "可用 ✓" in yes.text
        assert "拿铁买一送一" in yes.text
        assert "12月2日10:30" in yes.text  # the shop's own clock
        assert "已于12月2日10:30在南京路店使用。" in (await device.send("/till", code=code)).text


async def test_a_scanner_may_type_the_whole_address(shop: Shop) -> None:
    code = await shop.give()
    async with shop.till() as device:
        yes = await device.send("/till", code="http://localhost:8080" + shop.coupon_path(code))
    assert "YES ✓" in yes.text


async def test_the_qr_code_opens_redeem_on_a_signed_in_phone_and_the_coupon_on_any_other(shop: Shop) -> None:
    code = await shop.give()
    path = shop.coupon_path(code)
    async with shop.browser() as guest, shop.till() as device:
        assert "Show this at the till" in (await guest.open(path)).text
        redeem = await device.open(path)
        assert "REDEEM" in redeem.text
        assert "YES ✓" in (await device.send("/till", code=coupons.shown(code))).text
        assert "Used on Tue 1 Dec at 6:30 pm, Pike Place." in (await guest.open(path)).text
        assert "NO ✗" in (await device.open(path)).text
        # The staff's phone has not become the guest's.
        assert "sms:20655" in (await device.open("/cup")).text


async def test_a_redemption_is_undone_with_a_reason_within_ten_minutes(shop: Shop) -> None:
    code = await shop.give()
    undo = f"/till/undo/{coupons.shown(code).lower()}"
    async with shop.till() as device:
        yes = await device.send("/till", code=code)
        assert f'href="{undo}"' in yes.text
        assert "10 min left" in (await device.open(undo)).text
        assert "Please say what happened." in (await device.send(undo, reason="")).text
        assert "is good again" in (await device.send(undo, reason="changed_mind")).text
        assert "is not redeemed here" in (await device.send(undo, reason="changed_mind")).text
        assert "YES ✓" in (await device.send("/till", code=code)).text
        shop.clock.advance(seconds=601)
        assert "stays redeemed" in (await device.open(undo)).text
        assert "stays redeemed" in (await device.send(undo, reason="mistyped")).text
        assert (await device.open("/till/undo/0000-0001")).status == 404

    async def journal(tx: Tx) -> list[tuple[str, str, str]]:
        return [(row[0], row[4], row[5]) for row in await tx.rows("redemption_of_code", code=code)]

    assert await shop.store.read(journal) == [
        ("redeemed", "page", ""), ("undone", "page", "changed_mind"), ("redeemed", "page", ""),
    ]  # fmt: skip


async def test_another_shop_cannot_undo_it(shop: Shop) -> None:
    code = await shop.give()
    undo = f"/till/undo/{code}"
    async with shop.till() as here, shop.till("nanjing_road", "1357") as there:
        await here.send("/till", code=code)
        assert "is not redeemed here" in (await there.open(undo)).text
        assert "is not redeemed here" in (await there.send(undo, reason="other")).text
    held = await shop.store.read(coupons.find, shop.business, code)
    assert held is not None
    assert held.redeemed_at is not None


@pytest.mark.parametrize(
    ("typed", "reason"),
    [("K7QM-2X9A", "We cannot find this code."), ("", "We cannot find this code."), ("\0<b>", "We cannot find"),
     ("x" * 5000, "We cannot find"), ("' OR 1=1 --", "We cannot find"), ("🦉", "We cannot find")],
)  # fmt: skip
async def test_what_is_no_code_is_told_so(shop: Shop, typed: str, reason: str) -> None:
    async with shop.till() as device:
        no = await device.send("/till", code=typed)
    assert (no.status, "NO ✗" in no.text, reason in no.text) == (200, True, True)
    assert "<b>" not in no.text.partition("<main>")[2].replace("<b>·</b>", "")


async def test_a_coupon_for_another_shop_is_told_so_and_stays_good(shop: Shop, apply: Apply) -> None:
    config = shop.business.config
    there = config.coupons["latte"].model_copy(update={"places": ("nanjing_road",)})
    shop.app.take(await apply(config.model_copy(update={"coupons": {"latte": there}})))
    code = await shop.give()
    async with shop.till() as here, shop.till("nanjing_road", "1357") as right:
        assert "This coupon is good at Nanjing Road, not here." in (await here.send("/till", code=code)).text
        assert "YES ✓" in (await right.send("/till", code=code)).text


async def test_a_new_pin_signs_every_device_of_the_shop_out(shop: Shop, apply: Apply) -> None:
    config = shop.business.config
    changed = config.places["pike_place"].model_copy(update={"till_pin": "8642"})
    async with shop.till() as here, shop.till("nanjing_road", "1357") as there:
        shop.app.take(await apply(config.model_copy(update={"places": {**config.places, "pike_place": changed}})))
        assert "PIN of the shop" in (await here.open("/till")).text
        assert "Ready for the next coupon" in (await there.open("/till")).text


async def test_a_coupon_that_is_over_says_since_when(shop: Shop) -> None:
    code = await shop.give()
    async with shop.till() as device, shop.browser() as guest:
        shop.clock.advance(seconds=timedelta(days=15).total_seconds())
        await device.open("/till")
        await device.send("/till/sign-in", shop="pike_place", pin="2468")
        assert "This offer ended on 15 Dec." in (await device.send("/till", code=code)).text
        assert "This offer ended on 15 Dec." in (await guest.open(shop.coupon_path(code))).text
        at_till = await device.open(shop.coupon_path(code))
    assert ("NO ✗" in at_till.text, "This offer ended on 15 Dec." in at_till.text) == (True, True)


async def test_two_hundred_redemptions_of_one_code_at_once_by_text_and_page_have_one_winner(shop: Shop) -> None:
    code = await shop.give()
    now = shop.clock.now_ms()

    async def by_text(number: int) -> bool:
        try:
            await shop.store.write(
                coupons.redeem, shop.business, code, "pike_place", f"phone {number}", contests.TEXT, now
            )
        except coupons.AlreadyUsed:
            return False
        return True

    async with shop.till() as device:
        await device.open("/till")
        pages = asyncio.gather(*(device.send("/till", follow=False, code=code) for _ in range(100)))
        texts = asyncio.gather(*map(by_text, range(100)))
        verdicts, won_by_text = await pages, await texts
        yes = ["YES ✓" in (await device.open(seen.headers["Location"])).text for seen in verdicts]
    assert all(seen.status == 303 for seen in verdicts)
    assert sum(yes) + sum(won_by_text) == 1


async def test_a_wrong_pin_locks_the_device_and_not_the_shop(shop: Shop) -> None:
    async with shop.till() as ours, shop.browser() as guesser, shop.browser() as other:
        await guesser.open("/till")
        tries = [await guesser.send("/till/sign-in", shop="pike_place", pin=f"000{n}") for n in range(7)]
        assert [seen.status for seen in tries] == [403, 403, 403, 403, 429, 429, 429]
        assert "That is not the PIN of this shop." in tries[0].text
        assert "Too many tries on this device. Try again in 1 min; other devices still work." in tries[-1].text
        assert tries[-1].headers["Retry-After"]
        locked = await guesser.send("/till/sign-in", shop="pike_place", pin="2468")
        assert locked.status == 429  # also with the right one
        await other.open("/till")
        assert (await other.send("/till/sign-in", shop="pike_place", pin="2468")).path == "/till"
        assert "Ready for the next coupon" in (await ours.open("/till")).text


async def test_an_address_that_guesses_with_ever_new_devices_is_slowed_but_a_known_till_is_not(shop: Shop) -> None:
    async with shop.till() as ours:
        statuses = []
        for number in range(21):
            async with shop.browser() as guesser:
                await guesser.open("/till")
                statuses.append((await guesser.send("/till/sign-in", shop="pike_place", pin=f"{number:04}")).status)
        assert (statuses[18], statuses[20]) == (403, 429)
        shop.clock.advance(ms=TEN_HOURS_MS)
        assert "PIN of the shop" in (await ours.open("/till")).text  # the shift is over
        assert (await ours.send("/till/sign-in", shop="pike_place", pin="2468")).path == "/till"
        assert "Ready for the next coupon" in (await ours.open("/till")).text


@pytest.mark.parametrize(
    ("place", "pin"),
    [("pike_place", ""), ("pike_place", "1357"), ("nowhere", "2468"), ("", ""), ("pike_place", "2468\0"),
     ("pike_place/x", "2468"), ("nanjing_road", "2468"), ("pike_place", "二四六八")],
)  # fmt: skip
async def test_only_the_shops_own_pin_opens_its_till(shop: Shop, place: str, pin: str) -> None:
    async with shop.browser() as device:
        await device.open("/till")
        assert (await device.send("/till/sign-in", shop=place, pin=pin)).status == 403
        assert "PIN of the shop" in (await device.open("/till")).text


async def test_a_pin_may_be_typed_on_a_chinese_keyboard(shop: Shop) -> None:
    async with shop.till("nanjing_road", "１３５７", "zh") as device:
        assert "请扫描或输入券码" in (await device.open("/till")).text


async def test_signing_out_ends_the_shift(shop: Shop) -> None:
    code = await shop.give()
    async with shop.till() as device:
        assert "PIN of the shop" in (await device.send("/till/sign-out")).text
        assert "PIN of the shop" in (await device.send("/till", code=code)).text
    held = await shop.store.read(coupons.find, shop.business, code)
    assert held is not None
    assert held.redeemed_at is None


async def test_codes_that_nobody_was_given_are_slowed_down_and_slips_are_not(shop: Shop) -> None:
    code = await shop.give()
    async with shop.till() as device:
        slip = code[:-1] + ("A" if code[-1] != "A" else "B")
        slips = [await device.send("/till", code=slip) for _ in range(12)]
        assert "We cannot find this code." in slips[-1].text
        answers = [await device.send("/till", code=coupons.new_code()) for _ in range(11)]
        assert "We cannot find this code." in answers[9].text
        assert "Too many unknown codes. Please wait 1 min." in answers[10].text


async def test_a_verdict_cannot_be_made_up_or_handed_on(shop: Shop) -> None:
    code = await shop.give()
    async with shop.till() as device, shop.till() as other:
        yes = await device.send("/till", code=code)
        assert "YES ✓" in yes.text
        assert "YES ✓" not in (await other.open(yes.path)).text
        assert "YES ✓" not in (await device.open("/till?verdict=WyJ5ZXMi.99999999999999.AAAA")).text


async def test_each_device_of_a_shop_is_a_till_of_its_own(shop: Shop) -> None:
    codes = [await shop.give(number) for number in ("+12065550142", "+12065550156", "+12065550168")]
    async with shop.till() as one, shop.till() as two:
        await two.send("/till", code=codes[0])
        await one.send("/till/sign-out")
        await one.send("/till/sign-in", shop="pike_place", pin="2468")
        await one.send("/till", code=codes[1])
    tills = [held.till for code in codes if (held := await shop.store.read(coupons.find, shop.business, code))]
    assert tills == ["till 2", "till 1", None]
