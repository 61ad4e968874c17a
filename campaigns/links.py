"""Links in texts: each opens one thing for one person, and cannot be guessed or turned into another."""

from __future__ import annotations

import base64
import binascii
import hmac

from campaigns import coupons
from campaigns.business import Business

COUPON_MAC_LENGTH = 8  # of 32 characters: 40 bits, on top of the code's own 35
PERSON_MAC_OCTETS = 8
_ID_OCTETS = 8


def coupon_link(business: Business, code: str) -> str:
    """The page that shows a coupon: 40 characters at http://localhost:8080, in letters that survive typing."""
    return f"{business.config.brand.site}/c/{code.lower()}{_coupon_mac(business, code).lower()}"


def coupon_of(business: Business, token: str) -> str | None:
    """The code in the last piece of a coupon's link; None if we did not make it."""
    if len(token) != coupons.CODE_LENGTH + COUPON_MAC_LENGTH or not token.isascii():
        return None
    token = token.upper()
    code, mac = token[: coupons.CODE_LENGTH], token[coupons.CODE_LENGTH :]
    return code if hmac.compare_digest(mac, _coupon_mac(business, code)) else None


def vote_link(business: Business, contest: str, person_id: int) -> str:
    """The page on which this person's phone votes."""
    return f"{business.config.brand.site}/v/{contest}/{person_token(business, f'vote:{contest}', person_id)}"


def voter_of(business: Business, contest: str, token: str) -> int | None:
    """The person in the last piece of a vote link of this contest; None if we did not make it."""
    return person_of(business, f"vote:{contest}", token)


def person_token(business: Business, purpose: str, person_id: int) -> str:
    """22 characters that name a person for one purpose only."""
    octets = person_id.to_bytes(_ID_OCTETS, "big")
    return base64.urlsafe_b64encode(octets + _person_mac(business, purpose, octets)).rstrip(b"=").decode()


def person_of(business: Business, purpose: str, token: str) -> int | None:
    """The person whom a token names for this purpose; None if we did not make it for that."""
    try:
        octets = base64.b64decode(token + "==", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    who, mac = octets[:_ID_OCTETS], octets[_ID_OCTETS:]
    return int.from_bytes(who, "big") if hmac.compare_digest(mac, _person_mac(business, purpose, who)) else None


def _coupon_mac(business: Business, code: str) -> str:
    digest = hmac.digest(business.secret, b"coupon:" + code.encode(), "sha256")
    bits = int.from_bytes(digest[:5], "big")
    return "".join(coupons.ALPHABET[bits >> shift & 31] for shift in range(0, 5 * COUPON_MAC_LENGTH, 5))


def _person_mac(business: Business, purpose: str, octets: bytes) -> bytes:
    # The purpose is closed by an octet that no purpose holds, so that none runs over into the id.
    return hmac.digest(business.secret, purpose.encode() + b"\0" + octets, "sha256")[:PERSON_MAC_OCTETS]
