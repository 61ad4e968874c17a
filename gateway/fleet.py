"""Which processes of a business live, and which of them holds what only one may hold: a carrier's slot, a duty.

Every process is a member with a number and an epoch, and says once a second that it lives. Who has not said so for
`LEASE_S` is struck off by any other, and what it held is taken over. The store refuses every change of a member that
was struck off (`Fenced`), so that one that wakes after its time can record nothing, claim nothing and so send nothing.
Times are those of the database, so that clocks that differ mean nothing. Who cannot reach the database lets its
lines to carriers go before the others take them over.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.errors import Fenced, StoreError
from gateway.ids import NODE_BITS
from gateway.store import Store, Tx, beside

log = logging.getLogger(__name__)

BEAT_S = 1.0
LEASE_S = 7.0
SILENT_S = 5.0  # who was not heard for so long holds no line any more when its lease ends
PLAN = "duty:plan"  # plans, folds the journal, tidies: one process of all
NOBODY = 0


class Member(NamedTuple):
    """A process that lives; `alive_at` is in milliseconds since 1970 by the database's clock."""

    node: int
    epoch: int
    name: str
    roles: str
    alive_at: int


class Lease(NamedTuple):
    """Who holds what; node 0 is nobody."""

    name: str
    node: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Seen:
    """The fleet at one moment."""

    now: int
    members: tuple[Member, ...]
    leases: tuple[Lease, ...]

    def dead(self) -> list[Member]:
        """Members that have not said for too long that they live."""
        return [each for each in self.members if self.now - each.alive_at > LEASE_S * 1000]

    def held(self, member: tuple[int, int] | None) -> frozenset[str]:
        """What this member holds."""
        return frozenset(each.name for each in self.leases if (each.node, each.epoch) == member)

    def taken(self) -> frozenset[str]:
        """What anybody holds."""
        return frozenset(each.name for each in self.leases if each.node != NOBODY)


def slot_of(channel: str, slot: int) -> str:
    """The name of a carrier's slot: one of the lines that it allows, and its share of the pace."""
    return f"slot:{channel}:{slot}"


def slots_in(names: Iterable[str]) -> dict[str, set[int]]:
    """By channel, the numbers of the slots among these names."""
    found: dict[str, set[int]] = {}
    for name in names:
        kind, _, rest = name.partition(":")
        channel, _, slot = rest.rpartition(":")
        if kind == "slot":
            found.setdefault(channel, set()).add(int(slot))
    return found


def fair(wanted: Collection[str], members: Iterable[Member]) -> int:
    """How many slots one of these members may hold: the same for all, rounded up."""
    senders = sum("dispatch" in each.roles for each in members)
    slots = sum(name != PLAN for name in wanted)
    return -(-slots // max(1, senders))


@dataclass(slots=True)
class Fleet:
    """This process as a member. `wanted` are the names that it may hold by its roles.

    `gained` is awaited with what was taken, before it is used; `let_go` with what another shall have: when it returns,
    nothing of that is in use any more. `hushed` is called with slots whose lines must end at once, since the database
    does not hear us; they come by `gained` again should nobody have taken them meanwhile.
    """

    store: Store
    brand: int
    name: str
    roles: str
    wanted: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()
    gained: Callable[[frozenset[str]], Awaitable[None]] | None = None
    let_go: Callable[[frozenset[str]], Awaitable[None]] | None = None
    hushed: Callable[[frozenset[str]], None] | None = None
    heard_at: float = 0.0  # when we last said that we live and the database heard it
    members: tuple[Member, ...] = field(default=())
    taken: frozenset[str] = frozenset()  # what anybody held then

    @property
    def node(self) -> int:
        """This process's number; 0 before it has joined."""
        return self.store.member[0] if self.store.member else NOBODY

    async def join(self) -> int:
        """Become a member; the number, which is nobody else's."""
        self.store.member = await self.store.write(self._join)
        return self.node

    async def _join(self, tx: Tx) -> tuple[int, int]:
        """The least free number; the epoch tells this member from all that had the number before."""
        now = await tx.value("database_now")
        await self._strike_off(tx, now)
        known = await tx.all(Member, "member_list")
        node = next(each for each in range(1, 1 << NODE_BITS) if each not in {one.node for one in known})
        epoch = max([now, *(each.epoch + 1 for each in known)])
        await tx.run(
            "member_insert", node=node, brand=self.brand, epoch=epoch, name=self.name, roles=self.roles, alive_at=now
        )
        return node, epoch

    async def run(self) -> None:
        """Say that this process lives and take what is free, until cancelled. Raises Fenced when it was struck off."""
        living = asyncio.ensure_future(self._live_on())
        sharing = asyncio.ensure_future(self._share_on())
        try:
            done, _ = await asyncio.wait((living, sharing), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            living.cancel()
            sharing.cancel()
            await asyncio.gather(living, sharing, return_exceptions=True)

    async def _live_on(self) -> None:
        """Beside the sharing, which may wait for a carrier's answers for longer than a lease lasts."""
        while True:
            try:
                await self._say_alive()
            except Fenced:
                raise
            except (StoreError, TimeoutError) as error:  # what is held stays held until another says otherwise
                log.warning("the fleet could not be heard: %s", str(error) or "the database does not answer")
            if time.monotonic() - self.heard_at > SILENT_S:
                self._hush()
            await asyncio.sleep(BEAT_S)

    async def _share_on(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            try:
                await self.beat()
            except Fenced:
                raise
            except (StoreError, TimeoutError) as error:
                log.warning("what is free could not be looked at: %s", str(error) or "the database does not answer")

    def _hush(self) -> None:
        """End the lines: others, who do hear each other, may take them over from now on."""
        slots = frozenset(name for name in self.held if name != PLAN)
        if slots:
            log.error("%s was not heard for %g s and ends its lines: %s", self.name, SILENT_S, ", ".join(sorted(slots)))
            self.held -= slots
            if self.hushed is not None:
                self.hushed(slots)

    async def _say_alive(self) -> Seen:
        asked = time.monotonic()
        async with asyncio.timeout(SILENT_S - BEAT_S):
            seen = await self.store.write(self._beat)
        self.heard_at, self.members, self.taken = asked, seen.members, seen.taken()
        return seen

    async def beat(self) -> None:
        """One step: say that this process lives, take what is free, give what is too much."""
        seen = await self._say_alive()
        share = fair(self.wanted, seen.members)
        mine = {name for name in self.held if name != PLAN}
        if seen.dead() or self._takes(seen, share):
            seen = await self.store.write(self._take)
        if seen.held(self.store.member) - self.held:
            await self._use(seen.held(self.store.member))
        elif len(mine) > share:
            await self._give(frozenset(sorted(mine)[share:]))

    def _takes(self, seen: Seen, share: int) -> list[str]:
        """What is free and this process should hold."""
        free = sorted(self.wanted - seen.taken())
        held = seen.held(self.store.member)
        room = share - sum(name != PLAN for name in held)
        slots = [name for name in free if name != PLAN]
        return [name for name in free if name == PLAN] + slots[: max(0, room)]

    async def _use(self, held: frozenset[str]) -> None:
        gained = held - self.held
        if self.gained is not None:
            await self.gained(gained)
        self.held |= gained
        log.info("%s holds %s", self.name, ", ".join(sorted(gained)))

    async def _give(self, names: frozenset[str]) -> None:
        """Another has joined that holds less."""
        log.info("%s gives up %s: another process shall have a share", self.name, ", ".join(sorted(names)))
        self.held -= names
        if self.let_go is not None:
            await self.let_go(names)
        await self.store.write(self._free, names)

    @beside
    async def _beat(self, tx: Tx) -> Seen:
        now = await tx.value("database_now")
        node, epoch = self._member()
        await tx.run("member_beat", now=now, node=node, epoch=epoch)
        return await self._look(tx, now)

    async def _take(self, tx: Tx) -> Seen:
        """Alone, so that two never take the same."""
        now = await tx.value("database_now")
        await self._strike_off(tx, now)
        seen = await self._look(tx, now)
        node, epoch = self._member()
        for name in self._takes(seen, fair(self.wanted, seen.members)):
            await tx.run("lease_put", name=name, brand=self.brand, node=node, epoch=epoch, since=now)
        return await self._look(tx, now)

    async def _strike_off(self, tx: Tx, now: int) -> None:
        """From here on the dead can write nothing, should they wake."""
        for each in Seen(now, tuple(await tx.all(Member, "member_list")), ()).dead():
            log.warning("%s (number %s) has not been heard of for too long: it is struck off", each.name, each.node)
            await tx.run("member_delete", node=each.node, epoch=each.epoch)
            await tx.run("lease_free_of", node=each.node, epoch=each.epoch)

    async def _look(self, tx: Tx, now: int) -> Seen:
        members = await tx.all(Member, "member_list")
        return Seen(now, tuple(members), tuple(await tx.all(Lease, "lease_list")))

    async def _free(self, tx: Tx, names: frozenset[str]) -> None:
        node, epoch = self._member()
        for name in sorted(names):
            await tx.run("lease_free", name=name, node=node, epoch=epoch)

    async def leave(self) -> None:
        """Free everything, when nothing of it is in use any more."""
        if self.store.member is not None:
            await self.store.write(self._leave)
            self.store.member = None

    async def _leave(self, tx: Tx) -> None:
        node, epoch = self._member()
        await tx.run("lease_free_of", node=node, epoch=epoch)
        await tx.run("member_delete", node=node, epoch=epoch)

    def _member(self) -> tuple[int, int]:
        if self.store.member is None:
            raise LookupError("this process is no member yet")
        return self.store.member
