"""What every channel promises, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.messages import Answer, Inbound, Outbound, Receipt


@dataclass(frozen=True, slots=True)
class Upward:
    """The callables a channel is handed at start. They return at once and never raise.

    `answered` takes the carrier's answers, as many as one read of the socket brought. `arrived` takes
    receipts and texts; each stays unthanked until `thank` is called with its handle. `ready` says that
    there is room again, or that a line was bound.
    """

    answered: Callable[[str, list[Answer]], None]
    arrived: Callable[[str, list[Receipt], list[Inbound]], None]
    ready: Callable[[str], None]


class Channel(Protocol):
    """A line to a carrier.

    1. `run` MUST hold the line until cancelled: connect, bind, keep alive, connect again with jittered
       pauses. It MUST NOT raise for anything that the carrier does.
    2. `room` MUST say how many parts may be written at this moment: 0 without a bound line.
    3. `send` MUST write every missing part of a message contiguously on one line, or nothing of it, and
       MUST return the messages that it did not touch. It MUST NOT wait.
    4. For every part written, exactly one Answer MUST come through `answered`: the carrier's, or one that
       is in doubt when the line fell or the answer did not come in time. A message that can never be written
       counts as touched, and one Answer for the whole of it (part -1) MUST come.
    5. A receipt or a text MUST NOT be acknowledged before `thank` is called with its handle; a handle of
       a line that is gone MUST be ignored.
    6. A part's failure MUST carry the carrier's own code, plain words and a Retry.
    7. `drain` MUST wait for answers on the way, at most so long, and then unbind.
    """

    name: str

    async def run(self) -> None:
        """Hold the line until cancelled."""
        ...

    def room(self) -> int:
        """Parts that may be written now."""
        ...

    def alive(self) -> list[int]:
        """The numbers (`Inbound.line`) of the connections that are bound at this moment."""
        ...

    def send(self, batch: Sequence[Outbound]) -> list[Outbound]:
        """Write the batch; return what was not touched."""
        ...

    def thank(self, handles: Sequence[object]) -> None:
        """Acknowledge what has been kept, in one write a line."""
        ...

    def refuse(self, handles: Sequence[object]) -> None:
        """Tell the carrier to bring these again later: they could not be kept."""
        ...

    async def drain(self, timeout_s: float) -> None:
        """Let answers on the way come in, then say goodbye."""
        ...
