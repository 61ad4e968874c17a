"""What a program made for Twilio is told, and that the official validator believes it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import parse_qsl

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from campaigns.business import Business
from gateway.courier import Outgoing
from gateway.errors import CarillonError
from gateway.notices import Notice
from gateway.values import HostPort
from handlers.api.twilio_resources import sid
from handlers.api.twilio_shape import called, is_address, shape

TOKEN = "0123456789abcdef"
ACCOUNT = "AC" + "0" * 32
URL = "https://shop.example/status?order=7"
LOGIN = SimpleNamespace(account=ACCOUNT, secret=TOKEN, inbound_url="https://shop.example/sms")


def business(twilio: object = LOGIN) -> Business:
    settings = SimpleNamespace(twilio=twilio, private=True)
    return cast(Business, SimpleNamespace(clients={"shop": SimpleNamespace(id=7, name="shop", settings=settings)}))


def notice(data: dict[str, Any], kind: str, target: dict[str, Any] | None) -> Notice:
    body = orjson.dumps({"type": kind, "at": "2026-11-22T08:00:00.000Z", "data": data}).decode()
    return Notice(99, 7, "twilio", kind, "m:5", 0, body, orjson.dumps(target).decode() if target else "", 0)


def fate(state: str, target: dict[str, Any] | None = None, **more: object) -> Outgoing | None:
    data = {"id": "5", "to": "+12065550142", "from": "20655", "state": state, "code": "", "parts": 1, "taken": True}
    where = {"door": "twilio", "url": URL} | (target or {})
    return shape(notice(data | more, f"message.{state}", where), business())


def form(outgoing: Outgoing | None) -> dict[str, str]:
    assert outgoing is not None
    return dict(parse_qsl(outgoing.body.decode(), keep_blank_values=True, strict_parsing=True))


def believes(outgoing: Outgoing) -> bool:
    shown = outgoing.headers["X-Twilio-Signature"]
    return bool(RequestValidator(TOKEN).validate(outgoing.url, form(outgoing), shown))


def test_a_fate_has_the_fields_that_twilio_sends() -> None:
    outgoing = fate("delivered", {"service": "MG" + "a" * 32})
    assert form(outgoing) == {
        "MessageSid": sid(5), "SmsSid": sid(5), "MessageStatus": "delivered", "SmsStatus": "delivered",
        "To": "+12065550142", "From": "20655", "AccountSid": ACCOUNT, "ApiVersion": "2010-04-01",
        "MessagingServiceSid": "MG" + "a" * 32,
    }  # fmt: skip
    assert outgoing is not None
    assert (outgoing.method, outgoing.url, outgoing.private) == ("POST", URL, True)
    assert believes(outgoing)


@pytest.mark.parametrize(
    ("state", "code", "taken", "status", "error"),
    [
        ("sent", "", True, "sent", None),
        ("failed", "30003", True, "undelivered", "30003"),
        ("failed", "0x0B RINVDSTADR", False, "failed", "30005"),
        ("failed", "x", False, "failed", "30008"),
        ("expired", "", False, "failed", "30036"),
        ("refused", "left", False, "failed", "21610"),
        ("refused", "hours", False, "failed", "30007"),
        ("stopped", "cancelled", False, "canceled", None),
    ],
)
def test_failures_bear_twilios_numbers(state: str, code: str, taken: bool, status: str, error: str | None) -> None:
    told = form(fate(state, code=code, taken=taken))
    assert (told["MessageStatus"], told.get("ErrorCode")) == (status, error)


@pytest.mark.parametrize("state", ["in_doubt", "unknown"])
def test_what_twilio_would_not_tell_is_not_told(state: str) -> None:
    assert fate(state) is None


def test_without_an_address_there_is_nobody_to_tell() -> None:
    assert fate("delivered", {"url": ""}) is None


def test_a_program_that_is_no_twilio_client_any_more_is_told_later() -> None:
    with pytest.raises(CarillonError, match="shop"):
        shape(notice({"state": "delivered"}, "message.delivered", {"url": URL}), business(None))


@pytest.mark.parametrize(
    ("intent", "kind"),
    [
        ("stop", "STOP"),
        ("stopped", "STOP"),
        ("obeyed stop", "STOP"),
        ("help", "HELP"),
        ("start", "START"),
        ("", None),
        ("robot", None),
    ],
)
def test_a_text_that_came_in_says_what_we_have_obeyed(intent: str, kind: str | None) -> None:
    data = {"id": "6", "from": "+12065550142", "to": "20655", "text": " hi & bye 👍", "intent": intent}
    outgoing = shape(notice(data, "message.received", None), business())
    told = form(outgoing)
    assert outgoing is not None
    assert outgoing.url == LOGIN.inbound_url
    assert (told["Body"], told["SmsStatus"], told["NumMedia"], told.get("OptOutType")) == (
        " hi & bye 👍",
        "received",
        "0",
        kind,
    )
    assert {told["MessageSid"], told["SmsSid"], told["SmsMessageSid"]} == {sid(6)}
    assert believes(outgoing)


@pytest.mark.parametrize(
    ("address", "tls", "base"),
    [
        ("https://sms.example.net/", None, "https://sms.example.net"),
        (None, None, "http://127.0.0.1:8082"),
        (None, object(), "https://127.0.0.1:8082"),
    ],
)
def test_pictures_are_told_with_their_types_and_addresses_at_this_door(
    address: str | None, tls: object, base: str
) -> None:
    listen = SimpleNamespace(api=HostPort("0.0.0.0", 8082), api_tls=tls)
    shop = business(SimpleNamespace(**vars(LOGIN), address=address))
    object.__setattr__(shop, "config", SimpleNamespace(listen=listen))
    media = [{"number": 0, "type": "image/jpeg"}, {"number": 1, "type": ""}]
    data = {"id": "6", "from": "+12065550142", "to": "20655", "text": "", "intent": "", "media": media}
    outgoing = shape(notice(data, "message.received", None), shop)
    told = form(outgoing)
    assert outgoing is not None
    assert (told["NumMedia"], told["MediaContentType0"]) == ("2", "image/jpeg")
    assert told["MediaContentType1"] == "application/octet-stream"
    where = f"{base}/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid(6)}/Media/ME"
    assert told["MediaUrl0"] == f"{where}{6:028x}0000"
    assert told["MediaUrl1"] == f"{where}{6:028x}0001"
    assert believes(outgoing)


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("https://shop.example", "https://shop.example/"),
        ("https://shop.example?a=1", "https://shop.example/?a=1"),
        ("https://shop.example:8443/x?b=%41#part", "https://shop.example:8443/x?b=%41"),
        ("http://shop.example/a%2Fb?c=1+2&d=%20", "http://shop.example/a%2Fb?c=1+2&d=%20"),
        ("https://shop.example/café", "https://shop.example/caf%C3%A9"),
        ("https://me:p%40ss@shop.example/x", "https://shop.example/x"),
    ],
)
def test_what_is_signed_is_the_address_that_the_server_sees(written: str, seen: str) -> None:
    assert called(written)[0] == seen


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shop.example",
        "ftp://shop.example/",
        "http://",
        "http://[",
        "http://a:99999/",
        "http:///x",
        "http://a/\n",
        "http://a/\0",
        "http://a/" + "x" * 99,
    ],
)
def test_what_is_no_web_address_is_known(url: str) -> None:
    assert not is_address(url, 100)
    assert is_address(URL, 100)


def test_a_login_in_the_address_is_shown_as_basic_does() -> None:
    assert called("https://me:p%40ss@shop.example/x")[1] == {"Authorization": "Basic bWU6cEBzcw=="}
    assert called("https://shop.example/a@b")[1] == {}


@given(
    st.dictionaries(st.sampled_from(["text", "from", "to"]), st.text(max_size=30)),
    st.sampled_from(["https://shop.example/sms", "http://shop.example:81/s?x=%20y&z", "https://shop.example:443/"]),
)
def test_the_official_validator_believes_whatever_is_said(words: dict[str, str], url: str) -> None:
    data = {"id": "6", "from": "+12065550142", "to": "20655", "text": "hi", "intent": ""} | words
    outgoing = shape(notice(data, "message.received", {"url": url}), business())
    assert outgoing is not None
    assert believes(outgoing)
    assert not RequestValidator("another").validate(
        outgoing.url, form(outgoing), outgoing.headers["X-Twilio-Signature"]
    )
