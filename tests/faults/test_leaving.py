"""SIGTERM lets go of nothing; a process that stood still sends nothing that was stopped meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from gateway.messages import State
from tests.faults.carriers import FalseTwilio, Smsc, ending
from tests.faults.folders import Folder
from tests.faults.test_store_trouble import sent
from tests.faults.verdicts import judge

NUMBER = "20655"


@pytest.mark.parametrize("kind", [Smsc, FalseTwilio])
async def test_sigterm_in_mid_campaign_ends_in_time_without_a_doubt_and_the_next_start_goes_on(
    kind: type[Smsc | FalseTwilio], tmp_path: Path
) -> None:
    carrier = Smsc(tmp_path, NUMBER) if kind is Smsc else FalseTwilio(tmp_path, "--receipts", "0.3")
    folder = Folder(tmp_path / "folder", carrier, NUMBER, 400, rate=200)
    with ending(carrier):
        await folder.prepare()
        try:
            await folder.serve()
            await sent(folder, 100)
            assert await folder.leave(within_s=5) == 0
            first = judge(folder)
            assert first.wrong(at_the_end=False) == {}
            assert first.doubted == []
            assert 0 < len(first.lost) < 400 - 50  # they wait for the next start

            await folder.serve()
            assert await folder.settle(30) == {}
            assert await folder.leave(within_s=5) == 0
        finally:
            await folder.kill()
        second = judge(folder)
        assert second.wrong() == {}
        assert (second.doubted, second.recovered) == ([], [])


async def test_what_was_stopped_while_the_process_stood_still_is_not_sent_although_it_was_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smsc = Smsc(tmp_path, NUMBER)
    folder = Folder(tmp_path / "folder", smsc, NUMBER, 600, rate=200)
    with ending(smsc):
        await folder.prepare()
        try:
            monkeypatch.setenv("CARILLON_STANDS_STILL", "3")
            await folder.serve(program=["-m", "tests.faults.stopped"])
            await asyncio.wait_for(still(folder), 15)
            flying = {phone for (phone,) in folder.rows(FLYING)}
            assert flying

            # Everybody leaves while it stands still for longer than a second.
            await asyncio.sleep(1.2)
            before = len(smsc.copies(NUMBER))
            everybody_leaves(folder)
            os.kill(folder.pid, signal.SIGCONT)

            assert await folder.settle(20) == {}
            assert await folder.leave() == 0
        finally:
            await folder.kill()
        assert len(smsc.copies(NUMBER)) == before < 600
        assert judge(folder).wrong() == {}
        left = "SELECT count(*) FROM state WHERE state = ? AND code = 'left'"
        assert folder.rows(left, int(State.REFUSED)) == [(600 - len({copy.recipient for copy in smsc.copies(NUMBER)}),)]


FLYING = "SELECT m.address FROM flight f, json_each(f.messages) j JOIN message m ON m.id = j.value ->> 0"


async def still(folder: Folder) -> None:
    """Wait until the process has been stopped by a signal."""
    while not is_stopped(folder.pid):  # noqa: ASYNC110  another process rings no bell here
        await asyncio.sleep(0.02)


def is_stopped(pid: int) -> bool:
    """Whether a process stands still (proc(5), the state in stat)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def everybody_leaves(folder: Folder) -> None:
    """Write everybody's STOP, as another process of ours would."""
    with closing(sqlite3.connect(folder.store, timeout=10)) as other, other:
        other.execute("INSERT INTO stop SELECT id, brand_id, ?, 'text' FROM person", (int(time.time() * 1000),))
