"""The port on which programs bind to us as to a carrier's SMSC."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import ssl
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from gateway.channels.smpp_server import writing
from gateway.channels.smpp_server.account import Account, Upward
from gateway.channels.smpp_server.deliveries import Delivery, Waiting
from gateway.channels.smpp_server.doorkeeper import Doorkeeper, place_of
from gateway.channels.smpp_server.lines import Line
from gateway.codecs import smpp
from gateway.codecs.smpp import Pdu
from gateway.codecs.smpp_session import Bind
from gateway.errors import CarillonError, PortTaken, StoreError

log = logging.getLogger(__name__)

# command_status (SMPP 3.4, 5.1.3)
SYSTEM_ERROR: Final = 0x08
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
        self._waiting: dict[int, Waiting] = {}
        self._full_at: dict[int, float] = {}  # by client: when its bucket of texts is full again (GCRA, ITU-T I.371)
        self._tasks: set[asyncio.Task[None]] = set()
        self._questions = 0
        self._is_leaving = False

    # --- the house

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes any free one, see `port`. Raises PortTaken or CarillonError."""
        self.loop = asyncio.get_running_loop()
        more: dict[str, Any] = {"ssl_handshake_timeout": 10} if self._tls else {}
        try:
            self._listener = await self.loop.create_server(
                partial(Line, self), host, port, ssl=self._tls, reuse_port=self._is_shared or None, backlog=1024, **more
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                text = f"port {port} is taken by another program; set {SETTING} in config.yaml or stop it"
                raise PortTaken(text) from error
            reason = (error.strerror or str(error)).lower()
            raise CarillonError(f"cannot listen on {host}:{port} ({reason}); set {SETTING} in config.yaml") from error
        self.host, self.port = host, int(self._listener.sockets[0].getsockname()[1])
        self._heartbeat = self.loop.call_later(1, self._on_second)

    async def stop(self) -> None:
        """Take nobody and nothing new, answer what came, say goodbye on every line."""
        self._is_leaving = True
        self._listener.close()
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
        """What a client may do has changed; with None whoever bound by this key is sent away."""
        for line in list(self.lines):
            held = line.account
            if held is None or (held.client, held.key) != (client, key):
                continue
            if account is None:
                line.part()
            else:
                line.revise(account)

    def rooms(self) -> dict[int, int]:
        """How many things may be given to `bring` for each client that is bound here and takes any."""
        rooms = {}
        for client, waiting in self._waiting.items():
            lines = [line for line in self.lines if line.takes and line.account and line.account.client == client]
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
        now, pause = self.loop.time(), 1 / account.rate
        full_at = max(now, self._full_at.get(account.client, 0.0))
        room = max(0, min(room, int((now + 1.0 - full_at) * account.rate + 1e-6)))  # a second's worth at once
        self._full_at[account.client] = full_at + room * pause
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
        line.decide(self._status_of(account, bind.mode), account)

    def _status_of(self, account: Account, mode: str) -> int:
        may = account.may_read if mode == "receiver" else account.may_send
        held = sum(line.account is not None and line.account.client == account.client for line in self.lines)
        if may and held < account.binds and not self._is_leaving:
            return smpp.OK
        why = f"holds {held} lines already" if may else f"may not bind as {mode}"
        log.warning("smpp: %s %s", account.name, why)
        return BIND_FAILED

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
