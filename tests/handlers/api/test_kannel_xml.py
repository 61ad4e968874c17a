"""A document of Kannel's form becomes the fields of a call, or is refused in Kannel's words."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.messages import Content
from handlers.api import kannel_xml
from handlers.api.kannel_fields import Wrong, read


def submit(inside: str, head: str = "") -> dict[str, bytes]:
    return kannel_xml.read(f"{head}<message><submit>{inside}</submit></message>".encode())


def test_every_field_has_its_place() -> None:
    found = submit(
        "<from><username>shop</username><password>key</password><account>till</account><binfo>b</binfo></from>"
        "<oa><number>20655</number></oa><da><number>+1206</number></da><da><number>+1207</number></da>"
        "<udh>050003070201</udh><ud>Hi</ud>"
        "<dcs><mclass>1</mclass><mwi>2</mwi><coding>0</coding><alt-dcs>1</alt-dcs></dcs>"
        "<statusrequest><dlr-mask>31</dlr-mask><dlr-url>http://a.example/</dlr-url></statusrequest>"
        "<vp><delay>60</delay></vp><timing><delay>5</delay></timing><priority>2</priority><meta-data>?x</meta-data>"
    )
    assert found == {
        "username": b"shop", "password": b"key", "account": b"till", "binfo": b"b", "from": b"20655",
        "to": b"+1206 +1207", "udh": b"050003070201", "text": b"Hi", "charset": b"utf-8", "mclass": b"1", "mwi": b"2",
        "coding": b"0", "alt-dcs": b"1", "dlr-mask": b"31", "dlr-url": b"http://a.example/", "validity": b"60",
        "deferred": b"5", "priority": b"2", "meta-data": b"?x",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "coding", "text"),
    [
        ("100%25+off", "0", b"100% off"),
        ("1234", "0", b"1234"),  # a code, which Kannel would take for two octets
        ("00FF1B", "1", b"\0\xff\x1b"),
        ("%00%FF%1b", "1", b"\0\xff\x1b"),
        ("706F71D7", "2", bytes.fromhex("706F71D7")),
        ("灯笼", "2", "灯笼".encode()),
    ],
)
def test_the_text_is_percent_encoded_or_in_hexadecimal_where_it_cannot_be_meant_otherwise(
    words: str, coding: str, text: bytes
) -> None:
    assert submit(f"<ud>{words}</ud><dcs><coding>{coding}</coding></dcs>")["text"] == text


@pytest.mark.parametrize("udh", ["0605040b8423f0", "%06%05%04%0B%84%23%F0"])
@pytest.mark.parametrize("ud", ["29060603AE81EA", "%29%06%06%03%AE%81%EA"])
def test_octets_behind_a_header_are_read_without_a_coding_as_with_kannel(udh: str, ud: str) -> None:
    found = submit(f"<da><number>+12065550142</number></da><udh>{udh}</udh><ud>{ud}</ud>")
    header = bytes.fromhex("05040b8423f0")
    assert read(found).content == Content(octets=bytes.fromhex("29060603AE81EA"), header=header)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<message><submit>",
        b'<!DOCTYPE m [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;">]><message><submit><ud>&b;</ud></submit></message>',
        b"<message><submit>" + b"<x>" * 20 + b"</x>" * 20 + b"</submit></message>",
        b"<?xml version='1.0' encoding='x-none'?><message/>",
    ],
)
def test_what_is_no_such_document_is_refused(document: bytes) -> None:
    with pytest.raises(Wrong, match="Charset or body misformed, rejected"):
        kannel_xml.read(document)


def test_what_stands_elsewhere_means_nothing() -> None:
    assert kannel_xml.read(b"<message><ud>x</ud><submit><x><ud>y</ud></x></submit></message>")["text"] == b""
    assert kannel_xml.read(b"<submit><ud>x</ud></submit>")["text"] == b""


@given(st.binary(max_size=200))
def test_octets_of_any_kind_are_read_or_refused(octets: bytes) -> None:
    with contextlib.suppress(Wrong):
        assert kannel_xml.read(b"<message><submit>" + octets + b"</submit></message>")["text"] == b""
