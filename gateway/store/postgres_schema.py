"""Opens a PostgreSQL database as a store: who we are there, what it can do, its tables, and a table for each day."""

from __future__ import annotations

import logging
import re
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import asyncpg

from gateway.errors import StoreError
from gateway.ids import first_at
from gateway.store import moved, queries
from gateway.store.door import SCHEMA
from gateway.store.postgres_tx import Tx

log = logging.getLogger(__name__)

FIRST_SCHEMA = 5  # older ones were on SQLite only
OLDEST_SERVER = 14
CONNECT_S = 5.0
PASSWORD = re.compile(r"^(\w+://[^:@/]*):.*@")  # up to the last @: it may hold what should have been escaped
PASSWORD_ASKED = re.compile(r"([?&])password=[^&]*")
AHEAD_DAYS = 3
DAY_MS = 86_400_000

# The texts say in which order tables are read and by which key; the planner must not choose otherwise from what it
# guesses of a table that was empty a minute ago. Plans are made once.
PLANNING = {
    "plan_cache_mode": "force_generic_plan",
    "join_collapse_limit": "1",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_material": "off",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
}
# A process that stands still inside a transaction, or whose line was cut, must not hold up the others.
LIVING = {
    "idle_in_transaction_session_timeout": "1500",  # twice, where its next connection gets the lock then
    "client_connection_check_interval": "2000",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
SETTINGS = {"application_name": "carillon", "client_min_messages": "warning", **PLANNING, **LIVING}


async def connect(place: str) -> asyncpg.Connection:
    """A connection set up as this house wants it. Raises what asyncpg raises: `explained` says it in words."""
    return await asyncpg.connect(place, timeout=CONNECT_S, server_settings=SETTINGS)


def named(place: str) -> str:
    """The URL for people, without its password, whatever else is wrong with it."""
    return PASSWORD_ASKED.sub(r"\1password=", PASSWORD.sub(r"\1@", place))


def explained(error: BaseException, place: str) -> StoreError:
    """Why the database cannot be used, and the cure. What was found is told where it cannot hold the password."""
    if isinstance(error, StoreError):
        return error
    found = "" if isinstance(error, ValueError) else f" ({error})"
    return StoreError(f"{named(place)}: {cure(error)}{found}")


def cure(error: BaseException) -> str:
    """What to do about an error at opening."""
    state = getattr(error, "sqlstate", None) or ""
    match state:
        case "28P01" | "28000":
            return "the server refuses the user or the password: give the password by PGPASSWORD or PGPASSFILE"
        case "3D000":
            return "there is no such database: create it with `createdb`, or mend the name in `store:`"
        case "42501":
            return "a right is missing: GRANT CREATE ON SCHEMA and TEMPORARY ON DATABASE to this user"
        case "53100":
            return "the server's disk is full: make room there"
        case "53300":
            return "the server has no connection left: raise max_connections, a process needs up to nine"
        case "57P03":
            return "the server is starting or stopping: try again in a moment"
        case "25006":
            return "the server only lets read: `store:` must name the primary, not a standby"
    if isinstance(error, ssl.SSLError) or "SSL" in str(error):
        return "no secure line comes about: look at `sslmode` in `store:` and at the server's certificate"
    if isinstance(error, OSError | TimeoutError):
        return "the server cannot be reached: is PostgreSQL running there, and are host and port right?"
    if isinstance(error, ValueError):
        return "that is no address of a database: expected postgresql://USER@HOST:PORT/DATABASE"
    return "the database cannot be used"


async def prepare(connection: asyncpg.Connection, place: str) -> None:
    """Look whether this server will do, and bring the tables up to date. Raises StoreError with the cure."""
    await examine(connection, named(place))
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(1667330665, 1)")
        await migrate(connection, named(place))
        moved.refuse(await connection.fetchval(moved.MARK), named(place))
    now = await connection.fetchval(queries.load("postgresql")["database_now"].sql)
    if await missing_days(connection, now):
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(1667330665, 0)")
            await make_days(connection, now)


async def examine(connection: asyncpg.Connection, name: str) -> None:
    """Whether the server is new enough, ours to write, and knows all letters."""
    version = connection.get_server_version()
    if version.major < OLDEST_SERVER:
        raise StoreError(f"{name}: PostgreSQL {version.major} is too old: version {OLDEST_SERVER} or newer is needed")
    standby, schema, may_create, may_temp, encoding, small, is_lax = await connection.fetchrow(
        """SELECT pg_is_in_recovery(), current_schema(),
                  coalesce(has_schema_privilege(current_schema(), 'CREATE'), FALSE),
                  has_database_privilege(current_database(), 'TEMPORARY'), current_setting('server_encoding'),
                  lower('Ä'), current_setting('synchronous_commit') = 'off'"""
    )
    if standby:
        raise StoreError(f"{name}: this is a standby, which only lets read: `store:` must name the primary")
    if schema is None:
        raise StoreError(f"{name}: no schema of the search_path exists: CREATE SCHEMA, or mend the search_path")
    if not may_create:
        raise StoreError(f"{name}: we may make no tables there: GRANT CREATE ON SCHEMA {schema} to this user")
    if not may_temp:
        raise StoreError(f"{name}: we may make no temporary tables: GRANT TEMPORARY ON DATABASE to this user")
    if encoding != "UTF8" or small != "ä":
        raise StoreError(
            f"{name}: the database does not know the letters of every alphabet: create it anew with"
            " CREATE DATABASE ... TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'"
        )
    if is_lax:
        raise StoreError(
            f"{name}: synchronous_commit is off, so what was acknowledged could be lost: ALTER DATABASE ... SET"
            " synchronous_commit = on"
        )


async def migrate(connection: asyncpg.Connection, name: str) -> None:
    """Apply the numbered files that this database lacks, inside the caller's transaction."""
    await connection.execute("CREATE TABLE IF NOT EXISTS migration (number bigint PRIMARY KEY)")
    have = await connection.fetchval("SELECT coalesce(max(number), 0) FROM migration")
    if have > SCHEMA:
        raise StoreError(
            f"{name}: the store has schema {have}, this version knows up to {SCHEMA}: install a newer Carillon"
        )
    for number in range(max(have + 1, FIRST_SCHEMA), SCHEMA + 1):
        text = (queries.FOLDER / "migrations" / f"{number:04}.postgresql.sql").read_text(encoding="utf-8")
        await connection.execute(text)
        await connection.execute("INSERT INTO migration VALUES ($1)", number)


# --- a table for each day

KEYS: dict[str, tuple[str, Callable[[int], int]]] = {
    "message": ("id", first_at),
    "state": ("message", first_at),
    "event": ("at", int),
}


def day_of(ms: int) -> datetime:
    """The day, in UTC, in which a moment lies."""
    return datetime.fromtimestamp(ms // DAY_MS * DAY_MS / 1000, UTC)


def bounds(table: str, day: datetime) -> tuple[int, int]:
    """The least key of a day, and the least of the next one."""
    first = int(day.timestamp() * 1000)
    return KEYS[table][1](first), KEYS[table][1](first + DAY_MS)


async def days(connection: asyncpg.Connection) -> dict[str, tuple[str, datetime]]:
    """The tables of days there are: of which table, and of which day."""
    rows = await connection.fetch(
        """SELECT c.relname, p.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
           JOIN pg_class p ON p.oid = i.inhparent
           WHERE i.inhparent IN ('message'::regclass, 'state'::regclass, 'event'::regclass)"""
    )
    found = {}
    for name, parent in rows:
        day = name.rpartition("_")[2]
        if day.isdecimal():
            found[name] = (parent, datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC))
    return found


async def missing_days(connection: asyncpg.Connection, now_ms: int) -> list[tuple[str, datetime]]:
    """The days from today on for which no table is there yet."""
    have = await days(connection)
    coming = [day_of(now_ms) + timedelta(days=ahead) for ahead in range(AHEAD_DAYS + 1)]
    return [(table, day) for table in KEYS for day in coming if f"{table}_{day:%Y%m%d}" not in have]


async def make_days(connection: asyncpg.Connection, now_ms: int) -> None:
    """Make the tables of the coming days. What was written for such a day before is moved there."""
    for table, day in await missing_days(connection, now_ms):
        key = KEYS[table][0]
        first, end = bounds(table, day)
        name = f"{table}_{day:%Y%m%d}"
        await connection.execute(
            f"""CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
                WITH moved AS (DELETE FROM {table}_other WHERE {key} >= {first} AND {key} < {end} RETURNING *)
                INSERT INTO {name} SELECT * FROM moved;
                ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({first}) TO ({end})"""
        )


async def keep_days(tx: Tx, now_ms: int, retention_days: int | None) -> int:
    """Make the tables of the coming days, drop those older than the retention. How many days went.

    A day stays while a message of it waits or is on the way, or an event of it is not folded yet.
    """
    connection = tx.connection
    await tx.say("SET LOCAL lock_timeout = '2s'")  # a long read must not hold up those who write behind us
    await make_days(connection, now_ms)
    await connection.execute("DELETE FROM mark WHERE at < now() - interval '7 days'")  # of processes that died
    if retention_days is None:
        return 0
    end = day_of(now_ms) - timedelta(days=retention_days)
    old = {name: parent for name, (parent, day) in (await days(connection)).items() if day < end}
    if not old or await _is_needed(connection, end):
        return 0
    for name in sorted(old):
        await connection.execute(f"DROP TABLE {name}")
    for table, (key, _) in KEYS.items():
        await connection.execute(f"DELETE FROM {table}_other WHERE {key} < {bounds(table, end)[0]}")
    gone = {name.rpartition("_")[2] for name in old}
    log.info("dropped the messages and events of %s days, up to %s", len(gone), f"{end:%Y-%m-%d}")
    return len(gone)


async def _is_needed(connection: asyncpg.Connection, end: datetime) -> bool:
    at = int(end.timestamp() * 1000)
    found: bool = await connection.fetchval(
        """SELECT EXISTS (SELECT FROM outbox WHERE id < $1) OR EXISTS (SELECT FROM flight WHERE at < $2)
               OR (SELECT coalesce(max(n), 0) FROM event WHERE at < $2)
                > coalesce((SELECT n FROM cursor WHERE name = 'fold'), 0)""",
        first_at(at), at,
    )  # fmt: skip
    return found
