"""The frame of our own pages: simulator or live, with which carriers, and how late it is in the shops."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_datetime, get_timezone_location

from gateway.clock import from_ms
from handlers.console.facts import zones
from handlers.pages.guest import Guest

BOARD, HANDSET = ("/", "page_board_title"), ("/handset", "page_handset_title")
WEBHOOKS = ("/webhooks", "page_webhooks_title")


def frame(guest: Guest) -> dict[str, Any]:
    """What stands in the frame of every private page (templates/pages/private.html)."""
    config = guest.business.config
    carriers = {name: channel.place for name, channel in config.channels.items()}
    return {
        "mode": "simulator" if config.is_simulated else "live",
        "carriers": ", ".join(dict.fromkeys(carriers.values())),
        "clocks": [_clock(guest, zone) for zone in zones(config)],
        "tabs": [
            BOARD,
            *([HANDSET] if guest.front.app.simulator else ()),
            *([WEBHOOKS] if guest.business.clients else ()),
        ],
    }


def _clock(guest: Guest, zone: str) -> tuple[str, str]:
    locale = guest.language.replace("-", "_")
    city = get_timezone_location(zone, locale=locale, return_city=True)
    return city, format_datetime(from_ms(guest.now).astimezone(ZoneInfo(zone)), "EEE HH:mm", locale=locale)
