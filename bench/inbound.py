"""Texts in, answers out: kept and thanked for, thought about, answered over SMPP; round trips a second, durable.

With --smsc the SMSC there sends the texts (smsc_sink -M N -R -w 1000 -T HOURS -S 20655); otherwise our own
simulator does, as a process of its own.

    python bench/inbound.py --messages 40000 --smsc 127.0.0.1:2790
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.stage import Stage, carrier, installed_loop, phone_of, say

CONFIG = """
brand: {{name: Bench, country: US, timezone: America/Los_Angeles, languages: [en], currency: USD}}
channels:
  carrier:
    {{kind: smpp, carrier: "{smsc}", account: bench, password_file: bench.password, rate: 1000000/s, window: 2000,
     price: 0.0079 USD per part}}
senders: {{shop: {{number: "20655", channel: carrier, countries: [US]}}}}
programs: {{club: {{name: Club, consent: Yes please}}}}
keywords: {{HOURS: {{say: "Pike Place: 7am-7pm every day."}}}}
store: "sqlite:bench.db"
"""


async def main() -> None:
    """Run once and print the figures as one JSON line, last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--smsc", help="HOST:PORT that sends the texts once it is bound to")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="carillon-bench-") as folder:
        async with (
            carrier(options.smsc, texts(options.messages)) as smsc,
            Stage.open(Path(folder), CONFIG.format(smsc=smsc)) as stage,
        ):
            figures = await measure(stage, options.messages)
    print(json.dumps(figures))


def texts(messages: int) -> list[tuple[str, str]]:
    """Each from a phone of its own: one phone that asks without end is answered less and less often."""
    say(f"{messages:,} phones text HOURS")
    return [(phone_of(number), "HOURS") for number in range(messages)]


async def measure(stage: Stage, messages: int) -> dict[str, float]:
    """Serve until every text has its answer with the carrier."""
    cpu = time.process_time()
    first = 0.0
    async with stage.serving():
        started = time.perf_counter()
        while (answered := stage.sent_parts()) < messages:
            await asyncio.sleep(0.01)
            first = first or (time.perf_counter() if answered else 0.0)
            if time.perf_counter() - started > 60 + messages / 500:
                raise SystemExit(f"stuck at {answered} of {messages}")
        seconds = time.perf_counter() - (first or started)
        used = time.process_time() - cpu
    return {
        "messages": messages,
        "round_trips_per_s": round(messages / seconds),
        "cpu_us_per_round_trip": round(used / messages * 1e6, 1),
    }


if __name__ == "__main__":
    installed_loop(main)
