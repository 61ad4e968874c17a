"""Looks at everything that Carillon stands on, and says what is wrong and the cure; it changes nothing.

Every check runs beside the others and is cut off in time, so an answer comes within seconds whatever is broken.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import shutil
import socket
import stat
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

from campaigns.settings import Config
from gateway.config import ConfigErrors, Loaded, Secret, Settings, load
from gateway.values import HostPort
from handlers.console.client import folder_of, store_of
from handlers.console.doctor_carriers import carrier_lines
from handlers.console.doctor_stores import shared_lines, store_lines
from handlers.console.findings import ANSWER_S, Line, Loop, in_thread, in_time, judged, octets, ok, warn, wrong
from handlers.console.health import zone_data

MEGA, GIGA = 1_000_000, 1_000_000_000
DISK_WRONG, DISK_WARN = 500 * MEGA, 5 * GIGA
MEMORY_WRONG, MEMORY_WARN = 100 * MEGA, 400 * MEGA
FILES_WRONG, FILES_WARN = 1_024, 4_096  # open files: the public door alone takes 2,000 requests at once
ZONES_WARN_YEARS = 1.5

Facts = dict[str, Any]


def examine(path: Path, environ: Mapping[str, str]) -> list[Line]:
    """Look at everything that the file names. Raises CarillonError where there is no file."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(_examine(path, environ))


async def _examine(path: Path, environ: Mapping[str, str]) -> list[Line]:
    place, folder = store_of(path, environ), folder_of(path, environ)
    lines, loaded = _config(path, environ)
    serving = await _serving(folder)
    checks: list[tuple[str, Awaitable[list[Line]]]] = [
        ("process", in_thread(_processes, folder, serving)),
        ("store", store_lines(place)),
        ("disk", in_thread(_disk, folder)),
    ]
    if loaded is not None:
        config, channels = (
            loaded.value,
            [each for told in serving for each in told.get("status", {}).get("channels", ())],
        )
        checks += [
            ("shared", shared_lines(config.shared)),
            ("carriers", carrier_lines(config.channels, channels, may_bind=isinstance(place, Path))),
            ("ports", in_thread(_ports, config, is_served=bool(serving))),
            ("secrets", in_thread(_secrets, config, folder)),
        ]
    checks += [("clock", in_thread(_clock)), ("limits", in_thread(_limits))]
    found = await asyncio.gather(*(in_time(subject, check) for subject, check in checks))
    return [*lines, *(line for some in found for line in some)]


# --- the file, its secrets, the process ------------------------------------------------------------------------------


def _config(path: Path, environ: Mapping[str, str]) -> tuple[list[Line], Loaded[Config] | None]:
    """What `check` says."""
    try:
        loaded = load(path, Config, environ)
    except ConfigErrors as errors:
        cure = "mend the file; what hangs on it was not looked at"
        return [wrong("config", str(mistake), cure) for mistake in errors.mistakes], None
    warnings = [str(each) for each in loaded.warnings if "others on this machine can read" not in str(each)]
    found = f"{path.name}: no mistakes"
    return [ok("config", found), *(warn("config", each, "see docs/config.md") for each in warnings)], loaded


def _secrets(config: Config, folder: Path) -> list[Line]:
    """Files with passwords, and the folder of the store: nobody else's business."""
    lines = []
    for name, secret in secrets_in(config):
        mode = stat.S_IMODE(secret.path.stat().st_mode)
        is_open = bool(mode & (stat.S_IRWXG | stat.S_IRWXO) & ~(stat.S_IXGRP | stat.S_IXOTH))
        if not secret.text:
            lines.append(wrong("secrets", f"{name}: {secret.path} is empty", "put the secret into it"))
        elif is_open:
            others = "everybody" if mode & (stat.S_IROTH | stat.S_IWOTH) else "its group"
            found = f"{name}: {others} on this machine may read or write {secret.path} ({mode:03o})"
            lines.append(wrong("secrets", found, f"chmod 600 {secret.path}"))
        else:
            lines.append(ok("secrets", f"{name}: only its owner may read it"))
    mode = stat.S_IMODE(folder.stat().st_mode) if folder.is_dir() else 0
    if mode & stat.S_IRWXO:
        lines.append(wrong("secrets", f"everybody may look into {folder} ({mode:03o})",
                           f"chmod 700 {folder}"))  # fmt: skip
    return lines


def secrets_in(value: object, name: str = "") -> Iterator[tuple[str, Secret]]:
    """Every secret of a config with the names that lead to it."""
    if isinstance(value, Secret):
        yield name, value
    elif isinstance(value, Settings):
        for key in type(value).model_fields:
            yield from secrets_in(getattr(value, key, None), f"{name}.{key}".lstrip("."))
    elif isinstance(value, Mapping):
        for key, inside in value.items():
            yield from secrets_in(inside, f"{name}.{key}".lstrip("."))
    elif isinstance(value, list | tuple):
        for inside in value:
            yield from secrets_in(inside, name)


async def _serving(folder: Path) -> list[Facts]:
    """What each process that serves this store from here says of itself."""
    paths = await in_thread(lambda: sorted(folder.glob("control*.token")))
    told = await asyncio.gather(*map(_ask, paths))
    return [each for each in told if each is not None]


async def _ask(path: Path) -> Facts | None:
    """What one process says; None when none answers that holds the key, for another may have come to its port."""
    told: Facts = {}
    try:
        key, address = (await in_thread(path.read_text, "ascii")).split()
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        async with aiohttp.ClientSession(address, timeout=timeout) as session:
            headers = {"Authorization": f"Bearer {key}"}
            async with session.post("/control/hello", json={}, headers=headers) as answer:
                if answer.status != HTTPStatus.OK:
                    return None
            told["address"] = address
            for name in ("healthz", "readyz", "status"):
                async with session.get(f"/{name}") as answer:
                    told[name] = await answer.json()
    except (aiohttp.ClientConnectorError, FileNotFoundError, ValueError):
        return None
    except (aiohttp.ClientError, OSError, TimeoutError):
        return {"address": path.name, **told}
    return told


def _processes(folder: Path, serving: Sequence[Facts]) -> list[Line]:
    """Whether somebody serves, and what they say."""
    if serving:
        return [line for told in serving for line in _process(told)]
    left = any(folder.glob("control*.token"))
    return [ok("process", "nobody serves" + (" (and the last one did not say goodbye)" if left else ""))]


def _process(told: Facts) -> Iterator[Line]:
    where = f"serves at {told['address']}"
    if "status" not in told:
        yield wrong("process", f"{where}, and does not answer in time", "see its log; if it hangs, start it anew")
        return
    yield ok("process", where)
    for name, check in told["readyz"]["checks"].items():
        if not check["ok"] and name != "lines":
            yield wrong("process", f"{where}: {name}: {check['what']}", "see its log, and docs/operations.md")
    lag = told["healthz"]["loop_lag_seconds"]
    yield judged("process", f"{where}: its loop was late by {lag:g} s at worst in the last minute",
                 "the machine is too small or busy with something else",
                 is_wrong=not told["healthz"]["alive"], is_doubtful=lag > 1)  # fmt: skip


# --- disk, clock, ports, limits --------------------------------------------------------------------------------------


def _disk(folder: Path) -> list[Line]:
    """The disk under the store's folder; also where the database is elsewhere, for pictures lie there."""
    folder = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    free = shutil.disk_usage(folder).free
    cure = f"make room on the disk of {folder}; when it is full, nothing can be sent or kept"
    lines = [judged("disk", f"{octets(free)} free at {folder}", cure, is_wrong=free < DISK_WRONG,
                    is_doubtful=free < DISK_WARN)]  # fmt: skip
    state = os.statvfs(folder)
    if state.f_files and state.f_favail < 1_000:
        lines.append(wrong("disk", f"room for {state.f_favail:,} more files at {folder}", "remove files there"))
    return lines


def _clock() -> list[Line]:
    """Whether hours of all zones are those of today's laws."""
    release, source = zone_data()
    year = release[:4]
    found = f"time zones of {release}, from {source}"
    if not year.isdigit():
        return [warn("clock", found, "install the package tzdata, so that it is known how old they are")]
    now = datetime.now(UTC)
    age = now.year + now.month / 12 - (int(year) + 0.5)  # releases are spread over their year
    cure = "install the system's newest tzdata" if source.startswith("/") else "make setup brings the newest"
    return [judged("clock", found, cure, is_wrong=False, is_doubtful=age > ZONES_WARN_YEARS)]


def _ports(config: Config, *, is_served: bool) -> list[Line]:
    """Whether what we listen on is free, or ours already."""
    is_simulated = any(each.is_simulated for each in config.channels.values())
    doors = {name: place for name, place in config.opened.items() if is_simulated or name != "smsc"}
    return [_port(f"listen.{name}", place, is_served=is_served) for name, place in doors.items()]


def _port(setting: str, place: HostPort, *, is_served: bool) -> Line:
    try:
        with socket.socket(socket.AF_INET6 if ":" in place.host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the listeners do
            probe.bind((place.host, place.port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE and is_served:
            return ok("ports", f"{setting} {place}: taken by serve")
        if error.errno == errno.EADDRINUSE:
            return wrong("ports", f"{setting} {place}: taken by another program", f"stop it, or set {setting}")
        cure = f"take a port above 1023 in {setting}" if error.errno == errno.EACCES else f"mend {setting}"
        return wrong("ports", f"{setting} {place}: {(error.strerror or str(error)).lower()}", cure)
    return ok("ports", f"{setting} {place}: free")


def _limits() -> list[Line]:
    """What the system gives to one process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = "any number of" if soft == resource.RLIM_INFINITY else f"{soft:,}"
    few = soft != resource.RLIM_INFINITY
    more = f" (up to {hard:,} may be asked for)" if few and hard > soft else ""
    lines = [judged("limits", f"{files} open files{more}", "LimitNOFILE=65536 in the unit, or ulimit -n 65536",
                    is_wrong=few and soft < FILES_WRONG, is_doubtful=few and soft < FILES_WARN)]  # fmt: skip
    free = free_memory()
    if free is not None:
        lines.append(judged("limits", f"{octets(free)} of memory free", "a process takes 150 to 400 MB: make room",
                            is_wrong=free < MEMORY_WRONG, is_doubtful=free < MEMORY_WARN))  # fmt: skip
    return lines


def free_memory(root: Path = Path("/")) -> int | None:
    """Octets that this process may still take: the machine's, or its group's where that is less (cgroup v2)."""
    found: list[int] = []
    with contextlib.suppress(OSError, ValueError, StopIteration):
        words = (root / "proc/meminfo").read_text("ascii").splitlines()
        found.append(int(next(line for line in words if line.startswith("MemAvailable:")).split()[1]) * 1024)
    with contextlib.suppress(OSError, ValueError):
        group = root / "sys/fs/cgroup"
        most, now = ((group / name).read_text("ascii").strip() for name in ("memory.max", "memory.current"))
        found.append(int(most) - int(now))
    return min(found, default=None)
