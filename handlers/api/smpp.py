"""The SMPP door: programs bind to us as to a carrier's SMSC; joins their lines to the one way in and to the notices."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final

from campaigns.client_settings import Client
from campaigns.settings import Config
from campaigns.wishes import Refused, Result, Submission, Taken, Why, Wish
from gateway import binds, notices, numbers
from gateway.binds import Binds
from gateway.channels.smpp_server import Account, Fate, Server, Submit, Upward
from gateway.channels.smpp_server.account import Answers, Others
from gateway.channels.smpp_server.deliveries import Delivery
from gateway.channels.smpp_server.reading import BAD_ALPHABET, SYSTEM_ERROR
from gateway.errors import CarillonError, StoreError
from gateway.intake import Busy
from gateway.messages import State
from gateway.store import Tx
from handlers.api import cancelling
from handlers.api.desk import Login
from handlers.api.smpp_notices import Teller, tidy
from handlers.api.smpp_pieces import Pieces

if TYPE_CHECKING:
    from handlers.app import App

log = logging.getLogger("carillon.api")

PORT: Final = "smpp"
FOLLOW_S: Final = 1.0  # how long a key that has ended still holds its lines
SWEEP_S: Final = 10.0
CLOSE_S: Final = 2.0
TIDY_EVERY: Final = 60  # sweeps
SEND, READ = "send", "read"
RINGS: Final = frozenset((notices.TOPIC, ""))  # of what the store tells: there is a notice, or may be
COUNTED: Final = frozenset((binds.TOPIC, ""))  # a line has come or gone, or may have

# command_status (SMPP 3.4, 5.1.3)
BAD_TEXT_LENGTH: Final = 0x01
BAD_SENDER: Final = 0x0A
BAD_RECIPIENT: Final = 0x0B
QUEUE_FULL: Final = 0x14
BAD_SERVICE: Final = 0x15
CANNOT_SUBMIT: Final = 0x45
BAD_EXPIRY: Final = 0x62

STATUSES: Final = {
    Why.BAD_NUMBER: BAD_RECIPIENT,
    Why.LANDLINE: BAD_RECIPIENT,
    Why.LEFT: BAD_RECIPIENT,
    Why.NO_CONSENT: BAD_RECIPIENT,
    Why.NO_SENDER: BAD_RECIPIENT,
    Why.NOT_YOURS: BAD_SENDER,
    Why.NO_TEXT: BAD_TEXT_LENGTH,
    Why.TOO_LONG: BAD_TEXT_LENGTH,
    Why.BAD_TEXT: CANNOT_SUBMIT,
    Why.NO_PROGRAM: BAD_SERVICE,
    Why.TOO_LATE: BAD_EXPIRY,
    Why.CANNOT_CARRY: BAD_ALPHABET,
    Why.NOT_ALL: CANNOT_SUBMIT,
}


@asynccontextmanager
async def smpp_door(app: App, config: Config, taken: Sequence[socket.socket] = ()) -> AsyncIterator[Server | None]:
    """The port for programs that bind to us, for as long as the block runs; None where no client of the file has smpp.

    `taken` are sockets that have its address already. Raises PortTaken or CarillonError.
    """
    if not config.clients:
        yield None
        return
    desk = Desk(app)
    sweeping = asyncio.create_task(desk.sweep(), name="smpp")  # other doors bring pieces too
    try:
        async with _listening(app, desk, config, taken) if PORT in config.opened else nullcontext() as server:
            yield server
    finally:
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)


@asynccontextmanager
async def _listening(app: App, desk: Desk, config: Config, taken: Sequence[socket.socket]) -> AsyncIterator[Server]:
    tls = config.listen.smpp_tls
    server = Server(
        desk.upward(), app.clock.now_ms, tls=tls.context() if tls else None, is_shared=app.fleet is not None
    )  # fmt: skip
    desk.attend(server)
    await server.start(*config.opened[PORT], taken)
    app.store.listen(desk.heard)
    counting = [desk.binds.run()] if desk.binds else []
    running = [asyncio.create_task(work, name="smpp") for work in (desk.teller.run(), desk.follow(), *counting)]
    try:
        yield server
    finally:
        await server.stop()
        desk.teller.close()
        await asyncio.wait(running[:1], timeout=CLOSE_S)  # so that nothing is claimed that then nobody brings
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        with contextlib.suppress(StoreError):  # else they are told twice
            await desk.teller.finish()
        if desk.binds:
            with contextlib.suppress(StoreError):  # else they are free when this process has left
                await desk.binds.leave()


class Desk:
    """What the server asks of the house."""

    teller: Teller

    def __init__(self, app: App) -> None:
        self._app = app
        self._pieces = Pieces(app, status_of)
        self.binds = Binds(app.store, app.brand) if app.fleet is not None else None

    def upward(self) -> Upward:
        """The functions that the server is given."""
        held = self.binds
        others = Others(held.take, held.give_back, held.beyond, held.share) if held else None
        return Upward(self._admit, self._submitted, self._asked, self._cancel, self._room, self._told, others)

    def attend(self, server: Server) -> None:
        """Work for this server."""
        self._server = server
        self.teller = Teller(self._app, server)

    def heard(self, topic: str) -> None:
        """Something was committed, here or in another process."""
        if topic in RINGS:
            self.teller.wake()
        if self.binds is not None and topic in COUNTED:
            self.binds.wake()

    def _room(self) -> None:
        self.teller.wake()

    def _told(self, deliveries: Sequence[Delivery]) -> None:
        self.teller.told(deliveries)

    # --- who binds

    async def _admit(self, name: str, password: str) -> Account | None:
        login = await self._app.keys.login_smpp(name, password)
        return account_of(login.client, login) if login is not None else None

    async def follow(self) -> None:
        """Send away whose key has ended, and let what is applied hold for those who are bound."""
        while True:
            await asyncio.sleep(FOLLOW_S)
            for account in {line.account for line in self._server.lines if line.account}:
                if await self._app.keys.is_ended(account.key):
                    self._server.follow(account.client, account.key, None)
                    continue
                now = revised(self._app.business.clients.get(account.name), account)
                if now != account:
                    self._server.follow(account.client, account.key, now)

    # --- texts in

    def _submitted(self, account: Account, submits: Sequence[Submit], answered: Callable[[Answers], None]) -> None:
        """One submission for all whole texts of a read; pieces go to where they are put together."""
        client = self._app.business.clients.get(account.name)
        if client is None:
            answered([(submit.sequence, CANNOT_SUBMIT, "") for submit in submits])
            return
        senders = self._app.business.senders
        spelled = [
            submit if submit.recipient[:1] == "+" and submit.sender in senders else self._spelled(submit)
            for submit in submits
        ]
        whole = [submit for submit in spelled if submit.joint is None]
        if len(whole) < len(spelled):
            self._pieces.put(client, [submit for submit in spelled if submit.joint is not None], answered)
        if not whole:
            return
        wishes = [
            Wish(recipient, text, sender, None, is_urgent, send_at, valid_until, None, reference, callback, content)
            for _, recipient, text, sender, send_at, valid_until, is_urgent, reference, callback, _, content in whole
        ]
        intake = self._app.intake
        try:
            if intake is None:
                raise CarillonError("we are not serving")
            intake.put(Submission(client, wishes), partial(_answer, [submit.sequence for submit in whole], answered))
        except CarillonError as error:
            answered([(submit.sequence, status_of(error), "") for submit in whole])

    def _spelled(self, submit: Submit) -> Submit:
        """With addresses as we know them: of some programs no type of number tells what is international."""
        business = self._app.business
        sender, recipient = submit.sender, submit.recipient
        if sender and sender not in business.senders:
            sender = next((each for each in _spellings(sender) if each in business.senders), sender)
        if recipient[:1] != "+":
            recipient = _recipient(recipient, business.config.brand.country)
        elif sender == submit.sender:
            return submit
        return submit._replace(sender=sender, recipient=recipient)

    async def sweep(self) -> None:
        """See to pieces whose text is not whole in time, and to what nobody has fetched."""
        turn = 0
        while True:
            try:
                await self._pieces.sweep()
                if turn % TIDY_EVERY == 0:
                    await tidy(self._app)
            except Exception:  # the database is away, say
                log.exception("pieces of texts could not be looked at, trying again")
            turn += 1
            await asyncio.sleep(SWEEP_S)

    # --- questions

    async def _asked(self, account: Account, message: int) -> Fate | None:
        return await self._app.store.read(fate_of, account.client, message)

    async def _cancel(self, account: Account, message: int) -> bool:
        client = self._app.business.clients.get(account.name)
        if client is None:
            return False
        app = self._app
        return (
            await app.store.write(cancelling.cancel, app.business, client, message, app.clock.now_ms()) == "cancelled"
        )


def account_of(client: Client, login: Login) -> Account | None:
    """What a client may that has shown its password; None where it may not bind at all."""
    settings = client.settings.smpp
    if settings is None:
        return None
    rate = client.settings.rate
    return Account(
        client.id,
        client.name,
        login.key_id,
        settings.binds,
        settings.window,
        rate.per_s if rate else 0,
        settings.addresses,
        SEND in login.scopes,
        READ in login.scopes,
    )


def revised(client: Client | None, account: Account) -> Account | None:
    """What the same program may by the config that is applied now."""
    if client is None or client.id != account.client:
        return None
    may = client.settings.may
    scopes = {SEND} & {*may} if account.may_send else set()
    scopes |= {READ} & {*may} if account.may_read else set()
    return account_of(client, Login(client, account.key, False, frozenset(scopes)))


async def fate_of(tx: Tx, client: int, message: int) -> Fate | None:
    """What has become of a text of this client, or of a piece that waits for the others; None for any other id."""
    row = await tx.one(lambda *columns: columns, "fate_of", client=client, message=message)
    if row is None:
        is_piece = await tx.value("fragment_known", client=client, id=message)
        return Fate("queued", "", 0) if is_piece else None
    state, code, at = State(row[0]), str(row[1]), int(row[2])
    return Fate(state.name.lower(), code, at if state.is_final else 0)


def status_of(why: Refused | BaseException) -> int:
    """Why a text was not accepted, as a command_status (SMPP 3.4, 5.1.3)."""
    if isinstance(why, Refused):
        return STATUSES[why.why]
    return QUEUE_FULL if isinstance(why, Busy) else SYSTEM_ERROR


def _answer(
    sequences: Sequence[int], answered: Callable[[Answers], None], result: Result | None, error: BaseException | None
) -> None:
    if result is None:
        status = status_of(error or CarillonError("no result"))
        answered([(sequence, status, "") for sequence in sequences])
        return
    answered(
        [
            (sequence, 0, str(outcome.id)) if isinstance(outcome, Taken) else (sequence, STATUSES[outcome.why], "")
            for sequence, outcome in zip(sequences, result.outcomes, strict=True)
        ]
    )


def _spellings(sender: str) -> tuple[str, ...]:
    return (sender.removeprefix("+"), f"+{sender}")


@lru_cache(maxsize=65_536)
def _recipient(digits: str, country: str) -> str:
    """A number without a plus is one of the brand's country where it can be, else an international one."""
    if not digits.isdecimal():
        return digits
    try:
        return numbers.parse(digits, country).e164
    except numbers.BadNumber:
        return f"+{digits}"
