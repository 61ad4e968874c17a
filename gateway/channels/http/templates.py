"""Puts values into the texts that a carrier wants, by `{{ field }}`: no calls, no loops, nothing that could run."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Collection, Mapping
from typing import Final, NamedTuple
from urllib.parse import quote

from gateway.wording import nearest

Escape = Callable[[str], str]

_PLACEHOLDER = re.compile(
    r"""\{\{ \s* (?P<field>[A-Za-z_][\w-]*(?:\.[\w-]+)*)
    (?: \s+ or \s+ (?: '(?P<single>[^'{}]*)' | "(?P<double>[^"{}]*)" ) )?
    \s* \}\}""",
    re.VERBOSE,
)
_OPEN = re.compile(r"\{\{.{0,40}", re.DOTALL)


def percent(text: str) -> str:
    """Percent-encoded, with only the unreserved characters left (RFC 3986, 2.3), so that it fits into any URL."""
    return quote(text, safe="", errors="replace")


def plain(text: str) -> str:
    """The text itself."""
    return text


VARIANTS: Final[Mapping[str, Escape]] = {
    "digits": lambda text: text.removeprefix("+"),
    "percent": percent,
    "json": lambda text: json.dumps(text, ensure_ascii=False),
    "hex": lambda text: text.encode("utf-16-be", "replace").hex().upper(),
    "base64": lambda text: base64.b64encode(text.encode("utf-8", "replace")).decode(),
    "underscored": lambda text: text.replace("&", "_").replace("=", "_"),
}


class Slot(NamedTuple):
    """A place that a field fills: how its value is written, and what stands there when it is empty."""

    field: str
    write: Escape
    otherwise: str


LISTS: Final = frozenset(("media",))  # fields that hold several values, with spaces between


class Template:
    """A text cut into literals and slots once."""

    __slots__ = ("_literals", "fields", "slots")

    def __init__(self, text: str) -> None:
        """Raises ValueError for braces that are no field; which fields there are is for `complaint` to say."""
        literals, slots, end = [], [], 0
        for match in _PLACEHOLDER.finditer(text):
            literals.append(_literal(text[end : match.start()]))
            name, _, variant = match["field"].rpartition(".")
            write = VARIANTS.get(variant, plain) if name else plain
            field = match["field"] if write is plain else name
            slots.append(Slot(field, write, match["single"] or match["double"] or ""))
            end = match.end()
        self._literals = (*literals, _literal(text[end:]))
        self.slots = tuple(slots)
        self.fields = frozenset(slot.field for slot in slots)

    @property
    def is_list(self) -> bool:
        """Whether it is nothing but a field that holds several values: it becomes a list where there can be one."""
        return len(self.slots) == 1 and not any(self._literals) and self.slots[0].field in LISTS

    def render_each(self, values: Mapping[str, str]) -> list[str]:
        """Each value of such a field by itself; where there is none, what stands there otherwise."""
        (field, write, otherwise), *_ = self.slots
        return [write(each) for each in values.get(field, "").split()] or ([otherwise] if otherwise else [])

    def render(self, values: Mapping[str, str], escape: Escape = plain) -> str:
        """The text with its values; `escape` writes each so that it cannot break out of its place."""
        literals = self._literals
        if not self.slots:
            return literals[0]
        out = [literals[0]]
        for (field, write, otherwise), literal in zip(self.slots, literals[1:], strict=True):
            value = values.get(field, "")
            out += (escape(write(value)) if value else escape(otherwise), literal)
        return "".join(out)


def _literal(text: str) -> str:
    if found := _OPEN.search(text):
        shown = found[0].partition("}}")[0].rstrip()
        raise ValueError(f"{shown} }}}}: only {{{{ field }}}}, {{{{ field.variant }}}} or {{{{ field or 'text' }}}}")
    return text


def complaint(text: str, fields: Collection[str], openings: tuple[str, ...] = ()) -> str:
    """What is wrong with a template that may use these fields, and all that begin with an opening; or nothing."""
    try:
        template = Template(text)
    except ValueError as error:
        return str(error)
    for field in sorted(template.fields):
        if field not in fields and not field.startswith(openings or ("\0",)):
            near = nearest(field, fields)
            return f'no field "{field}"; ' + (f"did you mean {near}?" if near else f"there are {', '.join(fields)}")
    return ""
