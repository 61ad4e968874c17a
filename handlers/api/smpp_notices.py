"""Brings programs that are bound here what they are to be told, and writes down what they have taken."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from gateway import notices
from gateway.channels.smpp_server import Delivery, Server, writing
from gateway.channels.smpp_server.deliveries import NOT_TAKEN
from gateway.channels.smpp_server.reading import DOOR
from gateway.notices import Notice, Result
from gateway.store import Tx, beside

if TYPE_CHECKING:
    from handlers.app import App

log = logging.getLogger("carillon.api")

AT_ONCE: Final = 2_000  # notices in one transaction
LOOK_S: Final = 1.0  # for what falls due by time alone
AGAIN_S: Final = 1.0  # after an error of the store
FIRST_MS: Final = 1_000  # the pause before what was refused is brought again; then twice as long each time
LONGEST_MS: Final = 300_000
OLDEST_MS: Final = 3 * 86_400_000
REFUSED_FOR_GOOD: Final = 0x65  # RX_P_APPN (SMPP 3.4, 5.1.3)
NOT_FETCHED: Final = "it was not bound for three days"


class Teller:
    """Claims what is due for the clients that are bound here, and hands it to the server."""

    def __init__(self, app: App, server: Server) -> None:
        self._app, self._server = app, server
        self._results: list[Result] = []
        self._rung = asyncio.Event()
        self._is_closing = False

    def wake(self) -> None:
        """There may be something to tell."""
        self._rung.set()

    def told(self, deliveries: Sequence[Delivery]) -> None:
        """What became of what was handed to the server."""
        now = self._app.clock.now_ms()
        self._results += [self._result(delivery, now) for delivery in deliveries]
        self.wake()

    async def run(self) -> None:
        """Bring what there is until closed."""
        while not self._is_closing:
            pause_s = AGAIN_S
            try:
                is_more = await self._turn()
                pause_s = 0 if is_more else LOOK_S
            except Exception:  # the database is away, say: what was claimed comes again when its lease is over
                log.exception("what programs are to be told could not be read, trying again")
            if pause_s:
                try:
                    async with asyncio.timeout(pause_s):
                        await self._rung.wait()
                except TimeoutError:
                    continue

    def close(self) -> None:
        """Let `run` end after the turn that it is in."""
        self._is_closing = True
        self.wake()

    async def finish(self) -> None:
        """Write down what was taken at last. Raises StoreError."""
        if self._results:
            await self._turn()

    async def _turn(self) -> bool:
        """One transaction for all that was taken and all there is room for; whether there may be more."""
        self._rung.clear()
        rooms = self._server.rooms()
        results, self._results = self._results, []
        if not results and not rooms:
            return False
        try:
            claimed = await self._app.store.write(settle_and_claim, results, rooms, self._app.clock.now_ms())
        except BaseException:
            self._results = results + self._results  # told again otherwise, when their lease is over
            raise
        if claimed:
            self._hand_over(claimed)
        return bool(claimed)

    def _hand_over(self, claimed: Sequence[Notice]) -> None:
        deliveries = []
        for notice in claimed:
            try:
                bodies = writing.bodies(notice.kind, notice.body, notice.target)
            except (ValueError, KeyError, TypeError, OverflowError) as error:
                log.exception("a notice cannot be written for SMPP", extra={"notice": notice.id})
                self._results.append(notices.given_up(notice, f"it cannot be written: {error!r}"))
                continue
            if bodies:
                deliveries.append(Delivery(notice, notice.client, bodies))
            else:
                self._results.append(notices.told(notice))  # nothing of this kind was asked for
        self._server.bring(deliveries)

    def _result(self, delivery: Delivery, now: int) -> Result:
        notice = delivery.token
        if not isinstance(notice, Notice):
            raise TypeError(f"{notice!r} is no notice")
        if not delivery.status:
            return notices.told(notice)
        if delivery.status == NOT_TAKEN:
            return notices.put_back(notice, now + FIRST_MS)
        trouble = f"command_status 0x{delivery.status:08X}"
        if delivery.status == REFUSED_FOR_GOOD or now - notice.at > OLDEST_MS:
            return notices.given_up(notice, trouble)
        return notices.failed(notice, now + min(FIRST_MS << min(notice.tries, 20), LONGEST_MS), trouble)


async def tidy(app: App) -> None:
    """Give up what nobody has fetched for three days. Raises StoreError."""
    before = app.clock.now_ms() - OLDEST_MS
    for client in app.business.clients.values():
        await app.store.write_bulk(give_up_old, client.id, before)


@beside
async def settle_and_claim(tx: Tx, results: Sequence[Result], rooms: Mapping[int, int], now: int) -> list[Notice]:
    """Write down what became of notices, and take those there is room for, by client."""
    if results:
        await notices.settle(tx, results)
    return await notices.claim(tx, (DOOR,), rooms, now, AT_ONCE)


@beside
async def give_up_old(tx: Tx, client: int, before: int) -> int:
    """Give up a piece of what has waited since before a time, in milliseconds since 1970."""
    return await tx.run(
        "notice_too_old", client=client, door=DOOR, before=before, trouble=NOT_FETCHED, limit=notices.PIECE
    )  # fmt: skip
