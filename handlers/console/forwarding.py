"""Brings what a program is told to a machine at home as it happens, so that its receiver can be written there."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener
from zoneinfo import ZoneInfo

from rich.text import Text

from gateway.clock import from_ms
from gateway.errors import CarillonError
from handlers.console import terminal
from handlers.console.client import Answer, Business

CALL_S = 30.0  # longer than in earnest: somebody may be looking at it in a debugger


class _Here(HTTPRedirectHandler):
    """Follows no redirect, as in earnest."""

    def redirect_request(self, *_: Any) -> None:
        """Take the redirect for the answer."""


_caller = build_opener(_Here, ProxyHandler({}))


def forwarded(business: Business, client: str, url: str) -> Iterator[Answer]:
    """Call `url` with each notice of a client as it is made; each call with its `status` and `ms`, for ever.

    The true receiver is told all the same. Raises CarillonError.
    """
    if not business.hello()["is_served"]:
        raise CarillonError("nobody serves, so nothing will happen: run.py serve")
    if not url.startswith(("http://", "https://")):
        raise CarillonError(f"--forward: found {url!r}, expected a web address such as http://localhost:3000/hook")
    after: str = ""
    known: list[str] = []
    while True:
        answer = business.ask("webhook_news", client=client, after=after, known=known)
        after, known = answer["after"], answer["known"]
        for notice in answer["notices"]:
            yield {**{name: notice[name] for name in ("id", "type", "about", "made_at")}, **call(url, notice)}


def call(url: str, notice: Mapping[str, Any]) -> Answer:
    """Call an address as the courier would; its status (0: none), what went wrong, and how long it took."""
    request = Request(url, notice["body"].encode(), dict(notice["headers"]), method="POST")  # noqa: S310  it is web
    began, status, trouble = time.monotonic(), 0, ""
    try:
        with _caller.open(request, timeout=CALL_S) as response:
            status = response.status
    except HTTPError as error:
        status = error.code
        error.close()
    except (URLError, OSError, http.client.HTTPException) as error:
        trouble = str(getattr(error, "reason", error))
    return {"status": status, "trouble": trouble, "ms": round((time.monotonic() - began) * 1000)}


def line(facts: Answer, zone: str) -> Text:
    """One call for a person: `18:30:04  200  message.delivered  4711  12 ms`."""
    good = 200 <= facts["status"] < 300
    at = f"{from_ms(facts['made_at']).astimezone(ZoneInfo(zone)):%H:%M:%S}"
    return Text.assemble(
        ("  " + at + "  ", "dim"), (f"{facts['status'] or '---':<5}", "bold green" if good else "bold red"),
        f"{facts['type']:<22}{facts['about']:<22}{facts['ms']:>6} ms", ("  " + facts["trouble"], "red"),
    )  # fmt: skip


def show(calls: Iterator[Answer], zone: str, *, as_json: bool) -> None:
    """Show each call until Ctrl-C."""
    out = terminal.console()
    try:
        for facts in calls:
            if as_json:
                print(json.dumps(facts, ensure_ascii=False), flush=True)
            else:
                out.print(line(facts, zone))
    except KeyboardInterrupt:
        return
