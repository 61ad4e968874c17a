"""The shape in which a program made for Twilio is told: a form, signed as Twilio signs, that its validators accept.

Fields: twilio.com/docs/messaging/guides, pages track-outbound-message-status and webhook-request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote, urlencode, urlsplit

import aiohttp
import orjson
from yarl import URL

from campaigns.business import Business
from campaigns.client_settings import Client, TwilioLogin
from campaigns.telling import RECEIVED
from campaigns.words import Intent
from gateway.codecs import twilio_signature
from gateway.courier import Outgoing
from gateway.errors import CarillonError
from gateway.messages import State
from gateway.notices import Notice
from handlers.api import twilio_fates
from handlers.api.twilio_resources import API, UNSAID, Picture, picture_path, segments, sid
from handlers.api.webhooks import AGENT, client_of

# What Twilio says of words that it has obeyed itself, as we do: the program need not answer them.
_OBEYED: Final[Mapping[str, str]] = {
    Intent.STOP: "STOP", "stopped": "STOP", "obeyed stop": "STOP", Intent.WRONG_NUMBER: "STOP",
    Intent.HELP: "HELP", Intent.START: "START",
}  # fmt: skip
_ADDRESS: Final = re.compile(r"https?://[^\0-\x1f]+", re.IGNORECASE)
_SILENT: Final = frozenset({State.IN_DOUBT, State.UNKNOWN})  # of which Twilio tells nothing


def shape(notice: Notice, business: Business) -> Outgoing | None:
    """The call that tells a notice; None where there is nothing to tell. CarillonError when the file has no account."""
    client = client_of(business, notice.client)
    twilio = client.settings.twilio
    if twilio is None:
        raise CarillonError(f"{client.name} has no twilio: in the file")
    data: Mapping[str, Any] = orjson.loads(notice.body)["data"]
    target: Mapping[str, Any] = orjson.loads(notice.target) if notice.target else {}
    if notice.kind == RECEIVED:
        fields, url = _received(data, business, twilio), target.get("url") or twilio.inbound_url
    else:
        fields, url = _fate(data, target), target.get("url")
    if not url or not fields:
        return None
    fields |= {"AccountSid": twilio.account, "ApiVersion": API}
    return _call(notice, client, twilio.secret, url, fields)


def _fate(data: Mapping[str, Any], target: Mapping[str, Any]) -> dict[str, str]:
    """What became of a text; nothing where Twilio would not tell it."""
    state = State[data["state"].upper()]
    if state in _SILENT:
        return {}
    name, status = sid(int(data["id"])), twilio_fates.status(state, is_taken=data.get("taken", True))
    fields = {
        "From": data["from"], "MessageSid": name, "MessageStatus": status, "SmsSid": name, "SmsStatus": status,
        "To": data["to"],
    }  # fmt: skip
    error = twilio_fates.error(state, data["code"])
    if error is not None:
        fields["ErrorCode"] = str(error)
    if service := target.get("service"):
        fields["MessagingServiceSid"] = service
    return fields


def _base(business: Business, twilio: TwilioLogin) -> str:
    """Where the program reaches this door, as far as we know."""
    if twilio.address:
        return twilio.address.rstrip("/")
    listen = business.config.listen
    host = "127.0.0.1" if listen.api.host in ("0.0.0.0", "::") else listen.api.host  # noqa: S104  any of ours
    return f"{'https' if listen.api_tls else 'http'}://{f'[{host}]' if ':' in host else host}:{listen.api.port}"


def _received(data: Mapping[str, Any], business: Business, twilio: TwilioLogin) -> dict[str, str]:
    inbound, media = int(data["id"]), data.get("media", ())
    name = sid(inbound)
    fields = {
        "Body": data["text"], "From": data["from"], "MessageSid": name, "NumMedia": str(len(media)),
        "NumSegments": segments(data["text"]), "SmsMessageSid": name, "SmsSid": name, "SmsStatus": "received",
        "To": data["to"],
    }  # fmt: skip
    for place, each in enumerate(media):
        one = Picture(inbound, each["number"], each["type"] or UNSAID)
        url = _base(business, twilio) + picture_path(one, twilio.account)
        fields |= {f"MediaContentType{place}": one.kind, f"MediaUrl{place}": url}
    if obeyed := _OBEYED.get(data.get("intent", "")):
        fields["OptOutType"] = obeyed
    return fields


def _call(notice: Notice, client: Client, token: str, url: str, fields: Mapping[str, str]) -> Outgoing:
    place, login = called(url)
    headers = {
        "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
        "Accept": "text/xml, application/xml, text/plain, */*",
        "User-Agent": AGENT,
        "I-Twilio-Idempotency-Token": str(notice.id),
        "X-Twilio-Signature": twilio_signature.signature(token, place, fields.items()),
        **login,
    }
    return Outgoing("POST", place, headers, urlencode(fields).encode(), client.settings.private)


def is_address(url: str, longest: int) -> bool:
    """Whether a program may name this as where it is told: a web address of at most so many characters."""
    if len(url) > longest or not _ADDRESS.fullmatch(url):
        return False
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def called(url: str) -> tuple[str, dict[str, str]]:
    """An address as its server will see it, which is what is signed, and the login that stood in it (RFC 7617)."""
    parts = urlsplit(url)
    who, at, host = parts.netloc.rpartition("@")
    plain = parts._replace(netloc=host, path=parts.path or "/", fragment="").geturl()
    if not plain.isascii() or not plain.isprintable():
        plain = str(URL(plain))
    if not at:
        return plain, {}
    user, _, password = who.partition(":")
    return plain, {"Authorization": aiohttp.encode_basic_auth(unquote(user), unquote(password))}
