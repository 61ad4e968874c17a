"""The one place that knows what time it is."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from datetime import time as dt_time
from zoneinfo import ZoneInfo

EVENING = timedelta(minutes=90)  # how long after its start a demo's evening may be gone on with


def wall_ms() -> int:
    """Milliseconds since 1970, UTC, by the machine's clock."""
    return time.time_ns() // 1_000_000


class Clock:
    """Business time: the machine's clock plus an offset, so that a demo may start at 18:30 in the shop.

    With the simulator the offset is kept in the store, so that time never goes back after a restart.
    """

    def __init__(self, offset_ms: int = 0) -> None:
        self.offset_ms = offset_ms

    def now_ms(self) -> int:
        """Milliseconds since 1970, UTC, in business time."""
        return wall_ms() + self.offset_ms

    def now(self) -> datetime:
        """The business time, aware, UTC."""
        return from_ms(self.now_ms())


class StoppedClock(Clock):
    """A clock that moves only when told: for tests and rehearsals."""

    def __init__(self, at: datetime) -> None:
        super().__init__(0)
        self.at_ms = to_ms(at)

    def now_ms(self) -> int:
        """The time it was last set to, in milliseconds since 1970, UTC."""
        return self.at_ms

    def advance(self, *, seconds: float = 0, ms: int = 0) -> None:
        """Move on."""
        self.at_ms += int(seconds * 1000) + ms


def to_ms(at: datetime) -> int:
    """Milliseconds since 1970 of an aware time."""
    if at.tzinfo is None:
        raise ValueError("a time without a zone")
    return int(at.timestamp() * 1000)


def from_ms(ms: int) -> datetime:
    """The aware UTC time of milliseconds since 1970."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def resume(evening: dt_time, zone: str, last_ms: int | None) -> int:
    """The offset at which a demo's clock goes on, in milliseconds.

    A new store starts at `evening` of today in `zone`. After a restart time goes on where it stood, as long
    as that is within an hour and a half of the evening; later it is the next evening. It never goes back.
    """
    where = ZoneInfo(zone)
    wall = wall_ms()
    reached = from_ms(last_ms if last_ms is not None else wall).astimezone(where)
    start = reached.replace(hour=evening.hour, minute=evening.minute, second=0, microsecond=0)
    if last_ms is None:
        return to_ms(start) - wall
    if start <= reached <= start + EVENING:
        return last_ms - wall
    if reached > start:
        start += timedelta(days=1)
    return to_ms(start) - wall
