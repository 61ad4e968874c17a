"""Fetches what strangers point us at, and tells them what they asked to be told, without letting them point us at our
own house.

An address in a message may name anything: this machine, our router, the cloud's own metadata. So each address is
looked up once, every answer must lie on the public internet, the connection goes to just those answers, and each
redirect is judged as a new address (OWASP, Server-Side Request Forgery Prevention).
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

REDIRECTS: Final = 3
PORTS: Final = {"http": 80, "https": 443}
CHUNK: Final = 64 * 1024
KEEP_S: Final = 4.0  # many servers hang up after five seconds; a call on its way to one that does would be lost
OURS: Final = "an address that is not on the public internet"
_MOVED: Final = frozenset({301, 302, 303, 307, 308})

Resolve = Callable[[str, int], Awaitable[Collection[str]]]


class FetchRefused(Exception):
    """This must never be fetched, or is nothing that we want; asking again would not change it."""


class FetchFailed(Exception):
    """It could not be had at this moment."""


@dataclass(frozen=True, slots=True)
class Login:
    """A name and a password that are shown at one place of the web and nowhere else: `https://api.twilio.com`.

    The operator has named that place himself, so it may be anywhere, even on this machine.
    """

    place: str
    user: str
    password: str = field(repr=False)

    def fits(self, url: URL) -> bool:
        """Whether this address is at that place: the same scheme, host and port."""
        place = URL(self.place)
        return (url.scheme, url.host, url.port) == (place.scheme, place.host, place.port)


class Limits(NamedTuple):
    """What a fetch may cost, and which media types it may bring; `image/` at the end allows all that begin so."""

    octets: int
    seconds: float
    kinds: tuple[str, ...]

    def take(self, kind: str) -> bool:
        """Whether this media type is wanted."""
        return any(kind == each or (each.endswith("/") and kind.startswith(each)) for each in self.kinds)


class Fetched(NamedTuple):
    """What was brought, and what it says it is: `image/jpeg`."""

    octets: bytes
    kind: str


def is_public(address: str) -> bool:
    """Whether an address lies on the public internet, however it is wrapped: ::ffff:10.0.0.1 does not."""
    found = ipaddress.ip_address(address)
    inner = [found]
    if isinstance(found, ipaddress.IPv6Address):
        wrapped = (found.ipv4_mapped, found.sixtofour, *(found.teredo or ()), _translated(found))
        inner += [each for each in wrapped if each is not None]
    return all(each.is_global and not each.is_multicast for each in inner)


def _translated(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address behind the well-known prefix 64:ff9b::/96 (RFC 6052, section 2.1)."""
    is_one = address in ipaddress.IPv6Network("64:ff9b::/96")
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if is_one else None


async def look_up(host: str, port: int) -> list[str]:
    """Every address of a name, as this machine finds it. OSError when there is none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class Fetcher:
    """Fetches by GET. `resolve` finds a name's addresses; `authorities` are trusted beside the usual ones (tests).

    With `plain` also http addresses are taken.
    """

    def __init__(
        self, *, resolve: Resolve = look_up, plain: bool = False, authorities: ssl.SSLContext | None = None
    ) -> None:
        self._resolve = resolve
        self._schemes = {"https", "http"} if plain else {"https"}
        self._tls = authorities

    async def get(self, url: str, limits: Limits, login: Login | None = None) -> Fetched:
        """What stands at this address. Raises FetchRefused for good, FetchFailed for now."""
        try:
            async with asyncio.timeout(limits.seconds):
                return await self._follow(_read_url(url), limits, login)
        except TimeoutError as error:
            raise FetchFailed(f"it took longer than {limits.seconds:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise FetchFailed(str(error) or type(error).__name__) from error

    async def _follow(self, url: URL, limits: Limits, login: Login | None) -> Fetched:
        for _ in range(REDIRECTS + 1):
            found = await self._ask(url, limits, login)
            if isinstance(found, Fetched):
                return found
            url = found
        raise FetchRefused(f"it leads on more than {REDIRECTS} times")

    async def _ask(self, url: URL, limits: Limits, login: Login | None) -> Fetched | URL:
        """One request; another address where it leads on."""
        known = login if login is not None and login.fits(url) else None
        addresses = await self._checked(url, is_ours=known is not None)
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=_Pinned(addresses), use_dns_cache=False, ssl=self._tls or True),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # or a small answer could become a large one
            trust_env=False,
        )
        headers = {"Accept-Encoding": "identity"}
        if known:
            headers["Authorization"] = aiohttp.encode_basic_auth(known.user, known.password)
        async with session, session.get(url, allow_redirects=False, headers=headers) as response:
            if response.status in _MOVED:
                return _read_url(response.headers.get("Location", ""), url)
            if response.status != 200:
                raise FetchFailed(f"HTTP {response.status}")
            return await _body(response, limits)

    async def _checked(self, url: URL, *, is_ours: bool) -> Collection[str]:
        """The addresses behind a URL, each of which may be connected to. Raises FetchRefused for any other."""
        host = url.host or ""
        if not is_ours:
            if url.scheme not in self._schemes:
                raise FetchRefused(f"{url.scheme or 'no'} address")
            if url.port != PORTS[url.scheme]:
                raise FetchRefused(f"port {url.port}")
        if url.user is not None or url.password is not None:
            raise FetchRefused("a name or a password in the address")
        if not host or host.endswith("."):
            raise FetchRefused("no host, or one that ends with a dot")
        try:
            addresses: Collection[str] = [str(ipaddress.ip_address(host))]
        except ValueError:
            addresses = await self._resolve(host, url.port or 0)
        if not addresses:
            raise FetchFailed("the name has no address")
        if not is_ours and not all(map(is_public, addresses)):  # one of ours among them is a trick
            raise FetchRefused(OURS)
        return addresses


class _Pinned(AbstractResolver):
    """Answers every name with the addresses that were checked, so that a second look-up cannot differ."""

    def __init__(self, addresses: Collection[str]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The checked addresses, in their order."""
        return _results(host, port, self._addresses)

    async def close(self) -> None:
        """There is nothing to close."""


def _results(host: str, port: int, addresses: Collection[str]) -> list[ResolveResult]:
    return [
        ResolveResult(
            hostname=host,
            host=each,
            port=port,
            family=socket.AF_INET6 if ":" in each else socket.AF_INET,
            proto=socket.IPPROTO_TCP,
            flags=socket.AI_NUMERICHOST,
        )
        for each in addresses
    ]


# --- telling


class Told(NamedTuple):
    """What a server answered to a call; `octets` are at most so many as were asked for."""

    status: int
    headers: Mapping[str, str]
    octets: bytes
    is_whole: bool


class Teller:
    """Calls addresses that others have named; lines to them are kept for the next call. Close it at the end.

    A call goes to a public address, on any port, and is led nowhere else by a redirect. What may be called in our own
    network too goes over lines of its own, so that no other call finds one there that is open already.
    """

    def __init__(self, *, resolve: Resolve = look_up, authorities: ssl.SSLContext | None = None) -> None:
        self._public = _session(_Checked(resolve, is_public), authorities)
        self._private = _session(_Checked(resolve, lambda address: True), authorities)

    async def call(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, *, private: bool, limits: Limits
    ) -> Told:
        """The answer, whatever its status. Raises FetchRefused for an address that must not be called, FetchFailed.

        At most `limits.octets` of the answer are read, within `limits.seconds`; of any media type.
        """
        place = _as_written(url)
        _refuse_number(place, private=private)
        session = self._private if private else self._public
        try:
            async with (
                asyncio.timeout(limits.seconds),
                session.request(method, place, data=body or None, headers=headers, allow_redirects=False) as response,
            ):
                octets, is_whole = await _beginning(response, limits.octets)
                return Told(response.status, response.headers, octets, is_whole)
        except TimeoutError as error:
            raise FetchFailed(f"no answer within {limits.seconds:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise FetchFailed(_plainly(error)) from error
        except ValueError as error:  # a header that cannot be sent, say
            raise FetchRefused(str(error)) from error

    async def close(self) -> None:
        """Let go of all lines."""
        await self._public.close()
        await self._private.close()


class _Checked(AbstractResolver):
    """Looks a name up once for each line that is opened; every address that it has must be one that may be called."""

    def __init__(self, resolve: Resolve, may: Callable[[str], bool]) -> None:
        self._resolve, self._may = resolve, may

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses to which the line is opened, and to no others. Raises FetchRefused, OSError."""
        addresses = await self._resolve(host, port)
        if not addresses:
            raise OSError("the name has no address")
        if not all(map(self._may, addresses)):
            raise FetchRefused(OURS)
        return _results(host, port, addresses)

    async def close(self) -> None:
        """There is nothing to close."""


def _session(resolver: AbstractResolver, authorities: ssl.SSLContext | None) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            resolver=resolver, use_dns_cache=False, ssl=authorities or True, keepalive_timeout=KEEP_S
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    )


def _as_written(text: str) -> URL:
    """A web address that is called letter for letter, since it may be signed; only what no address may hold is spelled
    out.
    """
    url = _read_url(text)
    return URL(text, encoded=True) if text.isascii() and text.isprintable() and " " not in text else url


def _refuse_number(url: URL, *, private: bool) -> None:
    """Judge an address that is written in digits, for which nobody asks a resolver."""
    try:
        address = str(ipaddress.ip_address(url.host or ""))
    except ValueError:
        if not url.host:
            raise FetchRefused("no host") from None
        return
    if not private and not is_public(address):
        raise FetchRefused(OURS)


async def _beginning(response: aiohttp.ClientResponse, most: int) -> tuple[bytes, bool]:
    """As much of a body as is wanted, and whether it is all; else the line is closed, for the rest stands on it."""
    octets = bytearray()
    async for chunk in response.content.iter_chunked(CHUNK):
        octets += chunk
        if len(octets) > most:
            response.close()
            return bytes(octets[:most]), False
    return bytes(octets), True


def _plainly(error: Exception) -> str:
    """What went wrong with a line, in words for the one who gave the address."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not good: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the name is not known"
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno
        return f"cannot connect: {os.strerror(number).lower() if number else error.os_error}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "it hung up without an answer"
    return str(error) or type(error).__name__


def _read_url(text: str, base: URL | None = None) -> URL:
    try:
        url = URL(text) if base is None else base.join(URL(text))
        _ = url.host, url.port  # some are read only when asked for
    except ValueError as error:
        raise FetchRefused("this is no web address") from error
    if url.scheme not in PORTS:
        raise FetchRefused(f"{url.scheme or 'no'} address")
    return url


async def _body(response: aiohttp.ClientResponse, limits: Limits) -> Fetched:
    headers: Mapping[str, str] = response.headers
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if not limits.take(kind):
        raise FetchRefused(f"the media type {kind[:60] or 'is missing'}")
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise FetchRefused("it is packed")
    if (response.content_length or 0) > limits.octets:
        raise FetchRefused(f"it is larger than {limits.octets} octets")
    octets = bytearray()
    async for chunk in response.content.iter_chunked(CHUNK):
        octets += chunk
        if len(octets) > limits.octets:
            raise FetchRefused(f"it is larger than {limits.octets} octets")
    return Fetched(bytes(octets), kind)
