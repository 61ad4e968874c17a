"""Reads the named queries out of the `.sql` files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "sql"
NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)
ONE_ROW = re.compile(r"(INSERT INTO .*?)VALUES \(([?$\d,\s]+)\)([^?$]*)", re.DOTALL)
WIDE = 100
PARAMETER = re.compile(r"(?<![:\w]):(?!condition\b)(\w+)|'[^']*'|--[^\n]*")
LISTED = re.compile(r"\b(numbers|words)\((:\w+)\)(?: ([a-z]+)\b)?")
COMMENT = re.compile(r"--[^\n]*")
LOOK_UP = re.compile(
    r"\b(CROSS|LEFT) JOIN (\w+) (\w+) ON (.+?)"
    r"(?=\s+(?:CROSS|LEFT|JOIN|WHERE|ORDER|GROUP|HAVING|UNION|LIMIT|RETURNING)\b|\s*\)|\s*;?\s*$)",
    re.DOTALL,
)
LISTED_TYPES = {"numbers": "bigint", "words": "text"}
MARKS = {"sqlite": "?", "postgresql": "$"}


@dataclass(frozen=True, slots=True)
class Query:
    """One statement; `names` are its parameters in the order of their first appearance.

    Of a plain insert of one row of parameters, `head` and `tail` stand around its values, and `wide` is the same
    for WIDE rows at once, their values one after another; all three are empty for any other statement.
    """

    name: str
    sql: str
    names: tuple[str, ...]
    head: str = ""
    tail: str = ""
    wide: str = ""


@cache
def load(dialect: str) -> dict[str, Query]:
    """All queries by name: those of every engine, then the dialect's own in their place."""
    found: dict[str, Query] = {}
    for pattern in ("[a-z]*.sql", f"{dialect}/*.sql"):
        here: dict[str, Query] = {}
        for path in sorted(FOLDER.glob(pattern)):
            for query in read(path.read_text(encoding="utf-8"), dialect):
                if query.name in here:
                    raise ValueError(f"{path.name}: the query {query.name} stands twice")
                here[query.name] = query
        found |= here
    return found


def read(text: str, dialect: str = "sqlite") -> list[Query]:
    """The queries of one file. `:name` becomes a numbered parameter, so that rows may be tuples."""
    pieces = NAME.split(text)
    return [compile_query(name, sql.strip(), dialect) for name, sql in zip(pieces[1::2], pieces[2::2], strict=True)]


def compile_query(name: str, sql: str, dialect: str = "sqlite") -> Query:
    """Number the parameters of one statement, and say in the dialect what each engine says otherwise."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        parameter = match[1]
        if parameter is None:
            return "" if match[0].startswith("--") else match[0]
        if parameter not in names:
            names.append(parameter)
        return f"{MARKS[dialect]}{names.index(parameter) + 1}"

    text = PARAMETER.sub(number, spell(sql, dialect)).strip().rstrip(";")
    head, tail = around(text, names, MARKS[dialect])
    row = f"({', '.join('?' * len(names))})"
    wide = f"{head}VALUES {', '.join([row] * WIDE)}{tail}" if head else ""
    return Query(name, text, tuple(names), head, tail, wide)


def spell(sql: str, dialect: str) -> str:
    """The statement in the dialect: `numbers(:ids)` and `words(:tags)` are a list's values as rows of one column,
    `value`; and what CROSS JOIN ... ON and LEFT JOIN ... ON look up stays a look-up by key, in the order in which it
    stands. (PostgreSQL would else go by what it guesses of a table that was empty when the plan was made: with ten
    thousand people it then compared each address of an import with all of them.)
    """
    if dialect == "sqlite":
        return LISTED.sub(lambda match: f"json_each({match[2]}) {match[3] or ''}".rstrip(), sql)

    def rows(match: re.Match[str]) -> str:
        return f"unnest({match[2]}::{LISTED_TYPES[match[1]]}[]) AS {match[3] or 'listed'}(value)"

    def looked_up(match: re.Match[str]) -> str:
        kind, table, alias, condition = match.groups()
        condition = COMMENT.sub("", condition).strip()
        found = f"{kind} JOIN LATERAL (SELECT * FROM {table} {alias} WHERE {condition} OFFSET 0) {alias}"
        return f"{found} ON true" if kind == "LEFT" else found

    return LISTED.sub(rows, LOOK_UP.sub(looked_up, sql))


def around(sql: str, names: list[str], mark: str) -> tuple[str, str]:
    """What stands around the values of a plain insert; two empty texts for any other statement."""
    match = ONE_ROW.fullmatch(sql)
    if match is None or re.split(r",\s*", match[2]) != [f"{mark}{place}" for place in range(1, len(names) + 1)]:
        return "", ""
    return match[1], match[3]
