"""A carrier that a test plays by hand: it keeps what it is given, and answers when and as the test says."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from gateway.channels.base import Door, LineState
from gateway.errors import Failure, Retry
from gateway.messages import ALL_PARTS, Answer, Asked, Outbound


class Carrier:
    """A channel without a line. `sent` holds what it was given, `thanked` and `refused` the handles.

    `window` is how many texts may be without an answer.
    """

    def __init__(self, name: str = "us") -> None:
        self.name = name
        self.living: list[int] = []
        self.window = 1_000
        self.unanswered = 0
        self.sent: list[Outbound] = []
        self.thanked: list[object] = []
        self.refused: list[object] = []
        self.asked: list[Asked] = []
        self.slots = {0}
        self.upward: Callable[[list[Answer]], None] = lambda answers: None
        self.takes: Callable[[Outbound], bool] = lambda outbound: True

    async def run(self) -> None:
        """There is no line to hold."""

    def room(self) -> int:
        return max(0, self.window - self.unanswered)

    def alive(self) -> list[int]:
        return self.living

    def lines(self) -> list[LineState]:
        return []

    def doors(self) -> Sequence[Door]:
        return ()

    def query(self, asked: Sequence[Asked]) -> None:
        self.asked += asked

    def share(self, slots: Collection[int]) -> None:
        self.slots = set(slots)

    async def parted(self) -> None:
        pass

    def send(self, batch: Sequence[Outbound]) -> list[Outbound]:
        untouched: list[Outbound] = []
        for each in batch:
            (self.sent if self.takes(each) else untouched).append(each)
        self.unanswered += len(batch) - len(untouched)
        return untouched

    def thank(self, handles: Sequence[object]) -> None:
        self.thanked += handles

    def refuse(self, handles: Sequence[object]) -> None:
        self.refused += handles

    async def drain(self, timeout_s: float) -> None:
        """Nothing is on the way."""

    # --- in the hands of the test

    def answered(self, answers: list[Answer]) -> None:
        """Bring answers, each of which makes room for a text."""
        self.unanswered = max(0, self.unanswered - len(answers))
        self.upward(answers)

    def answer(self, outbound: Outbound, part: int, parts: int, retry: Retry | None = None) -> None:
        """Take a part, or refuse it with this advice."""
        failure = None if retry is None else Failure("0x42", "as the test wants", retry)
        carrier_id = "" if failure else f"{outbound.id}.{part}.{outbound.attempt}"
        self.answered([Answer(outbound.id, outbound.attempt, part, parts, carrier_id, failure)])

    def doubt(self, outbound: Outbound, part: int, parts: int) -> None:
        """Never answer a part: the channel says so when its time is up."""
        self.answered([Answer(outbound.id, outbound.attempt, part, parts, in_doubt=True)])

    def take(self, outbound: Outbound, parts: int = 1) -> None:
        """Take every part that was sent."""
        for part in parts_in(outbound, parts):
            self.answer(outbound, part, parts)


def parts_in(outbound: Outbound, parts: int) -> list[int]:
    """The parts that an outbound asks to be sent."""
    return [part for part in range(parts) if outbound.missing == ALL_PARTS or outbound.missing >> part & 1]
