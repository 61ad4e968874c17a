"""A program that binds to us, for tests: our own client's conversation on a socket, and all that it heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import Any, cast

from gateway.codecs import smpp
from gateway.codecs import smpp_session as sessions

SHOP = smpp.address(3, 0, "20655")
PHONE = smpp.address(1, 1, "12065550142")
HELLO = smpp.message_body(SHOP, PHONE, b"Hello", registered=1)


class Esme(asyncio.Protocol):
    """One connection. What arrives is acknowledged with `status`, or as `judge` says; None leaves it unanswered."""

    def __init__(self, bind: sessions.Bind, window: int = 1000) -> None:
        self.session = sessions.Client(bind, window=window, enquire_s=3600, answer_s=3600)
        self.answers: dict[Any, tuple[int, str]] = {}
        self.arrived: list[smpp.ShortMessage] = []
        self.learned: list[sessions.Learned] = []
        self.refused: int | None = None
        self.status: int | None = smpp.OK
        self.judge: Callable[[smpp.ShortMessage], int | None] | None = None
        self.is_closed = False
        self.reads = 0
        self.transport: asyncio.Transport
        self._stirred = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.session.start(0)
        self.flush()

    def data_received(self, data: bytes) -> None:
        self.reads += 1
        for event in self.session.receive(data, 0):
            if isinstance(event, sessions.Answered):
                self.answers.update({token: (status, ident) for token, status, ident in event.answers})
            elif isinstance(event, sessions.Arrived):
                self.arrived += [message for _, message in event.messages]
                for sequence, message in event.messages:
                    status = self.status if self.judge is None else self.judge(message)
                    if status is not None:
                        self.session.acknowledge([sequence], status)
            elif isinstance(event, sessions.Learned):
                self.learned.append(event)
            elif isinstance(event, sessions.Refused):
                self.refused = event.status
        self.flush()
        self._stirred.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        self._stirred.set()

    def flush(self) -> None:
        if out := self.session.take_out():
            self.transport.write(out)

    def submit(self, bodies: Sequence[bytes], first: int = 0) -> None:
        """Send these; each is known by its place, counted from `first`."""
        self.session.send(enumerate(bodies, first), 0)
        self.flush()

    def ask(self, body: bytes) -> None:
        self.session.ask_about([("asked", body)], 0)
        self.flush()

    def unbind(self) -> None:
        self.session.unbind(0)
        self.flush()

    async def until(self, is_so: Callable[[], object], timeout_s: float = 5) -> None:
        async with asyncio.timeout(timeout_s):
            while not is_so():
                self._stirred.clear()
                await self._stirred.wait()

    async def submitted(self, bodies: Sequence[bytes], first: int = 0) -> list[tuple[int, str]]:
        """Send these and wait until each is answered."""
        self.submit(bodies, first)
        await self.until(lambda: len(self.answers.keys() & range(first, first + len(bodies))) == len(bodies))
        return [self.answers[first + place] for place in range(len(bodies))]


@asynccontextmanager
async def dialled(
    port: int, mode: str = "transceiver", name: str = "shop", password: str = "secret", *, tls: SSLContext | None = None
) -> AsyncIterator[Esme]:
    """Connected, and bound or refused."""
    loop = asyncio.get_running_loop()
    esme = Esme(sessions.Bind(mode, name, password))
    transport, _ = await loop.create_connection(
        lambda: esme, "127.0.0.1", port, ssl=tls, server_hostname="localhost" if tls else None
    )
    try:
        await esme.until(lambda: esme.session.mode or esme.is_closed or esme.refused is not None, 15)
        yield esme
    finally:
        transport.abort()
