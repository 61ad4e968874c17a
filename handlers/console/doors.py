"""Opens the listeners: for phones, for the board and commands, and for programs where there are any."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from campaigns.settings import Config
from gateway import web
from gateway.errors import CarillonError
from gateway.values import HostPort
from gateway.web import Listener, Request, Response, Route
from handlers import carriers, pages
from handlers.api import app as api
from handlers.api import kannel, twilio
from handlers.api.smpp import smpp_door
from handlers.app import App
from handlers.console import control, metrics
from handlers.console.health import Health, LoopWatch, StoreWatch
from handlers.console.operations import hello
from handlers.console.status import status

NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Doors:
    """Where the listeners can be reached from this machine; empty for one that is not open here."""

    public: str
    private: str
    api: str = ""


@asynccontextmanager
async def doors(
    app: App, roles: Collection[str] = ("web",), instead: Mapping[str, str] = NOTHING
) -> AsyncIterator[Doors]:
    """The listeners for as long as the block runs, with the key for commands beside the store.

    Those for phones and programs are opened in the role web, the latter when there are clients. `instead` has
    addresses to be used instead of those of the file.
    """
    config = app.business.config
    public_at, private_at, api_at = (
        _address(instead, name, getattr(config.listen, name)) for name in ("public", "private", "api")
    )
    token, health = control.new_token(), Health(LoopWatch(), StoreWatch(app.store, app.brand))
    is_web = "web" in roles
    public = web.application(
        pages.public_site(app), pages=pages.routes(app), doors=carriers.doors(app), address=config.brand.site
    )
    private = web.application(
        pages.private_site(app, web.bearer(token)),
        pages=[*figures(app, health), *pages.private_routes(app)],
        calls=control.routes(app),
    )
    outer = Listener(public, *public_at, setting="listen.public", is_shared=app.fleet is not None)
    inner = Listener(private, *private_at, setting="listen.private")
    programs = Programs(app, api_at)
    watching = [asyncio.create_task(each.run(), name="watch") for each in (health.loop, health.store)]
    try:
        if is_web:
            await outer.start()
        await inner.start()
        if is_web:
            await programs.open(config)
            app.open_doors = programs.open
        with control.issued(control.pass_path(app.folder, app.fleet.node if app.fleet else 0), token, address(inner)):
            yield Doors(address(outer) if is_web else "", address(inner), programs.address)
    finally:
        app.open_doors = None
        health.is_leaving = True
        for task in watching:
            task.cancel()
        await programs.close()
        if is_web:
            await outer.stop()  # meanwhile the private one says that we are leaving
        await inner.stop()


class Programs:
    """The doors of programs: each is opened with the first file that has somebody for it, and stays open."""

    def __init__(self, app: App, place: HostPort) -> None:
        self._app, self._place = app, place
        self._listener: Listener | None = None
        self._binding, self._binds = AsyncExitStack(), ""
        self._opening = asyncio.Lock()

    @property
    def address(self) -> str:
        """Where programs that speak HTTP reach us from this machine; empty while that door is shut."""
        return address(self._listener) if self._listener else ""

    async def open(self, config: Config) -> None:
        """Open what this file has clients for, all of it or nothing. Raises PortTaken or CarillonError."""
        async with self._opening:
            before = self._listener
            await self._open_api(config)
            try:
                await self._open_smpp(config)
            except BaseException:
                if before is None and self._listener is not None:
                    opened, self._listener = self._listener, None
                    await opened.stop()
                raise

    async def _open_api(self, config: Config) -> None:
        app = self._app
        if self._listener is None and "api" in config.opened:
            tls, doors = config.listen.api_tls, [*twilio.routes(app), *kannel.routes(app)]
            listener = Listener(
                api.application(app, doors), *self._place, setting="listen.api", is_shared=app.fleet is not None,
                encrypts=tls.context() if tls else None,
            )  # fmt: skip
            await listener.start()
            self._listener = listener

    async def _open_smpp(self, config: Config) -> None:
        wanted = "smpp" if "smpp" in config.opened else "pieces" if config.clients else ""
        if wanted and self._binds not in (wanted, "smpp"):
            binding = AsyncExitStack()
            await binding.enter_async_context(smpp_door(self._app, config))
            before, self._binding, self._binds = self._binding, binding, wanted
            await before.aclose()

    async def close(self) -> None:
        """Take leave of those who are bound, then of the others."""
        await self._binding.aclose()
        if self._listener is not None:
            await self._listener.stop()


def address(listener: Listener) -> str:
    """Where a listener can be reached from this machine."""
    host = "127.0.0.1" if listener.host in EVERYWHERE else listener.host
    scheme = "https" if listener.is_encrypted else "http"
    return f"{scheme}://[{host}]:{listener.port}" if ":" in host else f"{scheme}://{host}:{listener.port}"


def _address(instead: Mapping[str, str], name: str, named: HostPort) -> HostPort:
    """The address on the command line, or else the file's. Raises CarillonError."""
    if not instead.get(name):
        return named
    try:
        return HostPort.parse(instead[name])
    except ValueError as error:
        raise CarillonError(f"--{name}: {error}") from None


EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104  the spellings of every address of this machine


def figures(app: App, health: Health) -> Sequence[Route]:
    """Health, readiness, status and metrics, for programs that watch over us."""
    reader = metrics.Figures(app, health)

    async def healthz(_request: Request) -> Response:
        facts = health.alive()
        return web.data(facts, status=200 if facts["alive"] else 503)

    async def readyz(_request: Request) -> Response:
        facts = await health.ready(app)
        return web.data(facts, status=200 if facts["ready"] else 503)

    async def show(_request: Request) -> Response:
        return web.data({**hello(app), **await status(app)})

    async def measure(_request: Request) -> Response:
        return web.text((await reader.exposition()).decode(), content_type=metrics.CONTENT_TYPE)

    return [
        web.get("/healthz", healthz),
        web.get("/readyz", readyz),
        web.get("/status", show),
        web.get("/metrics", measure),
    ]
