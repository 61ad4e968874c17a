"""Carillon beside Kannel: one run, one machine, the same far end, in turns; medians of N rounds.

Kannel sends in bulk (mtbatch) with nothing kept and no receipts, with receipts, and with receipts and its spool
store; ours sends a campaign, durable, with receipts, a cap, hours and STOP checked at the claim. Then texts come in and
are answered. Kannel's figures are those of its wire: from the first to the last message that the far end sees. Ours
begin at the launch, planning included, and end when the report counts the last message as delivered.

    python bench/peers.py                              # everything: some ten minutes
    python bench/peers.py --rounds 1 --share 0.1       # a look: every count a tenth
    python bench/peers.py --only ours                  # cases whose names begin so
    python bench/peers.py --seconds 60                 # ours alone, on and on: does it slow down?
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from rich.console import Console
from rich.table import Table

from bench import inbound, mt
from bench.capacity import loop_s
from bench.kannel import INSTALL, TICKS, answers, bulk, find, peak_mb, version
from bench.sink import compiled, sink
from bench.stage import Stage, add_people, installed_loop, say

Figures = dict[str, float]
WINDOW = 2000
PLAIN = ("-d", 1)
HARD = ("-d", 1, "-x", "-D", 500)  # scrambled carrier ids, receipts half a second late
WINDOW_S = 10.0

# --- what is measured


@dataclass
class Case:
    """One row of the table: how it is run, and what came of each round."""

    name: str
    about: str
    run: Callable[[Path], Figures]
    rounds: list[Figures] = field(default_factory=list)

    def of(self, key: str) -> float | None:
        """The median of a figure."""
        found = [each[key] for each in self.rounds if key in each]
        return statistics.median(found) if found else None


def cases(options: argparse.Namespace, program: Path, people: Path) -> list[Case]:
    """All that one round goes through, Kannel and ours in turns."""

    def count(texts: int) -> int:
        return max(1_000, int(texts * options.share))

    texts = count(options.messages)
    ours = [
        Case("ours campaign", "durable, receipts, cap, hours, STOP", partial(campaign, program, people, texts, PLAIN)),
        Case("ours campaign, hard", "and scrambled ids, receipts 0.5 s late",
             partial(campaign, program, people, texts, HARD)),
        Case("ours answers", "durable, kept before thanks", partial(replies, program, count(options.texts))),
    ]  # fmt: skip
    kannel = find()
    if kannel is None:
        say(f"Kannel is not here, so ours goes alone; to measure beside it: {INSTALL}")
        return ours
    send, reply = partial(bulk, kannel, program), partial(answers, kannel, program)
    theirs = [
        Case("kannel bulk", "no store, no receipts",
             partial(send, texts=count(150_000), receipts=False, store="none")),
        Case("kannel bulk, receipts", "no store", partial(send, texts=count(60_000), receipts=True, store="none")),
        Case("kannel bulk, spool", "receipts; a file each, not synced",
             partial(send, texts=count(20_000), receipts=True, store="spool")),
        Case("kannel answers", "no store, a fixed text",
             partial(reply, texts=count(40_000), answer="text", store="none")),
        Case("kannel answers, get-url", "no store, the text asked over HTTP",
             partial(reply, texts=count(40_000), answer="get-url", store="none")),
        Case("kannel answers, spool", "a fixed text; a file each, not synced",
             partial(reply, texts=count(10_000), answer="text", store="spool")),
    ]  # fmt: skip
    return [theirs[0], ours[0], theirs[1], ours[1], theirs[2], theirs[3], ours[2], theirs[4], theirs[5]]


RATIOS = {
    "campaign / Kannel with everything off": ("ours campaign", "kannel bulk"),
    "campaign / Kannel with receipts": ("ours campaign", "kannel bulk, receipts"),
    "campaign / Kannel with receipts and spool": ("ours campaign", "kannel bulk, spool"),
    "hard campaign / Kannel with everything off": ("ours campaign, hard", "kannel bulk"),
    "hard campaign / Kannel with receipts": ("ours campaign, hard", "kannel bulk, receipts"),
    "answers / Kannel": ("ours answers", "kannel answers"),
    "answers / Kannel by get-url": ("ours answers", "kannel answers, get-url"),
    "answers / Kannel with spool": ("ours answers", "kannel answers, spool"),
}

# --- ours; each measurement in a process of its own


def alone(function: Callable[..., Figures], *arguments: object) -> Figures:
    """Call in a fresh process, so that memory and CPU are this measurement's own."""
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=fresh) as pool:
        return pool.submit(function, *arguments).result()


def in_loop(work: Callable[[], Coroutine[Any, Any, Figures]]) -> Figures:
    """Run on the loop that we serve with."""
    found: Figures = {}

    async def main() -> None:
        found.update(await work())

    installed_loop(main)
    return found


def campaign(program: Path, people: Path, texts: int, options: tuple[object, ...], folder: Path) -> Figures:
    """A campaign to all people of the prepared store."""
    shutil.copytree(people, folder)
    with sink(program, *options) as far:
        config = mt.CONFIG.format(smsc=far.address, window=WINDOW, store="sqlite:bench.db")
        return alone(_campaign, folder, config, texts)


def _campaign(folder: Path, config: str, texts: int) -> Figures:
    async def work() -> Figures:
        async with Stage.open(folder, config) as stage:
            found = await mt.measure(stage, texts)
        return {
            "per_s": found["delivered_per_s"], "done": texts, "cpu_us": found["cpu_us_per_message"],
            "rss_mb": peak_mb(), "planned_per_s": found["planned_per_s"], "submitted_per_s": found["submitted_per_s"],
        }  # fmt: skip

    return in_loop(work) | latency(folder / "bench.db")


def replies(program: Path, texts: int, folder: Path) -> Figures:
    """So many phones text HOURS, and each gets its answer; 1,000 outstanding."""
    folder.mkdir()
    with sink(program, "-M", texts, "-w", 1000, "-R", "-T", "HOURS", "-S", "20655") as far:
        ours = alone(_replies, folder, inbound.CONFIG.format(smsc=far.address), texts)
        seen = far.stopped()
    return ours | {
        "per_s": seen["round_trip_per_s"], "done": seen["round_trips"], "p50_ms": seen.get("lat_ms_p50", 0.0),
        "p99_ms": seen.get("p99", 0.0),
    }  # fmt: skip


def _replies(folder: Path, config: str, texts: int) -> Figures:
    async def work() -> Figures:
        async with Stage.open(folder, config) as stage:
            found = await inbound.measure(stage, texts)
        return {"cpu_us": found["cpu_us_per_round_trip"], "rss_mb": peak_mb()}

    return in_loop(work)


def prepare(folder: Path, people: int) -> Figures:
    """A store with so many subscribers, which each measurement takes a copy of."""

    async def work() -> Figures:
        async with Stage.open(
            folder, mt.CONFIG.format(smsc="127.0.0.1:1", window=WINDOW, store="sqlite:bench.db")
        ) as stage:
            await add_people(stage, people)
        return {}

    return in_loop(work)


# --- how long a message takes, read from the store afterwards; all SQL of this file stands here

TIMES = """
SELECT m.person, e.sent, e.delivered, r.times
FROM (SELECT message, min(CASE state WHEN 20 THEN at END) AS sent, max(CASE state WHEN 50 THEN at END) AS delivered
      FROM event GROUP BY message) e
JOIN message m ON m.id = e.message LEFT JOIN reach r ON r.person = m.person AND r.program = m.program
ORDER BY m.person, m.id
"""


def latency(store: Path) -> Figures:
    """Milliseconds between claim, the carrier's answer and the receipt, at the middle and the 99th percentile.

    A claim is charged against the caps: that is its time (`reach.times`, 8 octets each, oldest first). Empty
    where the tables are other than this expects: then a look at `TIMES` is due.
    """
    spans = {"answer": array("q"), "receipt": array("q"), "whole": array("q")}
    person, place = None, 0
    try:
        with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
            for who, sent, delivered, times in connection.execute(TIMES):
                place = place + 8 if who == person else 0
                person = who
                claimed = int.from_bytes((times or b"")[place : place + 8], "little")
                if delivered is None or sent is None or not claimed:
                    continue
                spans["answer"].append(sent - claimed)
                spans["receipt"].append(delivered - sent)
                spans["whole"].append(delivered - claimed)
    except sqlite3.Error as error:
        say(f"no latency: {error}")
    found: Figures = {}
    for name, values in spans.items():
        if values:
            ordered = sorted(values)
            found |= {f"{name}_p50_ms": ordered[len(ordered) // 2], f"{name}_p99_ms": ordered[len(ordered) * 99 // 100]}
    if "whole_p50_ms" in found:
        found |= {"p50_ms": found["whole_p50_ms"], "p99_ms": found["whole_p99_ms"]}
    return found


# --- on and on

RUNS = 60  # launches at most; each is to everybody, so the caps must allow as many
STEADY = """
brand: {{name: Bench, country: US, timezone: America/Los_Angeles, languages: [en], currency: USD}}
channels:
  carrier:
    {{kind: smpp, carrier: "{smsc}", account: bench, password_file: bench.password, rate: 1000000/s,
     window: {window}, price: 0.0079 USD per part}}
senders: {{shop: {{number: "20655", channel: carrier, countries: [US]}}}}
programs:
  club: {{name: Club, consent: Yes please, at_most: [{runs} per 30 d, {runs} per 24 h], hours: 0:00-24:00}}
segments: {{everyone: {{age: 10-150}}}}
campaigns:
{campaigns}
store: "sqlite:bench.db"
"""
ONE = """
  big{number}:
    program: club
    audience: {{segment: everyone}}
    senders: [shop]
    send: {{at: apply, within: 20 h}}
    text: "Lantern Coffee: 2 lattes for 1, {{{{ first_name or 'friend' }}}}. Show this text. Reply STOP to end"
"""


def steady(program: Path, people: Path, texts: int, seconds: float, folder: Path) -> Figures:
    """Campaign after campaign for so long, the hard way: rates by windows of ten seconds."""
    shutil.copytree(people, folder)
    with sink(program, *HARD) as far:
        campaigns = "".join(ONE.format(number=number) for number in range(RUNS))
        config = STEADY.format(smsc=far.address, window=WINDOW, runs=RUNS, campaigns=campaigns)
        return alone(_steady, folder, config, texts, seconds)


def _steady(folder: Path, config: str, texts: int, seconds: float) -> Figures:
    async def work() -> Figures:
        async with Stage.open(folder, config) as stage, stage.serving():
            return await windows(stage, texts, seconds)

    return in_loop(work) | latency(folder / "bench.db")


async def windows(stage: Stage, texts: int, seconds: float) -> Figures:
    """Launch the next campaign when half an audience is left; what was delivered in each window."""
    found: Figures = {}
    started, cpu = time.perf_counter(), time.process_time()
    seen_at, seen = started, 0
    launched = over = delivered = 0  # `over`: campaigns that are delivered to the last, and need no more looks
    while len(found) < seconds / WINDOW_S:
        now = time.perf_counter()
        standing = [(await stage.standing(f"big{number}")).delivered for number in range(over, launched)]
        delivered = over * texts + sum(standing)
        over += next((place for place, each in enumerate(standing) if each < texts), len(standing))
        if launched < RUNS and launched * texts - delivered <= texts / 2:
            await stage.launch(f"big{launched}")
            launched += 1
        if now >= seen_at + WINDOW_S:
            rate = (delivered - seen) / (now - seen_at)
            found[f"from_{len(found) * WINDOW_S:.0f}_s"] = round(rate)
            say(f"  {now - started:5.0f} s  {rate:8,.0f} delivered/s  {peak_mb(key='VmRSS'):5.0f} MB")
            seen_at, seen = now, delivered
        await asyncio.sleep(0.1)
    spent, used = time.perf_counter() - started, time.process_time() - cpu
    return found | {
        "per_s": delivered / spent, "done": delivered, "cpu_us": used / max(1, delivered) * 1e6, "rss_mb": peak_mb(),
    }  # fmt: skip


# --- the whole


class Neighbours:
    """How much of the machine is busy with other people's work while we measure."""

    def __init__(self) -> None:
        self._at, self._all, self._own = time.perf_counter(), _busy_s(), _own_s()

    def percent(self) -> float:
        """Their share of all cores since this was made. What we started must have ended."""
        cores = (time.perf_counter() - self._at) * (os.cpu_count() or 1)
        return max(0.0, (_busy_s() - self._all - (_own_s() - self._own)) / cores * 100)


def _busy_s() -> float:
    """Seconds that the cores of this machine have worked: user, nice, system, interrupts, and what the host took."""
    fields = [int(each) for each in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return (sum(fields[:3]) + sum(fields[5:8])) / TICKS


def _own_s() -> float:
    """Seconds that this process and all that it has started and waited for have worked."""
    each = os.times()
    return each.user + each.system + each.children_user + each.children_system


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder in the checkout, for the folder of temporary files is memory on many systems: no sync would cost."""
    above = Path(__file__).parent.parent / "bench-work"
    above.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=above) as name:
        yield Path(name)


def machine() -> dict[str, object]:
    """Where this was measured. `loop_s`: CPU of five million additions, at this hour."""
    model = platform.processor()
    about = Path("/proc/cpuinfo")
    if about.exists():
        lines = (line.partition(":") for line in about.read_text().splitlines())
        model = next((value.strip() for name, _, value in lines if name.strip() == "model name"), model)
    return {
        "cpu": model, "cores": len(os.sched_getaffinity(0)), "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(), "sqlite": sqlite3.sqlite_version, "loop_s": round(loop_s(), 2),
    }  # fmt: skip


def main() -> None:
    """Measure, show a table, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured; figures are medians")
    parser.add_argument("--messages", type=int, default=500_000, help="texts of our campaign")
    parser.add_argument("--texts", type=int, default=40_000, help="texts that phones send us")
    parser.add_argument("--share", type=float, default=1.0, help="of every count, for a quick look")
    parser.add_argument("--only", action="append", metavar="BEGINNING", help="cases whose names begin so; may repeat")
    parser.add_argument("--seconds", type=float, help="instead: ours alone for so long, by windows of 10 s")
    parser.add_argument("--json", action="store_true", help="the JSON line alone, no table")
    options = parser.parse_args()
    report: dict[str, object] = {"date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "machine": machine()}
    with scratch() as folder:
        program = compiled(folder)
        report |= on_and_on(options, program, folder) if options.seconds else beside(options, program, folder)
    print(json.dumps(report))


def on_and_on(options: argparse.Namespace, program: Path, folder: Path) -> dict[str, object]:
    """The measurement of --seconds."""
    texts = max(1_000, int(options.messages * options.share))
    people = peopled(folder, texts)
    figures = steady(program, people, texts, options.seconds, folder / "run")
    rates = [rate for name, rate in figures.items() if name.startswith("from_")]
    if len(rates) > 1:
        say(f"the last window is {rates[-1] / rates[0]:.2f} of the first")
    return {"seconds": options.seconds, "ours steady": {name: round(figure, 1) for name, figure in figures.items()}}


def peopled(folder: Path, people: int) -> Path:
    """Prepare the store that campaigns start from."""
    say(f"{people:,} people are added")
    place = folder / "people"
    place.mkdir()
    alone(prepare, place, people)
    return place


def beside(options: argparse.Namespace, program: Path, folder: Path) -> dict[str, object]:
    """All cases, in turns, so many rounds; the table goes out, the report comes back."""
    people = folder / "people"
    chosen = [
        case
        for case in cases(options, program, people)
        if not options.only or any(case.name.startswith(each) for each in options.only)
    ]
    if any(case.name.startswith("ours campaign") for case in chosen):
        peopled(folder, max(1_000, int(options.messages * options.share)))
    for number in range(options.rounds):
        for case in chosen:
            place = folder / "run"
            watch = Neighbours()
            try:
                last = case.run(place)
            except (Exception, SystemExit) as error:  # the others' figures are worth having all the same
                say(f"  round {number + 1}: {case.name} failed: {error!r}")
                continue
            finally:
                shutil.rmtree(place, ignore_errors=True)
            last["others_percent"] = watch.percent()
            case.rounds.append(last)
            say(
                f"  round {number + 1}: {case.name:<24} {last['per_s']:9,.0f}/s  {last['cpu_us']:6.1f} us"
                f"  others {last['others_percent']:3.0f} %"
            )
    by_name = {case.name: case for case in chosen if case.rounds}
    ratios = {
        words: round((by_name[ours].of("per_s") or 0) / (by_name[theirs].of("per_s") or 1), 2)
        for words, (ours, theirs) in RATIOS.items()
        if ours in by_name and theirs in by_name
    }
    if not options.json:
        screen = Console(width=None if sys.stdout.isatty() else 140)
        screen.print(table(chosen))
        for words, ratio in ratios.items():
            screen.print(f"{ratio:5.2f}  {words}", highlight=False)
    kannel = find()
    return {
        "kannel": version(kannel) if kannel else None,
        "rounds": options.rounds,
        "cases": {case.name: summary(case) for case in chosen},
        "ratios": ratios,
    }


def summary(case: Case) -> dict[str, object]:
    """Medians of everything, and the rate of each round."""
    keys = list(dict.fromkeys(key for each in case.rounds for key in each))
    medians = {key: round(case.of(key) or 0, 1) for key in keys}
    return {**medians, "rounds_per_s": [round(each["per_s"]) for each in case.rounds]}


def table(chosen: list[Case]) -> Table:
    """One row a case."""
    made = Table(title="messages a second, medians of the rounds")
    for name in ("case", "how", "a second", "lowest-highest", "done", "CPU µs", "MB", "p50 ms", "p99 ms", "others %"):
        made.add_column(name, justify="left" if name in {"case", "how"} else "right", no_wrap=name != "how")

    def shown(figure: float | None) -> str:
        return "-" if figure is None else f"{figure:,.0f}"

    for case in chosen:
        rates = [each["per_s"] for each in case.rounds]
        span = f"{shown(min(rates))}-{shown(max(rates))}" if rates else "failed"
        others = [shown(case.of(key)) for key in ("done", "cpu_us", "rss_mb", "p50_ms", "p99_ms", "others_percent")]
        made.add_row(case.name, case.about, shown(case.of("per_s")), span, *others)
    return made


if __name__ == "__main__":
    main()
