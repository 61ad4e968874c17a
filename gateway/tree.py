"""What stands in a config file, as a tree whose every value knows its file, line and column."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

Step = str | int
Where = tuple[Step, ...]
KEY = -1  # as the last step of a path: the key itself, not what stands under it


class Spot(NamedTuple):
    """A place in a file, counted from 1 as editors do."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Mistake(NamedTuple):
    """What is wrong, and where. Sorts as people read a file."""

    file: str
    line: int
    column: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.text}"


@dataclass(slots=True)
class Scalar:
    """A text as it stands in the file, with the environment put in."""

    spot: Spot
    text: str
    blank: bool = False  # nothing stands there at all
    absent: bool = False  # blank, or the environment made it empty: as if the key were not written
    written: str = ""  # the same as it stands in the file, ${NAME} and all


@dataclass(slots=True)
class Items:
    """A list."""

    spot: Spot
    nodes: list[Node]


@dataclass(slots=True)
class Entry:
    """A key of a map with what stands under it."""

    spot: Spot
    node: Node


@dataclass(slots=True)
class Map:
    """Keys and what stands under them."""

    spot: Spot
    entries: dict[str, Entry] = field(default_factory=dict)


@dataclass(slots=True)
class Broken:
    """Something that could not be read; the mistake is already told."""

    spot: Spot


Node = Scalar | Items | Map | Broken


def inside_of(node: Node | None) -> list[tuple[Step, Node]]:
    """What stands in a map or a list, with its key or place."""
    if isinstance(node, Map):
        return [(key, entry.node) for key, entry in node.entries.items()]
    return list(enumerate(node.nodes)) if isinstance(node, Items) else []


def data_of(node: Node | None) -> Any:
    """Plain maps, lists and strings, without what is broken, blank or made empty by the environment."""
    if isinstance(node, Scalar):
        return node.text
    if isinstance(node, Items):
        return [data_of(inside) for inside in node.nodes if not is_nothing(inside)]
    return {key: data_of(inside) for key, inside in inside_of(node) if not is_nothing(inside)}


def is_nothing(node: Node) -> bool:
    """True for what is as if it were not written."""
    return isinstance(node, Broken) or (isinstance(node, Scalar) and node.absent)


def node_at(tree: Node | None, path: Where) -> Node | None:
    """What stands at a path, or None."""
    for step in path:
        tree = dict(inside_of(tree)).get(step)
    return tree


def is_broken(tree: Map, path: Where) -> bool:
    """True when a mistake on the way to this path is already told."""
    return any(isinstance(node_at(tree, path[:length]), Broken) for length in range(1, len(path) + 1))


def spot_at(tree: Map, path: Where) -> Spot:
    """Where the value of a path stands, or what is nearest above it. A path that ends in KEY is the key."""
    node: Node = tree
    spot = tree.spot
    for place, step in enumerate(path):
        entry = node.entries.get(str(step)) if isinstance(node, Map) else None
        if isinstance(entry, Entry):
            node = entry.node
            spot = entry.spot if path[place + 1 :] == (KEY,) else node.spot
        elif isinstance(node, Items) and isinstance(step, int) and 0 <= step < len(node.nodes):
            node = node.nodes[step]
            spot = node.spot
        else:
            break
    return spot


def line_of(spot: Spot, file: str) -> str:
    """Where something stands, for a reader who looks at a file."""
    return f"line {spot.line}" if spot.file == file else f"{spot.file}:{spot.line}"
