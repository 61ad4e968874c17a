"""Tells what a carrier brought in the words that the rest of the house uses: receipts, and what people text."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final, NamedTuple

from gateway.channels.smpp.settings import SmppSettings
from gateway.channels.smpp.writing import SHORTEST_NUMBER
from gateway.codecs import parts, smpp
from gateway.codecs.smpp import Reading
from gateway.messages import Asked, Inbound, Receipt, State

Respell = Callable[[str], tuple[str, ...]]

_INTERNATIONAL: Final = chr(smpp.INTERNATIONAL)
_ALPHANUMERIC: Final = chr(smpp.ALPHANUMERIC)
_receipt = partial(tuple.__new__, Receipt)  # half the time of Receipt(...)


class Reader:
    """Reads what one carrier brings, as its settings say."""

    def __init__(self, settings: SmppSettings) -> None:
        self._own = {number.removeprefix("+"): number for number in settings.own}
        self._bare_is_international = settings.bare_is_international
        self._respell = smpp.spellings if settings.message_ids == "auto" else None
        self._as_answered = _AS_ANSWERED.get(settings.message_ids)

    @property
    def knows_spelling(self) -> bool:
        """Whether receipts name parts as their answers did, as far as we know."""
        return self._as_answered is None

    def deliveries(self, told: Iterable[tuple[str, str, str, str, str, str]], handle: object) -> list[Receipt]:
        """Usual receipts of delivery (`Delivery`). They come from phones to our numbers: the reverse of their messages.

        All are thanked by one handle.
        """
        own_numbers, as_people_write = self._own, self._as_people_write
        respelt, respell = self._respelt if self._as_answered else None, self._respell
        receipts = []
        for sender_ton, sender, recipient_ton, recipient, ident, code in told:
            own = own_numbers.get(recipient) or as_people_write(recipient_ton, recipient)
            phone = as_people_write(sender_ton, sender)
            ids = (ident,) if respelt is None else respelt((ident,))
            receipts.append(_receipt((ids, State.DELIVERED, code, own, phone, handle, respell, None)))
        return receipts

    def receipt(self, message: smpp.ShortMessage, handle: object) -> Receipt:
        """Any receipt."""
        ids, state, code = smpp.read_receipt(message)
        recipient, sender = self._recipient_of(message), self._sender_of(message)
        return Receipt(self._respelt(ids), state, code, recipient, sender, handle, self._respell)

    def answer_to(self, asked: Asked, reading: Reading) -> Receipt | None:
        """What the carrier says to our question about a part; None where that ends nothing."""
        if reading.state in (State.SENT, State.UNKNOWN):
            return None
        return Receipt((asked.carrier_id,), reading.state, reading.code, asked.sender, asked.recipient)

    def inbound(self, message: smpp.ShortMessage, line: int, handle: object) -> Inbound:
        """What somebody texted, or a piece of it."""
        octets, has_header = with_header(message)
        text, joint = parts.read(octets, message.data_coding, has_header)
        return Inbound(
            sender=self._sender_of(message),
            recipient=self._recipient_of(message),
            text=text,
            fingerprint=_fingerprint(message, octets),
            joint=joint,
            line=line,
            handle=handle,
        )

    def _respelt(self, ids: tuple[str, ...]) -> tuple[str, ...]:
        """The ids as answers write them, where we know how that differs; what stands there last, should it not."""
        if self._as_answered is None:
            return ids
        return tuple(dict.fromkeys((*(each for ident in ids for each in self._as_answered(ident)), *ids)))

    def _sender_of(self, message: smpp.ShortMessage) -> str:
        return self._as_people_write(chr(message.sender_ton), message.sender)

    def _recipient_of(self, message: smpp.ShortMessage) -> str:
        return self._as_people_write(chr(message.recipient_ton), message.recipient)

    def _as_people_write(self, ton: str, who: str) -> str:
        if who in self._own:
            return self._own[who]
        if len(who) < SHORTEST_NUMBER or not who.isdecimal():
            return who
        is_international = ton == _INTERNATIONAL or (self._bare_is_international and ton != _ALPHANUMERIC)
        return f"+{who}" if is_international else who


class TextOctets(NamedTuple):
    """The octets of a text, and whether they open with a user data header."""

    octets: bytes
    has_header: bool


def with_header(message: smpp.ShortMessage) -> TextOctets:
    """A message's text with the header that a phone would have written, where the carrier made sar_ fields of it."""
    has_header = bool(message.esm_class & smpp.HAS_HEADER)
    if message.options and not has_header:
        header = _header_of(message.options)
        return TextOctets(header + message.octets, bool(header))
    return TextOctets(message.octets, has_header)


def _header_of(options: Mapping[int, bytes]) -> bytes:
    reference, total, number = (options.get(tag, b"") for tag in (smpp.SAR_REFERENCE, smpp.SAR_TOTAL, smpp.SAR_NUMBER))
    if (len(reference), len(total), len(number)) != (2, 1, 1):
        return b""
    return b"\6\x08\4" + reference + total + number


def _fingerprint(message: smpp.ShortMessage, octets: bytes) -> str:
    names = f"{message.sender}\0{message.recipient}\0{message.esm_class}\0{message.data_coding}\0"
    return hashlib.blake2b(names.encode() + octets, digest_size=16).hexdigest()


def _from_hex(ident: str) -> tuple[str, ...]:
    """A receipt's hexadecimal id in decimal, as it is and padded to ten places."""
    try:
        number = int(ident, 16)
    except ValueError:
        return ()
    return str(number), f"{number:010d}"


def _from_decimal(ident: str) -> tuple[str, ...]:
    """A receipt's decimal id in hexadecimal, in small and in capital letters."""
    return (f"{int(ident):x}", f"{int(ident):X}") if ident.isdecimal() and len(ident) <= _MOST_DIGITS else ()


_MOST_DIGITS: Final = 40
_AS_ANSWERED: Final[Mapping[str, Respell]] = {"hex in receipts": _from_hex, "decimal in receipts": _from_decimal}
