"""Simulated people act on a campaign's texts through real doors, gently, and never on a phone that somebody holds."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import run
from campaigns import consent, coupons, people, runs, versions
from campaigns.business import Business
from campaigns.people import Person
from campaigns.runs import Waterfall
from campaigns.settings import Config
from gateway.channels.simulator import HandsetMessage
from gateway.config import load
from gateway.messages import State
from gateway.store import Store, Tx
from handlers.app import App
from handlers.console.serving import import_sample
from handlers.people import ANSWER, MOST_WAITING, NEWCOMERS, REDEEM, STOP, Crowd, Deed, intentions, redeem, words_for
from tests.conftest import Apply
from tests.handlers.console.conftest import PORTS
from tests.ports import free_ports

ROOT = Path(__file__).parents[2]
MAYA = "+12065550142"


def config_file(folder: Path, mood: str) -> Path:
    """The shipped config on free ports, on a quick line."""
    text = (ROOT / "config.yaml").read_text("utf-8").replace("people: lively", f"people: {mood}")
    for shipped, port in zip(PORTS, free_ports(len(PORTS)), strict=True):
        text = text.replace(shipped, f"127.0.0.1:{port}")
    for rate in ("rate: 50/s", "rate: 100/s"):
        text = text.replace(rate, "rate: 2000/s")
    path = folder / "config.yaml"
    path.write_text(text, "utf-8")
    return path


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[App]:
    """The app with the config applied, nothing running."""
    loaded = load(path, Config, {})
    async with run.opened(loaded.value, path, {}) as app:
        now = app.clock.now_ms()
        version = await app.store.write(versions.keep, app.brand, loaded, path, now)
        app.take(await run.business_of(app, loaded.value, version))
        yield app


@dataclass
class Demo:
    """The shipped campaign in front of the sample's people, with a crowd whose time the test moves."""

    app: App
    crowd: Crowd
    time: list[float] = field(default_factory=lambda: [0.0])

    async def send(self) -> None:
        """Let the campaign reach everybody."""
        await self.app.store.write(
            runs.launch, self.app.business, self.app.business.config.campaigns["spring"], self.app.clock.now_ms()
        )
        for _ in range(500):
            await asyncio.sleep(0.02)
            found = await self.app.store.read(_waterfall)
            if found.sending and not found.in_state(State.QUEUED):
                return
        raise AssertionError("the campaign is still on its way")

    async def act(self) -> int:
        """Let everybody do what they intend, and everything be answered."""
        self.time[0] += 3600
        done = await self.crowd.step()
        assert self.app.gateway is not None
        for _ in range(500):
            await asyncio.sleep(0.02)
            waiting = await self.rows("inbound_waiting", limit=1)
            if self.app.gateway.inbox.is_idle and not waiting:
                break
        await asyncio.sleep(0.1)
        return done

    async def rows(self, query: str, **values: object) -> list[tuple[object, ...]]:
        async def read(tx: Tx) -> list[tuple[object, ...]]:
            return await tx.rows(query, **values)

        return await self.app.store.read(read)

    async def count(self) -> Counter[str]:
        """What people did, over all."""
        kinds = ["voted", "left", "redeemed"]
        news = await self.rows("page_news", brand=1, kinds=kinds, limit=500)
        return Counter(str(kind) for _, kind, *_ in news)

    async def texts_from(self, number: str) -> int:
        person = await self.app.store.read(people.find_by_address, self.app.business, number)
        return len(await self.rows("inbound_of_person", person=person.id)) if person else 0


async def _waterfall(tx: Tx) -> Waterfall:
    found = await runs.find(tx, 1, "spring")
    assert found is not None
    return await runs.waterfall(tx, found)


@pytest.fixture
async def demo(tmp_path: Path) -> AsyncIterator[Demo]:
    path = config_file(tmp_path, "quiet")
    async with opened(path) as app:
        await import_sample(app, str(path))
        async with run.serving(app, {}):
            assert app.simulator is not None
            time = [0.0]
            crowd = Crowd(app, app.simulator, lambda: time[0])
            app.simulator.on_message.append(crowd.heard)
            yield Demo(app, crowd, time)


def intended(number: str, seed: int = 7) -> list[Deed]:
    return [deed for _, deed in intentions(random.Random(f"{seed} {number}"))]


async def test_after_a_campaign_some_vote_some_redeem_a_few_stop_and_most_do_nothing(demo: Demo) -> None:
    await demo.send()
    done = await demo.act()
    did = await demo.count()

    assert demo.app.simulator is not None
    assert done == demo.app.simulator.counters.texts_acknowledged + did["redeemed"]
    assert did["voted"] > did["left"] > 0
    assert did["redeemed"] > 0
    assert done < 200
    assert await demo.rows("redemption_count", brand=1) == [("redeemed", did["redeemed"])]


async def test_nobody_acts_twice_for_one_text_nor_on_our_answers(demo: Demo) -> None:
    await demo.send()
    assert await demo.act() > 0

    assert await demo.act() == 0


async def test_the_newcomers_phone_and_our_own_do_nothing_by_themselves(
    demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handlers.people.intentions", lambda chance: [(1.0, Deed.STOP)])  # everybody else would
    await demo.app.store.write(people.find_or_create, demo.app.business, "+12065550177", 0)
    for number in ["+12065550177", *NEWCOMERS, *demo.app.business.testers]:
        await demo.app.store.write(people.find_or_create, demo.app.business, number, 0)
        demo.crowd.heard(HandsetMessage(0, True, "20655", "an offer", 1, None), number)

    assert await demo.act() == 1
    assert await demo.texts_from("+12065550177") == 1


async def test_an_answer_of_ours_moves_nobody_and_who_has_left_does_nothing_more(
    demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handlers.people.intentions", lambda chance: [(1.0, Deed.VOTE)])
    answered, left = "+12065550177", "+12065550178"
    await demo.app.store.write(people.find_or_create, demo.app.business, answered, 0)
    gone = await demo.app.store.write(people.find_or_create, demo.app.business, left, 0)
    assert gone is not None
    await demo.app.store.write(consent.leave, demo.app.business, gone.id, at=1, source="page")
    demo.crowd.heard(HandsetMessage(0, True, "20655", "Got it: 3, The owl.", 1, 40), answered)
    demo.crowd.heard(HandsetMessage(0, True, "20655", "an offer", 1, None), left)

    assert await demo.act() == 0


async def test_a_phone_that_somebody_texts_from_is_theirs_from_then_on(demo: Demo) -> None:
    number = next(each for n in range(1000) if Deed.VOTE in intended(each := f"+1206555{n:04}"))
    assert demo.app.simulator is not None
    demo.crowd.heard(HandsetMessage(0, True, "20655", "an offer", 1, None), number)
    await demo.app.simulator.text(number, "20655", "HOURS")
    await demo.act()

    assert await demo.texts_from(number) == 1


async def test_a_phone_that_was_texted_from_before_a_restart_is_left_alone(demo: Demo) -> None:
    number = next(each for n in range(1000) if Deed.VOTE in intended(each := f"+1206555{n:04}"))
    person = await demo.app.store.write(people.find_or_create, demo.app.business, number, 0)
    assert person is not None
    row = (demo.app.ids.next(), 1, "us_sms", number, "20655", "HOURS", person.id, 0, "", 1, "")

    async def texted(tx: Tx) -> None:
        await tx.many("inbound_insert", [row])

    await demo.app.store.write(texted)
    demo.crowd.heard(HandsetMessage(0, True, "20655", "an offer", 1, None), number)
    await demo.act()

    assert await demo.texts_from(number) == 1


async def test_what_waits_is_bounded_however_great_the_campaign(demo: Demo) -> None:
    for n in range(20_000):
        demo.crowd.heard(HandsetMessage(0, True, "20655", "an offer", 1, None), f"+1206{n:07}")

    assert len(demo.crowd._waiting) <= MOST_WAITING + 1


def test_the_shares_are_those_that_are_promised_and_a_seed_plays_alike() -> None:
    meant = [intended(f"+1206{n:07}") for n in range(20_000)]
    counts = Counter(deed for each in meant for deed in each)

    assert counts[Deed.STOP] / 20_000 == pytest.approx(STOP, rel=0.3)
    assert (counts[Deed.ASK] + counts[Deed.VOTE]) / 20_000 == pytest.approx(ANSWER, rel=0.1)
    assert counts[Deed.REDEEM] / 20_000 == pytest.approx(REDEEM, rel=0.1)
    assert meant == [intended(f"+1206{n:07}") for n in range(20_000)]
    assert meant != [intended(f"+1206{n:07}", seed=8) for n in range(20_000)]


# --- what they say, and where they go --------------------------------------------------------------------------------


def somebody(business: Business, *, zone: str = "America/Los_Angeles", language: str = "en") -> Person:
    return Person(business.ids.next(), "+12065550177", "US", zone, language, "", None)


def test_each_says_it_in_their_own_language_to_the_number_that_wrote(business: Business) -> None:
    english, chinese = somebody(business), somebody(business, language="zh")

    assert words_for(Deed.ASK, business, english, "20655") == "LATTE"
    assert words_for(Deed.ASK, business, chinese, "10690555") == "拿铁"
    assert re.fullmatch("VOTE [123]", words_for(Deed.VOTE, business, english, "20655"))
    assert re.fullmatch("投票 [123]", words_for(Deed.VOTE, business, chinese, "10690555"))
    assert words_for(Deed.STOP, business, english, "20655") == "STOP"
    assert words_for(Deed.STOP, business, chinese, "10690555") == "R"
    assert words_for(Deed.ASK, business, english, "99999") == ""


async def test_a_file_without_keywords_leaves_them_silent(apply: Apply, shipped_config: Config) -> None:
    business = await apply(shipped_config.model_copy(update={"keywords": {}}))

    assert {words_for(deed, business, somebody(business), "20655") for deed in (Deed.ASK, Deed.VOTE)} == {""}


@pytest.mark.parametrize(
    ("zone", "after_h", "place"),
    [
        ("America/Los_Angeles", 0, "pike_place"),  # 18:30
        ("America/Los_Angeles", 0.5, None),  # 19:00, closed
        ("Asia/Shanghai", 0, "nanjing_road"),  # 10:30
        ("Europe/London", 8, None),  # no shop there
    ],
)
async def test_they_redeem_once_in_an_open_shop_of_their_own_town(
    store: Store, business: Business, zone: str, after_h: float, place: str | None
) -> None:
    person, now = somebody(business, zone=zone), business.clock.now_ms()

    async def keep(tx: Tx) -> None:
        await tx.run(
            "person_insert", id=person.id, brand=1, address=person.address, country="US", zone=zone, line_type="",
            network="", language="en", created_at=now,
        )  # fmt: skip

    await store.write(keep)
    later = now + int(after_h * 3_600_000)
    assert not await store.write(redeem, business, person, later)  # nothing in hand yet
    given = await store.write(coupons.give, business, "latte", person.id, 0, now)

    assert await store.write(redeem, business, person, later) is (place is not None)
    assert not await store.write(redeem, business, person, later)
    held = await store.read(coupons.find, business, given.code)
    assert held is not None
    assert (held.place, held.till) == (place, "demo" if place else None)


async def test_they_live_while_a_lively_demo_is_served(tmp_path: Path) -> None:
    async with opened(config_file(tmp_path, "lively")) as app:
        async with run.serving(app, {}):
            await asyncio.sleep(0.05)
            assert app.simulator is not None
            assert len(app.simulator.on_message) == 1
        assert app.simulator.on_message == []
