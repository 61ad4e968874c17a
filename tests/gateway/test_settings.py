"""The brand, the channels, the senders and the ports are read as the gateway needs them."""

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.channels.smpp import SmppCarrier
from gateway.settings import Brand, Listen, SenderSettings, Simulator
from gateway.values import HostPort, Price, Rate

CHANNEL = {"kind": "smpp", "carrier": "simulator", "price": "0.0079 USD per part"}
BRAND = {"name": "Lantern", "country": "US", "timezone": "Asia/Shanghai", "languages": ["en"], "currency": "USD"}


def test_a_channel_on_the_simulator_is_simulated() -> None:
    channel = SmppCarrier.model_validate(CHANNEL)
    assert channel.is_simulated
    assert (channel.price, channel.rate, channel.password_file) == (Price(7900, "USD"), Rate(10), None)


def test_a_channel_with_a_host_and_a_port_is_real() -> None:
    channel = SmppCarrier.model_validate(CHANNEL | {"carrier": "smpp.example.net:2776", "tls": "yes"})
    assert not channel.is_simulated
    assert channel.carrier == HostPort("smpp.example.net", 2776)
    assert channel.tls


def test_an_account_is_no_longer_than_smpp_takes() -> None:
    # SMPP 3.4 section 4.1.1: system_id is at most 15 characters and a NUL.
    with pytest.raises(ValidationError):
        SmppCarrier.model_validate(CHANNEL | {"account": "a" * 16})


@pytest.mark.parametrize("number", ["20655", "+12065550142", "Lantern Cafe"[:11]])
def test_a_sender_is_a_short_code_a_number_or_a_name(number: str) -> None:
    sender = SenderSettings.model_validate({"number": number, "channel": "us_sms", "countries": ["US"]})
    assert sender.number == number


def test_a_sender_serves_some_country() -> None:
    with pytest.raises(ValidationError):
        SenderSettings.model_validate({"number": "20655", "channel": "us_sms", "countries": []})


def test_a_site_loses_its_last_slash_so_that_links_have_one() -> None:
    assert Brand.model_validate(BRAND | {"site": "https://lantern.example/"}).site == "https://lantern.example"


@pytest.mark.parametrize(
    "change", [{"site": "lantern.example"}, {"currency": "dollar"}, {"country": "us"}, {"languages": []}]
)
def test_a_brand_without_sense_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Brand.model_validate(BRAND | change)


def test_ports_have_defaults_that_keep_the_board_at_home() -> None:
    listen = Listen()
    assert (listen.public.port, listen.private, listen.smsc) == (
        8080, HostPort("127.0.0.1", 8081), HostPort("127.0.0.1", 2775),
    )  # fmt: skip


def test_a_simulator_is_kind_unless_told_otherwise() -> None:
    simulator = Simulator()
    assert (simulator.fail, simulator.lose, simulator.reject, simulator.throttle, simulator.drop_every) == (
        0,
        0,
        0,
        None,
        0,
    )
