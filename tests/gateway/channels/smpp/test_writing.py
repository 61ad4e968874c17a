"""A text becomes packets as the carrier wants them, and every way reads back as the same text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.channels.smpp import AddressType, AddressTypes, SmppAddress, SmppSettings
from gateway.channels.smpp.reading import with_header
from gateway.channels.smpp.writing import Unwritable, Writer
from gateway.codecs import parts, smpp
from gateway.codecs.national import Alphabet
from gateway.errors import Retry
from gateway.messages import Content, Outbound

HELLO = Outbound(7, 1, "20655", "+12065550142", "Hello")
LONG = "Two lattes for one, today only. " * 12


def writer(**changes: Any) -> Writer:
    return Writer(SmppSettings(SmppAddress("localhost", 1, tls=False), "lantern", "secret", **changes))


def messages(bodies: list[tuple[Any, bytes]]) -> list[smpp.ShortMessage]:
    return [smpp.read_message(body, 0, len(body)) for _, body in bodies]


def data_messages(bodies: list[tuple[Any, bytes]]) -> list[smpp.ShortMessage]:
    heads = [smpp.HEADER.pack(16 + len(body), smpp.DATA_SM, 0, 1) for _, body in bodies]
    return [smpp.message_of(smpp.decode(head + body)) for head, (_, body) in zip(heads, bodies, strict=True)]


def text_of(found: list[smpp.ShortMessage]) -> str:
    read = []
    for message in found:
        octets, has_header = with_header(message)
        read.append(parts.read(octets, message.data_coding, has_header))
    return parts.join({joint.number if joint else 1: text for text, joint in read})


letters = st.characters(codec="utf-8", exclude_characters="\0\x1b", max_codepoint=0xEFFFF)  # plane 16 is private


@given(st.text(letters, max_size=400), st.sampled_from(["header", "sar"]))
def test_parts_with_headers_and_with_sar_fields_read_back_as_the_text(text: str, long_texts: str) -> None:
    found = messages(writer(long_texts=long_texts).bodies(HELLO._replace(text=text), 0))

    assert text_of(found) == text


def test_sar_fields_stand_instead_of_headers_and_only_on_texts_in_parts() -> None:
    bodies = writer(long_texts="sar").bodies(HELLO._replace(text=LONG), 0)
    found = messages(bodies)

    assert [token for token, _ in bodies] == [(7, 1, part, 3) for part in range(3)]
    assert [message.esm_class for message in found] == [0, 0, 0]
    assert [(m.options[smpp.SAR_TOTAL], m.options[smpp.SAR_NUMBER]) for m in found] == [
        (b"\3", bytes((number,))) for number in (1, 2, 3)
    ]
    assert len({message.options[smpp.SAR_REFERENCE] for message in found}) == 1
    assert max(len(message.octets) for message in found) == 153
    assert messages(writer(long_texts="sar").bodies(HELLO, 0))[0].options == {}


def test_a_long_text_as_payload_is_one_packet_for_the_whole_message() -> None:
    [(token, body)] = writer(long_texts="payload").bodies(HELLO._replace(text=LONG), 0)
    message = smpp.read_message(body, 0, len(body))

    assert token == (7, 1, -1, 3)
    assert smpp.MESSAGE_PAYLOAD in message.options
    assert text_of([message]) == LONG
    assert messages(writer(long_texts="payload").bodies(HELLO, 0))[0].options == {}


@pytest.mark.parametrize("long_texts", ["header", "sar", "payload"])
def test_a_data_sm_says_the_same(long_texts: str) -> None:
    bodies = writer(long_texts=long_texts, use_data_sm=True).bodies(HELLO._replace(text=LONG), 0)
    found = data_messages(bodies)

    assert text_of(found) == LONG
    assert {(message.sender, message.recipient, message.registered_delivery) for message in found} == {
        ("20655", "12065550142", 1)
    }


def test_a_national_alphabet_keeps_a_text_cheap_and_opens_with_its_header() -> None:
    text = "Şişli'de bugün iki kahve alana üçüncüsü bizden; bu mesajı kasada gösterin, ğ ı ş!"
    [body] = writer(alphabets=(Alphabet.TURKISH,)).bodies(HELLO._replace(text=text), 0)
    [message] = messages([body])

    assert (message.esm_class, message.data_coding) == (smpp.HAS_HEADER, 0)
    assert text_of([message]) == text
    assert len(messages(writer().bodies(HELLO._replace(text=text), 0))) == 2


def test_the_carrier_may_want_other_types_of_addresses() -> None:
    types = AddressTypes(number=AddressType(2, 8), name=AddressType(5, 1), plain=AddressType(6, 6))
    write = writer(types=types)
    found = [
        messages(write.bodies(HELLO._replace(sender=sender), 0))[0][:6] for sender in ("Lantern", "+1206", "10690555")
    ]

    assert found == [
        (5, 1, "Lantern", 2, 8, "12065550142"),
        (2, 8, "1206", 2, 8, "12065550142"),
        (6, 6, "10690555", 2, 8, "12065550142"),
    ]


def test_every_body_is_what_the_codec_would_write() -> None:
    [(_, body)] = writer().bodies(HELLO._replace(valid_until=90_000), 0)

    assert body == smpp.message_body(
        smpp.address(3, 0, "20655"),
        smpp.address(1, 1, "12065550142"),
        b"Hello",
        registered=1,
        validity=smpp.relative_time(90),
    )


def test_references_of_texts_made_one_after_the_other_differ() -> None:
    references = {
        messages(writer().bodies(HELLO._replace(id=(at << 22) + number, text=LONG), 0))[0].octets[3]
        for at in range(1000, 1010)
        for number in range(10)
    }

    assert len(references) > 60


@pytest.mark.parametrize("changes", [{"recipient": "+電話"}, {"sender": "a\0b"}, {"recipient": "+1\0"}])
def test_an_address_that_cannot_be_written_is_told(changes: dict[str, Any]) -> None:
    with pytest.raises(Unwritable):
        writer().bodies(HELLO._replace(**changes), 0)


numbers = st.sampled_from(
    ["+12065550142", "+1206", "2065550142", "20655", "Lantern", "+1206555x", "+٣٤٥", "+", "+1+2", "12+", ""]
)
outbounds = st.builds(
    Outbound,
    id=st.integers(1, 2**62),
    attempt=st.integers(0, 4),
    sender=st.sampled_from(["20655", "+12065550100", "Lantern", "Łantern", "20\x0055"]),
    recipient=numbers,
    text=st.text("Hi @$_", max_size=170) | st.sampled_from(["Grüße", "[x]", "你好", LONG, "x" * 160, "x" * 161]),
    missing=st.sampled_from([-1, 1, 2, 5]),
    valid_until=st.sampled_from([0, 0, 1, 10_000, 10_001, 10_999, 11_000, 3_600_000]),
)


@given(
    st.lists(outbounds, max_size=6),
    st.fixed_dictionaries(
        {
            "use_data_sm": st.booleans(),
            "long_texts": st.sampled_from(["header", "sar", "payload"]),
            "alphabets": st.sampled_from([(), (Alphabet.TURKISH,)]),
        }
    ),
)
def test_many_messages_are_written_as_each_of_them_alone(batch: list[Outbound], changes: dict[str, Any]) -> None:
    one = writer(**changes)
    alone: list[object] = []
    for message in batch:
        try:
            alone.append(one.bodies(message, 10_000))
        except Unwritable as error:
            alone.append(error.failure)

    assert list(one.each(batch, 10_000)) == alone


# --- more than letters -----------------------------------------------------------------------------------------------

FLASH = Content(message_class=0)
WAP_PUSH = Content(octets=bytes(range(256)) + bytes(44), header=bytes.fromhex("05040b8423f0"))


def submitted(content: Content, text: str = "", **changes: Any) -> list[smpp.ShortMessage]:
    return messages(writer(**changes).bodies(HELLO._replace(text=text, content=content), 0))


def test_a_flash_text_is_a_plain_one_but_for_its_data_coding_octet_by_octet() -> None:
    """SMPP 3.4, 5.2.19 and 3GPP 23.038, section 4: 0x10 is class 0 in the default alphabet."""
    (plain,), (flash,) = (writer().bodies(HELLO._replace(content=each), 0) for each in (None, FLASH))
    at = len(plain[1]) - len(b"\0\0\5Hello")
    assert flash[0] == plain[0]
    assert flash[1] == plain[1][:at] + b"\x10" + plain[1][at + 1 :]


@pytest.mark.parametrize("long_texts", ["header", "sar", "payload"])
@pytest.mark.parametrize(("text", "coding"), [("Fire!", 0x10), ("着火了", 0x18), (LONG, 0x10), ("着火了" * 60, 0x18)])
def test_flash_stays_in_every_part_however_long_texts_are_written(text: str, coding: int, long_texts: str) -> None:
    found = submitted(FLASH, text, long_texts=long_texts)
    assert {message.data_coding for message in found} == {coding}
    assert text_of(found) == text
    assert [each.octets for each in found] == [each.octets for each in messages(
        writer(long_texts=long_texts).bodies(HELLO._replace(text=text), 0))]  # fmt: skip


@pytest.mark.parametrize("long_texts", ["header", "sar", "payload"])
@pytest.mark.parametrize("use_data_sm", [False, True])
def test_octets_go_in_parts_of_140_with_their_header_by_every_way(long_texts: str, use_data_sm: bool) -> None:
    write = writer(long_texts=long_texts, use_data_sm=use_data_sm)
    bodies = write.bodies(HELLO._replace(text="[300 octets]", content=WAP_PUSH), 0)
    found = data_messages(bodies) if use_data_sm else messages(bodies)
    assert [token for token, _ in bodies] == [(7, 1, part, 3) for part in range(3)]
    assert {(each.data_coding, each.esm_class) for each in found} == {(4, smpp.HAS_HEADER)}
    assert [len(each.octets) for each in found] == [140, 140, 56]
    assert b"".join(each.octets[each.octets[0] + 1 :] for each in found) == WAP_PUSH.octets
    assert {each.octets[6:12] for each in found} == {WAP_PUSH.header}


def test_only_the_parts_of_octets_that_are_missing_go_again() -> None:
    message = HELLO._replace(content=WAP_PUSH, missing=0b100)
    ((token, body),) = writer().bodies(message, 0)
    assert token == (7, 1, 2, 3)
    assert smpp.read_message(body, 0, len(body)).octets[:6] == b"\x0b\0\3\7\3\3"


def test_among_plain_texts_each_is_written_as_it_is() -> None:
    batch = [HELLO, HELLO._replace(content=FLASH), HELLO._replace(content=WAP_PUSH), HELLO]
    assert list(writer().each(batch, 0)) == [writer().bodies(each, 0) for each in batch]


def test_pictures_are_given_back_as_what_this_channel_cannot_carry() -> None:
    with pytest.raises(Unwritable) as refused:
        writer().bodies(HELLO._replace(content=Content(("https://shop.example/latte.jpg",))), 0)
    assert (refused.value.failure.code, refused.value.failure.retry) == ("cannot carry", Retry.NEVER)
