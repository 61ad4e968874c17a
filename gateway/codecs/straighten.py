"""Makes a text cheap again where only fine typography made it dear: curly quotes become straight ones, and so on.

After the practice of carriers ("smart encoding"): only characters whose plain form every reader takes for the same.
Fractions, accents and the punctuation of Chinese and Japanese are left alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from gateway.codecs import gsm7, national
from gateway.codecs.national import Alphabet

_PLAINER: Final = {  # what stands for which characters
    '"': "“”„‟«»″‶❝❞\u02ba\u02dd\u02ee",
    "'": "‘’‚‛‹›′‵`´❛❜\u02b9\u02bb\u02bc\u02bd\u02c8\u02ca\u02cb",
    "-": "\u2010\u2011‒–—―−•‣⁃◦\u02d7\ufe58\ufe63",
    "...": "…",
    "..": "‥",
    "!!": "‼",
    "??": "⁇",
    "?!": "⁈",
    "!?": "⁉",
    "/": "⁄∕",
    "*": "∗",
    "~": "˜∼",
    "^": "ˆ",
    "|": "∣",
    " ": "\t\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000",
    "\n": "\v\u0085\u2028\u2029",
    "ff": "\ufb00",
    "fi": "\ufb01",
    "fl": "\ufb02",
    "ffi": "\ufb03",
    "ffl": "\ufb04",
    "£": "￡",
    "¥": "￥",
    "": "\u00ad\u200b\u200c\u200d\u2060\ufeff"  # soft hyphen, zero width spaces and joiners
    "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # marks of direction
    "\ufe0e\ufe0f",  # the choice between a sign and its picture
}
_TABLE: Final = {ord(character): plain for plain, characters in _PLAINER.items() for character in characters}
_TABLE.update({0xFF00 + place: chr(0x20 + place) for place in range(0x01, 0x5F)})  # full-width ASCII

# A link ends where the sentence goes on: a closing quote, a dash or an invisible character is no part of it.
_AFTER_LINK: Final = r".,;:!?)\]'" + '"“”„‟«»‘’‹›…–—\u00ad\u200b-\u200f\u2060\ufeff'
_LINK: Final = re.compile(  # possessive, so that a long text without a link takes no longer
    rf"(?:https?://|(?<![\w.-])www\.|(?<![\w.-])(?:[\w-]++\.)++[a-z]{{2,}}+(?::\d+)?/)\S*[^\s{_AFTER_LINK}]",
    re.IGNORECASE,
)


def straighten(text: str, alphabets: Sequence[Alphabet] = ()) -> str:
    """The text in plain characters, if then the default alphabet (or one of `alphabets`) holds all of it.

    Otherwise, and where it holds the text already, the text itself. Nothing inside a link changes: not in
    `https://...`, `www....` or `word.tld/path`. A caller who shows texts should show what this changed.
    """
    if gsm7.is_gsm(text):
        return text
    plain, place = "", 0
    for link in _LINK.finditer(text):
        plain += _plain(text[place : link.start()]) + link.group()
        place = link.end()
    plain += _plain(text[place:])
    return plain if gsm7.is_gsm(plain) or national.fits(plain, alphabets) else text


def _plain(words: str) -> str:
    """Also composes what was written as a letter and an accent: `é` of two characters is no GSM, of one it is."""
    return unicodedata.normalize("NFC", words.translate(_TABLE))
