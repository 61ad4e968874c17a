"""Notices are taken in the order of each subject, given again when nobody said what became of them, and kept."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import notices
from gateway.ids import Ids, first_at
from gateway.notices import GIVEN_UP, KEPT, TOLD, WAITS, Listed, Notice
from gateway.store import Store, Tx
from tests.conftest import EmptyStores

BRAND, SHOP, BANK = 1, 101, 102
NOW = 1_800_000_000_000
DOOR = ("webhook",)
Row = tuple[object, ...]


def row(
    number: int, *, client: int = SHOP, subject: str = "m:1", kind: str = "message.sent", door: str = "webhook",
    at: int = NOW, state: int = WAITS, target: str = "", due: int | None = None,
) -> Row:  # fmt: skip
    return (number, BRAND, client, door, kind, subject, at, "{}", target, at if due is None else due, 0, state, "")


async def put(store: Store, rows: Sequence[Row]) -> None:
    async def insert(tx: Tx) -> None:
        await tx.many("notice_insert", rows)

    await store.write(insert)


async def take(
    store: Store, rooms: Mapping[int, int], now: int = NOW, limit: int = 64, doors: Sequence[str] = DOOR
) -> list[Notice]:
    return await store.write(notices.claim, doors, rooms, now, limit)


async def listed(store: Store, client: int = SHOP) -> list[Listed]:
    async def read(tx: Tx) -> list[Listed]:
        return await notices.after(tx, client, 0, 100_000)

    return await store.read(read)


async def states(store: Store, client: int = SHOP) -> dict[int, int]:
    return {each.notice.id: each.state for each in await listed(store, client)}


async def test_only_the_first_of_a_subject_is_out(store: Store) -> None:
    await put(store, [row(1), row(2), row(3, subject="m:2"), row(4, subject="m:2", client=BANK)])
    taken = await take(store, {SHOP: 8, BANK: 8})
    assert sorted(each.id for each in taken) == [1, 3, 4]
    assert await take(store, {SHOP: 8, BANK: 8}) == []

    await store.write(notices.settle, [notices.told(taken[0])])
    assert [each.id for each in await take(store, {SHOP: 8})] == [2]


async def test_doors_keep_their_own_order(store: Store) -> None:
    await put(store, [row(1, door="twilio"), row(2), row(3, door="smpp")])
    assert [each.id for each in await take(store, {SHOP: 8})] == [2]
    assert [each.id for each in await take(store, {SHOP: 8}, doors=("twilio", "kannel"))] == [1]


async def test_each_client_gets_its_room_and_every_first_comes_before_any_second(store: Store) -> None:
    many = [row(n, subject=f"m:{n}", at=NOW - 1000 + n) for n in range(1, 101)]
    await put(store, [*many, *(row(200 + n, client=BANK, subject=f"m:{n}") for n in range(3))])
    assert [(each.client, each.id) for each in await take(store, {SHOP: 2, BANK: 8}, limit=4)] == [
        (SHOP, 1), (BANK, 200), (SHOP, 2), (BANK, 201),
    ]  # fmt: skip
    assert await take(store, {SHOP: 0, BANK: -1}) == []
    assert await take(store, {SHOP: 8}, limit=0) == []


async def test_what_is_not_due_or_of_another_state_is_not_taken(store: Store) -> None:
    await put(store, [row(1, due=NOW + 1), row(2, subject="m:2", state=TOLD), row(3, subject="m:3", state=GIVEN_UP),
                      row(4, subject="m:4", state=KEPT)])  # fmt: skip
    assert await take(store, {SHOP: 8}) == []
    assert [each.id for each in await take(store, {SHOP: 8}, NOW + 1)] == [1]


async def test_what_nobody_settles_is_given_again_after_a_minute(store: Store) -> None:
    await put(store, [row(1)])
    [first] = await take(store, {SHOP: 8})
    assert await take(store, {SHOP: 8}, NOW + notices.LEASE_MS - 1) == []
    [again] = await take(store, {SHOP: 8}, NOW + notices.LEASE_MS)
    assert again == first


async def test_a_late_word_of_one_who_was_given_up_for_dead_changes_nothing_that_was_settled(store: Store) -> None:
    await put(store, [row(1)])
    [late] = await take(store, {SHOP: 8})
    [again] = await take(store, {SHOP: 8}, NOW + notices.LEASE_MS)
    await store.write(notices.settle, [notices.told(again)])
    await store.write(notices.settle, [notices.failed(late, NOW + 100_000, "too slow")])
    [found] = await listed(store)
    assert (found.state, found.trouble) == (TOLD, "")


async def test_one_that_failed_holds_back_what_follows_and_one_that_is_given_up_does_not(store: Store) -> None:
    await put(store, [row(1), row(2), row(3, subject="m:9")])
    taken = await take(store, {SHOP: 8})
    await store.write(notices.settle, [notices.failed(taken[0], NOW + 5000, "HTTP 500"), notices.told(taken[1])])
    assert [(each.notice.id, each.state, each.due, each.trouble) for each in await listed(store)][:2] == [
        (1, WAITS, NOW + 5000, "HTTP 500"), (2, WAITS, NOW + 5000, ""),
    ]  # fmt: skip
    [again] = await take(store, {SHOP: 8}, NOW + 5000)
    assert (again.id, again.tries) == (1, 1)
    await store.write(notices.settle, [notices.given_up(again, "x" * 500)])
    assert [each.id for each in await take(store, {SHOP: 8}, NOW + 5000)] == [2]
    assert [len(each.trouble) for each in await listed(store)][:1] == [notices.LONGEST_TROUBLE]


async def test_what_was_put_back_was_not_tried(store: Store) -> None:
    await put(store, [row(1)])
    [taken] = await take(store, {SHOP: 8})
    await store.write(notices.settle, [notices.put_back(taken, NOW + 7)])
    [again] = await take(store, {SHOP: 8}, NOW + 7)
    assert again.tries == 0


async def test_what_was_put_back_keeps_the_trouble_of_its_last_try(store: Store) -> None:
    await put(store, [row(1)])
    [taken] = await take(store, {SHOP: 8})
    await store.write(notices.settle, [notices.failed(taken, NOW, "HTTP 500")])
    [taken] = await take(store, {SHOP: 8})
    await store.write(notices.settle, [notices.put_back(taken, NOW)])
    assert [each.trouble for each in await listed(store)] == ["HTTP 500"]
    [taken] = await take(store, {SHOP: 8})
    await store.write(notices.settle, [notices.told(taken)])
    assert [each.trouble for each in await listed(store)] == [""]


async def test_what_a_dead_process_had_taken_is_free_at_once_and_what_waits_for_long_waits_on(store: Store) -> None:
    late = NOW + notices.LEASE_MS + 1
    await put(store, [row(1), row(2, subject="m:2", due=late), row(3, subject="m:3", door="smpp", due=NOW + 5)])
    await take(store, {SHOP: 8})
    assert await take(store, {SHOP: 8}) == []
    assert await store.write(notices.free, [SHOP], DOOR, NOW) == 1
    assert [each.id for each in await take(store, {SHOP: 8})] == [1]
    assert [each.due for each in await listed(store)] == [NOW + notices.LEASE_MS, late]


async def test_what_is_renewed_is_given_to_nobody_else(store: Store) -> None:
    await put(store, [row(1), row(2, subject="m:2")])
    await take(store, {SHOP: 8})
    over = NOW + notices.LEASE_MS
    await store.write(notices.renew, [1], over + 1)
    assert [each.id for each in await take(store, {SHOP: 8}, over)] == [2]


def parcel(number: int, many: int, **more: Any) -> Row:
    return row(number, subject=notices.PARCEL, kind="receipts", door="smpp", target=str(many), **more)


async def test_parcels_go_side_by_side_and_count_as_what_they_hold(store: Store) -> None:
    await put(store, [parcel(number, 100) for number in range(1, 6)])
    assert [each.id for each in await take(store, {SHOP: 150}, doors=("smpp",))] == [1, 2]
    assert [each.id for each in await take(store, {SHOP: 1}, doors=("smpp",))] == [3]
    assert [each.id for each in await take(store, {SHOP: 5_000}, doors=("smpp",), limit=1)] == [4]


async def test_a_correction_goes_after_the_parcels_that_were_there_before_it(store: Store) -> None:
    await put(store, [parcel(1, 9), row(2, door="smpp"), row(3, door="smpp", subject="p:+12065550142"), parcel(4, 9)])
    [first, text, last] = await take(store, {SHOP: 50}, doors=("smpp",))
    assert (first.id, text.id, last.id) == (1, 3, 4)
    await store.write(notices.settle, [notices.told(first)])
    assert [each.id for each in await take(store, {SHOP: 50}, doors=("smpp",))] == [2]


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), max_size=30), st.integers(1, 4), st.randoms())
async def test_however_it_goes_each_subject_is_told_in_its_order_and_nothing_is_lost(
    empty_stores: EmptyStores, made: list[tuple[int, int]], room: int, chance: Callable[..., float]
) -> None:
    with empty_stores() as store:
        rows = [row(n, client=client, subject=f"m:{subject}") for n, (client, subject) in enumerate(made, 1)]
        await put(store, rows)
        told: list[Notice] = []
        now = NOW
        for _ in itertools.count():
            taken = await take(store, dict.fromkeys((1, 2, 3), room), now)
            results = []
            for each in taken:
                fate = chance.random()  # type: ignore[attr-defined]  # a random.Random
                if fate < 0.5:
                    told.append(each)
                    results.append(notices.told(each))
                elif fate < 0.8:
                    results.append(notices.failed(each, now + 1, "no"))
            await store.write(notices.settle, results)
            now += 1 if taken else notices.LEASE_MS
            if len(told) == len(rows):
                break
        for client, subject in {(each.client, each.subject) for each in told}:
            ids = [each.id for each in told if (each.client, each.subject) == (client, subject)]
            assert ids == sorted(ids)
        assert len({each.id for each in told}) == len(rows)


# --- places, spans, counts


async def test_what_waits_for_a_place_is_put_off_and_hastened_together(store: Store) -> None:
    await put(store, [row(n, subject=f"m:{n}") for n in range(1, 6)])
    await put(store, [row(6, subject="m:6", target='{"url":"x"}'), row(7, subject="m:7", client=BANK)])
    like, *_ = await take(store, {SHOP: 1})
    assert await store.write(notices.put_off, like, NOW, NOW + 600_000) == 4
    assert [each.id for each in await take(store, {SHOP: 8, BANK: 8})] == [6, 7]
    assert await store.write(notices.hasten, like, NOW, [like.id]) == 4
    assert [each.id for each in await take(store, {SHOP: 8})] == [2, 3, 4, 5]


async def test_what_waited_too_long_for_a_place_is_given_up(store: Store) -> None:
    await put(store, [row(1, at=NOW - 10), row(2, subject="m:2", at=NOW - 10), row(3, subject="m:3", at=NOW)])
    like, *_ = await take(store, {SHOP: 1})
    assert await store.write(notices.abandon, like, NOW - 1, [like.id], "down") == 1
    assert await states(store) == {1: WAITS, 2: GIVEN_UP, 3: WAITS}


def made_at(ms: int, number: int = 0) -> int:
    return first_at(ms) + number


async def test_a_day_is_replayed_in_order_and_only_that_day_and_those_kinds(store: Store) -> None:
    day = 86_400_000
    ids = [made_at(NOW + n * day // 2) for n in range(6)]
    fates = [TOLD, KEPT, TOLD, GIVEN_UP, WAITS, TOLD]
    await put(store, [row(number, state=state, due=NOW + 9 * day) for number, state in zip(ids, fates, strict=True)])
    await put(store, [row(ids[2] + 1, kind="message.received", state=TOLD), row(ids[2] + 2, door="smpp", state=TOLD)])

    span = (SHOP, NOW + day // 2, NOW + 2 * day, ["message.sent"], NOW + 3 * day)
    assert await store.write(notices.replay, *span) == (3, ids[3])
    assert await store.write(notices.replay, *span, after=ids[3]) == (0, ids[3])

    told = []
    for _ in range(4):
        for each in await take(store, {SHOP: 8}, NOW + 3 * day):
            told.append(each.id)
            await store.write(notices.settle, [notices.told(each)])
    assert told == [ids[1], ids[2], ids[3]]
    [again] = [each.notice for each in await listed(store) if each.notice.id == ids[1]]
    assert again.at == NOW + 3 * day  # it has three days anew


async def test_pages_go_both_ways(store: Store) -> None:
    await put(store, [row(n, kind="a" if n % 2 else "b") for n in range(1, 8)] + [row(9, client=BANK)])

    async def pages(tx: Tx) -> list[list[int]]:
        found = [
            await notices.after(tx, SHOP, 2, 3),
            await notices.after(tx, SHOP, 2, 3, ["a"]),
            await notices.before(tx, SHOP, 6, 2),
            await notices.before(tx, SHOP, 6, 9, ["b", "c"]),
        ]
        return [[each.notice.id for each in page] for page in found]

    assert await store.read(pages) == [[3, 4, 5], [3, 5, 7], [5, 4], [4, 2]]


async def test_counts_tell_what_waits_however_old_and_the_rest_since_a_time(store: Store) -> None:
    old, new = made_at(NOW - 10_000), made_at(NOW + 10_000)
    await put(store, [row(old), row(old + 1, state=TOLD), row(new, state=TOLD), row(new + 1, state=GIVEN_UP)])
    await put(store, [row(new + 2, client=BANK, state=TOLD), row(new + 3, door="kannel", subject="m:2")])
    [failed] = await take(store, {SHOP: 8}, NOW)
    await store.write(notices.settle, [notices.failed(failed, NOW, "HTTP 503")])

    async def read(tx: Tx) -> tuple[list[notices.Count], dict[int, str]]:
        found = await notices.counts(tx, [SHOP], NOW)
        return found, await notices.troubles(tx, [each.last for each in found if each.last])

    found, troubles = await store.read(read)
    assert [tuple(each) for each in found] == [
        (SHOP, "kannel", WAITS, 1, 0),
        (SHOP, "webhook", WAITS, 1, old),
        (SHOP, "webhook", TOLD, 1, 0),
        (SHOP, "webhook", GIVEN_UP, 1, 0),
    ]
    assert troubles == {old: "HTTP 503"}


async def test_what_was_told_a_month_ago_is_tidied_and_what_waits_never(store: Store) -> None:
    old, new = made_at(NOW - 10_000), made_at(NOW)
    rows = [row(old + n, state=state, at=NOW - 10_000) for n, state in enumerate((WAITS, TOLD, GIVEN_UP, KEPT))]
    replayed = row(old + 9, state=TOLD, at=NOW)
    await put(store, [*rows, replayed, row(new, state=TOLD, at=NOW)])
    assert await store.write(notices.tidy, NOW, 2) == 2
    assert await store.write(notices.tidy, NOW, 100) == 1
    assert [*await states(store)] == [old, old + 9, new]


@pytest.mark.parametrize("count", [1, 200])
async def test_notices_are_made_by_the_query_in_the_order_that_the_contract_names(store: Store, count: int) -> None:
    ids = Ids(lambda: NOW).take(count)
    await put(store, [row(number, subject=f"m:{number}") for number in ids])
    assert [*await states(store)] == ids
