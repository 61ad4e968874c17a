"""Shows a program's maker, in a browser and without a script, what there is and what each problem means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiohttp import web as http
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from gateway import web
from handlers.api.calls import Operation
from handlers.api.problems import KINDS, Problem

TEMPLATES = Path(__file__).parents[2] / "templates" / "api"
NAME = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")  # of a host, as whoever calls may write it


def routes(operations: Sequence[Operation]) -> list[web.Route]:
    """The first page, and one for each problem."""
    loader = FileSystemLoader(TEMPLATES)
    template = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).get_template("page.html")
    nothing: dict[str, Any] = {"problem": None, "operations": (), "kinds": (), "address": ""}
    policy = web.content_policy([template.render(heading="", **nothing)])

    def served(**context: Any) -> web.Response:
        response = web.page(template.render(nothing | context), cache_s=300)
        response.headers["Content-Security-Policy"] = policy
        return response

    async def show(request: web.Request) -> web.Response:
        host = request.host if NAME.fullmatch(request.host) else "localhost"
        address = f"{'https' if request.secure else 'http'}://{host}"
        return served(heading="Carillon: the API", operations=operations, kinds=list(KINDS.items()), address=address)

    async def explain(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in KINDS:
            raise Problem("not-found", "there is no such problem")
        kind = KINDS[name]
        return served(heading=kind.title, problem={"name": name, "status": kind.status, "cure": kind.cure})

    return [http.get("/", show), http.get("/problems/{name}", explain)]
