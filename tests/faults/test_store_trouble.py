"""A disk that takes nothing more, a store that somebody else has locked: nothing half done, and no restart needed."""

from __future__ import annotations

import asyncio
import re
import resource
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest

from tests.faults.carriers import FalseTwilio, Smsc, ending
from tests.faults.folders import Folder
from tests.faults.verdicts import judge

NUMBER = "20655"
PEOPLE = 900
SENT = "SELECT count(*) FROM event WHERE state = 20"
KEPT = "SELECT count(*) FROM inbound"
VOTES = "SELECT count(*) FROM vote"


class Answered(NamedTuple):
    """What our web server said to a vote."""

    status: int
    retry_after: str | None


class Voter:
    """Somebody with a browser, and pages of several people."""

    def __init__(self, session: aiohttp.ClientSession, folder: Folder) -> None:
        self._session, self._links, self._token = session, iter(folder.ballots), ""

    @classmethod
    @asynccontextmanager
    async def at(cls, folder: Folder) -> AsyncIterator[Voter]:
        """Open a first page, while all is well."""
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            voter = cls(session, folder)
            async with session.get(next(voter._links)) as response:
                found = re.search(r'name="token" value="([^"]+)"', await response.text())
            assert found is not None
            voter._token = found[1]
            yield voter

    async def vote(self) -> Answered:
        """The next person votes."""
        form = {"choice": "3", "token": self._token}
        async with self._session.post(next(self._links), data=form, allow_redirects=False) as response:
            return Answered(response.status, response.headers.get("Retry-After"))


@contextmanager
def full_disk(folder: Folder) -> Iterator[None]:
    """No file of this process may be written."""
    soft, hard = resource.prlimit(folder.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(folder.pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.prlimit(folder.pid, resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def locked(folder: Folder) -> Iterator[None]:
    """Somebody else writes, and does not come to an end."""
    with closing(sqlite3.connect(folder.store, isolation_level=None, timeout=10)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


TROUBLES = {"full": full_disk, "locked": locked}


@asynccontextmanager
async def in_mid_campaign(folder: Folder) -> AsyncIterator[Voter]:
    """It serves, some texts have left, and many have not."""
    await folder.prepare()
    await folder.serve()
    try:
        await sent(folder, 100)
        async with Voter.at(folder) as voter:
            yield voter
    finally:
        await folder.kill()


async def sent(folder: Folder, count: int) -> None:
    """Wait until so many texts have been sent."""
    async with asyncio.timeout(20):
        while folder.rows(SENT)[0][0] < count:  # noqa: ASYNC110  another process rings no bell here
            await asyncio.sleep(0.05)


async def quiet(folder: Folder) -> int:
    """Wait until the carrier gets nothing more; what it has then."""
    before = -1
    while (now := len(folder.carrier.copies(folder.number))) != before:
        before = now
        await asyncio.sleep(0.5)
    return now


def count(folder: Folder, sql: str) -> int:
    """One figure of the store."""
    found: int = folder.rows(sql)[0][0]
    return found


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_store_that_takes_nothing_is_told_to_carriers_and_browsers_and_mends_without_a_restart(
    trouble: str, tmp_path: Path
) -> None:
    smsc = Smsc(tmp_path, NUMBER)
    folder = Folder(tmp_path / "folder", smsc, NUMBER, PEOPLE, rate=300)
    with ending(smsc):
        async with in_mid_campaign(folder) as voter:
            assert (await voter.vote()).status == 303

            # While nothing can be written, nothing is taken, neither by page nor by text, and nothing leaves.
            with TROUBLES[trouble](folder):
                voting = asyncio.create_task(voter.vote())
                texting = asyncio.create_task(smsc.text("+14255551000", NUMBER, "VOTE 1", folder.site))
                taken = await quiet(folder)
                answered = await asyncio.wait_for(voting, 40)
                assert (answered.status, answered.retry_after is not None) == (503, True)
                assert not texting.done()
                assert (count(folder, VOTES), count(folder, KEPT)) == (1, 0)
                assert len(smsc.copies(NUMBER)) == taken < PEOPLE

            # Then the carrier brings the text again, and everything goes on where it stood.
            await asyncio.wait_for(texting, 15)
            assert (await voter.vote()).status == 303
            assert await folder.settle(30) == {}
            assert await folder.leave() == 0
        assert judge(folder).wrong() == {}
        assert judge(folder).doubted == []
        assert (count(folder, VOTES), count(folder, KEPT)) == (3, 1)


async def test_twilio_is_told_to_come_again_while_the_disk_is_full(tmp_path: Path) -> None:
    twilio = FalseTwilio(tmp_path)
    folder = Folder(tmp_path / "folder", twilio, NUMBER, 300, rate=100)
    with ending(twilio):
        async with in_mid_campaign(folder):
            with full_disk(folder):
                texting = asyncio.create_task(twilio.text("+14255551000", NUMBER, "VOTE 1", folder.site))
                await quiet(folder)
                assert not texting.done()
                assert count(folder, KEPT) == 0
                assert 503 in twilio.heard
            await asyncio.wait_for(texting, 15)
            assert await folder.settle(30) == {}
            assert await folder.leave() == 0
        assert judge(folder).wrong() == {}
        assert judge(folder).doubted == []
        assert (count(folder, VOTES), count(folder, KEPT)) == (1, 1)
