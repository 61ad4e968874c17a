"""One of a channel's lines to a carrier: dials, is bound, and dials again when the line has ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final

from gateway.channels.base import LineState
from gateway.channels.smpp.settings import tls_of
from gateway.channels.smpp.throttle import Throttle
from gateway.channels.smpp.wire import Shared, Wire
from gateway.channels.smpp.writing import Bodies
from gateway.errors import Failure, Retry

log = logging.getLogger(__name__)

FIRST_PAUSE_S: Final = 1.0
STEADY_S: Final = 10.0  # a line that was bound for so long is connected again without a grown pause


class Line:
    """Holds one connection at a time, and what is to be remembered from one to the next."""

    def __init__(self, shared: Shared, mode: str) -> None:
        self.wire: Wire | None = None
        self._shared = shared
        self._settings = shared.settings
        self.mode = mode
        self._is_wanted = True
        self._throttle = Throttle(shared.settings.window, shared.settings.rate)
        self._lost = 0
        self._trouble: Failure | None = None
        self._tls = tls_of(shared.settings.address)

    def state(self) -> LineState:
        """As metrics and the console show it."""
        trouble = (self.wire.trouble if self.wire else None) or self._trouble
        return LineState(
            self.mode,
            self.is_bound,
            self.in_flight,
            self._throttle.complaints,
            self._lost,
            None if self.is_bound else trouble,
            self._throttle.rate,
        )

    @property
    def is_bound(self) -> bool:
        """Whether the carrier has let us in."""
        return self.wire is not None and bool(self.wire.session.mode)

    @property
    def room(self) -> int:
        """Parts that may be written now."""
        return self.wire.room if self.wire is not None else 0

    @property
    def in_flight(self) -> int:
        """Parts without an answer."""
        return self.wire.session.in_flight if self.wire is not None else 0

    def write(self, bodies: Bodies) -> None:
        """Write parts; `room` was asked just before."""
        if self.wire is not None and bodies:
            self.wire.send(bodies)

    def part(self) -> None:
        """Say goodbye, when nothing is open any more."""
        if self.wire is not None:
            self.wire.part()

    def hang_up(self, why: str) -> None:
        """End now."""
        if self.wire is not None:
            self.wire.hang_up(why)

    def keep(self, *, wanted: bool) -> None:
        """Hold the line, or give it up for another process, with a goodbye."""
        self._is_wanted = wanted
        if not wanted:
            self.part()

    async def hold(self) -> None:
        """Connect again and again until cancelled, drained or given up."""
        pauses = 0
        while self._is_wanted and not self._shared.leaving.is_set():
            steady = await self._connect_and_stay()
            pauses = 0 if steady else pauses + 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s(pauses)):
                    await self._shared.leaving.wait()

    async def _connect_and_stay(self) -> bool:
        """Be connected until the line ends. True when it had been bound for long enough to call it steady."""
        wire = Wire(self._shared, self.mode, self._throttle)
        try:
            async with self._shared.dialling:  # one after the other, so that a wrong password is tried but once
                await self._dial(wire)
            if not self._is_wanted:  # given up meanwhile
                wire.part()
            if wire.bound_at is not None:
                await wire.gone.wait()
        finally:
            wire.hang_up("the line was given up")
            self.wire = None
            self._trouble = wire.trouble or self._trouble
            self._shared.stirred.set()
        if wire.bound_at is None:
            return False
        self._lost += 1
        return asyncio.get_running_loop().time() - wire.bound_at >= STEADY_S

    async def _dial(self, wire: Wire) -> None:
        """Connect and ask to be bound, until that is answered or the line has ended."""
        shared, address, loop = self._shared, self._settings.address, asyncio.get_running_loop()
        if shared.refused_until > loop.time() or shared.leaving.is_set():
            self._trouble = shared.refusal
            return

        def picked_up() -> Wire:
            self.wire = wire
            return wire

        try:
            async with asyncio.timeout(self._settings.answer_s):
                await loop.create_connection(picked_up, address.host, address.port, ssl=self._tls)
            await wire.settled.wait()
        except (OSError, TimeoutError, UnicodeError) as error:  # the last for a host that is no name
            self._trouble = Failure("no connection", str(error) or "the carrier does not answer", Retry.LATER)
            log.warning("%s: no connection to %s:%s: %s", shared.name, address.host, address.port, error)
        if wire.trouble is not None and wire.trouble.retry is Retry.STOP_CHANNEL:
            shared.refusal = wire.trouble
            shared.refused_until = loop.time() + shared.chance.uniform(0.5, 1.0) * self._settings.refused_pause_s

    def _pause_s(self, pauses: int) -> float:
        """Full jitter, so that lines which fell together do not come back together."""
        held_s = self._shared.refused_until - asyncio.get_running_loop().time()
        if held_s > 0:
            return held_s
        longest = min(self._settings.longest_pause_s, FIRST_PAUSE_S * 2 ** min(pauses, 16))
        return self._shared.chance.uniform(0.02, longest)
