"""The brand, the channels, the senders and the ports are read as the gateway needs them."""

import ssl
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.channels.smpp import SmppCarrier
from gateway.settings import Brand, Certificate, Listen, RouteSettings, SenderSettings, Simulator, StorePlace
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


PEM = Path(__file__).parents[1] / "peers" / "localhost.pem"  # a certificate and its key


def test_a_certificate_with_its_key_encrypts_a_port() -> None:
    tls = Certificate.model_validate({"certificate_file": str(PEM), "key_file": str(PEM)})
    assert tls.context().minimum_version is ssl.TLSVersion.TLSv1_2
    assert "PRIVATE KEY" not in repr(tls)


@pytest.mark.parametrize(
    ("certificate", "key", "complaint"),
    [
        ("nowhere.pem", str(PEM), "cannot read the certificates in nowhere.pem: No such file"),
        (__file__, str(PEM), "holds no certificates"),
        (str(PEM), __file__, "this is not the key of the certificate in localhost.pem"),
        (str(PEM), "nowhere.pem", "cannot read the secret in nowhere.pem"),
        (7, str(PEM), "expected the name of a file"),
    ],
)
def test_a_certificate_or_key_that_is_none_is_told_before_anything_is_served(
    certificate: object, key: str, complaint: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        Certificate.model_validate({"certificate_file": certificate, "key_file": key})
    assert complaint in repr(caught.value.errors())


def test_a_simulator_is_kind_unless_told_otherwise() -> None:
    simulator = Simulator()
    assert (simulator.fail, simulator.lose, simulator.reject, simulator.throttle, simulator.drop_every) == (
        0,
        0,
        0,
        None,
        0,
    )


SENDER = {"channel": "us_sms", "countries": ["US"]}


def test_a_sender_has_one_number_or_several_and_always_both_words_for_them() -> None:
    one = SenderSettings.model_validate(SENDER | {"number": "20655"})
    pool = SenderSettings.model_validate(SENDER | {"numbers": ["+12065550100", "+12125550100"]})
    assert (one.number, one.numbers, one.is_pool) == ("20655", ("20655",), False)
    assert (pool.number, pool.numbers, pool.is_pool) == ("+12065550100", ("+12065550100", "+12125550100"), True)
    assert SenderSettings.model_validate(pool.model_dump()) == pool


@pytest.mark.parametrize(
    ("numbers", "complaint"),
    [
        ({}, "number is missing"),
        ({"number": "20655", "numbers": ["20656"]}, "found both number and numbers"),
    ],
)
def test_a_sender_has_either_a_number_or_numbers(numbers: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SenderSettings.model_validate(SENDER | numbers)
    [error] = caught.value.errors()
    [(_, text)] = error["ctx"]["mistakes"]
    assert text.startswith(complaint)


def test_a_rule_may_name_one_thing_without_a_list() -> None:
    rule = RouteSettings.model_validate({"country": "US", "type": "toll free", "senders": ["a"]})
    assert (rule.country, rule.type, rule.prefix, rule.order) == (("US",), ("toll free",), (), "listed")


@pytest.mark.parametrize("prefix", ["1206", "+", "+1206x", "+1234567890123456"])
def test_a_prefix_begins_with_a_plus_and_has_only_digits(prefix: str) -> None:
    with pytest.raises(ValidationError, match="expected the first digits"):
        RouteSettings.model_validate({"prefix": prefix, "senders": ["a"]})


@pytest.mark.parametrize(
    "place",
    [
        "mysql://ana@db/shop?password=s3cret",
        "mysql://ana@db/shop?password=x@s3cret",
        "mysql://ana:s3?s3cret@db/shop",
        "mysql://ana:x\ns3cret@db/shop",
        "mysql:shop?password=x\ns3cret",
    ],
)
def test_a_password_in_the_address_of_an_unknown_store_is_not_shown(place: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(StorePlace).validate_python(place)
    (error,) = caught.value.errors()
    assert "expected sqlite:FILE" in error["msg"]
    assert "s3cret" not in error["msg"]
