"""Answers a person who opens a page on a phone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from campaigns.settings import Page
from gateway import web
from handlers.app import App
from handlers.pages import coupon, give, handset, home, leave, results, till, vote, webhooks
from handlers.pages.board import Board
from handlers.pages.guest import Front, Guest, open_front
from handlers.pages.site import private_site, public_site

__all__ = ["private_routes", "private_site", "public_site", "routes"]

Answer = Callable[[Guest], Awaitable[web.Response]]
OfPage = Callable[[Guest, Page], Awaitable[web.Response]]


def routes(app: App) -> Sequence[web.Route]:
    """Every public page. Needs an applied config; follows the one that is applied later."""
    front = open_front(app)
    return [
        web.get("/", _at(front, home.show)),
        web.get("/c/{token}", _at(front, coupon.show)),
        web.get("/v/{contest}/{token}", _at(front, vote.show_personal)),
        web.post("/v/{contest}/{token}", _at(front, vote.cast_personal)),
        web.get("/v/{contest}/{token}/voted", _at(front, vote.voted)),
        web.get("/leave/{token}", _at(front, leave.show)),
        web.post("/leave/{token}", _at(front, leave.leave)),
        web.get("/{page}", _page(front, vote=vote.show, results=results.show, give=give.show, redeem=till.show)),
        web.post("/{page}", _page(front, vote=vote.cast, redeem=till.redeem)),
        web.get("/{page}/voted", _page(front, vote=_as_answer(vote.voted))),
        web.get("/{page}/results", _page(front, vote=results.show)),
        web.post("/{page}/sign-in", _page(front, redeem=till.sign_in)),
        web.post("/{page}/sign-out", _page(front, redeem=till.sign_out)),
        web.get("/{page}/undo/{code}", _page(front, redeem=till.show_undo)),
        web.post("/{page}/undo/{code}", _page(front, redeem=till.undo)),
    ]


def private_routes(app: App) -> Sequence[web.Route]:
    """The live board, and what programs are told; with the simulator also the handset page, which refuses without."""
    front, board = open_front(app), Board(app)
    return [
        web.get("/", _at(front, board.show)),
        web.get("/board.json", _at(front, board.data)),
        web.get("/handset", _at(front, handset.show)),
        web.post("/handset", _at(front, handset.send)),
        web.get("/webhooks", _at(front, webhooks.show)),
        web.post("/webhooks", _at(front, webhooks.replay)),
    ]


def _at(front: Front, answer: Answer) -> web.Handler:
    async def handler(request: web.Request) -> web.Response:
        return await answer(Guest(front, request, front.app.business, front.app.clock.now_ms()))

    return handler


def _page(front: Front, **answers: OfPage) -> web.Handler:
    """Answers for the pages of config.yaml, by what each page does."""

    async def answer(guest: Guest) -> web.Response:
        name = guest.request.match_info["page"]
        pages = guest.business.config.pages
        page = pages.get(name) or pages.get(name.lower())  # posters are read, and typed, in capitals
        if page is None:
            raise web.Refused(404)
        for does, respond in answers.items():
            if getattr(page, does):
                return await respond(guest, page)
        raise web.Refused(405 if guest.request.method == "POST" else 404)

    return _at(front, answer)


def _as_answer(answer: Answer) -> OfPage:
    async def of_page(guest: Guest, _page: Page) -> web.Response:
        return await answer(guest)

    return of_page
