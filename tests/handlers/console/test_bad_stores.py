"""Whatever is wrong with the store: each command says what was found and the cure, and changes nothing."""

from __future__ import annotations

import asyncio
import importlib
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest
from click.testing import CliRunner, Result

from gateway.store import open_store
from handlers.console.commands import cli
from tests.handlers.console.conftest import ROOT, SAMPLE, Edit
from tests.ports import free_port
from tests.servers import PostgresServer

Say = Callable[..., Result]
COMMANDS = [("status",), ("apply",), ("import", str(SAMPLE)), ("serve",)]


@pytest.fixture
def say(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Type a command for the copy of the shipped config."""
    monkeypatch.setenv("PGPASSWORD", "tulip")

    def said(*words: str) -> Result:
        done = CliRunner().invoke(
            cli, ["--config", str(config_file), *words], obj=lambda: importlib.import_module("run")
        )
        assert isinstance(done.exception, SystemExit), done.exception  # told in words, not by a traceback
        assert done.exit_code != 0
        assert "tulip" not in done.output  # the password
        return done

    return said


def files(folder: Path) -> dict[str, bytes]:
    """What the folder of the config holds, but for the mark by which two processes keep out of each other's way."""
    found = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


class Trouble(NamedTuple):
    """A store with which something is wrong: its place, the words that must be told, and how it looks from outside."""

    place: str
    told: tuple[str, ...]
    look: Callable[[], object] = lambda: None


Make = Callable[[PostgresServer, Path], AbstractContextManager[Trouble]]


@contextmanager
def of_our_own(postgres: PostgresServer, name: str) -> Iterator[str]:
    """A database in which nothing is."""
    postgres.execute(f"CREATE DATABASE {name}")
    try:
        yield postgres.url(name)
    finally:
        postgres.drop(postgres.url(name))


@contextmanager
def nobody_listens(postgres: PostgresServer, folder: Path) -> Iterator[Trouble]:
    port = free_port()
    told = f"postgresql://u@127.0.0.1:{port}/db"
    yield Trouble(f"postgresql://u@127.0.0.1:{port}/db", (told, "is PostgreSQL running there"))


@contextmanager
def an_address_without_sense(postgres: PostgresServer, folder: Path) -> Iterator[Trouble]:
    yield Trouble("postgresql://u@127.0.0.1:port/db", ("expected postgresql://USER@HOST:PORT/DATABASE",))


@contextmanager
def no_such_database(postgres: PostgresServer, folder: Path) -> Iterator[Trouble]:
    yield Trouble(postgres.url("nowhere"), ("/nowhere", "createdb"))


@contextmanager
def a_wrong_password(postgres: PostgresServer, folder: Path) -> Iterator[Trouble]:
    access = postgres.data / "pg_hba.conf"
    before = access.read_text()
    postgres.execute("CREATE ROLE keeper LOGIN PASSWORD 'right'")
    try:
        access.write_text(f"host all keeper 127.0.0.1/32 scram-sha-256\n{before}")
        postgres.execute("SELECT pg_reload_conf()")
        time.sleep(0.2)
        yield Trouble(postgres.url("postgres", user="keeper"), ("refuses the user or the password", "PGPASSFILE"))
    finally:
        access.write_text(before)
        postgres.execute("SELECT pg_reload_conf(); DROP ROLE keeper")


@contextmanager
def a_missing_right(postgres: PostgresServer, folder: Path) -> Iterator[Trouble]:
    postgres.execute("CREATE ROLE visitor LOGIN")
    try:
        with of_our_own(postgres, "locked") as url:
            yield Trouble(
                postgres.url("locked", user="visitor"), ("GRANT CREATE ON SCHEMA public",), partial(held, url)
            )
    finally:
        postgres.execute("DROP ROLE visitor")


@contextmanager
def a_newer_schema(postgres: PostgresServer, folder: Path) -> Iterator[Trouble]:
    with of_our_own(postgres, "newer") as url:
        open_store(url).close()
        asyncio.run(ask(url, "INSERT INTO migration VALUES (999)"))
        yield Trouble(url, ("schema 999", "install a newer Carillon"), partial(held, url))


@contextmanager
def an_old_server(postgres: PostgresServer, folder: Path) -> Iterator[Trouble]:
    with closing(socket.create_server(("127.0.0.1", 0))) as door:
        heard: list[bytes] = []
        threading.Thread(target=answer_as_old, args=(door, heard), daemon=True).start()
        place = f"postgresql://u@127.0.0.1:{door.getsockname()[1]}/db"
        yield Trouble(place, ("PostgreSQL 13 is too old", "version 14 or newer is needed"), lambda: list(heard))


def answer_as_old(door: socket.socket, heard: list[bytes]) -> None:
    """Let everybody in as PostgreSQL 13 does, and note what is asked then (PostgreSQL, 55.7 Message Formats)."""

    def message(kind: bytes, body: bytes) -> bytes:
        return kind + struct.pack("!I", 4 + len(body)) + body

    settings = {b"server_version": b"13.14", b"client_encoding": b"UTF8", b"integer_datetimes": b"on"}
    welcome = message(b"R", struct.pack("!I", 0))
    welcome += b"".join(message(b"S", name + b"\0" + value + b"\0") for name, value in settings.items())
    welcome += message(b"K", struct.pack("!II", 1, 1)) + message(b"Z", b"I")
    with suppress(OSError):
        while True:
            line, _ = door.accept()
            with line:
                if struct.unpack("!II", line.recv(8, socket.MSG_WAITALL))[1] == 80877103:  # SSLRequest
                    line.sendall(b"N")
                    line.recv(8, socket.MSG_WAITALL)
                line.recv(65536)
                line.sendall(welcome)
                while (octets := line.recv(65536)) and octets[:1] != b"X":  # a goodbye
                    heard.append(octets)


@contextmanager
def a_newer_file(postgres: PostgresServer, folder: Path) -> Iterator[Trouble]:
    path = folder / "carillon.db"
    open_store(path).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO migration VALUES (999)")
    yield Trouble("sqlite:carillon.db", ("schema 999", "install a newer Carillon"))


@contextmanager
def a_file_that_is_no_store(postgres: PostgresServer, folder: Path) -> Iterator[Trouble]:
    (folder / "letter.db").write_text("Dear customer, " * 100)
    yield Trouble(
        "sqlite:letter.db",
        ("letter.db: cannot be used as a store: file is not a database", "did you mean another file?"),
    )


@contextmanager
def a_folder_that_is_a_file(postgres: PostgresServer, folder: Path) -> Iterator[Trouble]:
    (folder / "letter").write_text("Dear customer")
    yield Trouble("sqlite:letter/carillon.db", ("letter/carillon.db: cannot be used as a store: ",))


TROUBLES: list[Make] = [
    nobody_listens, an_address_without_sense, no_such_database, a_wrong_password, a_missing_right, a_newer_schema,
    an_old_server, a_newer_file, a_file_that_is_no_store, a_folder_that_is_a_file,
]  # fmt: skip


async def ask(url: str, words: str) -> list[tuple[object, ...]]:
    """What a database answers."""
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(words)]
    finally:
        await connection.close()


def held(url: str) -> list[tuple[object, ...]]:
    """The tables of a database, and how big each is."""
    words = "SELECT relname, pg_relation_size(oid) FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1"
    return asyncio.run(ask(url, words))


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
@pytest.mark.parametrize("make", TROUBLES, ids=lambda make: make.__name__)
def test_what_is_wrong_with_the_store_is_told_with_the_cure_and_nothing_is_changed(
    make: Make, words: tuple[str, ...], postgres: PostgresServer, config_file: Path, edit: Edit, say: Say
) -> None:
    with make(postgres, config_file.parent) as trouble:
        edit("store: sqlite:data/carillon.db", f'store: "{trouble.place}"')
        before = trouble.look(), files(config_file.parent)

        done = say(*words)

        assert [each for each in trouble.told if each not in done.stderr] == [], done.output
        assert (trouble.look(), files(config_file.parent)) == before


@pytest.mark.parametrize("words", [COMMANDS[2], COMMANDS[3]], ids=lambda words: words[0])
def test_a_full_disk_is_told_and_nothing_is_changed(words: tuple[str, ...], config_file: Path, edit: Edit) -> None:
    edit("store: sqlite:data/carillon.db", "store: sqlite:carillon.db")
    open_store(config_file.parent / "carillon.db").close()
    before = files(config_file.parent)["carillon.db"]

    done = subprocess.run(
        ["prlimit", "--fsize=0", sys.executable, "run.py", "--config", str(config_file), *words],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert done.stderr.endswith(
        "carillon.db: cannot be used as a store: disk I/O error: is its disk full, or failing?\n"
    )
    assert files(config_file.parent)["carillon.db"] == before


FULL = """DO $do$ BEGIN
  CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'could not extend file "base/1/2": No space left on device' USING ERRCODE = 'disk_full';
  END $$;
  CREATE TRIGGER full_disk BEFORE INSERT ON config EXECUTE FUNCTION full_disk();
  CREATE TRIGGER full_disk BEFORE INSERT ON person EXECUTE FUNCTION full_disk();
END $do$"""


@pytest.mark.parametrize("words", [COMMANDS[1], COMMANDS[2]], ids=lambda words: words[0])
def test_a_full_disk_of_the_server_is_told_with_the_cure_and_nothing_is_changed(
    words: tuple[str, ...], postgres: PostgresServer, config_file: Path, edit: Edit, say: Say
) -> None:
    with of_our_own(postgres, "crowded") as url:
        edit("store: sqlite:data/carillon.db", f'store: "{url}"')
        open_store(url).close()
        if words != COMMANDS[1]:
            CliRunner().invoke(
                cli, ["--config", str(config_file), "apply", "--yes"], obj=lambda: importlib.import_module("run")
            )
        asyncio.run(ask(url, FULL))
        before = counted(url)

        done = say(*words)

        assert "No space left on device: the server's disk is full: make room there" in done.stderr
        assert "Traceback" not in done.output
        assert counted(url) == before


def counted(url: str) -> list[tuple[object, ...]]:
    """How many versions of the file, people and runs there are."""
    return asyncio.run(
        ask(url, "SELECT (SELECT count(*) FROM config), (SELECT count(*) FROM person), (SELECT count(*) FROM run)")
    )
