"""What a marketer writes about a program that talks to us: what it may do, what it is told, and by which doors."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Final, Literal, NamedTuple, Self, get_args
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from campaigns import practice
from gateway.config import KEY, Finding, Name, Named, Secret, Settings, wrong
from gateway.values import As, Rate
from gateway.wording import found

LONGEST_SYSTEM_ID: Final = 15  # SMPP 3.4, 5.2.1: 16 octets with the closing zero
SECRET_OCTETS: Final = (24, 64)  # Standard Webhooks, "Signature scheme"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Scope = Literal["send", "read", "subscribers"]
EventKind = Literal[
    "message.sent", "message.delivered", "message.failed", "message.expired", "message.refused", "message.in_doubt",
    "message.unknown", "message.stopped", "message.received", "subscriber.joined", "subscriber.left",
    "subscriber.returned",
]  # fmt: skip
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
KINDS: Final[tuple[EventKind, ...]] = get_args(EventKind)


def parse_web_address(text: str) -> str:
    """A web address that we call: `https://shop.example/carillon`."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", text):
        raise ValueError(f"found {found(text)}, expected a web address such as https://shop.example/carillon")
    if parts.username is not None:
        raise ValueError("found a password in the address; what we send is signed, which proves more")
    if parts.fragment:
        raise ValueError(f"found {found(text)}; what stands behind # never reaches a server")
    return text


def parse_network(text: str) -> Network:
    """An address, or all that begin alike: `203.0.113.7`, `203.0.113.0/24`, `2001:db8::/32`."""
    try:
        return ipaddress.ip_network(text.strip())
    except ValueError:
        pass
    try:
        whole = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise ValueError(f"found {found(text)}, expected an address or a network such as 203.0.113.0/24") from None
    raise ValueError(f"found {found(text)}, which is one address of a network; did you mean {whole}?")


def parse_account(text: str) -> str:
    """The name of an account as Twilio writes it."""
    if not re.fullmatch("AC[0-9a-fA-F]{32}", text):
        raise ValueError(f"found {found(text)}, expected an account: AC and 32 hexadecimal digits")
    return text


WebAddress = Annotated[str, As(parse_web_address, "a web address", ("https://shop.example/carillon",))]
Addresses = Annotated[
    Network,
    As(
        parse_network, "an address or a network", ("203.0.113.0/24",),
        kinds=(ipaddress.IPv4Network, ipaddress.IPv6Network),
    ),
]  # fmt: skip
Account = Annotated[str, As(parse_account, "an account: AC and 32 hexadecimal digits", ("AC" + "0" * 32,))]
ProgramName = Annotated[str, Name("programs")]
SenderName = Annotated[str, Name("senders")]


class Webhook(Settings):
    """Where a program is told what happens. What we send is signed (Standard Webhooks)."""

    url: WebAddress = Field(description="Where it is told.")
    secret_file: Secret | None = Field(
        None, description="The file of the secret that we sign with: whsec_ and base64. Left out: we make one, which "
        "run.py webhooks secret shows.",
    )  # fmt: skip
    secret: SecretStr | None = Field(
        None, description="The same from the environment.", examples=["${SHOP_WEBHOOK_SECRET}"]
    )
    previous_secret_file: Secret | None = Field(
        None, description="The file of the secret before. While it stands here, we sign with both."
    )
    previous_secret: SecretStr | None = Field(
        None, description="The same from the environment.", examples=["${SHOP_WEBHOOK_SECRET_BEFORE}"]
    )

    @model_validator(mode="after")
    def _secrets(self) -> Self:
        _only_one(self, "secret", "secret_file")
        _only_one(self, "previous_secret", "previous_secret_file")
        for name, text in self._written():
            if _octets_of(text) is None:
                raise wrong([((name,), "expected whsec_ and base64 of 24 to 64 bytes: the secret is not shown here")])
        return self

    def _written(self) -> Iterator[tuple[str, str]]:
        for name in ("secret", "secret_file", "previous_secret", "previous_secret_file"):
            text = _text(getattr(self, name))
            if text is not None:
                yield name, text

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """What we sign with, the present one first; none when it is for us to make one."""
        return tuple(octets for _, text in self._written() if (octets := _octets_of(text)) is not None)


class Binding(Settings):
    """How a program may bind to us as to an SMSC; its name is the system_id. run.py key new makes the password."""

    instead: ClassVar[dict[str, str]] = {
        "password": "run.py key new NAME --smpp makes it, and we keep what it is known by, not the password",
    }

    binds: int = Field(4, description="How many lines it may hold at once.", ge=1, le=100)
    window: int = Field(
        100, description="How many texts may wait for its answer, or for ours, at once on each line.", ge=1, le=10_000
    )
    addresses: tuple[Addresses, ...] = Field(
        (), description="Where it may come from; none named: anywhere.", examples=[["203.0.113.0/24"]]
    )


class TwilioLogin(Settings):
    """The account and token that a program made for Twilio shows to us, as it did there."""

    account: Account = Field(description="The account's name (Account SID).")
    token_file: Secret | None = Field(
        None, description="The file of the token, which also signs what it is told by this door."
    )
    token: SecretStr | None = Field(
        None, description="The same from the environment.", examples=["${SHOP_TWILIO_TOKEN}"]
    )
    inbound_url: WebAddress | None = Field(
        None, description="Where it is told of texts that come in, as Twilio tells them."
    )
    address: WebAddress | None = Field(
        None,
        description="Where it reaches this door, as its base_url says; the addresses of pictures begin so. Left out: "
        "listen.api.",
        examples=["https://sms.example.net"],
    )

    @model_validator(mode="after")
    def _has_a_token(self) -> Self:
        _only_one(self, "token", "token_file")
        if not self.secret:
            raise wrong([(("account",), "an account wants its token; add token_file, or token: ${NAME}")])
        return self

    @property
    def secret(self) -> str:
        """The token."""
        return _text(self.token) or _text(self.token_file) or ""


class ClientSettings(Named):
    """A program that talks to us, under the name that its keys and its notices bear."""

    may: tuple[Scope, ...] = Field(
        SCOPES, description="What its keys may do at most.", min_length=1, examples=[["send", "read"]]
    )
    senders: tuple[SenderName, ...] = Field(
        (), description="The senders that it may use; none named: all.", examples=[["seattle"]]
    )
    program: ProgramName | None = Field(
        None,
        description="Its texts are marketing of this programme (consent, hours and caps hold) unless a text says "
        "otherwise. Left out: they are service texts, which only STOP holds back.",
    )
    rate: Rate | None = Field(
        None, description="How many texts a second it may bring, and how fast they leave; else as fast as it goes."
    )
    receives: tuple[SenderName, ...] = Field(
        (),
        description="Texts to these senders are told to it, and our default answer is not sent.",
        examples=[["seattle"]],
    )
    events: tuple[EventKind, ...] = Field(
        KINDS,
        description="What it is told of.",
        examples=[["message.delivered", "message.failed"]],
    )
    private: bool = Field(
        False,
        description="Whether what it is told may go to addresses inside our own network: its webhook, and those that "
        "it names with a text (StatusCallback, dlr-url).",
    )
    webhook: Webhook | None = Field(None, description="Where it is told what happens.")
    smpp: Binding | None = Field(None, description="Lets it bind to us as to an SMSC.")
    twilio: TwilioLogin | None = Field(None, description="Lets it speak to us as to Twilio.")


class Client(NamedTuple):
    """A program that talks to us. Its id is also the run of its messages."""

    id: int
    name: str
    settings: ClientSettings


def client_findings(clients: Mapping[str, ClientSettings], channels: Mapping[str, object]) -> Iterator[Finding]:
    """What is wrong or doubtful about programs only when things are seen together."""
    if clients and practice.CHANNEL in channels:
        text = f"the channel {practice.CHANNEL} is ours, for test keys; choose another name"
        yield Finding(("channels", practice.CHANNEL, KEY), text)
    accounts: dict[str, str] = {}
    for name, client in clients.items():
        yield from _addresses(name, client)
        yield from _purposes(name, client)
        if client.smpp and len(name) > LONGEST_SYSTEM_ID:
            text = f"the name is its system_id, which has at most {LONGEST_SYSTEM_ID} letters; found {len(name)}"
            yield Finding(("clients", name, KEY), text)
        account = client.twilio.account if client.twilio else ""
        if account and accounts.setdefault(account, name) != name:
            first = ("clients", accounts[account], "twilio", "account")
            text = "an account belongs to one program; this one is taken already"
            yield Finding(("clients", name, "twilio", "account"), text, see=first)


def _addresses(name: str, client: ClientSettings) -> Iterator[Finding]:
    """Web addresses that are open to read on the way, or that lead into our own network unasked."""
    urls = {
        ("webhook", "url"): client.webhook.url if client.webhook else None,
        ("twilio", "inbound_url"): client.twilio.inbound_url if client.twilio else None,
    }
    for path, url in urls.items():
        if not url or client.private:
            continue
        if is_inside(url):
            text = "this leads into our own network; add private: yes to the program, if that is meant"
            yield Finding(("clients", name, *path), text)
        elif url.startswith("http:"):
            text = "everybody on the way could read along; say https://, or private: yes inside our own network"
            yield Finding(("clients", name, *path), text)


def _purposes(name: str, client: ClientSettings) -> Iterator[Finding]:
    """Settings that have no effect as they stand."""
    hears = client.webhook or client.smpp or client.twilio
    is_chosen = "events" in client.model_fields_set
    if is_chosen and "message.received" in client.events and not client.receives:
        text = "no text is told to it without receives: name the senders"
        yield Finding(("clients", name, "events"), text, is_warning=True)
    if client.receives and is_chosen and "message.received" not in client.events:
        text = "texts to these senders are not told to it, for events leaves out message.received"
        yield Finding(("clients", name, "receives"), text, is_warning=True)
    if not hears and "read" not in client.may and (client.receives or is_chosen):
        text = "it could not learn of anything: it has no webhook, may not bind and may not read"
        yield Finding(("clients", name, KEY), text, is_warning=True)
    if "send" not in client.may and (client.senders or client.rate):
        path = "senders" if client.senders else "rate"
        yield Finding(("clients", name, path), "has no effect, for may: leaves out send", is_warning=True)


def is_inside(url: str) -> bool:
    """Whether a web address names, by its letters alone, this machine or a private network."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal")) or "." not in host


def _text(secret: Secret | SecretStr | None) -> str | None:
    if isinstance(secret, SecretStr):
        return secret.get_secret_value()
    return secret.text if secret else None


def _octets_of(secret: str) -> bytes | None:
    """The key in a secret of Standard Webhooks, or None for any other text."""
    mark, _, letters = secret.partition("_")
    try:
        octets = base64.b64decode(letters, validate=True)
    except binascii.Error:
        return None
    return octets if mark == "whsec" and SECRET_OCTETS[0] <= len(octets) <= SECRET_OCTETS[1] else None


def _only_one(settings: Settings, first: str, second: str) -> None:
    if getattr(settings, first) is not None and getattr(settings, second) is not None:
        raise wrong([((second,), f"{first} stands already; one of the two is enough")])
