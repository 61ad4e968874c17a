"""The shape in which a program's webhook is told: a signed JSON letter, as Standard Webhooks has it."""

from __future__ import annotations

import hmac
from typing import Final

import orjson

from campaigns.business import Business
from campaigns.client_settings import Client
from gateway.clock import wall_ms
from gateway.codecs import webhook_signature
from gateway.courier import Outgoing
from gateway.errors import CarillonError
from gateway.notices import Notice

AGENT: Final = "Carillon"


def shape(notice: Notice, business: Business) -> Outgoing | None:
    """The call that tells a notice. Raises CarillonError when the client has no webhook (any more).

    The time that is signed is the machine's, since receivers compare it with their own; a demo's evening is ours alone.
    """
    client = client_of(business, notice.client)
    webhook = client.settings.webhook
    url = orjson.loads(notice.target).get("url") if notice.target else webhook and webhook.url
    if not url:
        raise CarillonError(f"{client.name} has no webhook in the file")
    return Outgoing("POST", url, headers(business, client, notice), notice.body.encode(), client.settings.private)


def headers(business: Business, client: Client, notice: Notice) -> dict[str, str]:
    """What stands above the letter: what it is, and our signature of this moment."""
    signed = webhook_signature.signed_headers(
        secrets(business, client), str(notice.id), wall_ms() // 1000, notice.body.encode()
    )
    return {"Content-Type": "application/json", "User-Agent": AGENT, **signed}


def secrets(business: Business, client: Client) -> tuple[bytes, ...]:
    """What we sign with, the present one first: as the file says, else one of our making that stays the same."""
    webhook = client.settings.webhook
    named = webhook.secrets if webhook else ()
    if webhook and (webhook.secret or webhook.secret_file):
        return named
    return hmac.digest(business.secret, f"webhook:{client.name}".encode(), "sha256"), *named


def client_of(business: Business, number: int) -> Client:
    """The client with this id. CarillonError when the file has it no more."""
    for client in business.clients.values():
        if client.id == number:
            return client
    raise CarillonError("the file has this program no more")
