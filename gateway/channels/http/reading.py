"""Finds values in what a carrier sends: by a path into JSON or a form, in a header, in the address, by a pattern."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self
from urllib.parse import parse_qsl

import orjson

from gateway.values import Written
from gateway.wording import found

FORM_TYPE: Final = "application/x-www-form-urlencoded"
MOST_FIELDS: Final = 200
LONGEST_SEARCH: Final = 4096  # characters in which a pattern is looked for, so that none takes long
EVERY: Final = "*"


@dataclass(frozen=True, slots=True)
class Place(Written):
    """Where a value stands: `messages.0.id`, `header X-Id`, `query key`, or a pattern whose first group it is."""

    kind: str  # body, header, query or pattern
    name: str
    pattern: re.Pattern[str] | None = None

    expected: ClassVar[str] = r"where it stands: a path such as messages.0.id, header X-Id, query key, or /id=(\w+)/"
    examples: ClassVar[tuple[str, ...]] = ("messages.0.id", "header X-Id")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The place of a text."""
        if len(text) > 2 and text[0] == text[-1] == "/":
            try:
                pattern = re.compile(text[1:-1], re.DOTALL)
            except re.error as error:
                raise ValueError(f"found {found(text)}, which is no pattern: {error}") from None
            if not pattern.groups:
                raise ValueError(f"found {found(text)}, expected brackets around what is wanted, such as /id=(\\w+)/")
            return cls("pattern", text, pattern)
        kind, _, name = text.partition(" ")
        if kind == "header" and re.fullmatch(r"[\w-]+", name):
            return cls("header", name.lower())
        if kind == "query" and name:
            return cls("query", name)
        if not re.fullmatch(r"[^\s/]\S*", text):
            raise cls.wrong(text)
        return cls("body", text)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" if self.kind in ("header", "query") else self.name


@dataclass(frozen=True, slots=True)
class Content:
    """What came in: headers (names in lower case), the fields of the address, the body as a text and as a tree.

    `pairs` are the fields in the order in which they came; `tree` is None for a body that is neither JSON nor a form.
    """

    headers: Mapping[str, str]
    query: Mapping[str, str]
    pairs: Sequence[tuple[str, str]]
    text: str
    tree: Any

    def first(self, place: Place | None, item: Any = None) -> str:
        """The value of a place, or an empty text. `item` is the part of the tree to look in, else all of it."""
        return next(iter(self.each(place, item)), "") if place is not None else ""

    def each(self, place: Place, item: Any = None) -> list[str]:
        """All values of a place whose path has a `*`, an empty text where one is missing; else one, or none."""
        if place.kind == "header":
            return [_whole(self.headers[place.name])] if place.name in self.headers else []
        if place.kind == "query":
            return [_whole(self.query[place.name])] if place.name in self.query else []
        if place.pattern is not None:
            match = place.pattern.search(self.text[:LONGEST_SEARCH])
            return [match[1] or ""] if match else []
        values = [written(value) for value in _walk(self.tree if item is None else item, place.name)]
        return values if any(values) else []

    def items(self, place: Place | None) -> list[Any]:
        """What is told of, one by one: the list at a place, or at the top, or the whole as its only item."""
        tree = next(_walk(self.tree, place.name), None) if place else self.tree
        return tree if isinstance(tree, list) else [] if tree is None else [tree]


def _whole(words: str) -> str:
    """What can be written as UTF-8: a header or an escape in JSON may hold half of a pair, which no store keeps."""
    return words if words.isascii() else words.encode("utf-8", "replace").decode()


def written(value: Any) -> str:
    """A value of JSON as people would write it: `true`, `17`, the text itself; empty for maps, lists and null."""
    if isinstance(value, str):
        return _whole(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else ""


def _walk(tree: Any, path: str) -> Iterator[Any]:
    """What stands at a path; a key that itself holds dots is found too."""
    if not path:
        yield tree
    elif isinstance(tree, dict):
        step, _, rest = (path, "", "") if path in tree else path.partition(".")
        yield from _walk(tree.get(step), rest)
    elif isinstance(tree, list):
        step, _, rest = path.partition(".")
        if step == EVERY:
            for one in tree:
                yield from _walk(one, rest)
        elif step.isdecimal() and int(step) < len(tree):
            yield from _walk(tree[int(step)], rest)
        else:
            yield None
    else:
        yield None


def read(headers: Mapping[str, str], body: bytes, query: str = "") -> Content:
    """What headers, body and the part of the address behind `?` say. Never raises."""
    text = body.decode("utf-8", "replace")
    asked = _form(query)
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    tree: Any = None
    pairs = list(asked)
    if text.lstrip()[:1] in ("{", "[") or "json" in kind:
        try:
            tree = orjson.loads(body)
        except orjson.JSONDecodeError:
            tree = None
        pairs += [(name, written(value)) for name, value in tree.items()] if isinstance(tree, dict) else []
    elif kind == FORM_TYPE:
        fields = _form(text)
        tree, pairs = dict(fields), pairs + fields
    elif not body and asked:
        tree = dict(asked)
    return Content(headers, dict(asked), pairs, text, tree)


def _form(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS) if text else []
    except ValueError:
        return []
