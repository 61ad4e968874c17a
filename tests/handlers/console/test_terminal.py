"""Lines as a marketer reads them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.clock import to_ms
from handlers.console import terminal

EVENING = to_ms(datetime(2026, 12, 2, 2, 30, tzinfo=UTC))  # Tuesday 1 December, 18:30 in Seattle
ZONES = ["America/Los_Angeles", "Asia/Shanghai"]
SPRING: dict[str, Any] = {
    "campaign": "spring", "matched": 612, "refused": {"left": 14, "no consent": 31, "capped": 0, "hold-out": 57},
    "sending": 510, "parts": 510, "cost": 3_640_000, "seconds": 10.9, "later": 0, "opens_at": None, "codes": 510,
}  # fmt: skip


def plain(lines: list[Any]) -> list[str]:
    return [str(line) for line in lines]


def test_the_simulator_is_never_in_doubt() -> None:
    head = {"mode": "SIMULATOR", "carriers": {"us": "simulator"}, "now": EVENING, "zones": ZONES}
    (line,) = plain(terminal.head(head))
    assert line.startswith("  SIMULATOR  no text leaves this machine. Clock: Tue 18:30 Los Angeles, Wed 10:30 Shanghai")


def test_real_carriers_are_named() -> None:
    head = {"mode": "LIVE", "carriers": {"us": "smpp.example.net:2776"}, "now": EVENING, "zones": ZONES}
    (line,) = plain(terminal.head(head))
    assert line.startswith("  LIVE       texts go to real phones through us: smpp.example.net:2776.")


def test_an_estimate_is_a_waterfall_with_parts_price_and_time() -> None:
    said = terminal.estimate(SPRING, "USD")
    assert said == (
        "matched 612 = left 14 + no consent 31 + capped 0 + hold-out 57 + sending 510; 510 parts, 3.64 USD, about 11 s"
    )


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "1 s"), (10.9, "11 s"), (99, "99 s"), (120, "2 min"), (5399, "90 min"), (9000, "2.5 h")]
)
def test_spans_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert terminal.span(seconds) == said


@pytest.mark.parametrize(("later_s", "said"), [(0, "18:30"), (86_400, "Wed 18:30"), (30 * 86_400, "2026-12-31 18:30")])
def test_a_moment_is_as_short_as_it_can_be_understood(later_s: int, said: str) -> None:
    assert terminal.moment(EVENING + later_s * 1000, ZONES[0], EVENING) == said


def test_a_reply_shows_how_long_it_took_and_its_parts() -> None:
    got = {"reply": {"text": "Got it: 3, The owl.", "parts": 1, "seconds": 0.02}}
    (line,) = plain(terminal.reply(got))
    assert line.startswith("  < Got it: 3, The owl.  ")
    assert line.endswith("(0.02 s, 1 part)")


def test_no_reply_is_told_too() -> None:
    assert plain(terminal.reply({"reply": None})) == ["  < (no answer)"]


def test_an_import_counts_every_line_of_the_file() -> None:
    counts = {"new": 992, "merged": 5, "rejected": 3}
    said = terminal.imported(counts, "sample.csv", "data/sample.rejects.csv")
    assert said == "1,000 imported from sample.csv (992 new, 5 merged, 3 rejected: data/sample.rejects.csv)"


def test_a_plan_with_nothing_to_do_says_so() -> None:
    facts = {"id": "ab12", "mistakes": [], "questions": [], "changes_nothing": True}
    assert terminal.planned(facts) == "plan ab12: nothing to do; everything in the file runs already."
    assert terminal.planned(facts | {"mistakes": ["x"]}) == "Nothing changed."
    assert terminal.planned(facts | {"changes_nothing": False, "questions": ["x"]}).endswith("run.py apply --accept")


def test_lines_are_without_colour_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.show([terminal.labelled("spring", "x" * 300, "bold red")])
    out = capsys.readouterr().out
    assert out == f"  spring     {'x' * 300}\n"
