"""LATTE: joins the programme and gives the coupon, or shows the one that the person has, or says why not."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from campaigns import consent, coupons, links
from campaigns.settings import Keyword
from gateway import rendering
from gateway.clock import from_ms
from gateway.codecs import parts
from handlers.keywords import help as helping
from handlers.keywords.turn import TOLD, Turn, word

Refusal = coupons.AllGone | coupons.AlreadyUsed | coupons.Expired


async def answer(turn: Turn, keyword: Keyword) -> str:
    """Join, give, and answer with one text. Who has left is told, once, how to come back."""
    if turn.person.stopped_at is not None:
        return await _tell_left(turn, keyword.key, turn.person.stopped_at)
    joined = keyword.join if keyword.join and await _join(turn, keyword.join) else ""
    terms = helping.terms(turn, [joined]) if joined else {}
    outcome = await (_give(turn, keyword, keyword.give, terms) if keyword.give else _welcome(turn, keyword, terms))
    return f"joined {joined}, {outcome}" if joined else outcome


async def _welcome(turn: Turn, keyword: Keyword, terms: dict[str, str]) -> str:
    """The answer to a keyword that only joins; `terms` are empty for a person who is in already."""
    if terms:
        await turn.reply(turn.say("welcome", **terms))
        return "welcomed"
    programs = [keyword.join] if keyword.join else []
    said = await turn.reply_bounded(turn.say("still_in", **helping.terms(turn, programs)), keyword.key)
    return f"{keyword.key}, is in already" + ("" if said else TOLD)


async def _give(turn: Turn, keyword: Keyword, coupon: str, terms: dict[str, str]) -> str:
    """The answer to a keyword that gives a coupon; with `terms` it also welcomes."""
    try:
        given = await coupons.give(turn.tx, turn.business, coupon, turn.person.id, 0, turn.kept.at)
    except (coupons.AllGone, coupons.AlreadyUsed, coupons.Expired) as refusal:
        why = refusal_text(turn, refusal)
        said = await turn.reply_bounded(f"{turn.say('welcome', **terms)} {why}" if terms else why, keyword.key)
        return f"{coupon} not given: {refusal.reason}" + ("" if said else TOLD)
    outcome = f"{coupon} {coupons.shown(given.code)}"
    if given.again and not terms:
        said = await turn.reply_bounded(turn.say("coupon_again", **_fields(turn, given)), keyword.key)
        return f"{outcome} shown again" + ("" if said else TOLD)
    if terms:
        await turn.reply(_welcome_with(turn, coupon, terms, given))
    else:
        await turn.reply(turn.say("coupon", **_fields(turn, given), offer=offer(turn, coupon)))
    return f"{outcome} {'shown again' if given.again else 'given'}"


async def _join(turn: Turn, program: str) -> bool:
    kept = turn.kept
    return await consent.join(
        turn.tx, turn.business, turn.person.id, program, language=turn.language, at=kept.at, source="text",
        said=kept.text, inbound=kept.id,
    )  # fmt: skip


async def _tell_left(turn: Turn, keyword: str, left_at: int) -> str:
    """Once for each leaving; not at all when the STOP came after this text."""
    if await turn.has_left_since() or not turn.may_say("left", turn.kept.at - left_at + 1):
        return f"{keyword}, has left: no answer"
    day = rendering.day(from_ms(left_at), ZoneInfo(turn.person.zone), turn.language)
    await turn.reply(turn.say("you_left", day=day, keyword=word(turn.business, keyword, turn.language)))
    return f"{keyword}, has left: told how to come back"


def _welcome_with(turn: Turn, coupon: str, terms: dict[str, str], given: coupons.Given) -> str:
    """The welcome with the link; without the offer's name where that would cost one more part."""
    link = links.coupon_link(turn.business, given.code)
    full, short = (
        turn.say("welcome_coupon", **terms, link=link, offer=named) for named in (offer(turn, coupon), "")
    )  # fmt: skip
    return short if parts.measure(short).parts < parts.measure(full).parts else full


def _fields(turn: Turn, given: coupons.Given) -> dict[str, str]:
    day = rendering.day(from_ms(given.expires_at), ZoneInfo(turn.person.zone), turn.language)
    return {"link": links.coupon_link(turn.business, given.code), "day": day}


def offer(turn: Turn, coupon: str) -> str:
    """What a coupon is good for, in the person's language."""
    config = turn.business.config
    return config.coupons[coupon].offer.say(turn.language, config.brand.languages)


def place_name(turn: Turn, place: str) -> str:
    """A shop's name; its key when it was taken out of the file."""
    config = turn.business.config
    return config.places[place].name.say(turn.language, config.brand.languages) if place in config.places else place


def place_zone(turn: Turn, place: str) -> ZoneInfo:
    """The zone of a shop's clock."""
    settings = turn.business.config.places.get(place)
    return ZoneInfo(settings.timezone) if settings and settings.timezone else turn.business.zone


def refusal_text(turn: Turn, refusal: Refusal) -> str:
    """Why there is no coupon, as the person reads it."""
    language = turn.language
    match refusal:
        case coupons.AlreadyUsed():
            when = rendering.day_and_time(from_ms(refusal.at), place_zone(turn, refusal.place), language)
            return turn.say("coupon_used", when=when, place=place_name(turn, refusal.place))
        case coupons.Expired():
            day = rendering.day(from_ms(refusal.at), ZoneInfo(turn.person.zone), language)
            return turn.say("coupon_over", day=day)
        case coupons.AllGone():
            return turn.say("coupon_gone", count=rendering.number(refusal.codes, language))
