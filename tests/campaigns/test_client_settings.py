"""What may be said of programs in config.yaml, and the mistakes in it that are told."""

import ipaddress
from collections.abc import Callable
from pathlib import Path

import pytest

from campaigns.client_settings import KINDS, SCOPES, is_inside, parse_network
from campaigns.settings import Config
from gateway.config import ConfigErrors, Loaded, load
from gateway.values import HostPort, Rate

SMALL = """\
brand: {name: Lantern, country: US, timezone: America/Los_Angeles, languages: [en], currency: USD}
channels:
  us_sms: {kind: smpp, carrier: simulator, price: 0.0079 USD per part}
senders:
  seattle: {number: 20655, channel: us_sms, countries: [US]}
programs:
  club: {name: Club, consent: Offers by text}
"""
ACCOUNT = "AC" + "0123456789abcdef" * 2
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # the example of the Standard Webhooks specification

Read = Callable[..., Loaded[Config]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads the small config with these lines behind it."""

    def read(lines: str = "", **environ: str) -> Loaded[Config]:
        path = tmp_path / "config.yaml"
        path.write_text(SMALL + lines, encoding="utf-8")
        return load(path, Config, environ)

    return read


@pytest.fixture
def told(read: Read) -> Callable[..., str]:
    """The one mistake in the small config with these lines behind it."""

    def told(lines: str, **environ: str) -> str:
        with pytest.raises(ConfigErrors) as caught:
            read(lines, **environ)
        (mistake,) = caught.value.mistakes
        return mistake.text

    return told


def shop(settings: str) -> str:
    return f"clients:\n  shop: {settings}\n"


def test_a_program_that_says_nothing_may_do_everything_and_is_told_everything(read: Read) -> None:
    client = read(shop("{}")).value.clients["shop"]
    assert (client.key, client.may, client.events) == ("shop", SCOPES, KINDS)
    assert (client.senders, client.program, client.rate, client.receives) == ((), None, None, ())
    assert (client.webhook, client.smpp, client.twilio, client.private) == (None, None, None, False)


def test_all_that_may_be_said_is_read(read: Read) -> None:
    loaded = read(
        "clients:\n  shop:\n    may: [send, read]\n    senders: [seattle]\n    program: club\n    rate: 100/s\n"
        "    receives: [seattle]\n    events: [message.delivered, message.received]\n"
        "    webhook: {url: 'https://shop.example/in?x=1', secret: '${HOOK}'}\n"
        "    smpp: {binds: 2, window: 50, addresses: [203.0.113.0/24, '2001:db8::1']}\n"
        f"    twilio: {{account: {ACCOUNT}, token: '${{TOKEN}}', inbound_url: 'https://shop.example/sms'}}\n",
        HOOK=WHSEC,
        TOKEN="t0ken",
    )
    client = loaded.value.clients["shop"]
    assert (client.may, client.senders, client.program) == (("send", "read"), ("seattle",), "club")
    assert (client.rate, client.events) == (Rate(100), ("message.delivered", "message.received"))
    assert client.webhook is not None
    assert client.webhook.url == "https://shop.example/in?x=1"
    assert [len(secret) for secret in client.webhook.secrets] == [24]
    assert client.smpp is not None
    assert (client.smpp.binds, client.smpp.window) == (2, 50)
    assert ipaddress.ip_address("203.0.113.9") in client.smpp.addresses[0]
    assert ipaddress.ip_address("2001:db8::1") in client.smpp.addresses[1]
    assert client.twilio is not None
    assert (client.twilio.account, client.twilio.secret) == (ACCOUNT, "t0ken")
    assert loaded.warnings == ()


def test_secrets_are_shown_nowhere(read: Read) -> None:
    config = read(
        shop(
            "{webhook: {url: 'https://a.example', secret: '${HOOK}'}, "
            f"twilio: {{account: {ACCOUNT}, token: '${{TOKEN}}'}}}}"
        ),
        HOOK=WHSEC,
        TOKEN="t0ken",
    ).value
    assert WHSEC not in repr(config)
    assert "t0ken" not in repr(config)


def test_secrets_are_read_from_files_and_two_sign_while_one_follows_the_other(read: Read, tmp_path: Path) -> None:
    before = "whsec_" + "QUJD" * 10
    for name, text in (("new", WHSEC), ("old", before), ("token", "t0ken")):
        (tmp_path / name).write_text(text + "\n")
        (tmp_path / name).chmod(0o600)
    webhook = "{url: 'https://a.example', secret_file: new, previous_secret_file: old}"
    loaded = read(shop(f"{{webhook: {webhook}, twilio: {{account: {ACCOUNT}, token_file: token}}}}"))
    client = loaded.value.clients["shop"]
    assert client.webhook is not None
    assert client.twilio is not None
    assert client.webhook.secrets[1] == b"ABC" * 10
    assert client.twilio.secret == "t0ken"
    assert loaded.warnings == ()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("{senders: [seatle]}", 'no sender "seatle"; did you mean seattle (line 5)?'),
        ("{receives: [portland]}", 'no sender "portland"; there are seattle'),
        ("{program: clubb}", 'no program "clubb"; did you mean club (line 7)?'),
        ("{may: [send, reed]}", 'found "reed", expected send, read or subscribers; did you mean read?'),
        ("{events: [message.deliverd]}", "did you mean message.delivered?"),
        ("{rate: fast}", 'found "fast", expected a rate such as 50/s or 600/min'),
        ("{webhok: {url: 'https://a.example'}}", 'no setting "webhok" in clients.shop; did you mean webhook?'),
        ("{webhook: {url: 'http://shop.example/'}}", "everybody on the way could read along; say https://"),
        ("{webhook: {url: 'https://localhost:9000/'}}", "this leads into our own network; add private: yes"),
        ("{webhook: {url: 'https://192.168.1.7/'}}", "this leads into our own network; add private: yes"),
        ("{webhook: {url: shop.example}}", "expected a web address such as https://"),
        ("{webhook: {url: 'https://me:pw@shop.example/'}}", "found a password in the address"),
        ("{webhook: {url: 'https://shop.example/#a'}}", "what stands behind # never reaches a server"),
        ("{webhook: {url: 'https://shop.example/', secret: hunter2}}", "expected whsec_ and base64 of 24 to 64 bytes"),
        ("{twilio: {account: AC123, token: t}}", 'found "AC123", expected an account: AC and 32 hexadecimal digits'),
        (f"{{twilio: {{account: {ACCOUNT}}}}}", "an account wants its token; add token_file, or token: ${NAME}"),
        ("{smpp: {addresses: [203.0.113.7/24]}}", "did you mean 203.0.113.0/24?"),
        ("{smpp: {addresses: [shop.example]}}", "expected an address or a network such as 203.0.113.0/24"),
        ("{smpp: {binds: 0}}", "expected at least 1"),
    ],
)
def test_a_mistake_is_told_with_its_cure(told: Callable[..., str], settings: str, words: str) -> None:
    assert words in told(shop(settings))


def test_a_secret_that_is_wrong_is_not_shown(told: Callable[..., str]) -> None:
    assert "hunter2" not in told(shop("{webhook: {url: 'https://shop.example/', secret: hunter2}}"))


@pytest.mark.parametrize(
    ("settings", "cure"),
    [
        (f"{{webhook: {{url: 'https://a.example', secret: {WHSEC}}}}}", "say secret: ${NAME}, or secret_file: FILE"),
        (
            f"{{webhook: {{url: 'https://a.example', secret: '${{X:-{WHSEC}}}'}}}}",
            "say secret: ${NAME}, or secret_file",
        ),
        (
            f"{{webhook: {{url: 'https://a.example', previous_secret: {WHSEC}}}}}",
            "say previous_secret: ${NAME}, or prev",
        ),
        (f"{{twilio: {{account: {ACCOUNT}, token: t0ken}}}}", "say token: ${NAME}, or token_file: FILE"),
        (f"{{twilio: {{account: {ACCOUNT}, token: 't0${{X:-ken}}'}}}}", "say token: ${NAME}, or token_file: FILE"),
        ("{smpp: {password: t0ken}}", "run.py key new NAME --smpp makes it"),
    ],
)
def test_a_secret_in_the_file_itself_is_refused_with_its_cure_and_not_shown(
    told: Callable[..., str], settings: str, cure: str
) -> None:
    text = told(shop(settings))
    assert cure in text
    assert not any(secret in text for secret in (WHSEC, "t0ken"))


def test_an_account_belongs_to_one_program(told: Callable[..., str]) -> None:
    twilio = f"{{twilio: {{account: {ACCOUNT}, token: '${{T}}'}}}}"
    text = told(f"clients:\n  shop: {twilio}\n  till: {twilio}\n", T="t")
    assert text == "an account belongs to one program; this one is taken already (line 9)"


def test_two_programs_may_be_told_of_the_same_texts(read: Read) -> None:
    loaded = read("clients:\n  shop: {receives: [seattle]}\n  till: {receives: [seattle]}\n")
    assert loaded.warnings == ()


def test_a_long_name_cannot_bind(told: Callable[..., str], read: Read) -> None:
    assert "at most 15 letters; found 16" in told("clients:\n  a_shop_in_harbor: {smpp: {}}\n")
    assert read("clients:\n  a_shop_in_harbor: {}\n  a_shop_in_habor: {smpp: {}}\n").warnings == ()


def test_what_stays_at_home_may_be_plain_and_private(read: Read) -> None:
    loaded = read(shop("{private: yes, webhook: {url: 'http://localhost:9000/hook'}}"))
    assert loaded.value.clients["shop"].private
    assert loaded.warnings == ()


def test_the_channel_of_test_keys_is_ours_once_there_are_programs(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    own = SMALL.replace("us_sms", "test")
    path.write_text(own)
    assert load(path, Config, {}).value.carriers.keys() == {"test"}
    path.write_text(own + shop("{}"))
    with pytest.raises(ConfigErrors, match="the channel test is ours, for test keys"):
        load(path, Config, {})


def test_the_channel_of_test_keys_is_there_before_the_first_program_and_makes_nothing_real(read: Read) -> None:
    config = read().value
    assert config.carriers.keys() == {"us_sms", "test"}
    assert config.channels.keys() == {"us_sms"}
    assert config.carriers["test"].is_simulated


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("{events: [message.received]}", "no text is told to it without receives"),
        ("{receives: [seattle], events: [message.failed]}", "events leaves out message.received"),
        ("{may: [send], receives: [seattle]}", "it could not learn of anything"),
        ("{may: [read], senders: [seattle]}", "has no effect, for may: leaves out send"),
    ],
)
def test_what_serves_no_purpose_is_warned_of(read: Read, settings: str, words: str) -> None:
    (warning,) = read(shop(settings)).warnings
    assert words in warning.text


# --- ports


def test_ports_of_programs_are_opened_only_when_there_are_any(read: Read) -> None:
    assert [*read().value.opened] == ["public", "private", "smsc"]
    assert [*read(shop("{}")).value.opened] == ["public", "private", "smsc", "api"]
    opened = read(shop("{smpp: {}}")).value.opened
    assert (opened["api"], opened["smpp"]) == (HostPort("127.0.0.1", 8082), HostPort("127.0.0.1", 2776))


def test_a_port_that_is_not_opened_may_be_another_ones(read: Read, told: Callable[..., str]) -> None:
    listen = "listen: {api: 127.0.0.1:8081, smpp: 127.0.0.1:2775}\n"
    assert read(listen).warnings == ()
    assert "the port 8081 is taken already by listen.private" in told(listen + shop("{}"))


def test_keys_that_cross_the_network_openly_are_warned_of(read: Read) -> None:
    (warning,) = read("listen: {api: 0.0.0.0:8082}\n" + shop("{}")).warnings
    assert warning.text.startswith("keys and texts cross the network for all to read; add api_tls")
    assert read("listen: {api: 0.0.0.0:8082}\n").warnings == ()


# --- addresses


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/", "http://[::1]:80/", "http://10.1.2.3", "http://localhost./", "http://db.internal/",
     "http://intranet/", "http://169.254.169.254/latest", "http://a.localhost", "http://[fe80::1]/"],
)  # fmt: skip
def test_an_address_inside_is_known_by_its_letters(url: str) -> None:
    assert is_inside(url)


@pytest.mark.parametrize("url", ["https://shop.example/", "https://8.8.8.8/", "https://[2606:4700::1111]/"])
def test_an_address_outside_is_known_by_its_letters(url: str) -> None:
    assert not is_inside(url)


def test_an_address_alone_is_a_network_of_one() -> None:
    assert parse_network("203.0.113.7") == ipaddress.ip_network("203.0.113.7/32")
