"""Leaving by personal link: one tap ends every text of the brand."""

from __future__ import annotations

from campaigns import consent, links, people
from campaigns.business import Business
from campaigns.people import Person
from gateway import web
from gateway.store import Tx
from handlers.pages.guest import Guest, digits

LEAVE = "leave"  # what the token is good for
SOURCE = "page"


def path(business: Business, person: int) -> str:
    """The page on which this person leaves."""
    return f"/leave/{links.person_token(business, LEAVE, person)}"


async def show(guest: Guest) -> web.Response:
    """Ask; or, to whoever has left, say how to come back. Opening it changes nothing: robots open links too."""
    person, programs = await _who(guest)
    known = guest.business.config.programs
    return guest.page(
        "leave.html", here=guest.path, phone=digits(person.address), number=guest.sender(person.country).number,
        state="in" if person.stopped_at is None else "left",
        programs=[guest.read(known[key].name) for key in programs if key in known], token=web.token(guest.request),
    )  # fmt: skip


async def leave(guest: Guest) -> web.Response:
    """Leave, and show that it is so."""
    person, _ = await _who(guest)
    await guest.front.app.store.write(consent.leave, guest.business, person.id, at=guest.now, source=SOURCE)
    return web.see_other(guest.path)


async def _who(guest: Guest) -> tuple[Person, list[str]]:
    person_id = links.person_of(guest.business, LEAVE, guest.request.match_info["token"])
    found = await guest.front.app.store.read(_find, guest.business, person_id) if person_id else None
    if found is None:
        raise web.Refused(404)
    return found


async def _find(tx: Tx, business: Business, person_id: int) -> tuple[Person, list[str]] | None:
    person = await people.find(tx, business, person_id)
    programs = [program for program, _ in await tx.rows("consent_list", person=person_id)]
    return (person, programs) if person else None
