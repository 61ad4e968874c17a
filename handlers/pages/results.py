"""How a vote stands: always, or only when it has closed, as config.yaml says."""

from __future__ import annotations

from typing import Any

from campaigns import contests
from campaigns.business import Business
from campaigns.contests import Results
from campaigns.settings import Page
from gateway import web
from gateway.clock import from_ms
from handlers.pages import paths
from handlers.pages.guest import Guest

FRESH_S = 0.5


async def show(guest: Guest, page: Page) -> web.Response:
    """The results of the page's contest, also beside the page on which it is voted."""
    return await of_contest(guest, page.results or page.vote or "")


async def of_contest(guest: Guest, contest: str, *, status: int = 200) -> web.Response:
    """The results of a contest."""
    business, window = guest.business, guest.business.windows[contest]
    is_open = window.opens_at <= guest.now < window.closes_at
    rows: list[dict[str, Any]] = []
    total = 0
    if contests.shows_results(business, contest, guest.now):
        found = await _look(guest, contest)
        rows, total = rows_of(business, contest, found, guest.language), found.total
    return guest.page(
        "results.html", status=status, here=paths.results_page(business, contest), rows=rows, votes=total, open=is_open,
        question=guest.read(business.config.contests[contest].question), until=from_ms(window.closes_at),
        vote=paths.vote_page(business, contest),
    )  # fmt: skip


async def _look(guest: Guest, contest: str) -> Results:
    """How it stands, a moment ago at most: any number of phones cost one look."""
    app, business = guest.front.app, guest.business

    async def votes() -> dict[str, int]:
        return dict((await app.store.read(contests.results, business, contest)).votes)

    return Results(await app.shared.look("results", f"{contest} {business.version}", votes, FRESH_S))


def rows_of(business: Business, contest: str, found: Results, language: str) -> list[dict[str, Any]]:
    """The rows of results.html, in the order of the options."""
    options, languages = business.config.contests[contest].options, business.config.brand.languages
    most = max(found.votes.values(), default=0)
    return [
        {
            "key": key,
            "label": options[key].say(language, languages) if key in options else key,
            "votes": votes,
            "percent": found.percent(key),
            "leads": votes == most > 0,
        }
        for key, votes in found.votes.items()
    ]
