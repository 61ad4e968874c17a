"""Reads at one go the two packets that a fast line is full of: a carrier's plain yes, and the usual receipt.

Most of what a carrier brings in a campaign is these two, hundreds in a read, and most of them are of one length and one
make. So they are taken by columns where they stand in a row or by turns (`smpp_columns`), and else one after the other
by one expression. What is not exactly like them is left to `smpp.read_answer`, `smpp.read_message` and
`smpp.read_receipt`, which say the same of these and read all else too.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple

from gateway.codecs import smpp_columns
from gateway.codecs.smpp import DELIVER_SM
from gateway.codecs.smpp_columns import Answers, Deliveries, Make

# A whole packet each, header (SMPP 3.4, 3.2) and all; what `%s` stands for is its command.
_YES: Final = r"\0\0\0(.)%s\0\0\0\0(.{4})([^\0]*)\0"  # status 0, and nothing but an id (4.4.2)
_DELIVERY: Final = (
    r"\0\0(..)%s\0\0\0\0(.{4})"
    r"\0(.).([^\0]{0,20})\0(.).([^\0]{0,20})\0\x04..\0\0.{4}(.)"  # the body (4.6.1) up to its text (appendix B)
    r"(id:([^\s:\0]+) sub:\d+ dlvrd:\d+ submit date:\d+ done date:\d+ stat:DELIVRD err:([^\s:\0-\x1f]+)(?: [^\0]*)?)"
    r"(?:\0\x1e\0(.)([^\0]{0,64})\0\x04\x27\0\x01\x02)?"  # the id again, and the state: delivered (5.3.2.12, 35)
)
_NEVER: Final = "(?!)"
_ANYTHING: Final = ".+"  # so that no octet is ever passed over in search of the next packet
_BARE_YES: Final = 17  # octets of an answer without the id
_BARE_DELIVERY: Final = 33  # of a deliver_sm without addresses and text
_BARE_OPTIONS: Final = 10  # of the two options without the id
_LENGTHS: Final = tuple(chr(length >> 8) + chr(length & 0xFF) for length in range(512))  # no usual receipt is longer
_LONGEST: Final = 512
WORTHWHILE: Final = 2048  # octets: columns of fewer cost more than they save
STEADY: Final = 16_384  # octets without another packet, after which as many more are likely
_WINDOW: Final = 2048  # octets that are read one by one before columns are tried again; in vain, twice as many


class Delivery(NamedTuple):
    """What a receipt of delivery says. Addresses are as the packet has them: `sender` is the phone."""

    sender_ton: str  # the octet as a character
    sender: str
    recipient_ton: str
    recipient: str
    ident: str
    code: str


class Run(NamedTuple):
    """What was read: sequences and ids of plain answers, sequences and words of receipts, and where that ends.

    `deliveries` are tuples with the fields of a `Delivery`, without its type, for their speed.
    """

    answered: Sequence[int]
    idents: list[str]
    delivered: Sequence[int]
    deliveries: list[tuple[str, str, str, str, str, str]]
    end: int


@lru_cache
def pattern(answer: int, *, takes_deliveries: bool) -> re.Pattern[str]:
    """What `read` looks for: answers of this command, and receipts where they may come."""
    usual = f"{_YES % _command(answer)}|{'' if takes_deliveries else _NEVER}{_DELIVERY % _command(DELIVER_SM)}"
    return re.compile(f"{usual}|{_ANYTHING}", re.DOTALL | re.ASCII)


def read(usual: re.Pattern[str], octets: bytes, words: str, at: int, *, by_columns: bool = True) -> Run:
    """Read the usual packets from `at` on, up to the first other one; `words` are the octets, decoded as Latin-1.

    It costs less not to try columns where the next other packet is likely to be near.
    """
    size, window = len(octets), _WINDOW
    read = _Read()
    while by_columns and size - at >= WORTHWHILE:
        end = _read_columns(usual, octets, words, at, read)
        window = window * 2 if end == at else _WINDOW
        at = _read_each(usual, words, end, end + window, read)
        if at < end + window - _LONGEST:  # there is another packet, or nothing more
            break
    else:
        at = _read_each(usual, words, at, size, read)
    return Run(_numbers(read.answered), read.idents, _numbers(read.delivered), read.deliveries, at)


@dataclass(slots=True)
class _Read:
    """What was read so far; sequences as they stand in the packets."""

    answered: list[bytes] = field(default_factory=list)
    idents: list[str] = field(default_factory=list)
    delivered: list[bytes] = field(default_factory=list)
    deliveries: list[tuple[str, str, str, str, str, str]] = field(default_factory=list)


def _read_columns(usual: re.Pattern[str], octets: bytes, words: str, at: int, read: _Read) -> int:
    """Read packets of one make in a row, or answers and receipts that take turns; where that ends."""
    makes = _makes(usual, words, at)
    for columns, end in smpp_columns.rows(octets, at, makes) if makes else ():
        answers: Answers | None = None
        deliveries: Deliveries | None = None
        first = 0
        for make in makes:
            last = first + len(make.sizes)
            if make.is_answer:
                answers = smpp_columns.read_answers(columns[first:last])
            else:
                deliveries = smpp_columns.read_deliveries(columns[first:last])
            first = last
        if (answers is not None) + (deliveries is not None) < len(makes):
            break
        if answers is not None:
            read.answered += answers.sequences
            read.idents += answers.idents
        if deliveries is not None:
            read.delivered += deliveries.sequences
            read.deliveries += deliveries.deliveries
        at = end
    return at


def _makes(usual: re.Pattern[str], words: str, at: int) -> tuple[Make, ...]:
    """The makes of the next packet and of the one behind it, if that is of the other kind; none where it is neither."""
    makes: list[Make] = []
    while len(makes) < 2:
        found = usual.match(words, at, at + _LONGEST)
        make = _make_of(found) if found else None
        if found is None or make is None or (makes and make.is_answer == makes[0].is_answer):
            break
        makes.append(make)
        at = found.end()
    return tuple(makes)


def _make_of(found: re.Match[str]) -> Make | None:
    """Where the fields of a usual packet stand; None where its lengths do not fit."""
    start, length = found.start(), len(found[0])
    if found[1]:
        return smpp_columns.answer(length) if ord(found[1]) == length else None
    if not found[4] or ord(found[10]) != len(found[11]) or length >= _LONGEST or found[4] != _LENGTHS[length]:
        return None
    if found[14] and (found[15] != found[12] or ord(found[14]) != len(found[15]) + 1):
        return None
    places = ((found.start(group) - start, found.end(group) - start) for group in (7, 12, 13, 11, 15))
    phone, ident, code, (_, text), again = places
    return smpp_columns.delivery(length, phone, ident, code, text, again if found[14] else (length, length))


def _read_each(usual: re.Pattern[str], words: str, at: int, end: int, read: _Read) -> int:
    """Read one packet after the other, up to the first other one or one that is cut off at `end`; where that is."""
    answered: list[str] = []
    delivered: list[str] = []
    for (
        yes, answered_as, name,
        long, sequence, phone_ton, phone, own_ton, own, text_size, text, ident, code, same_size, same,
    ) in usual.findall(words, at, end):  # fmt: skip
        if yes:
            length = _BARE_YES + len(name)
            if length != ord(yes):
                break
            answered.append(answered_as)
            read.idents.append(name)
        elif long:
            length = _BARE_DELIVERY + len(phone) + len(own) + len(text)
            if same_size:
                if same != ident or ord(same_size) != len(same) + 1:
                    break
                length += _BARE_OPTIONS + len(same)
            if ord(text_size) != len(text) or _LENGTHS[length] != long:
                break
            delivered.append(sequence)
            read.deliveries.append((phone_ton, phone, own_ton, own, ident, code))
        else:
            break
        at += length
    read.answered.append("".join(answered).encode("latin-1"))
    read.delivered.append("".join(delivered).encode("latin-1"))
    return at


def _numbers(sequences: list[bytes]) -> Sequence[int]:
    joined = b"".join(sequences)
    return struct.unpack(f">{len(joined) // 4}I", joined)


def _command(number: int) -> str:
    return re.escape(number.to_bytes(4, "big").decode("latin-1"))
