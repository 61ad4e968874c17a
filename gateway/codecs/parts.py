"""How many parts a text costs, where it is cut, and how the parts become one text again.

Sources: 3GPP 23.040 section 9.2.3.24 (user data header, concatenation), 23.038 section 4 (data coding), SMPP 3.4
section 5.2.19; Unicode UAX 29 for what a reader sees as one character.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from gateway.codecs import gsm7
from gateway.messages import Joint

GSM, UCS2 = 0, 8  # SMPP data_coding

WHOLE_SEPTETS, PART_SEPTETS = 160, 153  # of 140 octets, without and with a header of six
WHOLE_UNITS, PART_UNITS = 70, 67
MOST_PARTS = 255  # one octet counts them

_CONCAT_8, _CONCAT_16 = 0x00, 0x08  # information elements with a reference of one and of two octets

_ASCII_OUTSIDERS = bytes(code for code in range(128) if not gsm7.is_gsm(chr(code)))
_ASCII_ESCAPED = gsm7.ESCAPED.replace("€", "").encode()
_ASCII_AWKWARD = _ASCII_OUTSIDERS + _ASCII_ESCAPED
_ASCII_SEPTETS = bytes(gsm7.ALPHABET.find(chr(code)) % 256 for code in range(256))  # read for plain characters only

_CHARSETS = {6: "iso8859-5", 7: "iso8859-8", 14: "euc-kr"}  # SMPP 3.4, 5.2.19; any other octets read as Latin-1


class Measure(NamedTuple):
    """What a text costs: its data_coding, septets or UTF-16 units, parts, and the character that made it dear."""

    coding: int
    units: int
    parts: int
    dear: str


def measure(text: str) -> Measure:
    """Count exactly what `split` would put on the wire.

    `dear` is the first character that forced UCS-2, empty for GSM. Raises ValueError beyond 255 parts.
    """
    if text.isascii() and _is_cheap(text.encode()):
        return Measure(GSM, len(text), 1, "")
    dear = gsm7.outsider(text)
    if dear:
        units = len(text.encode("utf-16-be", "replace")) // 2
        parts = 1 if units <= WHOLE_UNITS else _count(_cut_ucs2(text))
        return Measure(UCS2, units, parts, dear)
    septets = gsm7.encode(text)
    parts = 1 if len(septets) <= WHOLE_SEPTETS else _count(_cut_septets(septets))
    return Measure(GSM, len(septets), parts, "")


def split(text: str, reference: int) -> tuple[int, list[bytes]]:
    """The data_coding and the short_message octets of each part, in order.

    More than one part: each opens with the header 05 00 03, the low octet of `reference`, the total and its number.
    No escape pair, surrogate pair or visible character is cut (the last only where it fits in one part). Raises
    ValueError beyond 255 parts.
    """
    if text.isascii() and _is_cheap(octets := text.encode()):
        return GSM, [octets.translate(_ASCII_SEPTETS)]
    if gsm7.is_gsm(text):
        septets = gsm7.encode(text)
        if len(septets) <= WHOLE_SEPTETS:
            return GSM, [septets]
        return GSM, _headed(_cut_septets(septets), reference)
    units = text.encode("utf-16-be", "replace")
    if len(units) <= WHOLE_UNITS * 2:
        return UCS2, [units]
    return UCS2, _headed(_cut_ucs2(text), reference)


def read(short_message: bytes, data_coding: int, udhi: bool) -> tuple[str, Joint | None]:
    """The text of one short_message, and which piece of a longer one it is, if any.

    Never raises: what no alphabet explains becomes U+FFFD. The text of a piece may end or begin within a character
    that the sender cut in two: only `join` makes it fit to be read.
    """
    joint = None
    if udhi and short_message and short_message[0] < len(short_message):
        end = short_message[0] + 1
        joint = _joint(short_message[1:end])
        short_message = short_message[end:]
    return _decode(short_message, data_coding, is_piece=joint is not None), joint


def join(pieces: Mapping[int, str]) -> str:
    """One text out of its pieces by number, in any order; an ellipsis stands where a number between is missing."""
    if not pieces:
        return ""
    numbers = range(min(pieces), max(pieces) + 1)
    text = "".join(pieces.get(number, "…") for number in numbers)
    return text if text.isascii() else _mend(text)


def _is_cheap(octets: bytes) -> bool:
    """True for one part of ASCII without escapes: nearly every English text, so its way is the shortest."""
    return len(octets) <= WHOLE_SEPTETS and len(octets.translate(None, _ASCII_AWKWARD)) == len(octets)


def _count(cuts: Iterator[bytes]) -> int:
    return _checked(sum(1 for _ in cuts))


def _headed(cuts: Iterator[bytes], reference: int) -> list[bytes]:
    pieces = list(cuts)
    total = _checked(len(pieces))
    return [bytes((5, _CONCAT_8, 3, reference & 0xFF, total, number)) + piece for number, piece in enumerate(pieces, 1)]


def _checked(total: int) -> int:
    if total > MOST_PARTS:
        raise ValueError(f"a text of {total} parts: {MOST_PARTS} is the most that phones can join")
    return total


def _cut_septets(septets: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(septets):
        end = start + PART_SEPTETS
        if end < len(septets) and septets[end - 1] == gsm7.ESCAPE:
            end -= 1
        yield septets[start:end]
        start = end


def _cut_ucs2(text: str) -> Iterator[bytes]:
    start = 0
    while start < len(text):
        units = text[start : start + PART_UNITS].encode("utf-16-be", "replace")
        full = start + len(units[: PART_UNITS * 2].decode("utf-16-be", "ignore"))  # a cut pair is left to the next
        end = full
        while start < end < len(text) and _is_glued(text, start, end):
            end -= 1
        end = end if end > start else full  # one character longer than a part
        yield text[start:end].encode("utf-16-be", "replace")
        start = end


# Two characters that a reader sees as one (UAX 29, GB3 to GB13). Where the rules ask for tables that the standard
# library lacks, the answer here is "glued": an earlier cut costs nothing but room.
_JOINER = "\u200d"
_EXTENDS = re.compile("[\u0e33\u0eb3\u200c\u200d\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]")
_FLAG_LETTER = re.compile("[\U0001f1e6-\U0001f1ff]+$")
_JAMO = re.compile("[\u1100-\u115f\uac00-\ud7a3\u1160-\u11ff][\u1160-\u11ff]")


def _is_glued(text: str, start: int, at: int) -> bool:
    """True when a cut before text[at] would tear a visible character whose part begins at `start`."""
    before, after = text[at - 1], text[at]
    if after < "\u0300":
        return after == "\n" and before == "\r"
    if before == _JOINER or _EXTENDS.match(after) or unicodedata.category(after)[0] == "M":
        return True
    if "\U0001f1e6" <= after <= "\U0001f1ff":
        letters = _FLAG_LETTER.search(text, start, at)
        return letters is not None and len(letters.group()) % 2 == 1
    return _JAMO.match(before + after) is not None


def _joint(header: bytes) -> Joint | None:
    """The concatenation element among the others (ports, shifts) of a header; the last one wins (9.2.3.24)."""
    joint, place = None, 0
    while place + 2 <= len(header):
        kind, length = header[place], header[place + 1]
        body = header[place + 2 : place + 2 + length]
        place += 2 + length
        if (kind, len(body)) in ((_CONCAT_8, 3), (_CONCAT_16, 4)):
            reference, total, number = int.from_bytes(body[:-2], "big"), body[-2], body[-1]
            joint = Joint(reference, total, number) if 1 <= number <= total > 1 else joint
    return joint


def _decode(octets: bytes, data_coding: int, *, is_piece: bool) -> str:
    group = data_coding & 0xF0
    if group == 0x10:  # a message class: bits 3 and 2 hold the alphabet (23.038 section 4)
        data_coding &= 0x0C
    elif group == 0xF0:
        data_coding &= 0x04
    if data_coding == GSM or group in (0xC0, 0xD0):  # notes of waiting voice mail
        if is_piece and gsm7.ends_within_escape(octets):
            return gsm7.decode(octets[:-1]) + _KEPT_ESCAPE
        return gsm7.decode(octets)
    if data_coding == UCS2 or group == 0xE0:
        return _halves_kept(octets) if is_piece else octets.decode("utf-16-be", "replace")
    return octets.decode(_CHARSETS.get(data_coding, "latin-1"), "replace")


# Some phones cut a long text within an escape pair or a surrogate pair. A lone half is no character, and a database
# refuses it: so in a piece it waits as a character of the private plane 16, until `join` finds its other half.
_KEPT = 0x10_0000
_KEPT_ESCAPE = chr(_KEPT + gsm7.ESCAPE)
_HALF = re.compile("[\ud800-\udfff]")
_KEPT_PAIR = re.compile("([\U0010d800-\U0010dbff])([\U0010dc00-\U0010dfff])")
_KEPT_HALF = re.compile("[\U0010d800-\U0010dfff]")
_CUT_ESCAPE = re.compile(f"{_KEPT_ESCAPE}(.?)", re.DOTALL)


def _halves_kept(octets: bytes) -> str:
    whole = octets[: len(octets) & ~1]
    text = _HALF.sub(lambda half: chr(ord(half[0]) + _KEPT), whole.decode("utf-16-be", "surrogatepass"))
    return text if len(whole) == len(octets) else text + "\N{REPLACEMENT CHARACTER}"


def _mend(text: str) -> str:
    """Make characters of the halves that meet; a half that stays alone becomes U+FFFD."""
    text = _CUT_ESCAPE.sub(lambda cut: gsm7.unescape("\x1b" + cut[1]), text)
    text = _KEPT_PAIR.sub(lambda pair: _character(ord(pair[1]) - _KEPT, ord(pair[2]) - _KEPT), text)
    return _KEPT_HALF.sub("\N{REPLACEMENT CHARACTER}", text)


def _character(high: int, low: int) -> str:
    return chr(0x10000 + ((high - 0xD800) << 10 | low - 0xDC00))
