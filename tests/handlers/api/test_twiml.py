"""What a program answers to a text that came in: read safely, whatever it holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.twiml.messaging_response import MessagingResponse

from handlers.api.twiml import MOST_REPLIES, NoTwiml, Reply, read


def test_what_the_official_helper_writes_is_read() -> None:
    response = MessagingResponse()
    response.message("plain")
    inside = response.message(to="+12065550142", from_="20655", status_callback="/told")
    inside.body("1 < 2 & ☕")
    inside.media("https://shop.example/cat.png")
    response.redirect("https://shop.example/next")
    assert read(str(response).encode()) == [
        Reply("plain"),
        Reply("1 < 2 & ☕", "+12065550142", "20655", "/told"),
    ]


@pytest.mark.parametrize(
    ("document", "texts"),
    [
        ("<Response/>", []),
        ("<Response></Response>", []),
        ("<Response><Message/></Response>", []),
        ("<Response><Message>  hi\n</Message></Response>", ["hi"]),
        ("<Response><Sms>old</Sms></Response>", ["old"]),
        ("<Response><Message>a<Message>b</Message>c</Message></Response>", ["ac"]),
        ("<Response><Message><![CDATA[a < b]]></Message></Response>", ["a < b"]),
        ("<Response><Message><Body>one</Body><Media>https://x.example/</Media></Message></Response>", ["one"]),
        ("<Response><Say><Message>not this</Message></Say><Message>this</Message></Response>", ["this"]),
        ("<?xml version='1.0' encoding='UTF-8'?><Response><Message>优惠</Message></Response>", ["优惠"]),
        ("<Response>" + "<Message>x</Message>" * 50 + "</Response>", ["x"] * MOST_REPLIES),
    ],
)
def test_the_texts_of_an_answer_are_found(document: str, texts: list[str]) -> None:
    assert [reply.text for reply in read(document.encode())] == texts


BOMB = (
    "<!DOCTYPE lolz [<!ENTITY a 'lol'>"
    + "".join(f"<!ENTITY b{n} '{('&a;' if n == 0 else f'&b{n - 1};') * 10}'>" for n in range(9))
    + "]><Response><Message>&b8;</Message></Response>"
)
FILE = "<!DOCTYPE r [<!ENTITY f SYSTEM 'file:///etc/passwd'>]><Response><Message>&f;</Message></Response>"


@pytest.mark.parametrize(
    "document",
    [
        BOMB,
        FILE,
        "<!DOCTYPE Response SYSTEM 'https://x.example/evil.dtd'><Response/>",
        "<Response><Message>&other;</Message></Response>",
        "<Response><Message>open</Response>",
        "<html><body>Error</body></html>",
        "OK",
        "<Response>" + "<a>" * 20 + "</a>" * 20 + "</Response>",
        "<?xml version='1.0' encoding='no-such'?><Response/>",
    ],
)
def test_what_is_no_twiml_or_would_grow_or_fetch_is_refused(document: str) -> None:
    with pytest.raises(NoTwiml):
        read(document.encode())


@given(st.binary(max_size=200))
def test_no_octets_make_it_fail_otherwise(document: bytes) -> None:
    try:
        read(document)
    except NoTwiml:
        return
