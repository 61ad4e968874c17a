"""How a mistake is put into words: what was found, and the nearest right word."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

LONGEST_QUOTE = 40


def found(value: object) -> str:
    """What stands in the file, as a complaint names it: `"30"`, `a map`, `an empty list`, `nothing`."""
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= LONGEST_QUOTE else f'"{value[: LONGEST_QUOTE - 1]}…"'
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a map" if value else "an empty map"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return str(value)


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that is most like this one, or an empty text."""
    by_fold = {name.casefold(): name for name in known}
    close = get_close_matches(word.casefold(), by_fold, n=1, cutoff=0.6)
    return by_fold[close[0]] if close else ""


def either(words: Iterable[str]) -> str:
    """Words as a choice: `a, b or c`."""
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def flow(value: object) -> str:
    """An example as it is written in the file: `[en, zh]`, `{1: The fox, 2: The owl}`."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(inside)}" for key, inside in value.items()) + "}"
    return f"[{', '.join(map(flow, value))}]" if isinstance(value, list) else str(value)
