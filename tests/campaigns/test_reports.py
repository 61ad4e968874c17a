"""A report counts everybody, and says in plain words what a carrier says in numbers."""

from __future__ import annotations

import re

import pytest

from campaigns import people, reports, runs, stories
from campaigns.business import Business
from campaigns.reports import words_of
from campaigns.settings import Config
from gateway import outbox
from gateway.codecs.smpp import failure
from gateway.journal import Journal
from gateway.messages import Lane, Purpose, State
from gateway.outbox import Message
from gateway.store import Store, Tx, queries
from tests.conftest import People
from tests.tables import look

BRAND = 1


def test_every_status_of_the_standard_has_words() -> None:
    refused = failure(0x0B)
    assert words_of(refused.code) == "the carrier does not accept the recipient's number"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        pytest.param("left", "have left", id="one of ours"),
        pytest.param("0x400 ", "the carrier's code 0x400 ", id="a carrier's own status"),
        pytest.param("034", "the carrier's code 034", id="a bare code"),
        pytest.param(
            "UNDELIV 034", "it could not be delivered to the phone (the network's code 034)", id="a receipt's word"
        ),
        pytest.param("", "", id="nothing to say"),
    ],
)
def test_a_reason_is_told_in_words(code: str, words: str) -> None:
    assert words_of(code) == words


async def sent(
    store: Store, business: Business, shipped_config: Config, ids: list[int], unit: int | None = 7_900
) -> runs.Run:
    """A run that matched everybody of `ids`: the first has left, the second was delivered, the third failed."""
    now = business.clock.now_ms()
    journal = Journal(BRAND)

    async def write(tx: Tx) -> runs.Run:
        run = await runs.launch(tx, business, shipped_config.campaigns["spring"], now)
        await tx.run("run_begin", id=run.id, now=now)
        queue = await outbox.ensure_queue(tx, business.ids, BRAND, "us_sms", Lane.BULK, run=run.id)
        messages = [
            Message(business.ids.next(), BRAND, run.id, person, Purpose.MARKETING, "lantern_club", "us_sms", "20655",
                    f"+1206555{person % 10_000:04}", "UTC", "x", 2, 15_800, run.until)
            for person in ids[1:]
        ]  # fmt: skip
        await outbox.put(tx, messages, queue, now)
        await runs.refuse(tx, BRAND, run, [(ids[0], "left")])
        await tx.run(
            "run_advance", id=run.id, was=0, checkpoint=ids[-1], matched=len(ids), spent=31_600, parts=4, unit=unit
        )
        ends = [(State.SENT, ""), (State.DELIVERED, "")], [(State.FAILED, failure(0x0B).code)]
        events = [
            (BRAND, run.id, message.id, part, 2, state, now, code, "")
            for message, states in zip(messages, ends, strict=True)
            for state, code in states
            for part in range(2)
        ]
        await tx.many("event_insert", events)
        await journal.fold(tx)
        return run

    return await store.write(write)


@pytest.mark.parametrize("unit", [7_900, None], ids=["one price", "several prices"])
async def test_a_report_adds_up_and_counts_what_was_taken_once(
    store: Store, business: Business, shipped_config: Config, make_people: People, unit: int | None
) -> None:
    run = await sent(store, business, shipped_config, await make_people(3), unit)
    made = await reports.report(store, business, run)
    assert made.waterfall.adds_up
    assert sum(line.n for line in made.lines()) == 3
    assert [(line.state, line.words) for line in made.lines()] == [
        ("refused", "have left"),
        ("failed", "the carrier does not accept the recipient's number"),
        ("delivered", ""),
    ]
    assert (made.sums.messages, made.sums.parts, made.sums.cost) == (2, 4, 31_600)
    assert (made.sums.taken_parts, made.sums.taken_cost) == (2, 15_800)
    assert not made.is_complete  # it was never said to be planned to its end


async def test_what_is_told_of_a_text_whose_day_was_let_go_costs_nothing_and_holds_up_no_fold(
    store: Store, business: Business, shipped_config: Config, make_people: People
) -> None:
    run = await sent(store, business, shipped_config, await make_people(3), None)

    async def tell_late(tx: Tx) -> int:
        gone = 5  # made in 2020
        await tx.many(
            "event_insert", [(BRAND, run.id, gone, 0, 1, State.DELIVERED, business.clock.now_ms(), "", "c:late")]
        )
        return (await Journal(BRAND).fold(tx)).events

    assert await store.write(tell_late) == 1
    assert (await reports.report(store, business, run)).sums.taken_cost == 15_800


async def test_what_an_older_version_has_sent_is_summed_up_by_the_migration(
    store: Store, business: Business, shipped_config: Config, make_people: People
) -> None:
    run = await sent(store, business, shipped_config, await make_people(3), None)
    before = await reports.report(store, business, run)
    path = queries.FOLDER / "migrations" / f"0007.{'postgresql' if store.is_shared else 'sqlite'}.sql"
    steps = re.findall(r"^(?:UPDATE run|INSERT INTO refused).*?;$", path.read_text(), re.DOTALL | re.MULTILINE)
    assert len(steps) == 2

    async def migrate(tx: Tx) -> None:
        await look(tx, "UPDATE run SET parts = 0, taken_parts = 0, taken_cost = 0")
        await look(tx, "DELETE FROM refused")
        for step in steps:
            await look(tx, step)

    await store.write(migrate)
    assert await reports.report(store, business, run) == before


async def test_a_story_tells_the_carriers_words_and_the_refusal(
    store: Store, business: Business, shipped_config: Config, make_people: People
) -> None:
    people_ids = await make_people(3)
    await sent(store, business, shipped_config, people_ids)

    async def read(tx: Tx, person_id: int) -> list[str]:
        person = await people.find(tx, business, person_id)
        assert person is not None
        return [chapter.words for chapter in await stories.chapters(tx, business, person)]

    refused, _, failed = [await store.read(read, person_id) for person_id in people_ids]
    assert refused == ['spring not sent, "left": have left']
    assert any("failed, the carrier does not accept the recipient's number" in words for words in failed)
