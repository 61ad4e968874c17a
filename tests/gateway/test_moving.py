"""A business that moves from one store to another: nothing is lost, nothing doubled, and nobody serves half of it."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import signal
import sqlite3
import string
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import StoreError
from gateway.ids import first_at
from gateway.store import moving, open_store, sqlite
from gateway.store.door import SCHEMA
from gateway.store.moving import Moved, Step
from gateway.store.moving_side import Kind, Summing
from tests.servers import PostgresServer

NOON = 1_795_867_200_000  # 2026-11-28
SMALL = {"part", "parts", "repeat", "state", "thought", "attempt", "crashes", "worst", "again"}
STAYING = {"migration", "member", "lease"}
WORDS = [
    "",
    "Grüß Gott",
    "雪が降る",
    "😀👩‍👩‍👧",
    "'; --",
    '"\\',
    "a\nb\r\tc",
    "\u202eرسالة",
    "\x01\x7f",
    "\ufffe",
    "é",
    "e\u0301",
]
Rows = dict[str, list[tuple[Any, ...]]]
Places = Callable[[str], str]


def quiet(_step: Step) -> None:
    """Nobody looks."""


# --- places and what is in them


@pytest.fixture
def places(tmp_path: Path, postgres: PostgresServer) -> Iterator[Places]:
    """A new empty place of either engine."""
    lent: list[str] = []
    numbers = itertools.count()

    def make(engine: str) -> str:
        if engine == "sqlite":
            return f"sqlite:{tmp_path / f'{next(numbers)}.db'}"
        lent.append(postgres.lend())
        return lent[-1]

    yield make
    for url in lent:
        postgres.take_back(url)


def file_of(place: str) -> Path:
    return Path(place.removeprefix("sqlite:"))


def filled(place: str, rows: int = 25, seed: int = 1) -> str:
    """A SQLite store with so many rows of nonsense in every table."""
    open_store(place).close()
    chance = random.Random(seed)
    with closing(sqlite3.connect(file_of(place))) as connection:
        for table in names(connection):
            columns = connection.execute(f"PRAGMA table_info('{table}')").fetchall()
            key = {column[1] for column in columns if column[5]}
            made = [[value(chance, n, column, column[1] in key) for column in columns] for n in range(rows)]
            chance.shuffle(made)
            connection.executemany(f'INSERT INTO "{table}" VALUES ({",".join("?" * len(columns))})', made)
        connection.commit()
    return place


def value(chance: random.Random, n: int, column: tuple[Any, ...], is_key: bool) -> Any:
    _, name, kind, is_needed, *_ = column
    if not is_needed and not is_key and chance.random() < 0.3:
        return None
    if name == "brand_id":
        return 1
    if kind == "REAL":
        return chance.choice([0.0, -122.33, 1e-9, 47.6062, 1e12, 3.0])
    if kind == "BLOB":
        return chance.randbytes(chance.randrange(30))
    if kind == "TEXT":
        word = chance.choice(WORDS)
        if name == "attributes":
            return json.dumps({"size": word, "ß": n, "a": [1.50, None, True]}, ensure_ascii=False)
        return f"{n} {word}" if is_key or name in ("address", "campaign", "text", "name") else word
    if name in ("id", "message", "at"):
        moment = NOON + n % 25 * 3_600_000 + n  # of two days
        return moment if name == "at" else first_at(moment) + n
    if is_key or name == "n" or name in ("run", "shard"):
        return n + 1
    return chance.choice([0, 1, -1, 7, 2**31 - 1]) if name in SMALL else chance.choice([0, -1, 2**53 + 1, 2**63 - 1])


def names(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    return [name for (name,) in rows if name not in STAYING and not name.startswith("sqlite")]


def content(place: str) -> Rows:
    """All that a SQLite store holds of its business, read without the code that moves."""
    found: Rows = {}
    with closing(sqlite3.connect(file_of(place))) as connection:
        for table in names(connection):
            columns = [column[1] for column in connection.execute(f"PRAGMA table_info('{table}')")]
            rows = connection.execute(f'SELECT * FROM "{table}" WHERE brand_id <> 0').fetchall()
            if "attributes" in columns:
                at = columns.index("attributes")
                rows = [(*row[:at], json.dumps(json.loads(row[at]), sort_keys=True), *row[at + 1 :]) for row in rows]
            found[table] = sorted(rows, key=repr)
    return found


def change(place: str, *statements: str) -> None:
    """Change a place behind the back of everybody, whatever its engine."""
    if place.startswith("sqlite:"):
        with closing(sqlite3.connect(file_of(place), timeout=10)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()
        return

    async def work() -> None:
        connection = await asyncpg.connect(place)
        for statement in statements:
            await connection.execute(statement)
        await connection.close()

    asyncio.run(work())


def look(place: str, sql: str) -> Any:
    """One value, whatever the engine."""
    if place.startswith("sqlite:"):
        with closing(sqlite3.connect(file_of(place))) as connection:
            return connection.execute(sql).fetchone()[0]

    async def work() -> Any:
        connection = await asyncpg.connect(place)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(work())


def move(source: str, target: str, tell: Callable[[Step], None] = quiet) -> Moved:
    return asyncio.run(moving.move(source, target, tell))


def undo(source: str, target: str, *, force: bool = False) -> str:
    return asyncio.run(moving.undo(source, target, quiet, force=force))


# --- nothing lost


def test_a_business_comes_home_unchanged_from_a_walk_through_both_engines(
    places: Places, postgres: PostgresServer
) -> None:
    home = filled(places("sqlite"))
    before = content(home)
    virgin = postgres.url(postgres.empty_database())
    walk = [home, places("postgresql"), virgin, places("sqlite"), places("sqlite")]

    for source, target in itertools.pairwise(walk):
        assert move(source, target).differing == []

    assert content(walk[-1]) == before
    assert all(before.values())
    assert all(len(rows) == 25 for rows in before.values())
    postgres.drop(virgin)


def test_each_table_is_told_with_its_rows_and_a_sum(places: Places) -> None:
    source = filled(places("sqlite"))
    steps: list[Step] = []

    moved = move(source, places("postgresql"), steps.append)

    assert {each.table: each.source.rows for each in moved.tables} == dict.fromkeys(content(source), 25)
    assert all(each.source.check == each.target.check > 0 for each in moved.tables)
    assert moved.copied == 25 * len(moved.tables)
    assert [step.doing for step in (steps[0], steps[-1])] == ["copying", "comparing"]
    assert steps[-1].done == steps[-1].total == moved.copied


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
NUMBERS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
JSONS = st.dictionaries(
    TEXTS, st.recursive(st.none() | st.booleans() | NUMBERS | TEXTS | st.floats(-1e300, 1e300), st.lists, max_leaves=5)
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    people=st.lists(st.tuples(TEXTS, st.none() | TEXTS, FLOATS, FLOATS, NUMBERS, JSONS), max_size=4),
    times=st.lists(st.binary(max_size=40), max_size=3),
)
def test_values_of_every_kind_survive_the_way_there_and_back(
    people: list[tuple[Any, ...]],
    times: list[bytes],
    tmp_path_factory: pytest.TempPathFactory,
    postgres: PostgresServer,
) -> None:
    folder = tmp_path_factory.mktemp("values")
    source, back, url = f"sqlite:{folder / 'a.db'}", f"sqlite:{folder / 'b.db'}", postgres.lend()
    open_store(source).close()
    with closing(sqlite3.connect(file_of(source))) as connection:
        connection.executemany(
            """INSERT INTO person (id, brand_id, address, country, zone, city, birthday, lat, lon, created_at,
                                   attributes)
               VALUES (?, 1, ?, 'US', '', ?, ?, ?, ?, ?, ?)""",
            [(n, str(n), *person[:5], json.dumps(person[5])) for n, person in enumerate(people)],
        )
        connection.executemany(
            "INSERT INTO reach (person, program, brand_id, times) VALUES (?, 'club', 1, ?)", enumerate(times)
        )
        connection.commit()

    assert move(source, url).differing == []
    assert move(url, back).differing == []

    there, here = content(source), content(back)
    assert here["reach"] == there["reach"]
    assert [row[:12] + row[13:] for row in here["person"]] == [row[:12] + row[13:] for row in there["person"]]
    assert [exactly(row[12]) for row in here["person"]] == [exactly(row[12]) for row in there["person"]]
    postgres.take_back(url)


def exactly(text: str) -> Any:
    """JSON with each digit of its numbers."""
    return json.loads(text, parse_int=Decimal, parse_float=Decimal)


# --- broken off

KILLED = """
import asyncio, os, signal, sys
from gateway.store import moving, moving_postgres, moving_sqlite
source, target, table, page = sys.argv[1:]
moving_sqlite.PAGE = moving_postgres.PAGE = int(page)
seen = 0
def tell(step):
    global seen
    seen += step.table == table and step.doing == "copying"
    if seen > 1:
        os.kill(os.getpid(), signal.SIGKILL)
assert asyncio.run(moving.move(source, target, tell)).differing == []
"""
ENDS = [("sqlite", "postgresql"), ("postgresql", "sqlite")]
TORTURE = bool(os.environ.get("CARILLON_TORTURE"))
ROWS = 2_000  # so many that the move is not over before the first death


def process(source: str, target: str, table: str = "", page: int = 10) -> subprocess.Popen[bytes]:
    """A move that dies after the first page of a table."""
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen([sys.executable, "-c", KILLED, source, target, table, str(page)], env=environ)


def begun_at(places: Places, engine: str, rows: int = 25) -> tuple[str, Rows]:
    """A full place of an engine, and what is in it."""
    first = filled(places("sqlite"), rows)
    if engine == "sqlite":
        return first, content(first)
    url = places(engine)
    move(first, url)
    return url, content(first)


@pytest.mark.parametrize("ends", ENDS)
def test_a_move_killed_in_the_midst_of_every_table_ends_with_each_row_once(
    places: Places, ends: tuple[str, str]
) -> None:
    source, before = begun_at(places, ends[0])
    target = places(ends[1])

    # Both directions share the tables among them, for each death costs the start of a process.
    tables = sorted(before) if TORTURE else sorted(before)[ENDS.index(ends) :: len(ENDS)]
    for table in tables:
        assert process(source, target, table).wait(30) == -signal.SIGKILL
    last = move(source, target)

    assert last.differing == []
    assert 0 < last.copied <= 25 * (1 if TORTURE else len(ENDS))
    assert content(home(places, target)) == before


def home(places: Places, place: str) -> str:
    """The same as a file that can be looked into."""
    if place.startswith("sqlite:"):
        return place
    file = places("sqlite")
    move(place, file)
    return file


@pytest.mark.parametrize("ends", ENDS)
def test_a_move_killed_at_any_moment_ends_with_each_row_once(places: Places, ends: tuple[str, str]) -> None:
    source, before = begun_at(places, ends[0], ROWS)
    target, chance = places(ends[1]), random.Random(5)

    for kills in range(30):
        moves = process(source, target, page=200)
        with suppress(subprocess.TimeoutExpired):
            moves.wait(chance.uniform(0.4, 0.8) + kills * 0.1)
            break
        moves.kill()
        moves.wait()

    assert kills
    assert '"gone"' in look(source, "SELECT value FROM fact WHERE brand_id = 0")
    assert content(home(places, target)) == before


@pytest.mark.parametrize("ends", ENDS)
def test_neither_end_of_half_a_move_can_be_served(places: Places, ends: tuple[str, str]) -> None:
    source, _ = begun_at(places, ends[0])
    target = places(ends[1])
    assert process(source, target, "message").wait(30) == -signal.SIGKILL

    with pytest.raises(StoreError, match=r"on its way to .* To finish the move: run.py migrate-store .* --undo"):
        open_store(source)
    with pytest.raises(StoreError, match=r"not everything of .* is here yet. To finish the move: run.py migrate-store"):
        open_store(target)

    assert move(source, target).differing == []
    open_store(target).close()
    with pytest.raises(StoreError, match=r"this business has moved to .*; say so under `store:` in config.yaml"):
        open_store(source)


async def test_a_process_that_was_away_during_the_move_can_write_nothing_any_more(
    places: Places,
) -> None:
    source = places("postgresql")
    store = open_store(source)  # its lines are cut, so that it looks as if it had gone
    await store.read(count_facts)
    cut = await asyncpg.connect(source)
    mark = '{"move": "1", "part": "gone", "other": "elsewhere"}'
    await cut.execute("INSERT INTO fact (brand_id, name, value) VALUES (0, 'move', $1)", mark)
    await cut.close()

    with pytest.raises(StoreError, match="has moved"):
        await store.write(set_fact)

    store.close()


async def count_facts(tx: Any) -> Any:
    return await tx.value("fact_get", brand=1, name="clock")


async def set_fact(tx: Any) -> None:
    await tx.run("fact_set", brand=1, name="clock", value="1")


# --- what is there is what was meant


def flipped_at_the_end(target: str, *statements: str) -> Callable[[Step], None]:
    """Change the target as soon as everything has been copied."""
    done: list[Step] = []

    def tell(step: Step) -> None:
        if step.doing == "comparing" and not done:
            done.append(step)
            flip(target, *statements)

    return tell


def flip(target: str, *statements: str) -> None:
    """From another process: this one's loop runs."""
    words = [sys.executable, "-c", FLIP, target, *statements]
    subprocess.run(words, check=True, timeout=20)


FLIP = """
import asyncio, sqlite3, sys
target, *statements = sys.argv[1:]
if target.startswith("sqlite:"):
    connection = sqlite3.connect(target.removeprefix("sqlite:"), timeout=10)
    [connection.execute(each) for each in statements]
    connection.commit()
else:
    import asyncpg
    async def work():
        connection = await asyncpg.connect(target)
        [await connection.execute(each) for each in statements]
    asyncio.run(work())
"""


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize(
    ("table", "statement"),
    [
        ("message", "UPDATE message SET text = text || ' ' WHERE person = (SELECT min(person) FROM message)"),
        ("stop", "DELETE FROM stop WHERE person = 3"),
        ("outbox", "UPDATE outbox SET missing = -2 WHERE missing = -1"),
        ("person", "UPDATE person SET lat = lat + 0.000001 WHERE lat > 40"),
        ("vote", "UPDATE vote SET choice = 'x', door = 'y' WHERE person = 3"),
    ],
)
def test_a_value_that_is_not_what_it_was_is_found_and_mended_by_the_next_run(
    places: Places, ends: tuple[str, str], table: str, statement: str
) -> None:
    source, before = begun_at(places, ends[0])
    target = places(ends[1])

    moved = move(source, target, flipped_at_the_end(target, statement))

    assert moved.differing == [table]
    with pytest.raises(StoreError, match="not everything"):
        open_store(target)
    assert move(source, target).differing == []
    assert content(home(places, target)) == before


def test_two_tables_whose_rows_have_changed_places_have_the_same_sum() -> None:
    columns = {"id": Kind.INTEGER, "words": Kind.TEXT}
    rows = [(n, letter) for n, letter in enumerate(string.ascii_letters)]
    forth, back = (Summing(columns, ["id"], keeps_nul=True) for _ in range(2))

    forth.add(rows)
    for row in reversed(rows):
        back.add([row])

    assert forth.sum.same_as(back.sum)


@given(st.tuples(NUMBERS, TEXTS, FLOATS, st.binary()), st.tuples(NUMBERS, TEXTS, FLOATS, st.binary()))
def test_rows_that_differ_have_different_sums(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    columns = {"a": Kind.INTEGER, "b": Kind.TEXT, "c": Kind.REAL, "d": Kind.BLOB}
    sums = []
    for row in (one, other):
        summing = Summing(columns, ["a"], keeps_nul=True)
        summing.add([row])
        sums.append(summing.sum)

    assert sums[0].same_as(sums[1]) == (one == other)


def test_the_spelling_of_json_does_not_count_but_its_values_do() -> None:
    def summed(text: str) -> int:
        summing = Summing({"attributes": Kind.JSON}, ["attributes"], keeps_nul=True)
        summing.add([(text,)])
        return summing.sum.check

    assert summed('{"a":1,"b":[1.50,"x"]}') == summed('{"b": [1.5, "x"], "a": 1}')
    assert summed('{"a":1e300}') == summed('{"a": 1' + "0" * 300 + "}")
    assert len({summed(text) for text in ('{"a":1}', '{"a":"1"}', '{"a":true}', '{"a":null}', "{}", '{"a":1.1}')}) == 6


# --- what comes after


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_numbers_go_on_behind_the_last_one_that_was_given_even_if_its_row_is_gone(
    places: Places, engine: str
) -> None:
    source, target = places("postgresql"), places(engine)
    open_store(source).close()
    await asyncio.to_thread(
        change, source, "SELECT setval('event_n', 5000)", "SELECT setval(pg_get_serial_sequence('flight', 'id'), 70)",
        "INSERT INTO ledger (id, brand_id, person, program, change, at, source) VALUES (9, 1, 1, '', 'left', 1, '')",
    )  # fmt: skip
    await moving.move(source, target, quiet)

    store = open_store(target)
    try:
        flight = await store.write(claim)
        await store.write(happen)
    finally:
        store.close()

    assert flight == 71
    assert await asyncio.to_thread(look, target, "SELECT max(n) FROM event WHERE brand_id <> 0") == 5001
    assert await asyncio.to_thread(look, target, "SELECT since FROM flight") == 5000
    await asyncio.to_thread(
        change,
        target,
        "INSERT INTO ledger (brand_id, person, program, change, at, source) VALUES (1, 1, '', 'left', 1, 'text')",
    )
    assert await asyncio.to_thread(look, target, "SELECT max(id) FROM ledger") == 10


async def claim(tx: Any) -> Any:
    flight = await tx.value("flight_next")
    await tx.run("flight_insert", id=flight, queue=1, brand=1, epoch=1, now=NOON, messages="[]")
    return flight


async def happen(tx: Any) -> None:
    await tx.many("event_insert", [(1, 1, 1, 0, 1, 20, NOON, "", "")])


def test_the_days_of_what_was_moved_can_be_dropped_one_by_one(places: Places, postgres: PostgresServer) -> None:
    source, virgin = filled(places("sqlite")), postgres.url(postgres.empty_database())

    move(source, virgin)

    others = " + ".join(f"(SELECT count(*) FROM {table}_other)" for table in ("message", "state", "event"))
    assert look(virgin, f"SELECT {others}") == 0
    assert look(virgin, "SELECT count(*) FROM message_20261128") == 12
    postgres.drop(virgin)


# --- the one character


def with_nul(place: str) -> str:
    open_store(place).close()
    with closing(sqlite3.connect(file_of(place))) as connection:
        connection.execute(
            """INSERT INTO inbound (id, brand_id, channel, sender, recipient, text, person, at, intent, thought)
               VALUES (77, 1, 'us', '+1', '2', ?, 1, 1, '', 1)""",
            ("VOTE\0 1",),
        )
        connection.execute(
            """INSERT INTO person (id, brand_id, address, country, zone, created_at, attributes)
               VALUES (5, 1, '+1', 'US', '', 1, ?)""",
            (json.dumps({"size": "a\0"}),),
        )
        connection.commit()
    return place


def test_a_character_that_postgresql_cannot_keep_becomes_another_and_its_rows_are_named(places: Places) -> None:
    source, target = with_nul(places("sqlite")), places("postgresql")

    moved = move(source, target)

    assert moved.differing == []
    assert {each.table: each.source.altered for each in moved.tables if each.source.altered_n} == {
        "inbound": [(77,)],
        "person": [(5,)],
    }
    assert look(target, "SELECT text FROM inbound") == "VOTE\ufffd 1"
    assert look(target, "SELECT attributes ->> 'size' FROM person") == "a\ufffd"


def test_between_two_files_that_character_stays(places: Places) -> None:
    source, target = with_nul(places("sqlite")), places("sqlite")

    moved = move(source, target)

    assert content(target) == content(source)
    assert not any(each.source.altered_n for each in moved.tables)


def test_two_keys_that_would_become_one_are_refused_with_the_row(places: Places) -> None:
    source = places("sqlite")
    open_store(source).close()
    with closing(sqlite3.connect(file_of(source))) as connection:
        for ref in ("us:a\0", "us:a\ufffd"):
            connection.execute("INSERT INTO ref VALUES (?, 1, 1, 1, 0, 1, 1)", (ref,))
        connection.commit()

    with pytest.raises(StoreError, match=r"a row of ref cannot be kept there: .*us:a"):
        move(source, places("postgresql"))


# --- refused


def test_the_same_place_twice_is_refused(places: Places, postgres: PostgresServer) -> None:
    file, url = filled(places("sqlite")), places("postgresql")
    other = file.replace(file_of(file).parent.name, file_of(file).parent.name + "/../" + file_of(file).parent.name)

    for one, two in ((file, file), (file, other), (url, url), (url, url + "?sslmode=disable")):
        with pytest.raises(StoreError, match="the same place twice"):
            move(one, two)
    with pytest.raises(StoreError, match="at work there"):  # the same server by another name
        move(url, url.replace("127.0.0.1", "localhost"))


@pytest.mark.parametrize("place", ["carillon.db", "mysql://a/b", "sqlite:", "postgres"])
def test_a_place_that_is_none_is_refused(places: Places, place: str) -> None:
    with pytest.raises(StoreError, match=r"expected sqlite:FILE or postgresql://USER@HOST/DATABASE"):
        move(place, places("sqlite"))


def test_a_source_that_is_not_there_is_refused_and_not_made(places: Places, postgres: PostgresServer) -> None:
    missing, target = places("sqlite"), "sqlite:/nowhere/at/all.db"
    virgin = postgres.url(postgres.empty_database())

    with pytest.raises(StoreError, match="there is no such file"):
        move(missing, target)
    with pytest.raises(StoreError, match="there is no business here"):
        move(virgin, target)
    with pytest.raises(StoreError, match=r"no such database.*createdb"):
        move(postgres.url("nothing"), target)

    assert not file_of(missing).exists()
    assert not Path("/nowhere").exists()
    postgres.drop(virgin)


def test_a_file_that_is_no_store_is_refused(places: Places, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("milk, bread\n" * 500)

    with pytest.raises(StoreError, match="this is no SQLite file"):
        move(f"sqlite:{notes}", places("postgresql"))


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
@pytest.mark.parametrize(
    ("number", "words"), [(SCHEMA - 1, "older than .* say run.py check"), (SCHEMA + 1, "newer than .* install a newer")]
)
def test_a_source_of_another_schema_is_refused(places: Places, engine: str, number: int, words: str) -> None:
    source = places(engine)
    open_store(source).close()
    change(source, "DELETE FROM migration", f"INSERT INTO migration VALUES ({number})")

    with pytest.raises(StoreError, match=words):
        move(source, places("sqlite"))
    change(source, f"UPDATE migration SET number = {SCHEMA}")


def test_a_target_of_a_newer_schema_is_refused(places: Places) -> None:
    source, target = filled(places("sqlite")), places("postgresql")
    change(target, f"INSERT INTO migration VALUES ({SCHEMA + 1})")

    with pytest.raises(StoreError, match="newer than"):
        move(source, target)

    change(target, f"DELETE FROM migration WHERE number = {SCHEMA + 1}")
    open_store(source).close()


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_target_in_which_something_is_is_refused_and_stays_as_it_is(places: Places, engine: str) -> None:
    source, target = filled(places("sqlite")), places(engine)
    open_store(target).close()
    change(target, "INSERT INTO stop VALUES (1, 1, 1, 'text')")

    with pytest.raises(StoreError, match="not empty, there is something in stop"):
        move(source, target)

    open_store(source).close()
    open_store(target).close()
    assert look(target, "SELECT count(*) FROM stop") == 1


@pytest.mark.parametrize("is_source", [True, False])
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_place_at_which_somebody_works_is_refused(places: Places, engine: str, is_source: bool) -> None:
    served, other = places(engine), filled(places("sqlite"))
    store = open_store(served)
    try:
        with pytest.raises(StoreError, match=r"(writes here|at work there).*stop"):
            move(*((served, places("sqlite")) if is_source else (other, served)))
    finally:
        store.close()
    open_store(other).close()


def test_half_of_one_move_takes_nothing_of_another(places: Places) -> None:
    source, target, other = filled(places("sqlite")), places("postgresql"), filled(places("sqlite"), seed=2)
    assert process(source, target, "message").wait(30) == -signal.SIGKILL

    with pytest.raises(StoreError, match=r"half of a move from .* is there"):
        move(other, target)
    with pytest.raises(StoreError, match=r"a move of this business to .* has begun"):
        move(source, places("sqlite"))
    with pytest.raises(StoreError, match=r"not everything of .* is here yet"):
        move(target, places("sqlite"))

    open_store(other).close()
    assert move(source, target).differing == []


def test_what_has_moved_away_neither_moves_again_nor_takes_anything_in(places: Places) -> None:
    source, target = filled(places("sqlite")), places("postgresql")
    move(source, target)

    with pytest.raises(StoreError, match=r"has moved to .* already"):
        move(source, target)
    with pytest.raises(StoreError, match=r"has moved to .* already"):
        move(source, places("sqlite"))
    with pytest.raises(StoreError, match=r"what moved from there .* is still there"):
        move(target, source)


def test_a_move_that_died_between_its_last_two_steps_is_finished_by_the_next(places: Places) -> None:
    source, target = filled(places("sqlite")), places("postgresql")
    move(source, target)
    mark = json.loads(look(source, "SELECT value FROM fact WHERE brand_id = 0"))
    text = json.dumps({**mark, "part": "arriving", "other": source})
    change(target, f"INSERT INTO fact VALUES (0, 'move', '{text}')")

    assert move(source, target).copied == 0

    open_store(target).close()


def test_a_full_disk_is_told_with_the_cure_and_the_move_goes_on_afterwards(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = filled(places("sqlite"), 2_000), places("sqlite")
    connect = sqlite.connect

    def connect_to_a_small_disk(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        if path == file_of(target):
            connection.execute("PRAGMA max_page_count = 300")
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "connect", connect_to_a_small_disk)
        with pytest.raises(StoreError, match="the disk is full: make room there; the move goes on where it stopped"):
            move(source, target)

    assert move(source, target).differing == []
    assert content(target) == content(source)


def test_no_error_names_a_password(places: Places) -> None:
    source, url = filled(places("sqlite")), places("postgresql").replace("carillon@", "carillon:hush@")
    assert process(source, url, "message").wait(30) == -signal.SIGKILL

    with pytest.raises(StoreError) as told:
        open_store(source)
    assert "hush" not in str(told.value)
    assert "hush" not in look(source, "SELECT value FROM fact WHERE brand_id = 0")


# --- taken back


@pytest.mark.parametrize("ends", ENDS)
def test_a_move_can_be_given_up_halfway(places: Places, ends: tuple[str, str]) -> None:
    source, _ = begun_at(places, ends[0])
    target = places(ends[1])
    assert process(source, target, "message").wait(30) == -signal.SIGKILL

    undo(source, target)

    open_store(source).close()
    with pytest.raises(StoreError, match="not everything"):
        open_store(target)


def test_a_finished_move_can_be_taken_back_while_nothing_has_happened_there(places: Places) -> None:
    source, target = filled(places("sqlite")), places("postgresql")
    move(source, target)
    change(target, "UPDATE fact SET value = 'a later clock' WHERE brand_id = 1")

    undo(source, target)

    open_store(source).close()
    with pytest.raises(StoreError, match="not everything"):
        open_store(target)


def test_what_has_happened_at_the_new_place_is_not_forgotten_unless_somebody_insists(places: Places) -> None:
    source, target = filled(places("sqlite")), places("postgresql")
    move(source, target)
    change(target, "INSERT INTO stop VALUES (99999, 1, 1, 'text')")

    with pytest.raises(StoreError, match=r"stop have changed since .* NEW_PLACE.*--force"):
        undo(source, target)
    with pytest.raises(StoreError, match="has moved"):
        open_store(source)

    undo(source, target, force=True)
    open_store(source).close()


def test_a_move_to_a_place_that_is_gone_is_taken_back_only_by_force(places: Places, postgres: PostgresServer) -> None:
    source, virgin = filled(places("sqlite")), postgres.url(postgres.empty_database())
    move(source, virgin)
    postgres.drop(virgin)

    with pytest.raises(StoreError, match="no such database"):
        undo(source, virgin)
    undo(source, virgin, force=True)

    open_store(source).close()


def test_what_has_not_moved_cannot_be_taken_back(places: Places) -> None:
    with pytest.raises(StoreError, match="nothing to undo"):
        undo(filled(places("sqlite")), places("postgresql"))
