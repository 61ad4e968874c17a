"""Turns a text that is to be sent into the packets that a carrier takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import repeat
from typing import Final

from gateway.channels.base import cannot_carry
from gateway.channels.smpp.settings import AddressType, SmppSettings
from gateway.codecs import gsm7, parts, smpp
from gateway.codecs.smpp_session import Token
from gateway.errors import Failure, Retry
from gateway.messages import Cargo, Content, Outbound

SHORTEST_NUMBER: Final = 7  # digits; a shorter one is a short code, whatever type the carrier gives it
WHOLE: Final = -1  # the part that stands for all of a message

Bodies = list[tuple[Token, bytes]]  # a token is how the answer begins: message, attempt, part, parts

Cut = Callable[[Outbound, bytes, bytes, int], Bodies]  # message, sender, recipient, how many seconds it is valid

_WANTS_RECEIPT: Final = 1  # registered_delivery (SMPP 3.4, 5.2.17)
_TIME_TO_LIVE: Final = 0x0017  # qos_time_to_live, in seconds: how long a data_sm is valid (5.3.2.8)
# References by which phones join parts, in one octet and in two. By primes, because the low bits of ids that were made
# in different milliseconds are mostly equal.
_SMALL: Final = 251
_GREAT: Final = 65_521
_TOO_LATE: Final = Failure("expired", "it was not sent in time", Retry.NEVER)


class Unwritable(Exception):
    """A message that can never be written; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.words)
        self.failure = failure


class Writer:
    """Writes for one carrier, as its settings say."""

    def __init__(self, settings: SmppSettings) -> None:
        types = settings.types
        self._number, self._short_code = _octets(types.number), _octets(types.short_code)
        self._name, self._plain = _octets(types.name), _octets(types.plain)
        self._alphabets = settings.alphabets
        self._sender = lru_cache(maxsize=1024)(self._address)  # senders are few, recipients are not
        self._head = lru_cache(maxsize=1024)(self._head_of)
        cuts = {"header": self._with_headers, "sar": self._with_sar, "payload": self._whole}
        self._cut: Cut = cuts[settings.long_texts]
        self._body = _data_body if settings.use_data_sm else _submit_body

    def bodies(self, message: Outbound, now_ms: int) -> Bodies:
        """The missing parts of a message, each with the token by which its answer is known. Raises Unwritable.

        The reference is the same in every attempt, so that a phone can join parts of two attempts.
        """
        valid_s = 0
        if message.valid_until:
            left_ms = message.valid_until - now_ms
            if left_ms <= 0:
                raise Unwritable(_TOO_LATE)
            valid_s = left_ms // 1000 or 1
        write = self._cut if message.content is None else self._way_of(message.content)
        try:
            return write(message, self._sender(message.sender), self._address(message.recipient), valid_s)
        except (ValueError, OverflowError) as error:
            raise Unwritable(Failure("unwritable", str(error), Retry.NEVER)) from None

    def each(self, batch: Sequence[Outbound], now_ms: int) -> Iterator[Bodies | Failure]:
        """The bodies of one message after the other, or why it can never be written.

        As `bodies`, in half the time for a text that is one part of plain ASCII and goes to an international number.
        """
        texts = [message.text for message in batch]
        short_cuts = gsm7.encode_plain(texts, parts.WHOLE_SEPTETS) if self._body is _submit_body else repeat(b"")
        phones = _digits([message.recipient for message in batch])
        last: tuple[str, int] | None = None
        head = middle = b""
        for message, septets, digits in zip(batch, short_cuts, phones, strict=False):
            id_, attempt, sender, _, _, _, valid_until, content = message
            if (sender, valid_until) != last:  # of most of a batch they are the same
                last = sender, valid_until
                head = self._head(sender) if not 0 < valid_until <= now_ms else b""
                middle = _middle(0, parts.GSM, max(1, (valid_until - now_ms) // 1000) if valid_until else 0)
            if head and septets and digits and not content:
                yield [((id_, attempt, 0, 1), b"%b%b\0%b%c%b" % (head, digits, middle, len(septets), septets))]
            else:
                yield self._bodies_or_failure(message, now_ms)

    def _bodies_or_failure(self, message: Outbound, now_ms: int) -> Bodies | Failure:
        try:
            return self.bodies(message, now_ms)
        except Unwritable as error:
            return error.failure

    def _head_of(self, sender: str) -> bytes:
        """A body up to the digits of an international number; empty where the sender cannot be written."""
        try:
            return b"\0" + self._sender(sender) + self._number
        except ValueError:
            return b""

    def question(self, carrier_id: str, sender: str) -> bytes:
        """The body of a query_sm about a part. Raises ValueError where it cannot be written."""
        return smpp.query_body(carrier_id, self._sender(sender))

    # --- one text, in each of three ways

    def _way_of(self, content: Content) -> Cut:
        """How a message is written that is more than its letters. Raises Unwritable."""
        if Cargo.PICTURES in content.needs:
            raise Unwritable(cannot_carry(content))
        return self._with_headers if content.needs else self._cut

    def _with_headers(self, message: Outbound, sender: bytes, recipient: bytes, valid_s: int) -> Bodies:
        id_, attempt, missing, reference = message.id, message.attempt, message.missing, message.id % _SMALL
        if message.content is not None:
            coding, pieces, has_header = parts.cut_content(message.text, message.content, reference, self._alphabets)
        elif self._alphabets:
            coding, pieces, has_header = parts.cut(message.text, reference, self._alphabets)
        else:
            coding, pieces = parts.split(message.text, reference)
            has_header = len(pieces) > 1
        esm_class = smpp.HAS_HEADER if has_header else 0
        count, body = len(pieces), self._body
        if count == 1:
            return [((id_, attempt, 0, 1), body(sender, recipient, pieces[0], esm_class, coding, valid_s, b""))]
        return [
            ((id_, attempt, part, count), body(sender, recipient, piece, esm_class, coding, valid_s, b""))
            for part, piece in enumerate(pieces)
            if missing >> part & 1
        ]

    def _with_sar(self, message: Outbound, sender: bytes, recipient: bytes, valid_s: int) -> Bodies:
        coding, pieces = parts.bare(message.text)
        count, reference = len(pieces), message.id % _GREAT
        if count == 1 or count > parts.MOST_PARTS:
            return self._with_headers(message, sender, recipient, valid_s)
        coding = _coding_of(coding, message)
        return [
            (
                (message.id, message.attempt, part, count),
                self._body(sender, recipient, piece, 0, coding, valid_s, smpp.sar(reference, count, part + 1)),
            )
            for part, piece in enumerate(pieces)
            if message.missing >> part & 1
        ]

    def _whole(self, message: Outbound, sender: bytes, recipient: bytes, valid_s: int) -> Bodies:
        """A long text in one packet: its one answer and its one receipt are those of the whole message."""
        count = parts.measure(message.text).parts
        if count == 1:
            return self._with_headers(message, sender, recipient, valid_s)
        coding, octets = parts.whole(message.text)
        coding = _coding_of(coding, message)
        token = (message.id, message.attempt, WHOLE, count)
        if self._body is _data_body:
            return [(token, self._body(sender, recipient, octets, 0, coding, valid_s, b""))]
        return [(token, self._body(sender, recipient, b"", 0, coding, valid_s, smpp.payload(octets)))]

    def _address(self, who: str) -> bytes:
        """An address as SMPP writes it, its type told by its shape. Raises ValueError if it cannot be."""
        if who[:1] == "+":
            digits = who[1:]
            if digits.isdecimal():  # holds no zero octet, so `smpp.text` need not look
                return b"%b%b\0" % (self._number, digits.encode("latin-1"))
            return self._number + smpp.text(digits)
        if not who.isdecimal():
            return self._name + smpp.text(who)
        return (self._short_code if len(who) < SHORTEST_NUMBER else self._plain) + smpp.text(who)


def _digits(recipients: Sequence[str]) -> list[bytes]:
    """What stands behind the plus of international numbers, empty for anything else; all are looked at together."""
    joined = "".join(recipients)
    if joined.count("+") == len(recipients) and {each[:1] for each in recipients} == {"+"} and joined.isascii():
        digits = joined.encode().split(b"+")[1:]
        if b"".join(digits).isdigit() and all(digits):
            return digits
    return [each[1:].encode() if each[:1] == "+" and each[1:].isdecimal() and each.isascii() else b""
            for each in recipients]  # fmt: skip


def _coding_of(coding: int, message: Outbound) -> int:
    return coding if message.content is None else parts.coding_of(coding, message.content)


def _octets(kind: AddressType) -> bytes:
    return bytes((kind.ton, kind.npi))


@lru_cache(maxsize=4096)
def _middle(esm_class: int, coding: int, valid_s: int) -> bytes:
    """What stands between the addresses and the text of a submit_sm: the same for most texts of a minute."""
    validity = smpp.relative_time(valid_s) if valid_s else b""
    body = smpp.message_body(
        b"", b"", b"", esm_class=esm_class, data_coding=coding, registered=_WANTS_RECEIPT, validity=validity
    )
    return body[1:-1]  # without the service type before the addresses, and the length of no text


def _submit_body(
    sender: bytes, recipient: bytes, octets: bytes, esm_class: int, coding: int, valid_s: int, more: bytes
) -> bytes:
    """As `smpp.message_body`, in half its time. No part has more than 160 octets, so its length is one octet."""
    return b"\0%b%b%b%c%b%b" % (sender, recipient, _middle(esm_class, coding, valid_s), len(octets), octets, more)


def _data_body(
    sender: bytes, recipient: bytes, octets: bytes, esm_class: int, coding: int, valid_s: int, more: bytes
) -> bytes:
    if valid_s:
        more += smpp.options({_TIME_TO_LIVE: valid_s.to_bytes(4, "big")})
    return smpp.data_body(
        sender, recipient, octets, esm_class=esm_class, data_coding=coding, registered=_WANTS_RECEIPT, more=more
    )
