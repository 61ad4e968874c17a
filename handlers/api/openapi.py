"""Writes down for programs what the REST API can do: an OpenAPI 3.1 document, made from what validates."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from handlers.api import models, problems
from handlers.api.bodies import KEY_HEADER
from handlers.api.calls import Operation

VERSION = "1.0.0"
ALWAYS = ("no-key", "not-found", "busy", "not-kept", "failed")
WITH_BODY = ("bad-json", "bad-request", "slow", "too-large", "media-type")
DESCRIPTION = """Send texts, and learn what becomes of them.

Every 2xx to a message means that it is on disk and will reach exactly one final state. Errors are problem documents
(RFC 9457); `type` is a name that stays. A key is made by `run.py key new CLIENT`, and shown as `Authorization: Bearer
ck_live_...`, or by HTTP Basic as the user. With `ck_test_...` everything works and nothing leaves.
"""


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """The OpenAPI document (3.1.1)."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.1",
        "info": {"title": "Carillon", "version": VERSION, "description": DESCRIPTION,
                 "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "servers": [{"url": "http://127.0.0.1:8082", "description": "listen.api of config.yaml"}],
        "security": [{"bearer": []}, {"basic": []}],
        "paths": paths,
        "components": {
            "schemas": schemas(operations),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "The key."},
                "basic": {"type": "http", "scheme": "basic", "description": "The key as the user, no password."},
            },
            "headers": _HEADERS,
        },
    }  # fmt: skip


def text(operations: Sequence[Operation]) -> str:
    """The document as it is committed."""
    return json.dumps(document(operations), ensure_ascii=False, indent=2) + "\n"


def _operation(operation: Operation) -> dict[str, Any]:
    told: dict[str, Any] = {"operationId": operation.name, "summary": operation.summary, "tags": [_tag(operation)]}
    said = [operation.detail] if operation.detail else []
    said += [f"Scope: `{operation.scope}`."] if operation.scope else []
    if said:
        told["description"] = " ".join(said)
    if parameters := [*_path_parameters(operation), *_query_parameters(operation), *_key_parameter(operation)]:
        told["parameters"] = parameters
    if operation.body:
        kinds = ["application/json", *(["application/merge-patch+json"] if operation.method == "PATCH" else [])]
        told["requestBody"] = {
            "required": not operation.is_body_optional,
            "content": {kind: {"schema": _body_schema(operation)} for kind in kinds},
        }
    told["responses"] = _responses(operation)
    return told


def _tag(operation: Operation) -> str:
    return operation.path.split("/")[2]


def _body_schema(operation: Operation) -> dict[str, Any]:
    references = [_reference(model) for model in operation.body]
    return references[0] if len(references) == 1 else {"oneOf": references}


def _responses(operation: Operation) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for status, (words, model) in operation.gives.items():
        headers = ["X-Request-Id"]
        headers += ["Idempotent-Replayed"] if operation.is_repeatable else []
        if "rate" in operation.problems or operation.method == "GET":
            headers += ["RateLimit", "RateLimit-Policy"]
        told[str(status)] = {
            "description": words,
            "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
        }
        if operation.links:
            told[str(status)]["links"] = {
                name: {"operationId": name, "parameters": {"id": "$response.body#/id"}} for name in operation.links
            }
        if model is not None:
            told[str(status)]["content"] = {"application/json": {"schema": _reference(model)}}
    for status, names in sorted(_problems(operation).items()):
        listed = "; ".join(f"`{name}`: {problems.KINDS[name].title.lower()}" for name in names)
        told[str(status)] = {
            "description": listed,
            "content": {problems.CONTENT_TYPE: {"schema": _reference(models.Problem)}},
        }
        if status in (429, 503):
            told[str(status)]["headers"] = {"Retry-After": {"$ref": "#/components/headers/Retry-After"}}
    return told


def _problems(operation: Operation) -> dict[int, list[str]]:
    names = [*ALWAYS, *operation.problems]
    names += WITH_BODY if operation.body or operation.method == "POST" else ()
    names += ["bad-request"] if operation.query is not None else []
    names += ["scope"] if operation.scope else []
    names += ["rate"] if operation.method == "GET" else []
    by_status: dict[int, list[str]] = {}
    for name in dict.fromkeys(names):
        by_status.setdefault(problems.KINDS[name].status, []).append(name)
    return by_status


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    return [
        {
            "name": name, "in": "path", "required": True, "description": operation.paths.get(name, ""),
            "schema": _PIECES[name], "example": _PIECES[name]["examples"][0],
        }
        for name in re.findall(r"{(\w+)}", operation.path)
    ]  # fmt: skip


_PIECES: dict[str, dict[str, Any]] = {
    "id": {"type": "string", "pattern": "^[0-9]{1,19}$", "examples": ["913422817730560000"]},
    "phone": {"type": "string", "minLength": 1, "maxLength": 200, "examples": ["+12065550142"]},
    "program": {"type": "string", "minLength": 1, "maxLength": 200, "examples": ["lantern_club"]},
}


def _query_parameters(operation: Operation) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    told = []
    for name, of_name in parameters(operation.query).items():
        words = of_name.pop("description", "")
        told.append({"name": name, "in": "query", "required": False, "description": words, "schema": of_name})
    return told


def parameters(model: type[BaseModel]) -> dict[str, dict[str, Any]]:
    """The schema of each parameter of a query; null cannot be said there."""
    properties = simple(model.model_json_schema())["properties"]
    for of_name in properties.values():
        given = [each for each in of_name.pop("anyOf", ()) if each != {"type": "null"}]
        of_name.update(*given)
    return dict(properties)


def _key_parameter(operation: Operation) -> list[dict[str, Any]]:
    if not operation.is_repeatable:
        return []
    words = "A name of yours for this call, a random UUID say: made again with it, the call has no second effect."
    shape = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
    return [{"name": KEY_HEADER, "in": "header", "required": False, "description": words, "schema": shape}]


def schemas(operations: Iterable[Operation]) -> dict[str, Any]:
    """The schema of every body that is said or told, by name."""
    wanted: dict[type[BaseModel], None] = {models.Problem: None}
    for operation in operations:
        for _, model in operation.gives.values():
            wanted |= {model: None} if model else {}
        wanted |= dict.fromkeys(operation.body)
    pairs = [(model, "serialization" if issubclass(model, models.Told) else "validation") for model in wanted]
    _, schema = models_json_schema(pairs, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    return {name: simple(inside) for name, inside in sorted(schema["$defs"].items())}


def simple(part: Any) -> Any:
    """Without the titles that pydantic makes of names, and with one spelling of what may be left out."""
    if isinstance(part, list):
        return [simple(one) for one in part]
    if not isinstance(part, dict):
        return part
    plain = {
        key: ({name: simple(one) for name, one in inside.items()} if key == "properties" else simple(inside))
        for key, inside in part.items()
        if key != "title" and not (key == "default" and inside is None)
    }
    if plain.get("pattern") == r"^[^\x00]*$":
        plain["pattern"] = "^[^\\u0000]*$"
    return plain


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _header(words: str, kind: str = "string") -> dict[str, Any]:
    return {"description": words, "schema": {"type": kind}}


_HEADERS = {
    "X-Request-Id": _header("By which we find the call in our logs."),
    "Idempotent-Replayed": _header("true: an earlier call with the same Idempotency-Key did it."),
    "RateLimit": _header('What is left: `"messages";r=93;t=1` (draft-ietf-httpapi-ratelimit-headers-10).'),
    "RateLimit-Policy": _header('The limit: `"messages";q=100;w=1`, 100 in a second.'),
    "Retry-After": _header("Seconds after which to come again.", "integer"),
}
