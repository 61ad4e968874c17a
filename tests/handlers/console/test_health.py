"""Health says whether the process should go on, readiness whether it can work: for true, with true trouble."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession

import run
from gateway.errors import StoreError
from gateway.store import Tx
from gateway.store.door import SCHEMA
from handlers.app import App
from handlers.console import operations
from handlers.console.doors import doors
from handlers.console.health import LATE_IN_A_ROW, Health, LoopWatch, StoreWatch, zone_data
from tests.handlers.console.conftest import LIVE, Edit, hush, opened


@pytest.fixture
async def serving(peopled: App, edit: Edit) -> AsyncIterator[App]:
    await operations.apply(peopled, hush, config=edit("people: lively", "people: quiet"))
    async with run.serving(peopled, {}) as app:
        yield app


def made(app: App) -> Health:
    return Health(LoopWatch(), StoreWatch(app.store, app.brand))


async def until_ready(app: App, judged: Health) -> dict[str, object]:
    end = time.monotonic() + 10
    while not (told := await judged.ready(app))["ready"]:
        assert time.monotonic() < end, told
        await asyncio.sleep(0.05)
    return told


# --- alive


def test_a_loop_that_is_late_once_lives_and_one_that_is_always_late_does_not() -> None:
    loop = LoopWatch()
    for _ in range(50):
        loop.late(0.01)
    loop.late(20.0)
    assert (loop.worst, loop.is_stuck) == (20.0, False)
    for _ in range(LATE_IN_A_ROW):
        loop.late(1.5)
    assert loop.is_stuck
    loop.late(0.0)
    assert not loop.is_stuck


async def test_a_real_stall_is_noticed() -> None:
    loop = LoopWatch()
    task = asyncio.create_task(loop.run())
    await asyncio.sleep(0.05)
    time.sleep(0.6)  # noqa: ASYNC251  the stall itself
    await asyncio.sleep(0.3)
    task.cancel()
    assert loop.worst > 0.2


# --- ready


async def test_ready_when_every_check_holds(serving: App) -> None:
    judged = made(serving)
    told = await until_ready(serving, judged)
    assert told["checks"] == {
        "staying": {"ok": True, "what": "serving"},
        "store": {"ok": True, "what": "writable"},
        "migrations": {"ok": True, "what": f"schema {SCHEMA}"},
        "lines": {"ok": True, "what": "every channel is served"},
    }
    assert (told["tzdata"], told["tzdata_from"]) == zone_data()
    assert str(told["tzdata"])[:2] == "20"


async def test_a_disk_on_which_nothing_can_be_kept_makes_it_unready_and_never_unhealthy(
    serving: App, config_file: Path
) -> None:
    judged = made(serving)
    await until_ready(serving, judged)
    judged.store._kept_at = float("-inf")  # as if the last commit were long ago
    other = sqlite3.connect(config_file.parent / "data" / "carillon.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # whoever writes now waits, as on a disk that hangs
    began = time.monotonic()
    told = await judged.ready(serving)
    assert time.monotonic() - began < 4
    assert not told["ready"]
    assert not told["checks"]["store"]["ok"]
    assert told["checks"]["lines"]["ok"]
    assert judged.alive()["alive"]
    other.execute("ROLLBACK")
    other.close()
    await until_ready(serving, judged)


async def test_what_the_store_says_is_told(app: App) -> None:
    class Full:
        async def write(self, *_args: object) -> int:
            raise StoreError("the store could not commit: database or disk is full")

    watch = StoreWatch(Full(), 1)  # type: ignore[arg-type]  # a store that only refuses
    assert not await watch.is_writable()
    assert watch.trouble == "the store could not commit: database or disk is full"


async def test_a_store_that_a_newer_program_has_changed_is_not_ours_to_write(serving: App) -> None:
    judged = made(serving)
    await until_ready(serving, judged)
    judged.store.schema += 1
    told = await judged.ready(serving)
    assert (told["ready"], told["checks"]["migrations"]["ok"]) == (False, False)


async def test_a_carrier_that_is_gone_makes_it_unready_and_never_unhealthy(serving: App) -> None:
    judged = made(serving)
    await until_ready(serving, judged)
    assert serving.simulator is not None
    await serving.simulator.stop()
    end = time.monotonic() + 5
    while (told := await judged.ready(serving))["ready"]:
        assert time.monotonic() < end
        await asyncio.sleep(0.05)
    assert sorted(told["unbound"]) == ["cn_sms", "us_sms"]
    assert judged.alive()["alive"]


async def test_a_channel_that_another_stands_in_for_is_not_missed(
    config_file: Path, edit: Edit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """us_sms is a carrier that is not there; a second one on the simulator takes its texts."""
    secret = config_file.parent / "secret"
    secret.write_text("s3cret")
    secret.chmod(0o600)
    monkeypatch.setenv("US_CARRIER", LIVE["US_CARRIER"])
    monkeypatch.setenv("US_PASSWORD_FILE", "secret")
    edit("clock: 18:30, ", "")
    edit("till_pin: 2468", "till_pin: 8642")
    edit("${SITE:-http://localhost:8080}", "https://lantern.example")
    edit("till_pin: 1357", "till_pin: 7531")
    edit(
        "  cn_sms:\n", "  second:\n    kind: smpp\n    carrier: simulator\n    price: 0.0079 USD per part\n  cn_sms:\n"
    )
    path = edit(
        "countries: [US, CA]}\n",
        "countries: [US, CA], fallback: [spare]}\n  spare: {number: 20656, channel: second, countries: [US, CA]}\n",
    )
    async with opened(config_file, os.environ) as app:
        await operations.apply(app, hush, config=path, accept=True)
        async with run.serving(app, os.environ) as served:
            told = await until_ready(served, made(served))
    assert told["unbound"] == []


# --- at the doors


async def test_the_doors_tell_health_and_readiness_and_name_each_request(serving: App) -> None:
    async with doors(serving) as both, ClientSession() as client:
        async with client.get(f"{both.private}/healthz") as answer:
            told = await answer.json()
            assert (answer.status, told["alive"], told["loop_lag_seconds"] < 1) == (200, True, True)
        end = time.monotonic() + 10
        while True:
            async with client.get(f"{both.private}/readyz") as answer:
                assert answer.status == (200 if (await answer.json())["ready"] else 503)
                if answer.status == 200:
                    break
            assert time.monotonic() < end
        for address in (f"{both.private}/status", f"{both.public}/cup", f"{both.public}/nowhere"):
            async with client.get(address) as answer:
                assert re.fullmatch("[0-9a-f]{16}", answer.headers["X-Request-Id"])


async def test_who_leaves_is_not_ready(serving: App) -> None:
    judged = made(serving)
    await until_ready(serving, judged)
    judged.is_leaving = True
    told = await judged.ready(serving)
    assert (told["ready"], told["checks"]["staying"]) == (False, {"ok": False, "what": "draining"})


async def test_the_small_write_touches_one_fact_only(app: App) -> None:
    async def facts(tx: Tx) -> list[str]:
        return [name for name, _ in await tx.rows("fact_list", brand=app.brand, like="%")]

    before = await app.store.read(facts)
    watch = StoreWatch(app.store, app.brand)
    for _ in range(3):
        await watch._try()
    assert sorted({*await app.store.read(facts)} - {*before}) == ["written"]
    assert dict(watch.commits.buckets())["+Inf"] == 3
