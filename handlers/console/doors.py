"""Opens the listeners: for phones, for the board and commands, and for programs where there are any."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from campaigns.settings import Config
from gateway import listening, web
from gateway.values import HostPort
from gateway.web import Listener, Request, Response, Route
from handlers import carriers, pages
from handlers.api import app as api
from handlers.api import kannel, twilio
from handlers.api.smpp import PORT, smpp_door
from handlers.app import App
from handlers.console import control, metrics
from handlers.console.health import Health, LoopWatch, StoreWatch
from handlers.console.operations import hello
from handlers.console.status import status
from handlers.console.workers import address_of

NOTHING: Mapping[str, str] = {}
PIECES = "pieces"  # of long texts, which other doors bring too


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
        address_of(name, instead[name]) if instead.get(name) else getattr(config.listen, name)
        for name in ("public", "private", "api")
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
            app.opening = programs.opening
        with control.issued(control.pass_path(app.folder, app.fleet.node if app.fleet else 0), token, address(inner)):
            yield Doors(address(outer) if is_web else "", address(inner), programs.address)
    finally:
        app.opening = None
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
        async with self.opening(config):
            pass

    @asynccontextmanager
    async def opening(self, config: Config) -> AsyncIterator[None]:
        """The same for a file that the block applies, in which we are bound to all addresses and nobody is heard there.

        They are opened when it is over; should it fail, or any of them, all are given up again. The latter is rare and
        undoes nothing of what the block did (gateway/listening.py): the next opening tries anew.
        """
        async with self._opening, AsyncExitStack() as undo:
            listener, binds = self._listener, self._missing(config)
            wants_api = listener is None and "api" in config.opened
            for_api = await self._take("api", self._place, undo) if wants_api else ()
            for_smpp = await self._take(PORT, config.opened[PORT], undo) if binds == PORT else ()
            yield
            if wants_api:
                listener = self._listener_of(config)
                undo.push_async_callback(listener.stop)
                await listener.start(for_api)
            binding = AsyncExitStack()
            if binds:
                await binding.enter_async_context(smpp_door(self._app, config, for_smpp))
            undo.pop_all()
            self._listener = listener
            if binds:
                before, self._binding, self._binds = self._binding, binding, binds
                await before.aclose()

    def _missing(self, config: Config) -> str:
        """What of SMPP is to be opened: its port, or where nobody binds only the care for pieces; empty for nothing."""
        wanted = PORT if PORT in config.opened else PIECES if config.clients else ""
        return "" if self._binds in (wanted, PORT) else wanted

    async def _take(self, door: str, place: HostPort, undo: AsyncExitStack) -> Sequence[socket.socket]:
        taken = await listening.take(*place, f"listen.{door}", is_shared=self._app.fleet is not None)
        undo.callback(listening.let_go, taken)
        return taken

    def _listener_of(self, config: Config) -> Listener:
        app, tls = self._app, config.listen.api_tls
        return Listener(
            api.application(app, [*twilio.routes(app), *kannel.routes(app)]), *self._place, setting="listen.api",
            is_shared=app.fleet is not None, encrypts=tls.context() if tls else None,
        )  # fmt: skip

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
