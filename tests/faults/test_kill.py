"""kill -9 at random moments: nobody skipped, nobody texted twice, nothing that came in lost or counted twice."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from gateway.messages import State
from gateway.outbox import SENT_AGAIN
from tests.faults.conftest import SEEDS, Gateway, Smsc

Make = Callable[[int, int], Awaitable[Gateway]]


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_server_killed_twenty_times_skips_nobody_and_texts_nobody_twice(
    make_gateway: Make, smsc: Smsc, seed: int
) -> None:
    chance = random.Random(seed)
    gateway = await make_gateway(20_000, 2_500)
    for _ in range(20):
        await gateway.start()
        await asyncio.sleep(chance.uniform(0.05, 0.8))
        await gateway.kill()

    await gateway.start()
    for _ in range(60):
        await asyncio.sleep(0.5)
        if len(smsc.submits()) >= 19_000 and not await moved(smsc):
            break
    assert await gateway.end() == 0

    found = await gateway.waterfall()
    sent = smsc.texts_to()
    assert found.matched == 20_000
    assert found.adds_up
    assert max(sent.values()) == 1
    assert found.in_state(State.QUEUED) == 0
    # What the carrier took and what a crash left open, together, are everybody; nothing was taken unseen.
    assert found.in_state(State.DELIVERED, State.SENT) <= len(sent)
    assert len(sent) <= 20_000 <= len(sent) + found.in_state(State.IN_DOUBT)
    assert found.in_state(State.IN_DOUBT) < 20 * (200 + 500)


async def moved(smsc: Smsc) -> bool:
    """Whether the carrier still takes texts."""
    before = len(smsc.submits())
    await asyncio.sleep(1)
    return len(smsc.submits()) > before


@pytest.mark.parametrize("seed", SEEDS)
async def test_texts_that_come_in_while_the_server_dies_are_counted_once_and_answered_at_most_once(
    make_gateway: Make, smsc: Smsc, seed: int
) -> None:
    chance = random.Random(seed)
    gateway = await make_gateway(1, 1_000)
    voters = [f"+1425555{n:04}" for n in range(1000, 1200)]
    left = list(voters)
    for _ in range(8):
        await gateway.start()
        for _ in range(25):
            await smsc.text(left.pop(), "VOTE 3")
            await asyncio.sleep(chance.uniform(0, 0.02))
        await gateway.kill()
    await gateway.start()
    await asyncio.sleep(3)
    assert await gateway.end() == 0

    votes = await gateway.ask("vote_count", contest="cup")
    answers = Counter(str(one["recipient"]) for one in smsc.submits() if str(one["text"]).startswith("Got it"))
    others = [
        one for one in smsc.submits() if str(one["recipient"]) in voters and not str(one["text"]).startswith("Got it")
    ]
    assert sum(int(str(row[1])) for row in votes) == len(voters)
    # Answers are sent at least once: one that was on the way when the process died comes again, and says so.
    again = sum(answers.values()) - len(answers)
    assert set(answers) == set(voters)
    assert max(answers.values()) <= 1 + 8
    told = await gateway.ask("event_after", n=0, limit=1_000_000)
    assert again <= sum(event[7] == SENT_AGAIN for event in told)
    assert others == []  # nobody heard "this phone voted today" for a text that came once
