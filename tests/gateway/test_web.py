from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import ClientResponse, ClientSession, CookieJar
from hypothesis import given
from hypothesis import strategies as some

from gateway import web
from gateway.errors import CarillonError, PortTaken

SECRET = b"s" * 32
FORM = """<!doctype html><style>p{color:red}</style><form method="post">"""


def error_page(status: int, language: str) -> str:
    return f"sorry {status} {language}"


SITE = web.Site(SECRET, ("en", "zh"), error_page, web.content_policy([FORM]))
Handler = Callable[[web.Request], Awaitable[web.Response]]


class Shop:
    """A site with a page that shows and takes a form, one that remembers, one that breaks, and a call."""

    def __init__(self) -> None:
        self.taken: list[dict[str, str]] = []
        self.client = ""

    async def show(self, request: web.Request) -> web.Response:
        self.client = web.client(request)
        return web.page(f"{FORM}{web.token(request)} {web.language(request)}")

    async def take(self, request: web.Request) -> web.Response:
        self.taken.append(dict(web.form(request)))
        return web.see_other("/cup")

    async def sign_in(self, request: web.Request) -> web.Response:
        web.remember(request, "till", web.form(request)["shop"], seconds=60, now_ms=1000)
        return web.page("in")

    async def who(self, request: web.Request) -> web.Response:
        return web.page(str(web.recall(request, "till", now_ms=int(request.query["now"]))))

    async def sign_out(self, request: web.Request) -> web.Response:
        web.forget(request, "till")
        return web.page("out")

    async def breaks(self, request: web.Request) -> web.Response:
        raise RuntimeError("the secret recipe")

    async def refuses(self, request: web.Request) -> web.Response:
        raise web.Refused(int(request.match_info["status"]), retry_after_s=7.4)

    async def call(self, request: web.Request) -> web.Response:
        return web.data({"heard": (await request.read()).decode()})

    def application(self, site: web.Site) -> Any:
        pages = [
            web.get("/cup", self.show),
            web.post("/cup", self.take),
            web.post("/sign-in", self.sign_in),
            web.post("/sign-out", self.sign_out),
            web.get("/who", self.who),
            web.get("/breaks", self.breaks),
            web.get("/refuses/{status}", self.refuses),
        ]
        return web.application(site, pages=pages, calls=[web.post("/calls/text", self.call)])


class Guest:
    """A browser of few words."""

    def __init__(self, session: ClientSession, port: int) -> None:
        self.session = session
        self.port = port

    async def get(self, path: str, **headers: str) -> ClientResponse:
        return await self.ask("GET", path, None, headers)

    async def post(self, path: str, fields: dict[str, str], **headers: str) -> ClientResponse:
        return await self.ask("POST", path, urlencode(fields), {"Content-Type": web.FORM_TYPE} | headers)

    async def ask(self, method: str, path: str, body: Any, headers: dict[str, str]) -> ClientResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"http://127.0.0.1:{self.port}{path}"
        answer = await self.session.request(method, url, data=body, headers=named, allow_redirects=False)
        await answer.read()
        return answer

    async def token(self) -> str:
        return (await (await self.get("/cup")).text()).removeprefix(FORM).split()[0]


@asynccontextmanager
async def opened(app: Any) -> AsyncIterator[Guest]:
    listener = web.Listener(app, "127.0.0.1", 0, setting="listen.public")
    await listener.start()
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
        yield Guest(session, listener.port)
    await listener.stop()


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
async def guest(shop: Shop) -> AsyncIterator[Guest]:
    async with opened(shop.application(SITE)) as guest:
        yield guest


async def test_a_form_of_ours_is_taken_and_leads_on(shop: Shop, guest: Guest) -> None:
    token = await guest.token()
    answer = await guest.post("/cup", {"choice": "3, 猫头鹰 & co", "token": token})
    assert (answer.status, answer.headers["Location"]) == (303, "/cup")
    assert shop.taken == [{"choice": "3, 猫头鹰 & co", "token": token}]


async def test_a_form_is_taken_again_from_the_same_open_page(shop: Shop, guest: Guest) -> None:
    token = await guest.token()
    assert await guest.token() == token
    assert [(await guest.post("/cup", {"token": token})).status for _ in range(2)] == [303, 303]


@pytest.mark.parametrize("token", ["", "A" * 22, "é"])
async def test_a_form_without_our_token_changes_nothing(shop: Shop, guest: Guest, token: str) -> None:
    await guest.token()
    assert (await guest.post("/cup", {"token": token})).status == 403
    assert shop.taken == []


async def test_a_token_is_worth_nothing_in_another_browser(shop: Shop, guest: Guest) -> None:
    token = await guest.token()
    guest.session.cookie_jar.clear()
    assert (await guest.post("/cup", {"token": token})).status == 403
    await guest.token()
    assert (await guest.post("/cup", {"token": token})).status == 403
    assert shop.taken == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec_Fetch_Site": "same-origin", "Origin": "null"}, 303),  # what Chromium sends under no-referrer
        ({"Sec_Fetch_Site": "none"}, 303),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "nonsense"}, 403),
    ],
)
async def test_a_form_from_another_site_is_refused_even_with_a_token(
    guest: Guest, headers: dict[str, str], status: int
) -> None:
    token = await guest.token()
    assert (await guest.post("/cup", {"token": token}, **headers)).status == status


async def test_a_form_that_names_our_own_origin_is_taken(guest: Guest) -> None:
    answer = await guest.post("/cup", {"token": await guest.token()}, Origin=f"http://127.0.0.1:{guest.port}")
    assert answer.status == 303


async def test_every_answer_carries_the_security_headers(guest: Guest) -> None:
    token = await guest.token()
    answers = [await guest.get(path) for path in ("/cup", "/nowhere", "/breaks", "/refuses/429")]
    answers += [
        await guest.post("/cup", {"token": token}),
        await guest.post("/calls/text", {}),
        await guest.post("/", {}),
    ]
    for answer in answers:
        assert answer.headers["Content-Security-Policy"] == SITE.policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Server"] == "Carillon"
        assert "Strict-Transport-Security" not in answer.headers


def test_the_policy_lets_in_our_own_style_and_nothing_else() -> None:
    # The digest was computed with: printf 'p{color:red}' | openssl dgst -sha256 -binary | base64
    assert web.content_policy([FORM, FORM]) == (
        "default-src 'none'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; "
        "style-src 'sha256-p0bF+un5yUb9MBO6xRb8kPHlY2BdpHVtLiFkDrZPF64='; base-uri 'none'"
    )
    assert "script-src 'sha256-" in web.content_policy(["<script>x()</script>"])
    assert "connect-src 'self'" in web.content_policy([], connect=True)


async def test_a_page_is_stored_nowhere_unless_it_says_so(guest: Guest) -> None:
    assert (await guest.get("/cup")).headers["Cache-Control"] == "no-store"
    assert web.page("", cache_s=5).headers["Cache-Control"] == "private, max-age=5"


def test_plain_words_go_to_programs_that_watch() -> None:
    answer = web.text("ok", status=503)
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (503, b"ok", "text/plain; charset=utf-8")


async def test_on_https_cookies_are_bound_to_the_host_and_http_is_forgotten(shop: Shop) -> None:
    async with opened(shop.application(replace(SITE, https=True))) as guest:
        answer = await guest.get("/cup?lang=zh")
    visit, language = answer.headers.getall("Set-Cookie")
    assert re.fullmatch(r"__Host-visit=[\w-]{22}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure", visit)
    assert language.startswith("lang=zh; Path=/; ")
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("DELETE", "/cup", 405), ("GET", "/refuses/429", 429), ("GET", "/breaks", 500)],
)
async def test_an_error_is_told_in_the_readers_language_without_detail(
    guest: Guest, method: str, path: str, status: int
) -> None:
    answer = await guest.ask(method, path, None, {"Accept_Language": "zh-CN,zh;q=0.9"})
    assert (answer.status, await answer.text()) == (status, f"sorry {status} zh")


async def test_an_error_page_that_breaks_still_ends_in_an_answer(shop: Shop) -> None:
    def broken(status: int, language: str) -> str:
        raise KeyError(language)

    async with opened(shop.application(replace(SITE, error_page=broken))) as guest:
        answer = await guest.get("/nowhere")
        assert (answer.status, "404" in await answer.text()) == (404, True)


async def test_a_refusal_says_when_to_come_again(guest: Guest) -> None:
    assert (await guest.get("/refuses/503")).headers["Retry-After"] == "7"


async def test_a_wrong_method_is_told_which_are_right(guest: Guest) -> None:
    answer = await guest.ask("PUT", "/cup", None, {})
    assert answer.headers["Allow"] == "GET,HEAD,POST"


@pytest.mark.parametrize("body", [b"a=" + b"x" * web.FORM_LIMIT, b"x" * 1_000_000])
async def test_a_form_that_is_too_long_is_refused(guest: Guest, body: bytes) -> None:
    assert (await guest.ask("POST", "/cup", body, {"Content_Type": web.FORM_TYPE})).status == 413


async def test_a_form_that_does_not_tell_its_length_is_measured(guest: Guest) -> None:
    async def drops() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 1024

    assert (await guest.ask("POST", "/cup", drops(), {"Content_Type": web.FORM_TYPE})).status == 413


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"{}", "application/json"), (b"a=%ff", web.FORM_TYPE), (b"&".join([b"a=1"] * 65), web.FORM_TYPE)],
    ids=["json", "not utf-8", "65 fields"],
)
async def test_a_form_that_cannot_be_read_is_refused(guest: Guest, body: bytes, kind: str) -> None:
    assert (await guest.ask("POST", "/cup", body, {"Content_Type": kind})).status == 400


async def test_a_form_that_comes_in_drops_is_taken_whole(shop: Shop, guest: Guest) -> None:
    token = await guest.token()

    async def drops() -> AsyncIterator[bytes]:
        for drop in f"choice=3&token={token}":
            yield drop.encode()
            await asyncio.sleep(0)

    assert (await guest.ask("POST", "/cup", drops(), {"Content_Type": web.FORM_TYPE})).status == 303
    assert shop.taken == [{"choice": "3", "token": token}]


async def test_a_form_that_never_ends_is_given_up(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "BODY_TIMEOUT_S", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", guest.port)
    writer.write(
        f"POST /cup HTTP/1.1\r\nHost: x\r\nContent-Type: {web.FORM_TYPE}\r\nContent-Length: 9\r\n\r\na=".encode()
    )
    assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
    writer.close()


async def test_who_hangs_up_does_not_stop_the_work_that_others_share() -> None:
    begun, finished = asyncio.Event(), asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        begun.set()
        await asyncio.sleep(0.05)
        finished.set()
        return web.page("late")

    async with opened(web.application(SITE, pages=[web.get("/slow", slow)])) as guest:
        _, writer = await asyncio.open_connection("127.0.0.1", guest.port)
        writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await begun.wait()
        writer.transport.abort()
        await asyncio.wait_for(finished.wait(), 2)


async def test_more_guests_than_we_can_serve_are_asked_to_come_again() -> None:
    release = asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        await release.wait()
        return web.page("served")

    app = web.application(replace(SITE, most_at_once=2), pages=[web.get("/slow", slow)])
    async with opened(app) as guest:
        waiting = [asyncio.create_task(guest.get("/slow")) for _ in range(2)]
        await asyncio.sleep(0.05)
        refused = await guest.get("/slow")
        release.set()
        assert (refused.status, refused.headers["Retry-After"]) == (503, "2")
        assert [(await task).status for task in waiting] == [200, 200]


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:8081", 200), ("LOCALHOST", 200), ("[::1]:8081", 200), ("evil.example", 403), ("", 403), ("[x", 403)],
)
async def test_the_private_door_opens_only_under_its_own_name(shop: Shop, host: str, status: int) -> None:
    async with opened(shop.application(replace(SITE, hosts=web.LOOPBACK_NAMES))) as guest:
        assert (await guest.get("/cup", Host=host)).status == status


@pytest.mark.parametrize(
    ("shown", "status"), [("Bearer key", 200), ("Bearer kez", 401), ("bearer", 401), ("Basic key", 401), ("", 401)]
)
async def test_a_call_needs_the_key(shop: Shop, shown: str, status: int) -> None:
    async with opened(shop.application(replace(SITE, authorised=web.bearer("key")))) as guest:
        answer = await guest.ask("POST", "/calls/text", b"votee 3", {"Authorization": shown})
        assert answer.status == status
        assert (await answer.json()).get("heard") == ("votee 3" if status == 200 else None)


async def test_without_a_key_no_call_is_let_in(guest: Guest) -> None:
    answer = await guest.ask("POST", "/calls/text", b"", {"Authorization": "Bearer "})
    assert (answer.status, await answer.json()) == (401, {"error": "no key, or not the right one", "status": 401})


async def test_a_browser_remembers_what_it_was_given_for_so_long(guest: Guest) -> None:
    await guest.post("/sign-in", {"shop": "派克", "token": await guest.token()})
    assert await (await guest.get("/who?now=60999")).text() == "派克"
    assert await (await guest.get("/who?now=61000")).text() == "None"
    await guest.post("/sign-out", {"token": await guest.token()})
    assert await (await guest.get("/who?now=2000")).text() == "None"


@given(some.text(), some.integers(0, 2**53), some.integers(0, 200), some.characters())
def test_a_sealed_value_cannot_be_touched(value: str, until_ms: int, at: int, other: str) -> None:
    sealed = web.seal(SECRET, "till", value, until_ms)
    assert web.unseal(SECRET, "till", sealed, until_ms - 1) == value
    assert web.unseal(SECRET, "till", sealed, until_ms) is None
    assert web.unseal(SECRET, "phone", sealed, until_ms - 1) is None
    assert web.unseal(b"x" * 32, "till", sealed, until_ms - 1) is None
    touched = sealed[: at % len(sealed)] + other + sealed[at % len(sealed) + 1 :]
    assert touched == sealed or web.unseal(SECRET, "till", touched, until_ms - 1) is None


@pytest.mark.parametrize(
    "location", ["https://evil.example", "//evil.example", "/\\evil.example", "cup", "", "/a\r\nb: c"]
)
def test_nobody_is_sent_away_to_another_site(location: str) -> None:
    with pytest.raises(ValueError, match="page of ours"):
        web.see_other(location)


async def test_a_chosen_language_stays_chosen(guest: Guest) -> None:
    assert (await (await guest.get("/cup?lang=zh")).text()).endswith(" zh")
    assert (await (await guest.get("/cup", Accept_Language="en")).text()).endswith(" zh")
    assert (await (await guest.get("/cup?lang=xx")).text()).endswith(" zh")
    assert (await (await guest.get("/cup?lang=en")).text()).endswith(" en")


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("fr, zh;q=0.3, en;q=0.7", "en"),
        ("en;q=0.5, zh", "zh"),
        ("fr-FR", "en"),
        ("zh;q=0", "en"),
        ("", "en"),
        ("zh;q=nonsense", "zh"),
    ],
)
def test_a_browser_is_spoken_to_in_the_language_it_likes_best(header: str, language: str) -> None:
    assert web.accepted_language(header, ("en", "zh")) == language


@given(some.dictionaries(some.text(min_size=1), some.text(), max_size=web.FORM_FIELDS))
def test_a_form_is_read_as_browsers_write_it(fields: dict[str, str]) -> None:
    assert web.form_fields(urlencode(fields)) == fields


def test_a_field_that_stands_twice_counts_last() -> None:
    assert web.form_fields("words=&words=LATTE&flag&=") == {"words": "LATTE", "flag": "", "": ""}


@pytest.mark.parametrize(
    ("proxies", "forwarded", "client"),
    [
        (0, "203.0.113.9", "127.0.0.1"),  # nobody of ours wrote it
        (1, "10.9.9.9, 203.0.113.9", "203.0.113.9"),
        (2, "10.9.9.9, 203.0.113.9, 198.51.100.1", "203.0.113.9"),
        (2, "203.0.113.9", "203.0.113.9"),
        (1, "", ""),
    ],
)
async def test_a_limit_holds_for_who_is_really_there(shop: Shop, proxies: int, forwarded: str, client: str) -> None:
    async with opened(shop.application(replace(SITE, proxies=proxies))) as guest:
        await guest.get("/cup", X_Forwarded_For=forwarded)
    assert shop.client == client


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::/64"),
        ("x:" * 50, ("x:" * 50)[:45]),
    ],
)
def test_one_customer_is_one_key(address: str, key: str) -> None:
    assert web.network(address) == key


def test_a_limiter_lets_a_burst_through_and_then_the_rate() -> None:
    limiter = web.Limiter(rate=0.5, burst=3)
    assert [limiter.wait("a", 100) for _ in range(4)] == [0, 0, 0, pytest.approx(2)]
    assert limiter.wait("b", 100) == 0
    assert limiter.wait("a", 101) == pytest.approx(1)
    assert [limiter.wait("a", 102), limiter.wait("a", 102)] == [0, pytest.approx(2)]


@given(
    some.floats(0.1, 100), some.integers(1, 20), some.lists(some.floats(0, 30), min_size=1, max_size=200).map(sorted)
)
def test_a_limiter_never_lets_more_through_than_burst_and_rate(rate: float, burst: int, times: list[float]) -> None:
    limiter = web.Limiter(rate, burst)
    passed = [now for now in times if limiter.wait("a", now) == 0]
    for number, start in enumerate(passed):
        for count, end in enumerate(passed[number:], 1):
            assert count <= burst + rate * (end - start) + 1e-6


def test_a_limiter_remembers_no_more_than_it_may_and_forgets_the_quietest() -> None:
    limiter = web.Limiter(rate=1, burst=1, capacity=2)
    for key in ("a", "b", "a", "c"):
        limiter.wait(key, 0)
    assert limiter.wait("a", 0) > 0
    assert limiter.wait("b", 0) == 0


def test_looking_at_a_limiter_counts_nothing() -> None:
    limiter = web.Limiter(rate=1, burst=2)
    assert [limiter.look("a", 0) for _ in range(5)] == [0] * 5
    limiter.wait("a", 0)
    limiter.wait("a", 0)
    assert limiter.look("a", 0) == limiter.wait("a", 0) == pytest.approx(1)


async def test_a_taken_port_is_told_with_the_cure(shop: Shop, guest: Guest) -> None:
    second = web.Listener(shop.application(SITE), "127.0.0.1", guest.port, setting="listen.public")
    with pytest.raises(PortTaken) as caught:
        await second.start()
    assert str(caught.value) == (
        f"port {guest.port} is taken by another program; set listen.public in config.yaml or stop it"
    )


async def test_an_address_that_is_not_ours_is_told_with_the_cure(shop: Shop) -> None:
    listener = web.Listener(shop.application(SITE), "203.0.113.9", 8080, setting="listen.public")
    with pytest.raises(CarillonError, match=r"cannot listen on 203\.0\.113\.9:8080 .*set listen\.public"):
        await listener.start()


async def test_what_is_no_http_is_refused_without_a_line_in_the_log(
    guest: Guest, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", guest.port)
    writer.write(b"\x16\x03\x01 hello\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.0 400 ")
    writer.close()
    assert caplog.text == ""
