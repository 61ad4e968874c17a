"""Serves until Ctrl-C; with --demo it first imports the sample, applies the config, and says what to look at."""

from __future__ import annotations

import asyncio
import errno
import io
import logging
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from campaigns import versions
from campaigns.settings import Config
from gateway.config import ConfigErrors, load
from gateway.errors import CarillonError, Fenced, PortTaken
from gateway.settings import is_only_here
from gateway.store import open_store
from handlers.app import App
from handlers.console import operations, reading, terminal
from handlers.console.client import Answer, Parts, store_of
from handlers.console.doors import Doors, doors
from handlers.console.workers import supervise
from handlers.pages import handset
from handlers.pages.guest import sender_for
from handlers.pages.reach import phone_site

log = logging.getLogger(__name__)

BRAND = 1
SAMPLE = Path(__file__).parents[2] / "campaigns" / "sample.csv"
LEAVING = "Ctrl-C drains and stops"


ROLES = ("web", "plan", "dispatch")
AGAIN_S = 1.0


def serve(
    parts: Parts, config_path: Path, *, demo: bool, roles: Sequence[str], listen: Mapping[str, str], workers: int
) -> None:
    """Serve until asked to stop. Raises CarillonError."""
    mine = [role for role in ROLES if role in roles or "all" in roles]
    store = store_of(config_path, os.environ)
    if isinstance(store, Path) and (workers > 1 or len(mine) < len(ROLES)):
        what = "--workers" if workers > 1 else "--role"
        raise CarillonError(
            f"{what} is for a store that several processes share, and SQLite has one that writes;"
            " set store: postgresql://USER@HOST/DATABASE, and bring everything along with run.py migrate-store"
        )
    if workers > 1:
        supervise(config_path, mine, listen, workers)
        return
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            while not runner.run(_serve(parts, config_path.absolute(), demo=demo, roles=mine, listen=listen)):
                time.sleep(AGAIN_S)
    except ExceptionGroup as group:
        raise _sole(group) from None


def _sole(error: Exception) -> Exception:
    """What a group of one holds, if that is ours to say; else the group."""
    inner = error
    while isinstance(inner, ExceptionGroup) and len(inner.exceptions) == 1:
        (inner,) = inner.exceptions
    return inner if isinstance(inner, CarillonError) else error


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415  not to be had on every system
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _serve(
    parts: Parts, config_path: Path, *, demo: bool, roles: Sequence[str], listen: Mapping[str, str]
) -> bool:
    """False: other processes have taken this one for dead; it must begin anew."""
    stopping = asyncio.create_task(parts.until_asked_to_stop(), name="until asked to stop")
    config, complaint = await _config(config_path)
    if demo and not config.is_simulated:
        raise CarillonError("serve --demo is for the simulator; a channel here is real: run.py serve")
    goes_on = True
    try:
        await _serve_until(stopping, parts, config, complaint, config_path, demo=demo, roles=roles, listen=listen)
    except* Fenced:
        log.error("the others have gone on without this process, which was silent for too long: it begins anew")
        goes_on = False
    finally:
        stopping.cancel()
    return goes_on


async def _serve_until(
    stopping: asyncio.Task[None], parts: Parts, config: Config, complaint: str, config_path: Path, *, demo: bool,
    roles: Sequence[str], listen: Mapping[str, str],
) -> None:  # fmt: skip
    async with parts.opened(config, config_path, os.environ, roles) as app:
        if demo:
            refuse_taken_ports(config)
            lines = await _prepare(app, config_path)
        else:
            operations.applied(app)
            lines = []
        async with parts.serving(app, os.environ) as served, doors(served, roles, listen) as both:
            terminal.show(terminal.head(operations.hello(served)))
            terminal.show([*lines, *([complaint] if complaint else []), *look(served, both), _try(served, demo=demo)])
            sys.stdout.flush()
            await asyncio.shield(stopping)
            terminal.show(["  draining; a second Ctrl-C ends at once"])
            sys.stdout.flush()


async def _config(path: Path) -> tuple[Config, str]:
    """The file, or, while it is being edited, the version that was applied last; and what to say about that."""
    try:
        return load(path, Config, os.environ).value, ""
    except ConfigErrors as errors:
        place = store_of(path, os.environ)
        if isinstance(place, Path) and not place.exists():
            raise
        store = open_store(place)
        try:
            version = await store.read(versions.latest, BRAND)
        finally:
            store.close()
        if version is None:
            raise
        told = f"{len(errors.mistakes)} mistakes in {path.name} (run.py check); version {version.number} runs on"
        return versions.read(version, os.environ, path.parent), told


# --- the demo --------------------------------------------------------------------------------------------------------


async def _prepare(app: App, config_path: Path) -> list[Any]:
    """Import the sample if nobody is known, apply the file; the lines that tell it."""
    path = str(config_path)
    lines: list[Any] = [terminal.labelled("people", await _people(app, path))]
    try:
        answer = await operations.apply(app, _hush, config=path)
    except CarillonError as error:
        if not app.has_business or not app.business.version:
            raise
        return [*lines, *str(error).splitlines()]
    plan = answer["plan"]
    lines += [terminal.labelled(each["campaign"], terminal.estimate(each, plan["currency"])) for each in plan["new"]]
    told, zone = await operations.show_status(app, _hush), app.business.config.brand.timezone
    lines += [
        terminal.labelled(each["campaign"], terminal.audience_line(each, zone, plan["at"]))
        for each in told["campaigns"]
        if each["campaign"] not in answer["launched"]
    ]
    lines.append("  " + ". ".join(_open_now(told, plan)) + ".")
    return [*lines, *terminal.complaints(plan)]


def _open_now(told: Mapping[str, Any], plan: Mapping[str, Any]) -> list[str]:
    """`cup, latte open`, and how many codes there are."""
    names = [each["contest"] for each in told["contests"] if each["is_open"]]
    names += [each["coupon"] for each in told["coupons"]]
    codes = [terminal.stock_words(stock) for stock in plan["stocks"]]
    return [f"{', '.join(names)} open", *codes]


async def _people(app: App, path: str) -> str:
    known = await operations.count_people(app)
    if known:
        return f"{known:,} known from before"
    counts = await import_sample(app, path)
    return terminal.imported(counts, SAMPLE.name, terminal.nearby(counts["rejects"]))


async def import_sample(app: App, config: str) -> Answer:
    """Read the sample's thousand people into the store, in a thread beside the loop."""
    begun = await operations.import_begin(app, _hush, config=config, digest=reading.digest(SAMPLE), program=None)
    rejects = app.folder / f"{SAMPLE.stem}.rejects.csv"
    loop = asyncio.get_running_loop()

    def ask(operation: str, **arguments: Any) -> Answer:
        work = operations.OPERATIONS[operation](app, _hush, **arguments)
        return asyncio.run_coroutine_threadsafe(_await(work), loop).result()

    return await asyncio.to_thread(reading.import_file, ask, config, SAMPLE, begun, rejects, lambda n: None)


async def _await(work: Awaitable[Answer]) -> Answer:
    return await work


async def _hush(_progress: Mapping[str, Any]) -> None:
    """Nobody listens."""


def refuse_taken_ports(config: Config) -> None:
    """Raise PortTaken before anything is imported or launched that then could not be looked at."""
    for name, (host, port) in config.opened.items():
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the listeners do
            try:
                probe.bind((host, port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    said = f"port {port} is taken by another program; stop it, or set listen.{name} in config.yaml"
                    raise PortTaken(said) from None


def _try(app: App, *, demo: bool) -> Any:
    """What to do next: texts that the handset answers, and how to leave."""
    if app.simulator is None:
        return terminal.labelled("LEAVE", f"{LEAVING}.")
    brand = app.business.config.brand
    number = sender_for(app.business, brand.country).number
    words = handset.tries(app.business, brand.languages[0], number)
    stop = words.index(app.business.stop_word(number))
    texts = f"{', '.join(words[: min(stop, 2)])}, then {words[stop]}"
    again = "; make run again sends nothing twice" if demo else ""
    return terminal.labelled("TRY", f"text {texts.removeprefix(', then ')}. {LEAVING}{again}.")


def look(app: App, both: Doors) -> list[Any]:
    """Where to look: the handset, the board, and a page for the reader's own phone."""
    handset = f"handset {both.private}/handset   " if app.simulator else ""
    config = app.business.config
    page = next(iter(config.pages), "")
    site = phone_site(config.brand.site, urlsplit(both.public).port or 80)
    lines: list[Any] = [terminal.labelled("LOOK", f"{handset}live {both.private}/   {page or 'pages'} {site}/{page}")]
    if sys.stdout.isatty():
        lines.append(_code(f"{site}/{page}"))
    if both.api:
        key = f"run.py key new {next(iter(config.clients))} --test"
        lines.append(terminal.labelled("API", f"{both.api}/   a key for a program: {key}"))
    if app.simulator and is_only_here(config.brand.site):
        lines.append(
            terminal.labelled("PHONE", f"links in texts open only here; on your own phone too: SITE={site} make run")
        )
    return lines


def _code(address: str) -> str:
    """The address as a QR code of half-height blocks."""
    import segno  # noqa: PLC0415  only where somebody looks

    out = io.StringIO()
    segno.make(address, micro=False).terminal(out, border=2, compact=True)
    return out.getvalue().rstrip("\n")
