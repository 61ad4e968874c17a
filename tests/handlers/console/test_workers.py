"""`serve --workers`: processes that share the doors of the public, and have a private one of their own each."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from handlers.console.workers import private_ports
from tests.handlers.console.conftest import ROOT
from tests.handlers.console.test_serving import until
from tests.ports import free_ports
from tests.servers import PostgresServer

CONFIG = """
brand: {{name: Two, country: US, timezone: America/Los_Angeles, languages: [en], currency: USD}}
channels: {{us: {{kind: smpp, carrier: "127.0.0.1:9", account: us, password_file: password,
  price: 0.01 USD per part}}}}
senders: {{shop: {{number: "20655", channel: us, countries: [US]}}}}
clients: {{till: {{smpp: {{}}}}}}
store: "{store}"
listen: {{public: "127.0.0.1:{0}", private: "127.0.0.1:{1}", api: "127.0.0.1:{2}", smpp: "127.0.0.1:{3}"}}
"""


def test_the_private_ports_of_workers_follow_each_other_but_for_those_of_other_doors() -> None:
    assert private_ports(8081, {8080, 8082, 2775}, 3) == [8081, 8083, 8084]
    assert private_ports(0, {8082}, 2) == [0, 0]


class House:
    """What stands in a folder, and the processes that serve it."""

    def __init__(self, folder: Path, store: str, ports: list[int]) -> None:
        self.folder, self.ports = folder, ports
        (folder / "config.yaml").write_text(CONFIG.format(*ports, store=store), "utf-8")
        (folder / "password").write_text("secret")
        (folder / "password").chmod(0o600)
        self._command = [sys.executable, str(ROOT / "run.py"), "--config", str(folder / "config.yaml")]
        subprocess.run([*self._command, "apply", "--yes"], check=True, capture_output=True)

    def serve(self, *more: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("wb") as log:
            return subprocess.Popen([*self._command, "serve", *more], stdout=log, stderr=log, start_new_session=True)

    def log(self) -> str:
        return (self.folder / "log").read_text("utf-8", "replace")

    def is_alive(self, private: int) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{private}/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@pytest.fixture
def house(tmp_path: Path, postgres: PostgresServer) -> Iterator[House]:
    """On ports as the defaults are: that of programs is the next after the private one."""
    ports = free_ports(5)
    while ports[-1] - ports[0] != 4:
        ports = free_ports(5)
    store = postgres.lend()
    yield House(tmp_path, store, ports)
    postgres.take_back(store)


def test_two_workers_serve_on_neighbouring_ports_until_they_are_asked_to_stop(house: House) -> None:
    _, private, api, smpp, free = house.ports
    process = house.serve("--workers", "2")
    try:
        until(lambda: house.is_alive(private) and house.is_alive(free))
        until(lambda: house.log().count("  LEAVE ") == 2)
        for door in (api, smpp):
            socket.create_connection(("127.0.0.1", door)).close()
        assert "is started again" not in house.log()

        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, house.log()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_a_worker_that_falls_is_started_again(house: House) -> None:
    _, private, _, _, free = house.ports
    process = house.serve("--workers", "2")
    try:
        until(lambda: house.is_alive(private) and house.is_alive(free))
        first = pids_of(process.pid)
        os.kill(first[0], signal.SIGKILL)
        until(lambda: len(set(pids_of(process.pid)) - set(first)) == 1)
        until(lambda: house.is_alive(private) and house.is_alive(free))
        assert "ended with -9 and is started again" in house.log()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_port_that_is_taken_is_said_in_one_line(house: House) -> None:
    _, private, *_ = house.ports
    with socket.create_server(("127.0.0.1", private)):
        process = house.serve()
        assert process.wait(30) == 1
    (line,) = (line for line in house.log().splitlines() if "is taken" in line)
    assert line == f"port {private} is taken by another program; set listen.private in config.yaml or stop it"
    assert "Traceback" not in house.log()


def pids_of(parent: int) -> list[int]:
    """The processes that one has started."""
    listed = Path(f"/proc/{parent}/task/{parent}/children")
    if not listed.exists():
        pytest.skip("the processes of a process are told by /proc, which this system has not")
    return [int(pid) for pid in listed.read_text().split()]
