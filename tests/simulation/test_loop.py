"""The loop of the simulation keeps the promises of asyncio that programs rest on, and no others."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from tests.simulation.loop import Deadlock, Loop, Process, Unhandled


class Source:
    """Something whose callbacks are noted in order."""

    def __init__(self, name: str, seen: list[tuple[str, int]]) -> None:
        self.name, self.seen = name, seen

    def call(self, number: int) -> None:
        self.seen.append((self.name, number))


def order(seed: int) -> list[tuple[str, int]]:
    """How ten callbacks of each of two sources run."""
    loop, seen = Loop(random.Random(seed)), list[tuple[str, int]]()
    sources = [Source("a", seen), Source("b", seen)]

    async def main() -> None:
        for number in range(10):
            for source in sources:
                loop.call_soon(source.call, number)
        await asyncio.sleep(1)

    loop.run_until_complete(main())
    return seen


def test_callbacks_of_one_source_run_in_order_and_sources_in_any() -> None:
    orders = [order(seed) for seed in range(5)]

    assert all([n for name, n in each if name == "a"] == list(range(10)) for each in orders)
    assert len({tuple(each) for each in orders}) == 5
    assert order(1) == order(1)


def test_time_leaps_to_the_next_timer() -> None:
    loop = Loop(random.Random(1))

    async def main() -> float:
        async with asyncio.timeout(90):
            await asyncio.sleep(3600 / 60)
        return loop.time()

    assert loop.run_until_complete(main()) == pytest.approx(60, abs=0.01)


def test_what_nobody_will_ever_bring_about_is_a_deadlock() -> None:
    loop = Loop(random.Random(1))

    async def main() -> None:
        await loop.create_future()

    task = main()
    with pytest.raises(Deadlock):
        loop.run_until_complete(task)
    for each in asyncio.all_tasks(loop):
        each.cancel()
    loop.run_until_complete(asyncio.sleep(0))


def test_an_error_in_a_callback_ends_the_world() -> None:
    loop = Loop(random.Random(1))

    async def main() -> None:
        loop.call_later(1, lambda: 1 // 0)
        await asyncio.sleep(2)

    with pytest.raises(Unhandled, match="ZeroDivisionError"):
        loop.run_until_complete(main())
    loop.run_until_complete(asyncio.sleep(2))


@pytest.mark.parametrize(
    ("deed", "expected"),
    [
        (lambda loop, process: None, ["began", "went on", "ended"]),
        (lambda loop, process: setattr(process, "alive", False), ["began"]),
    ],
)
def test_a_killed_process_does_nothing_more_not_even_its_ends(
    deed: Callable[[Loop, Process], None], expected: list[str]
) -> None:
    loop, seen = Loop(random.Random(1)), list[str]()
    process = Process("victim")

    async def work() -> None:
        try:
            seen.append("began")
            await asyncio.sleep(2)
            seen.append("went on")
        finally:
            seen.append("ended")

    async def main() -> None:
        process.spawn(work())
        await asyncio.sleep(1)
        deed(loop, process)
        await asyncio.sleep(5)

    loop.run_until_complete(main())
    assert seen == expected
    loop.bury([process])


def test_a_frozen_process_goes_on_where_it_stood() -> None:
    loop, seen = Loop(random.Random(1)), list[float]()
    process = Process("sleeper")

    async def work() -> None:
        await asyncio.sleep(1)
        seen.append(round(loop.time()))

    async def main() -> None:
        process.spawn(work())
        process.held = []
        await asyncio.sleep(10)
        loop.thaw(process)
        await asyncio.sleep(5)

    loop.run_until_complete(main())
    assert seen == [11]
