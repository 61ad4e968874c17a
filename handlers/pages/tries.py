"""Slows down whoever guesses, by device and by address, and nobody else."""

from __future__ import annotations

import time

from gateway import web


class Tries:
    """Wrong PINs or codes: how often a device may be wrong at once, and an address with all devices behind it.

    `pause_s` is how long one wrong try lasts. What is right is never counted. Memory is bounded by the limiters.
    """

    def __init__(self, *, device: int, address: int, pause_s: float) -> None:
        self._device = web.Limiter(1 / pause_s, device)
        self._address = web.Limiter(1 / pause_s, address)

    def wait_s(self, request: web.Request, *, known: bool = False) -> float:
        """Seconds until the next try is looked at; 0 is at once.

        A device that is `known` to be ours answers only for itself: a guest on the shop's own wireless network
        cannot keep staff from signing in.
        """
        now = time.monotonic()
        own = self._device.look(web.visit(request), now)
        return own if known else max(own, self._address.look(web.client(request), now))

    def wrong(self, request: web.Request) -> None:
        """Count a wrong try."""
        now = time.monotonic()
        self._device.wait(web.visit(request), now)
        self._address.wait(web.client(request), now)
