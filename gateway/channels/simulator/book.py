"""What the simulated carrier remembers of each text that it took, so that it can be asked, and a text be cancelled."""

from __future__ import annotations

from typing import NamedTuple

from gateway.channels.simulator.fates import DELETED, DELIVERED, ENROUTE

MOST = 100_000  # texts; of twice as many, at most, the older half is forgotten at once


class Entry(NamedTuple):
    """One part of a text. `word` is how it ends at `due`, in seconds of a rising clock; empty: no receipt says so."""

    sender: str
    word: bytes
    due: float


class Book:
    """Entries by message id."""

    def __init__(self) -> None:
        self._young: dict[str, Entry] = {}
        self._old: dict[str, Entry] = {}

    def note(self, message_id: str, entry: Entry) -> None:
        """Remember a text."""
        if len(self._young) >= MOST:
            self._old, self._young = self._young, {}
        self._young[message_id] = entry

    def find(self, message_id: str, sender: str) -> Entry | None:
        """The text with this id, if it came from this sender."""
        entry = self._young.get(message_id) or self._old.get(message_id)
        return entry if entry is not None and entry.sender == sender else None

    def state(self, entry: Entry, now: float) -> bytes:
        """What has become of it, in the word of receipts. A handset shows a text before its receipt comes."""
        if entry.word in (b"", DELIVERED):
            return DELIVERED
        return entry.word if now >= entry.due else ENROUTE

    def cancel(self, message_id: str, sender: str, now: float) -> bool:
        """Keep a text from the phone that has not reached it. False where there is nothing to cancel any more."""
        entry = self.find(message_id, sender)
        if entry is None or self.state(entry, now) != ENROUTE:
            return False
        book = self._young if message_id in self._young else self._old
        book[message_id] = entry._replace(word=DELETED, due=now)
        return True
