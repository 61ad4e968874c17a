"""A run's life: nobody of its audience is skipped or doubled, the sums add up at every moment, and codes come home."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns import consent, coupons, people, runs
from campaigns.audience import BUDGET, COUPON_USED, NO_CODE, NO_CONSENT, Casting, Crowd, Invitation, Member
from campaigns.business import Business
from campaigns.gate import LEFT
from campaigns.importing import Row
from campaigns.runs import Run
from campaigns.settings import Campaign, Config
from gateway import outbox
from gateway.ids import Ids
from gateway.messages import Inbound, State
from gateway.outbox import Flight
from gateway.settings import RouteSettings
from gateway.store import Tx
from gateway.store.conditions import All
from gateway.values import parse_duration
from tests.campaigns.conftest import CLUB, Office, OfficeOf, campaign_like, price_of
from tests.conftest import BRAND

LATTE_TEXT = "Lantern Coffee: 2 for 1 {{ coupon.link }} Reply STOP to end"


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of seven people, so that a few dozen make several."""
    monkeypatch.setattr(runs, "PAGE", 7)


@pytest.fixture
async def office(office_of: OfficeOf, shipped_config: Config) -> Office:
    return await office_of(campaign_like(shipped_config, "plain"))


@pytest.fixture
async def latte_office(office_of: OfficeOf, shipped_config: Config) -> Office:
    """An office whose campaign shows each person their code."""
    return await office_of(with_latte(shipped_config))


def with_latte(config: Config, **changes: object) -> Campaign:
    text = type(config.campaigns["spring"].text).parse(LATTE_TEXT)
    return campaign_like(config, "plain", coupon="latte", text=text, **changes)


async def stop_phone(office: Office, person: int) -> None:
    async def stop(tx: Tx) -> None:
        await tx.run("stop_insert", person=person, brand=BRAND, at=office.clock.now_ms(), source="text")

    await office.store.write(stop)


async def messages(office: Office, people: list[int], key: str = "plain") -> Counter[int]:
    """How many messages of a campaign each person has."""
    run = (await office.run(key)).id
    rows = [(person, row) for person in people for row in await office.rows("messages_to_person", person=person)]
    return Counter(person for person, row in rows if row[1] == run)


# --- planning --------------------------------------------------------------------------------------------------------


async def test_a_second_launch_launches_nothing_at_any_time(office: Office) -> None:
    await office.people(3)
    first = await office.launch("plain")

    for _ in range(4):
        assert (await office.launch("plain")).id == first.id
        await office.runner.step()
        await office.answer(await office.claim("plain"))

    assert (await office.run("plain")).state == "done"
    assert (await office.launch("plain")).state == "done"
    assert (await office.sums("plain")).in_state(State.SENT) == 3


async def test_everyone_is_sent_to_or_refused_with_a_reason(office: Office) -> None:
    people = await office.people(20)
    await stop_phone(office, people[3])

    async def end_consent(tx: Tx) -> None:
        await tx.rows("consent_end", person=people[5])

    await office.store.write(end_consent)
    await office.launch("plain")
    await office.runner.step()
    found = await office.sums("plain")

    assert (found.matched, found.sending) == (20, 18)
    assert found.refused == {LEFT: 1, NO_CONSENT: 1}
    assert set((await messages(office, people)).values()) == {1}


async def test_our_own_phones_stand_in_no_sum(office_of: OfficeOf, shipped_config: Config) -> None:
    brand = shipped_config.brand.model_copy(update={"testers": ("+1 206 200 0004", "+1 206 200 0009")})
    office = await office_of(campaign_like(shipped_config, "plain"), brand=brand)
    people = await office.people(20)
    await office.launch("plain")
    await office.runner.step()
    found = await office.sums("plain")

    assert (found.matched, found.sending) == (18, 18)
    assert len(await messages(office, people)) == 18


@pytest.mark.parametrize("crash", [RuntimeError("out of memory"), asyncio.CancelledError()], ids=["error", "killed"])
async def test_a_planner_that_dies_after_any_page_is_followed_by_another_that_skips_and_doubles_nobody(
    office_of: OfficeOf, shipped_config: Config, crash: BaseException
) -> None:
    keys = [f"after_{page}" for page in range(1, 7)]
    office = await office_of(*(campaign_like(shipped_config, key) for key in keys))
    people = await office.people(40)
    for page, key in enumerate(keys, 1):
        await office.launch(key)
        pages = 0

        def die(page: int = page) -> None:
            nonlocal pages
            pages += 1
            if pages == page:
                raise crash

        office.on_page = die
        await asyncio.gather(office.new_runner().step(), return_exceptions=True)
        office.on_page = lambda: None
        halfway = await office.sums(key)
        assert halfway.matched == min(7 * page, 40)

        await office.new_runner().step()
        found = await office.sums(key)

        assert (found.matched, found.sending) == (40, 40)
        assert await messages(office, people, key) == Counter(dict.fromkeys(people, 1))


async def test_two_planners_at_once_plan_each_page_once(office: Office) -> None:
    people = await office.people(40)
    await office.launch("plain")
    for _ in range(3):
        await asyncio.gather(*(office.new_runner().step() for _ in range(3)))
    found = await office.sums("plain")

    assert (found.matched, found.sending) == (40, 40)
    assert await messages(office, people) == Counter(dict.fromkeys(people, 1))


async def test_an_audience_whose_size_is_whole_pages_ends(office: Office) -> None:
    await office.people(14)
    await office.launch("plain")
    await office.runner.step()

    assert (await office.run("plain")).state == "sending"
    assert (await office.sums("plain")).matched == 14


async def test_a_run_without_anybody_is_done(office: Office) -> None:
    await office.launch("plain")
    for _ in range(2):
        await office.runner.step()

    assert (await office.run("plain")).state == "done"
    assert (await office.sums("plain")).matched == 0


# --- money and codes -------------------------------------------------------------------------------------------------


async def test_a_budget_is_used_to_its_last_part_and_never_passed(office_of: OfficeOf, shipped_config: Config) -> None:
    for texts in (0, 3, 9):
        key = f"budget_{texts}"
        budget = price_of(texts) if texts else price_of(1).__class__.parse("0.0078 USD")
        office = await office_of(campaign_like(shipped_config, key, budget=budget))
        await office.people(20)
        await office.launch(key)
        await office.runner.step()
        found = await office.sums(key)

        assert (found.sending, found.refused) == (texts, {BUDGET: 20 - texts})
        assert (await office.run(key)).spent == price_of(texts).millionths if texts else True


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3)), max_size=12),
    st.tuples(*[st.integers(0, 5)] * 3),
    st.integers(0, 60),
)
def test_money_is_spent_in_the_order_of_people_whichever_crowd_they_stand_in(
    business: Business, people: list[tuple[int, int]], prices: tuple[int, int, int], left: int
) -> None:
    sample = invitation(business)
    crowds = [
        Crowd(
            sample._replace(price=price),
            members := [person for person, (where, _) in enumerate(people) if where == number],
            [f"+{person}" for person in members],
            {"city": [f"city {person}" for person in members]},
            [f"text {person}" for person in members],
            [people[person][1] for person in members],
        )
        for number, price in enumerate(prices)
    ]
    rich, spent = set(), 0
    for person, (where, parts) in enumerate(people):
        if spent + parts * prices[where] <= left:
            rich.add(person)
            spent += parts * prices[where]

    paid, poor = runs.within(left, crowds)

    assert {person for crowd in paid for person in crowd.people} == rich
    assert set(poor) == set(range(len(people))) - rich
    assert sum(crowd.cost for crowd in paid) == spent
    for crowd in paid:
        rows = zip(crowd.people, crowd.addresses, crowd.columns["city"], crowd.texts, crowd.parts, strict=True)
        for person, *row in rows:
            assert row == [f"+{person}", f"city {person}", f"text {person}", people[person][1]]


def invitation(business: Business) -> Invitation:
    """Anybody's."""
    casting = Casting(business, business.config.campaigns["spring"])
    who = Member(1, "+12065550143", "US", "America/Los_Angeles", "en", "", "", "", "{}", None, 5, None)
    found = casting.invite(who, business.clock.now_ms())
    assert found is not None
    return found


async def test_people_of_many_kinds_get_their_own_words_and_stand_in_the_queue_in_their_order(
    office_of: OfficeOf, shipped_config: Config
) -> None:
    words = {
        "en": "{{ city or 'Hello' }}, {{ first_name }}: " + "x" * 130 + " Reply STOP to end",
        "zh": "{{ first_name }}好",
    }
    text = type(shipped_config.campaigns["spring"].text)(words)
    office = await office_of(campaign_like(shipped_config, "plain", text=text))
    await office.store.write(people.import_rows, office.business, mixed_rows(40), CLUB, office.clock.now_ms())
    members = await office.store.read(audience, office)
    casting, now = Casting(office.business, office.business.config.campaigns["plain"]), office.clock.now_ms()
    await office.launch("plain")
    await office.runner.step()

    texts: dict[str, list[int]] = {}
    for who in members:
        ((id_, _, purpose, channel, sender, said, parts, *_),) = await office.rows("messages_to_person", person=who.id)
        verdict = casting.decide(who, now)
        assert isinstance(verdict, Invitation)
        assert (purpose, channel, sender) == ("marketing", verdict.sender.channel, verdict.sender.number)
        assert (said, parts) == casting.words(verdict, {})
        texts.setdefault(channel, []).append(id_)
    assert len(texts) == 2
    assert all(ids == sorted(ids) for ids in texts.values())
    assert (await office.sums("plain")).adds_up


def mixed_rows(count: int) -> list[Row]:
    """People here and there, who read this and that."""
    kinds = [
        ("US", "+1206200", "America/Los_Angeles", "en"), ("CN", "+861381234", "Asia/Shanghai", "zh"),
        ("US", "+1303200", "America/Denver", "en"), ("US", "+1206300", "America/Los_Angeles", "zh"),
    ]  # fmt: skip
    names = ["Maya", "José", "诗涵", "", "[Max]", "👩‍👧", "Alexandrina"]
    rows = []
    for number in range(count):
        country, prefix, zone, language = kinds[number % len(kinds)]
        rows.append(
            Row(
                line=number + 2, e164=f"{prefix}{1000 + number}", country=country, zone=zone, zones=(zone,), region="",
                first_name=names[number % len(names)], city="Kent" if number % 3 else "", language=language,
                consent=True, consent_source="form",
            )
        )  # fmt: skip
    return rows


async def audience(tx: Tx, office: Office) -> list[Member]:
    """Everybody as one reads them who asks about one person."""
    rows = await tx.people("audience_page", All(()), brand=BRAND, program=CLUB, after=0, limit=1_000)
    return [Member._make(row) for row in rows]


async def test_a_code_that_no_money_is_left_to_send_goes_back_to_the_pool(
    office_of: OfficeOf, shipped_config: Config
) -> None:
    office = await office_of(with_latte(shipped_config, budget=price_of(5)))
    await office.people(20)
    await office.launch("plain")
    await office.runner.step()
    found = await office.sums("plain")

    assert (found.sending, found.refused) == (5, {BUDGET: 15})
    assert await office.codes_out() == 5


async def test_when_the_pool_is_empty_the_others_are_told_so(office_of: OfficeOf, shipped_config: Config) -> None:
    latte = shipped_config.coupons["latte"].model_copy(update={"codes": 10})
    office = await office_of(with_latte(shipped_config), coupons={"latte": latte})
    people = await office.people(24)
    used = await office.store.write(
        coupons.give, office.business, "latte", people[0], 0, office.clock.now_ms()
    )  # fmt: skip
    await office.store.write(
        coupons.redeem, office.business, used.code, "pike_place", "1", "page", office.clock.now_ms()
    )  # fmt: skip
    await office.launch("plain")
    await office.runner.step()
    found = await office.sums("plain")

    assert found.refused == {NO_CODE: 14, COUPON_USED: 1}
    assert found.sending == 9
    assert await office.codes_out() == 10


async def test_who_left_before_the_claim_leaves_the_code_to_somebody_else(latte_office: Office) -> None:
    office = latte_office
    people = await office.people(20)
    await office.launch("plain")
    await office.runner.step()
    assert await office.codes_out() == 20
    for person in people[:4]:
        await stop_phone(office, person)
    await office.answer(await office.claim("plain"))
    found = await office.sums("plain")
    for _ in range(3):  # and it is not returned again
        await office.new_runner().step()
        assert await office.codes_out() == 16

    assert found.states == {(State.REFUSED, LEFT): 4, (State.SENT, ""): 16}
    assert not await office.rows("coupon_of_person", person=people[0])
    assert "given" not in [kind for kind, *_ in await office.rows("activity_of_person", person=people[0])]


async def test_what_expired_in_the_queue_and_what_the_carrier_refused_at_once_returns_its_code(
    latte_office: Office,
) -> None:
    office = latte_office
    await office.people(10)
    await office.launch("plain")
    await office.runner.step()
    await office.answer(await office.claim("plain", most=4), State.FAILED, "0x0B RINVDSTADR")
    office.clock.advance(seconds=7 * 3600)
    assert await office.claim("plain") == []
    found = await office.sums("plain")
    await office.runner.step()

    assert (found.in_state(State.FAILED), found.in_state(State.EXPIRED)) == (4, 6)
    assert await office.codes_out() == 0


async def test_a_code_stays_where_the_text_may_have_arrived(latte_office: Office) -> None:
    office = latte_office
    await office.people(6)
    await office.launch("plain")
    await office.runner.step()
    claimed = await office.claim("plain")
    await office.answer(claimed[:2])
    await office.answer(claimed[2:4], State.IN_DOUBT, "no answer")
    await office.answer(claimed[4:])

    async def undeliverable(tx: Tx) -> None:
        rows = [(BRAND, each.waiting.run, each.outbound.id, 0, 1, State.FAILED, 1, "000", "") for each in claimed[4:]]
        await tx.many("event_insert", rows)

    await office.store.write(undeliverable)
    await office.fold()
    await office.runner.step()

    assert await office.codes_out() == 6


async def test_a_code_that_a_person_was_handed_by_another_door_stays_theirs(latte_office: Office) -> None:
    office = latte_office
    people = await office.people(4)
    run = await office.launch("plain")
    await office.runner.step()
    again = await office.store.write(coupons.give, office.business, "latte", people[0], 0, office.clock.now_ms())
    assert again.again
    await office.store.write(runs.stop, BRAND, run, "enough")
    for _ in range(2):
        await office.fold()
        await office.new_runner().step()

    assert await office.codes_out() == 1
    assert [row[0] for row in await office.rows("coupon_of_person", person=people[0])] == [again.code]


async def test_a_code_that_was_redeemed_before_the_text_was_refused_stays_used(latte_office: Office) -> None:
    office = latte_office
    people = await office.people(2)
    await office.launch("plain")
    await office.runner.step()
    [row] = await office.rows("coupon_of_person", person=people[0])
    await office.store.write(
        coupons.redeem, office.business, row[0], "pike_place", "1", "page", office.clock.now_ms()
    )  # fmt: skip
    for person in people:
        await stop_phone(office, person)
    assert await office.claim("plain") == []
    await office.fold()
    await office.runner.step()

    assert await office.codes_out() == 1


# --- pause, resume, stop ---------------------------------------------------------------------------------------------


async def put_in(office: Office, state: str) -> Run:
    """A run of thirty people in this state."""
    await office.people(30)
    run = await office.launch("plain")
    if state == "waiting":
        return run
    if state in {"planning", "paused in planning"}:
        office.on_page = lambda: (_ for _ in ()).throw(asyncio.CancelledError())
        await asyncio.gather(office.runner.step(), return_exceptions=True)
        office.on_page = lambda: None
    else:
        await office.runner.step()
    if state.startswith("paused"):
        await office.store.write(runs.pause, BRAND, run, "lunch")
    if state in {"stopping", "stopped"}:
        await office.store.write(runs.stop, BRAND, run, "enough")
    if state == "stopped":
        await office.runner.step()
    if state == "done":
        await office.answer(await office.claim("plain"))
        await office.runner.step()
    return await office.run("plain")


STATES = ["waiting", "planning", "paused in planning", "sending", "paused", "stopping", "stopped", "done"]
AFTER = {  # what each order makes of each state; None: it is too late, or needless, and nothing changes
    "pause": ["paused", "paused", None, "paused", None, None, None, None],
    "resume": [None, None, "planning", None, "sending", None, None, None],
    "stop": ["stopping", "stopping", "stopping", "stopping", "stopping", None, None, None],
}


@pytest.mark.parametrize("order", AFTER)
@pytest.mark.parametrize("state", STATES)
async def test_each_order_does_in_each_state_what_it_says_and_everyone_is_accounted_for_in_the_end(
    office: Office, order: str, state: str
) -> None:
    run = await put_in(office, state)
    wanted = AFTER[order][STATES.index(state)]
    orders = {
        "pause": lambda: office.store.write(runs.pause, BRAND, run, "order"),
        "resume": lambda: office.store.write(runs.resume, BRAND, run),
        "stop": lambda: office.store.write(runs.stop, BRAND, run, "order"),
    }

    assert await orders[order]() is (wanted is not None)
    now = await office.run("plain")
    assert now.state == (wanted or run.state)
    await office.sums("plain")
    if now.state in {"paused", "stopping", "stopped"}:
        await office.runner.step()
        assert await office.claim("plain") == []
    await office.store.write(runs.resume, BRAND, now)
    for _ in range(3):
        await office.new_runner().step()
        await office.answer(await office.claim("plain"))
        await office.sums("plain")

    found = await office.sums("plain")
    ended = await office.run("plain")
    assert ended.state == ("stopped" if "stopping" in (now.state, run.state) or state == "stopped" else "done")
    assert found.in_state(State.QUEUED) == 0
    if ended.state == "done":
        assert (found.matched, found.in_state(State.SENT)) == (30, 30)


async def test_a_stop_while_planning_ends_it_at_the_page_and_returns_the_codes(latte_office: Office) -> None:
    office = latte_office
    await office.people(40)
    run = await office.launch("plain")
    pages = 0

    def stop_after_two() -> None:
        nonlocal pages
        pages += 1
        if pages == 2:
            office.store.submit(runs.stop, BRAND, run, "enough", done=lambda result, error: None)

    office.on_page = stop_after_two
    await office.runner.step()
    planned = await office.sums("plain")
    for _ in range(2):
        await office.runner.step()
        await office.sums("plain")

    assert planned.matched in {14, 21}
    assert (await office.sums("plain")).states == {(State.STOPPED, "run stopped"): planned.matched}
    assert await office.codes_out() == 0
    assert (await office.run("plain")).state == "stopped"


async def test_a_stop_waits_for_what_is_in_the_air_and_drops_what_comes_back(latte_office: Office) -> None:
    office = latte_office
    await office.people(30)
    run = await office.launch("plain")
    await office.runner.step()
    claimed = await office.claim("plain", most=10)
    await office.store.write(runs.stop, BRAND, run, "enough")
    await office.runner.step()
    during = await office.sums("plain")
    assert (await office.run("plain")).state == "stopping"
    await office.answer(claimed[:6])
    await office.again(claimed[6:])
    await office.runner.step()
    await office.sums("plain")
    await office.runner.step()

    assert (during.in_state(State.STOPPED), during.in_state(State.QUEUED)) == (20, 10)
    assert (await office.sums("plain")).states == {(State.SENT, ""): 6, (State.STOPPED, "run stopped"): 24}
    assert await office.codes_out() == 6
    assert (await office.run("plain")).state == "stopped"
    assert not await office.rows("run_queues", brand=BRAND, run=run.id)


async def test_a_pause_after_the_last_claim_still_ends_well(office: Office) -> None:
    await office.people(5)
    run = await office.launch("plain")
    await office.runner.step()
    await office.answer(await office.claim("plain"))
    sending = await office.run("plain")
    await office.store.write(runs.pause, BRAND, run, "lunch")
    await office.store.write(runs.finish, BRAND, sending, office.clock.now_ms())  # decided before the pause
    assert (await office.run("plain")).state == "paused"
    await office.store.write(runs.resume, BRAND, run)
    await office.runner.step()

    assert (await office.run("plain")).state == "done"


# --- caps ------------------------------------------------------------------------------------------------------------


async def test_twenty_campaigns_at_once_never_reach_anyone_more_often_than_the_cap(
    office_of: OfficeOf, shipped_config: Config
) -> None:
    # reliability-security; the shipped caps: 4 in 30 days, 2 in 24 hours
    within = shipped_config.campaigns["spring"].send.model_copy(update={"within": parse_duration("90 d")})
    keys = [f"c{n}" for n in range(20)]
    office = await office_of(*(campaign_like(shipped_config, key, send=within) for key in keys))
    people = await office.people(30)
    for key in keys:
        await office.launch(key)
    await office.runner.step()
    chance = random.Random(3)
    times: dict[int, list[int]] = {person: [] for person in people}
    for _ in range(60):
        chance.shuffle(keys)
        found = await asyncio.gather(*(office.claim(key, most=chance.randrange(1, 40)) for key in keys))
        for claimed in found:
            failing = [each for each in claimed if chance.random() < 0.1]
            for each in claimed:
                if each not in failing:
                    times[each.waiting.person].append(office.clock.now_ms())
            await office.answer([each for each in claimed if each not in failing])
            await office.again(failing)
            for each in failing:  # as the dispatcher does, in the transaction that puts it back
                await office.store.write(uncharge, office.business.ids, each)
        office.clock.advance(seconds=chance.choice([60, 3600, 6 * 3600]))

    day, month = (int(timedelta(days=days).total_seconds()) * 1000 for days in (1, 30))
    for sent in times.values():
        assert len(sent) >= 4
        for at in sent:
            assert sum(at - day < other <= at for other in sent) <= 2
            assert sum(at - month < other <= at for other in sent) <= 4
    for key in keys:
        await office.sums(key)


async def uncharge(tx: Tx, ids: Ids, flight: Flight) -> None:
    charge = (flight.waiting.person, CLUB, BRAND, flight.charged_at)
    await outbox.settle(tx, outbox.Settlement(uncharge=[(flight.claim.epoch, flight.claim.queue, charge)]), ids)


# --- pools and numbers that were not looked at ------------------------------------------------------------------------

SEATTLE_LINE, TACOMA_LINE, BOSTON_LINE = "+12065550100", "+12535550100", "+16175550100"


def with_pool(config: Config, *numbers: str) -> dict[str, object]:
    """The shipped senders, Seattle with several numbers."""
    pool = config.senders["seattle"].model_copy(update={"number": numbers[0], "numbers": numbers})
    return {"senders": {**config.senders, "seattle": pool}}


async def sent_from(office: Office, people: list[int], key: str) -> dict[int, str]:
    """The number that each person was texted from."""
    run = (await office.run(key)).id
    rows = [(person, row) for person in people for row in await office.rows("messages_to_person", person=person)]
    return {person: row[4] for person, row in rows if row[1] == run}


async def test_a_person_keeps_their_number_when_others_come_and_go(office_of: OfficeOf, shipped_config: Config) -> None:
    first, second, third = (campaign_like(shipped_config, key) for key in ("first", "second", "third"))
    office = await office_of(first, **with_pool(shipped_config, TACOMA_LINE, BOSTON_LINE))
    people = await office.people(40)
    await office.launch("first")
    await office.runner.step()
    before = await sent_from(office, people, "first")
    assert set(before.values()) == {TACOMA_LINE, BOSTON_LINE}  # none is of their area, so they are spread

    office = await office_of(second, **with_pool(shipped_config, SEATTLE_LINE, BOSTON_LINE, TACOMA_LINE))
    await office.launch("second")
    await office.runner.step()
    assert await sent_from(office, people, "second") == before  # although one of their area is there now

    office = await office_of(third, **with_pool(shipped_config, SEATTLE_LINE, BOSTON_LINE))
    await office.launch("third")
    await office.runner.step()
    after = await sent_from(office, people, "third")
    assert after == {p: BOSTON_LINE if number == BOSTON_LINE else SEATTLE_LINE for p, number in before.items()}


async def test_the_number_that_a_person_texted_last_is_the_one_that_they_know(
    office_of: OfficeOf, shipped_config: Config
) -> None:
    office = await office_of(
        campaign_like(shipped_config, "plain"), **with_pool(shipped_config, SEATTLE_LINE, BOSTON_LINE)
    )
    people = await office.people(2)
    for recipient in (SEATTLE_LINE, BOSTON_LINE):
        office.clock.advance(seconds=1)
        text = Inbound("+12062000000", recipient, "hello")
        await office.store.write(consent.recognise, office.business, "us_sms", [text], office.clock.now_ms())

    await office.launch("plain")
    await office.runner.step()

    assert list((await sent_from(office, people, "plain")).values()) == [BOSTON_LINE, SEATTLE_LINE]


async def test_nothing_is_kept_of_numbers_while_no_sender_has_several(office: Office) -> None:
    people = await office.people(3)
    text = Inbound("+12062000000", "20655", "hello")
    await office.store.write(consent.recognise, office.business, "us_sms", [text], office.clock.now_ms())
    await office.launch("plain")
    await office.runner.step()
    assert await office.rows("sticky_among", first=people[0], last=people[-1]) == []


async def test_a_campaign_that_asks_for_the_kind_of_a_number_keeps_what_it_finds(
    office_of: OfficeOf, shipped_config: Config
) -> None:
    rule = RouteSettings.model_validate({"type": "mobile", "senders": ["seattle"]})
    office = await office_of(campaign_like(shipped_config, "plain", senders=()), routes={"phones": rule})
    people = await office.people(9)
    assert [await office.rows("person_line", person=each) for each in people] == [[("", "")]] * 9

    await office.launch("plain")
    await office.runner.step()

    assert len(await sent_from(office, people, "plain")) == 9
    assert [await office.rows("person_line", person=each) for each in people] == [[("mobile or landline", "")]] * 9


@pytest.mark.parametrize(("policy", "repeat"), [("leave", 0), ("send again", 1)])
async def test_a_campaign_says_what_becomes_of_its_doubts(
    office_of: OfficeOf, shipped_config: Config, policy: str, repeat: int
) -> None:
    office = await office_of(campaign_like(shipped_config, "plain", when_in_doubt=policy))
    await office.people(1)
    await office.launch("plain")
    await office.runner.step()
    tomorrow = office.clock.now_ms() + 86_400_000
    queues = await office.rows("run_queues", brand=BRAND, run=(await office.run("plain")).id)
    rows = [
        row
        for queue, _ in queues
        for row in await office.rows("outbox_due", queue=queue, epoch=0, now=tomorrow, limit=9)
    ]
    assert [row[15] for row in rows] == [repeat]
