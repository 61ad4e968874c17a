"""Shows a program's maker, in a browser and without a script, what there is and what each problem means."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from aiohttp import web as http

from gateway import web
from handlers.api.calls import Operation
from handlers.api.problems import KINDS, Problem

STYLE = (
    "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "code{background:#f3f0ea;padding:.1em .3em}td{padding:.2em 1em .2em 0;vertical-align:top}"
    "pre{background:#f3f0ea;padding:1em;overflow-x:auto}</style>"
)
POLICY = web.content_policy([STYLE])
EXAMPLE = """curl http://127.0.0.1:8082/v1/messages \\
  -H "Authorization: Bearer ck_test_..." \\
  -H "Content-Type: application/json" \\
  -d '{"to": "+12065550142", "text": "Your order 7 is ready."}'"""


def routes(operations: Sequence[Operation]) -> list[web.Route]:
    """The first page, and one for each problem."""
    first = _page("Carillon: the API", _first(operations))

    async def show(_request: web.Request) -> web.Response:
        return _served(first)

    async def explain(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in KINDS:
            raise Problem("not-found", "there is no such problem")
        kind = KINDS[name]
        inside = f"<h1>{escape(kind.title)}</h1><p><code>{name}</code>, {kind.status}</p><p>{escape(kind.cure)}</p>"
        return _served(_page(kind.title, inside))

    return [http.get("/", show), http.get("/problems/{name}", explain)]


def _served(html: str) -> web.Response:
    response = web.page(html, cache_s=300)
    response.headers["Content-Security-Policy"] = POLICY
    return response


def _page(title: str, inside: str) -> str:
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
    view = '<meta name="viewport" content="width=device-width">'
    return f"{head}{view}{STYLE}{inside}</html>"


def _first(operations: Sequence[Operation]) -> str:
    rows = "".join(
        f"<tr><td><code>{each.method} {escape(each.path)}</code><td>{escape(each.summary)}" for each in operations
    )
    kinds = "".join(
        f'<tr><td><a href="/problems/{name}"><code>{name}</code></a><td>{kind.status}<td>{escape(kind.title)}'
        for name, kind in KINDS.items()
    )
    return (
        "<h1>Carillon: the API</h1><p>Make a key with <code>run.py key new CLIENT</code>, then:</p>"
        f"<pre>{escape(EXAMPLE)}</pre>"
        '<p>Everything in detail: <a href="/v1/openapi.json">openapi.json</a>, and docs/api.md.</p>'
        f"<h2>What there is</h2><table>{rows}</table><h2>What can be wrong</h2><table>{kinds}</table>"
    )
