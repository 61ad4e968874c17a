"""Reads the named queries out of the `.sql` files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "sql"
NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)
ONE_ROW = re.compile(r"(INSERT INTO .*?VALUES )\(([?\d,\s]+)\)([^?]*)", re.DOTALL)
WIDE = 100
PARAMETER = re.compile(r"(?<![:\w]):(\w+)|'[^']*'|--[^\n]*")


@dataclass(frozen=True, slots=True)
class Query:
    """One statement; `names` are its parameters in the order of their first appearance.

    `wide` is the same insert for WIDE rows at once, their values one after another; empty where the statement
    is not a plain insert of one row of parameters.
    """

    name: str
    sql: str
    names: tuple[str, ...]
    wide: str = ""


@cache
def load(dialect: str) -> dict[str, Query]:
    """All queries by name: those of every engine, then the dialect's own in their place."""
    found: dict[str, Query] = {}
    for pattern in ("[a-z]*.sql", f"{dialect}/*.sql"):
        here: dict[str, Query] = {}
        for path in sorted(FOLDER.glob(pattern)):
            for query in read(path.read_text(encoding="utf-8")):
                if query.name in here:
                    raise ValueError(f"{path.name}: the query {query.name} stands twice")
                here[query.name] = query
        found |= here
    return found


def read(text: str) -> list[Query]:
    """The queries of one file. `:name` becomes a numbered parameter, `?1`, so that rows may be tuples."""
    pieces = NAME.split(text)
    return [compile_query(name, sql.strip()) for name, sql in zip(pieces[1::2], pieces[2::2], strict=True)]


def compile_query(name: str, sql: str) -> Query:
    """Number the parameters of one statement."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        parameter = match[1]
        if parameter is None:
            return "" if match[0].startswith("--") else match[0]
        if parameter not in names:
            names.append(parameter)
        return f"?{names.index(parameter) + 1}"

    text = PARAMETER.sub(number, sql).strip().rstrip(";")
    return Query(name, text, tuple(names), widen(text, len(names)))


def widen(sql: str, count: int) -> str:
    """An insert of one row of `count` parameters, made to insert WIDE rows; empty for any other statement."""
    match = ONE_ROW.fullmatch(sql)
    if match is None or re.split(r",\s*", match[2]) != [f"?{place}" for place in range(1, count + 1)]:
        return ""
    row = f"({', '.join('?' * count)})"
    return f"{match[1]}{', '.join([row] * WIDE)}{match[3]}"
