"""Our own phones: they get every campaign first, at once and outside of every count."""

from __future__ import annotations

from campaigns import coupons, people, runs
from campaigns.audience import Casting, Invitation, Member
from campaigns.business import Business
from campaigns.settings import Campaign
from gateway import outbox
from gateway.messages import Purpose
from gateway.outbox import Message
from gateway.store import Tx
from gateway.store.conditions import All

GOOD_FOR_MS = 24 * 3_600_000


async def send(tx: Tx, business: Business, campaign: Campaign, now: int) -> int:
    """Put the campaign's text to each tester who has not left; how many there were.

    Consent, hours and caps are for subscribers; a STOP holds for us too.
    """
    casting = Casting(business, campaign)
    casting.look(now)
    sent = 0
    for address in sorted(business.testers):
        member = await _member(tx, business, casting, address, now)
        if member is None or member.stopped_at is not None:
            continue
        invitation = casting.invite(member, now)
        if invitation is None:
            continue
        values = {}
        if campaign.coupon:
            try:
                given = await coupons.give(tx, business, campaign.coupon, member.id, 0, now)
            except coupons.NoCoupon:
                continue
            values = runs.coupon_values(business, given.code)
        text, size = casting.words(invitation, values)
        sender = invitation.sender
        number, channel = await _number(tx, casting, invitation), sender.channel
        message = Message(
            business.ids.next(), business.brand, 0, member.id, Purpose.REPLY, campaign.program, channel,
            number, member.address, member.zone, text, size, size * invitation.price,
            now + GOOD_FOR_MS,
        )  # fmt: skip
        await outbox.put(tx, [message], business.queues[channel], now)
        sent += 1
    return sent


async def _number(tx: Tx, casting: Casting, invitation: Invitation) -> str:
    """The number that the campaign would text this phone from; what they know of a pool is not changed by a copy."""
    if not casting.is_pooled(invitation.sender):
        return invitation.sender.number
    person = invitation.member.id
    known = [number for _, number in await tx.rows("sticky_among", first=person, last=person)]
    return casting.number(invitation, known).number


async def _member(tx: Tx, business: Business, casting: Casting, address: str, now: int) -> Member | None:
    person = await people.find_or_create(tx, business, address, now)
    if person is None:
        return None
    rows = await tx.people(
        "audience_page", All(()), brand=business.brand, program=casting.campaign.program, after=person.id - 1, limit=1
    )
    return casting.looked_at([Member._make(rows[0])])[0][0]
