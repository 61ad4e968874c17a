"""What a program that binds to us may do, and the functions by which the server asks and tells the house."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple

from gateway.channels.smpp_server.deliveries import Delivery
from gateway.channels.smpp_server.reading import Submit


@dataclass(frozen=True, slots=True)
class Account:
    """A client as config.yaml and its key have it. `rate` is in texts a second, 0 for as many as come.

    `key` is by which it bound: its lines fall when the key ends.
    """

    client: int
    name: str
    key: str
    binds: int
    window: int
    rate: float = 0
    addresses: tuple[IPv4Network | IPv6Network, ...] = ()
    may_send: bool = True
    may_read: bool = True


class Fate(NamedTuple):
    """What has become of a text, for who asks: its state as a notice has it, the error, and when it ended (or 0)."""

    state: str
    code: str
    ended_at: int


Answers = Sequence[tuple[int, int, str]]  # sequence, command_status, id


@dataclass(frozen=True, slots=True)
class Upward:
    """Functions of the house.

    `admit` finds the account of a name and a password. `submitted` gets what one read brought and calls its last
    argument, once or several times, until each sequence is answered: the id only after the commit. `asked` tells what
    became of a text, `cancel` takes one back that has not left. `room` says that more can be brought to a client, or
    that a line of it has gone. `told` has what was brought, each Delivery with how it was taken. Only `admit`, `asked`
    and `cancel` may wait, and they may raise StoreError.
    """

    admit: Callable[[str, str], Awaitable[Account | None]]
    submitted: Callable[[Account, Sequence[Submit], Callable[[Answers], None]], None]
    asked: Callable[[Account, int], Awaitable[Fate | None]]
    cancel: Callable[[Account, int], Awaitable[bool]]
    room: Callable[[], None]
    told: Callable[[Sequence[Delivery]], None]
