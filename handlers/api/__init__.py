"""Answers programs: our own REST API, and doors of the shape that they know from Twilio, Kannel and an SMSC."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.courier import Shape
from handlers.api import kannel_shape, twilio_shape, webhooks

# How each door tells a program what it is to be told; an SMSC's door does so on its own lines.
SHAPES: Mapping[str, Shape] = {
    "webhook": webhooks.shape,
    "twilio": twilio_shape.shape,
    "kannel": kannel_shape.shape,
}
