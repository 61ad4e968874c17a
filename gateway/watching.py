"""Measures how well each channel serves each country, by a few texts of every batch."""

from __future__ import annotations

from collections import defaultdict

from gateway import numbers
from gateway.counting import Spans
from gateway.messages import State
from gateway.quality import Quality

EACH = 8  # parts of one batch that are watched: enough to tell a bad way, too few to be felt
MOST = 20_000  # parts whose receipts are waited for; the oldest count as never delivered


class Watch:
    """Follows some parts from the carrier's answer to the receipt. Lives in the event loop; `at` in milliseconds."""

    def __init__(self, quality: Quality) -> None:
        self.quality = quality
        self.parts: dict[str, tuple[str, str, int]] = {}  # by ref: channel, country, when it was sent
        self.sending: defaultdict[str, Spans] = defaultdict(Spans)  # by channel: from the claim to the answer
        self.latency: defaultdict[str, Spans] = defaultdict(Spans)  # by channel: from the answer to the last receipt

    def sent(self, channel: str, taken: list[tuple[str, str, int]], at: int) -> None:
        """The carrier took these parts: the ref and the phone of each, and when it was claimed."""
        sending = self.sending[channel]
        for ref, address, claimed_at in taken[:EACH]:
            sending.add((at - claimed_at) / 1000)
            country = numbers.country_at_once(address)
            self.parts[ref] = (channel, country, at)
            self.quality.sent(channel, country, 1, at)
        while len(self.parts) > MOST:
            del self.parts[next(iter(self.parts))]

    def failed(self, channel: str, addresses: list[str], at: int) -> None:
        """The carrier refused texts to these phones for its own troubles."""
        for address in addresses[:EACH]:
            country = numbers.country_at_once(address)
            self.quality.sent(channel, country, 1, at)
            self.quality.failed(channel, country, 1, at)

    def receipt(self, ref: str, state: State, at: int) -> None:
        """A receipt came; nothing happens if its part is not watched."""
        part = self.parts.get(ref)
        if part is None or not state.is_final:
            return
        del self.parts[ref]
        channel, country, sent_at = part
        self.latency[channel].add((at - sent_at) / 1000)
        if state is State.DELIVERED:
            self.quality.delivered(channel, country, 1, max(0, at - sent_at), at)
        else:
            self.quality.failed(channel, country, 1, at)
