"""A coupon as its holder shows it; on a phone that is signed in at a till, the button that redeems it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import segno
from markupsafe import Markup

from campaigns import coupons, links, people
from campaigns.business import Business
from campaigns.coupons import Held
from gateway import web
from gateway.clock import from_ms
from gateway.store import Tx
from handlers.pages import reach, till
from handlers.pages.guest import Guest


async def show(guest: Guest) -> web.Response:
    """/c/TOKEN. Whoever has the link has the coupon, so nothing here tells whose it is."""
    business = guest.business
    code = links.coupon_of(business, guest.request.match_info["token"])
    found = await guest.front.app.store.read(_held, business, code) if code else None
    if found is None:
        raise web.Refused(404)
    held, zone = found
    at_till = till.offer(guest, held)
    if at_till:
        return at_till
    if guest.phone() is None:  # a friend's coupon does not make this browser the friend's phone
        guest.remember_phone(held.person)
    guest.remember_coupon(held.coupon, held.code)
    return guest.page("coupon.html", here=guest.path, votes=_votes(guest, held.person), **_context(guest, held, zone))


async def _held(tx: Tx, business: Business, code: str) -> tuple[Held, ZoneInfo] | None:
    """The code with the zone in which its last day is told: its holder's, as in the text that brought it."""
    held = await coupons.find(tx, business, code)
    person = await people.find(tx, business, held.person) if held else None
    return (held, ZoneInfo(person.zone)) if held and person else None


def _context(guest: Guest, held: Held, zone: ZoneInfo) -> dict[str, Any]:
    settings = guest.business.config.coupons.get(held.coupon)
    context: dict[str, Any] = {
        "code": coupons.shown(held.code), "until": from_ms(held.expires_at), "used_at": None, "used_place": "",
        "qr": "", "zone": zone, "offer": guest.read(settings.offer) if settings else held.coupon,
        "places": [guest.place_name(key) for key in settings.places or guest.business.config.places]
        if settings else [],
    }  # fmt: skip
    if held.redeemed_at is not None:
        place = held.place or ""
        used = {"used_at": from_ms(held.redeemed_at), "used_place": guest.place_name(place)}
        return context | used | {"state": "used", "zone": guest.place_zone(place)}
    if settings is None:
        return context | {"state": "withdrawn"}
    if held.expires_at < guest.now:
        return context | {"state": "ended"}
    return context | {"state": "unused", "qr": qr(_address(guest.business, held.code))}


def _address(business: Business, code: str) -> str:
    """The coupon's link as another phone, at the till, can open it."""
    site = business.config.brand.site
    path = links.coupon_link(business, code).removeprefix(site)
    return reach.phone_site(site, business.config.listen.public.port) + path


def _votes(guest: Guest, person: int) -> list[dict[str, str]]:
    """The contests in which this phone may vote now, each by a link of its own."""
    business = guest.business
    site = business.config.brand.site
    return [
        {
            "href": links.vote_link(business, key, person).removeprefix(site),
            "title": guest.read(business.config.contests[key].question),
        }
        for key, window in business.windows.items()
        if window.opens_at <= guest.now < window.closes_at
    ]


@lru_cache(1024)
def qr(address: str) -> Markup:
    """An address as a QR code (ISO/IEC 18004, level M), for the till's camera."""
    code = segno.make(address, micro=False, error="m")
    return Markup(code.svg_inline(omitsize=True, border=2, svgclass=None, lineclass=None))  # noqa: S704  its own drawing
