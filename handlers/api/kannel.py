"""Answers programs that were made for Kannel: `/cgi-bin/sendsms` with its parameters, its words and its statuses.

Interface: the Kannel user guide, "Using the HTTP interface to send SMS messages"; words as Kannel 1.4.5 says them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import orjson
from aiohttp import hdrs

from campaigns.business import Business
from campaigns.client_settings import Client, is_inside
from campaigns.wishes import Outcome, Refused, Submission, Taken, Why, Wish
from gateway import numbers, web
from gateway.channels.smpp_server import Submit
from gateway.errors import StoreError
from gateway.intake import Busy
from handlers.api import desk, kannel_fields, kannel_xml
from handlers.api.kannel_fields import Ask, Wrong
from handlers.api.smpp_pieces import Pieces
from handlers.app import App

log = logging.getLogger("carillon.api")

PATH: Final = "/cgi-bin/sendsms"
BODY_LIMIT: Final = 64 * 1024
SEND: Final = "send"
FORM: Final = "application/x-www-form-urlencoded"
PLAIN: Final = frozenset({"text/plain", "application/octet-stream"})

ACCEPTED: Final = "0: Accepted for delivery"
QUEUED: Final = "3: Queued for later delivery"
NO_AUTHORISATION: Final = "Authorization failed for sendsms"
COME_AGAIN: Final = "Temporal failure, try again later."
DENIED: Final = "Number(s) has/have been denied by white- and/or black-lists."
NOT_ROUTABLE: Final = "Not routable. Do not try again."
UNKNOWN_REQUEST: Final = "Unknown request."

# Kannel's own words where it has some for the matter; a client reads the number, people the words.
_WHY: Final[Mapping[Why, tuple[str, int]]] = {
    Why.BAD_NUMBER: (DENIED, 400),
    Why.LANDLINE: (DENIED, 400),
    Why.LEFT: (DENIED, 400),
    Why.NO_CONSENT: (DENIED, 400),
    Why.NO_TEXT: ("Empty text not allowed, rejected", 400),
    Why.BAD_TEXT: ("Charset or body misformed, rejected", 400),
    Why.TOO_LONG: ("Text too long, rejected", 400),
    Why.TOO_LATE: ("Validity field misformed, rejected", 400),
    Why.CANNOT_CARRY: (NOT_ROUTABLE, 403),
    Why.NOT_YOURS: (NOT_ROUTABLE, 403),
    Why.NO_SENDER: (NOT_ROUTABLE, 403),
    Why.NO_PROGRAM: (NOT_ROUTABLE, 403),
}
_NUMBERED: Final = [*Why]  # how a reason passes through the pieces of a long text
_BUSY, _FAILED = -1, -2


def routes(app: App) -> list[tuple[str, str, Callable[[web.Request, App], Awaitable[web.Response]]]]:
    """Method, path and handler of everything that is answered here; the last one takes what the others leave."""
    door = Sendsms(app)
    return [("GET", PATH, door.serve), ("POST", PATH, door.serve), ("*", "/cgi-bin/{rest:.*}", _nothing)]


async def _nothing(request: web.Request, app: App) -> web.Response:
    return _say(UNKNOWN_REQUEST, 404 if request.path != PATH else 405)


def _say(words: str, status: int) -> web.Response:
    return web.text(words, status=status)


class Sendsms:
    """The door, with the pieces of long texts that it waits for."""

    def __init__(self, app: App) -> None:
        self._pieces = Pieces(app, _number_of)

    async def serve(self, request: web.Request, app: App) -> web.Response:
        """Answer one call."""
        try:
            return await self._answer(request, app)
        except Wrong as wrong:
            return _say(wrong.words, wrong.status)
        except Busy as busy:
            return _later(busy.retry_after_s)
        except web.Refused as refused:
            return _say("Body too large or too slow, rejected", refused.status)
        except StoreError:
            log.exception("the store could not take a call of a program")
            return _later(1)
        except Exception:
            log.exception("a call of a program failed")
            return _say("Sending failed.", 500)

    async def _answer(self, request: web.Request, app: App) -> web.Response:
        is_post, fields = await _fields(request)
        user, password = kannel_fields.login(fields)
        login = await app.keys.login_kannel(user, password)
        if login is None or SEND not in login.scopes:
            raise Wrong(NO_AUTHORISATION, 403)
        ask = kannel_fields.read(fields, is_post=is_post)
        if ask.url and not login.client.settings.private and is_inside(ask.url):
            raise Wrong("DLR-URL field leads into our own network, rejected")
        limits = await desk.limited(app, login, len(ask.to))
        if limits.wait_s:
            return _later(limits.wait_s, limits.headers)
        now = app.clock.now_ms()
        wishes = [_wish(ask, to, app.business, now) for to in ask.to]
        if ask.joint is None:
            if app.intake is None:
                return _later(1)
            submission = Submission(login.client, wishes, is_test=login.is_test)
            if submission.excess():
                raise Wrong("Too many receivers for a text of this size, rejected", 413)
            result = await app.intake.submit(submission)
            response = _said(ask, result.outcomes)
        else:
            response = await self._piece(ask, wishes, login)
        response.headers.update(limits.headers)
        return response

    async def _piece(self, ask: Ask, wishes: Sequence[Wish], login: desk.Login) -> web.Response:
        """Keep a piece of a long text; the text itself is accepted when the last one is there."""
        if login.is_test:  # pieces that are joined leave by a real carrier
            raise Wrong("UDH field misformed, rejected")
        submits = [
            Submit(
                place, each.to, each.text, each.sender, each.send_at, each.valid_until, each.urgent, each.reference,
                each.callback, ask.joint, ask.content,
            )
            for place, each in enumerate(wishes)
        ]  # fmt: skip
        statuses = await self._kept(login.client, submits)
        if _BUSY in statuses or _FAILED in statuses:
            return _later(1)
        if not all(statuses):
            return _say(ACCEPTED, 202)
        words, status = _WHY[_NUMBERED[statuses[0] - 1]]
        return _say(words, status)

    async def _kept(self, client: Client, submits: Sequence[Submit]) -> list[int]:
        """What became of each piece: 0 where it is kept, else `_number_of` why it is not."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        statuses: dict[int, int] = {}

        def answered(answers: Sequence[tuple[int, int, str]]) -> None:
            statuses.update((place, status) for place, status, _ in answers)
            if len(statuses) == len(submits) and not done.done():
                done.set_result(None)

        self._pieces.put(client, submits, answered)
        await done
        return [statuses[place] for place in range(len(submits))]


def _number_of(why: Refused | BaseException) -> int:
    if isinstance(why, Refused):
        return _NUMBERED.index(why.why) + 1
    return _BUSY if isinstance(why, Busy) else _FAILED


def _later(seconds: float, headers: Mapping[str, str] | None = None) -> web.Response:
    response = _say(COME_AGAIN, 503)
    response.headers[hdrs.RETRY_AFTER] = str(max(1, round(seconds)))
    response.headers.update(headers or {})
    return response


async def _fields(request: web.Request) -> tuple[bool, dict[str, bytes]]:
    """What a call brings, and whether its body is the text."""
    query = kannel_fields.parse(request.raw_path.partition("?")[2])
    if request.method == "GET":
        return False, query
    body = await web.read_body(request, BODY_LIMIT)
    if request.content_type == FORM:  # Kannel itself takes none, though many believe that it does
        return False, kannel_fields.parse(body.decode("latin-1")) | query
    if request.content_type in kannel_xml.KINDS:
        return True, kannel_xml.read(body)
    if request.content_type not in PLAIN:
        raise Wrong("Unsupported content-type, rejected", 415)
    kind = request.content_type if hdrs.CONTENT_TYPE in request.headers else "text/plain"
    return True, query | kannel_fields.from_headers(request.headers, kind, request.charset or "", body)


def _wish(ask: Ask, to: str, business: Business, now: int) -> Wish:
    due = now + ask.deferred_ms
    return Wish(
        to=_spelled(to, business.config.brand.country),
        text=ask.text,
        sender=_sender(ask.sender, business),
        urgent=ask.is_urgent,
        send_at=due if ask.deferred_ms else 0,
        valid_until=now + ask.valid_ms if ask.valid_ms else 0,
        reference=ask.account,
        callback=_callback(ask, to),
        content=ask.content,
    )


def _spelled(to: str, country: str) -> str:
    """A number as we read it: at home first, else, as Kannel's clients often leave out the plus, from abroad."""
    if to.startswith("+") or not to.isdecimal():
        return to
    for text in (to, f"+{to}"):
        try:
            return numbers.parse(text, country).e164
        except numbers.BadNumber:
            continue
    return to


def _sender(written: str, business: Business) -> str:
    """One of our numbers as we write it; what is none is refused when it is looked up."""
    bare = written.removeprefix("00") if written.startswith("00") else written
    spellings = (written, f"+{bare}")
    return next((each for each in spellings if each in business.senders), written)


def _callback(ask: Ask, to: str) -> str:
    """What a report is made of later, with the numbers as the program wrote them."""
    if not (ask.url and ask.mask):
        return ""
    kept = {"url": ask.url, "mask": ask.mask, "to": to, "from": ask.sender, "account": ask.account,
            "binfo": ask.binfo, "meta": ask.meta}  # fmt: skip
    return orjson.dumps({"door": "kannel", **{name: value for name, value in kept.items() if value}}).decode()


def _said(ask: Ask, outcomes: Sequence[Outcome]) -> web.Response:
    """The answer: as Kannel's when one text at least was taken; those that were not are named behind it."""
    taken = [each for each in outcomes if isinstance(each, Taken)]
    if not taken:
        words, status = _WHY.get(outcomes[0].why, (DENIED, 400)) if isinstance(outcomes[0], Refused) else (DENIED, 400)
        return _say(words, status)
    words = QUEUED if ask.deferred_ms else ACCEPTED
    refused = [to for to, each in zip(ask.to, outcomes, strict=True) if isinstance(each, Refused)]
    if refused:
        words += " Denied receivers are: " + " ".join(refused)
    response = _say(words, 202)
    response.headers["X-Message-Id"] = " ".join(str(each.id) for each in taken[:100])
    return response
