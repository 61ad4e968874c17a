"""One file for each kind of carrier; `base` says what a channel promises, this is the list of them all."""

from __future__ import annotations

from typing import Annotated

from pydantic import Discriminator

from gateway.channels import http, practice, smpp, twilio
from gateway.channels.base import Channel, Surroundings

AnyCarrier = Annotated[smpp.SmppCarrier | http.HttpCarrier | twilio.TwilioCarrier, Discriminator("kind")]
BuiltIn = practice.PracticeCarrier  # not for the file


def make(settings: AnyCarrier | BuiltIn, around: Surroundings) -> Channel:
    """The channel of these settings."""
    match settings:
        case smpp.SmppCarrier():
            return smpp.channel(settings, around)
        case http.HttpCarrier():
            return http.channel(settings, around)
        case twilio.TwilioCarrier():
            return twilio.channel(settings, around)
        case practice.PracticeCarrier():
            return practice.channel(settings, around)
