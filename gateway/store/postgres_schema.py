"""Opens a PostgreSQL database as a store: who we are there, what it can do, its tables, and a table for each day."""

from __future__ import annotations

import logging
import re
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import asyncpg

from gateway.errors import StoreError
from gateway.ids import EPOCH_MS, first_at, moment
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
DROPPED = "dropped_"  # begins the name of a day's table that is out of use
REMOVABLE = rf"^{DROPPED}(message|state|event)_\d{{8}}$"  # others may have tables here, too
WAITING = "texts of it wait to leave (a paused run, a `send_at` far ahead)"
OPEN = "texts of it wait for a receipt, or are in doubt"
LEAVING = "texts of it, or claimed on it, are on their way"
UNFOLDED = "what became of it is not folded yet"
READ = "somebody reads it for long, a backup say"
MOMENT = "100ms"  # how long we wait for who reads, since whoever comes meanwhile waits behind us
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
SETTINGS = {
    "application_name": "carillon", "client_min_messages": "warning", "standard_conforming_strings": "on",
    **PLANNING, **LIVING,
}  # fmt: skip


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
    if state.startswith("08") or (isinstance(error, asyncpg.InterfaceError) and not isinstance(error, ValueError)):
        return "the line to the server broke: is it restarting, or was the line cut?"
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


async def make_days(connection: asyncpg.Connection, now_ms: int) -> str:
    """Make the tables of the coming days. What was written for such a day before is moved there.

    Returns which is the first that could not be made, since somebody reads what is in no day for long; or nothing.
    """
    for table, day in await missing_days(connection, now_ms):
        key = KEYS[table][0]
        first, end = bounds(table, day)
        name = f"{table}_{day:%Y%m%d}"
        is_made = await _briefly(
            connection,
            f"""CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
                WITH moved AS (DELETE FROM {table}_other WHERE {key} >= {first} AND {key} < {end} RETURNING *)
                INSERT INTO {name} SELECT * FROM moved;
                ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({first}) TO ({end})""",
        )
        if not is_made:
            return f"{table} of {day:%Y-%m-%d}"
    return ""


async def _briefly(connection: asyncpg.Connection, words: str) -> bool:
    """Statements that want tables for themselves. False, and nothing is done, where others read there for long."""
    await connection.execute(f"SAVEPOINT briefly; SET LOCAL lock_timeout = '{MOMENT}'")
    try:
        await connection.execute(words)
    except asyncpg.LockNotAvailableError:
        await connection.execute("ROLLBACK TO briefly")
        return False
    await connection.execute("SET LOCAL lock_timeout TO DEFAULT; RELEASE briefly")
    return True


async def keep_days(tx: Tx, now_ms: int) -> str:
    """Make the tables of the coming days. Returns the first that could not be made, or nothing."""
    connection = await tx.line()
    unmade = await make_days(connection, now_ms)
    await connection.execute("DELETE FROM mark WHERE at < now() - interval '7 days'")  # of processes that died
    return unmade


async def old_days(tx: Tx, now_ms: int, retention_days: int) -> dict[datetime, str]:
    """The days older than the retention, the oldest first, each with what holds it: nothing where it may go.

    What neither waits nor is on the way in one snapshot never will again, so nobody need stand still for this look.
    """
    connection = await tx.line()
    end = day_of(now_ms) - timedelta(days=retention_days)
    old = {day for _, day in (await days(connection)).values() if day < end} | await _days_in_other(connection, end)
    if not old:
        return {}
    needed: dict[datetime, str] = {}
    since: datetime | None = None  # whoever takes over what is on its way looks at all that happened from then on
    for why, number in await connection.fetch(NEEDED, bounds("message", end)[0]):
        if why == "since":
            since = day_of(number) if number is not None else None
        else:
            needed.setdefault(day_of(EPOCH_MS + number * DAY_MS), why)
    return {day: needed.get(day, LEAVING if since is not None and since <= day else "") for day in sorted(old)}


# By days since the first id: of each kind of what is left over in messages below $1, the days.
NEEDED = f"""
SELECT '{WAITING}', day FROM (SELECT DISTINCT (id >> 22) / {DAY_MS} AS day FROM outbox WHERE id < $1) waiting
UNION ALL SELECT '{LEAVING}', day FROM (
    SELECT DISTINCT ((j.value ->> 0)::bigint >> 22) / {DAY_MS} AS day
    FROM flight f CROSS JOIN LATERAL json_array_elements(f.messages::json) j(value)
) leaving
UNION ALL SELECT '{OPEN}', day FROM (
    SELECT DISTINCT (message >> 22) / {DAY_MS} AS day FROM state WHERE state IN (10, 20) AND message < $1
) open
UNION ALL SELECT 'since', min(at) FROM flight"""


async def _days_in_other(connection: asyncpg.Connection, end: datetime) -> set[datetime]:
    """The days of what never got a table of its own: each is looked for behind the last one found."""
    found: set[datetime] = set()
    for table, (key, _) in KEYS.items():
        first, last = 0, bounds(table, end)[0]
        text = f"SELECT min({key}) FROM {table}_other WHERE {key} >= $1 AND {key} < $2"
        while (least := await connection.fetchval(text, first, last)) is not None:
            day = day_of(least if key == "at" else moment(least))
            found.add(day)
            first = bounds(table, day)[1]
    return found


async def first_kept(tx: Tx) -> int:
    """No message with a lesser id is there any more: the day of its own, if it had one, was let go."""
    connection = await tx.line()
    kept = [bounds("message", day)[0] for parent, day in (await days(connection)).values() if parent == "message"]
    other = await connection.fetchval("SELECT min(id) FROM message_other")
    return min(kept if other is None else [*kept, other], default=0)


async def let_go(tx: Tx, day: datetime) -> str:
    """Take the tables of a day out of use, in some thousandths of a second. Returns what holds it, or nothing.

    `remove_dropped` removes them: files of gigabytes, for which nobody shall stand still.
    """
    connection = await tx.line()
    names = {name: parent for name, (parent, its) in (await days(connection)).items() if its == day}
    folded = await connection.fetchval("SELECT coalesce((SELECT n FROM cursor WHERE name = 'fold'), 0)")
    if why := await _last_look(connection, day, folded):
        return why
    going = "; ".join(
        f"ALTER TABLE {parent} DETACH PARTITION {name}; ALTER TABLE {name} RENAME TO {DROPPED}{name}"
        for name, parent in sorted(names.items())
    )
    if going and not await _briefly(connection, going):
        return READ
    for table, (key, _) in KEYS.items():
        first, end = bounds(table, day)
        await connection.execute(f"DELETE FROM {table}_other WHERE {key} >= {first} AND {key} < {end}")
    log.info("let go of the messages and events of %s", f"{day:%Y-%m-%d}")
    return ""


async def _last_look(connection: asyncpg.Connection, day: datetime, folded: int) -> str:
    """What has happened to a day since it was judged: answers that were on the way have come, folded or not."""
    first, end = bounds("message", day)
    begin_ms, end_ms = bounds("event", day)
    unfolded, is_open = await connection.fetchrow(
        """SELECT EXISTS (SELECT FROM event WHERE n > $1 AND (message >= $2 AND message < $3 OR at >= $4 AND at < $5)),
                  EXISTS (SELECT FROM state WHERE message >= $2 AND message < $3 AND state IN (10, 20))""",
        folded, first, end, begin_ms, end_ms,
    )  # fmt: skip
    return UNFOLDED if unfolded else OPEN if is_open else ""


async def remove_dropped(place: str) -> None:
    """Remove the tables that were taken out of use, by whomever: nobody looks at them any more."""
    connection = await connect(place)
    try:
        await connection.execute("SET lock_timeout = '10s'")  # a backup may still be reading them
        rows = await connection.fetch(
            """SELECT string_agg(quote_ident(relname), ', ') FROM pg_class
               WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND relname ~ $1
               GROUP BY right(relname, 8) ORDER BY right(relname, 8)""",
            REMOVABLE,
        )
        for (names,) in rows:  # those of one day
            await connection.execute(f"DROP TABLE IF EXISTS {names}")
    finally:
        await connection.close(timeout=2)
