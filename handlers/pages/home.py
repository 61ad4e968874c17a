"""The brand's door: what is going on."""

from __future__ import annotations

from campaigns import contests
from campaigns.settings import Page
from gateway import web
from handlers.pages.guest import Guest


async def show(guest: Guest) -> web.Response:
    """All pages for customers, in the order of the file; the till is for staff, who know its address."""
    found = (_door(guest, key, page) for key, page in guest.business.config.pages.items())
    return guest.page("home.html", here="/", greeting="", pages=[door for door in found if door])


def _door(guest: Guest, key: str, page: Page) -> dict[str, str] | None:
    config = guest.business.config
    if page.give:
        return {"href": f"/{key}", "title": guest.read(config.coupons[page.give].offer), "kind": "give"}
    contest = page.vote or page.results
    if not contest or not _is_worth_it(guest, page):
        return None
    kind = "vote" if page.vote and guest.now < guest.business.windows[contest].closes_at else "results"
    return {"href": f"/{key}", "title": guest.read(config.contests[contest].question), "kind": kind}


def _is_worth_it(guest: Guest, page: Page) -> bool:
    """A results page that is still secret, beside its vote, would only say so."""
    return bool(page.vote) or contests.shows_results(guest.business, page.results or "", guest.now)
