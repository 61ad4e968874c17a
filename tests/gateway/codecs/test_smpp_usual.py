"""What is read at one go is what the thorough readers say of it, or is left to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.codecs import smpp, smpp_usual
from gateway.codecs.smpp import ANSWER, HEADER
from gateway.codecs.smpp_session import Answered, Arrived, Bind, Client, Delivered
from gateway.codecs.smpp_usual import Delivery
from gateway.messages import State

WORDS = b"id:%b sub:001 dlvrd:001 submit date:2605281200 done date:2605281200 stat:%b err:%b text:%b"
CLOUDHOPPER = bytes.fromhex(  # deliver_sm receipt with options, vector of cloudhopper's PduEncoderTest
    "000000BA00000005000000000000000200010134343935313336313932300001013430343034000400000000000000006E69643A3030353931"
    "3133393738207375623A30303120646C7672643A303031207375626D697420646174653A3130303231303137333020646F6E6520646174653A"
    "3130303231303137333120737461743A44454C49565244206572723A30303020746578743A4024232125262F3A000E00010100060001010"
    "01E000833383630316661000427000102"
)
YES = smpp.SUBMIT_SM | ANSWER
PATTERN = smpp_usual.pattern(YES, takes_deliveries=True)
USUAL = Delivery("\1", "12065550142", "\3", "20655", "abc", "000")


def packet(command: int, sequence: int, body: bytes, status: int = 0) -> bytes:
    return HEADER.pack(16 + len(body), command, status, sequence) + body


def receipt(octets: bytes, esm_class: int = 4, more: bytes = b"") -> bytes:
    """The body of a deliver_sm from a phone to us."""
    return smpp.message_body(
        smpp.address(1, 1, "12065550142"), smpp.address(3, 0, "20655"), octets, esm_class=esm_class, more=more
    )


def read(octets: bytes, at: int = 0) -> smpp_usual.Run:
    return smpp_usual.read(PATTERN, octets, octets.decode("latin-1"), at)


def same(ident: bytes, state: bytes = b"\2") -> bytes:
    return smpp.options({smpp.RECEIPTED_MESSAGE_ID: ident + b"\0", smpp.MESSAGE_STATE: state})


DELIVERED = receipt(WORDS % (b"abc", b"DELIVRD", b"000", b""))


@pytest.mark.parametrize("more", [b"", same(b"abc")], ids=["plain", "with the usual options"])
@pytest.mark.parametrize("text", [b"Hello", b""])
def test_answers_and_receipts_are_read_in_any_order_up_to_what_is_not_all_there(text: bytes, more: bytes) -> None:
    delivered = receipt(WORDS % (b"abc", b"DELIVRD", b"000", text), more=more)
    octets = b"".join(
        (packet(YES, 7, b"id-7\0"), packet(5, 1, delivered), packet(5, 0x01020304, delivered), packet(YES, 8, b"\0"))
    )

    assert read(octets + octets[:40]) == (
        (7, 8, 7),
        ["id-7", "", "id-7"],
        (1, 0x01020304),
        [USUAL] * 2,
        len(octets) + 21,
    )
    assert read(b"\0\0" + octets, at=2).end == len(octets) + 2


@pytest.mark.parametrize(
    "body",
    [
        receipt(WORDS % (b"abc", b"UNDELIV", b"001", b"")),
        receipt(WORDS % (b"abc", b"DELIVRD", b"000", b""), esm_class=0),
        receipt(WORDS % (b"abc", b"DELIVRD", b"000", b""), esm_class=0x20),
        receipt(WORDS % (b"abc", b"DELIVRD", b"000", b""), more=same(b"abd")),
        receipt(WORDS % (b"abc", b"DELIVRD", b"000", b""), more=same(b"abc", b"\5")),
        receipt(WORDS % (b"abc", b"DELIVRD", b"000", b""), more=same(b"abc") + b"\4\x23\0\3\3\0\1"),
        receipt(WORDS % (b"abc", b"DELIVRD", b"0\x01", b"")),
        receipt(WORDS % (b"abc", b"DELIVRD", b"000", b"a\0b")),
        receipt(b"VOTE 3", esm_class=0),
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
        "a zero octet in its text",
        "a vote",
        "hexadecimal in the option",
    ],
)
def test_a_receipt_that_is_not_exactly_that_is_left_to_the_thorough_reader(body: bytes) -> None:
    before = packet(YES, 7, b"id-7\0")

    assert read(before + packet(smpp.DELIVER_SM, 9, body) + before) == ((7,), ["id-7"], (), [], len(before))
    smpp.read_message(body, 0, len(body))


@pytest.mark.parametrize(
    "other",
    [
        packet(YES, 9, b"", smpp.THROTTLED),
        packet(YES, 9, b""),
        packet(YES, 9, b"id-9\0\4\x28\0\1\x5a"),
        packet(smpp.DATA_SM | ANSWER, 9, b"id-9\0"),
        packet(smpp.ENQUIRE_LINK, 9, b""),
        packet(YES, 9, b"id-9\0")[:-1],
        b"\0\0\0\x14" + packet(YES, 9, b"id-9\0")[4:],
        b"\0\0\0\x18" + packet(YES, 9, b"id-9\0")[4:],
    ],
    ids=["refused", "no body", "options", "of a data_sm", "a question", "cut off", "too short", "too long"],
)
def test_an_answer_that_is_not_just_an_id_is_left_to_the_thorough_reader(other: bytes) -> None:
    before = packet(YES, 7, b"id-7\0")

    assert read(before + other).end == len(before)


def test_where_no_receipt_may_come_none_is_read() -> None:
    octets = packet(smpp.DELIVER_SM, 1, DELIVERED)

    none = smpp_usual.read(smpp_usual.pattern(YES, takes_deliveries=False), octets, octets.decode("latin-1"), 0)
    assert none.end == 0
    assert read(octets).deliveries == [USUAL]


idents = st.binary(max_size=20)
pieces = st.sampled_from([b"", b"\0", b" ", b":", b"\n", b"\x1f", b"\x04\x27\0\1\2", b"stat:UNDELIV", b"err:001"])
receipts = st.builds(
    receipt,
    st.builds(
        lambda *words: WORDS % words,
        idents | st.sampled_from([b"abc", b"0059113978"]),
        st.sampled_from([b"DELIVRD", b"UNDELIV", b"DELIVRD DELIVRD"]),
        st.sampled_from([b"000", b"0-1", b"", b"12"]) | st.binary(max_size=6),
        st.binary(max_size=20) | pieces,
    ),
    st.sampled_from([4, 4, 4, 0, 0x20, 0x44]),
    st.just(b"") | st.just(same(b"abc")) | st.binary(max_size=12) | idents.map(same),
)
usual_receipts = st.builds(
    lambda ident, text, more: receipt(WORDS % (ident, b"DELIVRD", b"000", text), more=same(ident) if more else b""),
    st.sampled_from([b"abc", b"0059113978", b"7"]),
    st.sampled_from([b"", b"Hello"]),
    st.booleans(),
)
sequences = st.integers(1, 60)
answers = st.builds(
    packet,
    st.just(YES),
    sequences,
    st.sampled_from([b"id-1\0", b"12345678\0", b"\0", b"", b"id", b"id\0\4\x28\0\1\x5a", b"a\0b\0"]),
    st.sampled_from([0, 0, 0, 0, smpp.THROTTLED]),
)
packets = (
    answers
    | st.builds(packet, st.just(smpp.DELIVER_SM), sequences, usual_receipts)
    | st.builds(packet, st.just(smpp.DELIVER_SM), sequences, receipts)
    | st.builds(packet, st.just(smpp.DELIVER_SM), sequences, st.binary(max_size=60))
    | st.builds(
        packet, st.sampled_from([smpp.ENQUIRE_LINK, smpp.GENERIC_NACK, smpp.DATA_SM | ANSWER]), sequences, st.just(b"")
    )
)


Told = tuple[list[object], list[object], bytes]


class Thorough(Client):
    """Reads one packet after the other."""

    def _read_usual(self, data: bytes, words: str, at: int, read: object) -> int:
        return at


def told(kind: type[Client], octets: bytes, cuts: Sequence[int], mode: str) -> Told:
    """Answers, what arrived, and what was written, of octets that come cut at these places."""
    client = kind(Bind(mode, "lantern", "secret"), reads_deliveries=True)
    client.start(0)
    bind = int.from_bytes(client.take_out()[4:8], "big")
    client.receive(packet(bind | ANSWER, 1, b"SMSC\0"), 0)
    client.send([(token, b"") for token in range(2, 32)], 0)
    client.tick(31)  # these are late now
    client.send([(token, b"") for token in range(32, 62)], 31)
    client.take_out()
    answered: list[object] = []
    arrived: list[object] = []
    places = sorted({0, len(octets), *(cut % (len(octets) + 1) for cut in cuts)})
    for event in (event for start, end in pairwise(places) for event in client.receive(octets[start:end], 31)):
        if isinstance(event, Answered):
            answered += event.answers
        elif isinstance(event, Arrived):
            arrived += [(sequence, said(message)) for sequence, message in event.messages]
        elif isinstance(event, Delivered):
            arrived += [
                (sequence, (*addresses, State.DELIVERED, (ident,), code))
                for sequence, (*addresses, ident, code) in zip(event.sequences, event.deliveries, strict=True)
            ]
    return answered, sorted(arrived, key=repr), client.take_out()


def said(message: smpp.ShortMessage) -> object:
    if not smpp.is_receipt(message):
        return message
    ids, state, code = smpp.read_receipt(message)
    tons = chr(message.sender_ton), chr(message.recipient_ton)
    return tons[0], message.sender, tons[1], message.recipient, state, ids, code


@given(
    st.lists(packets, max_size=12) | st.lists(packets, max_size=12).map(lambda some: some * 8),
    st.lists(st.integers(0, 20_000), max_size=4),
    st.sampled_from(["transceiver", "transmitter", "receiver"]),
    st.binary(max_size=30),
)
def test_a_line_that_reads_at_one_go_tells_what_one_tells_that_does_not(
    frames: list[bytes], cuts: list[int], mode: str, noise: bytes
) -> None:
    """R-2.12"""
    octets = b"".join(frames) + noise

    assert told(Client, octets, cuts, mode) == told(Thorough, octets, (), mode)


def yes(number: int) -> bytes:
    return packet(YES, number, b"%08x\0" % number)


def receipt_of(number: int, more: bytes = b"", state: bytes = b"DELIVRD") -> bytes:
    octets = WORDS % (
        b"%08x" % number,
        state,
        b"%03d" % (number % 7),
        b"Lantern Coffee" if number % 3 else b"Hello",
    )
    addresses = smpp.address(1, 1, f"1206555{number:04}"), smpp.address(3, 0, "20655")
    return packet(smpp.DELIVER_SM, number, smpp.message_body(*addresses, octets, esm_class=4, more=more))


ROWS: dict[str, Callable[[int], bytes]] = {
    "answers": yes,
    "receipts": receipt_of,
    "by turns": lambda number: yes(number) + receipt_of(number),
    "receipts with options": lambda number: receipt_of(number, same(b"%08x" % number)),
    "receipts before answers": lambda number: receipt_of(number) + yes(number),
}
FAILED = {"one in twenty failed": lambda n: yes(n) + receipt_of(n, state=b"DELIVRD" if n % 20 else b"UNDELIV")}


@pytest.mark.parametrize("kind", ROWS)
def test_many_of_one_make_are_read_as_each_of_them_would_be(kind: str) -> None:
    pieces = [ROWS[kind](number) for number in range(2, 202)]

    run = read(b"".join(pieces))

    each = [read(piece) for piece in pieces]
    assert [*run.answered] == [number for one in each for number in one.answered]
    assert run.idents == [ident for one in each for ident in one.idents]
    assert [*run.delivered] == [number for one in each for number in one.delivered]
    assert run.deliveries == [delivery for one in each for delivery in one.deliveries]
    assert run.end == sum(map(len, pieces))


def test_a_short_read_behind_a_mixed_one_is_read_to_its_end() -> None:
    mixed = b"".join(yes(n) + receipt_of(n, state=b"DELIVRD" if n % 5 else b"UNDELIV") for n in range(2, 60))
    rest = packet(smpp.DELIVER_SM, 1, receipt(b"VOTE 3", esm_class=0))

    assert told(Client, mixed + rest, [len(mixed)], "transceiver") == told(Thorough, mixed + rest, (), "transceiver")


@pytest.mark.parametrize("octets", [300, 380, 500])
def test_a_receipt_behind_which_a_carrier_puts_much_of_its_own_breaks_no_line(octets: int) -> None:
    more = (0x1515).to_bytes(2, "big") + (octets + 4).to_bytes(2, "big") + b"A" * octets
    strange = packet(smpp.DELIVER_SM, 2, receipt(WORDS % (b"abc", b"DELIVRD", b"000", b"hello"), more=more))
    stream = strange + b"".join(receipt_of(n, state=b"DELIVRD") for n in range(3, 40))

    assert told(Client, stream, (), "transceiver") == told(Thorough, stream, (), "transceiver")


@settings(deadline=None)  # hundreds of packets, twice
@given(
    st.lists(st.tuples(st.sampled_from([*ROWS, *FAILED]), st.integers(1, 100)), min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 100_000), st.binary(min_size=1, max_size=1)), max_size=3),
    st.lists(st.integers(0, 100_000), max_size=4),
)
def test_rows_with_some_octets_changed_tell_what_the_thorough_reader_tells(
    rows: list[tuple[str, int]], changes: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    """R-2.12"""
    kinds = ROWS | FAILED
    octets = bytearray(b"".join(kinds[kind](number) for kind, count in rows for number in range(2, 2 + count)))
    for place, octet in changes:
        octets[place % len(octets)] = octet[0]

    assert told(Client, bytes(octets), cuts, "transceiver") == told(Thorough, bytes(octets), (), "transceiver")


@given(st.binary(max_size=300))
def test_no_octets_make_it_raise(octets: bytes) -> None:
    read(octets)
