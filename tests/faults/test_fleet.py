"""Two that dispatch, two that serve pages, one that plans: whatever falls in turn, every promise is kept.

What is printed repeats a run: `CARILLON_SEED=7`. `CARILLON_TORTURE=1 CARILLON_SEEDS=20` makes it long and twenty times.
`CARILLON_KEEP=FOLDER` keeps the logs, the store and what the proxy saw, by seed.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import orjson
import pytest

from tests.faults.carriers import Smsc
from tests.faults.fleet import BINDS, Fleet, Process
from tests.faults.proxy import Connection
from tests.faults.test_failpoints import seeds
from tests.faults.verdicts import judge
from tests.servers import PostgresServer
from tests.valkey import running

NUMBER = "20655"
TAKEN_OVER_S = 15.0 if "PYTEST_XDIST_WORKER" in os.environ else 10.0  # beside other tests all takes longer
BUSY = 3.0  # processes that want to run, for each core: beside so much else no time that anything takes says anything
STANDS_S = 10.0  # who stands still for so long has been taken for dead
LEAVES_S = 1.0  # what is claimed leaves within this time, or not at all
LATE_S = 0.5  # two clocks, two processes, two cores for all of them
ABOVE = 1.05
WAYS = ("cut", "stall", "slow")
PATIENCE = aiohttp.ClientTimeout(total=5)
AGAIN_S = 0.3  # before a page is asked for again


@dataclass(frozen=True)
class Size:
    """How big a run is. The rate is so low that the campaign goes on until the last turn on most machines."""

    people: int
    rate: int  # parts a second
    stops: int
    texts: int  # votes by text
    pages: int  # votes by page
    span_s: float  # over which people text and vote
    trouble_s: tuple[float, float]  # how long a line is cut, stalled or slow, at least and at most
    rounds: int
    settle_s: float  # how long the end is waited for while nothing goes on


SMALL = Size(2_400, 100, 100, 225, 25, 40, (2, 4), 1, 30)
BIG = Size(100_000, 400, 2_000, 4_500, 500, 240, (5, 30), 2, 60)
SIZE = BIG if os.environ.get("CARILLON_TORTURE") else SMALL

Act = Callable[[], Coroutine[Any, Any, None]]


class Turn(NamedTuple):
    """Something that happens, and what else happens meanwhile to those whom it does not touch."""

    name: str
    act: Act


class Ordeal:
    """One campaign through all of it."""

    def __init__(self, fleet: Fleet, size: Size, chance: random.Random) -> None:
        self.fleet, self.size = fleet, size
        self.wrong: list[str] = []
        self.seen: list[str] = []
        self.taken_over: list[tuple[str, float, float]] = []  # who fell, how long it took, how busy the machine was
        self.down: list[tuple[float, float]] = []  # when the store was
        self.votes: Counter[str] = Counter()
        self.stopping: list[str] = []
        self._turns = self._drawn(chance)
        self._speech = self._spoken(random.Random(chance.random()))
        self._began = time.time()
        self._texting: list[asyncio.Task[None]] = []

    def tell(self, words: str) -> None:
        """Note what happens, for who must understand a failure."""
        self.seen.append(f"{time.time() - self._began:6.1f} {words}")

    async def run(self) -> None:
        """All of it, to the end; what is wrong then is in `wrong`."""
        fleet = self.fleet
        await fleet.prepare(self.size.pages)
        await fleet.start()
        if left := await fleet.all_ready(60):
            self.wrong.append(f"not ready after a minute: {left}")
        self.tell("all are ready")
        speaking = asyncio.create_task(self.speak(), name="speak")
        await self.all_shared(30)
        for turn in self._turns:
            self.tell(turn.name)
            await turn.act()
            seconds = await self.all_shared(40)
            self.tell(f"{turn.name}: over, each has its share after {seconds:.1f} s")
        self.tell(f"still open: {fleet.unsettled()}")
        await speaking
        done, unheard = await asyncio.wait(self._texting, timeout=10 * self.size.settle_s)
        for task in unheard:
            task.cancel()
        if unheard:
            self.wrong.append(f"{len(unheard)} of {len(self._texting)} waited in vain for our thanks")
        self.wrong += [f"a phone fell: {task.exception()!r}" for task in done if task.exception()][:3]
        self.tell("everybody has spoken and was heard")
        left_open = await fleet.settle(self.size.settle_s)
        if left_open:
            self.wrong.append(f"still open: {left_open}")
            self.wrong += open_ones(fleet)
        if left := await fleet.all_ready(30):
            self.wrong.append(f"not ready at the end: {left}")
        statuses = await fleet.end()
        self.tell(f"left with {statuses}")
        if any(statuses.values()) or None in statuses.values():
            self.wrong.append(f"left with {statuses}")

    # --- what happens

    def _drawn(self, chance: random.Random) -> list[Turn]:
        """What befalls those who send and the store, in any order; what befalls the others happens meanwhile."""
        found = [turn for _ in range(self.size.rounds) for turn in self._round(chance)]
        chance.shuffle(found)
        return found

    def _round(self, chance: random.Random) -> list[Turn]:
        one, two = self.fleet.senders
        frozen, rolled = chance.choice([one, two]), chance.choice([one, two])
        stands_s, down_s = STANDS_S + chance.uniform(0.5, 2), [chance.uniform(0.2, 1.5) for _ in range(2)]
        beside = self._beside(chance)
        chance.shuffle(beside)
        first, second, third, fourth = (beside[place::4] for place in range(4))
        return [
            Turn(f"kill {one.name}", lambda: self.together(self.kill(one), first)),
            Turn(f"kill {two.name}", lambda: self.together(self.kill(two), second)),
            Turn(f"freeze {frozen.name}", lambda: self.together(self.freeze(frozen, stands_s), third)),
            Turn(f"roll {rolled.name}", lambda: self.together(self.roll(rolled), fourth)),
            Turn("restart the store", lambda: self.restart_store(signal.SIGINT, down_s[0])),
            Turn("crash the store", lambda: self.restart_store(signal.SIGQUIT, down_s[1])),
            self._trouble(chance, "send1", "send2"),
            self._trouble(chance, "web1", "web2", "plan"),
        ]

    def _beside(self, chance: random.Random) -> list[Turn]:
        others = [each for each in self.fleet.processes.values() if each not in self.fleet.senders]
        rolled, without_s = chance.choice(others), chance.uniform(1, 3)
        return [
            *(Turn(f"kill {each.name}", partial(self.kill_only, each)) for each in others),
            Turn(f"roll {rolled.name}", lambda: self.roll(rolled)),
            Turn("flush what is shared", self.flush),
            Turn(f"stop what is shared for {without_s:.1f} s", lambda: self.stop_shared(without_s)),
        ]

    def _trouble(self, chance: random.Random, *names: str) -> Turn:
        """Each of these processes has trouble of some kind with one of its lines, all at once."""
        proxy = self.fleet.proxy
        work: list[Act] = []
        words: list[str] = []
        for name in names:
            lines = ["store", "shared", "smsc"] if name.startswith("send") else ["store", "shared"]
            line = f"{name} {chance.choice(lines)}"
            way, seconds, by_s = chance.choice(WAYS), chance.uniform(*self.size.trouble_s), chance.uniform(0.02, 0.2)
            words.append(f"{way} {line} for {seconds:.1f} s")
            work.append(
                partial(proxy.slow, line, seconds, by_s)
                if way == "slow"
                else partial(proxy.cut if way == "cut" else proxy.stall, line, seconds)
            )

        async def all_at_once() -> None:
            await asyncio.gather(*(each() for each in work))

        return Turn(", ".join(words), all_at_once)

    async def together(self, act: Awaitable[None], beside: Sequence[Turn]) -> None:
        """The act, and the others one after the other meanwhile."""

        async def others() -> None:
            for turn in beside:
                self.tell(f"  {turn.name}")
                await turn.act()

        await asyncio.gather(act, others())

    async def kill_only(self, process: Process) -> None:
        """kill -9."""
        process.send(signal.SIGKILL)
        await asyncio.sleep(1)

    async def kill(self, process: Process) -> None:
        """kill -9 of one that sends; another has its lines soon."""
        at = time.time()
        process.send(signal.SIGKILL)
        await self.see_taken_over(process, at)

    async def see_taken_over(self, process: Process, at: float) -> None:
        """Wait until all lines are held by those who live."""
        await asyncio.sleep(0.5)
        await self.all_bound(3 * TAKEN_OVER_S)
        busy = os.getloadavg()[0] / (os.cpu_count() or 1)
        self.taken_over.append((process.name, round(time.time() - at, 1), round(busy, 1)))

    async def freeze(self, process: Process, seconds: float) -> None:
        """Stand still for longer than the lease, and wake."""
        at = time.time()
        standing = asyncio.create_task(process.freeze(seconds))
        await asyncio.sleep(0)
        await self.see_taken_over(process, at)
        await standing

    async def roll(self, process: Process) -> None:
        """SIGTERM, as when a new version is put in its place."""
        if not process.is_up or (process.frozen and process.frozen[-1][1] > time.time()):
            return
        status = await process.leave(15)
        if status:
            self.wrong.append(f"{process.name} left with {status}")
        if status is None:
            self.wrong.append(f"{process.name} did not leave")
            process.send(signal.SIGKILL)
        await asyncio.sleep(1)

    async def restart_store(self, how: signal.Signals, seconds: float) -> None:
        """Restart PostgreSQL: with a word to those who are connected, or as a crash."""
        since = time.time()
        await asyncio.to_thread(self.fleet.postgres.stop, how)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(self.fleet.postgres.start)
        self.down.append((since, time.time()))
        await asyncio.sleep(1.5)

    async def flush(self) -> None:
        """Forget what is shared."""
        self.fleet.valkey.say("FLUSHALL")

    async def stop_shared(self, seconds: float) -> None:
        """Do without it for a while."""
        self.fleet.valkey.stop()
        await asyncio.sleep(seconds)
        await asyncio.to_thread(self.fleet.valkey.start)

    async def all_bound(self, within_s: float) -> float:
        """Wait until those who live hold all lines; how long that took."""
        since = time.monotonic()
        while len(self.bound()) < BINDS:
            if time.monotonic() - since > within_s:
                self.wrong.append(f"after {within_s} s only {self.bound()} are bound")
                break
            await asyncio.sleep(0.05)
        return time.monotonic() - since

    async def all_shared(self, within_s: float) -> float:
        """Wait until each that sends holds its share of the lines; how long that took."""
        since = time.monotonic()
        while sorted(self.bound()) != [each.name for each in self.fleet.senders]:
            if time.monotonic() - since > within_s:
                self.wrong.append(f"after {within_s} s {self.bound()} are bound")
                break
            await asyncio.sleep(0.05)
        return time.monotonic() - since

    def bound(self) -> list[str]:
        """Whose lines the SMSC has, of those that live and do not stand still."""
        now = time.time()
        found = []
        for name, connections in self.fleet.lines("smsc").items():
            process = self.fleet.processes[name]
            if process.is_up and not any(since <= now <= until for since, until in process.frozen):
                found += [name for each in connections if each.bound_at and not each.closed_at]
        return found

    # --- the people

    def _spoken(self, chance: random.Random) -> list[tuple[float, str, str]]:
        """Who says what, after which pause: STOPs and votes by text and, where the phone is empty, by page."""
        fleet, size = self.fleet, self.size
        self.stopping = chance.sample(fleet.phones()[size.pages :], size.stops)
        words = [(phone, "STOP") for phone in self.stopping]
        # None of these ends so that the simulator treats it in a way of its own.
        words += [(f"+1425{5_551_000 + n}", f"VOTE {chance.randint(1, 3)}") for n in range(size.texts)]
        words += [("", f"VOTE {chance.randint(1, 3)}") for _ in range(size.pages)]
        self.votes.update(said[-1] for _, said in words if said != "STOP")
        chance.shuffle(words)
        return [(chance.uniform(0, 2 * size.span_s / len(words)), phone, said) for phone, said in words]

    async def speak(self) -> None:
        """All the while; each waits for our thanks."""
        links = iter(self.fleet.ballots)
        for pause_s, phone, said in self._speech:
            work = self.text(phone, said) if phone else self.vote(next(links), said[-1])
            self._texting.append(asyncio.create_task(work))
            await asyncio.sleep(pause_s)

    async def text(self, phone: str, words: str) -> None:
        """One text, until our side has thanked for it."""
        await self.fleet.carrier.text(phone, NUMBER, words, "")

    async def vote(self, link: str, choice: str) -> None:
        """Open one's page and vote on it, again and again until it says that the vote counts."""
        jar = aiohttp.CookieJar(unsafe=True)
        status = 0
        while status not in {303, 409}:
            if status not in {0, 200, 408, 429, 500, 503}:
                self.wrong.append(f"a vote was answered with {status}")
                return
            with suppress(aiohttp.ClientError, TimeoutError, OSError):
                connector = aiohttp.TCPConnector(force_close=True)
                async with aiohttp.ClientSession(timeout=PATIENCE, cookie_jar=jar, connector=connector) as session:
                    status = await vote_once(session, link, choice)
            await asyncio.sleep(AGAIN_S)


async def vote_once(session: aiohttp.ClientSession, link: str, choice: str) -> int:
    """The status of the form's answer, or of the page where that has no form."""
    async with session.get(link) as page:
        token = re.search(r'name="token" value="([^"]+)"', await page.text())
        if token is None:
            return page.status
    form = {"choice": choice, "token": token[1]}
    async with session.post(link, data=form, allow_redirects=False) as answer:
        return answer.status


# --- the verdicts


def verdicts(ordeal: Ordeal) -> list[str]:
    """What is wrong, in words. Only when nothing serves any more."""
    fleet = ordeal.fleet
    log = [orjson.loads(line) for line in (fleet.path.parent / "smsc.log").read_bytes().splitlines()]
    verdict = judge(fleet)
    ordeal.tell(f"{len(verdict.doubted)} in doubt, {len(verdict.recovered)} replies came again, each shown")
    found = [f"{name}: {some}" for name, some in verdict.wrong().items()]
    found += one_outcome(fleet)
    found += votes_are_exact(fleet, ordeal.votes)
    found += stops_hold(ordeal, log)
    found += pace_holds(fleet, [one["at_ms"] / 1000 for one in log])
    found += the_dead_are_silent(fleet)
    found += binds_hold(fleet)
    found += [
        f"{name}: its lines were taken over after {seconds:.1f} s"
        for name, seconds, busy in ordeal.taken_over
        if seconds > TAKEN_OVER_S and busy < BUSY
    ]
    for process in fleet.processes.values():
        found += [
            f"{process.name} fell with {status} at {at - ordeal._began:.1f}"
            for at, status in process.fell
            if not any(since <= at <= until + 5 for since, until in ordeal.down)
        ]
    return found


def open_ones(fleet: Fleet) -> list[str]:
    """Some messages whose receipts are wanting, with all that happened to them."""
    rows = fleet.rows(
        "SELECT e.message, e.n, e.at, e.state, e.code, e.ref, p.n FROM state s JOIN event e ON e.message = s.message"
        " LEFT JOIN parked p ON e.ref <> '' AND position(e.ref IN p.refs) > 0 WHERE s.state = 20 ORDER BY 1, 2 LIMIT 9"
    )
    return [f"message {row[0]}: event {row[1:6]}, receipt parked as {row[6]}" for row in rows]


def one_outcome(fleet: Fleet) -> list[str]:
    """Each of the audience has one message or one reason why there is none."""
    rows = fleet.rows(
        "SELECT n, count(*) FROM (SELECT person, count(*) AS n FROM (SELECT person FROM refusal UNION ALL"
        " SELECT person FROM message WHERE run <> 0) each GROUP BY person) per GROUP BY n ORDER BY n"
    )
    return [] if rows == [(1, fleet.people)] else [f"how many outcomes how many people have: {rows}"]


def votes_are_exact(fleet: Fleet, expected: Counter[str]) -> list[str]:
    """Recount, ballot, and what people said are the same."""
    cast = dict(fleet.rows("SELECT choice, count(*) FROM vote GROUP BY choice"))
    ballot = dict(fleet.rows("SELECT choice, votes FROM ballot"))
    ((voters,),) = fleet.rows("SELECT count(DISTINCT person) FROM vote")
    if cast == ballot == dict(expected) and voters == expected.total():
        return []
    return [f"votes {cast}, ballot {ballot}, voters {voters}; they said {dict(expected)}"]


def stops_hold(ordeal: Ordeal, log: Sequence[dict[str, Any]]) -> list[str]:
    """No marketing text reached the carrier later than a second after a STOP's commit, save what a line had held up."""
    fleet = ordeal.fleet
    stops = dict(
        fleet.rows(
            "SELECT p.address, extract(epoch FROM pg_xact_commit_timestamp(s.xmin))::double precision"
            " FROM stop s JOIN person p ON p.id = s.person"
        )
    )
    found = [] if set(stops) == set(ordeal.stopping) else [f"{len(stops)} STOPs of {len(ordeal.stopping)} were kept"]
    held = [(since, until + LATE_S) for since, until in bursts(fleet)]
    late = [
        f"{one['recipient']} stopped at {stops[one['recipient']]:.3f}, texted at {at:.3f}"
        for one in log
        if one["recipient"] in stops
        and str(one["text"]).startswith("Hello")
        and (at := one["at_ms"] / 1000) > stops[one["recipient"]] + LEAVES_S + LATE_S
        and not any(since <= at <= until for since, until in held)
    ]
    return found + late[:3]


def bursts(fleet: Fleet) -> list[tuple[float, float]]:
    """When the proxy held up, and let loose, what was on the way to the carrier."""
    return [
        (since, until) for line, way, since, until in fleet.proxy.troubles if line.endswith("smsc") and way != "cut"
    ]


def pace_holds(fleet: Fleet, arrived: Sequence[float]) -> list[str]:
    """In no second more parts than the carrier allows, by the carrier's clock and by the proxy's before it.

    Both, since one of them that was kept waiting by the other processes of this machine sees a burst that nobody sent.
    """
    handed = sorted(at for some in fleet.lines("smsc").values() for each in some for at in each.submits)
    excused = [(since, until + 2) for since, until in bursts(fleet)]
    excused += [(at - late, at + 1) for at, late in fleet.proxy.lags if late > 0.1]
    most = fleet.rate * ABOVE
    found = []
    for at, count in too_fast(sorted(arrived), most):
        near = [
            n for other, n in too_fast([one for one in handed if at - 2 <= one <= at + 3], most) if abs(other - at) <= 1
        ]
        if near and not any(since <= at + 1 and at <= until for since, until in excused):
            found.append(f"{count} parts ({max(near)} by the proxy) in the second from {at:.3f}, of {fleet.rate}")
    return found[:3]


def too_fast(times: Sequence[float], most: float) -> list[tuple[float, int]]:
    """The seconds in which there are more than so many of these moments, in order."""
    counts = [(at, bisect_left(times, at + 1) - place) for place, at in enumerate(times)]
    return [(at, n) for at, n in counts if n > most]


def the_dead_are_silent(fleet: Fleet) -> list[str]:
    """Who stood still sends nothing on its old lines; who was struck off changes nothing until it has joined anew."""
    found = []
    for name, connections in fleet.lines("smsc").items():
        for _, woke in fleet.processes[name].frozen:
            late = [at for each in connections if each.opened_at < woke for at in each.submits if at > woke]
            if late:
                found.append(f"{name} woke at {woke:.3f} and sent {len(late)} parts, the first at {late[0]:.3f}")
    lives: dict[str, tuple[int, int] | None] = {}
    owners: dict[tuple[int, int], str] = {}
    stores = by_port(fleet.lines("store"))
    leaving = 0  # the transaction in which somebody left: what it also did was done before, to whoever looks
    changes = fleet.rows("SELECT n, at, port, what, node, epoch, tx::text::bigint FROM change ORDER BY n")
    for n, at, port, what, node, epoch, tx in changes:
        who = max((one for one in stores.get(port, ()) if one[0] <= at), default=(0.0, ""))[1]
        if what == "joined":
            lives[who] = node, epoch
            owners[node, epoch] = who
        elif what == "left":
            owner = owners.get((node, epoch), "")
            if lives.get(owner) == (node, epoch):
                lives[owner], leaving = None, tx
        elif not who:
            found.append(f"nobody knows who did {what} (change {n})")
        elif lives.get(who) is None and tx != leaving:
            found.append(f"{who} is no member and did {what} (change {n}) at {at:.3f}")
    return found[:5]


def by_port(stores: dict[str, list[Connection]]) -> dict[int, list[tuple[float, str]]]:
    """When, and by which process, a connection to the store was opened with each port."""
    found: dict[int, list[tuple[float, str]]] = {}
    for name, some in stores.items():
        for each in some:
            found.setdefault(each.port, []).append((each.opened_at, name))
    return found


def binds_hold(fleet: Fleet) -> list[str]:
    """The carrier never has more lines of those who live than it allows."""
    steps: list[tuple[float, int, str]] = []
    for name, connections in fleet.lines("smsc").items():
        for each in connections:
            if each.bound_at is not None:
                for since, until in awake(each.bound_at, each.closed_at or time.time(), fleet.processes[name]):
                    steps += [(since, 1, name), (until, -1, name)]
    held: Counter[str] = Counter()
    found: list[str] = []
    over_since: float | None = None
    for at, step, name in sorted(steps):
        if over_since is not None and at - over_since > LATE_S:
            found.append(f"{+held} were bound for {at - over_since:.1f} s from {over_since:.3f}")
        held[name] += step
        over_since = (at if over_since is None else over_since) if held.total() > BINDS else None
    return found[:3]


def awake(since: float, until: float, process: Process) -> list[tuple[float, float]]:
    """The stretches of a time in which a process did not stand still."""
    found = []
    for stood, woke in sorted(process.frozen):
        if since < woke and stood < until:
            if since < stood:
                found.append((since, stood))
            since = woke + LATE_S
    return [*found, (since, until)] if since < until else found


# --- the test


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """The servers, and a fleet that has not started."""
    postgres = PostgresServer(is_safe=True)
    try:
        postgres.execute("ALTER SYSTEM SET track_commit_timestamp = on")
        postgres.stop()
        postgres.start()
        (tmp_path / "valkey").mkdir()
        with running(tmp_path / "valkey") as valkey:
            smsc = Smsc(tmp_path, NUMBER)
            found = Fleet(tmp_path / "fleet", postgres, valkey, smsc, NUMBER, SIZE.people, SIZE.rate)
            try:
                yield found
            finally:
                found.close()
                smsc.end()
    finally:
        postgres.close()


@pytest.mark.parametrize("seed", seeds())
async def test_a_fleet_keeps_its_promises_whatever_falls_in_turn(seed: int, fleet: Fleet) -> None:
    ordeal = Ordeal(fleet, SIZE, random.Random(f"{seed} fleet"))
    try:
        await ordeal.run()
        ordeal.wrong += verdicts(ordeal)
    finally:
        print(f"CARILLON_SEED={seed}", *ordeal.seen, f"taken over: {ordeal.taken_over}", *ordeal.wrong, sep="\n")
        if "CARILLON_KEEP" in os.environ:
            seen = {"began": ordeal._began, "down": ordeal.down, "seen": ordeal.seen, "wrong": ordeal.wrong}
            fleet.keep(Path(os.environ["CARILLON_KEEP"]) / str(seed), seen)
    assert ordeal.wrong == [], f"CARILLON_SEED={seed}"
