"""Calls that bring something to send are told what became of it, whatever happens to the store."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.errors import StoreError
from gateway.intake import Intake
from gateway.store import Tx, open_store


@dataclass(frozen=True, slots=True)
class Text:
    """The least that a call may be."""

    size: int = 1


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of them all."""

    results: Sequence[str | Exception]
    queues: Collection[int] = ()
    is_new: bool = False


async def accept(_tx: Tx, calls: Sequence[Text]) -> Taken:
    return Taken(["taken"] * len(calls))


async def test_who_calls_while_the_store_closes_is_told(store_place: Path | str) -> None:
    store = open_store(store_place)
    intake: Intake[Text, str] = Intake(store, accept, lambda queues, is_new: None)
    async with asyncio.timeout(10):
        assert await asyncio.gather(*(intake.submit(Text()) for _ in range(10))) == ["taken"] * 10
        late = intake.submit(Text())  # more are gathered for a moment, since so many came together
        await asyncio.to_thread(store.close)
        with pytest.raises(StoreError):
            await late
