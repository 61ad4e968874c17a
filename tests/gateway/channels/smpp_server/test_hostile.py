"""Whatever a stranger or a bound program sends: no crash, bounded memory, and others are served."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.channels.smpp_server import Server
from gateway.channels.smpp_server.lines import Line
from gateway.codecs import smpp
from gateway.codecs.smpp import HEADER, Pdu
from tests.gateway.channels.smpp_server.conftest import House
from tests.gateway.channels.smpp_server.esme import HELLO, dialled

BIND = smpp.encode(Pdu(smpp.BIND_TRANSCEIVER, 0, 1, {"system_id": "shop", "password": "secret"}))
OCTETS = st.binary(max_size=80)
HEADERS = st.builds(
    lambda length, command, status, sequence, body: (
        HEADER.pack(len(body) + 16 if length is None else length, command, status, sequence) + body
    ),
    st.none() | st.integers(0, 0xFFFFFFFF),
    st.sampled_from([*smpp.BODIES]) | st.integers(0, 0xFFFFFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 0xFFFFFFFF),
    OCTETS,
)
SUBMITS = st.builds(
    lambda sequence, octets, esm_class, coding, validity, more: smpp.encode(
        Pdu(
            smpp.SUBMIT_SM, 0, sequence,
            {
                "source_addr": "20655", "dest_addr_ton": 1, "destination_addr": "12065550142", "esm_class": esm_class,
                "data_coding": coding, "validity_period": validity, "short_message": octets, "registered_delivery": 1,
            },
            more,
        )
    ),
    st.integers(0, 0xFFFFFFFF),
    OCTETS,
    st.integers(0, 255),
    st.integers(0, 255),
    st.sampled_from(["", "000000010000000R", "991332250000000+", "x", "0" * 16]),
    st.dictionaries(st.sampled_from([*smpp.OPTIONS]) | st.integers(0, 0xFFFF), OCTETS, max_size=3),
)  # fmt: skip
STREAMS = st.lists(OCTETS | HEADERS | SUBMITS | st.just(BIND), max_size=12).map(b"".join)


class Wire:
    """A transport that only counts."""

    def __init__(self) -> None:
        self.written = b""
        self.is_closed = False

    def get_extra_info(self, _name: str) -> tuple[str, int]:
        return "203.0.113.5", 9

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    abort = close


async def talk(stream: bytes, chance: random.Random, *, is_bound: bool) -> tuple[Line, Wire]:
    """One line that hears all of it, cut anywhere."""
    server = Server(House().upward(), lambda: 0)
    server.loop = asyncio.get_running_loop()
    wire: Any = Wire()
    line = Line(server)
    line.connection_made(wire)
    if is_bound:
        line.data_received(BIND)
        while line.account is None:  # noqa: ASYNC110  a few turns of the loop
            await asyncio.sleep(0)
    while stream and not wire.is_closed:
        cut = chance.randint(1, len(stream))
        line.data_received(stream[:cut])
        stream = stream[cut:]
        await asyncio.sleep(0)
    line.connection_lost(None)
    for task in server._tasks:
        task.cancel()
    await asyncio.gather(*server._tasks, return_exceptions=True)
    return line, wire


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(STREAMS, st.randoms(use_true_random=False), st.booleans())
def test_no_octets_raise_and_every_answer_is_a_packet(stream: bytes, chance: random.Random, is_bound: bool) -> None:
    line, wire = asyncio.run(talk(stream, chance, is_bound=is_bound))
    written, commands = wire.written, []
    while written:
        length = int.from_bytes(written[:4], "big")
        commands.append(smpp.decode(written[:length]).command)
        written = written[length:]
    assert all(command & smpp.ANSWER for command in commands)
    assert line.unanswered == 0 or line._session.closed


@given(st.binary(max_size=200), st.randoms(use_true_random=False))
def test_no_more_than_a_packet_is_kept_of_what_is_not_whole(octets: bytes, chance: random.Random) -> None:
    stream = HEADER.pack(smpp.MOST_OCTETS, smpp.SUBMIT_SM, 0, 1) + octets
    line, _ = asyncio.run(talk(stream, chance, is_bound=False))
    assert len(line._session._rest) <= smpp.MOST_OCTETS


@pytest.mark.parametrize("length", [0, 15, smpp.MOST_OCTETS + 1, 0x7FFFFFFF, 0xFFFFFFFF])
async def test_a_length_that_cannot_be_ends_the_line(server: Server, length: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(HEADER.pack(length, smpp.SUBMIT_SM, 0, 3))
    answer = smpp.decode(await reader.readexactly(16))
    assert answer[:3] == (smpp.GENERIC_NACK, smpp.BAD_LENGTH, 3)
    assert await reader.read() == b""
    writer.close()


async def test_who_floods_and_never_reads_is_not_read_either_and_others_are_served(
    server: Server, house: House
) -> None:
    house.may(window=10)
    house.holds_back = True
    flood = (HEADER.pack(16 + len(HELLO), smpp.SUBMIT_SM, 0, 1) + HELLO) * 500
    with socket.create_connection(("127.0.0.1", server.port)) as rude:
        rude.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        rude.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(rude, BIND)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                while True:
                    await loop.sock_sendall(rude, flood)
        (line,) = (each for each in server.lines if each.account)
        assert line._transport.get_write_buffer_size() < 1_000_000
        assert line.unanswered == 10
        house.holds_back = False
        async with dialled(server.port) as esme:
            assert await esme.submitted([HELLO])
