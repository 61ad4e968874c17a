"""kill -9 at every failpoint, with both kinds of carrier and both promises: nothing is lost, nothing told wrongly.

One campaign is killed at one place after the other, in an order that the seed draws, and then goes on to its end.
What is printed at the beginning repeats it: `CARILLON_SEED=7`; `CARILLON_PLACES=claim,settle` kills it at these only.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gateway.failpoints import PLACES
from tests.faults.carriers import ROOT, Carrier, FalseTwilio, Smsc, ending
from tests.faults.folders import Folder
from tests.faults.verdicts import judge

NUMBER = "20655"
PEOPLE, VOTES, STOPS = 2_000, 250, 50
RATE = 400  # so slow that something is left to do after every death
BURST = 8  # texts from phones that wait for each start
DRIP_S = 0.1  # between two that come while it serves
# How often each place may be met before we die there. `plan` is met once for a page of people, `fold` four times a
# second; the first batch that is kept has the texts in it that have waited, so that they come again.
PROGRAMS = ("accept", "accepted")  # met by what programs bring: test_programs.py
MOST = {"plan": 3, "fold": 3, "think": 3, "thought": 3, "kept": 1}


def seeds() -> list[int]:
    """One that changes with each commit, and as many behind it as CARILLON_SEEDS asks for."""
    if "CARILLON_SEED" in os.environ:
        return [int(os.environ["CARILLON_SEED"])]
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    first = int(found.stdout[:7] or "7", 16)
    return [first + n for n in range(int(os.environ.get("CARILLON_SEEDS", "1")))]


def deaths(chance: random.Random) -> list[tuple[str, int]]:
    """At which places to die in turn, and at which meeting of each; planning is over soon, so it stands first."""
    places = [place for place in PLACES if place in os.environ.get("CARILLON_PLACES", place) and place not in PROGRAMS]
    chance.shuffle(places)
    places.sort(key=lambda place: place != "plan")
    return [(place, chance.randint(1, MOST.get(place, 6))) for place in places]


class Ordeal:
    """One campaign that is killed again and again, with phones that text all the while."""

    def __init__(self, folder: Folder, chance: random.Random) -> None:
        self.folder = folder
        self.wrong: list[str] = []
        self._chance = chance
        self._texts = texts(folder, chance)
        self._texting: list[asyncio.Task[None]] = []

    async def run(self) -> list[str]:
        """Die everywhere, go on to the end; what is wrong then, in words."""
        await self.folder.prepare()
        try:
            for place, count in deaths(self._chance):
                await self.die(place, count)
            await self.live()
        finally:
            for each in self._texting:
                each.cancel()
            await self.folder.kill()
        return self.wrong

    async def die(self, place: str, count: int) -> None:
        """One life that ends at a place. Some texts wait for it, others come while it lasts."""
        self.text(BURST)
        await self.folder.serve(f"{place}:{count}")
        dripping = asyncio.create_task(self.drip())
        try:
            status = await self.folder.fall(60)
        except TimeoutError:
            self.complain(f"it never came to {place}:{count}")
            await self.folder.kill()
        else:
            if status != -signal.SIGKILL:
                self.complain(f"before {place}:{count} it ended with {status}")
        dripping.cancel()
        for name, some in judge(self.folder).wrong(at_the_end=False).items():
            self.complain(f"after {place}:{count}: {name}: {some}")

    async def live(self) -> None:
        """The last life: wait until everything has come to its end, stop, and look."""
        self.text(len(self._texts))
        await self.folder.serve()
        async with asyncio.timeout(120):
            await asyncio.gather(*self._texting)
        left = await self.folder.settle(120)
        if left:
            self.complain(f"still open: {left}")
        status = await self.folder.leave()
        if status:
            self.complain(f"left with {status}")
        for name, some in judge(self.folder).wrong().items():
            self.complain(f"{name}: {some}")
        for sql, count in COUNTS.items():
            ((found,),) = self.folder.rows(sql)
            if found != count:
                self.complain(f"{found}, not {count}: {sql}")

    def complain(self, words: str) -> None:
        """Remember what is wrong, and in which campaign."""
        self.wrong.append(f"{self.folder.carrier.kind}: {words}")

    def text(self, count: int) -> None:
        """So many phones text us, and wait for our thanks."""
        some, self._texts = self._texts[:count], self._texts[count:]
        folder = self.folder
        self._texting += [
            asyncio.create_task(folder.carrier.text(phone, folder.number, words, folder.site)) for phone, words in some
        ]

    async def drip(self) -> None:
        """One phone after the other, from when the first text of this life has been taken."""
        await asyncio.wait(self._texting[-BURST:], return_when=asyncio.FIRST_COMPLETED)
        while self._texts:
            self.text(1)
            await asyncio.sleep(DRIP_S)


def texts(folder: Folder, chance: random.Random) -> list[tuple[str, str]]:
    """Votes of strangers, and STOPs of people in the audience, in any order."""
    found = [(f"+1425555{n:04}", f"VOTE {chance.randint(1, 3)}") for n in range(1000, 1000 + VOTES)]
    found += [(phone, "STOP") for phone in chance.sample(folder.phones(), STOPS)]
    chance.shuffle(found)
    return found


COUNTS = {
    "SELECT count(*) FROM inbound": VOTES + STOPS,
    "SELECT count(DISTINCT sender) FROM inbound WHERE thought = 1": VOTES + STOPS,
    "SELECT count(*) FROM vote": VOTES,
    "SELECT sum(votes) FROM ballot": VOTES,
    "SELECT count(*) FROM stop": STOPS,
    "SELECT count(*) FROM message WHERE text LIKE 'Got it%'": VOTES,
    "SELECT count(*) FROM message WHERE purpose = 'reply' AND text NOT LIKE 'Got it%'": STOPS,
}


@pytest.fixture
def carriers(tmp_path: Path) -> Iterator[Sequence[Carrier]]:
    """One of each kind."""
    both = (Smsc(tmp_path, NUMBER), FalseTwilio(tmp_path))
    with ending(*both):
        yield both


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize("promise", ["at most once", "at least once"])
async def test_death_at_every_place_loses_nothing_and_sends_as_often_as_was_promised(
    promise: str, seed: int, carriers: Sequence[Carrier], tmp_path: Path
) -> None:
    print("CARILLON_SEED", seed)
    again = promise == "at least once"
    ordeals = [
        Ordeal(
            Folder(tmp_path / carrier.kind, carrier, NUMBER, PEOPLE, again=again, rate=RATE),
            random.Random(f"{seed} {carrier.kind} {promise}"),
        )
        for carrier in carriers
        if carrier.kind in os.environ.get("CARILLON_KINDS", carrier.kind)
    ]
    wrong = [each for said in await asyncio.gather(*(ordeal.run() for ordeal in ordeals)) for each in said]
    assert wrong == []


async def test_doubts_of_a_death_are_settled_by_the_receipts_of_what_had_arrived(
    carriers: Sequence[Carrier], tmp_path: Path
) -> None:
    folders = [Folder(tmp_path / carrier.kind, carrier, NUMBER, 200, rate=200) for carrier in carriers]
    doubts = await asyncio.gather(*(die_in_doubt(folder) for folder in folders))
    for folder, doubted in zip(folders, doubts, strict=True):
        verdict = judge(folder)
        taken = {copy.recipient for copy in folder.carrier.copies(NUMBER)}
        assert verdict.wrong() == {}
        assert len(doubted & taken) > 0
        assert {message.address for message in verdict.doubted} == doubted - taken


async def die_in_doubt(folder: Folder) -> set[str]:
    """Die with bytes on the way, come back, and wait for word about them; whose texts were in doubt first."""
    await folder.prepare()
    try:
        await folder.serve("answered:2")
        assert await folder.fall(60) == -signal.SIGKILL
        await folder.serve()
        assert await folder.settle(60) == {}
        doubted = {address for (address,) in folder.rows(IN_EVER_DOUBT)}
        async with asyncio.timeout(30):
            while in_doubt(folder) & {copy.recipient for copy in folder.carrier.copies(NUMBER)}:  # noqa: ASYNC110  it is another process
                await asyncio.sleep(0.5)
        assert await folder.leave() == 0
    finally:
        await folder.kill()
    return doubted


IN_EVER_DOUBT = "SELECT DISTINCT m.address FROM event e JOIN message m ON m.id = e.message WHERE e.state = 10"
IN_DOUBT = "SELECT m.address FROM state s JOIN message m ON m.id = s.message WHERE s.state = 10"


def in_doubt(folder: Folder) -> set[str]:
    """Whose texts are in doubt at this moment."""
    return {address for (address,) in folder.rows(IN_DOUBT)}
