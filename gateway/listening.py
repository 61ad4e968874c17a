"""Binds to an address before anybody is heard there: so that of several doors, as a rule, all are opened or none."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterable
from typing import Any

from gateway.errors import CarillonError, PortTaken

BACKLOG = 1024  # how many may have dialled and wait to be let in
ABSENT = frozenset((errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL))  # this machine has no IPv6, say


async def take(host: str, port: int, setting: str, *, is_shared: bool = False) -> list[socket.socket]:
    """Sockets that have this address and do not listen; a name may mean several. Port 0 is any free one.

    Of several addresses those are left out that this machine has not, as long as one is ours. `setting` is the word in
    config.yaml that moves it. If `is_shared`, other processes of ours may take the same. Raises PortTaken when another
    program listens there, CarillonError when the address cannot be ours. Who does not listen keeps out only those who
    ask for an address of their own: a program that allows for its reuse, as most servers do, can still be the first to
    listen, and then that fails for us.
    """
    taken: list[socket.socket] = []
    absent: OSError | None = None
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, kind, protocol, _, address in dict.fromkeys(found):
            try:
                taken.append(_bound(family, kind, protocol, address, is_shared=is_shared))
            except OSError as error:
                if error.errno not in ABSENT:
                    raise
                absent = error
        if absent is not None and not taken:
            raise absent
    except OSError as error:
        let_go(taken)
        raise plainly(error, host, port, setting) from error
    return taken


def _bound(family: int, kind: int, protocol: int, address: tuple[Any, ...], *, is_shared: bool) -> socket.socket:
    taken = socket.socket(family, kind, protocol)
    try:
        _bind(taken, family, address, is_shared=is_shared)
    except OSError:
        taken.close()
        raise
    return taken


def _bind(taken: socket.socket, family: int, address: tuple[Any, ...], *, is_shared: bool) -> None:
    taken.setblocking(False)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # those who hung up a moment ago do not hinder us
    if is_shared:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    taken.bind(address)


def let_go(taken: Iterable[socket.socket]) -> None:
    """Give the addresses up; harmless for those that a listener has closed."""
    for each in taken:
        each.close()


def plainly(error: OSError, host: str, port: int, setting: str) -> CarillonError:
    """Why nobody can be heard at this address, with the cure."""
    if error.errno == errno.EADDRINUSE:
        return PortTaken(f"port {port} is taken by another program; set {setting} in config.yaml or stop it")
    reason = (error.strerror or str(error)).lower()
    return CarillonError(f"cannot listen on {host}:{port} ({reason}); set {setting} in config.yaml")
