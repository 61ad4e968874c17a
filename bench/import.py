"""Rows of a customer file a second: read, checked, numbers to E.164, merged into the store with consent, durable.

python bench/import.py --rows 200000
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.stage import Stage, installed_loop, say
from campaigns import importing, people

CONFIG = """
brand: {name: Bench, country: US, timezone: America/Los_Angeles, languages: [en, zh], currency: USD}
channels: {carrier: {kind: smpp, carrier: simulator, rate: 100/s, price: 0.0079 USD per part}}
senders: {shop: {number: "20655", channel: carrier, countries: [US]}}
programs: {club: {name: Club, consent: Yes please}}
attributes: {favourite: [latte, mocha, tea], tier: [gold, silver, bronze]}
store: "sqlite:bench.db"
"""


async def main() -> None:
    """Run once and print the figures as one JSON line, last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="carillon-bench-") as folder:
        path = Path(folder) / "people.csv"
        write_file(path, options.rows)
        async with Stage.open(Path(folder), CONFIG) as stage:
            say(f"{options.rows:,} rows, {path.stat().st_size / 1e6:.0f} MB")
            figures = await measure(stage, path, options.rows)
    print(json.dumps(figures))


def write_file(path: Path, rows: int) -> None:
    """A made-up customer file, numbers as people write them."""
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(
            ["Phone", "First name", "Last name", "City", "Language", "Birthday", "favourite", "tier", "consent"]
        )
        for n in range(rows):
            number = 2_000_000 + n * 7_919 % 7_000_000  # not in order, as no real file is
            phone = f"(206) {number // 10_000}-{number % 10_000:04}"
            out.writerow(
                [phone, f"Name{n % 977}", "Smith", "Seattle", "en", f"{1960 + n % 45}-03-14",
                 ("latte", "mocha", "tea")[n % 3], ("gold", "silver", "bronze")[n % 3], "yes"]
            )  # fmt: skip


async def measure(stage: Stage, path: Path, rows: int) -> dict[str, float]:
    """Read the file batch by batch; each is committed with its checkpoint while the next is read."""
    app, business = stage.app, stage.app.business
    cpu, started = time.process_time(), time.perf_counter()
    counts, writing = people.Counts(), None
    with path.open("rb") as file:
        attributes = {name: list(each.values) for name, each in business.config.attributes.items()}
        for batch in importing.read(
            file, country="US", languages=["en", "zh"], attributes=attributes, now_ms=app.clock.now_ms(),
            timezone=business.config.brand.timezone,
        ):  # fmt: skip
            if writing is not None:
                counts = await writing
            writing = asyncio.ensure_future(
                app.store.write_bulk(
                    people.import_batch, business, batch, "club", "digest", path.name, counts, app.clock.now_ms()
                )
            )
            await asyncio.sleep(0)  # so that it is handed over before the next batch is read
        if writing is not None:
            counts = await writing
    seconds, used = time.perf_counter() - started, time.process_time() - cpu
    if counts.new != rows:
        raise SystemExit(f"{counts} of {rows}")
    return {
        "rows": rows,
        "rows_per_s": round(rows / seconds),
        "cpu_us_per_row": round(used / rows * 1e6, 1),
        "rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


if __name__ == "__main__":
    installed_loop(main)
