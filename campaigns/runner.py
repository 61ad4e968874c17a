"""Moves runs along: plans what is due, drains what was stopped, calls done what is through."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from campaigns import coupons, runs
from campaigns.audience import Casting
from campaigns.business import Business
from campaigns.runs import Run
from gateway.store import Store, Tx

log = logging.getLogger(__name__)

TICK_S = 0.5


class Runner:
    """One loop for all runs of a brand; every step is a transaction that can be repeated after a crash.

    `business` gives the applied config of this moment, `pinned` the one of an older version: a run is pinned
    to the version that launched it. `adopt` makes the dispatchers own new queues, `wake` tells them of work.
    """

    def __init__(
        self,
        *,
        store: Store,
        business: Callable[[], Business],
        pinned: Callable[[int], Awaitable[Business]],
        adopt: Callable[[], Awaitable[None]],
        wake: Callable[[], None],
    ) -> None:
        self._store, self._business, self._pinned = store, business, pinned
        self._adopt, self._wake = adopt, wake
        self._stirred = asyncio.Event()
        self._castings: dict[int, Casting] = {}

    def stir(self) -> None:
        """A run was launched, paused, resumed or stopped."""
        self._stirred.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                await self.step()
            except Exception:  # a full disk, say: the next step finds everything as it was
                log.exception("runs could not be moved along")
            try:
                async with asyncio.timeout(TICK_S):
                    await self._stirred.wait()
            except TimeoutError:
                pass
            self._stirred.clear()

    async def step(self) -> None:
        """Move every run that can move."""
        business = self._business()
        now = business.clock.now_ms()
        for run in await self._store.read(runs.every, business.brand):
            try:
                await self._move(run, now)
            except Exception:  # one bad run must not hold up the others; its state is as before
                log.exception("%s could not be moved along", run.campaign)
        has_more = bool(business.config.coupons)
        while has_more:
            has_more = await self._store.write_bulk(coupons.take_back_unsent, business.brand)

    async def _move(self, run: Run, now: int) -> None:
        if run.state == "planning" or (run.state == "waiting" and run.due <= now):
            await self._plan(run)
        elif run.state == "stopping":
            await self._drain(run, now)
        elif run.state == "sending":
            await self._store.write_bulk(runs.finish, self._business().brand, run, now)

    async def _casting(self, run: Run) -> tuple[Business, Casting]:
        business = self._business()
        if run.config != business.version:
            business = await self._pinned(run.config)
        casting = self._castings.get(run.id)
        if casting is None:
            casting = self._castings[run.id] = Casting(business, business.config.campaigns[run.campaign])
        return business, casting

    async def _plan(self, run: Run) -> None:
        """Plan page after page; a pause, a stop or a crash ends it between two pages."""
        business, casting = await self._casting(run)
        clock = business.clock
        queues = await self._store.write(runs.begin, business, run, casting, clock.now_ms())
        await self._adopt()
        ahead = self._look_ahead(business, run, casting, run.checkpoint)
        try:
            while True:
                cast = await ahead
                last = cast.page.last
                if last is not None:  # the next page is read while this one is written
                    ahead = self._look_ahead(business, run, casting, last)
                now = clock.now_ms()
                if not await self._store.write_bulk(runs.write_page, business, run, casting, queues, cast, now):
                    return
                self._wake()
                if last is None:
                    self._castings.pop(run.id, None)
                    return
        finally:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)

    def _look_ahead(self, business: Business, run: Run, casting: Casting, after: int) -> asyncio.Task[runs.Cast]:
        read = self._store.read(runs.cast_page, business, run, casting, after, business.clock.now_ms())
        return asyncio.get_running_loop().create_task(read)

    async def _drain(self, run: Run, now: int) -> None:
        self._castings.pop(run.id, None)
        brand = self._business().brand
        while await self._store.write_bulk(runs.drain, brand, run, now):
            if not await self._store.read(_has_waiting, brand, run):
                return  # what is in the air is waited for at the next tick


async def _has_waiting(tx: Tx, brand: int, run: Run) -> bool:
    for queue, _ in await tx.rows("run_queues", brand=brand, run=run.id):
        if await tx.rows("outbox_of_run", queue=queue, limit=1):
            return True
    return False
