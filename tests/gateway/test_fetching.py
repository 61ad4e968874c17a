"""Nothing of our own house is fetched, whatever an address calls it, and nobody but its owner sees a password."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from yarl import URL

from gateway import fetching
from gateway.fetching import (
    Fetched,
    Fetcher,
    FetchFailed,
    FetchRefused,
    Limits,
    Login,
    Teller,
    Told,
    is_public,
)

LIMITS = Limits(octets=1000, seconds=2, kinds=("image/", "text/vcard"))
Serve = Callable[[web.Request], web.StreamResponse]


class Spy:
    """Notes every address that anybody connects to, and lets only this machine be reached."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.connected: list[tuple[str, int]] = []
        loop = asyncio.get_running_loop()
        connect = loop.sock_connect

        async def spied(sock: socket.socket, address: tuple[str, int]) -> None:
            self.connected.append(address[:2])
            await connect(sock, address)

        monkeypatch.setattr(loop, "sock_connect", spied)


@pytest.fixture
async def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    return Spy(monkeypatch)


def names(**addresses: str | list[str]) -> fetching.Resolve:
    """A resolver that knows these names; a list gives one answer after the other."""
    asked: dict[str, int] = {}

    async def resolve(host: str, port: int) -> list[str]:
        found = addresses.get(host.replace(".", "_"))
        if found is None:
            return await fetching.look_up(host, port)
        if isinstance(found, str):
            return found.split()
        n = asked[host] = asked.get(host, -1) + 1
        return found[min(n, len(found) - 1)].split()

    return resolve


@asynccontextmanager
async def server(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def handler(request: web.Request) -> web.StreamResponse:
        return serve(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def picture(request: web.Request) -> web.Response:
    return web.Response(body=b"GIF89a...", content_type="image/gif")


# --- what may never be fetched


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://0/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://017700000001/",
        "https://127.1/",
        "https://[::1]/",
        "https://[::]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[64:ff9b::a00:1]/",
        "https://[2002:a00:1::]/",
        "https://[fd00::1]/",
        "https://[fe80::1]/",
        "https://169.254.169.254/latest/meta-data/",
        "https://100.64.0.1/",
        "https://192.168.1.1/",
        "https://224.0.0.1/",
        "https://255.255.255.255/",
        "https://localhost/",
        "https://localhost./",
        "https://LOCALHOST/",
        "https://metadata.google.internal/",
        "https://mixed.example/",
        "https://mapped.example/",
        "https://１２７.０.０.１/",
        "https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/",
        "https://127。0。0。1/",
        "https://user@public.example/",
        "https://user:word@public.example/",
        "https://public.example:8443/",
        "https://public.example:80/",
        "https://public.example./",
        "http://public.example/",
        "ftp://public.example/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:70/",
        "data:image/gif;base64,R0lGODlh",
        "//public.example/",
        "/etc/passwd",
        "https://",
        "https:///x",
        "https://[::1",
        "https://public.example:99999/",
        "",
        "https://public.example\r\nHost: x/",
    ],
)
async def test_an_address_of_our_own_house_is_refused_and_nobody_connects(url: str, spy: Spy) -> None:
    resolve = names(
        public_example="203.1.113.1",
        mixed_example="203.1.113.1 10.0.0.1",
        mapped_example="::ffff:192.168.0.1",
        metadata_google_internal="169.254.169.254",
    )
    with pytest.raises((FetchRefused, FetchFailed)):
        await Fetcher(resolve=resolve).get(url, LIMITS)
    assert spy.connected == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::808:808", True),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("0.0.0.0", False),
        ("192.0.2.1", False),
        ("198.18.0.1", False),
        ("2001:db8::1", False),
        ("ff02::1", False),
        ("64:ff9b::7f00:1", False),
    ],
)
def test_only_the_public_internet_is_public(address: str, public: bool) -> None:
    assert is_public(address) == public


# --- what is fetched


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Counts 127.0.0.1 as public and lets the usual ports be these, so that a real server can play the internet."""

    def count(http: int, https: int) -> None:
        monkeypatch.setattr(fetching, "is_public", lambda address: address == "127.0.0.1")
        monkeypatch.setattr(fetching, "PORTS", {"http": http, "https": https})

    return count


async def test_a_name_is_looked_up_once_and_connected_to_just_there(here: Callable[[int, int], None], spy: Spy) -> None:
    """The second answer of a name that changes its mind is never asked for."""
    async with server(picture) as port:
        here(port, 1)
        resolve = names(rebind_example=["127.0.0.1", "127.0.0.2"])
        found = await Fetcher(resolve=resolve, plain=True).get(f"http://rebind.example:{port}/a.gif", LIMITS)
        assert found == Fetched(b"GIF89a...", "image/gif")
        assert spy.connected == [("127.0.0.1", port)]
        with pytest.raises(FetchRefused):
            await Fetcher(resolve=names(rebind_example="127.0.0.2"), plain=True).get(
                f"http://rebind.example:{port}/a.gif", LIMITS
            )
        assert len(spy.connected) == 1


async def test_the_server_is_called_by_its_name_and_must_prove_it(here: Callable[[int, int], None]) -> None:
    pem = Path(__file__).parents[1] / "peers" / "localhost.pem"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    called: list[str | None] = []
    context.sni_callback = lambda sock, name, ctx: called.append(name)
    hosts: list[str] = []

    def serve(request: web.Request) -> web.Response:
        hosts.append(request.headers["Host"])
        return picture(request)

    async with server(serve, context) as port:
        here(1, port)
        fetcher = Fetcher(
            resolve=names(localhost="127.0.0.1", other_example="127.0.0.1"),
            authorities=ssl.create_default_context(cafile=str(pem)),
        )
        await fetcher.get(f"https://localhost:{port}/", LIMITS)
        assert (called, hosts) == (["localhost"], [f"localhost:{port}"])
        with pytest.raises(FetchFailed, match="certificate"):
            await fetcher.get(f"https://other.example:{port}/", LIMITS)


async def test_a_password_is_shown_where_it_belongs_and_not_where_that_leads(
    here: Callable[[int, int], None],
) -> None:
    shown: list[tuple[str, str | None]] = []
    async with AsyncExitStack() as stack:

        def content(request: web.Request) -> web.Response:
            shown.append(("content", request.headers.get("Authorization")))
            return picture(request)

        elsewhere = await stack.enter_async_context(server(content))

        def api(request: web.Request) -> web.Response:
            shown.append(("api", request.headers.get("Authorization")))
            return web.Response(status=307, headers={"Location": f"http://cdn.example:{elsewhere}/x"})

        port = await stack.enter_async_context(server(api))
        here(elsewhere, 1)
        login = Login(f"http://127.0.0.1:{port}", "AC1", "token")
        fetcher = Fetcher(resolve=names(cdn_example="127.0.0.1"), plain=True)
        assert (await fetcher.get(f"http://127.0.0.1:{port}/m", LIMITS, login)).kind == "image/gif"
        assert shown == [("api", "Basic QUMxOnRva2Vu"), ("content", None)]


@pytest.mark.parametrize(
    ("url", "fits"),
    [
        ("https://api.twilio.com/x", True),
        ("https://api.twilio.com:443/x", True),
        ("https://API.twilio.com/x", True),
        ("http://api.twilio.com/x", False),
        ("https://api.twilio.com:444/x", False),
        ("https://api.twilio.com./x", False),
        ("https://api.twilio.com.evil.example/x", False),
        ("https://evil.example/api.twilio.com", False),
    ],
)
def test_a_login_fits_one_place(url: str, fits: bool) -> None:
    assert Login("https://api.twilio.com", "a", "b").fits(URL(url)) == fits


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "http://10.0.0.1/",
        "http://[::1]/",
        "gopher://x/",
        "http://169.254.169.254/",
        "",
        "http://[",
        "https://private.example/",
    ],
)
async def test_a_redirect_is_judged_as_a_new_address(location: str, here: Callable[[int, int], None], spy: Spy) -> None:
    def serve(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": location} if location else {})

    async with server(serve) as port:
        here(port, 443)
        fetcher = Fetcher(resolve=names(a_example="127.0.0.1", private_example="10.0.0.1"), plain=True)
        with pytest.raises(FetchRefused):
            await fetcher.get(f"http://a.example:{port}/", LIMITS)
        assert {address for address, _ in spy.connected} == {"127.0.0.1"}


async def test_three_redirects_are_followed_and_no_more(here: Callable[[int, int], None]) -> None:
    def serve(request: web.Request) -> web.Response:
        left = int(request.path[1:])
        return picture(request) if not left else web.Response(status=302, headers={"Location": f"/{left - 1}"})

    async with server(serve) as port:
        here(port, 443)
        fetcher = Fetcher(resolve=names(a_example="127.0.0.1"), plain=True)
        assert (await fetcher.get(f"http://a.example:{port}/3", LIMITS)).kind == "image/gif"
        with pytest.raises(FetchRefused, match="more than 3 times"):
            await fetcher.get(f"http://a.example:{port}/4", LIMITS)


def _large(request: web.Request) -> web.Response:
    return web.Response(body=b"x" * 1001, content_type="image/png")


def _packed(request: web.Request) -> web.Response:
    body = gzip.compress(b"x" * 100_000)
    return web.Response(body=body, content_type="image/png", headers={"Content-Encoding": "gzip"})


def _page(request: web.Request) -> web.Response:
    return web.Response(text="<script>", content_type="text/html")


def _nameless(request: web.Request) -> web.Response:
    return web.Response(body=b"x", headers={"Content-Type": ""})


@pytest.mark.parametrize("serve", [_large, _packed, _page, _nameless])
async def test_what_is_too_large_packed_or_of_another_kind_is_refused(
    serve: Serve, here: Callable[[int, int], None]
) -> None:
    async with server(serve) as port:
        here(port, 443)
        with pytest.raises(FetchRefused):
            await Fetcher(resolve=names(a_example="127.0.0.1"), plain=True).get(f"http://a.example:{port}/", LIMITS)


async def test_a_stream_without_an_end_is_cut_at_the_limit(here: Callable[[int, int], None]) -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
        writer.close()

    flooding = await asyncio.start_server(flood, "127.0.0.1", 0)
    port = flooding.sockets[0].getsockname()[1]
    here(port, 443)
    with pytest.raises(FetchRefused, match="larger"):
        await Fetcher(resolve=names(a_example="127.0.0.1"), plain=True).get(f"http://a.example:{port}/", LIMITS)
    await asyncio.sleep(0.05)
    flooding.close()


async def test_a_server_that_says_nothing_is_not_waited_for(here: Callable[[int, int], None]) -> None:
    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    here(port, 443)
    with pytest.raises(FetchFailed, match="longer than"):
        await Fetcher(resolve=names(a_example="127.0.0.1"), plain=True).get(
            f"http://a.example:{port}/", LIMITS._replace(seconds=0.1)
        )
    await asyncio.sleep(0.02)
    silent.close()


async def test_what_is_not_there_now_may_be_later(here: Callable[[int, int], None]) -> None:
    async with server(lambda request: web.Response(status=404)) as port:
        here(port, 443)
        with pytest.raises(FetchFailed, match="HTTP 404"):
            await Fetcher(resolve=names(a_example="127.0.0.1"), plain=True).get(f"http://a.example:{port}/", LIMITS)
    with pytest.raises(FetchFailed):
        await Fetcher(resolve=names(a_example="")).get("https://a.example/", LIMITS)


async def test_no_proxy_of_the_environment_is_used(
    here: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch, spy: Spy
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with server(picture) as port:
        here(port, 443)
        await Fetcher(resolve=names(a_example="127.0.0.1"), plain=True).get(f"http://a.example:{port}/", LIMITS)
        assert spy.connected == [("127.0.0.1", port)]


# --- telling


TELL = Limits(octets=1000, seconds=2, kinds=())


@contextlib.asynccontextmanager
async def telling(**settings: object) -> AsyncIterator[Teller]:
    teller = Teller(**settings)  # type: ignore[arg-type]  # as Teller takes them
    try:
        yield teller
    finally:
        await teller.close()


async def tell(teller: Teller, url: str, *, private: bool = False, body: bytes = b"{}", **headers: str) -> Told:
    return await teller.call("POST", url, headers, body, private=private, limits=TELL)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/", "http://[::ffff:127.0.0.1]:{port}/", "http://localhost:{port}/",
        "http://LOCALHOST:{port}/", "http://mixed.example:{port}/", "http://mapped.example:{port}/",
        "http://169.254.169.254/latest/", "http://metadata.example/", "http://0.0.0.0:{port}/", "http://[::]:{port}/",
        "http://2130706433:{port}/", "http://0x7f.1:{port}/", "http://127.1:{port}/", "http://user:w@127.0.0.1:{port}/",
        "ftp://127.0.0.1:{port}/", "http:///x", "nonsense", "", "http://127。0。0。1:{port}/", "http://[::1",
    ],
)  # fmt: skip
async def test_nothing_of_our_house_is_told_anything_unless_it_may_be(url: str, spy: Spy) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        known = {
            "mixed.example": ["203.1.113.1", "10.0.0.1"], "mapped.example": ["::ffff:192.168.0.1"],
            "metadata.example": ["169.254.169.254"], "localhost": ["127.0.0.1"],
        }  # fmt: skip
        return known.get(host) or await fetching.look_up(host, port)

    async with server(picture) as port, telling(resolve=resolve) as teller:
        with pytest.raises((FetchRefused, FetchFailed)):
            await tell(teller, url.format(port=port))
    assert spy.connected == []


async def test_what_may_go_to_our_house_goes_there_and_opens_no_way_for_others(spy: Spy) -> None:
    resolve = names(inside_example="127.0.0.1")
    async with server(picture) as port, telling(resolve=resolve) as teller:
        url = f"http://inside.example:{port}/"
        assert (await tell(teller, url, private=True)).status == 200
        with pytest.raises(FetchRefused, match="not on the public internet"):
            await tell(teller, url)  # although a line to that very name is open
        assert len(spy.connected) == 1


async def test_a_name_that_changes_its_mind_is_judged_at_each_new_line(
    here: Callable[[int, int], None], spy: Spy
) -> None:
    async with server(lambda request: web.Response(headers={"Connection": "close"})) as port:
        here(1, 1)
        async with telling(resolve=names(rebind_example=["127.0.0.1", "127.0.0.2"])) as teller:
            assert (await tell(teller, f"http://rebind.example:{port}/")).status == 200
            with pytest.raises(FetchRefused):
                await tell(teller, f"http://rebind.example:{port}/")
        assert spy.connected == [("127.0.0.1", port)]


async def test_one_line_serves_many_calls(spy: Spy) -> None:
    async with server(picture) as port, telling() as teller:
        for _ in range(5):
            await tell(teller, f"http://127.0.0.1:{port}/", private=True)
    assert len(spy.connected) == 1


async def test_no_redirect_is_followed_and_the_answer_says_so(spy: Spy) -> None:
    def away(request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "http://127.0.0.1:1/"})

    async with server(away) as port, telling() as teller:
        assert (await tell(teller, f"http://127.0.0.1:{port}/", private=True)).status == 307
    assert len(spy.connected) == 1


async def test_only_the_beginning_of_a_long_answer_is_read() -> None:
    async with server(lambda request: web.Response(body=b"x" * 5_000_000)) as port, telling() as teller:
        told = await tell(teller, f"http://127.0.0.1:{port}/", private=True)
        assert (len(told.octets), told.is_whole) == (1000, False)
    async with server(lambda request: web.Response(body=b"x" * 1000)) as port, telling() as teller:
        told = await tell(teller, f"http://127.0.0.1:{port}/", private=True)
        assert (len(told.octets), told.is_whole) == (1000, True)


async def test_what_goes_wrong_with_a_line_is_told_in_plain_words() -> None:
    async def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    async def empty(host: str, port: int) -> list[str]:
        return []

    async with telling() as teller:
        with pytest.raises(FetchFailed, match="cannot connect: connection refused"):
            await tell(teller, "http://127.0.0.1:9/", private=True)
    for resolve in (unknown, empty):
        async with telling(resolve=resolve) as teller:
            with pytest.raises(FetchFailed, match="the name is not known"):
                await tell(teller, "https://nowhere.example/")


async def test_a_certificate_that_is_not_good_is_told_in_plain_words() -> None:
    pem = Path(__file__).parents[1] / "peers" / "localhost.pem"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    async with server(picture, context) as port:
        url = f"https://localhost:{port}/"
        async with telling(authorities=ssl.create_default_context(cafile=str(pem))) as teller:
            assert (await tell(teller, url, private=True)).status == 200
        async with telling() as teller:
            with pytest.raises(FetchFailed, match=r"its certificate is not good: .*self.signed"):
                await tell(teller, url, private=True)


async def test_a_header_with_a_line_break_is_never_sent() -> None:
    seen: list[web.Request] = []

    def serve(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response()

    async with server(serve) as port, telling() as teller:
        with pytest.raises(FetchRefused, match="header"):
            await tell(teller, f"http://127.0.0.1:{port}/", private=True, bad="a\r\nX-Other: b")
    assert seen == []
