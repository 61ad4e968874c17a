"""Codes that are given to one person and redeemed once: who gets one, how long it is good, where, and why not."""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from campaigns.business import Business, in_ms
from campaigns.settings import Coupon
from gateway.clock import from_ms, to_ms
from gateway.counting import outcomes
from gateway.store import Tx
from gateway.values import Hours

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O and U
CODE_LENGTH = 8
UNDO_MS = 10 * 60_000
UNSENT = "unsent codes"  # the cursor in the journal behind which codes have been taken back
STRETCH = 20_000  # events of the journal in one transaction
ALL_DAY = Hours(0, 24 * 60)

_LOOK_ALIKES = str.maketrans("OILU", "011V")
_TYPED = re.compile(rf"[{ALPHABET}]{{{CODE_LENGTH}}}")


class NoCoupon(Exception):
    """This person gets no code. `reason` is for people who read the audience's waterfall."""

    reason = "no coupon"


class AllGone(NoCoupon):
    """All `codes` of the coupon are taken."""

    reason = "no codes left"

    def __init__(self, codes: int) -> None:
        super().__init__(codes)
        self.codes = codes


class AlreadyUsed(NoCoupon):
    """The code was redeemed at `at` (milliseconds) in `place`."""

    reason = "coupon used"

    def __init__(self, at: int, place: str) -> None:
        super().__init__(at, place)
        self.at = at
        self.place = place


class Expired(NoCoupon):
    """The code was good until `at`."""

    reason = "coupon over"

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


class NoSuchCode(Exception):
    """No such code was ever given."""


class Mistyped(NoSuchCode):
    """Not even a code: its check character does not fit, so it is a slip and no guess."""


class NotHere(Exception):
    """The code is good, but only at `places`."""

    def __init__(self, places: Sequence[str]) -> None:
        super().__init__(places)
        self.places = tuple(places)


class NotRedeemed(Exception):
    """There is nothing to undo: not redeemed at this place."""


class TooLate(Exception):
    """It was redeemed at `at`, which is too long ago to be undone."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


class Given(NamedTuple):
    """A code that a person has. `expires_at` is its last good millisecond; `again` means that they had it before."""

    code: str
    expires_at: int
    again: bool


class Batch(NamedTuple):
    """What became of many: a good code by person, or why there is none."""

    given: dict[int, Given]
    refused: dict[int, NoCoupon]


@dataclass(frozen=True, slots=True)
class Redeemed:
    """A redemption that counts."""

    code: str
    coupon: str
    person: int
    at: int
    place: str
    till: str


@dataclass(frozen=True, slots=True)
class Held:
    """A code as it stands, for the page that shows it."""

    code: str
    coupon: str
    person: int
    given_at: int
    expires_at: int
    redeemed_at: int | None
    place: str | None
    till: str | None


# --- codes -----------------------------------------------------------------------------------------------------------


def _times_two(value: int) -> int:
    """Multiplication by x in the field of 32 elements, modulo x^5 + x^2 + 1."""
    return value << 1 if value < 16 else (value << 1) ^ 0b100101


def _weighted() -> list[dict[str, int]]:
    """For each place before the last: what each character adds there."""
    row = list(range(len(ALPHABET)))
    rows = []
    for _ in range(CODE_LENGTH - 1):
        row = [_times_two(value) for value in row]
        rows.append(dict(zip(ALPHABET, row, strict=True)))
    return rows


# Every place weighs a character by another power of x. A changed character changes the sum; two swapped ones, x^i a +
# x^j b against x^i b + x^j a, differ by (x^i + x^j)(a + b), which is not zero. So each slip of either kind is caught.
_WEIGHTED = _weighted()


def check_character(body: str) -> str:
    """The last character of a code, from the others."""
    total = 0
    for weights, character in zip(_WEIGHTED, body, strict=True):
        total ^= weights[character]
    return ALPHABET[total]


def new_code() -> str:
    """A code that nobody can guess: 35 random bits and a check character."""
    bits = secrets.randbits(5 * (CODE_LENGTH - 1))
    body = "".join(ALPHABET[bits >> shift & 31] for shift in range(0, 5 * (CODE_LENGTH - 1), 5))
    return body + check_character(body)


def shown(code: str) -> str:
    """A code as people read it: `K7QM-2X9F`."""
    return f"{code[:4]}-{code[4:]}"


def read_code(typed: str) -> str:
    """A code however it was typed: any case and width, spaces, dashes, O for 0. Raises Mistyped."""
    plain = unicodedata.normalize("NFKC", typed).upper()
    code = re.sub(r"[\W_]", "", plain).translate(_LOOK_ALIKES)
    if not _TYPED.fullmatch(code) or check_character(code[:-1]) != code[-1]:
        raise Mistyped(typed)
    return code


async def _fresh_codes(tx: Tx, count: int) -> list[str]:
    """Codes that nobody has."""
    codes: set[str] = set()
    while len(codes) < count:
        drawn = {new_code() for _ in range(count - len(codes))}
        codes |= drawn - {code for (code,) in await tx.rows("coupon_taken", codes=list(drawn))}
    return list(codes)


# --- giving ----------------------------------------------------------------------------------------------------------


async def give(tx: Tx, business: Business, coupon: str, person_id: int, run: int, now: int) -> Given:
    """The person's code of this coupon: the one they have, else a new one. Raises AllGone, AlreadyUsed or Expired."""
    batch = await give_many(tx, business, coupon, [person_id], run, now)
    if person_id in batch.refused:
        raise batch.refused[person_id]
    return batch.given[person_id]


async def give_many(tx: Tx, business: Business, coupon: str, person_ids: Sequence[int], run: int, now: int) -> Batch:
    """The same for many people at once.

    `run` is the campaign's run that gives, 0 for none: only what a run itself gave, and nobody gave again, is ever
    taken back.
    """
    settings = business.config.coupons[coupon]
    held: dict[int, list[_HeldRow]] = {}
    for row in await tx.all(_HeldRow, "coupon_held", coupon=coupon, people=person_ids):
        held.setdefault(row.person, []).append(row)
    batch, asking = Batch({}, {}), []
    for person, rows in held.items():
        codes = [row for row in rows if row.code]
        good = next((row for row in codes if row.redeemed_at is None and row.expires_at >= now), None)
        if good:
            batch.given[person] = Given(good.code, good.expires_at, True)
        elif len(codes) < settings.per_person:
            asking.append(person)
        else:
            batch.refused[person] = _why_not(codes[-1])
    if batch.given:
        await tx.run("coupon_again", codes=[each.code for each in batch.given.values()])
    room = await _take_from_pool(tx, coupon, len(asking))
    for person in asking[room:]:
        batch.refused[person] = AllGone(settings.codes)
    new = {person: held[person][0].zone for person in asking[:room]}
    batch.given.update(await _keep_new(tx, business, coupon, new, run, now))
    return batch


class _HeldRow(NamedTuple):
    """A person who asks, with one code that they have; without one, `code` is empty."""

    person: int
    zone: str
    code: str
    expires_at: int
    redeemed_at: int | None
    place: str


def _why_not(last: _HeldRow) -> NoCoupon:
    return Expired(last.expires_at) if last.redeemed_at is None else AlreadyUsed(last.redeemed_at, last.place)


async def _take_from_pool(tx: Tx, coupon: str, count: int) -> int:
    """Count codes as taken: all, or as many as are left. Returns how many."""
    if not count:
        return 0
    if not await tx.run("pool_take", coupon=coupon, count=count):
        count = await tx.value("pool_left", coupon=coupon) or 0
        await tx.run("pool_take", coupon=coupon, count=count)
    return count


async def _keep_new(
    tx: Tx, business: Business, coupon: str, zones: Mapping[int, str], run: int, now: int
) -> dict[int, Given]:
    """Write a new code for each person; `zones` are their time zones."""
    if not zones:
        return {}
    settings, brand = business.config.coupons[coupon], business.brand
    ends = {zone: expiry(business, settings, zone, now) for zone in set(zones.values())}
    codes = await _fresh_codes(tx, len(zones))
    given = {person: Given(code, ends[zone], False) for (person, zone), code in zip(zones.items(), codes, strict=True)}
    await tx.many(
        "coupon_insert",
        [(each.code, brand, coupon, person, run, now, each.expires_at) for person, each in given.items()],
    )
    await tx.many(
        "activity_insert", [(brand, person, "given", coupon, now, each.code) for person, each in given.items()]
    )
    return given


async def take_back(tx: Tx, business: Business, coupon: str, person_ids: Sequence[int], run: int) -> int:
    """Return to the pool the unused codes that this run gave to people whom it then refused. Returns how many."""
    taken = await tx.rows("coupon_take_back", coupon=coupon, run=run, people=person_ids)
    await tx.many("activity_remove", [(person, "given", coupon, code) for person, code in taken])
    await tx.run("pool_return", coupon=coupon, count=len(taken))
    return len(taken)


async def take_back_unsent(tx: Tx, brand: int) -> bool:
    """Return to the pool the codes of campaign texts that ended before the carrier took any part of them.

    Follows the journal behind its fold, each stretch once; True while there is more. A code stays with a person who
    was handed it again by another door, and where the carrier took the text: a late receipt may still bring it.
    """
    after = await tx.value("cursor_get", name=UNSENT) or 0
    folded = await tx.value("cursor_get", name="fold") or 0
    until = min(folded, after + STRETCH)
    if until <= after:
        return False
    unsent = await tx.rows("coupon_unsent", after=after, until=until)
    if unsent:
        await tx.run("coupon_delete", codes=[code for _, code, _ in unsent])
        await tx.many("activity_remove", [(person, "given", coupon, code) for coupon, code, person in unsent])
    for coupon, count in Counter(coupon for coupon, _, _ in unsent).items():
        await tx.run("pool_return", coupon=coupon, count=count)
    await tx.many("cursor_set", [(UNSENT, brand, until)])
    return bool(until < folded)


def expiry(business: Business, coupon: Coupon, zone: str, now: int) -> int:
    """The last millisecond of a code that is given now: closing time of its last day, where it closes last.

    The places in the person's own zone decide, if there are any: a day that has ended in Seattle would mislead
    there, though it has not in Shanghai. A coupon that is good for less than a day ends by the minute.
    """
    if coupon.valid < timedelta(days=1):
        return now + in_ms(coupon.valid) - 1
    brand_zone = business.config.brand.timezone
    places = [place for key, place in business.config.places.items() if not coupon.places or key in coupon.places]
    near = [place for place in places if (place.timezone or brand_zone) == zone] or places
    closings = [_closing(place.open, place.timezone or brand_zone, coupon.valid, now) for place in near]
    return max(closings or [_closing(ALL_DAY, brand_zone, coupon.valid, now)]) - 1


def _closing(hours: Hours, zone: str, valid: timedelta, now: int) -> int:
    there = ZoneInfo(zone)
    last = (from_ms(now).astimezone(there) + valid).date()
    days, minute = divmod(hours.end + (24 * 60 if hours.end <= hours.begin else 0), 24 * 60)
    return to_ms(datetime.combine(last + timedelta(days=days), time(minute // 60, minute % 60), there))


# --- redeeming -------------------------------------------------------------------------------------------------------


REFUSALS = {AlreadyUsed: "used", Expired: "over", NotHere: "not here", Mistyped: "mistyped", NoSuchCode: "no such code"}


@outcomes("redemptions", "redeemed", REFUSALS)
async def redeem(
    tx: Tx,
    business: Business,
    code: str,
    place: str,
    till: str,
    door: str,
    now: int,
    coupons: Collection[str] = (),
) -> Redeemed:
    """Redeem a code, as typed, at a place; `coupons` are those that this till or phone redeems, empty for all.

    One guarded statement decides, so that of any number of tries at once one succeeds. Raises Mistyped,
    NoSuchCode, AlreadyUsed, Expired or NotHere.
    """
    code = read_code(code)
    wanted = coupons or business.config.coupons
    here = [key for key, coupon in business.config.coupons.items()
            if key in wanted and (not coupon.places or place in coupon.places)]  # fmt: skip
    rows = await tx.rows(
        "coupon_redeem", code=code, brand=business.brand, place=place, till=till, now=now, coupons=here
    )
    if not rows:
        raise _refusal(business, await find(tx, business, code), now)
    coupon, person = rows[0]
    await _journal(tx, business, code, "redeemed", place, till, door, "", now)
    await tx.run(
        "activity_insert", brand=business.brand, person=person, kind="redeemed", subject=coupon, at=now, detail=code
    )
    return Redeemed(code, coupon, person, now, place, till)


def _refusal(business: Business, held: Held | None, now: int) -> Exception:
    """Why a code was not redeemed, the plainest reason first."""
    if held is None or held.coupon not in business.config.coupons:
        return NoSuchCode()
    if held.redeemed_at is not None:
        return AlreadyUsed(held.redeemed_at, held.place or "")
    if held.expires_at < now:
        return Expired(held.expires_at)
    return NotHere(business.config.coupons[held.coupon].places)


@outcomes("redemptions", "undone", {NotRedeemed: "not undone", TooLate: "not undone"})
async def undo(tx: Tx, business: Business, code: str, place: str, till: str, door: str, reason: str, now: int) -> None:
    """Take a redemption back within ten minutes, where it was made: the code is good again, both stay on record.

    Raises NotRedeemed or TooLate.
    """
    rows = await tx.rows("coupon_undo", code=code, brand=business.brand, place=place, since=now - UNDO_MS)
    if not rows:
        held = await find(tx, business, code)
        if held is None or held.redeemed_at is None or held.place != place:
            raise NotRedeemed(code)
        raise TooLate(held.redeemed_at)
    coupon, person = rows[0]
    await _journal(tx, business, code, "undone", place, till, door, reason, now)
    await tx.many("activity_remove", [(person, "redeemed", coupon, code)])


async def _journal(
    tx: Tx, business: Business, code: str, change: str, place: str, till: str, door: str, reason: str, now: int
) -> None:
    await tx.run(
        "redemption_insert", brand=business.brand, code=code, change=change, at=now, place=place, till=till, door=door,
        reason=reason,
    )  # fmt: skip


async def find(tx: Tx, business: Business, code: str) -> Held | None:
    """A code that was given, as it stands; `code` as `read_code` gives it."""
    return await tx.one(Held, "coupon_find", code=code, brand=business.brand)
