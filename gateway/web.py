"""Opens our doors to browsers and programs: limits, languages, forms that nobody can forge, errors in plain words.

A handler is a coroutine that takes a `Request` and returns a `Response`. By the time it runs, a posted form has been
read and shown to come from our own page; what it raises becomes an error page without any detail.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
import re
import secrets
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address
from types import MappingProxyType
from urllib.parse import unquote_plus, urlsplit

import orjson
from aiohttp import StreamReader, hdrs
from aiohttp import web as http
from aiohttp.http import HttpProcessingError
from aiohttp.typedefs import Middleware

from gateway import listening
from gateway.channels.base import Call, Door
from gateway.counting import count
from gateway.errors import StoreError
from gateway.logs import request_id

Request = http.Request
Response = http.Response
Handler = Callable[[Request], Awaitable[http.StreamResponse]]
Route = http.RouteDef
get = http.get
post = http.post

log = logging.getLogger("carillon.web")

FORM_LIMIT = 16 * 1024
CALL_LIMIT = 1024 * 1024
DOOR_LIMIT = 256 * 1024  # anybody may knock; a carrier that brings many receipts at once stays well below
FORM_FIELDS = 64
HEADER_LIMIT = 8 * 1024  # octets of a request line, and of one header
HEADERS_LIMIT = 64
BODY_TIMEOUT_S = 10
IDLE_TIMEOUT_S = 20  # between requests, and from the first octet of a request to its last header
BUSY_RETRY_S = 2
VISIT_S = 30 * 24 * 3600  # as long as phones keep a page open in a forgotten tab
LANGUAGE_S = 365 * 24 * 3600
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
FORM_TYPE = "application/x-www-form-urlencoded"
TOKEN_FIELD = "token"  # the name of the hidden field, no secret  # noqa: S105
DOOR_METHODS = ("GET", "POST")
UNCHANGING = frozenset({"GET", "HEAD", "OPTIONS"})

_NO_FIELDS: Mapping[str, str] = MappingProxyType({})
_INLINE = re.compile(r"<(style|script)\b[^>]*>(.*?)</\1>", re.DOTALL | re.IGNORECASE)
_VISIT_NAME = re.compile(r"[A-Za-z0-9_-]{22}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")


class Refused(Exception):
    """Raised by a handler, ends the request with the error page of its status.

    `status` is the HTTP status; `retry_after_s` tells when to come again (429, 503).
    """

    def __init__(self, status: int, *, retry_after_s: float = 0) -> None:
        super().__init__(status)
        self.status = status
        self.retry_after_s = retry_after_s


def nobody(_request: Request) -> bool:
    """Lets no program in: the default until a key is set."""
    return False


@dataclass(frozen=True, slots=True)
class Site:
    """What all pages of one listener have in common.

    `error_page` makes the HTML of a status in a language. `policy` is what `content_policy` found to be ours.
    `hosts` are the names under which we may be called; None is any.
    """

    secret: bytes = field(repr=False)  # 32 octets, the same after a restart, or open forms become void
    languages: tuple[str, ...]  # the first also serves readers of any other
    error_page: Callable[[int, str], str]
    policy: str
    https: bool = False
    hosts: frozenset[str] | None = None
    proxies: int = 0  # our own proxies in front, each of which adds one address to X-Forwarded-For
    authorised: Callable[[Request], bool] = nobody  # may this program make calls?
    most_at_once: int = 2_000  # requests being answered; one more is asked to come again


SITE = http.AppKey("site", Site)
_FORM = http.RequestKey("form", Mapping[str, str])
_VISIT = http.RequestKey("visit", str)
_COOKIES = http.RequestKey("cookies", dict[str, str])
_IS_CALL = http.RequestKey("is_call", bool)


# What a handler asks


def form(request: Request) -> Mapping[str, str]:
    """The fields of the posted form, already known to come from our own page; a field that stands twice counts last."""
    fields: Mapping[str, str] = request.get(_FORM, _NO_FIELDS)
    return fields


def token(request: Request) -> str:
    """What a form of ours must carry in its hidden field `token`; gives the browser a cookie if it has none."""
    return _token(request.app[SITE].secret, visit(request))


def visit(request: Request) -> str:
    """This browser's random name (22 characters), which says nothing of the person."""
    if _VISIT in request:
        return request[_VISIT]
    name = cookie(request, _cookie_name(request, "visit"))
    if not _VISIT_NAME.fullmatch(name):
        name = secrets.token_urlsafe(16)
        _set_cookie(request, "visit", name, VISIT_S)
    request[_VISIT] = name
    return name


def language(request: Request) -> str:
    """The reader's language: what she chose (`?lang=`, kept in a cookie), else what her browser asks for."""
    languages = request.app[SITE].languages
    chosen = _chosen_language(request)
    if chosen in languages:
        return chosen
    kept = cookie(request, "lang")
    if kept in languages:
        return kept
    return accepted_language(request.headers.get(hdrs.ACCEPT_LANGUAGE, ""), languages)


def client(request: Request) -> str:
    """Who is asking, as a key for limits: the IPv4 address, or the /64 network that one IPv6 customer gets."""
    proxies = request.app[SITE].proxies
    if proxies:
        # Only what our own proxies wrote can be believed; anything further left was sent by the client.
        hops = request.headers.get("X-Forwarded-For", "").split(",")
        return network(hops[-proxies].strip() if len(hops) >= proxies else hops[0].strip())
    return network(request.remote or "")


def cookie(request: Request, name: str) -> str:
    """The value of a cookie, or nothing."""
    for piece in request.headers.get(hdrs.COOKIE, "").split(";"):
        key, _, value = piece.partition("=")
        if key.strip() == name:
            return value.strip()
    return ""


def remember(request: Request, name: str, value: str, *, seconds: int, now_ms: int) -> None:
    """Keep a short value in this browser for so long, sealed: it can be read there but not changed."""
    sealed = seal(request.app[SITE].secret, name, value, now_ms + seconds * 1000)
    _set_cookie(request, name, sealed, seconds)


def recall(request: Request, name: str, *, now_ms: int) -> str | None:
    """The value that `remember` kept, or None when there is none, it is over, or somebody touched it."""
    return unseal(request.app[SITE].secret, name, cookie(request, _cookie_name(request, name)), now_ms)


def forget(request: Request, name: str) -> None:
    """Remove what `remember` kept."""
    _set_cookie(request, name, "", 0)


# What a handler answers


def page(html: str, *, status: int = 200, cache_s: int = 0) -> Response:
    """A page. It is never stored anywhere unless `cache_s` says for how many seconds the reader's own browser may."""
    keep = f"private, max-age={cache_s}" if cache_s else "no-store"
    headers = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": keep}
    return Response(body=html.encode(), status=status, headers=headers)


def data(value: object, *, status: int = 200) -> Response:
    """A value as JSON."""
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return Response(body=orjson.dumps(value), status=status, headers=headers)


def text(words: str, *, status: int = 200, content_type: str = "text/plain; charset=utf-8") -> Response:
    """Plain words, for programs that watch over us."""
    return Response(body=words.encode(), status=status, headers={"Content-Type": content_type})


def see_other(location: str) -> Response:
    """After a form was obeyed: look there (303), so that reloading does not post again. Only places of our own."""
    if not location.startswith("/") or location[1:2] in {"/", "\\"} or not location.isprintable():
        raise ValueError(f"{location!r} does not lead to a page of ours")
    return Response(status=303, headers={"Location": location})


# Building a site


def content_policy(samples: Iterable[str], *, connect: bool = False) -> str:
    """The Content-Security-Policy (CSP level 3) that allows the inline styles and scripts of these pages and no others.

    `connect` lets scripts fetch from where the page came from.
    """
    hashes: dict[str, list[str]] = {"style": [], "script": []}
    for sample in samples:
        for kind, inside in _INLINE.findall(sample):
            digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
            if (source := f"'sha256-{digest}'") not in hashes[kind.lower()]:
                hashes[kind.lower()].append(source)
    rules = ["default-src 'none'", "img-src 'self' data:", "form-action 'self'", "frame-ancestors 'none'"]
    rules += [f"{kind}-src {' '.join(sources)}" for kind, sources in hashes.items() if sources]
    rules += ["connect-src 'self'"] if connect else []
    return "; ".join([*rules, "base-uri 'none'"])


def bearer(key: str) -> Callable[[Request], bool]:
    """Lets in a program that shows this key as `Authorization: Bearer KEY` (RFC 6750, section 2.1)."""
    expected = f"Bearer {key}".encode()

    def authorised(request: Request) -> bool:
        shown = request.headers.get(hdrs.AUTHORIZATION, "").encode("utf-8", "surrogateescape")
        return bool(key) and hmac.compare_digest(shown, expected)

    return authorised


def application(
    site: Site,
    *,
    pages: Sequence[Route],
    calls: Sequence[Route] = (),
    doors: Sequence[Door] = (),
    address: str = "",
) -> http.Application:
    """A site of pages for people, calls for programs, and doors for carriers.

    A page that changes something takes a form which must carry our token. A call needs `site.authorised`
    instead; its body (at most 1 MB) is the handler's to read, and its errors are JSON. A door, whose path begins with
    a slash, is handed what came (at most 256 KB) as it came, and sees for itself who it is. `address` is how the world
    writes our beginning (`https://sms.example.com`), which who knocks cannot change.
    """
    app = http.Application(middlewares=[_edge(site)], client_max_size=CALL_LIMIT)
    app[SITE] = site
    app.add_routes([http.RouteDef(r.method, r.path, _page(site, r.handler), r.kwargs) for r in pages])
    app.add_routes([http.RouteDef(r.method, r.path, _call(site, r.handler), r.kwargs) for r in calls])
    app.add_routes(
        [http.RouteDef(method, d.path, _door(address.rstrip("/"), d), {}) for d in doors for method in DOOR_METHODS]
    )
    return app


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """Bytes that are not HTTP arrive all day on a public port; each would fill a page of the log."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


_aiohttp_log = logging.getLogger("carillon.web.aiohttp")
_aiohttp_log.addFilter(_is_worth_a_line)


class Listener:
    """One door: an application on an address.

    `setting` is the word in config.yaml that moves it. Port 0 takes any free one. If `is_shared`, other processes of
    ours may open the same, and the kernel deals out those who call. `encrypts` makes it HTTPS.
    """

    def __init__(
        self, app: http.Application, host: str, port: int, *, setting: str, is_shared: bool = False,
        encrypts: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        self._is_shared = is_shared
        self._encrypts = encrypts
        self.host = host
        self.port = port
        self._setting = setting
        self._runner = http.AppRunner(
            app,
            access_log=None,
            logger=_aiohttp_log,
            handler_cancellation=False,  # who hangs up must not tear down the commit that others wait for
            keepalive_timeout=IDLE_TIMEOUT_S,
            max_line_size=HEADER_LIMIT,
            max_field_size=HEADER_LIMIT,
            max_headers=HEADERS_LIMIT,
            lingering_time=2,
            shutdown_timeout=3,
        )

    @property
    def is_encrypted(self) -> bool:
        """Whether it speaks HTTPS."""
        return self._encrypts is not None

    async def start(self, taken: Sequence[socket.socket] = ()) -> None:
        """Open the door, on sockets that were `taken` for it or on its address.

        PortTaken when another program has it; CarillonError when the address cannot be ours.
        """
        sockets = taken or await listening.take(self.host, self.port, self._setting, is_shared=self._is_shared)
        await self._runner.setup()
        try:
            for each in sockets:
                await http.SockSite(
                    self._runner, each, backlog=listening.BACKLOG, ssl_context=self._encrypts
                ).start()  # fmt: skip
        except OSError as error:
            await self._runner.cleanup()
            listening.let_go(sockets)
            raise listening.plainly(error, self.host, self.port, self._setting) from error
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Take no more requests, let those in hand finish (3 s at most), close."""
        await self._runner.cleanup()


class Limiter:
    """How often something may be done by each of many: `rate` a second, `burst` at once (a token bucket).

    Remembers at most `capacity` keys and lets go of those that have been quiet longest. Kept as one number a key,
    the time at which its bucket is full again (GCRA, ITU-T I.371).
    """

    def __init__(self, rate: float, burst: int, capacity: int = 10_000) -> None:
        self._pause = 1 / rate
        self._patience = self._pause * (burst - 1)
        self._capacity = capacity
        self._full_at: dict[str, float] = {}

    def wait(self, key: str, now: float, n: int = 1) -> float:
        """Seconds until this key may go on; 0 is at once, and counts. `now` is in seconds of a steady clock.

        `n` at once go on as soon as one may, and those who come after them wait the longer.
        """
        early = self.look(key, now)
        full_at = max(self._full_at.pop(key, now), now)
        self._full_at[key] = full_at if early else full_at + n * self._pause
        if len(self._full_at) > self._capacity:
            del self._full_at[next(iter(self._full_at))]
        return early

    def look(self, key: str, now: float) -> float:
        """The same without counting: for what is counted only when it goes wrong, such as a PIN."""
        early = self._full_at.get(key, now) - now - self._patience
        # A rounding error of a nanosecond must not cost a person a second try.
        return early if early > 1e-9 else 0

    def left(self, key: str, now: float) -> int:
        """How many may go on at once."""
        full_in = max(self._full_at.get(key, now) - now, 0)
        return max(int((self._patience + self._pause - full_in) / self._pause + 1e-9), 0)

    def give_back(self, key: str, now: float) -> None:
        """Take back one that was counted and shall not be."""
        full_at = self._full_at.get(key, now)
        if full_at > now:
            self._full_at[key] = max(full_at - self._pause, now)


# Pure pieces


def seal(secret: bytes, purpose: str, value: str, until_ms: int) -> str:
    """`value` in a form that a browser may keep: it cannot be changed, nor used for another purpose, nor later."""
    body = f"{_base64(value.encode())}.{until_ms}"
    return f"{body}.{_mac(secret, f'{purpose}.{body}')}"


def unseal(secret: bytes, purpose: str, sealed: str, now_ms: int) -> str | None:
    """What `seal` closed, or None when it is not ours or its time is over."""
    body, _, mac = sealed.rpartition(".")
    if not hmac.compare_digest(_octets(mac), _octets(_mac(secret, f"{purpose}.{body}"))):
        return None
    value, _, until_ms = body.partition(".")
    if int(until_ms) <= now_ms:
        return None
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode()


def form_fields(body: str) -> dict[str, str]:
    """The fields of a form (URL Standard, 5.1), at most 64; ValueError for more and for what is not UTF-8.

    Most forms are plain letters, so this takes a fifth of the time of `urllib.parse.parse_qsl`.
    """
    pairs = body.split("&") if body else []
    if len(pairs) > FORM_FIELDS:
        raise ValueError("too many fields")
    split = (pair.partition("=") for pair in pairs if pair)
    if "%" not in body and "+" not in body:
        return {name: value for name, _, value in split}
    return {unquote_plus(name, errors="strict"): unquote_plus(value, errors="strict") for name, _, value in split}


@lru_cache(maxsize=1024)
def accepted_language(header: str, languages: tuple[str, ...]) -> str:
    """The best of our languages for an Accept-Language header (RFC 9110, section 12.5.4), by primary tag."""
    wishes: list[tuple[float, str]] = []
    for wish in header.split(",")[:20]:
        tag, _, parameter = wish.partition(";")
        primary = tag.strip().partition("-")[0].lower()
        weight = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)\s*", parameter)
        if primary in languages:
            wishes.append((float(weight[1]) if weight else 1.0, primary))
    best = max(wishes, key=lambda wish: wish[0], default=(0.0, ""))
    return best[1] if best[0] > 0 else languages[0]


def network(address: str) -> str:
    """An address as a key for limits: IPv4 as it is, IPv6 by its /64, which is what one customer is given."""
    if ":" not in address:
        return address
    try:
        there = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address[:45]
    if there.ipv4_mapped:
        return str(there.ipv4_mapped)
    return str(IPv6Address(int(there) >> 64 << 64)) + "/64"


def _base64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _mac(secret: bytes, message: str) -> str:
    return _base64(hmac.digest(secret, _octets(message), "sha256")[:16])


def _octets(text: str) -> bytes:
    """A text from a browser, which may hold octets that are no letters: they come as halves of pairs."""
    return text.encode("utf-8", "surrogatepass")


def _token(secret: bytes, visit_name: str) -> str:
    return _mac(secret, f"form.{visit_name}")


def _cookie_name(request: Request, name: str) -> str:
    # __Host- (RFC 6265bis, 4.1.3.2) keeps a neighbouring sub-domain from planting its own.
    return f"__Host-{name}" if request.app[SITE].https else name


def _set_cookie(request: Request, name: str, value: str, seconds: int, *, plain_name: bool = False) -> None:
    full_name = name if plain_name else _cookie_name(request, name)
    secure = "; Secure" if request.app[SITE].https else ""
    line = f"{full_name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
    request.setdefault(_COOKIES, {})[full_name] = line


def _chosen_language(request: Request) -> str:
    return request.query.get("lang", "") if "lang=" in request.raw_path else ""


# The guards around every handler


def _edge(site: Site) -> Middleware:
    headers = _site_headers(site)
    busy = 0

    @http.middleware
    async def edge(request: Request, handler: Handler) -> http.StreamResponse:
        nonlocal busy
        busy += 1
        name = _request_name(request, site.proxies)
        request_id.set(name)  # each request comes in a turn of its own of the connection's task, and sets its own
        try:
            if busy > site.most_at_once:
                raise Refused(503, retry_after_s=BUSY_RETRY_S)
            if site.hosts is not None and _host_name(request) not in site.hosts:
                raise Refused(403)
            response = await handler(request)
        except Refused as refusal:
            response = _error(request, refusal.status, refusal.retry_after_s)
        except http.HTTPException as error:
            response = _error(request, error.status)
            if hdrs.ALLOW in error.headers:
                response.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
        except StoreError:
            log.exception("the store could not take a call", extra={"route": _pattern(request)})
            response = _error(request, 503, BUSY_RETRY_S)
        except Exception:
            # The path may hold somebody's coupon, so only its pattern is written down.
            log.exception("a page failed", extra={"route": _pattern(request)})
            response = _error(request, 500)
        finally:
            busy -= 1
        response.headers.update(headers)
        response.headers["X-Request-Id"] = name
        _keep_language(request)
        for line in request.get(_COOKIES, _NO_FIELDS).values():
            response.headers.add(hdrs.SET_COOKIE, line)
        return response

    return edge


def _request_name(request: Request, proxies: int) -> str:
    """By which a request is found again in logs: what our own proxy calls it, else a name of ours."""
    given = request.headers.get("X-Request-Id", "") if proxies else ""
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def _site_headers(site: Site) -> dict[str, str]:
    headers = {
        "Content-Security-Policy": site.policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Vary": "Accept-Language, Cookie",
        "Server": "Carillon",
    }
    if site.https:
        headers["Strict-Transport-Security"] = "max-age=31536000"
    return headers


def _page(site: Site, handler: Handler) -> Handler:
    async def guarded(request: Request) -> http.StreamResponse:
        if request.method not in UNCHANGING:
            _refuse_strangers(request)
            fields = await _read_form(request)
            ours = _token(site.secret, cookie(request, _cookie_name(request, "visit")))
            if not hmac.compare_digest(fields.get(TOKEN_FIELD, "").encode(), ours.encode()):
                raise Refused(403)
            request[_FORM] = fields
        return await handler(request)

    return guarded


def _call(site: Site, handler: Handler) -> Handler:
    async def guarded(request: Request) -> http.StreamResponse:
        request[_IS_CALL] = True
        if not site.authorised(request):
            raise Refused(401)
        return await handler(request)

    return guarded


def _door(address: str, door: Door) -> Handler:
    async def guarded(request: Request) -> http.StreamResponse:
        try:
            response = await opened(request)
        except Refused as refusal:
            _count_rejected(refusal.status)
            raise
        _count_rejected(response.status)
        return response

    async def opened(request: Request) -> Response:
        request[_IS_CALL] = True
        if not request.raw_path.startswith("/"):  # a whole address in the request line would name any host
            raise Refused(400)
        body = await read_body(request, DOOR_LIMIT)
        headers: dict[str, str] = {}
        for name, value in request.headers.items():
            before = headers.get(name.lower())
            headers[name.lower()] = value if before is None else f"{before}, {value}"
        reply = await door.serve(Call(request.method, address + request.raw_path, headers, body))
        kind = {"Content-Type": reply.content_type, "Cache-Control": "no-store"}
        return Response(body=reply.body.encode(), status=reply.status, headers={**kind, **reply.headers})

    return guarded


def _count_rejected(status: int) -> None:
    if status >= 400:
        count("webhook_rejected", _REJECTED.get(status, "malformed" if status < 500 else "failed"))


_REJECTED = {401: "proof", 403: "proof", 408: "slow", 413: "large", 503: "not kept"}


def _refuse_strangers(request: Request) -> None:
    """Refuse a form that the browser itself says was sent from another site.

    Under our Referrer-Policy browsers write `Origin: null` into our own forms too (Fetch, "append a request Origin
    header"), so null proves nothing either way and the token decides.
    """
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
        raise Refused(403)
    origin = request.headers.get(hdrs.ORIGIN, "null")
    if origin != "null" and urlsplit(origin).netloc != request.headers.get(hdrs.HOST, ""):
        raise Refused(403)


async def _read_form(request: Request) -> dict[str, str]:
    if request.content_type != FORM_TYPE:
        raise Refused(400)
    body = await read_body(request, FORM_LIMIT)
    try:
        return form_fields(body.decode())
    except ValueError as error:
        raise Refused(400) from error


async def read_body(request: Request, limit: int) -> bytes:
    """The body, which must have come within ten seconds. Raises Refused: 413 when it is longer than `limit` octets."""
    if (request.content_length or 0) > limit:
        raise Refused(413)
    body = request.content.read_nowait()
    if not request.content.is_eof():
        body = await _read_on(request.content, body, limit)
    if len(body) > limit:
        raise Refused(413)
    return body


async def _read_on(content: StreamReader, body: bytes, limit: int) -> bytes:
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while len(body) <= limit and (chunk := await content.readany()):
                body += chunk
    except TimeoutError as error:
        raise Refused(408) from error
    except (ConnectionError, http.RequestPayloadError) as error:
        raise Refused(400) from error
    return body


def _host_name(request: Request) -> str:
    # request.host would ask the resolver when the header is missing.
    host = request.headers.get(hdrs.HOST, "")
    return host[: host.index("]") + 1] if host.startswith("[") and "]" in host else host.partition(":")[0].lower()


def _keep_language(request: Request) -> None:
    chosen = _chosen_language(request)
    if chosen in request.app[SITE].languages:
        _set_cookie(request, "lang", chosen, LANGUAGE_S, plain_name=True)


def _error(request: Request, status: int, retry_after_s: float = 0) -> Response:
    if request.get(_IS_CALL):
        response = data({"error": _REASONS.get(status, "failed"), "status": status}, status=status)
    else:
        response = page(_error_html(request, status), status=status)
    if retry_after_s:
        response.headers[hdrs.RETRY_AFTER] = str(max(1, round(retry_after_s)))
    if status == 401:
        response.headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
    return response


_REASONS = {
    400: "the request cannot be read",
    401: "no key, or not the right one",
    403: "not allowed",
    404: "not found",
    405: "this method is not allowed here",
    408: "the request took too long to arrive",
    409: "this conflicts with what is there",
    413: "the body is too large",
    429: "too many requests",
    500: "something went wrong on our side",
    503: "busy, come again",
}


def _error_html(request: Request, status: int) -> str:
    site = request.app[SITE]
    try:
        return site.error_page(status, language(request))
    except Exception:
        log.exception("the error page failed", extra={"status": status})
        return f"<!doctype html><title>{status}</title><h1>{status}</h1>"


def _pattern(request: Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource else ""
