"""Looks at what keeps things: SQLite, PostgreSQL, Redis or Valkey, each by itself, and changes nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from gateway.shared import Place, read_place, trouble
from gateway.store.door import SCHEMA
from handlers.console.findings import (
    ANSWER_S,
    CONNECT_S,
    Line,
    Verdict,
    in_thread,
    in_time,
    judged,
    octets,
    ok,
    skew,
    warn,
    wrong,
)

MEGA = 1_000_000
LOG_WARN = 200 * MEGA  # octets of the store's log: something keeps it from beginning anew
LATENCY_WARN_S = 0.02
CONNECTIONS = 10  # of a PostgreSQL, for one process
OLDEST_SERVER = 14


async def store_lines(place: Path | str) -> list[Line]:
    """The database: there, ours, and of this program's schema."""
    if isinstance(place, Path):
        return list(await in_thread(lambda: [*_sqlite(place)]))
    return await _postgresql(place)


def _sqlite(path: Path) -> Iterator[Line]:
    if not path.exists():
        folder = next((each for each in path.parents if each.exists()), Path("/"))
        if os.access(folder, os.W_OK | os.X_OK):
            yield warn("store", f"{path} is not there yet", "run.py apply makes it; if it was there, look for a backup")
        else:
            yield wrong("store", f"{path} cannot be made: {folder} is not ours to write", "chown the folder to us")
        return
    for each in (path, path.parent):
        if not os.access(each, os.R_OK | os.W_OK):
            yield wrong(
                "store", f"{each} is not ours to write", f"chown it to user {os.getuid()}, or serve as its owner"
            )
            return
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        yield wrong("store", f"{path} lies on a disk that may only be read", "mount it for writing")
    try:
        yield from _sqlite_inside(path)
    except sqlite3.Error as error:
        cure = "stop serve, put the newest backup there (docs/operations.md)"
        yield wrong("store", f"{path} cannot be used as a store: {error}", cure)
        return
    log = Path(f"{path}-wal")
    size, log_size = path.stat().st_size, log.stat().st_size if log.exists() else 0
    cure = "something reads for a long time, such as a backup that hangs: end it"
    yield judged("store", f"{octets(size)}, its log {octets(log_size)}", cure, is_wrong=False,
                 is_doubtful=log_size > LOG_WARN)  # fmt: skip


def _sqlite_inside(path: Path) -> Iterator[Line]:
    """Read through a connection that may only read, and that touches no file beside it where nobody writes."""
    log = Path(f"{path}-wal")
    is_alone = not log.exists() or not log.stat().st_size
    how = "immutable=1" if is_alone else "mode=ro"
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=ANSWER_S)) as store:
        tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "migration" not in tables:
            cure = "set store: to another file"
            yield wrong("store", f"{path} is a database of something else", cure)
            return
        (found,) = store.execute("SELECT coalesce(max(number), 0) FROM migration").fetchone()
        yield schema_line(f"SQLite {sqlite3.sqlite_version}", found)


def schema_line(engine: str, found: int) -> Line:
    """How the store's schema stands to the one of this program."""
    if found > SCHEMA:
        return wrong(
            "store", f"{engine}: schema {found}, this program knows up to {SCHEMA}", "install a newer Carillon"
        )
    more = f", brought to {SCHEMA} at the next start" if found < SCHEMA else ""
    return ok("store", f"{engine}, schema {found}{more}")


async def _postgresql(url: str) -> list[Line]:
    import asyncpg  # noqa: PLC0415  only where the store is one

    place = place_of(url)
    began, now = time.monotonic(), time.time()
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_S, command_timeout=ANSWER_S)
    except asyncpg.InvalidPasswordError:
        return [wrong("store", f"{place}: user or password is wrong", "mend store:, PGPASSWORD or PGPASSFILE")]
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        return [wrong("store", f"{place}: {error}", "mend the user in store:, or let it in (pg_hba.conf)")]
    except asyncpg.InvalidCatalogNameError as error:
        return [wrong("store", f"{place}: {error}", "CREATE DATABASE, or mend its name in store:")]
    except asyncpg.TooManyConnectionsError as error:
        return [wrong("store", f"{place}: {error}", "raise max_connections, or end what holds them")]
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, ValueError) as error:
        words = str(error) or f"no answer within {CONNECT_S:g} s"
        return [wrong("store", f"{place}: {words}", "is it running, is the address right, does a firewall drop us?")]
    took = time.monotonic() - began
    try:
        found = await connection.fetchrow(_ASKED)
        facts = dict(found or {})
        has = await connection.fetchval("SELECT to_regclass('migration') IS NOT NULL")
        schema = await connection.fetchval("SELECT coalesce(max(number), 0) FROM migration") if has else None
    finally:
        connection.terminate()
    return [*_server_lines(place, facts, schema, took), skew("the database", float(facts["now"]) - now, "NTP there")]


_ASKED = """
SELECT current_setting('server_version_num')::int AS version, current_setting('server_version') AS name,
  current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS synchronous_commit,
  current_setting('full_page_writes') AS full_page_writes, pg_is_in_recovery() AS is_standby,
  current_setting('default_transaction_read_only') AS is_read_only,
  current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')::int AS free,
  has_schema_privilege(coalesce(current_schema(), 'public'), 'CREATE') AS may_create,
  current_user AS who, pg_database_size(current_database()) AS size, extract(epoch FROM clock_timestamp()) AS now
"""


def _server_lines(place: str, facts: Mapping[str, Any], schema: int | None, took: float) -> Iterator[Line]:
    """What a PostgreSQL says of itself."""
    engine = f"{place}: PostgreSQL {facts['name'].split()[0]}"
    if facts["version"] < OLDEST_SERVER * 10_000:
        yield wrong("store", f"{engine} is too old", f"bring the server to {OLDEST_SERVER} or newer")
    if facts["is_standby"] or facts["is_read_only"] == "on":
        yield wrong(
            "store", f"{place} may only be read: a standby, or default_transaction_read_only", "name the primary"
        )
    if schema is None and not facts["may_create"]:
        cure = f"GRANT CREATE ON SCHEMA public TO {facts['who']}"
        yield wrong("store", f"{place}: {facts['who']} may not make our tables", cure)
    elif schema is None:
        yield warn(
            "store", f"{engine}: empty", "run.py apply makes the tables; if they were there, name their database"
        )
    else:
        yield schema_line(engine, schema)
    for setting in ("fsync", "full_page_writes"):
        if facts[setting] != "on":
            cure = f"ALTER SYSTEM SET {setting} = on, and reload"
            yield wrong("store", f"{setting} is {facts[setting]}: a crash may lose or spoil everything", cure)
    if facts["synchronous_commit"] == "off":
        cure = "ALTER SYSTEM SET synchronous_commit = on, and reload"
        yield wrong("store", "synchronous_commit is off: a crash may lose what was promised", cure)
    yield judged("store", f"{facts['free']} connections left", f"raise max_connections: a process takes {CONNECTIONS}",
                 is_wrong=facts["free"] < 1, is_doubtful=facts["free"] < CONNECTIONS)  # fmt: skip
    yield ok("store", f"{octets(facts['size'])}; connected in {took * 1000:.0f} ms")


def place_of(url: str) -> str:
    """Where a database is, without the password."""
    parts = urlsplit(url)
    return f"{parts.hostname or 'localhost'}:{parts.port or 5432}{unquote(parts.path)}"


# --- what processes share --------------------------------------------------------------------------------------------


async def shared_lines(text: str) -> list[Line]:
    """The Redis or Valkey, each server that the file names."""
    if not text or text == "none":
        return [ok("shared", "none: each process for itself")]
    place = read_place(text)
    each = (in_time("shared", _redis(place, host, port)) for host, port in place.names)
    lines = [line for lines in await asyncio.gather(*each) for line in lines]
    if not any(line.verdict is Verdict.WRONG for line in lines):
        lines += await in_time("shared", _tried(text))
    return lines


async def _tried(text: str) -> list[Line]:
    """What is wrong with that which we shall ask of it."""
    found, _, cure = (await trouble(text)).partition("; ")
    return [wrong("shared", found, cure or "see docs/shared.md")] if found else []


async def _redis(place: Place, host: str, port: int) -> list[Line]:
    from redis.asyncio import Redis  # noqa: PLC0415  only where there is one
    from redis.asyncio.retry import Retry  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.exceptions import (  # noqa: PLC0415
        AuthenticationError,
        NoPermissionError,
        RedisError,
        ResponseError,
    )

    how: dict[str, Any] = {"ssl": True, "ssl_ca_certs": place.authority or None} if place.is_encrypted else {}
    client = Redis(host=host, port=port, db=place.database, username=place.user or None, protocol=2,
                   password=place.password or None, socket_connect_timeout=ANSWER_S, socket_timeout=ANSWER_S,
                   retry=Retry(NoBackoff(), 0), **how)  # fmt: skip
    where = f"{host}:{port}"
    try:
        await client.ping()
        began = time.monotonic()
        await client.ping()
        took = time.monotonic() - began
        facts: dict[str, Any] = await client.info()
        try:
            policy = str((await client.config_get("maxmemory-policy")).get("maxmemory-policy"))
        except ResponseError:  # many a service lets nobody ask
            policy = str(facts.get("maxmemory_policy", ""))
    except AuthenticationError:
        return [wrong("shared", f"{where}: user or password is wrong", "mend shared:")]
    except NoPermissionError:  # few rights suffice for what we ask of it, and this is not among them
        return [ok("shared", f"{where}: answers, and tells this user no more")]
    except (RedisError, OSError, TimeoutError) as error:
        cure = "is it running, is the address right? Until then each process counts its limits for itself"
        return [wrong("shared", f"{where} does not answer ({type(error).__name__})", cure)]
    finally:
        await client.aclose()
    return [*_redis_lines(place, where, facts, policy, took)]


def _redis_lines(place: Place, where: str, facts: Mapping[str, Any], policy: str, took: float) -> Iterator[Line]:
    name = "Valkey" if "valkey_version" in facts else "Redis"
    version = facts.get("valkey_version") or facts.get("redis_version", "")
    yield judged("shared", f"{where}: {name} {version}, answers in {took * 1000:.1f} ms",
                 "bring it nearer, or give it a machine that is less busy", is_wrong=False,
                 is_doubtful=took > LATENCY_WARN_S)  # fmt: skip
    if place.is_cluster and not facts.get("cluster_enabled"):
        yield wrong("shared", f"{where} is a single server", "write redis:// in shared:")
    if not place.is_cluster and facts.get("cluster_enabled"):
        yield wrong("shared", f"{where} is a part of a cluster", "write redis+cluster:// in shared:")
    if facts.get("role") in {"slave", "replica"} and not place.is_cluster:
        yield wrong("shared", f"{where} is a replica, which takes no writes", "name the primary")
    if facts.get("maxmemory") and policy == "noeviction":
        cure = "CONFIG SET maxmemory-policy allkeys-lru: all that we keep there may be lost"
        yield warn("shared", f"{where} refuses to write when its memory is full (maxmemory-policy noeviction)", cure)
