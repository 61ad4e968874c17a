"""Reads what a call of Kannel's sendsms asks for, and refuses what it cannot mean in Kannel's own words.

Parameters: the Kannel user guide, "Using the HTTP interface to send SMS messages". Words and limits: as smsbox of
Kannel 1.4.5 answers.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from gateway.codecs import parts
from gateway.messages import Joint
from handlers.api.twilio_shape import is_address

FIELDS: Final = 100
RECIPIENTS: Final = 1_000  # in one call
MINUTE_MS: Final = 60_000
LONGEST_MIN: Final = 60 * 24 * 35
LONGEST_ACCOUNT: Final = 64
LONGEST_URL: Final = 2_000
MOST_MASK: Final = 127  # the five fates and the two marks that newer ones add

_CHARSETS: Final = ("utf-8", "utf-16", "ascii", "iso8859", "cp125", "koi8", "gb", "big5", "shift_jis", "euc_")
_UCS2: Final = frozenset({"ucs-2", "ucs2", "ucs-2be", "iso-10646-ucs-2"})
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,9}")
_HEX: Final = re.compile(rb"(?:[0-9a-fA-F]{2}){6,7}")
_TEXT, _BINARY, _UCS2_CODING = 0, 1, 2
_SHORT_HEADER, _LONG_HEADER = b"\5\0\3", b"\6\10\4"  # of a piece of a long text (3GPP 23.040, 9.2.3.24.1 and .8)


class Wrong(Exception):
    """Ends a call with what Kannel would say."""

    def __init__(self, words: str, status: int = 400) -> None:
        super().__init__(words)
        self.words = words
        self.status = status


class Login(NamedTuple):
    """The name and the password that a call shows."""

    user: str
    password: str


class Ask(NamedTuple):
    """What a call asks for. Spans are in milliseconds, 0 where none is named; `joint` where it is a piece of a text."""

    to: list[str]
    sender: str
    text: str
    joint: Joint | None
    valid_ms: int
    deferred_ms: int
    is_urgent: bool
    mask: int
    url: str
    account: str
    binfo: str
    meta: str


Fields = Mapping[str, bytes]


def parse(text: str) -> dict[str, bytes]:
    """The fields of a query or a form as octets: what they mean is for `charset` to say. The first of a name counts."""
    pairs = text.split("&", FIELDS)[:FIELDS] if text else []
    found: dict[str, bytes] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        found.setdefault(name, unquote_to_bytes(value.replace("+", " ")))
    return found


_HEADERS: Final = frozenset(f"x-kannel-{name}" for name in (
    "username", "password", "from", "to", "udh", "smsc", "mclass", "pid", "rpi", "alt-dcs", "mwi", "coding", "compress",
    "validity", "deferred", "binfo", "meta-data", "dlr-url", "account", "dlr-mask", "priority",
))  # fmt: skip


def from_headers(headers: Mapping[str, str], kind: str, charset: str, body: bytes) -> dict[str, bytes]:
    """The fields of a POST whose body is the text: the others stand in X-Kannel headers, the UDH in hexadecimal."""
    found = {name.lower().removeprefix("x-kannel-"): value.encode("utf-8", "surrogateescape")
             for name, value in headers.items() if name.lower() in _HEADERS}  # fmt: skip
    if kind == "application/octet-stream":
        found.setdefault("coding", b"1")
    elif charset:
        found["charset"] = charset.encode("ascii", "replace")
    return found | {"text": body}


def login(fields: Fields) -> Login:
    """Who calls; both names of each field are understood, as Kannel does."""
    user, password = (fields.get(long, fields.get(short, b"")) for long, short in _NAMES)
    return Login(user.decode("utf-8", "replace"), password.decode("utf-8", "replace"))


_NAMES: Final = (("username", "user"), ("password", "pass"))


def read(fields: Fields, *, is_post: bool = False) -> Ask:
    """What a call asks for. Raises Wrong in the order in which Kannel looks."""
    recipients = _recipients(fields, is_post=is_post)
    udh = fields.get("udh", b"")
    account = _words(fields, "account")
    if len(account) > LONGEST_ACCOUNT:
        raise Wrong("Account field misformed or too long, rejected")
    url = _words(fields, "dlr-url") or _words(fields, "dlrurl")
    if url and not is_address(url, LONGEST_URL):
        raise Wrong("DLR-URL field misformed, rejected")
    mask_name = "dlr-mask" if "dlr-mask" in fields else "dlrmask"
    mask = _number(fields, mask_name, MOST_MASK, "DLR-Mask")
    _number(fields, "mclass", 3, "MClass")
    _number(fields, "alt-dcs", 2, "Alt-DCS")
    _number(fields, "mwi", 7, "MWI")
    coding = _number(fields, "coding", 2, "Coding")
    if coding == _BINARY:  # of which no text can be made
        raise Wrong("Coding field misformed, rejected")
    return Ask(
        recipients,
        _words(fields, "from"),
        _text(fields, coding),
        _joint(udh),
        _number(fields, "validity", LONGEST_MIN, "Validity") * MINUTE_MS,
        _number(fields, "deferred", LONGEST_MIN, "Deferred") * MINUTE_MS,
        _number(fields, "priority", 3, "Priority") >= 2,  # SMPP 3.4, 5.2.14: urgent, very urgent
        mask,
        url,
        account,
        _words(fields, "binfo"),
        _words(fields, "meta-data"),
    )


def _recipients(fields: Fields, *, is_post: bool) -> list[str]:
    if "to" not in fields:
        raise Wrong("Missing receiver(s) number(s), rejected" if is_post else "Missing receiver number, rejected")
    found = _words(fields, "to").split()
    if not found:
        raise Wrong("Empty receiver number not allowed, rejected")
    if len(found) > RECIPIENTS:
        raise Wrong(f"More than {RECIPIENTS} receiver numbers, rejected")
    return found


def _words(fields: Fields, name: str) -> str:
    return fields.get(name, b"").decode("utf-8", "replace").strip().replace("\0", "")


def _number(fields: Fields, name: str, most: int, noun: str) -> int:
    written = _words(fields, name)
    if not written:
        return 0
    number = int(written) if _NUMBER.fullmatch(written) else -1
    if not 0 <= number <= most:
        raise Wrong(f"{noun} field misformed, rejected")
    return number


def _text(fields: Fields, coding: int) -> str:
    charset = _words(fields, "charset").lower() or ("utf-16-be" if coding == _UCS2_CODING else "utf-8")
    try:
        name = "utf-16-be" if charset in _UCS2 else codecs.lookup(charset).name
        if not name.startswith(_CHARSETS):  # some that Python knows are no alphabets, and slow
            raise LookupError
        return fields.get("text", b"").decode("utf-16-be" if name == "utf-16" and not _has_mark(fields) else name)
    except (LookupError, ValueError):
        raise Wrong("Charset or body misformed, rejected") from None


def _has_mark(fields: Fields) -> bool:
    """Whether a text of UTF-16 tells its order of octets; else it is the network's (RFC 2781, 4.3)."""
    return fields.get("text", b"")[:2] in {codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE}


def _joint(udh: bytes) -> Joint | None:
    """Which piece of a long text this is; any other header would make no text of it."""
    if not udh:
        return None
    if _HEX.fullmatch(udh):
        udh = bytes.fromhex(udh.decode())
    is_piece = (udh[:3], len(udh)) in ((_SHORT_HEADER, 6), (_LONG_HEADER, 7))
    total, number = udh[-2:] if is_piece else (0, 0)
    if not 1 <= number <= total:
        raise Wrong("UDH field misformed, rejected")
    return parts.read(udh, parts.GSM, udhi=True)[1]
