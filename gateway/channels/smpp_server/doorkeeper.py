"""Makes those who guess passwords wait, and keeps the hall before the door from filling up."""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict
from typing import Final, NamedTuple

FIRST_S: Final = 0.5  # how long a second try waits after a first wrong password; then twice as long each time
LONGEST_S: Final = 30.0
FORGOTTEN_S: Final = 600.0
MOST_REMEMBERED: Final = 10_000
MOST_WAITING: Final = 200  # lines on which nobody is bound yet
MOST_WAITING_EACH: Final = 20  # of one address


class _Wrong(NamedTuple):
    times: int
    until: float  # by the loop's clock: the next try is heard no sooner


class Doorkeeper:
    """Counts by where a line comes from: an address, or of IPv6 the half that names a network."""

    def __init__(self) -> None:
        self._wrong: OrderedDict[str, _Wrong] = OrderedDict()
        self._waiting: Counter[str] = Counter()

    def enters(self, place: str) -> bool:
        """Whether one more line may wait to be bound; it `leaves` when it is bound or gone."""
        if self._waiting.total() >= MOST_WAITING or self._waiting[place] >= MOST_WAITING_EACH:
            return False
        self._waiting[place] += 1
        return True

    def leaves(self, place: str) -> None:
        """A line that waited is bound, or gone."""
        self._waiting[place] -= 1
        if not self._waiting[place]:
            del self._waiting[place]

    def wait_s(self, place: str, now: float) -> float:
        """How long a try from here must wait; each try makes the next wait longer, until one is right."""
        wrong = self._wrong.get(place)
        if wrong is None or now - wrong.until > FORGOTTEN_S:
            return 0.0
        pause = min(FIRST_S * 2 ** min(wrong.times - 1, 10), LONGEST_S)
        wait = max(0.0, wrong.until - now)
        if wait <= LONGEST_S:
            self._wrong[place] = wrong._replace(until=now + wait + pause)
        return wait

    def was_wrong(self, place: str, now: float) -> None:
        """A password was wrong."""
        times, until = self._wrong.pop(place, _Wrong(0, now))
        times = times + 1 if now - until < FORGOTTEN_S else 1
        self._wrong[place] = _Wrong(times, max(until, now + min(FIRST_S * 2 ** min(times - 1, 10), LONGEST_S)))
        if len(self._wrong) > MOST_REMEMBERED:
            self._wrong.popitem(last=False)

    def was_right(self, place: str) -> None:
        """Somebody from here knows a password."""
        self._wrong.pop(place, None)


def place_of(host: str) -> str:
    """By what lines from this address are counted."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
    return str(getattr(address, "ipv4_mapped", None) or address)
