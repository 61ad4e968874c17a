"""The parts as run.py puts them together."""

from __future__ import annotations

import pytest

import run
from campaigns.settings import Config
from gateway.clock import Clock
from gateway.store import Store


async def test_a_demos_clock_never_goes_back_though_the_process_was_killed(
    store: Store, shipped_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall_ms = 1_800_000_000_000
    monkeypatch.setattr("gateway.clock.wall_ms", lambda: wall_ms)
    clock = Clock(await store.write(run.set_clock, shipped_config))
    await store.write(run.keep_clock, clock, 2 * run.CLOCK_S)
    wall_ms += int(run.CLOCK_S * 1000)
    before = clock.now_ms()

    restarted = Clock(await store.write(run.set_clock, shipped_config))

    assert restarted.now_ms() >= before
