"""Writes down for people what the REST API can do: the reference in docs/api.md, made from what validates.

`python -m handlers.api.reference` brings docs/api.md and docs/openapi.json up to date.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from handlers.api import app, models, openapi, problems
from handlers.api.calls import Operation

DOCS = Path(__file__).parents[2] / "docs"
MARK = "<!-- What follows is made by python -m handlers.api.reference -->\n"


def write() -> None:
    """Bring both files up to date."""
    (DOCS / "openapi.json").write_text(openapi.text(app.OPERATIONS), "utf-8")
    page = DOCS / "api.md"
    page.write_text(renewed(page.read_text("utf-8")), "utf-8")


def renewed(page: str) -> str:
    """The page with its reference as it must be now."""
    return f"{page.partition(MARK)[0]}{MARK}\n{reference(app.OPERATIONS)}"


@cache
def _fields(model: type[BaseModel]) -> list[tuple[str, str, str]]:
    """The fields of a model: name, type in words, description."""
    is_told = issubclass(model, models.Told)
    schema = openapi.simple(model.model_json_schema(mode="serialization" if is_told else "validation"))
    required, told = set(schema.get("required", ())), []
    for name, inside in schema.get("properties", {}).items():
        must = "" if is_told or name in required else ", may be left out"
        told.append((name, _kind(inside) + must, inside.get("description", "")))
    return told


def _kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"] if each != {"type": "null"}) + (
            " or null" if {"type": "null"} in schema["anyOf"] else ""
        )
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    return {"date-time": "time"}.get(schema.get("format", ""), str(schema.get("type", "object")))


def reference(operations: Sequence[Operation]) -> str:
    """The reference as Markdown."""
    lines: list[str] = []
    for operation in operations:
        lines += [f"### {operation.summary}", "", f"`{operation.method} {operation.path}`", ""]
        scope = f"Scope `{operation.scope}`." if operation.scope else "Any key."
        lines += [" ".join(filter(None, [operation.detail, scope])), ""]
        if operation.query is not None:
            told = openapi.parameters(operation.query).items()
            rows = [(name, _kind(schema), schema.get("description", "")) for name, schema in told]
            lines += _table(("parameter", "is", ""), rows)
        if operation.body:
            named = " or ".join(f"[{model.__name__}](#{model.__name__.lower()})" for model in operation.body)
            lines += [f"Body: {named}{', may be left out' if operation.is_body_optional else ''}.", ""]
        for status, (words, model) in operation.gives.items():
            brings = f" [{model.__name__}](#{model.__name__.lower()})" if model else ""
            lines += [f"- **{status}**{brings}: {words}"]
        own = ", ".join(f"[{name}](#{name})" for name in operation.problems)
        lines += [f"- problems: {own}"] if own else []
        lines += [""]
    lines += ["## Bodies", ""]
    for model in _models(operations):
        lines += [f"### {model.__name__}", "", model.__doc__ or "", ""]
        lines += _table(("field", "is", ""), _fields(model))
    lines += ["## Problems", "", "The `type` is `/problems/` and the name; the API's own address shows this text.", ""]
    for name, kind in problems.KINDS.items():
        lines += [f"### {name}", "", f"{kind.status}. {kind.title}. {kind.cure}", ""]
    return "\n".join(lines).rstrip() + "\n"


def _table(heads: tuple[str, str, str], rows: Iterable[tuple[str, str, str]]) -> list[str]:
    cells = [f"| `{name}` | {kind} | {words} |" for name, kind, words in rows]
    return [f"| {' | '.join(heads)} |", "|---|---|---|", *cells, ""]


def _models(operations: Sequence[Operation]) -> list[type[BaseModel]]:
    names = openapi.schemas(operations)
    return [getattr(models, name) for name in names]


if __name__ == "__main__":
    write()
