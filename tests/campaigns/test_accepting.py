"""Every text that a program asks for is decided about once, and what was taken is in the store when it is answered."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns import accepting, clients, consent, people, practice
from campaigns.business import Business, open_business
from campaigns.client_settings import ClientSettings
from campaigns.settings import Config
from campaigns.wishes import KeyReused, Refused, Result, Submission, Taken, Why, Wish
from gateway.channels.http import HttpCarrier
from gateway.clock import StoppedClock
from gateway.ids import Ids
from gateway.intake import Busy, Intake
from gateway.messages import Content, Lane
from gateway.rendering import Texts
from gateway.settings import RouteSettings, SenderSettings
from gateway.store import Store, Tx, beside, open_store
from tests import tables
from tests.conftest import BRAND, Apply, EmptyStores

SEATTLE, SHANGHAI = "+12065550142", "+8613912345678"


@pytest.fixture
async def business(apply: Apply, shipped_config: Config) -> Business:
    """The shipped business with a program that may do everything, and one that may only send from Seattle."""
    clients = {
        "shop": ClientSettings(key="shop"),
        "narrow": ClientSettings(key="narrow", senders=("seattle",), program="lantern_club"),
    }
    return await apply(shipped_config.model_copy(update={"clients": clients}))


async def accept(store: Store, business: Business, *submissions: Submission) -> list[Result | Exception]:
    return (await store.write(accepting.accept, business, submissions, business.clock.now_ms())).results


async def send(store: Store, business: Business, *wishes: Wish, client: str = "shop", **how: Any) -> Sequence[Any]:
    """The outcomes of one call."""
    (result,) = await accept(store, business, Submission(business.clients[client], wishes, **how))
    assert isinstance(result, Result)
    return result.outcomes


async def waiting(store: Store) -> list[tuple[Any, ...]]:
    return await store.read(
        lambda tx: tables.look(
            tx,
            "SELECT m.id, m.run, m.purpose, m.program, m.channel, m.sender, m.address, m.text, o.due, q.lane"
            " FROM outbox o JOIN message m ON m.id = o.id JOIN queue q ON q.id = o.queue ORDER BY m.id",
        )
    )


async def test_what_is_taken_waits_for_its_carrier_when_the_call_is_answered(store: Store, business: Business) -> None:
    taken, urgent = await send(
        store, business, Wish(SEATTLE, "Your latte is ready"), Wish(SHANGHAI, "您的拿铁好了", urgent=True)
    )
    assert taken == Taken(taken.id, SEATTLE, "20655", "us_sms", 1, 7_900, business.clock.now_ms())
    assert (urgent.sender, urgent.channel, urgent.parts) == ("10690555", "cn_sms", 1)
    shop, now = business.clients["shop"].id, business.clock.now_ms()
    assert await waiting(store) == [
        (taken.id, shop, "service", "", "us_sms", "20655", SEATTLE, "Your latte is ready", now, Lane.BULK),
        (urgent.id, shop, "service", "", "cn_sms", "10690555", SHANGHAI, "【灯笼咖啡】您的拿铁好了", now, Lane.URGENT),
    ]


async def test_a_number_written_as_people_do_is_the_same_phone(store: Store, business: Business) -> None:
    outcomes = await send(store, business, *(Wish(to, "hi") for to in (SEATTLE, "(206) 555-0142", "206 555 0142")))
    assert [each.to for each in outcomes] == [SEATTLE] * 3
    assert len(await store.read(lambda tx: tables.look(tx, "SELECT id FROM person"))) == 1


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        (Wish("12", "hi"), Why.BAD_NUMBER),
        (Wish("", "hi"), Why.BAD_NUMBER),
        (Wish("+1206555014", "hi"), Why.BAD_NUMBER),
        (Wish("Lantern", "hi"), Why.BAD_NUMBER),
        (Wish("+441134960123", "hi"), Why.LANDLINE),
        (Wish("+447911123456", "hi"), Why.NO_SENDER),
        (Wish(SEATTLE, "hi", sender="10690555"), Why.NO_SENDER),
        (Wish(SEATTLE, "hi", sender="+12065550199"), Why.NOT_YOURS),
        (Wish(SEATTLE, ""), Why.NO_TEXT),
        (Wish(SEATTLE, " \n"), Why.NO_TEXT),
        (Wish(SEATTLE, "a\0b"), Why.BAD_TEXT),
        (Wish(SEATTLE, "a\ud83d"), Why.BAD_TEXT),
        (Wish(SEATTLE, "x" * 1_601), Why.TOO_LONG),
        (Wish(SEATTLE, "hi", program="lantern_clib"), Why.NO_PROGRAM),
        (Wish(SEATTLE, "hi", program="lantern_club"), Why.NO_CONSENT),
        (Wish(SEATTLE, "hi", valid_until=1), Why.TOO_LATE),
    ],
)
async def test_what_cannot_be_sent_is_refused_with_its_reason_and_leaves_nothing(
    store: Store, business: Business, wish: Wish, why: Why
) -> None:
    (refused,) = await send(store, business, wish)
    assert isinstance(refused, Refused)
    assert (refused.why, bool(refused.detail)) == (why, True)
    assert await waiting(store) == []


async def test_who_has_left_gets_no_service_text_either(store: Store, business: Business) -> None:
    now = business.clock.now_ms()
    person = await store.write(people.find_or_create, business, SEATTLE, now)
    assert person is not None
    await store.write(consent.leave, business, person.id, at=now, source="text")
    (refused,) = await send(store, business, Wish(SEATTLE, "hi"))
    assert refused.why == Why.LEFT


async def test_marketing_of_a_program_goes_to_who_said_yes(store: Store, business: Business) -> None:
    now = business.clock.now_ms()
    person = await store.write(people.find_or_create, business, SEATTLE, now)
    assert person is not None
    await store.write(consent.join, business, person.id, "lantern_club", language="en", at=now, source="text")
    taken, other = await send(
        store, business, Wish(SEATTLE, "2 for 1"), Wish("+12065550143", "2 for 1"), client="narrow"
    )
    assert (taken.sender, other.why) == ("20655", Why.NO_CONSENT)
    ((_, _, purpose, program, *_),) = await waiting(store)
    assert (purpose, program) == ("marketing", "lantern_club")


async def test_a_program_sends_from_its_own_senders_only(store: Store, business: Business) -> None:
    outcomes = await send(
        store, business, Wish(SEATTLE, "hi", program=""), Wish(SEATTLE, "hi", sender="seattle", program=""),
        Wish(SEATTLE, "hi", sender="shanghai", program=""), Wish(SHANGHAI, "hi", program=""), client="narrow",
    )  # fmt: skip
    assert [getattr(each, "why", "taken") for each in outcomes] == ["taken", "taken", Why.NOT_YOURS, Why.NO_SENDER]


async def test_one_bad_number_refuses_all_only_where_all_or_none_was_asked(store: Store, business: Business) -> None:
    wishes = [Wish(SEATTLE, "hi"), Wish("12", "hi"), Wish(SEATTLE, "ho")]
    each = await send(store, business, *wishes)
    assert [getattr(one, "why", "taken") for one in each] == ["taken", Why.BAD_NUMBER, "taken"]
    none = await send(store, business, *wishes, is_all_or_none=True)
    assert [one.why for one in none] == [Why.NOT_ALL, Why.BAD_NUMBER, Why.NOT_ALL]
    assert len(await waiting(store)) == 2


async def test_the_same_key_gets_the_same_answer_and_sends_once(store: Store, business: Business) -> None:
    first = await send(store, business, Wish(SEATTLE, "hi"), Wish("12", "hi"), key="k1", digest="a")
    shop = business.clients["shop"]
    again, other, narrow = await accept(
        store, business, Submission(shop, [Wish(SEATTLE, "hi"), Wish("12", "hi")], "k1", "a"),
        Submission(shop, [Wish(SEATTLE, "hello")], "k1", "b"),
        Submission(business.clients["narrow"], [Wish(SEATTLE, "hi", program="")], "k1", "a"),
    )  # fmt: skip
    assert again == Result([*first], is_repeat=True)
    assert isinstance(other, KeyReused)
    assert isinstance(narrow, Result)
    assert not narrow.is_repeat  # a key is its client's own
    assert len(await waiting(store)) == 2


async def test_one_key_twice_in_one_commit_has_one_effect(store: Store, business: Business) -> None:
    shop = business.clients["shop"]
    one, two, three = await accept(
        store, business, *(Submission(shop, [Wish(SEATTLE, "hi")], "k", digest) for digest in "aab")
    )  # fmt: skip
    assert isinstance(one, Result)
    assert two == one._replace(is_repeat=True)
    assert isinstance(three, KeyReused)
    assert len(await waiting(store)) == 1


async def test_calls_that_come_at_once_with_one_key_have_one_effect(store: Store, business: Business) -> None:
    shop = business.clients["shop"]
    results = await asyncio.gather(
        *(accept(store, business, Submission(shop, [Wish(SEATTLE, "hi")], "k", "a")) for _ in range(8))
    )
    ids = {result.outcomes[0].id for (result,) in results}  # type: ignore[union-attr]
    assert len(ids) == 1
    assert len(await waiting(store)) == 1


@pytest.fixture
async def other(store: Store, store_place: str) -> AsyncIterator[Store]:
    """The same database as another process has it."""
    opened = open_store(store_place)
    yield opened
    opened.close()


class Slow:
    """An acceptance that stands still before its commit until it may go on."""

    def __init__(
        self, store: Store, business: Business, submission: Submission, error: Exception | None = None
    ) -> None:
        self.is_written, self.go_on = threading.Event(), threading.Event()

        @beside
        async def slowly(tx: Tx) -> Any:
            accepted = await accepting.accept(tx, business, [submission], business.clock.now_ms())
            self.is_written.set()
            await asyncio.to_thread(self.go_on.wait, 10)
            if error:
                raise error
            return accepted.results[0]

        self.result = asyncio.ensure_future(store.write(slowly))


@pytest.mark.engine("postgresql")
async def test_a_key_that_another_process_is_writing_waits_and_gets_its_answer(
    store: Store, other: Store, business: Business
) -> None:
    shop = business.clients["shop"]
    first = Slow(store, business, Submission(shop, [Wish(SEATTLE, "hi")], "k", "a"))
    await asyncio.to_thread(first.is_written.wait, 10)
    same, different = (
        asyncio.ensure_future(accept(other, business, Submission(shop, [Wish(SEATTLE, "hi")], "k", digest)))
        for digest in "ab"
    )
    await asyncio.sleep(0.1)
    assert not same.done()
    first.go_on.set()
    assert await same == [(await first.result)._replace(is_repeat=True)]
    assert [type(each) for each in await different] == [KeyReused]
    assert len(await waiting(store)) == 1


@pytest.mark.engine("postgresql")
async def test_a_key_whose_first_writer_dies_has_its_effect_by_the_second(
    store: Store, other: Store, business: Business
) -> None:
    call = Submission(business.clients["shop"], [Wish(SEATTLE, "hi")], "k", "a")
    first = Slow(store, business, call, LookupError("gone"))
    await asyncio.to_thread(first.is_written.wait, 10)
    second = asyncio.ensure_future(accept(other, business, call))
    await asyncio.sleep(0.1)
    first.go_on.set()
    with pytest.raises(LookupError):
        await first.result
    (result,) = await second
    assert isinstance(result, Result)
    assert not result.is_repeat
    assert [row[0] for row in await waiting(store)] == [each.id for each in result.outcomes if isinstance(each, Taken)]


@pytest.mark.engine("postgresql")
async def test_the_same_keys_and_phones_in_opposite_orders_from_two_processes_have_one_effect_each(
    store: Store, other: Store, business: Business
) -> None:
    shop = business.clients["shop"]
    for turn in range(10):
        calls = [Submission(shop, [Wish(f"+120655{turn}{n:04}", "hi")], f"{turn} {n}", "a") for n in range(30)]
        here, there = await asyncio.gather(accept(store, business, *calls), accept(other, business, *calls[::-1]))
        for one, two in zip(here, reversed(there), strict=True):
            assert isinstance(one, Result)
            assert isinstance(two, Result)
            assert one.outcomes == two.outcomes
            assert one.is_repeat != two.is_repeat
    assert len(await waiting(store)) == 300
    assert len(await store.read(tables.look, "SELECT id FROM person")) == 300


@pytest.mark.engine("postgresql")
async def test_a_phone_that_two_processes_meet_for_the_first_time_is_one_person(
    store: Store, other: Store, business: Business
) -> None:
    call = Submission(business.clients["shop"], [Wish(SEATTLE, "hi")])
    first = Slow(store, business, call)
    await asyncio.to_thread(first.is_written.wait, 10)
    second = asyncio.ensure_future(accept(other, business, call))
    await asyncio.sleep(0.1)
    first.go_on.set()
    await asyncio.gather(first.result, second)
    people_texted = await store.read(tables.look, "SELECT m.person, p.id FROM message m, person p")
    assert len(people_texted) == 2
    assert all(texted == person for texted, person in people_texted)


async def test_a_text_that_is_to_leave_later_waits_until_then(store: Store, business: Business) -> None:
    later = business.clock.now_ms() + 3_600_000
    (taken,) = await send(store, business, Wish(SEATTLE, "hi", send_at=later))
    assert taken.due == later
    assert [row[8] for row in await waiting(store)] == [later]


async def test_a_test_key_reaches_nobody_and_makes_nobody(store: Store, business: Business) -> None:
    outcomes = await send(
        store, business, Wish(SEATTLE, "hi"), Wish("+15005550001", "hi"), Wish("+15005550004", "hi"), is_test=True
    )
    assert [getattr(each, "why", "taken") for each in outcomes] == ["taken", Why.BAD_NUMBER, Why.LEFT]
    assert outcomes[0].channel == practice.CHANNEL
    (twilio,) = await send(store, business, Wish("+15005550010", "hi", sender=practice.SENDER), is_test=True)
    assert twilio.sender == practice.SENDER  # as tests that were written for Twilio have it
    assert await store.read(lambda tx: tables.look(tx, "SELECT id FROM person")) == []


async def test_what_was_asked_for_on_a_day_that_is_dropped_is_forgotten_in_pieces(
    store: Store, business: Business
) -> None:
    shop = business.clients["shop"]
    outcomes = await send(store, business, *(Wish(SEATTLE, f"hi {n}") for n in range(5)))
    await send(store, business, Wish(SEATTLE, "hi", program=""), client="narrow")
    of_shop = {"client": shop.id, "before": outcomes[3].id, "limit": 2}
    gone = [await store.write(lambda tx: tx.run("submission_tidy", **of_shop)) for _ in range(3)]
    assert gone == [2, 1, 0]
    kept = await store.read(lambda tx: tables.look(tx, "SELECT message FROM submission WHERE client = ?", shop.id))
    assert sorted(kept) == [(outcomes[3].id,), (outcomes[4].id,)]


async def test_nothing_is_forgotten_of_a_text_that_is_there_however_late_it_is_to_leave(
    store: Store, business: Business
) -> None:
    later = business.clock.now_ms() + 400 * 86_400_000
    (taken,) = await send(store, business, Wish(SEATTLE, "hi", send_at=later))
    await clients.forget_asked(store, business.clients.values())
    kept = await store.read(lambda tx: tables.look(tx, "SELECT message FROM submission"))
    assert kept == [(taken.id,)]


async def test_ten_thousand_in_one_call_stay_in_their_order(store: Store, business: Business) -> None:
    outcomes = await send(store, business, *(Wish(f"+1206{2_000_000 + n}", f"hi {n}") for n in range(10_000)))
    assert [each.to for each in outcomes] == [f"+1206{2_000_000 + n}" for n in range(10_000)]
    rows = await waiting(store)
    assert [row[7] for row in rows] == [f"hi {n}" for n in range(10_000)]
    assert [row[0] for row in rows] == [each.id for each in outcomes]


async def test_the_intake_answers_after_the_commit_and_says_when_too_much_waits(
    store: Store, business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[bool] = []

    async def accept_now(tx: Any, submissions: Sequence[Submission]) -> accepting.Accepted:
        return await accepting.accept(tx, business, submissions, business.clock.now_ms())

    intake: Intake[Submission, Result] = Intake(store, accept_now, lambda queues, is_new: woken.append(is_new))
    shop = business.clients["shop"]
    calls = [intake.submit(Submission(shop, [Wish(SEATTLE, f"hi {n}")])) for n in range(50)]
    results = await asyncio.gather(*calls)
    assert len({result.outcomes[0].id for result in results}) == 50  # type: ignore[union-attr]
    assert len(await waiting(store)) == 50
    assert woken[0]  # there was a new queue
    monkeypatch.setattr("gateway.intake.MOST", 10)
    first = intake.submit(Submission(shop, [Wish(SEATTLE, "hi")] * 9))
    with pytest.raises(Busy):
        await intake.submit(Submission(shop, [Wish(SEATTLE, "hi")] * 9))
    assert len((await first).outcomes) == 9


async def test_those_who_call_at_once_share_a_commit_again_and_again_and_a_lone_caller_waits_for_nobody(
    store: Store, business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.intake.TOGETHER_S", 3600.0)
    sizes: list[int] = []

    async def accept_now(tx: Any, submissions: Sequence[Submission]) -> accepting.Accepted:
        sizes.append(len(submissions))
        return await accepting.accept(tx, business, submissions, business.clock.now_ms())

    intake: Intake[Submission, Result] = Intake(store, accept_now, lambda queues, is_new: None)

    async def call(times: int) -> None:
        for n in range(times):
            await intake.submit(Submission(business.clients["shop"], [Wish(SEATTLE, f"hi {n}")]))

    async with asyncio.timeout(20):
        await call(5)
        assert sizes == [1] * 5
        await asyncio.gather(*(call(5) for _ in range(20)))
    assert sizes[5:] == [20] * 5


async def test_whose_text_is_accepted_hears_it_even_if_nobody_can_be_sent_to_work(
    store: Store, business: Business
) -> None:
    async def accept_now(tx: Any, submissions: Sequence[Submission]) -> accepting.Accepted:
        return await accepting.accept(tx, business, submissions, business.clock.now_ms())

    def fails(queues: Collection[int], is_new: bool) -> None:
        raise RuntimeError(queues, is_new)

    intake: Intake[Submission, Result] = Intake(store, accept_now, fails)
    async with asyncio.timeout(5):
        for _ in range(2):  # and the next batch goes out too
            result = await intake.submit(Submission(business.clients["shop"], [Wish(SEATTLE, "hi")]))
            assert len(result.outcomes) == 1


WRITTEN = st.one_of(st.text(max_size=30), st.sampled_from([SEATTLE, SHANGHAI, "20655", "seattle", "+15005550001"]))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wishes=st.lists(st.builds(
    Wish, to=WRITTEN, text=st.text(max_size=200), sender=WRITTEN, program=st.one_of(st.none(), WRITTEN),
    urgent=st.booleans(), send_at=st.integers(0, 1 << 45), valid_until=st.integers(0, 1 << 45),
    reference=st.text(max_size=9), callback=st.text(max_size=9),
), max_size=5), is_test=st.booleans())  # fmt: skip
async def test_whatever_a_program_writes_it_gets_an_outcome_and_harms_nobody(
    empty_stores: EmptyStores, shipped_config: Config, texts: Texts, wishes: list[Wish], is_test: bool
) -> None:
    clock = StoppedClock(datetime(2026, 11, 22, 18, tzinfo=UTC))
    with empty_stores() as store:
        config = shipped_config.model_copy(update={"clients": {"shop": ClientSettings(key="shop")}})
        business = await store.write(
            open_business, brand=BRAND, config=config, version=1, ids=Ids(clock.now_ms), clock=clock, texts=texts,
            now=clock.now_ms(),
        )  # fmt: skip
        bad = Submission(business.clients["shop"], wishes, is_test=is_test)
        good = Submission(business.clients["shop"], [Wish(SEATTLE, "hi")])
        first, second = await accept(store, business, bad, good)
        assert isinstance(first, Result)
        assert isinstance(second, Result)
        assert len(first.outcomes) == len(wishes)
        assert isinstance(second.outcomes[0], Taken)


# --- more than letters -----------------------------------------------------------------------------------------------

PICTURES = ("https://shop.example/latte.jpg", "https://shop.example/tea.jpg")
FLASH, OCTETS = Content(message_class=0), Content(octets=b"\x01\x00\xff" * 14)
MMS = {
    "kind": "http", "rate": "10/s", "price": "0.01 USD per part", "price_media": "0.03 USD",
    "send": {"url": "https://mms.example/", "form": {"to": "{{ recipient }}", "media": "{{ media }}"}},
}  # fmt: skip


@pytest.fixture
async def with_mms(apply: Apply, shipped_config: Config) -> Business:
    """The shipped business with one more sender, whose channel carries pictures and no octets."""
    business = await apply(shipped_config.model_copy(update={"clients": {"shop": ClientSettings(key="shop")}}))
    config = business.config
    mms = HttpCarrier.model_validate(MMS)
    sender = SenderSettings.model_validate({"number": "20656", "channel": "mms", "countries": ["US"]})
    changed = config.model_copy(
        update={
            "channels": {**config.channels, "mms": mms},
            "senders": {**config.senders, "pictures": sender.model_copy(update={"key": "pictures"})},
        }
    )
    return replace(business, config=changed)


async def kept(store: Store) -> list[tuple[Any, ...]]:
    return await store.read(lambda tx: tables.look(tx, "SELECT text, repeat, content FROM message ORDER BY id"))


async def test_pictures_leave_by_a_channel_that_carries_them_at_the_price_of_a_picture(
    store: Store, with_mms: Business
) -> None:
    plain, picture, bare = await send(
        store, with_mms, Wish(SEATTLE, "Look"), Wish(SEATTLE, "Look " * 60, content=Content(PICTURES)),
        Wish(SEATTLE, "", content=Content(PICTURES[:1]), repeat=True),
    )  # fmt: skip
    assert [each.channel for each in (plain, picture, bare)] == ["us_sms", "mms", "mms"]
    assert [(each.parts, each.price) for each in (plain, picture, bare)] == [(1, 7_900), (1, 30_000), (1, 30_000)]
    rows = await kept(store)
    assert [(text, repeat) for text, repeat, _ in rows] == [("Look", 0), ("Look " * 60, 2), ("", 3)]
    assert [content and Content.read(content).media for *_, content in rows] == [None, PICTURES, PICTURES[:1]]


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (
            Wish(SEATTLE, "Look", "seattle", content=Content(PICTURES)),
            "us_sms, .* pictures; these senders can: pictures",
        ),
        (Wish(SHANGHAI, "看", content=Content(PICTURES)), "no channel that serves CN carries pictures"),
        (Wish(SEATTLE, "", "pictures", content=OCTETS), "mms, .* octets; these senders can: seattle, shanghai"),
    ],
)
async def test_what_the_senders_channel_cannot_carry_is_refused_with_who_can(
    store: Store, with_mms: Business, wish: Wish, words: str
) -> None:
    (refused,) = await send(store, with_mms, wish)
    assert refused.why is Why.CANNOT_CARRY
    assert re.search(words, refused.detail)


async def test_a_flash_text_leaves_by_whom_can_show_it_so_and_else_as_a_usual_one(
    store: Store, with_mms: Business
) -> None:
    chosen, named = await send(
        store, with_mms, Wish(SEATTLE, "Fire!", content=FLASH), Wish(SEATTLE, "Fire!", "pictures", content=FLASH)
    )
    assert (chosen.channel, named.channel) == ("us_sms", "mms")


async def test_nothing_is_set_before_or_behind_octets_and_people_are_shown_how_many_there_are(
    store: Store, business: Business
) -> None:
    long = Content(octets=bytes(300), header=bytes.fromhex("05040b8423f0"))
    octets, more = await send(
        store, business, Wish(SHANGHAI, "", content=OCTETS), Wish(SHANGHAI, "", content=long)
    )  # fmt: skip
    assert (octets.parts, more.parts) == (1, 3)
    assert [text for text, *_ in await kept(store)] == ["[42 octets]", "[300 octets]"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (Content(octets=b""), Why.NO_TEXT),
        (Content(message_class=0), Why.NO_TEXT),
        (Content(octets=bytes(135), header=bytes.fromhex("0003070201")), Why.TOO_LONG),
        (Content(octets=bytes(64 * 134)), Why.TOO_LONG),
        (Content(octets=bytes(63 * 140)), Why.TOO_LONG),  # each part has a header
        (Content(("https://shop.example/" + "a" * 1000,) * 3), Why.TOO_LONG),
    ],
)
async def test_octets_that_are_none_or_do_not_fit_are_refused(
    store: Store, business: Business, content: Content, why: Why
) -> None:
    (refused,) = await send(store, business, Wish(SEATTLE, "", content=content))
    assert refused.why is why


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (Content(octets=bytes(9_999)), "9,999 octets; 8,820 are the most"),
        (Content(octets=bytes(8_800)), "8,800 octets are 66 parts with this header; 63 are the most"),
        (Content(("https://shop.example/" + "a" * 2_028,)), "have 2,049 characters; 2,048 are the most"),
    ],
)
async def test_what_is_too_much_is_told_with_the_most(
    store: Store, with_mms: Business, content: Content, words: str
) -> None:
    (refused,) = await send(store, with_mms, Wish(SEATTLE, "", content=content))
    assert words in refused.detail


MARKETED = SenderSettings.model_validate(
    {"number": "20657", "channel": "us_sms", "countries": ["US"], "begin": "Lantern: ", "end": " STOP ends"}
)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "Lantern: Sale STOP ends"),
        (FLASH, "Lantern: Sale STOP ends"),
        (Content(header=bytes.fromhex("700100")), "Lantern: Sale STOP ends"),
        (Content(header=bytes.fromhex("05040b8423f0")), "Sale"),
        (Content(header=bytes.fromhex("7001000402f5f5")), "Sale"),
    ],
)
async def test_only_what_is_for_a_program_goes_without_what_the_law_wants_behind_it(
    store: Store, with_mms: Business, content: Content | None, text: str
) -> None:
    config = with_mms.config
    senders = {**config.senders, "shop": MARKETED.model_copy(update={"key": "shop"})}
    business = replace(with_mms, config=config.model_copy(update={"senders": senders}))
    now = business.clock.now_ms()
    person = await store.write(people.find_or_create, business, SEATTLE, now)
    assert person is not None
    await store.write(consent.join, business, person.id, "lantern_club", language="en", at=now, source="text")
    (taken,) = await send(store, business, Wish(SEATTLE, "Sale", "shop", "lantern_club", content=content))
    assert isinstance(taken, Taken), taken
    assert [row[0] for row in await kept(store)][-1] == text


async def test_pictures_go_by_whom_they_are_cheapest_and_a_flash_text_by_whom_that_works(
    store: Store, with_mms: Business
) -> None:
    dear = HttpCarrier.model_validate(MMS | {"price": "0.001 USD per part", "price_media": "0.50 USD"})
    sender = SenderSettings.model_validate({"number": "20658", "channel": "dear", "countries": ["US"], "key": "dear"})
    rule = RouteSettings.model_validate({"senders": ["dear", "pictures", "seattle"], "order": "cost", "key": "all"})
    config = with_mms.config.model_copy(
        update={
            "channels": {**with_mms.config.channels, "dear": dear},
            "senders": {**with_mms.config.senders, "dear": sender},
            "routes": {"all": rule},
        }
    )
    cheap = replace(with_mms, config=config)
    (picture,) = await send(store, cheap, Wish(SEATTLE, "", content=Content(PICTURES)))
    assert (picture.channel, picture.price) == ("mms", 30_000)
    (plain, flash) = await send(store, cheap, Wish(SEATTLE, "Hi"), Wish(SEATTLE, "Hi", content=FLASH))
    assert (plain.channel, flash.channel) == ("dear", "dear")  # the rule says that the cheapest goes first

    listed = config.model_copy(update={"routes": {"all": rule.model_copy(update={"order": "listed"})}})
    business = replace(with_mms, config=listed)
    (flash,) = await send(store, business, Wish(SEATTLE, "Hi", content=FLASH))
    assert flash.channel == "us_sms"
    business.quality.out.add("us_sms")
    (flash,) = await send(store, business, Wish(SEATTLE, "Hi", content=FLASH))
    assert flash.channel == "dear"


def test_contents_of_one_call_have_a_bound_and_count_as_texts(business: Business) -> None:
    client = business.clients["shop"]
    plain = Submission(client, [Wish(SEATTLE, "hi")] * 10_000)
    assert (plain.size, plain.excess()) == (10_000, "")
    long = Submission(client, [Wish(SEATTLE, "", content=Content(octets=bytes(8_000)))] * 300)
    assert 4_000 < long.size < 6_000
    assert "send to fewer at once" in long.excess()
    assert not Submission(client, [Wish(SEATTLE, "", content=Content(octets=bytes(140)))] * 10_000).excess()


async def test_a_test_key_may_send_whatever_there_is(store: Store, business: Business) -> None:
    wishes = [Wish(SEATTLE, text, content=each) for text, each in (("", Content(PICTURES)), ("", OCTETS), ("!", FLASH))]
    outcomes = await send(store, business, *wishes, is_test=True)
    assert [each.channel for each in outcomes] == [practice.CHANNEL] * 3
