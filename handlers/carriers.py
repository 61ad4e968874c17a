"""Opens the doors at which carriers that speak HTTP bring receipts and texts: SITE/carriers/CHANNEL/PATH."""

from __future__ import annotations

from gateway.channels.base import Door
from handlers.app import App


def doors(app: App) -> list[Door]:
    """Every channel's doors with their whole paths; none where nobody serves."""
    channels = app.gateway.channels if app.gateway else {}
    return [
        door._replace(path=f"/carriers/{name}/{door.path}")
        for name, channel in channels.items()
        for door in channel.doors()
    ]
