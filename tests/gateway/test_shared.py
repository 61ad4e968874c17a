"""What several processes share, on a real Valkey: limits, looks, and what happens when it is wiped or stalled."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from campaigns.settings import Config
from gateway import config, shared
from gateway.shared import Place, Shared, opened, read_place, trouble
from gateway.web import Limiter
from tests.valkey import Valkey, one_cluster, one_valkey, running  # noqa: F401  fixtures

SECRET = b"s" * 32
ROOT = Path(__file__).parents[2]


class HandClock:
    """Seconds that move when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


SHORT_S = shared.ANSWER_S


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy with other tests may take its time, where time is not what a test is about."""
    monkeypatch.setattr(shared, "ANSWER_S", 5.0)


@pytest.fixture
def no_patience(monkeypatch: pytest.MonkeyPatch, patience: None) -> None:
    """As it is in earnest."""
    monkeypatch.setattr(shared, "ANSWER_S", SHORT_S)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A Valkey for those that hold no keys of others and leave it running."""
    with running(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@asynccontextmanager
async def two(url: str, secret: bytes = SECRET) -> AsyncIterator[tuple[Shared, Shared]]:
    """Two of what each process has one of."""
    async with opened(url, secret) as one, opened(url, secret) as other:
        assert one.is_up
        assert other.is_up
        yield one, other


async def until(holds: Callable[[], bool], within_s: float = 8) -> None:
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


def commands(server: Valkey, name: str) -> int:
    """How many of one command the server has been given."""
    found = re.search(rf"cmdstat_{name}:calls=(\d+)", server.say("INFO", "commandstats").decode())
    return int(found[1]) if found else 0


# Where it is


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("none", Place(())),
        ("redis://cache", Place((("cache", 6379),))),
        ("redis://cache:7000/3", Place((("cache", 7000),), database=3)),
        ("redis://[::1]:7000", Place((("::1", 7000),))),
        ("rediss://:p%40ss@cache", Place((("cache", 6379),), is_encrypted=True, password="p@ss")),
        ("redis://me:p@ss/w:rd@cache", Place((("cache", 6379),), user="me", password="p@ss/w:rd")),
        ("rediss://c?ca=/etc/ca.pem", Place((("c", 6379),), is_encrypted=True, authority="/etc/ca.pem")),
        ("redis+cluster://a:1,b", Place((("a", 1), ("b", 6379)), is_cluster=True)),
        ("rediss+cluster://a,b:2/0", Place((("a", 6379), ("b", 2)), is_cluster=True, is_encrypted=True)),
    ],
)
def test_an_address_is_read(text: str, place: Place) -> None:
    assert read_place(text) == place


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("http://cache", "this is no address of a Redis or Valkey; expected redis://HOST:PORT"),
        ("redis://", "this is no address"),
        ("redis://ca che", "the address of a server is not right"),
        ("redis://cache:99999", "the address of a server is not right"),
        ("redis://a,b", "found 2 servers; redis+cluster:// takes several"),
        ("redis+cluster://a/2", "found database 2; a cluster has only database 0"),
        ("redis://cache?ca=/ca.pem", "the only thing that may stand behind ? is ca=FILE, with rediss://"),
        ("rediss://cache?ssl_cert_reqs=none", "the only thing that may stand behind ? is ca=FILE"),
    ],
)
def test_a_wrong_address_is_told_with_the_right_shape(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        read_place(text)


@given(some.sampled_from(["redis://:{}@a,b", "http://u:{}@a", "redis://:{}@a:0", "rediss://x:{}@a?b=c"]))
def test_no_complaint_and_no_repr_shows_a_password(shape: str) -> None:
    with pytest.raises(ValueError, match=" ") as caught:
        read_place(shape.format("opensesame"))
    assert "opensesame" not in str(caught.value)
    place = read_place("redis://me:opensesame@a")
    assert "opensesame" not in f"{place} {place!r}"


def test_config_yaml_takes_the_password_from_the_environment_and_tells_a_mistake_with_its_line(tmp_path: Path) -> None:
    path, shipped = tmp_path / "config.yaml", (ROOT / "config.yaml").read_text("utf-8")
    path.write_text(f"{shipped}\nshared: rediss://:${{PASSWORD}}@cache\n", "utf-8")
    loaded = config.load(path, Config, {"PASSWORD": "open@sesame"})
    assert read_place(loaded.value.shared).password == "open@sesame"
    assert "sesame" not in "".join(loaded.sources.values())
    path.write_text(f"{shipped}\nshared: redis://:${{PASSWORD}}@cache:0\n", "utf-8")
    with pytest.raises(config.ConfigErrors) as caught:
        config.load(path, Config, {"PASSWORD": "open@sesame"})
    assert re.search(r"config.yaml:\d+:9: the address of a server is not right", str(caught.value))
    assert "sesame" not in str(caught.value)


# Limits


async def test_in_one_process_a_limit_is_a_limiter_in_memory() -> None:
    async with opened("none", SECRET, HandClock()) as alone:
        limit = alone.limit("pin", 0.5, 3)
        assert [await limit.wait("a") for _ in range(4)] == [0, 0, 0, pytest.approx(2)]
        assert await limit.look("a") == pytest.approx(2)
        assert await limit.look("b") == 0
        for key in ("a", "b"):
            await limit.give_back(key)
        assert [await limit.wait("a"), await limit.look("a")] == [0, pytest.approx(2)]
        assert not alone.is_up


async def test_two_processes_have_one_limit(lasting: Valkey) -> None:
    async with two(lasting.url) as (one, other):
        limits = [each.limit("pin", 1 / 60, 5) for each in (one, other)]
        waits = [await limits[n % 2].wait("a device") for n in range(7)]
        assert waits[:5] == [0] * 5
        assert waits[5:] == [pytest.approx(60, abs=1)] * 2
        assert await limits[1].look("a device") == pytest.approx(60, abs=1)
        assert await limits[1].look("another") == 0


COUNTING = """
import asyncio, sys
from gateway.shared import opened

async def main():
    async with opened(sys.argv[1], b"s" * 32) as shared:
        limit = shared.limit("api", 0.01, 100)
        waits = await asyncio.gather(*[limit.wait("a key") for _ in range(150)])
        print(shared.is_up, waits.count(0))

asyncio.run(main())
"""


async def test_a_limit_holds_over_real_processes(valkey: Valkey) -> None:
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", COUNTING, valkey.url, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        for _ in range(3)
    ]
    said = [(await each.communicate())[0].decode().split() for each in processes]
    assert [up for up, _ in said] == ["True"] * 3
    assert sum(int(passed) for _, passed in said) == 100


async def test_looking_counts_nothing(lasting: Valkey) -> None:
    async with two(lasting.url) as (one, other):
        limits = [each.limit("looked at", 1, 2) for each in (one, other)]
        assert [await limits[n % 2].look("a") for n in range(6)] == [0] * 6


async def test_what_is_given_back_was_never_counted(lasting: Valkey) -> None:
    async with two(lasting.url, secrets.token_bytes(32)) as (one, other):
        limits = [each.limit("pin", 0.01, 2) for each in (one, other)]
        for _ in range(5):
            assert [await limit.wait("a") for limit in limits] == [0, 0]
            assert await limits[0].look("a") > 0
            for limit in limits:
                await limit.give_back("a")
        await limits[0].give_back("a")
        assert [await limits[n % 2].wait("a") for n in range(3)] == [0, 0, pytest.approx(100, abs=1)]


async def test_two_limits_and_two_businesses_do_not_meet(lasting: Valkey) -> None:
    async with opened(lasting.url, b"a" * 32) as one, opened(lasting.url, b"b" * 32) as other:
        for limit in (one.limit("x", 0.01, 1), one.limit("y", 0.01, 1), other.limit("x", 0.01, 1)):
            assert await limit.wait("a") == 0
            assert await limit.wait("a") > 0


MOVES = some.lists(
    some.tuples(
        some.sampled_from("abc"),
        some.sampled_from([0, 1]),
        some.sampled_from(["wait", "look", "try"]),
        some.integers(0, 4_000),
    ),
    max_size=40,
)


@given(some.integers(1, 3_000), some.integers(1, 6), MOVES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_two_clients_limit_as_one_limiter_in_memory(
    lasting: Valkey, pause_ms: int, burst: int, moves: list[tuple[str, int, str, int]]
) -> None:
    clock, secret = HandClock(), secrets.token_bytes(32)
    memory = Limiter(1000 / pause_ms, burst)

    async def both() -> None:
        async with opened(lasting.url, secret, clock) as one, opened(lasting.url, secret, clock) as other:
            limits = [each.limit("x", 1000 / pause_ms, burst) for each in (one, other)]
            for key, which, does, then_ms in moves:
                limit, now = limits[which], clock.now
                found = await (limit.look(key) if does == "look" else limit.wait(key))
                assert found == pytest.approx(memory.look(key, now), abs=1e-6)
                if does == "wait":
                    memory.wait(key, now)
                elif does == "try" and not found:
                    await limit.give_back(key)
                clock.now = round(clock.now + then_ms / 1000, 3)
            assert one.is_up

    asyncio.run(both())


async def test_what_is_asked_in_one_moment_goes_in_one_command(valkey: Valkey) -> None:
    async with opened(valkey.url, SECRET) as one:
        limit = one.limit("page", 10, 10)
        before = commands(valkey, "eval")
        assert await asyncio.gather(*[limit.wait(f"10.0.{n}.1") for n in range(200)]) == [0] * 200
        assert commands(valkey, "eval") == before + 1


async def test_a_key_at_the_server_tells_nothing_of_who_asked_and_goes_by_itself(valkey: Valkey) -> None:
    async with opened(valkey.url, SECRET) as one:
        await one.limit("pin", 100, 1).wait("203.0.113.9")
    assert b"203.0" not in valkey.say("KEYS", "*")
    assert b"carillon:" in valkey.say("KEYS", "*")
    await until(lambda: valkey.say("DBSIZE") == b":0\r\n")


async def test_a_full_bucket_of_the_burst_is_let_through_in_one_moment(lasting: Valkey) -> None:
    async with opened(lasting.url, SECRET) as one:
        limit = one.limit("burst", 1 / 7, 40)
        waits = await asyncio.gather(*[limit.wait("a") for _ in range(60)])
        assert waits.count(0) == 40


# When it goes


async def test_wiping_it_stops_nothing_and_each_process_still_holds_what_it_counted(valkey: Valkey) -> None:
    async with two(valkey.url) as (one, other):
        limits = [each.limit("pin", 1 / 60, 3) for each in (one, other)]
        assert [await limits[0].wait("a") for _ in range(3)] == [0] * 3
        assert await limits[1].wait("a") > 0
        valkey.say("FLUSHALL")
        assert await limits[0].wait("a") == pytest.approx(60, abs=1)
        assert [await limits[1].wait("a") for _ in range(3)] == [0] * 3
        assert one.is_up
        assert other.is_up


async def test_killed_and_started_again_nothing_fails_and_limits_are_common_again(
    valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "carillon.shared")
    async with two(valkey.url) as (one, other):
        limits = [each.limit("api", 0.01, 3) for each in (one, other)]
        assert [await limit.wait("a") for limit in limits] == [0, 0]
        valkey.stop()
        # Each process has counted one, and goes on from there.
        assert [[await limit.wait("a") for _ in range(3)].count(0) for limit in limits] == [2, 2]
        assert not one.is_up
        assert [await limit.look("b") for limit in limits] == [0, 0]
        valkey.start()
        await until(lambda: one.is_up and other.is_up)
        assert [await limits[n % 2].wait("new") for n in range(4)] == [0, 0, 0, pytest.approx(100, abs=1)]
    assert [record.message for record in caplog.records].count("what is shared is back") == 2
    assert [record.levelno for record in caplog.records].count(logging.WARNING) == 2


@pytest.mark.usefixtures("no_patience")
async def test_killed_in_the_middle_of_many_questions_all_are_answered(valkey: Valkey) -> None:
    async with opened(valkey.url, SECRET) as one:
        limit = one.limit("page", 1000, 1000)
        asked = 0

        async def ask() -> None:
            nonlocal asked
            for n in range(200):
                assert await limit.wait(f"{n}") == 0
                asked += 1

        asking = [asyncio.create_task(ask()) for _ in range(20)]
        await until(lambda: asked > 200)
        valkey.stop()
        await asyncio.gather(*asking)
        assert asked == 4_000


class Proxy:
    """A line to the server that can be stalled and cut, and encrypted up to here."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._to = port
        self._tls = tls
        self.port = 0
        self.flows = asyncio.Event()
        self.flows.set()
        self._writers: list[asyncio.StreamWriter] = []
        self._pumps: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers += [writer, back]
        for source, sink in ((reader, back), (there, writer)):
            pump = asyncio.create_task(self._pump(source, sink))
            self._pumps.add(pump)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while octets := await source.read(65_536):
                await self.flows.wait()
                sink.write(octets)
                await sink.drain()
        sink.close()


@pytest.mark.usefixtures("no_patience")
async def test_a_line_that_stalls_costs_one_twentieth_of_a_second_once(valkey: Valkey) -> None:
    async with Proxy(valkey.port) as proxy, opened(f"redis://127.0.0.1:{proxy.port}", SECRET) as one:
        limit = one.limit("page", 0.01, 2_000)
        assert await limit.wait("a") == 0
        proxy.flows.clear()
        started = time.monotonic()
        assert await asyncio.gather(*[limit.wait("a") for _ in range(100)]) == [0] * 100
        assert time.monotonic() - started < 0.2
        assert not one.is_up
        started = time.monotonic()
        assert [await limit.wait("a") for _ in range(1_000)] == [0] * 1_000
        assert time.monotonic() - started < 0.2
        proxy.flows.set()
        await until(lambda: one.is_up)
        assert await limit.wait("a") == 0


@pytest.mark.usefixtures("no_patience")
async def test_what_was_on_the_way_when_it_went_is_held_to_the_limit_of_this_process(valkey: Valkey) -> None:
    async with Proxy(valkey.port) as proxy, opened(f"redis://127.0.0.1:{proxy.port}", SECRET) as one:
        limit = one.limit("pin", 0.01, 5)
        proxy.flows.clear()
        assert (await asyncio.gather(*[limit.wait("a") for _ in range(100)])).count(0) == 5
        proxy.flows.set()


async def test_a_line_that_is_cut_is_opened_anew(valkey: Valkey) -> None:
    async with Proxy(valkey.port) as proxy, opened(f"redis://127.0.0.1:{proxy.port}", SECRET) as one:
        for _ in range(3):
            proxy.cut()
            assert await one.limit("page", 1, 1).wait(secrets.token_hex(4)) == 0
            await until(lambda: one.is_up)


@pytest.mark.usefixtures("no_patience")
async def test_a_loop_that_was_busy_itself_does_not_blame_the_server(lasting: Valkey) -> None:
    async with opened(lasting.url, SECRET) as one:
        limit, blamed = one.limit("busy", 1, 1), 0
        for n in range(5):
            await until(lambda: one.is_up)
            asking = asyncio.create_task(limit.wait(f"{n}"))
            for _ in range(3):
                await asyncio.sleep(0)
            time.sleep(0.1)  # noqa: ASYNC251  this is what the test is about
            assert await asking == 0
            blamed += not one.is_up
        assert blamed < 3  # on a machine that has no time, the server may in truth have been slow


async def test_a_full_server_stops_nothing(valkey: Valkey) -> None:
    async with opened(valkey.url, SECRET) as one:
        limit = one.limit("page", 0.01, 2)
        valkey.say("CONFIG", "SET", "maxmemory", "1")
        assert [await limit.wait("a") for _ in range(3)] == [0, 0, pytest.approx(100, abs=1)]
        assert "maxmemory-policy" in await trouble(valkey.url)
        valkey.say("CONFIG", "SET", "maxmemory", "0")
        await until(lambda: one.is_up)


async def test_a_server_that_never_was_there_holds_up_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = Valkey(tmp_path)
    started = time.monotonic()
    async with opened(server.url.replace("//", "//:opensesame@"), SECRET) as one:
        assert time.monotonic() - started < 2
        assert [await one.limit("x", 0.01, 1).wait("a"), one.is_up] == [0, False]
    assert "what is shared is gone" in caplog.text
    assert "opensesame" not in caplog.text + repr([vars(record) for record in caplog.records])


async def test_a_wrong_password_is_told_with_the_cure_and_never_shown(
    valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    valkey.say("CONFIG", "SET", "requirepass", "opensesame")
    wrong, right = (valkey.url.replace("//", f"//:{word}@") for word in ("opensesami", "opensesame"))
    assert "password is wrong" in await trouble(wrong)
    assert "password" in await trouble(valkey.url)
    assert await trouble(right) == ""
    async with opened(wrong, SECRET) as one:
        assert await one.limit("x", 1, 1).wait("a") == 0
    assert "opensesam" not in repr([vars(record) for record in caplog.records])


async def test_an_encrypted_line_wants_a_certificate_that_we_trust_for_that_name(lasting: Valkey) -> None:
    pem = ROOT / "tests" / "peers" / "localhost.pem"
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem)
    async with Proxy(lasting.port, tls) as proxy:
        assert "certificate" in await trouble(f"rediss://localhost:{proxy.port}")
        assert "certificate" in await trouble(f"rediss://127.0.0.1:{proxy.port}?ca={pem}")
        async with opened(f"rediss://localhost:{proxy.port}?ca={pem}", SECRET) as one:
            assert one.is_up
            assert await one.limit("tls", 1, 1).wait("a") == 0


async def test_few_rights_suffice_and_a_missing_one_is_told(valkey: Valkey) -> None:
    valkey.say("ACL", "SETUSER", "shop", "on", ">pw", *shared.RIGHTS.split())
    valkey.say("ACL", "SETUSER", "poor", "on", ">pw", "~carillon:*", "+get")
    assert await trouble(valkey.url.replace("//", "//shop:pw@")) == ""
    assert shared.RIGHTS in await trouble(valkey.url.replace("//", "//poor:pw@"))
    async with two(valkey.url.replace("//", "//shop:pw@")) as (one, other):
        assert await one.limit("x", 1, 1).wait("a") == 0
        await other.look("board", "x", Making(1).make, 60)
        await one.invalidate("board", "x")


async def test_trouble_tells_an_unreachable_server_and_one_that_is_no_cluster(valkey: Valkey) -> None:
    assert await trouble("none") == ""
    assert "no cluster" in await trouble(valkey.url.replace("redis:", "redis+cluster:"))
    valkey.stop()
    assert f"127.0.0.1:{valkey.port}: it cannot be reached" in await trouble(valkey.url)


# Looks


class Making:
    """What a look makes, and how often it did."""

    def __init__(self, value: object, takes_s: float = 0) -> None:
        self.value = value
        self.takes_s = takes_s
        self.made = 0

    async def make(self) -> object:
        value = self.value
        await asyncio.sleep(self.takes_s)
        self.made += 1
        return value


@pytest.mark.parametrize("is_shared", [False, True])
async def test_any_number_of_screens_cost_one_look(lasting: Valkey, is_shared: bool) -> None:
    async with opened(lasting.url if is_shared else "none", secrets.token_bytes(32)) as one:
        making = Making({"votes": {"1": 5}, "total": 5}, 0.01)
        looks = await asyncio.gather(*[one.look("board", "", making.make, 60) for _ in range(50)])
        assert looks == [{"votes": {"1": 5}, "total": 5}] * 50
        assert making.made == 1


async def test_one_process_looks_for_all(lasting: Valkey) -> None:
    async with two(lasting.url, secrets.token_bytes(32)) as (one, other):
        making = Making([1, "two", {"three": None}], 0.05)
        looks = await asyncio.gather(*[each.look("board", "", making.make, 60) for each in (one, other) * 5])
        assert looks == [[1, "two", {"three": None}]] * 10
        assert making.made == 1


@pytest.mark.parametrize("is_shared", [False, True])
async def test_a_look_is_over_when_it_is_old(lasting: Valkey, is_shared: bool) -> None:
    async with opened(lasting.url if is_shared else "none", secrets.token_bytes(32)) as one:
        making = Making("old")
        assert await one.look("board", "", making.make, 0.05) == "old"
        making.value = "new"
        await asyncio.sleep(0.08)
        assert await one.look("board", "", making.make, 0.05) == "new"


async def test_what_took_long_to_make_is_kept_for_ten_times_as_long() -> None:
    making = Making(1, 0.05)
    alone = Shared()
    await alone.look("board", "", making.make, 0.01)
    await asyncio.sleep(0.1)
    await alone.look("board", "", making.make, 0.01)
    assert making.made == 1


@pytest.mark.parametrize("is_shared", [False, True])
async def test_what_fails_goes_to_all_who_wait_and_is_not_kept(lasting: Valkey, is_shared: bool) -> None:
    async def fail() -> object:
        await asyncio.sleep(0)
        raise OSError("no store")

    async with opened(lasting.url if is_shared else "none", secrets.token_bytes(32)) as one:
        failed = await asyncio.gather(*[one.look("board", "", fail, 60) for _ in range(3)], return_exceptions=True)
        assert [str(each) for each in failed] == ["no store"] * 3
        assert await one.look("board", "", Making(1).make, 60) == 1


async def test_who_hangs_up_takes_the_look_from_nobody() -> None:
    alone, making = Shared(), Making(1, 0.05)
    impatient, patient = (asyncio.create_task(alone.look("board", "", making.make, 60)) for _ in range(2))
    await asyncio.sleep(0.01)
    impatient.cancel()
    assert await patient == 1


async def test_a_maker_that_died_is_not_waited_for(lasting: Valkey) -> None:
    async with two(lasting.url, secrets.token_bytes(32)) as (one, other):
        dying = asyncio.create_task(one.look("board", "", Making(1, 60).make, 60))
        await asyncio.sleep(0.05)
        started = time.monotonic()
        assert await other.look("board", "", Making(2).make, 60) == 2
        assert time.monotonic() - started < 2 * shared.PATIENCE_S
        dying.cancel()


async def test_while_it_is_gone_each_looks_for_itself(valkey: Valkey) -> None:
    async with two(valkey.url) as (one, other):
        valkey.stop()
        assert [await each.look("board", "", Making(n).make, 60) for n, each in enumerate((one, other))] == [0, 1]
        valkey.start()
        await until(lambda: one.is_up and other.is_up)
        # What was kept alone may have missed a word, so all look again, together.
        making = Making(2)
        assert [await each.look("board", "", making.make, 60) for each in (one, other)] == [2, 2]
        assert making.made == 1


async def test_memory_is_bounded() -> None:
    alone = Shared()
    for n in range(shared.KEPT + 10):
        await alone.look("link", str(n), Making(n).make, 60)
    again = Making("again")
    assert await alone.look("link", "0", again.make, 60) == "again"
    assert await alone.look("link", str(shared.KEPT), again.make, 60) == shared.KEPT


async def test_an_invalidation_reaches_every_process(lasting: Valkey) -> None:
    async with two(lasting.url, secrets.token_bytes(32)) as (one, other):
        making = Making("open")
        assert [await each.look("contest", "cup", making.make, 60) for each in (one, other)] == ["open"] * 2
        assert await other.look("contest", "tea", Making("tea").make, 60) == "tea"
        making.value = "closed"
        await one.invalidate("contest", "cup")
        assert await one.look("contest", "cup", making.make, 60) == "closed"
        await asyncio.sleep(0.05)
        assert await other.look("contest", "cup", making.make, 60) == "closed"
        assert making.made == 2
        assert await other.look("contest", "tea", Making("no tea").make, 60) == "tea"


@pytest.mark.parametrize("who", [0, 1])
async def test_a_look_that_began_before_an_invalidation_is_kept_nowhere(lasting: Valkey, who: int) -> None:
    async with two(lasting.url, secrets.token_bytes(32)) as both:
        making = Making("old", 0.1)
        early = asyncio.create_task(both[0].look("contest", "cup", making.make, 60))
        await asyncio.sleep(0.03)
        making.value, making.takes_s = "new", 0
        await both[who].invalidate("contest", "cup")
        await asyncio.sleep(0.03)
        assert await both[0].look("contest", "cup", making.make, 60) == "new"
        assert await early == "old"
        assert [await each.look("contest", "cup", making.make, 60) for each in both] == ["new"] * 2


async def test_an_invalidation_without_a_server_holds_here() -> None:
    alone, making = Shared(), Making(1)
    await alone.look("contest", "cup", making.make, 60)
    making.value = 2
    await alone.invalidate("contest", "cup")
    assert await alone.look("contest", "cup", making.make, 60) == 2


# In a cluster


async def test_in_a_cluster_all_is_the_same(cluster: Valkey) -> None:
    url = cluster.url.replace("redis:", "redis+cluster:")
    assert await trouble(url) == ""
    async with two(url) as (one, other):
        limits = [each.limit("api", 0.01, 10) for each in (one, other)]
        waits = await asyncio.gather(*[limits[n % 2].wait(f"key {n // 20}") for n in range(400)])
        assert [waits[key * 20 : key * 20 + 20].count(0) for key in range(20)] == [10] * 20
        making = Making("open")
        assert [await each.look("contest", "cup", making.make, 60) for each in (one, other)] == ["open"] * 2
        making.value = "closed"
        await one.invalidate("contest", "cup")
        await asyncio.sleep(0.05)
        assert [await each.look("contest", "cup", making.make, 60) for each in (one, other)] == ["closed"] * 2
        assert making.made == 2
        cluster.say("FLUSHALL")
        assert await limits[0].wait("key 0") == pytest.approx(100, abs=1)
        assert one.is_up
