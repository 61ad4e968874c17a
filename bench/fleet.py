"""A campaign on PostgreSQL by processes: a planner, one or two dispatchers, and the server, with the CPU of each.

The same promise as in `bench/mt.py`: every commit synced, a cap and hours on, STOP checked at the claim, receipts
recorded and folded. With --sqlite the same campaign by one process on SQLite, in the same run, to hold it against.

Each line bears what the model of docs/scale.md says for the pace that the machine had, and `model_by_measured`: what
was predicted, by what was measured. Cores that others used meanwhile are not counted to ours (`cores`).

    python bench/fleet.py --messages 100000 --dispatchers 1 2 --sqlite
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import capacity, mt
from bench.sink import compiled, sink
from bench.stage import Stage, add_people, installed_loop, say
from gateway.fleet import PLAN
from tests.servers import PostgresServer

ROOT = Path(__file__).parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
SETTLES_S = 3.0
Figures = dict[str, float]


def cpu_s(pids: list[int]) -> float:
    """Seconds of CPU that these processes have used."""
    used = 0.0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used += sum(map(int, fields[11:15])) / TICKS  # also of children that have ended
    return used


def children(pid: int) -> list[int]:
    """A process and those that it has started."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in listed for each in children(int(child)))]


@contextmanager
def process(folder: Path, role: str) -> Iterator[subprocess.Popen[bytes]]:
    """One serving process of a role."""
    command = [sys.executable, str(ROOT / "run.py"), "--config", str(folder / "config.yaml"), "serve", "--role", role]
    with (folder / f"{role}.log").open("ab") as out:
        started = subprocess.Popen([*command, "--private", "127.0.0.1:0"], stdout=out, stderr=out)
    try:
        yield started
    finally:
        started.terminate()
        started.wait(30)


class Watched:
    """What groups of processes use, and how fast the machine is meanwhile, from its making to `figures`."""

    def __init__(self, groups: Mapping[str, Callable[[], list[int]]]) -> None:
        self._groups = groups
        self._loop_s = capacity.loop_s()
        self._before = self._used()
        self._busy, self._started = capacity.busy_s(), time.perf_counter()

    def _used(self) -> dict[str, float]:
        return {name: cpu_s(pids()) for name, pids in self._groups.items()}

    def figures(self, case: str, messages: int, delivered_per_s: float) -> Figures:
        """What a message cost, and what the model makes of this machine, where it knows of such a case."""
        seconds, busy = time.perf_counter() - self._started, capacity.busy_s() - self._busy
        used = {name: each - self._before[name] for name, each in self._used().items()}
        cores = (os.cpu_count() or 1) - max(0.0, busy - sum(used.values())) / seconds
        loop_s = (self._loop_s + capacity.loop_s()) / 2
        figures = {
            **{f"{name}_cpu_us": round(each / messages * 1e6, 1) for name, each in used.items()},
            "loop_ms": round(loop_s * 1000), "cores": round(cores, 2),
        }  # fmt: skip
        model = capacity.read()
        if case in model.costs:
            made = model.predicted(case, loop_s, cores)
            figures |= {f"model_{name}": each for name, each in made.items()}
            figures["model_by_measured"] = round(made["delivered_per_s"] / delivered_per_s, 2)
        return figures


async def holds(stage: Stage, names: int) -> None:
    """Wait until so much of the fleet's work is held by somebody."""
    while True:
        held = [name for name, node, _ in await stage.app.store.read(lambda tx: tx.rows("lease_list")) if node]
        if len(held) >= names and PLAN in held:
            return
        await asyncio.sleep(0.1)


async def measure(server: PostgresServer, program: Path, messages: int, dispatchers: int) -> Figures:
    """Launch, and wait until every text is delivered."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="carillon-fleet-")))
        far = stack.enter_context(sink(program, "-d", 1, "-W", 0))
        name = server.empty_database()
        store = server.url(name)
        config = mt.CONFIG.format(smsc=far.address, window=2_000, store=store)
        config = config.replace("window:", f"binds: {dispatchers}, window:")
        async with Stage.open(folder, config) as stage:
            await add_people(stage, messages)
            planner = stack.enter_context(process(folder, "plan"))
            senders = [stack.enter_context(process(folder, "dispatch")) for _ in range(dispatchers)]
            await holds(stage, 1 + dispatchers)
            await asyncio.sleep(SETTLES_S)
            watched = Watched(
                {
                    "planner": lambda: [planner.pid], "dispatchers": lambda: [each.pid for each in senders],
                    "postgresql": lambda: children(server.pid), "carrier": lambda: [far.pid],
                }
            )  # fmt: skip
            started = time.perf_counter()
            await stage.launch("big")
            planned = 0.0
            while True:
                await asyncio.sleep(0.2)
                standing = await stage.standing("big")
                seconds = time.perf_counter() - started
                planned = planned or (seconds if standing.is_planned else 0.0)
                if standing.delivered >= messages:
                    break
                if seconds > 60 + messages / 300:
                    raise SystemExit(f"stuck: {standing}; see {folder}")
            case = f"PostgreSQL, {dispatchers} dispatcher{'s' * (dispatchers > 1)}"
            figures = watched.figures(case, messages, messages / seconds)
        server.drop(name)
    return {
        "delivered_per_s": round(messages / seconds),
        "planned_per_s": round(messages / planned),
        **figures,
    }


async def on_sqlite(program: Path, messages: int) -> Figures:
    """The same by one process on SQLite."""
    with tempfile.TemporaryDirectory(prefix="carillon-fleet-") as folder, sink(program, "-d", 1, "-W", 0) as far:
        config = mt.CONFIG.format(smsc=far.address, window=2_000, store="sqlite:bench.db")
        async with Stage.open(Path(folder), config) as stage:
            await add_people(stage, messages)
            watched = Watched({"planner": lambda: [os.getpid()], "carrier": lambda: [far.pid]})
            measured = await mt.measure(stage, messages)
            return measured | watched.figures("SQLite", messages, measured["delivered_per_s"])


async def main() -> None:
    """Run all cases in turns and print the medians as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--dispatchers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--sqlite", action="store_true")
    options = parser.parse_args()
    found: dict[str, list[Figures]] = {}
    server = PostgresServer(is_safe=True)
    try:
        with tempfile.TemporaryDirectory(prefix="carillon-sink-") as folder:
            program = compiled(Path(folder))
            for _ in range(options.rounds):
                for count in options.dispatchers:
                    say(f"PostgreSQL, {count} dispatchers: {options.messages:,} texts")
                    figures = await measure(server, program, options.messages, count)
                    found.setdefault(f"postgresql, {count} dispatchers", []).append(figures)
                if options.sqlite:
                    say(f"SQLite: {options.messages:,} texts")
                    found.setdefault("sqlite", []).append(await on_sqlite(program, options.messages))
    finally:
        server.close()
    for name, rounds in found.items():
        medians = {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}
        print(json.dumps({"case": name, "messages": options.messages, "rounds": len(rounds), **medians}))


if __name__ == "__main__":
    installed_loop(main)
