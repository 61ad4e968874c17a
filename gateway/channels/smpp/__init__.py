"""A line to a carrier over SMPP: holds it, writes texts, brings answers, receipts and what people text back."""

from gateway.channels.smpp.channel import SmppChannel, channel
from gateway.channels.smpp.settings import AddressType, AddressTypes, SmppAddress, SmppCarrier, SmppSettings

__all__ = ["AddressType", "AddressTypes", "SmppAddress", "SmppCarrier", "SmppChannel", "SmppSettings", "channel"]
