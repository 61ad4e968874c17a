"""What config.yaml says about a carrier that is reached over SMPP, and how its lines are held because of it."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo, model_validator
from pydantic_core import CoreSchema, core_schema

from gateway.channels.base import CarrierSettings
from gateway.codecs import smpp
from gateway.codecs.national import Alphabet
from gateway.config import Reading, Secret, Settings, wrong
from gateway.messages import Cargo
from gateway.values import As, Duration, HostPort, Written
from gateway.wording import either, found, nearest

SIMULATOR: Final = "simulator"
MODES: Final = ("transceiver", "transmitter", "receiver")
MOST_BINDS: Final = 32

LongTexts = Literal["header", "sar", "payload"]
MessageIds = Literal["auto", "same", "hex in receipts", "decimal in receipts"]


def _carrier(text: str) -> HostPort | str:
    if text == SIMULATOR:
        return SIMULATOR
    if ":" not in text:
        raise ValueError(f"found {found(text)}, expected simulator, or a host and a port such as smpp.example.net:2776")
    return HostPort.parse(text)


Carrier = Annotated[
    HostPort | str,
    As(_carrier, "simulator, or a host and a port", (SIMULATOR, "smpp.example.net:2776"), kinds=(HostPort,)),
]


class _AsBinds:
    """Tells pydantic to read a number of lines, or the mode of each, and an editor what that looks like."""

    expected = "how many lines to hold, or a list with the mode of each such as [transmitter, receiver]"

    def __get_pydantic_core_schema__(self, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        number = {"type": "integer", "minimum": 1, "maximum": MOST_BINDS}
        modes = {"type": "array", "items": {"enum": list(MODES)}, "minItems": 1, "maxItems": MOST_BINDS}
        return {"anyOf": [number, modes], "examples": [2, ["transmitter", "receiver"]]}

    def _read(self, value: object) -> tuple[str, ...]:
        if isinstance(value, int | str) and not isinstance(value, bool):
            return MODES[:1] * self._count(value)
        if not isinstance(value, list | tuple) or not value or len(value) > MOST_BINDS:
            raise ValueError(f"found {found(value)}, expected {self.expected}")
        for mode in value:
            if mode not in MODES:
                near = nearest(mode, MODES) if isinstance(mode, str) else ""
                hint = f"; did you mean {near}?" if near else ""
                raise ValueError(f"found {found(mode)}, expected {either(MODES)}{hint}")
        if set(value) == {"receiver"}:
            raise ValueError("found only receivers, expected at least one line that may send")
        return tuple(value)

    def _count(self, value: int | str) -> int:
        text = str(value).strip()
        if not re.fullmatch(r"\d{1,3}", text) or not 1 <= int(text) <= MOST_BINDS:
            raise ValueError(f"found {found(value)}, expected {self.expected} (at most {MOST_BINDS})")
        return int(text)


@dataclass(frozen=True, slots=True)
class AddressType(Written):
    """What kind of address this is to the carrier: type of number and numbering plan (SMPP 3.4, 5.2.5 and 5.2.6)."""

    ton: int
    npi: int
    expected: ClassVar[str] = "a type of number and a numbering plan such as 5/0"
    examples: ClassVar[tuple[str, ...]] = ("5/0",)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The type of `5/0`: first the number that manuals call TON, then the one they call NPI."""
        match = re.fullmatch(r"(\d{1,3})\s*/\s*(\d{1,3})", text.strip())
        if not match or int(match[1]) > 255 or int(match[2]) > 255:
            raise cls.wrong(text)
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.ton}/{self.npi}"


class AddressTypes(Settings):
    """The types by which a carrier wants addresses told apart, where it does not follow the usual ones."""

    number: AddressType = Field(AddressType(smpp.INTERNATIONAL, 1), description="Of a number with a plus.")
    short_code: AddressType = Field(AddressType(smpp.NETWORK, 0), description="Of a short code such as 20655.")
    name: AddressType = Field(AddressType(smpp.ALPHANUMERIC, 0), description="Of a sender's name such as Lantern.")
    plain: AddressType = Field(AddressType(0, 1), description="Of a longer number without a plus.")


@dataclass(frozen=True, slots=True)
class Authorities:
    """Certificates (PEM) of those whom we trust to say who a carrier is."""

    path: Path
    text: str = field(repr=False)

    @classmethod
    def _read(cls, value: object, info: ValidationInfo) -> Authorities:
        if isinstance(value, Authorities):
            return value
        if not isinstance(value, str):
            raise ValueError(f"found {found(value)}, expected the name of a file")
        path = (info.context.folder if isinstance(info.context, Reading) else Path()) / value
        try:
            text = path.read_text("ascii")
            ssl.create_default_context(cadata=text)
        except ssl.SSLError:
            raise ValueError(f"{value} holds no certificates (PEM)") from None
        except (OSError, UnicodeDecodeError) as error:
            reason = (error.strerror if isinstance(error, OSError) else "") or "it is no text of certificates (PEM)"
            raise ValueError(f"cannot read the certificates in {value}: {reason}") from None
        return cls(path, text)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(cls._read)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "examples": ["carriers/authority.pem"]}


USUAL_TYPES: Final = AddressTypes()


class SmppCarrier(CarrierSettings):
    """A line to a carrier over SMPP."""

    kind: Literal["smpp"] = Field(description="How the carrier is spoken to: smpp.")
    carrier: Carrier = Field(description="simulator, or the carrier's host and port.")
    account: str = Field("carillon", description="The account (system_id) that the carrier gave us.", max_length=15)
    password_file: Secret | None = Field(None, description="The file that holds the account's password.")
    system_type: str = Field(
        "", description="The system_type, where the carrier's manual names one.", max_length=12, examples=["SMPP"]
    )
    binds: Annotated[tuple[str, ...], _AsBinds()] = Field(
        ("transceiver",),
        description="How many lines to hold, or the mode of each: transceiver, transmitter, receiver.",
        examples=[2, ["transmitter", "receiver"]],
    )
    window: int = Field(
        100, description="How many parts may wait for the carrier's answer at once, on each line.", ge=1, le=10_000
    )
    tls: bool = Field(False, description="Encrypt the line, and check the carrier's certificate and name.")
    authorities_file: Authorities | None = Field(
        None, description="Certificates (PEM) by which the carrier's is checked, where it is not a public one."
    )
    enquire: Duration = Field(
        timedelta(seconds=30), description="After how much silence the carrier is asked whether it is there."
    )
    answer_within: Duration = Field(
        timedelta(seconds=30), description="How long an answer may take before a part counts as in doubt."
    )
    long_texts: LongTexts = Field(
        "header",
        description="How a text in parts is written: header in front of each part, sar fields, or whole as payload.",
    )
    use_data_sm: bool = Field(False, description="Send by data_sm, where the carrier wants that instead of submit_sm.")
    message_ids: MessageIds = Field(
        "auto",
        description="How receipts write the ids of answers: same, hex in receipts, decimal in receipts;"
        " auto tries them all.",
        examples=["hex in receipts"],
    )
    alphabets: tuple[Literal["turkish", "spanish", "portuguese"], ...] = Field(
        (),
        description="National alphabets that the carrier and its phones know; they keep such texts cheap.",
        examples=[["turkish"]],
    )
    address_types: AddressTypes = Field(
        USUAL_TYPES, description="Types of addresses, where the carrier wants other ones."
    )
    addresses_without_plus: Literal["international", "national"] = Field(
        "international", description="What numbers are that the carrier brings without a type."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.alphabets and self.long_texts != "header":
            words = f"a national alphabet stands in the header, so long_texts cannot be {self.long_texts}"
            raise wrong([(("alphabets",), words)])
        if self.authorities_file is not None and not self.tls:
            raise wrong([(("authorities_file",), "nothing is checked on an open line; add tls: yes")])
        return self

    @property
    def carries(self) -> frozenset[Cargo]:
        """Octets, and texts for a program on the phone."""
        return frozenset((Cargo.OCTETS,))

    @property
    def shows_class(self) -> bool:
        """The data coding says it."""
        return True

    @property
    def slots(self) -> int:
        """A line that may send is a share of its own."""
        return sum(mode != "receiver" for mode in self.binds)

    @property
    def is_simulated(self) -> bool:
        """True when no text leaves this machine through this channel."""
        return self.carrier == SIMULATOR

    @property
    def place(self) -> str:
        """`simulator`, or host and port."""
        return str(self.carrier)

    @property
    def is_secured(self) -> bool:
        """Whether there is a password."""
        return self.is_simulated or self.password_file is not None

    @property
    def is_encrypted(self) -> bool:
        """False where texts, numbers and our password would cross the network for all to read."""
        return self.is_simulated or self.tls


@dataclass(frozen=True, slots=True)
class SmppAddress:
    """Where the carrier listens. With `tls` its certificate and name are checked, by `authorities` if given (PEM)."""

    host: str
    port: int
    tls: bool
    authorities: str | None = None


@dataclass(frozen=True, slots=True)
class SmppSettings:
    """How lines are held. `binds` has one mode for each; `window` and `rate` are what each may reach."""

    address: SmppAddress
    account: str
    password: str = field(repr=False)
    system_type: str = ""
    binds: tuple[str, ...] = ("transceiver",)
    window: int = 1000  # parts on the way
    rate: float = 1000.0  # parts a second, kept to by the caller; a line that was asked to slow down comes back to it
    enquire_s: float = 30
    answer_s: float = 30
    longest_pause_s: float = 60
    refused_pause_s: float = 300  # after a wrong password: a person has to mend that
    long_texts: LongTexts = "header"
    use_data_sm: bool = False
    message_ids: MessageIds = "auto"
    alphabets: tuple[Alphabet, ...] = ()
    types: AddressTypes = USUAL_TYPES
    own: tuple[str, ...] = ()  # the numbers we send from, as people write them: they come back so, whatever their type
    bare_is_international: bool = True  # other numbers of 7 digits and more that come without a type get a plus


def settings_of(settings: SmppCarrier, simulator: HostPort, name: str, own: tuple[str, ...]) -> SmppSettings:
    """How the lines of this carrier are held.

    On the simulator a channel has an account of its own, whatever the real one will be, and no secrets.
    """
    is_real = not settings.is_simulated
    carrier = settings.carrier if isinstance(settings.carrier, HostPort) else simulator
    authorities = settings.authorities_file.text if settings.authorities_file else None
    return SmppSettings(
        SmppAddress(carrier.host, carrier.port, settings.tls and is_real, authorities),
        settings.account if is_real else name[:15],
        settings.password_file.text if settings.password_file and is_real else "",
        system_type=settings.system_type,
        binds=settings.binds,
        window=settings.window,
        rate=settings.rate.per_s,
        enquire_s=settings.enquire.total_seconds(),
        answer_s=settings.answer_within.total_seconds(),
        long_texts=settings.long_texts,
        use_data_sm=settings.use_data_sm,
        message_ids=settings.message_ids,
        alphabets=tuple(map(Alphabet, settings.alphabets)),
        types=settings.address_types,
        own=own,
        bare_is_international=settings.addresses_without_plus == "international",
    )


def tls_of(address: SmppAddress) -> ssl.SSLContext | None:
    """How an encrypted line is made sure of, or None for an open one: TLS 1.2 at least, certificate and name."""
    if not address.tls:
        return None
    context = ssl.create_default_context(cadata=address.authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
