"""Texts that are answered together get what each would have got alone, and are heard in their order."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Mapping, Sequence

import pytest

from campaigns import consent
from campaigns.business import Business
from gateway.clock import StoppedClock
from gateway.inbox import Heard, Inbox, Kept
from gateway.journal import Journal
from gateway.messages import Inbound
from gateway.store import Store, Tx
from handlers.keywords.answer import answer
from handlers.keywords.turn import AT_ONCE
from tests.gateway.carrier import Carrier
from tests.handlers.keywords.conftest import Phone

WORDS = [
    "LATTE",
    "VOTE 3",
    "VOTE",
    "3",
    "yes",
    "HELP",
    "START",
    "STOP",
    "vote 99",
    "hello there",
    "latte pls",
    "LATTTE",
]
CODE = re.compile(r"\b[A-Z0-9]{4}-?[A-Z0-9]{4}\b|https?://\S+|\S+/\S+")
MAYA, BEN = "+12065550142", "+12065550143"


@pytest.mark.parametrize("seed", range(6))
async def test_texts_answered_together_get_the_answers_that_each_would_get_alone(
    store: Store, business: Business, seed: int
) -> None:
    chance = random.Random(seed)
    texts = [(chance.randrange(3), chance.choice(WORDS)) for _ in range(60)]

    async def told(numbers: list[str], at_once: int) -> list[object]:
        phones = [Phone(store, business, number) for number in numbers]
        kept: list[Kept] = []
        for who, words in texts:
            await phones[who].keeps(words)
            kept.append(phones[who].waiting[-1])
        outcomes: list[str] = []
        for first in range(0, len(kept), at_once):
            outcomes += await store.write(answer, business, kept[first : first + at_once])
        got = [CODE.sub("(code)", text) for phone in phones for text in await phone.got()]
        left = [await phone.count("stop_get", person=phone.person) for phone in phones]
        return [[CODE.sub("(code)", each) for each in outcomes], got, left]

    alone = await told([f"+1206555010{n}" for n in range(3)], 1)
    together = await told([f"+1206555011{n}" for n in range(3)], len(texts))

    assert together == alone


class Line:
    """A carrier's line with the inbox behind it, as it is served: texts come in reads."""

    def __init__(self, store: Store, business: Business, clock: StoppedClock) -> None:
        self.store, self.business, self.clock = store, business, clock
        self.carrier = Carrier()
        self.inbox = Inbox(
            store=store, clock=clock, ids=business.ids, brand=business.brand, journal=Journal(business.brand),
            recognise=self._recognise, answer=self._answer, replied=lambda: None,
        )  # fmt: skip
        self.inbox.channels = {"us_sms": self.carrier}
        self.bind()

    async def _recognise(self, tx: Tx, channel: str, texts: Sequence[Inbound], at: int) -> list[Heard]:
        return await consent.recognise(tx, self.business, channel, texts, at)

    async def _answer(self, tx: Tx, texts: Sequence[Kept]) -> list[str]:
        return await answer(tx, self.business, texts)

    def bind(self) -> None:
        """The line falls, if there was one, and another is bound."""
        self.clock.advance(ms=500)
        self.number = self.clock.now_ms()
        self.carrier.living = [self.number]

    async def brings(self, *texts: tuple[str, str], obeyed: Mapping[str, str] | None = None) -> None:
        """One read: who writes what; of some words, what the carrier has obeyed itself."""
        read = [
            Inbound(sender, "20655", words, "", f"{sender}|{words}", None, self.number, (sender, words))._replace(
                obeyed=(obeyed or {}).get(words, "")
            )
            for sender, words in texts
        ]
        self.inbox.arrived("us_sms", [], read)
        for _ in range(5_000):
            if self.inbox.is_idle:
                return
            await asyncio.sleep(0.001)
        raise AssertionError("the inbox does not come to rest")

    async def outcomes(self, sender: str = MAYA) -> list[str]:
        """What came of each text of a phone."""
        (person, _), *_ = await self.store.read(
            lambda tx: tx.rows("person_ids", brand=self.business.brand, addresses=[sender])
        )  # fmt: skip
        rows = await self.store.read(lambda tx: tx.rows("inbound_of_person", person=person))
        return [row[7] for row in rows]

    async def has_left(self, sender: str = MAYA) -> bool:
        """Whether the phone may be texted no more."""
        (person, _), *_ = await self.store.read(
            lambda tx: tx.rows("person_ids", brand=self.business.brand, addresses=[sender])
        )  # fmt: skip
        return await self.store.read(lambda tx: tx.value("stop_get", person=person)) is not None


@pytest.fixture
def line(store: Store, business: Business, clock: StoppedClock) -> Line:
    return Line(store, business, clock)


async def test_a_stop_and_a_start_in_one_read_count_in_their_order(line: Line) -> None:
    await line.brings((MAYA, "STOP"), (MAYA, "START"), (BEN, "START"), (BEN, "STOP"))

    assert not await line.has_left(MAYA)
    assert await line.has_left(BEN)
    assert (await line.outcomes(BEN))[0] == "START, but a STOP came after it: not obeyed"


async def test_a_stop_that_the_carrier_obeyed_ends_a_start_that_came_before_it_in_the_same_read(line: Line) -> None:
    await line.brings((MAYA, "STOP"))
    await line.brings((MAYA, "START"), (MAYA, "ARRET"), obeyed={"ARRET": "stop"})

    assert await line.has_left()
    assert (await line.outcomes())[1:] == [
        "START, but a STOP came after it: not obeyed", "the carrier obeyed and answered, so we do not"
    ]  # fmt: skip


async def test_who_leaves_in_the_same_read_gets_no_answer_to_what_they_asked_before(line: Line) -> None:
    await line.brings((MAYA, "LATTE"), (MAYA, "STOP"))

    assert await line.has_left()
    assert await line.outcomes() == ["LATTE, has left: no answer", 'left by text "STOP"']


async def test_a_stop_that_a_new_line_repeats_ends_the_start_that_came_before_it(line: Line) -> None:
    await line.brings((MAYA, "STOP"))
    line.bind()
    await line.brings((MAYA, "YES"), (MAYA, "YES "), (MAYA, "STOP"))

    assert await line.has_left()


async def test_one_read_of_many_calls_for_help_is_answered_so_often_and_no_more(line: Line) -> None:
    await line.brings(*[(MAYA, "HELP")] * (AT_ONCE + 5), (BEN, "HELP"))

    assert (await line.outcomes()).count("help") == AT_ONCE
    assert await line.outcomes(BEN) == ["help"]


async def test_a_person_who_was_unknown_is_one_person_however_often_a_read_has_their_number(line: Line) -> None:
    await line.brings((MAYA, "hello"), ("206-555-0142", "LATTE"), ("(206) 555-0142", "STOP"))

    assert len(await line.outcomes()) == 3
    assert await line.has_left()
