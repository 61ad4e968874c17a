"""Makes the request that sends one text, as the carrier's description says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import urlsplit

import orjson

from gateway.channels.http import bodies
from gateway.channels.http.proving import Signer, basic
from gateway.channels.http.reading import FORM_TYPE
from gateway.channels.http.settings import Send
from gateway.channels.http.templates import Template, percent
from gateway.codecs import gsm7
from gateway.messages import Outbound


class Written(NamedTuple):
    """A request as it goes out."""

    url: str  # fully encoded
    headers: Mapping[str, str]
    body: bytes | None


class Writer:
    """Knows the description by heart: every template is cut once."""

    def __init__(self, send: Send, constants: Mapping[str, str]) -> None:
        """`constants` are the fields that are the same for every message: secrets and our own addresses."""
        self.method = send.method
        self._constants = constants
        self._alphabet = send.alphabet
        self._url = Template(send.url)
        self._query = {name: Template(text) for name, text in send.query.items()}
        self._form = {name: Template(text) for name, text in send.form.items()}
        self._json = bodies.json_part(bodies.tree_of(send.json_)) if send.json_ else None
        self._body = Template(send.body) if send.body else None
        self._escape = bodies.escape_for(send.content_type)
        self._headers = {name: Template(text) for name, text in send.headers.items()}
        self._fixed = {"User-Agent": "Carillon", "Accept-Encoding": "identity"}
        if send.basic:
            self._fixed["Authorization"] = basic(Template(send.basic).render(constants))
        if kind := self._content_type(send):
            self._fixed["Content-Type"] = kind
        self._signer = Signer(send.sign) if send.sign else None

    def _content_type(self, send: Send) -> str:
        if self._json:
            return "application/json"
        return send.content_type if self._body else FORM_TYPE if self._form else ""

    def write(self, message: Outbound, now_ms: int, nonce: str) -> Written:
        """The request for this message. Raises ValueError for what cannot be written."""
        values = self._values(message, now_ms, nonce)
        url = self._url.render(values, percent)
        query, form = bodies.pairs(self._query, values), bodies.pairs(self._form, values)
        headers = {**self._fixed, **bodies.headers(self._headers, values)}
        body = self._body_of(form, values)
        if self._signer is not None:
            signed = {**values, "method": self.method, "url.path": urlsplit(url).path, "body": (body or b"").decode()}
            signature = self._signer.sign(signed, [*query, *form])
            if self._signer.at.kind == "header":
                headers[self._signer.at.name] = signature
            else:
                (form if form else query).append((self._signer.at.name, signature))
                body = self._body_of(form, values)
        return Written(f"{url}?{bodies.form(query)}" if query else url, headers, body)

    def _body_of(self, form: list[tuple[str, str]], values: Mapping[str, str]) -> bytes | None:
        if self._json is not None:
            return orjson.dumps(self._json(values))
        if self._body is not None:
            return self._body.render(values, self._escape).encode()
        return bodies.form(form).encode() if form else None

    def _values(self, message: Outbound, now_ms: int, nonce: str) -> dict[str, str]:
        content = message.content
        left = max(1, (message.valid_until - now_ms) // 1000) if message.valid_until else 0
        return {
            **self._constants,
            "sender": message.sender,
            "recipient": message.recipient,
            "text": message.text,
            "message": str(message.id),
            "alphabet": self._alphabet.gsm7 if gsm7.is_gsm(message.text) else self._alphabet.ucs2,
            "valid.seconds": str(left) if left else "",
            "valid.milliseconds": str(left * 1000) if left else "",
            "now.iso": datetime.fromtimestamp(now_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "now.seconds": str(now_ms // 1000),
            "now.milliseconds": str(now_ms),
            "nonce": nonce,
            "media": " ".join(content.media) if content else "",
            "class": str(content.message_class) if content and content.message_class is not None else "",
        }
