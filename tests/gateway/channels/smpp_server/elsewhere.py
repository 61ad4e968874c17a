"""Other processes of ours that let programs in, as far as the server hears of them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from gateway.channels.smpp_server.account import Others


@dataclass
class Elsewhere:
    """So many lines are `free` over all of them; `part` of the pace is that of the process that is asked."""

    free: int
    part: float = 1.0
    trouble: Exception | None = None
    is_slow: bool = False
    places: list[str] = field(default_factory=list)
    given_back: list[str] = field(default_factory=list)
    too_many: list[str] = field(default_factory=list)
    counted: int = 0

    def others(self) -> Others:
        return Others(self.take, self.given_back.append, self.beyond, lambda client: self.part)

    async def take(self, client: int, most: int, sends: bool) -> str | None:
        if self.is_slow:
            await asyncio.sleep(0.2)
        if self.trouble is not None:
            raise self.trouble
        if len(self.places) - len(self.given_back) >= self.free:
            return None
        self.places.append(f"{client} {most} {'sends' if sends else 'reads'} {len(self.places)}")
        return self.places[-1]

    async def beyond(self, client: int, most: int) -> list[str]:
        self.counted += 1
        if self.trouble is not None:
            raise self.trouble
        return self.too_many
