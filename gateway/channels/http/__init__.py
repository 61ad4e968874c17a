"""A carrier with an API of its own over HTTP, described in config.yaml without a line of code."""

from gateway.channels.http.channel import HttpChannel, channel
from gateway.channels.http.settings import HttpCarrier

__all__ = ["HttpCarrier", "HttpChannel", "channel"]
