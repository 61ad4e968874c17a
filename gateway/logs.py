"""What serve writes down as it runs: a JSON object a line, or lines for a person; no phone number stands in full."""

from __future__ import annotations

import json
import logging
import re
import traceback
from datetime import UTC, datetime
from typing import Any, TextIO

from gateway.numbers import mask

PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
NUMBER = re.compile(r"(?<!\d)\+?\d{8,15}(?!\d)")  # what may be a person's phone, wherever it stands
CONTROL = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029]")


def set_up(stream: TextIO, level: int = logging.INFO) -> None:
    """Send log records to `stream`: to a terminal what a person should know, in lines; else every one, as JSON."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Lines() if stream.isatty() else Json())
    if stream.isatty():
        handler.addFilter(Calm())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("apscheduler", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def masked(text: str) -> str:
    """A text without phone numbers in full."""
    return NUMBER.sub(lambda found: mask(found[0]), text)


def safe(value: object) -> Any:
    """A value as a log may hold it: numbers of phones masked, control characters made visible."""
    if isinstance(value, bool | int | float) or value is None:
        return value
    return CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", masked(str(value)))


class Calm(logging.Filter):
    """Shows warnings, and after one the next word of the same logger: it may be the all-clear."""

    def __init__(self) -> None:
        super().__init__()
        self._warned: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is shown."""
        if record.levelno >= logging.WARNING:
            self._warned.add(record.name)
            return True
        was_troubled = record.name in self._warned
        self._warned.discard(record.name)
        return was_troubled


class Json(logging.Formatter):
    """One JSON object a line, in UTC."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {"at": at, "level": record.levelname.lower(), "logger": record.name}
        line["event"] = safe(record.getMessage())
        line |= {name: safe(value) for name, value in vars(record).items() if name not in PLAIN}
        if record.exc_info:
            line["error"] = masked("".join(traceback.format_exception(*record.exc_info)))
        return json.dumps(line, ensure_ascii=False)


class Lines(logging.Formatter):
    """A line for a person at a terminal, in local time."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line, what failed below it."""
        at = datetime.fromtimestamp(record.created).astimezone()
        more = ", ".join(f"{name} {safe(value)}" for name, value in vars(record).items() if name not in PLAIN and value)
        line = (
            f"  {at:%H:%M:%S} {record.levelname.lower():<8} {safe(record.getMessage())}{f' ({more})' if more else ''}"
        )
        if record.exc_info:
            line += "\n" + masked("".join(traceback.format_exception(*record.exc_info))).rstrip()
        return line
