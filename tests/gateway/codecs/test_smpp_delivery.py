"""The quick reader of receipts says what the thorough one says, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs import smpp, smpp_delivery
from gateway.messages import State

WORDS = b"id:%b sub:001 dlvrd:001 submit date:2605281200 done date:2605281200 stat:%b err:%b text:%b"
CLOUDHOPPER = bytes.fromhex(  # deliver_sm receipt with options, vector of cloudhopper's PduEncoderTest
    "000000BA00000005000000000000000200010134343935313336313932300001013430343034000400000000000000006E69643A3030353931"
    "3133393738207375623A30303120646C7672643A303031207375626D697420646174653A3130303231303137333020646F6E6520646174653A"
    "3130303231303137333120737461743A44454C49565244206572723A30303020746578743A4024232125262F3A000E00010100060001010"
    "01E000833383630316661000427000102"
)


def deliver(octets: bytes, esm_class: int = 4, more: bytes = b"") -> bytes:
    """The body of a deliver_sm from a phone to us."""
    return smpp.message_body(
        smpp.address(1, 1, "12065550142"), smpp.address(3, 0, "20655"), octets, esm_class=esm_class, more=more
    )


def quick(body: bytes, before: bytes = b"", after: bytes = b"") -> smpp_delivery.Delivery | None:
    """Read it within a longer read."""
    words = (before + body + after).decode("latin-1")
    return smpp_delivery.read(words, len(before), len(before) + len(body))


def same(ident: bytes, state: bytes = b"\2") -> bytes:
    return smpp.options({smpp.RECEIPTED_MESSAGE_ID: ident + b"\0", smpp.MESSAGE_STATE: state})


@pytest.mark.parametrize("more", [b"", same(b"abc")], ids=["plain", "with the usual options"])
@pytest.mark.parametrize("text", [b"Hello", b""])
def test_a_usual_receipt_of_delivery_is_read(text: bytes, more: bytes) -> None:
    told = quick(deliver(WORDS % (b"abc", b"DELIVRD", b"000", text), more=more), b"\0" * 16, b"\0\0\0\x20")

    assert told == ("\1", "12065550142", "\3", "20655", "abc", "000")


@pytest.mark.parametrize(
    "body",
    [
        deliver(WORDS % (b"abc", b"UNDELIV", b"001", b"")),
        deliver(WORDS % (b"abc", b"DELIVRD", b"000", b""), esm_class=0),
        deliver(WORDS % (b"abc", b"DELIVRD", b"000", b""), esm_class=0x20),
        deliver(WORDS % (b"abc", b"DELIVRD", b"000", b""), more=same(b"abd")),
        deliver(WORDS % (b"abc", b"DELIVRD", b"000", b""), more=same(b"abc", b"\5")),
        deliver(WORDS % (b"abc", b"DELIVRD", b"000", b""), more=same(b"abc") + b"\4\x23\0\3\3\0\1"),
        deliver(WORDS % (b"abc", b"DELIVRD", b"0\x01", b"")),
        deliver(b"VOTE 3", esm_class=0),
        CLOUDHOPPER[16:],
    ],
    ids=[
        "failed",
        "a text",
        "not yet",
        "another id",
        "another state",
        "a code",
        "a code that goes on",
        "a vote",
        "hexadecimal in the option",
    ],
)
def test_what_is_not_exactly_that_is_left_to_the_thorough_reader(body: bytes) -> None:
    assert quick(body) is None
    smpp.read_message(body, 0, len(body))


idents = st.binary(max_size=20)
pieces = st.sampled_from([b"", b"\0", b" ", b":", b"\n", b"\x1f", b"\x04\x27\0\1\2", b"stat:UNDELIV", b"err:001"])


@given(
    ident=idents | st.sampled_from([b"abc", b"0059113978"]),
    word=st.sampled_from([b"DELIVRD", b"UNDELIV", b"DELIVRD DELIVRD"]),
    code=st.sampled_from([b"000", b"0-1", b"", b"12"]) | st.binary(max_size=6),
    text=st.binary(max_size=20) | pieces,
    esm_class=st.sampled_from([4, 0, 0x20, 0x44]),
    more=st.binary(max_size=12) | idents.map(same) | st.just(same(b"abc")),
    cut=st.integers(0, 40) | st.just(0),
)
def test_it_never_says_what_the_thorough_reader_would_not(
    ident: bytes, word: bytes, code: bytes, text: bytes, esm_class: int, more: bytes, cut: int
) -> None:
    """R-2.12"""
    body = deliver(WORDS % (ident, word, code, text), esm_class, more)
    body = body[: len(body) - cut]
    told = quick(body, b"\0\0\0\0", b"\0\x1e\0\4abc\0")
    if told is None:
        return
    message = smpp.read_message(body, 0, len(body))
    reading = smpp.read_receipt(message)

    assert smpp.is_receipt(message)
    assert (reading.state, reading.ids, reading.code) == (State.DELIVERED, (told.ident,), told.code)
    assert (message.sender, message.recipient) == (told.sender, told.recipient)
    assert (message.sender_ton, message.recipient_ton) == (ord(told.sender_ton), ord(told.recipient_ton))


@given(st.binary(max_size=200))
def test_no_octets_make_it_raise(octets: bytes) -> None:
    quick(octets)


def test_a_side_without_receipts_reads_none() -> None:
    assert smpp_delivery.none("anything", 0, 8) is None  # type: ignore[func-returns-value]
