"""What serve writes down as it runs: a JSON object a line, or lines for a person; no phone number stands in full.

What a field may show follows from its name or from the type of its value (`Field`). Only in free words, and as a second
net below everything else, numbers are found by their looks.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import traceback
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from time import monotonic
from typing import Any, TextIO

from gateway.counting import count
from gateway.errors import StoreError
from gateway.numbers import mask

PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
LEVELS = ("debug", "info", "warning", "error")
# What may be a person's phone, wherever it stands: with a plus and whatever parts its digits; bare; or as it is written
# in North America. Digits of any script.
NUMBER = re.compile(
    r"\+\d[\d ().\-/]{5,18}\d|(?<!\d)(?<!\d\.)\d{8,15}(?!\d)|(?<!\d)\(?\d{3}\)?[ .\-]\d{3}[ .\-]\d{4}(?!\d)"
)
LONGEST = 2_000  # characters of one value: nobody fills the disk by texting us
LONGEST_ERROR = 20_000
REST_S = 10.0  # how long a failure that was told is not told again
MOST_TOLD = 1_000  # that are known to have been told

request_id: ContextVar[str] = ContextVar("request_id", default="")  # of the request that is being answered


class Field(Enum):
    """What a value is, by the name that it goes under."""

    ADDRESS = "address"  # somebody's number: masked whole
    TEXT = "text"  # what somebody wrote, or is written to: only how long it is
    HIDDEN = "hidden"  # nothing of it
    NAME = "name"  # made by us or the operator, such as an id: as it is
    WORDS = "words"  # anything else: numbers in it are masked


FIELDS: Mapping[str, Field] = {
    **dict.fromkeys(
        ("address", "sender", "recipient", "number", "phone", "msisdn", "from", "to", "handset", "caller", "email"),
        Field.ADDRESS,
    ),
    **dict.fromkeys(
        ("text", "texts", "body", "said", "first_name", "last_name", "birthday", "form", "query"), Field.TEXT
    ),
    **dict.fromkeys(
        ("password", "token", "secret", "key", "pin", "code", "codes", "coupon_code", "cookie", "authorization", "url"),
        Field.HIDDEN,
    ),
    **dict.fromkeys(
        ("request", "id", "inbound", "message", "run", "queue", "carrier_id", "carrier_ids", "route", "place",
         "channel", "operation", "fingerprint"),
        Field.NAME,
    ),
}  # fmt: skip


def set_up(stream: TextIO, level: str | None = None) -> None:
    """Send log records to `stream`: to a terminal what a person should know, in lines; else every one, as JSON.

    `level` is one of LEVELS; whoever names one sees all from there on, on a terminal too.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Lines() if stream.isatty() else Json())
    handler.addFilter(Sparing())
    if stream.isatty() and level is None:
        handler.addFilter(Calm())
    logging.basicConfig(level=(level or "info").upper(), handlers=[handler, Counting()], force=True)
    for noisy in ("apscheduler", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


# --- what may be shown -----------------------------------------------------------------------------------------------


def masked(text: str) -> str:
    """A text without phone numbers in full."""
    return NUMBER.sub(lambda found: mask(re.sub(r"[ ().\-/]", "", found[0])), text)


def visible(text: str) -> str:
    """A text of which every character can be seen: what ends a line, moves the cursor or turns the direction of reading
    is written out, and so is what UTF-8 cannot say.
    """
    return text if text.isprintable() else "".join(map(_seen, text))


def _seen(character: str) -> str:
    if character.isprintable():
        return character
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def safe(value: object, name: str = "") -> Any:
    """A value as a log may hold it under this name: what it is decides, and then how it looks."""
    kind = FIELDS.get(name, Field.WORDS)
    if isinstance(value, bool) or value is None:
        return value
    if kind is Field.HIDDEN:
        return "***"
    if kind is Field.ADDRESS:
        return visible(_address(str(value)))
    if kind is Field.TEXT:
        return f"({len(str(value))} characters)"
    if isinstance(value, int | float):
        return value
    inside = _inside(value)
    if inside is not None:
        return f"{type(value).__name__}({', '.join(f'{key}={safe(each, key)}' for key, each in inside.items())})"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{visible(str(key))}: {safe(each, str(key))}' for key, each in value.items())}}}"
    if isinstance(value, list | tuple | set | frozenset):
        return f"[{', '.join(str(safe(each, name)) for each in value)}]"
    text = str(value)[:LONGEST]
    return visible(text if kind is Field.NAME else masked(text))


def _address(text: str) -> str:
    """A number masked; of anything else that stands where one is expected, only the first letters."""
    return mask(text) if not re.search(r"[^+\d]", text) or len(text) <= 11 else f"{text[:3]}***"


def _inside(value: object) -> dict[str, object] | None:
    """The fields of a value of ours, each under its name; None for what has no names inside."""
    names = getattr(type(value), "_fields", None)
    if names is not None and isinstance(value, tuple):
        return dict(zip(names, value, strict=True))
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name, None) for each in fields(value) if each.repr}
    return None


def words_of(record: logging.LogRecord) -> str:
    """The record's message. Values of ours in it, such as a whole text that came in, show only what they may."""
    args = record.args
    if isinstance(args, tuple):
        args = tuple(_Shown(str(safe(each))) if _inside(each) is not None else each for each in args)
    message = record.msg % args if args else str(record.msg)
    return str(safe(message))


class _Shown(str):
    """What was made safe already: `%r` shows it without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def error_of(record: logging.LogRecord) -> list[str]:
    """What failed, in lines: each such as nobody else could have written."""
    if not record.exc_info:
        return []
    told = "".join(traceback.format_exception(*record.exc_info))
    told = told if len(told) <= LONGEST_ERROR else f"{told[: LONGEST_ERROR // 2]}\n...\n{told[-LONGEST_ERROR // 2 :]}"
    return [visible(masked(line)) for line in told.rstrip("\n").split("\n")]


def more_of(record: logging.LogRecord) -> dict[str, Any]:
    """What was told beside the message, by name, with the id of the request that was being answered."""
    more = {visible(name): safe(value, name) for name, value in vars(record).items() if name not in PLAIN}
    if request := request_id.get():
        more["request"] = request
    return more


# --- who reads it ----------------------------------------------------------------------------------------------------


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


class Sparing(logging.Filter):
    """Leaves out a failure that was told a moment ago: what fails again and again on a full disk must not fill it.

    It is the same where it comes from the same line of the code, is of the same type, and is told by the same logger
    under the same words, whatever is put into them. Those that do not come again are never told to have been left out.
    """

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[tuple[object, ...], tuple[float, int]] = {}  # when, and how many since; the oldest first
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written; after a pause it says how many like it were `left_out`."""
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return True
        words = record.msg if isinstance(record.msg, str) else type(record.msg)
        key = record.name, words, type(error), *_place_of(error)
        now = monotonic()
        with self._lock:
            told_at, left_out = self._told.get(key, (now - REST_S, 0))
            if now - told_at < REST_S:
                self._told[key] = told_at, left_out + 1
                return False
            self._told.pop(key, None)
            if len(self._told) >= MOST_TOLD:
                del self._told[next(iter(self._told))]
            self._told[key] = now, 0
        if left_out:
            record.left_out = left_out
        return True


def _place_of(error: BaseException) -> tuple[str, int]:
    """The file and the line that raised an error."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return ("", 0) if trace is None else (trace.tb_frame.f_code.co_filename, trace.tb_lineno)


class Json(logging.Formatter):
    """One JSON object a line, in UTC."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {"at": at, "level": record.levelname.lower(), "logger": record.name}
        line["event"] = words_of(record)
        line |= {name: value for name, value in more_of(record).items() if name not in line}
        if error := error_of(record):
            line["error"] = "\n".join(error)
        return json.dumps(line, ensure_ascii=False)


class Lines(logging.Formatter):
    """A line for a person at a terminal, in local time."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line, what failed below it, behind a mark that no first line bears."""
        at = datetime.fromtimestamp(record.created).astimezone()
        more = ", ".join(f"{name} {value}" for name, value in more_of(record).items() if value)
        line = f"  {at:%H:%M:%S} {record.levelname.lower():<8} {words_of(record)}{f' ({more})' if more else ''}"
        return "\n".join([line, *(f"    | {each}" for each in error_of(record))])


class Counting(logging.Handler):
    """Counts warnings and errors, and those for which the store is to blame, for the metrics."""

    def emit(self, record: logging.LogRecord) -> None:
        """Count one record."""
        if record.levelno >= logging.WARNING:
            count("log_records", record.levelname.lower())
        if record.exc_info and isinstance(record.exc_info[1], StoreError):
            count("store_errors")
