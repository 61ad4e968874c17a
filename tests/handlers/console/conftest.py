"""What tests of the console share: the shipped config on free ports, its app with the sample's people, and edits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import run
from campaigns.settings import Config
from gateway.config import load
from handlers.app import App
from handlers.console.serving import import_sample
from tests.ports import free_ports

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "campaigns" / "sample.csv"
LIVE = {"US_CARRIER": "127.0.0.1:9", "CN_CARRIER": "127.0.0.1:9"}
PORTS = ("0.0.0.0:8080", "127.0.0.1:8081", "127.0.0.1:2775", "127.0.0.1:8082")  # as the shipped file has them
Edit = Callable[..., str]


async def hush(_progress: Mapping[str, Any]) -> None:
    """Nobody listens to progress here."""


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    """A copy of the shipped config on free ports, with its store beside it."""
    text = (ROOT / "config.yaml").read_text("utf-8")
    for shipped, port in zip(PORTS, free_ports(len(PORTS)), strict=True):
        text = text.replace(shipped, f"127.0.0.1:{port}")
    path = tmp_path / "config.yaml"
    path.write_text(text, "utf-8")
    return path


@pytest.fixture
def edit(config_file: Path) -> Edit:
    """Replace words of the config file, which must be there; returns its path."""

    def edited(old: str = "", new: str = "") -> str:
        text = config_file.read_text("utf-8")
        assert old in text
        config_file.write_text(text.replace(old, new) if old else text, "utf-8")
        return str(config_file)

    return edited


@asynccontextmanager
async def opened(config_file: Path, environ: Mapping[str, str]) -> AsyncIterator[App]:
    """The app of a config file, nothing running."""
    async with run.opened(load(config_file, Config, environ).value, config_file, environ) as app:
        yield app


@pytest.fixture
async def app(config_file: Path) -> AsyncIterator[App]:
    """The app of the copy, with nobody in it and nothing applied."""
    async with opened(config_file, {}) as opened_app:
        yield opened_app


@pytest.fixture
async def peopled(app: App, config_file: Path) -> App:
    """The app with the 992 people of the sample."""
    await import_sample(app, str(config_file))
    return app
