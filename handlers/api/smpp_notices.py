"""Brings programs that are bound here what they are to be told, and writes down what they have taken."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway import notices
from gateway.channels.smpp_server import Delivery, Server, receipts, writing
from gateway.channels.smpp_server.deliveries import NOT_TAKEN
from gateway.channels.smpp_server.reading import DOOR
from gateway.channels.smpp_server.receipts import Receipt
from gateway.notices import GIVEN_UP, PARCEL, Notice, Result
from gateway.store import Tx, beside

if TYPE_CHECKING:
    from handlers.app import App

log = logging.getLogger("carillon.api")

AT_ONCE: Final = 500  # rows in one transaction; a parcel is one
LEASE_MS: Final = 8_000  # as a member's of the fleet: whoever holds a line holds what it brings no longer
RENEWED_MS: Final = 2_000
LOOK_S: Final = 1.0  # for what falls due by time alone
AGAIN_S: Final = 1.0  # after an error of the store
FIRST_MS: Final = 1_000  # the pause before what was refused is brought again; then twice as long each time
LONGEST_MS: Final = 300_000
OLDEST_MS: Final = 3 * 86_400_000
REFUSED_FOR_GOOD: Final = 0x65  # RX_P_APPN (SMPP 3.4, 5.1.3)
NOT_FETCHED: Final = "it was not bound for three days"
UNWRITABLE = (ValueError, KeyError, TypeError, OverflowError)


class Fallen(NamedTuple):
    """A receipt that was refused; from now on it is a notice by itself."""

    receipt: Receipt
    state: int
    due: int
    trouble: str


@dataclass(slots=True, eq=False)
class Parcel:
    """A row with many receipts that is on its way; `left` of them have no answer."""

    notice: Notice
    left: int = 0
    untaken: list[Receipt] = field(default_factory=list)
    fallen: list[Fallen] = field(default_factory=list)


class Landed(NamedTuple):
    """A parcel of which not everything was taken: at `due` what was not tried is brought again."""

    parcel: Parcel
    due: int


class Teller:
    """Claims what is due for the clients that are bound here, and hands it to the server."""

    def __init__(self, app: App, server: Server) -> None:
        self._app, self._server = app, server
        self._results: list[Result] = []
        self._landed: list[Landed] = []
        self._out: set[int] = set()  # rows that are taken, and of which nothing is written down yet
        self._renewed_at = 0
        self._rung = asyncio.Event()
        self._is_closing = False

    def wake(self) -> None:
        """There may be something to tell."""
        self._rung.set()

    def told(self, deliveries: Sequence[Delivery]) -> None:
        """What became of what was handed to the server."""
        now = self._app.clock.now_ms()
        for delivery in deliveries:
            token = delivery.token
            if isinstance(token, Notice):
                self._results.append(_result(token, delivery.status, now))
                self.wake()
            elif isinstance(token, tuple):
                parcel, receipt = token
                if delivery.status:
                    _refuse(parcel, receipt, delivery.status, now)
                parcel.left -= 1
                if not parcel.left:
                    self._land(parcel, now)
                    self.wake()

    async def run(self) -> None:
        """Bring what there is until closed."""
        if self._app.fleet is None:  # nobody else tells, so what is held is held by who died
            await self._free()
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

    async def _free(self) -> None:
        app = self._app
        clients = [client.id for client in app.business.clients.values()]
        try:
            while await app.store.write(notices.free, clients, [DOOR], app.clock.now_ms()) == notices.PIECE:
                pass
        except Exception:  # they come when their lease is over
            log.exception("what was on its way in a crash could not be freed")

    def close(self) -> None:
        """Let `run` end after the turn that it is in."""
        self._is_closing = True
        self.wake()

    async def finish(self) -> None:
        """Write down what was taken at last. Raises StoreError."""
        if self._results or self._landed:
            await self._turn()

    async def _turn(self) -> bool:
        """One transaction for all that was taken and all there is room for; whether there may be more."""
        self._rung.clear()
        rooms, now = self._server.rooms(), self._app.clock.now_ms()
        is_late = bool(self._out) and not 0 <= now - self._renewed_at < RENEWED_MS
        if not (self._results or self._landed or rooms or is_late):
            return False
        results, self._results = self._results, []
        landed, self._landed = self._landed, []
        written = {each.notice.id for each in results} | {each.parcel.notice.id for each in landed}
        held = self._out - written if is_late else ()
        try:
            claimed = await self._app.store.write(settle_and_claim, self._app.brand, results, landed, held, rooms, now)
        except BaseException:
            self._results[:0], self._landed[:0] = results, landed  # told again otherwise, when their lease is over
            raise
        if is_late:
            self._renewed_at = now
        self._out -= written
        self._hand_over([notice for notice in claimed if notice.id not in self._out])
        return bool(claimed)

    def _hand_over(self, claimed: Sequence[Notice]) -> None:
        deliveries: list[Delivery] = []
        for notice in claimed:
            self._out.add(notice.id)
            try:
                if notice.subject == PARCEL:
                    deliveries += self._unpacked(Parcel(notice))
                    continue
                bodies = writing.bodies(notice.kind, notice.body, notice.target)
            except UNWRITABLE as error:
                log.exception("a notice cannot be written for SMPP", extra={"notice": notice.id})
                self._results.append(notices.given_up(notice, _unwritable(error)))
                continue
            if bodies:
                deliveries.append(Delivery(notice, notice.client, bodies))
            else:
                self._results.append(notices.told(notice))  # nothing of this kind was asked for
        self._server.bring(deliveries)

    def _unpacked(self, parcel: Parcel) -> list[Delivery]:
        deliveries, client = [], parcel.notice.client
        for receipt in receipts.unpack(parcel.notice.body):
            try:
                bodies = writing.receipt_bodies(receipt)
            except UNWRITABLE as error:
                log.exception("a receipt cannot be written for SMPP", extra={"notice": receipt.notice})
                parcel.fallen.append(Fallen(receipt, GIVEN_UP, 0, _unwritable(error)))
                continue
            if bodies:
                deliveries.append(Delivery((parcel, receipt), client, bodies))
        parcel.left = len(deliveries)
        if not deliveries:
            self._land(parcel, 0)
        return deliveries

    def _land(self, parcel: Parcel, now: int) -> None:
        """Everything in it has been answered."""
        if parcel.untaken or parcel.fallen:
            self._landed.append(Landed(parcel, now + FIRST_MS))
        else:
            self._results.append(notices.told(parcel.notice))


def _result(notice: Notice, status: int, now: int) -> Result:
    if not status:
        return notices.told(notice)
    if status == NOT_TAKEN:
        return notices.put_back(notice, now + FIRST_MS)
    trouble = f"command_status 0x{status:08X}"
    if status == REFUSED_FOR_GOOD or now - notice.at > OLDEST_MS:
        return notices.given_up(notice, trouble)
    return notices.failed(notice, now + min(FIRST_MS << min(notice.tries, 20), LONGEST_MS), trouble)


def _refuse(parcel: Parcel, receipt: Receipt, status: int, now: int) -> None:
    """One of a parcel was not taken: it goes again with the others, or by itself once it was refused."""
    if status == NOT_TAKEN:
        parcel.untaken.append(receipt)
    else:
        result = _result(parcel.notice, status, now)
        parcel.fallen.append(Fallen(receipt, result.state, result.due, result.trouble))


def _unwritable(error: Exception) -> str:
    return f"it cannot be written: {error!r}"


async def tidy(app: App) -> None:
    """Give up what nobody has fetched for three days. Raises StoreError."""
    before = app.clock.now_ms() - OLDEST_MS
    for client in app.business.clients.values():
        await app.store.write_bulk(give_up_old, client.id, before)


@beside
async def settle_and_claim(
    tx: Tx, brand: int, results: Sequence[Result], landed: Sequence[Landed], held: Collection[int],
    rooms: Mapping[int, int], now: int,
) -> list[Notice]:  # fmt: skip
    """Write down what became of notices, go on holding some, and take those there is room for, by client."""
    if results:
        await notices.settle(tx, results)
    for each in landed:
        await _split(tx, brand, each)
    if held:
        await notices.renew(tx, held, now + LEASE_MS)
    return await notices.claim(tx, (DOOR,), rooms, now, AT_ONCE, LEASE_MS)


async def _split(tx: Tx, brand: int, landed: Landed) -> None:
    """What was refused becomes a row by itself, under its own number; what was not tried stays."""
    notice, untaken, fallen = landed.parcel.notice, landed.parcel.untaken, landed.parcel.fallen
    rows = [
        (
            each.receipt.notice, brand, notice.client, DOOR, receipts.KIND, f"m:{each.receipt.message}:callback",
            notice.at, receipts.pack_again([each.receipt]), "", each.due, 1, each.state,
            each.trouble[: notices.LONGEST_TROUBLE],
        )
        for each in fallen
    ]  # fmt: skip
    await tx.many("notice_split", rows)
    if untaken:
        body = receipts.pack_again(untaken)
        await tx.run("notice_shrink", id=notice.id, body=body, target=str(len(untaken)), due=landed.due)
    else:
        await notices.settle(tx, [notices.told(notice)])


@beside
async def give_up_old(tx: Tx, client: int, before: int) -> int:
    """Give up a piece of what has waited since before a time, in milliseconds since 1970."""
    return await tx.run(
        "notice_too_old", client=client, door=DOOR, before=before, trouble=NOT_FETCHED, limit=notices.PIECE
    )  # fmt: skip
