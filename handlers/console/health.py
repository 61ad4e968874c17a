"""Whether this process lives, and whether it can do its work: for load balancers, supervisors and `run.py doctor`."""

from __future__ import annotations

import asyncio
import time
import zoneinfo
from collections import deque
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gateway.counting import Spans
from gateway.errors import StoreError
from gateway.store import Store, Tx, beside
from gateway.store.door import SCHEMA
from handlers.app import App

LAG_S = 0.25
LAGS = 240  # a minute of them
LATE_S = 1.0
LATE_IN_A_ROW = 8  # so often later than a second: not a hiccup, but a loop that cannot keep up
WRITE_S = 5.0
FRESH_S = 10.0  # a commit that is no older shows that the store is writable
PATIENCE_S = 2.0

Facts = dict[str, Any]


class LoopWatch:
    """Notices how late the event loop wakes what has slept."""

    def __init__(self) -> None:
        self._lags: deque[float] = deque(maxlen=LAGS)

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            asked = time.monotonic()
            await asyncio.sleep(LAG_S)
            self.late(time.monotonic() - asked - LAG_S)

    def late(self, seconds: float) -> None:
        """It woke so much too late."""
        self._lags.append(max(0.0, seconds))

    @property
    def worst(self) -> float:
        """The worst delay of the last minute, in seconds."""
        return max(self._lags, default=0.0)

    @property
    def is_stuck(self) -> bool:
        """Whether the loop has been late for a good while, without a moment's breath."""
        last = [*self._lags][-LATE_IN_A_ROW:]
        return len(last) == LATE_IN_A_ROW and min(last) > LATE_S


class StoreWatch:
    """Writes a little now and then, as everybody does who keeps something, and notes how long that took."""

    def __init__(self, store: Store, brand: int) -> None:
        self.commits = Spans()
        self.trouble = "nothing has been written yet"
        self.schema = 0
        self._store, self._brand = store, brand
        self._kept_at = float("-inf")
        self._trying: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await self._try()
            await asyncio.sleep(WRITE_S)

    async def is_writable(self) -> bool:
        """Whether something was committed a moment ago, or can be now; waits for two seconds at most."""
        if time.monotonic() - self._kept_at > FRESH_S or self.trouble:
            await self._try()
        return not self.trouble

    async def _try(self) -> None:
        if self._trying is None or self._trying.done():  # else one waits already: a second would only wait behind it
            self._trying = asyncio.create_task(self._write(), name="store watch")
        done, _ = await asyncio.wait({self._trying}, timeout=PATIENCE_S)
        if not done:
            self.trouble = f"nothing could be committed for {PATIENCE_S:g} s"

    async def _write(self) -> None:
        began = time.monotonic()
        try:
            self.schema = await self._store.write(_note, self._brand, time.time_ns())
        except StoreError as error:
            self.trouble = str(error)
        except Exception as error:  # whatever it is: nothing was kept
            self.trouble = f"{type(error).__name__}: {error}"
        else:
            self._kept_at = time.monotonic()
            self.commits.add(self._kept_at - began)
            self.trouble = ""


@beside
async def _note(tx: Tx, brand: int, value: int) -> int:
    """Write a value that was not there, so that the disk is asked; the schema that is there."""
    await tx.run("fact_set", brand=brand, name="written", value=str(value))
    found: int = await tx.value("schema_number")
    return found


@dataclass(slots=True)
class Health:
    """What health and readiness are judged by. `is_leaving` is set before the doors close."""

    loop: LoopWatch
    store: StoreWatch
    is_leaving: bool = False

    def alive(self) -> Facts:
        """Whether this process should go on. What a carrier or the store does is no reason to end it."""
        return {"alive": not self.loop.is_stuck, "loop_lag_seconds": round(self.loop.worst, 3)}

    async def ready(self, app: App) -> Facts:
        """Whether work may be sent here: each check with what was found."""
        writable = await self.store.is_writable()
        unbound = unserved(app)
        checks = {
            "staying": _check(not self.is_leaving, "draining" if self.is_leaving else "serving"),
            "store": _check(writable, self.store.trouble or "writable"),
            "migrations": _check(*_schema(self.store.schema)),
            "lines": _check(not unbound, f"no line: {', '.join(unbound)}" if unbound else "every channel is served"),
        }
        release, source = zone_data()
        return {
            "ready": all(check["ok"] for check in checks.values()),
            "checks": checks,
            "unbound": unbound,
            "version": app.business.version if app.has_business else None,
            "tzdata": release,
            "tzdata_from": source,
        }


def _check(ok: bool, what: str) -> Facts:
    return {"ok": ok, "what": what}


def _schema(found: int) -> tuple[bool, str]:
    """A store that a newer program has brought up to date meanwhile is not ours to write any more."""
    words = f"schema {found}" if found == SCHEMA else f"the store has schema {found}, this program {SCHEMA}"
    return found == SCHEMA, words


def unserved(app: App) -> list[str]:
    """Channels that senders need, of which we hold lines and none is bound, and which nobody stands in for."""
    if app.gateway is None:
        return []
    senders = app.business.config.senders
    lines = {name: each.channel.lines() for name, each in app.gateway.dispatchers.items()}
    bound = {name for name, states in lines.items() if any(line.bound for line in states)}
    return [
        name
        for name, states in lines.items()
        if states
        and name not in bound
        and any(
            sender.channel == name and not any(senders[other].channel in bound for other in sender.fallback)
            for sender in senders.values()
        )
    ]


def zone_data() -> tuple[str, str]:
    """The release of the time zone data that is used, such as 2026a, and where it comes from."""
    for folder in map(Path, zoneinfo.TZPATH):
        if (folder / "UTC").exists():
            return _release(folder), str(folder)
    return version("tzdata"), "the package tzdata"


def _release(folder: Path) -> str:
    """The release that the operating system's data names (tz-how-to and tzdata.zi's first line), if it does."""
    try:
        with (folder / "tzdata.zi").open(encoding="ascii") as file:
            return file.readline().removeprefix("# version").strip()
    except (OSError, UnicodeDecodeError):
        return "unknown"
