"""Reads config.yaml into models, and tells every mistake at once: where, what was found, what was expected."""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, ClassVar, Generic, NamedTuple, TypeVar, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SecretStr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError, core_schema

from gateway.errors import CarillonError
from gateway.includes import Files
from gateway.reading import ENVIRONMENT
from gateway.tree import (
    KEY,
    Broken,
    Map,
    Mistake,
    Node,
    Scalar,
    Spot,
    Where,
    data_of,
    inside_of,
    is_broken,
    is_nothing,
    line_of,
    node_at,
    spot_at,
)
from gateway.wording import either, flow, found, nearest

__all__ = [
    "KEY",
    "ConfigErrors",
    "Document",
    "Finding",
    "Holds",
    "Loaded",
    "Mistake",
    "Name",
    "Named",
    "Reading",
    "Secret",
    "Settings",
    "Where",
    "load",
    "models_of",
    "wrong",
]


class ConfigErrors(CarillonError):
    """The file has mistakes, all of them here in the order of the file; as a text, one a line."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = sorted(set(mistakes))
        super().__init__("\n".join(map(str, self.mistakes)))


class Finding(NamedTuple):
    """What a check found at a path of keys and list places. A warning does not stop anything.

    `see` is the path of the other thing that it is about; its line is named.
    """

    path: Where
    text: str
    is_warning: bool = False
    see: Where = ()


class Settings(BaseModel):
    """A part of the file. A key that no field bears is a mistake; one in `later` says when it comes."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=False)
    later: ClassVar[dict[str, str]] = {}
    instead: ClassVar[dict[str, str]] = {}  # keys that people look for here, and what they do instead


class Named(Settings):
    """A part of the file that stands under a name of its own, which it carries as `key`."""

    key: str = ""


class Document(Settings):
    """A whole file."""

    def findings(self) -> Iterable[Finding]:
        """What is wrong or doubtful only when things are seen together.

        Is also called when parts could not be read: those are left out of their maps, or are None.
        """
        return ()


M = TypeVar("M", bound=Document)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a value may look at while it is read: the folder, and the names that stand anywhere in the file."""

    folder: Path
    file: str
    known: Mapping[str, Mapping[str, Spot] | None]  # by section: each name and where it stands; None is unreadable
    raw: Mapping[str, Any] = field(default_factory=dict)  # all sections, unread

    def unknown(self, section: str, name: object) -> str:
        """The complaint about a name that stands in no such section, or an empty text."""
        noun = section.removesuffix("s")
        if not isinstance(name, str):
            return f"found {found(name)}, expected the name of a {noun}"
        names = self.known.get(section, {})
        if names is None or name in names:
            return ""
        near = nearest(name, names)
        if near:
            return f'no {noun} "{name}"; did you mean {near} ({line_of(names[near], self.file)})?'
        return f'no {noun} "{name}"; ' + (
            f"there are {', '.join(names)}" if names else f"there is nothing in {section}:"
        )


@dataclass(frozen=True, slots=True)
class Name:
    """Marks a text as the name of something in another section, where it must stand."""

    section: str

    def __get_pydantic_core_schema__(self, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(name: str, info: ValidationInfo) -> str:
            complaint = info.context.unknown(self.section, name) if isinstance(info.context, Reading) else ""
            if complaint:
                raise ValueError(complaint)
            return name

        return core_schema.with_info_after_validator_function(read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "x-names-of": self.section}


@dataclass(frozen=True, slots=True)
class Secret:
    """The text of a file that only we may read. Neither repr nor the digest shows it."""

    path: Path
    text: str = field(repr=False)

    @classmethod
    def _read(cls, value: object, info: ValidationInfo) -> Secret:
        if isinstance(value, Secret):
            return value
        folder = info.context.folder if isinstance(info.context, Reading) else Path()
        if not isinstance(value, str):
            raise ValueError(f"found {found(value)}, expected the name of a file")
        path = folder / value
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not a text"
            raise ValueError(f"cannot read the secret in {value}: {reason}") from None
        return cls(path, text.rstrip("\r\n"))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(cls._read)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "examples": ["secrets/us_sms"]}


@dataclass(frozen=True, slots=True)
class Holds:
    """Marks a text, or a map of texts, that may hold a secret, which then comes from the environment or a file.

    `secret` takes the name and the text as they stand in the file, with nothing where the environment is put in, and
    says whether a secret is left. What is found by `is_guess`, from a name, is only warned of.
    """

    secret: Callable[[str, str], bool]
    cure: str
    is_guess: bool = False


def wrong(mistakes: Iterable[tuple[Where, str]]) -> PydanticCustomError:
    """The error of a validator that found several mistakes, each at a path below its own value."""
    return PydanticCustomError("several", "several mistakes", {"mistakes": tuple(mistakes)})


@dataclass(frozen=True, slots=True)
class Loaded(Generic[M]):
    """A file that holds no mistakes."""

    value: M
    sources: Mapping[Path, str]  # each file that was read, with its text
    digest: str  # SHA-256 of what the file says, environment and includes put in, layout and comments left out
    warnings: tuple[Mistake, ...]
    tree: Map = field(repr=False)

    def position(self, path: Where) -> Spot:
        """Where the value of a path stands, or what is nearest above it. A path that ends in KEY is the key."""
        return spot_at(self.tree, path)

    def mistake(self, finding: Finding) -> Mistake:
        """A finding with its place in the file."""
        return _placed(self.tree, finding)


def load(
    path: Path,
    model: type[M],
    environ: Mapping[str, str],
    also: Callable[[M], Iterable[Finding]] = lambda value: (),
    home: Path | None = None,
) -> Loaded[M]:
    """Read a file, and those that it includes, into a model.

    `also` is one more check beside the model's own `findings`. Secrets are found from `home`, else from the
    folder of the file. Raises ConfigErrors with every mistake.
    """
    files = Files(environ)
    tree = files.read(path)
    if files.mistakes and not tree.entries:
        raise ConfigErrors(files.mistakes)
    reader = _ModelReader(tree, model, home or path.parent, files.mistakes)
    value = reader.read()
    warnings = list(files.warnings)
    # A version that is kept (it has a home elsewhere) was read when it was applied: it serves on as it is.
    told = [] if home else _written_secrets(value, tree)
    for finding in [*value.findings(), *also(value), *_open_secrets(value), *told]:
        (warnings if finding.is_warning else files.mistakes).append(_placed(tree, finding))
    if files.mistakes:
        raise ConfigErrors(files.mistakes)
    content = json.dumps(data_of(tree), ensure_ascii=False, separators=(",", ":"))
    return Loaded(value, files.sources, hashlib.sha256(content.encode()).hexdigest(), tuple(sorted(warnings)), tree)


class _ModelReader:
    """Reads the sections one by one, and the names in a section one by one, so that each mistake is found."""

    def __init__(self, tree: Map, model: type[Any], folder: Path, mistakes: list[Mistake]) -> None:
        self._tree = tree
        self._model = model
        self._mistakes = mistakes
        known = {
            section: {name: inside.spot for name, inside in entry.node.entries.items()}
            if isinstance(entry.node, Map)
            else None
            for section, entry in tree.entries.items()
            if not is_nothing(entry.node) or isinstance(entry.node, Broken)
        }
        self._reading = Reading(folder, tree.spot.file, known, data_of(tree))

    def read(self) -> Any:
        """The document; what could not be read is left out of its map, or is None."""
        values: dict[str, Any] = {}
        for name, info in self._model.model_fields.items():
            entry, item = self._tree.entries.get(name), _item_type(info.annotation)
            if entry is None or (isinstance(entry.node, Scalar) and entry.node.absent):
                if info.is_required():
                    self._complain((), f"{name} is missing; {info.description}")
                    values[name] = None if item is None else {}
                continue
            if item is None:
                self._put(values, name, info.rebuild_annotation(), (name,))
                values.setdefault(name, None)
            elif isinstance(entry.node, Map):
                values[name] = self._named(item, name, entry.node)
            else:
                values[name] = {}
                self._complain((name,), f"found {found(data_of(entry.node))}, expected names with what they are")
        for section in self._tree.entries:
            if section not in self._model.model_fields:
                self._complain((section, KEY), self._no_such_key(self._model, section, "the file"))
        return self._model.model_construct(set(values), **values)

    def _named(self, item: Any, section: str, node: Map) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, entry in node.entries.items():
            if isinstance(entry.node, Map) and "key" in entry.node.entries and _is_named(item):
                self._complain((section, name, "key", KEY), 'no setting "key"; the name above is the key')
            self._put(values, name, item, (section, name))
            if isinstance(values.get(name), Named):
                values[name] = values[name].model_copy(update={"key": name})
        return values

    def _put(self, values: dict[str, Any], name: str, kind: Any, path: Where) -> None:
        node = node_at(self._tree, path)
        self._blanks(node, path)
        if node is None or is_nothing(node):
            return
        data = data_of(node)
        chosen = self._chosen(kind, data, path)
        if chosen is None:
            return
        kind, data = chosen
        try:
            value = TypeAdapter(kind).validate_python(data, context=self._reading)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                self._explain(kind, path, detail)
        else:
            values[name] = value

    def _chosen(self, kind: Any, data: Any, path: Where) -> tuple[Any, Any] | None:
        """Of several models the one that the data names, with the data.

        For a wrong word it is the model of the nearest one, so that what else is wrong is found too.
        """
        key, models = models_of(kind)
        if not key or not isinstance(data, dict):
            return (next(iter(models.values())) if key else kind), data
        where = (*path, key)
        if key not in data:
            self._missing(f"expected {either(models)}", where)
            return None
        word = data[key]
        if isinstance(word, str) and word in models:
            return models[word], data
        self._complain(where, _no_such_word(word, models))
        near = nearest(word, models) if isinstance(word, str) else ""
        return (models[near], {**data, key: near}) if near else None

    def _blanks(self, node: Node | None, path: Where) -> None:
        """Complain about keys and dashes with nothing behind them."""
        if isinstance(node, Scalar) and node.blank:
            place = f'"{path[-1]}"' if isinstance(path[-1], str) else "this dash or comma"
            hint = 'a text that holds ", " wants quotes' if " " in place else "a # begins a comment"
            self._complain((*path, KEY), f"nothing stands behind {place}; write something ({hint})")
        for step, inside in inside_of(node):
            self._blanks(inside, (*path, step))

    def _explain(self, kind: Any, path: Where, detail: ErrorDetails) -> None:
        inner = detail["loc"]
        where = (*path, *inner)
        if detail["type"] == "several":
            for below, text in detail["ctx"]["mistakes"]:
                self._complain((*where, *below), text)
        elif detail["type"] == "extra_forbidden":
            model = _model_at(kind, inner[:-1])
            self._complain((*where, KEY), self._no_such_key(model, str(inner[-1]), ".".join(map(str, where[:-1]))))
        elif detail["type"] == "missing":
            self._missing(_about(_model_at(kind, inner[:-1]), str(inner[-1])), where)
        elif detail["type"] == "too_short" and detail["input"]:
            pass  # what stands there is wrong itself, and told
        elif detail["type"] == "string_pattern_mismatch" and isinstance(inner[0], str):
            names = tuple(step for step in inner if isinstance(step, str))
            about = _about(_model_at(kind, names[:-1]), names[-1])
            self._complain(where, f"found {found(detail['input'])}; {about}")
        else:
            self._complain(where, _in_words(detail))

    def _missing(self, about: str, where: Where) -> None:
        there, around = node_at(self._tree, where), node_at(self._tree, where[:-1])
        # Beside something that could not be read nothing is called missing: the slip may have swallowed it.
        is_spoilt = any(isinstance(inside, Broken) for _, inside in inside_of(around))
        if not is_spoilt and (there is None or (isinstance(there, Scalar) and not there.blank)):
            self._complain((*where[:-1], KEY), f"{where[-1]} is missing; {about}")

    def _no_such_key(self, model: type[Any], key: str, place: str) -> str:
        if key in model.later:
            return f'"{key}" is not known yet: {model.later[key]}'
        if key in model.instead:
            return f'no setting "{key}" in {place}; {model.instead[key]}'
        known = [_written_as(model, name) for name in model.model_fields if name != "key"]
        near = nearest(key, known)
        return f'no setting "{key}" in {place}; ' + (
            f"did you mean {near}?" if near else f"there are {', '.join(known)}"
        )

    def _complain(self, path: Where, text: str) -> None:
        if not is_broken(self._tree, path):
            self._mistakes.append(Mistake(*spot_at(self._tree, path), text))


def _about(model: type[Any], key: str) -> str:
    for name, info in model.model_fields.items():
        if _written_as(model, name) == key:
            example = f", for example {flow(info.examples[0])}" if info.examples else ""
            return f"{(info.description or 'expected').rstrip('.')}{example}"
    return "it is needed"


def _in_words(detail: ErrorDetails) -> str:
    """What pydantic complains about, in the words of the file."""
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return _no_such_word(value, [w.strip("'") for w in context["expected"].replace(" or ", ", ").split(", ")])
    expected = EXPECTED.get(kind)
    if expected is None:
        return f"found {found(value)}: {detail['msg'][:1].lower()}{detail['msg'][1:]}"
    return f"found {found(value)}, expected {expected.format(**context)}"


def _no_such_word(value: object, words: Iterable[str]) -> str:
    near = nearest(value, words) if isinstance(value, str) else ""
    return f"found {found(value)}, expected {either(words)}" + (f"; did you mean {near}?" if near else "")


EXPECTED = {
    "string_type": 'a text (put quotes around one that holds ": " or ", ")',
    "string_too_long": "at most {max_length} characters",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "bool_parsing": "yes or no",
    "bool_type": "yes or no",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "tuple_type": "a list such as [a, b]",
    "list_type": "a list such as [a, b]",
    "too_short": "at least {min_length}",
    "model_type": "settings, each a key, a colon, a space and a value",
    "mapping_type": "settings, each a key, a colon, a space and a value",
    "dict_type": "settings, each a key, a colon, a space and a value",
}


def _written_as(model: type[BaseModel], name: str) -> str:
    return model.model_fields[name].alias or name


def _item_type(annotation: Any) -> Any:
    """What stands under each name of a section, or None for a section without names."""
    return get_args(annotation)[1] if get_origin(annotation) in (Mapping, dict) else None


def models_of(kind: Any) -> tuple[str, dict[str, type[BaseModel]]]:
    """Where one of several models may stand: the key that says which, and each of its words with its model.

    For anything else the key is empty.
    """
    union, *marks = get_args(kind) if get_origin(kind) is Annotated else (kind,)
    key = next((mark.discriminator for mark in marks if isinstance(mark, Discriminator)), "")
    if not isinstance(key, str) or not key:
        return "", {}
    models = get_args(union) if get_origin(union) in (Union, UnionType) else (union,)
    return key, {word: model for model in models for word in get_args(model.model_fields[key].annotation)}


def _is_named(kind: Any) -> bool:
    kinds = models_of(kind)[1].values() or (kind,)
    return all(isinstance(one, type) and issubclass(one, Named) for one in kinds)


def _model_at(kind: Any, path: Where) -> type[Any]:
    """The model that a path below `kind` leads to."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _model_at(arguments[0], path)
    if origin in (Union, UnionType):
        return _model_at(next(one for one in arguments if one is not type(None)), path)
    if not path:
        return kind if isinstance(kind, type) and issubclass(kind, Settings) else Settings
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, info in kind.model_fields.items():
            if _written_as(kind, name) == path[0]:
                return _model_at(info.annotation, path[1:])
        return Settings
    return _model_at(arguments[1 if origin in (Mapping, dict) else 0], path[1:]) if arguments else Settings


def _placed(tree: Map, finding: Finding) -> Mistake:
    spot = spot_at(tree, finding.path)
    if not finding.see:
        return Mistake(*spot, finding.text)
    return Mistake(*spot, f"{finding.text} ({line_of(spot_at(tree, finding.see), spot.file)})")


def _open_secrets(value: object, path: Where = ()) -> Iterator[Finding]:
    """Warn of secrets that others on this machine may read."""
    if isinstance(value, Secret):
        if value.path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            yield Finding(path, f"others on this machine can read {value.path}; chmod 600 it", is_warning=True)
    elif isinstance(value, Settings):
        for name in type(value).model_fields:
            yield from _open_secrets(getattr(value, name, None), (*path, _written_as(type(value), name)))
    elif isinstance(value, Mapping):
        for name, inside in value.items():
            yield from _open_secrets(inside, (*path, name))


def _written_secrets(value: object, tree: Map, path: Where = ()) -> Iterator[Finding]:
    """Tell of secrets that stand in the file itself: it is copied, kept with each version, and shown to others."""
    if isinstance(value, Mapping):
        for name, inside in value.items():
            yield from _written_secrets(inside, tree, (*path, name))
    elif isinstance(value, Settings):
        for name, info in type(value).model_fields.items():
            word, inside = _written_as(type(value), name), getattr(value, name, None)
            if isinstance(inside, SecretStr):
                yield from _written_in(Holds(_anything, _from_outside(type(value), word)), tree, (*path, word))
            for mark in info.metadata:
                if isinstance(mark, Holds):
                    yield from _written_in(mark, tree, (*path, word))
            yield from _written_secrets(inside, tree, (*path, word))


def _written_in(mark: Holds, tree: Map, path: Where) -> Iterator[Finding]:
    node = node_at(tree, path)
    if isinstance(node, Map):
        for name in node.entries:
            yield from _written_in(mark, tree, (*path, name))
    elif isinstance(node, Scalar) and mark.secret(str(path[-1]), ENVIRONMENT.sub(_default, node.written)):
        yield Finding(path, f"found a secret in the file, where others read it; {mark.cure}", is_warning=mark.is_guess)


def _default(match: re.Match[str]) -> str:
    """What a file itself says where the environment is put in."""
    return match[0] if match[0].startswith("$$") else match["default"] or ""


def _anything(_name: str, text: str) -> bool:
    return bool(text.strip())


def _from_outside(model: type[Settings], word: str) -> str:
    file = f"{word}_file"
    return f"say {word}: ${{NAME}}" + (f", or {file}: FILE" if file in model.model_fields else "")
