"""The claim: what may leave leaves once, what may not is put off or refused, and every row is accounted for.

And the settlement: wherever a process dies between two of them, each part was answered, is in doubt, or waits again.
"""

from __future__ import annotations

import asyncio
import gc
import random
import sqlite3
import weakref
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import outbox
from gateway.errors import Failure, Retry
from gateway.ids import Ids
from gateway.journal import Journal
from gateway.messages import ALL_PARTS, Content, Lane, Outbound, Purpose, State
from gateway.outbox import LONG_MS, Claim, Flight, Go, Later, Message, Never, Settlement, Waiting
from gateway.store import Store, Tx, beside, open_store, queries
from gateway.store.sqlite import statements
from tests.tables import look

NOW = 1_800_000_000_000
RUN = 77
IDS = Ids(lambda: NOW)


def message(
    id_: int, *, person: int = 0, parts: int = 1, repeat: int = 0, purpose: Purpose = Purpose.MARKETING
) -> Message:
    return Message(
        id_, 1, RUN, person or id_, purpose, "club", "us", "20655", f"+1206555{id_:04}", "UTC", f"text {id_}", parts,
        7900 * parts, 0, repeat,
    )  # fmt: skip


def go(waiting: Waiting, now: int) -> Go:
    return Go()


async def filled(store: Store, *messages: Message, due: int = NOW) -> tuple[int, int]:
    """A queue with these messages, owned; returns its id and epoch."""
    queue = await store.write(outbox.ensure_queue, IDS, 1, "us", Lane.BULK, run=RUN)
    await store.write(outbox.put, messages, queue, due)
    epoch = await store.write(outbox.take_over, brand=1, queue=queue, owner="me", now=NOW)
    return queue, epoch


async def claim(
    store: Store,
    queue: int,
    epoch: int,
    *,
    gate: outbox.Gate = go,
    now: int = NOW,
    parts: int = 100,
    messages: int = 100,
) -> Claim | None:
    return await store.write(
        outbox.claim, brand=1, queue=queue, epoch=epoch, now=now, messages=messages, parts=parts, gate=gate
    )


def taken(found: Claim | None) -> list[int]:
    assert found is not None
    return [flight.outbound.id for flight in found.flights]


@pytest.mark.engine("postgresql")
async def test_what_another_process_puts_in_while_a_claim_decides_waits_for_the_next(
    store: Store, store_place: str
) -> None:
    queue, epoch = await filled(store, message(2))
    other, loop = open_store(store_place), asyncio.get_running_loop()

    @beside
    async def put_earlier(tx: Tx) -> None:
        await outbox.put(tx, [message(1)], queue, NOW - 5)

    def slow_gate(waiting: Waiting, now: int) -> Go:
        asyncio.run_coroutine_threadsafe(other.write(put_earlier), loop).result(10)
        return Go()

    try:
        assert taken(await claim(store, queue, epoch, gate=slow_gate)) == [2]
        assert taken(await claim(store, queue, epoch)) == [1]
    finally:
        other.close()


async def test_what_is_put_into_several_queues_at_once_waits_as_if_put_into_each(store: Store) -> None:
    bulk, urgent = [
        await store.write(outbox.ensure_queue, IDS, 1, "us", lane, run=RUN) for lane in (Lane.BULK, Lane.URGENT)
    ]
    await store.write(outbox.put, [message(1)], bulk, NOW)
    fillings = [
        outbox.Filling(bulk, NOW, [message(2), message(3)]),
        outbox.Filling(urgent, NOW, [message(4)]),
        outbox.Filling(bulk, NOW + 1, [message(5)]),
    ]
    await store.write(outbox.put_all, fillings, ("submission_insert", [(RUN, 4, 1, 0, "order 7", "")]))
    await store.write(outbox.put_all, [])

    asked = "SELECT queue, due, id, brand_id, person, attempt, missing, crashes FROM outbox ORDER BY id"
    assert await store.read(look, asked) == [
        (queue, due, id_, 1, id_, 0, ALL_PARTS, 0)
        for queue, due, id_ in ((bulk, NOW, 1), (bulk, NOW, 2), (bulk, NOW, 3), (urgent, NOW, 4), (bulk, NOW + 1, 5))
    ]
    assert await store.read(look, "SELECT n FROM tally") == [(5,)]
    assert await store.read(look, "SELECT reference FROM submission") == [("order 7",)]
    with pytest.raises(ValueError, match="64 parts"):
        await store.write(outbox.put_all, [outbox.Filling(bulk, NOW, [message(6, parts=64)])])


def landing(*flights: Flight) -> Settlement:
    """A settlement in which these have landed."""
    settlement = Settlement()
    for flight in flights:
        flight.open = 0
        flight.claim.open -= 1
        settlement.claims[flight.claim.id] = flight.claim
    return settlement


def sent(flight: Flight, part: int = 0) -> tuple[object, ...]:
    """The event of a part that the carrier took."""
    waiting = flight.waiting
    return (1, RUN, waiting.id, part, waiting.parts, State.SENT, NOW, "", f"us:{waiting.id}.{part}")


async def settle(
    store: Store, settlement: Settlement, now: int = NOW, left: outbox.Left = outbox.nobody_left
) -> outbox.Settled:
    return await store.write(outbox.settle, settlement.cut(now), IDS, left)


async def flights(tx: Tx, queue: int) -> list[tuple[int, int]]:
    """Message and missing parts of what the disk says is on the way."""
    return [(row[0], row[3]) for row in await tx.rows("flight_left", queue=queue)]


async def again(tx: Tx, queue: int) -> list[tuple[int, int, int, int]]:
    """Message, attempt, missing parts and crashes of what waits in a queue."""
    sql = (
        "SELECT o.id, o.attempt, o.missing & ~(-1 << m.parts), o.crashes FROM outbox o JOIN message m ON m.id = o.id "
        "WHERE o.queue = ? ORDER BY o.due, o.id"
    )
    return await look(tx, sql, queue)


async def die(store: Store, queue: int) -> int:
    """The owner is gone; the next one takes over. Its epoch."""
    return await store.write(outbox.take_over, brand=1, queue=queue, owner="next", now=NOW)


async def events(tx: Tx) -> list[tuple[int, int, str]]:
    return [
        (message, state, code) for _, _, message, _, _, state, _, code, _ in await tx.rows("event_after", n=0, limit=99)
    ]


async def test_a_message_is_claimed_once(store: Store) -> None:
    queue, epoch = await filled(store, message(1), message(2))

    assert taken(await claim(store, queue, epoch)) == [1, 2]
    assert taken(await claim(store, queue, epoch)) == []


async def test_a_message_that_is_not_due_waits(store: Store) -> None:
    queue, epoch = await filled(store, message(1), due=NOW + 1)

    assert taken(await claim(store, queue, epoch)) == []
    assert taken(await claim(store, queue, epoch, now=NOW + 1)) == [1]


async def test_a_stop_that_arrives_while_queued_is_seen_by_the_gate_at_the_claim(store: Store) -> None:
    queue, epoch = await filled(store, message(1), message(2))

    async def stop(tx: Tx) -> None:
        await tx.run("stop_insert", person=1, brand=1, at=NOW, source="text")

    await store.write(stop)
    found = await claim(
        store, queue, epoch, gate=lambda waiting, now: Never("left") if waiting.stopped_at is not None else Go()
    )

    assert taken(found) == [2]
    assert await store.read(events) == [(1, State.REFUSED, "left")]


async def test_what_is_put_off_comes_back_when_it_is_due(store: Store) -> None:
    queue, epoch = await filled(store, message(1))

    assert taken(await claim(store, queue, epoch, gate=lambda waiting, now: Later(now + 5_000))) == []
    assert taken(await claim(store, queue, epoch, now=NOW + 4_999)) == []
    assert taken(await claim(store, queue, epoch, now=NOW + 5_000)) == [1]


async def test_a_gate_that_puts_off_to_the_past_does_not_spin(store: Store) -> None:
    queue, epoch = await filled(store, message(1))

    assert taken(await claim(store, queue, epoch, gate=lambda waiting, now: Later(0))) == []
    assert taken(await claim(store, queue, epoch)) == []


async def test_a_paused_queue_gives_nothing_and_keeps_everything(store: Store) -> None:
    queue, epoch = await filled(store, message(1))

    async def set_active(tx: Tx, active: int) -> None:
        await tx.run("queue_set_active", brand=1, run=RUN, active=active)

    await store.write(set_active, 0)
    assert taken(await claim(store, queue, epoch)) == []
    await store.write(set_active, 1)
    assert taken(await claim(store, queue, epoch)) == [1]


async def test_an_owner_of_an_older_epoch_gets_nothing(store: Store) -> None:
    queue, epoch = await filled(store, message(1))
    await store.write(outbox.take_over, brand=1, queue=queue, owner="other", now=NOW)

    assert await claim(store, queue, epoch) is None


async def test_parts_beyond_the_room_wait_but_a_message_longer_than_the_room_still_leaves(store: Store) -> None:
    queue, epoch = await filled(store, message(1, parts=2), message(2, parts=2), message(3, parts=9))

    assert taken(await claim(store, queue, epoch, parts=3)) == [1]
    assert taken(await claim(store, queue, epoch, parts=3)) == [2]
    assert taken(await claim(store, queue, epoch, parts=3)) == [3]


async def test_what_a_dead_owner_had_in_the_air_is_in_doubt_and_never_sent_again(store: Store) -> None:
    queue, epoch = await filled(store, message(1, parts=2), message(2))
    assert taken(await claim(store, queue, epoch, messages=1)) == [1]

    newer = await store.write(outbox.take_over, brand=1, queue=queue, owner="next", now=NOW)

    assert await store.read(events) == [(1, State.IN_DOUBT, "interrupted")] * 2
    assert taken(await claim(store, queue, newer)) == [2]


async def test_an_at_least_once_message_is_sent_again_and_marked_until_it_is_poison(store: Store) -> None:
    queue, epoch = await filled(store, message(1, repeat=1))
    for crash in range(outbox.POISON):
        found = await claim(store, queue, epoch)
        assert taken(found) == [1]
        assert found is not None
        assert found.flights[0].waiting.crashes == crash
        epoch = await store.write(outbox.take_over, brand=1, queue=queue, owner="next", now=NOW)

    assert taken(await claim(store, queue, epoch)) == []
    assert await store.read(events) == [(1, State.IN_DOUBT, outbox.SENT_AGAIN)] * 2 + [(1, State.IN_DOUBT, "poison")]
    await store.write(Journal(1).fold)
    assert await store.read(lambda tx: tx.rows("tally_of_run", run=RUN)) == [(State.IN_DOUBT, "poison", 1)]


async def test_a_cap_is_charged_at_the_claim_and_given_back_on_a_sure_failure(store: Store) -> None:
    queue, epoch = await filled(store, message(1, person=9))
    found = await claim(store, queue, epoch, gate=lambda waiting, now: Go(now.to_bytes(8, "little")))
    assert found is not None
    assert found.flights[0].charged_at

    async def reached(tx: Tx) -> bytes:
        ((_, _, times),) = await tx.rows("reach_among", people=[9])
        return bytes(times)

    assert await store.read(reached) == NOW.to_bytes(8, "little")
    settlement = landing(*found.flights)
    settlement.uncharge.append((epoch, queue, (9, "club", 1, found.flights[0].charged_at)))
    await settle(store, settlement)
    assert await store.read(reached) == b""


async def test_two_texts_to_one_person_are_never_counted_as_if_they_were_the_first(store: Store) -> None:
    # given a cap of one, and texts to one person that wait side by side, as programs may bring them
    queue, epoch = await filled(store, *(message(n, person=9) for n in range(1, 4)), message(4, person=8))

    def once(waiting: Waiting, now: int) -> Go | Later:
        return Later(now + 1) if waiting.reached else Go(now.to_bytes(8, "little"))

    gone = [taken(await claim(store, queue, epoch, gate=once)) for _ in range(4)]

    assert sorted(chain.from_iterable(gone)) == [1, 4]


class Kinds:
    """A gate that knows of caps and stops, and asks nothing about a person's name or words; or each, if told so."""

    def __init__(self, *, judges_kinds: bool) -> None:
        self.judges_kinds = judges_kinds
        self.asked = 0

    def __call__(self, waiting: Waiting, now: int) -> Go | Later | Never:
        self.asked += 1
        if waiting.stopped_at is not None:
            return Never("left")
        if waiting.reached:
            return Later(now + 7)
        return Go(now.to_bytes(8, "little"), now + (100 if waiting.zone == "UTC" else 200))


CROWDS: dict[str, tuple[Message, ...]] = {
    "alike": (),
    "another programme": (message(20)._replace(program="news"),),
    "another zone": (message(20)._replace(zone="Asia/Tokyo"),),
    "a long one": (message(20, parts=3),),
    "a person twice": (message(20, person=5),),
    "somebody who left": (message(20, person=77),),
    "somebody who was reached": (message(20, person=88),),
}


class Undone(Exception):
    """Carries what was seen out of a transaction that is to leave nothing behind."""


@pytest.mark.parametrize("parts", [100, 16])
@pytest.mark.parametrize("odd", CROWDS)
async def test_of_messages_that_are_alike_a_claim_takes_those_that_it_takes_when_it_asks_about_each(
    store: Store, odd: str, parts: int
) -> None:
    crowd = *(message(n) for n in range(1, 20)), *CROWDS[odd], *(message(n) for n in range(21, 40))
    queue, epoch = await filled(store, *(each._replace(text=f'"{each.id}" \\ 好') for each in crowd))
    await store.write(lambda tx: tx.run("stop_insert", person=77, brand=1, at=1, source="text"))
    await store.write(lambda tx: tx.many("reach_put", [(88, "club", 1, b"\1" * 8)]))
    gates = Kinds(judges_kinds=True), Kinds(judges_kinds=False)
    seen = []

    async def claim_and_undo(tx: Tx, gate: outbox.Gate) -> None:
        found = await outbox.claim(tx, brand=1, queue=queue, epoch=epoch, now=NOW, messages=100, parts=parts, gate=gate)
        assert found is not None
        flights = [
            (each.waiting, each.outbound, each.size, each.charged_at, each.open, each.claim is found)
            for each in found.flights
        ]
        tables = [
            sorted(await look(tx, asked))
            for asked in ("SELECT messages FROM flight", "SELECT person, program, times FROM reach",
                          "SELECT queue, due, id, person FROM outbox", "SELECT message, state, code FROM event")
        ]  # fmt: skip
        raise Undone(flights, tables, found.looked, found.is_more, found.open)

    for gate in gates:
        with pytest.raises(Undone) as undone:
            await store.write(claim_and_undo, gate)
        seen.append(undone.value.args)

    assert seen[0] == seen[1]
    assert (gates[0].asked == 1) is (odd == "alike" or parts == 16)  # the odd one stands behind those that fit


async def test_many_messages_are_kept_as_they_are_whatever_most_have_in_common(store: Store) -> None:
    crowd = [message(n)._replace(text=f"{n}, Zoë", zone="UTC" if n % 400 else "Asia/Tokyo") for n in range(1, 1_101)]
    await filled(store, *crowd)

    columns = ", ".join(name for name in Message._fields)
    assert await store.read(look, f"SELECT {columns} FROM message ORDER BY id") == [tuple(each) for each in crowd]


async def test_many_who_are_reached_for_the_first_time_are_each_charged(store: Store) -> None:
    queue, epoch = await filled(store, *(message(n, person=n) for n in range(1, 40)))
    await claim(store, queue, epoch, messages=50, parts=50, gate=lambda waiting, now: Go(now.to_bytes(8, "little")))

    rows = await store.read(lambda tx: tx.rows("reach_among", people=[*range(50)]))
    assert sorted(rows) == [(n, "club", NOW.to_bytes(8, "little")) for n in range(1, 40)]


@given(st.sampled_from(list(Retry)), st.integers(0, 10), st.integers())
def test_pauses_grow_within_bounds_and_end(retry: Retry, attempt: int, seed: int) -> None:
    pause = outbox.pause_s(Failure("x", "x", retry), attempt, random.Random(seed))

    if retry is Retry.NEVER or (retry is Retry.ONCE and attempt >= 1) or (retry is Retry.LATER and attempt >= 4):
        assert pause is None
    else:
        assert pause is not None
        assert 0 < pause <= outbox.LONGEST_PAUSE_S


@pytest.mark.parametrize(("missing", "parts", "expected"), [(-1, 3, [0, 1, 2]), (0b101, 3, [0, 2]), (0, 3, [])])
def test_missing_parts_are_read_from_their_bits(missing: int, parts: int, expected: list[int]) -> None:
    assert list(outbox.parts_of(missing, parts)) == expected


async def test_a_text_of_more_parts_than_can_be_accounted_for_is_not_kept_and_the_longest_that_can_is_folded(
    store: Store,
) -> None:
    with pytest.raises(ValueError, match="64 parts: 63 are the most"):
        await filled(store, message(1, parts=64))
    queue, epoch = await filled(store, message(2, parts=63))
    found = await claim(store, queue, epoch, parts=63)
    assert taken(found) == [2]
    answered: list[tuple[object, ...]] = [(1, RUN, 2, part, 63, State.DELIVERED, NOW, "", "") for part in range(63)]
    assert found is not None
    settlement = landing(*found.flights)
    settlement.events += answered
    settlement.again.append((epoch, (queue, NOW, 2, 1, 2, 0, 1 << 62, 0)))
    await settle(store, settlement)
    await store.write(Journal(1).fold)

    assert await store.read(lambda tx: tx.rows("tally_of_run", run=RUN)) == [(State.DELIVERED, "", 1)]


async def test_what_is_sent_again_in_doubt_is_no_answer_to_what_is_on_the_way(store: Store) -> None:
    queue, epoch = await filled(store, message(1, parts=2, repeat=1))
    found = await claim(store, queue, epoch)
    assert found is not None
    [flight] = found.flights
    doubt = (*sent(flight, 0)[:5], State.IN_DOUBT, NOW, outbox.SENT_AGAIN, "")  # part 0; part 1 is open still
    await settle(store, Settlement(events=[doubt]))

    await die(store, queue)

    assert await store.read(again, queue) == [(1, 0, 0b11, 1)]


async def test_an_answer_to_a_message_of_an_earlier_process_is_recorded_and_names_its_part(store: Store) -> None:
    queue, _, _ = await claimed(store, message(1, parts=2))
    await die(store, queue)
    late = [outbox.Late(1, 1, 1, "us:c1", NOW + 5), outbox.Late(1, 4711, 0, "us:of nobody", NOW)]

    found = await settle(store, Settlement(late=late))

    assert found.late == [("us:c1", RUN, 1, 1, 2)]
    assert (await store.read(events))[2:] == [(1, State.SENT, "")]


# --- one row a claim -------------------------------------------------------------------------------------------------


async def claimed(store: Store, *messages: Message) -> tuple[int, int, list[Flight]]:
    queue, epoch = await filled(store, *messages)
    found = await claim(store, queue, epoch)
    assert found is not None
    return queue, epoch, found.flights


async def test_a_claim_is_one_row_that_is_there_until_the_last_of_its_messages_has_landed(store: Store) -> None:
    _, _, (first, second, third) = await claimed(store, message(1), message(2), message(3))
    rows = "SELECT count(*) FROM flight"

    for flight, left in ((first, 1), (third, 1), (second, 0)):
        settlement = landing(flight)
        settlement.events.append(sent(flight))
        await settle(store, settlement)
        assert await store.read(lambda tx: _value(tx, rows)) == left


async def _value(tx: Tx, sql: str) -> object:
    return (await look(tx, sql))[0][0]


@pytest.mark.parametrize("repeat", [0, 1])
@pytest.mark.parametrize("settled", [0, 1, 2, 3])
async def test_after_a_crash_what_was_answered_and_settled_is_neither_in_doubt_nor_sent_again(
    store: Store, repeat: int, settled: int
) -> None:
    queue, _, flying = await claimed(store, *(message(n, repeat=repeat) for n in (1, 2, 3)))
    for flight in flying[:settled]:
        settlement = landing(flight)
        settlement.events.append(sent(flight))
        await settle(store, settlement)

    await die(store, queue)

    taken_by_carrier = [(n, State.SENT, "") for n in range(1, settled + 1)]
    silent = range(settled + 1, 4)
    doubts = [(n, State.IN_DOUBT, outbox.SENT_AGAIN if repeat else "interrupted") for n in silent]
    assert await store.read(events) == taken_by_carrier + doubts
    assert await store.read(again, queue) == ([(n, 0, 1, 1) for n in silent] if repeat else [])
    assert await store.read(flights, queue) == []


@pytest.mark.parametrize("repeat", [0, 1])
async def test_after_a_crash_only_the_parts_without_an_answer_are_in_doubt_or_sent_again(
    store: Store, repeat: int
) -> None:
    queue, _, [flight] = await claimed(store, message(1, parts=3, repeat=repeat))
    await settle(store, Settlement(events=[sent(flight, 1)]))

    await die(store, queue)

    doubts = [(1, State.IN_DOUBT, outbox.SENT_AGAIN if repeat else "interrupted")] * 2
    assert await store.read(events) == [(1, State.SENT, ""), *doubts]
    assert await store.read(again, queue) == ([(1, 0, 0b101, 1)] if repeat else [])


async def test_what_landed_otherwise_than_by_being_taken_is_out_of_the_row_at_once(store: Store) -> None:
    queue, epoch, (first, second) = await claimed(store, message(1), message(2))
    first.claim.is_changed = True
    settlement = landing(first)
    settlement.again.append((epoch, (queue, NOW + 9, 1, 1, 1, 1, ALL_PARTS, 0)))
    await settle(store, settlement)

    assert await store.read(flights, queue) == [(2, 1)]
    assert not first.claim.is_changed
    await die(store, queue)
    assert await store.read(again, queue) == [(1, 1, 1, 0)]
    assert await store.read(events) == [(2, State.IN_DOUBT, "interrupted")]
    assert second.open


async def test_a_row_that_is_open_for_long_is_written_anew_with_what_is_open_and_forgets_nothing(store: Store) -> None:
    queue, _, (first, second) = await claimed(store, message(1), message(2, parts=2, repeat=1))
    second.open &= ~1
    settlement = landing(first)
    settlement.events += [sent(first), sent(second, 0)]
    await settle(store, settlement, NOW + LONG_MS + 1)

    assert await store.read(flights, queue) == [(2, 0b10)]
    since = await store.read(lambda tx: _value(tx, "SELECT since FROM flight"))
    assert since == await store.read(lambda tx: tx.value("event_last"))
    await die(store, queue)
    assert await store.read(again, queue) == [(2, 0, 0b10, 1)]


async def test_a_part_that_waits_to_be_tried_again_is_still_known_when_the_row_is_written_anew(store: Store) -> None:
    queue, _, (first, second) = await claimed(store, message(1), message(2, parts=2, repeat=1))
    second.open &= ~1  # part 0 was refused for now, and goes again when part 1 is answered
    second.again |= 1
    settlement = landing(first)
    settlement.events.append(sent(first))
    await settle(store, settlement, NOW + LONG_MS + 1)

    await die(store, queue)

    assert await store.read(again, queue) == [(2, 0, 0b11, 1)]


async def test_a_message_that_goes_again_after_some_parts_were_taken_never_takes_those_with_it(store: Store) -> None:
    queue, epoch, [flight] = await claimed(store, message(1, parts=3, repeat=1))
    flight.claim.is_changed = True
    settlement = landing(flight)
    settlement.events += [sent(flight, 0), sent(flight, 2)]
    settlement.again.append((epoch, (queue, NOW, 1, 1, 1, 1, 0b010, 0)))
    await settle(store, settlement)
    found = await claim(store, queue, epoch)
    assert found is not None
    assert [flight.outbound.missing for flight in found.flights] == [0b010]

    # The answers to the first attempt stand before this claim: they say nothing of it.
    await die(store, queue)

    assert await store.read(again, queue) == [(1, 1, 0b010, 1)]


async def test_a_receipt_that_is_on_disk_before_its_answer_says_that_the_part_was_taken(store: Store) -> None:
    queue, _, [flight] = await claimed(store, message(1, repeat=1))
    receipt = (*sent(flight)[:5], State.DELIVERED, NOW, "", "")
    await store.write(lambda tx: tx.many("event_insert", [receipt]))

    await die(store, queue)

    assert await store.read(again, queue) == []
    assert await store.read(events) == [(1, State.DELIVERED, "")]


async def test_what_a_settlement_could_not_commit_is_as_if_it_had_not_been(store: Store) -> None:
    queue, epoch, (first, second) = await claimed(store, message(1), message(2, repeat=1))
    first.claim.is_changed = True
    settlement = landing(first)
    settlement.events.append(sent(first))
    settlement.again.append((epoch, (queue, NOW, 1, 1, 1, 1, ALL_PARTS, 0)))
    settlement.moved.append((epoch, queue, "eu", RUN, (NOW, 2, 1, 2, 1, ALL_PARTS, 0)))
    settlement.cut(NOW)

    async def interrupted(tx: Tx) -> None:
        await outbox.settle(tx, settlement, IDS)
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        await store.write(interrupted)
    assert await store.read(events) == []
    assert [row[0] for row in await store.read(flights, queue)] == [1, 2]
    assert len(await store.read(lambda tx: tx.rows("queue_list", brand=1))) == 1

    await store.write(outbox.settle, settlement, IDS)
    assert await store.read(events) == [(1, State.SENT, "")]
    assert [row[0] for row in await store.read(flights, queue)] == [2]
    assert second.open


# --- another channel -------------------------------------------------------------------------------------------------


async def test_what_moves_to_another_channel_is_in_one_place_whenever_the_process_dies(store: Store) -> None:
    queue, epoch, [flight] = await claimed(store, message(1))
    flight.claim.is_changed = True
    settlement = landing(flight)
    settlement.moved.append((epoch, queue, "eu", RUN, (NOW, 1, 1, 1, 1, ALL_PARTS, 0)))
    [other] = (await settle(store, settlement)).moved

    assert other != queue
    await die(store, queue)
    await die(store, other)
    assert await store.read(again, queue) == []
    assert await store.read(again, other) == [(1, 1, 1, 0)]
    assert await store.read(events) == []


async def test_what_the_next_owner_decided_about_is_not_moved_as_well(store: Store) -> None:
    queue, epoch, [flight] = await claimed(store, message(1, repeat=1))
    await die(store, queue)
    settlement = landing(flight)
    settlement.moved.append((epoch, queue, "eu", RUN, (NOW, 1, 1, 1, 1, ALL_PARTS, 0)))
    settlement.again.append((epoch, (queue, NOW, 1, 1, 1, 1, ALL_PARTS, 0)))

    assert (await settle(store, settlement)).moved == []
    assert await store.read(again, queue) == [(1, 0, 1, 1)]
    assert len(await store.read(lambda tx: tx.rows("queue_list", brand=1))) == 1


async def test_what_moves_while_its_run_is_paused_waits_in_the_new_queue_too(store: Store) -> None:
    queue, epoch, [flight] = await claimed(store, message(1))

    async def pause(tx: Tx) -> None:
        await tx.run("queue_set_active", brand=1, run=RUN, active=0)

    await store.write(pause)
    settlement = landing(flight)
    settlement.moved.append((epoch, queue, "eu", RUN, (NOW, 1, 1, 1, 1, ALL_PARTS, 0)))
    [other] = (await settle(store, settlement)).moved

    assert taken(await claim(store, other, await die(store, other))) == []


async def test_a_queue_that_was_lost_takes_no_charge_of_another_with_it(store: Store) -> None:
    queue, epoch, [flight] = await claimed(store, message(1, person=9))
    await store.write(lambda tx: tx.many("reach_put", [(9, "club", 1, NOW.to_bytes(8, "little"))]))
    settlement = landing(flight)
    settlement.owned.add((4711, 1))  # another queue, which is no longer ours
    settlement.uncharge.append((epoch, queue, (9, "club", 1, NOW)))
    await settle(store, settlement)

    assert await store.read(lambda tx: tx.rows("reach_among", people=[9])) == [(9, "club", b"")]


# --- who has left by what the carrier says ---------------------------------------------------------------------------


async def test_who_left_by_the_carriers_word_is_told_in_the_transaction_of_the_answer(store: Store) -> None:
    _, _, [flight] = await claimed(store, message(1, person=9))
    told: list[tuple[int, str, int]] = []

    async def left(tx: Tx, person: int, why: str, at: int) -> None:
        told.append((person, why, at))
        await tx.run("stop_insert", person=person, brand=1, at=at, source=why)

    settlement = landing(flight)
    settlement.events.append((*sent(flight)[:5], State.FAILED, NOW, "21610", ""))
    settlement.left.append((9, "us: they have left", NOW))
    settlement.cut(NOW)

    async def interrupted(tx: Tx) -> None:
        await outbox.settle(tx, settlement, IDS, left)
        raise OSError("the disk is full")

    async def stops(tx: Tx) -> list[tuple[int, int]]:
        return await look(tx, "SELECT person, at FROM stop")

    with pytest.raises(OSError, match="full"):
        await store.write(interrupted)
    assert (await store.read(stops), await store.read(events)) == ([], [])
    await store.write(outbox.settle, settlement, IDS, left)

    assert await store.read(stops) == [(9, NOW)]
    assert await store.read(events) == [(1, State.FAILED, "21610")]
    assert told == [(9, "us: they have left", NOW)] * 2  # once for each try, and one of them was undone


async def test_one_person_whose_leaving_cannot_be_noted_does_not_keep_any_answer_from_being_recorded(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    _, _, [flight] = await claimed(store, message(1, person=9))

    async def left(tx: Tx, person: int, why: str, at: int) -> None:
        raise LookupError(f"nobody has the number {person}")

    settlement = landing(flight)
    settlement.events.append(sent(flight))
    settlement.left.append((9, "us: they have left", NOW))
    await settle(store, settlement, left=left)

    assert await store.read(events) == [(1, State.SENT, "")]
    assert "nobody has the number 9" in caplog.text


# --- a stand-in ------------------------------------------------------------------------------------------------------


async def test_a_channel_that_stands_in_sends_from_its_own_number_and_leaves_what_it_has_none_for(store: Store) -> None:
    queue, epoch = await filled(store, message(1), message(2)._replace(sender="Lantern"))

    async def stand_in(now: int) -> Claim | None:
        return await store.write(
            outbox.claim, brand=1, queue=queue, epoch=epoch, now=now, messages=9, parts=9, gate=go,
            sender_of=lambda number, _: {"20655": "30655"}.get(number, ""),
        )  # fmt: skip

    found = await stand_in(NOW)
    assert found is not None
    assert [(flight.outbound.id, flight.outbound.sender) for flight in found.flights] == [(1, "30655")]
    assert taken(await claim(store, queue, epoch, now=NOW + outbox.ELSEWHERE_MS - 1)) == []
    assert taken(await claim(store, queue, epoch, now=NOW + outbox.ELSEWHERE_MS)) == [2]


PICTURE = Content(("https://shop.example/latte.jpg",))


async def with_contents(store: Store, **contents: Content) -> tuple[int, int]:
    """A queue with two plain messages and between them these, by their numbers: `_2`."""

    async def fill(tx: Tx) -> None:
        await tx.many("message_content_set", [(each.written(), int(name[1:])) for name, each in contents.items()])

    more = [message(int(name[1:]), repeat=outbox.MORE) for name in contents]
    queue, epoch = await filled(store, message(1), *more, message(9))
    await store.write(fill)
    return queue, epoch


async def test_what_a_message_is_beyond_its_letters_comes_out_as_it_went_in_and_plain_ones_have_nothing(
    store: Store,
) -> None:
    flash, octets = Content(message_class=0), Content(octets=b"\0\xff", header=b"\5\4\x0b\x84\x23\xf0")
    queue, epoch = await with_contents(store, _2=PICTURE, _3=flash, _4=octets)
    found = await claim(store, queue, epoch)
    assert found is not None
    assert [flight.outbound.content for flight in found.flights] == [None, PICTURE, flash, octets, None]


async def test_what_was_blanked_never_leaves_and_holds_nothing_up(store: Store) -> None:
    queue, epoch = await with_contents(store, _2=PICTURE, _3=Content(message_class=0))
    await store.write(lambda tx: tx.many("message_content_set", [(None, 2)]))
    assert taken(await claim(store, queue, epoch)) == [1, 3, 9]
    assert await store.read(events) == [(2, State.REFUSED, outbox.BLANKED)]


async def test_of_many_that_are_alike_an_empty_one_never_leaves(store: Store) -> None:
    queue, epoch = await filled(store, *(message(n)._replace(text="" if n == 5 else f"text {n}") for n in range(1, 21)))
    assert taken(await claim(store, queue, epoch, gate=Kinds(judges_kinds=True))) == [n for n in range(1, 21) if n != 5]
    assert await store.read(events) == [(5, State.REFUSED, outbox.BLANKED)]


async def test_what_waits_cannot_be_blanked_and_what_has_left_can(store: Store) -> None:
    queue, epoch = await with_contents(store, _2=PICTURE)

    async def blank(tx: Tx) -> int:
        return await tx.run("twilio_blank_sent", message=2, client=RUN)

    assert await store.write(blank) == 0
    await claim(store, queue, epoch)
    assert await store.write(blank) == 1
    await store.write(outbox.take_over, brand=1, queue=queue, owner="another", now=NOW)
    assert taken(await claim(store, queue, epoch + 1)) == []


async def test_a_stand_in_that_cannot_carry_it_leaves_it_waiting_and_takes_the_others(store: Store) -> None:
    queue, epoch = await with_contents(store, _2=PICTURE)
    found = await store.write(
        outbox.claim, brand=1, queue=queue, epoch=epoch, now=NOW, messages=9, parts=9, gate=go,
        sender_of=lambda number, content: "" if content else number,
    )  # fmt: skip
    assert taken(found) == [1, 9]
    assert taken(await claim(store, queue, epoch, now=NOW + outbox.ELSEWHERE_MS)) == [2]


@pytest.mark.parametrize(("repeat", "waits"), [(0, False), (outbox.AGAIN, True)])
async def test_content_does_not_make_a_message_that_is_sent_at_most_once_go_again_after_a_crash(
    store: Store, repeat: int, waits: bool
) -> None:
    queue, epoch = await filled(store, message(1, repeat=repeat | outbox.MORE))
    await store.write(lambda tx: tx.many("message_content_set", [(PICTURE.written(), 1)]))
    await claim(store, queue, epoch)

    epoch = await store.write(outbox.take_over, brand=1, queue=queue, owner="another", now=NOW)

    again = await claim(store, queue, epoch)
    assert again is not None
    assert [flight.outbound.content for flight in again.flights] == ([PICTURE] if waits else [])


@pytest.mark.parametrize(("until", "valid", "expected"), [(0, 0, 0), (5, 0, 5), (0, 7, 7), (5, 7, 5), (9, 7, 7)])
async def test_the_carrier_is_told_the_end_of_the_hours_or_of_the_message_whichever_is_sooner(
    store: Store, until: int, valid: int, expected: int
) -> None:
    queue, epoch = await filled(store, message(1)._replace(valid_until=valid))
    found = await claim(store, queue, epoch, gate=lambda waiting, now: Go(until=until))
    assert found is not None

    assert found.flights[0].outbound.valid_until == expected


# --- a store of the first schema -------------------------------------------------------------------------------------


def first_schema(path: Path, rows: Sequence[tuple[int, int, int, int]]) -> None:
    """A store as the first version left it when it died, with these on the way: message, parts, repeat, missing."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE migration (number INTEGER PRIMARY KEY) STRICT")
    for statement in statements((queries.FOLDER / "migrations" / "0001.sqlite.sql").read_text()):
        connection.execute(statement)
    connection.execute("INSERT INTO migration VALUES (1)")
    connection.execute("INSERT INTO queue VALUES (5, 1, 'us', 'bulk', 77, 0, 1, 0, 'me', 3, 0)")
    connection.execute("INSERT INTO queue VALUES (6, 1, 'us', 'bulk', 78, 0, 1, 0, 'me', 2, 0)")
    for id_, parts, repeat, missing in rows:
        values = (*message(id_, parts=parts, repeat=repeat),)
        connection.execute(f"INSERT INTO message VALUES ({', '.join('?' * len(values))})", values)
        connection.execute("INSERT INTO flight VALUES (5, ?, 1, ?, 0, ?, 0, 3, ?)", (id_, id_, missing, NOW))
    connection.close()


async def test_what_the_first_version_had_on_the_way_is_decided_by_this_one(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    first_schema(path, [(1, 1, 0, -1), (2, 2, 0, 0b10), (3, 1, 1, -1), (4, 3, 1, 0b101)])
    store = open_store(path)
    try:
        assert await store.read(flights, 5) == [(1, -1), (2, 0b10), (3, -1), (4, 0b101)]
        await die(store, 5)
        doubts = {(1, "interrupted"): 1, (2, "interrupted"): 1, (3, outbox.SENT_AGAIN): 1, (4, outbox.SENT_AGAIN): 2}
        assert Counter((id_, code) for id_, _, code in await store.read(events)) == doubts
        assert await store.read(again, 5) == [(3, 0, 1, 1), (4, 0, 0b101, 1)]
        assert await store.read(flights, 5) == []
    finally:
        store.close()
    open_store(path).close()  # and is not brought up to date again


async def test_a_store_of_the_first_version_with_nothing_on_the_way_opens_too(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    first_schema(path, [])
    store = open_store(path)
    try:
        assert await store.read(lambda tx: _value(tx, "SELECT count(*) FROM flight")) == 0
    finally:
        store.close()


def test_a_claim_that_has_landed_is_freed_without_waiting_for_the_collector() -> None:
    claim = Claim(5, 1, NOW)
    claim.flights.append(
        Flight(
            claim,
            Waiting(NOW, 1, 1, 0, ALL_PARTS, 0, RUN, "", "", "", "", "", "", 1, 0, 0, None, None),
            Outbound(1, 0, "", "", ""),
            1,
            0,
        )
    )
    settlement = Settlement(claims={7: claim})
    flight = weakref.ref(claim.flights[0])
    gc.disable()
    try:
        settlement.cut(NOW)
        del claim
        assert flight() is None
    finally:
        gc.enable()


@given(queues=st.sets(st.integers(1, (1 << 63) - 1), max_size=120))
def test_others_hear_in_which_queues_something_waits_in_few_octets(queues: set[int]) -> None:
    topic = outbox.work_in(queues)
    assert len(topic) < 8_000  # PostgreSQL, NOTIFY
    assert outbox.queues_of(topic) in (None, sorted(queues), [*queues])
    assert outbox.queues_of("") is None
    assert outbox.queues_of("notices") == []
