"""The marketer's commands over the private listener, for whoever can read the token that lies beside the store.

POST /control/OPERATION with a JSON object of arguments. The answer is one JSON value a line: progress, and last
either {"result": ...} or {"error": ...}.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web as http

from gateway import web
from gateway.errors import CarillonError
from gateway.logs import request_id
from gateway.web import Request, Route
from handlers.app import App
from handlers.console.operations import OPERATIONS, Unknown

log = logging.getLogger("carillon.console")

PATH = "/control/{operation}"
TELL_S = 0.2  # between two lines of progress


def pass_path(folder: Path, node: int = 0) -> Path:
    """Where the key lies: only its owner may read it. Each process of a fleet has its own."""
    return folder / (f"control-{node}.token" if node else "control.token")


@contextlib.contextmanager
def issued(path: Path, token: str, address: str) -> Iterator[None]:
    """Lay the key beside the store for as long as this process serves."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{token}\n{address}\n")
    fresh.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def new_token() -> str:
    """A key that nobody can guess."""
    return secrets.token_urlsafe(32)


def routes(app: App) -> Sequence[Route]:
    """The one route that carries every operation."""

    async def control(request: Request) -> http.StreamResponse:
        name = request.match_info["operation"]
        headers = {"Content-Type": "application/x-ndjson", "Cache-Control": "no-store"}
        # It begins before it is handed to those who name every other answer.
        response = http.StreamResponse(headers=headers | {"X-Request-Id": request_id.get()})
        arguments = await _arguments(request)
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):  # who hung up gets no answer; what was done stays done
            async for line in _lines(app, name, arguments):
                await response.write(line)
            await response.write_eof()
        return response

    return [web.post(PATH, control)]


async def _arguments(request: Request) -> dict[str, Any]:
    try:
        arguments = orjson.loads(await request.read() or b"{}")
    except orjson.JSONDecodeError as error:
        raise web.Refused(400) from error
    if not isinstance(arguments, dict):
        raise web.Refused(400)
    return arguments


async def _lines(app: App, name: str, arguments: dict[str, Any]) -> AsyncIterator[bytes]:
    """The lines of an answer. Progress is told now and then, the newest only."""
    latest: list[Mapping[str, Any]] = []

    async def tell(progress: Mapping[str, Any]) -> None:
        latest[:] = [progress]

    work = asyncio.create_task(_answer(app, name, arguments, tell), name=f"control {name}")
    _working.add(work)  # it goes on to its end, also when who asked has hung up
    work.add_done_callback(_working.discard)
    while not work.done():
        await asyncio.wait([work], timeout=TELL_S)
        if latest and not work.done():
            yield _line({"progress": latest.pop()})
    yield _line(work.result())


_working: set[asyncio.Task[dict[str, Any]]] = set()


async def _answer(
    app: App, name: str, arguments: dict[str, Any], tell: Callable[[Mapping[str, Any]], Awaitable[None]]
) -> dict[str, Any]:
    """What an operation came to. A slip of the program is logged here and told without detail."""
    try:
        operation = OPERATIONS.get(name)
        if operation is None:
            raise Unknown("operation", name, list(OPERATIONS))
        try:
            inspect.signature(operation).bind(app, tell, **arguments)
        except TypeError as error:
            raise CarillonError(f"{name}: {error}") from None
        return {"result": await operation(app, tell, **arguments)}
    except CarillonError as error:
        return {"error": str(error)}
    except Exception:
        log.exception("an operation failed", extra={"operation": name})
        return {"error": f"{name} failed on our side; the log of serve says why"}


def _line(value: Mapping[str, Any]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)
