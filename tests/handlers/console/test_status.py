"""How everything stands, as each process of a fleet tells it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import run
from campaigns.settings import Config
from gateway.config import load
from handlers.app import App
from handlers.console import operations
from handlers.console.status import lines
from tests.handlers.console.conftest import Edit, hush
from tests.servers import PostgresServer


@pytest.fixture
def url(postgres: PostgresServer) -> Iterator[str]:
    """An empty database."""
    lent = postgres.lend()
    yield lent
    postgres.take_back(lent)


def held_by(app: App) -> set[str]:
    return {each["held_by"] for each in lines(app)}


async def test_lines_that_another_process_holds_are_told_as_such(config_file: Path, edit: Edit, url: str) -> None:
    path = edit("sqlite:data/carillon.db", url)
    config = load(config_file, Config, {}).value
    async with run.opened(config, config_file, {}, ["web"]) as web:
        await operations.apply(web, hush, config=path)
        assert web.fleet is not None
        async with run.serving(web, {}):
            await web.fleet.beat()
            assert held_by(web) == {"nobody"}
            async with run.opened(config, config_file, {}, ["plan", "dispatch"]) as sender, run.serving(sender, {}):
                await web.fleet.beat()
                assert held_by(sender) == {""}
                assert held_by(web) == {"another process"}
