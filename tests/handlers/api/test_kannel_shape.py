"""Reports to programs made for Kannel, held against those that Kannel 1.4.5 made of the same fates."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.business import Business
from gateway.messages import State
from gateway.notices import Notice
from handlers.api.kannel_shape import Values, fate_of, fill, shape

URL = "http://shop.example/dlr?"
ID = 912253093129752576


def told(state: str = "delivered", *, taken: bool = True, code: str = "", parts: int = 1) -> dict[str, Any]:
    """The body of a notice."""
    data = {
        "id": str(ID), "to": "+12065550142", "from": "20655", "state": state, "code": code, "parts": parts,
        "reference": "", "test": False, "taken": taken, "channel": "sink", "created_at": "2026-05-28T12:00:00.000Z",
        "text": "Hello dear world",
    }  # fmt: skip
    return {"type": f"message.{state}", "at": "2026-05-28T12:01:09.500Z", "data": data}


def target(url: str = URL, mask: int = 31, **more: object) -> dict[str, Any]:
    return {"door": "kannel", "url": url, "mask": mask, "to": "12065550142", "from": "20655"} | more


BUSINESS = cast(
    Business,
    SimpleNamespace(clients={"shop": SimpleNamespace(id=7, name="shop", settings=SimpleNamespace(private=False))}),
)


def notice(body: dict[str, Any], where: dict[str, Any]) -> Notice:
    return Notice(1, 7, "kannel", body["type"], "m:1", 0, orjson.dumps(body).decode(), orjson.dumps(where).decode(), 0)


def reported(pattern: str, body: dict[str, Any], fate: int, **more: object) -> str:
    where = target(pattern) | more
    return fill(pattern, Values("shop", fate, body, where))


RECEIPT = (
    "id:912253093129752576 sub:001 dlvrd:001 submit date:2605281200 done date:2605281201 stat:DELIVRD err:000 text:"
)


def test_a_delivery_is_reported_as_kannel_does() -> None:
    # Kannel 1.4.5 made this of the same pattern; only the carrier's id, its uuid and the time are ours.
    pattern = URL + "|".join(f"{letter}=%{letter}" for letter in "aAbBcCdfikmMnOPpqQrsStTuUyx") + "|pct=%%"
    encoded = RECEIPT.replace(":", "%3A").replace(" ", "+")
    assert reported(pattern, told(), 1) == (
        f"{URL}a={encoded}|A={encoded}|b={encoded}|B=|c=-1|C=UTF-8|d=1|f=|i=sink|k=id%3A{ID}|m=-1|M=-1|n=shop|O=00"
        f"|P=20655|p=12065550142|q=12065550142|Q=20655|r={encoded.partition('+')[2]}|s=sub%3A001|S=dlvrd:001"
        "|t=2026-05-28+12:01:09|T=1779969669|u=|U=%U|y=%y|x=%x|pct=%"
    )


def test_the_answer_of_the_carrier_is_reported_as_kannel_does() -> None:
    assert reported(URL + "d=%d&a=%a&A=%A&k=%k&s=%s&r=%r", told("sent"), 8) == (
        URL + "d=8&a=ACK%2F&A=ACK%2F&k=ACK%2F&s=&r="
    )


def test_numbers_are_reported_as_they_were_written() -> None:
    pattern = URL + "p=%p&P=%P&q=%q&Q=%Q"
    plus = {"to": "+12065550144", "from": "+12065550100"}
    assert reported(pattern, told(), 1, **plus) == (
        URL + "p=%2B12065550144&P=%2B12065550100&q=%2B12065550144&Q=%2B12065550100"
    )
    zeros = {"to": "0012065550144", "from": "0020655"}
    assert reported(pattern, told(), 1, **zeros) == URL + "p=0012065550144&P=0020655&q=%2B12065550144&Q=%2B20655"


def test_what_the_program_said_comes_back() -> None:
    more = {"account": "a&b", "binfo": "b i", "meta": "?x?y=1"}
    assert reported(URL + "o=%o&B=%B&D=%D&F=%F&I=%I", told(), 1, **more) == (
        URL + f"o=a%26b&B=b+i&D=%3Fx%3Fy%3D1&F={ID}&I=00000000-0000-0000-0ca8-{ID:016x}"[:-16] + f"{ID:032x}"[20:]
    )


@pytest.mark.parametrize(
    ("state", "taken", "fate"),
    [
        (State.DELIVERED, True, 1),
        (State.FAILED, True, 2),
        (State.EXPIRED, True, 2),
        (State.SENT, True, 8),
        (State.FAILED, False, 16),
        (State.EXPIRED, False, 16),
        (State.REFUSED, False, 16),
        (State.STOPPED, False, 16),
        (State.IN_DOUBT, True, 0),
        (State.UNKNOWN, True, 0),
        (State.QUEUED, False, 0),
    ],
)
def test_each_fate_is_one_bit_of_the_mask(state: State, taken: bool, fate: int) -> None:
    assert fate_of(state, is_taken=taken) == fate


@pytest.mark.parametrize("mask", range(32))
@pytest.mark.parametrize(
    ("state", "taken", "bit"), [("delivered", True, 1), ("failed", True, 2), ("sent", True, 8), ("failed", False, 16)]
)
def test_only_what_the_mask_asks_for_is_told(mask: int, state: str, taken: bool, bit: int) -> None:
    outgoing = shape(notice(told(state, taken=taken), target(URL + "d=%d", mask)), BUSINESS)
    assert (outgoing is not None) == bool(mask & bit)
    if outgoing is not None:
        assert (outgoing.method, outgoing.url, outgoing.body) == ("GET", f"{URL}d={bit}", b"")


def test_failures_say_why() -> None:
    assert reported("%A", told("failed", taken=False, code="0x0B RINVDSTADR"), 16) == "NACK%2F0x0B+RINVDSTADR"
    assert reported("%A", told("refused", taken=False), 16) == "NACK%2Frefused"
    words = reported("%A", told("failed", code="027", parts=2), 2)
    assert "stat%3AUNDELIV+err%3A027" in words
    assert "sub%3A002+dlvrd%3A000" in words
    assert "stat%3AEXPIRED+err%3A000" in reported("%A", told("expired", code="expired"), 2)


def test_a_login_in_the_address_is_shown_and_not_sent_along() -> None:
    outgoing = shape(notice(told(), target("http://me:p%40ss@shop.example/dlr?d=%d#x")), BUSINESS)
    assert outgoing is not None
    assert outgoing.url == "http://shop.example/dlr?d=1"
    assert outgoing.headers["Authorization"] == "Basic bWU6cEBzcw=="


def test_what_may_not_stand_in_an_address_is_encoded() -> None:
    outgoing = shape(notice(told(), target("http://shop.example/a b?é=%d|x")), BUSINESS)
    assert outgoing is not None
    assert outgoing.url == "http://shop.example/a%20b?%C3%A9=1|x"


@given(st.text(max_size=40), st.text(max_size=20))
def test_no_word_of_a_program_breaks_out_of_its_place(account: str, meta: str) -> None:
    url = reported(URL + "o=%o&D=%D&end=1", told(), 1, account=account, meta=meta)
    found = parse_qs(urlsplit(url).query, keep_blank_values=True)
    assert (found["o"], found["D"], found["end"]) == ([account], [meta], ["1"])
