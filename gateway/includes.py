"""Reads config.yaml and the files that it includes, and puts their sections together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from gateway.reading import LARGEST, read_yaml
from gateway.tree import Broken, Items, Map, Mistake, Node, Scalar, Spot
from gateway.wording import found


class Files:
    """Reads files, and keeps their texts and what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.sources: dict[Path, str] = {}
        self.mistakes: list[Mistake] = []
        self.warnings: list[Mistake] = []

    def read(self, path: Path) -> Map:
        """The sections of a file and of those it includes."""
        tree = self._one(path)
        include = tree.entries.pop("include", None)
        for spot, file in self._included(path.parent, include.node) if include else ():
            if file in self.sources:
                self._complain(spot, f"{file.name} is read already")
                continue
            other = self._one(file)
            if "include" in other.entries:
                self._complain(other.entries.pop("include").spot, f"only {path.name} itself can include files")
            self._merge(tree, other)
        return tree

    def _one(self, path: Path) -> Map:
        name, start = str(path), Spot(str(path), 1, 1)
        try:
            raw = path.read_bytes()
            text = raw.decode("utf-8") if len(raw) <= LARGEST else ""
        except OSError as error:
            self._complain(start, f"cannot read this file: {error.strerror}")
            return Map(start)
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            self._complain(Spot(name, line, 1), "found bytes that are not UTF-8; save the file as UTF-8")
            return Map(start)
        if len(raw) > LARGEST:
            self._complain(start, f"found {len(raw):,} bytes, expected at most {LARGEST:,}")
        self.sources[path] = text
        return read_yaml(text, name, self._environ, self.mistakes)

    def _included(self, folder: Path, node: Node) -> Iterator[tuple[Spot, Path]]:
        if not isinstance(node, Items):
            if not isinstance(node, Broken):
                self._complain(node.spot, "expected a list of files such as [campaigns/*.yaml]")
            return
        for pattern in node.nodes:
            if not isinstance(pattern, Scalar) or not pattern.text:
                self._complain(pattern.spot, "expected the name of a file such as campaigns/*.yaml")
                continue
            is_glob = any(sign in pattern.text for sign in "*?[")
            files = (
                sorted(folder.glob(pattern.text))
                if is_glob and not pattern.text.startswith("/")
                else [folder / pattern.text]
            )
            for file in files:
                if is_glob or file.is_file():
                    yield pattern.spot, file
                else:
                    self._complain(pattern.spot, f"no file {found(pattern.text)}")
            if not files:
                self.warnings.append(Mistake(*pattern.spot, f"no file fits {found(pattern.text)}"))

    def _merge(self, tree: Map, other: Map) -> None:
        for section, entry in other.entries.items():
            have = tree.entries.get(section)
            if have is None:
                tree.entries[section] = entry
            elif isinstance(have.node, Map) and isinstance(entry.node, Map):
                self._merge_names(section, have.node, entry.node)
            elif not isinstance(entry.node, Broken):
                self._complain(
                    entry.spot, f"{section} stands twice; it is already in {have.spot.file}:{have.spot.line}"
                )

    def _merge_names(self, section: str, have: Map, other: Map) -> None:
        for name, entry in other.entries.items():
            if name in have.entries:
                first = have.entries[name].spot
                self._complain(entry.spot, f"{section}.{name} stands twice; it is already in {first.file}:{first.line}")
            else:
                have.entries[name] = entry

    def _complain(self, spot: Spot, text: str) -> None:
        self.mistakes.append(Mistake(*spot, text))
