"""What the gateway needs from config.yaml beside the carriers: the brand, the numbers we send from, the ports."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo, model_validator
from pydantic_core import CoreSchema, core_schema

from gateway.config import KEY, Holds, Name, Named, Reading, Secret, Settings, wrong
from gateway.numbers import LineType
from gateway.values import (
    Address,
    Colour,
    Duration,
    HostPort,
    LocalText,
    Percent,
    PhoneNumber,
    Rate,
    TimeOfDay,
    TimeZone,
)
from gateway.wording import found

LANGUAGE = r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*"


def _country(code: str) -> str:
    if len(code) != 2 or not code.isascii() or not code.isalpha() or not code.isupper():
        raise ValueError(f"found {found(code)}, expected a country's two capital letters such as US or CN")
    return code


def _currency(code: str) -> str:
    if len(code) != 3 or not code.isascii() or not code.isalpha() or not code.isupper():
        raise ValueError(f"found {found(code)}, expected a currency's three capital letters such as USD")
    return code


def _site(address: str) -> str:
    if not address.startswith(("http://", "https://")) or " " in address:
        raise ValueError(f"found {found(address)}, expected a web address such as https://lantern.example")
    return address.rstrip("/")


@dataclass(frozen=True, slots=True)
class OrAlone:
    """Marks a list of which a single thing may stand without brackets: `country: US`."""

    def __get_pydantic_core_schema__(self, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(
            lambda value: [value] if isinstance(value, str) else value, handler(source)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        listed = handler(schema)
        return {"anyOf": [listed["items"], listed]}


def _store(text: str) -> str:
    if not text.startswith(("sqlite:", "postgresql://")) or text == "sqlite:":
        # A password may stand before the @ and behind the ?, and may hold either of them.
        shown = found(re.sub("//.*@", "//...@", re.sub(r"(//.*)?\?.*", "...", text, flags=re.DOTALL), flags=re.DOTALL))
        raise ValueError(f"found {shown}, expected sqlite:FILE or postgresql://USER@HOST/DATABASE")
    return text


def has_password(_name: str, address: str) -> bool:
    """Whether a password stands in the address of a server."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return bool(parts.password) or "password" in parse_qs(parts.query)


def _prefix(digits: str) -> str:
    if not digits.startswith("+") or not digits[1:].isdecimal() or not digits.isascii() or len(digits) > 15:
        raise ValueError(f"found {found(digits)}, expected the first digits of a number with its plus such as +1206")
    return digits


Country = Annotated[str, AfterValidator(_country)]
Prefix = Annotated[str, AfterValidator(_prefix)]
CampaignName = Annotated[str, Name("campaigns")]
OwnNumber = Annotated[str, Field(pattern=r"^(\+?\d{3,15}|[A-Za-z0-9 ]{1,11})$")]
StorePlace = Annotated[
    str,
    AfterValidator(_store),
    Holds(has_password, "take the password out and set PGPASSWORD or PGPASSFILE, or write ${NAME} in its place"),
]


@dataclass(frozen=True, slots=True)
class Chain:
    """A file of certificates (PEM), the first of them ours."""

    path: Path

    @classmethod
    def _read(cls, value: object, info: ValidationInfo) -> Chain:
        if isinstance(value, Chain):
            return value
        if not isinstance(value, str):
            raise ValueError(f"found {found(value)}, expected the name of a file")
        path = (info.context.folder if isinstance(info.context, Reading) else Path()) / value
        try:
            ssl.create_default_context(cadata=path.read_text("ascii"))
        except ssl.SSLError:
            raise ValueError(f"{value} holds no certificates (PEM)") from None
        except (OSError, UnicodeDecodeError) as error:
            reason = (error.strerror if isinstance(error, OSError) else "") or "it is no text of certificates (PEM)"
            raise ValueError(f"cannot read the certificates in {value}: {reason}") from None
        return cls(path)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(cls._read)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "examples": ["secrets/fullchain.pem"]}


class Support(Settings):
    """Where a person finds help."""

    phone: PhoneNumber | None = Field(None, description="The telephone number that HELP names.")
    email: str | None = Field(None, description="The mail address that HELP names.", pattern=r"^[^@\s]+@[^@\s]+$")


class Brand(Settings):
    """Who we are to the people whom we text."""

    name: LocalText = Field(description="The name that people know us by.")
    country: Country = Field(description="How to read a number that is written without +.", examples=["US"])
    timezone: TimeZone = Field(description='The zone of "today" for limits and windows, unless a thing says otherwise.')
    languages: tuple[Annotated[str, Field(pattern=f"^{LANGUAGE}$")], ...] = Field(
        description="The languages we write; the first also serves readers of any other.",
        min_length=1,
        examples=[["en", "zh"]],
    )
    currency: Annotated[str, AfterValidator(_currency)] = Field(
        description="The currency of all prices and budgets.", examples=["USD"]
    )
    site: Annotated[str, AfterValidator(_site)] = Field(
        "http://localhost:8080",
        description="The web address of our pages as phones reach it; goes into every link.",
        examples=["https://lantern.example"],
    )
    support: Support = Field(Support(), description="Where a person finds help.")
    colour: Colour = Field("#7A3E1D", description="The colour of our pages, in quotes.")
    testers: tuple[PhoneNumber, ...] = Field(
        (), description="Our own phones: get every campaign first, count in nothing.", examples=[["+1 206 555 0142"]]
    )


def is_only_here(site: str) -> bool:
    """Whether this web address leads every machine to itself, so that no phone and no carrier can reach it."""
    return is_loopback(urlsplit(site).hostname or "")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself, which nobody else reaches."""
    return host in ("localhost", "::1") or host.startswith("127.")


class SenderSettings(Named):
    """What texts come from: a number, a name, or several numbers of which each person knows one."""

    number: OwnNumber = Field(
        "",
        description="The short code, telephone number or name that people see; of several numbers, the first.",
        examples=["20655"],
    )
    numbers: tuple[OwnNumber, ...] = Field(
        (),
        description="Instead of number: several of them. Each person is texted from the one that they know, else "
        "from one of their own area, else from any, always the same.",
        examples=[["+12065550100", "+12125550100"]],
    )
    channel: Annotated[str, Name("channels")] = Field(description="The channel that carries it.")
    countries: tuple[Country, ...] = Field(
        description="The countries whose subscribers it serves.", min_length=1, examples=[["US", "CA"]]
    )
    begin: str = Field("", description="Stands before every text, and counts in its parts.", examples=["【灯笼咖啡】"])
    end: str = Field(
        "", description="Stands after every marketing text, and counts in its parts.", examples=["拒收请回复R"]
    )
    stop_words: tuple[str, ...] = Field(
        (), description="Words that stop texts from this number, beside STOP and its kin.", examples=[["R", "T"]]
    )
    rate: Rate | None = Field(
        None, description="How many parts each of its numbers may send in a second; else as the channel carries."
    )
    fallback: tuple[Annotated[str, Name("senders")], ...] = Field(
        (),
        description="Senders on other channels that take its texts, the first that can, while its own channel is out.",
        examples=[["seattle_2"]],
    )

    @model_validator(mode="after")
    def _has_numbers(self) -> Self:
        if self.number and self.numbers and self.number != self.numbers[0]:
            raise wrong([(("numbers", KEY), "found both number and numbers; expected one of them")])
        if not self.number and not self.numbers:
            raise wrong([((KEY,), "number is missing; the short code, telephone number or name that people see")])
        # Both are always there, so that nobody has to ask which of them was written.
        object.__setattr__(self, "numbers", self.numbers or (self.number,))
        object.__setattr__(self, "number", self.numbers[0])
        return self

    @property
    def is_pool(self) -> bool:
        """True when there is a number to be chosen for each person."""
        return len(self.numbers) > 1


class RouteSettings(Named):
    """A rule that says which senders may text whom. All that it names must hold; what it does not name may be any."""

    country: Annotated[tuple[Country, ...], OrAlone()] = Field(
        (), description="The country of the person's number, or several.", examples=["US", ["US", "CA"]]
    )
    prefix: Annotated[tuple[Prefix, ...], OrAlone()] = Field(
        (), description="The first digits of the person's number, with the plus.", examples=["+1206"]
    )
    type: Annotated[tuple[LineType, ...], OrAlone()] = Field(
        (),
        description="What kind of number it is. Where digits do not tell a mobile from a landline (as in the US), a "
        "number counts as mobile.",
        examples=["mobile"],
    )
    network: Annotated[tuple[str, ...], OrAlone()] = Field(
        (), description="The network that the number was given to, as run.py route shows it.", examples=["China Mobile"]
    )
    campaign: Annotated[tuple[CampaignName, ...], OrAlone()] = Field(
        (), description="The campaign that is sent, or several."
    )
    lane: Literal["campaigns", "replies"] | None = Field(
        None,
        description="campaigns, or replies. An answer leaves from the number that was texted; only when that is no "
        "longer in the file, rules choose another.",
    )
    senders: tuple[Annotated[str, Name("senders")], ...] = Field(
        description="The senders that may be used; of those, only the ones that serve the person's country.",
        min_length=1,
        examples=[["seattle", "toll_free"]],
    )
    order: Literal["listed", "cost", "quality"] = Field(
        "listed",
        description="Which of them comes first: as listed; cost: the cheapest text; quality: the one of whose texts "
        "most are delivered, then the fastest. One whose channel is out always comes last.",
    )


class Simulator(Settings):
    """What the simulated carrier and its people do; used only by channels with carrier: simulator."""

    clock: TimeOfDay | None = Field(
        None, description="The brand's time of day when the store is new. Refused when any channel is real."
    )
    seed: int = Field(7, description="The same seed gives the same chances.", ge=0)
    people: Literal["lively", "quiet"] = Field("quiet", description="Whether simulated people vote, redeem and stop.")
    delay: Duration | None = Field(None, description="How long after a text its receipt comes, on average.")
    fail: Percent = Field(0.0, description="The share of texts whose receipt says that they failed.")
    lose: Percent = Field(0.0, description="The share of texts whose receipt never comes.")
    reject: Percent = Field(0.0, description="The share of texts that are refused at once.")
    throttle: Rate | None = Field(None, description="Above this rate texts are answered with: slow down.")
    drop_every: int = Field(0, description="After so many texts the line falls; 0 is never.", ge=0)


class Certificate(Settings):
    """How those who come to one of our ports know that it is us."""

    certificate_file: Chain = Field(description="Our certificate and those that vouch for it (PEM).")
    key_file: Secret = Field(description="The file of its key (PEM).")

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        try:
            self.context()
        except (ssl.SSLError, OSError):
            text = f"this is not the key of the certificate in {self.certificate_file.path.name} (PEM, no password)"
            raise wrong([(("key_file",), text)]) from None
        return self

    def context(self) -> ssl.SSLContext:
        """What a listener encrypts with: TLS 1.2 at least. The files are read anew."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.certificate_file.path, self.key_file.path, password="")
        return context


class Listen(Settings):
    """The ports that we open."""

    public: Address = Field(HostPort("0.0.0.0", 8080), description="Pages for phones.")  # noqa: S104  phones must reach it
    private: Address = Field(
        HostPort("127.0.0.1", 8081), description="The board, figures and the handset: for us alone."
    )
    smsc: Address = Field(HostPort("127.0.0.1", 2775), description="The simulated carrier.")
    api: Address = Field(HostPort("127.0.0.1", 8082), description="Programs by HTTP; opened when there are clients.")
    smpp: Address = Field(HostPort("127.0.0.1", 2776), description="Programs by SMPP; opened when a client has smpp.")
    api_tls: Certificate | None = Field(None, description="Encrypts what comes to listen.api, where no proxy does.")
    smpp_tls: Certificate | None = Field(None, description="Encrypts what comes to listen.smpp.")
