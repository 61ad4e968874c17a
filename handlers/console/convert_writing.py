"""Writes config.yaml from what was read of another gateway, with a comment wherever somebody has to look."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from handlers.console.convert_draft import FILL_IN, Draft, Entry, Kind, Setting

PLAIN = re.compile(r"[A-Za-z0-9_+./][A-Za-z0-9_+./@-]*(?: [A-Za-z0-9_+./-]+)*(?::\d{1,5})?")  # needs no quotes anywhere
HOW = """\
# Made by run.py convert from {files} ({origin}).
#
# 1. Replace every FILL_IN: run.py check names each with its line and what is expected there.
# 2. Put the carriers' passwords into the files that are named here, readable by nobody else: chmod 600.
#    run.py convert --with-secrets does that for you.
# 3. After the first run.py apply, make keys: run.py key new CLIENT. Passwords of programs are not carried over.
# What maps to what, and what differs: docs/moving-in.md. All words: docs/config.md.
"""


def written(draft: Draft, files: str) -> str:
    """The whole file."""
    lines = [HOW.format(files=_one_line(files), origin=draft.origin)]
    lines += _notes(draft)
    lines += [
        "brand:",
        f"{'  name: ${BRAND_NAME}':<38} # write your name here: what people know you by",
        _setting("country", draft.country, 1),
        _setting("timezone", Setting(FILL_IN, "such as America/Los_Angeles"), 1),
        _setting("languages", Setting(["en"], "the first also serves readers of any other"), 1),
        _setting("currency", Setting(FILL_IN, "three capital letters, such as USD"), 1),
        "",
    ]
    for section in ("channels", "senders", "routes", "clients", "keywords"):
        entries: Mapping[str, Entry] = getattr(draft, section)
        if entries:
            lines += [f"{section}:", *(line for name, entry in entries.items() for line in _entry(name, entry)), ""]
    if draft.listen:
        lines += ["listen:", *(_setting(key, setting, 1) for key, setting in draft.listen.items()), ""]
    lines += ["store: sqlite:data/carillon.db", ""]
    return "\n".join(lines)


def _notes(draft: Draft) -> Iterator[str]:
    """What is not as it was, the worst first."""
    for kind in (Kind.TO_DO, Kind.LOST, Kind.DIFFERS):
        notes = draft.noted(kind)
        if notes:
            yield "#"
            yield f"# {kind.value.capitalize()}:"
        for note in notes:
            yield f"#   {_one_line(str(note.place))}  {_one_line(note.what)}: {_one_line(note.why)}"
    yield ""


def _entry(name: str, entry: Entry) -> Iterator[str]:
    yield f"  {scalar(name)}:" + " " * max(1, 36 - len(scalar(name))) + f"# {_one_line(str(entry.place))}"
    for key, setting in entry.settings.items():
        yield _setting(key, setting, 2)
    for line in entry.aside:
        yield f"    # {_one_line(line)}"


def _setting(key: str, setting: Setting, depth: int) -> str:
    line = f"{'  ' * depth}{key}: {flow(setting.value)}"
    return f"{line:<38} # {_one_line(setting.comment)}" if setting.comment else line


def flow(value: object) -> str:
    """A value as it is written in one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(str(key))}: {flow(inside)}" for key, inside in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(flow, value))}]"
    return scalar(str(value))


def scalar(text: str) -> str:
    """A text as YAML: in quotes wherever it could be taken for anything else; `${` is meant as it stands."""
    if PLAIN.fullmatch(text):
        return text
    quoted = json.dumps(text.replace("${", "$${"), ensure_ascii=False)
    return "".join(each if each.isprintable() or each == " " else _escaped(each) for each in quoted)


def _escaped(character: str) -> str:
    point = ord(character)
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def _one_line(text: str) -> str:
    """A text that can stand in a comment: no ends of lines, nothing that a terminal obeys."""
    return "".join(each if each.isprintable() else " " for each in text)
