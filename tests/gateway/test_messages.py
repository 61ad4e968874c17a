"""What a message is beyond its letters is kept and read without a loss, and says what a channel must carry."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from gateway.messages import NOTHING, Cargo, Content

CONTENTS = some.builds(
    Content,
    media=some.lists(some.text(), max_size=3).map(tuple),
    octets=some.none() | some.binary(max_size=200),
    header=some.binary(max_size=139),
    message_class=some.none() | some.integers(0, 3),
    is_short_class=some.booleans(),
    waiting=some.none() | some.integers(0, 15),
)


@given(CONTENTS)
def test_what_is_written_is_read_again(content: Content) -> None:
    assert Content.read(content.written()) == content


def test_only_pictures_octets_and_headers_need_a_channel_that_carries_them() -> None:
    assert Content(message_class=0, waiting=1).needs == NOTHING
    assert Content(("https://a.example/b.jpg",)).needs == {Cargo.PICTURES}
    assert Content(octets=b"").needs == Content(header=b"\5\0").needs == {Cargo.OCTETS}


def test_people_are_shown_how_many_octets_there_are_and_never_the_octets() -> None:
    assert Content(octets=b"\x00\xff" * 21).shown("") == "[42 octets]"
    assert Content(message_class=0).shown("Fire!") == "Fire!"


def test_programs_are_told_the_header_with_the_octet_that_counts_it() -> None:
    told = Content(octets=b"\1\2", header=bytes.fromhex("05040b8423f0")).told()
    assert told == {"octets": "0102", "header": "0605040b8423f0"}
    assert Content(message_class=0).told() == {"message_class": 0}
