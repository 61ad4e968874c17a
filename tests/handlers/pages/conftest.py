"""A shop that is open: the real store, the shipped business, our own listeners on free ports, browsers of few words."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest
from aiohttp import ClientSession, CookieJar

import run
from campaigns import coupons, importing, links, people
from campaigns.business import Business
from campaigns.settings import Config
from gateway import web
from gateway.clock import StoppedClock
from gateway.config import load
from gateway.ids import Ids
from gateway.rendering import Pages, Texts
from gateway.store import Store, Tx
from handlers import pages
from handlers.app import App
from tests.ports import free_port
from tests.tables import look, tables

ROOT = Path(__file__).parents[3]
MAYA, SHIHAN = "+12065550142", "+8615900001785"
TOKEN = re.compile(r'name="token" value="([^"]+)"')


@dataclass(slots=True)
class Seen:
    """What came back for one request."""

    status: int
    text: str
    path: str
    headers: dict[str, str]
    size: int


class Browser:
    """A phone's browser: keeps cookies, follows redirects, sends the token of the page it last saw."""

    def __init__(self, session: ClientSession, origin: str, language: str) -> None:
        self.session, self.origin, self.language = session, origin, language
        self.token = ""

    async def open(self, path: str, **headers: str) -> Seen:
        return await self._ask("GET", path, None, headers)

    async def send(self, path: str, token: str | None = None, /, *, follow: bool = True, **fields: str) -> Seen:
        return await self.post(path, {"token": self.token if token is None else token, **fields}, follow)

    async def post(self, path: str, fields: dict[str, str], follow: bool = True) -> Seen:
        body = urlencode({"token": self.token, **fields})
        return await self._ask("POST", path, body, {"Content-Type": web.FORM_TYPE}, follow)

    async def _ask(
        self, method: str, path: str, body: str | None, headers: dict[str, str], follow: bool = True
    ) -> Seen:
        headers = {"Accept-Language": self.language, **headers}
        async with self.session.request(
            method, self.origin + path, data=body, headers=headers, allow_redirects=follow
        ) as answer:
            octets = await answer.read()
            text = octets.decode()
            if found := TOKEN.search(text):
                self.token = found[1]
            return Seen(answer.status, text, answer.url.path_qs, dict(answer.headers), len(octets))


@dataclass(slots=True)
class Shop:
    """Everything a test reaches for."""

    app: App
    business: Business
    store: Store
    clock: StoppedClock
    public: str
    private: str

    def path_of(self, link: str) -> str:
        """A link of ours without its site."""
        return link.removeprefix(self.business.config.brand.site)

    async def person(self, number: str = MAYA) -> int:
        found = await self.store.write(people.find_or_create, self.business, number, self.clock.now_ms())
        assert found is not None
        return found.id

    async def vote_path(self, number: str = MAYA) -> str:
        return self.path_of(links.vote_link(self.business, "cup", await self.person(number)))

    async def give(self, number: str = MAYA) -> str:
        """A latte's code for this phone."""
        person = await self.person(number)
        given = await self.store.write(coupons.give, self.business, "latte", person, 0, self.clock.now_ms())
        return given.code

    def coupon_path(self, code: str) -> str:
        return self.path_of(links.coupon_link(self.business, code))

    @asynccontextmanager
    async def browser(self, language: str = "en", *, private: bool = False) -> AsyncIterator[Browser]:
        async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
            yield Browser(session, self.private if private else self.public, language)

    @asynccontextmanager
    async def till(self, place: str = "pike_place", pin: str = "2468", language: str = "en") -> AsyncIterator[Browser]:
        """A device on which staff have signed in."""
        async with self.browser(language) as device:
            await device.open("/till")
            seen = await device.send("/till/sign-in", shop=place, pin=pin)
            assert seen.path == "/till"
            yield device

    async def fingerprint(self) -> str:
        """A hash of every row of every table."""

        async def read(tx: Tx) -> str:
            digest = hashlib.sha256()
            for table in await tables(tx):
                if table != "mark":  # each commit leaves its number there
                    rows = await look(tx, f'SELECT * FROM "{table}"')
                    digest.update(repr((table, sorted(map(repr, rows)))).encode())
            return digest.hexdigest()

        return await self.store.read(read)


@pytest.fixture
async def shop(store: Store, business: Business, clock: StoppedClock, texts: Texts) -> AsyncIterator[Shop]:
    """The shipped business with its doors open."""
    app = App(
        config_path=ROOT / "config.yaml", folder=ROOT / "data", store=store, clock=clock,
        ids=Ids(clock.now_ms, last=0), texts=texts,
        pages=Pages(ROOT / "templates" / "pages", texts),
    )  # fmt: skip
    app.take(business)
    doors = [
        web.Listener(web.application(site, pages=routes), "127.0.0.1", 0, setting="listen")
        for site, routes in (
            (pages.public_site(app), pages.routes(app)),
            (pages.private_site(app), pages.private_routes(app)),
        )
    ]
    for door in doors:
        await door.start()
    public, private = (f"http://127.0.0.1:{door.port}" for door in doors)
    yield Shop(app, business, store, clock, public, private)
    for door in doors:
        await door.stop()


@dataclass(slots=True)
class Theatre:
    """A whole server on the simulator: its app, and where its private pages are."""

    app: App
    private: str
    public: str

    @asynccontextmanager
    async def browser(self, language: str = "en") -> AsyncIterator[Browser]:
        async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
            yield Browser(session, self.private, language)


@pytest.fixture
async def theatre(tmp_path: Path) -> AsyncIterator[Theatre]:
    """Everything runs over a real socket; Maya, Shihan and forty more of the sample are in the club."""
    text = (ROOT / "config.yaml").read_text("utf-8").replace("127.0.0.1:2775", f"127.0.0.1:{free_port()}")
    (tmp_path / "config.yaml").write_text(text.replace("people: lively", "people: quiet"), "utf-8")
    config = load(tmp_path / "config.yaml", Config, {}).value
    async with run.opened(config, tmp_path / "config.yaml", {}) as app:
        app.take(await run.business_of(app, config, 1))
        await _import_sample(app, config)
        async with run.serving(app, {}):
            inner = web.Listener(
                web.application(pages.private_site(app), pages=pages.private_routes(app)), "127.0.0.1", 0, setting="x"
            )
            outer = web.Listener(
                web.application(pages.public_site(app), pages=pages.routes(app)), "127.0.0.1", 0, setting="x"
            )
            await inner.start()
            await outer.start()
            yield Theatre(app, f"http://127.0.0.1:{inner.port}", f"http://127.0.0.1:{outer.port}")
            await inner.stop()
            await outer.stop()


async def _import_sample(app: App, config: Config) -> None:
    with (ROOT / "campaigns" / "sample.csv").open("rb") as file:
        lines = io.BytesIO(b"".join(file.readlines()[:43]))
    attributes = {key: one.values for key, one in config.attributes.items()}
    now = app.clock.now_ms()
    for batch in importing.read(
        lines, country="US", languages=config.brand.languages, attributes=attributes, now_ms=now
    ):  # fmt: skip
        await app.store.write(people.import_rows, app.business, batch.rows, "lantern_club", now)
