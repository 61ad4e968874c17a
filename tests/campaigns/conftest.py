"""A campaign office in a test: people who said yes, a runner to plan with, and a carrier played by hand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from campaigns import people, runs
from campaigns.business import Business
from campaigns.gate import Gatekeeper
from campaigns.importing import Row
from campaigns.runner import Runner
from campaigns.runs import Run, Waterfall
from campaigns.segment_language import AllOf
from campaigns.settings import Campaign, Config
from gateway import outbox
from gateway.clock import StoppedClock
from gateway.journal import Journal
from gateway.messages import ALL_PARTS, State
from gateway.outbox import Flight, Settlement, nobody_left
from gateway.store import Store, Tx
from gateway.values import Money
from tests.conftest import BRAND, Apply

SEATTLE = "America/Los_Angeles"
CLUB = "lantern_club"
EVERYONE = AllOf(())


def campaign_like(config: Config, key: str, **changes: object) -> Campaign:
    """The shipped campaign to everyone, without coupon or budget, save what is changed."""
    spring = config.campaigns["spring"]
    audience = spring.audience.model_copy(update={"segment": "everyone", "except_": None})
    text = type(spring.text).parse("Lantern Coffee: hello. Reply STOP to end")
    plain: dict[str, object] = {"key": key, "audience": audience, "coupon": None, "budget": None, "text": text}
    return spring.model_copy(update=plain | changes)


def config_with(config: Config, *campaigns: Campaign, **changes: object) -> Config:
    """The shipped config with these campaigns and a segment of everyone."""
    return config.model_copy(
        update={
            "segments": {**config.segments, "everyone": EVERYONE},
            "campaigns": {each.key: each for each in campaigns},
            **changes,
        }
    )


def price_of(texts: int) -> Money:
    """What so many texts of one part cost in Seattle."""
    return Money.parse(f"{0.0079 * texts:.4f} USD")


def row(number: int, consent: bool) -> Row:
    return Row(
        line=number + 2, e164=f"+1206{2_000_000 + number}", country="US", zone=SEATTLE, zones=(SEATTLE,), region="WA",
        first_name=f"Name{number}", language="en", consent=consent or None, consent_source="form",
    )  # fmt: skip


@dataclass
class Office:
    """Everything that moves a campaign, one step at a time."""

    store: Store
    clock: StoppedClock
    business: Business
    adopted: int = 0
    woken: int = 0
    on_page: Callable[[], None] = lambda: None
    journal: Journal = field(default_factory=lambda: Journal(BRAND))
    older: dict[int, Business] = field(default_factory=dict)  # what a run may be pinned to

    def __post_init__(self) -> None:
        self.gate = Gatekeeper(self.business.config.programs)
        self.runner = self.new_runner()

    def new_runner(self) -> Runner:
        """Another runner, as after a restart."""

        async def adopt() -> None:
            self.adopted += 1

        async def pinned(number: int) -> Business:
            return self.older[number]

        def wake() -> None:
            self.woken += 1
            self.on_page()

        return Runner(store=self.store, business=lambda: self.business, pinned=pinned, adopt=adopt, wake=wake)

    # --- before

    async def people(self, count: int, *, consent: bool = True) -> list[int]:
        """So many people who said yes to the club; their ids."""
        rows = [row(number, consent) for number in range(count)]
        await self.store.write(people.import_rows, self.business, rows, CLUB, self.clock.now_ms())
        return await self._ids(rows)

    async def _ids(self, rows: Sequence[Row]) -> list[int]:
        addresses = [each.e164 for each in rows]
        return sorted(person for person, _ in await self.rows("person_ids", brand=BRAND, addresses=addresses))

    async def launch(self, key: str) -> Run:
        campaign = self.business.config.campaigns[key]
        return await self.store.write(runs.launch, self.business, campaign, self.clock.now_ms())

    async def run(self, key: str) -> Run:
        found = await self.store.read(runs.find, BRAND, key)
        assert found is not None
        return found

    # --- the carrier's side

    async def claim(self, key: str, most: int = 1_000) -> list[Flight]:
        """Claim what may leave of a campaign, as its dispatchers would."""
        flights: list[Flight] = []
        for queue, _ in await self.rows("run_queues", brand=BRAND, run=(await self.run(key)).id):
            owned = await self.rows("queue_state", queue=queue)
            found = await self.store.write(
                outbox.claim, brand=BRAND, queue=queue, epoch=owned[0][0], now=self.clock.now_ms(), messages=most,
                parts=most, gate=self.gate,
            )  # fmt: skip
            flights += found.flights if found else []
        return flights

    async def answer(self, flights: Sequence[Flight], state: State = State.SENT, code: str = "") -> None:
        """The carrier's answer to each claimed message."""
        settlement = Settlement()
        for flight in flights:
            id_, run, parts = flight.outbound.id, flight.waiting.run, flight.waiting.parts
            ref = f"us_sms:{id_}" if state is State.SENT else ""
            settlement.events += [
                (BRAND, run, id_, part, parts, state, self.clock.now_ms(), code, ref) for part in range(parts)
            ]
            self._land(flight, settlement)
        await self._settle(settlement)

    async def again(self, flights: Sequence[Flight]) -> None:
        """The carrier refused each for a reason that may pass: it waits once more."""
        for flight in flights:
            settlement, claim = Settlement(), flight.claim
            self._land(flight, settlement)
            claim.is_changed = True
            due = self.clock.now_ms() + 1000
            row = (claim.queue, due, flight.outbound.id, BRAND, flight.waiting.person, 1, ALL_PARTS, 0)
            settlement.again.append((claim.epoch, row))
            await self._settle(settlement)

    def _land(self, flight: Flight, settlement: Settlement) -> None:
        flight.open = 0
        flight.claim.open -= 1
        settlement.claims[flight.claim.id] = flight.claim

    async def _settle(self, settlement: Settlement) -> None:
        settlement.cut(self.clock.now_ms())
        await self.store.write(outbox.settle, settlement, self.business.ids, nobody_left)

    async def fold(self) -> None:
        while (await self.store.write(self.journal.fold)).more:
            pass

    # --- looking

    async def sums(self, key: str) -> Waterfall:
        """The campaign's waterfall; whatever the moment, it must add up."""
        await self.fold()
        found = await self.store.read(runs.waterfall, await self.run(key))
        assert found.adds_up, found
        return found

    async def rows(self, query: str, **values: object) -> list[tuple[Any, ...]]:
        async def read(tx: Tx) -> list[tuple[Any, ...]]:
            return await tx.rows(query, **values)

        return await self.store.read(read)

    async def codes_out(self) -> int:
        """How many codes of the latte are taken from the pool; as many must be in people's hands."""
        [(_, given)] = await self.rows("pool_of", coupon="latte")
        everyone = [person for (person,) in await self.rows("person_all")]
        held = [await self.rows("coupon_of_person", person=person) for person in everyone]
        assert sum(map(len, held)) == given
        return int(given)


OfficeOf = Callable[..., Awaitable[Office]]


@pytest.fixture
def office_of(store: Store, clock: StoppedClock, apply: Apply, shipped_config: Config) -> OfficeOf:
    """Open an office for these campaigns."""

    async def opened(*campaigns: Campaign, **changes: object) -> Office:
        return Office(store, clock, await apply(config_with(shipped_config, *campaigns, **changes)))

    return opened
