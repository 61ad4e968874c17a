"""Signs what we send, and looks whether a call is really the carrier's."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

from gateway.channels.base import Call
from gateway.channels.http.reading import Content, Place
from gateway.channels.http.settings import Proof, Seal, Signature
from gateway.channels.http.templates import Template

Values = Mapping[str, str]


class Signer:
    """Computes a signature as the carrier describes it."""

    def __init__(self, settings: Signature) -> None:
        self.at = settings.at
        self._over, self._each, self._key = Template(settings.over), Template(settings.each), Template(settings.key)
        self._between = settings.between
        self._digest = settings.by.removeprefix("hmac-")
        self._is_hmac = settings.by.startswith("hmac-")
        self._is_hex = settings.written == "hex"
        self.fields = self._over.fields | self._key.fields

    def sign(self, values: Values, pairs: Sequence[tuple[str, str]]) -> str:
        """The signature of these values and fields. The field that holds a signature itself is left out."""
        fields = ""
        if "fields" in self.fields:
            signed = sorted(pair for pair in pairs if pair[0] != self.at.name or self.at.kind != "body")
            fields = self._between.join(self._each.render({"name": name, "value": value}) for name, value in signed)
        values = {**values, "fields": fields}
        over = self._over.render(values).encode("utf-8", "surrogateescape")
        if self._is_hmac:
            octets = hmac.digest(self._key.render(values).encode(), over, self._digest)
        else:
            octets = hashlib.new(self._digest, over).digest()
        return octets.hex() if self._is_hex else base64.b64encode(octets).decode()

    def is_signed(self, shown: str, values: Values, pairs: Sequence[tuple[str, str]]) -> bool:
        """Whether one of the signatures shown (a header may carry several, with commas between) is right."""
        expected = self.sign(values, pairs)
        candidates = shown.split(",") if self.at.kind == "header" else [shown]
        fits = [_same(each.strip().lower() if self._is_hex else each.strip(), expected) for each in candidates[:8]]
        return any(fits)


class Guard:
    """Lets in the calls that prove to be the carrier's."""

    def __init__(self, proof: Proof, secrets: Values, now_ms: Callable[[], int]) -> None:
        self._secrets, self._now_ms = secrets, now_ms
        self._token = proof.token.at if proof.token else None
        self._word = Template(proof.token.value).render(secrets) if proof.token else ""
        self._basic = basic(Template(proof.basic).render(secrets)) if proof.basic else ""
        self._seal: Seal | None = proof.signature
        self._signer = Signer(proof.signature) if proof.signature else None

    def lets_in(self, call: Call, content: Content) -> bool:
        """Whether everything that was asked for is there and right."""
        if self._basic and not _same(call.headers.get("authorization", ""), self._basic):
            return False
        if self._token is not None and not (self._word and _same(content.first(self._token), self._word)):
            return False
        return self._signer is None or self._is_signed(self._signer, call, content)

    def _is_signed(self, signer: Signer, call: Call, content: Content) -> bool:
        shown = content.first(signer.at)
        if not shown or not signer.is_signed(shown, self._values(signer, call, content), content.pairs):
            return False
        return self._seal is None or self._seal.time is None or self._is_recent(content, self._seal.time)

    def _values(self, signer: Signer, call: Call, content: Content) -> dict[str, str]:
        url = urlsplit(call.url)
        values = {
            **self._secrets,
            "body": call.body.decode("utf-8", "surrogateescape"),
            "method": call.method,
            "url": call.url,
            "url.base": url._replace(query="", fragment="").geturl(),
            "url.path": url.path,
        }
        for field in signer.fields:
            kind, _, name = field.partition(".")
            if kind == "header":
                values[field] = call.headers.get(name.lower(), "")
            elif kind == "field":
                values[field] = content.first(Place("body", name))
        return values

    def _is_recent(self, content: Content, place: Place) -> bool:
        at = _seconds(content.first(place))
        within = self._seal.within.total_seconds() if self._seal else 0
        return at is not None and abs(self._now_ms() / 1000 - at) <= within


def basic(user_and_password: str) -> str:
    """The Authorization header of HTTP Basic (RFC 7617)."""
    return "Basic " + base64.b64encode(user_and_password.encode()).decode()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def _seconds(written: str) -> float | None:
    """Seconds since 1970 of a time in seconds, in milliseconds or as ISO 8601 (without a zone it is UTC)."""
    if written.isascii() and written.isdigit() and len(written) < 15:
        return int(written) / (1000 if len(written) > 11 else 1)
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
