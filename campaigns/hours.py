"""When people may be texted: the open hours of a programme in each person's own zone."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from gateway.clock import from_ms, to_ms
from gateway.values import Hours


class OpenHours:
    """The window that is open now or opens next, remembered per zone until it closes.

    Asked for every message at the claim, so an answer from memory costs one look-up. It is looked up anew when the
    clock has been put back, or a window of some far day would stand in the way.
    """

    def __init__(self, hours: Hours) -> None:
        self.hours = hours
        self._windows: dict[str, tuple[int, int, int]] = {}  # when it was asked for, its begin, its end

    def opens(self, zone: str, now: int) -> int:
        """When a text may leave to this zone: `now` itself, or the next opening. Milliseconds since 1970."""
        return max(now, self.window(zone, now)[1])

    def window(self, zone: str, now: int) -> tuple[int, int, int]:
        """When it was looked up, and the begin and the end of the window that is open or opens next."""
        window = self._windows.get(zone)
        if window is None or not window[0] <= now < window[2]:
            window = self._windows[zone] = (now, *next_window(self.hours, zone, now))
        return window


def next_window(hours: Hours, zone: str, now: int) -> tuple[int, int]:
    """The first span (open, close) that ends after `now`.

    Where the wall clock skips an hour or goes through one twice, the span is the shorter one: it never holds a
    moment at which the clock on the wall stands outside the hours.
    """
    where = zone_of(zone)
    day = from_ms(now).astimezone(where).date()
    while True:
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001  the zone is added with the wall clock's minutes
        begin = max(_readings(midnight + timedelta(minutes=hours.begin), where))
        end = min(_readings(midnight + timedelta(minutes=hours.end), where))
        if max(now, begin) < end:
            return begin, end
        day += timedelta(days=1)


def _readings(wall: datetime, where: ZoneInfo) -> tuple[int, int]:
    """What a wall clock's time can mean: one moment, save where the clock is put forward or back (PEP 495)."""
    first, second = (to_ms(wall.replace(tzinfo=where, fold=fold)) for fold in (0, 1))
    return first, second


@lru_cache(1024)
def zone_of(name: str) -> ZoneInfo:
    """A zone by its IANA name."""
    return ZoneInfo(name)
