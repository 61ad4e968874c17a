"""Small worlds in which everything goes wrong that can: 200 of them keep every promise, 10,000 in `make torture`.

CARILLON_SEED is the first seed, 1 where it is not set; a world that fails says how it is lived through again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from campaigns import consent
from campaigns.gate import Gatekeeper
from gateway import outbox
from gateway.dispatcher import Dispatcher
from gateway.inbox import Inbox
from gateway.messages import Inbound
from gateway.outbox import Go, Waiting
from tests.simulation.store import SLOW
from tests.simulation.world import ROOT, World

FIRST = int(os.environ.get("CARILLON_SEED", "1"))
COUNT = 10_000 if os.environ.get("CARILLON_TORTURE") else 200
TRIES = 12  # worlds in which a broken gateway must be found out


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
def test_every_promise_is_kept_whatever_goes_wrong(seed: int, tmp_path: Path) -> None:
    report = World(seed, tmp_path).live()
    assert not report.wrong, str(report)


def test_one_seed_is_one_world(tmp_path: Path) -> None:
    once, again, other = (World(seed, tmp_path).live() for seed in (FIRST, FIRST, FIRST + 1))

    assert (once.digest, once.steps) == (again.digest, again.steps)
    assert once.digest != other.digest


def test_one_seed_is_one_world_in_every_process() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-m", "tests.simulation.run", str(FIRST), "--count", "3", "--digest"],
            cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True, check=False, text=True,
        ).stdout
        for hash_seed in ("1", "2")
    }  # fmt: skip

    assert len(digests) == 1
    assert len(digests.pop().split()) == 6


def test_a_disk_that_is_slowed_down_twice_is_as_fast_as_before_in_the_end(tmp_path: Path) -> None:
    world = World(FIRST, tmp_path)
    usual = world.disk.delay
    world._slow_disk()
    world._slow_disk()

    assert world.disk.delay_at(0.0) == SLOW
    assert world.disk.delay_at(10.0) == usual


# --- a gateway that is broken on purpose is found out


def found_out(tmp_path: Path, sign: str) -> bool:
    """Whether some world says what is wrong."""
    return any(
        any(each.startswith(sign) for each in World(seed, tmp_path).live().wrong)
        for seed in range(FIRST, FIRST + TRIES)
    )


def test_a_gate_that_does_not_hear_stop_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = Gatekeeper.__call__
    monkeypatch.setattr(Gatekeeper, "__call__", lambda gate, row, now: right(gate, row._replace(stopped_at=None), now))

    assert found_out(tmp_path, "I4")


def test_a_gate_without_hours_and_caps_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_gate(gate: Gatekeeper, row: Waiting, now: int) -> Go:
        return Go()

    monkeypatch.setattr(Gatekeeper, "__call__", open_gate)

    assert found_out(tmp_path, "I4")


def test_a_takeover_that_sends_everything_again_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "POISON", 0)

    assert found_out(tmp_path, "I3")


def test_thanks_before_a_text_is_on_disk_are_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right: Callable[..., None] = Inbox.arrived

    def hasty(box: Inbox, channel: str, receipts: list[object], texts: list[Inbound]) -> None:
        box.channels[channel].thank([text.handle for text in texts])
        right(box, channel, receipts, texts)

    monkeypatch.setattr(Inbox, "arrived", hasty)

    assert found_out(tmp_path, "I8")


def test_a_stop_that_is_kept_but_not_obeyed_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def deaf(*_: object, **__: object) -> bool:
        return False

    monkeypatch.setattr(consent, "leave", deaf)

    assert found_out(tmp_path, "I4")


def test_answers_that_are_not_recorded_are_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dispatcher, "answered", lambda dispatcher, answers: None)

    assert found_out(tmp_path, "it does not come to rest")
