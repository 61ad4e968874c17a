"""The carrier of test keys: writes no byte to anybody, and lets the number decide what becomes of a text."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from enum import Enum
from typing import Final, Literal

from pydantic import Field

from gateway.channels.base import CarrierSettings, Door, LineState, Surroundings
from gateway.errors import Failure, Retry
from gateway.messages import Answer, Asked, Cargo, Outbound, Receipt, State
from gateway.values import Price, Rate

MOST: Final = 50_000  # texts whose receipt is still to come
RECEIPT_S: Final = 0.6  # longer than two folds of the journal, so that a program hears of `sent` first
SLOW_S: Final = 10.0


class Fate(Enum):
    """What becomes of a text that was accepted."""

    DELIVERED = "delivered"
    FAILED = "failed"  # the carrier refuses it
    UNDELIVERED = "undelivered"  # the carrier takes it, and its receipt says that it failed
    SLOW = "slow"  # the receipt takes its time
    SILENT = "silent"  # the carrier does not answer; sent again, it does
    EXPIRED = "expired"


FATES: Final = {
    "+15005550010": Fate.DELIVERED,
    "+15005550011": Fate.FAILED,
    "+15005550012": Fate.UNDELIVERED,
    "+15005550013": Fate.SLOW,
    "+15005550014": Fate.SILENT,
    "+15005550015": Fate.EXPIRED,
}
REFUSAL: Final = Failure("30008", "a number for tests, which the carrier refuses", Retry.NEVER)
_RECEIPTS: Final = {Fate.UNDELIVERED: (State.FAILED, "30003"), Fate.EXPIRED: (State.EXPIRED, "expired")}
_DELIVERED: Final = State.DELIVERED, ""


class PracticeCarrier(CarrierSettings):
    """What is always there beside the channels of the file, once there are programs."""

    kind: Literal["practice"] = Field("practice", description="How the carrier is spoken to: not at all.")
    rate: Rate = Field(Rate(100_000), description="How many parts the carrier takes in a second.")
    price: Price = Field(Price(0, "USD"), description="What one part costs: nothing, in any currency.")

    @property
    def carries(self) -> frozenset[Cargo]:
        """Everything: what a program sends with a test key is judged, and goes nowhere."""
        return frozenset(Cargo)

    @property
    def is_simulated(self) -> bool:
        """No text leaves this machine."""
        return True

    @property
    def place(self) -> str:
        """Nowhere."""
        return "test keys"


class PracticeChannel:
    """A `Channel` to nobody: answers at once, and brings each receipt a moment later."""

    def __init__(self, around: Surroundings) -> None:
        self.name = around.name
        self._upward = around.upward
        self._waiting: dict[int, tuple[asyncio.TimerHandle, list[Receipt]]] = {}
        self._batches = 0
        self._receipts = 0
        self._leaving = False

    async def run(self) -> None:
        """Be there until cancelled."""
        self._upward.ready(self.name)
        await asyncio.Event().wait()

    def share(self, slots: Collection[int]) -> None:
        """Nothing: there is no line to hold."""

    async def parted(self) -> None:
        """At once: there is no line."""

    def room(self) -> int:
        """Texts that may come now."""
        return 0 if self._leaving else max(0, MOST - self._receipts)

    def lines(self) -> list[LineState]:
        """One, which never falls."""
        return [LineState("practice", True, 0, 0, 0, None)]

    def alive(self) -> list[int]:
        """None: nobody texts us here."""
        return []

    def doors(self) -> Sequence[Door]:
        """None."""
        return []

    def send(self, batch: Sequence[Outbound]) -> list[Outbound]:
        """Answer for all of them; return what there was no room for."""
        taken = batch[: self.room()]
        answers: list[Answer] = []
        prompt: list[Receipt] = []
        slow: list[Receipt] = []
        for message in taken:
            fate = _fate_of(message)
            if fate is Fate.FAILED:
                answers.append(Answer(message.id, message.attempt, -1, 1, failure=REFUSAL))
            elif fate is Fate.SILENT:
                answers.append(Answer(message.id, message.attempt, -1, 1, in_doubt=True))
            else:
                id_ = f"{message.id}.{message.attempt}"
                answers.append(Answer(message.id, message.attempt, -1, 1, id_))
                receipts = slow if fate is Fate.SLOW else prompt
                receipts.append(_receipt(fate, id_, message.sender, message.recipient))
        asyncio.get_running_loop().call_soon(self._upward.answered, self.name, answers)
        self._bring_after(RECEIPT_S, prompt)
        self._bring_after(SLOW_S, slow)
        return list(batch[len(taken) :])

    def query(self, asked: Sequence[Asked]) -> None:
        """Receipts that a crash has swallowed, made again: the number tells what they said."""
        found = [
            _receipt(FATES.get(each.recipient, Fate.DELIVERED), each.carrier_id, each.sender, each.recipient)
            for each in asked
            if each.carrier_id
        ]
        if found:
            self._upward.arrived(self.name, found, [])

    def thank(self, handles: Sequence[object]) -> None:
        """Nobody waits for it."""

    def refuse(self, handles: Sequence[object]) -> None:
        """Nobody would bring them again: they are asked for by `query`."""

    async def drain(self, timeout_s: float) -> None:
        """Take nothing new, and bring every receipt now."""
        self._leaving = True
        await asyncio.sleep(0)  # answers that are about to be told go before receipts
        for batch in list(self._waiting):
            self._bring(batch)

    def _bring_after(self, delay_s: float, receipts: list[Receipt]) -> None:
        if not receipts:
            return
        self._receipts += len(receipts)
        self._batches += 1
        timer = asyncio.get_running_loop().call_later(delay_s, self._bring, self._batches)
        self._waiting[self._batches] = timer, receipts

    def _bring(self, batch: int) -> None:
        was_full = not self.room()
        timer, receipts = self._waiting.pop(batch)
        timer.cancel()
        self._receipts -= len(receipts)
        self._upward.arrived(self.name, receipts, [])
        if was_full:
            self._upward.ready(self.name)


def _fate_of(message: Outbound) -> Fate:
    fate = FATES.get(message.recipient, Fate.DELIVERED)
    return Fate.DELIVERED if fate is Fate.SILENT and message.attempt else fate


def _receipt(fate: Fate, id_: str, sender: str, recipient: str) -> Receipt:
    state, code = _RECEIPTS.get(fate, _DELIVERED)
    return Receipt((id_,), state, code, sender, recipient)


def channel(settings: PracticeCarrier, around: Surroundings) -> PracticeChannel:
    """The channel of test keys."""
    return PracticeChannel(around)
