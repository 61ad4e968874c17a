"""Opens the two listeners: the public one for phones, and the private one for the board, figures and commands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version

from gateway import web
from gateway.web import Listener, Request, Response, Route
from handlers import carriers, pages
from handlers.app import App
from handlers.console import control, metrics
from handlers.console.operations import hello
from handlers.console.status import status


@dataclass(slots=True)
class Readiness:
    """Whether others may send people here; off before the doors close."""

    is_leaving: bool = False


@dataclass(frozen=True, slots=True)
class Doors:
    """Where both listeners can be reached from this machine."""

    public: str
    private: str


@asynccontextmanager
async def doors(app: App) -> AsyncIterator[Doors]:
    """Both listeners for as long as the block runs, with the key for commands beside the store."""
    config = app.business.config
    listen = config.listen
    token, watch, readiness = control.new_token(), metrics.LoopWatch(), Readiness()
    public = web.application(
        pages.public_site(app), pages=pages.routes(app), doors=carriers.doors(app), address=config.brand.site
    )
    private = web.application(
        pages.private_site(app, web.bearer(token)),
        pages=[*figures(app, watch, readiness), *pages.private_routes(app)],
        calls=control.routes(app),
    )
    outer = Listener(public, *listen.public, setting="listen.public")
    inner = Listener(private, *listen.private, setting="listen.private")
    watching = asyncio.create_task(watch.run(), name="loop watch")
    try:
        await outer.start()
        await inner.start()
        with control.issued(app.store.path, token, address(inner)):
            yield Doors(address(outer), address(inner))
    finally:
        readiness.is_leaving = True
        watching.cancel()
        await asyncio.gather(outer.stop(), inner.stop())


def address(listener: Listener) -> str:
    """Where a listener can be reached from this machine."""
    host = "127.0.0.1" if listener.host in EVERYWHERE else listener.host
    return f"http://[{host}]:{listener.port}" if ":" in host else f"http://{host}:{listener.port}"


EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104  the spellings of every address of this machine


def figures(app: App, watch: metrics.LoopWatch, readiness: Readiness) -> Sequence[Route]:
    """Health, readiness, status and metrics, for programs that watch over us."""

    async def healthz(_request: Request) -> Response:
        return web.text("ok\n")

    async def readyz(_request: Request) -> Response:
        told = await status(app)
        unbound = [line["channel"] for line in told["channels"] if not line["bound"]]
        ready = not (unbound or readiness.is_leaving)
        facts = {"ready": ready, "unbound": unbound, "version": told["version"], "tzdata": version("tzdata")}
        return web.data(facts, status=200 if ready else 503)

    async def show(_request: Request) -> Response:
        return web.data({**hello(app), **await status(app)})

    async def measure(_request: Request) -> Response:
        return web.text((await metrics.exposition(app, watch)).decode(), content_type=metrics.CONTENT_TYPE)

    return [
        web.get("/healthz", healthz),
        web.get("/readyz", readyz),
        web.get("/status", show),
        web.get("/metrics", measure),
    ]
