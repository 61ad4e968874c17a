"""The till: staff sign in once a shift, type or scan a code, and see YES or NO with the reason."""

from __future__ import annotations

import hashlib
import hmac
import logging
import unicodedata
from collections.abc import Awaitable, Callable
from math import ceil
from typing import NamedTuple

from campaigns import contests, coupons, links
from campaigns.business import Business, remember
from campaigns.coupons import Held
from campaigns.settings import Page
from gateway import rendering, web
from gateway.clock import from_ms
from gateway.store import Tx
from handlers.pages import paths
from handlers.pages.guest import Guest

log = logging.getLogger("carillon.till")

SHIFT, SHIFT_S = "shift", 10 * 3600  # the cookie of a signed-in device, and how long it holds
KNOWN, KNOWN_S = "known-till", 30 * 24 * 3600  # the cookie of a device that was signed in before
VERDICT = "verdict"  # the query that carries a verdict from the form to the page that shows it
REASONS = ("mistyped", "changed_mind", "not_served", "other")
LONGEST_SHOWN = 20
MINUTE_MS = 60_000
MOMENT_MS = 20_000


class Shift(NamedTuple):
    """A device that is signed in: the shop's key, and which of its tills it is."""

    place: str
    till: str


class Verdict(NamedTuple):
    """What the till shows after a form: `kind` is yes, no, or note for anything else that was done."""

    kind: str
    words: str
    code: str
    at: int
    may_undo: bool = False


Answer = Callable[[Guest, Page, Shift], Awaitable[web.Response]]


async def show(guest: Guest, page: Page) -> web.Response:
    """The field for the next code, below the last verdict until that is tapped away."""
    shift = shift_of(guest)
    if shift is None:
        return _sign_in_page(guest, page)
    sealed = guest.unseal(VERDICT)
    return _till(guest, page, shift, Verdict(*sealed) if sealed else None)


def signed_in(answer: Answer) -> Callable[[Guest, Page], Awaitable[web.Response]]:
    """Lets only a signed-in device do this; any other is led to where it signs in."""

    async def guarded(guest: Guest, page: Page) -> web.Response:
        shift = shift_of(guest)
        return await answer(guest, page, shift) if shift else web.see_other(_home(page))

    return guarded


@signed_in
async def redeem(guest: Guest, page: Page, shift: Shift) -> web.Response:
    """Redeem what was typed or scanned, by the rule that a text redeems by; the verdict outlives a reload."""
    typed = guest.form.get("code", "").strip()
    verdict = await _redeem(guest, page, shift, _code_in(guest.business, typed))
    return _lead_to(guest, page, verdict)


async def _redeem(guest: Guest, page: Page, shift: Shift, typed: str) -> Verdict:
    wait_s = await guest.front.codes.wait_s(guest.request)
    if wait_s:
        words = guest.say("page_till_wait", minutes=str(ceil(wait_s / 60)))
        return Verdict("no", words, typed[:LONGEST_SHOWN], guest.now)
    try:
        done = await guest.front.app.store.write(
            coupons.redeem, guest.business, typed, shift.place, shift.till, contests.PAGE, guest.now, page.redeem
        )
    except (coupons.NoSuchCode, coupons.NotHere, coupons.NoCoupon) as refusal:
        if isinstance(refusal, coupons.NoSuchCode) and not isinstance(refusal, coupons.Mistyped):
            await guest.front.codes.wrong(guest.request)  # a slip of the thumb is no guess
        words = _why_not(guest, refusal)
        if _is_echo(refusal, shift, guest.now):
            words = f"{words} {guest.say('page_till_moment')}"
        return Verdict("no", words, _as_read(typed), guest.now)
    good_for = guest.read(guest.business.config.coupons[done.coupon].offer)
    return Verdict("yes", good_for, coupons.shown(done.code), guest.now, True)


def _is_echo(refusal: Exception, shift: Shift, now: int) -> bool:
    """Whether it was redeemed in this shop just now: a button tapped twice shows only the second answer."""
    return isinstance(refusal, coupons.AlreadyUsed) and refusal.place == shift.place and now - refusal.at < MOMENT_MS


def offer(guest: Guest, held: Held) -> web.Response | None:
    """What a signed-in device shows for a coupon's own address: REDEEM, or why not; None on any other device."""
    shift, path = shift_of(guest), paths.till_page(guest.business, held.coupon)
    if shift is None or not path:
        return None
    page = guest.business.config.pages[path[1:]]
    if held.redeemed_at is not None:
        refusal: coupons.NoCoupon = coupons.AlreadyUsed(held.redeemed_at, held.place or "")
    elif held.expires_at < guest.now:
        refusal = coupons.Expired(held.expires_at)
    else:
        return guest.page(
            "redeem.html", shop=guest.place_name(shift.place), code=coupons.shown(held.code), till=path,
            offer=guest.read(guest.business.config.coupons[held.coupon].offer), token=web.token(guest.request),
        )  # fmt: skip
    verdict = Verdict("no", _why_not(guest, refusal), coupons.shown(held.code), guest.now)
    return _till(guest, page, shift, verdict)


# --- undoing


@signed_in
async def show_undo(guest: Guest, page: Page, shift: Shift) -> web.Response:
    """Ask why a redemption is taken back, while it can be."""
    return await _undo_page(guest, page, shift)


@signed_in
async def undo(guest: Guest, page: Page, shift: Shift) -> web.Response:
    """Take a redemption back, with the reason on record."""
    reason = guest.form.get("reason", "")
    if reason not in REASONS:
        return await _undo_page(guest, page, shift, mistake=guest.say("page_undo_choose"), status=400)
    code = _code_of_path(guest)
    name = "page_undo_done"
    try:
        await guest.front.app.store.write(
            coupons.undo, guest.business, code, shift.place, shift.till, contests.PAGE, reason, guest.now
        )
    except coupons.NotRedeemed:
        name = "page_undo_not_redeemed"
    except coupons.TooLate:
        name = "page_undo_too_late"
    return _lead_to(guest, page, _note(guest, name, code))


async def _undo_page(guest: Guest, page: Page, shift: Shift, *, mistake: str = "", status: int = 200) -> web.Response:
    code = _code_of_path(guest)
    held = await guest.front.app.store.read(coupons.find, guest.business, code)
    if held is None or held.redeemed_at is None or held.place != shift.place:
        return _till(guest, page, shift, _note(guest, "page_undo_not_redeemed", code))
    left_ms = held.redeemed_at + coupons.UNDO_MS - guest.now
    if left_ms <= 0:
        return _till(guest, page, shift, _note(guest, "page_undo_too_late", code))
    settings = guest.business.config.coupons.get(held.coupon)
    return guest.page(
        "undo.html", status=status, code=coupons.shown(code), at=from_ms(held.redeemed_at), till=_home(page),
        offer=guest.read(settings.offer) if settings else held.coupon, minutes=ceil(left_ms / MINUTE_MS),
        action=guest.path, token=web.token(guest.request), mistake=mistake, zone=guest.place_zone(shift.place),
    )  # fmt: skip


def _note(guest: Guest, name: str, code: str) -> Verdict:
    return Verdict("note", guest.say(name, code=coupons.shown(code)), coupons.shown(code), guest.now)


def _code_of_path(guest: Guest) -> str:
    try:
        return coupons.read_code(guest.request.match_info["code"])
    except coupons.Mistyped:
        raise web.Refused(404) from None


# --- signing in and out


def shift_of(guest: Guest) -> Shift | None:
    """The shift that this device is signed in for; over after ten hours, or when the shop's PIN is changed."""
    kept = web.recall(guest.request, SHIFT, now_ms=guest.now)
    if not kept:
        return None
    place, mark, till = kept.split("/")
    is_valid = hmac.compare_digest(mark, _mark(guest.business, place))
    return Shift(place, till) if is_valid else None


async def sign_in(guest: Guest, page: Page) -> web.Response:
    """Begin a shift. A wrong PIN counts against the device, and slows new devices at its address."""
    known = web.recall(guest.request, KNOWN, now_ms=guest.now) is not None
    place = guest.form.get("shop", "")
    async with guest.front.pins.trying(guest.request, known=known) as one:
        if one.wait_s:
            return _sign_in_page(guest, page, mistake="locked", wait_s=one.wait_s)
        one.is_wrong = not _is_pin_of(guest.business, place, guest.form.get("pin", ""))
    if one.is_wrong:
        place = place if place in guest.business.config.places else ""
        log.warning("a wrong PIN", extra={"place": place, "client": web.client(guest.request)})
        wait_s = await guest.front.pins.wait_s(guest.request, known=known)
        return _sign_in_page(guest, page, mistake="locked" if wait_s else "pin", wait_s=wait_s, status=403)
    device = hashlib.sha256(web.visit(guest.request).encode()).hexdigest()[:12]
    till = await guest.front.app.store.write(_till_number, guest.business, place, device)
    value = f"{place}/{_mark(guest.business, place)}/{till}"
    web.remember(guest.request, SHIFT, value, seconds=SHIFT_S, now_ms=guest.now)
    web.remember(guest.request, KNOWN, device, seconds=KNOWN_S, now_ms=guest.now)
    return web.see_other(_home(page))


def _is_pin_of(business: Business, place: str, typed: str) -> bool:
    """Compare the PIN. An unknown shop takes as long as a wrong PIN."""
    settings = business.config.places.get(place)
    pin = settings.till_pin if settings and settings.till_pin else ""
    # Digits of a Chinese keyboard are digits.
    return hmac.compare_digest(pin.encode(), unicodedata.normalize("NFKC", typed).strip().encode()) and bool(pin)


async def sign_out(guest: Guest, page: Page) -> web.Response:
    """End the shift on this device."""
    web.forget(guest.request, SHIFT)
    return web.see_other(_home(page))


async def _till_number(tx: Tx, business: Business, place: str, device: str) -> str:
    """This device's name in the shop, `till 1`, the same at its next shift."""
    others = await tx.rows("fact_list", brand=business.brand, like=f"till:{place}:%")
    return await remember(tx, business.brand, f"till:{place}:{device}", f"till {len(others) + 1}")


def _mark(business: Business, place: str) -> str:
    """Changes with the shop's PIN, so that a new PIN signs every device out."""
    settings = business.config.places.get(place)
    pin = settings.till_pin if settings and settings.till_pin else ""
    return hmac.digest(business.secret, f"till:{place}:{pin}".encode(), "sha256")[:8].hex() if pin else ""


def _sign_in_page(guest: Guest, page: Page, *, mistake: str = "", wait_s: float = 0, status: int = 200) -> web.Response:
    """Where staff say which shop it is and its PIN. Locked is 429 with the time to wait."""
    shops = [(key, guest.read(place.name)) for key, place in guest.business.config.places.items() if place.till_pin]
    chosen = guest.form.get("shop", "") or (shops[0][0] if len(shops) == 1 else "")
    response = guest.page(
        "till_sign_in.html", status=429 if wait_s else status, here=_home(page), shops=shops, chosen=chosen,
        till=_home(page), token=web.token(guest.request), mistake=mistake, wait=ceil(wait_s / 60),
    )  # fmt: skip
    if wait_s:
        response.headers["Retry-After"] = str(ceil(wait_s))
    return response


# --- pieces


def _till(guest: Guest, page: Page, shift: Shift, verdict: Verdict | None) -> web.Response:
    is_verdict = verdict is not None and verdict.kind != "note"
    shown = {
        "good": verdict.kind == "yes", "words": verdict.words, "code": verdict.code, "at": from_ms(verdict.at),
        "undo": f"{_home(page)}/undo/{verdict.code.lower()}" if verdict.may_undo else "",
    } if verdict and is_verdict else None  # fmt: skip
    return guest.page(
        "till.html", here="" if shown else _home(page), shop=guest.place_name(shift.place), till=_home(page),
        token=web.token(guest.request), verdict=shown, note=verdict.words if verdict and not is_verdict else "",
        zone=guest.place_zone(shift.place),
    )  # fmt: skip


def _lead_to(guest: Guest, page: Page, verdict: Verdict) -> web.Response:
    return web.see_other(f"{_home(page)}?{VERDICT}={guest.seal(VERDICT, list(verdict), SHIFT_S)}")


def _home(page: Page) -> str:
    return f"/{page.key}"


def _code_in(business: Business, typed: str) -> str:
    """What was typed, or the code in a coupon's address, which is what a scanner reads."""
    return links.coupon_of(business, typed.rpartition("/")[2]) or typed


def _as_read(typed: str) -> str:
    """A code as people read it; what is none, as it was typed."""
    try:
        return coupons.shown(coupons.read_code(typed))
    except coupons.Mistyped:
        return typed[:LONGEST_SHOWN]


def _why_not(guest: Guest, refusal: coupons.NoSuchCode | coupons.NotHere | coupons.NoCoupon) -> str:
    match refusal:
        case coupons.AlreadyUsed():
            when = rendering.day_and_time(from_ms(refusal.at), guest.place_zone(refusal.place), guest.language)
            return guest.say("coupon_used", when=when, place=guest.place_name(refusal.place))
        case coupons.Expired():
            return guest.say("coupon_over", day=rendering.day(from_ms(refusal.at), guest.business.zone, guest.language))
        case coupons.NotHere():
            places = guest.say("between").join(guest.place_name(place) for place in refusal.places)
            return guest.say("coupon_not_here", places=places)
    return guest.say("coupon_unknown")
