"""Where a phone in our own network reaches our pages, as long as their site is only a name of this machine."""

from __future__ import annotations

import socket

from gateway.settings import is_only_here

SOMEWHERE = ("192.0.2.1", 9)  # an address of no one (RFC 5737): nothing is sent to it, it only chooses our own


def phone_site(site: str, port: int) -> str:
    """The site; where that is a name which every machine calls itself, this machine's address in its network."""
    return f"http://{own_address()}:{port}" if is_only_here(site) else site


def own_address() -> str:
    """This machine's address in its network; no packet is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(SOMEWHERE)
        except OSError:
            return "127.0.0.1"
        own: str = probe.getsockname()[0]
        return own
