"""Phones that exist only in memory: what they texted, what reached them, and how long they waited for it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple

from gateway.codecs import parts
from gateway.messages import Joint

MOST_EACH = 200  # messages that one handset keeps
MOST_UNJOINED = 10_000  # long texts of which a part is still missing, over all handsets


class HandsetMessage(NamedTuple):
    """One text on a handset's screen, whole.

    `other` is the number at the far end. `delay_ms` is counted from the handset's own last text; None where it has
    texted nothing, and for its own texts.
    """

    at_ms: int
    incoming: bool
    other: str
    text: str
    parts: int
    delay_ms: int | None


class Handset:
    """One virtual phone. `messages` holds the last ones, oldest first; `count` is how many there ever were."""

    def __init__(self, number: str) -> None:
        self.number = number
        self.messages: list[HandsetMessage] = []
        self.count = 0
        self._texted_ms: int | None = None
        self._waiters: list[asyncio.Future[HandsetMessage]] = []
        self._dropped = 0

    async def wait(self, after: int, timeout_s: float) -> HandsetMessage:
        """The first text that reached it after its first `after` messages (read `count` before texting).

        Raises TimeoutError when none has come within `timeout_s`.
        """
        unseen = self.messages[max(0, after - self.count + len(self.messages)) :]
        for message in unseen:
            if message.incoming:
                return message
        waiter: asyncio.Future[HandsetMessage] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                return await waiter
        finally:
            self._waiters.remove(waiter)

    def _show(self, message: HandsetMessage) -> None:
        self.messages.append(message)
        self.count += 1
        if not message.incoming:
            self._texted_ms = message.at_ms
            return
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(message)

    def _drop_oldest(self) -> None:
        if self._dropped:  # it went before its turn, for being the 201st of this handset
            self._dropped -= 1
        else:
            del self.messages[0]


class Handsets:
    """All virtual phones: at most `keep` messages over all of them, so that a great campaign needs no more memory."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._by_number: dict[str, Handset] = {}
        self._oldest_first: deque[Handset] = deque()  # one entry for each message kept
        self._unjoined: dict[tuple[str, str, int, int], dict[int, str]] = {}

    def of(self, number: str) -> Handset:
        """The phone with this number; it is there as soon as somebody asks."""
        handset = self._by_number.get(number)
        if handset is None:
            handset = self._by_number[number] = Handset(number)
        return handset

    def sent(self, number: str, other: str, text: str, count: int, at_ms: int) -> HandsetMessage:
        """A handset texts `other`, in `count` parts."""
        return self._keep_on(self.of(number), HandsetMessage(at_ms, False, other, text, count, None))

    def received(self, number: str, other: str, text: str, joint: Joint | None, at_ms: int) -> HandsetMessage | None:
        """A text, or one piece of it, reaches a handset. None while pieces are missing."""
        count = 1
        if joint is not None:
            pieces = self._joined((number, other, joint.reference, joint.total), joint.number, text)
            if pieces is None:
                return None
            text, count = parts.join(pieces), joint.total
        handset = self.of(number)
        delay = None if handset._texted_ms is None else at_ms - handset._texted_ms
        return self._keep_on(handset, HandsetMessage(at_ms, True, other, text, count, delay))

    def _joined(self, key: tuple[str, str, int, int], piece: int, text: str) -> dict[int, str] | None:
        pieces = self._unjoined.setdefault(key, {})
        if piece in pieces:  # the same reference again: a new text, or the sender tries the old one afresh
            pieces.clear()
        pieces[piece] = text
        if len(pieces) == key[3]:
            return self._unjoined.pop(key)
        if len(self._unjoined) > MOST_UNJOINED:
            del self._unjoined[next(iter(self._unjoined))]
        return None

    def _keep_on(self, handset: Handset, message: HandsetMessage) -> HandsetMessage:
        handset._show(message)
        self._oldest_first.append(handset)
        if len(handset.messages) > MOST_EACH:
            del handset.messages[0]
            handset._dropped += 1
        if len(self._oldest_first) > self._keep:
            oldest = self._oldest_first.popleft()
            oldest._drop_oldest()
            if not oldest.messages and not oldest._waiters:
                self._by_number.pop(oldest.number, None)
        return message
