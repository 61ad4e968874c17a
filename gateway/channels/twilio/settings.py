"""What config.yaml says of a Twilio account."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from gateway.channels.base import CarrierSettings
from gateway.config import Secret, wrong
from gateway.fetching import Login
from gateway.messages import Cargo
from gateway.values import Duration, Money
from gateway.wording import found

TWILIO: Final = "https://api.twilio.com"
CARRIES: Final = frozenset((Cargo.PICTURES,))


def _sid(letters: str, noun: str) -> AfterValidator:
    """Checks one of Twilio's names: two letters that say what it is, and 32 hexadecimal digits."""

    def read(text: str) -> str:
        if not re.fullmatch(f"{letters}[0-9a-fA-F]{{32}}", text):
            raise ValueError(f"found {found(text)}, expected {noun}: {letters} and 32 hexadecimal digits")
        return text

    return AfterValidator(read)


def _api(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"found {found(address)}, expected a web address such as {TWILIO}")
    return address.rstrip("/")


def _answer_within(span: timedelta) -> timedelta:
    if not timedelta(seconds=1) <= span <= timedelta(minutes=10):
        raise ValueError("expected between 1 s and 10 min")
    return span


class TwilioCarrier(CarrierSettings):
    """An account at Twilio."""

    kind: Literal["twilio"] = Field(description="How the carrier is spoken to: twilio.")
    account: Annotated[str, _sid("AC", "an account")] = Field(
        description="The account's name at Twilio (Account SID).", examples=["AC" + "0" * 32]
    )
    token_file: Secret = Field(description="The file that holds the account's token, which signs what Twilio sends us.")
    previous_token_file: Secret | None = Field(
        None, description="The file of the token before. While it stands here, what it signed is believed as well."
    )
    api_key: Annotated[str, _sid("SK", "an API key")] | None = Field(
        None, description="An API key to send with, in place of the token."
    )
    api_key_file: Secret | None = Field(None, description="The file that holds the API key's secret.")
    messaging_service: Annotated[str, _sid("MG", "a messaging service")] | None = Field(
        None, description="The messaging service to send through; our numbers must be in its pool."
    )
    api: Annotated[str, AfterValidator(_api)] = Field(TWILIO, description="Where Twilio is reached.", examples=[TWILIO])
    at_once: int = Field(20, description="How many texts may wait for Twilio's answer at once.", ge=1, le=500)
    answer_within: Annotated[Duration, AfterValidator(_answer_within)] = Field(
        timedelta(seconds=30), description="How long Twilio's answer is waited for; then the text's fate is in doubt."
    )

    price_media: Money | None = Field(
        None, description="What one message with pictures costs, if not what a part does.", examples=["0.02 USD"]
    )

    @model_validator(mode="after")
    def _key_with_secret(self) -> TwilioCarrier:
        if self.api_key and not self.api_key_file:
            raise wrong([(("api_key",), "an API key wants its secret; add api_key_file")])
        if self.api_key_file and not self.api_key:
            raise wrong([(("api_key_file",), "a secret without the key that it is of; add api_key")])
        return self

    @property
    def carries(self) -> frozenset[Cargo]:
        """Pictures."""
        return CARRIES

    @property
    def media_price(self) -> Money:
        """What one message with pictures costs."""
        return self.price_media or self.price

    @property
    def place(self) -> str:
        """The host that we speak to: `api.twilio.com`."""
        return urlsplit(self.api).netloc

    @property
    def comes_to_us(self) -> bool:
        """Receipts and texts come to doors of ours."""
        return True

    @property
    def tokens(self) -> tuple[str, ...]:
        """What a call to our doors may be signed with, the present one first."""
        files = (self.token_file, self.previous_token_file)
        return tuple(file.text for file in files if file is not None and file.text)

    @property
    def login(self) -> Login:
        """What we show to Twilio, and to nobody else."""
        if self.api_key and self.api_key_file:
            return Login(self.api, self.api_key, self.api_key_file.text)
        return Login(self.api, self.account, self.token_file.text)
