"""A gateway's folder: people and a launched campaign, served by `run.py serve`, looked at from outside."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import run
from bench.stage import phone_of, row_of
from campaigns import links, people, runs, versions
from campaigns.settings import Config
from gateway.config import load
from gateway.messages import State
from tests.faults.carriers import ROOT, Carrier
from tests.ports import free_port

CONFIG = """
brand:
  {{name: Faults, country: US, timezone: America/Los_Angeles, languages: [en], currency: USD,
    site: "http://127.0.0.1:{public}"}}
channels:
  line: {channel}
senders: {{shop: {{number: "{number}", channel: line, countries: [US]}}}}
programs: {{club: {{name: Club, consent: Yes please, at_most: [4 per 30 d, 2 per 24 h], hours: 0:00-24:00}}}}
segments: {{everyone: {{age: 10-150}}}}
contests:
  cup:
    {{kind: vote, question: "Which?", options: {{1: fox, 2: crane, 3: owl}}, open: {{from: apply, for: 30 d}},
     votes: 1 per day}}
keywords: {{VOTE: {{vote: cup}}}}
replies: {{when_in_doubt: {in_doubt}}}
campaigns:
  big:
    program: club
    audience: {{segment: everyone}}
    senders: [shop]
    send: {{at: apply, within: 20 h}}
    text: "Hello {{{{ first_name or 'friend' }}}}. Reply STOP to end"
    when_in_doubt: {in_doubt}
store: "sqlite:faults.db"
listen:
  {{public: "127.0.0.1:{public}", private: "127.0.0.1:{private}", smsc: "127.0.0.1:{smsc}", api: "127.0.0.1:{api}"}}
{clients}
"""
BALLOTS = 100
LONG_NAME = "Maximiliana " * 13  # makes a text of two parts
# Notes each claim of somebody whose STOP was committed before it.
WITNESS = """
CREATE TABLE claimed_after_stop (message INTEGER);
CREATE TRIGGER witness AFTER INSERT ON flight BEGIN
  INSERT INTO claimed_after_stop SELECT m.id
  FROM json_each(new.messages) j JOIN message m ON m.id = j.value ->> 0 JOIN stop s ON s.person = m.person
  WHERE m.purpose = 'marketing';
END;
"""
UNSETTLED = f"""
SELECT (SELECT count(*) FROM run WHERE state NOT IN ('done', 'stopped')) AS runs,
       (SELECT count(*) FROM outbox) AS waiting,
       (SELECT count(*) FROM flight) AS flying,
       (SELECT count(*) FROM inbound WHERE thought = 0) AS unthought,
       (SELECT coalesce(max(n), 0) FROM event) - coalesce((SELECT n FROM cursor WHERE name = 'fold'), 0) AS unfolded,
       (SELECT count(*) FROM message m LEFT JOIN state s ON s.message = m.id WHERE s.message IS NULL) AS queued,
       (SELECT count(*) FROM state WHERE state = {int(State.SENT)}) AS without_receipt
"""


@dataclass
class Folder:
    """One business. `again`: what is in doubt is sent again."""

    path: Path
    carrier: Carrier
    number: str
    people: int
    again: bool = False
    rate: int = 2_000
    public: int = field(default_factory=free_port)
    private: int = field(default_factory=free_port)
    api: int = field(default_factory=free_port)
    clients: str = ""  # that section of the file
    process: asyncio.subprocess.Process | None = None
    ballots: list[str] = field(default_factory=list)  # links by which people of the audience may vote

    @property
    def site(self) -> str:
        """Where its public pages and the carrier's doors are."""
        return f"http://127.0.0.1:{self.public}"

    @property
    def store(self) -> Path:
        """The file of its store."""
        return self.path / "faults.db"

    @property
    def config(self) -> Path:
        """Its config.yaml."""
        return self.path / "config.yaml"

    async def prepare(self) -> None:
        """Write config and secrets, import people, apply, launch; nothing has been planned or sent then."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.config.write_text(
            CONFIG.format(
                channel=self.carrier.channel(self.rate), number=self.number, public=self.public,
                private=self.private, smsc=free_port(), api=self.api, clients=self.clients,
                in_doubt="send again" if self.again else "leave",
            )
        )  # fmt: skip
        (self.path / "password").write_text("secret")
        (self.path / "password").chmod(0o600)
        loaded = load(self.config, Config, os.environ)
        async with run.opened(loaded.value, self.config, os.environ) as app:
            now = app.clock.now_ms()
            version = await app.store.write(versions.keep, app.brand, loaded, self.config, now)
            app.take(await run.business_of(app, loaded.value, version))
            rows = [row_of(n, now) for n in range(self.people)]
            rows[::10] = [replace(row, first_name=LONG_NAME) for row in rows[::10]]
            await app.store.write(people.import_rows, app.business, rows, "club", now)
            for campaign in app.business.config.campaigns.values():
                await app.store.write(runs.launch, app.business, campaign, now)
            with closing(sqlite3.connect(self.store)) as connection:
                connection.executescript(WITNESS)
            some = self.rows("SELECT id FROM person LIMIT ?", BALLOTS)
            self.ballots = [links.vote_link(app.business, "cup", person) for (person,) in some]

    def phones(self) -> list[str]:
        """Everybody in the campaign's audience."""
        return [phone_of(n) for n in range(self.people)]

    # --- its process

    async def serve(self, failpoint: str = "", program: Sequence[str] = ("run.py",)) -> None:
        """Start it, to die at a failpoint if one is named."""
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "CARILLON_FAILPOINT": failpoint}
        with (self.path / "serve.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, *program, "--config", str(self.config), "serve", cwd=ROOT, env=environ,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """Of the process that serves."""
        assert self.process is not None
        return self.process.pid

    async def fall(self, within_s: float) -> int:
        """Wait for it to end by itself; its exit status, negative for a signal."""
        assert self.process is not None
        async with asyncio.timeout(within_s):
            status = await self.process.wait()
        if status > 0:
            print((self.path / "serve.log").read_text(errors="replace"))  # its reason, where the test fails over it
        return status

    async def leave(self, within_s: float = 10) -> int:
        """Ask it to stop; its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return await self.fall(within_s)

    async def kill(self) -> None:
        """Make sure that nothing serves here."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    # --- a look from outside

    def rows(self, sql: str, *values: object) -> list[Any]:
        """What the store holds at this moment, whoever serves it."""
        with closing(sqlite3.connect(f"file:{self.store}?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(sql, values).fetchall()

    def unsettled(self) -> dict[str, int]:
        """What is still open, by what it is; empty when everything has come to its end."""
        names = ("runs", "waiting", "flying", "unthought", "unfolded", "queued", "without receipt")
        (found,) = self.rows(UNSETTLED)
        return {name: n for name, n in zip(names, found, strict=True) if n}

    async def settle(self, within_s: float) -> dict[str, int]:
        """Wait until everything has come to its end; what has not by then."""
        end = asyncio.get_running_loop().time() + within_s
        while (left := self.unsettled()) and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110  another process
            await asyncio.sleep(0.1)
        return left
