"""Who lives, who holds what, and what becomes of a process that was silent for too long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import fleet as fleets
from gateway.errors import Fenced
from gateway.fleet import (
    BACK_S,
    BEAT_S,
    FORGOTTEN_S,
    LEASE_S,
    PLAN,
    Fleet,
    Lease,
    Member,
    Seen,
    fair,
    slot_of,
    slots_in,
)
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

    async def beat(self, heard_for_s: float = BACK_S) -> None:
        """A step of one whom the database has heard for so long."""
        await self.fleet.beat()
        self.fleet.heard_since = self.fleet.heard_until - int(heard_for_s * 1000)
        await self.fleet.beat()

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

    await two.beat()

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

    await two.beat()
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
    await silent(store, one, LEASE_S + 1)
    await two.beat()

    with pytest.raises(Fenced):
        await asyncio.wait_for(one.fleet.run(), 5)


@shared
async def test_a_database_that_was_away_strikes_off_nobody_of_those_whom_it_could_not_hear(
    store: Store, join: Join
) -> None:
    one, two = await join(), await join()
    await one.beat()
    await two.beat()
    held = one.fleet.held
    for process in (one, two):
        await silent(store, process, LEASE_S + 1)
    two.fleet.heard_until -= int((LEASE_S + 1) * 1000)

    await two.fleet.beat()
    await one.fleet.beat()
    await two.beat()

    assert one.fleet.held == held
    assert not held & two.fleet.held


@shared
async def test_who_does_not_speak_up_when_the_database_is_back_is_struck_off_a_little_later(
    store: Store, join: Join
) -> None:
    one, two = await join(), await join()
    await one.beat()
    await two.fleet.beat()
    await silent(store, one, LEASE_S + 1)

    await two.beat(BACK_S - 1)
    assert two.fleet.held < EVERY
    await two.beat(BACK_S)

    assert two.fleet.held == EVERY


@shared
async def test_the_numbers_of_processes_that_are_long_forgotten_are_given_again(store: Store, join: Join) -> None:
    one = await join()
    await silent(store, one, FORGOTTEN_S + 1)

    two = await join()

    assert two.fleet.node == one.fleet.node
    with pytest.raises(Fenced):
        await one.fleet.beat()


async def hold_row_of(tx: Tx, process: Process) -> None:
    """Nothing that it says of itself is written meanwhile."""
    node, epoch = process.fleet.store.member or (0, 0)
    await tx.run("member_beat", now=await tx.value("database_now"), node=node, epoch=epoch)
    await asyncio.sleep(1.2)


@shared
async def test_a_sign_of_life_waits_for_nobody(store: Store, join: Join) -> None:
    one = await join()
    await one.fleet.beat()
    entered = asyncio.Event()

    async def alone(tx: Tx) -> None:
        loop.call_soon_threadsafe(entered.set)
        await asyncio.sleep(1)

    loop = asyncio.get_running_loop()
    working = asyncio.ensure_future(store.write(alone))
    await entered.wait()
    await one.fleet._say_alive()

    assert not working.done()
    await working


@shared
async def test_it_ends_when_the_business_has_moved(store: Store, join: Join) -> None:
    one = await join()
    await store.write(lambda tx: tx.run("fact_set", brand=0, name="move", value="{}"))

    with pytest.raises(Fenced, match="moved"):
        await asyncio.wait_for(one.fleet.run(), 5)


@shared
async def test_who_has_left_writes_nothing_more(store: Store, join: Join) -> None:
    one = await join()
    await one.fleet.leave()

    with pytest.raises(Fenced):
        await one.fleet.store.write(lambda tx: tx.run("queue_drop", queue=1))


@shared
async def test_one_that_speaks_up_just_before_it_is_struck_off_is_not(store: Store, join: Join) -> None:
    one, two = await join(), await join()
    await two.beat()
    await silent(store, one, LEASE_S + 1)

    async def strike(tx: Tx) -> None:
        seen = await two.fleet._now(tx)
        await one.fleet._say_alive()
        for each in seen.dead(0):
            assert await tx.run("member_strike", node=each.node, epoch=each.epoch, alive_at=each.alive_at) == 0

    await store.write(strike)

    await one.fleet.beat()


@shared
async def test_the_lines_of_one_whom_the_database_does_not_answer_end_in_time(
    store: Store, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleets, "BEAT_S", 0.1)
    monkeypatch.setattr(fleets, "SILENT_S", 0.9)
    monkeypatch.setattr(fleets, "ANSWER_S", 0.4)
    one = await join()
    hushed: list[float] = []
    one.fleet.hushed = lambda names: hushed.append(time.monotonic())
    running = asyncio.ensure_future(one.fleet.run())
    while one.fleet.held != EVERY:  # noqa: ASYNC110  what is watched has no event
        await asyncio.sleep(0.01)

    await store.write(hold_row_of, one)
    running.cancel()

    assert len(hushed) == 1
    assert hushed[0] - one.fleet.heard_at < 0.9 + 0.1 + 0.2


def test_a_death_is_noticed_with_three_seconds_to_spare_of_the_ten_that_are_promised() -> None:
    assert LEASE_S + 2 * BEAT_S <= 7


@given(slots=st.integers(0, 40), members=st.integers(1, 9))
def test_shares_are_even_and_enough_for_all(slots: int, members: int) -> None:
    share = fair(
        {slot_of("us", n) for n in range(slots)}, [Member(n, 1, "", "dispatch web", 0) for n in range(members)]
    )

    assert share * members >= slots
    assert (share - 1) * members < max(slots, 1)


@shared
async def test_what_only_stands_in_for_a_carrier_is_no_share_of_its_lines(join: Join) -> None:
    practice = slot_of("test", 0)
    wanted = SLOTS | {practice}
    one, two = await join("dispatch", wanted), await join("dispatch", wanted)
    one.fleet.whole = two.fleet.whole = frozenset({PLAN, practice})
    await one.fleet.beat()
    await two.fleet.beat()

    assert len(one.fleet.held & SLOTS) == len(two.fleet.held & SLOTS) == 1
    assert one.fleet.held | two.fleet.held == wanted


def test_what_is_held_is_read_by_channel() -> None:
    assert slots_in({slot_of("us", 0), slot_of("us", 11), slot_of("a:b", 2), PLAN}) == {"us": {0, 11}, "a:b": {2}}


def test_free_is_what_nobody_holds() -> None:
    seen = Seen(0, (), (Lease("a", 1, 5), Lease("b", 0, 0)))

    assert seen.taken() == {"a"}
    assert seen.held((1, 5)) == {"a"}
    assert seen.held((1, 4)) == frozenset()
