"""A day of messages, compressed: 24 campaigns, an hour of the business clock apart, one after another in one store.

Shows whether planning, claims, receipts and reports get slower as the store grows, how many octets a message takes on
the disk, and how long it takes to drop a day (PostgreSQL): it begins at midnight, so one day has all of it. Everything
runs for real: planner, gate with caps and hours, SMPP to a carrier, receipts, folds. A shared machine changes its pace
from hour to hour, so each hour also bears what a plain loop took beside it (`loop_ms`), and `growth` holds the last
third of the day against the first by CPU per loop.

    python bench/day.py --smsc 127.0.0.1:2790                            # 10 million messages, some 15 minutes
    python bench/day.py --smsc 127.0.0.1:2790 --messages 240000
    python bench/day.py --smsc 127.0.0.1:2790 --store postgresql://...   # an empty database
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.capacity import loop_s
from bench.peers import machine
from bench.stage import Stage, add_people, carrier, installed_loop, say
from campaigns import reports, runs, stories
from campaigns.people import find_by_address
from gateway.store import Store, Tx, postgres_tx

HOURS = 24
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
CONFIG = """
brand: {{name: Bench, country: US, timezone: America/Los_Angeles, languages: [en], currency: USD}}
channels:
  carrier:
    {{kind: smpp, carrier: "{smsc}", account: bench, password_file: bench.password, rate: 1000000/s,
     window: 2000, price: 0.0079 USD per part}}
senders: {{shop: {{number: "20655", channel: carrier, countries: [US]}}}}
programs:
  club: {{name: Club, consent: Yes please, at_most: [30 per 30 d, 24 per 24 h], hours: 0:00-24:00}}
segments: {{everyone: {{age: 10-150}}}}
campaigns:
{campaigns}
store: "{store}"
"""
CAMPAIGN = """  hour_{hour:02}:
    program: club
    audience: {{segment: everyone}}
    senders: [shop]
    send: {{at: apply, within: 20 h}}
    text: "Lantern Coffee: 2 lattes for 1, {{{{ first_name or 'friend' }}}}. Hour {hour}. Reply STOP to end"
"""


async def main() -> None:
    """Fill a day; one JSON line at the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=10_000_000)
    parser.add_argument("--smsc", help="HOST:PORT that takes any bind and sends receipts; else our simulator")
    parser.add_argument("--store", default="sqlite:bench.db", help="An empty PostgreSQL instead: postgresql://…")
    options = parser.parse_args()
    people = -(-options.messages // HOURS)
    report: dict[str, object] = {"date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "machine": machine()}
    with tempfile.TemporaryDirectory(prefix="carillon-day-") as folder:
        campaigns = "".join(CAMPAIGN.format(hour=hour) for hour in range(HOURS))
        async with carrier(options.smsc) as smsc:
            config = CONFIG.format(smsc=smsc, campaigns=campaigns, store=options.store)
            async with Stage.open(Path(folder), config) as stage:
                stage.app.clock.offset_ms += DAY_MS - stage.app.clock.now_ms() % DAY_MS - HOUR_MS  # an hour to midnight
                await add_people(stage, people)
                before = await octets(stage, Path(folder))
                say(f"{people:,} people; sending to all of them {HOURS} times")
                async with stage.serving():
                    hours = [await one_hour(stage, hour, people) for hour in range(HOURS)]
                after = await octets(stage, Path(folder))
                report |= {
                    "messages": people * HOURS,
                    "octets_per_message": round((after - before) / (people * HOURS)),
                    "store_gb": round(after / 1e9, 2),
                    "growth": growth(hours),
                    "hours": hours,
                }
                if stage.app.store.is_shared:
                    report["drop"] = await drop(stage)
    print(json.dumps(report))


async def one_hour(stage: Stage, hour: int, people: int) -> dict[str, float]:
    """One campaign from its launch to the last receipt, then the looks that people take."""
    app, name = stage.app, f"hour_{hour:02}"
    app.clock.offset_ms += HOUR_MS
    pace = loop_s()
    cpu, started = time.process_time(), time.perf_counter()
    planned = 0.0
    await stage.launch(name)
    while True:
        await asyncio.sleep(0.1)
        seconds = time.perf_counter() - started
        standing = await stage.standing(name)
        planned = planned or (seconds if standing.is_planned else 0.0)
        if standing.delivered >= people:
            break
        if seconds > 120 + people / 500:
            raise SystemExit(f"stuck: {standing}")
    used = time.process_time() - cpu
    pace = (pace + loop_s()) / 2
    await asyncio.sleep(1)  # what is folded and copied behind is not the reader's
    run = await app.store.read(runs.find, app.brand, name)
    if run is None:
        raise LookupError(name)
    look = time.perf_counter()
    await reports.report(app.store, app.business, run)
    reported = time.perf_counter()
    person = await app.store.read(find_by_address, app.business, "+12062001500")
    if person is not None:
        await app.store.read(stories.chapters, app.business, person)
    told = time.perf_counter()
    figures = {
        "hour": hour, "planned_per_s": round(people / planned), "delivered_per_s": round(people / seconds),
        "cpu_us_per_message": round(used / people * 1e6, 1), "report_ms": round((reported - look) * 1000, 1),
        "story_ms": round((told - reported) * 1000, 1), "loop_ms": round(pace * 1000),
    }  # fmt: skip
    say(f"  {figures}")
    return figures


def growth(hours: list[dict[str, float]]) -> dict[str, float]:
    """How much dearer the last third of the day was than the first; 1 is not at all. The first hour warms up."""
    first, last = hours[1:9], hours[16:]

    def grew(name: str) -> float:
        return round(statistics.median(map(by_pace(name), last)) / statistics.median(map(by_pace(name), first)), 2)

    return {name: grew(name) for name in ("cpu_us_per_message", "report_ms", "story_ms")}


def by_pace(name: str) -> Callable[[dict[str, float]], float]:
    """A figure of an hour in loops, so that a slow hour of the machine is not taken for growth."""
    return lambda hour: hour[name] / hour["loop_ms"]


async def octets(stage: Stage, folder: Path) -> int:
    """What the store takes on the disk."""
    if stage.app.store.is_shared:
        return await stage.app.store.read(_database_octets)
    return _octets_in(folder)


def _octets_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("bench.db*"))


async def _database_octets(tx: Tx) -> int:
    if not isinstance(tx, postgres_tx.Tx):
        raise TypeError("only PostgreSQL tells its size")
    return int(await (await tx.line()).fetchval("SELECT pg_database_size(current_database())"))


async def drop(stage: Stage) -> dict[str, float]:
    """How long it takes to let go of the day in which everything was sent, and how long a write beside it waits.

    A day that is older than the retention has long been written to the disk. So it is here, before the clock runs.
    """
    store, now = stage.app.store, stage.app.clock.now_ms()
    await store.read(_checkpoint)
    await store.let_go(now + DAY_MS, 1)  # days before this one, on which nothing was sent
    gone = asyncio.Event()
    waits = asyncio.create_task(_longest_write(store, gone))
    started = time.perf_counter()
    dropped = await store.let_go(now + 2 * DAY_MS, 1)
    seconds = time.perf_counter() - started
    gone.set()
    figures = {"days": dropped, "seconds": round(seconds, 3), "longest_write_ms": round(await waits * 1000, 1)}
    say(f"  dropped: {figures}")
    return figures


async def _longest_write(store: Store, gone: asyncio.Event) -> float:
    """How long the slowest of many small writes took, in seconds."""
    longest = 0.0
    while not gone.is_set():
        started = time.perf_counter()
        await store.write(_nothing)
        longest = max(longest, time.perf_counter() - started)
        await asyncio.sleep(0.005)
    return longest


async def _nothing(tx: Tx) -> None:
    await tx.run("cursor_set", name="bench", brand=1, n=0)


async def _checkpoint(tx: Tx) -> None:
    """Have the server write everything, where we may ask that of it."""
    if isinstance(tx, postgres_tx.Tx):
        with contextlib.suppress(asyncpg.InsufficientPrivilegeError):
            await (await tx.line()).execute("CHECKPOINT")


if __name__ == "__main__":
    installed_loop(main)
