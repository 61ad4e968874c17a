"""Values are found where the file says that they stand, and nothing that comes is too strange to be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gateway.channels.http.reading import Place, read

JSON = {"content-type": "application/json; charset=utf-8"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
BODY = b'{"m": [{"id": "a", "n": 1, "ok": true}, {"n": 2.5}], "e.c": 7, "none": null, "deep": {"x-y": {"z": "!"}}}'


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("m.0.id", ["a"]), ("m.*.id", ["a", ""]), ("m.*.n", ["1", "2.5"]), ("m.0.ok", ["true"]), ("e.c", ["7"]),
        ("none", []), ("m", []), ("deep.x-y.z", ["!"]), ("m.9.id", []), ("m.x", []), ("m.0.id.more", []),
        ("*.id", []), ("header Content-Type", [JSON["content-type"]]), ("header X-No", []), ("query key", ["k v"]),
        ("query no", []), (r'/"id": "(\w)"/', ["a"]), ("/(nothing)/", []),
    ],
)  # fmt: skip
def test_a_value_is_found(place: str, found: list[str]) -> None:
    content = read(JSON, BODY, "key=k+v")
    assert content.each(Place.parse(place)) == found
    assert content.first(Place.parse(place)) == (found[0] if found else "")


def test_a_form_is_read_and_a_query_only_where_there_is_no_body() -> None:
    form = read(FORM, b"a=1&b=%E5%A5%BD&a=2&c=", "a=3&d=4")
    assert (form.tree, form.pairs[0], len(form.pairs)) == ({"a": "2", "b": "好", "c": ""}, ("a", "3"), 6)
    assert read({}, b"", "a=3&d=4").tree == {"a": "3", "d": "4"}
    assert read({}, b"x", "a=3").tree is None


def test_json_without_its_type_is_json() -> None:
    assert read({"content-type": "text/plain"}, b'[{"a": 1}]').items(None) == [{"a": 1}]


@pytest.mark.parametrize("place", ["", "two words", "header a b", "/x", "/(/", "/x/"])
def test_what_is_no_place_is_refused(place: str) -> None:
    with pytest.raises(ValueError, match="found"):
        Place.parse(place)


def test_a_place_is_written_as_it_was_read() -> None:
    for text in ("m.0.id", "header x-id", "query key", r"/id=(\w+)/"):
        assert str(Place.parse(text)) == text


@given(some.dictionaries(some.sampled_from(["content-type", "x"]), some.sampled_from([*JSON.values(), *FORM.values()])),
       some.binary() | some.text().map(str.encode) | some.just(b"[" * 100_000), some.text())  # fmt: skip
def test_nothing_is_too_strange_to_be_read(headers: dict[str, str], body: bytes, query: str) -> None:
    content = read(headers, body, query)
    for place in ("a.b", "*", "*.*.0", "0", r"/(.)/"):
        content.each(Place.parse(place))
        content.items(Place.parse(place))
