"""What a doctor finds and how it is told, each with the cure; and patience for what never answers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

PATIENCE_S = 6.0  # for one check
CONNECT_S = 4.0
ANSWER_S = 2.0
SKEW_WARN_S, SKEW_WRONG_S = 2.0, 30.0


class Verdict(StrEnum):
    """How a thing stands."""

    OK = "ok"
    WARN = "warn"
    WRONG = "wrong"


class Line(NamedTuple):
    """One thing that was looked at: what was found, and, where it is not well, what helps."""

    subject: str
    verdict: Verdict
    found: str
    cure: str = ""


def ok(subject: str, found: str) -> Line:
    """All is well."""
    return Line(subject, Verdict.OK, found)


def warn(subject: str, found: str, cure: str) -> Line:
    """It works, and should be seen to."""
    return Line(subject, Verdict.WARN, found, cure)


def wrong(subject: str, found: str, cure: str) -> Line:
    """It does not work, or soon will not."""
    return Line(subject, Verdict.WRONG, found, cure)


def judged(subject: str, found: str, cure: str, *, is_wrong: bool, is_doubtful: bool) -> Line:
    """The line for something that is measured."""
    if is_wrong or is_doubtful:
        return Line(subject, Verdict.WRONG if is_wrong else Verdict.WARN, found, cure)
    return ok(subject, found)


def skew(whose: str, seconds: float, cure: str) -> Line:
    """How far another clock is ahead of ours, in seconds; fewer than none is behind."""
    found = f"the clock of {whose} and ours agree within {max(abs(seconds), 0.1):.1f} s"
    if abs(seconds) > SKEW_WARN_S:
        found = f"the clock of {whose} is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} ours"
    return judged("clock", found, cure, is_wrong=abs(seconds) > SKEW_WRONG_S, is_doubtful=abs(seconds) > SKEW_WARN_S)


def octets(n: float) -> str:
    """`1.2 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000:
            return f"{n:.0f} {unit}" if unit == "B" or n >= 100 else f"{n:.1f} {unit}"
        n /= 1000
    return f"{n:.1f} TB"


def facts_of(lines: Sequence[Line]) -> dict[str, Any]:
    """The findings as JSON can carry them, with how many are how bad."""
    sums = {str(verdict): sum(line.verdict is verdict for line in lines) for verdict in Verdict}
    return {"checks": [line._asdict() for line in lines], **sums}


def worst(lines: Iterable[Line]) -> Verdict:
    """The worst verdict of all."""
    return max((line.verdict for line in lines), key=[*Verdict].index, default=Verdict.OK)


# --- patience --------------------------------------------------------------------------------------------------------


async def in_time(subject: str, check: Awaitable[list[Line]], patience_s: float = PATIENCE_S) -> list[Line]:
    """What a check finds; one that takes too long or breaks is a finding itself."""
    try:
        async with asyncio.timeout(patience_s):
            return await check
    except TimeoutError:
        return [wrong(subject, f"no answer within {patience_s:g} s", "see whether it hangs, or a firewall drops us")]
    except Exception as error:  # a doctor who faints tells nothing of the others
        return [wrong(subject, f"could not be looked at: {type(error).__name__}: {error}", "tell us of this")]


class Loop(asyncio.SelectorEventLoop):
    """Looks names up in threads that nobody waits for at the end: a name server that is gone takes half a minute."""

    async def getaddrinfo(self, *args: Any, **kwargs: Any) -> Any:
        """As the loop's own."""
        return await in_thread(socket.getaddrinfo, *args, **kwargs)


async def in_thread(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call what may block in a thread of its own, which may outlive its caller's patience."""
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if not waiter.done():
            waiter.set_result(result) if error is None else waiter.set_exception(error)

    def work() -> None:
        result, failure = None, None
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants to know any more
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=work, daemon=True).start()
    return await waiter
