"""Who is at the door: knows a program by its key or password, what it may do, and how often."""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import time
from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from campaigns import clients
from campaigns.client_settings import Client
from campaigns.clients import Key
from gateway.errors import StoreError
from gateway.shared import Limit

if TYPE_CHECKING:
    from handlers.app import App

log = logging.getLogger("carillon.api")

FRESH_S = 0.5  # a key that was ended is refused after this long, in every process
STRANGE_S = 0.1  # how often a key that we do not know may make us look for new ones
SLOW_AT_ONCE = 2  # passwords being compared: each costs a core for tens of milliseconds
READS = 200  # calls a second of one key that only look, and as many at once: who polls faster learns nothing sooner
GUESSES, GUESS_PAUSE_S = 10, 6  # wrong passwords of one account: ten at once, then one in six seconds

SMPP = "smpp"
TEST = "test"


class Login(NamedTuple):
    """A program that has shown who it is. With a test key nothing leaves; `scopes` is what it may do."""

    client: Client
    key_id: str
    is_test: bool
    scopes: frozenset[str]


class Limits(NamedTuple):
    """Whether a program may go on. `wait_s` is 0, or how long it must wait; `headers` tell it where it stands."""

    wait_s: float
    headers: Mapping[str, str]


NO_LIMITS = Limits(0, {})


class Keys:
    """The keys of all clients, in memory: as they stood in the store at most half a second ago."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._by_id: dict[str, Key] = {}
        self._logins: dict[bytes, tuple[object, Login]] = {}  # by a digest of what was shown, and for which business
        self._read_at = -1e9
        self._reading: asyncio.Task[None] | None = None
        self._pepper = secrets.token_bytes(32)
        self._proven: dict[str, bytes] = {}  # a digest of the password that was right, by key
        self._slowly = asyncio.Semaphore(SLOW_AT_ONCE)
        self._guesses: Limit | None = None
        self._reads: Limit | None = None
        self._paces: dict[str, tuple[float, Limit]] = {}

    async def login(self, shown: str) -> Login | None:
        """Who shows this API key, `ck_live_...` or `ck_test_...`; None for any other text."""
        if time.monotonic() - self._read_at > FRESH_S:
            await self._read()
        digest = self._digest(shown)
        kept = self._logins.get(digest)
        if kept is not None and kept[0] is self._app.business:
            return kept[1] if self._is_live(kept[1].key_id) else None
        key = await self._find(clients.key_id(shown))
        if key is None or key.kind == SMPP or not self._is_live(key.id) or not clients.is_right(key, shown):
            return None
        login = self._login(key)
        if login is not None:
            self._logins[digest] = self._app.business, login
        return login

    async def login_smpp(self, system_id: str, password: str) -> Login | None:
        """Who binds with this password; `system_id` is the client's name."""
        if time.monotonic() - self._read_at > STRANGE_S:
            await self._read()
        client = self._app.business.clients.get(system_id)
        if client is None:
            return None
        for key in list(self._by_id.values()):
            if (
                key.client == client.id
                and key.kind == SMPP
                and self._is_live(key.id)
                and await self._is_password(key, password)
            ):
                return self._login(key)
        return None

    async def login_twilio(self, account: str, token: str) -> Login | None:
        """Who calls with this account and its auth token, or with one of our API keys in place of the token."""
        for client in self._app.business.clients.values():
            twilio = client.settings.twilio
            if twilio is not None and twilio.account == account:
                if hmac.compare_digest(twilio.secret.encode(), token.encode("utf-8", "surrogatepass")):
                    return Login(client, account, False, frozenset(client.settings.may))
                return self._of(client, await self.login(token))
        return None

    async def login_kannel(self, username: str, password: str) -> Login | None:
        """Who sends as Kannel's clients do: the client's name, and one of its API keys as the password."""
        client = self._app.business.clients.get(username)
        return self._of(client, await self.login(password)) if client else None

    async def is_ended(self, key_id: str) -> bool:
        """Whether this key lets in nobody any more: for who bound with it and has stayed."""
        if time.monotonic() - self._read_at > FRESH_S:
            await self._read()
        return not self._is_live(key_id) or self._login(self._by_id[key_id]) is None

    async def limited(self, login: Login, n: int) -> Limits:
        """Count `n` messages of this client, if it may bring them now.

        A batch larger than what is left goes through, and those who come after it wait: on average the rate is kept.
        """
        rate = login.client.settings.rate
        if rate is None:
            return NO_LIMITS
        name = login.client.name
        per_s, pace = self._paces.get(name, (0.0, None))
        burst = max(1, round(rate.per_s))
        if pace is None or per_s != rate.per_s:
            pace = self._app.shared.limit(f"client {name}", rate.per_s, burst)
            self._paces[name] = rate.per_s, pace
        wait_s = await pace.wait(login.key_id, n)
        return Limits(
            wait_s, rate_headers("messages", burst, max(1, round(burst / rate.per_s)), pace.left(login.key_id), wait_s)
        )

    async def looking(self, login: Login) -> Limits:
        """Count a call that only looks."""
        if self._reads is None:
            self._reads = self._app.shared.limit("client reads", READS, READS)
        wait_s = await self._reads.wait(login.key_id)
        return Limits(wait_s, rate_headers("reads", READS, 1, self._reads.left(login.key_id), wait_s))

    def _is_live(self, key_id: str) -> bool:
        key = self._by_id.get(key_id)
        return key is not None and (key.ended_at is None or key.is_live(self._app.clock.now_ms()))

    @staticmethod
    def _of(client: Client, login: Login | None) -> Login | None:
        return login if login is not None and login.client.id == client.id else None

    def _login(self, key: Key) -> Login | None:
        """Who bears this key, as long as config.yaml names the client; it may what both its key and the file allow."""
        for client in self._app.business.clients.values():
            if client.id == key.client:
                return Login(client, key.id, key.kind == TEST, frozenset(key.scopes) & frozenset(client.settings.may))
        return None

    async def _find(self, key_id: str) -> Key | None:
        """A key that may have been made a moment ago, in another process; guesses do not make us look more often."""
        key = self._by_id.get(key_id)
        if key is None and key_id:
            asked_at = time.monotonic()
            await asyncio.sleep(self._read_at + STRANGE_S - asked_at)
            while self._read_at < asked_at:
                await self._read()
            key = self._by_id.get(key_id)
        return key

    async def _is_password(self, key: Key, password: str) -> bool:
        digest = self._digest(password)
        if hmac.compare_digest(self._proven.get(key.id, b""), digest):
            return True
        if self._guesses is None:
            self._guesses = self._app.shared.limit("smpp password", 1 / GUESS_PAUSE_S, GUESSES)
        if await self._guesses.look(key.id):
            return False
        async with self._slowly:
            is_right = await asyncio.to_thread(clients.is_password, key, password)
        if is_right:
            self._proven[key.id] = digest
        else:
            await self._guesses.wait(key.id)
        return is_right

    def _digest(self, shown: str) -> bytes:
        return blake2b(shown.encode("utf-8", "surrogatepass"), digest_size=32, key=self._pepper).digest()

    async def _read(self) -> None:
        """Read the keys anew; all who ask meanwhile wait for the same answer."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._look(), name="keys")
        await asyncio.shield(self._reading)

    async def _look(self) -> None:
        began_at = time.monotonic()
        try:
            keys = await self._app.store.read(clients.listed, self._app.brand, self._app.clock.now_ms())
        except StoreError:  # what was known goes on: who may come in can do nothing anyhow while the store is gone
            log.exception("the keys of clients could not be read")
        else:
            by_id = {key.id: key for key in keys}
            if by_id != self._by_id:
                self._by_id = by_id
                self._logins.clear()
                self._proven = {id_: proof for id_, proof in self._proven.items() if id_ in by_id}
        finally:
            self._read_at = began_at
            self._reading = None


async def limited(app: App, login: Login, n: int) -> Limits:
    """Count `n` messages of this client, if it may bring them now."""
    return await app.keys.limited(login, n)


def rate_headers(policy: str, quota: int, window_s: int, left: int, wait_s: float) -> dict[str, str]:
    """How many in what time, and how many are left (draft-ietf-httpapi-ratelimit-headers-10)."""
    reset_s = max(1, -int(-wait_s // 1)) if wait_s else window_s
    headers = {
        "RateLimit-Policy": f'"{policy}";q={quota};w={window_s}',
        "RateLimit": f'"{policy}";r={left};t={reset_s}',
    }
    if wait_s:
        headers["Retry-After"] = str(reset_s)
    return headers
