"""The simulated carrier as a program of its own."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

ANN = "+12065550142"
Dial = Callable[..., Awaitable[Any]]  # of conftest.py
ROOT = Path(__file__).parents[4]


async def run(*options: str) -> Process:
    command = (sys.executable, "-m", "gateway.channels.simulator", *options)
    return await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE, cwd=ROOT)


async def heard(process: Process) -> dict[str, Any]:
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 10)
    return dict(orjson.loads(line))


def say(process: Process, order: object) -> None:
    assert process.stdin is not None
    process.stdin.write(orjson.dumps(order, option=orjson.OPT_APPEND_NEWLINE))


@pytest.fixture
async def carrier() -> AsyncIterator[Process]:
    process = await run(
        "--port", "0", "--number", "20655=lantern", "--echo", "--delay-ms", "0", "0", "--watch-duplicates"
    )
    yield process
    if process.returncode is None:
        process.kill()
    await process.communicate()


async def test_it_carries_texts_both_ways_and_counts(carrier: Process, dial: Dial) -> None:
    port = (await heard(carrier))["listening"]
    client = await dial(port)
    client.submit(ANN, "Hello 你好")
    echo = await heard(carrier)
    assert (echo["handset"], echo["other"], echo["text"], echo["parts"]) == (ANN, "20655", "Hello 你好", 1)
    say(carrier, {"text": [ANN, "20655", "VOTE 3"]})
    assert await heard(carrier) == {"taken": [ANN, "20655", "VOTE 3"]}
    assert client.texts() == ["VOTE 3"]
    say(carrier, {"counters": True})
    counters = (await heard(carrier))["counters"]
    assert (counters["submitted"], counters["texts_acknowledged"], counters["duplicates"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("order", "words"),
    [([1], "no attribute"), ({"text": [ANN]}, "unpack"), ({"text": [ANN, "99", "Hi"]}, "99 is not one of our numbers")],
)
async def test_a_wrong_order_is_answered_and_survived(carrier: Process, order: object, words: str) -> None:
    await heard(carrier)
    say(carrier, order)
    assert words in (await heard(carrier))["error"]
    assert carrier.returncode is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_well_even_with_its_input_open(carrier: Process, number: signal.Signals) -> None:
    await heard(carrier)
    say(carrier, {"text": [ANN, "20655", "nobody is bound"]})
    say(carrier, {"counters": True})
    await heard(carrier)
    carrier.send_signal(number)
    assert await heard(carrier) == {"not taken": [ANN, "20655", "nobody is bound"]}
    assert await asyncio.wait_for(carrier.wait(), 10) == 0


async def test_the_end_of_its_input_does_not_end_it(carrier: Process, dial: Dial) -> None:
    port = (await heard(carrier))["listening"]
    assert carrier.stdin is not None
    carrier.stdin.close()
    client = await dial(port)
    client.submit(ANN, "still there?")
    assert (await heard(carrier))["text"] == "still there?"


async def test_a_taken_port_ends_it_with_one_clear_line(carrier: Process) -> None:
    port = (await heard(carrier))["listening"]
    second = await run("--port", str(port))
    _, words = await asyncio.wait_for(second.communicate(), 10)
    assert second.returncode == 1
    assert words.decode().startswith(f"The simulator cannot listen on 127.0.0.1:{port}")
    assert len(words.splitlines()) == 1
