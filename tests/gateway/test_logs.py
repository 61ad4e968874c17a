"""A log can be shown to anyone: no phone number in full, no words of a person, no line that somebody else wrote."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import logs
from gateway.counting import counted
from gateway.errors import StoreError
from gateway.messages import Inbound, Outbound

HOSTILE = (
    'STOP"}\n{"at": "2026-11-22T00:00:00.000+00:00", "level": "error", "event": "forged"}',
    "hello\r\n2026 root logged in",
    "\u2028{}\u2029\x85next",
    "\x1b[2J\x1b]0;title\x07",
    "\u202eKROW ,NEDDIH\u202c\u200b",
    "\ud83d lone \udc00 halves",
    "\x00\x7f\ufeff",
    "%s %d %(name)s {0}",
    "x" * 100_000,
)


def written(formatter: logging.Formatter, message: str, *args: object, **extra: object) -> str:
    record = logging.makeLogRecord({"name": "carillon", "levelname": "INFO", "msg": message, "args": args, **extra})
    return formatter.format(record)


def failed(error: BaseException) -> dict[str, Any]:
    """What a record says of an error."""
    try:
        raise error
    except BaseException:
        return {"exc_info": sys.exc_info()}


# --- numbers


@pytest.mark.parametrize(
    "number",
    ["+12065550142", "12065550142", "8613800138000", "+1 206 555 0142", "+1 (206) 555-0142", "206-555-0142",
     "(206) 555-0142", "call.12065550142", "+44 20 7946 0958", "+１２０６５５５０１４２", "٠١٢٣٤٥٦٧٨٩"],
)  # fmt: skip
def test_a_phone_number_is_masked_however_it_is_written(number: str) -> None:
    for formatter in (logs.Json(), logs.Lines()):
        line = written(formatter, f"text from {number}.", number=number, seen=[number])
        assert number not in line
        assert number[-9:-4] not in line


def test_a_masked_number_can_still_be_told_from_others() -> None:
    line = json.loads(written(logs.Json(), "text from %s", "+12065550142", number="8613800138000"))
    assert (line["event"], line["number"]) == ("text from +1206***0142", "86138***8000")


def test_ids_times_and_our_own_numbers_are_no_phone_numbers() -> None:
    words = "queue 912345678901234567 of 20655 at 2026-11-22 04:31:31.123, 0.123456789 s"
    assert json.loads(written(logs.Json(), words))["event"] == words


# --- fields by what they are


def test_a_field_is_masked_by_its_name_before_its_looks() -> None:
    line = json.loads(
        written(
            logs.Json(), "x", sender="12065550142", text="my doctor says", token="abc", url="https://x/c/k2", pin=2468,
            inbound=12345678, wrong="ok",
        )
    )  # fmt: skip
    assert line["sender"] == "1206***0142"
    assert line["text"] == "(14 characters)"
    assert (line["token"], line["url"], line["pin"]) == ("***", "***", "***")
    assert (line["wrong"], "12345678" in str(line)) == ("ok", True)


def test_a_text_that_came_in_shows_nothing_of_itself_when_it_is_logged_whole() -> None:
    text = Inbound("+12065550142", "20655", "my secret is tulip", carrier_id="SM12345678901")
    outbound = Outbound(912345678901234567, 0, "20655", "+12065550199", "your code is 7H2K-99QX")
    for formatter in (logs.Json(), logs.Lines()):
        line = written(formatter, "kept %r and %s", text, outbound, both=[text, outbound], named={"text": "tulip"})
        for part in ("tulip", "7H2K", "5550142", "5550199"):
            assert part not in line
        assert "SM12345678901" in line
        assert "912345678901234567" in line


# --- lines


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_a_text_cannot_write_a_line_of_its_own_or_move_the_cursor(hostile: str) -> None:
    for formatter in (logs.Json(), logs.Lines()):
        for line in (
            written(formatter, "kept %s", hostile, where=hostile, listed=[hostile], **{hostile[:40]: 1}),
            written(formatter, hostile),
        ):
            assert line.encode()
            assert len(line.splitlines()) == 1
            assert line.isprintable()
            assert len(line) < 12_000
    json.loads(written(logs.Json(), "kept %s", hostile))


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_an_error_that_quotes_a_text_cannot_write_a_first_line(hostile: str) -> None:
    line = written(logs.Json(), "failed", **failed(ValueError(hostile)))
    assert len(line.splitlines()) == 1
    assert "ValueError" in json.loads(line)["error"]
    first, *others = written(logs.Lines(), "failed", **failed(ValueError(hostile))).splitlines()
    assert first.endswith("failed")
    assert all(each.startswith("    | ") and each.isprintable() for each in others)


def test_what_failed_is_told_without_numbers() -> None:
    line = written(logs.Json(), "failed", **failed(ValueError("no route to +12065550142")))
    assert "ValueError" in line
    assert "+12065550142" not in line


@given(st.text(st.characters(), max_size=60), st.text(st.characters(), max_size=60))
def test_whatever_is_logged_is_one_line_of_json_that_can_be_written(message: str, value: str) -> None:
    line = written(logs.Json(), "%s", message, value=value, sender=value, text=value)
    assert len(line.encode("utf-8").splitlines()) == 1
    assert line.isprintable()
    assert set(json.loads(line)) == {"at", "level", "logger", "event", "value", "sender", "text"}


def test_a_line_stands_in_utc() -> None:
    line = json.loads(written(logs.Json(), "x", created=1_800_000_000.5))
    assert line["at"] == "2027-01-15T08:00:00.500+00:00"


def test_the_request_that_is_being_answered_stands_in_every_line() -> None:
    token = logs.request_id.set("1234567890ab")
    try:
        assert json.loads(written(logs.Json(), "x"))["request"] == "1234567890ab"
    finally:
        logs.request_id.reset(token)
    assert "request" not in json.loads(written(logs.Json(), "x"))


# --- streams


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _root() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


def test_a_terminal_shows_trouble_and_its_end_and_nothing_of_ordinary_life() -> None:
    stream, line, other = Terminal(), logging.getLogger("carillon.line"), logging.getLogger("carillon.other")
    logs.set_up(stream)
    line.info("bound")
    line.warning("lost", extra={"tries": 3})
    other.info("ordinary")
    line.info("bound again")
    line.info("ordinary")
    lost, again = stream.getvalue().splitlines()
    assert lost.endswith("lost (tries 3)")
    assert again.endswith("bound again")


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()], ids=["terminal", "file"])
def test_whoever_names_a_level_sees_all_from_there_on(stream: io.StringIO) -> None:
    logs.set_up(stream, "debug")
    logging.getLogger("carillon.line").debug("small")
    logs.set_up(stream, "error")
    logging.getLogger("carillon.line").warning("middling")
    assert ["small" in line for line in stream.getvalue().splitlines()] == [True]


@pytest.mark.parametrize("name", ["carillon.web", "apscheduler"])
def test_everything_goes_to_the_one_stream(name: str) -> None:
    stream = io.StringIO()
    logs.set_up(stream)
    logging.getLogger(name).warning("a warning")
    assert json.loads(stream.getvalue())["event"] == "a warning"


def test_a_failure_that_is_met_again_and_again_is_written_once_in_a_while_with_how_often_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = io.StringIO()
    logs.set_up(stream)
    log = logging.getLogger("gateway.engine")
    handler = logging.getLogger().handlers[0]

    def fail(seconds: float, words: str) -> None:
        try:
            raise StoreError(words)
        except StoreError:
            record = log.makeRecord(log.name, logging.ERROR, "", 0, "folding failed", (), sys.exc_info())
        monkeypatch.setattr(logs, "monotonic", lambda: seconds)
        record.created = 1_800_000_000 - seconds  # whatever the clock on the wall does
        handler.handle(record)

    for tenth in range(200):
        fail(tenth / 10, f"could not extend file {tenth}: the disk is full")
    try:
        raise StoreError("raised at another line")
    except StoreError:
        log.exception("folding failed")
    fail(20.1, "could not extend file 7: the disk is full")

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line.get("left_out", 0) for line in lines] == [0, 99, 0, 99]
    assert "raised at another line" in lines[2]["error"]


def test_what_is_remembered_of_failures_is_bounded_and_needs_no_words_that_fit() -> None:
    sparing = logs.Sparing()
    error = StoreError("full")
    spared = [
        sparing.filter(
            logging.LogRecord("x", logging.ERROR, "", 0, f"{n} %d", ("no number",), (StoreError, error, None))
        )
        for n in (*range(logs.MOST_TOLD + 1), logs.MOST_TOLD, 0)
    ]
    assert spared == [True] * (logs.MOST_TOLD + 1) + [False, True]  # the last is known still, the first no more
    strange = logging.LogRecord("x", logging.ERROR, "", 0, {"no": "words"}, (), (StoreError, error, None))
    assert [sparing.filter(strange) for _ in range(2)] == [True, False]


def test_warnings_errors_and_trouble_with_the_store_are_counted() -> None:
    logs.set_up(io.StringIO())
    before, troubles = dict(counted("log_records")), counted("store_errors").get("", 0)
    logger = logging.getLogger("carillon.store")
    logger.info("nothing")
    logger.warning("odd")
    logger.error("not kept", exc_info=StoreError("the disk is full"))
    logger.error("broken", exc_info=ValueError("x"))
    after = counted("log_records")
    assert after["warning"] - before.get("warning", 0) == 1
    assert after["error"] - before.get("error", 0) == 2
    assert counted("store_errors")[""] - troubles == 1
