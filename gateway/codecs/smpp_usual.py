"""Reads at one go the two packets that a fast line is full of: a carrier's plain yes, and the usual receipt.

Most of what a carrier brings in a campaign is these two, hundreds in a read. What is not exactly like them is left to
`smpp.read_answer`, `smpp.read_message` and `smpp.read_receipt`, which say the same of these and read all else too.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from gateway.codecs.smpp import DELIVER_SM

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


def read(usual: re.Pattern[str], words: str, at: int) -> Run:
    """Read the usual packets from `at` on, up to the first other one, in octets that were decoded as Latin-1."""
    answered, idents, delivered, deliveries = [], [], [], []
    for (
        yes, answered_as, name,
        long, sequence, phone_ton, phone, own_ton, own, text_size, text, ident, code, same_size, same,
    ) in usual.findall(words, at):  # fmt: skip
        if yes:
            length = _BARE_YES + len(name)
            if length != ord(yes):
                break
            answered.append(answered_as)
            idents.append(name)
        elif long:
            length = _BARE_DELIVERY + len(phone) + len(own) + len(text)
            if same_size:
                if same != ident or ord(same_size) != len(same) + 1:
                    break
                length += _BARE_OPTIONS + len(same)
            if ord(text_size) != len(text) or _LENGTHS[length] != long:
                break
            delivered.append(sequence)
            deliveries.append((phone_ton, phone, own_ton, own, ident, code))
        else:
            break
        at += length
    return Run(_numbers(answered), idents, _numbers(delivered), deliveries, at)


def _numbers(sequences: list[str]) -> Sequence[int]:
    return struct.unpack(f">{len(sequences)}I", "".join(sequences).encode("latin-1"))


def _command(number: int) -> str:
    return re.escape(number.to_bytes(4, "big").decode("latin-1"))
