"""What we sign is what the library of Standard Webhooks and the specification's own example hold to be right."""

from __future__ import annotations

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from gateway.codecs.webhook_signature import signature, signed_headers, written

SECRETS = st.binary(min_size=24, max_size=64)


def test_the_example_of_the_specification() -> None:
    """standard-webhooks.md, "Signature scheme", and the vector that all its libraries test with."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    found = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(SECRETS, st.text(max_size=200))
def test_the_library_verifies_what_we_sign(secret: bytes, body: str) -> None:
    headers = signed_headers([secret], "4711", int(time.time()), body.encode())
    Webhook(written(secret)).verify(body, headers, json_parse=False)


@given(SECRETS, SECRETS, st.binary(min_size=24, max_size=64))
def test_while_a_secret_is_replaced_both_verify_and_a_third_does_not(new: bytes, old: bytes, other: bytes) -> None:
    headers = signed_headers([new, old], "4711", int(time.time()), b"{}")
    for secret in (new, old):
        Webhook(written(secret)).verify(b"{}", headers)
    if other not in (new, old):
        with pytest.raises(WebhookVerificationError):
            Webhook(written(other)).verify(b"{}", headers)


@pytest.mark.parametrize("changed", ["webhook-id", "webhook-timestamp", "body"])
def test_nothing_of_what_was_signed_can_be_changed(changed: str) -> None:
    secret, now = bytes(range(32)), int(time.time())
    headers = signed_headers([secret], "4711", now, b"{}")
    altered = headers | {changed: {"webhook-id": "4712", "webhook-timestamp": str(now - 1)}.get(changed, "")}
    with pytest.raises(WebhookVerificationError):
        Webhook(written(secret)).verify(b"[]" if changed == "body" else b"{}", altered)
