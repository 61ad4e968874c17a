"""Turns the configuration of Kannel or Jasmin into a config.yaml, and tells what could not be carried over."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from stat import S_ISREG
from typing import Any

from rich.text import Text

from handlers.console.convert_draft import ConvertError, Draft, Kind, Note, Source
from handlers.console.convert_jasmin import convert_jasmin, is_jasmin
from handlers.console.convert_kannel import convert_kannel, is_kannel

LARGEST = 1_000_000  # bytes of one file
LARGEST_TOGETHER = 4_000_000
MOST_FILES = 200
PERSISTED = b"Persisted on "  # begins each file that Jasmin's persist writes; a pickle follows, which is never opened
AS_TEXT = """\
make a text of it with jcli, and convert that:
  telnet 127.0.0.1 8990 | tee jasmin.txt
  user -s UID for each of user -l, smppccm -s CID for each of smppccm -l, mtrouter -l, morouter -l, httpccm -s CID"""


class Shelf:
    """Reads files, and no more of them than a configuration has."""

    def __init__(self) -> None:
        self._bytes = self._files = 0

    def read(self, path: Path) -> str:
        """The text of a file: UTF-8, else Latin-1, which old files are in. Raises ConvertError."""
        try:
            if not S_ISREG(path.stat().st_mode):
                raise ConvertError(f"{path}: this is no file; name the configuration itself")
            with path.open("rb") as stream:
                raw = stream.read(LARGEST + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no file can be called so"
            raise ConvertError(f"{path}: cannot read this file: {reason}") from None
        self._bytes, self._files = self._bytes + len(raw), self._files + 1
        if raw.startswith(PERSISTED):
            raise ConvertError(f"{path}: Jasmin keeps this as Python objects, which could run anything; {AS_TEXT}")
        if len(raw) > LARGEST or self._bytes > LARGEST_TOGETHER or self._files > MOST_FILES:
            most = f"{LARGEST:,} bytes a file, {LARGEST_TOGETHER:,} and {MOST_FILES} files together"
            raise ConvertError(f"{path}: no configuration is so large (at most {most}); is it a log or a dump?")
        if b"\0" in raw:
            raise ConvertError(f"{path}: this is no text; name the configuration itself, such as kannel.conf")
        return decoded(raw)

    def included(self, name: str, file: str) -> Sequence[Source]:
        """What an include leads to: a file, or all files of a folder.

        Kannel looks from where it was started; here the folder of the file that says it comes first.
        """
        path = Path(file).parent / name
        try:
            path = path if path.exists() else Path(name)
            if path.is_dir():
                inside = sorted(each for each in path.iterdir() if each.is_file())
                return [(str(each), self.read(each)) for each in inside]
        except (OSError, ValueError):
            pass  # reading it says what is wrong
        return [(str(path), self.read(path))]


def decoded(raw: bytes) -> str:
    """A text with line ends of any system as line feeds."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def convert(paths: Sequence[Path], kind: str = "") -> Draft:
    """What these files say, `kind` naming whose they are. Raises ConvertError with the cure."""
    shelf = Shelf()
    sources = [(str(path), shelf.read(path)) for path in paths]
    kind = kind or _kind_of(sources)
    if kind == "jasmin":
        draft = convert_jasmin(sources)
        if not draft.called and not draft.clients:
            words = "only ports and logs stand here; connectors, users and routes are in jcli:"
            raise ConvertError(f"{sources[0][0]}: {words} {AS_TEXT}")
        return draft
    return convert_kannel(sources, shelf.included)


def _kind_of(sources: Sequence[Source]) -> str:
    for file, text in sources:
        if is_kannel(text):
            return "kannel"
        if is_jasmin(text):
            return "jasmin"
        if not text.strip():
            raise ConvertError(f"{file}: this file is empty")
    known = "kannel.conf (lines such as group = smsc), a script or dump of Jasmin's jcli (smppccm -a), jasmin.cfg"
    file = sources[0][0]
    raise ConvertError(f"{file}: this is neither Kannel's nor Jasmin's; expected {known}")


def save(draft: Draft, text: str, out: Path, *, with_secrets: bool) -> list[Path]:
    """Write the file, and if asked the carriers' passwords beside it; nothing is written over. Raises ConvertError."""
    made = []
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("x", encoding="utf-8") as stream:
            stream.write(text)
        for name, given in draft.secrets.items() if with_secrets else ():
            path = out.parent / name
            path.parent.mkdir(mode=0o700, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
                stream.write(given.text)
            made.append(path)
    except FileExistsError as error:
        raise ConvertError(f"{error.filename}: stands there already and is left as it is; name another --out") from None
    except OSError as error:
        raise ConvertError(f"{error.filename}: cannot write this file: {error.strerror}") from None
    return made


def left_to_do(out: Path) -> list[str]:
    """What check will ask for, each with its place."""
    from campaigns.settings import Config  # noqa: PLC0415  costs a third of a second
    from gateway.config import ConfigErrors, load  # noqa: PLC0415  the same

    try:
        load(out, Config, os.environ)
    except ConfigErrors as errors:
        return [str(each) for each in errors.mistakes]
    return []


# --- what came of it -------------------------------------------------------------------------------------------------


def facts(draft: Draft, text: str, out: Path | None, secrets: Iterable[Path]) -> dict[str, Any]:
    """A conversion as JSON has it."""
    return {
        "origin": draft.origin,
        "out": str(out) if out else None,
        "config": None if out else text,
        "made": {
            name: len(getattr(draft, name)) for name in ("channels", "senders", "routes", "clients", "keywords")
        },
        "secrets": [str(path) for path in secrets],
        "notes": [
            {"kind": str(kind), "file": place.file, "line": place.line, "what": what, "why": why}
            for each in STYLES
            for kind, place, what, why in draft.noted(each)
        ],
        "to_do": left_to_do(out) if out else [],
    }  # fmt: skip


STYLES = {Kind.TO_DO: "bold yellow", Kind.LOST: "bold red", Kind.DIFFERS: "yellow", Kind.UNNEEDED: "dim"}


def lines(draft: Draft, told: dict[str, Any]) -> list[Text | str]:
    """A conversion for a person: what is not as it was, what was made, and what to do next."""
    shown: list[Text | str] = []
    for kind, style in STYLES.items():
        notes = draft.noted(kind)
        if notes:
            shown.append(Text(f"{kind.value}:", style))
            shown += [Text(f"  {_safe(note)}") for note in notes]
    made = ", ".join(f"{n} {name.removesuffix('s') if n == 1 else name}" for name, n in told["made"].items() if n)
    sums = ", ".join(f"{kind.value} {len(draft.noted(kind))}" for kind in STYLES if draft.noted(kind))
    shown.append(f"{draft.origin}: {made}" + (f"; {sums}" if sums else ""))
    shown += [Text(f"  made {path}") for path in told["secrets"]]
    if told["out"]:
        if told["to_do"]:
            shown.append(f"{told['out']} is written. Fill in what check names:")
            shown += [Text(f"  {each}") for each in told["to_do"]]
        shown.append(f"Next: run.py --config {told['out']} check, then plan and apply.")
    return shown


def _safe(note: Note) -> str:
    """A note without anything that a terminal would obey."""
    return "".join(c if c.isprintable() else " " for c in f"{note.place}  {note.what}: {note.why}")
