"""A statement that nobody waits for does what it would have done at once, with its transaction or not at all."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.store import Store, Tx, beside

NOW = 1_800_000_000_000


SHARP = ["'; DROP TABLE event; --", "\\'", '"', "{a,b}", "NULL", "\\x41", "$1", "a\nb"]
ODD = st.text(max_size=12) | st.sampled_from(SHARP)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(ODD, min_size=1, max_size=5), times=st.binary(max_size=16))
async def test_what_is_posted_is_kept_letter_by_letter_and_seen_by_what_comes_after(
    store: Store, values: list[str], times: bytes
) -> None:
    values = [value.replace("\0", "").encode("utf-8", "replace").decode() for value in values]
    rows = [(1, 7, n, 0, 1, 20, NOW, value, value) for n, value in enumerate(values, 1)]

    async def both_ways(tx: Tx) -> list[list[tuple[object, ...]]]:
        after = await tx.value("event_last")
        await tx.post("fact_set", brand=1, name="odd", value=values[0])
        await tx.post("reach_set", people=[1, 2], program=values[0], brand=1, times=times)
        await tx.post_many("event_insert", rows)
        seen = await tx.value("fact_get", brand=1, name="odd")
        reached = [row[2] for row in await tx.rows("reach_among", people=[1, 2]) if row[1] == values[0]]
        assert (seen, reached) == (values[0], [times, times])
        posted = await tx.rows("event_after", n=after, limit=100)
        after = await tx.value("event_last")
        await tx.many("event_insert", rows)
        return [[row[1:] for row in found] for found in (posted, await tx.rows("event_after", n=after, limit=100))]

    posted, written = await store.write(both_ways)
    assert posted == written
    assert [row[-1] for row in posted] == values


async def test_a_posted_statement_that_fails_undoes_its_own_transaction_and_no_other(store: Store) -> None:
    async def fails(tx: Tx) -> None:
        await tx.post("fact_set", brand=1, name="bad", value="1")
        await tx.post("client_key_put", id="k", brand=1, client=1, kind=None, scopes="", hash="", label="", made_at=1)

    async def works(tx: Tx) -> None:
        await tx.post("fact_set", brand=1, name="good", value="1")

    told = await asyncio.gather(store.write(works), store.write(fails), store.write(works), return_exceptions=True)
    assert [isinstance(each, Exception) for each in told] == [False, True, False]
    assert await store.read(lambda tx: tx.value("fact_get", brand=1, name="good")) == "1"
    assert await store.read(lambda tx: tx.value("fact_get", brand=1, name="bad")) is None


async def test_half_a_letter_that_no_store_keeps_holds_up_nobody(store: Store) -> None:
    @beside
    async def half(tx: Tx) -> None:
        await tx.post_many("event_insert", [(1, 7, 1, 0, 1, 20, NOW, "\ud800", "half")])

    @beside
    async def whole(tx: Tx) -> None:
        await tx.post_many("event_insert", [(1, 7, 2, 0, 1, 20, NOW, "", "whole")])

    async with asyncio.timeout(5):
        told = await asyncio.gather(store.write(half), store.write(whole), return_exceptions=True)
    assert told[1] is None
    rows = await store.read(lambda tx: tx.rows("event_after", n=0, limit=10))
    assert [row[-1] for row in rows if row[-1] == "whole"] == ["whole"]


@pytest.mark.engine("postgresql")  # SQLite posts nothing: there each statement fails where it stands
async def test_a_part_that_fails_by_itself_takes_back_what_it_has_posted(store: Store) -> None:
    async def mine(tx: Tx) -> None:
        await tx.post("fact_set", brand=1, name="in the part", value="1")
        await tx.post_many("event_insert", [(1, 7, 1, 0, 1, "no number", NOW, "", "")])
        raise ValueError("mine")

    async def job(tx: Tx) -> None:
        await tx.post("fact_set", brand=1, name="before it", value="1")
        with pytest.raises(ValueError, match="mine"):
            await tx.attempt(mine)

    await store.write(job)
    assert await store.read(lambda tx: tx.value("fact_get", brand=1, name="before it")) == "1"
    assert await store.read(lambda tx: tx.value("fact_get", brand=1, name="in the part")) is None
