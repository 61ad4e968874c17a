"""The port on which programs bind to us as to a carrier's SMSC."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import ssl
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from gateway import listening
from gateway.channels.smpp_server import writing
from gateway.channels.smpp_server.account import Account, Upward
from gateway.channels.smpp_server.deliveries import Delivery, Waiting
from gateway.channels.smpp_server.doorkeeper import Doorkeeper, place_of
from gateway.channels.smpp_server.lines import Line
from gateway.channels.smpp_server.reading import SYSTEM_ERROR
from gateway.codecs import smpp
from gateway.codecs.smpp import Pdu
from gateway.codecs.smpp_session import Bind
from gateway.errors import StoreError

log = logging.getLogger(__name__)

# command_status (SMPP 3.4, 5.1.3)
BIND_FAILED: Final = 0x0D
BAD_PASSWORD: Final = 0x0E
CANNOT_CANCEL: Final = 0x11
CANNOT_REPLACE: Final = 0x13
CANNOT_QUERY: Final = 0x67

PATIENCE_S: Final = 5.0  # who would have to wait longer is refused without a look at the password
REFUSED_S: Final = 0.3  # how long a refusal takes at least
QUESTIONS_AT_ONCE: Final = 100
AHEAD: Final = 2  # so many windows may wait in memory beside what is on the way
DRAIN_S: Final = 3.0
AGAIN_S: Final = 1.0  # before what could not be counted is asked again
GOODBYE_S: Final = 2.0
SETTING: Final = "listen.smpp"


class Server:
    """Listens for programs, and knows which are bound here.

    `now_ms` is business time. `is_shared`: other processes of ours may open the same port.
    """

    def __init__(
        self,
        upward: Upward,
        now_ms: Callable[[], int],
        *,
        tls: ssl.SSLContext | None = None,
        is_shared: bool = False,
    ) -> None:
        self.upward, self.now_ms = upward, now_ms
        self.lines: list[Line] = []
        self.keeper = Doorkeeper()
        self.loop: asyncio.AbstractEventLoop
        self.host, self.port = "", 0
        self._tls, self._is_shared = tls, is_shared
        self._listeners: list[asyncio.Server] = []
        self._waiting: dict[int, Waiting] = {}
        self._full_at: dict[int, float] = {}  # by client: when its bucket of texts is full again (GCRA, ITU-T I.371)
        self._tasks: set[asyncio.Task[None]] = set()
        self._questions = 0
        self._is_leaving = False

    # --- the house

    async def start(self, host: str, port: int, taken: Sequence[socket.socket] = ()) -> None:
        """Listen, on sockets that were `taken` for this address or on the address itself.

        Port 0 takes any free one, see `port`. Raises PortTaken or CarillonError.
        """
        self.loop = asyncio.get_running_loop()
        more: dict[str, Any] = {"ssl_handshake_timeout": 10} if self._tls else {}
        sockets = taken or await listening.take(host, port, SETTING, is_shared=self._is_shared)
        port = int(sockets[0].getsockname()[1])
        try:
            for each in sockets:
                self._listeners.append(
                    await self.loop.create_server(
                        partial(Line, self), sock=each, ssl=self._tls, backlog=listening.BACKLOG, **more
                    )
                )
        except OSError as error:
            self._close()
            listening.let_go(sockets)
            raise listening.plainly(error, host, port, SETTING) from error
        self.host, self.port = host, port
        self._heartbeat = self.loop.call_later(1, self._on_second)

    async def stop(self) -> None:
        """Take nobody and nothing new, answer what came, say goodbye on every line."""
        self._is_leaving = True
        self._close()
        await self._until(lambda: not any(line.unanswered or line.in_flight for line in self.lines), DRAIN_S)
        self._heartbeat.cancel()
        for line in list(self.lines):
            line.part()
        if self.lines:
            await asyncio.wait([line.gone for line in self.lines], timeout=GOODBYE_S)
        for line in list(self.lines):
            line.cut("we are leaving")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _close(self) -> None:
        for each in self._listeners:
            each.close()

    async def _until(self, is_so: Callable[[], bool], timeout_s: float) -> None:
        end = self.loop.time() + timeout_s
        while not is_so() and self.loop.time() < end:  # noqa: ASYNC110  at the end only, for a moment
            await asyncio.sleep(0.01)

    def _on_second(self) -> None:
        self._heartbeat = self.loop.call_later(1, self._on_second)
        now = self.loop.time()
        for line in list(self.lines):
            line.tick(now)

    # --- who is bound

    @property
    def accounts(self) -> Mapping[int, Account]:
        """Who is bound here, by client."""
        return {line.account.client: line.account for line in self.lines if line.account is not None}

    def follow(self, client: int, key: str, account: Account | None) -> None:
        """What a client may do has changed; with None whoever bound by this key is sent away.

        Where it may hold fewer lines than before, the youngest that are too many say goodbye.
        """
        has_fewer = False
        for line in list(self.lines):
            held = line.account
            if held is None or (held.client, held.key) != (client, key):
                continue
            if account is None:
                line.part()
                continue
            has_fewer = has_fewer or account.binds < held.binds
            line.revise(account)
        if account is not None and has_fewer:
            self._begin(self._part_beyond(client, account.binds))

    async def _part_beyond(self, client: int, most: int) -> None:
        """So many lines may be held from now on: the youngest take leave, once what came on them is answered."""
        lines = await self._beyond(client, most)
        for line in lines:
            line.wind_up()
        await self._until(
            lambda: not any(line.unanswered or line.in_flight for line in lines if not line.gone.done()), DRAIN_S
        )
        for line in lines:
            log.info("smpp: %s may hold %d lines now, one is ended", line.account and line.account.name, most)
            line.part()

    async def _beyond(self, client: int, most: int) -> list[Line]:
        """The lines here that are too many, the count being that of all processes."""
        others = self.upward.others
        if others is None:
            return [line for line in self._held(client) if not line.is_ending][most:]
        while True:
            try:
                names = await others.beyond(client, most)
            except StoreError:
                await asyncio.sleep(AGAIN_S)
            else:
                return [line for line in self._held(client) if line.place in names]

    def _held(self, client: int) -> list[Line]:
        """The lines here on which a client is bound, the eldest first."""
        return [line for line in self.lines if line.account is not None and line.account.client == client]

    def rooms(self) -> dict[int, int]:
        """How many things may be given to `bring` for each client that is bound here and takes any."""
        rooms = {}
        for client, waiting in self._waiting.items():
            lines = [line for line in self._held(client) if line.takes]
            most = AHEAD * sum(line.account.window for line in lines if line.account)
            on_the_way = sum(line.in_flight for line in lines)
            if lines and not self._is_leaving and most > on_the_way + len(waiting):
                rooms[client] = most - on_the_way - len(waiting)
        return rooms

    def bring(self, deliveries: Iterable[Delivery]) -> None:
        """Bring these to their clients, in order; `upward.told` has each in the end."""
        by_client: dict[int, list[Delivery]] = {}
        for delivery in deliveries:
            by_client.setdefault(delivery.client, []).append(delivery)
        for client, batch in by_client.items():
            waiting = self._waiting.setdefault(client, Waiting())
            waiting.put(batch)
            if not waiting.takers:
                self._take_back(client)

    def _take_back(self, client: int) -> None:
        gone = self._waiting.pop(client).take_back() if client in self._waiting else []
        if gone:
            self.upward.told(gone)

    # --- what lines tell

    def enters(self, line: Line) -> bool:
        """A connection is there. False: there are too many that nobody is bound on."""
        if self._is_leaving or not self.keeper.enters(place_of(line.host)):
            return False
        self.lines.append(line)
        return True

    def leaves(self, line: Line) -> None:
        """A connection is gone."""
        if line in self.lines:
            self.lines.remove(line)
        if line.place and self.upward.others is not None:
            self.upward.others.give_back(line.place)
        if line.account is None:
            return
        client = line.account.client
        waiting = self._waiting.get(client)
        if waiting is not None and line in waiting.takers:
            waiting.takers.remove(line)
            if not waiting.takers:
                self._take_back(client)
        self.upward.room()

    def bound(self, line: Line) -> None:
        """A program is let in."""
        if line.takes and line.account is not None:
            self._waiting.setdefault(line.account.client, Waiting()).takers.append(line)
            self.upward.room()

    def pump(self, line: Line) -> None:
        """There is room on the line again."""
        waiting = self._waiting.get(line.account.client) if line.account is not None else None
        if waiting is not None:
            waiting.pump()

    def answered(self, line: Line, answers: Sequence[tuple[Delivery, int, str]]) -> None:
        """What we brought was taken, or was not."""
        waiting = self._waiting.get(line.account.client) if line.account is not None else None
        done = (waiting or Waiting()).answered(answers)
        if waiting is not None:
            waiting.pump()
        if done:
            self.upward.told(done)

    def allowed(self, account: Account, count: int, unanswered: int) -> int:
        """How many of so many texts may come in now, by the window of the line and the pace of the client."""
        if self._is_leaving or not account.may_send:
            return 0
        room = max(0, min(count, account.window - unanswered))
        if not account.rate or not room:
            return room
        others = self.upward.others
        now, rate = self.loop.time(), account.rate * others.share(account.client) if others else account.rate
        full_at = max(now, self._full_at.get(account.client, 0.0))
        worth = max(1.0, 1 / rate)  # a second's worth at once, and never less than a text
        room = max(0, min(room, int((now + worth - full_at) * rate + 1e-6)))
        self._full_at[account.client] = full_at + room / rate
        return room

    # --- binding

    def admit(self, line: Line, bind: Bind) -> int | None:
        """Judge a bind, which takes its time; None says so."""
        if self._is_leaving:
            return BIND_FAILED
        self._begin(self._judge(line, bind))
        return None

    async def _judge(self, line: Line, bind: Bind) -> None:
        place, began = place_of(line.host), self.loop.time()
        wait_s = self.keeper.wait_s(place, began)
        await asyncio.sleep(min(wait_s, PATIENCE_S))
        account = None
        if wait_s <= PATIENCE_S:
            try:
                account = await self.upward.admit(bind.system_id, bind.password)
            except StoreError:
                line.decide(SYSTEM_ERROR, None)
                return
            if account is None:
                self.keeper.was_wrong(place, self.loop.time())
            else:
                self.keeper.was_right(place)
        if account is None or not _is_from(line.host, account):
            log.warning("smpp: nobody was let in from %s", line.host)
            # The same to all, and not sooner where no password had to be compared: so nothing can be learnt from it.
            await asyncio.sleep(max(0.0, began + wait_s + REFUSED_S - self.loop.time()))
            line.decide(BAD_PASSWORD, None)
            return
        line.decide(await self._status_of(line, account, bind.mode), account)

    async def _status_of(self, line: Line, account: Account, mode: str) -> int:
        if self._is_leaving:
            return BIND_FAILED
        if not (account.may_read if mode == "receiver" else account.may_send):
            log.warning("smpp: %s may not bind as %s", account.name, mode)
            return BIND_FAILED
        try:
            is_held = await self._hold(line, account, mode)
        except StoreError:
            return SYSTEM_ERROR
        if not is_held:
            log.warning("smpp: %s holds %d lines already", account.name, account.binds)
        return smpp.OK if is_held else BIND_FAILED

    async def _hold(self, line: Line, account: Account, mode: str) -> bool:
        """Whether it is one of the lines that a program may hold, counted over all our processes. Raises StoreError.

        Alone it waits for nothing, so that no other line is let in between the count and the answer.
        """
        others = self.upward.others
        if others is None:
            return len(self._held(account.client)) < account.binds
        place = await others.take(account.client, account.binds, mode != "receiver")
        if place is None:
            return False
        if line.gone.done():
            others.give_back(place)
        line.place = place
        return True

    # --- questions

    def requested(self, line: Line, pdu: Pdu) -> None:
        """A program asks what became of a text, or takes one back."""
        account = line.account
        words = str(pdu.fields["message_id"])
        is_id = words.isascii() and words.isdecimal() and len(words) <= 19 and int(words) < 1 << 63
        refusal = {smpp.QUERY_SM: CANNOT_QUERY, smpp.CANCEL_SM: CANNOT_CANCEL}.get(pdu.command, CANNOT_REPLACE)
        if account is None or not is_id or refusal == CANNOT_REPLACE:
            line.reply(pdu, refusal)
        elif self._questions >= QUESTIONS_AT_ONCE:
            line.reply(pdu, smpp.THROTTLED)
        else:
            self._questions += 1
            self._begin(self._question(line, account, pdu, int(words)))

    async def _question(self, line: Line, account: Account, pdu: Pdu, message: int) -> None:
        try:
            if pdu.command == smpp.QUERY_SM:
                await self._tell(line, account, pdu, message)
            else:
                is_cancelled = await self.upward.cancel(account, message)
                line.reply(pdu, smpp.OK if is_cancelled else CANNOT_CANCEL)
        except StoreError:
            line.reply(pdu, SYSTEM_ERROR)
        finally:
            self._questions -= 1

    async def _tell(self, line: Line, account: Account, pdu: Pdu, message: int) -> None:
        fate = await self.upward.asked(account, message)
        if fate is None:
            line.reply(pdu, CANNOT_QUERY)
            return
        final = smpp.absolute_time(fate.ended_at).decode() if fate.ended_at else ""
        line.reply(
            pdu, smpp.OK, message_id=str(message), final_date=final,
            message_state=writing.ENDS[fate.state].number, error_code=min(writing.code_of(fate.code, fate.state), 255),
        )  # fmt: skip

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work, name="smpp")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("smpp: a question of a program could not be answered", exc_info=error)


def _is_from(host: str, account: Account) -> bool:
    if not account.addresses:
        return True
    address = ipaddress.ip_address(host.partition("%")[0])
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address.version == network.version and address in network for network in account.addresses)
