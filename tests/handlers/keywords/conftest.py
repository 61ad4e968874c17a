"""A phone in a test: what it texts is kept, thought about and answered in real transactions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from campaigns import consent
from campaigns.business import Business
from gateway.inbox import Kept
from gateway.messages import Inbound
from gateway.store import Store, Tx
from handlers.keywords.answer import answer

US, CN = ("us_sms", "20655"), ("cn_sms", "10690555")


@dataclass(slots=True)
class Phone:
    """Texts in, and shows what came back; `said` is what `explain` would tell of the last text."""

    store: Store
    business: Business
    number: str
    line: tuple[str, str] = US
    said: str = ""
    person: int = 0
    waiting: list[Kept] = field(default_factory=list)

    async def texts(self, text: str) -> list[str]:
        """Text in, and be answered; the texts that came back."""
        before = len(await self.got())
        await self.keeps(text)
        await self.thinks()
        return (await self.got())[before:]

    async def keeps(self, text: str) -> None:
        """The text is kept and not thought about yet."""
        self.waiting.append(await self.store.write(self._keep, text))
        self.person = self.waiting[-1].person

    async def thinks(self) -> None:
        """What was kept is thought about, in order."""
        for kept in self.waiting:
            [self.said] = await self.store.write(answer, self.business, [kept])
        self.waiting.clear()

    async def got(self) -> list[str]:
        """Every text that was put to this phone."""
        rows = await self.store.read(lambda tx: tx.rows("messages_to_person", person=self.person))
        return [row[5] for row in rows]

    async def count(self, query: str, **values: object) -> int:
        """How many rows a query finds."""
        return len(await self.store.read(lambda tx: tx.rows(query, **values)))

    async def _keep(self, tx: Tx, text: str) -> Kept:
        channel, recipient = self.line
        now = self.business.clock.now_ms()
        [(person, intent, *_)] = await consent.recognise(
            tx, self.business, channel, [Inbound(self.number, recipient, text)], now
        )  # fmt: skip
        kept = Kept(self.business.ids.next(), channel, self.number, recipient, text, person, now, intent)
        await tx.run(
            "inbound_insert", id=kept.id, brand=self.business.brand, channel=channel, sender=self.number,
            recipient=recipient, text=text, person=person, at=now, intent=intent, thought=0, outcome="",
        )  # fmt: skip
        return kept


PhoneMaker = Callable[..., Phone]


@pytest.fixture
def phone(store: Store, business: Business) -> Phone:
    """Maya's phone in Seattle."""
    return Phone(store, business, "+12065550142")


@pytest.fixture
def chinese_phone(store: Store, business: Business) -> Phone:
    """A phone in Shanghai."""
    return Phone(store, business, "+8615900001785", CN)
