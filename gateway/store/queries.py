"""Reads the named queries out of the `.sql` files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "sql"
NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)
ONE_ROW = re.compile(r"(INSERT INTO .*?)VALUES \(([?$\d,\s]+)\)([^?$]*)", re.DOTALL)
WIDE = 100
ALIKE_WIDE = 250  # the same of rows that are alike, which have few values of their own
WIDTHS = (500, WIDE, 10)  # rows of a plain insert that go in one step; what is left goes one by one
PARAMETER = re.compile(r"(?<![:\w]):(?!condition\b)(\w+)|'[^']*'|--[^\n]*")
PACKED = re.compile(r"^-- packed: (\d+) columns(?:, each its own: ([\d ]+))?$", re.MULTILINE)
ALIKE = re.compile(r"^-- many are alike", re.MULTILINE)
OCTETS = re.compile(r"\boctets\(([\w.]+)\)")
LISTED = re.compile(r"\b(numbers|words)\((:\w+)\)(?: ([a-z]+)\b)?")
COMMENT = re.compile(r"--[^\n]*")
LOOK_UP = re.compile(
    r"\b(CROSS|LEFT) JOIN (\w+) (\w+) ON (.+?)"
    r"(?=\s+(?:CROSS|LEFT|JOIN|WHERE|ORDER|GROUP|HAVING|UNION|LIMIT|RETURNING)\b|\s*\)|\s*;?\s*$)",
    re.DOTALL,
)
LISTED_TYPES = {"numbers": "bigint", "words": "text"}
OCTETS_AS = {"sqlite": r"hex(\1)", "postgresql": r"encode(\1, 'hex')"}
MARKS = {"sqlite": "?", "postgresql": "$"}


@dataclass(frozen=True, slots=True)
class Query:
    """One statement; `names` are its parameters in the order of their first appearance.

    Of a plain insert of one row of parameters, `head` and `tail` stand around its values, and `wide` is the same for
    each number of WIDTHS rows at once, their values one after another; all three are empty for any other statement. One
    that `is_packed` gives all of its rows in one value, as JSON. Where most of them differ in their `own` columns
    alone, `first` gives the first row as it is; its other columns, so many as are `held`, follow the parameters, and
    rows that have the same there consist of their own. A plain insert that `is_alike` gets many rows that are so.
    """

    name: str
    sql: str
    names: tuple[str, ...]
    head: str = ""
    tail: str = ""
    wide: tuple[tuple[int, str], ...] = ()
    is_packed: bool = False
    first: str = ""
    own: tuple[int, ...] = ()
    held: int = 0
    is_alike: bool = False


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

    columns = PACKED.search(sql) if dialect == "sqlite" else None
    text = PARAMETER.sub(number, spell(sql, dialect)).strip().rstrip(";")
    first, own = "", tuple(map(int, (columns[2] or "").split())) if columns else ()
    if columns and own:
        first = f"SELECT * FROM ({text}) LIMIT 1"
        text = pack_alike(text, int(columns[1]), own, len(names) + 1)
    elif columns:
        text = pack(text, int(columns[1]))
    head, tail = around(text, names, MARKS[dialect])
    row = f"({', '.join('?' * len(names))})"
    wide = tuple((rows, f"{head}VALUES {', '.join([row] * rows)}{tail}") for rows in WIDTHS if head)
    held = int(columns[1]) - len(own) if columns and own else 0
    is_alike = bool(head and ALIKE.search(sql))
    return Query(name, text, tuple(names), head, tail, wide, columns is not None, first, own, held, is_alike)


def pack(sql: str, columns: int) -> str:
    """A query that SQLite answers in one step, with all rows as one JSON value.

    The module sqlite3 gives up the interpreter's lock for each row, and waits for it again: with a busy loop beside
    it that costs more than the rows. What is no number or text must be spelled so (`octets`).
    """
    names = ", ".join(f"c{place}" for place in range(columns))
    return f"WITH packed ({names}) AS ({sql}) SELECT json_group_array(json_array({names})) FROM packed"


def pack_alike(sql: str, columns: int, own: Sequence[int], parameter: int) -> str:
    """The same for rows most of which differ in their own columns alone, the numbers of which are given.

    To write a number as JSON takes SQLite as long as to find a row by its key, and to compare one, a tenth of that. So
    of a row that is like the first, only what is its own is written; what it is held against are the parameters from
    this one on.
    """
    names = [f"c{place}" for place in range(columns)]
    others = [name for place, name in enumerate(names) if place not in own]
    alike = " AND ".join(f"{name} IS ?{number}" for number, name in enumerate(others, parameter))
    return (
        f"WITH packed ({', '.join(names)}) AS ({sql}) SELECT '[' || coalesce(group_concat(CASE WHEN {alike} "
        f"THEN json_array({', '.join(names[place] for place in own)}) ELSE json_array({', '.join(names)}) END), '')"
        " || ']' FROM packed"
    )


@cache
def wide_alike(query: Query, own: tuple[int, ...], rows: int) -> str:
    """A plain insert of so many rows which differ in their own values alone: first what all share, then what is own."""
    shared = len(query.names) - len(own)
    numbers = {place: number for number, place in enumerate((n for n in range(len(query.names)) if n not in own), 1)}
    listed = []
    for row in range(rows):
        numbers |= {place: number for number, place in enumerate(own, shared + row * len(own) + 1)}
        listed.append("(" + ", ".join(f"?{numbers[place]}" for place in range(len(query.names))) + ")")
    return f"{query.head}VALUES {', '.join(listed)}{query.tail}"


def spell(sql: str, dialect: str) -> str:
    """The statement in the dialect: `numbers(:ids)` and `words(:tags)` are a list's values as rows of one column,
    `value`; `octets(times)` is a column of octets in hexadecimal, empty or nothing where there are none; and what CROSS
    JOIN ... ON and LEFT JOIN ... ON look up stays a look-up by key, in the order in which it stands. (PostgreSQL would
    else go by what it guesses of a table that was empty when the plan was made: with ten thousand people it then
    compared each address of an import with all of them.)
    """
    sql = OCTETS.sub(OCTETS_AS[dialect], sql)
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
