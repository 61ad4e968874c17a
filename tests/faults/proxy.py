"""A TCP proxy in a thread of its own: each line can be cut, stalled or slowed, and what went over it is noted."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

READ = 65_536
HEAD = 16  # octets of an SMPP header: length, command, status, sequence number (SMPP 3.4, 3.2)
SUBMIT_SM, BIND_TRANSCEIVER_RESP = 0x00000004, 0x80000009
GOODBYE_S = 2.0
LOOK_S = 0.02  # how often the proxy looks how late it is itself


@dataclass
class Connection:
    """One connection through a line; times are in seconds since 1970, as the servers' own logs have them."""

    line: str
    opened_at: float
    closed_at: float | None = None
    port: int = 0  # by which the server knows it
    bound_at: float | None = None
    submits: list[float] = field(default_factory=list)  # when each submit_sm was handed to the carrier


@dataclass
class Line:
    """A way from one process to one server."""

    name: str
    target: tuple[str, int]
    is_smpp: bool
    port: int = 0
    delay_s: float = 0.0
    is_cut: bool = False
    flows: asyncio.Event = field(default_factory=asyncio.Event)
    writers: set[asyncio.StreamWriter] = field(default_factory=set)


class Pdus:
    """Tells the commands of a stream of SMPP PDUs, however it is cut into pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self, octets: bytes) -> list[tuple[int, int]]:
        """Command and status of each PDU that has begun to come; only its header is looked at."""
        data, at, found = self._rest + octets, 0, []
        while len(data) - at >= HEAD:
            length = int.from_bytes(data[at : at + 4], "big")
            if len(data) - at < length or length < HEAD:
                break
            found.append((int.from_bytes(data[at + 4 : at + 8], "big"), int.from_bytes(data[at + 8 : at + 12], "big")))
            at += length
        self._rest = data[at:]
        return found


class Proxy:
    """All lines of a fleet. Every method but those that begin with an underscore may be called from any thread."""

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self.troubles: list[tuple[str, str, float, float]] = []  # line, what, since, until
        self.lags: list[tuple[float, float]] = []  # when the proxy itself was late, and by how much
        self._lines: dict[str, Line] = {}
        self._loop = asyncio.new_event_loop()
        self._servers: list[asyncio.Server] = []
        self._pumps: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._live, name="proxy", daemon=True)
        self._thread.start()

    def _live(self) -> None:
        self._watching = self._loop.create_task(self._watch())
        self._loop.run_forever()
        self._loop.close()

    async def _watch(self) -> None:
        while True:
            asked = time.monotonic()
            await asyncio.sleep(LOOK_S)
            if (late := time.monotonic() - asked - LOOK_S) > LOOK_S:
                self.lags.append((time.time(), late))

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        found: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return found.result(10)

    def add(self, name: str, port: int, *, is_smpp: bool = False) -> int:
        """A new line to a port of this machine; the port at which it begins."""
        return self._do(self._add(name, port, is_smpp))

    async def _add(self, name: str, port: int, is_smpp: bool) -> int:
        line = self._lines[name] = Line(name, ("127.0.0.1", port), is_smpp)
        line.flows.set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)
            await self._serve(line, reader, writer)

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self._servers.append(server)
        line.port = server.sockets[0].getsockname()[1]
        return line.port

    # --- trouble

    async def cut(self, name: str, seconds: float) -> None:
        """Every connection of the line is reset, and so is each new one, for so long."""
        since = time.time()
        self._do(self._change(name, is_cut=True))
        await asyncio.sleep(seconds)
        self._do(self._change(name, is_cut=False))
        self.troubles.append((name, "cut", since, time.time()))

    async def stall(self, name: str, seconds: float) -> None:
        """Nothing gets through in either direction for so long; then everything does at once."""
        since = time.time()
        self._do(self._change(name, flows=False))
        await asyncio.sleep(seconds)
        self._do(self._change(name, flows=True))
        self.troubles.append((name, "stall", since, time.time()))

    async def slow(self, name: str, seconds: float, by_s: float) -> None:
        """Everything takes longer by so much, for so long."""
        since = time.time()
        self._do(self._change(name, delay_s=by_s))
        await asyncio.sleep(seconds)
        self._do(self._change(name, delay_s=0.0))
        self.troubles.append((name, "slow", since, time.time()))

    async def _change(
        self, name: str, *, is_cut: bool | None = None, flows: bool | None = None, delay_s: float | None = None
    ) -> None:
        line = self._lines[name]
        if is_cut is not None:
            line.is_cut = is_cut
            for writer in list(line.writers) if is_cut else ():
                reset(writer)
        if flows is not None:
            (line.flows.set if flows else line.flows.clear)()
        if delay_s is not None:
            line.delay_s = delay_s

    # --- the flow

    async def _serve(self, line: Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(line.name, time.time())
        await line.flows.wait()
        if line.is_cut:
            reset(writer)
            return
        try:
            there, out = await asyncio.open_connection(*line.target)
        except OSError:
            reset(writer)
            return
        connection.port = out.get_extra_info("sockname")[1]
        self.connections.append(connection)
        line.writers |= {writer, out}
        try:
            await asyncio.gather(
                self._pump(line, connection, reader, out, is_up=True),
                self._pump(line, connection, there, writer, is_up=False),
            )
        finally:
            connection.closed_at = time.time()
            line.writers -= {writer, out}

    async def _pump(
        self,
        line: Line,
        connection: Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        is_up: bool,
    ) -> None:
        """One direction, until its end, which is then the end of both."""
        pdus = Pdus()
        with contextlib.suppress(OSError):
            while octets := await reader.read(READ):
                if line.delay_s:
                    await asyncio.sleep(line.delay_s)
                await line.flows.wait()
                writer.write(octets)
                if line.is_smpp:
                    note(connection, pdus.take(octets), is_up=is_up)
                await writer.drain()
        await line.flows.wait()
        with contextlib.suppress(OSError):
            writer.close()
        if not is_up:
            return
        connection.closed_at = time.time()

    def close(self) -> None:
        """End everything."""
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _close(self) -> None:
        self._watching.cancel()
        for server in self._servers:
            server.close()
        for line in self._lines.values():
            line.flows.set()
            for writer in list(line.writers):
                reset(writer)
        if self._pumps:
            await asyncio.wait(self._pumps, timeout=GOODBYE_S)
        await asyncio.gather(self._watching, return_exceptions=True)


def note(connection: Connection, pdus: list[tuple[int, int]], *, is_up: bool) -> None:
    """Remember what a verdict may ask about."""
    now = time.time()
    for command, status in pdus:
        if is_up and command == SUBMIT_SM:
            connection.submits.append(now)
        if not is_up and command == BIND_TRANSCEIVER_RESP and not status:
            connection.bound_at = now


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection as a broken line does."""
    writer.transport.abort()
