"""A house to which the shop may bind, for tests with our own client and with foreign ones."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.channels.smpp_server import Server
from handlers.api import smpp as door
from handlers.app import App
from tests.ports import free_ports

PORTS = ("public", "private", "smsc", "api")
LONG = "A long text of a program, which goes out in several pieces and comes back as one. " * 4


def bindable(config_file: Path) -> Path:
    """The same config, by which the shop may bind and may use one sender."""
    text = config_file.read_text("utf-8")
    shop = "shop: {receives: [seattle], senders: [seattle], rate: 1000/s, smpp: {binds: 2, window: 200}}"
    text = re.sub("^  shop: .*$", f"  {shop}", text, flags=re.MULTILINE)
    ports = ", ".join(f"{name}: 127.0.0.1:{port}" for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True))
    text = re.sub("^listen:.*$", f"listen: {{{ports}, smpp: 127.0.0.1:0}}", text, flags=re.MULTILINE)
    config_file.write_text(text, "utf-8")
    return config_file


@asynccontextmanager
async def open_door(app: App) -> AsyncIterator[Server]:
    """The port for programs, open."""
    async with door.smpp_door(app, app.business.config) as server:
        assert server is not None
        yield server
