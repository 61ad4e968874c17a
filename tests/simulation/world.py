"""One small world from one seed: the real gateway, a carrier, its people, an operator, and everything that goes wrong.

    report = World(7, folder).live()

The gateway is wired as `run.py` wires it, with the real gate, the real keywords and the real planner; only its loop,
its network, its disk and its clock are made up. First faults rain for a minute or two, then they stop and time passes
until nothing waits; `checks` says whether everything that was promised was kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import random
import secrets
import shutil
import sqlite3
import tempfile
import unittest.mock
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from campaigns import consent, people, runner, runs
from campaigns.business import Business, open_business
from campaigns.gate import Gatekeeper
from campaigns.importing import Row
from campaigns.runner import Runner
from campaigns.settings import Config
from gateway import dispatcher, engine, outbox
from gateway.clock import Clock, to_ms
from gateway.config import load
from gateway.engine import Gateway
from gateway.errors import StoreError
from gateway.ids import Ids
from gateway.inbox import Heard, Kept
from gateway.messages import Inbound, Purpose
from gateway.outbox import Go, Waiting
from gateway.rendering import Texts
from gateway.store import Tx, sqlite
from gateway.values import Rate
from handlers.keywords.answer import answer as answer_text
from tests.simulation import checks
from tests.simulation.loop import Loop, Process
from tests.simulation.network import FOREVER, Network, Weather
from tests.simulation.smsc import Smsc, Temper
from tests.simulation.store import Disk, SimulatedStore, run_alone, unsynced
from tests.simulation.trace import Trace

ROOT = Path(__file__).parents[2]
BRAND = 1
PORT = 2775
PEOPLE = 20
PAGE = 7  # people the planner takes at once, so that it plans while others are sent
CAP, CAP_S = 2, 2 * 3600
OPENS, CLOSES = 9 * 60, 21 * 60  # minutes of the day
TEXTS = {
    "hello": "Hello {{ first_name or 'friend' }}. Reply STOP to end",
    "news": "News for {{ first_name or 'friend' }}. Reply STOP to end",
    "story": f"{'A story of the river and the mill. ' * 9}Reply STOP to end",
    "snow": "Snow \u2744 for {{ first_name or 'friend' }}. Reply STOP to end",
}
CAMPAIGN_LINES = "\n".join(
    f"""  {name}:
    program: club
    audience: {{segment: everyone}}
    senders: [shop]
    send: {{at: apply, within: 20 h}}
    text: "{text}"
"""
    for name, text in TEXTS.items()
)
CONFIG = f"""
brand: {{name: Lantern, country: US, timezone: America/Los_Angeles, languages: [en], currency: USD}}
channels: {{us: {{kind: smpp, carrier: simulator, rate: 100/s, price: 0.01 USD per part, window: 20}}}}
senders: {{shop: {{number: "20655", channel: us, countries: [US]}}}}
programs: {{club: {{name: Club, consent: Yes please, at_most: [{CAP} per 2 h], hours: "9:00-21:00"}}}}
segments: {{everyone: {{age: 10-150}}}}
contests:
  cup:
    {{kind: vote, question: "Which?", options: {{1: fox, 2: crane, 3: owl}}, open: {{from: apply, for: 30 d}},
     votes: 1 per day}}
keywords: {{VOTE: {{vote: cup}}}}
campaigns:
{CAMPAIGN_LINES}
store: "sqlite:simulation.db"
listen: {{smsc: "127.0.0.1:{PORT}"}}
"""
CAMPAIGNS = tuple(TEXTS)
ZONES = ("America/Los_Angeles", "America/New_York", "America/Denver", "Pacific/Honolulu")
STARTS = (  # UTC
    datetime(2026, 12, 2, 4, 58, 30, tzinfo=UTC),  # 20:58 in Seattle: the shop's own hours end in the middle
    datetime(2026, 12, 1, 16, 59, 0, tzinfo=UTC),  # 8:59 in Seattle, noon in New York
    datetime(2026, 12, 1, 20, 0, 0, tzinfo=UTC),  # noon in Seattle
)
WORDS = ("VOTE 3", "VOTE 1", "vote 2", "STOP", "START", "HELP", "hello there", "stop please", "YES")
TIDY_S = 4.0
TROUBLE = (StoreError, sqlite3.Error)


class WorldClock(Clock):
    """Business time on made-up time, with jumps."""

    def __init__(self, loop: Loop, start: datetime) -> None:
        super().__init__(0)
        self._loop, self._start_ms = loop, to_ms(start)

    def now_ms(self) -> int:
        return self._start_ms + int(self._loop.time() * 1000) + self.offset_ms


class Claim(NamedTuple):
    """The gate said go, in a transaction that was committed."""

    id: int
    attempt: int
    at: float  # seconds of the loop
    now: int  # the time that the gate was told
    person: int
    purpose: str
    zone: str


@dataclass
class Accepted:
    """A message that a program asked for through the urgent lane; `is_sure` once it was told yes."""

    id: int
    address: str
    is_sure: bool = False
    is_refused: bool = False


@dataclass
class Report:
    """How a world went."""

    seed: int
    digest: str
    steps: int
    seconds: float
    wrong: list[str]
    last: list[str]
    plot: list[str]
    counts: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        head = f"seed {self.seed}: {'; '.join(self.wrong) or 'all promises kept'}"
        if not self.wrong:
            return f"{head} ({self.digest}, {self.counts})"
        return "\n".join(
            [head, *self.last, "what was done to it:", *self.plot,
             f"again: python -m tests.simulation.run {self.seed} -v"]
        )  # fmt: skip


# --- what is the same in every world


def phone_of(number: int) -> str:
    return f"+1206{2_000_000 + number}"


@cache
def config() -> Config:
    folder = Path(tempfile.mkdtemp(prefix="simulation-"))
    try:
        path = folder / "config.yaml"
        path.write_text(CONFIG, encoding="utf-8")
        return load(path, Config, {}).value
    finally:
        shutil.rmtree(folder)


@cache
def texts() -> Texts:
    return Texts(ROOT / "templates" / "texts", ["en"])


@cache
def stage(start: datetime) -> bytes:
    """A store with people in it, as one file."""
    clock = WorldClock(Loop(random.Random(0)), start)
    with tempfile.TemporaryDirectory(prefix="simulation-") as folder:
        path = Path(folder, "stage.db")
        connection = unsynced(path)
        sqlite.migrate(connection)
        connection.close()

        async def people_in(store: SimulatedStore) -> None:
            ids = Ids(clock.now_ms, node=BRAND)
            with made_up_secrets(random.Random(0)):
                business = await store.write(
                    open_business, brand=BRAND, config=config(), version=1, ids=ids, clock=clock, texts=texts(),
                    now=clock.now_ms(),
                )  # fmt: skip
            rows = [
                Row(
                    line=number + 2, e164=phone_of(number), country="US", zone=ZONES[number % len(ZONES)],
                    zones=(ZONES[number % len(ZONES)],), region="WA", first_name=f"Name{number}", language="en",
                    birthday="2001-04-05", consent=True, consent_ms=clock.now_ms(), consent_source="form",
                )
                for number in range(PEOPLE)
            ]  # fmt: skip
            await store.write(people.import_rows, business, rows, "club", clock.now_ms())

        run_alone(path, people_in)
        connection = unsynced(path)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        return path.read_bytes()


@contextlib.contextmanager
def made_up_secrets(chance: random.Random) -> Iterator[None]:
    """Secrets that a seed decides: codes and keys end up in texts and so in the trace."""
    with (
        unittest.mock.patch.object(
            secrets, "token_hex", lambda octets: f"{chance.getrandbits(8 * octets):0{2 * octets}x}"
        ),
        unittest.mock.patch.object(secrets, "randbits", chance.getrandbits),
    ):
        yield


# --- the world


class World:
    """Everything there is, from a seed."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed = seed
        self.path = folder / f"{seed}.db"
        self.loop = Loop(self.chance("loop"))
        self.trace = Trace(self.loop.time)
        self.plot: list[str] = []
        self.network = Network(self.loop, self.chance("network"), self.trace)
        self.start = self.chance("start").choice(STARTS)
        self.clock = WorldClock(self.loop, self.start)
        self.disk = Disk()
        self.smsc = Smsc(self.loop, self.network, self.chance("smsc"), self.trace, PORT)
        self.smsc_process = Process("smsc")
        self.claims: list[Claim] = []
        self.accepted: list[Accepted] = []
        self.processes: list[Process] = []
        self.houses: list[House] = []
        self.house: House | None = None
        self.wrong: list[str] = []
        self.watch = checks.Watch(self)
        self._deeds = self.chance("deeds")
        self._disk_chance = self.chance("disk")
        self._plan = self.chance("plan")
        self.config = self._vary(config())
        self._context = contextvars.copy_context()  # of no process

    def chance(self, name: str) -> random.Random:
        return random.Random(f"{self.seed} {name}")

    def _vary(self, found: Config) -> Config:
        chance = self._plan
        channel = found.channels["us"].model_copy(
            update={"window": chance.choice((3, 5, 20, 100)), "rate": Rate(chance.choice((5, 20, 100)))}
        )
        return found.model_copy(update={"channels": {**found.channels, "us": channel}})

    def live(self) -> Report:
        """Run it all; what is broken stands in the report."""
        self.path.write_bytes(stage(self.start))
        logging.disable(logging.CRITICAL)
        try:
            with made_up_secrets(self.chance("secrets")), patched():
                self.loop.run_until_complete(self._story())
        except Exception as error:  # whatever it is, the seed shows it again
            self.wrong.append(f"{type(error).__name__}: {error}")
            self.error: BaseException | None = error
        finally:
            logging.disable(logging.NOTSET)
            self._end()
        return Report(
            self.seed, self.trace.digest(), self.loop.steps, self.loop.time(), list(dict.fromkeys(self.wrong)),
            self.trace.lines(), self.plot, self.watch.counts,
        )  # fmt: skip

    def _end(self) -> None:
        for house in self.houses:
            house.kill()
        self.loop.bury([*self.processes, self.smsc_process])
        self.loop.close()
        for left in self.path.parent.glob(f"{self.path.name}*"):
            left.unlink()

    def say(self, words: str) -> None:
        """Note what is done to this world."""
        self.plot.append(f"{self.loop.time():10.4f}  {words}")
        self.trace.note("deed", words)

    # --- the story

    async def _story(self) -> None:
        loop, chance = self.loop, self._plan
        self.smsc_process.context.run(self.smsc.open)
        self.start_house()
        length = chance.uniform(20, 60)
        self.smsc.temper = self._temper()
        self.network.weather = self._weather()
        self.disk = self._disk_of()
        deeds = sorted(self._deeds_of(length), key=lambda deed: deed[0])
        for at, deed in deeds:
            if at > loop.time():
                await asyncio.sleep(at - loop.time())
            deed()
        await asyncio.sleep(max(0.0, length - loop.time()))
        self._heal()
        await self._settle()
        self.watch.at_the_end()

    def _heal(self) -> None:
        """Every fault ends."""
        self.say("all faults end")
        self.smsc.temper = Temper()
        self.network.weather = Weather(cut=0.1)
        self.disk.full = self.disk.locked = self.disk.slow_until = 0.0
        self.disk.delay, self.disk.most = (0.0002, 0.004), 50
        self.smsc_process.context.run(self.smsc.open)
        for end in self.network.connections():
            if FOREVER in (end._stalled_until, end.peer._stalled_until):
                end.reset()
        for process in self.processes:
            process.fuse = None
            if process.held is not None:
                self.loop.thaw(process)
        if self.house is None:
            self.start_house()
        for name in CAMPAIGNS:
            self._command(f"resume {name}", self._resume, name)

    async def _settle(self) -> None:
        """Let time pass until nothing waits, then until everything is too old to be waited for."""
        for _ in range(120):
            await asyncio.sleep(4)
            if self.house is None:  # it was asked to stop before; one that falls by itself is heard of
                continue
            for name in self.watch.paused():  # by an order that had to wait for a gateway, and came after the last word
                self._command(f"resume {name}", self._resume, name)
            waits = self.watch.next_due()
            if waits is None and not self.smsc.open_deliveries and self.house.is_idle:
                break
            if waits is not None and waits > self.clock.now_ms() + 5_000:
                self.clock.offset_ms += waits - self.clock.now_ms()
        else:
            self.wrong.append(f"it does not come to rest: {self.watch.unrest()}")
        await self._pass(5)
        self.watch.at_rest()
        for hours in (7, 40, 40):  # a carrier that is asked may answer late, and then is waited for once more
            self.clock.offset_ms += hours * 3_600_000
            await self._pass(2.5 * TIDY_S)

    async def _pass(self, seconds: float) -> None:
        """So long; a gateway is there then."""
        await asyncio.sleep(seconds)
        if self.house is None:
            raise AssertionError("the gateway ended by itself")

    # --- what goes wrong

    def _temper(self) -> Temper:
        chance = self._plan

        def some(most: float) -> float:
            return chance.uniform(0, most) if chance.random() < 0.4 else 0.0

        return Temper(
            throttle=some(0.5), refuse=some(0.1), upset=some(0.2), forget=some(0.1), mute=some(0.1), slow=some(0.2),
            drop=some(0.03), bind_fails=some(0.3), fail=some(0.3), lose=some(0.3), early=some(0.5), twice=some(0.4),
            halfway=some(0.5), stray=some(0.2), recall=some(0.5),
        )  # fmt: skip

    def _weather(self) -> Weather:
        chance = self._plan
        return Weather(
            delay=chance.choice(((0.0001, 0.001), (0.0002, 0.02), (0.01, 0.3))), cut=chance.choice((0.0, 0.3, 0.9)),
            refuse=chance.choice((0.0, 0.3)), swallow=chance.choice((0.0, 0.05)),
            kernel=chance.choice((200, 2_000, 65_536)),
        )  # fmt: skip

    def _disk_of(self) -> Disk:
        return Disk(delay=self._plan.choice(((0.0002, 0.004), (0.001, 0.05))), most=self._plan.choice((1, 3, 50)))

    def _deeds_of(self, length: float) -> Iterator[tuple[float, Callable[[], None]]]:
        """What is done when, in no order."""
        chance = self._deeds

        def when() -> float:
            return chance.uniform(0.5, length)

        for name in CAMPAIGNS:
            yield chance.uniform(0.5, length * 0.7), partial(self._command, f"launch {name}", self._launch, name)
        for _ in range(chance.randrange(20, 45)):
            yield when(), self._somebody_texts
        for _ in range(chance.randrange(5, 25)):
            yield when(), self._submit
        often: tuple[tuple[float, int, Callable[[], None]], ...] = (
            (0.75, 6, self._kill),
            (0.3, 2, self._stop_house),
            (0.6, 6, self._cut_a_line),
            (0.5, 4, self._stall_a_line),
            (0.3, 2, self._lose_a_line),
            (0.4, 2, self._carrier_down),
            (0.35, 3, self._fill_disk),
            (0.2, 2, self._slow_disk),
            (0.3, 2, self._freeze),
            (0.3, 2, self._jump),
            (0.5, 3, self._meddle),
            (0.3, 3, self._change_temper),
        )
        for odds, most, deed in often:
            if chance.random() < odds:
                for _ in range(chance.randint(1, most)):
                    yield when(), deed

    def _somebody_texts(self) -> None:
        chance = self._deeds
        who, words = phone_of(chance.randrange(PEOPLE + 5)), chance.choice(WORDS)
        for _ in range(1 + (chance.random() < 0.15)):
            self.smsc_process.context.run(self.smsc.text, who, "20655", words)

    def _kill(self) -> None:
        """kill -9, some callbacks from now, or just after a commit."""
        if self.house is not None:
            process, steps = (
                self.house.process,
                self._deeds.choice((0, self._deeds.randrange(40), self._deeds.randrange(400))),
            )
            process.on_fuse, process.fuse = self.house.kill, steps
            self.say(f"kill -9 in {steps} callbacks")

    def killed(self, house: House) -> None:
        """A gateway is gone; another one starts in a while."""
        if self.house is house:
            self.house = None
            self.say("the gateway is gone")
            self.loop.call_later(self._deeds.choice((0.05, 1.0, 10.0)), self._start_again, context=self._context)

    def _start_again(self) -> None:
        if self.house is None:
            self.start_house()

    def start_house(self) -> None:
        self.say("a gateway starts")
        self.house = House(self)
        self.houses.append(self.house)
        self.processes.append(self.house.process)
        self.house.process.spawn(self.house.serve(), "serve")

    def _stop_house(self) -> None:
        if self.house is not None and self.house.is_up:
            self.say("the gateway is asked to stop")
            self.house.ask_to_stop()

    def _cut_a_line(self) -> None:
        if lines := self.network.lines():
            self._deeds.choice(lines).reset()

    def _stall_a_line(self) -> None:
        if lines := self.network.lines():
            end = self._deeds.choice(lines)
            self._deeds.choice((end, end.peer)).stall(self._deeds.choice((0.5, 5.0, 40.0)))

    def _lose_a_line(self) -> None:
        """Nothing comes through any more, and nobody is told."""
        if lines := self.network.lines():
            end = self._deeds.choice(lines)
            end.stall(FOREVER)
            end.peer.stall(FOREVER)

    def _carrier_down(self) -> None:
        self.say("the carrier goes down")
        self.smsc.close()
        self.loop.call_later(self._deeds.uniform(0.5, 15), self.smsc.open, context=self.smsc_process.context)

    def _fill_disk(self) -> None:
        odds, seconds = self._deeds.choice((0.1, 0.5, 1.0)), self._deeds.choice((0.2, 2.0, 8.0))
        word = self._deeds.choice(("full", "locked"))
        self.say(f"disk {word}, {odds} for {seconds} s")
        setattr(self.disk, word, odds)
        self.loop.call_later(seconds, setattr, self.disk, word, 0.0)

    def _slow_disk(self) -> None:
        seconds = self._deeds.choice((0.5, 5.0))
        self.say(f"slow disk for {seconds} s")
        self.disk.slow_until = max(self.disk.slow_until, self.loop.time() + seconds)

    def _freeze(self) -> None:
        if self.house is not None and self.house.process.held is None:
            process, seconds = self.house.process, self._deeds.choice((0.3, 3.0, 20.0))
            self.say(f"frozen for {seconds} s")
            process.held = []
            self.loop.call_later(seconds, self._thaw, process)

    def _thaw(self, process: Process) -> None:
        if process.held is not None:
            self.loop.thaw(process)

    def _jump(self) -> None:
        hours = self._deeds.choice((-1, 1))
        self.say(f"the clock jumps {hours:+} h")
        self.clock.offset_ms += hours * 3_600_000
        self.watch.jumped()

    def _change_temper(self) -> None:
        self.smsc.temper = self._temper()

    # --- what the operator and programs do

    def _command(self, name: str, command: Callable[..., Coroutine[Any, Any, None]], *args: object) -> None:
        """Give an order to the gateway; if there is none, in a second again."""
        house = self.house
        if house is None or not house.is_up:
            self.loop.call_later(1.0, self._command, name, command, *args)
            return
        self.say(name)
        house.process.spawn(self._try(house, command, *args), name)

    async def _try(self, house: House, command: Callable[..., Coroutine[Any, Any, None]], *args: object) -> None:
        with contextlib.suppress(*TROUBLE):
            await command(house, *args)

    async def _launch(self, house: House, name: str) -> None:
        for _ in range(100):
            try:
                business = house.business
                campaign = business.config.campaigns[name]
                await house.store.write(runs.launch, business, campaign, self.clock.now_ms())
                house.runner.stir()
            except TROUBLE:
                await asyncio.sleep(1)
            else:
                return

    async def _resume(self, house: House, name: str) -> None:
        run = await house.store.read(runs.find, BRAND, name)
        if run is None:
            await self._launch(house, name)
        else:
            await house.store.write(runs.resume, BRAND, run)
        house.gateway.wake()
        house.runner.stir()

    def _meddle(self) -> None:
        name, deed = self._deeds.choice(CAMPAIGNS), self._deeds.choice((runs.pause, runs.pause, runs.stop))
        self._command(f"{deed.__name__} {name}", self._hold, name, deed)
        if deed is runs.pause:
            self.loop.call_later(self._deeds.uniform(0.2, 20), self._command, f"resume {name}", self._resume, name)

    async def _hold(self, house: House, name: str, deed: Callable[..., Coroutine[Any, Any, bool]]) -> None:
        run = await house.store.read(runs.find, BRAND, name)
        if run is not None:
            await house.store.write(deed, BRAND, run, "meddled with")
            house.runner.stir()

    def _submit(self) -> None:
        house = self.house
        if house is not None and house.is_up:
            house.process.spawn(self._accept(house, self._deeds.random() < 0.3), "submit")

    async def _accept(self, house: House, is_long: bool) -> None:
        """A program wants a code sent: at least once, urgent."""
        number = len(self.accepted)
        address = phone_of(self._deeds.randrange(PEOPLE))
        text = f"Your code is {number:06}. " * (10 if is_long else 1)
        accepted = Accepted(house.ids.next(), address)
        self.accepted.append(accepted)
        self.trace.note("submits", accepted.id)
        try:
            await house.store.write(_put, house.business, accepted, text, self.clock.now_ms())
        except TROUBLE:
            accepted.is_refused = True
        else:
            accepted.is_sure = True
            house.gateway.wake()


async def _put(tx: Tx, business: Business, accepted: Accepted, text: str, now: int) -> None:
    (person, *_), *_ = await tx.rows("person_ids", brand=BRAND, addresses=[accepted.address])
    message = outbox.Message(
        id=accepted.id, brand_id=BRAND, run=0, person=person, purpose=Purpose.REPLY, program="", channel="us",
        sender="20655", address=accepted.address, zone=ZONES[0], text=text, parts=1 if len(text) <= 160 else 2, price=0,
        valid_until=now + 4 * 3_600_000, repeat=1,
    )  # fmt: skip
    await outbox.put(tx, [message], business.queues["us"], now)


class House:
    """One process that serves, wired as `run.serving` wires it."""

    store: SimulatedStore
    gateway: Gateway
    runner: Runner
    business: Business
    ids: Ids

    def __init__(self, world: World) -> None:
        self.world = world
        self.number = len(world.houses) + 1
        self.process = Process(f"gateway{self.number}")
        self.is_up = False
        self._asked = asyncio.Event()
        self._pending: list[Claim] = []

    @property
    def is_idle(self) -> bool:
        return (
            self.is_up
            and self.gateway.inbox.is_idle
            and all(each.is_idle for each in self.gateway.dispatchers.values())
        )

    def kill(self) -> None:
        """kill -9."""
        if self.process.alive:
            self.process.alive = False
            self.is_up = False
            if hasattr(self, "store"):
                self.store.close()
            self.world.network.kill(self.process)
            self.world.killed(self)

    def ask_to_stop(self) -> None:
        self._asked.set()

    async def serve(self) -> None:
        """Start, serve, and stop when asked to. A start on a bad disk fails, and its supervisor tries again."""
        try:
            running = await self._start()
        except TROUBLE:
            self.kill()
            return
        await self._stay(running)

    async def _start(self) -> list[asyncio.Task[None]]:
        world = self.world
        clock = world.clock
        self.store = SimulatedStore(
            world.path, world.loop, world.chance(f"disk {self.number}"), world.disk, world.trace, self._on_commit
        )
        self.ids = Ids(clock.now_ms, node=BRAND, last=await self.store.read(_value, "last_id"))
        self.business = await self._open()
        gatekeeper = Gatekeeper(self.business.config.programs)

        def gate(waiting: Waiting, now: int) -> Any:
            verdict = gatekeeper(waiting, now)
            world.trace.note("gate", waiting.id, type(verdict).__name__)
            if isinstance(verdict, Go):
                claim = Claim(
                    waiting.id, waiting.attempt, world.loop.time(), now, waiting.person, waiting.purpose, waiting.zone
                )
                world.watch.at_claim(claim, self.store.writer)
                self._pending.append(claim)
            return verdict

        async def recognise(tx: Tx, channel: str, texts: Sequence[Inbound], at: int) -> list[Heard]:
            return await consent.recognise(tx, self.business, channel, texts, at)

        async def answer(tx: Tx, texts: Sequence[Kept]) -> list[str]:
            return await answer_text(tx, self.business, texts)

        async def left(tx: Tx, person: int, why: str, at: int) -> None:
            await consent.left_by_carrier(tx, self.business, person, why, at)

        async def pinned(number: int) -> Business:
            return self.business

        self.gateway = Gateway(
            store=self.store, clock=clock, ids=self.ids, brand=BRAND, gate=gate, recognise=recognise, answer=answer,
            chance=world.chance(f"jitter {self.number}"), left=left,
        )  # fmt: skip
        owner = f"world:{self.number}"

        async def adopt() -> None:
            await self.gateway.adopt()

        self.runner = Runner(
            store=self.store, business=lambda: self.business, pinned=pinned, adopt=adopt, wake=self.gateway.wake
        )
        settings = self.business.config
        await self.gateway.open(settings.channels, settings.senders, settings.listen.smsc, owner)
        running = [
            asyncio.create_task(self.gateway.run()), asyncio.create_task(self.runner.run()),
            asyncio.create_task(self._tidy()),
        ]  # fmt: skip
        self.is_up = True
        return running

    async def _stay(self, running: list[asyncio.Task[None]]) -> None:
        asking = asyncio.create_task(self._asked.wait())
        done, _ = await asyncio.wait([*running, asking], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {asking}:
            task.result()
            raise AssertionError("a part of the gateway ended by itself")
        self.is_up = False
        for task in running[1:]:
            task.cancel()
        await self.gateway.hold(1.0)
        await self.gateway.drain(2.0)
        self.kill()

    async def _open(self) -> Business:
        world = self.world
        return await self.store.write(
            open_business, brand=BRAND, config=world.config, version=1, ids=self.ids, clock=world.clock, texts=texts(),
            now=world.clock.now_ms(),
        )  # fmt: skip

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(TIDY_S)
            with contextlib.suppress(*TROUBLE):
                await self.gateway.tidy()

    def _on_commit(self, failed: bool) -> None:
        pending, self._pending = self._pending, []
        if not failed:
            self.world.claims += pending
        self.world.watch.after_commit(self.store.writer)


async def _value(tx: Tx, query: str) -> Any:
    return await tx.value(query)


@contextlib.contextmanager
def patched() -> Iterator[None]:
    """Small pages, so that there are several; slower polls, for every wake-up should have come before them."""
    patch = unittest.mock.patch.object
    with (
        patch(runs, "PAGE", PAGE),
        patch(engine, "FOLD_S", 1.0),
        patch(runner, "TICK_S", 1.0),
        patch(dispatcher, "POLL_S", 1.0),
    ):
        yield


__all__ = ["Report", "World"]
