"""Lets programs bind to us as to a carrier's SMSC: takes their texts, brings them receipts and what people texted."""

from gateway.channels.smpp_server.account import Account, Fate, Upward
from gateway.channels.smpp_server.deliveries import Delivery
from gateway.channels.smpp_server.reading import Submit
from gateway.channels.smpp_server.server import Server

__all__ = ["Account", "Delivery", "Fate", "Server", "Submit", "Upward"]
