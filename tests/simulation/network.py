"""Lines between programs of one loop: octets in order, but late, in pieces, stalled, cut off, or gone for good.

A connection is two `End`s. What one writes goes into its buffer, leaves in fragments of any size after a delay, and
reaches the other in order; what comes together may leave together. `close` lets the buffer run out and then says so
(the other side hears the end of the stream), `abort` drops it (the other side hears a reset). A process that is killed
leaves behind what its kernel had taken already.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from tests.simulation.loop import OWNER, Loop, Process
from tests.simulation.trace import Trace

Factory = Callable[[], asyncio.BaseProtocol]
FOREVER = float("inf")


@dataclass
class Weather:
    """How lines behave: delays in seconds, `cut` the chance that a write is delivered in pieces."""

    delay: tuple[float, float] = (0.0002, 0.02)
    cut: float = 0.3
    refuse: float = 0.0  # a connection is refused
    swallow: float = 0.0  # nobody answers to it at all
    kernel: int = 65_536  # octets that leave a process at once; what is beyond waits in its buffer


class Network:
    """Where programs find each other by port."""

    def __init__(self, loop: Loop, chance: random.Random, trace: Trace) -> None:
        self.loop, self.chance, self.trace = loop, chance, trace
        self.weather = Weather()
        self.ends: list[End] = []
        self._servers: dict[int, Server] = {}
        self._count = 0
        loop.network = self

    def listen(self, factory: Factory, port: int) -> Server:
        """Take connections on a port, in the process that asks."""
        if port in self._servers:
            raise OSError(98, "address already in use")
        server = self._servers[port] = Server(self, factory, port)
        return server

    async def connect(self, factory: Factory, port: int) -> tuple[End, asyncio.BaseProtocol]:
        """Connect to whoever listens. Raises OSError."""
        weather, chance = self.weather, self.chance
        await asyncio.sleep(chance.uniform(*weather.delay))
        if chance.random() < weather.swallow:
            await asyncio.sleep(130)
            raise TimeoutError(110, "connection timed out")
        server = self._servers.get(port)
        if server is None or chance.random() < weather.refuse:
            raise ConnectionRefusedError(111, "connection refused")
        self._count += 1
        protocol = factory()
        near = End(self, f"{self._count}>", protocol, contextvars.copy_context())
        far = End(self, f"{self._count}<", None, server.context)
        near.peer, far.peer = far, near
        self.ends += [near, far]
        self.trace.note("connected", near.name)
        made = self.loop.create_future()
        self.loop.call_soon(near._made, made)
        far._not_before = self.loop.time() + chance.uniform(*weather.delay)
        near._not_before = far._not_before
        self.loop.call_at(far._not_before, far._accepted, server.factory, context=server.context)
        try:
            await made
        except asyncio.CancelledError:
            near.abort()
            raise
        return near, protocol

    def connections(self) -> list[End]:
        """The calling end of every connection of which one side has not heard that it is over."""
        self.ends = [end for end in self.ends if not (end.lost and end.peer.lost)]
        return [end for end in self.ends if end.name.endswith(">")]

    def lines(self) -> list[End]:
        """The calling end of every connection that lives."""
        return [end for end in self.connections() if not end.lost]

    def kill(self, process: Process) -> None:
        """A process is gone: what its kernel has taken goes on its way, the rest is lost."""
        for end in self.ends:
            if end.context.get(OWNER) is process and not end.lost:
                end._kill(self.chance.random() < 0.5)


class Server(asyncio.AbstractServer):
    """Listens on a port until closed; connections go on."""

    def __init__(self, network: Network, factory: Factory, port: int) -> None:
        self.factory = factory
        self.context = contextvars.copy_context()
        self._network, self._port = network, port

    def close(self) -> None:
        self._network._servers.pop(self._port, None)

    async def wait_closed(self) -> None:
        return

    def is_serving(self) -> bool:
        return self._port in self._network._servers

    async def start_serving(self) -> None:
        """It does from the beginning."""

    async def serve_forever(self) -> None:
        raise NotImplementedError

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._network.loop


class End(asyncio.Transport):
    """One side of a connection."""

    peer: End

    def __init__(
        self, network: Network, name: str, protocol: asyncio.BaseProtocol | None, context: contextvars.Context
    ) -> None:
        super().__init__()
        self.name = name
        self.context = context
        self.lost = False  # its program has been told, or will never hear anything again
        self._network, self._loop = network, network.loop
        self._protocol = protocol
        self._buffer = bytearray()
        self._marks: list[tuple[int, float]] = []  # up to which octet was written when
        self._written = 0
        self._carrying = False
        self._not_before = 0.0
        self._stalled_until = 0.0
        self._closing = self._ended = self._is_dead = False
        self._is_broken = False  # nothing goes through any more, also of what is written before that is heard
        self._full = False
        self._high, self._low = 65_536, 16_384
        self._reading = True
        self._waiting: list[bytes] = []  # came while its program did not want to read

    # --- what asyncio asks of a transport

    def write(self, data: Any) -> None:
        if self._closing or self._is_dead or self.lost or not data:
            return
        self._network.trace.note("write", self.name, bytes(data))
        self._buffer += b"" if self._is_broken else data
        self._written += len(data)
        self._marks.append((self._written, self._loop.time()))
        if not self._full and self.get_write_buffer_size() > self._high:
            self._full = True
            cast(asyncio.Protocol, self._protocol).pause_writing()
        self._carry()

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def get_write_buffer_size(self) -> int:
        return max(0, len(self._buffer) - self._network.weather.kernel)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = 65_536 if high is None else high
        self._low = self._high // 4 if low is None else low

    def can_write_eof(self) -> bool:
        return False

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._carry()

    def abort(self) -> None:
        self._closing = True
        if not self.lost and not self._is_dead:
            self._drop(None)
            self.peer._hear_reset()

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        waiting, self._waiting = self._waiting, []
        for data in waiting:
            self._loop.call_soon(self._take, data, context=self.context)

    def is_reading(self) -> bool:
        return self._reading

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return cast(asyncio.BaseProtocol, self._protocol)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name in {"peername", "sockname"} else default

    # --- what the tests ask

    def left_at(self, octet: int) -> float:
        """When the program on this side wrote the octet with this number (from 1)."""
        return self._marks[bisect_left(self._marks, (octet, -1.0))][1]

    def reset(self) -> None:
        """The line breaks: both sides hear it, each in its time; what was on the way is lost."""
        self._network.trace.note("reset", self.name)
        for end in (self, self.peer):
            end._buffer.clear()
            end._is_broken = True
            end._hear_reset()

    def stall(self, seconds: float) -> None:
        """Nothing comes through in this direction for so long."""
        self._network.trace.note("stall", self.name, seconds)
        self._stalled_until = self._loop.time() + seconds

    # --- how it goes on its way

    def _made(self, made: asyncio.Future[None]) -> None:
        cast(asyncio.BaseProtocol, self._protocol).connection_made(self)
        if not made.done():
            made.set_result(None)

    def _accepted(self, factory: Factory) -> None:
        if not self.lost:
            self._protocol = factory()
            self._protocol.connection_made(self)

    def _carry(self) -> None:
        """Send the next fragment, or the end, unless one is on its way."""
        if self.peer.lost:  # nobody is there to hear it
            if self._closing and not self.lost:
                self._drop(None)
            return
        if self._carrying:
            return
        chance, weather = self._network.chance, self._network.weather
        if self._buffer:
            size = len(self._buffer)
            if chance.random() < weather.cut:
                size = chance.randint(1, min(size, chance.choice((1, 3, 17, 100, 1_000))))
            data = bytes(self._buffer[:size])
            del self._buffer[:size]
        elif (self._closing or self._is_dead) and not self._ended:
            self._ended = True
            data = b""
            if not self._is_dead:
                self._drop(None)
        else:
            return
        self._carrying = True
        at = max(self._not_before, self._loop.time() + chance.uniform(*weather.delay))
        self._not_before = at
        self._loop.call_at(at, self.peer._take, data, context=self.peer.context)
        if self._full and self.get_write_buffer_size() <= self._low and not self._is_dead:
            self._full = False
            self._loop.call_soon(self._resume, context=self.context)

    def _resume(self) -> None:
        if not self.lost:
            cast(asyncio.Protocol, self._protocol).resume_writing()

    def _take(self, data: bytes) -> None:
        """A fragment has come, or the end of the stream."""
        if self.lost:
            self.peer._carry()
            return
        if self._loop.time() < self.peer._stalled_until:
            if self.peer._stalled_until < FOREVER:
                self._loop.call_at(self.peer._stalled_until, self._take, data, context=self.context)
            return
        if not self._reading:
            self._waiting.append(data)
            return
        self.peer._carrying = False
        if data:
            self._network.trace.note("read", self.name, data)
            cast(asyncio.Protocol, self._protocol).data_received(data)
        elif not self._closing:
            self._network.trace.note("eof", self.name)
            if not cast(asyncio.Protocol, self._protocol).eof_received():
                self.close()
        self.peer._carry()
        self._carry()

    def _hear_reset(self) -> None:
        if not self.lost:
            at = self._loop.time() + self._network.chance.uniform(*self._network.weather.delay)
            self._loop.call_at(max(at, self._not_before), self._reset, context=self.context)

    def _reset(self) -> None:
        if not self.lost:
            self._drop(ConnectionResetError(104, "connection reset by peer"))

    def _drop(self, error: Exception | None) -> None:
        """The program on this side hears that the connection is over."""
        if self.lost:
            return
        self._closing = self._ended = True
        self.lost = True
        self._buffer.clear()
        if self._protocol is not None:
            self._loop.call_soon(self._protocol.connection_lost, error, context=self.context)

    def _kill(self, softly: bool) -> None:
        self._is_dead = self._closing = self.lost = True
        del self._buffer[self._network.weather.kernel :]
        if softly:
            self._carry()
        else:
            self._buffer.clear()
            self.peer._hear_reset()
