"""The doctor finds what is broken, each thing broken for real, says the cure, and changes nothing."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from email.utils import formatdate
from pathlib import Path

import pytest
from aiohttp import web

import run
from gateway.channels.simulator import Rules, Simulator
from gateway.clock import wall_ms
from gateway.shared import RIGHTS
from gateway.store.door import SCHEMA
from handlers.app import App
from handlers.console import doctor, operations
from handlers.console.doctor import examine, free_memory
from handlers.console.doors import doors
from handlers.console.findings import Line, Verdict, facts_of, octets, worst
from tests.handlers.console.conftest import ROOT, Edit, hush
from tests.ports import free_ports
from tests.servers import PostgresServer
from tests.valkey import running

Look = Callable[..., list[Line]]
WRONG, WARN, OK = Verdict.WRONG, Verdict.WARN, Verdict.OK


@pytest.fixture
def look(config_file: Path) -> Look:
    """Examine the copy of the shipped config; the findings about one subject."""

    def looked(subject: str, environ: Mapping[str, str] | None = None) -> list[Line]:
        return [line for line in examine(config_file, environ or {}) if line.subject == subject]

    return looked


def only(lines: list[Line], verdict: Verdict) -> Line:
    (line,) = [line for line in lines if line.verdict is verdict]
    assert line.cure or verdict is OK
    return line


def live(edit: Edit) -> None:
    """What a file with a real carrier must say."""
    for old, new in (
        ("clock: 18:30, ", ""),
        ("till_pin: 2468", "till_pin: 8642"),
        ("till_pin: 1357", "till_pin: 7531"),
        ("${SITE:-http://localhost:8080}", "https://lantern.example"),
    ):
        edit(old, new)


def fingerprint(folder: Path) -> dict[str, str]:
    """Every file with its content; of a running store the index in shared memory changes by being read."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith("-shm")
    }


@contextmanager
def silent() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def take() -> None:
            while True:
                try:
                    held.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        yield server.getsockname()[1]
        for each in held:
            each.close()


# --- the whole


def test_nothing_is_wrong_with_a_new_folder_and_nothing_is_changed(config_file: Path) -> None:
    before = fingerprint(config_file.parent)
    lines = examine(config_file, {})
    assert worst(lines) is not WRONG, lines
    assert {line.subject for line in lines} == {
        "config", "process", "store", "disk", "shared", "us_sms", "cn_sms", "ports", "clock", "limits",
    }  # fmt: skip
    assert fingerprint(config_file.parent) == before


def test_the_command_tells_in_lines_or_in_json_and_by_its_exit_status(config_file: Path, edit: Edit) -> None:
    command = [sys.executable, str(ROOT / "run.py"), "--config", str(config_file), "doctor"]

    def say(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *words], capture_output=True, text=True, timeout=60, check=False)

    well = say()
    assert well.returncode == 0, well
    assert "config   ok    config.yaml: no mistakes" in well.stdout
    assert well.stdout.rstrip().endswith(", 1 warn, 0 wrong")
    edit("segment: spring_crowd", "segment: spring_crwd")
    ill = say("--json")
    told = json.loads(ill.stdout)
    assert (ill.returncode, told["wrong"]) == (1, 1)
    assert next(line["found"] for line in told["checks"] if line["verdict"] == "wrong").endswith("(line 57)?")
    assert set(told["checks"][0]) == {"subject", "verdict", "found", "cure"}
    config_file.unlink()
    gone = say()
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "cannot read this file" in gone.stderr


def test_what_needs_no_config_is_looked_at_all_the_same(config_file: Path, edit: Edit) -> None:
    edit("country: US", "country: us")
    lines = examine(config_file, {})
    assert "config.yaml:5:12: " in only([line for line in lines if line.subject == "config"], WRONG).found
    assert {"store", "disk", "clock", "limits"} <= {line.subject for line in lines}


def test_however_much_is_broken_the_answer_comes_within_seconds(config_file: Path, edit: Edit) -> None:
    with silent() as port:
        edit(
            "store: sqlite:data/carillon.db",
            f"store: postgresql://x@127.0.0.1:{port}/x\nshared: redis://127.0.0.1:{port}",
        )
        secret = config_file.parent / "secret"
        secret.write_text("s3cret")
        environ = {"US_CARRIER": f"127.0.0.1:{free_ports(1)[0]}", "CN_CARRIER": "carrier.invalid:2775"}
        environ |= {"US_PASSWORD_FILE": "secret", "CN_PASSWORD_FILE": "secret"}
        live(edit)
        began = time.monotonic()
        lines = examine(config_file, environ)
    assert time.monotonic() - began < 9
    assert {"store", "shared", "us_sms", "cn_sms"} <= {line.subject for line in lines if line.verdict is WRONG}


# --- SQLite


async def test_a_store_in_use_is_told_without_touching_it(app: App, config_file: Path) -> None:
    before = fingerprint(config_file.parent)
    lines = await asyncio.to_thread(examine, config_file, {})
    assert [line.verdict for line in lines if line.subject == "store"] == [OK, OK]
    assert f"schema {SCHEMA}" in next(line.found for line in lines if line.subject == "store")
    assert fingerprint(config_file.parent) == before


async def test_a_store_that_nobody_has_open_is_read_without_making_a_file(config_file: Path, look: Look) -> None:
    store = config_file.parent / "data" / "carillon.db"
    store.parent.mkdir(mode=0o700)
    with closing(sqlite3.connect(store)) as made:
        made.execute("PRAGMA journal_mode = WAL")
        made.execute("CREATE TABLE migration (number INTEGER)")
        made.execute("INSERT INTO migration VALUES (?)", (SCHEMA - 1,))
        made.commit()
    before = sorted(config_file.parent.rglob("*"))
    (found, _) = await asyncio.to_thread(look, "store")
    assert found.found.endswith(f"schema {SCHEMA - 1}, brought to {SCHEMA} at the next start")
    assert sorted(config_file.parent.rglob("*")) == before


@pytest.mark.parametrize(
    ("made", "says"),
    [
        ("CREATE TABLE migration (number INTEGER); INSERT INTO migration VALUES (99)", "schema 99, this program knows"),
        ("CREATE TABLE recipe (name TEXT)", "is a database of something else"),
        (None, "cannot be used as a store: file is not a database"),
    ],
)
def test_a_store_that_is_not_ours_is_told(config_file: Path, look: Look, made: str | None, says: str) -> None:
    store = config_file.parent / "data" / "carillon.db"
    store.parent.mkdir(mode=0o700)
    if made is None:
        store.write_bytes(b"no database at all" * 100)
    else:
        with closing(sqlite3.connect(store)) as connection:
            connection.executescript(made)
    assert says in only(look("store"), WRONG).found


def test_a_disk_that_is_nearly_full_is_told(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    assert only(look("disk"), OK)
    monkeypatch.setattr(doctor, "DISK_WRONG", 10**18)  # no disk has so much room
    assert only(look("disk"), WRONG).cure.startswith("make room on the disk of ")


# --- PostgreSQL


def postgres_lines(look: Look, edit: Edit, url: str) -> list[Line]:
    edit("store: sqlite:data/carillon.db", f"store: {url}")
    return look("store")


def test_a_postgresql_that_may_lose_what_was_promised_is_told(postgres: PostgresServer, look: Look, edit: Edit) -> None:
    """The server of the tests syncs nothing, which a real one must."""
    url = postgres.lend()
    lines = postgres_lines(look, edit, url)
    postgres.take_back(url)
    founds = {line.found.partition(":")[0]: line for line in lines}
    assert {line.found.split()[0] for line in lines if line.verdict is WRONG} == {"fsync", "full_page_writes"}
    assert any(f"schema {SCHEMA}" in line.found for line in lines if line.verdict is OK), founds
    assert any("connections left" in line.found for line in lines if line.verdict is OK)


def test_a_postgresql_of_a_newer_carillon_is_told(postgres: PostgresServer, look: Look, edit: Edit) -> None:
    name = postgres.empty_database()
    postgres._wait(postgres._run_in(name, "CREATE TABLE migration (number int); INSERT INTO migration VALUES (99)"))
    founds = [line.found for line in postgres_lines(look, edit, postgres.url(name)) if line.verdict is WRONG]
    assert any("schema 99, this program knows up to" in found for found in founds)


def test_an_empty_database_and_one_where_we_may_make_nothing(postgres: PostgresServer, look: Look, edit: Edit) -> None:
    name = postgres.empty_database()
    assert "empty" in only(postgres_lines(look, edit, postgres.url(name)), WARN).found
    postgres.execute("DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN")
    edit(f"store: {postgres.url(name)}", f"store: {postgres.url(name, user='guest')}")
    wrongs = [line for line in look("store") if line.verdict is WRONG]
    assert any(line.cure == "GRANT CREATE ON SCHEMA public TO guest" for line in wrongs)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("/postgres", "/nowhere"), 'database "nowhere" does not exist'),
        (("carillon@", "stranger:tulip@"), 'role "stranger" does not exist'),
    ],
)
def test_a_wrong_name_in_the_address_is_told_without_the_password(
    postgres: PostgresServer, look: Look, edit: Edit, change: tuple[str, str], says: str
) -> None:
    line = only(postgres_lines(look, edit, postgres.url("postgres").replace(*change)), WRONG)
    assert says in line.found
    assert "tulip" not in str(line)


def test_a_postgresql_that_is_gone_is_told(look: Look, edit: Edit) -> None:
    (port,) = free_ports(1)
    line = only(postgres_lines(look, edit, f"postgresql://x:tulip@127.0.0.1:{port}/x"), WRONG)
    assert line.found.startswith(f"127.0.0.1:{port}/x: ")
    assert "tulip" not in str(line)


# --- Redis and Valkey


def shared(look: Look, edit: Edit, place: str, password: str = "") -> list[Line]:
    edit("store: sqlite:", f"shared: {place}\nstore: sqlite:")
    return look("shared", {"PASSWORD": password})


def test_a_valkey_that_answers_is_well(tmp_path: Path, look: Look, edit: Edit) -> None:
    with running(tmp_path) as server:
        lines = shared(look, edit, server.url)
    assert "Valkey" in only(lines, OK).found


def test_a_valkey_that_will_refuse_to_write_is_told(tmp_path: Path, look: Look, edit: Edit) -> None:
    with running(tmp_path, "--maxmemory", "50mb", "--maxmemory-policy", "noeviction") as server:
        lines = shared(look, edit, server.url)
    assert "allkeys-lru" in only(lines, WARN).cure


def test_few_rights_are_enough_and_one_that_is_missing_is_named(tmp_path: Path, look: Look, edit: Edit) -> None:
    with running(tmp_path) as server:
        for name, rights in (("shop", RIGHTS.split()), ("poor", ["~carillon:*", "+get"])):
            server.say("ACL", "SETUSER", name, "on", ">tulip", *rights)
        place = server.url.replace("//", "//shop:${PASSWORD}@")
        assert "answers" in only(shared(look, edit, place, "tulip"), OK).found
        edit("//shop:", "//poor:")
        line = only(look("shared", {"PASSWORD": "tulip"}), WRONG)
    assert RIGHTS in line.cure
    assert "tulip" not in str(line)


def test_a_wrong_password_and_a_single_server_taken_for_a_cluster(tmp_path: Path, look: Look, edit: Edit) -> None:
    with running(tmp_path, "--requirepass", "tulip") as server:
        line = only(shared(look, edit, f"redis://:${{PASSWORD}}@127.0.0.1:{server.port}", "rose"), WRONG)
        assert line.found.endswith("user or password is wrong")
        assert "rose" not in str(line)
        edit("redis://", "redis+cluster://")
        assert only(look("shared", {"PASSWORD": "tulip"}), WRONG).found.endswith("is a single server")


def test_a_server_that_is_gone_is_told(look: Look, edit: Edit) -> None:
    (port,) = free_ports(1)
    assert "does not answer" in only(shared(look, edit, f"redis://127.0.0.1:{port}"), WRONG).found


# --- carriers


@pytest.fixture
async def smsc() -> AsyncIterator[Simulator]:
    """A carrier that knows one account."""
    made = Simulator(Rules(), numbers={}, now_ms=wall_ms, seed=random.randrange(99), passwords={"lantern": "tulip"})
    await made.start("127.0.0.1", 0)
    yield made
    await made.stop()


@pytest.fixture
def real(config_file: Path, edit: Edit) -> Callable[..., Mapping[str, str]]:
    """The environment in which us_sms is a real carrier."""
    live(edit)

    def made(port: int, password: str = "tulip", host: str = "127.0.0.1") -> Mapping[str, str]:
        secret = config_file.parent / "secret"
        secret.write_text(password)
        secret.chmod(0o600)
        return {"US_CARRIER": f"{host}:{port}", "US_PASSWORD_FILE": "secret"}

    return made


Real = Callable[..., Mapping[str, str]]


async def test_a_carrier_that_lets_us_in_is_well(smsc: Simulator, look: Look, real: Real) -> None:
    lines = await asyncio.to_thread(look, "us_sms", real(smsc.port))
    assert only(lines, OK).found.endswith("bound as lantern")


async def test_a_wrong_password_is_told(smsc: Simulator, look: Look, real: Real) -> None:
    line = only(await asyncio.to_thread(look, "us_sms", real(smsc.port, "rose")), WRONG)
    assert "0x0E" in line.found or "0x0D" in line.found, line
    assert "rose" not in str(line)


async def test_a_line_that_should_be_encrypted_and_is_not_is_told(
    smsc: Simulator, look: Look, real: Real, edit: Edit
) -> None:
    edit("    account: ${US_ACCOUNT:-lantern}\n", "    account: ${US_ACCOUNT:-lantern}\n    tls: yes\n")
    line = only(await asyncio.to_thread(look, "us_sms", real(smsc.port)), WRONG)
    assert line.cure == "is TLS wanted at this port?"


def test_a_port_at_which_nobody_listens_and_a_name_that_is_none(look: Look, real: Real) -> None:
    (port,) = free_ports(1)
    refused = only(look("us_sms", real(port)), WRONG)
    assert "connection refused" in refused.found
    unknown = only(look("us_sms", real(2775, host="carrier.invalid")), WRONG)
    assert unknown.found.endswith(": no such host")


async def test_where_other_processes_may_serve_nothing_is_bound(
    postgres: PostgresServer, smsc: Simulator, look: Look, real: Real, edit: Edit
) -> None:
    edit("store: sqlite:data/carillon.db", f"store: {postgres.url('postgres')}")
    lines = await asyncio.to_thread(look, "us_sms", real(smsc.port, "rose"))
    assert "picks up; not bound" in only(lines, OK).found


def test_a_carrier_that_never_answers_is_told(look: Look, real: Real) -> None:
    with silent() as port:
        line = only(look("us_sms", real(port)), WRONG)
    assert line.found.endswith("connected, but it does not answer to a bind")


@asynccontextmanager
async def web_carrier(ahead_s: float) -> AsyncIterator[int]:
    """A carrier that speaks HTTP and whose clock is so far ahead."""

    async def home(_request: web.Request) -> web.Response:
        return web.Response(headers={"Date": formatdate(time.time() + ahead_s, usegmt=True)})

    app = web.Application()
    app.router.add_get("/", home)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


@pytest.mark.parametrize(
    ("ahead_s", "verdict"), [(0.0, OK), (-1.0, OK), (10.0, WARN), (-10.0, WARN), (120.0, WRONG), (-120.0, WRONG)]
)
async def test_our_clock_is_held_against_the_carriers(
    config_file: Path, edit: Edit, look: Look, ahead_s: float, verdict: Verdict
) -> None:
    async with web_carrier(ahead_s) as port:
        edit(
            "  cn_sms:\n    kind: smpp\n",
            "  web:\n    kind: http\n    price: 0.01 USD per part\n"
            f"    send: {{url: 'http://127.0.0.1:{port}/send', insecure: yes,\n"
            "           form: {to: '{{ recipient }}', text: '{{ text }}'}}\n"
            "  cn_sms:\n    kind: smpp\n",
        )
        live(edit)
        lines = await asyncio.to_thread(examine, config_file, {})
    assert [line.verdict for line in lines if line.subject == "web"] == [OK], lines
    (clock,) = [line for line in lines if line.subject == "clock" and "zones" not in line.found]
    assert clock.verdict is verdict, clock
    assert ("ahead of" if ahead_s > 0 else "behind") in clock.found or verdict is OK


# --- ports, secrets, limits


def test_a_port_that_another_has_taken_is_told(config_file: Path, look: Look) -> None:
    port = int(config_file.read_text("utf-8").partition("private: 127.0.0.1:")[2].partition(",")[0])
    with socket.create_server(("127.0.0.1", port)):
        line = only(look("ports"), WRONG)
    assert line == ("ports", WRONG, f"listen.private 127.0.0.1:{port}: taken by another program",
                    "stop it, or set listen.private")  # fmt: skip


def test_an_address_that_is_not_ours_is_told(look: Look, edit: Edit, config_file: Path) -> None:
    port = config_file.read_text("utf-8").partition("public: 127.0.0.1:")[2].partition(",")[0]
    edit(f"public: 127.0.0.1:{port}", f"public: 203.0.113.9:{port}")
    assert only(look("ports"), WRONG).cure == "mend listen.public"


@pytest.mark.parametrize(("mode", "who"), [(0o644, "everybody"), (0o640, "its group"), (0o602, "everybody")])
def test_a_secret_that_others_may_read_is_told(config_file: Path, look: Look, real: Real, mode: int, who: str) -> None:
    environ = real(free_ports(1)[0])
    assert only(look("secrets", environ), OK)
    (config_file.parent / "secret").chmod(mode)
    line = only(look("secrets", environ), WRONG)
    assert line.found.startswith(f"channels.us_sms.password_file: {who} on this machine may read or write ")
    assert line.cure == f"chmod 600 {config_file.parent / 'secret'}"
    assert not [line for line in look("config", environ) if "others on this machine" in line.found]


def test_an_empty_secret_and_an_open_folder_are_told(config_file: Path, look: Look, real: Real) -> None:
    (config_file.parent / "data").mkdir()
    (config_file.parent / "data").chmod(0o755)
    founds = [line.found for line in look("secrets", real(free_ports(1)[0], "")) if line.verdict is WRONG]
    assert any(found.endswith("secret is empty") for found in founds)
    assert any(found.startswith("everybody may look into ") for found in founds)


def test_too_few_open_files_are_told(config_file: Path) -> None:
    command = f"ulimit -n 256; exec {sys.executable} {ROOT / 'run.py'} --config {config_file} doctor --json"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    (line,) = [each for each in json.loads(done.stdout)["checks"] if "open files" in each["found"]]
    assert (done.returncode, line["verdict"], line["found"][:14]) == (1, "wrong", "256 open files")


def test_free_memory_is_the_least_of_the_machine_and_of_the_group(tmp_path: Path) -> None:
    assert free_memory(tmp_path) is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    2000000 kB\n")
    assert free_memory(tmp_path) == 2_048_000_000
    group = tmp_path / "sys" / "fs" / "cgroup"
    group.mkdir(parents=True)
    (group / "memory.current").write_text("300000000\n")
    (group / "memory.max").write_text("max\n")
    assert free_memory(tmp_path) == 2_048_000_000
    (group / "memory.max").write_text("500000000\n")
    assert free_memory(tmp_path) == 200_000_000


# --- beside serve


async def test_beside_serve_the_process_is_asked_and_no_carrier_is_dialled(
    peopled: App, edit: Edit, config_file: Path
) -> None:
    await operations.apply(peopled, hush, config=edit("people: lively", "people: quiet"))
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(run.serving(peopled, {}))
        await stack.enter_async_context(doors(app))
        end = time.monotonic() + 10
        while True:
            lines = await asyncio.to_thread(examine, config_file, {})
            if worst(lines) is not WRONG:
                break
            assert time.monotonic() < end, lines
            await asyncio.sleep(0.2)
        assert only([line for line in lines if line.subject == "us_sms"], OK).found.endswith("1 of 1 lines bound, open")
        assert [line.found.endswith("taken by serve") for line in lines if line.subject == "ports"] == [True] * 4
        assert any(line.found.startswith("serves at http://127.0.0.1:") for line in lines)
        assert app.simulator is not None
        await app.simulator.stop()
        await asyncio.sleep(0.2)
        lines = await asyncio.to_thread(examine, config_file, {})
        assert only([line for line in lines if line.subject == "us_sms"], WRONG).cure


async def test_another_program_at_the_port_of_one_that_was_killed_is_not_taken_for_ours(
    config_file: Path, look: Look
) -> None:
    (config_file.parent / "data").mkdir(mode=0o700)
    async with web_carrier(0) as port:
        (config_file.parent / "data" / "control.token").write_text(f"key http://127.0.0.1:{port}")
        (line,) = await asyncio.to_thread(look, "process")
    assert line.found.startswith("nobody serves")


def test_a_process_that_hangs_is_told(config_file: Path, look: Look) -> None:
    (config_file.parent / "data").mkdir(mode=0o700)
    with silent() as port:
        (config_file.parent / "data" / "control-3.token").write_text(f"key http://127.0.0.1:{port}")
        assert "does not answer in time" in only(look("process"), WRONG).found


def test_a_process_that_left_without_a_word_is_told_from_one_that_serves(config_file: Path, look: Look) -> None:
    (config_file.parent / "data").mkdir(mode=0o700)
    (port,) = free_ports(1)
    (config_file.parent / "data" / "control.token").write_text(f"key\nhttp://127.0.0.1:{port}\n")
    assert look("process")[0].found == "nobody serves (and the last one did not say goodbye)"


# --- words


def test_sums_and_sizes() -> None:
    lines = [Line("a", OK, "x"), Line("b", WARN, "y", "z")]
    assert {name: facts_of(lines)[name] for name in ("ok", "warn", "wrong")} == {"ok": 1, "warn": 1, "wrong": 0}
    assert (worst(lines), worst([])) == (WARN, OK)
    assert [octets(n) for n in (0, 999, 1_500, 150_000, 2.5e9, 4e12)] == [
        "0 B", "999 B", "1.5 kB", "150 kB", "2.5 GB", "4.0 TB",
    ]  # fmt: skip
