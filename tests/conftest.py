"""What tests share: a real store, a stopped clock, and the shipped business."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from campaigns.business import Business, open_business
from campaigns.people import find_or_create
from campaigns.settings import Config
from gateway import config
from gateway.clock import StoppedClock
from gateway.ids import Ids
from gateway.rendering import Texts
from gateway.store import Store, Tx, open_store

ROOT = Path(__file__).parents[1]
BRAND = 1
Apply = Callable[[Config], Awaitable[Business]]
People = Callable[[int], Awaitable[list[int]]]
EVENING = datetime(2026, 12, 2, 2, 30, tzinfo=UTC)  # Tuesday 1 December, 18:30 in Seattle


@pytest.fixture
def clock() -> StoppedClock:
    """A clock that stands at 18:30 in Seattle until it is moved."""
    return StoppedClock(EVENING)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """An empty store on the disk."""
    opened = open_store(tmp_path / "carillon.db")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def shipped_config() -> Config:
    """The config.yaml that comes with Carillon."""
    return config.load(ROOT / "config.yaml", Config, {}).value


@pytest.fixture(scope="session")
def texts() -> Texts:
    """Our own texts in English and Chinese."""
    return Texts(ROOT / "templates" / "texts", ["en", "zh"])


@pytest.fixture
def apply(store: Store, clock: StoppedClock, texts: Texts) -> Apply:
    """Apply any config at the clock's time."""
    ids = Ids(clock.now_ms)

    async def applied(settings: Config) -> Business:
        return await store.write(
            open_business, brand=BRAND, config=settings, version=1, ids=ids, clock=clock, texts=texts,
            now=clock.now_ms(),
        )  # fmt: skip

    return applied


@pytest.fixture
async def business(apply: Apply, shipped_config: Config) -> Business:
    """The shipped business, applied at the clock's time."""
    return await apply(shipped_config)


@pytest.fixture
def make_people(store: Store, business: Business) -> People:
    """Make so many people, as if each had texted; returns their ids."""

    async def made(count: int) -> list[int]:
        async def create(tx: Tx) -> list[int]:
            found = [await find_or_create(tx, business, f"+1206555{n:04}", 0) for n in range(count)]
            return [person.id for person in found if person]

        return await store.write(create)

    return made
