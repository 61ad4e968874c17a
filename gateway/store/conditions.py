"""Turns a tree of named conditions on people into SQL, from the fragments in `sql/condition.sql`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.store.queries import Query


@dataclass(frozen=True, slots=True)
class Trait:
    """One fragment of `sql/condition.sql` with its values. Lists are handed over as JSON."""

    name: str
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class All:
    """Every one of these holds; an empty tuple holds for everyone."""

    of: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """At least one of these holds; an empty tuple holds for no one."""

    of: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The condition does not hold."""

    of: Condition


Condition = Trait | All | Any | Not


def render(
    condition: Condition, fragments: Mapping[str, Query], first: int, mark: str = "?"
) -> tuple[str, list[object]]:
    """The condition as SQL over the alias `p` of person, with parameters numbered from `first`.

    `mark` stands before the number of a parameter.
    """
    values: list[object] = []

    def sql(node: Condition) -> str:
        if isinstance(node, Trait):
            text, names = fragments[node.name].sql, fragments[node.name].names
            for at in range(len(names), 0, -1):  # downwards, so that ?1 is not found in ?12
                text = text.replace(f"{mark}{at}", f"{mark}<{at}>")
            for at, name in enumerate(names, 1):
                text = text.replace(f"{mark}<{at}>", f"{mark}{first + len(values)}")
                values.append(node.values[name])
            return f"({text})"
        if isinstance(node, Not):
            return f"(NOT coalesce({sql(node.of)}, FALSE))"
        joined = (" AND " if isinstance(node, All) else " OR ").join(sql(each) for each in node.of)
        return f"({joined})" if node.of else ("TRUE" if isinstance(node, All) else "FALSE")

    return sql(condition), values
