"""What a call of the REST API is given, and how the API tells of what it can do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from pydantic import BaseModel

from campaigns.business import Business
from campaigns.client_settings import Scope
from campaigns.wishes import KeyReused, Result, Submission
from gateway import web
from gateway.clock import from_ms
from gateway.intake import Busy
from handlers.api.desk import Limits, Login
from handlers.api.problems import Problem
from handlers.app import App

WALK = 5_000  # rows that one page looks at, however few of them fit


class Call(NamedTuple):
    """One call by a program that has shown who it is. `query` is what stands behind the question mark."""

    app: App
    request: web.Request
    login: Login
    query: Any

    @property
    def business(self) -> Business:
        """The business of this moment."""
        return self.app.business

    async def limited(self, n: int) -> Limits:
        """Count messages against the client's rate. Raises Problem when it must wait."""
        limits = await self.app.keys.limited(self.login, n)
        if limits.wait_s:
            rate = self.login.client.settings.rate
            raise Problem("rate", f"{self.login.client.name} may bring {rate}; wait", headers=limits.headers)
        return limits

    async def submit(self, submission: Submission) -> Result:
        """Have texts accepted. Raises Problem; what is returned is on disk."""
        intake = self.app.intake
        if intake is None:
            raise Problem("busy", retry_after_s=1)
        try:
            return await intake.submit(submission)
        except KeyReused:
            raise Problem("idempotency-key-reused") from None
        except Busy as busy:
            raise Problem("busy", retry_after_s=busy.retry_after_s) from None


Answer = Callable[[Call], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that a program can ask for, with everything that the reference says of it.

    `gives` is what each good status brings; `problems` are those beside the ones that any call may meet.
    """

    method: str
    path: str
    name: str
    summary: str
    answer: Answer
    scope: Scope | None
    gives: Mapping[int, tuple[str, type[BaseModel] | None]]
    detail: str = ""
    query: type[BaseModel] | None = None
    body: tuple[type[BaseModel], ...] = ()
    is_body_optional: bool = False
    is_repeatable: bool = False  # takes an Idempotency-Key
    problems: tuple[str, ...] = ()
    links: tuple[str, ...] = ()  # the operations that take the id of what it brings
    paths: Mapping[str, str] = field(default_factory=dict)  # what the pieces of the path are


def told(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A value as JSON."""
    fields = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    if headers:
        fields.update(headers)
    return web.Response(body=orjson.dumps(value), status=status, headers=fields)


def time_of(ms: int) -> str:
    """A moment as it is told: `2026-11-22T18:30:00.123Z`."""
    second, rest = divmod(ms, 1000)
    return f"{_second(second)}.{rest:03d}Z"


@lru_cache(1024)
def _second(at: int) -> str:
    """A second of UTC; calls of one moment share it."""
    return from_ms(at * 1000).isoformat(timespec="seconds").removesuffix("+00:00")


def paged(call: Call, rows: list[dict[str, Any]], cursor: str | None) -> web.Response:
    """A page with where the next one begins, also as a Link (RFC 8288)."""
    headers = {}
    if cursor is not None:
        url = call.request.rel_url.update_query(cursor=cursor)
        headers["Link"] = f'<{url.raw_path_qs}>; rel="next"'
    return told({"data": rows, "next_cursor": cursor}, headers=headers)


def next_cursor(keys: list[int], limit: int, walked: tuple[int, int], walk: int = WALK) -> str | None:
    """Where the next page begins. `keys` are those of this page, `walked` the last row looked at and how many were."""
    if len(keys) == limit:
        return str(keys[-1])
    last, count = walked
    return str(last) if count == walk else None
