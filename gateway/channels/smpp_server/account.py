"""What a program that binds to us may do, and the functions by which the server asks and tells the house."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
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
class Others:
    """Functions of the house where other processes of ours let programs in too.

    `take` holds a line of a client, of which so many may be held and which may bring texts or not: a name for it, or
    None when there are enough. `give_back` says that the line of a name has ended. `beyond` tells which of the lines
    here are too many for a client that may hold so many. `share` is which part of the client's rate holds here.
    `take` and `beyond` may wait and raise StoreError.
    """

    take: Callable[[int, int, bool], Awaitable[str | None]]
    give_back: Callable[[str], None]
    beyond: Callable[[int, int], Awaitable[Collection[str]]]
    share: Callable[[int], float]


@dataclass(frozen=True, slots=True)
class Upward:
    """Functions of the house; `others` is None where this process alone lets programs in.

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
    others: Others | None = None
