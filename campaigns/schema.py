"""Tells editors and readers all words of config.yaml: a JSON Schema and a page, both made from the models."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from campaigns.segment_language import SUBJECTS, Kind
from campaigns.settings import Config
from gateway.config import Named, models_of
from gateway.values import As
from gateway.wording import flow

# Editors read 20655 or 0.5 without quotes as numbers, and ${NAME} may stand for any value.
SCALAR = ["string", "number", "boolean"]
FROM_ENVIRONMENT = {"type": "string", "pattern": r"^\$\{"}
INCLUDE = {
    "type": "array",
    "items": {"type": "string"},
    "description": "Other files with the same sections. A name that stands twice is a mistake.",
    "examples": [["campaigns/*.yaml"]],
}


EVENTS = {
    Kind.JOINED: "Joined this programme.",
    Kind.REPLIED: "Replied to this campaign.",
    Kind.VOTED: "Voted in this contest.",
    Kind.GIVEN: "Was given this coupon.",
    Kind.REDEEMED: "Redeemed this coupon.",
    Kind.LEFT: "Left this programme.",
}


def json_schema(config: Config | None) -> dict[str, Any]:
    """The JSON Schema of config.yaml; with a config, its own names are offered where a name is wanted."""
    schema = Config.model_json_schema(by_alias=True)
    definitions = schema.setdefault("$defs", {})
    definitions["Segment"] = _segment(config)
    definitions["AttributeSettings"] = {
        "anyOf": [{"type": "array", "items": {"type": SCALAR}, "minItems": 1}, {"const": "text"}],
        "description": "The values that it may have, or text for any.",
    }
    schema["properties"]["segments"]["additionalProperties"] = {"$ref": "#/$defs/Segment"}
    for definition in definitions.values():
        definition.get("properties", {}).pop("key", None)
    schema["properties"]["include"] = INCLUDE
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "config.yaml of Carillon"
    adapted: dict[str, Any] = _adapt(schema, config)
    return adapted


def schema_text(config: Config | None) -> str:
    """The JSON Schema as it is committed."""
    return json.dumps(json_schema(config), ensure_ascii=False, indent=2) + "\n"


def _names(config: Config | None, section: str) -> list[str]:
    return list(getattr(config, section)) if config else []


def _adapt(part: Any, config: Config | None) -> Any:
    """Loosen what pydantic says to what may stand in YAML, and put in the file's own names."""
    if isinstance(part, list):
        return [_adapt(one, config) for one in part]
    if not isinstance(part, dict):
        return part
    if "x-names-of" in part:
        others = {key: inside for key, inside in part.items() if key not in ("x-names-of", "type", "title")}
        names = _names(config, part["x-names-of"])
        return {**others, "anyOf": [{"enum": names}, FROM_ENVIRONMENT]} if names else {**others, "type": SCALAR}
    adapted = {key: _adapt(inside, config) for key, inside in part.items() if key not in ("title", "default")}
    kind = adapted.get("type")
    if kind in ("integer", "number", "boolean") and "anyOf" not in adapted:
        bounds = {key: adapted.pop(key) for key in ("type", "minimum", "maximum") if key in adapted}
        adapted["anyOf"] = [bounds, FROM_ENVIRONMENT]
    elif kind == "string" and "enum" not in adapted and "const" not in adapted and part is not FROM_ENVIRONMENT:
        adapted["type"] = SCALAR
        for strict in ("pattern", "minLength", "maxLength"):  # ${NAME} would break them; the loader checks them
            adapted.pop(strict, None)
    return adapted


def _segment(config: Config | None) -> dict[str, Any]:
    one = {"type": "string"}
    words: dict[str, Any] = {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}
    last = {"type": "string", "description": "Not longer ago than this.", "examples": ["60 d"]}
    inside: dict[str, Any] = {"anyOf": [{"type": "string", "x-names-of": "segments"}, {"$ref": "#/$defs/Segment"}]}
    several = {"type": "array", "items": inside, "minItems": 1}
    properties: dict[str, Any] = {
        "age": {"type": "string", "description": "Ages, both included.", "examples": ["17-25", "18+"]},
        "city": {**words, "description": "Lives in one of these."},
        "language": {**words, "description": "Reads one of these."},
        "gender": {**words, "description": "As the customer file writes it."},
        "tag": {**words, "description": "Bears one of these tags."},
        "seen": {
            **_settings({"within": {"type": "string", "x-names-of": "places"}, "last": last}),
            "required": ["within"],
            "description": "Was last seen near this place.",
        },
        "any": {**several, "description": "Belongs to at least one."},
        "all": {**several, "description": "Belongs to every one."},
        "not": {**inside, "description": "Does not belong."},
    }
    for kind, (section, word) in SUBJECTS.items():
        subject = {"type": "string", "x-names-of": section}
        properties[kind.value] = {
            "anyOf": [subject, _settings({word: subject, "last": last})],
            "description": EVENTS[kind],
        }
    for name, attribute in (config.attributes if config else {}).items():
        value: dict[str, Any] = {"enum": list(attribute.values)} if attribute.values else {"type": "string"}
        properties[name] = {"anyOf": [value, {"type": "array", "items": value, "minItems": 1}]}
    segment = _settings(properties)
    if config is None:
        segment["additionalProperties"] = True  # the attributes are not known
    return {"anyOf": [{"type": "string", "x-names-of": "segments"}, segment]}


def _settings(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def config_reference() -> str:
    """The page docs/config.md: every section and setting with what it means, what it is if left out, and an example."""
    lines = [REFERENCE_HEAD]
    for name, info in Config.model_fields.items():
        lines += [f"## {name}", "", info.description or "", ""]
        model, is_many = _model_of(info.annotation)
        key, kinds = models_of(get_args(info.annotation)[1]) if is_many else ("", {})
        if name == "segments":
            lines += list(_segment_lines())
        elif name == "attributes":
            lines += ["`NAME: [value, value]`, or `NAME: text` for a column that may hold anything.", ""]
        elif model is None:
            lines += [f"Left out: `{info.default}`.", ""]
        elif kinds:
            lines += [f"`{name}:` holds names, and under each what its `{key}` knows:", ""]
            for word, one in kinds.items():
                lines += [f"### {key}: {word}", "", one.__doc__ or "", "", *_table(one)]
        else:
            lines += [f"`{name}:` holds names, and under each:" if is_many else f"`{name}:` holds:", ""]
            lines += list(_table(model))
    return "\n".join(lines).rstrip() + "\n"


REFERENCE_HEAD = """<!-- Made from the models by campaigns/schema.py; a test keeps it so. -->
# All words of config.yaml

After an edit: `run.py check` tells every mistake at once, with its line and column.

| written | means |
|---|---|
| `30 d`, `2 h`, `10 min`, `45 s`, `2 w` | a span of time: a number, a space, a unit. A bare number is a mistake |
| `800 m`, `2 km` | a distance |
| `50/s`, `600/min` | a rate |
| `40 USD`, `0.0079 USD per part` | money; kept in millionths |
| `9:00-20:00` | hours of the day, the end not included |
| `4 per 30 d`, `1 per day`, `1 in all` | how many in a rolling span, in a calendar's day, week or month, or ever |
| `2%` | a share |
| `{en: Hello, zh: 您好}` | a text for each language; a plain text serves all |
| `${NAME}`, `${NAME:-default}` | from the environment; `$${` writes `${` itself |
| `password_file: FILE` | a secret in a file of its own, from the folder of config.yaml |
| `include: [campaigns/*.yaml]` | other files with the same sections; a name that stands twice is a mistake |

A text that holds `: `, `, ` (inside `{ }`), `#`, `{{ }}` or begins with `@ & * ! % |` wants quotes.
Nothing else is special: `no`, `017`, `12:30` and `+1206...` stay as they are written.
"""


def _segment_lines() -> Iterator[str]:
    properties = _segment(None)["anyOf"][1]["properties"]
    yield from ["| key | means | example |", "|---|---|---|"]
    examples = {
        "age": "17-25", "city": "[Seattle, Shanghai]", "language": "zh", "gender": "f", "tag": "[vip]",
        "seen": "{within: pike_place, last: 2 h}", "any": "[students, {favourite: latte}]", "all": "[students, vips]",
        "not": "{redeemed: {last: 60 d}}",
    }  # fmt: skip
    for key, schema in properties.items():
        subject = next((word for kind, (_, word) in SUBJECTS.items() if kind == key), "")
        example = examples.get(key, f"{{{subject}: NAME, last: 60 d}}")
        yield f"| `{key}` | {schema['description']} | `{key}: {example}` |"
    yield from ["| *an attribute* | Has one of these values. | `tier: [gold, silver]` |", ""]


def _table(model: type[BaseModel]) -> Iterator[str]:
    yield from ["| key | means | left out | example |", "|---|---|---|---|"]
    yield from _rows(model, "")
    yield ""


def _rows(model: type[BaseModel], before: str) -> Iterator[str]:
    for name, info in model.model_fields.items():
        if name == "key" and issubclass(model, Named):
            continue
        key = before + (info.alias or name)
        inner, is_many = _model_of(info.annotation)
        cells = (f"`{key}`", info.description, _default(info, inner), _example(info))
        yield f"| {' | '.join(map(str, cells))} |".replace("|  |", "| |").replace("|  |", "| |")
        if inner is not None and not is_many:
            yield from _rows(inner, f"{key}.")


def _default(info: FieldInfo, inner: type[BaseModel] | None) -> str:
    if info.is_required():
        return "must stand"
    if inner is not None or info.default in (None, "", (), {}):
        return ""
    if type(info.default) is tuple:
        return f"`{flow(list(info.default))}`"
    shown = next((mark.show for mark in _marks(info) if isinstance(mark, As)), str)
    return f"`{'no' if info.default is False else shown(info.default)}`"


def _example(info: FieldInfo) -> str:
    examples = info.examples or [one for mark in _marks(info) for one in getattr(mark, "examples", ())]
    return f"`{flow(examples[0])}`" if examples else ""


def _marks(info: FieldInfo) -> Iterator[Any]:
    """All that an annotation is made of: the types in it, and what marks them."""
    yield from info.metadata
    yield from _arguments(info.annotation)


def _arguments(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inside in get_args(annotation):
        yield from _arguments(inside)


def _model_of(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model behind an annotation, and whether many of them stand under names."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Mapping or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return _model_of(arguments[1])[0], True
    if origin is Annotated:
        return _model_of(arguments[0])
    if origin in (Union, UnionType):
        found = [model for model, _ in map(_model_of, arguments) if model]
        return (found[0] if found else None), False
    return (annotation, False) if isinstance(annotation, type) and issubclass(annotation, BaseModel) else (None, False)
