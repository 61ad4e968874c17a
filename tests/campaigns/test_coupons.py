"""A code is one person's, is redeemed once, and no slip of the thumb makes another."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns import coupons
from campaigns.business import Business
from campaigns.contests import PAGE, TEXT
from campaigns.coupons import AllGone, AlreadyUsed, Expired, Mistyped, NoSuchCode, NotHere, NotRedeemed, TooLate
from campaigns.settings import Config
from gateway.clock import from_ms, to_ms
from gateway.store import Store
from tests.conftest import Apply, People

DAY_MS = 24 * 3_600_000


def with_latte(config: Config, **changes: object) -> Config:
    latte = config.coupons["latte"].model_copy(update=changes)
    return config.model_copy(update={"coupons": {"latte": latte}})


@pytest.fixture
async def code(store: Store, business: Business, make_people: People) -> str:
    [maya] = await make_people(1)
    return (await store.write(coupons.give, business, "latte", maya, 0, business.clock.now_ms())).code


def test_every_wrong_character_and_every_swap_of_neighbours_is_caught() -> None:
    # The check is linear, so what a slip changes does not depend on the rest of the code: for each place,
    # all pairs of characters are tried, and for each pair of neighbours all pairs of values.
    base = "0" * (coupons.CODE_LENGTH - 1)

    def is_caught(wrong: str) -> bool:
        return coupons.check_character(wrong[:-1]) != wrong[-1]

    for place in range(coupons.CODE_LENGTH):
        for right in coupons.ALPHABET:
            body = base[:place] + right + base[place + 1 :]
            whole = body[: coupons.CODE_LENGTH - 1]
            whole += coupons.check_character(whole)
            for other in coupons.ALPHABET.replace(whole[place], ""):
                assert is_caught(whole[:place] + other + whole[place + 1 :])
    for place in range(coupons.CODE_LENGTH - 1):
        for first in coupons.ALPHABET:
            for second in coupons.ALPHABET:
                body = (base[:place] + first + second + base[place + 2 :])[: coupons.CODE_LENGTH - 1]
                whole = body + coupons.check_character(body)
                left, right = whole[place], whole[place + 1]
                if left != right:
                    assert is_caught(whole[:place] + right + left + whole[place + 2 :])


@given(st.integers(0, 7), st.data())
def test_a_slip_in_any_code_is_no_code(place: int, data: st.DataObject) -> None:
    code = coupons.new_code()
    other = data.draw(st.sampled_from(coupons.ALPHABET.replace(code[place], "")))
    with pytest.raises(Mistyped):
        coupons.read_code(code[:place] + other + code[place + 1 :])


def test_a_code_is_read_however_it_is_typed() -> None:
    body = "0123ABV"
    code = body + coupons.check_character(body)
    last = code[-1]
    look_alikes = [f"O1 23—abu{last}", f"oI23abv{last}", f"ol23ABV{last}"]
    wide = "".join(chr(ord(each) + 0xFEE0) for each in code)
    for typed in (code.lower(), f"{code[:4]}-{code[4:]}", f" {code[:2]} {code[2:]} ", wide, *look_alikes):
        assert coupons.read_code(typed) == code


@pytest.mark.parametrize("typed", ["", "K7QM", "K7QM2X9FF", "拿铁", "????????"])
def test_what_is_no_code_is_mistyped(typed: str) -> None:
    with pytest.raises(Mistyped):
        coupons.read_code(typed)


async def test_asking_again_shows_the_same_code(store: Store, business: Business, make_people: People) -> None:
    [maya] = await make_people(1)
    now = business.clock.now_ms()

    first = await store.write(coupons.give, business, "latte", maya, 0, now)
    again = await store.write(coupons.give, business, "latte", maya, 7, now + 1)

    assert (first.again, again.again) == (False, True)
    assert again.code == first.code
    assert await store.read(lambda tx: tx.rows("pool_of", coupon="latte")) == [(5000, 1)]


async def test_after_use_and_after_the_end_asking_says_so(
    store: Store, business: Business, make_people: People, code: str
) -> None:
    [maya] = await make_people(1)
    now = business.clock.now_ms()

    with pytest.raises(Expired):
        await store.write(coupons.give, business, "latte", maya, 0, now + 30 * DAY_MS)
    await store.write(coupons.redeem, business, code, "pike_place", "1", PAGE, now)
    with pytest.raises(AlreadyUsed) as used:
        await store.write(coupons.give, business, "latte", maya, 0, now + 1)

    assert (used.value.at, used.value.place) == (now, "pike_place")


async def test_a_second_code_comes_when_the_first_is_used_and_two_are_allowed(
    store: Store, apply: Apply, shipped_config: Config, make_people: People
) -> None:
    business = await apply(with_latte(shipped_config, per_person=2))
    [maya] = await make_people(1)
    now = business.clock.now_ms()

    first = await store.write(coupons.give, business, "latte", maya, 0, now)
    await store.write(coupons.redeem, business, first.code, "pike_place", "1", PAGE, now)
    second = await store.write(coupons.give, business, "latte", maya, 0, now)

    assert second.code != first.code


async def test_the_pool_gives_no_more_than_it_has(
    store: Store, apply: Apply, shipped_config: Config, make_people: People
) -> None:
    business = await apply(with_latte(shipped_config, codes=10))
    ids, now = await make_people(25), business.clock.now_ms()

    first = await store.write(coupons.give_many, business, "latte", ids[:8], 7, now)
    rest = await store.write(coupons.give_many, business, "latte", ids, 7, now)

    assert len(first.given) == 8
    assert sorted(rest.given) == ids[:10]
    assert {person: str(why) for person, why in rest.refused.items()} == dict.fromkeys(ids[10:], "10")
    with pytest.raises(AllGone):
        await store.write(coupons.give, business, "latte", ids[20], 0, now)


async def test_what_a_run_takes_back_is_only_what_it_gave_and_nobody_used(
    store: Store, business: Business, make_people: People
) -> None:
    before, used, refused = await make_people(3)
    now = business.clock.now_ms()
    own = await store.write(coupons.give, business, "latte", before, 0, now)
    batch = await store.write(coupons.give_many, business, "latte", [before, used, refused], 7, now)
    await store.write(coupons.redeem, business, batch.given[used].code, "pike_place", "1", PAGE, now)

    assert await store.write(coupons.take_back, business, "latte", [before, used, refused], 7) == 1

    assert await store.read(coupons.find, business, batch.given[refused].code) is None
    assert await store.read(coupons.find, business, own.code)
    assert await store.read(lambda tx: tx.rows("pool_of", coupon="latte")) == [(5000, 2)]
    assert await store.read(lambda tx: tx.rows("activity_of_person", person=refused)) == []


async def test_of_100_redemptions_at_once_by_text_and_page_one_succeeds(
    store: Store, business: Business, code: str
) -> None:
    now = business.clock.now_ms()

    async def redeem(n: int) -> str:
        place, door = (("pike_place", PAGE), ("nanjing_road", TEXT))[n % 2]
        try:
            done = await store.write(coupons.redeem, business, code, place, str(n), door, now + n)
        except AlreadyUsed as used:
            return f"used at {used.at} in {used.place}"
        return f"redeemed at {done.at} in {done.place}"

    said = Counter(await asyncio.gather(*(redeem(n) for n in range(100))))

    [redeemed] = [each for each in said if each.startswith("redeemed")]
    assert said == {redeemed: 1, redeemed.replace("redeemed", "used"): 99}
    assert len(await store.read(lambda tx: tx.rows("redemption_of_code", code=code))) == 1


async def test_a_code_is_good_through_closing_time_of_its_last_day_where_its_owner_lives(
    store: Store, business: Business, code: str
) -> None:
    held = await store.read(coupons.find, business, code)
    assert held
    closing = datetime(2026, 12, 16, 3, tzinfo=UTC)  # 19:00 on 15 December at Pike Place

    assert from_ms(held.expires_at + 1) == closing
    with pytest.raises(Expired) as over:
        await store.write(coupons.redeem, business, code, "pike_place", "1", PAGE, to_ms(closing))
    assert over.value.at == held.expires_at
    await store.write(coupons.redeem, business, code, "pike_place", "1", PAGE, held.expires_at)


@pytest.mark.parametrize(
    ("zone", "valid", "expected"),
    [
        ("Asia/Shanghai", timedelta(days=14), datetime(2026, 12, 16, 14, tzinfo=UTC)),  # 22:00 on the 16th there
        ("Europe/Paris", timedelta(days=14), datetime(2026, 12, 16, 14, tzinfo=UTC)),  # no shop near: the last to close
        ("America/Los_Angeles", timedelta(hours=2), datetime(2026, 12, 2, 4, 30, tzinfo=UTC)),  # by the minute
    ],
)
async def test_the_end_goes_by_the_places_in_the_persons_zone(
    apply: Apply, shipped_config: Config, zone: str, valid: timedelta, expected: datetime
) -> None:
    business = await apply(with_latte(shipped_config, valid=valid))
    end = coupons.expiry(business, business.config.coupons["latte"], zone, business.clock.now_ms())
    assert from_ms(end + 1) == expected


async def test_a_code_is_refused_where_it_does_not_count_and_stays_good(
    store: Store, apply: Apply, shipped_config: Config, make_people: People
) -> None:
    business = await apply(with_latte(shipped_config, places=("nanjing_road",)))
    [maya] = await make_people(1)
    now = business.clock.now_ms()
    given = await store.write(coupons.give, business, "latte", maya, 0, now)

    with pytest.raises(NotHere) as refused:
        await store.write(coupons.redeem, business, given.code, "pike_place", "1", PAGE, now)

    assert refused.value.places == ("nanjing_road",)
    await store.write(coupons.redeem, business, given.code, "nanjing_road", "1", PAGE, now)


async def test_a_till_redeems_only_its_own_coupons(store: Store, business: Business, code: str) -> None:
    with pytest.raises(NotHere):
        await store.write(
            coupons.redeem, business, code, "pike_place", "1", PAGE, business.clock.now_ms(), ("mocha",)
        )  # fmt: skip


async def test_a_code_that_was_never_given_is_unknown(store: Store, business: Business) -> None:
    with pytest.raises(NoSuchCode) as unknown:
        await store.write(coupons.redeem, business, coupons.new_code(), "pike_place", "1", PAGE, 0)
    assert not isinstance(unknown.value, Mistyped)


async def test_a_redemption_can_be_undone_for_ten_minutes_where_it_was_made(
    store: Store, business: Business, code: str
) -> None:
    now, minute = business.clock.now_ms(), 60_000
    undo = (business, code, "pike_place", "1", PAGE, "wrong guest")

    with pytest.raises(NotRedeemed):
        await store.write(coupons.undo, *undo, now)
    await store.write(coupons.redeem, business, code, "pike_place", "1", PAGE, now)
    with pytest.raises(NotRedeemed):
        await store.write(coupons.undo, business, code, "nanjing_road", "1", PAGE, "not ours", now)
    with pytest.raises(TooLate):
        await store.write(coupons.undo, *undo, now + 10 * minute + 1)
    await store.write(coupons.undo, *undo, now + 10 * minute)

    await store.write(coupons.redeem, business, code, "nanjing_road", "2", PAGE, now + 11 * minute)
    journal = await store.read(lambda tx: tx.rows("redemption_of_code", code=code))
    assert [(row[0], row[5]) for row in journal] == [("redeemed", ""), ("undone", "wrong guest"), ("redeemed", "")]
    held = await store.read(coupons.find, business, code)
    assert held
    done = await store.read(lambda tx: tx.rows("activity_of_person", person=held.person))
    assert [kind for kind, *_ in done] == ["given", "redeemed"], "what was undone counts for no segment"
