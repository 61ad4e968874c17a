"""REDEEM K7QM-2X9F from a shop's own phone, for when the till's page will not load."""

from __future__ import annotations

from campaigns import contests, coupons
from campaigns.settings import Keyword
from gateway import rendering
from gateway.clock import from_ms
from handlers.keywords import coupon
from handlers.keywords.turn import EVERY_MS, MINUTE_MS, Turn

TILL = "phone"
TRIES = 10  # codes in a row that nobody was ever given


async def answer(turn: Turn, keyword: Keyword, typed: str) -> str:
    """Redeem, and say YES or NO with the reason. The phone tells the shop; the rule is the same as the till's."""
    place = turn.business.staff.get(turn.person.address)
    if place is None:
        await turn.reply_bounded(turn.say("redeem_not_staff"), "redeem")
        return "redeem, but not a shop's phone"
    if not typed:
        await turn.reply_bounded(turn.say("redeem_how"), "redeem")
        return "redeem without a code"
    try:
        done = await coupons.redeem(
            turn.tx, turn.business, typed, place, TILL, contests.TEXT, turn.kept.at, keyword.redeem
        )
    except (coupons.NoSuchCode, coupons.NotHere, coupons.AlreadyUsed, coupons.Expired) as refusal:
        return await _refuse(turn, refusal)
    await turn.reply(
        turn.say(
            "redeemed",
            offer=coupon.offer(turn, done.coupon),
            code=coupons.shown(done.code),
            place=coupon.place_name(turn, place),
            when=rendering.day_and_time(from_ms(done.at), coupon.place_zone(turn, place), turn.language),
        )
    )
    return f"{done.coupon} {coupons.shown(done.code)} redeemed at {place}"


async def _refuse(turn: Turn, refusal: coupons.NoSuchCode | coupons.NotHere | coupon.Refusal) -> str:
    if isinstance(refusal, coupons.NoSuchCode):
        # A slip of the thumb is no guess; guesses are slowed down.
        if not isinstance(refusal, coupons.Mistyped) and not turn.may_say("guess", EVERY_MS, TRIES):
            await turn.reply_bounded(turn.say("too_many", minutes=str(EVERY_MS // MINUTE_MS)), "redeem")
            return "redeem refused: too many unknown codes"
        reason = turn.say("coupon_unknown")
    elif isinstance(refusal, coupons.NotHere):
        places = turn.say("between").join(coupon.place_name(turn, place) for place in refusal.places)
        reason = turn.say("coupon_not_here", places=places)
    else:
        reason = coupon.refusal_text(turn, refusal)
    await turn.reply(turn.say("not_redeemed", reason=reason))
    return f"redeem refused: {type(refusal).__name__}"
