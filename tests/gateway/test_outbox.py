"""The claim: what may leave leaves once, what may not is put off or refused, and every row is accounted for."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import outbox
from gateway.errors import Failure, Retry
from gateway.ids import Ids
from gateway.journal import Journal
from gateway.messages import Lane, Purpose, State
from gateway.outbox import Claim, Go, Later, Message, Never, Settlement, Waiting
from gateway.store import Store, Tx

NOW = 1_800_000_000_000
RUN = 77


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
    ids = Ids(lambda: NOW)
    queue = await store.write(outbox.ensure_queue, ids, 1, "us", Lane.BULK, run=RUN)
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
    return [claimed.outbound.id for claimed in found.claimed]


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
        assert found.claimed[0].outbound.possible_duplicate is (crash > 0)
        epoch = await store.write(outbox.take_over, brand=1, queue=queue, owner="next", now=NOW)

    assert taken(await claim(store, queue, epoch)) == []
    assert await store.read(events) == [(1, State.IN_DOUBT, "poison")]


async def test_a_cap_is_charged_at_the_claim_and_given_back_on_a_sure_failure(store: Store) -> None:
    queue, epoch = await filled(store, message(1, person=9))
    found = await claim(store, queue, epoch, gate=lambda waiting, now: Go(now.to_bytes(8, "little")))
    assert found is not None
    assert found.claimed[0].charged_at

    async def reached(tx: Tx) -> bytes:
        times: bytes = await tx.value("reach_get", person=9, program="club")
        return times

    assert await store.read(reached) == NOW.to_bytes(8, "little")
    await store.write(
        outbox.settle, Settlement(landed=[(queue, 1)], uncharge=[(9, "club", 1, found.claimed[0].charged_at)])
    )
    assert await store.read(reached) == b""


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
    again: list[tuple[object, ...]] = [(queue, NOW, 2, 1, 2, 0, 1 << 62, 0)]
    await store.write(outbox.settle, Settlement(answered, [(queue, 2)], again))
    await store.write(Journal(1).fold, NOW)

    assert await store.read(lambda tx: tx.rows("tally_of_run", run=RUN)) == [(State.DELIVERED, "", 1)]
