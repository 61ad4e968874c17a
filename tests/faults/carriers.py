"""Carriers as processes of their own: they outlive every kill of the gateway, and each keeps its own synced log."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import aiohttp
from twilio.request_validator import RequestValidator

ROOT = Path(__file__).parents[2]
ACCOUNT, TOKEN = "AC" + "0" * 32, "secret"  # of the false Twilio
COME_BACK_S = 0.1  # the pause before a text that was not taken is brought again


class Copy(NamedTuple):
    """One part of one text as a carrier's log tells that it was taken."""

    recipient: str
    part: int  # counted from 0; -1 = the whole text
    text: str


def _copies(log: Path, field: str, value: str) -> list[dict[str, object]]:
    lines = log.read_bytes().splitlines() if log.exists() else []
    return [told for line in lines if (told := json.loads(line)).get(field) == value]


def _first_line(process: subprocess.Popen[bytes]) -> int:
    assert process.stdout is not None
    port: int = json.loads(process.stdout.readline())["listening"]
    return port


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    with process:  # closes its pipes and waits
        pass


class Smsc:
    """An SMSC; unthanked texts are brought again."""

    kind = "smpp"

    def __init__(self, folder: Path, number: str, *options: str) -> None:
        self._log, self._told = folder / "smsc.log", folder / "smsc.out"
        self._seen = 0  # octets of what it has told
        self._taken: set[tuple[str, str]] = set()
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "gateway.channels.simulator", "--port", "0", "--log", str(self._log), "--fsync",
                "--keep", "0", "--number", f"{number}=line", *(options or ("--delay-ms", "20", "120")),
            ],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self.port = _first_line(self.process)
        with self._told.open("wb") as told:
            self._copier = subprocess.Popen(["cat"], stdin=self.process.stdout, stdout=told)

    def channel(self, rate: int) -> str:
        """A line to it, as config.yaml has it."""
        return (
            f'{{kind: smpp, carrier: "127.0.0.1:{self.port}", account: line, password_file: password,'
            f" rate: {rate}/s, window: 100, price: 0.01 USD per part}}"
        )

    def copies(self, number: str) -> list[Copy]:
        """What it took from this number of ours."""
        found = _copies(self._log, "sender", number)
        return [Copy(str(one["recipient"]), int(str(one["part"])) - 1, str(one["text"])) for one in found]

    async def text(self, number: str, to: str, words: str, site: str) -> None:
        """A phone texts one of our numbers; returns once our side has thanked for it."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"text": [number, to, words]}).encode() + b"\n")
        self.process.stdin.flush()
        while (number, words) not in self._taken:
            await asyncio.sleep(COME_BACK_S)
            self._look()

    def _look(self) -> None:
        """Read on in what it has told."""
        with self._told.open("rb") as file:
            file.seek(self._seen)
            whole, _, _ = file.read().rpartition(b"\n")
        if whole:
            self._seen += len(whole) + 1
            for line in whole.splitlines():
                number, _, words = json.loads(line).get("taken", ("", "", ""))
                self._taken.add((number, words))

    def end(self) -> None:
        """Stop it."""
        _end(self.process)
        _end(self._copier)


class FalseTwilio:
    """Twilio, as far as texts go; unthanked texts are brought again, and some thanked ones too."""

    kind = "twilio"

    def __init__(self, folder: Path, *options: str) -> None:
        self._log = folder / "twilio.log"
        self.process = subprocess.Popen(
            [
                sys.executable, str(ROOT / "tests/peers/fake_twilio.py"), "--log", str(self._log), "--account", ACCOUNT,
                "--token", TOKEN, "--calls", "100000", *options,
            ],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self.port = _first_line(self.process)
        self._sign = RequestValidator(TOKEN).compute_signature
        self._brought = 0
        self.heard: list[int] = []  # what our door answered to texts

    def channel(self, rate: int) -> str:
        """A line to it, as config.yaml has it."""
        return (
            f"{{kind: twilio, account: {ACCOUNT}, token_file: password, rate: {rate}/s, at_once: 20,"
            f' api: "http://127.0.0.1:{self.port}", price: 0.01 USD per part}}'
        )

    def copies(self, number: str) -> list[Copy]:
        """What it took from this number of ours."""
        return [Copy(str(one["To"]), -1, str(one["Body"])) for one in _copies(self._log, "From", number)]

    async def text(self, number: str, to: str, words: str, site: str) -> None:
        """A phone texts one of our numbers; returns once our side has thanked for it. Each tenth comes twice."""
        self._brought += 1
        sid = f"SM{self._brought:032x}"
        fields = {"MessageSid": sid, "AccountSid": ACCOUNT, "From": number, "To": to, "Body": words, "NumMedia": "0"}
        url = f"{site}/carriers/line/in"
        headers = {"X-Twilio-Signature": self._sign(url, fields)}
        left = 1 + (self._brought % 10 == 0)
        async with aiohttp.ClientSession() as session:
            while left:
                with suppress(aiohttp.ClientError):
                    async with session.post(url, data=fields, headers=headers) as response:
                        self.heard.append(response.status)
                        assert response.status in {200, 503}, response.status
                        left -= response.status == 200
                        if response.status == 200:
                            continue
                await asyncio.sleep(COME_BACK_S)

    def end(self) -> None:
        """Stop it."""
        _end(self.process)


Carrier = Smsc | FalseTwilio


@contextmanager
def ending(*carriers: Carrier) -> Iterator[None]:
    """Stop them at the end of the block."""
    try:
        yield
    finally:
        for carrier in carriers:
            carrier.end()
