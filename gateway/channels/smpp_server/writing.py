"""Writes what a program is told: receipts in both forms that carriers use, and what people texted.

Section numbers are those of the SMPP v3.4 specification, issue 1.2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from gateway.channels.smpp_server import receipts
from gateway.channels.smpp_server.receipts import Receipt
from gateway.clock import from_ms, to_ms
from gateway.codecs import parts, smpp

IS_RECEIPT: Final = 0x04  # esm_class (5.2.12)
IS_ON_THE_WAY: Final = 0x20
_ON_FAILURE_ONLY: Final = 2  # registered_delivery (5.2.17)
_AT_THE_END: Final = 3
_ON_THE_WAY: Final = 0x10
_USER_REFERENCE: Final = 0x0204  # 5.3.2.17
_GSM: Final = b"\x03"  # the kind of network whose error code follows (5.3.2.31)
_SHORTEST_NUMBER: Final = 7  # digits; a shorter one is a short code
_MINUTE_MS: Final = 60_000
# The letters of the text that a receipt repeats (appendix B), as far as they are the same in every alphabet.
_PLAIN: Final = re.compile("[A-Za-z0-9 !\"#%&'()*+,./:;<=>?\n-]{1,20}")
_CODE: Final = re.compile("[0-9]{1,5}(?![0-9])")


class End(NamedTuple):
    """How a state is written: its word (appendix B) and its number, message_state (5.2.28)."""

    word: bytes
    number: int


ENDS: Final[Mapping[str, End]] = {
    "queued": End(b"ENROUTE", 1),
    "in_doubt": End(b"ENROUTE", 1),
    "sent": End(b"ENROUTE", 1),
    "delivered": End(b"DELIVRD", 2),
    "expired": End(b"EXPIRED", 3),
    "stopped": End(b"DELETED", 4),
    "failed": End(b"UNDELIV", 5),
    "unknown": End(b"UNKNOWN", 7),
    "refused": End(b"REJECTD", 8),
}
_ON_ITS_WAY: Final = frozenset(("queued", "in_doubt", "sent"))


def bodies(kind: str, body: str, target: str) -> list[bytes]:
    """The deliver_sm bodies that tell a notice: one for each piece that the program brought, or none at all.

    `kind`, `body` and `target` are those of the notice.
    """
    if kind == receipts.KIND:
        return [each for receipt in receipts.unpack(body) for each in receipt_bodies(receipt)]
    if kind == "message.received":
        return text_bodies(orjson.loads(body)["data"])
    if not kind.startswith("message.") or not target:
        return []
    told = orjson.loads(body)
    data = told["data"]
    begun, at = (_ms_of(written) for written in (data["created_at"], told["at"]))
    return receipt_bodies(
        Receipt(0, int(data["id"]), data["state"], data["code"], begun, at, data["text"], orjson.loads(target))
    )


def receipt_bodies(receipt: Receipt) -> list[bytes]:
    """A receipt for each id under which we acknowledged the text; none where this one was not asked for."""
    _, message, state, code, created_at, at, text, asked = receipt
    if not _is_asked(asked["asked"], state):
        return []
    form, size = _form(*asked["sender"], state, code_of(code, state), created_at // _MINUTE_MS, at // _MINUTE_MS)
    phone, letters = smpp.address(*asked["recipient"]), _PLAIN.match(text)
    said, reference = letters[0].encode() if letters else b"", asked.get("reference")
    own = smpp.options({_USER_REFERENCE: (int(reference) & 0xFFFF).to_bytes(2, "big")}) if reference else b""
    size += len(said)
    return [
        form % (phone, size + len(ident), ident, said, len(ident) + 1, ident, own)
        for ident in [b"%d" % each for each in asked.get("ids") or (message,)]
    ]


class Form(NamedTuple):
    """The body of all receipts of a sender, an end and two minutes, with gaps; `size` is that of its text without them.

    The gaps are for the phone, the size of the text, the id, the letters of the text, the id's size and the id again,
    and the program's own reference.
    """

    body: bytes
    size: int


@lru_cache(maxsize=4096)
def _form(ton: int, npi: int, sender: str, state: str, code: int, created: int, at: int) -> Form:
    end, begin = ENDS[state], b"id:"
    esm_class = IS_ON_THE_WAY if state in _ON_ITS_WAY else IS_RECEIPT
    empty = smpp.message_body(b"", smpp.address(ton, npi, sender), b"", esm_class=esm_class)
    words = b" sub:001 dlvrd:%03d submit date:%b done date:%b stat:%b err:%03d text:" % (
        state == "delivered", _stamp(created), _stamp(at), end.word, code,
    )  # fmt: skip
    more = {smpp.MESSAGE_STATE: bytes((end.number,))}
    if code:
        more[smpp.NETWORK_ERROR_CODE] = _GSM + code.to_bytes(2, "big")
    before, after = (each.replace(b"%", b"%%") for each in (empty[1:-1], smpp.options(more)))
    body = b"\0%b" + before + b"%c" + begin + b"%b" + words + b"%b\0\x1e\0%c%b\0" + after + b"%b"
    return Form(body, len(begin) + len(words))


def text_bodies(data: Mapping[str, Any]) -> list[bytes]:
    """What somebody texted, in as many parts as it takes; pictures as words that say they are there."""
    text = data["text"]
    for picture in data.get("media") or ():
        text += f"\n[{picture['type']}]"
    coding, pieces = parts.split(text[: parts.MOST_PARTS * parts.PART_UNITS // 2], int(data["id"]) % 251)
    sender, recipient = address(data["from"]), address(data["to"])
    esm_class = smpp.HAS_HEADER if len(pieces) > 1 else 0
    return [smpp.message_body(sender, recipient, piece, esm_class=esm_class, data_coding=coding) for piece in pieces]


def address(number: str) -> bytes:
    """`+12065550142` as an international number, `20655` as the network's own, `Lantern` as a name (5.2.5, 5.2.6)."""
    if number.startswith("+"):
        return smpp.address(smpp.INTERNATIONAL, 1, number[1:])
    if not number.isdecimal():
        return smpp.address(smpp.ALPHANUMERIC, 0, number.encode("latin-1", "replace").decode("latin-1"))
    return smpp.address(smpp.NETWORK if len(number) < _SHORTEST_NUMBER else 0, 1, number)


def _is_asked(asked: int, state: str) -> bool:
    if state in _ON_ITS_WAY:
        return bool(asked & _ON_THE_WAY) and state == "sent"
    final = asked & _AT_THE_END
    if final == _AT_THE_END:  # SMPP 5.0, 4.7.21: of success only
        return state == "delivered"
    return final == 1 or (final == _ON_FAILURE_ONLY and state != "delivered")


def code_of(code: str, state: str) -> int:
    """The network's error, as a number: that which the carrier gave, if it gave one."""
    if state == "delivered" or state in _ON_ITS_WAY:
        return 0
    found = _CODE.search(code)
    return min(int(found[0]), 999) if found else 0


@lru_cache(maxsize=1024)
def _stamp(minute: int) -> bytes:
    """A minute since 1970 as YYMMDDhhmm (appendix B)."""
    return from_ms(minute * _MINUTE_MS).strftime("%y%m%d%H%M").encode()


def _ms_of(written: str) -> int:
    return to_ms(datetime.fromisoformat(written))
