"""What several processes share and may lose: how often a thing may be done, and what was looked up a moment ago.

It is held by a Redis or Valkey (`shared:` in config.yaml), or by this process alone. Nothing that was promised rests on
it: when the server fails or is slow, each process goes on at once with its own memory, and comes back by itself.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import secrets
import time
from base64 import urlsafe_b64encode
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl, unquote

import orjson
from pydantic import AfterValidator

from gateway.config import Holds
from gateway.web import Limiter

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster
    from redis.asyncio.client import PubSub

log = logging.getLogger("carillon.shared")

T = TypeVar("T")
Load = Callable[[], Awaitable[T]]
Clock = Callable[[], float]

ANSWER_S = 0.05  # a server that takes longer is as good as gone
GRACE_S = 0.005  # so much more, since the slow one may have been our own loop
CONNECT_S = 1.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0  # between two tries to reach a server that is gone
AT_ONCE = 500  # questions in one command: a millisecond of the server's time
MAKING_MS = 1_000  # how long the others leave it to one process to make a value
PATIENCE_S, LOOK_AGAIN_S = 0.25, 0.01  # how long one waits for what another makes, and how often it looks
WEIGHT = 10  # what took long to make is kept for so many times as long
KEPT = 1_000  # values in this process
PORT = 6379
RIGHTS = "~carillon:* &carillon:* +eval +get +set +del +pttl +time +publish +subscribe"

LOOK, COUNT, GIVE_BACK = 0, 1, 2
# GCRA (ITU-T I.371) as in `web.Limiter`, in whole microseconds, which are exact in Lua's numbers. KEYS are buckets;
# ARGV is the time (-1: the server's own), then the pause, the patience and what to do of each. A bucket is forgotten
# two seconds after it is full, so that a clock that is set back cannot keep it.
_LIMITS = """
local now = tonumber(ARGV[1])
if now < 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local answers = {}
for i, key in ipairs(KEYS) do
  local pause, patience, way = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i]), ARGV[3 * i + 1]
  local full_at = math.max(tonumber(redis.call('GET', key) or now), now)
  local early = math.max(full_at - now - patience, 0)
  local then_full_at = full_at
  if way == '1' and early == 0 then then_full_at = full_at + pause end
  if way == '2' then then_full_at = math.max(full_at - pause, now) end
  if then_full_at ~= full_at then
    redis.call('SET', key, string.format('%.0f', then_full_at), 'PX', math.ceil((then_full_at - now) / 1000) + 2000)
  end
  answers[i] = early
end
return answers
"""
# KEYS are a value and who makes it. Answers the value and its milliseconds left, or whether it is ours to make.
_TAKE = """
local value = redis.call('GET', KEYS[1])
if value then return {value, redis.call('PTTL', KEYS[1])} end
return {'', redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0}
"""
_PUT = """
if redis.call('GET', KEYS[2]) == ARGV[1] then
  redis.call('DEL', KEYS[2])
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
"""
_DROP = """
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('PUBLISH', ARGV[1], ARGV[2])
"""


# Where it is


@dataclass(frozen=True, slots=True)
class Place:
    """Where the server is. `names` are hosts and ports, several only of a cluster; `authority` is a file."""

    names: tuple[tuple[str, int], ...]
    is_cluster: bool = False
    is_encrypted: bool = False
    user: str = ""
    password: str = field(default="", repr=False)
    database: int = 0
    authority: str = ""  # the certificates that we trust; empty: those of the system

    def __str__(self) -> str:
        """The place without user and password, for people."""
        return ",".join(f"{host}:{port}" for host, port in self.names)


NOWHERE = Place(())
_PLACE = re.compile(
    r"(?P<scheme>rediss?(?:\+cluster)?)://(?:(?P<who>.*)@)?(?P<hosts>[^/?@]+)/?(?P<database>\d*)(?:\?(?P<query>.*))?"
)
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?")
_EXPECTED = "expected redis://HOST:PORT, rediss://HOST:PORT (encrypted), redis+cluster://HOST:PORT,HOST:PORT; or none"


def read_place(text: str) -> Place:
    """The place that `shared:` names. ValueError tells what is wrong, and never shows the password."""
    if text == "none":
        return NOWHERE
    shape = _PLACE.fullmatch(text)
    if shape is None:
        raise ValueError(f"this is no address of a Redis or Valkey; {_EXPECTED}")
    names = tuple(_host(name) for name in shape["hosts"].split(","))
    is_cluster = shape["scheme"].endswith("+cluster")
    is_encrypted = shape["scheme"].startswith("rediss")
    if len(names) > 1 and not is_cluster:
        raise ValueError(f"found {len(names)} servers; redis+cluster:// takes several")
    if is_cluster and shape["database"] not in {"", "0"}:
        raise ValueError(f"found database {shape['database']}; a cluster has only database 0")
    query = dict(parse_qsl(shape["query"] or "", keep_blank_values=True))
    authority = query.pop("ca", "")
    if query or (authority and not is_encrypted):
        raise ValueError("the only thing that may stand behind ? is ca=FILE, with rediss://")
    user, _, password = (shape["who"] or "").partition(":")
    database = int(shape["database"] or 0)
    return Place(names, is_cluster, is_encrypted, unquote(user), unquote(password), database, authority)


def _host(name: str) -> tuple[str, int]:
    shape = _HOST.fullmatch(name.strip())
    port = int(shape[2] or PORT) if shape else 0
    if shape is None or not 0 < port < 65536:
        raise ValueError(f"the address of a server is not right; {_EXPECTED}")
    return shape[1].strip("[]"), port


def _checked(text: str) -> str:
    read_place(text)
    return text


def _has_password(_name: str, text: str) -> bool:
    shape = _PLACE.fullmatch(text)
    return shape is not None and bool((shape["who"] or "").partition(":")[2])


SharedPlace = Annotated[
    str, AfterValidator(_checked), Holds(_has_password, "write ${NAME} in the place of the password, or of it all")
]


async def trouble(place: str) -> str:
    """What is wrong with the server at `place`, in words with the cure; an empty text when all is well."""
    line = _Line(read_place(place), "carillon:trouble", lambda name: None, None)
    if line.place is NOWHERE:
        return ""
    try:
        await line.close(*await line.open())
    except Exception as error:
        return f"{line.place}: {_plainly(error)}"
    return ""


# What it offers


class Shared:
    """Limits and looks for all processes of a business, or for this process alone when it is given no place.

    `secret` is the business's own: nobody else's keys are met, and what a key was made of cannot be read from it.
    `clock` tells seconds; without one each server follows its own.
    """

    def __init__(self, place: Place = NOWHERE, secret: bytes = b"", clock: Clock | None = None) -> None:
        self._secret = secret
        self.clock = clock or time.monotonic
        self._kept: dict[str, _Kept] = {}
        self._looks: dict[str, asyncio.Task[_Kept]] = {}
        self.line = _Line(place, f"carillon:{self.name('gone')}", self._forget, clock)

    @property
    def is_up(self) -> bool:
        """Whether others share it now."""
        return self.line.is_up

    def limit(self, name: str, rate: float, burst: int) -> Limit:
        """How often each of many may do one thing: `rate` a second, `burst` at once."""
        return Limit(self, name, rate, burst)

    async def look(self, noun: str, key: str, load: Load[Any], fresh_s: float) -> Any:
        """A value at most `fresh_s` old, made by `load` in one process at a time; it must be fit for JSON.

        For what is looked at, never for what is decided by. One that took long to make is kept for ten times as long.
        What `load` raises goes to all who wait for it.
        """
        name = self.name(noun, key)
        kept = self._kept.get(name)
        if kept and time.monotonic() < kept.until:
            return kept.value
        look = self._looks.get(name)
        if look is None:
            look = self._looks[name] = asyncio.create_task(self._look(name, load, fresh_s))
            look.add_done_callback(partial(self._looked, name))
        return (await asyncio.shield(look)).value

    async def invalidate(self, noun: str, key: str) -> None:
        """Make every process look again; call it after the commit. Without the server, others do when it is due."""
        name = self.name(noun, key)
        self._forget(name)
        with suppress(Away):
            await self.line.drop(name)

    def name(self, *words: str) -> str:
        """What we call a thing at the server: 16 characters that tell nothing."""
        digest = blake2b("\0".join(words).encode(), digest_size=12, key=self._secret).digest()
        return urlsafe_b64encode(digest).decode()

    async def _look(self, name: str, load: Load[Any], fresh_s: float) -> _Kept:
        mine = secrets.token_hex(8) if self.is_up else ""
        if mine and (found := await self._of_another(name, mine)):
            return found
        started = time.monotonic()
        value = await load()
        fresh_s = max(fresh_s, WEIGHT * (time.monotonic() - started))
        if mine:
            with suppress(Away):
                await self.line.put(name, mine, value, fresh_s)
        return _Kept(started + fresh_s, value)

    async def _of_another(self, name: str, mine: str) -> _Kept | None:
        """What another process has made or is making; None when it is ours to make, or takes too long."""
        patience = time.monotonic() + PATIENCE_S
        with suppress(Away):
            while True:
                value, n = await self.line.take(name, mine)
                if value:
                    return _Kept(time.monotonic() + n / 1000, orjson.loads(value))
                if n or time.monotonic() > patience:
                    return None
                await asyncio.sleep(LOOK_AGAIN_S)
        return None

    def _looked(self, name: str, look: asyncio.Task[_Kept]) -> None:
        if self._looks.get(name) is not look:  # it was invalidated meanwhile
            return
        del self._looks[name]
        if not look.cancelled() and look.exception() is None:
            self._kept.pop(name, None)
            self._kept[name] = look.result()
            if len(self._kept) > KEPT:
                del self._kept[next(iter(self._kept))]

    def _forget(self, name: str | None) -> None:
        """Look again at this, or, when something may have been missed, at everything."""
        if name is None:
            self._kept.clear()
            self._looks.clear()
        else:
            self._kept.pop(name, None)
            self._looks.pop(name, None)


class _Kept(NamedTuple):
    until: float
    value: Any


class Limit:
    """`web.Limiter` for all processes together; what this one has counted itself holds even without the others."""

    def __init__(self, shared: Shared, name: str, rate: float, burst: int) -> None:
        self._shared = shared
        self._name = name
        self._memory = Limiter(rate, burst)
        self._pause = round(1e6 / rate)
        self._patience = self._pause * (burst - 1)

    async def wait(self, key: str, n: int = 1) -> float:
        """Seconds until this key may go on; 0 is at once, and counts `n`: they go on as soon as one may."""
        now = self._shared.clock()
        if not self._shared.is_up:
            return self._memory.wait(key, now, n)
        early = self._memory.look(key, now)
        try:
            early = max(early, await self._ask(key, LOOK if early else COUNT, n))
        except Away:
            return self._memory.wait(key, now, n)
        if not early:
            self._memory.wait(key, now, n)
        return early

    def left(self, key: str) -> int:
        """How many of this key may go on at once, as far as this process knows."""
        return self._memory.left(key, self._shared.clock())

    async def look(self, key: str) -> float:
        """The same without counting."""
        early = self._memory.look(key, self._shared.clock())
        with suppress(Away):
            early = max(early, await self._ask(key, LOOK))
        return early

    async def give_back(self, key: str) -> None:
        """Take back one that this process has just counted and that shall not count."""
        self._memory.give_back(key, self._shared.clock())
        with suppress(Away):
            await self._ask(key, GIVE_BACK)

    async def _ask(self, key: str, way: int, n: int = 1) -> float:
        line = self._shared.line
        if not line.is_up:
            raise Away
        return await line.limit(self._shared.name(self._name, key), n * self._pause, self._patience, way) / 1e6


@asynccontextmanager
async def opened(place: str, secret: bytes, clock: Clock | None = None) -> AsyncIterator[Shared]:
    """What is shared at `place`; with none, or while it is gone, in this process alone. Waits at most a second."""
    shared = Shared(read_place(place), secret, clock)
    if place == "none":
        yield shared
        return
    holding = asyncio.create_task(shared.line.hold(), name="shared")
    try:
        await shared.line.tried.wait()
        yield shared
    finally:
        holding.cancel()
        with suppress(asyncio.CancelledError):
            await holding


# The line to the server


class Away(Exception):
    """The server did not answer in time, or not as it should: go on without it."""


@dataclass(slots=True)
class _Question:
    name: str
    pause: int
    patience: int
    way: int
    answer: asyncio.Future[int]


class _Line:
    """The line to the server: questions that gather while one command runs go together in the next.

    While it is down, every question is answered `Away` at once, and costs nothing.
    """

    def __init__(self, place: Place, channel: str, heard: Callable[[str | None], None], clock: Clock | None) -> None:
        self.place = place
        self.is_up = False
        self.tried = asyncio.Event()
        self._channel = channel
        self._heard = heard
        self._clock = clock
        self._client: Any = None
        self._questions: list[_Question] = []
        self._asking: asyncio.Task[None] | None = None
        self._ended: asyncio.Future[str] | None = None

    # asking

    async def limit(self, name: str, pause: int, patience: int, way: int) -> int:
        """Microseconds until this bucket lets one more through; 0 is at once, and is counted if `way` is COUNT."""
        question = _Question(name, pause, patience, way, asyncio.get_running_loop().create_future())
        self._questions.append(question)
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        return await question.answer

    async def take(self, name: str, mine: str) -> tuple[bytes, int]:
        """A value with its milliseconds left; or nothing, and 1 when it is now ours to make, 0 when it is another's."""
        value, n = await self._in_time(self._run(_TAKE, _value(name), [mine, MAKING_MS]))
        return value, n

    async def put(self, name: str, mine: str, value: object, fresh_s: float) -> None:
        """Give the others a value that was ours to make, unless it was dropped meanwhile."""
        await self._in_time(self._run(_PUT, _value(name), [mine, orjson.dumps(value), max(1, int(fresh_s * 1000))]))

    async def drop(self, name: str) -> None:
        """Drop a value here and in every process."""
        await self._in_time(self._run(_DROP, _value(name), [self._channel, name]))

    async def _ask(self) -> None:
        while self._questions:
            batch, self._questions = self._questions[:AT_ONCE], self._questions[AT_ONCE:]
            try:
                await self._in_time(self._ask_batch(batch))
            except Away:
                for each in batch:
                    if not each.answer.done():
                        each.answer.set_exception(Away())
        self._asking = None

    async def _ask_batch(self, batch: Sequence[_Question]) -> None:
        now = -1 if self._clock is None else round(self._clock() * 1e6)
        groups = _by_slot(batch) if self.place.is_cluster else [batch]
        runs = [
            (_LIMITS, [_bucket(each.name) for each in group],
             [now, *(n for each in group for n in (each.pause, each.patience, each.way))])
            for group in groups
        ]  # fmt: skip
        answers = [await self._run(*runs[0])] if len(runs) == 1 else await self._run_all(runs)
        for group, early in zip(groups, answers, strict=True):
            for each, us in zip(group, early, strict=True):
                if not each.answer.done():  # who hung up waits no more
                    each.answer.set_result(us)

    async def _run(self, script: str, keys: Sequence[str], values: Sequence[str | bytes | int]) -> Any:
        # The script itself and not its digest: a server that was restarted knows no digests.
        return await self._client.execute_command("EVAL", script, len(keys), *keys, *values)

    async def _run_all(self, runs: Sequence[tuple[str, Sequence[str], Sequence[int]]]) -> list[Any]:
        """In a cluster: one pipeline a node."""
        pipeline = self._client.pipeline()
        for script, keys, values in runs:
            pipeline.execute_command("EVAL", script, len(keys), *keys, *values)
        answers: list[Any] = await pipeline.execute()
        return answers

    async def _in_time(self, command: Coroutine[Any, Any, T]) -> T:
        """What a command brings, or Away, after which the line is opened anew."""
        if not self.is_up:
            command.close()
            raise Away
        running = asyncio.create_task(command)
        try:
            await asyncio.wait({running}, timeout=ANSWER_S)
            if not running.done():
                await asyncio.wait({running}, timeout=GRACE_S)
        finally:
            if not running.done():
                running.cancel()
                running.add_done_callback(_is_over)
        if running.cancelled() or not running.done():
            self._end(f"no answer within {ANSWER_S * 1000:g} ms")
            raise Away
        error = running.exception()
        if error is not None:
            self._end(_plainly(error))
            raise Away from error
        return running.result()

    # holding

    async def hold(self) -> None:
        """Keep the line open for as long as the process lives; tell once when it goes, and once when it is back."""
        pause_s, is_missed = FIRST_PAUSE_S, False
        while True:
            began = time.monotonic()
            try:
                client, ear = await self.open()
            except Exception as error:
                why = _plainly(error)
            else:
                if is_missed:
                    log.info("what is shared is back", extra={"server": str(self.place)})
                is_missed = False
                try:
                    why = await self._until_ended(client, ear)
                finally:
                    await self.close(client, ear)
            if not is_missed:
                log.warning(
                    "what is shared is gone: limits hold per process", extra={"server": str(self.place), "why": why}
                )
            is_missed = True
            self.tried.set()
            if time.monotonic() - began > LONGEST_PAUSE_S:
                pause_s = FIRST_PAUSE_S
            await asyncio.sleep(random.uniform(pause_s / 2, pause_s))  # noqa: S311  so that not all come at once
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def open(self) -> tuple[Redis | RedisCluster, PubSub]:
        """A client and an ear, once the server has done for us what we shall ask of it."""
        client, ear = _connect(self.place)
        try:
            async with asyncio.timeout(CONNECT_S):
                await client.execute_command("EVAL", _LIMITS, 1, _bucket("probe"), -1, 1, 0, COUNT)
                await ear.subscribe(self._channel)
                await ear.get_message(timeout=CONNECT_S)
        except BaseException:
            await self.close(client, ear)
            raise
        return client, ear

    async def close(self, client: Redis | RedisCluster, ear: PubSub) -> None:
        """Let go of the line, also when the other end is silent."""
        for each in (ear, client, ear.connection_pool):
            with suppress(Exception):
                async with asyncio.timeout(CONNECT_S):
                    await each.aclose()

    async def _until_ended(self, client: Redis | RedisCluster, ear: PubSub) -> str:
        """Use a line until something is wrong with it; returns what."""
        self._ended = asyncio.get_running_loop().create_future()
        self._heard(None)
        self._client, self.is_up = client, True
        self.tried.set()
        listening = asyncio.create_task(self._listen(ear))
        try:
            return await self._ended
        finally:
            self.is_up = False
            listening.cancel()
            await asyncio.wait({listening})
            self._heard(None)

    async def _listen(self, ear: PubSub) -> None:
        try:
            while True:
                message = await ear.get_message(ignore_subscribe_messages=True, timeout=None)
                if message:
                    self._heard(message["data"].decode())
        except Exception as error:
            self._end(_plainly(error))

    def _end(self, why: str) -> None:
        self.is_up = False
        if self._ended and not self._ended.done():
            self._ended.set_result(why)


def _connect(place: Place) -> tuple[Redis | RedisCluster, PubSub]:
    # Imported here: it takes a tenth of a second, and who shares nothing shall not wait for it.
    from redis.asyncio import Redis, RedisCluster  # noqa: PLC0415
    from redis.asyncio.cluster import ClusterNode  # noqa: PLC0415
    from redis.asyncio.retry import Retry  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415

    how: dict[str, Any] = {
        "protocol": 2, "username": place.user or None, "password": place.password or None,
        "socket_connect_timeout": CONNECT_S, "retry": Retry(NoBackoff(), 0),
    }  # fmt: skip
    if place.is_encrypted:
        how |= {"ssl": True, "ssl_cert_reqs": "required", "ssl_ca_certs": place.authority or None}
    names = random.sample(place.names, len(place.names))
    # Every node of a cluster hears what is published at any of them (PUBLISH, Redis Cluster specification).
    ear = Redis(host=names[0][0], port=names[0][1], socket_timeout=None, **how).pubsub()
    if place.is_cluster:
        nodes = [ClusterNode(host, port) for host, port in names]
        return RedisCluster(startup_nodes=nodes, socket_timeout=CONNECT_S, **how), ear
    ((host, port),) = names
    return Redis(host=host, port=port, db=place.database, socket_timeout=CONNECT_S, **how), ear


def _bucket(name: str) -> str:
    """The key of a bucket. In a cluster the first letter tells the slot, so that there are 64 of them."""
    return f"carillon:{{{name[0]}}}{name[1:]}"


def _by_slot(batch: Sequence[_Question]) -> list[list[_Question]]:
    groups: defaultdict[str, list[_Question]] = defaultdict(list)
    for each in batch:
        groups[each.name[0]].append(each)
    return list(groups.values())


def _value(name: str) -> tuple[str, str]:
    """The keys of a value and of who makes it, in one slot."""
    return f"carillon:{{{name}}}", f"carillon:{{{name}}}:by"


def _is_over(task: asyncio.Future[Any]) -> None:
    """Nobody waits for it any more, so what it raises is nobody's either."""
    if not task.cancelled():
        task.exception()


def _plainly(error: BaseException) -> str:
    """What went wrong, with its cure, by its kind: what a client writes may hold what it was given."""
    below = type(error.__context__).__name__
    kind = type(error).__name__
    return _CURES.get(below) or _CURES.get(kind) or kind


_CURES = {
    "SSLCertVerificationError": "its certificate is not trusted, or is another host's; ?ca=FILE names whom to trust",
    "FileNotFoundError": "the file that ca= names is not there",
    "gaierror": "there is no host of that name",
    "AuthenticationError": "user or password is wrong, or missing; mend them in shared:",
    "NoPermissionError": f"the user may not do all that is needed; ACL SETUSER NAME {RIGHTS}",
    "OutOfMemoryError": "the server is full; give it memory, or maxmemory-policy allkeys-lru",
    "ReadOnlyError": "the server is a replica; name the primary",
    "BusyLoadingError": "the server is still loading",
    "ClusterDownError": "the cluster does not serve all slots",
    "RedisClusterException": "no cluster answers there; is it a single server? redis://HOST:PORT",
    "TimeoutError": "it does not answer",
    "ConnectionError": "it cannot be reached; is it running, and is the address right?",
}
