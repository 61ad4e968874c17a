"""A campaign of N texts through SMPP to an SMSC, with receipts: planned, submitted and delivered a second.

The store is durable (every commit synced), a cap and hours are on, STOP is checked at the claim, and a
message counts as delivered when its receipt has been recorded, thanked for and folded into its state.

    python bench/mt.py --messages 200000 --smsc 127.0.0.1:2790
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.stage import Stage, add_people, carrier, installed_loop, say

CONFIG = """
brand: {{name: Bench, country: US, timezone: America/Los_Angeles, languages: [en], currency: USD}}
channels:
  carrier:
    {{kind: smpp, carrier: "{smsc}", account: bench, password_file: bench.password, rate: 1000000/s,
     window: {window}, price: 0.0079 USD per part}}
senders: {{shop: {{number: "20655", channel: carrier, countries: [US]}}}}
programs:
  club: {{name: Club, consent: Yes please, at_most: [4 per 30 d, 2 per 24 h], hours: 0:00-24:00}}
segments: {{everyone: {{age: 10-150}}}}
campaigns:
  big:
    program: club
    audience: {{segment: everyone}}
    senders: [shop]
    send: {{at: apply, within: 20 h}}
    text: "Lantern Coffee: 2 lattes for 1, {{{{ first_name or 'friend' }}}}. Show this text. Reply STOP to end"
store: "{store}"
"""


async def main() -> None:
    """Run once and print the figures as one JSON line, last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--smsc", help="HOST:PORT that takes any bind and sends receipts; else our simulator")
    parser.add_argument("--store", default="sqlite:bench.db", help="An empty PostgreSQL instead: postgresql://…")
    parser.add_argument("--window", type=int, default=2000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="carillon-bench-") as folder:
        async with (
            carrier(options.smsc) as smsc,
            Stage.open(Path(folder), CONFIG.format(smsc=smsc, window=options.window, store=options.store)) as stage,
        ):
            await add_people(stage, options.messages)
            say(f"{options.messages:,} people; sending")
            figures = await measure(stage, options.messages)
    print(json.dumps(figures))


async def measure(stage: Stage, messages: int) -> dict[str, float]:
    """Launch, and wait until every text is delivered."""
    cpu, started = time.process_time(), time.perf_counter()
    planned = submitted = delivered = 0.0
    async with stage.serving():
        await stage.launch("big")
        while True:
            await asyncio.sleep(0.05)
            seconds = time.perf_counter() - started
            standing = await stage.standing("big")
            planned = planned or (seconds if standing.is_planned else 0.0)
            submitted = submitted or (seconds if stage.sent_parts() >= messages else 0.0)
            if standing.delivered >= messages:
                delivered = seconds
                break
            if seconds > 60 + messages / 500:
                raise SystemExit(f"stuck: {standing}")
        used = time.process_time() - cpu
    return {
        "messages": messages,
        "planned_per_s": round(messages / planned),
        "submitted_per_s": round(messages / submitted),
        "delivered_per_s": round(messages / delivered),
        "cpu_us_per_message": round(used / messages * 1e6, 1),
        "rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


if __name__ == "__main__":
    installed_loop(main)
