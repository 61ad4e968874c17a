"""How to get a coupon: by text, which also shows whose phone it is and keeps the yes with its wording."""

from __future__ import annotations

from campaigns import links
from campaigns.settings import Page
from gateway import web
from handlers.keywords.turn import word
from handlers.pages.guest import Guest


async def show(guest: Guest, page: Page) -> web.Response:
    """The offer, what joining means, and one tap that writes the text."""
    business = guest.business
    coupon = page.give or ""
    settings, keywords = business.config.coupons[coupon], business.config.keywords
    keyword = next((key for key, one in keywords.items() if one.give == coupon), "")
    joined = page.join or (keywords[keyword].join if keyword else None)
    program = business.config.programs[joined] if joined else None
    left = await guest.front.app.store.read(lambda tx: tx.value("pool_left", coupon=coupon))
    code = guest.coupon(coupon)
    return guest.page(
        "give.html", here=guest.path, offer=guest.read(settings.offer), codes=settings.codes, until=None,
        mine=links.coupon_link(business, code).removeprefix(business.config.brand.site) if code else "",
        program=guest.read(program.name) if program else "", consent=guest.read(program.consent) if program else "",
        keyword=word(business, keyword, guest.language) if keyword else "", number=guest.sender().number,
        state="ended" if not keyword else "open" if left else "gone",
    )  # fmt: skip
