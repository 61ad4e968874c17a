"""The fake Twilio as a process of its own: strict, synced, and alive when we are not."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from jsonschema import Draft202012Validator

from tests.gateway.channels.twilio.conftest import ACCOUNT, FROM, TO, TOKEN
from tests.peers.fake_twilio import RESPONSE, SCHEMA, typed, wrong

PROGRAM = Path(__file__).with_name("fake_twilio.py")
GOOD = [("To", TO), ("From", FROM), ("Body", "hello"), ("SmartEncoded", "false"), ("ValidityPeriod", "36000")]


def test_the_schemas_are_schemas() -> None:
    for each in ("request", "response"):
        Draft202012Validator.check_schema(SCHEMA[each])


def test_a_right_request_has_nothing_wrong() -> None:
    assert wrong(GOOD) == []
    assert wrong([*GOOD, ("MediaUrl", "https://a.example/1"), ("MediaUrl", "https://a.example/2")]) == []
    assert typed([("SendAsMms", "true"), ("Attempt", "2")]) == {"SendAsMms": True, "Attempt": 2}


@pytest.mark.parametrize(
    "change",
    [
        [("Bodyy", "x")],
        [("To", "12")],
        [("Body", "twice")],
        [("SmartEncoded", "False")],
        [("ValidityPeriod", "36001")],
        [("ValidityPeriod", "0")],
        [("ValidityPeriod", "soon")],
        [("StatusCallback", "https://under_score.example/")],
        [("StatusCallback", "/carriers/tw/status")],
        [("MessagingServiceSid", "MG12")],
        [("Body", "x" * 1601)],
        [("Body", "")],
        [("From", "")],
    ],
)
def test_each_slip_in_a_request_is_caught(change: list[tuple[str, str]]) -> None:
    [(name, _)] = change
    without = [pair for pair in GOOD if pair[0] != name or change == [("Body", "twice")]]
    assert wrong(without + change)


@pytest.mark.parametrize("name", ["To", "From", "Body"])
def test_what_is_missing_is_caught(name: str) -> None:
    assert wrong([pair for pair in GOOD if pair[0] != name])


class Process:
    """The program, running."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.api = ""

    async def line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        found: dict[str, Any] = json.loads(await asyncio.wait_for(self.process.stdout.readline(), 20))
        return found

    async def post(self, fields: list[tuple[str, str]]) -> tuple[int, dict[str, Any]]:
        proof = "Basic " + base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
        url = f"{self.api}/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
        headers = {"Authorization": proof, "Content-Type": "application/x-www-form-urlencoded"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=urlencode(fields), headers=headers) as got,
        ):
            return got.status, await got.json()


Started = Callable[..., Awaitable[Process]]


@pytest.fixture
async def started(tmp_path: Path) -> AsyncIterator[Started]:
    running: list[Process] = []

    async def start(*words: str) -> Process:
        command = [sys.executable, str(PROGRAM), "--log", str(tmp_path / "log"), "--account", ACCOUNT, "--token", TOKEN]
        found = Process(
            await asyncio.create_subprocess_exec(
                *command, *words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
            )
        )
        running.append(found)
        found.api = f"http://127.0.0.1:{(await found.line())['listening']}"
        return found

    yield start
    for each in running:
        if each.process.returncode is None:
            each.process.kill()
        await each.process.communicate()


async def test_what_was_taken_is_in_the_log_even_if_it_is_killed(started: Started, tmp_path: Path) -> None:
    fake = await started()
    status, body = await fake.post(GOOD)
    RESPONSE.validate(body)
    fake.process.kill()
    await fake.process.wait()
    [line] = [json.loads(each) for each in (tmp_path / "log").read_text().splitlines()]
    assert (status, line) == (201, {"sid": body["sid"], **dict(GOOD)})

    again = await started()
    _, other = await again.post(GOOD)
    assert other["sid"] != body["sid"]
    assert len((tmp_path / "log").read_text().splitlines()) == 2


async def test_a_request_that_is_not_right_is_said_to_be(started: Started) -> None:
    fake = await started()
    assert (await fake.post([*GOOD, ("Bodyy", "x")]))[0] == 400
    assert "Bodyy" in (await fake.line())["wrong"][0]


async def test_it_ends_when_its_input_ends(started: Started) -> None:
    fake = await started()
    assert fake.process.stdin is not None
    fake.process.stdin.close()
    assert await asyncio.wait_for(fake.process.wait(), 5) == 0
