"""A serving process for fault tests: applies its config, launches its campaign once, and runs until it is killed."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import run
from campaigns import runs, versions
from campaigns.settings import Config
from gateway.config import load


async def main(path: Path) -> None:
    """Serve; say `ready` when everything has been taken over."""
    loaded = load(path, Config, os.environ)
    async with run.opened(loaded.value, path, os.environ) as app:
        now = app.clock.now_ms()
        version = await app.store.write(versions.keep, app.brand, loaded, path, now)
        app.take(await run.business_of(app, loaded.value, version))
        async with run.serving(app, os.environ):
            for campaign in app.business.config.campaigns.values():
                await app.store.write(runs.launch, app.business, campaign, now)
            print("ready", flush=True)
            await run.until_asked_to_stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
