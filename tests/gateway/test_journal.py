"""Answers and receipts in any order, any number of times, come to one result: in states and sums, after any crash."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import journal as journals
from gateway.channels.base import Deliveries
from gateway.errors import StoreError
from gateway.ids import first_at
from gateway.journal import DOUBT_REST_MS, PARKED_MS, Arrived, Journal, Leg, Parked, Recalled, ref_of
from gateway.messages import Purpose, Receipt, State
from gateway.outbox import MOST_PARTS, Message, put
from gateway.store import Store, Tx
from tests.conftest import EmptyStores
from tests.tables import look

NOW = 1_800_000_000_000
RUN, QUEUE = 77, 5
SLOTS = ["us:0"]
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
    for number, count in enumerate(parts):
        part = st.one_of(st.integers(-1, count - 1), st.just(count - 1))
        if draw(st.booleans()):  # all parts meet one fate, or hardly any long text would ever be whole
            state = draw(STATES)
            happened += [(number, (each, state, "")) for each in range(count)]
        happened += [(number, one) for one in draw(st.lists(st.tuples(part, STATES, CODES), max_size=8))]
    if happened:
        happened += draw(st.lists(st.sampled_from(happened), max_size=10))
    return parts, draw(st.permutations(happened))


@given(histories(), st.data())
@SLOW
def test_events_in_any_batches_and_order_with_any_repeats_come_to_one_state_and_the_sums_to_a_recount(
    empty_stores: EmptyStores, history: tuple[list[int], list[tuple[int, Event]]], data: st.DataObject
) -> None:
    parts, happened = history
    expected = [Merged(count) for count in parts]
    rows = []
    for number, (part, state, code) in happened:
        expected[number].add(part, state, code)
        rows.append((1, RUN, number + 1, part, parts[number], state, NOW, code, ""))

    async def play(store: Store) -> None:
        journal = await waiting(store, *(message(n + 1, parts=count) for n, count in enumerate(parts)))
        written = 0
        while written < len(rows):
            size = data.draw(st.integers(1, len(rows)))
            await store.write(append, *rows[written : written + size])
            written += size
            journals.FOLD_EVENTS = data.draw(st.integers(1, 20))
            await store.write(journal.fold)
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
        with_store(empty_stores, play)
    finally:
        journals.FOLD_EVENTS = before


def with_store(empty_stores: EmptyStores, play: Callable[[Store], Coroutine[Any, Any, None]]) -> None:
    """Play on a new store in a loop of its own: for property tests."""
    with empty_stores() as store:
        asyncio.run(play(store))


async def states(tx: Tx) -> list[tuple[Any, ...]]:
    return await look(tx, "SELECT message, sent, delivered, state, code FROM state ORDER BY message")


async def sums(tx: Tx) -> Counter[tuple[State, str]]:
    return Counter({(State(state), reason): n for state, reason, n in await tx.rows("tally_of_run", run=RUN)})


async def recount(tx: Tx, messages: int) -> Counter[tuple[State, str]]:
    """The sums as they follow from the states."""
    found: Counter[tuple[State, str]] = Counter()
    for _, _, _, state, code, worst in await look(tx, "SELECT message, sent, delivered, state, code, worst FROM state"):
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


def message(id_: int, *, parts: int = 1, address: str = "+12065550142", repeat: int = 0) -> Message:
    return Message(
        id_, 1, RUN, 9, Purpose.MARKETING, "club", "us", "20655", address, "UTC", "hello", parts, 7900 * parts,
        repeat=repeat,
    )  # fmt: skip


async def waiting(store: Store, *messages: Message) -> Journal:
    await store.write(put, messages, QUEUE, NOW)
    journal = Journal(1)
    journal.slots = set(SLOTS)
    return journal


async def append(tx: Tx, *rows: tuple[object, ...]) -> None:
    await tx.many("event_insert", rows)


def answered(id_: int, carrier_id: str, *, part: int = 0, parts: int = 1) -> tuple[object, ...]:
    return (1, RUN, id_, part, parts, State.SENT, NOW, "", ref_of("us", carrier_id))


def receipt(*ids: str, state: State = State.DELIVERED, recipient: str = "+12065550142") -> Receipt:
    return Receipt(ids, state, "", "20655", recipient)


async def tally(tx: Tx) -> dict[State, int]:
    return {State(state): n for state, _, n in await tx.rows("tally_of_run", run=RUN)}


async def fold(store: Store, journal: Journal) -> None:
    while (await store.write(journal.fold)).more:
        pass


async def unpark(store: Store, journal: Journal, now: int = NOW) -> None:
    """As the engine does it: fold, match what is parked, fold what came of that."""
    await fold(store, journal)
    await journal.unpark(store, now)
    await fold(store, journal)


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


async def test_a_receipt_brought_again_is_of_nobody_else_where_a_carrier_counts_its_ids_anew(store: Store) -> None:
    journal = Journal(1)
    journal.learn(ref_of("us", "5"), leg(100))  # its receipt never comes
    for n in range(2):
        await journal.turn(store, 0, NOW + n * (journals.KEEP_MS + 1))
    journal.learn(ref_of("us", "5"), leg(200))
    receipt = Receipt(("5",), State.DELIVERED, "000", "20655", "+12065550142")

    await record(store, journal, [receipt])
    again = journal.match("us", [receipt], NOW)

    assert again.events == []


def leg(message: Any, part: Any = 0, parts: Any = 1, run: Any = RUN) -> Leg:
    return run, message, part, parts


async def restarted(store: Store) -> Journal:
    """The process died; the next one reads back what it needs."""
    journal = Journal(1)
    journal.remember(await store.read(journal.recall, SLOTS), SLOTS)
    return journal


async def test_the_sums_move_with_the_states_and_keep_their_total(store: Store) -> None:
    journal = await waiting(store, *(message(n) for n in range(1, 11)))
    assert await store.read(tally) == {State.QUEUED: 10}

    await answer(store, journal, *(answered(n, f"c{n}") for n in range(1, 8)))
    await fold(store, journal)
    assert await store.read(tally) == {State.QUEUED: 3, State.SENT: 7}

    await record(store, journal, [receipt(f"c{n}") for n in range(1, 6)])
    await fold(store, journal)
    assert await store.read(tally) == {State.QUEUED: 3, State.SENT: 2, State.DELIVERED: 5}


async def test_a_fold_that_was_not_committed_is_done_again_from_the_start(store: Store) -> None:
    journal = await waiting(store, message(1))
    await store.write(append, answered(1, "c1"))

    async def broken(tx: Tx) -> None:
        await journal.fold(tx)
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        await store.write(broken)
    assert await store.read(tally) == {State.QUEUED: 1}
    await fold(store, journal)

    assert await store.read(tally) == {State.SENT: 1}


# --- receipts in any order -------------------------------------------------------------------------------------------


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[int], list[tuple[str, int, int, State]]]:
    """Messages with so many parts, and all that their carrier says: (answer or receipt, message, part, state)."""
    parts = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    said: list[tuple[str, int, int, State]] = []
    for number, count in enumerate(parts):
        for part in range(count):
            said.append(("answer", number, part, State.SENT))
            # A carrier may say two things of one part; of a long text the sums tell them apart only once all is there.
            ends = (
                [State.FAILED, State.DELIVERED]
                if count == 1
                else [draw(st.sampled_from([State.FAILED, State.DELIVERED]))]
            )
            said += [
                ("receipt", number, part, one)
                for one in draw(st.lists(st.sampled_from([State.SENT, *ends]), max_size=4))
            ]
    said += [("stranger", n, 0, State.DELIVERED) for n in range(draw(st.integers(0, 3)))]
    return parts, draw(st.permutations(said))


@given(deliveries(), st.data())
@SLOW
def test_permuted_doubled_early_and_unknown_receipts_come_to_one_result_whenever_the_process_dies(
    empty_stores: EmptyStores,
    history: tuple[list[int], list[tuple[str, int, int, State]]],
    data: st.DataObject,
) -> None:
    parts, said = history
    expected = [Merged(count) for count in parts]
    for what, number, part, state in said:
        if what != "stranger":
            expected[number].add(part, state, "")

    async def play(store: Store) -> None:
        journal = await waiting(store, *(message(n + 1, parts=count) for n, count in enumerate(parts)))
        for what, number, part, state in said:
            if what == "answer":
                await answer(store, journal, answered(number + 1, f"c{number}.{part}", part=part, parts=parts[number]))
            else:
                name = f"c{number}.{part}" if what == "receipt" else f"stranger {number}"
                await record(store, journal, [receipt(name, state=state)])
            match data.draw(st.integers(0, 5)):
                case 0:
                    await unpark(store, journal)
                case 1:
                    await unpark(store, journal)
                    await journal.turn(store, await store.read(folded), NOW)
                case 2:
                    journal = await restarted(store)
        for _ in range(2):
            await unpark(store, journal)
        assert await store.read(sums) == Counter(merged.stands for merged in expected)
        assert await store.read(sums) == await store.read(recount, len(parts))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(journals, "KEEP_LEGS", 2)
        patched.setattr(journals, "REF_ROWS", 2)
        with_store(empty_stores, play)


async def folded(tx: Tx) -> int:
    return await tx.value("cursor_get", name="fold") or 0


async def test_a_receipt_before_its_answer_waits_for_it(store: Store) -> None:
    journal = await waiting(store, message(1))
    await record(store, journal, [receipt("early")])
    await unpark(store, journal)
    assert await store.read(tally) == {State.QUEUED: 1}

    await answer(store, journal, answered(1, "early"))
    await unpark(store, journal)

    assert await store.read(tally) == {State.DELIVERED: 1}
    assert await store.read(parked) == 0


@pytest.mark.parametrize("dies", ["before the answer", "after the answer"])
async def test_a_receipt_before_its_answer_waits_for_it_beyond_a_crash(store: Store, dies: str) -> None:
    journal = await waiting(store, message(1))
    await record(store, journal, [receipt("early")])
    if dies == "before the answer":
        journal = await restarted(store)
    await answer(store, journal, answered(1, "early"))
    if dies == "after the answer":
        journal = await restarted(store)
    await unpark(store, journal)

    assert await store.read(tally) == {State.DELIVERED: 1}
    assert await store.read(parked) == 0


async def test_an_answer_that_comes_while_its_receipt_is_being_parked_finds_it(store: Store) -> None:
    journal = await waiting(store, message(1))
    kept = await store.write(journal.record, journal.match("us", [receipt("c1")], NOW))
    await answer(store, journal, answered(1, "c1"))
    journal.park(kept)
    await unpark(store, journal)

    assert await store.read(tally) == {State.DELIVERED: 1}


async def test_every_receipt_before_its_answer_waits_for_it_though_earlier_ones_have_been_matched(store: Store) -> None:
    journal = await waiting(store, *(message(n) for n in range(1, 6)))
    for n in range(1, 6):
        await record(store, journal, [receipt(f"c{n}")])
        await unpark(store, journal)
        await answer(store, journal, answered(n, f"c{n}"))
        await unpark(store, journal)

    assert await store.read(tally) == {State.DELIVERED: 5}


async def test_a_receipt_whose_message_could_not_be_looked_up_is_matched_at_the_next_try(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = await waiting(store, message(1))
    await record(store, journal, [receipt("early")])
    await answer(store, journal, answered(1, "early"))

    async def broken(*arguments: object) -> None:
        raise StoreError("the disk is gone for a moment")

    for place in ("read", "write_bulk"):
        with monkeypatch.context() as patched:
            patched.setattr(store, place, broken)
            with pytest.raises(StoreError):
                await journal.unpark(store, NOW)
    await unpark(store, journal, NOW + journals.DOUBT_LOOK_MS)

    assert await store.read(tally) == {State.DELIVERED: 1}


async def test_a_delivered_part_that_was_matched_late_is_not_asked_about_at_the_carrier(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "KEEP_LEGS", 0)
    journal = await waiting(store, message(1), message(2))
    await record(store, journal, [receipt("early")])
    await answer(store, journal, answered(1, "early"), answered(2, "silent"))
    await unpark(store, journal)

    asked = [one for _ in range(2) for one in await journal.turn(store, await store.read(folded), NOW)]

    assert asked == [(ref_of("us", "silent"), leg(2))]


def test_matching_needs_no_store_when_the_answer_was_just_seen() -> None:
    journal = Journal(1)
    journal.learn(ref_of("us", "c1"), leg(1))

    arrived = journal.match("us", [receipt("c1"), receipt("c2")], NOW)

    assert isinstance(arrived, Arrived)
    assert [row[2] for row in arrived.events] == [1]
    assert len(arrived.unmatched) == 1


ids = st.lists(st.sampled_from([f"id-{n}" for n in range(12)]), max_size=12)


@given(young=ids, old=ids, done=ids, told=ids)
def test_receipts_in_columns_are_matched_like_those_that_come_one_by_one(
    young: list[str], old: list[str], done: list[str], told: list[str]
) -> None:
    found = []
    receipts = [receipt(each, recipient=f"+1206555{place:04}") for place, each in enumerate(told)]
    for in_columns in (False, True):
        journal = Journal(1)
        journal._old.update({ref_of("carrier", each): leg(each) for each in old})
        journal._young.update({ref_of("carrier", each): leg(each) for each in young})
        journal._done.update(ref_of("carrier", each) for each in done)
        journal.watch.sent("carrier", [(ref_of("carrier", each), "+12065550142", NOW) for each in young], NOW)
        if in_columns:
            columns = Deliveries(told, [each.code for each in receipts], receipts.__getitem__, None)
            arrived = journal.match_deliveries("carrier", columns, NOW)
        else:
            arrived = journal.match("carrier", receipts, NOW)
        rows = {*arrived.events, *chain.from_iterable(each.rows() for each in arrived.alike)}
        arrived.events, arrived.alike = [], []
        found.append((rows, arrived, list(journal.watch.parts)))

    assert found[0] == found[1]


@given(young=ids, done=ids, parked=ids, told=ids)
def test_what_one_read_names_is_learned_at_once_as_it_is_one_by_one(
    young: list[str], done: list[str], parked: list[str], told: list[str]
) -> None:
    found = []
    named = {ref_of("carrier", each): leg(place) for place, each in enumerate(told)}
    for at_once in (False, True):
        journal = Journal(1)
        journal._young.update({ref_of("carrier", each): leg(each) for each in young})
        journal._done.update(ref_of("carrier", each) for each in done[:6])
        journal._done_before.update(ref_of("carrier", each) for each in done[6:])
        journal.park(
            Parked(n, [ref_of("carrier", each)], "", State.DELIVERED, "", NOW) for n, each in enumerate(parked)
        )
        if at_once:
            journal.learn_all(named)
        else:
            for ref, one in named.items():
                journal.learn(ref, one)
        found.append((journal._young, journal._done, journal._done_before, journal._named))

    assert found[0] == found[1]


async def test_a_receipt_that_could_not_be_kept_is_known_when_the_carrier_brings_it_again(store: Store) -> None:
    journal = await waiting(store, message(1))
    await answer(store, journal, answered(1, "c1"))
    journal.match("us", [receipt("c1")], NOW)  # and the commit failed

    await record(store, journal, [receipt("c1")])
    await fold(store, journal)

    assert await store.read(tally) == {State.DELIVERED: 1}
    assert await store.read(parked) == 0


async def test_a_receipt_that_could_not_be_kept_while_generations_turned_is_known_after_a_crash_too(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "KEEP_LEGS", 0)
    journal = await waiting(store, message(1))
    await answer(store, journal, answered(1, "c1"))
    await fold(store, journal)
    await journal.turn(store, await store.read(folded), NOW)
    journal.match("us", [receipt("c1")], NOW)  # and the commit failed
    await journal.turn(store, await store.read(folded), NOW)

    journal = await restarted(store)
    await record(store, journal, [receipt("c1")])
    await fold(store, journal)

    assert await store.read(tally) == {State.DELIVERED: 1}


async def test_where_a_carrier_gives_no_id_no_receipt_is_taken_for_another_messages(store: Store) -> None:
    journal = await waiting(store, message(1), message(2, address="+12065550143"))
    await answer(store, journal, answered(1, ""), answered(2, ""))
    await record(store, journal, [receipt(), receipt("")])
    await unpark(store, journal, NOW + DOUBT_REST_MS + 1)

    assert await store.read(tally) == {State.SENT: 2}


async def test_another_spelling_of_an_id_counts_only_for_the_same_phone(store: Store) -> None:
    journal = await waiting(store, message(1), message(2, address="+12065550143"))
    await answer(store, journal, answered(1, "16"), answered(2, "10"))
    # The receipt says 0x10, which is 16 in decimal and also looks like another message's "10".
    await record(store, journal, [receipt("0x10", "10", "16", recipient="+12065550143")])
    await record(store, journal, [receipt("0x10", "16", "10", recipient="+12065550199")])
    await unpark(store, journal)

    assert await store.read(tally) == {State.SENT: 1, State.DELIVERED: 1}


# --- doubts ----------------------------------------------------------------------------------------------------------


def doubtful(id_: int, part: int = 0, parts: int = 1) -> tuple[object, ...]:
    return (1, RUN, id_, part, parts, State.IN_DOUBT, NOW, "interrupted", "")


async def delivered_parts(tx: Tx) -> list[int]:
    return [part for (part,) in await look(tx, "SELECT part FROM event WHERE state = 50 ORDER BY n")]


MADE = first_at(NOW)
LATER = NOW + DOUBT_REST_MS + 1
OTHER = "+12065550143"


async def test_an_unknown_receipt_settles_a_doubt_only_when_exactly_one_message_fits(store: Store) -> None:
    journal = await waiting(
        store, message(MADE + 1), message(MADE + 2, address="+12065550143"), message(MADE + 3, address="+12065550143")
    )
    await store.write(append, *(doubtful(MADE + n) for n in (1, 2, 3)))
    await record(store, journal, [receipt("x1"), receipt("x2", recipient="+12065550143")])
    await unpark(store, journal, LATER - 1)
    assert await store.read(tally) == {State.IN_DOUBT: 3}

    await unpark(store, journal, LATER - 1 + journals.DOUBT_LOOK_MS)

    assert await store.read(tally) == {State.IN_DOUBT: 2, State.DELIVERED: 1}


async def test_a_receipt_never_settles_the_doubt_of_a_message_that_left_after_it(store: Store) -> None:
    journal = await waiting(store, message(MADE))
    await store.write(append, (*doubtful(MADE)[:6], NOW + 1, "interrupted", ""))
    await record(store, journal, [receipt("of an earlier message")])
    await unpark(store, journal, LATER)

    assert await store.read(tally) == {State.IN_DOUBT: 1}


async def test_receipts_of_a_long_doubtful_text_settle_it_once_there_is_one_for_each_part_and_a_note_on_the_way_none(
    store: Store,
) -> None:
    journal = await waiting(store, message(MADE + 1, parts=2))
    await store.write(append, *(doubtful(MADE + 1, part, 2) for part in (0, 1)))
    await fold(store, journal)
    now = NOW
    for state in (State.SENT, State.DELIVERED, State.DELIVERED):
        assert await store.read(tally) == {State.IN_DOUBT: 1}
        assert await store.read(delivered_parts) == []
        await record(store, journal, [receipt(f"x{now}", state=state)], now)
        now += DOUBT_REST_MS + 1
        await unpark(store, journal, now)

    assert await store.read(tally) == {State.DELIVERED: 1}
    assert await store.read(parked) == 0


async def test_a_receipt_of_one_part_never_stands_for_another_part_of_its_text(store: Store) -> None:
    journal = await waiting(store, message(MADE + 1, parts=2))
    await store.write(append, *(doubtful(MADE + 1, part, 2) for part in (0, 1)))
    await record(store, journal, [receipt("of the second part")])
    await unpark(store, journal, LATER)
    await answer(store, journal, answered(MADE + 1, "of the first part", parts=2))  # late, and never delivered
    await answer(store, journal, answered(MADE + 1, "of the second part", part=1, parts=2))
    await unpark(store, journal, LATER + journals.DOUBT_LOOK_MS)

    assert await store.read(tally) == {State.SENT: 1}
    assert await store.read(delivered_parts) == [1]


async def test_of_a_long_text_that_may_be_sent_twice_two_unknown_receipts_may_be_about_one_part(store: Store) -> None:
    journal = await waiting(store, message(MADE + 1, parts=2, repeat=1), message(MADE + 2, address=OTHER, repeat=1))
    await store.write(append, *(doubtful(MADE + 1, part, 2) for part in (0, 1) for _ in range(2)), doubtful(MADE + 2))
    await record(store, journal, [receipt("x1"), receipt("x2"), receipt("x3", recipient=OTHER)])
    await unpark(store, journal, LATER)

    assert await store.read(tally) == {State.IN_DOUBT: 1, State.DELIVERED: 1}
    assert await store.read(delivered_parts) == [0]  # of the short one, whose every copy is the whole of it


async def test_an_unknown_receipt_is_never_about_a_part_whose_own_id_is_known(store: Store) -> None:
    journal = await waiting(store, message(MADE + 1, parts=2))
    await answer(store, journal, answered(MADE + 1, "c1", parts=2))
    await store.write(append, doubtful(MADE + 1, 1, 2))
    await fold(store, journal)
    await record(store, journal, [receipt("of the other part")])
    await unpark(store, journal, LATER)

    assert await store.read(delivered_parts) == [1]


async def test_one_receipt_that_is_brought_twice_settles_one_part_of_a_doubt_and_no_other_doubt(store: Store) -> None:
    journal = await waiting(store, message(MADE + 1, parts=2), message(MADE + 2, address="+12065550143"))
    await store.write(append, doubtful(MADE + 1, 0, 2), doubtful(MADE + 1, 1, 2), doubtful(MADE + 2))
    await record(store, journal, [receipt("x1"), receipt("x1"), receipt("x2", recipient="+12065550143")])
    await record(store, journal, [receipt("x2", recipient="+12065550143")])
    for turn in range(3):
        await unpark(store, journal, LATER + turn * journals.DOUBT_LOOK_MS)
    assert await store.read(tally) == {State.IN_DOUBT: 1, State.DELIVERED: 1}

    another = message(MADE + 3, address="+12065550143")
    await store.write(put, [another], QUEUE, NOW)
    await store.write(append, doubtful(MADE + 3))
    await unpark(store, journal, LATER + 9 * journals.DOUBT_LOOK_MS)

    assert await store.read(tally) == {State.IN_DOUBT: 2, State.DELIVERED: 1}


async def test_receipts_without_an_id_settle_no_long_doubt_since_one_may_have_been_brought_twice(store: Store) -> None:
    journal = await waiting(store, message(MADE + 1, parts=2), message(MADE + 2, address=OTHER))
    await store.write(append, doubtful(MADE + 1, 0, 2), doubtful(MADE + 1, 1, 2), doubtful(MADE + 2))
    for _ in range(2):
        await record(store, journal, [receipt(), receipt(recipient=OTHER)])
    await unpark(store, journal, LATER)

    assert await store.read(tally) == {State.IN_DOUBT: 1, State.DELIVERED: 1}
    assert await store.read(delivered_parts) == [0]


@pytest.mark.parametrize("crash", [False, True])
async def test_a_receipt_that_is_brought_again_never_settles_the_doubt_of_another_text_to_that_phone(
    store: Store, crash: bool
) -> None:
    journal = await waiting(store, message(MADE + 1), message(MADE + 2))
    await answer(store, journal, answered(MADE + 1, "c1"))
    await store.write(append, doubtful(MADE + 2))
    await record(store, journal, [receipt("c1")])
    await fold(store, journal)
    if crash:  # between the commit and our thanks, so that the carrier must bring it again
        journal = await restarted(store)
    await record(store, journal, [receipt("c1")])
    await unpark(store, journal, LATER)

    assert await store.read(tally) == {State.DELIVERED: 1, State.IN_DOUBT: 1}
    assert await store.read(parked) == 0


async def test_nor_when_it_comes_long_after_and_behind_a_restart(store: Store) -> None:
    journal = await waiting(store, message(MADE + 1), message(MADE + 2))
    await answer(store, journal, answered(MADE + 1, "c1"))
    await store.write(append, doubtful(MADE + 2))
    await record(store, journal, [receipt("c1")])
    await fold(store, journal)
    for n in range(3):
        await answer(store, journal, answered(MADE + 3 + n, f"another {n}"))
        await fold(store, journal)
        await journal.turn(store, await store.read(folded), NOW + n * (journals.KEEP_MS + 1))

    journal = await restarted(store)
    await record(store, journal, [receipt("c1")])
    await unpark(store, journal, LATER)

    assert (await store.read(tally))[State.IN_DOUBT] == 1
    assert await store.read(parked) == 0


async def test_a_carrier_that_gives_an_id_anew_is_believed(store: Store) -> None:
    journal = await waiting(store, message(1), message(2))
    await answer(store, journal, answered(1, "7"))
    await record(store, journal, [receipt("7")])
    await answer(store, journal, answered(2, "7"))
    await record(store, journal, [receipt("7")])
    await fold(store, journal)

    assert await store.read(tally) == {State.DELIVERED: 2}


# --- what is parked --------------------------------------------------------------------------------------------------


async def parked(tx: Tx) -> int:
    return len(await tx.rows("parked_after", after=-1))


async def test_receipts_that_fit_nothing_are_given_up_after_three_days(store: Store) -> None:
    journal = await waiting(store)
    await record(store, journal, [receipt("nobody")])
    await unpark(store, journal)
    await unpark(store, journal, NOW + PARKED_MS)
    assert await store.read(parked) == 1

    await unpark(store, journal, NOW + PARKED_MS + 1)

    assert await store.read(parked) == 0


async def test_another_clients_receipts_are_kept_within_bounds_the_latest_last(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "PARKED_MOST", 10)
    journal = await waiting(store)
    for n in range(30):
        await record(store, journal, [receipt(f"not ours {n}")])
        await unpark(store, journal)

    kept = await store.read(lambda tx: tx.rows("parked_after", after=-1))
    assert [row[1] for row in kept] == [f'["us:not ours {n}"]' for n in range(20, 30)]
    shelf = journal.shelf
    assert (len(shelf.receipts), len(shelf.by_ref), len(next(iter(shelf.by_fit.values())))) == (10, 10, 10)


# --- memory and its generations --------------------------------------------------------------------------------------


async def test_after_a_restart_a_late_receipt_still_finds_its_message(store: Store) -> None:
    journal = await waiting(store, message(1))
    await answer(store, journal, answered(1, "c1"))
    await fold(store, journal)

    journal = await restarted(store)
    await record(store, journal, [receipt("c1")])
    await fold(store, journal)

    assert await store.read(tally) == {State.DELIVERED: 1}


def held(journal: Journal) -> int:
    """How many parts wait for their receipt in memory."""
    return len(journal._young) + len(journal._old)


async def in_table(tx: Tx) -> int:
    found: int = (await look(tx, "SELECT count(*) FROM ref"))[0][0]
    return found


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("crash", [False, True])
async def test_an_id_is_found_in_the_young_generation_in_the_old_one_and_in_the_table_also_after_a_restart(
    store: Store, monkeypatch: pytest.MonkeyPatch, turns: int, crash: bool
) -> None:
    monkeypatch.setattr(journals, "KEEP_LEGS", 0)
    journal = await waiting(store, message(1), message(2))
    await answer(store, journal, answered(1, "c1"))
    await fold(store, journal)
    for _ in range(turns):
        await journal.turn(store, await store.read(folded), NOW)
    assert (held(journal), await store.read(in_table)) == ((1, 0) if turns < 2 else (0, 1))
    await answer(store, journal, answered(2, "c2"))
    if crash:
        journal = await restarted(store)

    await record(store, journal, [receipt("c1"), receipt("c2")])
    await fold(store, journal)

    assert await store.read(tally) == {State.DELIVERED: 2}
    assert await store.read(parked) == 0


async def test_a_turn_that_could_not_be_finished_loses_no_id(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "KEEP_LEGS", 0)
    monkeypatch.setattr(journals, "REF_ROWS", 2)
    journal = await waiting(store, *(message(n) for n in range(1, 8)))
    await answer(store, journal, *(answered(n, f"c{n}") for n in range(1, 8)))
    await fold(store, journal)
    await journal.turn(store, await store.read(folded), NOW)
    write, left = store.write_bulk, 2

    async def fails(function: Any, *arguments: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise StoreError("the disk is full")
        return await write(function, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(store, "write_bulk", fails)
        with pytest.raises(StoreError):
            await journal.turn(store, 7, NOW)
    assert await store.read(in_table) == 4
    for each in (journal, await restarted(store)):
        assert len(each.match("us", [receipt(f"c{n}") for n in range(1, 8)], NOW).events) == 7


async def test_ids_that_are_learned_while_the_generations_turn_are_known_after_a_crash(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "KEEP_LEGS", 0)
    journal = await waiting(store, *(message(n) for n in range(1, 21)))
    for n in range(1, 20, 2):
        journal.learn(ref_of("us", f"c{n}"), leg(n))  # answered, and not yet written down
        turning = asyncio.ensure_future(journal.turn(store, await store.read(folded) if n > 1 else 0, NOW))
        await asyncio.sleep(0)
        journal.learn(ref_of("us", f"c{n + 1}"), leg(n + 1))
        await turning
        await store.write(append, answered(n, f"c{n}"), answered(n + 1, f"c{n + 1}"))
        await fold(store, journal)

    journal = await restarted(store)
    await record(store, journal, [receipt(f"c{n}") for n in range(1, 21)])
    await fold(store, journal)

    assert await store.read(tally) == {State.DELIVERED: 20}


async def test_memory_holds_what_waits_and_no_more_than_its_bounds(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "KEEP_LEGS", 50)
    monkeypatch.setattr(journals, "KEEP_DONE", 20)
    journal = await waiting(store)
    for n in range(1, 501):
        await answer(store, journal, answered(n, f"c{n}"))
        if n % 2:
            await record(store, journal, [receipt(f"c{n}")])
        if n % 10 == 0:
            await fold(store, journal)
            await journal.turn(store, await store.read(folded), NOW)
        assert held(journal) <= 2 * 50 + 10
        assert len(journal._done) + len(journal._done_before) <= 2 * 21

    assert held(journal) + await store.read(in_table) == 250


async def test_a_carrier_that_gives_every_part_one_id_does_not_fill_the_memory(store: Store) -> None:
    journal = await waiting(store)
    await answer(store, journal, *(answered(n, "same") for n in range(1, 1_001)))

    assert held(journal) == 1


async def test_one_receipt_that_never_comes_does_not_make_a_start_read_everything_since(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "KEEP_EVENTS", 20)
    journal = await waiting(store, *(message(n) for n in range(1, 102)))
    await answer(store, journal, answered(1, "lost"))
    for n in range(2, 102):
        await answer(store, journal, answered(n, f"c{n}"))
        await record(store, journal, [receipt(f"c{n}")])
        await fold(store, journal)
        await journal.turn(store, await store.read(folded), NOW)

    behind = await store.read(lambda tx: tx.value("cursor_get", name="ref:us:0"))
    assert 201 - behind <= 2 * 20
    await record(store, await restarted(store), [receipt("lost")])
    await fold(store, journal)
    assert (await store.read(tally))[State.DELIVERED] == 101


async def test_a_part_without_a_receipt_for_long_is_asked_about_once(store: Store) -> None:
    journal = await waiting(store, message(1))
    await journal.turn(store, 0, NOW)
    await answer(store, journal, answered(1, "c1"))
    await fold(store, journal)

    asked = [await journal.turn(store, await store.read(folded), NOW + n * (journals.KEEP_MS + 1)) for n in range(5)]

    assert [one for one in asked if one] == [[(ref_of("us", "c1"), leg(1))]]


async def test_what_a_start_reads_back_is_what_still_waits(store: Store) -> None:
    journal = await waiting(store, message(1), message(2), message(3))
    await answer(store, journal, *(answered(n, f"c{n}") for n in (1, 2, 3)))
    await record(store, journal, [receipt("c1"), receipt("nobody")])
    await fold(store, journal)

    found = await store.read(journal.recall, SLOTS)

    assert isinstance(found, Recalled)
    assert found.legs == {ref_of("us", f"c{n}"): leg(n) for n in (2, 3)}
    assert [each.refs for each in found.parked] == [[ref_of("us", "nobody")]]
