"""Parts: counted as they are sent, cut where no reader sees it, joined in any order."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import smsutil
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.codecs import gsm7, parts
from gateway.codecs.national import Alphabet
from gateway.messages import Content, Joint

any_text = st.text(max_size=500)
lively_text = st.lists(
    st.sampled_from(
        [
            "a",
            "[",
            "é",
            "你",
            "👍",
            "👍🏽",
            "🇮🇹",
            "🏳️\u200d🌈",
            "e\u0301",
            "👨\u200d👩\u200d👧",
            "\u1100\u1161\u11a8",
            "\r\n",
            "́",
        ]
    ),
    max_size=200,
).map("".join)


def sent_and_read(text: str) -> str:
    """The text after its way over the wire, its parts in disorder."""
    coding, messages = parts.split(text, 7)
    if len(messages) == 1:
        return parts.read(messages[0], coding, udhi=False)[0]
    pieces = {}
    random.Random(1).shuffle(messages)
    for message in messages:
        piece, joint = parts.read(message, coding, udhi=True)
        assert joint is not None
        pieces[joint.number] = piece
    return parts.join(pieces)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1" * 160, 1),
        ("1" * 161, 2),
        ("1" * 306, 2),
        ("1" * 307, 3),
        *[(character + "1" * 158, 1) for character in "|^€{}[]~\\"],
        *[(character + "1" * 159, 2) for character in "|^€{}[]~\\"],
        ("😜" + "1" * 68, 1),
        ("😜" + "1" * 69, 2),
        ("😜" + "1" * 133, 3),
        ("🇮🇹" + "1" * 66, 1),
        ("🇮🇹" + "1" * 67, 2),
        ("🏳️\u200d🌈" + "1" * 64, 1),
        ("🏳️\u200d🌈" + "1" * 65, 2),
        ("ú" * 70, 1),
        ("ú" * 71, 2),
        ("😀" + "]" * 68, 1),
        ("😀" + "]" * 69, 2),
        ("", 1),
    ],
)  # golden vectors G-3, from the tests of Twilio's message-segment-calculator
def test_parts_are_counted_as_carriers_count_them(text: str, count: int) -> None:
    assert parts.measure(text).parts == count
    assert len(parts.split(text, 1)[1]) == count


@pytest.mark.parametrize(
    ("text", "measured"),
    [
        ("Two for one", parts.Measure(0, 11, 1, "")),
        ("3 € [today]", parts.Measure(0, 14, 1, "")),
        ("caf\u00e9", parts.Measure(0, 4, 1, "")),
        ("it\u2019s ç", parts.Measure(8, 6, 1, "\u2019")),
        ("`", parts.Measure(8, 1, 1, "`")),
        ("tab\there", parts.Measure(8, 8, 1, "\t")),
        ("好👍", parts.Measure(8, 3, 1, "好")),
    ],
)
def test_the_character_that_makes_a_text_dear_is_named(text: str, measured: parts.Measure) -> None:
    assert parts.measure(text) == measured


@pytest.mark.parametrize(("text", "octets"), [("你好", "4f60597d"), ("👍", "d83ddc4d"), ("🇮🇹", "d83cddeed83cddf9")])
def test_ucs2_goes_big_endian_without_a_mark(text: str, octets: str) -> None:
    # golden vectors G-3
    assert parts.split(text, 1) == (8, [bytes.fromhex(octets)])
    assert parts.read(bytes.fromhex(octets), 8, udhi=False) == (text, None)


def test_each_part_of_a_long_text_opens_with_its_place_in_the_whole() -> None:
    coding, messages = parts.split("a" * 160 + "b", 0x1CC)
    assert coding == 0
    assert [message[:6].hex() for message in messages] == ["050003cc0201", "050003cc0202"]
    assert [len(message) for message in messages] == [6 + 153, 6 + 8]


def test_an_escape_pair_moves_whole_to_the_next_part() -> None:
    _, messages = parts.split("a" * 152 + "[" + "b" * 20, 1)
    assert messages[0][6:] == b"a" * 152
    assert messages[1][6:8].hex() == "1b3c"


@pytest.mark.parametrize("before", [151, 152, 153])
def test_a_line_end_of_two_characters_moves_whole_to_the_next_part(before: int) -> None:
    _, messages = parts.split("a" * before + "\r\n" + "b" * 20, 1)
    assert not any(message.endswith(b"\r") for message in messages)


def test_a_surrogate_pair_moves_whole_to_the_next_part() -> None:
    # parts of 66 and 7 units, not 67 and 6
    _, messages = parts.split("a" * 66 + "👍" + "b" * 5, 1)
    assert [len(message[6:]) // 2 for message in messages] == [66, 7]


# GraphemeBreakTest.txt of the Unicode Character Database (UAX 29): the sequences at its end, which show each rule.
BREAKS = """
÷ 000D × 000A ÷ 0061 ÷ 000A ÷ 0308 ÷
÷ 0061 × 0308 ÷
÷ 0020 × 200D ÷ 0646 ÷
÷ 0646 × 200D ÷ 0020 ÷
÷ 1100 × 1100 ÷
÷ AC00 × 11A8 ÷ 1100 ÷
÷ AC01 × 11A8 ÷ 1100 ÷
÷ 1F1E6 × 1F1E7 ÷ 1F1E8 ÷ 0062 ÷
÷ 0061 ÷ 1F1E6 × 1F1E7 ÷ 1F1E8 ÷ 0062 ÷
÷ 0061 ÷ 1F1E6 × 1F1E7 × 200D ÷ 1F1E8 ÷ 0062 ÷
÷ 0061 ÷ 1F1E6 × 200D ÷ 1F1E7 × 1F1E8 ÷ 0062 ÷
÷ 0061 ÷ 1F1E6 × 1F1E7 ÷ 1F1E8 × 1F1E9 ÷ 0062 ÷
÷ 0061 × 200D ÷
÷ 0061 × 0308 ÷ 0062 ÷
÷ 0061 × 0903 ÷ 0062 ÷
÷ 0061 ÷ 0600 × 0062 ÷
÷ 1F476 × 1F3FF ÷ 1F476 ÷
÷ 0061 × 1F3FF ÷ 1F476 ÷
÷ 0061 × 1F3FF ÷ 1F476 × 200D × 1F6D1 ÷
÷ 1F476 × 1F3FF × 0308 × 200D × 1F476 × 1F3FF ÷
÷ 1F6D1 × 200D × 1F6D1 ÷
÷ 0061 × 200D ÷ 1F6D1 ÷
÷ 0061 × 200D ÷ 2701 ÷
÷ 0915 ÷ 0924 ÷
÷ 0915 × 094D × 0924 ÷
÷ 0915 × 094D × 094D × 0924 ÷
÷ 0915 × 094D × 200D × 0924 ÷
÷ 0915 × 093C × 200D × 094D × 0924 ÷
÷ 0915 × 093C × 094D × 200D × 0924 ÷
÷ 0915 × 094D × 0924 × 094D × 092F ÷
÷ 0915 × 094D ÷ 0061 ÷
÷ 0061 × 094D ÷ 0924 ÷
÷ 003F × 094D ÷ 0924 ÷
"""
# Where the rules need tables that we do not have, we keep together what they let be cut; never the other way round.
KEPT_TOGETHER = ("200D ÷", "÷ 0308", "094D ÷ 0924")


def clusters(line: str) -> list[str]:
    """The visible characters of a line of that file."""
    return ["".join(chr(int(code, 16)) for code in cluster.split("×")) for cluster in line.strip("÷ ").split("÷")]


@pytest.mark.parametrize("line", BREAKS.strip().splitlines())
@pytest.mark.parametrize("before", range(56, 67))
def test_parts_are_cut_only_where_the_unicode_standard_allows_it(line: str, before: int) -> None:
    expected = clusters(line)
    text = "好" * before + "".join(expected) + "好" * 30
    places = set(range(before + 1)) | {before + len("".join(expected[:count])) for count in range(len(expected) + 1)}
    _, messages = parts.split(text, 1)
    first = len(messages[0][6:].decode("utf-16-be"))
    assert first in places or first > before + len("".join(expected))


@pytest.mark.parametrize(
    "line", [line for line in BREAKS.strip().splitlines() if not any(x in line for x in KEPT_TOGETHER)]
)
def test_parts_are_cut_where_the_unicode_standard_allows_it(line: str) -> None:
    expected = clusters(line)
    text = "好" + "".join(expected) + "好"
    at = 1
    for cluster in expected:
        assert not parts._is_glued(text, 0, at)
        assert all(parts._is_glued(text, 0, within) for within in range(at + 1, at + len(cluster)))
        at += len(cluster)


@pytest.mark.parametrize(
    "cluster",
    [
        "🇮🇹",
        "🏳️\u200d🌈",
        "❤️",
        "e\u0301",
        "👍🏽",
        "👨\u200d👩\u200d👧\u200d👦",
        "1\ufe0f\u20e3",
        "\u1100\u1161\u11a8",
        "\r\n",
        "🏴\U000e0067\U000e0062\U000e007f",
        "กำ",
        "ｶﾞ",
        "\u1100\uac01",
        "\ua960\ud7b0\ud7cb",
        "\u0600\u0661",
    ],
    ids=[
        "flag",
        "joined",
        "selector",
        "accent",
        "skin tone",
        "family",
        "keycap",
        "jamo",
        "line end",
        "region",
        "thai",
        "half-width",
        "jamo and syllable",
        "old jamo",
        "number sign",
    ],
)
@pytest.mark.parametrize("before", range(55, 68))
def test_what_a_reader_sees_as_one_character_is_not_cut(cluster: str, before: int) -> None:
    text = "好" * before + cluster + "好" * 20
    _, messages = parts.split(text, 1)
    assert any(cluster in message[6:].decode("utf-16-be") for message in messages)


def test_flags_in_a_row_are_cut_between_flags() -> None:
    _, messages = parts.split("好" + "🇮🇹" * 40, 1)
    assert all(len(message[6:].decode("utf-16-be").replace("好", "")) % 2 == 0 for message in messages)


def test_a_character_longer_than_a_part_is_cut_rather_than_lost() -> None:
    text = "好e" + "\u0301" * 200
    _, messages = parts.split(text, 1)
    assert all(len(message) <= 140 for message in messages)
    assert sent_and_read(text) == text


@pytest.mark.parametrize(("text", "most"), [("a", 153), ("好", 67)])
def test_more_than_255_parts_are_refused_in_plain_words(text: str, most: int) -> None:
    assert parts.measure(text * most * 255).parts == 255
    with pytest.raises(ValueError, match="256 parts: 255 is the most"):
        parts.measure(text * (most * 255 + 1))
    with pytest.raises(ValueError, match="256 parts: 255 is the most"):
        parts.split(text * (most * 255 + 1), 1)
    with pytest.raises(ValueError, match="256 parts: 255 is the most"):
        parts.bare(text * (most * 255 + 1))


@given(
    st.lists(any_text | lively_text | st.text(alphabet="aZ 0\n@", max_size=400)),
    st.sampled_from([(), (Alphabet.TURKISH,), tuple(Alphabet)]),
)
@example(["a" * 160, "a" * 161, "a" * 306, "a" * 307], ())
@example(["a" * 152 + "\r\n" + "a" * 152, "plain"], ())
@example(["a" * 159 + "[", "plain"], ())
@example(["好" * 70, "好" * 71, "👍" * 35, "👍" * 36, "é" * 71], ())
def test_many_texts_are_counted_as_each_is_measured(texts: list[str], alphabets: tuple[Alphabet, ...]) -> None:
    assert parts.count(texts, alphabets) == [parts.measure(text, alphabets).parts for text in texts]


def test_a_text_that_phones_cannot_join_is_refused_among_others_too() -> None:
    with pytest.raises(ValueError, match="256 parts"):
        parts.count(["plain", "a" * 153 * 255 + "a"])


@given(any_text | lively_text)
@example("[" * 200)
@example("`" * 300)
def test_what_is_measured_is_what_is_sent(text: str) -> None:
    measured = parts.measure(text)
    coding, messages = parts.split(text, 300)
    assert (measured.coding, measured.parts) == (coding, len(messages))
    header = 6 if len(messages) > 1 else 0
    octets = 2 if coding == 8 else 1
    assert sum(len(message) - header for message in messages) == measured.units * octets
    capacity = {(0, 0): 160, (0, 6): 159, (8, 0): 140, (8, 6): 140}[coding, header]
    assert max(map(len, messages)) <= capacity


@given(any_text | lively_text | st.text(alphabet=gsm7.PLAIN + gsm7.ESCAPED, max_size=500))
def test_every_text_arrives_as_it_was_sent(text: str) -> None:
    assert sent_and_read(text) == text


# Without a line end of two characters, which we keep together and others do not.
@given(st.text(alphabet=(gsm7.PLAIN + gsm7.ESCAPED + "好ú`👍").replace("\r", ""), min_size=1, max_size=500))
def test_an_independent_splitter_counts_the_same(text: str) -> None:
    other = smsutil.split(text)
    measured = parts.measure(text)
    assert (measured.parts, measured.coding == 8) == (len(other.parts), smsutil.is_valid_gsm(text) is False)


def test_half_a_surrogate_pair_in_our_own_text_is_sent_as_a_question_mark() -> None:
    assert parts.split("好\ud83d", 1) == (8, [bytes.fromhex("597d003f")])
    assert parts.measure("好\ud83d").units == 2


@pytest.mark.parametrize(
    ("coding", "octets", "text"),
    [
        (0, "00486921", "@Hi!"),
        (1, "4869407e", "Hi@~"),
        (3, "63e7", "cç"),
        (8, "4f60597d", "你好"),
        (8, "4f60d83d", "你\ufffd"),
        (8, "4f6059", "你\ufffd"),
        (0xF0, "00", "@"),
        (0xF5, "40e9", "@é"),
        (0x10, "00", "@"),
        (0x14, "40e9", "@é"),
        (0x18, "4f60", "你"),
        (0x19, "4f60", "你"),
        (0xC8, "00", "@"),
        (0xE0, "4f60", "你"),
        (6, "bfe0d8", "При"),
        (2, "41ff", "Aÿ"),
    ],
)  # SMPP 3.4, 5.2.19; 3GPP 23.038 section 4
def test_each_data_coding_reads_in_its_own_alphabet(coding: int, octets: str, text: str) -> None:
    assert parts.read(bytes.fromhex(octets), coding, udhi=False) == (text, None)


@pytest.mark.parametrize(
    ("header", "joint"),
    [
        ("050003cc0201", Joint(0xCC, 2, 1)),
        ("0608041234ff03", Joint(0x1234, 255, 3)),
        ("0b05040b8423f00003960202", Joint(150, 2, 2)),
        ("0c08049f8e020105040b8423f0", Joint(40846, 2, 1)),
        ("0605040b8423f0", None),
        ("050003cc0200", None),
        ("050003cc0203", None),
        ("050003cc0101", None),
        ("050003cc00", None),
        ("00", None),
    ],
    ids=[
        "8 bit",
        "16 bit",
        "after ports",
        "before ports",
        "ports alone",
        "number 0",
        "past the total",
        "of one",
        "short",
        "empty",
    ],
)  # 3GPP 23.040, 9.2.3.24; the two with ports are captured WAP pushes (python-messaging, test_wap.py)
def test_the_header_says_which_piece_it_is(header: str, joint: Joint | None) -> None:
    octets = bytes.fromhex(header)
    octets = octets if len(octets) == octets[0] + 1 else bytes((len(octets) - 1,)) + octets[1:]
    assert parts.read(octets + b"Hi", 0, udhi=True) == ("Hi", joint)


@given(st.binary(max_size=200), st.integers(0, 255), st.booleans())
def test_no_octets_make_reading_fail_or_yield_what_a_database_refuses(octets: bytes, coding: int, udhi: bool) -> None:
    text, joint = parts.read(octets, coding, udhi)
    text.encode("utf-8")
    parts.join({1: text, 2: text}).encode("utf-8")
    assert joint is None or 1 <= joint.number <= joint.total


def test_a_header_that_claims_more_than_there_is_leaves_the_text_alone() -> None:
    assert parts.read(b"Hi", 0, udhi=True) == ("Hi", None)
    assert parts.read(b"", 0, udhi=True) == ("", None)


def test_an_emoji_that_a_phone_cut_in_two_arrives_whole() -> None:
    first, _ = parts.read(bytes.fromhex("050003010201") + bytes.fromhex("597dd83d"), 8, udhi=True)
    second, _ = parts.read(bytes.fromhex("050003010202") + bytes.fromhex("dc4d597d"), 8, udhi=True)
    assert parts.join({2: second, 1: first}) == "好👍好"
    assert parts.join({1: first}) == "好\ufffd"


def test_an_escape_that_a_phone_cut_in_two_arrives_whole() -> None:
    first, _ = parts.read(bytes.fromhex("0500030102013a1b"), 0, udhi=True)
    second, _ = parts.read(bytes.fromhex("0500030102026521"), 0, udhi=True)
    assert parts.join({1: first, 2: second}) == ":€!"
    assert parts.join({1: first}) == ": "


def test_a_missing_piece_leaves_an_ellipsis() -> None:
    assert parts.join({4: "d", 1: "a", 2: "b"}) == "ab…d"
    assert parts.join({}) == ""


@given(any_text | lively_text)
def test_bare_parts_are_the_same_parts_without_their_headers(text: str) -> None:
    coding, messages = parts.split(text, 3)
    header = 6 if len(messages) > 1 else 0
    assert parts.bare(text) == (coding, [message[header:] for message in messages])
    assert parts.whole(text) == (coding, b"".join(message[header:] for message in messages))


@given(any_text | lively_text)
def test_a_full_cut_says_what_a_split_does_and_whether_a_header_stands_before(text: str) -> None:
    coding, messages = parts.split(text, 3)
    assert parts.cut(text, 3) == parts.Cut(coding, messages, len(messages) > 1)


# --- more than letters -----------------------------------------------------------------------------------------------

# 3GPP 23.038, section 4: 00010000 class 0 in the default alphabet, 00011000 in UCS2, 000101xx octets; 1111 the same
# without UCS2; 1101 and 1110 a waiting voice message (1000) that is kept, in the default alphabet and in UCS2.
CLASS_0, SHORT_0 = Content(message_class=0), Content(message_class=0, is_short_class=True)


@pytest.mark.parametrize(
    ("text", "content", "coding"),
    [
        ("Fire!", CLASS_0, 0x10),
        ("Fire!", Content(message_class=3), 0x13),
        ("着火了", CLASS_0, 0x18),
        ("Fire!", SHORT_0, 0xF0),
        ("着火了", SHORT_0, 0x18),
        ("Call", Content(waiting=0), 0xD8),
        ("Done", Content(waiting=6), 0xD2),
        ("来电", Content(waiting=1), 0xE9),
        ("Done", Content(waiting=14), 0xC2),
        ("", Content(octets=b"\0"), 0x04),
        ("", Content(octets=b"\0", message_class=1), 0x15),
        ("", Content(octets=b"\0", message_class=1, is_short_class=True), 0xF5),
    ],
)
def test_the_data_coding_says_how_a_phone_shows_it(text: str, content: Content, coding: int) -> None:
    assert parts.cut_content(text, content, 1).coding == coding


@given(any_text.filter(bool))
def test_a_flash_text_is_cut_as_the_same_text_without_flash(text: str) -> None:
    plain, flash = parts.cut(text, 7), parts.cut_content(text, CLASS_0, 7)
    assert (flash.pieces, flash.has_header) == (plain.pieces, plain.has_header)
    assert flash.coding == plain.coding | 0x10
    assert parts.count_content(text, CLASS_0) == len(plain.pieces)


def test_octets_with_ports_are_octet_exact() -> None:
    """A Wireless Datagram to port 2948 (WAP push, WAP-259 appendix) behind 06 05 04 0B84 23F0 (23.040, 9.2.3.24.4)."""
    push = Content(octets=bytes.fromhex("0106"), header=bytes.fromhex("05040b8423f0"))
    assert parts.cut_content("", push, 7) == (4, [bytes.fromhex("0605040b8423f00106")], True)
    assert parts.cut_content("", Content(octets=b"\0\xff"), 7) == (4, [b"\0\xff"], False)


@pytest.mark.parametrize(
    ("header", "octets", "sizes"),
    [
        ("", 140, [140]), ("", 141, [140, 13]), ("05040b8423f0", 133, [140]), ("05040b8423f0", 134, [140, 18]),
        ("05040b8423f0", 300, [140, 140, 56]),
    ],
)  # fmt: skip
def test_a_part_holds_140_octets_with_its_header(header: str, octets: int, sizes: list[int]) -> None:
    content = Content(octets=bytes(range(256)) * 2, header=bytes.fromhex(header))
    content = replace(content, octets=(content.octets or b"")[:octets])
    _, pieces, has_header = parts.cut_content("", content, 0x1_42)
    assert [len(piece) for piece in pieces] == sizes
    assert parts.count_content("", content) == len(sizes)
    assert has_header is bool(header or len(sizes) > 1)
    bodies = [piece[piece[0] + 1 :] if has_header else piece for piece in pieces]
    assert b"".join(bodies) == content.octets
    if len(sizes) > 1:
        heads = [parts.read_header(piece) for piece in pieces]
        assert [head.joint for head in heads] == [Joint(0x42, len(sizes), n) for n in range(1, len(sizes) + 1)]
        assert {head.others for head in heads} == {bytes.fromhex(header)}


@pytest.mark.parametrize("text", ["BEGIN:VCARD " * 40, "名片" * 200, "x", "{" * 200])
def test_a_text_with_ports_has_them_in_each_part_and_reads_back(text: str) -> None:
    content = Content(header=bytes.fromhex("050423f40000"))
    coding, pieces, _ = parts.cut_content(text, content, 7)
    read = [parts.read(piece, coding, udhi=True) for piece in pieces]
    assert parts.join({joint.number if joint else 1: each for each, joint in read}) == text
    assert {parts.read_header(piece).others for piece in pieces} == {content.header}
    most = 140 if coding == parts.UCS2 else max(12 + parts._room(12), 7 + parts._room(7))
    assert max(len(piece) for piece in pieces) <= most


def test_what_a_program_has_cut_itself_is_left_so_and_refused_where_it_does_not_fit() -> None:
    piece = Content(octets=bytes(134), header=bytes.fromhex("0003070201"))
    assert parts.cut_content("", piece, 7).pieces == [bytes.fromhex("050003070201") + bytes(134)]
    with pytest.raises(ValueError, match="holds 134 octets; it has 135"):
        parts.cut_content("", replace(piece, octets=bytes(135)), 7)
    with pytest.raises(ValueError, match="holds 0 octets; it has 1"):
        parts.cut_content("", Content(octets=b"x", header=bytes(139)), 7)


@pytest.mark.parametrize("header", ["000307010100", "0003070101", "0003070000", "05040b8423f00003070101"])
def test_octets_whose_header_says_anything_of_pieces_are_never_given_a_second_word_of_it(header: str) -> None:
    with pytest.raises(ValueError, match="one part, which holds"):
        parts.count_content("", Content(octets=bytes(200), header=bytes.fromhex(header)))


@given(
    st.integers(0, 139).filter(lambda octets: octets != 1),  # an element has two at least
    st.sampled_from(["😀" * 40, "€" * 100, "[]" * 100, "a\r\n" * 50, "a" * 300, "你" * 80, "e\u0301😀" * 40, "x"]),
)
def test_a_header_of_any_length_leaves_parts_that_fit_or_is_refused(octets: int, text: str) -> None:
    content = Content(header=bytes((0x70, octets - 2)) + bytes(octets - 2) if octets else b"")
    try:
        coding, pieces, _ = parts.cut_content(text, content, 7)
    except ValueError:
        assert octets > 100
        return
    assert len(pieces) <= parts.MOST_PARTS
    joined = {number: parts.read(piece, coding, udhi=octets > 0 or len(pieces) > 1)[0]
              for number, piece in enumerate(pieces, 1)}  # fmt: skip
    assert parts.join(joined) == text


@given(any_text, st.integers(1, 200))
def test_no_cutter_ever_stands_still(text: str, room: int) -> None:
    assert b"".join(parts._cut_ucs2(text, room)) == text.encode("utf-16-be", "replace")
    septets = bytes(ord(letter) % 128 for letter in text)
    assert b"".join(parts._cut_septets(septets, room)) == septets


@given(st.integers(0, 255))
def test_every_data_coding_that_is_read_is_written_again(data_coding: int) -> None:
    coding = parts.read_coding(data_coding)
    if coding is not None and data_coding != 2:  # octets, too, which we write as 4
        content = Content((), None, b"", coding.message_class, coding.is_short_class, coding.waiting)
        assert parts.coding_of(coding.alphabet, content) == data_coding


@given(st.binary(max_size=30))
def test_a_header_that_is_read_is_what_was_there(octets: bytes) -> None:
    try:
        header = parts.read_header(octets)
    except ValueError:
        return
    assert bytes((len(header.elements),)) + header.elements == octets[: octets[0] + 1]
