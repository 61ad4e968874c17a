"""A courier in a process of its own, which a test may kill: STORE, URL, and by how much its clock is ahead, in ms."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gateway.clock import Clock
from gateway.courier import Courier, Outgoing
from gateway.notices import Notice
from gateway.store import open_store

CLIENT = 101


async def main(store: str, url: str, ahead_ms: str) -> None:
    def shape(notice: Notice, _house: Any) -> Outgoing:
        return Outgoing("POST", url, {"webhook-id": str(notice.id)}, notice.body.encode(), private=True)

    house = SimpleNamespace(clients={"shop": SimpleNamespace(id=CLIENT)})
    opened = open_store(store if "://" in store else Path(store))
    await Courier(opened, Clock(int(ahead_ms)), lambda: house, {"webhook": shape}).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
