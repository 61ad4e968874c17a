"""Moves a business at rest from one database to another, broken off wherever one likes, and proved at the end.

Both ends are held and marked, so that nobody serves either while half is here and half is there. Rows are copied in the
order of their keys, a page in one commit, so that what is there is always a beginning of what shall be: a move that was
killed counts and goes on. At the end both ends are read anew and summed up; only when all sums agree is the target let
go, and the source keeps the mark that its business has gone.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gateway.errors import StoreError
from gateway.store.door import SCHEMA
from gateway.store.moved import Mark, Part
from gateway.store.moving_side import Kind, Row, Side, Sum, Summing, Table, refuse_other_schema


class Step(NamedTuple):
    """How far a move is: rows of all tables done so far, of so many."""

    doing: str  # copying, comparing
    table: str
    done: int
    total: int


Tell = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class Compared:
    """One table on both ends."""

    table: str
    source: Sum
    target: Sum

    @property
    def agrees(self) -> bool:
        """Whether both ends hold the same."""
        return self.source.same_as(self.target)


@dataclass(frozen=True, slots=True)
class Moved:
    """What came of a move; unless all tables agree, it is not finished."""

    source: str
    target: str
    tables: tuple[Compared, ...]
    copied: int  # rows, by this run
    seconds: float

    @property
    def differing(self) -> list[str]:
        """The tables that do not agree."""
        return [each.table for each in self.tables if not each.agrees]


async def move(source: str, target: str, tell: Tell) -> Moved:
    """Move the business at `source` to `target`, both `sqlite:FILE` or `postgresql://...`, or go on with that.

    Tables that differ at the end are emptied in the target, so that a further run copies them anew.
    Raises StoreError with the cure.
    """
    started = time.monotonic()
    async with AsyncExitStack() as stack:
        here, there = await _both(stack, source, target)
        move_id = await _begin(here, there)
        pairs = await _pairs(here, there)
        if there.keeps_days:
            await there.make_room(await here.days())
        copied = await _copy(here, there, pairs, tell)
        await there.set_numbers(await here.numbers())
        compared = await _compare(here, there, pairs, tell)
        made = Moved(here.name, there.name, tuple(compared), copied, time.monotonic() - started)
        if made.differing:
            for each in pairs:
                if each.name in made.differing:
                    await there.clear(each.there)
        else:
            await here.set_mark(Mark(move_id, Part.GONE, there.name))
            await there.set_mark(None)
        return made


# --- both ends -------------------------------------------------------------------------------------------------------


async def _both(stack: AsyncExitStack, source: str, target: str) -> tuple[Side, Side]:
    """Both ends, opened and held; the target made if need be."""
    if _same(source) == _same(target):
        raise StoreError(f"{named(source)}: the same place twice; name where it is, then where it shall be")
    here = await _open(stack, source, is_target=False)
    refuse_other_schema(here.name, await here.schema())
    there = await _open(stack, target, is_target=True)
    have = await there.schema()
    if have > SCHEMA:
        refuse_other_schema(there.name, have)
    if have < SCHEMA:
        await there.prepare()
    return here, there


async def _open(stack: AsyncExitStack, place: str, *, is_target: bool) -> Side:
    side: Side
    # Each engine is loaded where it is used.
    if place.startswith(POSTGRESQL):
        from gateway.store.moving_postgres import PostgresSide  # noqa: PLC0415

        side = await PostgresSide.open(place)
    else:
        from gateway.store.moving_sqlite import SqliteSide  # noqa: PLC0415

        side = SqliteSide(_file(place), is_target=is_target)
    stack.push_async_callback(side.close)
    return side


POSTGRESQL = ("postgresql://", "postgres://")


def _file(place: str) -> Path:
    kind, _, file = place.partition(":")
    if kind != "sqlite" or not file:
        raise StoreError(f"{place}: expected sqlite:FILE or postgresql://USER@HOST/DATABASE")
    return Path(file)


def _same(place: str) -> str:
    """A place in one spelling."""
    if not place.startswith(POSTGRESQL):
        return str(_file(place).resolve())
    return named(place).partition("?")[0]


def named(place: str) -> str:
    """A place for people, without its password."""
    if not place.startswith(POSTGRESQL):
        return place
    from gateway.store import postgres_schema  # noqa: PLC0415  only where it is used

    return postgres_schema.named(place)


async def _begin(here: Side, there: Side) -> str:
    """Mark both ends, so that nobody serves them, or find that they are; the move's own name.

    Raises StoreError if one of them may not be.
    """
    mine, yours = await here.mark(), await there.mark()
    _refuse_source(here, there, mine, yours)
    if yours is not None and not (mine is not None and yours.move == mine.move and yours.part is Part.ARRIVING):
        _refuse_target(there, yours)
    move = mine.move if mine else secrets.token_hex(8)
    if yours is None:
        if full := [each.name for each in await _pairs(here, there) if await there.count(each.there)]:
            raise StoreError(
                f"{there.name}: not empty, there is something in {', '.join(full)}: name an empty database, or a file"
                " that does not exist yet"
            )
        await here.set_mark(Mark(move, Part.LEAVING, there.name))
        await there.set_mark(Mark(move, Part.ARRIVING, here.name))
    return move


def _refuse_source(here: Side, there: Side, mine: Mark | None, yours: Mark | None) -> None:
    if mine is None:
        return
    is_ours = mine.other == there.name or (yours is not None and yours.move == mine.move)
    if mine.part is Part.ARRIVING:
        raise StoreError(
            f"{here.name}: not everything of {mine.other} is here yet: run.py migrate-store {mine.other} {here.name}"
        )
    if mine.part is Part.GONE and yours is None:
        raise StoreError(f"{here.name}: this business has moved to {mine.other} already; `store:` should say so")
    if not is_ours:
        raise StoreError(
            f"{here.name}: a move of this business to {mine.other} has begun. To finish it: run.py migrate-store"
            f" {here.name} {mine.other}; to give it up: the same with --undo"
        )


def _refuse_target(there: Side, yours: Mark) -> None:
    if yours.part is Part.ARRIVING:
        raise StoreError(f"{there.name}: half of a move from {yours.other} is there: name an empty place")
    raise StoreError(
        f"{there.name}: what moved from there to {yours.other} is still there: name a new file or an empty database"
    )


# --- copying ---------------------------------------------------------------------------------------------------------


class Pair(NamedTuple):
    """A table on both ends, and what its columns mean; the order of columns is the same wherever this is used."""

    name: str
    here: Table
    there: Table
    columns: dict[str, Kind]


async def _pairs(here: Side, there: Side) -> list[Pair]:
    """The tables of Carillon; what somebody else keeps beside them stays where it is."""
    ours, theirs = await here.tables(), await there.tables()
    pairs = []
    for name in sorted(ours.keys() & theirs.keys()):
        one, other = ours[name].columns, theirs[name].columns
        if one.keys() != other.keys():
            raise StoreError(f"{there.name}: the table {name} there is not Carillon's: name an empty database")
        columns = {column: Kind.JSON if other[column] is Kind.JSON else kind for column, kind in one.items()}
        pairs.append(Pair(name, ours[name], theirs[name], columns))
    return pairs


async def _copy(here: Side, there: Side, pairs: list[Pair], tell: Tell) -> int:
    """Copy what is not there yet; how many rows that were.

    Each page is one commit in the order of the key, and nobody writes on either end: so what is there are the first
    rows, and their number says where to go on.
    """
    counts = {pair.name: await here.count(pair.here) for pair in pairs}
    total, done, copied = sum(counts.values()), 0, 0
    for pair in pairs:
        have = await there.count(pair.there)
        done += have
        tell(Step("copying", pair.name, done, total))
        if have >= counts[pair.name]:
            continue
        columns = [*pair.columns]
        async with aclosing(_ahead(here.pages(pair.here, columns, skip=have))) as pages:
            async for rows in pages:
                await there.write(pair.there, columns, rows)
                done += len(rows)
                copied += len(rows)
                tell(Step("copying", pair.name, done, total))
    return copied


async def _ahead(pages: AsyncGenerator[list[Row], None]) -> AsyncGenerator[list[Row], None]:
    """The same pages, each read while the one before is in use."""
    coming = asyncio.ensure_future(anext(pages, None))
    try:
        while (rows := await coming) is not None:
            coming = asyncio.ensure_future(anext(pages, None))
            yield rows
    finally:
        await asyncio.wait([coming])
        await pages.aclose()


# --- comparing -------------------------------------------------------------------------------------------------------


async def _compare(here: Side, there: Side, pairs: list[Pair], tell: Tell) -> list[Compared]:
    """Read both ends anew, each by itself, and sum up what is there."""
    total, done, found = sum([await here.count(pair.here) for pair in pairs]), 0, []
    for pair in pairs:
        tell(Step("comparing", pair.name, done, total))
        sums = await asyncio.gather(
            _sum(here, pair.here, pair, keeps_nul=there.keeps_nul), _sum(there, pair.there, pair, keeps_nul=True)
        )
        found.append(Compared(pair.name, *sums))
        done += sums[0].rows
    tell(Step("comparing", "", done, total))
    return found


async def _sum(side: Side, table: Table, pair: Pair, *, keeps_nul: bool) -> Sum:
    summing = Summing(pair.columns, table.key, keeps_nul=keeps_nul)
    async with aclosing(_ahead(side.pages(table, [*pair.columns], is_ordered=False))) as pages:
        async for rows in pages:
            summing.add(rows)
    return summing.sum


# --- taking it back --------------------------------------------------------------------------------------------------

RESTLESS = {"fact"}  # the clock is written down by every command


async def undo(source: str, target: str, tell: Tell, *, force: bool = False) -> str:
    """Let the business at `source` be served again as it was left there, and the target no more; the source's name.

    Raises StoreError when something has happened at the target since, which would be forgotten and happen twice; and
    when that cannot be seen because the target cannot be opened. `force` goes on all the same.
    """
    async with AsyncExitStack() as stack:
        here = await _open(stack, source, is_target=False)
        refuse_other_schema(here.name, await here.schema())
        mine = await here.mark()
        if mine is None or mine.part is Part.ARRIVING:
            raise StoreError(f"{here.name}: has not moved anywhere, so there is nothing to undo")
        try:
            await _take_back(stack, here, mine, target, tell, force=force)
        except StoreError:
            if not force:
                raise
        await here.set_mark(None)
        return here.name


async def _take_back(stack: AsyncExitStack, here: Side, mine: Mark, target: str, tell: Tell, *, force: bool) -> None:
    """See to it that the target is served no more."""
    there = await _open(stack, target, is_target=False)
    refuse_other_schema(there.name, await there.schema())
    yours = await there.mark()
    if there.name != mine.other and (yours is None or yours.move != mine.move):
        raise StoreError(f"{here.name}: has moved to {mine.other}, not to {there.name}")
    if yours is None and not force:
        compared = await _compare(here, there, await _pairs(here, there), tell)
        if changed := [each.table for each in compared if not each.agrees and each.table not in RESTLESS]:
            raise StoreError(
                f"{there.name}: {', '.join(changed)} have changed since the move. To bring back what has happened"
                f" there: run.py migrate-store {there.name} NEW_PLACE; to forget it, and perhaps text"
                " people twice, add --force"
            )
    await there.set_mark(Mark(mine.move, Part.ARRIVING, here.name))
