"""Sends texts through Twilio, so many at once as it likes, and hears answers, receipts and texts at our doors."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Collection, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from gateway.channels.base import Door, LineState, Surroundings, cannot_carry
from gateway.channels.twilio import failures
from gateway.channels.twilio.answers import Refused, Taken, Unknown
from gateway.channels.twilio.doors import Doors, Heard, receipt
from gateway.channels.twilio.settings import CARRIES, TwilioCarrier
from gateway.codecs import parts
from gateway.errors import Failure, Retry
from gateway.messages import Answer, Asked, Outbound

if TYPE_CHECKING:
    from gateway.channels.twilio.requests import Requests

log = logging.getLogger(__name__)

LONGEST_TEXT: Final = 1600  # code units; Twilio refuses more (21617)
LONGEST_LIFE_S: Final = 36_000
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
HOLD_S: Final = 60.0  # how long nothing leaves after a receipt said that our account or set-up is wrong
ASK_AT_ONCE: Final = 4
QUESTIONS: Final = 10_000
KNOWN: Final = 20_000  # the latest texts whose answer has come
DRIFTS_A_LINE: Final = 1000  # a whole campaign whose parts Twilio counts otherwise is one mistake, not a million
GOODBYE_S: Final = 2.0


@dataclass(slots=True, eq=False)
class _Flight:
    """A text on its way to Twilio; `told` once its answer has come by a receipt."""

    message: Outbound
    began: float
    told: bool = False


class TwilioChannel:
    """A `Channel` to a Twilio account. A request is one text, of which Twilio makes the parts: an answer is for all.

    How many go at once is found by trying: each answer allows a little more up to the setting, each "slow down" and
    each doubt halves it and lets nothing leave for a while.
    """

    def __init__(self, settings: TwilioCarrier, around: Surroundings) -> None:
        self.name = around.name
        self.drifts = 0  # texts of which Twilio made more or fewer parts than we count
        self._settings = settings
        self._upward = around.upward
        self._now_ms = around.now_ms
        self._callback = f"{around.site}/carriers/{around.name}/status"
        self._doors = Doors(around.name, settings.tokens, around.upward, self._heard)
        self._pressure = _Pressure(settings.at_once, around.chance)
        self._requests: Requests | None = None
        self._leaving = False
        self._flights: dict[tuple[int, int], _Flight] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._questions: deque[Asked] = deque(maxlen=QUESTIONS)
        self._asking = 0
        self._known: dict[str, None] = {}
        self._trouble: Failure | None = None
        self._out = False  # no answer came to the last request, or none can help
        self._throttled = 0

    async def run(self) -> None:
        """Hold the connections until cancelled."""
        from gateway.channels.twilio.requests import Requests  # noqa: PLC0415  nobody else needs Twilio's own library

        self._requests = Requests(self._settings)
        try:
            self._upward.ready(self.name)
            await asyncio.Event().wait()
        finally:
            await self._hang_up()

    def share(self, slots: Collection[int]) -> None:
        """Nothing: there is no line to hold."""

    async def parted(self) -> None:
        """At once: there is no line."""

    def room(self) -> int:
        """Texts that may leave now."""
        if self._requests is None or self._leaving or self._pressure.is_resting:
            return 0
        return max(0, self._pressure.allowed - len(self._flights))

    def lines(self) -> list[LineState]:
        """One line: bound, unless we rest because Twilio is out. After each rest it is bound, so that it is tried."""
        bound = self._requests is not None and not self._leaving and not (self._out and self._pressure.is_resting)
        return [LineState("api", bound, len(self._flights), self._throttled, 0, self._trouble)]

    def alive(self) -> list[int]:
        """None: there is no connection by which a repeat could be told; Twilio names each text."""
        return []

    def doors(self) -> Sequence[Door]:
        """Where Twilio brings texts (`in`) and receipts (`status`)."""
        return [Door("in", self._doors.serve), Door("status", self._doors.serve)]

    def send(self, batch: Sequence[Outbound]) -> list[Outbound]:
        """Begin as many requests as there is room for; return the other texts."""
        refused: list[Answer] = []
        touched = 0
        for message in batch:
            if not self.room():
                break
            life_s = self._life_s(message)
            failure = _unsendable(message, life_s)
            if failure is None:
                self._start(message, life_s)
            else:
                refused.append(_answer(message, failure=failure))
            touched += 1
        if refused:
            asyncio.get_running_loop().call_soon(self._upward.answered, self.name, refused)
        return list(batch[touched:])

    def query(self, asked: Sequence[Asked]) -> None:
        """Ask Twilio about texts whose name there we know, a few at once; of too many questions the oldest go."""
        self._questions.extend(each for each in asked if each.carrier_id)
        self._ask_on()

    def thank(self, handles: Sequence[object]) -> None:
        """Answer these calls with: taken."""
        _tell(handles, kept=True)

    def refuse(self, handles: Sequence[object]) -> None:
        """Answer these calls with: come again later."""
        _tell(handles, kept=False)

    async def drain(self, timeout_s: float) -> None:
        """Send nothing new, wait at most so long for answers, then close the connections."""
        self._leaving = True
        self._questions.clear()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)
        await self._hang_up()

    # --- outwards

    def _life_s(self, message: Outbound) -> int:
        """How long the text may wait at Twilio; 0 as long as Twilio likes, below that its time is over."""
        if not message.valid_until:
            return 0
        return min(LONGEST_LIFE_S, (message.valid_until - self._now_ms()) // 1000) or -1

    def _start(self, message: Outbound, life_s: int) -> None:
        flight = _Flight(message, asyncio.get_running_loop().time())
        self._flights[message.id, message.attempt] = flight
        task = self._spawn(self._sending(message, life_s))
        task.add_done_callback(lambda done: self._landed(flight, done))

    async def _sending(self, message: Outbound, life_s: int) -> Taken:
        if self._requests is None:
            raise Unknown("we are leaving")
        callback = f"{self._callback}?{urlencode({'message': message.id, 'attempt': message.attempt})}"
        media = message.content.media if message.content else ()
        return await self._requests.send(message.sender, message.recipient, message.text, callback, life_s, media)

    def _landed(self, flight: _Flight, task: asyncio.Task[Taken]) -> None:
        """A request has ended, in whichever way: exactly one answer."""
        message = flight.message
        self._flights.pop((message.id, message.attempt), None)
        answer = self._judged(flight, task)
        if not flight.told:
            self._upward.answered(self.name, [answer])
        self._tell_of_room()

    def _judged(self, flight: _Flight, task: asyncio.Task[Taken]) -> Answer:
        message = flight.message
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            taken = task.result()
            self._pressure.ease()
            self._trouble, self._out = None, False
            self._know(taken.sid)
            self._compare(message, taken.segments)
            return _answer(message, carrier_id=taken.sid)
        if isinstance(error, Refused):
            self._refused(error, flight.began)
            return _answer(message, failure=error.failure)
        if isinstance(error, Unknown):
            self._trouble, self._out = Failure("in doubt", f"Twilio did not answer: {error}", Retry.LATER), True
            self._rest(flight.began)
        elif not isinstance(error, asyncio.CancelledError):
            log.error("%s: a request failed in a way of its own", self.name, exc_info=error)
        return _answer(message, in_doubt=True)

    def _refused(self, refused: Refused, began: float) -> None:
        self._out = refused.failure.retry is Retry.LATER
        match refused.failure.retry:
            case Retry.THROTTLED:
                self._throttled += 1
                self._rest(began, refused.wait_s)
            case Retry.LATER:  # it cannot be reached
                self._trouble = refused.failure
                self._rest(began)
            case Retry.STOP_CHANNEL:
                self._trouble = refused.failure
            case _:
                self._pressure.ease()

    def _compare(self, message: Outbound, segments: int) -> None:
        """Say when Twilio counts, and bills, other parts than we do. A messaging service does not know at first."""
        if not segments or (message.content and message.content.media):
            return
        ours = len(parts.split(message.text, 0)[1])
        if ours == segments:
            return
        self.drifts += 1
        if self.drifts % DRIFTS_A_LINE == 1:
            log.warning(
                "%s: Twilio made %d parts of message %d, we count %d; texts so far: %d",
                self.name, segments, message.id, ours, self.drifts,
            )  # fmt: skip

    # --- slower, faster

    def _rest(self, began: float, wait_s: float = 0) -> None:
        """Let nothing leave for a while, and then less at once."""
        now = asyncio.get_running_loop().time()
        pause = self._pressure.push(began, now, wait_s)
        if pause:
            asyncio.get_running_loop().call_later(pause, self._go_on)

    def _go_on(self) -> None:
        self._pressure.go_on(asyncio.get_running_loop().time())
        self._tell_of_room()

    def _tell_of_room(self) -> None:
        if self.room():
            self._upward.ready(self.name)

    # --- questions

    def _ask_on(self) -> None:
        while self._requests is not None and self._questions and self._asking < ASK_AT_ONCE:
            self._asking += 1
            self._spawn(self._ask(self._requests, self._questions.popleft()))

    async def _ask(self, requests: Requests, asked: Asked) -> None:
        try:
            taken = await requests.fetch(asked.carrier_id)
        except (Refused, Unknown) as error:
            log.info("%s: no word about %s: %s", self.name, asked.carrier_id, error)
        else:
            found = receipt(taken.sid, taken.status, taken.error, asked.sender, asked.recipient, None)
            if found is not None:
                self._upward.arrived(self.name, [found], [])
        finally:
            self._asking -= 1
            self._ask_on()

    # --- inwards

    def _heard(self, heard: Heard) -> None:
        """A receipt names the text that it is about, so it is an answer too, should that have been lost."""
        found = heard.receipt
        if found.carrier_ids[0] not in self._known and heard.message:
            self._know(found.carrier_ids[0])
            flight = self._flights.get((heard.message, heard.attempt))
            if flight is not None:
                flight.told = True
            answer = Answer(heard.message, heard.attempt, -1, 1, found.carrier_ids[0])
            self._upward.answered(self.name, [answer])
        if heard.failure is not None:
            self._warned(heard.failure)

    def _warned(self, failure: Failure) -> None:
        """Some receipts are about all that we send."""
        now = asyncio.get_running_loop().time()
        if failure.retry is Retry.THROTTLED:
            self._throttled += 1
            self._rest(now)
        elif failure.retry is Retry.STOP_CHANNEL:
            log.error("%s: Twilio refuses our account or set-up, everything is held: %s", self.name, failure.words)
            self._trouble, self._out = failure, True
            self._rest(now, HOLD_S)

    def _know(self, sid: str) -> None:
        self._known[sid] = None
        if len(self._known) > KNOWN:
            del self._known[next(iter(self._known))]

    # --- tasks

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _hang_up(self) -> None:
        """What is still under way ends as a doubt."""
        requests, self._requests = self._requests, None
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=GOODBYE_S)
        if requests is not None:
            with suppress(Exception):  # a broken connection cannot be closed in a better way
                await requests.close()


class _Pressure:
    """How many requests may run at once: one more for each round of answers, half after each trouble (AIMD).

    Troubles of requests that began before the last one was heard are the same trouble, and count once. After each
    trouble there is a pause, longer with each that follows without a good answer between.
    """

    def __init__(self, most: int, chance: random.Random) -> None:
        self._most = most
        self._chance = chance
        self._allowed = float(most)
        self._pushed_at = float("-inf")
        self._rests_until = 0.0
        self._troubles = 0

    @property
    def allowed(self) -> int:
        """Requests that may run at once."""
        return int(self._allowed)

    @property
    def is_resting(self) -> bool:
        """Whether nothing may leave at this moment."""
        return self._rests_until > 0

    def ease(self) -> None:
        """Twilio has answered."""
        self._troubles = 0
        self._allowed = min(self._most, self._allowed + 1 / self._allowed)

    def push(self, began: float, now: float, wait_s: float = 0) -> float:
        """Twilio is in trouble with a request that began then; how long to rest, 0 where that is decided already."""
        if began < self._pushed_at:
            return 0
        self._pushed_at = now
        self._allowed = max(1.0, self._allowed / 2)
        grown: float = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**self._troubles)
        self._troubles += 1
        pause = max(wait_s, grown * (0.5 + self._chance.random() / 2))
        self._rests_until = max(self._rests_until, now + pause)
        return pause

    def go_on(self, now: float) -> None:
        """A pause is over, unless another lasts longer."""
        if now >= self._rests_until - 0.001:  # a timer may be early by its resolution
            self._rests_until = 0.0


def _unsendable(message: Outbound, life_s: int) -> Failure | None:
    """Why a text cannot be asked of Twilio at all."""
    if message.content is not None and not message.content.needs <= CARRIES:
        return cannot_carry(message.content)
    if life_s < 0:
        return failures.failure(failures.VALIDITY_OVER)
    if len(message.text.encode("utf-16-le", "surrogatepass")) > LONGEST_TEXT * 2:
        return failures.failure(failures.TOO_LONG)
    return None


def _answer(
    message: Outbound, *, carrier_id: str = "", failure: Failure | None = None, in_doubt: bool = False
) -> Answer:
    return Answer(message.id, message.attempt, -1, 1, carrier_id, failure, in_doubt)


def _tell(handles: Sequence[object], *, kept: bool) -> None:
    for handle in handles:
        if isinstance(handle, asyncio.Future) and not handle.done():
            handle.set_result(kept)


def channel(settings: TwilioCarrier, around: Surroundings) -> TwilioChannel:
    """The channel of these settings."""
    return TwilioChannel(settings, around)
