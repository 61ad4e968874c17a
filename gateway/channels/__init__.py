"""One file for each kind of carrier; `base` says what a channel promises, `KINDS` lists them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.channels.base import Channel, Upward
from gateway.channels.smpp import SmppAddress, SmppChannel, SmppSettings
from gateway.settings import ChannelSettings
from gateway.values import HostPort


def _smpp(
    name: str,
    settings: ChannelSettings,
    own: Sequence[str],
    upward: Upward,
    now_ms: Callable[[], int],
    simulator: HostPort,
) -> Channel:
    carrier = simulator if isinstance(settings.carrier, str) else settings.carrier
    # On the simulator each channel has an account of its own, whatever the real one will be.
    account = name[:15] if settings.is_simulated else settings.account
    address = SmppAddress(carrier.host, carrier.port, settings.tls and not settings.is_simulated)
    password = "" if settings.is_simulated else settings.password
    return SmppChannel(
        name, SmppSettings(address, account, password, window=settings.window, own=tuple(own)), upward, now_ms=now_ms
    )


# The name, the settings, the numbers we send from, whom to tell, the time, and where the simulator listens.
KINDS: dict[str, Callable[[str, ChannelSettings, Sequence[str], Upward, Callable[[], int], HostPort], Channel]] = {
    "smpp": _smpp,
}
