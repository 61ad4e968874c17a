"""What a program's submit_sm asks for, read from octets."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.channels.smpp import SmppAddress, SmppSettings
from gateway.channels.smpp.writing import Writer
from gateway.channels.smpp_server import Submit, reading
from gateway.codecs import gsm7, national, parts, smpp
from gateway.codecs.smpp import Pdu, ShortMessage
from gateway.messages import Content, Joint, Outbound

NOW = 1_795_334_400_000  # 2026-11-22T08:00:00Z


def message(octets: bytes = b"Hello", /, options: dict[int, bytes] | None = None, **fields: Any) -> ShortMessage:
    given_fields: dict[str, Any] = {
        "source_addr_ton": 3, "source_addr": "20655", "dest_addr_ton": 1, "dest_addr_npi": 1,
        "destination_addr": "12065550142", "short_message": octets, **fields,
    }  # fmt: skip
    frame = smpp.encode(Pdu(smpp.SUBMIT_SM, 0, 5, given_fields, options or {}))
    return smpp.read_message(frame, smpp.HEADER.size, len(frame))


def submit(octets: bytes = b"Hello", /, options: dict[int, bytes] | None = None, **fields: Any) -> Submit:
    found = reading.read(5, message(octets, options, **fields), NOW)
    assert isinstance(found, Submit), hex(found)
    return found


def status(octets: bytes = b"Hello", /, options: dict[int, bytes] | None = None, **fields: Any) -> int:
    found = reading.read(5, message(octets, options, **fields), NOW)
    assert isinstance(found, int)
    return found


@given(st.text(max_size=30), st.integers(0, 255), st.integers(0, 255), st.binary(max_size=60))
def test_a_message_reads_the_same_in_place_as_by_its_table(words: str, priority: int, flag: int, octets: bytes) -> None:
    fields: dict[str, Any] = {
        "schedule_delivery_time": words.encode("latin-1", "ignore").decode("latin-1").replace("\0", ""),
        "priority_flag": priority, "replace_if_present_flag": flag, "sm_default_msg_id": 255 - flag,
        "short_message": octets,
    }  # fmt: skip
    frame = smpp.encode(Pdu(smpp.SUBMIT_SM, 0, 5, fields))
    assert smpp.read_message(frame, 16, len(frame)) == smpp.message_of(smpp.decode(frame))


def test_an_ordinary_text_is_read_whole() -> None:
    assert submit() == Submit(5, "+12065550142", "Hello", "20655", 0, 0, False, "", "", None)


@pytest.mark.parametrize(
    ("coding", "octets", "text"),
    [
        (0, gsm7.encode("Caffè [€5] @ home"), "Caffè [€5] @ home"),
        (1, b"Caf{e} ~ [5]", "Caf{e} ~ [5]"),
        (1, gsm7.encode("Caffè [€5] für dich"), "Caffè [€5] für dich"),  # as npm `smpp` writes what it calls ASCII
        (3, "Caffè für dich".encode("latin-1"), "Caffè für dich"),
        (8, "灯笼咖啡 ☕".encode("utf-16-be"), "灯笼咖啡 ☕"),
        (6, "Кофе".encode("iso8859-5"), "Кофе"),
        (0x10, b"At once", "At once"),
        (0x18, "至急".encode("utf-16-be"), "至急"),
        (0xF0, b"At once", "At once"),
    ],
)
def test_each_alphabet_reads(coding: int, octets: bytes, text: str) -> None:
    assert submit(octets, data_coding=coding).text == text


def test_a_national_alphabet_reads() -> None:
    text = "Şubemizde indirim başladı, çok güzel fırsatlar için bekleriz. Ğelin görün"
    coding, pieces, has_header = parts.cut(text, 1, [national.Alphabet.TURKISH])
    assert has_header
    assert submit(pieces[0], data_coding=coding, esm_class=smpp.HAS_HEADER).text == text


@pytest.mark.parametrize("coding", [5, 9, 10, 13, 0x1C, 0x20, 0x34, 0x84, 0xC4, 0xD4, 0xF8])
def test_what_is_compressed_reserved_or_of_no_alphabet_is_refused(coding: int) -> None:
    assert status(data_coding=coding) == reading.BAD_ALPHABET


# 3GPP 23.038, section 4: bits 3 and 2 of 0001xxxx are the alphabet, 1 and 0 the class; 1111: bit 2 says octets; 1100,
# 1101 and 1110: bit 3 says that messages wait, 1 and 0 of which kind.
@pytest.mark.parametrize(
    ("coding", "content"),
    [
        (0x10, Content(message_class=0)),
        (0x13, Content(message_class=3)),
        (0x18, Content(message_class=0)),
        (0xF0, Content(message_class=0, is_short_class=True)),
        (0xF2, Content(message_class=2, is_short_class=True)),
        (0xD8, Content(waiting=0)),
        (0xD1, Content(waiting=5)),
        (0xCA, Content(waiting=10)),
        (0xEA, Content(waiting=2)),
        (0x02, Content(octets=b"\0\xff")),
        (0x04, Content(octets=b"\0\xff")),
        (0x15, Content(octets=b"\0\xff", message_class=1)),
        (0xF5, Content(octets=b"\0\xff", message_class=1, is_short_class=True)),
    ],
)
def test_what_a_data_coding_says_beside_the_alphabet_stays_with_the_text(coding: int, content: Content) -> None:
    found = submit(b"\0\xff", data_coding=coding)
    assert found.content == content
    assert (found.text == "") is (content.octets is not None)


WAP_PUSH = bytes.fromhex("05040b8423f0")  # to port 2948 from port 9200 (3GPP 23.040, 9.2.3.24.4)


def test_octets_keep_their_header_whatever_it_says() -> None:
    wap = b"\6" + WAP_PUSH + b"\x29\x06\x06"
    found = submit(wap, data_coding=4, esm_class=smpp.HAS_HEADER)
    assert (found.content, found.joint) == (Content(octets=b"\x29\x06\x06", header=WAP_PUSH), None)
    piece = bytes.fromhex("0b00030702010504158a0000") + b"\1\2"
    found = submit(piece, data_coding=0xF5, esm_class=smpp.HAS_HEADER)
    assert found.joint is None
    assert found.content == Content((), b"\1\2", piece[1:12], 1, True)


def test_ports_among_the_options_are_a_header() -> None:
    ports = {0x020A: (9200).to_bytes(2, "big"), 0x020B: (2948).to_bytes(2, "big")}
    assert submit(b"\x29", ports, data_coding=4).content == Content(octets=b"\x29", header=WAP_PUSH)
    assert submit(b"BEGIN:VCARD", ports).content == Content(header=WAP_PUSH)


PORT = {0x020B: (2948).to_bytes(2, "big")}


@pytest.mark.parametrize("data_coding", [0, 4, 8])
@pytest.mark.parametrize("octets", [134, 250, 253, 255])
def test_a_header_that_is_too_long_with_the_ports_is_refused(data_coding: int, octets: int) -> None:
    header = bytes((octets, 0x70, octets - 2)) + bytes(octets - 2)
    options = {0x0424: header + b"Hello", **PORT}
    assert status(b"", options, data_coding=data_coding, esm_class=smpp.HAS_HEADER) == reading.BAD_CLASS


def test_ports_in_the_header_and_among_the_options_are_refused_and_so_is_only_the_one_it_came_from() -> None:
    headed = bytes((len(WAP_PUSH), *WAP_PUSH)) + b"Hello"
    assert status(headed, PORT, data_coding=4, esm_class=smpp.HAS_HEADER) == reading.OPTION_NOT_ALLOWED
    assert status(b"Hello", {0x020A: (9200).to_bytes(2, "big")}) == reading.OPTION_MISSING


def test_of_a_text_in_pieces_the_other_elements_stay() -> None:
    found = submit(b"\x0b\0\3\7\2\1" + WAP_PUSH + b"BEGIN:VCARD", esm_class=smpp.HAS_HEADER)
    assert (found.text, found.joint, found.content) == ("BEGIN:VCARD", Joint(7, 2, 1), Content(header=WAP_PUSH))


def test_octets_whose_header_does_not_fit_are_refused_and_a_text_is_read_all_the_same() -> None:
    assert status(b"\6\5\4\1\2", data_coding=4, esm_class=smpp.HAS_HEADER) == reading.BAD_CLASS
    assert submit(b"\x7fHello", esm_class=smpp.HAS_HEADER).content is None


@pytest.mark.parametrize("esm_class", [0x02, 0x04, 0x08, 0x20, 0x3C])
def test_another_class_than_a_text_is_refused(esm_class: int) -> None:
    assert status(esm_class=esm_class) == reading.BAD_CLASS


@pytest.mark.parametrize("esm_class", [0x00, 0x01, 0x03])
def test_how_a_carrier_would_keep_it_is_no_concern_of_ours(esm_class: int) -> None:
    assert submit(esm_class=esm_class).text == "Hello"


def test_what_we_do_not_offer_is_refused() -> None:
    assert status(replace_if_present_flag=1) == reading.BAD_REPLACE
    assert status(sm_default_msg_id=3) == reading.BAD_PREPARED
    assert status(b"") == reading.BAD_TEXT_LENGTH


def test_a_payload_is_the_text() -> None:
    assert submit(b"", {smpp.MESSAGE_PAYLOAD: b"x" * 700}).text == "x" * 700


def test_a_piece_says_which_it_is_by_its_header_or_its_fields() -> None:
    assert submit(b"\5\0\3\x4d\3\2Hello", esm_class=smpp.HAS_HEADER).joint == Joint(0x4D, 3, 2)
    assert submit(b"\6\x08\4\1\2\3\2Hello", esm_class=smpp.HAS_HEADER).joint == Joint(0x102, 3, 2)
    sar = {smpp.SAR_REFERENCE: b"\1\2", smpp.SAR_TOTAL: b"\3", smpp.SAR_NUMBER: b"\2"}
    assert submit(b"Hello", sar).joint == Joint(0x102, 3, 2)
    assert submit(b"Hello", sar).text == "Hello"


@pytest.mark.parametrize(
    ("ton", "digits", "read"),
    [
        (1, "12065550142", "+12065550142"),
        (1, "+12065550142", "+12065550142"),
        (0, "0012065550142", "+12065550142"),
        (0, "2065550142", "2065550142"),
        (2, "2065550142", "2065550142"),
        (5, "Lantern", "Lantern"),
        (1, "Lantern", "Lantern"),
        (0, "", ""),
        (0, "00", "00"),
    ],
)
def test_an_address_has_a_plus_where_it_is_said_to_be_international(ton: int, digits: str, read: str) -> None:
    assert reading.as_people_write(ton, digits) == read


def test_times_are_read() -> None:
    found = submit(schedule_delivery_time="261122090000000+", validity_period="000000020000000R")
    assert found.send_at == NOW + 3_600_000
    assert found.valid_until == NOW + 7_200_000
    assert submit(options={0x0017: b"\0\0\0\x3c"}).valid_until == NOW + 60_000


def test_a_time_that_is_none_is_refused() -> None:
    assert status(schedule_delivery_time="tomorrow") == reading.BAD_SCHEDULE
    assert status(validity_period="991332250000000+") == reading.BAD_EXPIRY


def test_a_high_priority_makes_it_urgent() -> None:
    assert [submit(priority_flag=flag).is_urgent for flag in range(4)] == [False, False, True, True]


def test_a_receipt_is_asked_for_in_the_words_by_which_it_is_written() -> None:
    found = submit(b"Hello", {0x0204: b"\1\0"}, registered_delivery=0x11, source_addr_ton=5, source_addr='"L"')
    assert found.reference == "256"
    assert orjson.loads(found.callback) == {
        "door": "smpp", "asked": 0x11, "sender": [5, 0, '"L"'], "recipient": [1, 1, "12065550142"],
        "reference": "256",
    }  # fmt: skip
    assert submit(registered_delivery=0).callback == ""
    assert submit(registered_delivery=0x04).callback == ""  # an answer of the phone's user is none of ours


@given(
    st.binary(max_size=254), st.integers(0, 255), st.integers(0, 255), st.text(max_size=17), st.text(max_size=17),
    st.dictionaries(st.sampled_from([*smpp.OPTIONS]), st.binary(max_size=9), max_size=4), st.binary(max_size=20),
)  # fmt: skip
def test_whatever_stands_in_a_message_it_is_a_text_or_a_status(
    octets: bytes, esm_class: int, coding: int, schedule: str, validity: str, options: dict[int, bytes], who: bytes
) -> None:
    sent = ShortMessage(
        1, 1, who.decode("latin-1"), 0, 0, who.decode("latin-1"), esm_class, 1, coding, octets, validity, options,
        schedule,
    )  # fmt: skip
    found = reading.read(1, sent, NOW)
    if isinstance(found, Submit):
        assert orjson.loads(found.callback)["door"] == "smpp"
        found.text.encode()  # nothing that a database would refuse


@pytest.mark.parametrize("header", ["", "05040b8423f0", "00030702010504158a0000", "080400070201", "7000", "0a03010203"])
@pytest.mark.parametrize("coding", [4, 0x14, 0x17, 0xF4, 0xF6])
@pytest.mark.parametrize("octets", [b"\0", b"\x1b\xff\0\n", bytes(range(128))])
def test_octets_leave_for_the_carrier_as_they_came_in(header: str, coding: int, octets: bytes) -> None:
    elements = bytes.fromhex(header)
    whole = (bytes((len(elements),)) + elements if header else b"") + octets
    esm_class = smpp.HAS_HEADER if header else 0
    found = submit(whole, data_coding=coding, esm_class=esm_class)
    carrier = Writer(SmppSettings(SmppAddress("localhost", 1, tls=False), "lantern", "secret"))
    outbound = Outbound(7, 0, "20655", "+12065550142", "[octets]", content=found.content)
    ((_, body),) = carrier.bodies(outbound, 0)
    sent = smpp.read_message(body, 0, len(body))
    assert (sent.data_coding, sent.esm_class, sent.octets) == (coding, esm_class, whole)


@pytest.mark.parametrize("coding", [0x10, 0x11, 0x18, 0x1B, 0xF0, 0xF3, 0xC1, 0xD8, 0xD3, 0xE9])
@pytest.mark.parametrize("header", ["", "05040b8423f0"])
def test_a_class_and_a_header_of_a_text_leave_as_they_came_in(coding: int, header: str) -> None:
    is_ucs2 = coding & 0xFC == 0x18 or coding & 0xF0 == 0xE0
    octets = "灯笼 Now".encode("utf-16-be") if is_ucs2 else gsm7.encode("Now [€]")
    elements = bytes.fromhex(header)
    whole = (bytes((len(elements),)) + elements if header else b"") + octets
    esm_class = smpp.HAS_HEADER if header else 0
    found = submit(whole, data_coding=coding, esm_class=esm_class)
    carrier = Writer(SmppSettings(SmppAddress("localhost", 1, tls=False), "lantern", "secret"))
    outbound = Outbound(7, 0, "20655", "+12065550142", found.text, content=found.content)
    ((_, body),) = carrier.bodies(outbound, 0)
    sent = smpp.read_message(body, 0, len(body))
    assert (sent.data_coding, sent.esm_class, sent.octets) == (coding, esm_class, whole)
