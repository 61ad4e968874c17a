"""Reads what a program says: JSON and parameters, held against their models, with every flaw named in its place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import blake2b
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from gateway import web
from gateway.wording import either, found, nearest
from handlers.api.problems import Flaw, Problem

SMALL = 64 * 1024  # octets of one message
LARGE = 10 * 1024 * 1024  # of a batch of 10,000
MOST_FLAWS = 100  # that one answer names
MERGE = "application/merge-patch+json"  # RFC 7396
KINDS = frozenset({"application/json", MERGE})
KEY_HEADER = "Idempotency-Key"
_KEY = re.compile(r"[!-~]{1,255}")

M = TypeVar("M", bound=BaseModel)


async def nothing(request: web.Request) -> None:
    """A body where none is needed: an empty one, or an empty object. Raises Problem."""
    body = await web.read_body(request, SMALL)
    if body.strip() and parse(body) != {}:
        raise Problem("bad-request", "there is nothing to say here; leave the body empty")


async def read(request: web.Request, limit: int) -> bytes:
    """The body as it came; it must say that it is JSON. Raises Problem."""
    check_kind(request)
    return await web.read_body(request, limit)


def check_kind(request: web.Request) -> None:
    """Raise Problem unless the body says that it is JSON in UTF-8."""
    header = request.headers.get("Content-Type", "")
    if header == "application/json":
        return
    kind, _, parameters = header.partition(";")
    if kind.strip().lower() not in KINDS:
        raise Problem("media-type", f"found {found(kind) if kind else 'no Content-Type'}; send application/json")
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "charset" and value.strip('"').lower() not in ("utf-8", "utf8"):
            raise Problem("media-type", f"found the encoding {found(value)}; JSON is in UTF-8")


def parse(body: bytes) -> Any:
    """The value of a JSON text. Raises Problem for NaN, halves of pairs, wrong octets and what is nested 1,024 deep."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _unreadable(body, error) from None


def _unreadable(body: bytes, error: orjson.JSONDecodeError) -> Problem:
    if not body.strip():
        return Problem("bad-json", "the body is empty; send a JSON object")
    try:
        body.decode()
    except UnicodeDecodeError as wrong:
        return Problem("bad-json", f"octet {wrong.start} is not UTF-8; JSON is in UTF-8 (RFC 8259, 8.1)")
    return Problem("bad-json", f"line {error.lineno}, column {error.colno}: {error.msg.partition(':')[0]}")


@cache
def adapter(model: type[M]) -> TypeAdapter[M]:
    """The validator of a model, made once."""
    return TypeAdapter(model)


def checked(model: type[M], value: Any) -> M:
    """The value as its model. Raises Problem with every flaw."""
    try:
        found_right: M = adapter(model).validate_python(value)
    except ValidationError as error:
        raise refused(flaws(model, error.errors(include_url=False))) from None
    return found_right


def refused(found_flaws: list[Flaw]) -> Problem:
    """The problem of a body or of parameters with these flaws."""
    more = f" (and {len(found_flaws) - 1} more)" if len(found_flaws) > 1 else ""
    first = found_flaws[0]
    where = first.pointer or first.parameter
    detail = f"{where}: {first.detail}{more}" if where else f"{first.detail}{more}"
    return Problem("bad-request", detail, pointer=first.pointer, flaws=found_flaws[:MOST_FLAWS])


def flaws(model: type[BaseModel], errors: Iterable[ErrorDetails], place: int | None = None) -> list[Flaw]:
    """Each error of a validation in its place."""
    told = []
    for error in errors:
        where = [part for part in error["loc"] if part != "[key]"]
        told.append(Flaw(_said(model, error), _pointer(where), place=place))
    return told


def parameters(model: type[M], request: web.Request) -> M:
    """What stands behind the question mark. Raises Problem; a parameter that nobody knows is a slip, not noise."""
    given: dict[str, str] = {}
    wrong: list[Flaw] = []
    for name, value in request.rel_url.query.items() if request.rel_url.raw_query_string else ():
        if name in given:
            wrong.append(Flaw("it stands twice", parameter=name[:100]))
        elif not _is_text(value) or not _is_text(name):
            wrong.append(Flaw("it holds a character that no text has (NUL, or half of a pair)", parameter="query"))
        given[name] = value
    if wrong:
        raise refused(wrong)
    try:
        asked: M = adapter(model).validate_python(given)
    except ValidationError as error:
        told = flaws(model, error.errors(include_url=False))
        raise refused([Flaw(one.detail, parameter=one.pointer.strip("/")) for one in told]) from None
    return asked


def path_word(request: web.Request, name: str) -> str:
    """A piece of the path; what could stand in no store is nowhere."""
    word = request.match_info[name]
    if not _is_text(word) or len(word) > 200:
        raise Problem("not-found")
    return word


def path_id(request: web.Request) -> int:
    """The id in the path. Raises Problem for a number that is too large to be one."""
    number = int(request.match_info["id"])
    if number >= 1 << 63:
        raise Problem("not-found", "an id is a decimal number, as we gave it")
    return number


def _is_text(text: str) -> bool:
    return (text.isascii() and "\0" not in text) or not any(
        letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in text
    )


def idempotency_key(request: web.Request, *, is_test: bool) -> str:
    """By which a call that is made again has no second effect (draft-ietf-httpapi-idempotency-key-header-07).

    What a test key did is no answer to a live one, so each has names of its own.
    """
    key = request.headers.get(KEY_HEADER)
    if key is None:
        return ""
    if not _KEY.fullmatch(key):
        raise Problem("bad-idempotency-key", f"found {len(key)} characters; 1 to 255 printable ASCII ones may stand")
    return f"test {key}" if is_test else key


def digest(path: str, value: Any) -> str:
    """Tells a body from any other: the order of its fields and the spaces between do not matter."""
    canonical = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return blake2b(path.encode() + b"\0" + canonical, digest_size=24).hexdigest()


# --- flaws in words --------------------------------------------------------------------------------------------------


def _pointer(place: Iterable[int | str]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in place)


def _said(model: type[BaseModel], error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        known = _names(model, error["loc"][:-1])
        word = str(error["loc"][-1])[:100]
        near = nearest(word, known)
        return f"there is no {found(word)}; " + (f"did you mean {near}?" if near else f"there are {', '.join(known)}")
    if kind == "missing":
        return "it is missing"
    value = error["input"]
    seen = f"found {_kind(value)}, "
    if kind in _EXPECTED:
        return seen + _EXPECTED[kind].format(**context)
    if kind == "literal_error":
        return f"found {found(value) if isinstance(value, str) else _kind(value)}, expected {_choice(context)}"
    if kind == "value_error":
        return f"found {found(value) if isinstance(value, str) else _kind(value)}; {context['error']}"
    return error["msg"][:1].lower() + error["msg"][1:]


_EXPECTED: Mapping[str, str] = {
    "string_type": "expected text in quotes",
    "bool_type": "expected true or false",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "list_type": "expected a list",
    "dict_type": "expected an object",
    "model_type": "expected an object",
    "model_attributes_type": "expected an object",
    "string_too_long": "expected at most {max_length} characters",
    "string_too_short": "expected at least {min_length} characters",
    "too_long": "expected at most {max_length}",
    "too_short": "expected at least {min_length}",
    "greater_than_equal": "expected {ge} or more",
    "less_than_equal": "expected {le} or less",
}


def _kind(value: object) -> str:
    """What was found, without repeating what somebody may have written about a person."""
    if value is None or isinstance(value, bool):
        return orjson.dumps(value).decode()
    if isinstance(value, int | float):
        return f"the number {value}" if abs(value) < 1e9 else "a number"
    if isinstance(value, str):
        return f"a text of {len(value)} characters"
    return f"a list of {len(value)}" if isinstance(value, list) else "an object"


def _choice(context: Mapping[str, Any]) -> str:
    words = re.findall(r"'([^']*)'", str(context.get("expected", "")))
    return either(words) if words else "another word"


def _names(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """The words that may stand at a place."""
    here: Any = model
    for part in place:
        if isinstance(part, int):
            continue
        fields = {each.alias or name: each for name, each in here.model_fields.items()}
        here = _model_in(fields[part].annotation) if part in fields else None
        if here is None:
            return []
    return [each.alias or name for name, each in here.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((inside for each in getattr(annotation, "__args__", ()) if (inside := _model_in(each))), None)
