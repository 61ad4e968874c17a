"""STOPs that arrive while a campaign runs are obeyed by the very next claim."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import NamedTuple

import pytest

from bench.stage import Stage, add_people, phone_of
from gateway.messages import State
from gateway.store import Tx
from tests import tables
from tests.faults.conftest import SEEDS
from tests.ports import free_port

PEOPLE, STOPS = 10_000, 1_000
CONFIG = """
brand: {{name: Race, country: US, timezone: America/Los_Angeles, languages: [en], currency: USD}}
channels: {{us: {{kind: smpp, carrier: simulator, rate: 2500/s, price: 0.01 USD per part, window: 200}}}}
senders: {{shop: {{number: "20655", channel: us, countries: [US]}}}}
programs: {{club: {{name: Club, consent: Yes please, hours: 0:00-24:00}}}}
segments: {{everyone: {{age: 10-150}}}}
campaigns:
  big:
    program: club
    audience: {{segment: everyone}}
    senders: [shop]
    send: {{at: apply, within: 20 h}}
    text: "Hello. Reply STOP to end"
store: "sqlite:race.db"
listen: {{smsc: "127.0.0.1:{port}"}}
"""
# Notes every claim beside the stop that was committed before it, if there was one.
WITNESS = """
CREATE TABLE witness (person INTEGER, claimed_at INTEGER, stopped_at INTEGER);
CREATE TRIGGER claim AFTER INSERT ON flight BEGIN
  INSERT INTO witness SELECT m.person, new.at, s.at
  FROM json_each(new.messages) j JOIN message m ON m.id = j.value ->> 0 LEFT JOIN stop s ON s.person = m.person
  WHERE m.purpose = 'marketing';
END;
"""


async def watch(tx: Tx) -> None:
    for statement in (WITNESS[: WITNESS.index("CREATE TRIGGER")], WITNESS[WITNESS.index("CREATE TRIGGER") :]):
        await tables.look(tx, statement)


@pytest.mark.parametrize("seed", SEEDS)
async def test_no_message_is_claimed_after_its_recipients_stop_was_committed(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    stopping = chance.sample(range(PEOPLE), STOPS)
    async with Stage.open(tmp_path, CONFIG.format(port=free_port())) as stage:
        await add_people(stage, PEOPLE)
        await stage.app.store.write(watch)
        async with stage.serving():
            simulator = stage.app.simulator
            assert simulator is not None
            arrived: dict[str, list[int]] = {}
            simulator.on_message.append(
                lambda message, number: (
                    arrived.setdefault(number, []).append(message.at_ms) if message.text.startswith("Hello") else None
                )
            )
            await stage.launch("big")
            for place, number in enumerate(stopping):
                simulator.post(phone_of(number), "20655", chance.choice(["STOP", "stop please", "Quit."]))
                if place % 5 == 0:
                    await asyncio.sleep(0.012)
            standing = await stage.standing("big")
            while not standing.is_planned or standing.waterfall.in_state(State.QUEUED):
                await asyncio.sleep(0.1)
                standing = await stage.standing("big")
            found = await stage.app.store.read(look)

        refused = standing.waterfall.states
        assert standing.waterfall.matched == PEOPLE
        assert standing.waterfall.adds_up
        assert len(found.stops) == STOPS
        assert found.claims > 0
        assert found.claimed_after_stop == 0
        late = [
            number
            for number, at in found.stops.items()
            for received in arrived.get(number, [])
            if received > at + 1_000
        ]
        assert late == []
        # The race was one: some stopped before their text, some after it.
        before = sum(n for (state, reason), n in refused.items() if reason == "left")
        before += standing.waterfall.refused.get("left", 0)
        assert 0 < before < STOPS


class Found(NamedTuple):
    """When each phone's STOP was committed, how many claims were seen, and how many after their recipient's stop."""

    stops: dict[str, int]
    claims: int
    claimed_after_stop: int


async def look(tx: Tx) -> Found:
    stops = dict(await tables.look(tx, "SELECT p.address, s.at FROM stop s JOIN person p ON p.id = s.person"))
    ((claims, after),) = await tables.look(tx, "SELECT count(*), count(stopped_at) FROM witness")
    return Found(stops, claims, after)
