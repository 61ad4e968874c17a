"""The SMPP server with a house behind it that keeps things in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from gateway.channels.smpp_server import Account, Delivery, Fate, Server, Submit, Upward
from gateway.channels.smpp_server.account import Others

NOW_MS = 1_795_334_400_000


@dataclass
class House:
    """Lets in whoever knows the password, takes every text at once unless told otherwise, and remembers all."""

    account: Account = field(default_factory=lambda: Account(7, "shop", "k1", binds=2, window=100))
    submits: list[Submit] = field(default_factory=list)
    reads: list[int] = field(default_factory=list)  # how many texts came together
    told: list[Delivery] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)  # passwords
    holds_back: bool = False
    held: list[tuple[Sequence[Submit], Callable[[Sequence[tuple[int, int, str]]], None]]] = field(default_factory=list)
    stirred: asyncio.Event = field(default_factory=asyncio.Event)
    others: Others | None = None

    def upward(self) -> Upward:
        return Upward(self.admit, self.submitted, self.fate, self.cancel, self.stirred.set, self.tell, self.others)

    async def admit(self, name: str, password: str) -> Account | None:
        self.asked.append(password)
        return self.account if (name, password) == ("shop", "secret") else None

    def submitted(
        self, account: Account, submits: Sequence[Submit], answered: Callable[[Sequence[tuple[int, int, str]]], None]
    ) -> None:
        assert account == self.account
        first = len(self.submits)
        self.submits += submits
        self.reads.append(len(submits))
        self.stirred.set()
        if self.holds_back:
            self.held.append((submits, answered))
        else:
            answered([(submit.sequence, 0, str(first + place)) for place, submit in enumerate(submits)])

    def let_go(self) -> None:
        """Answer what was held back."""
        for submits, answered in self.held:
            answered([(submit.sequence, 0, "9") for submit in submits])
        self.held.clear()

    async def fate(self, account: Account, message: int) -> Fate | None:
        return Fate("delivered", "", NOW_MS) if message == 5 else None

    async def cancel(self, account: Account, message: int) -> bool:
        self.cancelled.append(message)
        return message == 5

    def tell(self, deliveries: Sequence[Delivery]) -> None:
        self.told += deliveries
        self.stirred.set()

    async def until(self, is_so: Callable[[], object], timeout_s: float = 5) -> None:
        async with asyncio.timeout(timeout_s):
            while not is_so():
                self.stirred.clear()
                await self.stirred.wait()

    def may(self, **changes: object) -> None:
        """Let the account be otherwise from now on."""
        self.account = replace(self.account, **changes)  # type: ignore[arg-type]


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def server(house: House) -> AsyncIterator[Server]:
    """Listening on a free port."""
    made = Server(house.upward(), lambda: NOW_MS)
    await made.start("127.0.0.1", 0)
    yield made
    await made.stop()
