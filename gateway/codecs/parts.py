"""How many parts a text costs, where it is cut, and how the parts become one text again.

Sources: 3GPP 23.040 section 9.2.3.24 (user data header, concatenation, national languages), 23.038 section 4 (data
coding), SMPP 3.4 section 5.2.19; Unicode UAX 29 for what a reader sees as one character.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from gateway.codecs import gsm7, national
from gateway.codecs.national import Alphabet, Shift
from gateway.messages import NONE_WAITS, THROWN_AWAY, Content, Joint

GSM, DATA, UCS2 = 0, 4, 8  # SMPP data_coding; the second is of octets

WHOLE_SEPTETS, PART_SEPTETS = 160, 153  # of 140 octets, without and with a header of six
WHOLE_UNITS, PART_UNITS = 70, 67
MOST_PARTS = 255  # one octet counts them

_OCTETS = 140  # what one part holds, header and text together
_CONCAT_8, _CONCAT_16 = 0x00, 0x08  # information elements with a reference of one and of two octets
_USUAL_HEADER = bytes((5, _CONCAT_8, 3))
_CONCAT_OCTETS = 5  # an element with a reference of one octet, without the length of the whole header

_ASCII_OUTSIDERS = bytes(code for code in range(128) if not gsm7.is_gsm(chr(code)))
_ASCII_ESCAPED = gsm7.ESCAPED.replace("€", "").encode()
_ASCII_AWKWARD = _ASCII_OUTSIDERS + _ASCII_ESCAPED
_NOT_PLAIN = _ASCII_AWKWARD + b"\r"  # what takes two septets or must not be cut from its neighbour
_ASCII_SEPTETS = bytes(gsm7.ALPHABET.find(chr(code)) % 256 for code in range(256))  # read for plain characters only

_CHARSETS = {6: "iso8859-5", 7: "iso8859-8", 14: "euc-kr"}  # SMPP 3.4, 5.2.19; any other octets read as Latin-1


class Measure(NamedTuple):
    """What a text costs: its data_coding, septets or UTF-16 units, parts, and the character that made it dear."""

    coding: int
    units: int
    parts: int
    dear: str


class Cut(NamedTuple):
    """A text as it goes out: data_coding, the octets of each part, and whether each opens with a header."""

    coding: int
    pieces: list[bytes]
    has_header: bool


def measure(text: str, alphabets: Sequence[Alphabet] = ()) -> Measure:
    """Count exactly what `cut` would put on the wire; without `alphabets` that is what `split` would.

    `dear` is the first character that forced UCS-2, empty for GSM. Raises ValueError beyond 255 parts.
    """
    if text.isascii() and _is_cheap(text.encode()):
        return Measure(GSM, len(text), 1, "")
    dear = gsm7.outsider(text)
    if dear:
        return _measure_dear(text, dear, alphabets)
    septets = gsm7.encode(text)
    parts = 1 if len(septets) <= WHOLE_SEPTETS else _count(_cut_septets(septets))
    return Measure(GSM, len(septets), parts, "")


def count(texts: Sequence[str], alphabets: Sequence[Alphabet] = ()) -> list[int]:
    """The parts of each of many texts, as `measure` has them. Raises ValueError beyond 255 parts.

    The plain ones among them are found to be plain in one look at all together, and then go by their length.
    """
    plain = [text for text in texts if text.isascii()]
    octets = "".join(plain).encode()
    if len(octets.translate(None, _NOT_PLAIN)) < len(octets):
        return [measure(text, alphabets).parts for text in texts]
    if len(plain) == len(texts) and max(map(len, texts), default=0) <= WHOLE_SEPTETS:
        return [1] * len(texts)
    return [_plain_parts(len(text)) if text.isascii() else _few_parts(text, alphabets) for text in texts]


def split(text: str, reference: int) -> tuple[int, list[bytes]]:
    """The data_coding and the short_message octets of each part, in order.

    More than one part: each opens with the header 05 00 03, the low octet of `reference`, the total and its number.
    No escape pair, surrogate pair or visible character is cut (the last only where it fits in one part). Raises
    ValueError beyond 255 parts.
    """
    if text.isascii() and _is_cheap(octets := text.encode()):
        return GSM, [octets.translate(_ASCII_SEPTETS)]
    coding, pieces = bare(text)
    return coding, pieces if len(pieces) == 1 else _headed(pieces, reference)


def cut(text: str, reference: int, alphabets: Sequence[Alphabet] = ()) -> Cut:
    """As `split`, and with the national alphabets of the languages that the reader's phone is known to speak.

    One of them is used only where the default alphabet lacks a character and UCS-2 would take more parts. Then even
    a single part opens with a header, so go by `has_header`. Raises ValueError beyond 255 parts.
    """
    shifted = _shifted(text, alphabets) if alphabets else None
    if shifted is None:
        coding, pieces = split(text, reference)
        return Cut(coding, pieces, len(pieces) > 1)
    elements = shifted.shift.header
    if len(shifted.pieces) == 1:
        return Cut(GSM, [bytes((len(elements),)) + elements + shifted.pieces[0]], True)
    return Cut(GSM, _headed(shifted.pieces, reference, elements), True)


def cut_content(text: str, content: Content, reference: int, alphabets: Sequence[Alphabet] = ()) -> Cut:
    """The same of a message that is more than its letters: its octets in place of the text, its header, its class.

    Octets are cut anywhere; each part opens with the header, and where there are several with a concatenation, too.
    Raises ValueError beyond 255 parts, or where the header says that this is one part already and it does not fit.
    """
    if content.octets is None and not content.header:
        found = cut(text, reference, alphabets)
        return found._replace(coding=coding_of(found.coding, content))
    coding, pieces = _cut_content(text, content)
    if len(pieces) > 1:
        return Cut(coding, _headed(pieces, reference, content.header), True)
    length = bytes((len(content.header),)) if content.header else b""
    return Cut(coding, [length + content.header + piece for piece in pieces], bool(content.header))


def count_content(text: str, content: Content, alphabets: Sequence[Alphabet] = ()) -> int:
    """The parts of such a message. Raises ValueError as `cut_content` does."""
    if content.octets is None and not content.header:
        return measure(text, alphabets).parts
    return _checked(len(_cut_content(text, content)[1]))


def coding_of(coding: int, content: Content) -> int:
    """The data_coding by which a phone shows a message of this alphabet as it should (23.038, section 4)."""
    if content.waiting is not None:
        kind, is_active = content.waiting & 0b11, not content.waiting & NONE_WAITS
        group = _WAITING_UCS2 if coding == UCS2 else _PASSING if content.waiting & THROWN_AWAY else _WAITING
        return group | is_active << 3 | kind
    if content.message_class is None:
        return coding
    if content.is_short_class and coding != UCS2:
        return _SHORT_CLASS | coding | content.message_class
    return _CLASS | coding | content.message_class


class Coding(NamedTuple):
    """What a data_coding says: the alphabet (GSM, DATA, UCS2, or another of SMPP's own), the class, what waits."""

    alphabet: int
    message_class: int | None = None
    is_short_class: bool = False
    waiting: int | None = None


def read_coding(data_coding: int) -> Coding | None:
    """The reverse of `coding_of` (23.038, section 4; SMPP 3.4, 5.2.19); None for what is compressed or reserved."""
    group, low = data_coding & 0xF0, data_coding & 0x0F
    if group == 0:
        return Coding(DATA if low in _DATA_CODINGS else low)
    if group == _CLASS and low >> 2 < 3:
        return Coding(low & 0b1100, low & 0b11)
    if group == _SHORT_CLASS and low < 8:
        return Coding(low & DATA, low & 0b11, True)
    if group in (_PASSING, _WAITING, _WAITING_UCS2) and not low & 0b100:
        waiting = (low & 0b11) | (0 if low & 0b1000 else NONE_WAITS) | (THROWN_AWAY if group == _PASSING else 0)
        return Coding(UCS2 if group == _WAITING_UCS2 else GSM, waiting=waiting)
    return None


_DATA_CODINGS = frozenset((2, 4))
_CLASS, _SHORT_CLASS = 0x10, 0xF0
_PASSING, _WAITING, _WAITING_UCS2 = 0xC0, 0xD0, 0xE0  # the first need not be kept, once its note was seen


class Header(NamedTuple):
    """A user data header: which piece of a message it opens, and its elements; `others` are those that say more."""

    joint: Joint | None
    elements: bytes
    others: bytes


def read_header(octets: bytes) -> Header:
    """The header that opens a part. Raises ValueError where its lengths do not fit.

    `others` leaves out the concatenation, and the national languages of a text, which are seen to by `read`.
    """
    end = octets[0] + 1 if octets else 0
    elements = list(_elements(octets[1:end]))
    if not 1 < end <= len(octets) or sum(2 + len(body) for _, body in elements) != end - 1:
        raise ValueError("the lengths in the header do not fit")
    others = b"".join(bytes((kind, len(body))) + body for kind, body in elements if kind not in _OF_TEXTS)
    return Header(_joint(elements), octets[1:end], others)


LANGUAGES = frozenset((0x24, 0x25))  # national single shift, locking shift: which alphabet a text is in
_CONCATS = frozenset((_CONCAT_8, _CONCAT_16))
_OF_TEXTS = _CONCATS | LANGUAGES


def bare(text: str) -> tuple[int, list[bytes]]:
    """The same parts without their headers, for carriers that write these themselves from sar_ parameters.

    Raises ValueError beyond 255 parts.
    """
    if gsm7.is_gsm(text):
        septets = gsm7.encode(text)
        return GSM, [septets] if len(septets) <= WHOLE_SEPTETS else _all(_cut_septets(septets))
    units = text.encode("utf-16-be", "replace")
    return UCS2, [units] if len(units) <= WHOLE_UNITS * 2 else _all(_cut_ucs2(text))


def whole(text: str) -> tuple[int, bytes]:
    """The data_coding and all octets uncut, for carriers that cut a message_payload themselves."""
    if gsm7.is_gsm(text):
        return GSM, gsm7.encode(text)
    return UCS2, text.encode("utf-16-be", "replace")


def read(short_message: bytes, data_coding: int, udhi: bool) -> tuple[str, Joint | None]:
    """The text of one short_message, and which piece of a longer one it is, if any.

    Never raises: what no alphabet explains becomes U+FFFD. The text of a piece may end or begin within a character
    that the sender cut in two: only `join` makes it fit to be read.
    """
    if not udhi and data_coding == GSM:
        return gsm7.decode(short_message), None
    if not udhi or not short_message or short_message[0] >= len(short_message):
        return _decode(short_message, data_coding, is_piece=False), None
    if short_message.startswith(_USUAL_HEADER):
        joint = _joint_of(short_message[3:6])
        return _decode(short_message[6:], data_coding, is_piece=joint is not None), joint
    end = short_message[0] + 1
    elements = list(_elements(short_message[1:end]))
    joint = _joint(elements)
    shift = national.shift_of(elements) if len(elements) > (joint is not None) else national.PLAIN
    return _decode(short_message[end:], data_coding, is_piece=joint is not None, shift=shift), joint


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


def _plain_parts(septets: int) -> int:
    """Parts of a text that may be cut anywhere."""
    return 1 if septets <= WHOLE_SEPTETS else _checked(-(-septets // PART_SEPTETS))


def _few_parts(text: str, alphabets: Sequence[Alphabet]) -> int:
    """The same as `measure`, sooner for what is one part in any alphabet."""
    if len(text) <= WHOLE_UNITS and len(text.encode("utf-16-be", "replace")) <= WHOLE_UNITS * 2:
        return 1
    return measure(text, alphabets).parts


def _all(cuts: Iterator[bytes]) -> list[bytes]:
    pieces = list(cuts)
    _checked(len(pieces))
    return pieces


def _count(cuts: Iterator[bytes]) -> int:
    return _checked(sum(1 for _ in cuts))


def _measure_dear(text: str, dear: str, alphabets: Sequence[Alphabet]) -> Measure:
    shifted = _shifted(text, alphabets) if alphabets else None
    if shifted is not None:
        return Measure(GSM, sum(map(len, shifted.pieces)), _checked(len(shifted.pieces)), "")
    units = len(text.encode("utf-16-be", "replace")) // 2
    parts = 1 if units <= WHOLE_UNITS else _count(_cut_ucs2(text))
    return Measure(UCS2, units, parts, dear)


class _Shifted(NamedTuple):
    shift: Shift
    pieces: list[bytes]


def _shifted(text: str, alphabets: Sequence[Alphabet]) -> _Shifted | None:
    """The cheapest cut by national alphabets: fewest parts, then fewest octets, then the alphabet named first.

    None where the default alphabet suffices, no table holds the text, or UCS-2 takes no more parts.
    """
    if len(text) <= WHOLE_UNITS // 2 or gsm7.is_gsm(text):  # so few are one part of UCS-2, whatever they are
        return None
    units = len(text.encode("utf-16-be", "replace")) // 2
    dear_parts = 1 if units <= WHOLE_UNITS else sum(1 for _ in _cut_ucs2(text))
    best, least = None, (dear_parts, 0)
    for shift in national.shifts(alphabets):
        try:
            septets = national.encode(text, shift)
        except ValueError:
            continue
        pieces = _cut_shifted(septets, len(shift.header))
        cost = (len(pieces), len(septets) + len(pieces) * len(shift.header))
        if cost < least:
            best, least = _Shifted(shift, pieces), cost
    return best


def _cut_content(text: str, content: Content) -> tuple[int, list[bytes]]:
    """The data_coding and the pieces without a header of what has a header of its own, or no letters."""
    own = 1 + len(content.header) if content.header else 0
    shared = 1 + len(content.header) + _CONCAT_OCTETS
    if content.octets is not None:
        coding, size, whole, room = DATA, len(content.octets), _OCTETS - own, _OCTETS - shared
    elif gsm7.is_gsm(text):
        coding, size, whole, room = GSM, len(gsm7.encode(text)), _room(own), _room(shared)
    else:
        coding, size = UCS2, len(text.encode("utf-16-be", "replace"))
        whole, room = (_OCTETS - own) // 2 * 2, (_OCTETS - shared) // 2
    if size > whole and (room < _LEAST_ROOM or not content.kinds.isdisjoint(_CONCATS)):
        what = _NOUNS[coding]
        raise ValueError(f"with this header it is one part, which holds {max(whole, 0):,} {what}; it has {size:,}")
    coded = coding_of(coding, content)
    if content.octets is not None:
        octets = content.octets
        return coded, [octets] if size <= whole else [octets[at : at + room] for at in range(0, size, room)]
    if coding == GSM:
        septets = gsm7.encode(text)
        return coded, [septets] if size <= whole else list(_cut_septets(septets, room))
    return coded, [text.encode("utf-16-be", "replace")] if size <= whole else list(_cut_ucs2(text, room))


_LEAST_ROOM = 2  # a pair of surrogates, an escape and its letter: what is never cut must fit into a part
_NOUNS = {DATA: "octets", GSM: "septets", UCS2: "octets"}


def _cut_shifted(septets: bytes, element_octets: int) -> list[bytes]:
    if len(septets) <= _room(1 + element_octets):
        return [septets]
    return list(_cut_septets(septets, _room(1 + element_octets + _CONCAT_OCTETS)))


def _room(header_octets: int) -> int:
    """Septets beside a header of so many octets: text begins on the next whole septet (23.040, 9.2.3.24)."""
    return (_OCTETS - header_octets) * 8 // 7


def _headed(pieces: list[bytes], reference: int, elements: bytes = b"") -> list[bytes]:
    total = _checked(len(pieces))
    length = _CONCAT_OCTETS + len(elements)
    return [
        bytes((length, _CONCAT_8, 3, reference & 0xFF, total, number)) + elements + piece
        for number, piece in enumerate(pieces, 1)
    ]


def _checked(total: int) -> int:
    if total > MOST_PARTS:
        raise ValueError(f"a text of {total} parts: {MOST_PARTS} is the most that phones can join")
    return total


_CR, _LF = b"\r\n"


def _cut_septets(septets: bytes, room: int = PART_SEPTETS) -> Iterator[bytes]:
    start = 0
    while start < len(septets):
        end = start + room
        if start + 1 < end < len(septets) and (
            septets[end - 1] == gsm7.ESCAPE or (septets[end] == _LF and septets[end - 1] == _CR)
        ):
            end -= 1
        yield septets[start:end]
        start = end


def _cut_ucs2(text: str, room: int = PART_UNITS) -> Iterator[bytes]:
    start = 0
    while start < len(text):
        units = text[start : start + room].encode("utf-16-be", "replace")
        full = start + (len(units[: room * 2].decode("utf-16-be", "ignore")) or 1)  # a cut pair is left to the next
        end = full
        while start < end < len(text) and _is_glued(text, start, end):
            end -= 1
        end = end if end > start else full  # one character longer than a part
        yield text[start:end].encode("utf-16-be", "replace")
        start = end


# Two characters that a reader sees as one (UAX 29, GB3 to GB13). Where the rules ask for tables that the standard
# library lacks, the answer here is "glued": an earlier cut costs nothing but room.
_JOINER = "\u200d"
_EXTENDS = re.compile("[\u0e33\u0eb3\u200c\u200d\uff9e\uff9f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]")
_PREPENDED = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\u0d4e\U000110bd\U000110cd\U000111c2"
    "\U000111c3\U000113d1\U0001193f\U00011941\U00011a3a\U00011a84\U00011a85\U00011a86\U00011a87\U00011a88\U00011a89"
    "\U00011d46\U00011f02"
)
_FLAG_LETTER = re.compile("[\U0001f1e6-\U0001f1ff]+$")
_JAMO = re.compile(
    "[\u1100-\u115f\ua960-\ua97c][\u1100-\u11ff\ua960-\ua97c\uac00-\ud7a3\ud7b0-\ud7fb]"  # a leading consonant
    "|[\u1160-\u11ff\uac00-\ud7a3\ud7b0-\ud7fb][\u1160-\u11ff\ud7b0-\ud7fb]"
)
_VIRAMA = 9  # the combining class of the sign by which an Indic consonant is joined to the next


def _is_glued(text: str, start: int, at: int) -> bool:
    """True when a cut before text[at] would tear a visible character whose part begins at `start`."""
    before, after = text[at - 1], text[at]
    if before == _JOINER or (before in _PREPENDED and unicodedata.category(after) != "Cc"):
        return True
    if after < "\u0300" or "\u30a0" <= after <= "\u9fff":  # below any mark, or Chinese and Japanese
        return after == "\n" and before == "\r"
    if _is_extender(after):
        return True
    if "\U0001f1e6" <= after <= "\U0001f1ff":
        letters = _FLAG_LETTER.search(text, start, at)
        return letters is not None and len(letters.group()) % 2 == 1
    return _JAMO.match(before + after) is not None or _is_conjunct(text, start, at)


def _is_extender(character: str) -> bool:
    return _EXTENDS.match(character) is not None or unicodedata.category(character)[0] == "M"


def _is_conjunct(text: str, start: int, at: int) -> bool:
    """True for a letter after a virama, other marks between them or not (GB9c)."""
    while at > start and _is_extender(text[at - 1]):
        at -= 1
        if unicodedata.combining(text[at]) == _VIRAMA:
            return True
    return False


def _elements(header: bytes) -> Iterator[tuple[int, bytes]]:
    """The information elements of a header, each its kind and its octets; what is cut off at the end is left out."""
    place = 0
    while place + 2 <= len(header):
        kind, length = header[place], header[place + 1]
        body = header[place + 2 : place + 2 + length]
        if len(body) == length:
            yield kind, body
        place += 2 + length


def _joint(elements: list[tuple[int, bytes]]) -> Joint | None:
    """The concatenation element among the others (ports, shifts) of a header; the last one wins (9.2.3.24)."""
    joint = None
    for kind, body in elements:
        if (kind, len(body)) in ((_CONCAT_8, 3), (_CONCAT_16, 4)):
            joint = _joint_of(body) or joint
    return joint


def _joint_of(body: bytes) -> Joint | None:
    total, number = body[-2], body[-1]
    return Joint(int.from_bytes(body[:-2], "big"), total, number) if 1 <= number <= total > 1 else None


def _decode(octets: bytes, data_coding: int, *, is_piece: bool, shift: Shift = national.PLAIN) -> str:
    group = data_coding & 0xF0
    if group == 0x10:  # a message class: bits 3 and 2 hold the alphabet (23.038 section 4)
        data_coding &= 0x0C
    elif group == 0xF0:
        data_coding &= 0x04
    if data_coding == GSM or group in (0xC0, 0xD0):  # notes of waiting voice mail
        plain = shift is national.PLAIN and not is_piece
        return gsm7.decode(octets) if plain else _decode_septets(octets, shift, is_piece=is_piece)
    if data_coding == UCS2 or group == 0xE0:
        return _halves_kept(octets) if is_piece else octets.decode("utf-16-be", "replace")
    return octets.decode(_CHARSETS.get(data_coding, "latin-1"), "replace")


def _decode_septets(octets: bytes, shift: Shift, *, is_piece: bool) -> str:
    kept = ""
    if is_piece and gsm7.ends_within_escape(octets):
        octets, kept = octets[:-1], _KEPT_ESCAPE_OF[shift]
    if shift == national.PLAIN:
        return gsm7.decode(octets) + kept
    return national.decode(octets, shift) + kept


# Some phones cut a long text within an escape pair or a surrogate pair. A lone half is no character, and a database
# refuses it: so in a piece it waits as a character of the private plane 16, until `join` finds its other half.
_KEPT = 0x10_0000
_HALF = re.compile("[\ud800-\udfff]")
_KEPT_PAIR = re.compile("([\U0010d800-\U0010dbff])([\U0010dc00-\U0010dfff])")
_KEPT_HALF = re.compile("[\U0010d800-\U0010dfff]")
_KEPT_ESCAPES = {chr(_KEPT + place): shift for place, shift in enumerate(national.ALL)}  # by what explains them
_KEPT_ESCAPE_OF = {shift: kept for kept, shift in _KEPT_ESCAPES.items()}
_CUT_ESCAPE = re.compile(f"([{''.join(_KEPT_ESCAPES)}])(.?)", re.DOTALL)


def _halves_kept(octets: bytes) -> str:
    whole = octets[: len(octets) & ~1]
    text = _HALF.sub(lambda half: chr(ord(half[0]) + _KEPT), whole.decode("utf-16-be", "surrogatepass"))
    return text if len(whole) == len(octets) else text + "\N{REPLACEMENT CHARACTER}"


def _mend(text: str) -> str:
    """Make characters of the halves that meet; a half that stays alone becomes U+FFFD."""
    text = _CUT_ESCAPE.sub(lambda half: national.unescape("\x1b" + half[2], _KEPT_ESCAPES[half[1]]), text)
    text = _KEPT_PAIR.sub(lambda pair: _character(ord(pair[1]) - _KEPT, ord(pair[2]) - _KEPT), text)
    return _KEPT_HALF.sub("\N{REPLACEMENT CHARACTER}", text)


def _character(high: int, low: int) -> str:
    return chr(0x10000 + ((high - 0xD800) << 10 | low - 0xDC00))
