"""Simulated people who vote, ask for a coupon, redeem it and stop, so that a demo's board has something to show."""

from __future__ import annotations

import asyncio
import heapq
import logging
import random
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from campaigns import coupons, people
from campaigns.business import Business
from campaigns.contests import PAGE
from campaigns.hours import zone_of
from campaigns.people import Person
from campaigns.settings import Place
from gateway.channels.simulator import HandsetMessage, Simulator
from gateway.clock import from_ms
from gateway.store import Tx
from handlers.app import App
from handlers.keywords.turn import word

log = logging.getLogger(__name__)

STOP, ANSWER, REDEEM = 0.01, 0.12, 0.06  # shares of those whom an unasked text reaches
AFTER_S = (3.0, 60.0)  # how long after the text they answer
SHOP_S = (40.0, 400.0)  # how long after the text they are at the till
TICK_S = 0.5
MOST_WAITING = 500  # deeds that wait; of a campaign to a million, the others do nothing
MOST_PHONES = 5_000  # phones that ever do something
NEWCOMERS = frozenset({"+12065550142", "+12065550143"})  # the numbers that the tour texts from
TILL = "demo"


class Deed(StrEnum):
    """What a simulated person does."""

    ASK = "ask"
    VOTE = "vote"
    STOP = "stop"
    REDEEM = "redeem"


class Intention(NamedTuple):
    """A deed that waits for its time, in seconds of a rising clock; `to` is the number that wrote to the phone."""

    at: float
    number: str
    deed: Deed
    to: str


async def live(app: App) -> None:
    """Let simulated people act on the texts that reach their phones, until cancelled."""
    if app.simulator is None:
        return
    crowd = Crowd(app, app.simulator, asyncio.get_running_loop().time)
    app.simulator.on_message.append(crowd.heard)
    try:
        while True:
            try:
                await crowd.step()
            except Exception:  # they are only for show: nothing real may end with them
                log.exception("a simulated person failed")
            await asyncio.sleep(TICK_S)
    finally:
        app.simulator.on_message.remove(crowd.heard)


class Crowd:
    """Decides by the file's seed and the phone's number who does what, so that every demo plays alike.

    Only phones that have never texted act. Ours, the newcomer's, and any that a person texts from by hand, at
    any time, are left alone. `time` is a rising clock in seconds.
    """

    def __init__(self, app: App, simulator: Simulator, time: Callable[[], float]) -> None:
        self._app, self._simulator, self._time = app, simulator, time
        self._waiting: list[Intention] = []  # a heap
        self._texted: dict[str, int] = {}  # how often each phone texted for us

    def heard(self, message: HandsetMessage, number: str) -> None:
        """A text has reached a phone: it may come to intend something. Called by the simulator."""
        is_answer = message.delay_ms is not None
        if is_answer or number in self._texted or number in NEWCOMERS or number in self._app.business.testers:
            return
        if len(self._waiting) >= MOST_WAITING or len(self._texted) >= MOST_PHONES:
            return
        seed = self._app.business.config.simulator.seed
        for after_s, deed in intentions(random.Random(f"{seed} {number}")):  # noqa: S311  a play, not a secret
            self._texted.setdefault(number, 0)
            heapq.heappush(self._waiting, Intention(self._time() + after_s, number, deed, message.other))

    async def step(self) -> int:
        """Do what is due; how many deeds were done."""
        done = 0
        while self._waiting and self._waiting[0].at <= self._time():
            done += await self._do(heapq.heappop(self._waiting))
        return done

    async def _do(self, intention: Intention) -> bool:
        business, number = self._app.business, intention.number
        person = await self._app.store.read(_still_ours, business, number, self._texted[number])
        if person is None or person.stopped_at is not None:
            return False
        if intention.deed is Deed.REDEEM:
            return await self._app.store.write(redeem, business, person, business.clock.now_ms())
        words = words_for(intention.deed, business, person, intention.to)
        if not words:
            return False
        self._texted[number] += 1
        self._simulator.post(number, intention.to, words)
        return True


def intentions(chance: random.Random) -> list[tuple[float, Deed]]:
    """What one person will do after a text, and after how many seconds; most do nothing."""
    drawn, after_s, shop_s = chance.random(), chance.uniform(*AFTER_S), chance.uniform(*SHOP_S)
    if drawn < STOP:
        return [(after_s, Deed.STOP)]
    meant = []
    if drawn < STOP + ANSWER:
        meant.append((after_s, chance.choice([Deed.ASK, Deed.VOTE])))
    if chance.random() < REDEEM:
        meant.append((shop_s, Deed.REDEEM))
    return meant


async def _still_ours(tx: Tx, business: Business, number: str, texted: int) -> Person | None:
    """The person behind a phone that has texted no more than we did for it."""
    person = await people.find_by_address(tx, business, number)
    if person is None:
        return None
    came = await tx.rows("inbound_of_person", person=person.id)
    return person if len(came) <= texted else None


def words_for(deed: Deed, business: Business, person: Person, to: str) -> str:
    """What the person texts to the number `to`; '' when the file has nothing to say it with."""
    language = business.language(person.language)
    keywords = business.config.keywords.values()
    if to not in business.senders:
        return ""
    if deed is Deed.STOP:
        return business.stop_word(to)
    if deed is Deed.ASK:
        return next((word(business, each.key, language) for each in keywords if each.give), "")
    for keyword in keywords:
        if keyword.vote:
            options = list(business.config.contests[keyword.vote].options)
            chosen = random.Random(person.address).choice(options)  # noqa: S311  a play, not a secret
            return f"{word(business, keyword.key, language)} {chosen}"
    return ""


async def redeem(tx: Tx, business: Business, person: Person, now: int) -> bool:
    """The person shows a code at a till of theirs, if they hold one and the shop is open. By the till's own rule."""
    for code, coupon, *_, redeemed_at, _, _ in await tx.rows("coupon_of_person", person=person.id):
        place = _shop(business, coupon, person.zone, now)
        if redeemed_at is not None or place is None:
            continue
        try:
            await coupons.redeem(tx, business, code, place, TILL, PAGE, now)
        except (coupons.NoCoupon, coupons.NoSuchCode, coupons.NotHere):
            continue
        return True
    return False


def _shop(business: Business, coupon: str, zone: str, now: int) -> str | None:
    """An open shop in the person's zone that takes the coupon."""
    settings = business.config.coupons.get(coupon)
    if settings is None:
        return None
    for key, place in business.config.places.items():
        where = place.timezone or business.config.brand.timezone
        if where == zone and key in (settings.places or (key,)) and _is_open(place, where, now):
            return key
    return None


def _is_open(place: Place, zone: str, now: int) -> bool:
    there = from_ms(now).astimezone(zone_of(zone))
    return place.open.contain(there.hour * 60 + there.minute)
