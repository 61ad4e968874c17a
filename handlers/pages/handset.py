"""Two phones of the simulator side by side: text as a subscriber would, and see what comes back and how fast."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from babel.dates import format_time
from markupsafe import Markup, escape

from campaigns.business import Business
from gateway import numbers, web
from gateway.channels.simulator import HandsetMessage, Simulator
from gateway.clock import from_ms
from gateway.store import Tx
from handlers.keywords.turn import word
from handlers.pages.guest import Guest, own_name, sender_for
from handlers.pages.private import frame

LOOK_AT = 500  # people among whom the two phones are chosen
OFFERED = 40  # numbers in the list to choose from
LONGEST = 1_600  # characters of a text: ten parts and more
ANSWER_S = 1.0  # how long the page after a text waits for its answer, for browsers without script
LEAST_MS = 10  # a shorter wait is not told, since it would be told as none
TRIED = 3  # keywords that are offered as buttons
LINK = re.compile(r"(https?://[!-~]+[0-9A-Za-z/])")  # in Chinese nothing stands between a link and the words about it
WATCH_S, WATCH_EVERY_S = 10, 2  # how long and how often a page without script looks again after a text


class Phone(NamedTuple):
    """Whose phone it is."""

    number: str
    country: str
    zone: str
    language: str
    city: str


async def show(guest: Guest) -> web.Response:
    """Both phones with their texts."""
    query, simulator = guest.request.query, _simulator(guest)
    known = await guest.front.app.store.read(_phones, guest.business)
    left, right = _default_pair(guest.business, known, simulator)
    phones = [
        await _asked_for(guest, query.get("left", ""), left),
        await _asked_for(guest, query.get("right", ""), right),
    ]
    return guest.page(
        "handset.html", here="/handset", **frame(guest), token=web.token(guest.request),
        phones=[_shown(guest, simulator, phone) for phone in phones],
        numbers=[phone.number for phone in known[:OFFERED]],
        refresh_s=WATCH_EVERY_S if _is_waiting(guest, query.get("since", "")) else 0,
    )  # fmt: skip


async def send(guest: Guest) -> web.Response:
    """A phone texts in over the simulated carrier, as a real one would; then back to the page."""
    form, simulator = guest.form, _simulator(guest)
    number, to, words = form.get("from", ""), form.get("to", ""), form.get("words", "").strip()[:LONGEST]
    if not numbers.SHAPE.fullmatch(number) or to not in guest.business.senders:
        raise web.Refused(400)
    since = ""
    if words:
        handset = simulator.handset(number)
        before = handset.count
        simulator.post(number, to, words)
        try:
            await handset.wait(before, ANSWER_S)
        except TimeoutError:  # no answer may be the right answer; a page without script looks again for a while
            since = str(guest.now)
    pair = {"left": form.get("left", ""), "right": form.get("right", ""), "since": since}
    return web.see_other("/handset?" + urlencode({name: value for name, value in pair.items() if value}))


def _simulator(guest: Guest) -> Simulator:
    simulator = guest.front.app.simulator
    if simulator is None:
        raise web.Refused(404)
    return simulator


def _is_waiting(guest: Guest, since: str) -> bool:
    return since.isascii() and since.isdigit() and 0 <= guest.now - int(since) < WATCH_S * 1000


async def _phones(tx: Tx, business: Business) -> list[Phone]:
    return await tx.all(Phone, "page_phones", brand=business.brand, limit=LOOK_AT)


def _default_pair(business: Business, known: Sequence[Phone], simulator: Simulator) -> tuple[Phone, Phone]:
    """A phone of our first language, ours if it can be, and one of the next, preferably with something to read."""
    languages = business.config.brand.languages
    ours = [phone for phone in known if phone.number in business.testers]
    first = [phone for phone in known if phone.language == languages[0]]
    other = [phone for phone in known if phone.language != languages[0] and phone.language in languages]
    busy = [phone for phone in other if simulator.handset(phone.number).messages]
    left = next(iter([*ours, *first]), None) or _example(business)
    return left, next((phone for phone in [*busy, *other, *first, *known] if phone != left), left)


def _example(business: Business) -> Phone:
    """A phone for a store without people: a tester's, else a made-up one of the brand's country."""
    number = next(iter(sorted(business.testers)), "+12065550142")
    return Phone(number, business.config.brand.country, business.config.brand.timezone, "", "")


async def _asked_for(guest: Guest, typed: str, otherwise: Phone) -> Phone:
    """The phone of a typed number; what is no number is passed over."""
    if not typed:
        return otherwise
    try:
        number = numbers.parse(typed, guest.business.config.brand.country)
    except numbers.BadNumber:
        return otherwise
    found = await guest.front.app.store.read(_phone, guest.business, number.e164)
    return found or Phone(number.e164, number.country, number.zone, "", "")


async def _phone(tx: Tx, business: Business, address: str) -> Phone | None:
    return await tx.one(Phone, "page_phone", brand=business.brand, address=address)


def _shown(guest: Guest, simulator: Simulator, phone: Phone) -> dict[str, Any]:
    business = guest.business
    language = business.language(phone.language or ("zh" if phone.country == "CN" else ""))
    sender = sender_for(business, phone.country)
    handset = simulator.handset(phone.number)
    first = handset.count - len(handset.messages)
    return {
        "number": phone.number,
        "title": guest.say("between").join(filter(None, [phone.city or phone.country, own_name(language)])),
        "to": sender.number,
        "log": [
            _bubble(each, before, first + at, ZoneInfo(phone.zone), guest.language)
            for at, (before, each) in enumerate(zip([None, *handset.messages], handset.messages, strict=False))
        ],
        "tries": tries(business, language, sender.number),
    }


def _bubble(
    message: HandsetMessage, before: HandsetMessage | None, number: int, zone: ZoneInfo, language: str
) -> dict[str, Any]:
    """One text. The wait is told only of what came right after a text of this phone's own."""
    said = format_time(from_ms(message.at_ms).astimezone(zone), "short", locale=language.replace("-", "_"))
    is_answer = message.incoming and before is not None and not before.incoming and message.delay_ms is not None
    return {
        "id": number,
        "mine": not message.incoming,
        "text": linked(message.text),
        "time": said.replace("\u202f", " ").lower(),
        "parts": message.parts,
        "delay": _took(message.delay_ms or 0) if is_answer else "",
    }


def _took(ms: int) -> str:
    return f"{ms / 1000:.2f} s" if ms >= LEAST_MS else "< 0.01 s"


def linked(text: str) -> Markup:
    """A text as a phone shows it: what looks like a link can be tapped, everything else is what it says."""
    pieces = [Markup('<a href="{0}" target="_blank" rel="noopener">{0}</a>').format(piece) if at % 2 else escape(piece)
              for at, piece in enumerate(LINK.split(text))]  # fmt: skip
    return Markup("").join(pieces)


def tries(business: Business, language: str, number: str) -> list[str]:
    """Texts to try: the brand's own words, then those that always work, the STOP first."""
    config, own = business.config, []
    for key, keyword in config.keywords.items():
        if not keyword.redeem:
            last = list(config.contests[keyword.vote].options)[-1:] if keyword.vote else []
            own.append(" ".join([word(business, key, language), *last]))
    return [*own[:TRIED], business.stop_word(number), "HELP", "START"]
