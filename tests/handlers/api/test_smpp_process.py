"""A serving process is killed, or asked to leave, while a program brings texts: what it answered, it has."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.codecs import smpp
from tests.gateway.channels.smpp_server.esme import Esme, dialled
from tests.handlers.api.conftest import ROOT
from tests.ports import free_ports

FILE = """
brand:
  name: Lantern Coffee
  country: US
  timezone: America/Los_Angeles
  languages: [en]
  currency: USD
  site: http://localhost:8080
  support: {{phone: +1 206 555 0100, email: help@lantern.example}}
channels:
  us_sms:
    {{kind: smpp, carrier: "127.0.0.1:{carrier}", account: shop, password_file: carrier.password, rate: 5000/s,
     price: 0.0079 USD per part}}
senders: {{seattle: {{number: 20655, channel: us_sms, countries: [US]}}}}
clients: {{shop: {{smpp: {{binds: 2, window: 2000}}}}}}
store: sqlite:data/carillon.db
listen: {{{listen}}}
"""
SHORT = smpp.address(3, 0, "20655")
URGENT = 2


@dataclass
class House:
    """A config file, the program that serves it, and a simulated carrier that outlives it."""

    folder: Path
    port: int
    password: str = ""
    process: asyncio.subprocess.Process | None = None

    def command(self, *words: str) -> list[str]:
        return [sys.executable, str(ROOT / "run.py"), "--config", str(self.folder / "config.yaml"), *words]

    def say(self, *words: str) -> str:
        done = subprocess.run(self.command(*words), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    async def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(*self.command("serve"), stdout=log, stderr=log)
        async with asyncio.timeout(60):
            while True:
                try:
                    socket.create_connection(("127.0.0.1", self.port), 0.5).close()
                except OSError:
                    await asyncio.sleep(0.1)
                else:
                    return

    async def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(20):
            return await self.process.wait()

    def messages(self) -> set[str]:
        """The ids of all texts that are on disk."""
        with sqlite3.connect(self.folder / "data/carillon.db") as store:
            return {str(number) for (number,) in store.execute("SELECT id FROM message")}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with carrier() as port:
        names = ("public", "private", "smsc", "api", "smpp")
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        listen = ", ".join(f"{name}: 127.0.0.1:{number}" for name, number in ports.items())
        (tmp_path / "config.yaml").write_text(FILE.format(carrier=port, listen=listen), "utf-8")
        (tmp_path / "carrier.password").write_text("secret")
        (tmp_path / "carrier.password").chmod(0o600)
        made = House(tmp_path, ports["smpp"])
        made.say("apply")
        made.password = json.loads(made.say("key", "new", "shop", "--smpp", "--json"))["key"]
        try:
            yield made
        finally:
            if made.process is not None:
                await made.end(signal.SIGKILL)


@asynccontextmanager
async def carrier() -> AsyncIterator[int]:
    """The simulated carrier in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.channels.simulator", "--port", "0", "--number", "20655=shop", "--keep", "0",
        "--delay-ms", "0", "300", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield json.loads(await process.stdout.readline())["listening"]
    finally:
        process.kill()
        await process.communicate()


def texts(first: int, count: int) -> list[bytes]:
    """Urgent ones, which go out again when in doubt; no two to one phone."""
    bodies = []
    for number in range(first, first + count):
        fields: dict[str, Any] = {
            "source_addr_ton": 3, "source_addr": "20655", "dest_addr_ton": 1, "dest_addr_npi": 1,
            "destination_addr": f"1206{5_551_000 + number}", "priority_flag": URGENT, "registered_delivery": 1,
            "short_message": b"Text %d" % number,
        }  # fmt: skip
        bodies.append(smpp.encode(smpp.Pdu(smpp.SUBMIT_SM, 0, 0, fields))[16:])
    return bodies


def taken(esme: Esme) -> set[str]:
    return {ident for status, ident in esme.answers.values() if not status}


def told(esme: Esme) -> set[str]:
    return {ident for message in esme.arrived for ident in smpp.read_receipt(message).ids}


async def test_what_was_answered_before_a_kill_is_sent_and_told_after_it(house: House) -> None:
    await house.start()
    async with dialled(house.port, password=house.password) as esme:
        for turn in range(20):
            esme.submit(texts(turn * 100, 100), turn * 100)
            await asyncio.sleep(0.02)
        await esme.until(lambda: len(taken(esme)) > 500, 30)
        await house.end(signal.SIGKILL)
        await esme.until(lambda: esme.is_closed)
    assert taken(esme) <= house.messages()
    await house.start()
    async with dialled(house.port, "receiver", password=house.password) as again:
        await again.until(lambda: taken(esme) <= told(esme) | told(again), 60)


async def test_when_asked_to_leave_it_answers_what_came_and_says_goodbye(house: House) -> None:
    await house.start()
    async with dialled(house.port, password=house.password) as esme:
        for turn in range(10):
            esme.submit(texts(turn * 100, 100), turn * 100)
        await esme.until(lambda: taken(esme), 30)
        leaving = asyncio.create_task(house.end(signal.SIGTERM))
        await esme.until(lambda: esme.is_closed, 20)
        assert await leaving == 0
        assert len(esme.answers) == 1000
        assert esme.session.closed
    assert taken(esme) == house.messages()
