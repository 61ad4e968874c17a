"""Reads YAML so that every value remembers where it stands, and goes on after a mistake to find the next one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import yaml
from yaml.composer import ComposerError
from yaml.reader import ReaderError

from gateway.tree import Broken, Entry, Items, Map, Mistake, Node, Scalar, Spot
from gateway.wording import found

LARGEST = 1_000_000  # bytes of one file; a hundred times what a large chain writes
DEEPEST = 40  # levels; a hostile file would nest until the stack ends


def read_yaml(text: str, file: str, environ: Mapping[str, str], mistakes: list[Mistake]) -> Map:
    """The sections of a file, every scalar a string. Mistakes are appended, and what they spoil is Broken."""
    reader = _Reader(file, environ, mistakes)
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    node = reader.read([reader.without_hidden_breaks(line, number) for number, line in enumerate(lines, 1)], 0)
    if isinstance(node, Map):
        return node
    if not isinstance(node, Broken) and not (isinstance(node, Scalar) and not node.text):
        reader.complain(node.spot, f"found {_kind(node)}, expected sections such as brand: and campaigns:")
    return Map(Spot(file, 1, 1))


def _kind(node: Node) -> str:
    return found(node.text) if isinstance(node, Scalar) else "a list" if isinstance(node, Items) else "a map"


class _Composer(yaml.BaseLoader):
    """BaseLoader leaves all scalars strings: no -> False, 0031612 -> 13194 and 12:30 -> 750 cannot happen.

    Aliases and tags are refused, so that neither a bomb of aliases nor an object can be written.
    """

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # its stubs know no types
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise ComposerError(None, None, "an anchor or alias", event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise ComposerError(None, None, "a tag", event.start_mark)
        self.depth += 1
        if self.depth > DEEPEST:
            raise ComposerError(None, None, "nested too deep", event.start_mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Reader:
    """Reads one file."""

    def __init__(self, file: str, environ: Mapping[str, str], mistakes: list[Mistake]) -> None:
        self._file = file
        self._environ = environ
        self._mistakes = mistakes

    def complain(self, spot: Spot, text: str) -> None:
        """Add a mistake."""
        self._mistakes.append(Mistake(*spot, text))

    def without_hidden_breaks(self, line: str, number: int) -> str:
        """The line; what YAML takes for its end and editors do not show as such is a mistake, and becomes a space."""
        for match in HIDDEN_BREAK.finditer(line):
            self.complain(Spot(self._file, number, match.start() + 1), _invisible(ord(match[0])))
        return HIDDEN_BREAK.sub(" ", line)

    def read(self, lines: list[str], first: int) -> Node:
        """What these lines say; `first` lines of the file stand before them."""
        try:
            node = yaml.compose("\n".join(lines) + "\n", _Composer)
        except yaml.YAMLError as error:
            return self._rescue(lines, first, error)
        if node is None:
            return Scalar(Spot(self._file, first + 1, 1), "", blank=True, absent=True)
        return self._node(node, first)

    def _rescue(self, lines: list[str], first: int, error: yaml.YAMLError) -> Node:
        """Read the entries one by one, so that a slip in one of them hides nothing in the others."""
        chunks = list(_entries(lines))
        if not chunks:
            return self._broken(lines, first, error)
        whole = Map(Spot(self._file, first + chunks[0].first + 1, chunks[0].indent + 1))
        for chunk in chunks:
            spot = Spot(self._file, first + chunk.first + 1, chunk.indent + 1)
            if len(chunks) > 1:
                told = len(self._mistakes)
                inside = self.read(chunk.lines, first + chunk.first)
                entry = inside.entries.get(chunk.key) if isinstance(inside, Map) else None
                node: Node = entry.node if entry else Broken(spot)
                if not entry and len(self._mistakes) == told:
                    offset, text = _no_entry(chunk.lines[0].strip())
                    self.complain(spot._replace(column=spot.column + offset), text)
            elif chunk.has_body:
                node = self.read(chunk.lines[1:], first + chunk.first + 1)
            else:
                node = self._broken(lines, first, error)
            self._add(whole, chunk.key, spot, node)
        return whole

    def _broken(self, lines: list[str], first: int, error: yaml.YAMLError) -> Broken:
        line, column, text = _translated(error, lines)
        spot = Spot(self._file, first + line + 1, column + 1)
        self.complain(spot, text)
        return Broken(spot)

    def _node(self, node: yaml.Node, first: int) -> Node:
        spot = self._spot(node.start_mark, first)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, spot)
        if isinstance(node, yaml.SequenceNode):
            return Items(spot, [self._node(item, first) for item in node.value])
        whole = Map(spot)
        for key, value in node.value:
            key_spot = self._spot(key.start_mark, first)
            if not isinstance(key, yaml.ScalarNode):
                # {{ name }} without quotes is a map whose key is a map.
                is_map = isinstance(key, yaml.MappingNode)
                self.complain(spot, QUOTE_BRACES if is_map else "found a list as a key, expected a word")
                return Broken(spot)
            self._add(whole, key.value, key_spot, self._node(value, first))
        return whole

    def _add(self, whole: Map, key: str, spot: Spot, node: Node) -> None:
        if key in whole.entries:
            self.complain(spot, f"{key} stands twice; it is already in line {whole.entries[key].spot.line}")
        else:
            whole.entries[key] = Entry(spot, node)

    def _scalar(self, node: yaml.ScalarNode, spot: Spot) -> Scalar | Broken:
        missing = ""

        def value(match: re.Match[str]) -> str:
            nonlocal missing
            name, default = match["name"], match["default"]
            if match[0].startswith("$$"):
                return match[0][1:]
            if default is not None:
                return self._environ.get(name) or default
            if name not in self._environ:
                missing = missing or name
            return self._environ.get(name, "")

        text = ENVIRONMENT.sub(value, node.value)
        if missing:
            self.complain(spot, f"{missing} is not set in the environment; set it, or write ${{{missing}:-default}}")
            return Broken(spot)
        blank = node.style is None and not node.value
        return Scalar(spot, text, blank, absent=blank or (not text and text != node.value), written=node.value)

    def _spot(self, mark: yaml.Mark, first: int) -> Spot:
        return Spot(self._file, first + mark.line + 1, mark.column + 1)


ENVIRONMENT = re.compile(r"\$?\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")
QUOTE_BRACES = 'found {{ }} without quotes; put the whole text in quotes: "{{ ... }}"'


class _Chunk(NamedTuple):
    """The lines of one entry of a map."""

    first: int
    indent: int
    key: str
    lines: list[str]
    has_body: bool  # nothing stands beside the key, something stands below it


ENTRY = re.compile(
    r"""(?P<indent>\ *)(?P<key>[^\s"'\[\]{},\#&*!|>%@`?-][^:\#]*?|"[^"]*"|'[^']*')\s*:(?P<rest>\s.*|)$"""
)
HIDDEN_BREAK = re.compile("[\x85\u2028\u2029]")  # line breaks of YAML 1.1 (5.4) that YAML 1.2 took back
LOOKS_LIKE_A_SPACE = re.compile(r"[^\S \t]")


def _no_entry(found_text: str) -> tuple[int, str]:
    """What is wrong with a text that stands for an entry, and how far behind its beginning."""
    if looks := LOOKS_LIKE_A_SPACE.search(found_text):
        return looks.start(), f"U+{ord(looks[0]):04X} only looks like a space; write a space"
    return 0, f'found "{found_text}", expected a key, a colon, a space and a value'


def _invisible(point: int) -> str:
    return f"found the invisible character U+{point:04X}; delete it"


def _entries(lines: list[str]) -> Iterator[_Chunk]:
    """The entries of a block map by indentation alone, which a slip inside an entry does not disturb."""
    content = [number for number, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")]
    if not content:
        return
    indent = min(len(lines[number]) - len(lines[number].lstrip(" ")) for number in content)
    heads = [
        (number, match)
        for number in content
        if (match := ENTRY.match(lines[number])) and len(match["indent"]) == indent
    ]
    if not heads or heads[0][0] != content[0]:
        return
    ends = [number for number, _ in heads[1:]] + [len(lines)]
    for (number, match), end in zip(heads, ends, strict=True):
        below = any(number < other < end for other in content)
        beside = match["rest"].strip()
        yield _Chunk(
            number,
            indent,
            match["key"].strip("\"'"),
            lines[number:end],
            below and (not beside or beside.startswith("#")),
        )


def _translated(error: yaml.YAMLError, lines: list[str]) -> tuple[int, int, str]:
    """Line and column counted from 0, and the cure instead of the parser's own words."""
    if isinstance(error, ReaderError):
        before = "\n".join(lines)[: error.position]
        point = error.character if isinstance(error.character, int) else ord(error.character[0])
        return (*_place(before), _invisible(point))
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return 0, 0, f"cannot be read: {error}"
    place = error.problem_mark.line, error.problem_mark.column
    line = lines[place[0]] if place[0] < len(lines) else ""
    problem = str(error.problem)
    if opened := _never_closed(error, lines):
        return opened
    if "expected ':'" in problem and error.context_mark:
        place = error.context_mark.line, error.context_mark.column
        key = lines[place[0]][place[1] :].partition(" #")[0].rstrip()
        offset, text = _no_entry(key)
        return place[0], place[1] + offset, text
    for words, cure in CURES.items():
        if words in problem:
            return (*place, cure)
    if _is_misplaced(problem, line, place[1]):
        return place[0], len(line) - len(line.lstrip()), "indented unlike the lines above it"
    if not line.strip():
        last = max((number for number, text in enumerate(lines[: place[0]]) if text.strip()), default=0)
        return last, 0, "something that begins here is not finished"
    return _quote_this(line, *place)


CURES = {
    "another document": "a second document begins here; take the line --- out",
    "'\\t' that cannot": "found a tab; indent with spaces",
    "unknown escape": r"found \ in double quotes; write \\ or use single quotes",
    "nested too deep": f"nested more than {DEEPEST} levels deep",
    "found '}'": "one } too many",
    "found ']'": "one ] too many",
}


def _place(before: str) -> tuple[int, int]:
    return before.count("\n"), len(before) - before.rfind("\n") - 1


def _never_closed(error: yaml.MarkedYAMLError, lines: list[str]) -> tuple[int, int, str] | None:
    opened, stopped, context = error.context_mark, error.problem_mark, str(error.context)
    if opened is None or stopped is None:
        return None
    if "quoted scalar" in context and "end of stream" in str(error.problem):
        return opened.line, opened.column, "this quote is never closed"
    if str(error.problem).endswith("got '}'"):
        return opened.line, opened.column, "this [ is not closed with ]"
    if str(error.problem).endswith("got ']'"):
        return opened.line, opened.column, "this { is not closed with }"
    if "flow" not in context or (stopped.line == opened.line and "stream end" not in str(error.problem)):
        return None
    text = "\n".join(lines)
    open_at: list[int] = []
    for match in re.finditer(r"""[\[{]|[\]}]|(?:\A|(?<=[\s,\[{]))\#.*""", text):
        if match[0] in "[{":
            open_at.append(match.start())
        elif match[0] in "]}":
            open_at = open_at[:-1]
    if not open_at:
        return None
    bracket = text[open_at[-1]]
    line, column = _place(text[: open_at[-1]])
    hint = "; what follows # is a comment" if " #" in lines[line][column:] else ""
    return line, column, f"this {bracket} is not closed with {'}' if bracket == '{' else ']'}{hint}"


def _is_misplaced(problem: str, line: str, column: int) -> bool:
    if "mapping values" in problem:
        entry = ENTRY.match(line)
        return entry is not None and entry.start("rest") == column + 1 and bool(entry["indent"])
    return "'<document start>'" in problem or (
        "<block end>" in problem and not line[:column].strip() and not problem.endswith(("','", "':'"))
    )


def _quote_this(line: str, number: int, column: int) -> tuple[int, int, str]:
    """Where the text begins in which the parser stumbled, and that it wants quotes."""
    starts = [match.end() for match in re.finditer(r":\s+|,\s+(?=[^,:]*$)|(?<!\{)[\[{]\s*(?!\{)|^\s*-\s+", line)]
    start = max((place for place in starts if place <= column), default=len(line) - len(line.lstrip()))
    if line[start - 1 : start + 1] == "${" or line[start - 2 : start] == "${":
        start = max((place for place in starts if place < start), default=start)
    if line[start : start + 1] in ("'", '"'):
        return (
            number,
            start,
            f"text goes on behind the closing quote; inside {line[start]} write {CLOSING[line[start]]}",
        )
    in_flow = "{" in line[:start] or "[" in line[:start]
    rest = FLOW_TEXT.match(line, start) if in_flow else None
    text = (rest[0] if rest else line[start:].partition(" #")[0]).rstrip()
    return number, start, f'put quotes around this text: "{text}"'


CLOSING = {"'": "'' for an apostrophe", '"': '\\" for a quote'}
FLOW_TEXT = re.compile(r"(?:\$\{[^}]*\}|\{\{.*?\}\}|[^,{}\[\]]|,(?!\s*[\w-]+\s*:(?:\s|$)))+")
