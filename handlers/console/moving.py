"""Moves a business to another store, and shows how far it is and what was found at the end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from gateway.store import moving
from gateway.store.moving import Compared, Moved, Step, Tell
from gateway.store.moving_side import Sum
from handlers.console import terminal
from handlers.console.client import Answer

FILE = "sqlite:"
MEDIA = "media"  # pictures and other files that people sent


def move(config: Path, source: str, target: str) -> Answer:
    """Move, or go on with a move; files are relative to config.yaml, as under `store:`. Raises StoreError."""
    with counting() as tell:
        moved = asyncio.run(moving.move(beside(config, source), beside(config, target), tell))
    pictures, shelf = (folder(config, place) / MEDIA for place in (source, target))
    return {
        **facts_of(moved),
        "pictures": [str(pictures), str(shelf)] if pictures != shelf and pictures.is_dir() else None,
    }


def undo(config: Path, source: str, target: str, *, force: bool) -> Answer:
    """Let the source be served again, and the target no more. Raises StoreError."""
    with counting() as tell:
        done = moving.undo(beside(config, source), beside(config, target), tell, force=force)
        return {"served_again": asyncio.run(done)}


def folder(config: Path, place: str) -> Path:
    """Where what belongs to a store and is not in it lies."""
    if place.startswith(FILE):
        return Path(beside(config, place).removeprefix(FILE)).parent
    return (config.parent / "data").resolve()


def beside(config: Path, place: str) -> str:
    """A place as `store:` would name it, with the whole path of a file."""
    if not place.startswith(FILE) or place == FILE:
        return place
    return f"{FILE}{(config.parent / place.removeprefix(FILE)).resolve()}"


@contextmanager
def counting() -> Iterator[Tell]:
    """A moving count on standard error, only where somebody looks."""
    if not sys.stderr.isatty():
        yield lambda step: None
        return
    columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("opening", total=None)

        def tell(step: Step) -> None:
            progress.update(task, description=f"{step.doing} {step.table}", completed=step.done, total=step.total)

        yield tell


# --- what came of it -------------------------------------------------------------------------------------------------


def facts_of(moved: Moved) -> Answer:
    """A move as JSON has it; sums are of 16 hexadecimal digits."""
    return {
        "from": moved.source,
        "to": moved.target,
        "is_complete": not moved.differing,
        "tables": [_table(each) for each in moved.tables],
        "copied": moved.copied,
        "seconds": round(moved.seconds, 3),
    }


def _table(each: Compared) -> Answer:
    return {
        "table": each.table,
        "agrees": each.agrees,
        "source": _sum(each.source),
        "target": _sum(each.target),
        "altered": each.source.altered_n,
        "altered_keys": [list(map(str, key)) for key in each.source.altered],
    }


def _sum(found: Sum) -> Answer:
    return {"rows": found.rows, "sum": f"{found.check:016x}"}


def lines(facts: Answer) -> list[Any]:
    """A move for a person: each table that has rows, whether it agrees, and what to do next."""
    told: list[Any] = [drawn(facts)]
    told += [altered(each) for each in facts["tables"] if each["altered"]]
    rows = sum(each["source"]["rows"] for each in facts["tables"])
    differing = [each["table"] for each in facts["tables"] if not each["agrees"]]
    if differing:
        return [
            *told,
            f"{', '.join(differing)} differ, so that the move is not finished, and neither place may be served.",
            "These tables were emptied again where they arrived: say the same once more, and they are copied anew.",
        ]
    if facts["pictures"]:
        told.append("What people sent with their texts did not move along: copy {} to {}".format(*facts["pictures"]))
    took = terminal.span(facts["seconds"])
    return [
        *told,
        f"{rows:,} rows of {len(facts['tables'])} tables agree, {facts['copied']:,} of them copied now, in {took}.",
        f"Now write store: {facts['to']} into config.yaml, and serve. What was left behind may be kept as a backup.",
    ]


def drawn(facts: Answer) -> Table:
    """The tables that have rows on either end."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=True)
    for heading, justify in (("table", "left"), ("rows", "right"), ("checksum", "left"), ("", "left")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]  # the two that are there
    for each in facts["tables"]:
        source, target = each["source"], each["target"]
        if each["agrees"] and source["rows"]:
            table.add_row(each["table"], f"{source['rows']:,}", source["sum"], "agrees")
        elif not each["agrees"]:
            rows = f"{source['rows']:,} / {target['rows']:,}"
            table.add_row(each["table"], rows, f"{source['sum']} / {target['sum']}", "differs", style="bold red")
    return table


def altered(each: Answer) -> str:
    """Which rows had a character that PostgreSQL cannot keep."""
    keys = "; ".join(", ".join(key) for key in each["altered_keys"])
    more = " and others" if each["altered"] > len(each["altered_keys"]) else ""
    return (
        f"{each['table']}: {terminal.several(each['altered'], 'row')} held the character NUL, which PostgreSQL keeps in"
        f" no text; it is U+FFFD there now ({keys}{more})"
    )
