"""Shows a campaign's text as phones will: for one person, or for one reader of each language and sender."""

from __future__ import annotations

from typing import Any

from campaigns import people, runs
from campaigns.audience import Casting, Invitation, Member
from campaigns.business import Business
from campaigns.estimates import SAMPLE_CODE
from campaigns.settings import Campaign
from gateway import numbers
from gateway.codecs.parts import GSM, measure
from gateway.errors import CarillonError
from gateway.numbers import Number
from gateway.store import Store, Tx
from gateway.store.conditions import All

NOBODY = Member(0, "", "", "UTC", "", "", "", "", "{}", None, None, None)


def parse_number(text: str, country: str) -> Number:
    """A phone number however it is written. Raises CarillonError with the reason."""
    try:
        return numbers.parse(text, country)
    except numbers.BadNumber as bad:
        raise CarillonError(f"{text}: {bad.reason}") from None


async def texts(store: Store, business: Business, campaign: Campaign, number: str) -> list[dict[str, Any]]:
    """The text for the person with this number; without one, for a reader of each language of each sender."""
    casting, now = Casting(business, campaign), business.clock.now_ms()
    members = [await store.read(_member, business, campaign, number)] if number else list(_readers(business, campaign))
    invitations = [casting.invite(member, now) for member in members]
    if number and invitations == [None]:
        raise CarillonError(f"no sender of {campaign.key} serves {members[0].country}")
    shown = [_shown(business, casting, each) for each in invitations if each is not None]
    if number:
        verdict = casting.decide(members[0], now)
        shown[0]["verdict"] = verdict if isinstance(verdict, str) else "sent" if verdict.due <= now else "later"
    return shown


async def _member(tx: Tx, business: Business, campaign: Campaign, number: str) -> Member:
    """The person with this number as the planner sees them; a stranger with nothing but a number."""
    parsed = parse_number(number, business.config.brand.country)
    person = await people.find_by_address(tx, business, parsed.e164)
    if person is None:
        return NOBODY._replace(address=parsed.e164, country=parsed.country, zone=parsed.zone)
    rows = await tx.people(
        "audience_page", All(()), brand=business.brand, program=campaign.program, after=person.id - 1, limit=1
    )
    return Member._make(rows[0])


def _readers(business: Business, campaign: Campaign) -> list[Member]:
    config = business.config
    countries = [config.senders[name].countries[0] for name in campaign.senders]
    return [
        NOBODY._replace(country=country, language=language, zone=config.brand.timezone)
        for country in countries
        for language in config.brand.languages
    ]


def _shown(business: Business, casting: Casting, invitation: Invitation) -> dict[str, Any]:
    values = runs.coupon_values(business, SAMPLE_CODE) if casting.campaign.coupon else {}
    text, parts = casting.words(invitation, values)
    measured = measure(text)
    return {
        "language": invitation.member.language or business.config.brand.languages[0],
        "sender": invitation.sender.number,
        "text": text,
        "parts": parts,
        "units": measured.units,
        "alphabet": "GSM" if measured.coding == GSM else "UCS-2",
        "dear": measured.dear,
        "price": parts * invitation.price,
        "currency": business.config.brand.currency,
    }
