"""A start with a million messages queued, after a kill in the middle of sending: how soon ready, and how much memory.

First a campaign is planned to the end while its carrier is away, so that everything waits. Then the carrier comes, and
the process is killed (SIGKILL) while it sends: claimed messages are left in the air, the last commits in the log. Then
comes what is measured, in a fresh process, with the store read from the disk: from opening the store until every queue
is taken over and the first claim can be made, and on to the first message that the carrier takes.

    python bench/restart.py                        # some three minutes, nearly all of it filling
    python bench/restart.py --messages 20000
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import mt
from bench.kannel import peak_mb
from bench.peers import PLAIN, WINDOW, Figures, alone, in_loop, machine, peopled, scratch
from bench.sink import compiled, sink
from bench.stage import Stage, say
from gateway.messages import State
from tests.ports import free_port

LONGEST_S = 60.0


def main() -> None:
    """Fill, kill, start again; one JSON line at the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3, help="kills and starts; the queue is filled once")
    parser.add_argument("--kill-after", type=int, default=20_000, help="texts that the carrier has taken by the kill")
    options = parser.parse_args()
    report: dict[str, object] = {"date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "machine": machine()}
    with scratch() as folder:
        program = compiled(folder)
        port = free_port()
        config = mt.CONFIG.format(smsc=f"127.0.0.1:{port}", window=WINDOW, store="sqlite:bench.db")
        filled = peopled(folder, options.messages)
        say("their texts are planned, with no carrier there")
        report["filled"] = rounded(alone(fill, filled, config, options.messages))
        say(f"  {report['filled']}")
        starts = []
        for _ in range(options.rounds):
            place = folder / "run"
            shutil.copytree(filled, place)
            with sink(program, *PLAIN, "-p", port), suppress(BrokenProcessPool):
                alone(crash, place, config, options.kill_after)
            for each in place.iterdir():
                drop_from_memory(each)
            with sink(program, *PLAIN, "-p", port):
                starts.append(rounded(alone(start, place, config, time.time())))
            shutil.rmtree(place)
            say(f"  {starts[-1]}")
    middle = sorted(starts, key=lambda each: each["ready_s"])[len(starts) // 2]
    print(json.dumps(report | {"messages": options.messages, "starts": starts, "median": middle}))


def drop_from_memory(file: Path) -> None:
    """Let the system forget what it has read of a file, so that the start reads from the disk."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def rounded(figures: Figures) -> Figures:
    """As people read them."""
    return {name: round(figure, 3) for name, figure in figures.items()}


def fill(folder: Path, config: str, messages: int) -> Figures:
    """Plan everything; nothing leaves. Memory with all of it queued, now and at most."""

    async def work() -> Figures:
        async with Stage.open(folder, config) as stage:
            before_mb, started = peak_mb(key="VmRSS"), time.perf_counter()
            async with stage.serving():
                await stage.launch("big")
                await planned(stage, messages)
                planned_s = time.perf_counter() - started
                return {
                    "planned_per_s": messages / planned_s, "rss_before_mb": before_mb,
                    "rss_queued_mb": peak_mb(key="VmRSS"), "rss_peak_mb": peak_mb(),
                }  # fmt: skip

    return in_loop(work)


def crash(folder: Path, config: str, texts: int) -> Figures:
    """Send, and be killed in the middle."""

    async def work() -> Figures:
        async with Stage.open(folder, config) as stage, stage.serving():
            await taken(stage, texts)
            os.kill(os.getpid(), signal.SIGKILL)
        return {}

    return in_loop(work)


def start(folder: Path, config: str, called_at: float) -> Figures:
    """Open the store and serve. `called_at`: when this process was asked for, seconds since 1970."""
    imported_s = time.time() - called_at

    async def work() -> Figures:
        began = time.perf_counter()
        async with Stage.open(folder, config) as stage:
            opened_s = time.perf_counter() - began
            async with stage.serving():
                ready_s, ready_mb = time.perf_counter() - began, peak_mb(key="VmRSS")
                await taken(stage, 1)
                first_s = time.perf_counter() - began
                await asyncio.sleep(1)
                sending_mb = peak_mb()
                standing = await stage.standing("big")
        return {
            "interpreter_s": imported_s, "opened_s": opened_s, "ready_s": ready_s, "first_taken_s": first_s,
            "rss_ready_mb": ready_mb, "rss_sending_mb": sending_mb,
            "in_doubt": standing.waterfall.in_state(State.IN_DOUBT),
        }  # fmt: skip

    return in_loop(work)


async def planned(stage: Stage, messages: int) -> None:
    """Wait until all of it waits for the carrier."""
    end = time.perf_counter() + LONGEST_S + messages / 1_000
    while not (await stage.standing("big")).is_planned:
        if time.perf_counter() > end:
            raise SystemExit("the campaign was not planned in time")
        await asyncio.sleep(0.1)


async def taken(stage: Stage, parts: int) -> None:
    """Wait until the carrier has taken so many, or there are no more."""
    end = time.perf_counter() + LONGEST_S
    while stage.sent_parts() < parts:
        if time.perf_counter() > end:
            raise SystemExit(f"the carrier took {stage.sent_parts()} in {LONGEST_S:.0f} s")
        await asyncio.sleep(0.005)


if __name__ == "__main__":
    main()
