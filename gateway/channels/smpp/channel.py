"""All lines to one carrier as one channel: writes texts on them, and brings what comes back on any of them."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Collection, Sequence

from gateway.channels.base import Door, LineState, Surroundings, Upward
from gateway.channels.smpp.line import Line
from gateway.channels.smpp.reading import Reader
from gateway.channels.smpp.settings import SmppCarrier, SmppSettings, settings_of
from gateway.channels.smpp.wire import GOODBYE_S, Handle, Shared, Wire
from gateway.channels.smpp.writing import WHOLE, Bodies, Writer
from gateway.codecs import smpp
from gateway.errors import Failure, Retry
from gateway.messages import Answer, Asked, Outbound


class SmppChannel:
    """A `Channel` over SMPP 3.4. `now_ms` is the time of day by which messages expire, `chance` gives the jitter.

    Raises ValueError for an account or a password that cannot be written in Latin-1.
    """

    def __init__(
        self,
        name: str,
        settings: SmppSettings,
        upward: Upward,
        *,
        now_ms: Callable[[], int],
        chance: random.Random,
    ) -> None:
        self.name = name
        self._upward = upward
        self._now_ms = now_ms
        self._window = settings.window
        self._writer = Writer(settings)
        for word in (settings.account, settings.password, settings.system_type):
            smpp.text(word)  # a word that cannot be written is to be known now, not at each bind
        self._shared = Shared(name, settings, upward, now_ms, chance, self._writer, Reader(settings))
        self._lines = [Line(self._shared, mode) for mode in settings.binds]
        self._held = list(self._lines)
        self._shared_anew = asyncio.Event()

    def lines(self) -> list[LineState]:
        """Each line's state at this moment."""
        return [line.state() for line in self._held]

    async def run(self) -> None:
        """Hold the lines that are ours until cancelled, or until `drain` has ended."""
        holding: dict[Line, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group:
            while not self._shared.leaving.is_set():
                self._shared_anew.clear()
                for number, line in enumerate(self._lines, 1):
                    task = holding.get(line)
                    if line in self._held and (task is None or task.done()):
                        holding[line] = group.create_task(line.hold(), name=f"{self.name} line {number}")
                await self._shared_anew.wait()

    def share(self, slots: Collection[int]) -> None:
        """A slot is a line that may send; lines that only receive belong to the first."""
        mine = set(slots)
        senders = [line for line in self._lines if line.mode != "receiver"]
        self._held = [line for line in self._lines if (senders.index(line) if line in senders else 0) in mine]
        for line in self._lines:
            line.keep(wanted=line in self._held)
        self._shared_anew.set()

    async def parted(self) -> None:
        """Return when the lines that are not ours any more have ended."""
        await self._end([line for line in self._lines if line not in self._held])

    def room(self) -> int:
        """Parts that may be written now, on all lines."""
        return 0 if self._shared.leaving.is_set() else sum(line.room for line in self._held)

    def alive(self) -> list[int]:
        """The numbers of the connections that are bound."""
        return [line.wire.number for line in self._held if line.wire is not None and line.is_bound]

    def doors(self) -> Sequence[Door]:
        """None: a line brings everything."""
        return ()

    def query(self, asked: Sequence[Asked]) -> None:
        """Ask about these parts, some in each second, while there is little else to do on a line."""
        questions = self._shared.questions
        known = {each.carrier_id for each in questions} | {""}
        for each in asked:
            if each.carrier_id not in known:
                known.add(each.carrier_id)
                questions.append(each)

    def send(self, batch: Sequence[Outbound]) -> list[Outbound]:
        """Write the batch; return what was not touched, in its order.

        A message that no carrier can take (a text of too many parts, an address that cannot be written, one that is
        no longer worth sending) is answered with a failure, on the next turn of the loop.
        """
        sheets = self._sheets()
        refused: list[Answer] = []
        each = self._writer.each(batch, self._now_ms()) if sheets else ()
        touched = 0
        for message, bodies in zip(batch, each, strict=False):
            if isinstance(bodies, Failure):
                refused.append(_unsent(message, bodies))
            else:
                count = len(bodies)
                sheet = sheets[0] if len(sheets) == 1 else max(sheets, key=_room_of)
                if count <= sheet.space and sheet.room > 0:
                    sheet.room -= count
                    sheet.space -= count
                    sheet.bodies += bodies
                elif count <= self._window:
                    break
                else:
                    refused.append(_unsent(message, _too_long(count)))
            touched += 1
        for sheet in sheets:
            sheet.line.write(sheet.bodies)
        if refused:
            asyncio.get_running_loop().call_soon(self._upward.answered, self.name, refused)
        return list(batch[touched:])

    def thank(self, handles: Sequence[object]) -> None:
        """Acknowledge what has been kept, in one write a line; handles of lines that are gone are ignored."""
        self._acknowledge(handles, smpp.OK)

    def refuse(self, handles: Sequence[object]) -> None:
        """Ask the carrier to bring these again later (RX_T_APPN)."""
        self._acknowledge(handles, smpp.COME_AGAIN)

    async def drain(self, timeout_s: float) -> None:
        """Write nothing new, wait at most so long for answers on the way, then unbind."""
        self._shared.leaving.set()
        self._shared_anew.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._until(lambda: all(line.in_flight == 0 for line in self._lines))
        for line in self._lines:
            line.part()
        await self._end(self._lines)

    async def _end(self, going: Sequence[Line]) -> None:
        """Wait for the end of lines that part, and end those that cannot."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                await self._until(lambda: all(line.wire is None for line in going))
        for line in going:
            line.hang_up("nobody answers our goodbye")

    async def _until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            self._shared.stirred.clear()
            await self._shared.stirred.wait()

    def _sheets(self) -> list[_Sheet]:
        if self._shared.leaving.is_set():
            return []
        return [_Sheet(line, line.wire.space, room) for line in self._held if line.wire and (room := line.room)]

    def _acknowledge(self, handles: Sequence[object], status: int) -> None:
        by_wire: dict[Wire, list[int]] = {}
        for handle in dict.fromkeys(handles):  # all receipts of a read have the same one
            if isinstance(handle, Handle):
                by_wire.setdefault(handle.wire, []).extend(handle.sequences)
        for wire, sequences in by_wire.items():
            wire.session.acknowledge(sequences, status)
            wire.flush()


class _Sheet:
    """What one `send` writes on one line.

    `space` is what the carrier's window holds and never overdrawn; `room`, what the line wants at present, may be by
    the last text, or one in parts would never leave by a line that goes slowly.
    """

    __slots__ = ("bodies", "line", "room", "space")

    def __init__(self, line: Line, space: int, room: int) -> None:
        self.line = line
        self.space = space
        self.room = room
        self.bodies: Bodies = []


def _room_of(sheet: _Sheet) -> int:
    return sheet.room


def _too_long(count: int) -> Failure:
    return Failure("unwritable", f"{count} parts do not fit into the carrier's window", Retry.NEVER)


def _unsent(message: Outbound, failure: Failure) -> Answer:
    return Answer(message.id, message.attempt, WHOLE, 1, failure=failure)


def channel(settings: SmppCarrier, around: Surroundings) -> SmppChannel:
    """The channel of these settings."""
    held = settings_of(settings, around.simulator, around.name, around.own)
    return SmppChannel(around.name, held, around.upward, now_ms=around.now_ms, chance=around.chance)
