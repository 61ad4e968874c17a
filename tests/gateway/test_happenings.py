"""What happened alike to many stands in the journal as if it had been written row by row."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.happenings import Alike, record
from gateway.store import Store, Tx
from tests.tables import look

signs = st.characters(codec="utf-8", exclude_characters="\0")  # which PostgreSQL keeps in no text
idents = st.one_of(st.text(signs, min_size=1, max_size=12), st.from_regex(r'["\\:/a-z]{1,9}', fullmatch=True))


async def kept(store: Store, rows: list[tuple[object, ...]], alike: list[Alike]) -> list[tuple[object, ...]]:
    async def write(tx: Tx) -> None:
        await look(tx, "DELETE FROM event")
        await record(tx, rows, alike)

    async def read(tx: Tx) -> list[tuple[object, ...]]:
        return await look(
            tx, "SELECT brand_id, run, message, part, parts, state, at, code, ref FROM event ORDER BY message"
        )

    await store.write(write)
    return await store.read(read)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(refs=st.dictionaries(idents, st.integers(1, 2**62), max_size=30), code=st.sampled_from(["", "000"]))
async def test_whatever_carriers_call_their_parts_is_kept_to_the_letter(
    store: Store, refs: dict[str, int], code: str
) -> None:
    alike = Alike(1, 7, 20, 1_800_000_000_000, code, refs)

    assert Counter(await kept(store, [], [alike])) == Counter(alike.rows())


async def test_rows_and_what_is_alike_go_into_one_journal(store: Store) -> None:
    row = (1, 7, 3, 1, 2, 43, 5, "x", "")

    assert await kept(store, [row], [Alike(1, 7, 50, 6, "000", {"us:a": 1, "us:b": 2})]) == [
        (1, 7, 1, 0, 1, 50, 6, "000", "us:a"),
        (1, 7, 2, 0, 1, 50, 6, "000", "us:b"),
        row,
    ]
