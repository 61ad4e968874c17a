"""How many lines programs hold over all processes of a business, and which part of its pace a process has of each.

A line is a lease of the process that holds it (gateway/fleet.py): whoever strikes off a process that is no more frees
its lines in the same breath. The pace of a program is divided by its lines, as a carrier's is by its slots.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import Counter
from collections.abc import Collection
from typing import Final, NamedTuple

from gateway.errors import StoreError
from gateway.store import Store, Tx, beside

log = logging.getLogger(__name__)

TOPIC: Final = "binds"  # told of when a line has come or gone
LOOK_S: Final = 0.5  # how long what others hold may be out of date
PAUSES_S: Final = (0.0, 0.1, 0.3, 0.6)  # a line that has just ended elsewhere is free in a moment
SENDS, READS = "s", "r"
TURN: Final = "bind"


class Held(NamedTuple):
    """A line that a client holds in some process: what it does, SENDS or READS, and whether this process has it."""

    name: str
    client: int
    does: str
    is_mine: bool


class Binds:
    """The lines of programs in this process, among those of the others."""

    def __init__(self, store: Store, brand: int) -> None:
        self._store, self._brand = store, brand
        self._serial = itertools.count(1)
        self._held: set[str] = set()  # the lines here and those that are being taken; any other of ours is to be freed
        self._shares: dict[int, float] = {}
        self._rung = asyncio.Event()

    async def take(self, client: int, most: int, sends: bool) -> str | None:
        """Hold one more line of a client; its name, or None when `most` are held. Raises StoreError."""
        for pause_s in PAUSES_S:
            await asyncio.sleep(pause_s)
            name = self._name(client, sends)
            if await self._is_taken(name, client, most):
                return name
        return None

    async def _is_taken(self, name: str, client: int, most: int) -> bool:
        """A take of which nobody heard the end, which may be kept all the same, is undone by the next looks."""
        self._held.add(name)
        try:
            lines = await self._store.write(self._take, name, client, most)
        except BaseException:
            self.give_back(name)
            raise
        if lines:
            self._see(lines)
        else:
            self._held.discard(name)
        return bool(lines)

    def give_back(self, name: str) -> None:
        """A line has ended."""
        self._held.discard(name)
        self.wake()

    async def beyond(self, client: int, most: int) -> Collection[str]:
        """Of the lines held here those that are too many where a client may hold so many: in all processes together
        the youngest, so that each finds its own. Raises StoreError.
        """
        lines = [each for each in await self._store.read(self._list) if each.client == client]
        return [each.name for each in lines[most:] if each.name in self._held]

    def share(self, client: int) -> float:
        """Which part of the client's pace is this process's: that of the lines by which texts come."""
        return self._shares.get(client, 1.0)

    def wake(self) -> None:
        """Lines have come or gone, here or elsewhere."""
        self._rung.set()

    async def run(self) -> None:
        """Free what has ended, and look at what the others hold, until cancelled."""
        while True:
            self._rung.clear()
            try:
                await self._look()
            except StoreError as error:
                log.warning("lines of programs could not be counted: %s", error)
                await asyncio.sleep(LOOK_S)
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._rung.wait()
            except TimeoutError:
                continue

    async def leave(self) -> None:
        """Free all lines of this process, when none is left. Raises StoreError."""
        await self._store.write(self._free_all)

    async def _look(self) -> None:
        lines = await self._store.read(self._list)
        if gone := [each.name for each in lines if each.is_mine and each.name not in self._held]:
            await self._store.write(self._free, gone)
            lines = await self._store.read(self._list)
        self._see(lines)

    def _see(self, lines: Collection[Held]) -> None:
        """A part that is smaller holds at once, and so does one that is greater: the others look as often."""
        held = Counter(each.client for each in lines if each.does == SENDS)
        mine = Counter(each.client for each in lines if each.does == SENDS and each.is_mine)
        self._shares = {client: count / held[client] for client, count in mine.items()}

    @beside
    async def _take(self, tx: Tx, name: str, client: int, most: int) -> list[Held]:
        """The count and the line in one transaction, one after another: two cannot both be the last.

        All lines with this one, none where there are enough.
        """
        await tx.turn(TURN)
        if sum(each.client == client for each in await self._list(tx)) >= most:
            return []
        node, epoch = self._member()
        await tx.run("bind_clear")
        await tx.run(
            "lease_put", name=name, brand=self._brand, node=node, epoch=epoch, since=await tx.value("database_now")
        )
        tx.notify(TOPIC)
        return await self._list(tx)

    async def _list(self, tx: Tx) -> list[Held]:
        """What all hold, the eldest line first."""
        node, epoch = self._member()
        return await tx.all(Held, "bind_list", node=node, epoch=epoch)

    @beside
    async def _free(self, tx: Tx, names: Collection[str]) -> None:
        node, epoch = self._member()
        for name in sorted(names):
            await tx.run("bind_delete", name=name, node=node, epoch=epoch)
        tx.notify(TOPIC)

    @beside
    async def _free_all(self, tx: Tx) -> None:
        node, epoch = self._member()
        await tx.run("bind_delete_all", node=node, epoch=epoch)
        tx.notify(TOPIC)

    def _member(self) -> tuple[int, int]:
        if self._store.member is None:
            raise LookupError("this process is no member yet")
        return self._store.member

    def _name(self, client: int, sends: bool) -> str:
        """One that was never given before."""
        _, epoch = self._member()
        return f"bind:{client}:{SENDS if sends else READS}:{epoch:016}{next(self._serial):08}"
