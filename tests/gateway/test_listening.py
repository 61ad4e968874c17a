"""An address is ours before anybody is heard there, and is given up without a trace."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from gateway import listening
from gateway.errors import CarillonError, PortTaken

HERE = ("127.0.0.1", 0)


def heard_at(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


async def test_an_address_that_is_taken_lets_nobody_in_and_is_for_no_other_that_wants_it_alone() -> None:
    taken = await listening.take("127.0.0.1", 0, "listen.api")
    port = taken[0].getsockname()[1]
    try:
        assert not heard_at(port)
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
    finally:
        listening.let_go(taken)
    listening.let_go(await listening.take("127.0.0.1", port, "listen.api"))


async def test_of_a_name_each_address_is_taken() -> None:
    taken = await listening.take("localhost", 0, "listen.api")
    found = {each[4][0] for each in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
    assert {each.getsockname()[0] for each in taken} == found
    listening.let_go(taken)


@pytest.mark.parametrize(
    "other", [(200, ("::1", 0)), (socket.AF_INET6, ("2001:db8::1", 0, 0, 0))], ids=["no such family", "not ours"]
)
async def test_of_a_name_what_this_machine_has_not_is_left_out(
    other: tuple[int, tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def found(*_: object, **__: object) -> list[tuple[Any, ...]]:
        return [
            (family, socket.SOCK_STREAM, 0, "", address) for family, address in (other, (socket.AF_INET, HERE))
        ]  # fmt: skip

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
    taken = await listening.take("two.names.example", 0, "listen.api")
    assert [each.getsockname()[0] for each in taken] == ["127.0.0.1"]
    listening.let_go(taken)


async def test_only_processes_of_ours_share_an_address() -> None:
    one = await listening.take("127.0.0.1", 0, "listen.api", is_shared=True)
    port = one[0].getsockname()[1]
    two = await listening.take("127.0.0.1", port, "listen.api", is_shared=True)
    one[0].listen()
    with pytest.raises(PortTaken, match=rf"^port {port} is taken by another program; set listen\.api in config\.yaml"):
        await listening.take("127.0.0.1", port, "listen.api")
    listening.let_go([*one, *two])


@pytest.mark.parametrize("host", ["203.0.113.9", "no.such.host.invalid"])
async def test_an_address_that_cannot_be_ours_is_told_with_the_cure(host: str) -> None:
    with pytest.raises(CarillonError, match=rf"cannot listen on {host}:8080 \(.*\); set listen\.api in config\.yaml"):
        await listening.take(host, 8080, "listen.api")
