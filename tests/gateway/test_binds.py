"""Lines of programs over several processes: never more than are agreed, free with who held them, the pace divided."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from gateway import binds as lines
from gateway.binds import Binds
from gateway.errors import Fenced, StoreError
from gateway.fleet import BACK_S, LEASE_S, PLAN
from gateway.store import Store
from tests.gateway.test_fleet import Process, silent

pytestmark = pytest.mark.engine("postgresql")  # SQLite has one process, which counts for itself

SHOP, OTHER = 17, 170
Join = Callable[[], Awaitable["Member"]]


class Member(Process):
    """A process that lets programs in."""

    def __init__(self, place: str) -> None:
        super().__init__(place, "web plan", frozenset({PLAN}))
        self.binds = Binds(self.fleet.store, 1)
        self.running: asyncio.Task[None] | None = None

    async def looks(self) -> None:
        """Let one look at the others pass."""
        await self.binds._look()


@pytest.fixture
async def join(store: Store, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Join]:
    """Let another process join."""
    monkeypatch.setattr(lines, "PAUSES_S", (0.0, 0.05))
    joined: list[Member] = []

    async def joins() -> Member:
        joined.append(Member(store.place))
        await joined[-1].fleet.join()
        return joined[-1]

    yield joins
    for each in joined:
        each.fleet.store.close()


async def test_of_all_processes_together_no_more_lines_are_held_than_agreed(join: Join) -> None:
    one, two = await join(), await join()

    asked = [each.binds.take(SHOP, 4, True) for each in (one, two) * 4]
    names = [name for name in await asyncio.gather(*asked) if name is not None]

    assert len(names) == len(set(names)) == 4


async def test_clients_are_counted_apart_and_lines_that_only_read_among_the_others(join: Join) -> None:
    one = await join()

    assert await one.binds.take(SHOP, 2, True)
    assert await one.binds.take(SHOP, 2, False)
    assert await one.binds.take(SHOP, 2, False) is None
    assert await one.binds.take(OTHER, 1, True)


async def test_a_line_that_has_ended_is_free_for_another_process_that_was_just_asked(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await join(), await join()
    monkeypatch.setattr(lines, "PAUSES_S", (0.0, 0.2, 5.0))
    name = await one.binds.take(SHOP, 1, True)
    assert name is not None

    asked = asyncio.create_task(two.binds.take(SHOP, 1, True))
    await asyncio.sleep(0.05)
    one.binds.give_back(name)
    await one.looks()

    assert await asked is not None


async def test_what_the_dead_held_is_free_once_they_are_struck_off(store: Store, join: Join) -> None:
    one, two = await join(), await join()
    assert await one.binds.take(SHOP, 1, True)
    await silent(store, one, LEASE_S + 1)
    assert await two.binds.take(SHOP, 1, True) is None

    await two.beat(BACK_S)

    assert await two.binds.take(SHOP, 1, True)
    with pytest.raises(Fenced):
        await one.binds.take(SHOP, 9, True)


async def test_a_line_that_was_taken_without_our_hearing_of_it_is_free_after_a_look(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await join()
    write = one.fleet.store.write

    async def loses_the_answer(*work: Any) -> None:
        await write(*work)
        raise StoreError("the database does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(one.fleet.store, "write", loses_the_answer)
        with pytest.raises(StoreError):
            await one.binds.take(SHOP, 1, True)
    assert await one.binds.take(SHOP, 1, True) is None
    await one.looks()

    assert await one.binds.take(SHOP, 1, True)


async def test_a_look_amid_a_take_leaves_the_line_alone(join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    one = await join()
    write = one.fleet.store.write

    async def is_looked_at(*work: Any) -> Any:
        result = await write(*work)
        await one.looks()
        return result

    with monkeypatch.context() as patched:
        patched.setattr(one.fleet.store, "write", is_looked_at)
        assert await one.binds.take(SHOP, 1, True)

    assert await one.binds.take(SHOP, 1, True) is None


async def test_of_lines_that_are_too_many_each_process_finds_its_own_among_the_youngest(join: Join) -> None:
    one, two = await join(), await join()
    names = []
    for each in (two, one, two, one, one):
        names.append(await each.binds.take(SHOP, 9, True))
        await asyncio.sleep(0.01)  # they are told apart by the millisecond
    assert await one.binds.take(OTHER, 1, True)

    assert list(await one.binds.beyond(SHOP, 2)) == names[3:]
    assert list(await two.binds.beyond(SHOP, 2)) == names[2:3]
    assert not await one.binds.beyond(SHOP, 5)
    assert names[4] is not None
    one.binds.give_back(names[4])
    assert list(await one.binds.beyond(SHOP, 2)) == names[3:4]


async def test_who_leaves_frees_its_lines(join: Join) -> None:
    one, two, three = await join(), await join(), await join()
    assert await one.binds.take(SHOP, 1, True)
    await one.binds.leave()
    assert await two.binds.take(SHOP, 1, True)
    await two.fleet.leave()
    assert await three.binds.take(SHOP, 1, True)


async def test_the_pace_is_divided_by_the_lines_that_bring_texts(join: Join) -> None:
    one, two = await join(), await join()
    first = await one.binds.take(SHOP, 9, True)
    assert one.binds.share(SHOP) == 1.0
    await two.binds.take(SHOP, 9, True)
    await two.binds.take(SHOP, 9, True)
    await two.binds.take(SHOP, 9, False)
    await one.looks()
    await two.looks()
    assert (one.binds.share(SHOP), two.binds.share(SHOP)) == (1 / 3, 2 / 3)

    assert first is not None
    one.binds.give_back(first)
    await one.looks()
    await two.looks()
    assert two.binds.share(SHOP) == 1.0


async def test_a_line_that_is_refused_changes_nobodys_part(join: Join) -> None:
    one, two = await join(), await join()
    await one.binds.take(SHOP, 9, True)
    await two.binds.take(SHOP, 9, True)
    assert await two.binds.take(SHOP, 2, True) is None
    assert two.binds.share(SHOP) == 0.5


async def test_others_hear_of_a_line_without_being_asked(join: Join) -> None:
    one, two = await join(), await join()
    one.fleet.store.listen(lambda topic: one.binds.wake() if topic == lines.TOPIC else None)
    await one.binds.take(SHOP, 9, True)
    running = asyncio.create_task(one.binds.run())
    try:
        await two.binds.take(SHOP, 9, True)
        async with asyncio.timeout(5):
            while one.binds.share(SHOP) == 1.0:  # noqa: ASYNC110  it rings no bell
                await asyncio.sleep(0.01)
    finally:
        running.cancel()

    assert one.binds.share(SHOP) == 0.5


async def test_lines_of_programs_are_not_what_processes_share_out(join: Join) -> None:
    one = await join()
    await one.binds.take(SHOP, 9, True)

    await one.fleet.beat()
    await one.fleet.beat()

    assert one.fleet.held == one.fleet.taken == {PLAN}
