"""What a call of Kannel's sendsms means, word by word as smsbox of Kannel 1.4.5 answered the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.messages import Content, Joint
from handlers.api.kannel_fields import Ask, Login, Wrong, from_headers, login, parse, read

GOOD = "to=12065550142&from=20655&text=Hello"


def asked(more: str = "") -> Ask:
    """What the usual call asks for, with these fields; the later of two counts."""
    found = parse(GOOD)
    return read({**found, **parse(more)})


def words(query: str, *, is_post: bool = False) -> str:
    """With which words a call is refused."""
    with pytest.raises(Wrong) as raised:
        read(parse(query), is_post=is_post)
    assert raised.value.status == 400
    return raised.value.words


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("from=20655&text=Hello", "Missing receiver number, rejected"),
        ("to=&text=Hello", "Empty receiver number not allowed, rejected"),
        (f"{GOOD}&coding=5", "Coding field misformed, rejected"),
        (f"{GOOD}&charset=nope", "Charset or body misformed, rejected"),
        (f"{GOOD}&udh=zz", "UDH field misformed, rejected"),
        (f"{GOOD}&pid=256", "PID field misformed, rejected"),
        (f"{GOOD}&coding=1&pid=127", "PID field misformed, rejected"),
        (f"{GOOD}&mclass=9", "MClass field misformed, rejected"),
        (f"{GOOD}&priority=9", "Priority field misformed, rejected"),
        (f"{GOOD}&validity=-5", "Validity field misformed, rejected"),
        (f"{GOOD}&deferred=-5", "Deferred field misformed, rejected"),
        (f"{GOOD}&dlr-mask=999999", "DLR-Mask field misformed, rejected"),
        (f"{GOOD}&dlr-mask=1&dlr-url=nonsense", "DLR-URL field misformed, rejected"),
    ],
)
def test_it_is_refused_in_the_words_of_kannel_1_4_5(query: str, said: str) -> None:
    assert words(query) == said


def test_a_post_without_recipients_is_refused_in_its_own_words() -> None:
    assert words("text=Hello", is_post=True) == "Missing receiver(s) number(s), rejected"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (f"{GOOD}&charset=rot13", "Charset or body misformed, rejected"),
        (f"{GOOD}&charset=punycode", "Charset or body misformed, rejected"),
        (f"{GOOD}&udh=%05%00%03%01%02%03", "UDH field misformed, rejected"),
        (f"{GOOD}&udh=%05%00%03%01%02%00", "UDH field misformed, rejected"),
        (f"{GOOD}&udh=%06%00%03%01%02%01", "UDH field misformed, rejected"),
        (f"{GOOD}&mwi=8", "MWI field misformed, rejected"),
        (f"{GOOD}&account={'a' * 65}", "Account field misformed or too long, rejected"),
        ("to=" + "+".join(["12065550142"] * 1001), "More than 1000 receiver numbers, rejected"),
        ("to=1&text=%E9x", "Charset or body misformed, rejected"),
    ],
)
def test_what_no_text_can_be_made_of_is_refused_too(query: str, said: str) -> None:
    assert words(query) == said


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ("text=Hello+there", "Hello there"),
        ("text=Hello%20there%2B", "Hello there+"),
        ("text=%00H%00i&coding=2", "Hi"),
        ("text=%E6%8A%95&coding=2&charset=UTF-8", "投"),
        ("text=caf%E9&charset=ISO-8859-1", "café"),
        ("text=caf%E9&charset=windows-1252", "café"),
        ("text=caf%C3%A9", "café"),
        ("text=%FE%FF%00H&charset=UTF-16", "H"),
        ("text=%FF%FEH%00&charset=UTF-16", "H"),
        ("text=%00H&charset=UTF-16", "H"),
        ("text=%00H&charset=UCS-2", "H"),
        ("text=%CD%B6&charset=GBK", "投"),
        ("text=", ""),
    ],
)
def test_the_text_is_read_in_its_alphabet(more: str, text: str) -> None:
    assert asked(more).text == text


def test_several_recipients_are_parted_by_spaces() -> None:
    assert asked("to=12065550142+%2B12065550143++0012065550144").to == [
        "12065550142", "+12065550143", "0012065550144"
    ]  # fmt: skip


@pytest.mark.parametrize("udh", ["%05%00%03%07%02%01", "050003070201", "%06%08%04%00%07%02%01", "06080400070201"])
def test_a_piece_of_a_long_text_is_known_by_its_header(udh: str) -> None:
    assert asked(f"udh={udh}").joint == Joint(7, 2, 1)


def test_a_header_of_a_single_piece_changes_nothing() -> None:
    assert asked("udh=%05%00%03%07%01%01").joint is None


def test_spans_priority_and_the_report_are_read() -> None:
    ask = asked(
        "validity=5&deferred=2&priority=2&dlr-mask=31&dlr-url=http%3A%2F%2Fa.example%2F%3Fd%3D%25d&account=acme"
    )
    assert (ask.valid_ms, ask.deferred_ms, ask.is_urgent) == (300_000, 120_000, True)
    assert (ask.mask, ask.url, ask.account) == (31, "http://a.example/?d=%d", "acme")
    assert asked("priority=1").is_urgent is False


def test_the_names_of_before_are_still_understood() -> None:
    ask = asked("dlrmask=3&dlrurl=http%3A%2F%2Fa.example%2F")
    assert (ask.mask, ask.url) == (3, "http://a.example/")
    assert login(parse("user=shop&pass=pw")) == Login("shop", "pw") == login(parse("username=shop&password=pw"))


def test_a_field_that_is_empty_is_as_if_it_was_not_there() -> None:
    ask = asked("validity=&deferred=&dlr-mask=&coding=&udh=&priority=&charset=")
    assert (ask.valid_ms, ask.mask, ask.joint, ask.text) == (0, 0, None, "Hello")


def test_headers_of_a_post_are_the_fields() -> None:
    headers = {"X-Kannel-Username": "shop", "X-Kannel-To": "1 2", "X-Kannel-UDH": "050003070201", "X-Other": "x"}
    fields = from_headers(headers, "text/plain", "ISO-8859-1", b"caf\xe9")
    ask = read(fields, is_post=True)
    assert (ask.to, ask.text, ask.joint) == (["1", "2"], "café", Joint(7, 2, 1))
    assert login(fields).user == "shop"


def test_octets_without_a_coding_are_binary_as_with_kannel() -> None:
    plain = read(from_headers({"X-Kannel-To": "1"}, "application/octet-stream", "", b"x\xff\0"), is_post=True)
    assert (plain.text, plain.content) == ("", Content(octets=b"x\xff\0"))
    coded = {"X-Kannel-To": "1", "X-Kannel-Coding": "2"}
    assert read(from_headers(coded, "application/octet-stream", "", b"\0H"), is_post=True).text == "H"


PORTS = bytes.fromhex("05040b8423f0")


@pytest.mark.parametrize("udh", ["%06%05%04%0B%84%23%F0", "0605040b8423f0"])
def test_binary_and_its_header_are_octets_whatever_they_hold(udh: str) -> None:
    ask = asked(f"coding=1&udh={udh}&text=%00%FF%E9%1B")
    assert (ask.text, ask.joint, ask.content) == ("", None, Content(octets=b"\0\xff\xe9\x1b", header=PORTS))
    assert asked(f"udh={udh}").content == Content(octets=b"Hello", header=PORTS)  # without a coding, as Kannel has it
    assert asked(f"udh={udh}&coding=0").content == Content(header=PORTS)


def test_a_binary_piece_is_sent_as_the_program_cut_it() -> None:
    ask = asked("coding=1&udh=%0B%00%03%07%02%01%05%04%15%8A%00%00&text=%01")
    assert (ask.joint, ask.content) == (None, Content(octets=b"\1", header=bytes.fromhex("00030702010504158a0000")))


# The Kannel user guide: mclass 0 to 3; mwi 0 to 3 to set and 4 to 7 to clear, which leaves the class out.
@pytest.mark.parametrize(
    ("query", "content"),
    [
        ("mclass=0", Content(message_class=0, is_short_class=True)),
        ("mclass=1&coding=2&text=%00H", Content(message_class=1)),
        ("mclass=0&alt-dcs=1", Content(message_class=0, is_short_class=True)),
        ("mclass=1&coding=1", Content(octets=b"Hello", message_class=1, is_short_class=True)),
        ("mwi=0", Content(waiting=0)),
        ("mwi=7&mclass=0", Content(waiting=15)),
        ("mclass=&mwi=&alt-dcs=1", Content(message_class=1, is_short_class=True)),
        ("coding=1&alt-dcs=1", Content(octets=b"Hello", message_class=1, is_short_class=True)),  # 0xF5
        ("coding=2&alt-dcs=1&text=%00H", Content(message_class=1)),
        ("mwi=0&alt-dcs=1", Content(waiting=0)),
        ("alt-dcs=0&pid=65", None),
        ("coding=1&pid=0", Content(octets=b"Hello")),
        ("coding=0", None),
    ],
)
def test_how_a_phone_is_to_show_a_text_is_read(query: str, content: Content | None) -> None:
    assert asked(query).content == content


NAMES = (
    "to", "from", "text", "udh", "coding", "charset", "validity", "dlr-mask", "dlr-url", "account", "priority", "mwi",
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(NAMES), st.binary(max_size=40)))
def test_no_octets_make_it_fail_otherwise(fields: dict[str, bytes]) -> None:
    try:
        read(fields)
    except Wrong:
        return
