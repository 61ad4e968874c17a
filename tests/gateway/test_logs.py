"""A log can be shown to anyone: no phone number in full, no line that somebody else wrote."""

from __future__ import annotations

import io
import json
import logging
import sys

import pytest

from gateway import logs


def written(formatter: logging.Formatter, message: str, *args: object, **extra: object) -> str:
    record = logging.makeLogRecord({"name": "carillon", "levelname": "INFO", "msg": message, "args": args, **extra})
    return formatter.format(record)


def test_a_phone_number_is_masked_wherever_it_stands() -> None:
    line = json.loads(written(logs.Json(), "text from %s", "+12065550142", number="8613800138000"))
    assert line["event"] == "text from +1206***0142"
    assert "13800138000" not in json.dumps(line)


def test_ids_and_times_are_no_phone_numbers() -> None:
    line = written(logs.Json(), "queue %s has another owner", 912345678901234567)
    assert "912345678901234567" in line


def test_a_text_cannot_write_a_line_of_its_own() -> None:
    for formatter in (logs.Json(), logs.Lines()):
        assert "\n" not in written(formatter, "kept %s", "hello\r\n2026 root logged in\u2028x")


def test_what_failed_is_told_without_numbers() -> None:
    try:
        raise ValueError("no route to +12065550142")
    except ValueError:
        line = written(logs.Json(), "failed", exc_info=sys.exc_info())
    assert "ValueError" in line
    assert "+12065550142" not in line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_trouble_and_its_end_and_nothing_of_ordinary_life() -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream, line, other = Terminal(), logging.getLogger("carillon.line"), logging.getLogger("carillon.other")
    try:
        logs.set_up(stream)
        line.info("bound")
        line.warning("lost", extra={"tries": 3})
        other.info("ordinary")
        line.info("bound again")
        line.info("ordinary")
    finally:
        root.handlers[:], root.level = before, level
    lost, again = stream.getvalue().splitlines()
    assert lost.endswith("lost (tries 3)")
    assert again.endswith("bound again")


@pytest.mark.parametrize("name", ["carillon.web", "apscheduler"])
def test_everything_goes_to_the_one_stream(name: str) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    try:
        logs.set_up(stream)
        logging.getLogger(name).warning("a warning")
    finally:
        root.handlers[:], root.level = before, level
    assert json.loads(stream.getvalue())["event"] == "a warning"
