"""LATTE: joins the programme and gives the coupon, or shows the one that the person has, or says why not."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from campaigns import consent, coupons, links
from campaigns.settings import Keyword
from gateway import rendering
from gateway.clock import from_ms
from gateway.codecs import parts
from handlers.keywords import help as helping
from handlers.keywords.turn import Turn, word


async def answer(turn: Turn, keyword: Keyword) -> str:
    """Join, give, and answer with one text. Who has left is told, once, how to come back."""
    if turn.person.stopped_at is not None:
        return await _tell_left(turn, keyword.key, turn.person.stopped_at)
    has_joined = keyword.join is not None and await _join(turn, keyword.join)
    welcome = helping.terms(turn, [keyword.join]) if keyword.join and has_joined else None
    prefix = f"joined {keyword.join}" if has_joined else ""
    if not keyword.give:
        if welcome:
            await turn.reply(turn.say("welcome", **welcome))
        elif keyword.join:
            await turn.reply_bounded(turn.say("still_in", **helping.terms(turn, [keyword.join])))
        return prefix or f"{keyword.key}, is in already"
    try:
        given = await coupons.give(turn.tx, turn.business, keyword.give, turn.person.id, 0, turn.kept.at)
    except coupons.NoCoupon as refusal:
        why = refusal_text(turn, refusal)
        if welcome:
            await turn.reply(f"{turn.say('welcome', **welcome)} {why}")
        else:
            await turn.reply_bounded(why)
        return ", ".join(filter(None, [prefix, f"{keyword.give} not given: {refusal.reason}"]))
    if welcome:
        await turn.reply(_welcome(turn, keyword.give, welcome, given))
    elif given.again:
        await turn.reply_bounded(turn.say("coupon_again", **_fields(turn, given)))
    else:
        await turn.reply(turn.say("coupon", **_fields(turn, given), offer=offer(turn, keyword.give)))
    outcome = f"{keyword.give} {coupons.shown(given.code)} {'shown again' if given.again else 'given'}"
    return ", ".join(filter(None, [prefix, outcome]))


async def _join(turn: Turn, program: str) -> bool:
    kept = turn.kept
    return await consent.join(
        turn.tx, turn.business, turn.person.id, program, language=turn.language, at=kept.at, source="text",
        said=kept.text, inbound=kept.id,
    )  # fmt: skip


async def _tell_left(turn: Turn, keyword: str, left_at: int) -> str:
    """Once for each leaving; not at all when the STOP came after this text."""
    since = turn.kept.at - left_at
    if since < 0 or not await turn.may_say("left", since):
        return f"{keyword}, has left: no answer"
    day = rendering.day(from_ms(left_at), ZoneInfo(turn.person.zone), turn.language)
    await turn.reply(turn.say("you_left", day=day, keyword=word(turn.business, keyword, turn.language)))
    return f"{keyword}, has left: told how to come back"


def _welcome(turn: Turn, coupon: str, terms: dict[str, str], given: coupons.Given) -> str:
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


def refusal_text(turn: Turn, refusal: coupons.NoCoupon) -> str:
    """Why there is no coupon, as the person reads it."""
    match refusal:
        case coupons.AlreadyUsed():
            when = rendering.day_and_time(from_ms(refusal.at), place_zone(turn, refusal.place), turn.language)
            return turn.say("coupon_used", when=when, place=place_name(turn, refusal.place))
        case coupons.Expired():
            return turn.say("coupon_over", day=rendering.day(from_ms(refusal.at), turn.business.zone, turn.language))
        case coupons.AllGone():
            return turn.say("coupon_gone", count=rendering.number(refusal.codes, turn.language))
    raise TypeError(refusal)
