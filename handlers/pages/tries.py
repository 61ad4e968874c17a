"""Slows down whoever guesses, by device and by address, and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway import web
from gateway.shared import Shared


@dataclass(slots=True)
class Try:
    """One PIN or code. `wait_s`: it is not looked at for so many seconds; 0 is at once."""

    wait_s: float
    is_wrong: bool = False


class Tries:
    """Wrong PINs or codes: how often a device may be wrong at once, and an address with all devices behind it.

    `pause_s` is how long one wrong try lasts. What is right is never counted. Memory is bounded by the limits.
    A device that is `known` to be ours answers only for itself: a guest on the shop's own wireless network cannot keep
    staff from signing in.
    """

    def __init__(self, shared: Shared, name: str, *, device: int, address: int, pause_s: float) -> None:
        self._device = shared.limit(f"{name} by device", 1 / pause_s, device)
        self._address = shared.limit(f"{name} by address", 1 / pause_s, address)

    @asynccontextmanager
    async def trying(self, request: web.Request, *, known: bool = False) -> AsyncIterator[Try]:
        """One try of what is looked at on the spot: many at once get no further than one after the other.

        It counts from its beginning, and is given back in the end unless it was said to be wrong.
        """
        device, address = web.visit(request), web.client(request)
        own, there = await self._count(device, address)
        one = Try(own if known else max(own, there))
        try:
            yield one
        finally:
            if one.wait_s or not one.is_wrong:
                if not own:
                    await self._device.give_back(device)
                if not there:
                    await self._address.give_back(address)

    async def wait_s(self, request: web.Request, *, known: bool = False) -> float:
        """Seconds until the next try is looked at; 0 is at once."""
        own = await self._device.look(web.visit(request))
        return own if known else max(own, await self._address.look(web.client(request)))

    async def wrong(self, request: web.Request) -> None:
        """Count a wrong try of what takes its time to look at: those that are right must not wait for one another."""
        await self._count(web.visit(request), web.client(request))

    async def _count(self, device: str, address: str) -> tuple[float, float]:
        return await asyncio.gather(self._device.wait(device), self._address.wait(address))
