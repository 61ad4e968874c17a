"""A carrier of our own on this machine: it takes texts over real SMPP, answers as told, and holds virtual phones.

Alone, for fault tests: `python -m gateway.channels.simulator --help`.
"""

from gateway.channels.simulator.counters import Counters
from gateway.channels.simulator.fates import Rules
from gateway.channels.simulator.handsets import Handset, HandsetMessage
from gateway.channels.simulator.smsc import Simulator

__all__ = ["Counters", "Handset", "HandsetMessage", "Rules", "Simulator"]
