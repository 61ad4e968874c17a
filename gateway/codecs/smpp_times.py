"""When a message is to leave and how long it is worth delivering, as SMPP writes it.

Source: SMPP 3.4 section 7.1.1. No clock is asked here: moments come and go as milliseconds since 1970, UTC.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final


@lru_cache(maxsize=4096)
def relative_time(seconds: int) -> bytes:
    """A span of time as validity_period writes it (7.1.1.2), at least a second and at most 31 days.

    A span and not a moment, so that our clock and the carrier's need not agree.
    """
    seconds = max(1, min(seconds, 31 * 86_400))
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    day, hour = divmod(hours, 24)
    return b"0000%02d%02d%02d%02d000R" % (day, hour, minute, second)


def absolute_time(at_ms: int) -> bytes:
    """A moment (milliseconds since 1970, UTC) as schedule_delivery_time and validity_period write it (7.1.1.1).

    Raises ValueError for a moment outside the years 2000 to 2099, which two digits mean.
    """
    tenths = at_ms // 100
    days, tenths = divmod(tenths, 864_000)
    year, month, day = _date(days)
    if not 2000 <= year <= 2099:
        raise ValueError(f"the year {year} cannot be written with two digits")
    seconds, tenth = divmod(tenths, 10)
    minutes, second = divmod(seconds, 60)
    return b"%02d%02d%02d%02d%02d%02d%d00+" % (year % 100, month, day, *divmod(minutes, 60), second, tenth)


_TIME: Final = re.compile("([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9])([0-9]{2})([+R-])")


def read_time(value: str, now_ms: int) -> int:
    """The moment that a time field means, in milliseconds since 1970, UTC; a relative one counts from `now_ms`.

    A year is taken as 365 days and a month as 30. Raises ValueError for what is no time (7.1.1).
    """
    found = _TIME.fullmatch(value)
    if found is None:
        raise ValueError(f"{value!r} is no time")
    year, month, day, hour, minute, second, tenth, quarters = map(int, found.groups()[:8])
    of_day = ((hour * 60 + minute) * 60 + second) * 1000 + tenth * 100
    if found[9] == "R":
        return now_ms + (year * 365 + month * 30 + day) * _DAY_MS + of_day
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 60 and quarters <= 48):
        raise ValueError(f"{value!r} is no time")
    ahead_ms = quarters * 900_000  # of UTC, in quarters of an hour
    return _days(2000 + year, month, day) * _DAY_MS + of_day - (ahead_ms if found[9] == "+" else -ahead_ms)


_DAY_MS: Final = 86_400_000
_ERA_DAYS: Final = 146_097  # in 400 years; years are counted from March, so that the leap day comes last
_TO_1970: Final = 719_468  # days from 1 March of the year 0


def _date(days: int) -> tuple[int, int, int]:
    """Year, month and day so many days after 1970 began."""
    era, of_era = divmod(days + _TO_1970, _ERA_DAYS)
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    return era * 400 + year + (month >= 10), month + 3 if month < 10 else month - 9, day


def _days(year: int, month: int, day: int) -> int:
    """Days from the beginning of 1970 to this date."""
    year -= month <= 2
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    era, year = divmod(year, 400)
    return era * _ERA_DAYS + year * 365 + year // 4 - year // 100 + of_year - _TO_1970
