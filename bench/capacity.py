"""The capacity model of docs/scale.md: its table of what a message costs, and how many a second that makes here."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parent.parent / "docs" / "scale.md"
ROW = re.compile(r"^\| (?P<case>[^|]+?) +\| (?P<costs>[\d.| ]+) \|$", re.MULTILINE)
PACE = re.compile(r"the loop took ([\d.]+) s, and ([\d.]+) of the cores' time were used")
LOOP = 5_000_000


class Model(NamedTuple):
    """Costs in µs of CPU a message, by case and component, at a pace; and how much of the cores is used at best."""

    loop_s: float
    share: float
    costs: dict[str, dict[str, float]]

    def predicted(self, case: str, loop_s: float, cores: float) -> dict[str, float]:
        """What a message costs on a machine with this pace, by component, and how many of them go a second."""
        costs = {name: cost * loop_s / self.loop_s for name, cost in self.costs[case].items()}
        return {name: round(cost, 1) for name, cost in costs.items()} | {
            "delivered_per_s": round(self.share * cores * 1e6 / sum(costs.values()))
        }


def read(text: str = "") -> Model:
    """The model as the page has it, between its heading and the next. Raises ValueError where that is not there."""
    section = (text or PAGE.read_text(encoding="utf-8")).partition("## What a message costs\n")[2].partition("\n## ")[0]
    pace, header = PACE.search(section), re.search(r"^\| case \|(.+)\|$", section, re.MULTILINE)
    if pace is None or header is None:
        raise ValueError(f"{PAGE.name}: the table of costs and its pace are not where they were")
    names = [name.strip() for name in header[1].split("|")]
    costs = {}
    for row in ROW.finditer(section):
        cells = [float(cell) if cell.strip() else 0.0 for cell in row["costs"].split("|")]
        costs[row["case"].strip()] = dict(zip(names, cells, strict=True))
    return Model(float(pace[1]), float(pace[2]), costs)


def loop_s() -> float:
    """CPU that five million additions take: the machine's pace, whoever else is at work on it."""
    started, total = time.thread_time(), 0
    for number in range(LOOP):
        total += number * number
    return time.thread_time() - started


def busy_s() -> float:
    """CPU that everybody on this machine has used, in seconds (proc(5), /proc/stat: all but idle and iowait)."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")
