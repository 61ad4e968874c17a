"""The lines of the simulation: octets in order whatever happens, and every end that a line can come to."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.simulation.loop import Loop, Process
from tests.simulation.network import End, Network, Weather
from tests.simulation.trace import Trace


class Peer(asyncio.Protocol):
    """Notes what it hears."""

    def __init__(self) -> None:
        self.data = b""
        self.ended: list[object] = []
        self.pauses = self.reads = 0
        self.is_paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, End)
        self.end = transport

    def data_received(self, data: bytes) -> None:
        self.reads += 1
        self.data += data

    def eof_received(self) -> None:
        self.ended.append("eof")

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.append(type(exc).__name__ if exc else "closed")

    def pause_writing(self) -> None:
        self.is_paused = True
        self.pauses += 1

    def resume_writing(self) -> None:
        self.is_paused = False


class Place:
    """A network with one server."""

    def __init__(self, seed: int, weather: Weather) -> None:
        self.loop = Loop(random.Random(seed))
        self.network = Network(self.loop, random.Random(seed), Trace(self.loop.time))
        self.network.weather = weather
        self.served: list[Peer] = []

    def serve(self) -> Peer:
        self.served.append(Peer())
        return self.served[-1]

    async def connect(self) -> tuple[Peer, Peer]:
        self.network.listen(self.serve, 1)
        _, near = await self.loop.create_connection(Peer, "somewhere", 1)
        await asyncio.sleep(1)
        assert isinstance(near, Peer)
        return near, self.served[0]


@pytest.mark.parametrize("seed", range(20))
def test_octets_arrive_in_order_and_whole_in_pieces_of_any_size(seed: int) -> None:
    place = Place(seed, Weather(cut=0.8, delay=(0.001, 0.2)))
    sent = [random.Random(seed).randbytes(n) for n in (1, 100, 3, 2_000, 17)]

    async def main() -> None:
        near, far = await place.connect()
        for each in sent:
            near.end.write(each)
        near.end.close()
        await asyncio.sleep(1_000)
        assert far.data == b"".join(sent)
        assert far.reads > 1
        assert far.ended == ["eof", "closed"]
        assert near.ended == ["closed"]

    place.loop.run_until_complete(main())


def test_who_aborts_drops_what_was_not_sent_and_the_other_hears_a_reset() -> None:
    place = Place(1, Weather(cut=0))

    async def main() -> None:
        near, far = await place.connect()
        near.end.write(b"never mind")
        near.end.abort()
        near.end.write(b"nothing")
        await asyncio.sleep(10)
        assert (near.ended, far.ended) == (["closed"], ["ConnectionResetError"])

    place.loop.run_until_complete(main())


def test_a_line_that_breaks_is_heard_of_at_both_ends() -> None:
    place = Place(1, Weather())

    async def main() -> None:
        near, far = await place.connect()
        near.end.reset()
        await asyncio.sleep(10)
        assert (near.ended, far.ended) == (["ConnectionResetError"], ["ConnectionResetError"])

    place.loop.run_until_complete(main())


def test_who_writes_faster_than_the_line_carries_is_asked_to_pause() -> None:
    place = Place(1, Weather(kernel=100, cut=0.9))

    async def main() -> None:
        near, far = await place.connect()
        near.end.set_write_buffer_limits(high=1_000)
        near.end.stall(50)
        near.end.write(bytes(500))
        assert not near.is_paused
        near.end.write(bytes(5_000))
        assert near.is_paused
        await asyncio.sleep(2_000)
        assert not near.is_paused
        assert (near.pauses, len(far.data)) == (1, 5_500)

    place.loop.run_until_complete(main())


@pytest.mark.parametrize("seed", range(10))
def test_a_killed_program_hears_nothing_more_and_its_peer_hears_that_it_is_gone(seed: int) -> None:
    place = Place(seed, Weather())
    process = Process("victim")

    async def main() -> None:
        near, far = await process.spawn(place.connect())
        near.end.write(b"last words")
        process.alive = False
        place.network.kill(process)
        far.end.write(b"hello?")
        await asyncio.sleep(10)
        assert near.data == b""
        assert near.ended == []
        assert far.ended in (["eof", "closed"], ["ConnectionResetError"])

    # its server lives on: it listens in the context of who asked, so it is set up outside of the process
    async def elsewhere() -> None:
        place.network.listen(place.serve, 1)
        place.network.listen = lambda factory, port: None  # type: ignore[assignment,method-assign,return-value]
        await main()

    place.loop.run_until_complete(elsewhere())
    place.loop.bury([process])


def test_nobody_answers_where_nobody_listens() -> None:
    place = Place(1, Weather())
    with pytest.raises(ConnectionRefusedError):
        place.loop.run_until_complete(place.loop.create_connection(Peer, "somewhere", 2))
