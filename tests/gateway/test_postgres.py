"""The shared engine: what it promises beside what every store promises (test_store.py)."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator

import asyncpg
import pytest

from gateway.errors import Fenced, StoreError
from gateway.fleet import BEAT_S, SILENT_S
from gateway.ids import first_at
from gateway.journal import Journal
from gateway.messages import State
from gateway.store import Store, Tx, beside, open_store, postgres_schema, postgres_tx, postgres_worker
from gateway.store.conditions import All, Not, Trait, render
from gateway.store.door import Job
from gateway.store.postgres_schema import AHEAD_DAYS, DAY_MS, SETTINGS
from gateway.store.postgres_worker import Line, gather_alike
from gateway.store.queries import load
from tests.ports import free_port
from tests.servers import PostgresServer, Proxy
from tests.tables import look, run_out_of_room

WHOLE = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "CREATE")


@pytest.fixture
def url(postgres: PostgresServer) -> Iterator[str]:
    """An empty store that is up to date."""
    lent = postgres.lend()
    yield lent
    postgres.take_back(lent)


@pytest.fixture
def fresh(postgres: PostgresServer) -> Iterator[str]:
    """A database in which nothing is."""
    made = postgres.url(postgres.empty_database())
    yield made
    postgres.drop(made)


@pytest.fixture
async def both(url: str) -> AsyncIterator[tuple[Store, Store]]:
    """Two stores on one database, as two processes have them."""
    stores = open_store(url), open_store(url)
    yield stores
    for store in stores:
        store.close()


async def set_fact(tx: Tx, name: str, value: str) -> None:
    await tx.run("fact_set", brand=1, name=name, value=value)


async def get_fact(tx: Tx, name: str) -> str | None:
    value: str | None = await tx.value("fact_get", brand=1, name=name)
    return value


async def count_up(tx: Tx, name: str) -> int:
    """Read, then write: right only where nobody comes in between."""
    value = int(await get_fact(tx, name) or 0) + 1
    await set_fact(tx, name, str(value))
    return value


@beside
async def count_beside(tx: Tx, name: str) -> int:
    """The same, where nobody else counts under this name."""
    return await count_up(tx, name)


# --- every query, and the way it takes


async def test_every_query_of_the_dialect_is_valid_for_the_schema_and_names_types_that_python_has(url: str) -> None:
    connection = await asyncpg.connect(url, server_settings=SETTINGS)
    queries = load("postgresql")
    try:
        await connection.execute(queries["folding_create"].sql)
        for query in queries.values():
            sql = query.sql.replace(":condition", "TRUE")
            if not sql.upper().startswith(WHOLE):
                sql = f"SELECT 1 FROM person p WHERE {sql}"
            statement = await connection.prepare(sql)
            types = {each.type.name for each in statement.get_attributes()}
            assert types <= {"int8", "int4", "text", "bytea", "float8", "bool", "jsonb", "void"}, query.name
            if query.head:  # a plain insert takes columns, too
                columns = ", ".join(f"${n}::{each.name}[]" for n, each in enumerate(statement.get_parameters(), 1))
                await connection.prepare(f"{query.head}SELECT * FROM unnest({columns}){query.tail}")
    finally:
        await connection.close()


async def test_conditions_of_every_kind_run_together_in_one_query(url: str) -> None:
    fragments = {name: query for name, query in load("postgresql").items() if not query.sql.startswith(WHOLE)}
    kinds: dict[str, object] = {
        "cities": ["x"], "tags": ["vip"], "choices": ["x"], "languages": ["en"], "genders": ["f"], "attribute": "size",
        "after": "2000-01-01", "until": "2001-01-01", "since": 1, "kind": "voted", "subject": "",
    }  # fmt: skip
    traits = [Trait(name, {each: kinds.get(each, 1.5) for each in query.names}) for name, query in fragments.items()]
    tree = Not(All((*traits, Not(All(tuple(traits))))))

    async def read(tx: Tx) -> list[tuple[object, ...]]:
        return await tx.people("audience_page", tree, brand=1, program="club", after=0, limit=10)

    store = open_store(url)
    try:
        assert await store.read(read) == []
    finally:
        store.close()
    assert render(tree, fragments, 5, mark="$")[0].count("$") >= 2 * len(fragments)


HOT = (
    "outbox_due", "outbox_take", "outbox_delete_through", "event_after", "ref_get", "seen_among", "audience_page",
    "fold_short", "inbound_waiting", "outbox_fill", "coupon_redeem", "state_overdue", "redemption_of_code",
)  # fmt: skip


@pytest.mark.parametrize("name", HOT)
async def test_what_is_asked_all_the_time_reads_no_whole_table(url: str, name: str) -> None:
    connection = await asyncpg.connect(url, server_settings=SETTINGS)
    query = load("postgresql")[name]
    try:
        await connection.execute(load("postgresql")["folding_create"].sql)
        await connection.execute(f"PREPARE hot AS {query.sql.replace(':condition', 'TRUE')}")
        words = ", ".join(["NULL"] * len(query.names))
        plan = [row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE hot({words})")]
    finally:
        await connection.close()

    assert [step for step in plan if "Seq Scan" in step or "Hash Join" in step or "Merge Join" in step] == []


# --- alone and beside


async def test_who_writes_is_alone_among_all_processes(both: tuple[Store, Store]) -> None:
    await asyncio.gather(*(store.write(count_up, "n") for store in both for _ in range(50)))

    assert await both[0].read(get_fact, "n") == "100"


async def test_those_marked_so_run_beside_each_other_and_nobody_beside_who_is_alone(both: tuple[Store, Store]) -> None:
    met = threading.Barrier(2)
    order: list[str] = []

    @beside
    async def meet(tx: Tx, name: str) -> None:
        await set_fact(tx, name, "1")
        await asyncio.to_thread(met.wait, 5)  # passes only when the other is in its transaction, too
        order.append("beside")

    async def alone(tx: Tx) -> None:
        order.append("alone")

    waiting = [asyncio.ensure_future(store.write(meet, name)) for store, name in zip(both, "ab", strict=True)]
    await asyncio.gather(*waiting, *(store.write(alone) for store in both))

    assert sorted(order) == ["alone", "alone", "beside", "beside"]
    assert order.index("beside") + 1 == order[::-1].index("beside") * -1 + len(order) - 1  # the two are neighbours


async def test_two_of_one_turn_wait_for_each_other_though_they_run_beside(both: tuple[Store, Store]) -> None:
    inside = most = 0

    @beside
    async def claim(tx: Tx) -> None:
        nonlocal inside, most
        await tx.turn("claim")
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.01)
        inside -= 1

    await asyncio.gather(*(store.write(claim) for store in both for _ in range(5)))

    assert most == 1


async def test_events_that_another_may_still_add_hold_the_horizon_down(both: tuple[Store, Store]) -> None:
    entered, go_on = threading.Event(), threading.Event()

    @beside
    async def add(tx: Tx) -> None:
        await tx.many("event_insert", [(1, 7, 1, 0, 1, 20, 0, "", "")])

    @beside
    async def slowly(tx: Tx) -> None:
        await tx.value("event_last")  # a transaction begins with its first statement
        entered.set()
        await asyncio.to_thread(go_on.wait, 5)
        await add(tx)

    async def horizon(tx: Tx) -> list[int]:
        return [await tx.value(name) for name in ("event_last", "event_settled")]

    await both[0].write(add)
    waiting = asyncio.ensure_future(both[0].write(slowly))
    await asyncio.to_thread(entered.wait, 5)
    await both[1].write(add)
    assert await both[1].read(horizon) == [2, 1]  # the second is there, but one below it may come
    go_on.set()
    await waiting
    assert await both[1].read(horizon) == [3, 3]


# --- fencing


async def test_who_was_struck_off_can_write_nothing_more(both: tuple[Store, Store]) -> None:
    ours, others = both

    async def join(tx: Tx) -> None:
        await tx.run("member_insert", node=3, brand=1, epoch=9, name="a", roles="all", alive_at=0)

    async def strike_off(tx: Tx) -> None:
        await tx.run("member_delete", node=3, epoch=9)
        await tx.run("member_insert", node=3, brand=1, epoch=10, name="b", roles="all", alive_at=0)

    await ours.write(join)
    ours.member = (3, 9)
    await ours.write(set_fact, "a", "written")
    await others.write(strike_off)

    late = [ours.write(set_fact, "a", "late"), ours.write(count_beside, "b"), ours.write_bulk(count_up, "c")]
    assert [type(error) for error in await asyncio.gather(*late, return_exceptions=True)] == [Fenced] * 3
    assert [await ours.read(get_fact, name) for name in "abc"] == ["written", None, None]


# --- when the line breaks


@pytest.mark.parametrize("how", ["heard", "unheard"])
@pytest.mark.parametrize("mark", [beside, lambda function: function])
async def test_after_a_lost_answer_to_a_commit_it_is_known_whether_it_was_kept(
    postgres: PostgresServer, url: str, how: str, mark: Callable[[object], object]
) -> None:
    proxy = Proxy(postgres.port)
    store = open_store(url.replace(str(postgres.port), str(proxy.port)))
    calls = 0
    ended: list[str] = []

    async def count(tx: Tx) -> int:
        nonlocal calls
        calls += 1
        tx.after_commit(ended.append, "committed")
        return await count_up(tx, "n")

    try:
        for n in range(1, 4):
            proxy.cuts_at_commit = how
            assert await store.write(mark(count)) == n  # type: ignore[arg-type]  # the marks are of any function
        assert calls == (3 if how == "heard" else 6)
        assert ended == ["committed"] * 3
        assert await store.read(get_fact, "n") == "3"
    finally:
        store.close()
        proxy.close()


async def test_lines_that_are_cut_again_and_again_lose_and_double_nothing(postgres: PostgresServer, url: str) -> None:
    proxy = Proxy(postgres.port)
    store = open_store(url.replace(str(postgres.port), str(proxy.port)))
    ended = asyncio.Event()

    async def cut() -> None:
        while not ended.is_set():
            await asyncio.sleep(0.02)
            proxy.cut()

    async def write(n: int) -> int:
        for _ in range(20):
            with contextlib.suppress(StoreError):
                return await store.write(count_beside if n % 2 else count_up, f"n{n}")
        raise AssertionError("never written")

    cutting = asyncio.ensure_future(cut())
    try:
        for _ in range(5):
            await asyncio.gather(*(write(n) for n in range(20)))
            await asyncio.sleep(0.01)
    finally:
        ended.set()
        await cutting
    assert [await store.read(get_fact, f"n{n}") for n in range(20)] == ["5"] * 20
    store.close()
    proxy.close()


async def test_a_server_that_crashes_under_load_loses_and_doubles_nothing_that_was_acknowledged() -> None:
    server = PostgresServer(is_safe=True)
    stores: list[Store] = []
    try:
        url = server.lend()
        stores = [open_store(url), open_store(url)]
        acknowledged = [0, 0]
        ended = False

        async def write_on(which: int) -> None:
            while not ended:
                try:
                    value = await stores[which].write(count_up, f"n{which}")
                except StoreError:
                    continue
                acknowledged[which] += 1
                assert value == acknowledged[which]  # none was lost, none came twice

        writing = [asyncio.ensure_future(write_on(which)) for which in (0, 1)]
        for how in (signal.SIGQUIT, signal.SIGINT):
            await asyncio.sleep(0.3)
            await asyncio.to_thread(server.stop, how)
            await asyncio.to_thread(server.start)
        await asyncio.sleep(0.3)
        ended = True
        await asyncio.gather(*writing)
        assert [await stores[0].read(get_fact, f"n{n}") for n in (0, 1)] == [str(count) for count in acknowledged]
        assert min(acknowledged) > 20
    finally:
        for store in stores:
            store.close()
        server.close()


async def test_while_the_database_is_away_who_waits_is_told_and_afterwards_all_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgres_worker, "GIVE_UP_S", 0.3)
    server = PostgresServer()
    store = open_store(server.lend())
    try:
        await store.write(set_fact, "a", "1")
        server.stop()
        started = time.monotonic()
        errors = await asyncio.gather(
            *(store.write(set_fact, "a", str(n)) for n in range(9)), store.read(get_fact, "a"), return_exceptions=True
        )
        assert {type(error) for error in errors} == {StoreError}
        assert "cannot be reached" in str(errors[0])
        assert time.monotonic() - started < 5
        server.start()
        await store.write(set_fact, "a", "again")
        assert await store.read(get_fact, "a") == "again"
    finally:
        store.close()
        server.close()


async def test_a_process_that_stands_still_inside_a_transaction_does_not_hold_up_the_others(
    both: tuple[Store, Store],
) -> None:
    entered, go_on = threading.Event(), threading.Event()

    async def stand_still(tx: Tx) -> int:
        value = await count_up(tx, "n")
        if not entered.is_set():
            entered.set()
            go_on.wait(20)  # the thread of this engine, as SIGSTOP would
        return value

    standing = asyncio.ensure_future(both[0].write(stand_still))
    await asyncio.to_thread(entered.wait, 5)
    started = time.monotonic()
    assert await both[1].write(count_up, "n") == 1
    assert time.monotonic() - started < 6
    go_on.set()
    assert await standing == 2  # its first attempt was undone, and made again


async def test_one_that_stands_still_while_another_of_its_lines_waits_holds_up_nobody_so_long_that_they_are_hushed(
    both: tuple[Store, Store],
) -> None:
    entered, stands, go_on = threading.Event(), threading.Event(), threading.Event()

    @beside
    async def stand_still(tx: Tx) -> None:
        await tx.value("event_last")  # a transaction begins with its first statement
        if not entered.is_set():
            entered.set()
            await asyncio.sleep(0.5)  # until the other line has asked to be alone
            stands.set()
            go_on.wait(20)

    standing = asyncio.ensure_future(both[0].write(stand_still))
    await asyncio.to_thread(entered.wait, 5)
    waiting = asyncio.ensure_future(both[0].write(count_up, "n"))
    await asyncio.to_thread(stands.wait, 5)
    started = time.monotonic()
    assert await both[1].write(count_up, "n") == 1
    assert time.monotonic() - started < SILENT_S - BEAT_S
    go_on.set()
    assert await waiting == 2
    await standing


async def test_two_that_stand_in_each_others_way_are_both_written(both: tuple[Store, Store]) -> None:
    met = threading.Barrier(2)
    tries = 0
    ended: list[str] = []

    @beside
    async def cross(tx: Tx, first: str, second: str) -> None:
        nonlocal tries
        tries += 1
        tx.after_commit(ended.append, f"{first} committed")
        tx.at_end(ended.append, f"{first} over")
        await set_fact(tx, first, "x")
        with contextlib.suppress(threading.BrokenBarrierError):
            await asyncio.to_thread(met.wait, 0.5)
        await set_fact(tx, second, first)

    await asyncio.gather(both[0].write(cross, "a", "b"), both[1].write(cross, "b", "a"))

    assert tries > 2
    assert sorted(ended) == ["a committed", "a over", "b committed", "b over"]  # once, however often it was tried


# --- failures of one


async def test_an_error_of_a_statement_that_was_swallowed_undoes_the_whole(both: tuple[Store, Store]) -> None:
    async def swallow(tx: Tx) -> None:
        await set_fact(tx, "a", "1")
        with contextlib.suppress(asyncpg.PostgresError):
            await tx.run("member_insert", node=None, brand=1, epoch=1, name="", roles="", alive_at=0)

    with pytest.raises(asyncpg.NotNullViolationError):
        await both[0].write(swallow)

    assert await both[0].read(get_fact, "a") is None


async def test_a_full_disk_is_told_as_such_and_the_store_goes_on(both: tuple[Store, Store]) -> None:
    async def forgiving(tx: Tx) -> None:
        await set_fact(tx, "before", "1")
        try:
            await tx.attempt(run_out_of_room)
        except StoreError:
            raise
        except Exception:
            await set_fact(tx, "failed", "for its own fault")

    results = await asyncio.gather(
        both[0].write(set_fact, "a", "1"), both[0].write(forgiving), both[0].write(set_fact, "b", "2"),
        return_exceptions=True,
    )  # fmt: skip

    assert [type(result) for result in results] == [type(None), StoreError, type(None)]
    assert "could not extend file" in str(results[1])
    assert [await both[1].read(get_fact, name) for name in ("a", "b", "before", "failed")] == ["1", "2", None, None]


async def test_a_letter_that_no_text_can_hold_is_replaced(both: tuple[Store, Store]) -> None:
    await both[0].write(set_fact, "a", "one\0two")

    assert await both[0].read(get_fact, "a") == "one\ufffdtwo"


async def test_what_is_added_up_by_one_key_in_one_batch_is_added_once_for_each_row(both: tuple[Store, Store]) -> None:
    async def add(tx: Tx) -> None:
        await tx.many("tally_add", [(7, state, "", 1, n) for n in range(1, 5) for state in (10, 20)])

    await both[0].write(add)

    async def read(tx: Tx) -> list[tuple[object, ...]]:
        return await tx.rows("tally_of_run", run=7)

    assert await both[0].read(read) == [(10, "", 10), (20, "", 10)]


def test_a_closed_store_takes_nothing_and_leaves_no_thread_and_no_line(postgres: PostgresServer, url: str) -> None:
    async def use() -> None:
        store = open_store(url)
        waiting = [asyncio.ensure_future(store.write(count_up, "n")) for _ in range(10)]
        await asyncio.sleep(0)
        store.close()
        assert await asyncio.gather(*waiting) == [*range(1, 11)]  # what waited was finished
        with pytest.raises(StoreError, match="closed"):
            await store.write(count_up, "n")

    asyncio.run(use())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("store-")]

    async def lines() -> tuple[int, int]:
        connection = await asyncpg.connect(url)
        found = await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'carillon'")
        marks = await connection.fetchval("SELECT count(*) FROM mark")
        await connection.close()
        return found, marks

    assert asyncio.run(lines()) == (0, 0)


# --- telling others


async def heard_by(store: Store) -> asyncio.Queue[str]:
    heard: asyncio.Queue[str] = asyncio.Queue()
    store.listen(heard.put_nowait)
    assert await asyncio.wait_for(heard.get(), 5) == ""  # it listens now; something may have been missed before
    return heard


async def test_every_process_hears_of_a_commit_once_and_of_what_was_undone_never(both: tuple[Store, Store]) -> None:
    ears = [await heard_by(store) for store in both]

    async def tell(tx: Tx, topic: str, *, fails: bool = False) -> None:
        tx.notify(topic)
        tx.notify(topic)
        if fails:
            raise ValueError("undone")

    with pytest.raises(ValueError, match="undone"):
        await both[0].write(tell, "undone", fails=True)
    await both[0].write(tell, "it's work")
    await both[1].write(tell, "config")

    for heard in ears:
        assert [await asyncio.wait_for(heard.get(), 5) for _ in range(2)] == ["it's work", "config"]
        assert heard.empty()


async def test_a_lost_ear_is_renewed_and_says_that_it_may_have_missed_something(url: str) -> None:
    store = open_store(url)
    heard = await heard_by(store)
    admin = await asyncpg.connect(url)
    await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")

    assert await asyncio.wait_for(heard.get(), 10) == ""
    await admin.execute("NOTIFY carillon, 'work'")
    assert await asyncio.wait_for(heard.get(), 5) == "work"
    await admin.close()
    store.close()


# --- a table for each day

DAY = 1_800_000_000_000 // DAY_MS * DAY_MS  # a day in 2027, for which no store has made a table yet


async def write_day(tx: Tx, at: int, *, waits: bool = False, state: State = State.DELIVERED) -> None:
    """A message of this moment with its state and an event."""
    id_ = first_at(at)
    message = (id_, 1, 7, 1, "marketing", "club", "us", "20655", "+12065550142", "UTC", "hello", 1, 0, 0, 0, 0)
    await tx.many("message_insert", [message])
    await tx.many("event_insert", [(1, 7, id_, 0, 1, state, at, "", "")])
    if waits:
        await tx.run("outbox_fill", queue=1, due=0, ids=[id_])


async def where(tx: Tx) -> set[str]:
    """The tables of days in which something is."""
    found = set()
    for table, key in (("message", "id"), ("event", "n"), ("state", "message")):
        found |= {name for (name,) in await look(tx, f"SELECT tableoid::regclass::text FROM {table} WHERE {key} > 0")}
    return found


@pytest.fixture
async def days(fresh: str) -> AsyncIterator[Store]:
    """A store of its own, since tables come and go."""
    store = open_store(fresh)
    yield store
    store.close()


async def test_what_was_written_before_its_day_had_tables_moves_there_and_is_read_as_before(days: Store) -> None:
    await days.write(write_day, DAY)
    await days.write(write_day, DAY + AHEAD_DAYS * DAY_MS)
    assert await days.read(where) == {"message_other", "event_other"}

    assert await days.make_room(DAY)
    assert await days.make_room(DAY)

    async def read(tx: Tx) -> list[object]:
        return [row[2] for row in await tx.rows("event_after", n=0, limit=10)]

    await days.write(Journal(1).fold)
    names = {f"{table}_{day}" for table in ("message", "event", "state") for day in ("20270115", "20270118")}
    assert await days.read(where) == names
    assert await days.read(read) == [first_at(DAY), first_at(DAY + AHEAD_DAYS * DAY_MS)]


async def test_days_older_than_the_retention_go_unless_something_of_them_still_waits(days: Store) -> None:
    await days.make_room(DAY)
    await days.write(write_day, DAY + 5, waits=True)
    late = DAY + 31 * DAY_MS
    await days.make_room(late)
    await days.write(write_day, late)
    assert await gone(days, late, 30) == []  # it waits, and its event is not folded

    await days.write(Journal(1).fold)
    assert await gone(days, late, 30) == []  # it waits still

    async def clear(tx: Tx) -> None:
        await tx.run("outbox_delete_through", queue=1, due=0, id=2**62)

    await days.write(clear)
    await days.let_go(late, 31)
    assert "message_20270115" in await days.read(where)  # thirty-one days have not passed
    assert await days.first_kept() == first_at(DAY)
    assert await gone(days, late, 30) == ["20270115"]
    assert await days.first_kept() == first_at(DAY + DAY_MS)
    assert await days.read(where) == {"message_20270215", "event_20270215", "state_20270215"}
    assert await gone(days, late, 30) == []
    assert not [name for name in await names_of_tables(days) if name.endswith("20270115")]


async def test_a_day_stays_while_an_old_message_of_it_is_on_its_way(days: Store) -> None:
    await days.make_room(DAY)
    late = DAY + 31 * DAY_MS
    await days.write(write_day, DAY + 5)
    await days.write(Journal(1).fold)

    async def claim(tx: Tx) -> None:
        await tx.run(
            "flight_insert", id=1, queue=1, brand=1, epoch=1, now=late, messages=[[first_at(DAY + 5), 1, 0, -1, 0]]
        )

    await days.write(claim)
    assert await gone(days, late, 30) == []
    await days.write(clear_flights)
    assert await gone(days, late, 30) == ["20270115"]


async def clear_flights(tx: Tx) -> None:
    await tx.run("flight_clear", queue=1)


async def gone(store: Store, now_ms: int, retention_days: int) -> list[str]:
    """The days of 2027 that are let go; of the days of the start, which are earlier, nothing is said."""
    before = await names_of_tables(store)
    await store.let_go(now_ms, retention_days)
    names = before - await names_of_tables(store)
    return sorted(name.removeprefix("message_") for name in names if name.startswith("message_2027"))


async def names_of_tables(store: Store) -> set[str]:
    async def read(tx: Tx) -> set[str]:
        return {name for (name,) in await look(tx, "SELECT relname::text FROM pg_class WHERE relkind = 'r'")}

    return await store.read(read)


async def test_who_reads_an_old_day_holds_up_its_going_and_nobody_else_for_long(
    days: Store, fresh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.postgres.TRIES", 2)
    await days.make_room(DAY)
    await days.write(write_day, DAY + 5)
    await days.write(Journal(1).fold)
    reader = await asyncpg.connect(fresh)
    await reader.execute("BEGIN; SELECT count(*) FROM message")
    going = asyncio.ensure_future(gone(days, DAY + 31 * DAY_MS, 30))
    longest = 0.0
    while not going.done():
        began = time.monotonic()
        await days.write(count_up, "n")
        longest = max(longest, time.monotonic() - began)
        await asyncio.sleep(0.01)

    assert await going == []
    assert longest < 1
    await reader.close()
    assert await gone(days, DAY + 31 * DAY_MS, 30) == ["20270115"]


@pytest.mark.parametrize("state", [State.SENT, State.IN_DOUBT])
async def test_a_day_stays_while_a_text_of_it_may_get_a_receipt_or_what_became_of_it_is_not_folded(
    days: Store, state: State
) -> None:
    late = DAY + 31 * DAY_MS
    await days.make_room(DAY)
    await days.make_room(late)
    await days.write(write_day, DAY + 5, state=state)
    await days.write(Journal(1).fold)
    assert await gone(days, late, 30) == []

    async def deliver(tx: Tx) -> None:
        await tx.many("event_insert", [(1, 7, first_at(DAY + 5), 0, 1, State.DELIVERED, late, "", "")])

    await days.write(deliver)
    assert await gone(days, late, 30) == []
    await days.write(Journal(1).fold)
    await days.write(deliver)  # brought again, and not folded yet
    assert await gone(days, late, 30) == []
    await days.write(Journal(1).fold)
    assert await gone(days, late, 30) == ["20270115"]


async def test_what_is_told_late_of_a_text_whose_day_was_let_go_is_counted_nowhere(days: Store) -> None:
    late = DAY + 31 * DAY_MS
    await days.make_room(DAY)
    await days.make_room(late)
    await days.write(write_day, DAY + 5, state=State.FAILED)
    await days.write(Journal(1).fold)
    assert await gone(days, late, 30) == ["20270115"]

    async def deliver(tx: Tx) -> None:
        events = [
            (1, 7, first_at(DAY + 5) + n, 0, parts, State.DELIVERED, late, "", "") for n, parts in ((0, 1), (1, 2))
        ]
        await tx.many("event_insert", events)

    async def sums(tx: Tx) -> list[tuple[object, ...]]:
        return [tuple(row) for row in await tx.rows("tally_of_run", run=7)]

    before = await days.read(sums)
    await days.write(deliver)
    assert (await days.write(Journal(1).fold)).events >= 2
    assert await days.read(sums) == before
    assert await days.read(where) == {"event_20270215"}


async def test_each_old_day_is_judged_by_itself_and_what_holds_one_is_told_once_a_day(
    days: Store, caplog: pytest.LogCaptureFixture
) -> None:
    for n in range(3):
        await days.make_room(DAY + n * DAY_MS)
        await days.write(write_day, DAY + n * DAY_MS, waits=n == 1)
    await days.write(write_day, DAY - 40 * DAY_MS)  # of which there never was a table
    await days.write(Journal(1).fold)
    late = DAY + 40 * DAY_MS
    await days.make_room(late)

    assert await gone(days, late, 37) == ["20270115", "20270117"]
    assert {name[-8:] for name in await days.read(where)} == {"20270116"}
    assert await days.first_kept() == first_at(DAY + DAY_MS)
    assert await gone(days, late + 1, 37) == []
    assert await gone(days, late + DAY_MS, 38) == []
    told = [each.getMessage() for each in caplog.records if "cannot be let go" in each.getMessage()]
    assert len(told) == 2
    assert "2027-01-16 cannot be let go: texts of it wait to leave" in told[0]


async def test_who_reads_for_long_holds_up_the_first_old_day_and_no_others_are_tried(
    days: Store, fresh: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.store.postgres.TRIES", 1)
    for n in range(3):
        await days.make_room(DAY + n * DAY_MS)
    reader = await asyncpg.connect(fresh)
    await reader.execute("BEGIN; SELECT count(*) FROM message")
    assert await gone(days, DAY + 40 * DAY_MS, 30) == []
    await reader.close()
    told = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert len(told) == 1
    assert "somebody reads it for long" in told[0]


async def test_room_for_the_coming_days_is_made_though_somebody_reads_an_old_one(days: Store, fresh: str) -> None:
    await days.make_room(DAY)
    reader = await asyncpg.connect(fresh)
    await reader.execute("BEGIN; SELECT count(*) FROM message_20270115")
    began = time.monotonic()
    assert await days.make_room(DAY + 40 * DAY_MS)
    assert time.monotonic() - began < 2
    await reader.close()
    assert "message_20270115" in await names_of_tables(days)  # whoever takes over waits for no old day's going


async def test_a_day_that_cannot_be_made_yet_is_told_with_its_name_and_made_later(
    days: Store, fresh: str, caplog: pytest.LogCaptureFixture
) -> None:
    reader = await asyncpg.connect(fresh)
    await reader.execute("BEGIN; SELECT count(*) FROM message")
    assert [await days.make_room(DAY) for _ in range(2)] == [False, False]
    await reader.close()
    told = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert len(told) == 1
    assert "the table for message of 2027-01-15 could not be made yet" in told[0]
    assert await days.make_room(DAY)
    assert "message_20270115" in await names_of_tables(days)


async def test_tables_of_others_are_left_alone_whatever_their_names_begin_with(days: Store, fresh: str) -> None:
    others = ["dropped_customers_2025", "dropped_Mixed_20250101", "dropped_message_20250101_old"]
    connection = await asyncpg.connect(fresh)
    for name in others:
        await connection.execute(f'CREATE TABLE "{name}" (a int)')
    await connection.execute("CREATE TABLE dropped_message_20250101 (a int)")
    await connection.close()
    await days.let_go(DAY, 30)
    assert {name for name in await names_of_tables(days) if name.startswith("dropped")} == set(others)


async def test_what_a_crash_left_of_a_day_that_was_let_go_is_removed_by_the_next(days: Store) -> None:
    await days.make_room(DAY)

    async def let_go(tx: postgres_tx.Tx) -> None:
        await postgres_schema.let_go(tx, postgres_schema.day_of(DAY))

    await days.write_bulk(let_go)  # type: ignore[arg-type]
    assert "dropped_message_20270115" in await names_of_tables(days)
    await days.let_go(DAY + DAY_MS, 30)
    assert not [name for name in await names_of_tables(days) if name.startswith("dropped")]


async def test_a_store_has_tables_for_today_and_the_coming_days_from_its_start(days: Store) -> None:
    now = int(time.time() * 1000)
    for ahead in range(AHEAD_DAYS):
        await days.write(write_day, now + ahead * DAY_MS)

    assert not {name for name in await days.read(where) if name.endswith("other")}


# --- what can be wrong with a database


def refusal_of(place: str) -> str:
    with pytest.raises(StoreError) as refusal:
        open_store(place)
    assert "secret" not in str(refusal.value)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("store-")]
    return str(refusal.value)


@pytest.mark.parametrize("place", ["mysql://host/db", "postgresql", "sqlite:", "data/carillon.db"])
def test_a_place_that_is_no_address_is_refused(place: str) -> None:
    assert "expected sqlite:FILE or postgresql://" in refusal_of(place)


@pytest.mark.parametrize("rest", ["u:secret@127.0.0.1:port/db", "u:secret/secret@host/db", "u:s@secret:@host:x/db"])
def test_an_address_that_makes_no_sense_is_refused(rest: str) -> None:
    assert "postgresql://USER@HOST:PORT/DATABASE" in refusal_of(f"postgresql://{rest}")


def test_where_nobody_answers_that_is_said() -> None:
    told = refusal_of(f"postgresql://u:secret@127.0.0.1:{free_port()}/db?application_name=x&password=secret")
    assert told.startswith("postgresql://u@127.0.0.1:")
    assert "cannot be reached" in told


def test_a_database_that_is_not_there_is_named(postgres: PostgresServer) -> None:
    assert "createdb" in refusal_of(postgres.url("nowhere"))


def test_a_wrong_password_is_told_without_telling_it(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    access = postgres.data / "pg_hba.conf"
    before = access.read_text()
    postgres.execute("CREATE ROLE guarded LOGIN PASSWORD 'right'")
    try:
        access.write_text(f"host all guarded 127.0.0.1/32 scram-sha-256\n{before}")
        postgres.execute("SELECT pg_reload_conf()")
        time.sleep(0.2)
        assert "PGPASSWORD" in refusal_of(postgres.url("postgres", user="guarded:secret"))
        monkeypatch.setenv("PGPASSWORD", "secret")
        assert "PGPASSFILE" in refusal_of(postgres.url("postgres", user="guarded"))
    finally:
        access.write_text(before)
        postgres.execute("SELECT pg_reload_conf(); DROP ROLE guarded")


def test_a_missing_right_is_told_with_the_cure_and_nothing_is_changed(postgres: PostgresServer, fresh: str) -> None:
    postgres.execute("CREATE ROLE guest LOGIN")
    try:
        told = refusal_of(fresh.replace("carillon@", "guest@"))
    finally:
        postgres.execute("DROP ROLE guest")
    assert "GRANT CREATE ON SCHEMA public" in told
    assert names_in(fresh) == []


def names_in(url: str) -> list[str]:
    async def read() -> list[str]:
        connection = await asyncpg.connect(url)
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        await connection.close()
        return [row[0] for row in rows]

    return asyncio.run(read())


def test_a_server_that_is_too_old_is_refused(fresh: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_schema, "OLDEST_SERVER", 99)

    assert "99 or newer is needed" in refusal_of(fresh)
    assert names_in(fresh) == []


def test_a_newer_schema_is_refused_and_not_touched(fresh: str) -> None:
    open_store(fresh).close()

    async def raise_schema() -> None:
        connection = await asyncpg.connect(fresh)
        await connection.execute("INSERT INTO migration VALUES (999)")
        await connection.close()

    asyncio.run(raise_schema())
    assert "install a newer Carillon" in refusal_of(fresh)


def test_a_database_that_knows_no_letters_but_ours_is_refused(postgres: PostgresServer) -> None:
    postgres.execute("CREATE DATABASE plain TEMPLATE template0 LOCALE_PROVIDER libc LOCALE 'C'")
    try:
        assert "LOCALE 'C.UTF-8'" in refusal_of(postgres.url("plain"))
    finally:
        postgres.drop(postgres.url("plain"))


def test_a_store_that_may_lose_what_it_acknowledged_is_refused(postgres: PostgresServer, fresh: str) -> None:
    postgres.execute(f"ALTER DATABASE {fresh.rpartition('/')[2]} SET synchronous_commit = off")

    assert "synchronous_commit" in refusal_of(fresh)


async def test_processes_that_open_an_empty_database_together_make_its_tables_once(fresh: str) -> None:
    stores = await asyncio.gather(*(asyncio.to_thread(open_store, fresh) for _ in range(4)))
    await asyncio.gather(*(store.write(count_up, "n") for store in stores))
    assert await stores[0].read(get_fact, "n") == "4"
    for store in stores:
        store.close()


def test_neither_what_is_urgent_nor_what_is_long_waits_for_ever_beside_others() -> None:
    async def gathered() -> list[list[object]]:
        line = Line(asyncio.get_running_loop())
        for n in range(3):
            line.put(Job(asyncio.get_running_loop(), lambda _: None, count_beside, (n,)), bulk=True)
            line.put(Job(asyncio.get_running_loop(), lambda _: None, get_fact, (n,)), bulk=False)
        found = []
        for n in range(6):
            found.append([job.arguments[0] for job in await line.take(gather_alike) or []])
            line.put(Job(asyncio.get_running_loop(), lambda _: None, get_fact, (10 + n,)), bulk=False)
        return found

    assert asyncio.run(gathered()) == [[0, 1, 2], [0], [10, 11], [1], [12, 13], [2]]
