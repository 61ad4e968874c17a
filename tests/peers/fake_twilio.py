"""Twilio, as far as texts go, as a process of its own that outlives every kill of the gateway.

    python tests/peers/fake_twilio.py --log taken.jsonl --account AC... --token ... [--receipts 0.1] [--port 0]

On stdout, one JSON object a line: `{"listening": port}` first, then what happens. On stdin the same way:
`{"text": {"url": ..., "fields": {...}}}` brings a text to a door of ours, signed, and prints how the door answered.

The log has one line for every text that was taken, synced before it is answered. Each request is held against what
Twilio's API takes, strictly; what does not fit is answered with 400 and printed as `{"wrong": ...}`. What a phone's
number begins with says what happens to it:

    +19990CCCCC   refused with Twilio's error CCCCC
    +19991CCCCC   taken, and a receipt says later that it failed with error CCCCC
    +19992SSSSS   answered with the HTTP status SSSSS (00503), and not taken
    +199930       taken, and no answer ever comes
    +199931       taken, and the connection is reset
    +199932       not taken, and the connection is reset
    +199933       taken, and the answer is no JSON
    +199934       first answered with 429 and Retry-After: 1, then taken
    +199935       taken; its receipts come before the answer does
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import email.utils
import itertools
import json
import os
import random
import re
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
from aiohttp import web
from jsonschema import Draft202012Validator, FormatChecker
from twilio.request_validator import RequestValidator

SCHEMA = json.loads((Path(__file__).parents[1] / "data" / "twilio_messages.json").read_text())
PICTURE = b"\x89PNG\r\n\x1a\n" + b"picture" * 100
HTTP_OF = {20003: 401, 20404: 404, 20429: 429}
STATUSES = ("queued", "sent", "delivered")

formats = FormatChecker(formats=())


@formats.checks("phone-number")
def _is_phone(value: object) -> bool:
    return not isinstance(value, str) or re.fullmatch(r"(whatsapp:)?\+[1-9]\d{1,14}", value) is not None


@formats.checks("sender")
def _is_sender(value: object) -> bool:
    return not isinstance(value, str) or re.fullmatch(r"\+[1-9]\d{1,14}|\d{3,8}|[A-Za-z0-9 ]{1,11}", value) is not None


@formats.checks("uri")
def _is_uri(value: object) -> bool:
    return not isinstance(value, str) or re.fullmatch(r"https?://[^\s/_]+(/\S*)?", value) is not None


@formats.checks("date-time-rfc-2822", raises=ValueError)
def _is_date(value: object) -> bool:
    return not isinstance(value, str) or email.utils.parsedate_to_datetime(value) is not None


REQUEST = Draft202012Validator(SCHEMA["request"], format_checker=formats)
RESPONSE = Draft202012Validator(SCHEMA["response"], format_checker=formats)
BOOLEANS = {name for name, rule in SCHEMA["request"]["properties"].items() if rule.get("type") == "boolean"}
INTEGERS = {name for name, rule in SCHEMA["request"]["properties"].items() if rule.get("type") == "integer"}
LISTS = {name for name, rule in SCHEMA["request"]["properties"].items() if rule.get("type") == "array"}


def typed(pairs: list[tuple[str, str]]) -> dict[str, object]:
    """A form as the schema sees it: its texts read as what they stand for. A field that cannot be read stays a text."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in LISTS:
            found.setdefault(name, []).append(value)
        elif name in found:
            found[name] = None  # a field that may stand once only stands twice
        elif name in BOOLEANS:
            found[name] = {"true": True, "false": False}.get(value, value)
        elif name in INTEGERS and re.fullmatch(r"-?\d+", value):
            found[name] = int(value)
        else:
            found[name] = value
    return found


def wrong(pairs: list[tuple[str, str]]) -> list[str]:
    """What Twilio would not like about a request, in words; nothing when it is right."""
    return [f"{error.json_path}: {error.message}" for error in REQUEST.iter_errors(typed(pairs))]


def say(**what: object) -> None:
    """One line to whoever started us."""
    print(json.dumps(what), flush=True)


class Log:
    """A file that is synced before anything is answered; what comes meanwhile is synced together."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._waiting: list[asyncio.Future[None]] = []
        self._busy = False

    async def add(self, **line: object) -> None:
        """Write a line; return when it is on the disk."""
        self._file.write(json.dumps(line) + "\n")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        if not self._busy:
            self._busy = True
            while self._waiting:
                waiting, self._waiting = self._waiting, []
                self._file.flush()
                await asyncio.to_thread(os.fsync, self._file.fileno())
                for each in waiting:
                    each.set_result(None)
            self._busy = False
        await done

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class FakeTwilio:
    """The account and everything that it has taken."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.chance = random.Random(options.seed)
        self.validator = RequestValidator(options.token)
        self.log = Log(options.log)
        self.messages: dict[str, dict[str, object]] = {}
        self.running = 0
        self.most_at_once = 0
        self.throttled_once: set[str] = set()
        self._numbers = itertools.count(1)
        self._requests = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self._prefix = f"{self.chance.getrandbits(64):016x}" if options.seed else os.urandom(8).hex()

    def app(self) -> web.Application:
        """The web interface."""
        account = f"/2010-04-01/Accounts/{self.options.account}"
        app = web.Application()
        app.router.add_post(f"{account}/Messages.json", self.create)
        app.router.add_get(f"{account}/Messages/{{sid}}.json", self.fetch)
        app.router.add_get(f"{account}/Messages/{{sid}}/Media/{{media}}", self.media)
        app.router.add_get("/cdn/{media}", self.content)
        app.on_cleanup.append(self._close)
        return app

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST Messages.json."""
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            return await self._create(request)
        finally:
            self.running -= 1

    async def _create(self, request: web.Request) -> web.StreamResponse:
        body = (await request.read()).decode()
        if not self._is_known(request):
            return _error(20003)
        pairs = parse_qsl(body, keep_blank_values=True, strict_parsing=True, errors="strict")
        if complaints := wrong(pairs):
            say(wrong=complaints)
            return _error(20001)
        form = dict(pairs)
        self._requests += 1
        every = self.options.trouble_every
        if every and self._requests % every == 0:
            return await self._trouble(request, form, self.chance.choice(self.options.trouble.split(",")))
        return await self._by_number(request, form)

    async def _by_number(self, request: web.Request, form: dict[str, str]) -> web.StreamResponse:
        to = form["To"]
        if to.startswith("+19990"):
            return _error(int(to[6:11]))
        if to.startswith("+19992"):
            return web.Response(status=int(to[6:11]), text="<html>trouble</html>")
        kinds = {"+199930": "hang", "+199931": "reset", "+199932": "drop", "+199933": "garbage", "+199934": "throttle"}
        kind = kinds.get(to[:7], "")
        if kind == "throttle":
            first = to not in self.throttled_once
            self.throttled_once.add(to)
            kind = "429" if first else ""
        if kind:
            return await self._trouble(request, form, kind)
        await asyncio.sleep(self.options.delay)
        return await self._take(form)

    async def _trouble(self, request: web.Request, form: dict[str, str], kind: str) -> web.StreamResponse:
        """What can go wrong with one request."""
        if kind == "429":
            return _error(20429, {"Retry-After": "1"})
        if kind == "503":
            return web.Response(status=503, text="<html>trouble</html>")
        taken: web.StreamResponse = web.Response()
        if kind != "drop":
            taken = await self._take(form)
        if kind == "taken503":
            return web.Response(status=503, text="<html>trouble</html>")
        if kind == "garbage":
            return web.Response(status=201, text="{")
        if kind == "hang":
            await asyncio.sleep(3600)
        if request.transport is not None:
            request.transport.abort()
        return taken

    async def _take(self, form: dict[str, str]) -> web.StreamResponse:
        sid = f"SM{self._prefix}{next(self._numbers):016x}"
        now = email.utils.formatdate(usegmt=False, localtime=False)
        service = form.get("MessagingServiceSid")
        units = len(form["Body"].encode("utf-16-le")) // 2
        segments = 1 if units <= 70 else -(-units // 67)
        if form["Body"].isascii():
            segments = 1 if units <= 160 else -(-units // 153)
        path = f"/2010-04-01/Accounts/{self.options.account}/Messages/{sid}"
        message: dict[str, object] = {
            "sid": sid, "account_sid": self.options.account, "api_version": "2010-04-01", "body": form["Body"],
            "from": form.get("From"), "to": form["To"], "messaging_service_sid": service, "num_media": "0",
            "num_segments": "0" if service else str(segments), "direction": "outbound-api", "date_created": now,
            "date_updated": now, "date_sent": None, "error_code": None, "error_message": None, "price": None,
            "price_unit": "USD", "status": "accepted" if service else "queued", "uri": f"{path}.json",
            "subresource_uris": {"media": f"{path}/Media.json"},
        }  # fmt: skip
        await self.log.add(sid=sid, **form)
        self.messages[sid] = message
        if self.options.receipts >= 0 and "StatusCallback" in form:
            if form["To"].startswith("+199935"):
                await self._receipts(sid, form)
            else:
                self._spawn(self._receipts(sid, form))
        RESPONSE.validate(message)
        return web.json_response(message, status=201)

    async def _receipts(self, sid: str, form: dict[str, str]) -> None:
        """The status callbacks of one text, in order or, if told so, in none and some of them twice."""
        to = form["To"]
        error = to[6:11] if to.startswith("+19991") else ""
        statuses = [*STATUSES[:2], "undelivered" if error else "delivered"]
        if self.options.scramble:
            statuses += self.chance.choices(statuses, k=2)
            self.chance.shuffle(statuses)
        for status in statuses:
            await asyncio.sleep(self.options.receipts)
            if self.messages[sid]["status"] not in {"delivered", "undelivered"}:
                self.messages[sid]["status"] = status
                self.messages[sid]["error_code"] = int(error) if error and status == "undelivered" else None
            fields = {
                "MessageSid": sid, "SmsSid": sid, "MessageStatus": status, "SmsStatus": status, "To": to,
                "From": form.get("From", "+15005550006"), "AccountSid": self.options.account,
                "ApiVersion": "2010-04-01",
            }  # fmt: skip
            if error and status == "undelivered":
                fields["ErrorCode"] = error
            await self.call(form["StatusCallback"], fields)

    async def call(self, url: str, fields: dict[str, str]) -> int:
        """Call a door as Twilio does, again for a while if it says 503 or nothing; the HTTP status that ended it."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15))
        shown = self.validator.compute_signature(url, fields)
        status = 0
        for _ in range(self.options.calls):
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with self._session.post(url, data=fields, headers={"X-Twilio-Signature": shown}) as response:
                    await response.read()
                    status = response.status
            if status not in {0, 503}:
                break
            await asyncio.sleep(0.2)
        return status

    async def fetch(self, request: web.Request) -> web.StreamResponse:
        """GET Messages/SM....json."""
        if not self._is_known(request):
            return _error(20003)
        message = self.messages.get(request.match_info["sid"])
        if message is None:
            return _error(20404)
        RESPONSE.validate(message)
        return web.json_response(message)

    async def media(self, request: web.Request) -> web.StreamResponse:
        """GET Media/ME...: leads on to where the octets are."""
        if not self._is_known(request):
            return _error(20003)
        return web.Response(status=307, headers={"Location": f"/cdn/{request.match_info['media']}"})

    async def content(self, request: web.Request) -> web.StreamResponse:
        """The octets of a picture."""
        return web.Response(body=PICTURE, content_type="image/png")

    def _is_known(self, request: web.Request) -> bool:
        shown = request.headers.get("Authorization", "")
        pairs = [(self.options.account, self.options.token), (self.options.key, self.options.secret)]
        return any(shown == "Basic " + base64.b64encode(f"{u}:{p}".encode()).decode() for u, p in pairs if u)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _close(self, app: web.Application) -> None:
        for task in list(self._tasks):
            task.cancel()
        if self._session is not None:
            await self._session.close()
        self.log.close()


def _error(code: int, headers: dict[str, str] | None = None) -> web.Response:
    status = HTTP_OF.get(code, 400)
    body = {
        "code": code, "message": "an error", "status": status, "more_info": f"https://www.twilio.com/docs/errors/{code}"
    }  # fmt: skip
    return web.json_response(body, status=status, headers=headers)


def options_from(arguments: list[str]) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", type=Path, required=True, help="where every text that was taken is written down")
    parser.add_argument("--account", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--key", default="")
    parser.add_argument("--secret", default="")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--receipts", type=float, default=0.02, help="seconds between receipts; below 0 none come")
    parser.add_argument("--scramble", action="store_true", help="receipts in any order, some twice")
    parser.add_argument("--calls", type=int, default=50, help="how often a door that does not answer is tried")
    parser.add_argument("--trouble-every", type=int, default=0, help="every so many requests go wrong")
    parser.add_argument("--trouble", default="429,503,taken503,hang,reset,drop,garbage", help="in which ways")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


async def main(arguments: list[str]) -> None:
    """Serve until stdin ends."""
    options = options_from(arguments)
    fake = FakeTwilio(options)
    runner = web.AppRunner(fake.app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", options.port)
    await site.start()
    say(listening=runner.addresses[0][1])
    try:
        while line := await asyncio.to_thread(sys.stdin.readline):
            told = json.loads(line)["text"]
            say(answered=await fake.call(told["url"], told["fields"]))
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
