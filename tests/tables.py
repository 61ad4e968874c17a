"""A look at the tables themselves, for what no named query tells."""

from __future__ import annotations

import re
from typing import Any

from gateway.store import Tx, postgres_tx, sqlite


async def look(tx: Tx, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """The rows of a statement in words that both engines know; `?` stands for each value."""
    if isinstance(tx, sqlite.Tx):
        return [tuple(row) for row in tx._execute(sql, values)]
    assert isinstance(tx, postgres_tx.Tx)
    numbers = iter(range(1, len(values) + 1))
    line = await tx.line()
    return [tuple(row) for row in await line.fetch(re.sub(r"\?", lambda _: f"${next(numbers)}", sql), *values)]


async def tables(tx: Tx) -> list[str]:
    """The names of all tables that hold rows of their own."""
    if isinstance(tx, sqlite.Tx):
        rows = await look(tx, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    else:
        rows = await look(tx, "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    return [name for (name,) in rows]


async def run_out_of_room(tx: Tx) -> None:
    """Let the next thing that this transaction writes find a full disk."""
    if isinstance(tx, sqlite.Tx):
        ((pages,),) = await look(tx, "PRAGMA page_count")
        await look(tx, f"PRAGMA max_page_count = {pages}")
        await tx.run("fact_set", brand=1, name="big", value="x" * 1_000_000)
    else:
        assert isinstance(tx, postgres_tx.Tx)
        await tx.say("DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$")
