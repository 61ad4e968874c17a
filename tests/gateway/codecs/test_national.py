"""National alphabets: every place of every table, and texts that become cheap by them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs import gsm7, national, parts
from gateway.codecs.national import Alphabet, Shift

TURKISH, SPANISH, PORTUGUESE = Alphabet

# 3GPP 23.038 (release 18), A.3.1 and A.3.3, printed in rows of sixteen from 0x00; `.` stands for the escape.
LOCKING = {
    1: (
        "@£$¥€éùıòÇ\nĞğ\rÅåΔ_ΦΓΛΩΠΨΣΘΞ.ŞşßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
        "İABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§çabcdefghijklmnopqrstuvwxyzäöñüà"
    ),
    3: (
        "@£$¥êéúíóç\nÔô\rÁáΔ_ªÇÀ∞^\\€Ó|.ÂâÊÉ !\"#º%&'()*+,-./0123456789:;<=>?"
        "ÍABCDEFGHIJKLMNOPQRSTUVWXYZÃÕÚÜ§~abcdefghijklmnopqrstuvwxyzãõ`üà"
    ),
}
# A.2.1 to A.2.3, as the places at which each differs from nothing.
SINGLE = {
    1: {0x0A: "\f", 0x14: "^", 0x28: "{", 0x29: "}", 0x2F: "\\", 0x3C: "[", 0x3D: "~", 0x3E: "]", 0x40: "|"}
    | {0x47: "Ğ", 0x49: "İ", 0x53: "Ş", 0x63: "ç", 0x65: "€", 0x67: "ğ", 0x69: "ı", 0x73: "ş"},
    2: {0x09: "ç", 0x0A: "\f", 0x14: "^", 0x28: "{", 0x29: "}", 0x2F: "\\", 0x3C: "[", 0x3D: "~", 0x3E: "]"}
    | {0x40: "|", 0x41: "Á", 0x49: "Í", 0x4F: "Ó", 0x55: "Ú", 0x61: "á", 0x65: "€", 0x69: "í", 0x6F: "ó", 0x75: "ú"},
    3: {0x05: "ê", 0x09: "ç", 0x0A: "\f", 0x0B: "Ô", 0x0C: "ô", 0x0E: "Á", 0x0F: "á", 0x12: "Φ", 0x13: "Γ", 0x14: "^"}
    | {0x15: "Ω", 0x16: "Π", 0x17: "Ψ", 0x18: "Σ", 0x19: "Θ", 0x1F: "Ê", 0x28: "{", 0x29: "}", 0x2F: "\\", 0x3C: "["}
    | {0x3D: "~", 0x3E: "]", 0x40: "|", 0x41: "À", 0x49: "Í", 0x4F: "Ó", 0x55: "Ú", 0x5B: "Ã", 0x5C: "Õ", 0x61: "Â"}
    | {0x65: "€", 0x69: "í", 0x6F: "ó", 0x75: "ú", 0x7B: "ã", 0x7C: "õ", 0x7F: "â"},
}

national_text = st.text(alphabet=gsm7.PLAIN + gsm7.ESCAPED + "".join(LOCKING.values()).replace(".", ""), max_size=400)
some_alphabets = st.lists(st.sampled_from(list(Alphabet)), max_size=3)


@pytest.mark.parametrize("identifier", LOCKING)
def test_each_place_of_a_locking_table_reads_as_the_standard_prints_it(identifier: int) -> None:
    before, after = bytes(range(gsm7.ESCAPE)), bytes(range(gsm7.ESCAPE + 1, 128))
    assert national.decode(before, Shift(identifier, 0)) == LOCKING[identifier][: gsm7.ESCAPE]
    assert national.decode(after, Shift(identifier, 0)) == LOCKING[identifier][gsm7.ESCAPE + 1 :]


@pytest.mark.parametrize("identifier", SINGLE)
def test_each_place_of_a_single_shift_table_reads_as_the_standard_prints_it(identifier: int) -> None:
    for septet in set(range(128)) - {gsm7.ESCAPE}:
        shown = SINGLE[identifier].get(septet, gsm7.ALPHABET[septet])  # what is not there reads by the main table
        assert national.decode(bytes((gsm7.ESCAPE, septet)), Shift(0, identifier)) == shown


def test_the_language_numbers_are_those_of_the_standard() -> None:
    assert [national.IDENTIFIERS[alphabet] for alphabet in (TURKISH, SPANISH, PORTUGUESE)] == [1, 2, 3]


@given(national_text, st.sampled_from(national.ALL))
def test_what_is_encoded_by_a_table_reads_the_same_by_it(text: str, shift: Shift) -> None:
    try:
        septets = national.encode(text, shift)
    except ValueError:
        assert not national._holds(text, shift)
        return
    assert national._holds(text, shift)
    assert national.decode(septets, shift) == text
    assert septets.isascii()


@given(st.binary(max_size=200), st.sampled_from(national.ALL))
def test_no_octets_make_reading_fail(octets: bytes, shift: Shift) -> None:
    assert "\x1b" not in national.decode(octets, shift)


@pytest.mark.parametrize(
    ("text", "alphabets", "header", "units"),
    [
        ("İyi akşamlar! " * 11, (TURKISH,), "03250101", 154),
        ("Crème ş" + "a" * 145, (TURKISH,), "03240101", 153),
        ("ş" * 80, (TURKISH,), "03250101", 80),
        ("¡Qué día! Adiós " * 8, (SPANISH,), "03240102", 144),
        ("Promoção à moda ã " * 8, (PORTUGUESE,), "03250103", 144),
        ("ação só hoje Σ " * 9, (PORTUGUESE,), "06240103250103", 144),
    ],
    ids=["locking", "single", "dense", "spanish", "portuguese", "both"],
)
def test_a_text_of_one_language_goes_by_the_cheapest_of_its_tables(
    text: str, alphabets: tuple[Alphabet, ...], header: str, units: int
) -> None:
    sent = parts.cut(text, 1, alphabets)
    assert parts.split(text, 1)[0] == 8
    assert (sent.coding, sent.has_header, len(sent.pieces)) == (0, True, 1)
    assert sent.pieces[0].hex().startswith(header)
    assert parts.measure(text, alphabets) == parts.Measure(0, units, 1, "")
    assert parts.read(sent.pieces[0], 0, udhi=True) == (text, None)


@pytest.mark.parametrize(
    ("text", "alphabets", "capacity"),
    [
        ("ş", (TURKISH,), [155, 298]),
        ("ã", (PORTUGUESE,), [155, 298]),
        ("ãΣ", (PORTUGUESE,), [152, 292]),
    ],
    ids=["turkish locking", "portuguese locking", "both"],
)
def test_the_capacities_are_those_of_the_standard(
    text: str, alphabets: tuple[Alphabet, ...], capacity: list[int]
) -> None:
    # 155 and 149 septets with one table, 152 and 146 with both: computed from 140 octets (23.040, 9.2.3.24)
    rare = len(text.replace("Σ", "")) + 2 * text.count("Σ")
    for count, septets in enumerate(capacity, 1):
        full = text + "ã" * (septets - rare) if "ã" in text else text + "ş" * (septets - rare)
        assert parts.measure(full, alphabets)[1:3] == (septets, count)
        assert parts.measure(full + "a", alphabets).parts == count + 1


def test_a_single_shift_alone_holds_155_and_149() -> None:
    text = "í" + "a" * 153
    assert parts.measure(text, (SPANISH,)) == parts.Measure(0, 155, 1, "")
    assert parts.measure(text + "a", (SPANISH,)).parts == 2
    assert [len(piece) for piece in parts.cut(text + "a" * 143, 1, (SPANISH,)).pieces] == [9 + 149, 9 + 149]


def test_each_part_names_its_place_and_its_tables() -> None:
    sent = parts.cut("ã" * 200 + "Σ" * 4, 0x1CC, (PORTUGUESE,))
    assert [piece[:12].hex() for piece in sent.pieces] == [f"0b0003cc020{part}240103250103" for part in (1, 2)]


@pytest.mark.parametrize("before", range(140, 152))
def test_an_escape_pair_of_a_national_table_is_not_cut(before: int) -> None:
    text = "a" * before + "íííí" + "a" * 120
    sent = parts.cut(text, 1, (SPANISH,))
    assert len(sent.pieces) == 2
    assert not any(gsm7.ends_within_escape(piece[9:]) for piece in sent.pieces)


@pytest.mark.parametrize(
    ("text", "alphabets"),
    [
        ("plain text " * 20, tuple(Alphabet)),
        ("€ [x] " * 40, tuple(Alphabet)),
        ("ş", (TURKISH,)),
        ("ş" * 70, (TURKISH,)),
        ("ş" * 100, (SPANISH,)),
        ("你好ş" * 40, tuple(Alphabet)),
        ("ş" * 100, ()),
    ],
    ids=["plain", "extension", "short", "one part of UCS-2", "another language", "none", "not asked for"],
)
def test_where_a_national_alphabet_saves_nothing_the_text_goes_as_ever(
    text: str, alphabets: tuple[Alphabet, ...]
) -> None:
    coding, pieces = parts.split(text, 9)
    assert parts.cut(text, 9, alphabets) == (coding, pieces, len(pieces) > 1)
    assert parts.measure(text, alphabets) == parts.measure(text)


# Not of the private plane 16: some of its characters stand for the halves of others while a piece waits for the next.
@given(national_text | st.text(st.characters(max_codepoint=0xF_FFFF, codec="utf-8"), max_size=200), some_alphabets)
def test_every_text_arrives_whatever_alphabets_are_allowed(text: str, alphabets: list[Alphabet]) -> None:
    sent = parts.cut(text, 5, alphabets)
    measured = parts.measure(text, alphabets)
    read = [parts.read(piece, sent.coding, sent.has_header) for piece in sent.pieces]
    assert parts.join({joint.number if joint else 1: words for words, joint in read}) == text
    assert (measured.coding, measured.parts) == (sent.coding, len(sent.pieces))
    assert len(sent.pieces) <= parts.measure(text).parts
    assert all(len(_packed(piece, sent)) <= 140 for piece in sent.pieces)


def _packed(piece: bytes, sent: parts.Cut) -> bytes:
    """The octets on the air: septets packed after the header, from the next whole septet on."""
    if sent.coding == parts.UCS2:
        return piece
    header = piece[: piece[0] + 1] if sent.has_header else b""
    return header + gsm7.pack(piece[len(header) :], -len(header) * 8 % 7)


def test_an_escape_that_a_phone_cut_in_two_is_explained_by_its_own_table() -> None:
    first, _ = parts.read(bytes.fromhex("080003010201240102") + b"d\x1b", 0, udhi=True)
    second, _ = parts.read(bytes.fromhex("080003010202240102") + b"ia", 0, udhi=True)
    assert parts.join({1: first, 2: second}) == "día"
    assert parts.join({1: first}) == "d "


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("03240102", "d\u00eda"),
        ("03240104", "dia"),
        ("0324010d", "dia"),
        ("03250102", "dia"),
        ("0424020101", "dia"),
        ("0605040b8423f0", "dia"),
        ("0324", "dia"),
    ],
    ids=["spanish", "bengali", "urdu", "no such table", "two octets", "ports", "cut off"],
)
def test_a_table_that_we_do_not_have_leaves_the_default_one(header: str, text: str) -> None:
    octets = bytes.fromhex(header)
    octets = bytes((len(octets) - 1,)) + octets[1:]
    assert parts.read(octets + b"d\x1bia", 0, udhi=True) == (text, None)


def test_a_private_character_in_a_text_from_a_person_breaks_nothing() -> None:
    for code in range(0x100000, 0x100040):
        assert parts.join({1: chr(code) + "i", 2: "x"})
