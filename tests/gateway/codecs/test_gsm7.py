"""The GSM alphabet, held against the vectors of the standard and every code point there is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs import gsm7

gsm_texts = st.text(alphabet=gsm7.PLAIN + gsm7.ESCAPED)


def test_the_alphabet_has_a_place_for_each_of_128_septets() -> None:
    assert len(gsm7.ALPHABET) == 128
    assert len(set(gsm7.ALPHABET)) == 128


@pytest.mark.parametrize(
    ("character", "octets"),
    [
        ("@", "00"),
        ("$", "02"),
        ("_", "11"),
        ("Ç", "09"),
        ("à", "7f"),
        ("é", "05"),
        ("Δ", "10"),
        ("¡", "40"),
        ("¿", "60"),
        ("§", "5f"),
    ],
)  # 3GPP 23.038, table of 6.2.1
def test_a_character_of_the_default_alphabet_is_one_septet(character: str, octets: str) -> None:
    assert gsm7.encode(character).hex() == octets


def test_each_character_of_the_extension_table_costs_an_escape() -> None:
    # computed: golden vector G-3
    assert gsm7.encode("[x]~|^{}\\€").hex() == "1b3c781b3e1b3d1b401b141b281b291b2f1b65"


@pytest.mark.parametrize("character", ["`", "ç", "Á", "í", "ú", "你", "\x1b", "\t", "\x00", "\u2019", "👍"])
def test_a_character_outside_the_alphabet_is_not_taken_for_one_inside(character: str) -> None:
    assert not gsm7.is_gsm("plain " + character)
    assert gsm7.outsider("plain " + character + "ç") == character
    with pytest.raises(ValueError, match="not in the GSM alphabet"):
        gsm7.encode("plain " + character)


def test_a_plain_text_has_no_outsider() -> None:
    assert gsm7.outsider("2 lattes for 1, [today] à 3 €") == ""


@given(gsm_texts)
def test_what_is_encoded_reads_the_same(text: str) -> None:
    assert gsm7.is_gsm(text)
    assert gsm7.decode(gsm7.encode(text)) == text


@given(st.text())
def test_the_alphabet_is_closed_over_every_code_point(text: str) -> None:
    inside = all(character in gsm7.PLAIN + gsm7.ESCAPED for character in text)
    assert gsm7.is_gsm(text) is inside
    assert bool(gsm7.outsider(text)) is not inside


@given(st.binary())
def test_no_octet_makes_reading_fail(octets: bytes) -> None:
    assert "\x1b" not in gsm7.decode(octets)


@pytest.mark.parametrize(
    ("octets", "text"),
    [("411b", "A "), ("1b1b41", " A"), ("1b41", "A"), ("1b0a", "\f"), ("48e9", "Hé"), ("4881", "H\ufffd")],
    ids=["lone escape", "two escapes", "unknown escape", "form feed", "a carrier's Latin-1", "nothing at all"],
)  # 3GPP 23.038, 6.2.1.1, note 1, and 6.2.1.1
def test_odd_octets_read_as_a_phone_would_show_them(octets: str, text: str) -> None:
    assert gsm7.decode(bytes.fromhex(octets)) == text


@pytest.mark.parametrize(
    ("text", "packed"),
    [
        ("hellohello", "e8329bfd4697d9ec37"),
        ("[x]~|^{}\\€", "1b1e7ee3dbf436c00d6583daa436af4d19"),
        ("€", "9b32"),
        ("@", "00"),
        ("1234567", "31d98c56b3dd1a"),
        ("", ""),
    ],
)  # golden vectors G-3; the fill of seven spare bits: 3GPP 23.038, 6.1.2.3.1
def test_septets_pack_as_in_the_standard(text: str, packed: str) -> None:
    assert gsm7.pack(gsm7.encode(text)).hex() == packed
    assert gsm7.decode(gsm7.unpack(bytes.fromhex(packed), len(gsm7.encode(text)))) == text


def test_seven_septets_read_the_same_whatever_fills_the_last_octet() -> None:
    # golden vector G-3: with zero fill and with a CR
    for packed in ("31d98c56b3dd00", "31d98c56b3dd1a"):
        assert gsm7.decode(gsm7.unpack(bytes.fromhex(packed), 7)) == "1234567"


def test_packed_septets_begin_on_a_septet_boundary_after_a_header() -> None:
    # golden vector G-3: after 05 00 03 CC 02 01, a full part of 140 octets with one fill bit
    packed = gsm7.pack(gsm7.encode("a" * 153), fill_bits=1)
    assert len(packed) == 140 - 6
    assert packed.hex().startswith("c2e170381c0e87c3e170381c0e87c3")
    assert gsm7.decode(gsm7.unpack(packed, 153, fill_bits=1)) == "a" * 153


@given(gsm_texts, st.integers(0, 6))
def test_packing_loses_nothing(text: str, fill_bits: int) -> None:
    septets = gsm7.encode(text)
    assert gsm7.unpack(gsm7.pack(septets, fill_bits), len(septets), fill_bits) == septets


@given(st.text(alphabet="@ab", min_size=7, max_size=7))
def test_no_phantom_at_sign_follows_seven_septets(text: str) -> None:
    packed = gsm7.pack(gsm7.encode(text))
    assert gsm7.decode(gsm7.unpack(packed, 8)) == text + "\r"


def test_unpacking_stops_where_the_octets_end() -> None:
    assert gsm7.unpack(b"\x31", 40) == b"\x31"
    assert gsm7.unpack(b"", 3, fill_bits=1) == b""


many_texts = st.text(gsm7.PLAIN) | st.text(st.characters(max_codepoint=127)) | gsm_texts | st.text()


@given(st.lists(st.sampled_from(["Hi", "a@b_c", "", "x" * 160, "x" * 161]) | st.text("Hi @$_\n"), max_size=6))
def test_many_plain_texts_are_encoded_at_once(texts: list[str]) -> None:
    assert gsm7.encode_plain(texts, 160) == [gsm7.encode(text) if len(text) <= 160 else b"" for text in texts]


@given(st.lists(many_texts, max_size=6))
def test_where_the_short_cut_says_anything_it_says_what_the_long_way_says(texts: list[str]) -> None:
    for text, octets in zip(texts, gsm7.encode_plain(texts, 160), strict=True):
        assert not octets or octets == gsm7.encode(text)


@pytest.mark.parametrize("other", ["é", "x" * 161])
def test_a_text_that_has_no_short_cut_bars_it_to_no_other(other: str) -> None:
    assert gsm7.encode_plain(["Hi", other, "Ho"], 160) == [b"Hi", b"", b"Ho"]


@pytest.mark.parametrize("other", ["[", "\x1b", "`", "\0"])
def test_what_must_be_escaped_or_replaced_is_left_to_the_long_way(other: str) -> None:
    assert gsm7.encode_plain(["Hi", other], 160) == [b"", b""]
