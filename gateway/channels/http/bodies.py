"""Makes the body of a request: a form, JSON whose texts can hold anything, or a text of the carrier's own kind."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final
from xml.sax.saxutils import escape as escaped

import orjson

from gateway.channels.http.templates import Escape, Template, complaint, percent, plain
from gateway.wording import found

Values = Mapping[str, str]
Part = Callable[[Values], Any]

_BARE: Final = "\ue000"  # marks a placeholder that stood in JSON without quotes
_STRING_OR_FIELD: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\{\{.*?\}\}', re.DOTALL)
_NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, section 2.2


def pairs(templates: Mapping[str, Template], values: Values) -> list[tuple[str, str]]:
    """The fields with their values, each of a list as a field of its own. One that comes out empty is left out."""
    found: list[tuple[str, str]] = []
    for name, template in templates.items():
        if template.is_list:
            found += [(name, each) for each in template.render_each(values)]
        elif (text := template.render(values)) or not template.slots:
            found.append((name, text))
    return found


def form(fields: Sequence[tuple[str, str]]) -> str:
    """Fields as a form or the query of an address writes them (URL Standard, 5.2), a space as %20."""
    return "&".join(f"{percent(name)}={percent(value)}" for name, value in fields)


def escape_for(content_type: str) -> Escape:
    """How a value is written in a body of this type so that it cannot break out of its place."""
    return _for_xml if "xml" in content_type else plain


def _for_xml(text: str) -> str:
    return escaped(_NOT_IN_XML.sub("", text), {'"': "&quot;", "'": "&apos;"})


def tree_of(written: Any) -> Any:
    """What stands under `json:` as a tree whose texts are templates. Raises ValueError for a text that is no JSON."""
    if not isinstance(written, str):
        return written
    try:
        tree = orjson.loads(_STRING_OR_FIELD.sub(_quoted, written))
    except orjson.JSONDecodeError as error:
        raise ValueError(f"found {found(written)}, which is no JSON: {str(error).partition(':')[0]}") from None
    if not isinstance(tree, dict | list):
        raise ValueError(f"found {found(written)}, expected a map, or JSON that begins with {{ or [")
    return tree


def _quoted(match: re.Match[str]) -> str:
    return match[0] if match[0][0] == '"' else orjson.dumps(_BARE + match[0]).decode()


def problems(written: Any, fields: tuple[str, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What is wrong with the texts under `json:`, which may use these fields, each at its path."""
    try:
        tree = tree_of(written)
    except ValueError as error:
        yield (), str(error)
        return
    for path, text in _leaves(tree):
        problem = complaint(text, fields)
        if problem:
            yield () if isinstance(written, str) else path, problem


def texts(written: Any) -> Iterator[str]:
    """The texts that stand under `json:`, without the mark of those that stood without quotes."""
    return (text.removeprefix(_BARE) for _, text in _leaves(tree_of(written)))


def _leaves(tree: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(tree, str):
        yield path, tree
    elif isinstance(tree, dict | list):
        for step, inside in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _leaves(inside, (*path, step))


def json_part(tree: Any) -> Part:
    """A function from values to the same tree with its texts filled in; None stands for what is left out."""
    if isinstance(tree, dict):
        entries = [(name, json_part(inside)) for name, inside in tree.items()]
        return lambda values: {name: value for name, part in entries if (value := part(values)) is not None}
    if isinstance(tree, list):
        items = [_items_of(inside) for inside in tree]
        return lambda values: [value for part in items for value in part(values)]
    if not isinstance(tree, str):
        return lambda values: tree
    template = Template(tree.removeprefix(_BARE))
    if template.is_list:
        return lambda values: template.render_each(values) or None
    if tree.startswith(_BARE):
        return lambda values: _number(template.render(values))
    if not template.slots:
        return lambda values: tree
    return lambda values: template.render(values) or None


def _items_of(tree: Any) -> Callable[[Values], Sequence[Any]]:
    """What an item of a list becomes: nothing, one, or each value of a field that holds several."""
    part = json_part(tree)
    if isinstance(tree, str) and Template(tree.removeprefix(_BARE)).is_list:
        return lambda values: part(values) or ()
    return lambda values: () if (value := part(values)) is None else (value,)


def _number(text: str) -> Any:
    """A value that stands without quotes: a number or nothing; anything else gets the quotes that it lacks."""
    if not text:
        return None
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else text


def headers(templates: Mapping[str, Template], values: Values) -> dict[str, str]:
    """Headers with their values. Raises ValueError for a line break, which would begin a header of its own."""
    lines = {name: text for name, each in templates.items() if (text := each.render(values)) or not each.slots}
    for name, value in lines.items():
        if not value.isprintable():
            raise ValueError(f"the header {name} cannot hold a line break")
    return lines
