"""A line to a carrier over HTTP: sends each text as one request, and takes receipts and texts at our doors."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection, Sequence
from types import SimpleNamespace
from typing import Final

import aiohttp
from yarl import URL

from gateway.channels.base import Door, LineState, Surroundings, cannot_carry
from gateway.channels.http import doors
from gateway.channels.http.answers import TOO_MANY, Judge, Verdict
from gateway.channels.http.reading import read
from gateway.channels.http.requests import Writer, Written
from gateway.channels.http.settings import HttpCarrier
from gateway.codecs import parts
from gateway.errors import Failure, Retry
from gateway.messages import Answer, Asked, Outbound

log = logging.getLogger(__name__)

CONNECT_S: Final = 10.0
KEEP_ALIVE_S: Final = 4.0  # shorter than carriers' own: a line that they close while we write ends in a doubt
ANSWER_LIMIT: Final = 64 * 1024
SLOWER_S: Final = 1.0  # how long nothing new leaves after the carrier asked us to slow down without saying how long
LONGEST_SLOWER_S: Final = 300.0
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0


class HttpChannel:
    """A `Channel` over HTTP, as the settings describe the carrier.

    `at_once` workers take messages from a queue; there is no task a message. A line here is the way to the
    carrier: it counts as lost while requests get no answer, and one request at a time then finds out whether it is
    back.
    """

    def __init__(self, settings: HttpCarrier, around: Surroundings) -> None:
        self.name = around.name
        self._settings = settings
        self._upward, self._now_ms, self._chance = around.upward, around.now_ms, around.chance
        secrets = {f"secret.{name}": secret.text for name, secret in settings.secrets.items()}
        self._doors = doors.Desk(settings, around, secrets) if settings.proof else None
        addresses = {f"{name}.url": url for name, url in self._doors.addresses()} if self._doors else {}
        self._writer = Writer(settings.send, {**secrets, **addresses})
        self._judge = Judge(settings.answer)
        self._carries = settings.carries
        self._waiting: asyncio.Queue[Outbound] = asyncio.Queue()
        self._stirred = asyncio.Event()
        self._ended = asyncio.Event()
        self._in_flight = 0
        self._is_running = self._is_leaving = False
        self._resume_at = 0.0
        self._throttled = self._lost = self._failures = 0
        self._trouble: Failure | None = None

    # --- what the core asks

    async def run(self) -> None:
        """Send until cancelled, or until `drain` has ended."""
        async with self._session() as session:
            workers = [asyncio.create_task(self._work(session)) for _ in range(self._settings.at_once)]
            self._is_running = True
            self._upward.ready(self.name)
            try:
                await self._ended.wait()
            finally:
                self._is_running = False
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
                self._give_back()

    def share(self, slots: Collection[int]) -> None:
        """Nothing: there is no line to hold."""

    async def parted(self) -> None:
        """At once: there is no line."""

    def room(self) -> int:
        """Messages that may be handed over now; one, to try, while the carrier does not answer."""
        if not self._is_running or self._is_leaving or asyncio.get_running_loop().time() < self._resume_at:
            return 0
        return max(0, (1 if self._failures else self._settings.at_once) - self._in_flight)

    def lines(self) -> list[LineState]:
        """The way to the carrier."""
        is_there = self._is_running and self._trouble is None
        return [LineState("http", is_there, self._in_flight, self._throttled, self._lost, self._trouble)]

    def alive(self) -> list[int]:
        """The number under which texts come in now."""
        return [self._doors.line] if self._doors else []

    def doors(self) -> Sequence[Door]:
        """Where the carrier brings receipts and texts."""
        return self._doors.doors() if self._doors else ()

    def send(self, batch: Sequence[Outbound]) -> list[Outbound]:
        """Take as many as there is room for; return the others. A text goes out whole, whatever parts are missing."""
        taken = min(self.room(), len(batch))
        for message in batch[:taken]:
            self._waiting.put_nowait(message)
        self._in_flight += taken
        return list(batch[taken:])

    def query(self, asked: Sequence[Asked]) -> None:
        """Nothing: no two carriers are asked alike."""

    def thank(self, handles: Sequence[object]) -> None:
        """Answer the calls whose receipts and texts are on disk."""
        doors.settle(handles, is_kept=True)

    def refuse(self, handles: Sequence[object]) -> None:
        """Answer these calls with 503, so that the carrier calls again."""
        doors.settle(handles, is_kept=False)

    async def drain(self, timeout_s: float) -> None:
        """Take nothing new, wait at most so long for answers on the way, then end."""
        self._is_leaving = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._in_flight:
                    self._stirred.clear()
                    await self._stirred.wait()
        self._ended.set()

    # --- outwards

    def _session(self) -> aiohttp.ClientSession:
        seconds = self._settings.answer_within.total_seconds()
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_note_departure)
        trace.on_connection_create_start.append(_leave_once)
        trace.on_connection_reuseconn.append(_leave_once)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._settings.at_once, keepalive_timeout=KEEP_ALIVE_S),
            timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=min(CONNECT_S, seconds)),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[trace],
        )

    async def _work(self, session: aiohttp.ClientSession) -> None:
        while True:
            message = await self._waiting.get()
            try:
                answers = await self._carry(session, message)
            except asyncio.CancelledError:
                raise
            except Exception:  # a fault of ours: nobody knows whether the carrier has it
                log.exception("%s: a request failed", self.name)
                answers = [_whole(message, Verdict(in_doubt=True))]
            self._tell(answers)

    async def _carry(self, session: aiohttp.ClientSession, message: Outbound) -> list[Answer]:
        """Send one text and read what the carrier says."""
        if message.content is not None and not message.content.needs <= self._carries:
            return [_whole(message, Verdict(failure=cannot_carry(message.content)))]
        try:
            written = self._writer.write(message, self._now_ms(), f"{self._chance.getrandbits(128):032x}")
        except (ValueError, TypeError) as error:  # orjson raises the latter for half a character
            return [_whole(message, Verdict(failure=Failure("unwritable", str(error), Retry.NEVER)))]
        ride = SimpleNamespace(has_left=False)
        try:
            return await self._ask(session, message, written, ride)
        except asyncio.CancelledError:
            self._tell([_whole(message, self._unanswered(ride, "we are leaving"))])
            raise
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return [_whole(message, self._unreached(ride, error))]

    async def _ask(
        self, session: aiohttp.ClientSession, message: Outbound, written: Written, ride: SimpleNamespace
    ) -> list[Answer]:
        async with session.request(
            self._writer.method,
            URL(written.url, encoded=True),
            data=written.body,
            headers=written.headers,
            allow_redirects=False,
            trace_request_ctx=ride,
        ) as response:
            body = await _bounded(response.content)
            headers = {name.lower(): value for name, value in response.headers.items()}
        verdicts = self._judge.judge(response.status, read(headers, body))
        self._learn(response.status, headers.get("retry-after", ""), verdicts)
        return _answers(message, verdicts)

    def _learn(self, status: int, retry_after: str, verdicts: list[Verdict]) -> None:
        """Slow down or pause by what the carrier says; a proper answer ends every trouble."""
        refusals = {verdict.failure.retry: verdict.failure for verdict in verdicts if verdict.failure}
        if Retry.THROTTLED in refusals or status == TOO_MANY:
            self._throttled += 1
            self._pause(_seconds(retry_after) * self._chance.uniform(1.0, 1.2))
        if status >= 500 and verdicts[0].in_doubt:
            self._lose(Failure(str(status), "the carrier's server failed", Retry.LATER))
        else:
            self._failures = 0
            self._trouble = refusals.get(Retry.STOP_CHANNEL)

    def _unreached(self, ride: SimpleNamespace, error: Exception) -> Verdict:
        # The words of the error may hold the address, and that a secret: only its kind is told.
        words = "the carrier does not answer" if ride.has_left else "no connection to the carrier"
        self._lose(Failure(type(error).__name__, words, Retry.LATER))
        log.warning("%s: %s (%s)", self.name, words, type(error).__name__)
        return self._unanswered(ride, words)

    def _unanswered(self, ride: SimpleNamespace, words: str) -> Verdict:
        """In doubt once bytes may have left; else it can surely go again."""
        if ride.has_left:
            return Verdict(in_doubt=True)
        return Verdict(failure=Failure("no connection", words, Retry.LATER))

    def _lose(self, trouble: Failure) -> None:
        """Pause, longer each time, so that a carrier who is down gets one try now and then instead of them all."""
        self._trouble = trouble
        if asyncio.get_running_loop().time() < self._resume_at:
            return
        self._lost += not self._failures
        longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(self._failures, 16))
        self._failures += 1
        self._pause(self._chance.uniform(0.5, 1.0) * longest)

    def _pause(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._resume_at = max(self._resume_at, loop.time() + seconds)
        loop.call_at(self._resume_at + 0.001, self._upward.ready, self.name)

    def _tell(self, answers: list[Answer]) -> None:
        self._in_flight -= 1
        self._stirred.set()
        self._upward.answered(self.name, answers)
        if self.room():
            self._upward.ready(self.name)

    def _give_back(self) -> None:
        """What no worker has touched can go again."""
        while not self._waiting.empty():
            message = self._waiting.get_nowait()
            self._tell([_whole(message, Verdict(failure=Failure("not sent", "we are leaving", Retry.LATER)))])


async def _note_departure(_session: object, context: SimpleNamespace, _params: object) -> None:
    context.trace_request_ctx.has_left = True


async def _leave_once(_session: object, context: SimpleNamespace, _params: object) -> None:
    """Refuse a second connection for one request: a GET or PUT whose line falls is otherwise repeated unasked."""
    if context.trace_request_ctx.has_left:
        raise aiohttp.ServerDisconnectedError


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    """The body, or as much of it as an honest carrier would write."""
    body = b""
    while len(body) <= ANSWER_LIMIT and (chunk := await content.readany()):
        body += chunk
    return body[:ANSWER_LIMIT]


def _seconds(retry_after: str) -> float:
    """How long the carrier wants us to wait (RFC 9110, 10.2.3); a date is not read."""
    said = float(retry_after) if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 8 else SLOWER_S
    return min(max(said, SLOWER_S), LONGEST_SLOWER_S)


def _whole(message: Outbound, verdict: Verdict) -> Answer:
    return Answer(message.id, message.attempt, -1, 1, verdict.carrier_id, verdict.failure, verdict.in_doubt)


def _answers(message: Outbound, verdicts: list[Verdict]) -> list[Answer]:
    """One answer for the whole text; one for each part where the carrier speaks of as many parts as we count.

    Once it has taken a part, none is tried again: it would get the whole text anew.
    """
    if len(verdicts) == 1:
        return [_whole(message, verdicts[0])]
    taken = [verdict for verdict in verdicts if verdict.failure is None and not verdict.in_doubt]
    if not taken:
        return [_whole(message, next((one for one in verdicts if one.in_doubt), verdicts[0]))]
    is_one = message.content is not None and message.content.media
    count = 1 if is_one else parts.measure(message.text).parts
    if count != len(verdicts):
        return [_whole(message, taken[0])]
    return [
        Answer(message.id, message.attempt, number, count, each.carrier_id, _for_good(each.failure), each.in_doubt)
        for number, each in enumerate(verdicts)
    ]


def _for_good(failure: Failure | None) -> Failure | None:
    return Failure(failure.code, failure.words, Retry.NEVER, left=failure.left) if failure else None


def channel(settings: HttpCarrier, around: Surroundings) -> HttpChannel:
    """The channel of these settings."""
    return HttpChannel(settings, around)
