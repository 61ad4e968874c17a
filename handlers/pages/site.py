"""The two sites we open: pages for everybody, and the board for ourselves; each with the policy of its own pages."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any

from gateway import web
from gateway.palette import Palette
from handlers.app import App
from handlers.pages.guest import open_front, site_of

EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104  the two spellings of every address of this machine
_PHONE = {"number": "", "title": "", "to": "", "log": (), "tries": ()}
# Just enough for the styles and scripts of the private pages to be drawn once, so that their hashes are known.
_EMPTY: dict[str, dict[str, Any]] = {
    "board.html": dict.fromkeys(("campaigns", "contests", "coupons", "clients", "channels", "feed", "look"), ()),
    "handset.html": {"phones": (_PHONE, _PHONE), "numbers": (), "token": "", "refresh_s": 0},
    "webhooks.html": {"clients": (), "spans": (), "kinds": (), "again": None, "token": ""},
}


def public_site(app: App, *, proxies: int = 0) -> web.Site:
    """The site of `routes(app)`; `proxies` are our own in front of it. Needs an applied config.

    Cookies and open forms stay good over a restart. The brand's colour is the one of the start.
    """
    brand = app.business.config.brand
    error_page = _error_page(app, open_front(app).palette)
    return web.Site(
        secret=_secret(app, "public"), languages=brand.languages, error_page=error_page, proxies=proxies,
        policy=web.content_policy([error_page(404, brand.languages[0])]), https=brand.site.startswith("https:"),
    )  # fmt: skip


def private_site(app: App, authorised: Callable[[web.Request], bool] = web.nobody) -> web.Site:
    """The site of `private_routes(app)`, under the names of this machine only, so that no web page leads a browser in.

    `authorised` lets in programs that make calls.
    """
    config = app.business.config
    colours, language = open_front(app).palette, config.brand.languages[0]
    error_page = _error_page(app, colours)
    frame = {"mode": "live", "carriers": "", "clocks": (), "tabs": (), **_frame(app, colours, language)}
    drawn = [app.pages.render(name, language, **frame, **context) for name, context in _EMPTY.items()]
    host = config.listen.private.host
    return web.Site(
        secret=_secret(app, "private"), languages=config.brand.languages, error_page=error_page,
        policy=web.content_policy([error_page(404, language), *drawn], connect=True), authorised=authorised,
        hosts=None if host in EVERYWHERE else web.LOOPBACK_NAMES | {host},
    )  # fmt: skip


def _secret(app: App, purpose: str) -> bytes:
    """A key for one site, so that nothing sealed by one is taken by the other, or for a link."""
    return hmac.digest(app.business.secret, b"site:" + purpose.encode(), "sha256")


def _error_page(app: App, colours: Palette) -> Callable[[int, str], str]:
    def error_page(status: int, language: str) -> str:
        return app.pages.render("error.html", language, status=status, **_frame(app, colours, language))

    return error_page


def _frame(app: App, colours: Palette, language: str) -> dict[str, Any]:
    return {"site": site_of(app.business, colours, language), "zone": app.business.zone, "here": ""}
