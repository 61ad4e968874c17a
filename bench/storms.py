"""Bad weather: a carrier that throttles, a carrier that is away, a campaign in front of urgent texts; nothing is lost.

Each storm runs the whole gateway with a campaign and puts one urgent text every tenth of a second beside it. The
carrier is the simulator as a process of its own; what it took, and when, stands in its log.

    python bench/storms.py                                          # a quick look at all three, some two minutes
    python bench/storms.py throttle --messages 20000                # takes 500 a second of the 2,000 that we may send
    python bench/storms.py outage --messages 100000 --seconds 600   # ten minutes away, a hundred thousand waiting
    python bench/storms.py fairness --messages 1000000              # a million before, beside and behind urgent texts
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from rich.console import Console
from rich.table import Table

from bench.stage import Stage, add_people, installed_loop, phone_of, say
from campaigns import people, replies
from gateway.messages import Outbound, State
from gateway.store import Tx
from tests.ports import free_port

Figures = dict[str, float]
ROOT = Path(__file__).parent.parent
CONFIG = """
brand: {{name: Bench, country: US, timezone: America/Los_Angeles, languages: [en], currency: USD}}
channels:
  carrier:
    {{kind: smpp, carrier: "127.0.0.1:{port}", account: bench, password_file: bench.password, rate: {rate}/s,
     window: 200, price: 0.0079 USD per part}}
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
store: "sqlite:bench.db"
"""
URGENT_EVERY_S = 0.1
URGENT_PEOPLE = 1_000  # who get urgent texts in turn, beside the campaign
STUCK_S = 120.0  # without progress


class Smsc:
    """The carrier, which comes and goes at one address; its log stays."""

    def __init__(self, folder: Path, *options: object) -> None:
        self.port = free_port()
        self._log = folder / "carrier.log"
        self._options = [str(each) for each in options]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Listen."""
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", "gateway.channels.simulator", "--port", str(self.port), "--log", str(self._log),
                "--number", "20655=bench", "--keep", "0", "--delay-ms", "100", "500", *self._options,
            ],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        if self._process.stdout is None or not self._process.stdout.readline():
            raise SystemExit("the simulator did not start")

    def stop(self) -> None:
        """Fall dead, with all lines and receipts."""
        if self._process is not None:
            self._process.kill()
            with self._process:
                self._process = None

    def taken(self) -> list[tuple[int, str, str]]:
        """When, to whom and what, for each text that it took."""
        with self._log.open(encoding="utf-8") as lines:
            told = map(json.loads, lines)
            return [(each["at_ms"], each["recipient"], each["text"]) for each in told]


class Weather:
    """A campaign under way with urgent texts beside it, and what was seen of both."""

    def __init__(self, stage: Stage, smsc: Smsc, messages: int) -> None:
        self.stage, self.smsc, self.messages = stage, smsc, messages
        self.attempts: Counter[int] = Counter()  # by message
        self.urgent: dict[str, int] = {}  # what was put, and when
        self.began = time.monotonic()

    @classmethod
    @asynccontextmanager
    async def over(cls, folder: Path, smsc: Smsc, messages: int, rate: int) -> AsyncIterator[Weather]:
        """Everything runs, the campaign is launched, urgent texts are put."""
        async with Stage.open(folder, CONFIG.format(port=smsc.port, rate=rate)) as stage:
            await add_people(stage, messages)
            weather = cls(stage, smsc, messages)
            async with stage.serving():
                weather.count_attempts()
                await stage.launch("big")
                putting = asyncio.create_task(weather.put_urgent())
                try:
                    yield weather
                finally:
                    putting.cancel()
                    with suppress(asyncio.CancelledError):
                        await putting

    def count_attempts(self) -> None:
        """Look over the channel's shoulder at what is handed to it, less what it hands back."""
        gateway = self.stage.app.gateway
        if gateway is None:
            raise RuntimeError("nothing serves")
        channel = gateway.channels["carrier"]
        send = channel.send

        def counting(batch: Sequence[Outbound]) -> list[Outbound]:
            untouched = send(batch)
            self.attempts.update(each.id for each in batch)
            self.attempts.subtract(each.id for each in untouched)
            return untouched

        channel.send = counting  # type: ignore[method-assign]  # a measurement, which must not change what it measures

    async def put_urgent(self) -> None:
        """One every tenth of a second, each to another phone and with other words."""
        app = self.stage.app
        for n in range(10**9):
            words = f"Your code is {n:06}"
            self.urgent[words] = int(time.time() * 1000)
            await app.store.write(self._put, phone_of(5_000_000 + n % URGENT_PEOPLE), words)
            if app.gateway:
                app.gateway.wake()
            await asyncio.sleep(URGENT_EVERY_S)

    async def _put(self, tx: Tx, phone: str, words: str) -> None:
        app = self.stage.app
        now = app.clock.now_ms()
        person = await people.find_or_create(tx, app.business, phone, now)
        if person is None:
            raise RuntimeError(f"{phone} is no phone")
        reply = await replies.reply(tx, app.business, person, "20655", "carrier", words, answers=0, now=now)
        await replies.put(tx, [reply] if reply else [], now)

    async def until(self, is_so: Callable[[], Awaitable[bool]], pause_s: float = 0.25) -> None:
        """Wait for something; give up when nothing at all has moved for long."""
        moved_at, seen = time.monotonic(), -1
        while not await is_so():
            await asyncio.sleep(pause_s)
            if (now := self.stage.sent_parts()) != seen:
                moved_at, seen = time.monotonic(), now
            if time.monotonic() - moved_at > STUCK_S:
                raise SystemExit(f"stuck: {await self.stage.standing('big')}")

    async def is_planned(self) -> bool:
        """Whether everybody waits in the queue."""
        return (await self.stage.standing("big")).is_planned

    async def is_over(self) -> bool:
        """Whether nothing of the campaign waits or is on its way."""
        standing = await self.stage.standing("big")
        return standing.is_planned and not standing.waterfall.in_state(State.QUEUED)

    async def in_state(self, state: State) -> int:
        """Messages of the campaign that stand so."""
        return (await self.stage.standing("big")).waterfall.in_state(state)

    # --- figures

    def waits(self, since_ms: float = 0, until_ms: float = float("inf")) -> list[float]:
        """How long urgent texts of a stretch of time waited, in milliseconds, sorted; infinite for what never came."""
        came = {words: at for at, _, words in reversed(self.smsc.taken())}
        put = [(words, at) for words, at in self.urgent.items() if since_ms <= at < until_ms]
        return sorted(came.get(words, float("inf")) - at for words, at in put)

    def copies(self, doubts: int) -> Figures:
        """What became of the campaign by the carrier's log, and how often each text was tried."""
        texts = Counter(phone for _, phone, words in self.smsc.taken() if words not in self.urgent)
        tried = [count for count in self.attempts.values() if count]
        return {
            "texts": self.messages,
            "taken": len(texts),
            "doubts": doubts,
            "lost": max(0, self.messages - len(texts) - doubts),  # neither there nor told as open
            "twice": sum(count > 1 for count in texts.values()),
            "attempts_most": max(tried, default=0),
            "attempts_mean": round(sum(tried) / max(1, len(tried)), 3),
        }

    def taken_in_each(self, length_ms: int, since_ms: float, count: int) -> list[int]:
        """Texts that the carrier took in each of so many stretches of time."""
        found = Counter(int((at - since_ms) // length_ms) for at, _, _ in self.smsc.taken() if at >= since_ms)
        return [found[n] for n in range(count)]


def waiting(name: str, waits: Sequence[float]) -> Figures:
    """Median, 99th percentile and the longest, in milliseconds."""
    if not waits:
        return {f"{name}_count": 0}
    return {
        f"{name}_count": len(waits),
        f"{name}_p50_ms": waits[len(waits) // 2],
        f"{name}_p99_ms": waits[int(len(waits) * 0.99)],
        f"{name}_most_ms": waits[-1],
    }


# --- the storms


async def throttle(folder: Path, options: argparse.Namespace) -> Figures:
    """A carrier that takes a quarter of what it had promised, and refuses the rest as too much."""
    messages, rate = options.messages or 5_000, options.rate or 2_000
    smsc = Smsc(folder, "--throttle", rate // 4)
    smsc.start()
    try:
        async with Weather.over(folder, smsc, messages, rate) as weather:
            await weather.until(weather.is_over)
            seconds = time.monotonic() - weather.began
            await asyncio.sleep(5)  # urgent texts that were refused at last are tried again meanwhile
            last = time.time() * 1000 - 5_000
            doubts = await weather.in_state(State.IN_DOUBT)
    finally:
        smsc.stop()
    return {
        **weather.copies(doubts), "carrier_takes_per_s": rate // 4, "taken_per_s": round(messages / seconds),
        **waiting("urgent", weather.waits(until_ms=last)),
    }  # fmt: skip


async def outage(folder: Path, options: argparse.Namespace) -> Figures:
    """A carrier that falls dead with everything queued, refuses every line for long, and comes back."""
    messages, rate = options.messages or 20_000, options.rate or 1_000
    smsc = Smsc(folder)
    smsc.start()
    try:
        async with Weather.over(folder, smsc, messages, rate) as weather:
            await weather.until(weather.is_planned)
            await asyncio.sleep(5)
            say(f"{await weather.in_state(State.QUEUED):,} wait; the carrier goes")
            smsc.stop()
            went, cpu = time.time() * 1000, time.process_time()
            tried = await refuse(smsc.port, options.seconds)
            cpu = time.process_time() - cpu
            waited = await weather.in_state(State.QUEUED)
            smsc.start()
            came = time.time() * 1000
            say(f"the carrier is back; {len(tried)} calls while it was away; {waited:,} wait")
            await weather.until(weather.is_over)
            await asyncio.sleep(2)
            last = time.time() * 1000 - 2_000
            doubts = await weather.in_state(State.IN_DOUBT)
    finally:
        smsc.stop()
    first = min(at for at, _, _ in smsc.taken() if at >= came)
    ramp = weather.taken_in_each(1_000, first, 20)
    gaps = [after - before for before, after in pairwise(tried)]
    say(f"texts in each second after the return: {ramp}; in each tenth: {weather.taken_in_each(100, first, 10)}")
    return {
        **weather.copies(doubts), "queued": waited, "away_s": options.seconds, "calls_while_away": len(tried),
        "calls_in_one_second_most": most_in_a_second(tried), "longest_pause_s": round(max(gaps, default=0), 1),
        "cpu_while_away_percent": round(100 * cpu / options.seconds, 1),
        "recovered_after_s": round((first - came) / 1000, 1),
        "full_rate_after_s": next((n for n, count in enumerate(ramp) if count >= 0.9 * rate), -1),
        "rate": rate, "first_second": ramp[0], "fullest_second": max(ramp),
        **waiting("urgent_before", weather.waits(until_ms=went - 2_000)),
        **waiting("urgent_after", weather.waits(since_ms=first + 2_000, until_ms=last)),
    }  # fmt: skip


async def refuse(port: int, seconds: float) -> list[float]:
    """Answer every call for so long by hanging up; when they came, in seconds."""
    called: list[float] = []

    def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.append(time.monotonic())
        writer.transport.abort()

    server = await asyncio.start_server(hang_up, "127.0.0.1", port)
    await asyncio.sleep(seconds)
    server.close()
    await server.wait_closed()
    return called


def most_in_a_second(times: Sequence[float]) -> int:
    """The most that fell into any second."""
    return max((sum(first <= each < first + 1 for each in times) for first in times), default=0)


async def fairness(folder: Path, options: argparse.Namespace) -> Figures:
    """A campaign that keeps its channel busy at its full rate for as long as it lasts."""
    messages, rate = options.messages or 20_000, options.rate or 1_000
    smsc = Smsc(folder)
    smsc.start()
    try:
        async with Weather.over(folder, smsc, messages, rate) as weather:
            await weather.until(weather.is_over)
            last, seconds = time.time() * 1000, time.monotonic() - weather.began
            doubts = await weather.in_state(State.IN_DOUBT)
            await asyncio.sleep(1)
    finally:
        smsc.stop()
    return {
        **weather.copies(doubts), "rate": rate, "taken_per_s": round(messages / seconds),
        **waiting("urgent", weather.waits(until_ms=last)),
    }  # fmt: skip


STORMS = {"throttle": throttle, "outage": outage, "fairness": fairness}


async def main() -> None:
    """Run the storms that were asked for; a table to read, and one JSON line last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("storm", nargs="?", choices=STORMS, help="one of them; else all")
    parser.add_argument("--messages", type=int, help="texts of the campaign")
    parser.add_argument("--rate", type=int, help="what the channel may carry, in texts a second")
    parser.add_argument("--seconds", type=float, default=30, help="how long the carrier is away (600 for the record)")
    options = parser.parse_args()
    found: dict[str, Figures] = {}
    for name in [options.storm] if options.storm else STORMS:
        say(f"{name}: {(STORMS[name].__doc__ or '').strip()}")
        with tempfile.TemporaryDirectory(prefix="carillon-storm-") as folder:
            found[name] = await STORMS[name](Path(folder), options)
        show(name, found[name])
    print(json.dumps(found))


def show(name: str, figures: Figures) -> None:
    """One storm for people to read."""
    table = Table("figure", "value", title=name)
    table.columns[1].justify = "right"
    for figure, value in figures.items():
        table.add_row(figure.replace("_", " "), f"{value:,}")
    Console(stderr=True).print(table)


if __name__ == "__main__":
    installed_loop(main)
