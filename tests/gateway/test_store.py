"""The door to the database: what it promises about commits, failures and order."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import StoreError
from gateway.store import Store, Tx, open_store
from gateway.store.conditions import All, Condition, Not, Trait, render
from gateway.store.conditions import Any as AnyOf
from gateway.store.queries import WIDE, compile_query, load
from gateway.store.sqlite import connect
from tests.tables import look


async def set_fact(tx: Tx, name: str, value: str) -> None:
    await tx.run("fact_set", brand=1, name=name, value=value)


async def get_fact(tx: Tx, name: str) -> str | None:
    value: str | None = await tx.value("fact_get", brand=1, name=name)
    return value


async def test_what_was_written_is_read_after_the_write_returns(store: Store) -> None:
    await store.write(set_fact, "a", "1")

    assert await store.read(get_fact, "a") == "1"


async def test_one_failing_transaction_takes_no_other_of_its_batch_with_it(store: Store) -> None:
    async def fail(tx: Tx) -> None:
        await set_fact(tx, "bad", "half done")
        raise ValueError("mine alone")

    results = await asyncio.gather(
        store.write(set_fact, "a", "1"), store.write(fail), store.write(set_fact, "b", "2"), return_exceptions=True
    )

    assert [type(result) for result in results] == [type(None), ValueError, type(None)]
    assert [await store.read(get_fact, name) for name in ("a", "bad", "b")] == ["1", None, "2"]


async def test_a_part_of_a_transaction_can_fail_alone(store: Store) -> None:
    async def inner(tx: Tx) -> None:
        await set_fact(tx, "inner", "gone")
        raise KeyError("inner")

    async def outer(tx: Tx) -> None:
        await set_fact(tx, "outer", "stays")
        with pytest.raises(KeyError):
            await tx.attempt(inner)

    await store.write(outer)

    assert [await store.read(get_fact, name) for name in ("inner", "outer")] == [None, "stays"]


async def test_what_follows_a_commit_is_done_in_the_loop_before_its_waiter_goes_on(store: Store) -> None:
    said: list[tuple[str, threading.Thread]] = []

    async def work(tx: Tx) -> bool:
        tx.after_commit(lambda: said.append(("committed", threading.current_thread())))
        tx.at_end(lambda: said.append(("over", threading.current_thread())))
        return bool(said)

    assert not await store.write(work)
    assert said == [("committed", threading.current_thread()), ("over", threading.current_thread())]
    assert await store.read(work)
    assert [each for each, _ in said] == ["committed", "over"] * 2


async def test_of_what_was_undone_only_its_end_is_told(store: Store) -> None:
    said: list[str] = []

    async def refused(tx: Tx, name: str) -> None:
        tx.after_commit(said.append, f"{name} committed")
        tx.at_end(said.append, f"{name} over")
        raise KeyError(name)

    async def outer(tx: Tx) -> None:
        tx.after_commit(said.append, "outer committed")
        with pytest.raises(KeyError):
            await tx.attempt(refused, "part")

    results = await asyncio.gather(store.write(refused, "whole"), store.write(outer), return_exceptions=True)

    assert [type(result) for result in results] == [KeyError, type(None)]
    assert said == ["whole over", "outer committed", "part over"]


async def test_a_slip_in_what_follows_a_commit_takes_no_waiter_with_it(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(tx: Tx) -> str:
        tx.after_commit([].remove, "nothing")
        return "done"

    assert await store.write(work) == "done"
    assert "failed at the result" in caplog.text


@pytest.mark.engine("sqlite")
async def test_a_transaction_that_awaits_anything_else_is_refused_and_undone(store: Store) -> None:
    async def sleepy(tx: Tx) -> None:
        await set_fact(tx, "sleepy", "1")
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="nothing but its tx"):
        await store.write(sleepy)

    assert await store.read(get_fact, "sleepy") is None


async def test_a_waiter_that_gave_up_does_not_undo_the_commit_or_harm_the_others(store: Store) -> None:
    waiting = asyncio.ensure_future(store.write(set_fact, "gone", "kept all the same"))
    await asyncio.sleep(0)
    waiting.cancel()

    await store.write(set_fact, "other", "1")

    assert await store.read(get_fact, "gone") == "kept all the same"


async def test_urgent_writes_do_not_wait_behind_bulk_ones(store: Store) -> None:
    order: list[str] = []

    async def note(_: Tx, name: str) -> None:
        if not order:
            time.sleep(0.05)  # noqa: ASYNC251  the store waits, so that the urgent one is there before the others
        order.append(name)

    bulk = [asyncio.ensure_future(store.write_bulk(note, f"bulk {n}")) for n in range(20)]
    await asyncio.sleep(0)
    await store.write(note, "urgent")
    await asyncio.gather(*bulk)

    assert order.index("urgent") < 10


async def nearly_full(tx: Tx) -> None:
    """From now on the file may grow by five pages."""
    ((pages,),) = await look(tx, "PRAGMA page_count")
    await look(tx, f"PRAGMA max_page_count = {pages + 5}")


async def together(store: Store, *works: Coroutine[Any, Any, None]) -> list[BaseException | None]:
    """Run these in one batch of the writing thread; what each of them raised."""
    go_on = threading.Event()

    async def hold(tx: Tx) -> None:
        go_on.wait(5)

    holding = asyncio.ensure_future(store.write(hold))
    await asyncio.sleep(0.05)
    waiting = [asyncio.ensure_future(work) for work in works]
    await asyncio.sleep(0)
    go_on.set()
    await holding
    async with asyncio.timeout(5):
        return await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.engine("sqlite")
async def test_a_full_disk_in_the_middle_of_a_batch_leaves_nobody_waiting(store: Store) -> None:
    await store.write(nearly_full)

    before, big, after = await together(
        store, store.write(set_fact, "a", "1"), store.write(set_fact, "big", "x" * 1_000_000),
        store.write(set_fact, "b", "2"),
    )  # fmt: skip

    assert "full" in str(big)
    assert isinstance(before, StoreError)  # the engine had undone it with the big one, and it is told so
    assert after is None
    assert [await store.read(get_fact, name) for name in ("a", "big", "b")] == [None, None, "2"]


async def test_a_waiter_that_stumbles_over_its_result_takes_no_other_with_it(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    def stumble(result: None, error: BaseException | None) -> None:
        raise ValueError("mine alone")

    async def submit() -> None:
        store.submit(set_fact, "a", "1", done=stumble)

    assert await together(store, submit(), store.write(set_fact, "b", "2")) == [None, None]
    assert [await store.read(get_fact, name) for name in ("a", "b")] == ["1", "2"]
    assert "mine alone" in caplog.text


@pytest.mark.engine("sqlite")
async def test_a_full_disk_is_no_fault_of_the_part_that_met_it_and_ends_the_whole(store: Store) -> None:
    async def forgiving(tx: Tx) -> None:
        await set_fact(tx, "before", "1")
        try:
            await tx.attempt(set_fact, "big", "x" * 1_000_000)
        except StoreError:
            raise
        except Exception:
            await set_fact(tx, "failed", "for its own fault")

    await store.write(nearly_full)
    with pytest.raises(StoreError, match="full"):
        await store.write(forgiving)

    assert [await store.read(get_fact, name) for name in ("before", "big", "failed")] == [None] * 3


async def test_a_full_disk_refuses_with_a_clear_error_and_the_store_goes_on(tmp_path: Path) -> None:
    store = open_store(tmp_path / "small.db")
    try:
        await store.write(nearly_full)
        with pytest.raises((StoreError, sqlite3.OperationalError), match="full"):
            await store.write(set_fact, "big", "x" * 1_000_000)

        await store.write(set_fact, "small", "fits")
        assert await store.read(get_fact, "small") == "fits"
        assert await store.read(get_fact, "big") is None
    finally:
        store.close()


def test_a_second_process_is_told_that_the_first_one_writes(tmp_path: Path) -> None:
    path = tmp_path / "one.db"
    script = f"""
        from pathlib import Path
        from gateway.store import open_store
        open_store(Path({str(path)!r}))
        print("held", flush=True)
        input()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match="another Carillon process"):
            open_store(path)
        other.kill()
    open_store(path).close()  # the kernel let go of the dead process's lock


def test_a_store_of_a_newer_schema_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "newer.db"
    open_store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO migration VALUES (999)")
    connection.close()

    with pytest.raises(StoreError, match="install a newer Carillon"):
        open_store(path)


def test_a_file_that_is_no_database_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "letter.db"
    path.write_text("Dear customer, " * 100)

    with pytest.raises(StoreError, match=r"letter\.db"):
        open_store(path)


def test_every_query_of_every_file_is_valid_sql_for_the_schema(tmp_path: Path) -> None:
    open_store(tmp_path / "empty.db").close()
    connection = connect(tmp_path / "empty.db")
    for query in load("sqlite").values():
        sql, names = query.sql, query.names
        if "condition" in names:
            sql = sql.replace(f"?{names.index('condition') + 1}", "TRUE")
        if not sql.upper().startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")):
            sql = f"SELECT 1 FROM person p WHERE {sql}"  # a fragment of a segment
        if query.name != "folding_create":  # every connection has that table from its start
            connection.execute(f"EXPLAIN {sql}", [None] * (len(names) + query.held))
    connection.close()


@pytest.mark.parametrize(
    "name",
    [
        "outbox_due", "outbox_take", "outbox_delete_through", "event_after", "state_overdue", "ref_get",
        "seen_among", "seen_expire", "ref_expire", "inbound_waiting", "audience_page", "person_export", "stop_follows",
        "coupon_redeem", "redemption_of_code", "replies_to_campaign", "coupons_of_run", "left_count",
    ],
)  # fmt: skip
def test_what_is_asked_all_the_time_reads_no_whole_table_and_sorts_nothing(tmp_path: Path, name: str) -> None:
    open_store(tmp_path / "empty.db").close()
    connection = sqlite3.connect(tmp_path / "empty.db")
    query = load("sqlite")[name]
    sql, values = query.sql, [20 if name == "state" else 1 for name in query.names]
    if "condition" in query.names:
        sql = sql.replace(f"?{query.names.index('condition') + 1}", "TRUE")
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values + [1] * query.held)]
    connection.close()

    whole = [step for step in plan if step.startswith("SCAN") and "INDEX" not in step and "CONSTANT ROW" not in step]
    assert [step for step in whole if "json_each" not in step and step != "SCAN packed"] == []  # its own rows, as JSON
    assert [step for step in plan if "TEMP B-TREE" in step] == []


def test_what_a_dead_owner_had_in_the_air_is_found_by_its_queue(tmp_path: Path) -> None:
    open_store(tmp_path / "empty.db").close()
    connection = connect(tmp_path / "empty.db")
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {load('sqlite')['flight_left'].sql}", [1])]
    connection.close()

    assert plan[0] == "SEARCH f USING INDEX flight_by_queue (queue=?)"


def test_parameters_are_numbered_in_the_order_of_their_first_appearance() -> None:
    query = compile_query("x", "SELECT ':no', a::text -- :neither\nFROM t WHERE b = :b AND c = :c OR d = :b;")

    assert query.names == ("b", "c")
    assert query.sql == "SELECT ':no', a::text \nFROM t WHERE b = ?1 AND c = ?2 OR d = ?1"


def test_conditions_number_their_values_behind_those_of_the_query() -> None:
    fragments = load("sqlite")
    tree: Condition = All((Trait("tagged", {"tags": ["vip"]}), Not(AnyOf((Trait("lives_in", {"cities": ["x"]}),)))))

    sql, values = render(tree, fragments, 5)

    assert "?5" in sql
    assert "?6" in sql
    assert values == [["vip"], ["x"]]


def test_an_empty_any_holds_for_no_one_and_an_empty_all_for_everyone() -> None:
    assert render(AnyOf(()), {}, 1)[0] == "FALSE"
    assert render(All(()), {}, 1)[0] == "TRUE"


@pytest.mark.parametrize("count", [0, 1, WIDE - 1, WIDE, WIDE + 1, 3 * WIDE + 7])
async def test_any_number_of_rows_is_inserted_whole_and_in_order(store: Store, count: int) -> None:
    rows = [(1, 7, message, 0, 1, 20, message * 2, "", f"us:{message}") for message in range(count)]

    async def insert(tx: Tx) -> int:
        return await tx.many("event_insert", iter(rows))

    async def read(tx: Tx) -> list[tuple[int, int, str]]:
        return [(each[2], each[6], each[8]) for each in await tx.rows("event_after", n=0, limit=1_000)]

    assert await store.write(insert) == count
    assert await store.read(read) == [(message, message * 2, f"us:{message}") for message in range(count)]


async def test_of_equal_keys_in_one_batch_the_last_row_stands(store: Store) -> None:
    async def insert(tx: Tx) -> None:
        await tx.many("reach_put", [(1, "club", 1, bytes([n])) for n in range(WIDE + 3)])

    async def read(tx: Tx) -> bytes:
        ((_, _, times),) = await tx.rows("reach_among", people=[1])
        return bytes(times)

    await store.write(insert)
    assert await store.read(read) == bytes([WIDE + 2])


# --- the log and its copier ------------------------------------------------------------------------------------------


def log_of(store: Store) -> Path:
    return Path(f"{store.place}-wal")


async def fill(tx: Tx, first: int, size: int = 2_000) -> None:
    await tx.many("event_insert", [(1, 7, first + n, 0, 1, 20, 0, "", "x" * size) for n in range(100)])


async def count(tx: Tx) -> int:
    found: int = await tx.value("event_last")
    return found


async def test_however_much_is_written_the_log_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.store.sqlite.WAL_LIMIT", 2_000_000)
    monkeypatch.setattr("gateway.store.sqlite.COPY_S", 0.01)
    store = open_store(tmp_path / "busy.db")
    longest = 0
    for first in range(0, 300, 4):  # 60 MB, without a pause, with somebody who reads beside it
        await asyncio.gather(*(store.write(fill, n) for n in range(first, first + 4)), store.read(count))
        longest = max(longest, log_of(store).stat().st_size)
    found = await store.read(count)
    store.close()

    assert found == 30_000
    assert longest < 30_000_000


async def test_a_closed_store_leaves_no_log_behind_and_all_in_the_file(tmp_path: Path) -> None:
    store = open_store(tmp_path / "closed.db")
    for n in range(10):
        await store.write(fill, n)
    store.close()

    assert not log_of(store).exists()
    with contextlib.closing(sqlite3.connect(tmp_path / "closed.db")) as connection:
        assert connection.execute("SELECT count(*) FROM event").fetchone() == (1_000,)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("store-")]


async def is_kept(writing: Coroutine[Any, Any, None]) -> bool:
    try:
        await writing
    except StoreError:
        return False
    return True


async def test_a_disk_that_is_full_when_the_log_is_copied_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.sqlite.COPY_S", 0.01)
    monkeypatch.setattr("gateway.store.sqlite.WAL_LIMIT", 1_000_000)
    path = tmp_path / "full.db"
    store = open_store(path)
    for n in range(20):
        await store.write(fill, n)
    store.close()
    before = path.stat().st_size
    store = open_store(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    kept = 20
    try:
        # The file cannot grow any more, and the log only to that size.
        resource.setrlimit(resource.RLIMIT_FSIZE, (before + 8192, hard))
        while kept < 1_000 and await is_kept(store.write(fill, kept)):
            kept += 1
        assert path.stat().st_size <= before + 8192
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert 20 < kept < 1_000
    assert await store.read(count) == 100 * kept
    await store.write(fill, 1)  # and it goes on without a restart
    store.close()

    store = open_store(path)
    assert await store.read(count) == 100 * (kept + 1)
    store.close()


async def test_what_was_said_to_be_written_is_in_the_file_as_it_was_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a copy of what is on the disk for sure, made anew with each sync, as the loss of power would leave it
    monkeypatch.setattr("gateway.store.sqlite.COPY_S", 60)
    path, copies = tmp_path / "power.db", iter(range(1_000))
    left: list[Path] = []

    def sync(log: int) -> None:
        copy = tmp_path / f"left{next(copies)}.db"
        shutil.copy(path, copy)
        shutil.copy(f"{path}-wal", f"{copy}-wal")
        left.append(copy)

    monkeypatch.setattr("gateway.store.sqlite.sync", sync)
    store = open_store(path)

    async def write(name: str) -> None:
        await store.write(set_fact, name, "here")
        with contextlib.closing(sqlite3.connect(left[-1])) as connection:
            assert connection.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone() == ("here",)

    for turn in range(8):
        await asyncio.gather(*(write(f"{turn}.{n}") for n in range(4)))
    store.close()


async def test_who_waits_for_the_disk_does_not_hold_up_who_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a disk that takes its time
    is_asked, may_end = threading.Event(), threading.Event()

    def sync(log: int) -> None:
        is_asked.set()
        may_end.wait()

    monkeypatch.setattr("gateway.store.sqlite.sync", sync)
    store = open_store(tmp_path / "slow.db")
    first = asyncio.create_task(store.write(set_fact, "first", "1"))
    await asyncio.to_thread(is_asked.wait)

    # when another writes meanwhile
    second = asyncio.create_task(store.write(set_fact, "second", "2"))
    while await store.read(get_fact, "second") is None:  # noqa: ASYNC110  it has no event of its own
        await asyncio.sleep(0.001)

    # then both are written and neither is told so before the disk has answered
    assert not first.done()
    assert not second.done()
    may_end.set()
    await asyncio.gather(first, second)
    store.close()


async def test_a_disk_that_cannot_sync_refuses_all_that_follows_until_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sync(log: int) -> None:
        raise OSError(5, "Input/output error")

    path = tmp_path / "broken.db"
    store = open_store(path)
    await store.write(set_fact, "before", "1")
    with monkeypatch.context() as broken:
        broken.setattr("gateway.store.sqlite.sync", sync)
        with pytest.raises(StoreError, match="could not be synced"):
            await store.write(set_fact, "meanwhile", "2")
    with pytest.raises(StoreError, match="start anew"):  # even now that the disk seems well
        await store.write(set_fact, "after", "3")
    store.close()

    store = open_store(path)
    await store.write(set_fact, "anew", "4")
    found = [await store.read(get_fact, name) for name in ("before", "after", "anew")]
    store.close()
    assert found == ["1", None, "4"]


def test_a_packed_query_gives_the_same_rows_in_one_value() -> None:
    query = compile_query("it", "-- packed: 3 columns\nSELECT :a, octets(b), c FROM (SELECT x'0a' AS b, NULL AS c)")
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        assert connection.execute(query.sql, ['a "\0" 好']).fetchall() == [('[["a \\"\\u0000\\" 好","0A",null]]',)]
