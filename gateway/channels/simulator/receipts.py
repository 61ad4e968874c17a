"""How the simulated carrier writes numbers and receipts, in both forms that carriers use at once."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from gateway import clock
from gateway.channels.simulator.fates import DELETED, DELIVERED, ENROUTE, EXPIRED, UNDELIVERABLE
from gateway.codecs import smpp
from gateway.codecs.smpp import ShortMessage

IS_RECEIPT: Final = 0x04  # esm_class (SMPP 3.4, 5.2.12)
_GSM: Final = b"\x03"  # the kind of network whose error code follows (5.3.2.31)


class Receipt(NamedTuple):
    """A receipt that is not due yet, for the account that submitted."""

    account: str
    submit: ShortMessage
    message_id: bytes
    submit_ms: int
    word: bytes
    origin: object = None  # the line on which the text came


class _Told(NamedTuple):
    """What each word means: how many were delivered, the network's error, the optional parameters."""

    delivered: bytes
    error: bytes
    options: bytes


_TOLD: Final = {
    DELIVERED: _Told(b"001", b"000", smpp.options({smpp.MESSAGE_STATE: b"\x02"})),  # 5.2.28
    UNDELIVERABLE: _Told(
        b"000", b"001", smpp.options({smpp.MESSAGE_STATE: b"\x05", smpp.NETWORK_ERROR_CODE: _GSM + b"\0\x01"})
    ),
    EXPIRED: _Told(b"000", b"000", smpp.options({smpp.MESSAGE_STATE: b"\x03"})),
    DELETED: _Told(b"000", b"000", smpp.options({smpp.MESSAGE_STATE: b"\x04"})),
}
STATES: Final = {ENROUTE: 1, DELIVERED: 2, EXPIRED: 3, DELETED: 4, UNDELIVERABLE: 5}  # message_state (5.2.28)


def body(receipt: Receipt, done_ms: int) -> bytes:
    """The deliver_sm body: the text of appendix B, and the optional parameters of 5.3.2 that say the same."""
    submit, told, message_id = receipt.submit, _TOLD[receipt.word], receipt.message_id
    is_plain = submit.data_coding == 0 and not submit.esm_class & smpp.HAS_HEADER
    return smpp.message_body(
        smpp.address(submit.recipient_ton, submit.recipient_npi, submit.recipient),
        smpp.address(submit.sender_ton, submit.sender_npi, submit.sender),
        b"id:%b sub:001 dlvrd:%b submit date:%b done date:%b stat:%b err:%b text:%b"
        % (
            message_id,
            told.delivered,
            _stamp(receipt.submit_ms // 60_000),
            _stamp(done_ms // 60_000),
            receipt.word,
            told.error,
            submit.octets[:20] if is_plain else b"",
        ),
        esm_class=IS_RECEIPT,
        more=smpp.options({smpp.RECEIPTED_MESSAGE_ID: message_id + b"\0"}) + told.options,
    )


@lru_cache(maxsize=64)
def _stamp(minute: int) -> bytes:
    """Minutes since 1970 as YYMMDDhhmm, UTC (appendix B)."""
    return clock.from_ms(minute * 60_000).strftime("%y%m%d%H%M").encode()


def address(number: str) -> bytes:
    """`+12065550142` as an international number, `20655` as the network's own (5.2.5, 5.2.6)."""
    if number.startswith("+"):
        return smpp.address(smpp.INTERNATIONAL, 1, number[1:])
    return smpp.address(smpp.NETWORK if number.isdecimal() else smpp.ALPHANUMERIC, 0, number)


def sender_of(message: ShortMessage) -> str:
    """Our number as people write it."""
    return "+" + message.sender if message.sender_ton == smpp.INTERNATIONAL else message.sender


def recipient_of(message: ShortMessage) -> str:
    """The handset's number as people write it: always international, whatever type the client gave it."""
    return "+" + message.recipient if message.recipient.isdecimal() else message.recipient
