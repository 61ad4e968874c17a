"""What is to be brought to the programs that are bound here: held until they have taken it, within a bound."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

NOT_TAKEN: Final = -1  # no command_status: nobody has answered


class Delivery:
    """Receipts or parts of a text that belong together. `token` is the caller's own; `status` is how it was taken.

    That is a command_status, of several the worst; NOT_TAKEN while one of them is not answered.
    """

    __slots__ = ("bodies", "client", "left", "status", "token")

    def __init__(self, token: object, client: int, bodies: Sequence[bytes]) -> None:
        self.token, self.client, self.bodies = token, client, bodies
        self.left = len(bodies)
        self.status = 0


class Taker(Protocol):
    """A line on which things may be brought."""

    @property
    def room(self) -> int:
        """How many may be written now."""

    def deliver(self, deliveries: Sequence[tuple[Delivery, bytes]]) -> None:
        """Write them."""


class Waiting:
    """What waits for one client; on each of its lines at most a window is on the way."""

    def __init__(self) -> None:
        self.takers: list[Taker] = []
        self._waiting: deque[tuple[Delivery, bytes]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, deliveries: Iterable[Delivery]) -> None:
        """Bring these too."""
        for delivery in deliveries:
            self._waiting.extend((delivery, body) for body in delivery.bodies)
        self.pump()

    def pump(self) -> None:
        """Spread what waits over the lines, as far as their windows go."""
        waiting = self._waiting
        takers = [taker for taker in self.takers if taker.room] if waiting else []
        for left, taker in zip(range(len(takers), 0, -1), takers, strict=True):
            count = min(taker.room, -(-len(waiting) // left))
            batch = [each for each in (waiting.popleft() for _ in range(count)) if each[0].left > 0]
            if batch:
                taker.deliver(batch)

    def answered(self, answers: Iterable[tuple[Delivery, int, str]]) -> list[Delivery]:
        """What is now done with: taken as a whole, or not taken and so to be brought again as a whole."""
        done = []
        for delivery, status, _ in answers:
            if delivery.left <= 0:
                continue
            if status:
                delivery.status, delivery.left = status, 0
            else:
                delivery.left -= 1
            if not delivery.left:
                done.append(delivery)
        return done

    def take_back(self) -> list[Delivery]:
        """There is no line any more: what waited has not been taken."""
        gone = list(dict.fromkeys(delivery for delivery, _ in self._waiting if delivery.left > 0))
        self._waiting.clear()
        for delivery in gone:
            delivery.status, delivery.left = NOT_TAKEN, 0
        return gone
