"""Signs what we tell a program, so that it knows that it comes from us and is not told again by somebody else.

Standard Webhooks 1.0.0 (github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md, "Signature
scheme"): the base64 of HMAC-SHA256 over `ID.TIMESTAMP.BODY`, after `v1,`; of several secrets each signature, with a
space between.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable
from typing import Final

PREFIX: Final = "whsec_"


def signed_headers(secrets: Iterable[bytes], message: str, seconds: int, body: bytes) -> dict[str, str]:
    """The three headers of a call: `message` is its id, the same at each try; `seconds` since 1970 are of this try.

    While a secret is being replaced, sign with both.
    """
    return {
        "webhook-id": message,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(signature(secret, message, seconds, body) for secret in secrets),
    }


def signature(secret: bytes, message: str, seconds: int, body: bytes) -> str:
    """One signature with its version: `v1,` and 44 letters of base64."""
    signed = f"{message}.{seconds}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(secret, signed, 'sha256')).decode()}"


def written(secret: bytes) -> str:
    """A secret as people copy it: `whsec_` and base64."""
    return PREFIX + base64.b64encode(secret).decode()
