"""The alphabets of Turkey, Spain and Portugal: their letters at the price of a cheap text, on phones that know them.

Source: 3GPP 23.038 annex A (single shift tables A.2.1 to A.2.3, locking shift tables A.3.1 and A.3.3), written here
as what they change in the default alphabet. Android's GsmAlphabet and the tables of the gsmcodecs project, which was
made from release 18, both agree.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from gateway.codecs import gsm7


class Alphabet(StrEnum):
    """A language whose letters a text may use beside those of the default alphabet."""

    TURKISH = "turkish"
    SPANISH = "spanish"
    PORTUGUESE = "portuguese"


# In the order of the national language identifiers, from 1 (23.038, 6.2.1.2.4).
IDENTIFIERS: Final = {alphabet: identifier for identifier, alphabet in enumerate(Alphabet, 1)}

SINGLE_SHIFT, LOCKING_SHIFT = 0x24, 0x25  # information elements (23.040, 9.2.3.24.15 and .16)

_LOCKING: Final = {  # replaces places of the default alphabet
    0: {},
    IDENTIFIERS[Alphabet.TURKISH]: dict(
        zip(bytes.fromhex("0407 0b0c 1c1d 4060"), "€ıĞğŞşİç", strict=True),
    ),
    IDENTIFIERS[Alphabet.PORTUGUESE]: dict(
        zip(
            bytes.fromhex("0406070809 0b0c0e0f 121314151617 18191a 1c1d1e 2440 5b5c5d 60 7b7c7d"),
            "êúíóçÔôÁáªÇÀ∞^\\€Ó|ÂâÊºÍÃÕÚ~ãõ`",
            strict=True,
        )
    ),
}
_SINGLE: Final = {  # adds to the extension table
    0: {},
    IDENTIFIERS[Alphabet.TURKISH]: dict(zip(b"GIScgis", "ĞİŞçğış", strict=True)),
    IDENTIFIERS[Alphabet.SPANISH]: dict(zip(b"\tAIOUaiou", "çÁÍÓÚáíóú", strict=True)),
    IDENTIFIERS[Alphabet.PORTUGUESE]: dict(
        zip(
            bytes.fromhex("05090b0c0e0f 12131516171819 1f 41494f555b5c 61696f757b7c7f"),
            "êçÔôÁáΦΓΩΠΨΣΘÊÀÍÓÚÃÕÂíóúãõâ",
            strict=True,
        )
    ),
}


class Shift(NamedTuple):
    """A locking table and a single shift table by their identifiers; 0 is the default alphabet's."""

    locking: int
    single: int

    @property
    def header(self) -> bytes:
        """The information elements by which a phone learns of it, without the length of the header."""
        elements = ((SINGLE_SHIFT, self.single), (LOCKING_SHIFT, self.locking))
        return b"".join(bytes((element, 1, identifier)) for element, identifier in elements if identifier)


PLAIN: Final = Shift(0, 0)
ALL: Final = tuple(Shift(locking, single) for locking in _LOCKING for single in _SINGLE)  # PLAIN first


class _Septets(dict[int, str]):
    """Code point -> septets, as characters; asks for nothing that the tables do not hold."""

    def __missing__(self, code: int) -> str:
        raise ValueError(f"{chr(code)!r} is not in the alphabet")


class _Tables(NamedTuple):
    """Both ways through the tables of one shift."""

    encode: _Septets
    decode: str
    unescape: dict[str, str]


@lru_cache(maxsize=len(ALL))
def _tables(shift: Shift) -> _Tables:
    replaced = _LOCKING[shift.locking]
    main = "".join(replaced.get(septet, character) for septet, character in enumerate(gsm7.ALPHABET))
    extension = gsm7.EXTENSION | _SINGLE[shift.single]
    escape = chr(gsm7.ESCAPE)
    encode = _Septets({ord(character): escape + chr(septet) for septet, character in extension.items()})
    encode.update({ord(character): chr(septet) for septet, character in enumerate(main) if septet != gsm7.ESCAPE})
    unescape = {main[septet]: character for septet, character in extension.items()} | {"": " ", escape: " "}
    return _Tables(encode, main + gsm7.BEYOND_SEPTETS, unescape)


def shifts(alphabets: Iterable[Alphabet]) -> Iterator[Shift]:
    """Every shift that these alphabets allow, save none at all; those with the shorter headers first."""
    identifiers = tuple(dict.fromkeys(IDENTIFIERS[alphabet] for alphabet in alphabets))
    locking = [identifier for identifier in identifiers if identifier in _LOCKING]
    yield from (Shift(0, single) for single in identifiers)
    yield from (Shift(lock, 0) for lock in locking)
    yield from (Shift(lock, single) for lock in locking for single in identifiers)


def encode(text: str, shift: Shift) -> bytes:
    """One octet for each septet, as `gsm7.encode`. Raises ValueError for a character that the tables do not hold."""
    return text.translate(_tables(shift).encode).encode("ascii")


def fits(text: str, alphabets: Iterable[Alphabet]) -> bool:
    """True when one of the shifts holds every character."""
    return any(_holds(text, shift) for shift in shifts(alphabets))


def _holds(text: str, shift: Shift) -> bool:
    table = _tables(shift).encode
    return all(ord(character) in table for character in text)


def decode(octets: bytes, shift: Shift) -> str:
    """The text of unpacked septets; no octet makes it raise. As `gsm7.decode`, by the tables of this shift."""
    text = codecs.charmap_decode(octets, "replace", _tables(shift).decode)[0]
    return unescape(text, shift) if "\x1b" in text else text


def unescape(text: str, shift: Shift) -> str:
    """Put the extended characters in the place of their escape pairs."""
    found = _tables(shift).unescape
    return _ESCAPE_PAIR.sub(lambda pair: found.get(pair[1], pair[1]), text)


def shift_of(elements: Iterable[tuple[int, bytes]]) -> Shift:
    """The shift that a header's elements ask for; a table that we do not have is the default one."""
    locking = single = 0
    for kind, body in elements:
        if kind == SINGLE_SHIFT and len(body) == 1 and body[0] in _SINGLE:
            single = body[0]
        elif kind == LOCKING_SHIFT and len(body) == 1 and body[0] in _LOCKING:
            locking = body[0]
    return Shift(locking, single) if locking or single else PLAIN


_ESCAPE_PAIR = re.compile("\x1b(.?)", re.DOTALL)
