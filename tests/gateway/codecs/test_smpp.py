"""The octets of SMPP 3.4, both ways.

Vectors from cloudhopper-smpp's PduEncoderTest, PduDecoderTest and DeliveryReceiptTest, which record real carriers;
those of the rarer packets (`FOREIGN`) were written by node-smpp 0.5.1.
"""

from __future__ import annotations

import contextlib
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs import smpp
from gateway.codecs.smpp import ANSWER, HEADER, Pdu, RemoteError
from gateway.messages import State

PAYLOAD = b'@$#!"%&/:'
ADDRESSES: dict[str, smpp.Value] = {
    "source_addr_ton": 1,
    "source_addr_npi": 1,
    "source_addr": "40404",
    "dest_addr_ton": 1,
    "dest_addr_npi": 1,
    "destination_addr": "44951361920",
}

VECTORS: dict[str, tuple[str, Pdu]] = {
    "enquire_link": ("0000001000000015000000000a342ee7", Pdu(smpp.ENQUIRE_LINK, 0, 0x0A342EE7)),
    "enquire_link_resp": ("0000001080000015000000000a342eed", Pdu(smpp.ENQUIRE_LINK | ANSWER, 0, 0x0A342EED)),
    "sequence 0": ("00000010000000150000000000000000", Pdu(smpp.ENQUIRE_LINK, 0, 0)),
    "sequence 0x80000000": ("00000010000000150000000080000000", Pdu(smpp.ENQUIRE_LINK, 0, 0x80000000)),
    "submit_sm_resp": (
        "0000001c80000004000000000a342ee1393432353834333135393400",
        Pdu(smpp.SUBMIT_SM | ANSWER, 0, 0x0A342EE1, {"message_id": "94258431594"}),
    ),
    "submit_sm_resp with an empty id": (
        "0000001180000004000000000a342ee100",
        Pdu(smpp.SUBMIT_SM | ANSWER, 0, 0x0A342EE1, {"message_id": ""}),
    ),
    "submit_sm_resp without a body": (
        "0000001080000004000000300a342ee1",
        Pdu(smpp.SUBMIT_SM | ANSWER, 0x30, 0x0A342EE1),
    ),
    "deliver_sm_resp": (
        "0000001c800000050000000000116ac7393432353834333135393400",
        Pdu(smpp.DELIVER_SM | ANSWER, 0, 0x00116AC7, {"message_id": "94258431594"}),
    ),
    "data_sm_resp": (
        "0000001c800001030000000000116ac7393432353834333135393400",
        Pdu(smpp.DATA_SM | ANSWER, 0, 0x00116AC7, {"message_id": "94258431594"}),
    ),
    "bind_transceiver": (
        "00000023000000090000000000039951414c4c5f545700414c4c5f5457000034000000",
        Pdu(
            smpp.BIND_TRANSCEIVER,
            0,
            0x00039951,
            {"system_id": "ALL_TW", "password": "ALL_TW", "interface_version": 0x34},
        ),
    ),
    "bind_transceiver with ton and npi": (
        "00000023000000090000000000039951414c4c5f545700414c4c5f5457000034010200",
        Pdu(
            smpp.BIND_TRANSCEIVER,
            0,
            0x00039951,
            {"system_id": "ALL_TW", "password": "ALL_TW", "interface_version": 0x34, "addr_ton": 1, "addr_npi": 2},
        ),
    ),
    "bind_transmitter": (
        "0000002500000002000000000003995f747769747465720074776974746572000034000000",
        Pdu(
            smpp.BIND_TRANSMITTER,
            0,
            0x0003995F,
            {"system_id": "twitter", "password": "twitter", "interface_version": 0x34},
        ),
    ),
    "bind_receiver": (
        "00000025000000010000000000039961747769747465720074776974746572000034000000",
        Pdu(
            smpp.BIND_RECEIVER,
            0,
            0x00039961,
            {"system_id": "twitter", "password": "twitter", "interface_version": 0x34},
        ),
    ),
    "bind_transceiver_resp": (
        "0000001f800000090000000000039951536d73632053696d756c61746f7200",
        Pdu(smpp.BIND_TRANSCEIVER | ANSWER, 0, 0x00039951, {"system_id": "Smsc Simulator"}),
    ),
    "bind_transceiver_resp refused": (
        "00000015800000090000000e00004db3534d534300",
        Pdu(smpp.BIND_TRANSCEIVER | ANSWER, 0x0E, 0x00004DB3, {"system_id": "SMSC"}),
    ),
    "bind_transceiver_resp with an option": (
        "0000001d800000090000000000039943536d7363204757000210000134",
        Pdu(
            smpp.BIND_TRANSCEIVER | ANSWER,
            0,
            0x00039943,
            {"system_id": "Smsc GW"},
            {smpp.INTERFACE_VERSION: b"\x34"},
        ),
    ),
    "submit_sm": (
        "00000039000000040000000000004FE80001013430343034000101343439353133363139323000000000000001000000084024232125262F3A",
        Pdu(
            smpp.SUBMIT_SM,
            0,
            0x4FE8,
            {**ADDRESSES, "registered_delivery": 1, "short_message": bytes.fromhex("4024232125262F3A")},
        ),
    ),
    "deliver_sm with options": (
        "000000400000000500000000000000030002013837363534333231000409343034303400000000000000000000084024232125262F3A000E0001010006000101",
        Pdu(
            smpp.DELIVER_SM,
            0,
            3,
            {
                "source_addr_ton": 2,
                "source_addr_npi": 1,
                "source_addr": "87654321",
                "dest_addr_ton": 4,
                "dest_addr_npi": 9,
                "destination_addr": "40404",
                "short_message": bytes.fromhex("4024232125262F3A"),
            },
            {0x000E: b"\x01", 0x0006: b"\x01"},
        ),
    ),
    "deliver_sm with a receipt": (
        (
            "000000BA00000005000000000000000200010134343935313336313932300001013430343034000400000000000000006E69643A303035393131"
            "33393738207375623A30303120646C7672643A303031207375626D697420646174653A3130303231303137333020646F6E6520646174653A3130"
            "303231303137333120737461743A44454C49565244206572723A30303020746578743A4024232125262F3A000E0001010006000101001E0008"
            "33383630316661000427000102"
        ),
        Pdu(
            smpp.DELIVER_SM,
            0,
            2,
            {
                "source_addr_ton": 1,
                "source_addr_npi": 1,
                "source_addr": "44951361920",
                "dest_addr_ton": 1,
                "dest_addr_npi": 1,
                "destination_addr": "40404",
                "esm_class": 4,
                "short_message": b"id:0059113978 sub:001 dlvrd:001 submit date:1002101730 done date:1002101731"
                b" stat:DELIVRD err:000 text:@$#!%&/:",
            },
            {0x000E: b"\x01", 0x0006: b"\x01", smpp.RECEIPTED_MESSAGE_ID: b"38601fa\0", smpp.MESSAGE_STATE: b"\x02"},
        ),
    ),
    "cancel_sm": (
        "0000002D000000080000000000004FE80031323334350001013430343034000101343439353133363139323000",
        Pdu(smpp.CANCEL_SM, 0, 0x4FE8, {**ADDRESSES, "message_id": "12345"}),
    ),
    "cancel_sm_resp": ("00000010800000080000000000004FE8", Pdu(smpp.CANCEL_SM | ANSWER, 0, 0x4FE8)),
    "cancel_sm_resp refused": ("00000010800000080000001100004FE8", Pdu(smpp.CANCEL_SM | ANSWER, 0x11, 0x4FE8)),
    "query_sm": (
        "0000001E000000030000000000004FE83132333435000101343034303400",
        Pdu(
            smpp.QUERY_SM,
            0,
            0x4FE8,
            {"message_id": "12345", "source_addr_ton": 1, "source_addr_npi": 1, "source_addr": "40404"},
        ),
    ),
    "query_sm_resp": (
        "00000019800000030000000000004FE8313233343500000600",
        Pdu(smpp.QUERY_SM | ANSWER, 0, 0x4FE8, {"message_id": "12345", "message_state": 6}),
    ),
    "unbind": ("00000010000000060000000000000001", Pdu(smpp.UNBIND, 0, 1)),
    "unbind_resp": ("00000010800000060000000000000001", Pdu(smpp.UNBIND | ANSWER, 0, 1)),
    "generic_nack": ("00000010800000000000000100082a77", Pdu(smpp.GENERIC_NACK, 1, 0x00082A77)),
    "a WAP push in a submit_sm": (
        (
            "000000870000000400000000000000010001013430343034000101343439353133363139323000400000000001000400560605040b8423f0010601"
            "ae02056a0045c60d0378797a008503656d61696c2f3132332f6162632e776d6c000ac3071999062515231510c304199906300103596f75206861"
            "76652034206e657720656d61696c73000101"
        ),
        Pdu(
            smpp.SUBMIT_SM,
            0,
            1,
            {
                **ADDRESSES,
                "esm_class": 0x40,
                "registered_delivery": 1,
                "data_coding": 4,
                "short_message": bytes.fromhex(
                    "0605040b8423f0010601ae02056a0045c60d0378797a008503656d61696c2f3132332f6162632e776d6c000ac30719990625152315"
                    "10c304199906300103596f7520686176652034206e657720656d61696c73000101"
                ),
            },
        ),
    ),
}


PEOPLE: dict[str, smpp.Value] = {name: ADDRESSES[name] for name in ADDRESSES if name.startswith("source")}
FOREIGN: dict[str, tuple[str, Pdu]] = {
    "outbind": (
        "0000001f0000000b0000000000000007636172726965720073656372657400",
        Pdu(smpp.OUTBIND, 0, 7, {"system_id": "carrier", "password": "secret"}),
    ),
    "submit_multi": (
        (
            "0000003e0000002100000000000000070001013430343034000201010134343935313336313932300002667269656e6473000000000000"
            "01000000024869"
        ),
        Pdu(
            smpp.SUBMIT_MULTI,
            0,
            7,
            {
                **PEOPLE,
                "dest_addresses": (smpp.Destination(1, 1, "44951361920"), smpp.Destination(list_name="friends")),
                "registered_delivery": 1,
                "short_message": b"Hi",
            },
        ),
    ),
    "submit_multi_resp": (
        "000000268000002100000000000000073961000101013434393531333631393230000000000b",
        Pdu(
            smpp.SUBMIT_MULTI | ANSWER,
            0,
            7,
            {"message_id": "9a", "unsuccess_smes": (smpp.Unsuccessful(1, 1, "44951361920", 0x0B),)},
        ),
    ),
    "alert_notification": (
        "0000002b000001020000000000000007010134343935313336313932300003003430343034000422000100",
        Pdu(
            smpp.ALERT_NOTIFICATION,
            0,
            7,
            {
                "source_addr_ton": 1,
                "source_addr_npi": 1,
                "source_addr": "44951361920",
                "esme_addr_ton": 3,
                "esme_addr": "40404",
            },
            {0x0422: b"\0"},
        ),
    ),
    "replace_sm": (
        "00000025000000070000000000000007313233343500010134303430340000000100024869",
        Pdu(
            smpp.REPLACE_SM,
            0,
            7,
            {**PEOPLE, "message_id": "12345", "registered_delivery": 1, "short_message": b"Hi"},
        ),
    ),
    "replace_sm_resp": ("00000010800000070000000000000007", Pdu(smpp.REPLACE_SM | ANSWER, 0, 7)),
    "data_sm": (
        "000000320000010300000000000000070001013430343034000101343439353133363139323000000008042400044f60597d",
        Pdu(smpp.DATA_SM, 0, 7, {**ADDRESSES, "data_coding": 8}, {smpp.MESSAGE_PAYLOAD: bytes.fromhex("4f60597d")}),
    ),
    "submit_sm_resp of 5.0": (
        "00000018800000040000000000000007396100042800015f",
        Pdu(smpp.SUBMIT_SM | ANSWER, 0, 7, {"message_id": "9a"}, {smpp.CONGESTION_STATE: b"\x5f"}),
    ),
    "submit_sm with every rare field": (
        (
            "00000056000000040000000000000007434d5400010134303430340001013434393531333631393230000000013236313132323031303230"
            "333430302b00303030303030303230313035303030520000000000024869"
        ),
        Pdu(
            smpp.SUBMIT_SM,
            0,
            7,
            {
                **ADDRESSES,
                "service_type": "CMT",
                "priority_flag": 1,
                "schedule_delivery_time": "261122010203400+",
                "validity_period": "000000020105000R",
                "short_message": b"Hi",
            },
        ),
    ),
    "submit_sm with sar options": (
        (
            "000000430000000400000000000000070001013430343034000101343439353133363139323000000000000000000000024869020c0002"
            "01cc020e000103020f000102"
        ),
        Pdu(
            smpp.SUBMIT_SM,
            0,
            7,
            {**ADDRESSES, "short_message": b"Hi"},
            {smpp.SAR_REFERENCE: b"\x01\xcc", smpp.SAR_TOTAL: b"\x03", smpp.SAR_NUMBER: b"\x02"},
        ),
    ),
}


@pytest.mark.parametrize(("octets", "pdu"), [*VECTORS.values(), *FOREIGN.values()], ids=[*VECTORS, *FOREIGN])
def test_a_recorded_packet_reads_as_its_fields_and_writes_as_the_same_octets(octets: str, pdu: Pdu) -> None:
    frame = bytes.fromhex(octets)

    read = smpp.decode(frame)

    assert read[:3] == pdu[:3]
    assert {name: value for name, value in read.fields.items() if value not in (0, "", b"")} == {
        name: value for name, value in pdu.fields.items() if value not in (0, "", b"")
    }
    assert read.options == pdu.options
    assert smpp.encode(read) == frame
    assert smpp.encode(pdu) == frame


def test_every_command_of_the_standard_has_its_table_and_its_answer() -> None:
    # 5.1.2.1; an outbind and an alert_notification have no answer
    requests = {1, 2, 3, 4, 5, 6, 7, 8, 9, 0x0B, 0x15, 0x21, 0x102, 0x103}
    answers = {command | ANSWER for command in requests - {0x0B, 0x102}} | {smpp.GENERIC_NACK}
    assert set(smpp.BODIES) == requests | answers


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        ("0001013430343034000103", smpp.BAD_DESTINATION),
        ("000101343034303400020101013400", smpp.BAD_LENGTH),
        ("00010134303430340001010101", smpp.BAD_LENGTH),
        ("00010134303430340001", smpp.BAD_LENGTH),
    ],
    ids=["unknown kind", "one too few", "no end", "no kind"],
)
def test_a_list_of_recipients_that_cannot_be_read_is_refused(octets: str, status: int) -> None:
    body = bytes.fromhex(octets)
    with pytest.raises(RemoteError) as refused:
        smpp.decode(HEADER.pack(16 + len(body), smpp.SUBMIT_MULTI, 0, 5) + body)
    assert (refused.value.status, refused.value.sequence) == (status, 5)


def test_a_list_of_refused_recipients_that_ends_too_early_is_refused() -> None:
    frame = bytearray.fromhex(FOREIGN["submit_multi_resp"][0])[:-1]
    frame[3] -= 1
    with pytest.raises(RemoteError) as refused:
        smpp.decode(bytes(frame))
    assert refused.value.status == smpp.BAD_LENGTH


def test_the_builders_write_what_a_foreign_library_writes() -> None:
    ours, theirs = smpp.address(1, 1, "40404"), smpp.address(1, 1, "44951361920")
    bodies = {
        "data_sm": smpp.data_body(ours, theirs, "你好".encode("utf-16-be"), data_coding=8),
        "submit_sm with sar options": smpp.message_body(ours, theirs, b"Hi", more=smpp.sar(460, 3, 2)),
    }
    for name, body in bodies.items():
        assert body.hex() == FOREIGN[name][0][32:]
    assert smpp.query_body("12345", ours).hex() == VECTORS["query_sm"][0][32:].lower()


@pytest.mark.parametrize("name", ["submit_sm", "deliver_sm with options", "deliver_sm with a receipt"])
def test_the_fast_reader_says_what_the_table_says(name: str) -> None:
    frame = bytes.fromhex(VECTORS[name][0])

    fast = smpp.read_message(b"before" + frame + b"after", 6 + HEADER.size, 6 + len(frame))

    assert fast == smpp.message_of(smpp.decode(frame))


@given(st.binary(max_size=200), st.integers(0, 255), st.integers(0, 255), st.sampled_from([b"", b"000000020000000R"]))
def test_the_fast_writer_and_reader_agree_with_the_table(
    octets: bytes, esm_class: int, coding: int, validity: bytes
) -> None:
    body = smpp.message_body(
        smpp.address(3, 0, "20655"),
        smpp.address(1, 1, "12065550142"),
        octets,
        esm_class=esm_class,
        data_coding=coding,
        registered=1,
        validity=validity,
        more=smpp.options({smpp.SAR_TOTAL: b"\x02"}),
    )
    frame = HEADER.pack(16 + len(body), smpp.SUBMIT_SM, 0, 1) + body

    pdu = smpp.decode(frame)

    assert smpp.encode(pdu) == frame
    assert smpp.read_message(frame, 16, len(frame)) == smpp.message_of(pdu)
    assert (pdu.fields["short_message"], pdu.fields["esm_class"], pdu.fields["data_coding"]) == (
        octets,
        esm_class,
        coding,
    )


def test_a_long_text_may_travel_as_payload() -> None:
    body = smpp.message_body(smpp.address(1, 1, "1"), smpp.address(1, 1, "2"), b"", more=smpp.payload(b"long" * 100))

    assert smpp.read_message(body, 0, len(body)).octets == b"long" * 100
    with pytest.raises(ValueError, match="64001 octets of message_payload"):
        smpp.payload(b"x" * (smpp.MOST_PAYLOAD + 1))


def test_a_data_sm_reads_as_a_message() -> None:
    frame = smpp.encode(
        Pdu(smpp.DATA_SM, 0, 9, {**ADDRESSES, "data_coding": 8}, {smpp.MESSAGE_PAYLOAD: "你好".encode("utf-16-be")})
    )

    message = smpp.message_of(smpp.decode(frame))

    assert (message.sender, message.recipient, message.data_coding) == ("40404", "44951361920", 8)
    assert message.octets == bytes.fromhex("4f60597d")


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        ("0000001080", smpp.BAD_LENGTH),
        ("00000011000000150000000000000001", smpp.BAD_LENGTH),
        ("00000010000000770000000000000001", smpp.BAD_COMMAND),
        ("000000120000000200000000000000014142", smpp.BAD_LENGTH),
        ("0000001f800000090000000000039951536d73632053696d756c61746f7200"[:-2] + "41", smpp.BAD_LENGTH),
        ("0000001380000009000000000003995100" + "0210", smpp.BAD_OPTIONS),
        ("0000001680000009000000000003995100" + "0210000234", smpp.BAD_OPTIONS),
    ],
    ids=["no header", "wrong length", "unknown", "no end", "no end of an answer", "half a tag", "half an option"],
)
def test_what_is_no_packet_is_refused_with_the_status_to_answer(octets: str, status: int) -> None:
    with pytest.raises(RemoteError) as refused:
        smpp.decode(bytes.fromhex(octets))

    assert refused.value.status == status


@given(st.binary(max_size=300), st.sampled_from(sorted(smpp.BODIES)), st.integers(0, 0xFFFFFFFF))
def test_no_octets_make_the_reader_raise_anything_but_its_own_error(body: bytes, command: int, sequence: int) -> None:
    frame = HEADER.pack(16 + len(body), command, 0, sequence) + body
    with contextlib.suppress(RemoteError):
        pdu = smpp.decode(frame)
        assert smpp.decode(smpp.encode(pdu)) == pdu
        smpp.read_receipt(smpp.message_of(pdu))


@given(st.lists(st.sampled_from([b"\0", b"1", b"20655", b"\2hi", b"\xff", b"\2\x0c\0\1\7"]), max_size=30).map(b"".join))
def test_the_fast_reader_reads_and_refuses_what_the_table_does(body: bytes) -> None:
    frame = HEADER.pack(16 + len(body), smpp.DELIVER_SM, 0, 1) + body
    try:
        expected: smpp.ShortMessage | None = smpp.message_of(smpp.decode(frame))
    except RemoteError:
        expected = None
    try:
        read: smpp.ShortMessage | None = smpp.read_message(frame + b"\0" * 40, 16, len(frame))
    except RemoteError:
        read = None

    assert read == expected


@given(st.data())
def test_a_recorded_packet_with_damage_is_read_or_refused(data: st.DataObject) -> None:
    frame = bytearray.fromhex(data.draw(st.sampled_from([octets for octets, _ in VECTORS.values()])))
    for place in data.draw(st.lists(st.integers(0, len(frame) - 1), max_size=5)):
        frame[place] = data.draw(st.integers(0, 255))
    try:
        pdu = smpp.decode(bytes(frame))
    except RemoteError:
        return
    assert smpp.decode(smpp.encode(pdu)) == pdu


def test_an_unknown_command_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="unknown command 0x00000077"):
        smpp.encode(Pdu(0x77, 0, 1))


@pytest.mark.parametrize("value", ["a\0b", "电"])
def test_a_text_that_cannot_be_written_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"zero octet|latin-1"):
        smpp.text(value)


def test_more_than_255_octets_are_no_short_message() -> None:
    ours, theirs = smpp.address(1, 1, "1"), smpp.address(1, 1, "2")

    assert len(smpp.message_body(ours, theirs, b"x" * 255)) > 255
    with pytest.raises(ValueError, match="256 octets"):
        smpp.message_body(ours, theirs, b"x" * 256)


# --- receipts


def receipt(words: str, coding: int = 0, esm_class: int = 4, **tlv: bytes) -> smpp.ShortMessage:
    octets = words.encode("utf-16-be" if coding == 8 else "latin-1")
    tags = {"ident": smpp.RECEIPTED_MESSAGE_ID, "state": smpp.MESSAGE_STATE, "code": smpp.NETWORK_ERROR_CODE}
    found = {tags[name]: value for name, value in tlv.items()}
    return smpp.ShortMessage(1, 1, "1", 3, 0, "2", esm_class, 0, coding, octets, "", found)


UUID = "74e02ee1-4e2f-4a6e-a78b-4b247d756a22"
RECEIPTS = {
    "usual": (
        (
            "id:0123456789 sub:002 dlvrd:001 submit date:1005232039 done date:1005242339 stat:DELIVRD err:012"
            " text:This is a sample mes"
        ),
        ("0123456789", State.DELIVERED, "012"),
    ),
    "Text": (
        "id:4 sub:001 dlvrd:001 submit date:1006020051 done date:1006020051 stat:DELIVRD err:000 Text:Hello",
        ("4", State.DELIVERED, "000"),
    ),
    "UUID and seconds": (
        f"id:{UUID} sub:001 dlvrd:001 submit date:110206193041 done date:110206193110 stat:DELIVRD err:000 text:",
        (UUID, State.DELIVERED, "000"),
    ),
    "another order": (
        f"sub:001 id:{UUID} err:000 dlvrd:001 done date:110206193110 submit date:110206193041 text: stat:DELIVRD",
        (UUID, State.DELIVERED, "000"),
    ),
    "without counts": (
        "id:2E179B310EDE971B2760C72B7F026E1B submit date:20110314181534 done date:20110314181741 stat:DELIVRD err:0",
        ("2E179B310EDE971B2760C72B7F026E1B", State.DELIVERED, "0"),
    ),
    "commas": ("id:77, sub:001, dlvrd:000, stat:UNDELIV, err:005, text:", ("77", State.FAILED, "UNDELIV 005")),
    "an id of hexadecimal digits": ("id:16fee0e525 stat:EXPIRED err:0x1", ("16fee0e525", State.EXPIRED, "EXPIRED 0x1")),
    "no error code": ("id:77 stat:DELIVRD", ("77", State.DELIVERED, "")),
    "tabs and line ends": ("id:77\r\nstat:DELIVRD\terr:000", ("77", State.DELIVERED, "000")),
    "lower case and a space": ("id: 77 stat:undeliv err:5", ("77", State.FAILED, "UNDELIV 5")),
    "words of the subscriber": (
        "id:9 stat:REJECTD err:7 text:id:1 stat:DELIVRD err:0",
        ("9", State.FAILED, "REJECTD 7"),
    ),
}


@pytest.mark.parametrize(("words", "told"), RECEIPTS.values(), ids=RECEIPTS)
@pytest.mark.parametrize("coding", [0, 8])
def test_receipts_of_real_carriers_are_read(words: str, told: tuple[str, State, str], coding: int) -> None:
    reading = smpp.read_receipt(receipt(words, coding))

    assert (reading.ids[0], reading.state, reading.code) == told


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("ENROUTE", State.SENT),
        ("DELIVRD", State.DELIVERED),
        ("EXPIRED", State.EXPIRED),
        ("DELETED", State.FAILED),
        ("UNDELIV", State.FAILED),
        ("ACCEPTD", State.SENT),
        ("UNKNOWN", State.UNKNOWN),
        ("REJECTD", State.FAILED),
        ("WHATEVER", State.SENT),
    ],
)
def test_each_word_of_a_receipt_has_its_state(word: str, state: State) -> None:
    assert smpp.read_receipt(receipt(f"id:1 stat:{word} err:000")).state == state


def test_optional_parameters_win_over_the_text() -> None:
    message = receipt("id:5 stat:UNDELIV err:001", ident=b"38601fa\0", state=b"\x02", code=b"\x03\x00\x2a")

    reading = smpp.read_receipt(message)

    assert reading.ids[:2] == ("38601fa", "5")
    assert (reading.state, reading.code) == (State.DELIVERED, "042")


@pytest.mark.parametrize(
    ("number", "state"),
    [
        (0, State.SENT),
        (1, State.SENT),
        (2, State.DELIVERED),
        (3, State.EXPIRED),
        (4, State.FAILED),
        (5, State.FAILED),
        (6, State.SENT),
        (7, State.UNKNOWN),
        (8, State.FAILED),
        (9, State.FAILED),
        (10, State.SENT),
        (255, State.SENT),
    ],
)  # 5.2.28, and 0 and 9 of 5.0
def test_each_number_of_a_state_means_the_same_in_a_receipt_and_in_an_answer_to_a_query(
    number: int, state: State
) -> None:
    answer = Pdu(smpp.QUERY_SM | ANSWER, 0, 1, {"message_id": "12345", "message_state": number, "error_code": 7})

    assert smpp.read_receipt(receipt("", ident=b"5\0", state=bytes((number,)))).state == state
    assert smpp.read_query_answer(smpp.decode(smpp.encode(answer)))[:2] == (("12345",), state)


def test_an_answer_to_a_query_tells_the_state_and_the_code() -> None:
    recorded = smpp.decode(bytes.fromhex(VECTORS["query_sm_resp"][0]))
    failed = Pdu(smpp.QUERY_SM | ANSWER, 0, 1, {"message_id": "9a", "message_state": 5, "error_code": 12})

    assert smpp.read_query_answer(recorded) == (("12345",), State.SENT, "000")
    assert smpp.read_query_answer(failed) == (("9a",), State.FAILED, "UNDELIV 012")
    assert smpp.read_query_answer(Pdu(smpp.QUERY_SM | ANSWER, 0x67, 1)) == ((), State.SENT, "")


@pytest.mark.parametrize(
    ("octets", "told"),
    [
        ("3961000428000 15f".replace(" ", ""), ("9a", 95)),
        ("396100042800 0164".replace(" ", ""), ("9a", 100)),
        ("39610004280001ff", ("9a", 100)),
        ("396100", ("9a", None)),
        ("3961", ("9a", None)),
        ("", ("", None)),
        ("39610004280002015f", ("9a", None)),
        ("3961000428", ("9a", None)),
        ("396100042800095f", ("9a", None)),
    ],
)
def test_an_answer_tells_the_id_and_how_busy_the_carrier_is_however_damaged(
    octets: str, told: tuple[str, int | None]
) -> None:
    body = b"before" + bytes.fromhex(octets) + b"after"

    ident, found = smpp.read_answer(body, 6, len(body) - 5)

    assert (ident, smpp.congestion(found)) == told


def test_a_receipt_may_come_as_a_data_sm() -> None:
    options = {
        smpp.RECEIPTED_MESSAGE_ID: b"38601fa\0",
        smpp.MESSAGE_STATE: b"\x05",
        smpp.NETWORK_ERROR_CODE: b"\3\0\x0b",
    }
    bare = smpp.message_of(smpp.decode(smpp.encode(Pdu(smpp.DATA_SM, 0, 1, {**ADDRESSES, "esm_class": 4}, options))))
    words = {smpp.MESSAGE_PAYLOAD: b"id:59113978 stat:DELIVRD err:000"}
    told = smpp.message_of(smpp.decode(smpp.encode(Pdu(smpp.DATA_SM, 0, 1, {**ADDRESSES, "esm_class": 4}, words))))

    assert smpp.is_receipt(bare)
    assert smpp.read_receipt(bare) == (("38601fa",), State.FAILED, "UNDELIV 011")
    assert smpp.read_receipt(told) == (("59113978",), State.DELIVERED, "000")


def test_ten_thousand_damaged_receipts_are_read_and_end_a_message_only_by_their_own_word() -> None:
    #
    dice = random.Random(20261122)
    words = [words.encode() for words, _ in RECEIPTS.values()]
    for _ in range(10_000):
        octets = bytearray(dice.choice(words))
        for _ in range(dice.randrange(1, 6)):
            at = dice.randrange(len(octets) + 1)
            change = dice.randrange(4)
            if change == 0:
                octets[at : at + 1] = bytes((dice.randrange(256),))
            elif change == 1:
                del octets[at : at + dice.randrange(1, 12)]
            elif change == 2:
                octets[at:at] = dice.choice((b" ", b":", b"id:", b"stat:", b"\0", b"err:", b"text:"))
            else:
                octets[at:] = dice.choice(words)[dice.randrange(60) :]
        reading = smpp.read_receipt(smpp.ShortMessage(1, 1, "1", 3, 0, "2", 4, 0, 0, bytes(octets), "", {}))
        told = re.search(rb"stat:[ ]?([A-Z]{7})", octets, re.IGNORECASE)
        if reading.state is not State.SENT:
            assert told is not None, octets
            assert all(smpp.spellings(ident)[0] == ident for ident in reading.ids)


def test_an_id_that_is_hex_in_one_place_and_decimal_in_another_is_offered_in_both() -> None:
    message = smpp.message_of(smpp.decode(bytes.fromhex(VECTORS["deliver_sm with a receipt"][0])))

    ids = smpp.read_receipt(message).ids
    assert {"38601fa", "0059113978", "59113978"} <= {each for id_ in ids for each in smpp.spellings(id_)}
    assert smpp.read_receipt(message).ids == ("38601fa", "0059113978")
    assert "16fee0e525" in smpp.spellings("98765432101")
    assert "98765432101" in smpp.spellings("16fee0e525")
    assert smpp.spellings(UUID) == (UUID,)
    assert smpp.spellings("0") == ("0", "0000000000")


def test_an_unreadable_option_leaves_the_text_alone() -> None:
    message = receipt("id:5 stat:UNDELIV err:001", ident=b"\0", state=b"\x02\x02", code=b"\x2a")

    assert smpp.read_receipt(message) == (("5",), State.FAILED, "UNDELIV 001")


def test_a_notice_on_the_way_ends_nothing() -> None:
    assert smpp.read_receipt(receipt("id:5 stat:UNDELIV err:001", esm_class=0x20)).state == State.SENT


def test_a_receipt_is_known_by_its_class_or_by_the_message_it_names() -> None:
    assert smpp.is_receipt(receipt("id:1"))
    assert smpp.is_receipt(receipt("", esm_class=0, ident=b"1\0"))
    assert not smpp.is_receipt(receipt("id:1 stat:DELIVRD", esm_class=0))
    assert not smpp.is_receipt(receipt("hello", esm_class=smpp.HAS_HEADER))


@given(
    st.lists(
        st.sampled_from(["id:", "stat:", "err:", " ", "12", "DELIVR", "DELIVERED", "UNDELI", "text:", "\xff", ":"]),
        max_size=12,
    )
)
def test_a_receipt_that_cannot_be_read_ends_no_message(pieces: list[str]) -> None:
    assert smpp.read_receipt(receipt("".join(pieces))).state == State.SENT
