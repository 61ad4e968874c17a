"""Which processes of a business live, and which of them holds what only one may hold: a carrier's slot, a duty.

Every process is a member with a number and an epoch, and says twice a second that it lives. Who has not said so for
`LEASE_S` is struck off by any other, and what it held is taken over. The store refuses every change of a member that
was struck off (`Fenced`), so that one that wakes after its time can record nothing, claim nothing and so send nothing.
A database that was away has heard nobody, and nobody is struck off for that.
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
from gateway.store import Store, Tx, apart

log = logging.getLogger(__name__)

BEAT_S = 0.5
LEASE_S = 6.0
SILENT_S = 4.5  # who was not heard for so long holds no line any more when its lease ends
ANSWER_S = 2.0  # how long the database's answer is waited for before it is asked again, by another connection perhaps
SOON_S = 0.02
BACK_S = 3.0  # what has not heard us for so long did not hear the others either: it gives them as long to speak up
FORGOTTEN_S = 3_600.0  # nobody's silence is the database's for so long
PLAN = "duty:plan"  # plans, folds the journal, tidies: one process of all
NOBODY = 0
NO_BRAND = 0  # what stands there is about the store itself (gateway/store/moved.py)


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

    def dead(self, heard_since: int) -> list[Member]:
        """Members that have not said for too long that they live, though others were heard all the while.

        `heard_since` is the moment, by the database's clock, from which on it has heard one of the others.
        """
        silent_s = LEASE_S if self.now - heard_since >= BACK_S * 1000 else FORGOTTEN_S
        return [each for each in self.members if self.now - each.alive_at > silent_s * 1000]

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


def fair(lines: Collection[str], members: Iterable[Member]) -> int:
    """How many of these slots one of these members may hold: the same for all, rounded up."""
    senders = sum("dispatch" in each.roles for each in members)
    return -(-len(lines) // max(1, senders))


@dataclass(slots=True)
class Fleet:
    """This process as a member. `wanted` are the names that it may hold by its roles; of these the slots are shared
    evenly among those who send, what is `whole` has whoever comes first.

    `gained` is awaited with what was taken, before it is used; `let_go` with what another shall have: when it returns,
    nothing of that is in use any more. `hushed` is called with slots whose lines must end at once, since the database
    does not hear us; they come by `gained` again should nobody have taken them meanwhile.
    """

    store: Store
    brand: int
    name: str
    roles: str
    wanted: frozenset[str] = frozenset()
    whole: frozenset[str] = frozenset({PLAN})
    held: frozenset[str] = frozenset()
    gained: Callable[[frozenset[str]], Awaitable[None]] | None = None
    let_go: Callable[[frozenset[str]], Awaitable[None]] | None = None
    hushed: Callable[[frozenset[str]], None] | None = None
    heard_at: float = 0.0  # when we last said that we live and the database heard it
    heard_until: int = 0  # the same by its own clock
    heard_since: int = 0  # from when on it has heard us again and again, by its clock
    members: tuple[Member, ...] = field(default=())
    taken: frozenset[str] = frozenset()  # what anybody held then

    @property
    def node(self) -> int:
        """This process's number; 0 before it has joined."""
        return self.store.member[0] if self.store.member else NOBODY

    @property
    def lines(self) -> frozenset[str]:
        """What is shared evenly."""
        return self.wanted - self.whole

    async def join(self) -> int:
        """Become a member; the number, which is nobody else's."""
        self.store.member = await self.store.write(self._join)
        return self.node

    async def _join(self, tx: Tx) -> tuple[int, int]:
        """The least free number; the epoch tells this member from all that had the number before."""
        now = await tx.value("database_now")
        await self._strike_off(tx, now, now)
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
            self._hush()
            await asyncio.sleep(BEAT_S)
            self._hush()

    async def _share_on(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            if time.monotonic() - self.heard_at >= SILENT_S:
                continue  # what may be read is not ours to use
            try:
                await self._share(await self.store.read(self._now))
            except Fenced:
                raise
            except (StoreError, TimeoutError) as error:
                log.warning("what is free could not be looked at: %s", str(error) or "the database does not answer")

    def _hush(self) -> None:
        """If nobody has heard us, end the lines: others, who do hear each other, may take them over from now on."""
        if time.monotonic() - self.heard_at < SILENT_S:
            return
        slots = frozenset(name for name in self.held if name != PLAN)
        if slots:
            log.error("%s was not heard for %g s and ends its lines: %s", self.name, SILENT_S, ", ".join(sorted(slots)))
            self.held -= slots
            if self.hushed is not None:
                self.hushed(slots)

    async def _say_alive(self) -> Seen:
        asked = time.monotonic()
        left = self.heard_at + SILENT_S + SOON_S - asked  # a clock that rings a little too early must not cost a turn
        async with asyncio.timeout(min(ANSWER_S, left) if left > 0 else ANSWER_S):  # to hush no later than due
            seen = await self.store.write(self._beat)
        self.heard_at, self.members, self.taken = asked, seen.members, seen.taken()
        if seen.now - self.heard_until > BACK_S * 1000:
            self.heard_since = seen.now
        self.heard_until = max(self.heard_until, seen.now)
        return seen

    async def beat(self) -> None:
        """One step: say that this process lives, take what is free, give what is too much."""
        await self._share(await self._say_alive())

    async def _share(self, seen: Seen) -> None:
        share = fair(self.lines, seen.members)
        mine = self.held & self.lines
        if seen.dead(self.heard_since) or self._takes(seen, share):
            seen = await self.store.write(self._take)
        if seen.held(self.store.member) - self.held:
            await self._use(seen.held(self.store.member))
        elif len(mine) > share:
            await self._give(frozenset(sorted(mine)[share:]))

    def _takes(self, seen: Seen, share: int) -> list[str]:
        """What is free and this process should hold."""
        free = sorted(self.wanted - seen.taken())
        held = seen.held(self.store.member)
        room = share - len(held & self.lines)
        slots = [name for name in free if name in self.lines]
        return [name for name in free if name not in self.lines] + slots[: max(0, room)]

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

    @apart
    async def _beat(self, tx: Tx) -> Seen:
        """Behind nobody: one that stands still, or much work, must not make us look dead."""
        now = await tx.value("database_now")
        node, epoch = self._member()
        if not await tx.run("member_beat", now=now, node=node, epoch=epoch):
            raise Fenced(f"member {node} was struck off")
        if await tx.value("fact_get", brand=NO_BRAND, name="move") is not None:
            raise Fenced("this business has moved")
        return await self._look(tx, now)

    async def _take(self, tx: Tx) -> Seen:
        """Alone, so that two never take the same."""
        now = await tx.value("database_now")
        await self._strike_off(tx, now, self.heard_since)
        seen = await self._look(tx, now)
        node, epoch = self._member()
        for name in self._takes(seen, fair(self.lines, seen.members)):
            await tx.run("lease_put", name=name, brand=self.brand, node=node, epoch=epoch, since=now)
        return await self._look(tx, now)

    async def _strike_off(self, tx: Tx, now: int, heard_since: int) -> None:
        """From here on the dead can write nothing, should they wake."""
        for each in Seen(now, tuple(await tx.all(Member, "member_list")), ()).dead(heard_since):
            if await tx.run("member_strike", node=each.node, epoch=each.epoch, alive_at=each.alive_at):
                log.warning("%s (number %s) has not been heard of for too long: it is struck off", each.name, each.node)
                await tx.run("lease_free_of", node=each.node, epoch=each.epoch)

    async def _now(self, tx: Tx) -> Seen:
        return await self._look(tx, await tx.value("database_now"))

    async def _look(self, tx: Tx, now: int) -> Seen:
        members = await tx.all(Member, "member_list")
        return Seen(now, tuple(members), tuple(await tx.all(Lease, "lease_list")))

    async def _free(self, tx: Tx, names: frozenset[str]) -> None:
        node, epoch = self._member()
        for name in sorted(names):
            await tx.run("lease_free", name=name, node=node, epoch=epoch)

    async def leave(self) -> None:
        """Free everything, when nothing of it is in use any more. What is still written afterwards is refused."""
        if self.store.member is not None:
            await self.store.write(self._leave)

    async def _leave(self, tx: Tx) -> None:
        node, epoch = self._member()
        await tx.run("lease_free_of", node=node, epoch=epoch)
        await tx.run("member_delete", node=node, epoch=epoch)

    def _member(self) -> tuple[int, int]:
        if self.store.member is None:
            raise LookupError("this process is no member yet")
        return self.store.member
