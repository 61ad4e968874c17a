"""Reads what a program asks us to send: a text, from whom to whom and when; or says why we cannot take it.

Section numbers are those of the SMPP v3.4 specification, issue 1.2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

import orjson

from gateway.channels.smpp.reading import with_header
from gateway.codecs import gsm7, parts, smpp
from gateway.codecs.parts import Coding
from gateway.codecs.smpp import ShortMessage
from gateway.messages import Content, Joint

# command_status (5.1.3)
BAD_TEXT_LENGTH: Final = 0x01
SYSTEM_ERROR: Final = 0x08
BAD_CLASS: Final = 0x43
BAD_REPLACE: Final = 0x54
BAD_SCHEDULE: Final = 0x61
BAD_EXPIRY: Final = 0x62
BAD_PREPARED: Final = 0x63
OPTION_NOT_ALLOWED: Final = 0xC1
OPTION_MISSING: Final = 0xC3
BAD_OPTION: Final = 0xC4
BAD_ALPHABET: Final = 0x104  # SMPP 5.0, 4.7.6: 3.4 has no status that says it

DOOR: Final = "smpp"
ASKED: Final = 0x13  # registered_delivery (5.2.17): of the end, of a failure, of steps on the way

_ALPHABETS: Final = frozenset((0, 1, 3, 6, 7, 8, 14))  # that are texts, and nothing else (5.2.19)
_URGENT: Final = 2  # priority_flag (5.2.14): urgent, or an emergency
_ASCII: Final = 1
_NO_ASCII: Final = re.compile(rb"[\x00-\x09\x0b\x0c\x0e-\x1f]")
_KIND: Final = 0x3C  # esm_class (5.2.12): what a message is; ours are nothing special
_MODE: Final = 0x03
_TRANSACTION: Final = 2  # the answer would say whether it was delivered
_TIME_TO_LIVE: Final = 0x0017  # qos_time_to_live, in seconds (5.3.2.8)
_USER_REFERENCE: Final = 0x0204  # user_message_reference (5.3.2.17)
_SOURCE_PORT, _PORT = 0x020A, 0x020B  # of a program on the phone (5.3.2.20, 21)
_PORT_ELEMENT: Final = 0x05  # of a header, which says the same (23.040, 9.2.3.24.4)
_PORT_KINDS: Final = frozenset((0x04, _PORT_ELEMENT))
_MOST_ELEMENTS: Final = 139  # octets of a header, beside the one that counts them


class Submit(NamedTuple):
    """A text that a program wants sent, or the piece `joint` of one.

    An address begins with a plus where the program says that it is international, else it stands as it was given.
    Moments are in milliseconds since 1970, 0 for now and for our own default. `reference` is the program's own number
    for it. `callback` is JSON for its receipt, empty where none is asked for.
    """

    sequence: int
    recipient: str
    text: str
    sender: str
    send_at: int
    valid_until: int
    is_urgent: bool
    reference: str
    callback: str
    joint: Joint | None
    content: Content | None = None  # what it is beyond its letters


def read(sequence: int, message: ShortMessage, now_ms: int) -> Submit | int:
    """What a submit_sm or data_sm asks for; or the command_status with which it is refused."""
    esm_class, options = message.esm_class, message.options
    if esm_class & _KIND or esm_class & _MODE == _TRANSACTION:
        return BAD_CLASS
    if message.replaces or message.prepared:
        return BAD_REPLACE if message.replaces else BAD_PREPARED
    if not message.octets:
        return BAD_TEXT_LENGTH
    reference, send_at, valid_until = "", 0, 0
    if options:
        reference = str(int.from_bytes(options[_USER_REFERENCE], "big")) if _USER_REFERENCE in options else ""
    if message.schedule or message.validity or _TIME_TO_LIVE in options:
        try:
            send_at = _moment(message.schedule, now_ms)
        except ValueError:
            return BAD_SCHEDULE
        try:
            valid_until = _moment(message.validity, now_ms) or _lives_until(options, now_ms)
        except ValueError:
            return BAD_EXPIRY
    joint = content = None
    if message.data_coding == parts.GSM and not (esm_class & smpp.HAS_HEADER or options):
        text = gsm7.decode(message.octets)
    else:
        said = _said(message)
        if isinstance(said, int):
            return said
        text, joint, content = said
    sender_ton, recipient_ton = message.sender_ton, message.recipient_ton
    return Submit(
        sequence,
        as_people_write(recipient_ton, message.recipient),
        text,
        as_people_write(sender_ton, message.sender),
        send_at,
        valid_until,
        message.priority >= _URGENT,
        reference,
        callback_of(message, reference) if message.registered_delivery & ASKED else "",
        joint,
        content,
    )


class _Said(NamedTuple):
    text: str
    joint: Joint | None
    content: Content | None


def _said(message: ShortMessage) -> _Said | int:
    """What a message says that is not in the default alphabet, or has a header or options; or why it says nothing."""
    data_coding = message.data_coding
    coding = Coding(data_coding) if data_coding in _ALPHABETS else parts.read_coding(data_coding)
    if coding is None or not (coding.alphabet in _ALPHABETS or coding.alphabet == parts.DATA):
        return BAD_ALPHABET
    joined = _with_ports(*with_header(message), message.options)
    if isinstance(joined, int):
        return joined
    octets, has_header = joined
    try:
        header = parts.read_header(octets) if has_header else _NO_HEADER
    except ValueError:
        if coding.alphabet == parts.DATA:
            return BAD_CLASS
        header = _NO_HEADER  # a text is read all the same
    if coding.alphabet == parts.DATA:
        text, joint, own = "", None, header.elements
        data: bytes | None = octets[octets[0] + 1 :] if has_header else octets
    else:
        text, joint = parts.read(octets, _alphabet(coding.alphabet, octets, has_header), has_header)
        own, data = header.others, None
    content = Content((), data, own, coding.message_class, coding.is_short_class, coding.waiting)
    return _Said(text, joint, content.or_none())


_NO_HEADER: Final = parts.Header(None, b"", b"")


def _with_ports(octets: bytes, has_header: bool, options: Mapping[int, bytes]) -> tuple[bytes, bool] | int:
    """The octets with the ports of a program, which stand among the options, in their header; or why they cannot."""
    if _PORT not in options:
        return OPTION_MISSING if _SOURCE_PORT in options else (octets, has_header)
    ports = options.get(_PORT, b"").rjust(2, b"\0")[-2:] + options.get(_SOURCE_PORT, b"").rjust(2, b"\0")[-2:]
    end = octets[0] + 1 if has_header and octets else 0
    if not Content(header=octets[1:end]).kinds.isdisjoint(_PORT_KINDS):
        return OPTION_NOT_ALLOWED  # the header names some already
    elements = octets[1:end] + bytes((_PORT_ELEMENT, len(ports))) + ports
    if len(elements) > _MOST_ELEMENTS:
        return BAD_CLASS
    return bytes((len(elements),)) + elements + octets[end:], True


def as_people_write(ton: int, who: str) -> str:
    """An address with a plus where it is said to be international, or is written so."""
    if ton == smpp.INTERNATIONAL and who.isdecimal():
        return "+" + who
    return "+" + who[2:] if who.startswith("00") and len(who) > len("00") and who.isdecimal() else who


def callback_of(message: ShortMessage, reference: str) -> str:
    """How the receipt is to be written: what was asked for, and both addresses as the program gave them, as JSON."""
    return _callback(message.sender_ton, message.sender_npi, message.sender, message.registered_delivery) + (
        f'{message.recipient_ton},{message.recipient_npi},{_quoted(message.recipient)}],"reference":"{reference}"}}'
    )


@lru_cache(maxsize=1024)
def _callback(ton: int, npi: int, sender: str, asked: int) -> str:
    """Its beginning: the same for most texts of a minute."""
    return f'{{"door":"{DOOR}","asked":{asked & ASKED},"sender":[{ton},{npi},{_quoted(sender)}],"recipient":['


def _quoted(words: str) -> str:
    return f'"{words}"' if words.isdecimal() and words.isascii() else orjson.dumps(words).decode()


@lru_cache(maxsize=1024)
def _moment(words: str, now_ms: int) -> int:
    """0 where nothing stands. Raises ValueError."""
    return smpp.read_time(words, now_ms) if words else 0


def _lives_until(options: Mapping[int, bytes], from_ms: int) -> int:
    octets = options.get(_TIME_TO_LIVE, b"")
    return from_ms + int.from_bytes(octets, "big") * 1000 if octets else 0


def _alphabet(data_coding: int, octets: bytes, has_header: bool) -> int:
    """Some programs say ASCII and write the default alphabet of phones: octets that ASCII has no letters for tell."""
    text = octets[octets[0] + 1 :] if has_header and octets else octets
    return parts.GSM if data_coding == _ASCII and _NO_ASCII.search(text) else data_coding
