"""docs/states.md is true: its moves are those of the journal's fold, its places those of the failpoints."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, get_args

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns.settings import Campaign, Replies
from gateway import failpoints
from gateway.journal import Journal
from gateway.messages import Purpose, State
from gateway.outbox import Message, put
from gateway.store import Store, Tx
from tests.conftest import EmptyStores
from tests.tables import look

TEXT = (Path(__file__).parents[2] / "docs" / "states.md").read_text("utf-8")
ROW = re.compile(r"^\| ([^|]+) \|.*\| (yes|no) \| ([^|]*)\|$", re.MULTILINE)
NOW = 1_800_000_000_000
STATES = {state.word: state for state in State}
FINAL = {STATES[word]: final == "yes" for word, final, _ in ROW.findall(TEXT)}
MOVES = {
    STATES[word]: frozenset(STATES[each.strip()] for each in becomes.split(",") if each.strip())
    for word, _, becomes in ROW.findall(TEXT)
}
# What a carrier, a crash and the end of a life may say of a part or of the whole message; and what ends it while it
# waits, of which there can be but one.
SAID = (State.IN_DOUBT, State.SENT, State.EXPIRED, State.FAILED, State.UNKNOWN, State.DELIVERED)
ENDS = (State.STOPPED, State.REFUSED, State.EXPIRED)

Event = tuple[int, State]  # part, -1 for the whole message; state
Play = Callable[[Store], Coroutine[Any, Any, None]]


async def wait(tx: Tx, parts: list[int]) -> None:
    """Messages of so many parts, with ids from 1 on."""
    waiting = [
        Message(n, 1, 7, n, Purpose.MARKETING, "club", "us", "20655", "+12065550142", "UTC", "hello", count, 100)
        for n, count in enumerate(parts, 1)
    ]
    await put(tx, waiting, 5, NOW)


async def happen(store: Store, parts: list[int], happened: list[tuple[int, Event]]) -> dict[int, State]:
    """Append what happened to messages, counted from 0, fold it, and tell where they stand."""

    async def append(tx: Tx) -> None:
        rows = [(1, 7, n + 1, part, parts[n], state, NOW, "", "") for n, (part, state) in happened]
        await tx.many("event_insert", rows)

    async def read(tx: Tx) -> dict[int, State]:
        rows = {message: State(state) for message, state in await look(tx, "SELECT message, state FROM state")}
        return {n: rows.get(n + 1, State.QUEUED) for n in range(len(parts))}

    await store.write(append)
    await store.write(Journal(1).fold)
    return await store.read(read)


def test_every_state_stands_in_the_table_in_the_order_of_its_rank() -> None:
    assert list(MOVES) == list(State)


def test_the_table_says_which_states_are_final() -> None:
    assert {state: state.is_final for state in State} == FINAL


async def test_whatever_happens_to_a_message_moves_it_as_the_table_says_and_not_otherwise(store: Store) -> None:
    pairs = [(before, after) for before in State for after in State if after != State.QUEUED]
    pairs.remove((State.STOPPED, State.REFUSED))  # the text says why nobody writes that
    parts = [1] * len(pairs)
    await store.write(wait, parts)

    stood = await happen(store, parts, [(n, (-1, before)) for n, (before, _) in enumerate(pairs) if before])
    assert list(stood.values()) == [before for before, _ in pairs]
    stands = await happen(store, parts, [(n, (-1, after)) for n, (_, after) in enumerate(pairs)])

    for n, (before, after) in enumerate(pairs):
        assert stands[n] == (after if after in MOVES[before] else before), (before, after)


@st.composite
def lives(draw: st.DrawFn) -> tuple[list[int], list[tuple[int, Event]]]:
    """The parts of some messages and what happens to them, in one order."""
    parts = draw(st.lists(st.integers(1, 3), min_size=1, max_size=6))
    happened: list[tuple[int, Event]] = []
    for n, count in enumerate(parts):
        each = st.tuples(st.integers(-1, count - 1), st.sampled_from(SAID))
        happened += [(n, event) for event in draw(st.lists(each, max_size=8))]
        happened += [(n, (-1, end)) for end in draw(st.lists(st.sampled_from(ENDS), max_size=1))]
    return parts, draw(st.permutations(happened))


@given(lives(), st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_move_that_is_seen_stands_in_the_table(
    empty_stores: EmptyStores, life: tuple[list[int], list[tuple[int, Event]]], data: st.DataObject
) -> None:
    parts, happened = life

    async def play(store: Store) -> None:
        await store.write(wait, parts)
        stood = dict.fromkeys(range(len(parts)), State.QUEUED)
        for some in pieces(happened, data):
            stands = await happen(store, parts, some)
            for n, state in stands.items():
                assert state == stood[n] or state in MOVES[stood[n]], (stood[n], state)
            stood = stands

    with empty_stores() as store:
        asyncio.run(play(store))


def pieces(happened: list[tuple[int, Event]], data: st.DataObject) -> Iterator[list[tuple[int, Event]]]:
    """What happened, as many at once as the fold may come upon."""
    at = 0
    while at < len(happened):
        size = data.draw(st.integers(1, 4))
        yield happened[at : at + size]
        at += size


async def test_a_part_that_fails_after_the_others_have_arrived_shows(store: Store) -> None:
    await store.write(wait, [2])
    first = await happen(store, [2], [(0, (0, State.DELIVERED)), (0, (1, State.SENT))])
    then = await happen(store, [2], [(0, (1, State.FAILED))])

    assert (first[0], then[0]) == (State.SENT, State.FAILED)


def test_the_tables_of_crashes_name_every_failpoint_in_the_order_in_which_it_is_met() -> None:
    crashes = TEXT.split("\n## What a crash does\n")[1].split("\n## ")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", crashes, re.MULTILINE)) == failpoints.PLACES


def test_the_words_of_the_file_for_both_classes_are_those_that_it_takes() -> None:
    for model, usual in ((Campaign, "leave"), (Replies, "send again")):
        field = model.model_fields["when_in_doubt"]
        assert field.default == usual
        assert set(get_args(field.annotation)) == set(re.findall(r"`(?:when_in_doubt: )?(leave|send again)`", TEXT))
