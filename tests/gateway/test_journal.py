"""Answers and receipts in any order, any number of times, come to one result: in the states, in the sums, after any crash."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import journal as journals
from gateway.errors import StoreError
from gateway.ids import Ids
from gateway.journal import DOUBT_REST_MS, PARKED_MS, Arrived, Journal, Leg, Recalled, ref_of
from gateway.messages import ALL_PARTS, Purpose, Receipt, State
from gateway.outbox import MOST_PARTS, Message, put
from gateway.store import Store, Tx, open_store

NOW = 1_800_000_000_000
RUN, QUEUE = 77, 5
SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


# --- the fold --------------------------------------------------------------------------------------------------------


@dataclass
class Merged:
    """What the events of one message come to, told plainly. Every field only grows, so any order gives the same."""

    parts: int
    sent: int = 0
    delivered: int = 0
    worst: tuple[int, str] = (State.QUEUED, "")

    def add(self, part: int, state: State, code: str) -> None:
        """Take in one event; part -1 is the whole message."""
        bits = self.every if part < 0 else 1 << part
        if state in {State.SENT, State.DELIVERED}:
            self.sent |= bits
            self.delivered |= bits if state == State.DELIVERED else 0
        else:
            self.worst = max(self.worst, (state, code))

    @property
    def every(self) -> int:
        return (1 << self.parts) - 1

    @property
    def stands(self) -> tuple[State, str]:
        """The state, and the reason by which the sums are grouped."""
        worst, code = self.worst
        if self.delivered == self.every:
            return State.DELIVERED, ""
        if self.sent == self.every and worst < State.SENT:
            return State.SENT, ""
        return State(worst), code


Event = tuple[int, State, str]  # part, state, code
STATES = st.sampled_from([state for state in State if state != State.QUEUED])
CODES = st.sampled_from(["", "a", "b", "0x0B RINVDSTADR", "é", "no answer"])


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[int], list[tuple[int, Event]]]:
    """The parts of some messages, and what happened to them: (message, event), in one order with repeats."""
    parts = draw(st.lists(st.one_of(st.integers(1, 4), st.sampled_from([1, MOST_PARTS])), min_size=1, max_size=5))
    happened: list[tuple[int, Event]] = []
    for message, count in enumerate(parts):
        part = st.one_of(st.integers(-1, count - 1), st.just(count - 1))
        if draw(st.booleans()):  # all parts meet one fate, or hardly any long text would ever be whole
            state = draw(STATES)
            happened += [(message, (each, state, "")) for each in range(count)]
        happened += [(message, one) for one in draw(st.lists(st.tuples(part, STATES, CODES), max_size=8))]
    if happened:
        happened += draw(st.lists(st.sampled_from(happened), max_size=10))
    return parts, draw(st.permutations(happened))


@given(histories(), st.data())
@SLOW
def test_events_in_any_batches_and_order_with_any_repeats_come_to_one_state_and_the_sums_to_a_recount(
    tmp_path_factory: pytest.TempPathFactory, history: tuple[list[int], list[tuple[int, Event]]], data: st.DataObject
) -> None:
    parts, happened = history
    expected = [Merged(count) for count in parts]
    rows = []
    for message, (part, state, code) in happened:
        expected[message].add(part, state, code)
        rows.append((1, RUN, message + 1, part, parts[message], state, NOW, code, ""))

    async def play(store: Store) -> None:
        journal = await waiting(store, *(message(n + 1, parts=count) for n, count in enumerate(parts)))
        written = 0
        while written < len(rows):
            size = data.draw(st.integers(1, len(rows)))
            await store.write(append, *rows[written : written + size])
            written += size
            journals.FOLD_EVENTS = data.draw(st.integers(1, 20))
            await store.write(journal.fold, NOW)
            assert await store.read(sums) == await store.read(recount, len(parts))
        await fold(store, journal)
        stands = {each: row for each, *row in await store.read(states)}
        for number, merged in enumerate(expected, 1):
            sent, delivered, state, code = stands.get(number, [0, 0, State.QUEUED, ""])
            assert (sent, delivered, state) == (merged.sent, merged.delivered, merged.stands[0])
            assert code == merged.worst[1]
        assert await store.read(sums) == Counter(merged.stands for merged in expected)
        await fold(store, journal)
        assert await store.read(sums) == Counter(merged.stands for merged in expected)

    before = journals.FOLD_EVENTS
    try:
        with_store(tmp_path_factory, play)
    finally:
        journals.FOLD_EVENTS = before


def with_store(tmp: pytest.TempPathFactory, play: Callable[[Store], Coroutine[Any, Any, None]]) -> None:
    """Play on a new store in a loop of its own: for property tests."""

    async def opened() -> None:
        store = open_store(tmp.mktemp("journal") / "carillon.db")
        try:
            await play(store)
        finally:
            store.close()

    asyncio.run(opened())


async def states(tx: Tx) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in tx._execute("SELECT message, sent, delivered, state, code FROM state")]


async def sums(tx: Tx) -> Counter[tuple[State, str]]:
    return Counter({(State(state), reason): n for state, reason, n in await tx.rows("tally_of_run", run=RUN)})


async def recount(tx: Tx, messages: int) -> Counter[tuple[State, str]]:
    """The sums as they follow from the states."""
    found: Counter[tuple[State, str]] = Counter()
    for _, _, _, state, code, worst in tx._execute("SELECT message, sent, delivered, state, code, worst FROM state"):
        found[State(state), code if state == worst else ""] += 1
    found[State.QUEUED, ""] += messages - found.total()
    return +found


@pytest.mark.parametrize(
    ("parts", "events", "expected"),
    [
        (3, [(0, State.DELIVERED, ""), (1, State.DELIVERED, "")], (State.QUEUED, "")),
        (3, [(0, State.DELIVERED, ""), (2, State.FAILED, "smpp:11")], (State.FAILED, "smpp:11")),
        (3, [(0, State.DELIVERED, ""), (1, State.DELIVERED, ""), (2, State.SENT, "")], (State.SENT, "")),
        (2, [(-1, State.DELIVERED, "")], (State.DELIVERED, "")),
        (1, [(0, State.FAILED, "x"), (0, State.DELIVERED, "")], (State.DELIVERED, "")),
        (1, [(0, State.DELIVERED, ""), (-1, State.UNKNOWN, "no receipt")], (State.DELIVERED, "")),
        (1, [(0, State.SENT, ""), (0, State.IN_DOUBT, "no answer")], (State.SENT, "")),
        (63, [(part, State.SENT, "") for part in range(63)], (State.SENT, "")),
    ],
)  # fmt: skip
async def test_delivered_means_every_part_failed_means_any_and_a_late_receipt_corrects(
    store: Store, parts: int, events: list[Event], expected: tuple[State, str]
) -> None:
    journal = await waiting(store, message(1, parts=parts))
    await store.write(append, *((1, RUN, 1, part, parts, state, NOW, code, "") for part, state, code in events))
    await fold(store, journal)

    assert await store.read(sums) == {expected: 1}


# --- with the real store


def message(id_: int, *, parts: int = 1, address: str = "+12065550142") -> Message:
    return Message(
        id_, 1, RUN, 9, Purpose.MARKETING, "club", "us", "20655", address, "UTC", "hello", parts, 7900 * parts
    )


async def waiting(store: Store, *messages: Message) -> Journal:
    await store.write(put, messages, QUEUE, NOW)
    return Journal(1)


async def append(tx: Tx, *rows: tuple[object, ...]) -> None:
    await tx.many("event_insert", rows)


def answered(id_: int, carrier_id: str, *, part: int = 0, parts: int = 1) -> tuple[object, ...]:
    return (1, RUN, id_, part, parts, State.SENT, NOW, "", ref_of("us", carrier_id))


def receipt(*ids: str, state: State = State.DELIVERED, recipient: str = "+12065550142") -> Receipt:
    return Receipt(ids, state, "", "20655", recipient)


async def tally(tx: Tx) -> dict[State, int]:
    return {State(state): n for state, _, n in await tx.rows("tally_of_run", run=RUN)}


async def fold(store: Store, journal: Journal, now: int = NOW) -> None:
    while (await store.write(journal.fold, now)).more:
        pass


async def unpark(store: Store, journal: Journal, now: int = NOW) -> None:
    """As the engine does it: fold, match what is parked, fold what came of that."""
    await fold(store, journal, now)
    await journal.unpark(store, now)
    await fold(store, journal, now)


async def record(store: Store, journal: Journal, receipts: Sequence[Receipt], now: int = NOW) -> None:
    """As the inbox does it: match, keep, and then remember that it is kept."""
    arrived = journal.match("us", list(receipts), now)
    parked = await store.write(journal.record, arrived)
    journal.forget(arrived.delivered)
    journal.park(parked)


async def answer(store: Store, journal: Journal, *rows: tuple[object, ...]) -> None:
    """As the dispatcher does it: learn at once, write down a moment later."""
    for _, run, message, part, parts, _, _, _, ref in rows:
        journal.learn(str(ref), leg(message, part, parts, run))
    await store.write(append, *rows)


def leg(message: Any, part: Any = 0, parts: Any = 1, run: Any = RUN) -> Leg:
    return run, message, part, parts


async def restarted(store: Store) -> Journal:
    """The process died; the next one reads back what it needs."""
    journal = Journal(1)
    journal.remember(await store.read(journal.recall))
    return journal


async def test_the_sums_move_with_the_states_and_keep_their_total(store: Store) -> None:
    journal = await waiting(store, *(message(n) for n in range(1, 11)))
    assert await store.read(tally) == {State.QUEUED: 10}

    await store.write(append, *(answered(n, f"c{n}") for n in range(1, 8)))
    await fold(store, journal)
    assert await store.read(tally) == {State.QUEUED: 3, State.SENT: 7}

    journal.remember({ref_of("us", f"c{n}"): Leg(RUN, n, 0, 1) for n in range(1, 8)})
    await record(store, journal, [receipt(f"c{n}") for n in range(1, 6)])
    await fold(store, journal)
    assert await store.read(tally) == {State.QUEUED: 3, State.SENT: 2, State.DELIVERED: 5}


async def test_a_receipt_before_its_answer_waits_for_it(store: Store) -> None:
    journal = await waiting(store, message(1))
    await record(store, journal, [receipt("early")])
    await fold(store, journal)
    assert await store.read(tally) == {State.QUEUED: 1}

    await store.write(append, answered(1, "early"))
    await fold(store, journal)
    await fold(store, journal)

    assert await store.read(tally) == {State.DELIVERED: 1}


async def test_after_a_restart_a_late_receipt_still_finds_its_message(store: Store) -> None:
    journal = await waiting(store, message(1))
    await store.write(append, answered(1, "c1"))
    await fold(store, journal)

    restarted = Journal(1)
    restarted.remember(await store.write(restarted.recall))
    await record(store, restarted, [receipt("c1")])
    await fold(store, restarted)

    assert await store.read(tally) == {State.DELIVERED: 1}


async def test_ids_that_no_longer_fit_into_memory_are_found_in_the_table(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "KEEP_LEGS", 4)
    journal = await waiting(store, *(message(n) for n in range(1, 11)))
    await store.write(append, *(answered(n, f"c{n}") for n in range(1, 11)))
    await fold(store, journal)

    restarted = Journal(1)
    remembered = await store.write(restarted.recall)
    restarted.remember(remembered)
    assert 0 < len(remembered) < 10
    await record(store, restarted, [receipt(f"c{n}") for n in range(1, 11)])
    await fold(store, restarted)

    assert await store.read(tally) == {State.DELIVERED: 10}


async def test_an_unknown_receipt_settles_a_doubt_only_when_exactly_one_message_fits(store: Store) -> None:
    journal = await waiting(store, message(1), message(2, address="+12065550143"), message(3, address="+12065550143"))
    doubts = [(1, RUN, n, 0, 1, State.IN_DOUBT, NOW, "interrupted", "") for n in (1, 2, 3)]
    await store.write(append, *doubts)
    await fold(store, journal)

    await record(store, journal, [receipt("x1"), receipt("x2", recipient="+12065550143")])
    later = NOW + DOUBT_REST_MS + 1
    await fold(store, journal, later)
    await fold(store, journal, later)

    assert await store.read(tally) == {State.IN_DOUBT: 2, State.DELIVERED: 1}


async def test_another_spelling_of_an_id_counts_only_for_the_same_phone(store: Store) -> None:
    journal = await waiting(store, message(1), message(2, address="+12065550143"))
    await store.write(append, answered(1, "16"), answered(2, "10"))
    journal.remember({ref_of("us", "16"): Leg(RUN, 1, 0, 1), ref_of("us", "10"): Leg(RUN, 2, 0, 1)})
    # The receipt says 0x10, which is 16 in decimal and also looks like another message's "10".
    await record(store, journal, [receipt("0x10", "10", "16", recipient="+12065550143")])
    await record(store, journal, [receipt("0x10", "16", "10", recipient="+12065550199")])
    await fold(store, journal)
    await fold(store, journal)

    assert await store.read(tally) == {State.SENT: 1, State.DELIVERED: 1}


async def test_receipts_that_fit_nothing_are_given_up_after_three_days(store: Store) -> None:
    journal = await waiting(store)
    await record(store, journal, [receipt("nobody")])
    await fold(store, journal)
    assert await store.read(parked) == 1

    await fold(store, journal, NOW + PARKED_MS + 1)

    assert await store.read(parked) == 0


async def parked(tx: Tx) -> int:
    return len(await tx.rows("parked_after", n=0))


async def test_a_fold_that_was_not_committed_is_done_again_from_the_start(store: Store) -> None:
    journal = await waiting(store, message(1))
    await store.write(append, answered(1, "c1"))

    async def broken(tx: Tx) -> None:
        await journal.fold(tx, NOW)
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        await store.write(broken)
    journal.forget()
    await fold(store, journal)

    assert await store.read(tally) == {State.SENT: 1}


def test_matching_needs_no_store_when_the_answer_was_just_seen() -> None:
    journal = Journal(1)
    journal.learn(ref_of("us", "c1"), Leg(RUN, 1, 0, 1))

    arrived = journal.match("us", [receipt("c1"), receipt("c2")], NOW)

    assert isinstance(arrived, Arrived)
    assert [row[2] for row in arrived.events] == [1]
    assert len(arrived.unmatched) == 1


async def test_every_receipt_before_its_answer_waits_for_it_though_earlier_ones_have_been_matched(store: Store) -> None:
    journal = await waiting(store, *(message(n) for n in range(1, 6)))
    for n in range(1, 6):
        await record(store, journal, [receipt(f"c{n}")])
        await fold(store, journal)
        await store.write(append, answered(n, f"c{n}"))
        await fold(store, journal)
        await fold(store, journal)

    assert await store.read(tally) == {State.DELIVERED: 5}


async def test_a_receipt_never_settles_the_doubt_of_a_message_that_was_made_after_it(store: Store) -> None:
    later = message(Ids(lambda: NOW + 1).next())
    journal = await waiting(store, later)
    await store.write(append, (1, RUN, later.id, 0, 1, State.IN_DOUBT, NOW + 1, "no answer", ""))
    await record(store, journal, [receipt("of an earlier message")])
    for _ in range(2):
        await fold(store, journal, NOW + DOUBT_REST_MS + 1)

    assert await store.read(tally) == {State.IN_DOUBT: 1}


async def test_receipts_of_a_long_doubtful_text_settle_its_parts_one_by_one_and_a_note_on_the_way_none(
    store: Store,
) -> None:
    journal = await waiting(store, message(1, parts=2))
    await store.write(append, *((1, RUN, 1, part, 2, State.IN_DOUBT, NOW, "no answer", "") for part in (0, 1)))
    await fold(store, journal)
    now = NOW
    for state in (State.SENT, State.DELIVERED, State.DELIVERED):
        await record(store, journal, [receipt(f"x{now}", state=state)], now)
        now += DOUBT_REST_MS + 1
        await fold(store, journal, now)
        await fold(store, journal, now)

    assert await store.read(tally) == {State.DELIVERED: 1}


async def test_where_a_carrier_gives_no_id_no_receipt_is_taken_for_another_messages(store: Store) -> None:
    journal = await waiting(store, message(1), message(2, address="+12065550143"))
    await store.write(append, answered(1, ""), answered(2, ""))
    await record(store, journal, [receipt()])
    for _ in range(2):
        await fold(store, journal, NOW + DOUBT_REST_MS + 1)

    assert await store.read(tally) == {State.SENT: 2}


async def test_a_carrier_that_gives_every_part_one_id_does_not_fill_the_memory(store: Store) -> None:
    journal = await waiting(store)
    await store.write(append, *(answered(n, "same") for n in range(1, 1_001)))
    await fold(store, journal)

    assert journal._fold is not None
    assert (len(journal._fold.legs), len(journal._fold._ref_of)) == (1, 1)


async def test_one_receipt_that_never_comes_does_not_make_a_start_read_everything_since(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "KEEP_EVENTS", 20)
    journal = await waiting(store, message(1))
    await store.write(append, answered(1, "lost"))
    for n in range(2, 102):
        await store.write(append, answered(n, f"c{n}"), (1, RUN, n, 0, 1, State.DELIVERED, NOW, "", ""))
        await fold(store, journal)

    behind = await store.read(lambda tx: tx.value("cursor_get", name="ref"))
    assert 201 - behind <= 21
    await record(store, journal, [receipt("lost")])
    await fold(store, journal)
    assert (await store.read(tally))[State.DELIVERED] == 101


async def test_another_clients_receipts_are_kept_within_bounds_the_latest_last(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "PARKED_MOST", 10)
    journal = await waiting(store)
    for n in range(30):
        await record(store, journal, [receipt(f"not ours {n}")])
        await fold(store, journal)

    kept = await store.read(lambda tx: tx.rows("parked_after", n=0))
    assert [row[1] for row in kept] == [f'["us:not ours {n}"]' for n in range(20, 30)]
    assert journal._fold is not None
    shelf = journal._fold._parked
    assert (len(shelf.receipts), len(shelf.by_ref), len(next(iter(shelf.by_fit.values())))) == (10, 10, 10)
