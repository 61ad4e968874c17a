"""What tests share: a real store, a stopped clock, and the shipped business."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from campaigns.business import Business, open_business
from campaigns.settings import Config
from gateway import config
from gateway.clock import StoppedClock
from gateway.ids import Ids
from gateway.rendering import Texts
from gateway.store import Store, open_store

ROOT = Path(__file__).parents[1]
BRAND = 1
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
async def business(store: Store, clock: StoppedClock, shipped_config: Config, texts: Texts) -> Business:
    """The shipped business, applied at the clock's time."""
    return await applied(store, clock, shipped_config, texts)


async def applied(store: Store, clock: StoppedClock, settings: Config, texts: Texts, version: int = 1) -> Business:
    """A business of any config, applied now."""
    return await store.write(
        open_business,
        brand=BRAND,
        config=settings,
        version=version,
        ids=Ids(clock.now_ms, last=0),
        clock=clock,
        texts=texts,
        now=clock.now_ms(),
    )
