"""What config.yaml says about a line over SMPP, and what is held because of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.channels.smpp.settings import AddressType, SmppCarrier, settings_of
from gateway.codecs.national import Alphabet
from gateway.values import HostPort

CARRIER = {"kind": "smpp", "carrier": "smpp.example.net:2776", "price": "0.0079 USD per part"}
SIMULATOR = HostPort("127.0.0.1", 2775)
PEM = Path(__file__).parents[3] / "peers/localhost.pem"


def read(**more: object) -> SmppCarrier:
    return SmppCarrier.model_validate(CARRIER | more)


@pytest.mark.parametrize(
    ("written", "binds"),
    [
        ("1", ("transceiver",)),
        (2, ("transceiver", "transceiver")),
        (["transmitter", "receiver"], ("transmitter", "receiver")),
    ],
)
def test_lines_are_counted_or_named(written: object, binds: tuple[str, ...]) -> None:
    assert read(binds=written).binds == binds


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        (0, "found 0, expected how many lines"),
        ("33", "at most 32"),
        ([], "an empty list"),
        (["transmiter"], "did you mean transmitter?"),
        (["receiver", "receiver"], "at least one line that may send"),
        (True, "expected how many lines"),
        ([3], "expected transceiver, transmitter or receiver"),
    ],
)
def test_what_are_no_lines_is_told(written: object, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint.replace("?", "[?]")):
        read(binds=written)


def test_left_out_is_what_most_carriers_want() -> None:
    held = settings_of(read(), SIMULATOR, "us", ("20655",))

    assert (held.address.host, held.address.port, held.address.tls) == ("smpp.example.net", 2776, False)
    assert (held.binds, held.window, held.rate, held.enquire_s, held.answer_s) == (("transceiver",), 100, 10, 30, 30)
    assert (held.long_texts, held.use_data_sm, held.message_ids, held.alphabets) == ("header", False, "auto", ())
    assert held.bare_is_international


def test_all_that_may_be_said_is_held() -> None:
    said = read(
        system_type="SMPP",
        enquire="10 s",
        answer_within="1 min",
        long_texts="sar",
        use_data_sm="yes",
        message_ids="hex in receipts",
        address_types={"short_code": "0/1"},
        addresses_without_plus="national",
        tls="yes",
        authorities_file=str(PEM),
    )
    held = settings_of(said, SIMULATOR, "us", ())

    assert (held.system_type, held.enquire_s, held.answer_s, held.long_texts) == ("SMPP", 10, 60, "sar")
    assert (held.use_data_sm, held.message_ids, held.bare_is_international) == (True, "hex in receipts", False)
    assert (held.types.short_code, str(held.types.short_code)) == (AddressType(0, 1), "0/1")
    assert held.address.tls
    assert held.address.authorities == PEM.read_text()
    assert settings_of(read(alphabets=["turkish"]), SIMULATOR, "us", ()).alphabets == (Alphabet.TURKISH,)


def test_on_the_simulator_there_is_an_account_of_its_own_and_nothing_secret() -> None:
    held = settings_of(read(carrier="simulator", tls="yes", account="real"), SIMULATOR, "a_channel_with_a_name", ())

    assert (held.address.port, held.address.tls, held.account, held.password) == (2775, False, "a_channel_with_", "")


@pytest.mark.parametrize(
    ("changes", "is_encrypted"), [({}, False), ({"tls": "yes"}, True), ({"carrier": "simulator"}, True)]
)
def test_an_open_line_to_a_real_carrier_is_known_as_one(changes: dict[str, str], is_encrypted: bool) -> None:
    """R-2.14"""
    assert read(**changes).is_encrypted is is_encrypted


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"alphabets": ["turkish"], "long_texts": "payload"}, "several mistakes"),
        ({"alphabets": ["klingon"]}, "turkish"),
        ({"authorities_file": str(PEM)}, "several mistakes"),
        ({"authorities_file": "nowhere.pem", "tls": "yes"}, "cannot read the certificates in nowhere.pem"),
        ({"authorities_file": __file__, "tls": "yes"}, "holds no certificates"),
        ({"authorities_file": 7, "tls": "yes"}, "found 7, expected the name of a file"),
        ({"address_types": {"name": "5"}}, "such as 5/0"),
        ({"address_types": {"name": "5/300"}}, "such as 5/0"),
        ({"window": 0}, "greater than or equal to 1"),
    ],
)
def test_what_does_not_fit_is_told(changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        read(**changes)


def test_certificates_are_not_printed() -> None:
    assert "BEGIN" not in repr(read(authorities_file=str(PEM), tls="yes"))
