"""Knows by its signature whether a call truly comes from Twilio, and writes the answer that says nothing.

Twilio signs each call with our account's token (twilio.com/docs/usage/webhooks/webhooks-security): the base64 of
HMAC-SHA1 over the address that it called, followed by every field of the form, name and value, sorted, equal values
of one name once. A call with a JSON body carries the body's SHA-256 in its address instead, as `bodySHA256`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import SplitResult, parse_qs, urlsplit

NO_REPLY: Final = '<?xml version="1.0" encoding="UTF-8"?><Response/>'
BODY_HASH: Final = "bodySHA256"

Field = tuple[str, str]


def signature(token: str, url: str, fields: Iterable[Field] = ()) -> str:
    """What Twilio writes into `X-Twilio-Signature`. ValueError for text that UTF-8 cannot hold."""
    signed = url + "".join(name + value for name, value in sorted(set(fields)))
    return base64.b64encode(hmac.digest(token.encode(), signed.encode(), "sha1")).decode()


def is_genuine(tokens: Iterable[str], url: str, shown: str, content: Sequence[Field] | bytes) -> bool:
    """Whether one of our tokens signed this call. `content` is a form's fields, or the octets of any other body.

    The port may stand in the signed address or not, whichever way it was called: Twilio does both. A form is never
    judged by `bodySHA256`, which anybody could add; any other body is judged by nothing else.
    """
    try:
        parts = urlsplit(url)
        urls = (_without_port(parts), _with_port(parts))
        fields: Sequence[Field] = ()
        if not isinstance(content, bytes):
            fields = content
        elif not _has_hash(parts, content):
            return False
        presented = shown.encode()
        # Every one is compared, so that the time taken does not tell which token it was.
        matches = [hmac.compare_digest(signature(t, u, fields).encode(), presented) for t in tokens for u in urls]
    except ValueError:  # no address, or text that cannot have been signed
        return False
    return any(matches)


def _has_hash(parts: SplitResult, body: bytes) -> bool:
    shown = parse_qs(parts.query).get(BODY_HASH, [""])[0]
    return hmac.compare_digest(hashlib.sha256(body).hexdigest().encode(), shown.encode())


def _without_port(parts: SplitResult) -> str:
    return parts._replace(netloc=parts.netloc.partition(":")[0]).geturl() if parts.port else parts.geturl()


def _with_port(parts: SplitResult) -> str:
    port = 443 if parts.scheme == "https" else 80
    return parts.geturl() if parts.port else parts._replace(netloc=f"{parts.netloc}:{port}").geturl()
