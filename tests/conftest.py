"""What tests share: a real store, a stopped clock, and the shipped business."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
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
from tests.servers import PostgresServer, memory

ROOT = Path(__file__).parents[1]
BRAND = 1
ENGINES = ("sqlite", "postgresql")
Apply = Callable[[Config], Awaitable[Business]]
EmptyStores = Callable[[], AbstractContextManager[Store]]
People = Callable[[int], Awaitable[list[int]]]
EVENING = datetime(2026, 12, 2, 2, 30, tzinfo=UTC)  # Tuesday 1 December, 18:30 in Seattle


def pytest_configure() -> None:
    """Folders of tests lie in memory: a kill -9 leaves them whole, and nobody waits for a disk."""
    if folder := memory():
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(folder))


def pytest_xdist_auto_num_workers() -> int:
    """One process more than cores: a third of the time tests wait for something, a timer or another program."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture
def clock() -> StoppedClock:
    """A clock that stands at 18:30 in Seattle until it is moved."""
    return StoppedClock(EVENING)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this session's own; what asks for it is skipped where none can run."""
    try:
        server = PostgresServer()
    except (OSError, RuntimeError) as error:
        pytest.skip(f"no PostgreSQL can be started here: {error}")
    yield server
    server.close()


@contextmanager
def empty_place(engine: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[Path | str]:
    """Where an empty store can be opened."""
    if engine == "sqlite":
        yield folder / "carillon.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.lend()
    yield url
    server.take_back(url)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test that uses a store runs on both engines, save one that is marked `engine`."""
    if "store_place" in metafunc.fixturenames:
        only = metafunc.definition.get_closest_marker("engine")
        metafunc.parametrize("store_place", only.args if only else ENGINES, indirect=True)


@pytest.fixture
def store_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path | str]:
    """Where an empty store can be opened."""
    with empty_place(request.param, request, tmp_path) as place:
        yield place


@pytest.fixture(scope="module", params=ENGINES)
def empty_stores(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmptyStores]:
    """Makes an empty store as often as it is asked: for property tests, whose every example needs one."""

    @contextmanager
    def made() -> Iterator[Store]:
        folder = tmp_path_factory.mktemp("store")
        store = open_store(folder / "carillon.db")
        try:
            yield store
        finally:
            store.close()
            shutil.rmtree(folder)

    @contextmanager
    def emptied() -> Iterator[Store]:
        try:
            yield shared  # its connections know their statements already
        finally:
            server.empty(url)

    if request.param == "sqlite":
        yield made
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.lend()
    shared = open_store(url)
    yield emptied
    shared.close()
    server.take_back(url)


@pytest.fixture
async def store(store_place: Path | str) -> AsyncIterator[Store]:
    """An empty store."""
    opened = open_store(store_place)
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
