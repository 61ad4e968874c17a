"""What happened, as a hash that two runs of one seed share, with the last of it to be read."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable

KEPT = 400


class Trace:
    """Notes every octet, commit and decision with its time."""

    def __init__(self, time: Callable[[], float], kept: int = KEPT) -> None:
        self.last: deque[tuple[float, str, tuple[object, ...]]] = deque(maxlen=kept)
        self.count = 0
        self._time = time
        self._hash = hashlib.blake2b(digest_size=16)

    def note(self, what: str, *details: object) -> None:
        """One thing that happened; details must be plain values."""
        now = self._time()
        self.count += 1
        self._hash.update(f"{now!r} {what} {details!r}\n".encode())
        self.last.append((now, what, details))

    def digest(self) -> str:
        """The hash of everything so far."""
        return self._hash.hexdigest()

    def lines(self) -> list[str]:
        """The last of it, one line each."""
        return [f"{now:10.4f}  {what:<10} {' '.join(map(_shown, details))}" for now, what, details in self.last]


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex() if len(value) <= 24 else f"{value[:24].hex()}.. ({len(value)})"
    return str(value)
