"""A fleet as processes: two that dispatch, two that serve pages, one that plans, each with lines that can be cut."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import orjson

import run
from bench.stage import phone_of, row_of
from campaigns import links, people, runs, versions
from campaigns.settings import Config
from gateway.config import load
from tests.faults.carriers import ROOT, Smsc
from tests.faults.folders import LONG_NAME, UNSETTLED
from tests.faults.proxy import Connection, Proxy
from tests.ports import free_port
from tests.servers import PostgresServer
from tests.valkey import Valkey

BINDS = 2  # lines that the carrier allows
CONFIG = f"""
brand:
  {{{{name: Fleet, country: US, timezone: America/Los_Angeles, languages: [en], currency: USD,
    site: "http://127.0.0.1:{{public}}"}}}}
channels:
  line:
    {{{{kind: smpp, carrier: "127.0.0.1:${{{{SMSC_PORT}}}}", account: line, password_file: password, rate: {{rate}}/s,
     window: 100, binds: {BINDS}, price: 0.01 USD per part}}}}
senders: {{{{shop: {{{{number: "{{number}}", channel: line, countries: [US]}}}}}}}}
programs: {{{{club: {{{{name: Club, consent: Yes please, at_most: [4 per 30 d, 2 per 24 h], hours: 0:00-24:00}}}}}}}}
segments: {{{{everyone: {{{{age: 10-150}}}}}}}}
contests:
  cup:
    {{{{kind: vote, question: "Which?", options: {{{{1: fox, 2: crane, 3: owl}}}}, open: {{{{from: apply, for: 30 d}}}},
     votes: 1 per day}}}}
keywords: {{{{VOTE: {{{{vote: cup}}}}}}}}
campaigns:
  big:
    program: club
    audience: {{{{segment: everyone}}}}
    senders: [shop]
    send: {{{{at: apply, within: 20 h}}}}
    text: "Hello {{{{{{{{ first_name or 'friend' }}}}}}}}. Reply STOP to end"
store: "postgresql://carillon@127.0.0.1:${{{{STORE_PORT}}}}/{{database}}"
shared: "redis://127.0.0.1:${{{{SHARED_PORT}}}}"
listen: {{{{public: "127.0.0.1:{{public}}", private: "127.0.0.1:{{private}}"}}}}
"""
# Notes each claim of somebody whose STOP was committed before it; from which connection each change came; and between
# which of them members joined and were struck off. A STOP and a striking-off are alone, so the order is the true one.
WITNESS = """
CREATE TABLE claimed_after_stop (message bigint);
CREATE FUNCTION witness_claim() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO claimed_after_stop SELECT m.id
  FROM json_array_elements(new.messages::json) j JOIN message m ON m.id = (j ->> 0)::bigint
  JOIN stop s ON s.person = m.person WHERE m.purpose = 'marketing';
  RETURN NULL;
END $$;
CREATE TRIGGER witness_claim AFTER INSERT ON flight FOR EACH ROW EXECUTE FUNCTION witness_claim();

CREATE TABLE change (
  n bigserial, at double precision DEFAULT extract(epoch FROM clock_timestamp()), port integer, what text, node bigint,
  epoch bigint, tx xid8 DEFAULT pg_current_xact_id()
);
CREATE FUNCTION witness_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO change (port, what) VALUES (inet_client_port(), TG_OP || ' ' || TG_TABLE_NAME);
  RETURN NULL;
END $$;
CREATE FUNCTION witness_member() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO change (port, what, node, epoch) VALUES (inet_client_port(), 'joined', new.node, new.epoch);
  ELSE
    INSERT INTO change (port, what, node, epoch) VALUES (inet_client_port(), 'left', old.node, old.epoch);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER witness AFTER INSERT OR DELETE ON member FOR EACH ROW EXECUTE FUNCTION witness_member();
CREATE TRIGGER witness AFTER INSERT ON event FOR EACH STATEMENT EXECUTE FUNCTION witness_change();
CREATE TRIGGER witness AFTER INSERT ON flight FOR EACH STATEMENT EXECUTE FUNCTION witness_change();
CREATE TRIGGER witness AFTER INSERT ON inbound FOR EACH STATEMENT EXECUTE FUNCTION witness_change();
CREATE TRIGGER witness AFTER INSERT ON vote FOR EACH STATEMENT EXECUTE FUNCTION witness_change();
CREATE TRIGGER witness AFTER UPDATE ON tally FOR EACH STATEMENT EXECUTE FUNCTION witness_change();
"""
AGAIN_S = 1.0  # before a process that ended is started again, as a supervisor does
LOOK_S = 0.1
PAGE = 2_000  # people that are imported at once


@dataclass
class Process:
    """One of ours. Times are in seconds since 1970."""

    name: str
    roles: tuple[str, ...]
    environ: Mapping[str, str]
    private: int = field(default_factory=free_port)
    popen: subprocess.Popen[bytes] | None = None
    is_asked: bool = False  # it was told to end, or killed: so it may
    frozen: list[tuple[float, float]] = field(default_factory=list)
    dead: list[tuple[float, float]] = field(default_factory=list)  # from its end to its next start
    fell: list[tuple[float, int]] = field(default_factory=list)  # when it ended by itself, with which status
    ended_at: float = 0.0

    def start(self, config: Path, public: int) -> None:
        """Start it."""
        words = ["--config", str(config), "serve", "--private", f"127.0.0.1:{self.private}"]
        words += ["--public", f"127.0.0.1:{public}", *(word for role in self.roles for word in ("--role", role))]
        with (config.parent / f"{self.name}.log").open("ab") as log:
            log.write(f"--- started at {time.time():.3f}\n".encode())
            log.flush()
            self.popen = subprocess.Popen(
                [sys.executable, "run.py", *words], cwd=ROOT, env={**os.environ, **self.environ},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        if self.ended_at:
            self.dead.append((self.ended_at, time.time()))
        self.is_asked, self.ended_at = False, 0.0

    @property
    def is_up(self) -> bool:
        """Whether it runs."""
        return self.popen is not None and self.popen.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if self.popen is not None and self.is_up:
            self.is_asked |= number in {signal.SIGKILL, signal.SIGTERM}
            self.popen.send_signal(number)

    def see(self) -> bool:
        """Whether it has ended; how, where nobody had asked it to."""
        if self.popen is None or self.popen.poll() is None:
            return False
        if not self.ended_at:
            self.ended_at = time.time()
            if not self.is_asked:
                self.fell.append((self.ended_at, self.popen.returncode))
        return True

    async def freeze(self, seconds: float) -> None:
        """Stand still for so long."""
        self.send(signal.SIGSTOP)
        since = time.time()
        self.frozen.append((since, since + seconds))
        await asyncio.sleep(seconds)
        self.frozen[-1] = since, time.time()
        self.send(signal.SIGCONT)

    async def leave(self, within_s: float) -> int | None:
        """Ask it to end; its status, None when it did not in time."""
        self.send(signal.SIGTERM)
        end = time.monotonic() + within_s
        while self.is_up and time.monotonic() < end:  # noqa: ASYNC110  another process
            await asyncio.sleep(LOOK_S)
        return self.popen.returncode if self.popen is not None and not self.is_up else None


class Fleet:
    """One business, its processes, and the proxy that all their lines go through."""

    def __init__(
        self, path: Path, postgres: PostgresServer, valkey: Valkey, smsc: Smsc, number: str, people: int, rate: int
    ) -> None:
        self.path, self.postgres, self.valkey = path, postgres, valkey
        self.carrier, self.number, self.people, self.rate = smsc, number, people, rate
        self.public = free_port()
        self.database = postgres.empty_database()
        self.proxy = Proxy()
        self.ballots: list[str] = []
        self.processes = {
            name: self._process(name, role)
            for name, role in (
                ("send1", "dispatch"),
                ("send2", "dispatch"),
                ("web1", "web"),
                ("web2", "web"),
                ("plan", "plan"),
            )
        }
        self._reader = ThreadPoolExecutor(1, "reader")
        self._tending: asyncio.Task[None] | None = None

    def _process(self, name: str, role: str) -> Process:
        targets = {"store": self.postgres.port, "shared": self.valkey.port, "smsc": self.carrier.port}
        ports = {what: self.proxy.add(f"{name} {what}", port, is_smpp=what == "smsc") for what, port in targets.items()}
        environ = {f"{what.upper()}_PORT": str(port) for what, port in ports.items()}
        return Process(name, (role,), environ)

    @property
    def config(self) -> Path:
        """Its config.yaml."""
        return self.path / "config.yaml"

    @property
    def senders(self) -> list[Process]:
        """Those that dispatch."""
        return [each for each in self.processes.values() if "dispatch" in each.roles]

    def phones(self) -> list[str]:
        """Everybody in the campaign's audience."""
        return [phone_of(n) for n in range(self.people)]

    async def prepare(self, ballots: int) -> None:
        """Write config and secrets, import people, apply, launch; nothing has been planned or sent then."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.config.write_text(
            CONFIG.format(
                public=self.public, private=free_port(), rate=self.rate, number=self.number, database=self.database
            )
        )
        (self.path / "password").write_text("secret")
        (self.path / "password").chmod(0o600)
        ports = {"STORE_PORT": self.postgres.port, "SMSC_PORT": self.carrier.port, "SHARED_PORT": self.valkey.port}
        environ = {**os.environ, **{name: str(port) for name, port in ports.items()}}
        loaded = load(self.config, Config, environ)
        async with run.opened(loaded.value, self.config, environ) as app:
            now = app.clock.now_ms()
            version = await app.store.write(versions.keep, app.brand, loaded, self.config, now)
            app.take(await run.business_of(app, loaded.value, version))
            for first in range(0, self.people, PAGE):
                rows = [row_of(n, now) for n in range(first, min(first + PAGE, self.people))]
                rows[::10] = [replace(row, first_name=LONG_NAME) for row in rows[::10]]
                await app.store.write(people.import_rows, app.business, rows, "club", now)
            for campaign in app.business.config.campaigns.values():
                await app.store.write(runs.launch, app.business, campaign, now)
            some = self.rows("SELECT id FROM person ORDER BY id LIMIT ?", ballots)
            self.ballots = [links.vote_link(app.business, "cup", person) for (person,) in some]
        self.execute(WITNESS)

    # --- its processes

    async def start(self) -> None:
        """Start them all, and from now on start again whatever ends."""
        for process in self.processes.values():
            process.start(self.config, self.public)
        self._tending = asyncio.create_task(self._tend(), name="tend")

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            for process in self.processes.values():
                if process.see() and time.time() - process.ended_at > AGAIN_S:
                    process.start(self.config, self.public)

    async def end(self) -> dict[str, int | None]:
        """Ask all to end; with which status each did."""
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.gather(self._tending, return_exceptions=True)
        names = list(self.processes)
        found = await asyncio.gather(*(self.processes[name].leave(20) for name in names))
        return dict(zip(names, found, strict=True))

    def close(self) -> None:
        """Leave nothing behind."""
        if self._tending is not None:
            self._tending.cancel()
        for process in self.processes.values():
            if process.popen is not None:
                process.popen.kill()
                process.popen.wait()
        self.proxy.close()
        self._reader.shutdown()

    async def all_ready(self, within_s: float) -> list[str]:
        """Wait until each says that it is; those that do not."""
        end = time.monotonic() + within_s
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3)) as session:
            while True:
                left = [each.name for each in self.processes.values() if not await is_ready(session, each)]
                if not left or time.monotonic() > end:
                    return left
                await asyncio.sleep(2 * LOOK_S)

    # --- a look from outside

    def rows(self, sql: str, *values: object) -> list[Any]:
        """What the store holds at this moment. Values stand where a question mark does."""
        pieces = sql.split("?")
        text = "".join(f"{piece}${at}" for at, piece in enumerate(pieces[:-1], 1)) + pieces[-1]
        return self._reader.submit(asyncio.run, self._fetch(text, values)).result()

    async def _fetch(self, sql: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(self.postgres.url(self.database))
        try:
            return [tuple(row) for row in await connection.fetch(sql, *values)]
        finally:
            await connection.close()

    def execute(self, sql: str) -> None:
        """Run statements."""
        self._reader.submit(asyncio.run, self._execute(sql)).result()

    async def _execute(self, sql: str) -> None:
        connection = await asyncpg.connect(self.postgres.url(self.database))
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    def keep(self, folder: Path, seen: Mapping[str, Any]) -> None:
        """Keep what somebody needs who asks later why: logs, the store as it is, what the proxy and others saw."""
        folder.mkdir(parents=True, exist_ok=True)
        for log in [
            *self.path.glob("*.log"),
            *self.path.parent.glob("smsc.*"),
            self.config,
            self.postgres.folder / "log",
        ]:
            shutil.copy(log, folder / (log.name if log.suffix else "postgres.log"))
        self.postgres.dump(self.database, folder / "store.dump")
        lives = {
            each.name: {"frozen": each.frozen, "dead": each.dead, "fell": each.fell} for each in self.processes.values()
        }
        proxy = {"troubles": self.proxy.troubles, "lags": self.proxy.lags, "connections": self.proxy.connections}
        (folder / "seen.json").write_bytes(orjson.dumps({**seen, "lives": lives, **proxy}, default=str))

    def unsettled(self) -> dict[str, int]:
        """What is still open, by what it is; empty when everything has come to its end."""
        names = ("runs", "waiting", "flying", "unthought", "unfolded", "queued", "without receipt")
        (found,) = self.rows(UNSETTLED)
        return {name: n for name, n in zip(names, found, strict=True) if n}

    async def settle(self, within_s: float) -> dict[str, int]:
        """Wait until everything has come to its end; what has not although nothing has gone on for so long."""
        before: dict[str, int] = {}
        end = 0.0
        while left := self.unsettled():
            if left != before:
                before, end = left, time.monotonic() + within_s
            if time.monotonic() > end:
                break
            await asyncio.sleep(0.5)
        return left

    def lines(self, what: str) -> dict[str, list[Connection]]:
        """The connections of each process to the store, to what is shared, or to the SMSC."""
        found: dict[str, list[Connection]] = {name: [] for name in self.processes}
        for connection in self.proxy.connections:
            name, _, kind = connection.line.partition(" ")
            if kind == what:
                found[name].append(connection)
        return found


async def is_ready(session: aiohttp.ClientSession, process: Process) -> bool:
    """What its private door says."""
    with suppress(aiohttp.ClientError, TimeoutError, OSError):
        async with session.get(f"http://127.0.0.1:{process.private}/readyz") as response:
            return response.status == 200
    return False
