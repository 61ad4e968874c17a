"""Opens the door for programs that speak HTTP: knows them by their keys, and says plainly what is wrong."""

from __future__ import annotations

import asyncio
import base64
import binascii
import itertools
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence

import orjson
from aiohttp import hdrs
from aiohttp import web as http
from aiohttp.typedefs import Handler, Middleware

from gateway import web
from gateway.errors import StoreError
from gateway.logs import request_id
from handlers.api import bodies, events, front, inbound, me, messages, openapi, subscribers
from handlers.api.calls import Call, Operation
from handlers.api.desk import Login
from handlers.api.problems import Problem
from handlers.app import App

log = logging.getLogger("carillon.api")

MOST_AT_ONCE = 2_000  # calls being answered
ROOM = 64 * 1024 * 1024  # octets of large bodies that may be in hand at once
BUSY_S = 1.0
REALM = 'Bearer realm="Carillon"'
_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_PROCESS, _calls = secrets.token_hex(6), itertools.count(1)  # asking the system for random octets costs 20 µs a call

# How other doors tell of theirs: a method, a path, and who answers.
Foreign = tuple[str, str, Callable[[web.Request, App], Awaitable[http.StreamResponse]]]

OPERATIONS: Sequence[Operation] = [
    *messages.OPERATIONS, *inbound.OPERATIONS, *subscribers.OPERATIONS, *events.OPERATIONS, *me.OPERATIONS,
]  # fmt: skip


def application(app: App, foreign: Iterable[Foreign] = ()) -> http.Application:
    """Everything that programs can ask by HTTP: the REST API, its pages, and the doors in others' manners."""
    headers = [*_HEADERS, _ALWAYS_TLS] if app.business.config.listen.api_tls else _HEADERS
    made = http.Application(middlewares=[_edge(headers)], client_max_size=bodies.LARGE)
    made.add_routes([http.RouteDef(each.method, _path(each), _operation(app, each), {}) for each in OPERATIONS])
    document = orjson.dumps(openapi.document(OPERATIONS))

    async def show_document(_request: web.Request) -> web.Response:
        return web.Response(body=document, headers={"Content-Type": "application/json"})

    made.add_routes([http.get("/v1/openapi.json", show_document), *front.routes(OPERATIONS)])
    made.add_routes([http.RouteDef(method, path, _foreign(app, handler), {}) for method, path, handler in foreign])
    return made


def _path(operation: Operation) -> str:
    """An id is a number: any other word in its place is another address, or none."""
    return operation.path.replace("{id}", "{id:[0-9]{1,19}}")


def _foreign(app: App, handler: Callable[[web.Request, App], Awaitable[http.StreamResponse]]) -> Handler:
    async def answer(request: web.Request) -> http.StreamResponse:
        return await handler(request, app)

    return answer


def _operation(app: App, operation: Operation) -> Handler:
    scope, query, answer = operation.scope, operation.query, operation.answer

    async def answered(request: web.Request) -> http.StreamResponse:
        login = await _login(app, request)
        if scope is not None and scope not in login.scopes:
            may = ", ".join(sorted(login.scopes)) or "nothing"
            raise Problem("scope", f"the key {login.key_id} may {may}; this takes the scope {scope}")
        if query is not None:
            asked = bodies.parameters(query, request)
        elif "?" in request.raw_path and request.rel_url.raw_query_string:
            raise Problem("bad-request", "nothing may stand behind the question mark here")
        else:
            asked = None
        return await answer(Call(app, request, login, asked))

    async def looked(request: web.Request) -> http.StreamResponse:
        login = await _login(app, request)
        limits = await app.keys.looking(login)
        if limits.wait_s:
            raise Problem("rate", "too many calls that only look; a webhook tells sooner", headers=limits.headers)
        response = await answered(request)
        response.headers.update(limits.headers)
        return response

    return looked if operation.method == "GET" else answered


async def _login(app: App, request: web.Request) -> Login:
    """Who shows a key, as Bearer (RFC 6750) or as the user of Basic (RFC 7617). Raises Problem, always the same."""
    kind, _, shown = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    scheme = kind.lower()
    if scheme == "basic":
        try:
            shown = base64.b64decode(shown.strip(), validate=True).decode().partition(":")[0]
        except (binascii.Error, ValueError):
            shown = ""
    login = await app.keys.login(shown.strip()) if scheme in ("bearer", "basic") else None
    if login is None:
        raise Problem("no-key", headers={hdrs.WWW_AUTHENTICATE: REALM})
    return login


# --- the guard around every call -------------------------------------------------------------------------------------


def _edge(always: Sequence[tuple[str, str]]) -> Middleware:
    busy = octets = 0

    @http.middleware
    async def edge(request: web.Request, handler: Handler) -> http.StreamResponse:
        nonlocal busy, octets
        name = _request_name(request)
        request_id.set(name)
        size = _size(request)
        busy += 1
        octets += size
        try:
            if busy > MOST_AT_ONCE or octets > ROOM:
                raise Problem("busy", retry_after_s=BUSY_S)
            response = await handler(request)
        except Problem as problem:
            response = problem.response(name)
        except web.Refused as refused:
            response = Problem.of_status(refused.status, refused.retry_after_s).response(name)
        except http.HTTPException as error:
            response = _of_router(request, error, name)
        except StoreError:
            log.exception("the store could not take a call", extra={"route": _pattern(request)})
            response = Problem("not-kept", retry_after_s=BUSY_S).response(name)
        except (ConnectionError, asyncio.IncompleteReadError):
            response = Problem("slow").response(name)
        except Exception:
            log.exception("a call failed", extra={"route": _pattern(request)})
            response = Problem("failed").response(name)
        finally:
            busy -= 1
            octets -= size
        headers = response.headers
        for field, value in always:
            headers.setdefault(field, value)
        headers["X-Request-Id"] = name
        return response

    return edge


_ALWAYS_TLS = ("Strict-Transport-Security", "max-age=31536000")
_HEADERS = (
    ("Server", "Carillon"),
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


def _of_router(request: web.Request, error: http.HTTPException, name: str) -> web.Response:
    allow = error.headers.get(hdrs.ALLOW, "")
    if allow and request.method == hdrs.METH_OPTIONS:
        return web.Response(status=204, headers={hdrs.ALLOW: f"{allow},OPTIONS"})
    problem = Problem.of_status(error.status)
    if error.status == 404:
        problem = Problem("not-found", "nothing is at this address; GET / shows what there is")
    if allow:
        problem = Problem(
            "method", f"{request.method[:20]} is not for this address; {allow} are", headers={"Allow": allow}
        )
    return problem.response(name)


def _size(request: web.Request) -> int:
    """How much memory a body may come to take; small ones are not counted."""
    if request.headers.get(hdrs.CONTENT_ENCODING) or (request.content_length is None and request.can_read_body):
        return bodies.LARGE
    size = request.content_length or 0
    return min(size, bodies.LARGE) if size > bodies.SMALL else 0


def _request_name(request: web.Request) -> str:
    """By which a call is found again in logs: what the program calls it, if it does, else a name of ours."""
    given = request.headers.get("X-Request-Id")
    return given if given is not None and _ID.fullmatch(given) else f"{_PROCESS}{next(_calls):08x}"


def _pattern(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource else ""
