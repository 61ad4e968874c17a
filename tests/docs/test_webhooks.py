"""docs/webhooks.md is true: its receiver knows our signature, and its tables are those of the code."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest

from campaigns.client_settings import EventKind
from campaigns.settings import Config
from gateway import courier
from gateway.codecs.webhook_signature import signed_headers, written
from gateway.config import load
from gateway.values import parse_duration

TEXT = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text("utf-8")
REST = """
brand: {name: Lantern, country: US, timezone: America/Los_Angeles, languages: [en], currency: USD}
store: "sqlite:lantern.db"
channels: {us: {kind: smpp, carrier: simulator, rate: 1/s, price: 0.01 USD per part}}
senders: {seattle: {number: 20655, channel: us, countries: [US]}}
"""
OLD, NEW = b"o" * 32, b"n" * 32


def code(kind: str) -> str:
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.fixture(scope="module")
def is_ours() -> Callable[[str, dict[str, str], bytes], bool]:
    """The receiver's check, as it stands in the page."""
    made: dict[str, Any] = {}
    exec(code("python"), made)
    check: Callable[[str, dict[str, str], bytes], bool] = made["is_ours"]
    return check


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_the_receiver_of_the_page_takes_ours_and_nothing_else(
    is_ours: Callable[[str, dict[str, str], bytes], bool], secret: bytes
) -> None:
    now = int(time.time())
    headers = signed_headers([NEW, OLD], "4711", now, b"{}")
    assert is_ours(written(secret), headers, b"{}")
    assert not is_ours(written(b"x" * 32), headers, b"{}")
    assert not is_ours(written(secret), headers, b"[]")
    assert not is_ours(written(secret), signed_headers([secret], "4711", now - 400, b"{}"), b"{}")


def test_the_file_of_the_page_can_be_used(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(code("yaml") + REST, "utf-8")
    client = load(tmp_path / "config.yaml", Config, {}).value.clients["shop"]
    assert client.webhook is not None
    assert client.webhook.url == "https://shop.example/carillon"


def test_every_kind_is_in_the_table_and_no_other() -> None:
    table = TEXT[TEXT.index("| type |") : TEXT.index("Left open on purpose")]
    assert set(re.findall(r"`(\w+\.\w+)`", table)) == set(get_args(EventKind))


def test_the_pauses_are_those_of_the_courier() -> None:
    rows = re.findall(r"^\| \d[^|]*\| (\d+ \w+) \|$", TEXT, re.MULTILINE)
    assert [parse_duration(row) for row in rows] == [timedelta(milliseconds=each) for each in courier.PAUSES_MS]
    assert parse_duration("2 h") == timedelta(milliseconds=courier.OLD_PAUSE_MS)
    assert "from its second day on | 2 h |" in TEXT


def test_what_is_said_of_numbers_is_so() -> None:
    assert timedelta(days=3) == timedelta(milliseconds=courier.PATIENCE_MS)
    assert (courier.LEAST_TRIES, courier.FAILS, courier.EACH_AT_ONCE, courier.AT_ONCE) == (7, 3, 8, 64)
    assert courier.SHUT_MS == (5_000, 15_000, 60_000)
    assert courier.LIMITS.seconds == 10
    for status in courier.OF_THE_NOTICE:
        assert str(status) in TEXT
