"""Values fill their places, and break out of none."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gateway.channels.http import bodies
from gateway.channels.http.requests import Writer
from gateway.channels.http.settings import Send
from gateway.channels.http.templates import Template, complaint, percent
from gateway.messages import Content, Outbound

ANY_TEXT = some.text(some.characters(codec="utf-8"), min_size=1)


def written(text: str, **send: object) -> bytes:
    described = Send.model_validate({"url": "https://api.example.com/{{ text }}", **send})
    body = Writer(described, {}).write(Outbound(7, 1, "20655", "+12065550142", text), 1_780_000_000_000, "n").body
    assert body is not None
    return body


@given(ANY_TEXT)
def test_no_text_breaks_out_of_a_form(text: str) -> None:
    body = written(text, form={"a": "{{ text }}", "b": "1"})
    assert parse_qsl(body.decode(), keep_blank_values=True) == [("a", text), ("b", "1")]


@given(ANY_TEXT)
def test_no_text_breaks_out_of_json(text: str) -> None:
    described = {"a": ["x{{ text }}", {"b": "{{ text }}"}], "n": "{{ message }}"}
    assert json.loads(written(text, json=described)) == {"a": [f"x{text}", {"b": text}], "n": "7"}


@given(ANY_TEXT)
def test_no_text_breaks_out_of_json_that_is_written_as_one_text(text: str) -> None:
    body = json.loads(written(text, json='{"t": "{{ text }}", "n": {{ message }}, "bare": {{ text }}, "f": false}'))
    assert (body["t"], body["n"], body["f"]) == (text, 7, False)
    assert str(body["bare"]) == text or int(text) == body["bare"]


@given(ANY_TEXT)
def test_no_text_breaks_out_of_xml(text: str) -> None:
    body = written(text, body='<m to="{{ text }}">{{ text }}</m>', content_type="text/xml")
    root = ElementTree.fromstring(body)
    assert (len(root), list(root.attrib)) == (0, ["to"])


PICTURES = ("https://shop.example/a.jpg?b=1&c=2", "https://shop.example/%E7%81%AF.png")


def with_pictures(*media: str, **send: object) -> str:
    described = Send.model_validate({"url": "https://api.example.com/", **send})
    message = Outbound(7, 1, "20655", "+12065550142", "Look", content=Content(media) if media else None)
    body = Writer(described, {}).write(message, 0, "n").body
    assert body is not None
    return body.decode()


@pytest.mark.parametrize("media", [(), PICTURES[:1], PICTURES])
def test_pictures_are_a_list_in_json_and_fields_of_one_name_in_a_form(media: tuple[str, ...]) -> None:
    in_json = with_pictures(*media, json={"text": "{{ text }}", "media": "{{ media }}"})
    bare = with_pictures(*media, json='{"text": "{{ text }}", "media": {{ media }}}')
    in_form = with_pictures(*media, form={"text": "{{ text }}", "m": "{{ media }}"})
    expected = {"text": "Look", "media": [*media]} if media else {"text": "Look"}
    assert json.loads(in_json) == json.loads(bare) == expected
    assert parse_qsl(in_form) == [("text", "Look"), *(("m", each) for each in media)]


@pytest.mark.parametrize("media", [(), PICTURES[:1], PICTURES])
def test_pictures_in_a_list_are_items_of_it_and_where_there_are_none_stands_what_was_asked_for(
    media: tuple[str, ...],
) -> None:
    spliced = with_pictures(*media, json={"m": ["first", "{{ media }}", "{{ text }}"]})
    assert json.loads(spliced) == {"m": ["first", *media, "Look"]}
    assert json.loads(with_pictures(*media, json='{"m": [{{ media }}]}')) == {"m": [*media]}
    described = "{{ media or 'none' }}"
    assert parse_qsl(with_pictures(*media, form={"m": described})) == [("m", each) for each in media or ("none",)]
    assert json.loads(with_pictures(*media, json={"m": described})) == {"m": [*(media or ("none",))]}


def test_pictures_amid_a_text_stand_with_spaces_between() -> None:
    body = with_pictures(*PICTURES, body="<m>{{ media }}</m>", content_type="text/xml")
    assert ElementTree.fromstring(body).text == " ".join(PICTURES)


@pytest.mark.parametrize("shown", ["0", "3", ""])
def test_the_class_of_a_text_has_a_field(shown: str) -> None:
    described = Send.model_validate({"url": "https://a.example/", "form": {"t": "{{ text }}", "class": "{{ class }}"}})
    content = Content(message_class=int(shown)) if shown else None
    body = Writer(described, {}).write(Outbound(7, 1, "20655", "+1206", "Hi", content=content), 0, "n").body
    assert parse_qsl((body or b"").decode()) == [("t", "Hi"), *([("class", shown)] if shown else [])]


@pytest.mark.parametrize(
    "send",
    [
        {"json": {"a": ["{{ media }}"]}}, {"json": '{"a": {{ media }}}'}, {"form": {"a": "{{ media }}"}},
        {"body": "<m>{{ media }}</m>"}, {"query": {"a": "{{ media.percent }}"}},
    ],
)  # fmt: skip
def test_a_request_that_says_pictures_carries_them(send: dict[str, object]) -> None:
    assert Send.model_validate({"url": "https://a.example/", **send}).uses("media")
    assert not Send.model_validate({"url": "https://a.example/media", "form": {"media": "no"}}).uses("media")


@given(ANY_TEXT)
def test_no_text_leads_an_address_elsewhere(text: str) -> None:
    described = Send.model_validate({"url": "https://api.example.com/{{ text }}/send", "query": {"t": "{{ text }}"}})
    url = Writer(described, {}).write(Outbound(7, 1, "a", "b", text), 0, "n").url
    path, _, query = url.removeprefix("https://api.example.com/").partition("?")
    assert path == f"{percent(text)}/send"
    assert parse_qsl(query, keep_blank_values=True) == [("t", text)]


@pytest.mark.parametrize(
    ("template", "rendered"),
    [
        ("{{ text }}", "He said: 好"),
        ("{{text.hex}}", "He said: 好".encode("utf-16-be").hex().upper()),
        ("{{ text.json }}", '"He said: 好"'),
        ("{{ text.percent }}", "He%20said%3A%20%E5%A5%BD"),
        ("{{ text.base64 }}", "SGUgc2FpZDog5aW9"),
        ("{{ recipient.digits }}", "12065550142"),
        ("{{ nothing or '3600' }}", "3600"),
        ('{{ nothing or "a b" }}', "a b"),
        ("{{ pair.underscored }}", "a_b_c"),
        ("{ {text} } {{ nothing }}%", "{ {text} } %"),
    ],
)
def test_a_field_is_written_as_it_says(template: str, rendered: str) -> None:
    values = {"text": "He said: 好", "recipient": "+12065550142", "pair": "a&b=c"}
    assert Template(template).render(values) == rendered


@pytest.mark.parametrize(
    "template",
    [
        "{{ text.__class__ }}", "{{ text[0] }}", "{{ text() }}", "{{ text | upper }}", "{{ 7*7 }}", "{{ text!r:>99 }}",
        "{{ text or secret }}", "{{ }}", "{{ text", "{{{{ text }}}}", "{% for x in y %}{{ x }}", "{{ text or '{{' }}",
    ],
)  # fmt: skip
def test_braces_that_are_no_field_are_refused(template: str) -> None:
    assert complaint(template, ("text",))


def test_what_comes_out_empty_is_left_out_but_what_is_written_empty_stays() -> None:
    fields = {"a": Template("{{ x }}"), "b": Template(""), "c": Template("{{ y }}")}
    assert bodies.pairs(fields, {"y": "1"}) == [("b", ""), ("c", "1")]
