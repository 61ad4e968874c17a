"""Live through worlds again: `python -m tests.simulation.run SEED [--count N] [--jobs J] [-v]`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

if __name__ == "__main__":  # as a script, too
    sys.path[:] = [str(Path(__file__).parents[2]), *(each for each in sys.path if each != str(Path(__file__).parent))]

from tests.simulation.world import Report, World


def live(seed: int) -> Report:
    """One world."""
    with tempfile.TemporaryDirectory(prefix="simulation-") as folder:
        return World(seed, Path(folder)).live()


def main() -> int:
    """Say how each world went; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.run")
    parser.add_argument("seed", type=int)
    parser.add_argument("--count", type=int, default=1, help="so many seeds, from this one on")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--digest", action="store_true", help="say only each seed and the hash of what happened")
    parser.add_argument("-v", action="store_true", help="say everything")
    asked = parser.parse_args()
    seeds = range(asked.seed, asked.seed + asked.count)
    started, broken = time.perf_counter(), 0
    with ProcessPoolExecutor(asked.jobs) as pool:
        for report in pool.map(live, seeds) if asked.jobs > 1 else map(live, seeds):
            broken += bool(report.wrong)
            if asked.digest:
                print(report.seed, report.digest)
            elif asked.v or asked.count == 1:
                print(report)
            elif report.wrong:
                print(f"seed {report.seed}: {'; '.join(report.wrong[:3])}", flush=True)
    print(f"{asked.count} worlds in {time.perf_counter() - started:.1f} s, {broken} broken", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
