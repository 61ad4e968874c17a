"""Brings programs what they are to be told, by HTTP, until they say that they have it, or three days are over.

Each client is brought several notices at once, and of one subject one after another. A place that does not answer is
tried with one at a time; whatever else is for it waits aside meanwhile, so that nobody else waits with it. What is told
is told at least once: the same id says that it is the same.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol

from yarl import URL

from gateway import notices
from gateway.clock import Clock
from gateway.errors import CarillonError, StoreError
from gateway.fetching import FetchFailed, FetchRefused, Limits, Teller, Told
from gateway.notices import TOPIC, Notice, Result
from gateway.store import Store, Tx, beside

log = logging.getLogger(__name__)

AT_ONCE: Final = 64  # calls on the way
EACH_AT_ONCE: Final = 8  # of them for one client, fewer when there is little room
POLL_S: Final = 1.0
AGAIN_S: Final = 1.0  # after the store failed
ANSWER_S: Final = 20.0  # how long an answer may be worked on
LIMITS: Final = Limits(octets=64 * 1024, seconds=10, kinds=())
CALL_MS: Final = 10_000
# How long a notice waits after each try that failed; after the last of these each time as long, for a day.
PAUSES_MS: Final = (5_000, 30_000, 120_000, 600_000)
DAY_MS: Final = 86_400_000
OLD_PAUSE_MS: Final = 7_200_000  # from the second day on
UP_AGAIN_MS: Final = 60_000  # a place that failed for so long and then succeeds was down, whatever else it was
PATIENCE_MS: Final = 3 * DAY_MS
LEAST_TRIES: Final = 7  # however old it is: we may have been away ourselves
FAILS: Final = 3  # in a row, and the place is tried with one at a time
SHUT_MS: Final = (5_000, 15_000, 60_000)  # between two such tries, ever more seldom
ASIDE_MS: Final = (60_000, 60_000, 600_000)  # how long what waits for such a place is not looked at, if it stays so
ASIDES: Final = (
    1_000  # addresses at one place whose notices are called back when it answers; others look for themselves
)
SPARED: Final = 8  # notices that are looked at sooner, to be the next to try it
HOUR_MS: Final = 3_600_000
PLACES: Final = 10_000  # places in trouble that are remembered
GONE: Final = 410
OF_THE_NOTICE: Final = frozenset({400, 413, 415, 422, 500})  # so a server answers that stumbles over one of them
DOWN: Final = "its place has not answered for three days"


class Outgoing(NamedTuple):
    """A call that tells a notice. `private`: it may go to addresses inside our own network."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    private: bool = False


class House(Protocol):
    """The business, as far as the courier looks at it."""

    @property
    def clients(self) -> Mapping[str, Any]:
        """The programs that talk to us, each with an `id`."""


# How a door tells a notice; None: it has nothing to tell. CarillonError says why it cannot be told now.
Shape = Callable[[Notice, Any], Outgoing | None]
# What a door does with what was answered: headers and the first 64 KB. Whatever it raises, the notice is told again.
Answered = Callable[[Notice, Any, Mapping[str, str], bytes], Awaitable[None]]
_NOBODY: Mapping[str, Answered] = MappingProxyType({})


class Outcome(NamedTuple):
    """How a call went; no `trouble`: well. `is_gone`: nobody is there to be told this ever."""

    trouble: str = ""
    is_gone: bool = False
    wait_ms: int = 0  # as it asked for
    is_of_notice: bool = False  # another one may well be taken


@dataclass(slots=True)
class Place:
    """A server of one client that failed lately. Times are in milliseconds since 1970."""

    since: int
    fails: int = 0
    shut_until: int = 0  # 0: it is not shut
    shuts: int = 0  # in a row
    probe: int = 0  # the notice that tries it now
    spared: int = 0  # notices that are looked at as soon as it may be tried again
    is_of_notices: bool = False  # it answers, but stumbles over what it is told
    abandoned_at: int = 0
    aside: dict[tuple[str, str], Notice] = field(default_factory=dict)  # by door and target: what waits aside

    def admits(self, notice: Notice, now: int) -> bool:
        """Whether this notice may go there now; of those that would try a shut place, the first."""
        if not self.shut_until:
            return True
        if now < self.shut_until or self.probe:
            return False
        self.probe, self.spared = notice.id, 0
        return True

    def failed(self, notice: Notice, now: int, jitter: float, *, is_of_notice: bool) -> None:
        """One more try failed. If it is the notice that they stumble over, the next one gets its turn soon."""
        self.fails += 1
        self.is_of_notices = is_of_notice
        if self.probe == notice.id or (not self.shut_until and self.fails >= FAILS):
            self.shuts = 1 if is_of_notice else min(self.shuts + 1, len(SHUT_MS))
            self.shut_until, self.probe, self.spared = now + int(SHUT_MS[self.shuts - 1] * jitter), 0, 0
        self._call_back(notice)

    def put_aside(self, notice: Notice, now: int) -> tuple[int, int]:
        """Until when a notice that it does not admit waits, and until when all others that go there wait."""
        soon = self.shut_until if now < self.shut_until else now + CALL_MS
        others = now + ASIDE_MS[self.shuts - 1]
        self._call_back(notice)
        if self.spared >= SPARED or (self.is_of_notices and notice.tries):
            return others, others
        self.spared += 1
        return soon, others

    def was_down(self, now: int) -> bool:
        """Whether what waits is to be told at once, now that it has answered; else it only stumbled over a notice."""
        return self.shut_until != 0 or now - self.since >= UP_AGAIN_MS

    def _call_back(self, notice: Notice) -> None:
        """When it answers again, what goes where this one goes is to be told at once."""
        if len(self.aside) < ASIDES:
            self.aside[notice.door, notice.target] = notice


Errand = Callable[[Tx], Awaitable[int]]  # changes a piece of what waits; how many these were
Name = tuple[str, int, str, str]  # of an errand: what it does, and the client, door and target for which it does


class Courier:
    """Brings notices by the doors that have a shape.

    `business` gives the business of the moment, `answers` are for doors whose clients answer more than that they have
    it. Only one runs at a time for a business.
    """

    def __init__(
        self, store: Store, clock: Clock, business: Callable[[], House], shapes: Mapping[str, Shape],
        answers: Mapping[str, Answered] = _NOBODY, *, teller: Callable[[], Teller] = Teller,
        chance: random.Random | None = None,
    ) -> None:  # fmt: skip
        self._store, self._clock, self._business = store, clock, business
        self._shapes, self._answers, self._make_teller = shapes, answers, teller
        self._chance = chance or random.Random()  # noqa: S311  jitter, not a secret
        self._wake = asyncio.Event()
        self._calls: dict[int, tuple[Notice, asyncio.Task[None]]] = {}  # on the way, by the notice's id
        self._out: set[int] = set()  # taken, and not yet written down what became of them
        self._results: list[Result] = []
        self._errands: dict[Name, Errand] = {}
        self._places: dict[tuple[int, str], Place] = {}
        self._turn: asyncio.Future[tuple[dict[Name, Errand], list[Notice]]] | None = None
        store.listen(self._heard)

    def wake(self) -> None:
        """There may be something to tell."""
        self._wake.set()

    def _heard(self, topic: str) -> None:
        if topic in (TOPIC, ""):
            self._wake.set()

    async def run(self) -> None:
        """Bring until cancelled. What is on the way then is brought again at the next start."""
        teller, left_over = self._make_teller(), True
        try:
            while True:
                self._wake.clear()
                try:
                    if left_over:  # by a courier that is no more
                        await self._free()
                        left_over = False
                    await self._round(teller)
                except Exception:  # a full disk, say: nothing is lost, it waits
                    log.exception("notices could not be taken or written down, trying again")
                    await asyncio.sleep(AGAIN_S)
                else:
                    await self._rest()
        finally:
            await self._end(teller)

    async def _free(self) -> None:
        clients, now = [each.id for each in self._business().clients.values()], self._clock.now_ms()
        while await self._store.write_bulk(notices.free, clients, [*self._shapes], now) == notices.PIECE:
            pass

    async def _rest(self) -> None:
        if self._errands:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await self._wake.wait()

    async def _end(self, teller: Teller) -> None:
        """Give back what was taken, so that the next one need not wait for it, and be as new."""
        flying = [*self._calls.values()]
        for _, call in flying:
            call.cancel()
        await asyncio.gather(*(call for _, call in flying), return_exceptions=True)
        known, now = {each.notice.id for each in self._results}, self._clock.now_ms()
        taken = [notice for notice, _ in flying if notice.id not in known]
        with suppress(StoreError):  # then their minute passes
            if self._turn is not None:
                taken += (await self._turn)[1]
            left = [notices.put_back(notice, now) for notice in taken]
            await self._store.write_bulk(notices.settle, [*self._results, *left])
        await teller.close()
        self._calls, self._out, self._results, self._errands, self._turn = {}, set(), [], {}, None
        self._places.clear()

    # --- taking, and writing down what became of what was taken

    async def _round(self, teller: Teller) -> None:
        rooms = self._rooms()
        if not (rooms or self._results):
            return
        results, self._results = self._results, []
        errands, self._errands = self._errands, {}
        now, doors = self._clock.now_ms(), [*self._shapes]
        self._turn = asyncio.ensure_future(
            self._store.write_bulk(_turn_over, results, errands, doors, rooms, now, self._room())
        )
        try:
            left, taken = await asyncio.shield(self._turn)
        except BaseException as error:  # also when we are to end: it goes on, and what it takes is given back then
            self._results[:0], self._errands = results, errands | self._errands
            if isinstance(error, Exception):
                self._turn = None
            raise
        self._turn = None
        self._out.difference_update(each.notice.id for each in results)
        self._errands = left | self._errands
        fresh = [notice for notice in taken if notice.id not in self._out]
        for notice in sorted(fresh, key=lambda each: each.tries):  # the best to try a place with comes first
            self._out.add(notice.id)
            self._begin(teller, notice)

    def _room(self) -> int:
        return AT_ONCE - len(self._calls)

    def _rooms(self) -> dict[int, int]:
        """How many more calls may be made for each client: never all that there are for one."""
        most = min(EACH_AT_ONCE, max(1, self._room() // EACH_AT_ONCE))
        busy = Counter(notice.client for notice, _ in self._calls.values())
        return {each.id: most - busy[each.id] for each in self._business().clients.values()}

    # --- telling

    def _begin(self, teller: Teller, notice: Notice) -> None:
        business, now = self._business(), self._clock.now_ms()
        try:
            outgoing = self._shapes[notice.door](notice, business)
            key = (notice.client, str(URL(outgoing.url).origin()) if outgoing else "")
        except CarillonError as error:
            self._landed(notice, (notice.client, ""), Outcome(str(error)))
        except ValueError:
            self._landed(notice, (notice.client, ""), Outcome("this is no web address"))
        except Exception:
            log.exception("a notice could not be put into words", extra={"id": notice.id})
            self._landed(notice, (notice.client, ""), Outcome("it could not be put into words; the log says why"))
        else:
            place = self._places.get(key)
            if outgoing is None:
                self._done(notices.told(notice))
            elif place is not None and not place.admits(notice, now):
                self._put_aside(notice, place, now)
            else:
                call = asyncio.create_task(self._call(teller, notice, outgoing, key, business), name="notice")
                self._calls[notice.id] = notice, call

    async def _call(
        self, teller: Teller, notice: Notice, outgoing: Outgoing, key: tuple[int, str], business: Any
    ) -> None:
        method, url, headers, body, private = outgoing
        try:
            answer = await teller.call(method, url, headers, body, private=private, limits=LIMITS)
            outcome = outcome_of(answer)
            take = self._answers.get(notice.door)
            if take is not None and not outcome.trouble:
                async with asyncio.timeout(ANSWER_S):
                    await take(notice, business, answer.headers, answer.octets)
        except (FetchRefused, FetchFailed, CarillonError) as error:
            outcome = Outcome(str(error))
        except Exception:
            log.exception("a notice could not be told", extra={"id": notice.id})
            outcome = Outcome("it failed on our side; the log says why")
        del self._calls[notice.id]
        self._landed(notice, key, outcome)

    def _landed(self, notice: Notice, key: tuple[int, str], outcome: Outcome) -> None:
        if outcome.trouble and not outcome.is_gone:
            self._failed(notice, key, outcome)
            return
        place = self._places.pop(key, None)
        if place is not None and place.was_down(self._clock.now_ms()):
            for like in place.aside.values():
                self._send("hasten", like, self._hasten(like, untried=place.is_of_notices))
        if outcome.is_gone:
            self._give_up(notice, outcome.trouble)
        else:
            self._done(notices.told(notice))

    def _failed(self, notice: Notice, key: tuple[int, str], outcome: Outcome) -> None:
        now = self._clock.now_ms()
        place = self._place(key, now)
        place.failed(notice, now, self._jitter(), is_of_notice=outcome.is_of_notice)
        pause = int(pause_ms(notice.tries, now - notice.at) * self._jitter())
        if place.shut_until and outcome.is_of_notice:  # so that the next to try it is another one
            pause = max(pause, ASIDE_MS[0])
        due = now + max(pause, min(outcome.wait_ms, OLD_PAUSE_MS))
        if due > notice.at + PATIENCE_MS and notice.tries + 1 >= LEAST_TRIES:
            self._give_up(notice, outcome.trouble)
        else:
            self._done(notices.failed(notice, due, outcome.trouble))
        if place.shut_until and now - max(place.since, place.abandoned_at) >= HOUR_MS:
            place.abandoned_at = now
            for like in place.aside.values():
                self._send("abandon", like, self._abandon(like, now - PATIENCE_MS))

    def _give_up(self, notice: Notice, trouble: str) -> None:
        log.warning("a notice was given up: %s", trouble, extra={"id": notice.id, "client": notice.client})
        self._done(notices.given_up(notice, trouble))

    def _put_aside(self, notice: Notice, place: Place, now: int) -> None:
        mine, others = place.put_aside(notice, now)
        self._done(notices.put_back(notice, mine))
        self._send("put off", notice, lambda tx: notices.put_off(tx, notice, now, others))

    def _send(self, what: str, like: Notice, errand: Errand) -> None:
        self._errands[what, like.client, like.door, like.target] = errand

    def _hasten(self, like: Notice, *, untried: bool) -> Errand:
        return lambda tx: notices.hasten(tx, like, self._clock.now_ms(), [*self._out], untried=untried)

    def _abandon(self, like: Notice, before: int) -> Errand:
        async def errand(tx: Tx) -> int:
            many = await notices.abandon(tx, like, before, [*self._out], DOWN)
            if many:
                tx.after_commit(log.warning, "%d notices were given up: %s", many, DOWN)
            return many

        return errand

    def _done(self, result: Result) -> None:
        self._results.append(result)
        self._wake.set()

    def _place(self, key: tuple[int, str], now: int) -> Place:
        if key not in self._places and len(self._places) >= PLACES:
            del self._places[next(iter(self._places))]
        return self._places.setdefault(key, Place(now))

    def _jitter(self) -> float:
        return self._chance.uniform(0.8, 1.2)


@beside
async def _turn_over(
    tx: Tx, results: Sequence[Result], errands: Mapping[Name, Errand], doors: Sequence[str],
    rooms: Mapping[int, int], now: int, limit: int,
) -> tuple[dict[Name, Errand], list[Notice]]:  # fmt: skip
    """Write down what became of the last ones, move what is to be moved, take the next; the errands that go on."""
    await notices.settle(tx, results)
    left = {name: errand for name, errand in errands.items() if await errand(tx) == notices.PIECE}
    return left, await notices.claim(tx, doors, rooms, now, limit)


def pause_ms(tries: int, age_ms: int) -> int:
    """How long a notice of this age waits that was tried so often before it failed once more."""
    if tries >= len(PAUSES_MS) and age_ms >= DAY_MS:
        return OLD_PAUSE_MS
    return PAUSES_MS[min(tries, len(PAUSES_MS) - 1)]


def outcome_of(answer: Told) -> Outcome:
    """How a call went by its answer: every 2xx is well, 410 is for good."""
    status = answer.status
    if 200 <= status < 300:
        return Outcome()
    if status == GONE:
        return Outcome(f"HTTP {status}: it is gone", is_gone=True)
    if 300 <= status < 400:
        return Outcome(f"HTTP {status}: it leads elsewhere, which we do not follow; name the place itself")
    wait = answer.headers.get("Retry-After", "")
    seconds = int(wait) if wait.isascii() and wait.isdigit() and len(wait) < 7 else 0
    return Outcome(f"HTTP {status}", wait_ms=seconds * 1000, is_of_notice=status in OF_THE_NOTICE)
