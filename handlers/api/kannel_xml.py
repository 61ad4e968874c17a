"""Reads a call of Kannel's sendsms that is a document: `<message><submit>...</submit></message>`.

Format: the Kannel user guide, "XML Post"; the places of the fields are those that smsbox of Kannel 1.4.5 looks at.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes
from xml.parsers import expat  # no document type of the caller's own, and so no entities, is read

from handlers.api.kannel_fields import Wrong

KINDS: Final = frozenset({"text/xml", "application/xml"})
DEEPEST: Final = 16
_HEX: Final = re.compile("(?:[0-9a-fA-F]{2})+")
_OCTETS: Final = frozenset({"1", "2"})  # codings that may be written in hexadecimal
_PLACES: Final = {
    "from/user": "username", "from/username": "username", "from/pass": "password", "from/password": "password",
    "from/account": "account", "from/binfo": "binfo", "oa/number": "from", "da/number": "to", "udh": "udh",
    "ud": "text", "pid": "pid",
    "dcs/mclass": "mclass", "dcs/mwi": "mwi", "dcs/coding": "coding", "dcs/alt-dcs": "alt-dcs",
    "statusrequest/dlr-mask": "dlr-mask", "statusrequest/dlr-url": "dlr-url", "vp/delay": "validity",
    "timing/delay": "deferred", "priority": "priority", "meta-data": "meta-data",
}  # fmt: skip


def read(document: bytes) -> dict[str, bytes]:
    """The fields of a document, as those of a query. Raises Wrong for what is no such document."""
    reading = _Reading()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.XmlDeclHandler = reading.declare
    parser.StartDoctypeDeclHandler = reading.refuse_own_types
    parser.StartElementHandler = reading.begin
    parser.EndElementHandler = reading.end
    parser.CharacterDataHandler = reading.say
    try:
        parser.Parse(document, True)
        return reading.fields()
    except (expat.ExpatError, ValueError, LookupError):
        raise Wrong("Charset or body misformed, rejected") from None


class _Reading:
    """What has been read so far."""

    def __init__(self) -> None:
        self._charset = "utf-8"
        self._open: list[str] = []
        self._words: dict[str, str] = {}
        self._numbers: list[str] = []

    def declare(self, _version: str, encoding: str | None, _standalone: int) -> None:
        self._charset = encoding or self._charset

    def refuse_own_types(self, _name: str, _system: str | None, _public: str | None, has_own: int) -> None:
        if has_own:
            raise ValueError("a document type of its own could make one word a million")

    def begin(self, name: str, _attributes: object) -> None:
        self._open.append(name)
        if len(self._open) > DEEPEST:
            raise ValueError("nested too deep")
        if self._place == "to":
            self._numbers.append("")

    @property
    def _place(self) -> str:
        message, submit, *inside = [*self._open, "", ""][: max(2, len(self._open))]
        return _PLACES.get("/".join(inside), "") if (message, submit) == ("message", "submit") else ""

    def say(self, words: str) -> None:
        place = self._place
        if place == "to":
            self._numbers[-1] += words
        elif place:
            self._words[place] = self._words.get(place, "") + words

    def end(self, _name: str) -> None:
        self._open.pop()

    def fields(self) -> dict[str, bytes]:
        words = {name: text.strip() if name != "text" else text for name, text in self._words.items()}
        found = {name: text.encode() for name, text in words.items()}
        if self._numbers:
            found["to"] = " ".join(number.strip() for number in self._numbers).encode()
        if "udh" in words:
            found["udh"] = _unquoted(words["udh"], "ascii")
        text, coding = words.get("text", ""), words.get("coding", "")
        may_be_hex = coding in _OCTETS or (not coding and "udh" in words)
        if may_be_hex and _HEX.fullmatch(text.strip()):
            return found | {"text": bytes.fromhex(text)}
        return found | {"text": _unquoted(text, self._charset), "charset": self._charset.encode()}


def _unquoted(text: str, charset: str) -> bytes:
    return unquote_to_bytes(text.replace("+", " ").encode(charset))
