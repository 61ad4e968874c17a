"""Who lives, who holds what, and what becomes of a process that was silent for too long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import fleet as fleets
from gateway.errors import Fenced
from gateway.fleet import LEASE_S, PLAN, Fleet, Lease, Member, Seen, fair, slot_of, slots_in
from gateway.store import Store, Tx, open_store

SLOTS = frozenset(slot_of("us", slot) for slot in range(2))
EVERY = SLOTS | {PLAN}
Join = Callable[..., Awaitable["Process"]]
shared = pytest.mark.engine("postgresql")  # SQLite has one writing process


class Process:
    """One process: a store connection of its own and its membership."""

    def __init__(self, place: str, roles: str, wanted: frozenset[str]) -> None:
        self.gained: list[str] = []
        self.given: list[str] = []
        self.fleet = Fleet(
            open_store(place), 1, f"process {id(self)}", roles, wanted, gained=self._gained, let_go=self._let_go
        )

    async def _gained(self, names: frozenset[str]) -> None:
        self.gained += sorted(names)

    async def _let_go(self, names: frozenset[str]) -> None:
        self.given += sorted(names)


@pytest.fixture
async def join(store: Store) -> AsyncIterator[Join]:
    """Let another process join."""
    joined: list[Process] = []

    async def joins(roles: str = "plan dispatch", wanted: frozenset[str] = EVERY) -> Process:
        process = Process(store.place, roles, wanted)
        joined.append(process)
        await process.fleet.join()
        return process

    yield joins
    for process in joined:
        process.fleet.store.close()


async def silent(store: Store, process: Process, seconds: float) -> None:
    """As if the process had not said for so long that it lives."""

    async def back(tx: Tx) -> None:
        node, epoch = process.fleet.store.member or (0, 0)
        now = await tx.value("database_now")
        await tx.run("member_beat", now=now - int(seconds * 1000), node=node, epoch=epoch)

    await store.write(back)


@shared
async def test_one_alone_holds_everything(join: Join) -> None:
    one = await join()

    await one.fleet.beat()

    assert one.fleet.held == EVERY
    assert one.gained == sorted(EVERY)


@shared
async def test_who_comes_later_is_given_a_share_and_nothing_is_held_twice(join: Join) -> None:
    one, two = await join(), await join()
    await one.fleet.beat()
    await two.fleet.beat()

    assert len(one.fleet.held & SLOTS) == len(two.fleet.held & SLOTS) == 1
    assert not one.fleet.held & two.fleet.held


@shared
async def test_who_holds_more_than_its_share_gives_up_the_rest(join: Join) -> None:
    one = await join()
    await one.fleet.beat()
    two = await join()

    await one.fleet.beat()
    await two.fleet.beat()

    assert one.given == two.gained
    assert one.fleet.held | two.fleet.held == EVERY
    assert len(two.fleet.held) == 1


@shared
async def test_what_the_dead_held_is_taken_over_and_they_can_write_nothing(store: Store, join: Join) -> None:
    one, two = await join(), await join()
    await one.fleet.beat()
    await silent(store, one, LEASE_S + 1)

    await two.fleet.beat()

    assert two.fleet.held == EVERY
    with pytest.raises(Fenced):
        await one.fleet.beat()
    with pytest.raises(Fenced):
        await one.fleet.store.write(lambda tx: tx.run("queue_drop", queue=1))


@shared
async def test_who_is_only_late_keeps_what_it_holds(store: Store, join: Join) -> None:
    one, two = await join(), await join()
    await one.fleet.beat()
    held = one.fleet.held
    await silent(store, one, LEASE_S - 2)

    await two.fleet.beat()
    await one.fleet.beat()

    assert one.fleet.held == held


@shared
async def test_who_leaves_hands_over_at_once(join: Join) -> None:
    one, two = await join(), await join()
    await one.fleet.beat()
    await one.fleet.leave()

    await two.fleet.beat()

    assert two.fleet.held == EVERY


@shared
async def test_a_role_decides_what_is_held(join: Join) -> None:
    web, planner, sender = (
        await join("web", frozenset()),
        await join("plan", frozenset({PLAN})),
        await join("dispatch", SLOTS),
    )
    for process in (web, planner, sender):
        await process.fleet.beat()

    assert (web.fleet.held, planner.fleet.held, sender.fleet.held) == (frozenset(), frozenset({PLAN}), SLOTS)


@shared
async def test_ten_that_come_at_once_share_and_have_numbers_of_their_own(join: Join) -> None:
    everybody = [await join() for _ in range(4)]
    await asyncio.gather(*(each.fleet.beat() for each in everybody))
    await asyncio.gather(*(each.fleet.beat() for each in everybody))

    held = [name for each in everybody for name in each.fleet.held]
    assert sorted(held) == sorted(EVERY)
    assert len({each.fleet.node for each in everybody}) == 4


@shared
async def test_it_ends_when_it_was_struck_off(store: Store, join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleets, "BEAT_S", 0.01)
    one, two = await join(), await join()
    running = asyncio.ensure_future(one.fleet.run())
    await silent(store, one, LEASE_S + 1)
    while two.fleet.held != EVERY and not running.done():
        await silent(store, one, LEASE_S + 1)
        await two.fleet.beat()

    with pytest.raises(Fenced):
        await asyncio.wait_for(running, 5)


@given(slots=st.integers(0, 40), members=st.integers(1, 9))
def test_shares_are_even_and_enough_for_all(slots: int, members: int) -> None:
    wanted = {slot_of("us", n) for n in range(slots)} | {PLAN}
    share = fair(wanted, [Member(n, 1, "", "dispatch web", 0) for n in range(members)])

    assert share * members >= slots
    assert (share - 1) * members < max(slots, 1)


def test_what_is_held_is_read_by_channel() -> None:
    assert slots_in({slot_of("us", 0), slot_of("us", 11), slot_of("a:b", 2), PLAN}) == {"us": {0, 11}, "a:b": {2}}


def test_free_is_what_nobody_holds() -> None:
    seen = Seen(0, (), (Lease("a", 1, 5), Lease("b", 0, 0)))

    assert seen.taken() == {"a"}
    assert seen.held((1, 5)) == {"a"}
    assert seen.held((1, 4)) == frozenset()
