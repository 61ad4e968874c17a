"""A client of the simulated carrier: the real session on a real socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest

from gateway.codecs import parts, smpp
from gateway.codecs.smpp import ShortMessage
from gateway.codecs.smpp_session import Answered, Arrived, Bind, Bound, Client, Closed, Refused

WAIT_S = 5
LOOK_S = 0.05


class Caller(asyncio.Protocol):
    """What a client heard, in order. It acknowledges what arrives with `acknowledge_with`; None keeps silent."""

    def __init__(self, account: str, password: str, mode: str, acknowledge_with: int | None) -> None:
        self._loop = asyncio.get_running_loop()
        self.session = Client(Bind(mode, account, password))
        self.transport: asyncio.Transport
        self.acknowledge_with = acknowledge_with
        self.bound = False
        self.refused = 0
        self.closed = False
        self.answers: list[tuple[object, int, str]] = []
        self.in_doubt: list[object] = []
        self.arrived: list[ShortMessage] = []
        self._heard = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.session.start(self._loop.time())
        transport.write(self.session.take_out())

    def data_received(self, data: bytes) -> None:
        for event in self.session.receive(data, self._loop.time()):
            match event:
                case Bound():
                    self.bound = True
                case Refused(status):
                    self.refused = status
                case Answered(answers):
                    self.answers += answers
                case Arrived(messages):
                    self.arrived += [message for _, message in messages]
                    if self.acknowledge_with is not None:
                        self.session.acknowledge([sequence for sequence, _ in messages], self.acknowledge_with)
                case Closed(_, tokens):
                    self.closed = True
                    self.in_doubt += tokens
        self.transport.write(self.session.take_out())
        self._heard.set()

    def connection_lost(self, exc: Exception | None) -> None:
        for event in self.session.lost():
            assert isinstance(event, Closed)
            self.in_doubt += event.tokens
        self.closed = True
        self._heard.set()

    def submit(self, recipient: str, text: str, *, registered: int = 1) -> None:
        """Submit every part of a text; the token of each answer is (recipient, part)."""
        coding, pieces = parts.split(text, 9)
        self.session.send(
            [
                (
                    (recipient, number),
                    smpp.message_body(
                        smpp.address(smpp.NETWORK, 0, "20655"),
                        smpp.address(smpp.INTERNATIONAL, 1, recipient.lstrip("+")),
                        piece,
                        esm_class=smpp.HAS_HEADER if len(pieces) > 1 else 0,
                        data_coding=coding,
                        registered=registered,
                    ),
                )
                for number, piece in enumerate(pieces)
            ],
            self._loop.time(),
        )
        self.transport.write(self.session.take_out())

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds that depends on what was heard, here or by another caller."""
        async with asyncio.timeout(WAIT_S):
            while not holds():
                self._heard.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._heard.wait(), LOOK_S)

    def texts(self) -> Sequence[str]:
        """The words of what arrived, receipts left out."""
        return [
            parts.read(message.octets, message.data_coding, udhi=bool(message.esm_class & smpp.HAS_HEADER))[0]
            for message in self.arrived
            if not smpp.is_receipt(message)
        ]

    def receipts(self) -> Sequence[smpp.Reading]:
        """The receipts among what arrived."""
        return [smpp.read_receipt(message) for message in self.arrived if smpp.is_receipt(message)]


Dial = Callable[..., Awaitable[Caller]]


@pytest.fixture
async def dial() -> AsyncIterator[Dial]:
    """Connect to a port and ask to be bound."""
    callers: list[Caller] = []

    async def connect(
        port: int,
        account: str = "lantern",
        password: str = "",
        mode: str = "transceiver",
        acknowledge_with: int | None = smpp.OK,
    ) -> Caller:
        loop = asyncio.get_running_loop()
        _, caller = await loop.create_connection(
            lambda: Caller(account, password, mode, acknowledge_with), "127.0.0.1", port
        )
        callers.append(caller)
        await caller.until(lambda: caller.bound or caller.closed)
        return caller

    yield connect
    for caller in callers:
        caller.transport.abort()
        with contextlib.suppress(TimeoutError):
            await caller.until(lambda caller=caller: caller.closed)  # type: ignore[misc]
