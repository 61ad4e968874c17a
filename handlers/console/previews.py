"""Shows a campaign's text as phones will: for one person, or for one reader of each language and sender."""

from __future__ import annotations

from typing import Any

from campaigns import people, runs
from campaigns.audience import Casting, Invitation, Member
from campaigns.business import Business
from campaigns.estimates import SAMPLE_CODE, typography
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
    casting.look(now)
    if not number:
        return [_shown(business, casting, each) for each in _to_readers(business, casting, now)]
    member = await store.read(_member, business, casting, number)
    invitation = casting.invite(member, now)
    if invitation is None:
        why = f"run.py route {number} --campaign {campaign.key} says why"
        raise CarillonError(f"no sender of {campaign.key} serves {member.country}; {why}")
    shown = _shown(business, casting, invitation)
    verdict = casting.decide(member, now)
    shown["verdict"] = verdict if isinstance(verdict, str) else "sent" if verdict.due <= now else "later"
    return [shown]


async def _member(tx: Tx, business: Business, casting: Casting, number: str) -> Member:
    """The person with this number as the planner sees them; a stranger with nothing but a number."""
    parsed = parse_number(number, business.config.brand.country)
    person = await people.find_by_address(tx, business, parsed.e164)
    if person is None:
        stranger = NOBODY._replace(address=parsed.e164, country=parsed.country, zone=parsed.zone)
        return casting.looked_at([stranger])[0][0]
    rows = await tx.people(
        "audience_page", All(()), brand=business.brand, program=casting.campaign.program, after=person.id - 1, limit=1
    )
    return casting.looked_at([Member._make(rows[0])])[0][0]


def _to_readers(business: Business, casting: Casting, now: int) -> list[Invitation]:
    """What a reader of each language gets from each sender."""
    config = business.config
    invitations = []
    for sender in (config.senders[name] for name in casting.router.names):
        for language in config.brand.languages:
            reader = NOBODY._replace(country=sender.countries[0], language=language, zone=config.brand.timezone)
            invitations.append(casting.invite_from(sender, reader, language, now))
    return invitations


def _shown(business: Business, casting: Casting, invitation: Invitation) -> dict[str, Any]:
    values = runs.coupon_values(business, SAMPLE_CODE) if casting.campaign.coupon else {}
    text, parts = casting.words(invitation, values)
    sender = invitation.sender
    measured = measure(text, casting.alphabets[sender.channel])
    language = invitation.member.language or business.config.brand.languages[0]
    changes = casting.wording(sender, business.language(language)).changes if casting.campaign.straighten else {}
    return {
        "language": language,
        "sender": casting.number(invitation).number if casting.is_pooled(sender) else sender.number,
        "straightened": typography(changes),
        "text": text,
        "parts": parts,
        "units": measured.units,
        "alphabet": "GSM" if measured.coding == GSM else "UCS-2",
        "dear": measured.dear,
        "price": parts * invitation.price,
        "currency": business.config.brand.currency,
    }
