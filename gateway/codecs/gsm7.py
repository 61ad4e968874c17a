"""The alphabet of the oldest phones: which characters a cheap text may hold, and how they travel.

Source of all tables: 3GPP 23.038 section 6.2.1 (default alphabet) and 6.2.1.1 (extension table).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from typing import Final

ESCAPE = 0x1B

ALPHABET = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)

EXTENSION = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}

PLAIN = ALPHABET.replace(chr(ESCAPE), "")
ESCAPED = "".join(EXTENSION.values())


class _Septets(dict[int, str]):
    """Code point -> septets, as characters; asks for nothing that the alphabet does not hold."""

    def __missing__(self, code: int) -> str:
        raise ValueError(f"{chr(code)!r} is not in the GSM alphabet")


_ENCODE = _Septets({ord(character): chr(septet) for septet, character in enumerate(ALPHABET) if septet != ESCAPE})
_ENCODE.update({ord(character): chr(ESCAPE) + chr(septet) for septet, character in EXTENSION.items()})

# A septet has no eighth bit, so 0x80 to 0xFF are no GSM at all: carriers that send them there mean Latin-1.
BEYOND_SEPTETS = "\N{REPLACEMENT CHARACTER}" * 32 + bytes(range(0xA0, 0x100)).decode("latin-1")
_DECODE = ALPHABET + BEYOND_SEPTETS
_UNESCAPE = {ALPHABET[septet]: character for septet, character in EXTENSION.items()}
_UNESCAPE |= {"": " ", "\x1b": " "}
_ESCAPE_PAIR = re.compile("\x1b(.?)", re.DOTALL)
_OUTSIDER = re.compile(f"[^{re.escape(PLAIN + ESCAPED)}]")


def is_gsm(text: str) -> bool:
    """True when every character is in the default alphabet or its extension table."""
    return _OUTSIDER.search(text) is None


def outsider(text: str) -> str:
    """The first character that the alphabet does not hold; empty when there is none."""
    found = _OUTSIDER.search(text)
    return found.group() if found else ""


def encode_plain(texts: Sequence[str], most: int) -> list[bytes]:
    """What `encode` makes of each text, in a third of its time; empty where this finds no short cut.

    That is for texts outside of ASCII or longer than `most`, and for all of them where one holds a character that is
    escaped or is not in the alphabet: the texts of a campaign are mostly alike.
    """
    plain = [text if text.isascii() and len(text) <= most else "" for text in texts]
    octets = _BETWEEN.join(plain).encode()
    if len(octets.translate(None, _AWKWARD)) != len(octets) or octets.count(_BETWEEN.encode()) != len(texts) - 1:
        return [b""] * len(texts)
    return octets.translate(_SEPTETS).split(_NO_SEPTET)


_BETWEEN: Final = "\x1b"  # an escape alone stands in no text
_NO_SEPTET: Final = b"\xff"
_AWKWARD: Final = bytes(code for code in range(128) if chr(code) not in PLAIN + _BETWEEN)
_SEPTETS: Final = bytes(ALPHABET.find(chr(code)) % 256 if chr(code) in PLAIN else 0xFF for code in range(256))


def encode(text: str) -> bytes:
    """One octet for each septet, unpacked, as SMPP carries data_coding 0; an escaped character takes two.

    Raises ValueError for a character that the alphabet does not hold.
    """
    return text.translate(_ENCODE).encode("ascii")


def decode(octets: bytes) -> str:
    """The text of unpacked septets; no octet makes it raise.

    An escape before something unknown is dropped, a last or a doubled one is a space (23.038, 6.2.1.1, note 1).
    """
    text = codecs.charmap_decode(octets, "replace", _DECODE)[0]
    return unescape(text) if "\x1b" in text else text


def unescape(text: str) -> str:
    """Put the extended characters in the place of their escape pairs."""
    return _ESCAPE_PAIR.sub(lambda pair: _UNESCAPE.get(pair[1], pair[1]), text)


def ends_within_escape(octets: bytes) -> bool:
    """True when the last octet is an escape whose other half must stand elsewhere."""
    return (len(octets) - len(octets.rstrip(b"\x1b"))) % 2 == 1


def pack(septets: bytes, fill_bits: int = 0) -> bytes:
    """Eight septets in seven octets (23.038, 6.1.2.1.1), after `fill_bits` zero bits that follow a header.

    Seven spare bits at the end carry a CR, lest they be read as an `@` (6.1.2.3.1).
    """
    bits, value = fill_bits, 0
    for septet in septets:
        value |= (septet & 0x7F) << bits
        bits += 7
    if bits % 8 == 1 and septets:
        value |= ord("\r") << bits
    return value.to_bytes((bits + 7) // 8, "little")


def unpack(octets: bytes, count: int, fill_bits: int = 0) -> bytes:
    """`count` septets out of packed octets, after `fill_bits` bits to skip; fewer when the octets end before."""
    value = int.from_bytes(octets, "little") >> fill_bits
    held = max(0, (len(octets) * 8 - fill_bits) // 7)
    return bytes(value >> 7 * place & 0x7F for place in range(min(count, held)))
