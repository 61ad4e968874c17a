"""What a program is told, as packets; read again by our own client's reader."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.channels.smpp_server import writing
from gateway.codecs import parts, smpp
from gateway.messages import State

AT = "2026-11-22T08:05:00.123Z"
DATA = {
    "id": "123", "to": "+12065550142", "from": "20655", "state": "delivered", "code": "000", "parts": 1,
    "reference": "", "test": False, "channel": "us_sms", "created_at": "2026-11-22T08:00:59.000Z",
    "text": "Your order 7 is ready for you",
}  # fmt: skip
ASKED = {"door": "smpp", "asked": 1, "sender": [3, 0, "20655"], "recipient": [1, 1, "12065550142"], "reference": ""}


def read(body: bytes) -> smpp.ShortMessage:
    return smpp.read_message(body, 0, len(body))


def told(
    kind: str = "message.delivered", asked: dict[str, Any] | None = None, **data: object
) -> list[smpp.ShortMessage]:
    body = orjson.dumps({"type": kind, "at": AT, "data": {**DATA, **data}}).decode()
    return [read(each) for each in writing.bodies(kind, body, orjson.dumps({**ASKED, **(asked or {})}).decode())]


def test_a_receipt_says_it_in_words_and_in_fields() -> None:
    """The words are those of SMPP 3.4, appendix B; the fields those of 5.3.2.12 and 5.3.2.35."""
    (message,) = told()
    assert message.octets == (
        b"id:123 sub:001 dlvrd:001 submit date:2611220800 done date:2611220805 stat:DELIVRD err:000"
        b" text:Your order 7 is read"
    )
    assert message.esm_class == writing.IS_RECEIPT
    assert message.options == {smpp.RECEIPTED_MESSAGE_ID: b"123\0", smpp.MESSAGE_STATE: b"\2"}
    assert (message.sender_ton, message.sender_npi, message.sender) == (1, 1, "12065550142")
    assert (message.recipient_ton, message.recipient_npi, message.recipient) == (3, 0, "20655")


def test_a_sender_and_a_phone_may_have_any_letters_and_no_letter_at_all_may_be_told() -> None:
    (message,) = told(
        asked={"sender": [5, 0, "50% off %c"], "recipient": [0, 0, "100%b"], "reference": "65543"}, text=""
    )
    assert (message.recipient, message.sender) == ("50% off %c", "100%b")
    assert message.octets.endswith(b"err:000 text:")
    assert message.options[0x0204] == b"\0\7"


@pytest.mark.parametrize(
    ("state", "code", "state_read", "code_read"),
    [
        ("delivered", "000", State.DELIVERED, "000"),
        ("failed", "UNDELIV 034", State.FAILED, "UNDELIV 034"),
        ("failed", "30007 carrier violation", State.FAILED, "UNDELIV 999"),
        ("expired", "", State.EXPIRED, "EXPIRED 000"),
        ("stopped", "cancelled", State.FAILED, "DELETED 000"),
        ("refused", "stop", State.FAILED, "REJECTD 000"),
        ("unknown", "", State.UNKNOWN, "UNKNOWN 000"),
    ],
)
def test_each_end_has_its_word(state: str, code: str, state_read: State, code_read: str) -> None:
    (message,) = told(f"message.{state}", state=state, code=code)
    assert smpp.read_receipt(message) == smpp.Reading(("123",), state_read, code_read)


@pytest.mark.parametrize(
    ("asked", "state", "count"),
    [
        (0, "delivered", 0), (1, "delivered", 1), (1, "failed", 1), (2, "delivered", 0), (2, "failed", 1),
        (3, "delivered", 1), (3, "failed", 0), (1, "sent", 0), (0x11, "sent", 1), (0x11, "in_doubt", 0),
    ],
)  # fmt: skip
def test_only_what_was_asked_for_is_told(asked: int, state: str, count: int) -> None:
    assert len(told(f"message.{state}", {"asked": asked}, state=state)) == count


def test_a_word_on_the_way_is_no_end() -> None:
    (message,) = told("message.sent", {"asked": 0x11}, state="sent")
    assert smpp.is_receipt(message)
    assert message.esm_class == writing.IS_ON_THE_WAY
    assert smpp.read_receipt(message).state is State.SENT


def test_each_piece_that_was_brought_has_a_receipt_of_its_own() -> None:
    assert [smpp.read_receipt(each).ids for each in told(asked={"ids": [5, 6, 7]})] == [("5",), ("6",), ("7",)]


def test_the_reference_of_the_program_is_given_back() -> None:
    assert told(asked={"reference": "258"})[0].options[0x0204] == b"\1\2"


@pytest.mark.parametrize("text", ["", "灯笼咖啡", "[5€]", "@home"])
def test_letters_that_differ_by_alphabet_are_left_out(text: str) -> None:
    assert told(text=text)[0].octets.endswith(b" text:")
    assert told(text="Plain " + text)[0].octets.endswith(b" text:Plain ")


def test_what_does_not_concern_this_door_is_nothing() -> None:
    assert writing.bodies("subscriber.left", "{}", "") == []
    assert writing.bodies("message.delivered", "{}", "") == []


def inbound(text: str, **data: object) -> list[smpp.ShortMessage]:
    told_data = {"id": "900", "from": "+12065550142", "to": "20655", "text": text, "media": [], **data}
    body = orjson.dumps({"type": "message.received", "at": AT, "data": told_data}).decode()
    return [read(each) for each in writing.bodies("message.received", body, "")]


@given(st.text(st.characters(exclude_categories=("Cs", "Co")), min_size=1, max_size=700))
def test_what_somebody_texted_comes_back_the_same(text: str) -> None:
    pieces, found = {}, inbound(text)
    for message in found:
        assert not smpp.is_receipt(message)
        octets, joint = parts.read(message.octets, message.data_coding, bool(message.esm_class & smpp.HAS_HEADER))
        pieces[joint.number if joint else 1] = octets
    assert parts.join(pieces) == text


def test_who_texted_whom_is_told_with_types_of_number() -> None:
    (message,) = inbound("Hello")
    assert (message.sender_ton, message.sender, message.recipient_ton, message.recipient) == (
        1, "12065550142", 3, "20655",
    )  # fmt: skip
    (message,) = inbound("Hello", to="+12065550100", **{"from": "Lantern"})
    assert (message.sender_ton, message.sender, message.recipient_ton) == (5, "Lantern", 1)


def test_a_picture_is_told_by_its_kind() -> None:
    (message,) = inbound("Look", media=[{"number": 0, "type": "image/jpeg"}])
    assert parts.read(message.octets, message.data_coding, False)[0] == "Look\n[image/jpeg]"
