"""What the gateway needs from config.yaml beside the carriers: the brand, the numbers we send from, the ports."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gateway.config import Name, Named, Settings
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


def _store(text: str) -> str:
    if not text.startswith(("sqlite:", "postgresql://")) or text == "sqlite:":
        raise ValueError(f"found {found(text)}, expected sqlite:FILE such as sqlite:data/carillon.db")
    return text


Country = Annotated[str, AfterValidator(_country)]
StorePlace = Annotated[str, AfterValidator(_store)]


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


class SenderSettings(Named):
    """A number (or name) that texts come from."""

    number: str = Field(
        description="The short code, telephone number or name that people see.",
        pattern=r"^(\+?\d{3,15}|[A-Za-z0-9 ]{1,11})$",
        examples=["20655"],
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


class Listen(Settings):
    """The ports that we open."""

    public: Address = Field(HostPort("0.0.0.0", 8080), description="Pages for phones.")  # noqa: S104  phones must reach it
    private: Address = Field(
        HostPort("127.0.0.1", 8081), description="The board, figures and the handset: for us alone."
    )
    smsc: Address = Field(HostPort("127.0.0.1", 2775), description="The simulated carrier.")
