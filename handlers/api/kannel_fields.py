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
from gateway.messages import NONE_WAITS, THROWN_AWAY, Content, Joint
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
_HEX: Final = re.compile(rb"(?:[0-9a-fA-F]{2})+")
_PIECES: Final = frozenset({0x00, 0x08})  # elements that say which piece of a text it is (3GPP 23.040, 9.2.3.24)
_TEXT, _BINARY, _UCS2_CODING = 0, 1, 2


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
    """What a call asks for. Spans are in milliseconds, 0 where none is named; `joint` where it is a piece of a text.

    `content` is what the text is beyond its letters.
    """

    to: list[str]
    sender: str
    text: str
    joint: Joint | None
    content: Content | None
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
    account = _words(fields, "account")
    if len(account) > LONGEST_ACCOUNT:
        raise Wrong("Account field misformed or too long, rejected")
    url = _words(fields, "dlr-url") or _words(fields, "dlrurl")
    if url and not is_address(url, LONGEST_URL):
        raise Wrong("DLR-URL field misformed, rejected")
    mask_name = "dlr-mask" if "dlr-mask" in fields else "dlrmask"
    mask = _number(fields, mask_name, MOST_MASK, "DLR-Mask")
    joint, content = _content(fields)
    return Ask(
        recipients,
        _words(fields, "from"),
        "" if content and content.octets is not None else _text(fields),
        joint,
        content,
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


def _content(fields: Fields) -> tuple[Joint | None, Content | None]:
    """Which piece it is of a long text, and what it is beyond its letters."""
    message_class = _either(fields, "mclass", 3, "MClass")  # Kannel 1.4.5 writes 0xF0 and its kin to SMPP in any case
    if _number(fields, "alt-dcs", 1, "Alt-DCS") and message_class is None:
        message_class = _UNSAID_CLASS
    waiting = _either(fields, "mwi", 7, "MWI")
    if waiting is not None and waiting & NONE_WAITS:
        waiting |= THROWN_AWAY  # so Kannel says it
    protocol = _number(fields, "pid", 255, "PID")
    header = _header(fields.get("udh", b""))
    coding = _either(fields, "coding", 2, "Coding")
    is_binary = coding == _BINARY or (coding is None and header is not None and header.others != b"")
    if is_binary and protocol:
        raise Wrong("PID field misformed, rejected")  # for another program on the phone, which we cannot name
    joint = header.joint if header and not is_binary else None
    content = Content(
        octets=fields.get("text", b"") if is_binary else None,
        header=(header.elements if is_binary else header.others) if header else b"",
        message_class=None if waiting is not None else message_class,  # as Kannel has it: one excludes the other
        is_short_class=message_class is not None and waiting is None and coding != _UCS2_CODING,
        waiting=None if is_binary else waiting,
    )
    return joint, content.or_none()


_UNSAID_CLASS: Final = 1  # Kannel's where alt-dcs asks for the group of classes and none is named


def _either(fields: Fields, name: str, most: int, noun: str) -> int | None:
    """A number for which 0 is as good as any other; None where nothing stands."""
    return _number(fields, name, most, noun) if _words(fields, name) else None


def _text(fields: Fields) -> str:
    coding = _number(fields, "coding", 2, "Coding")
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


def _header(udh: bytes) -> parts.Header | None:
    """The user data header, as octets or in hexadecimal."""
    if not udh:
        return None
    if _HEX.fullmatch(udh):
        octets = bytes.fromhex(udh.decode())
        udh = octets if octets[0] + 1 == len(octets) else udh
    try:
        header = parts.read_header(udh)
        *_, total, number = udh[3 : 3 + udh[2]] if udh[1] in _PIECES else (1, 1)
        if len(header.elements) + 1 < len(udh) or not 1 <= number <= total:
            raise ValueError("its numbers do not fit")
        return header
    except ValueError:
        raise Wrong("UDH field misformed, rejected") from None
