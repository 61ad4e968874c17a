"""Lines as a marketer reads them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from rich.cells import cell_len

from gateway.clock import to_ms
from handlers.console import terminal

EVENING = to_ms(datetime(2026, 12, 2, 2, 30, tzinfo=UTC))  # Tuesday 1 December, 18:30 in Seattle
ZONES = ["America/Los_Angeles", "Asia/Shanghai"]
SPRING: dict[str, Any] = {
    "campaign": "spring", "matched": 612, "refused": {"left": 14, "no consent": 31, "capped": 0, "hold-out": 57},
    "sending": 510, "parts": 510, "cost": 3_640_000, "seconds": 10.9, "later": 0, "opens_at": None, "codes": 510,
    "straightened": "", "parts_saved": 0,
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


def test_the_time_of_a_reply_stands_in_its_column_in_chinese_too() -> None:
    said = [
        terminal.reply({"reply": {"text": text, "parts": 1, "seconds": 0.02}})[0] for text in ("Got it.", "已收到。")
    ]
    assert len({cell_len(str(line)) for line in said}) == 1


def test_a_reply_faster_than_the_clock_can_tell_is_not_said_to_take_no_time() -> None:
    (line,) = plain(terminal.reply({"reply": {"text": "Got it.", "parts": 1, "seconds": 0.003}}))
    assert line.endswith("(under 0.01 s, 1 part)")


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


def test_a_campaign_for_another_day_says_when_it_begins_and_no_time_that_it_takes() -> None:
    opens = EVENING + 86_400_000
    later = {**SPRING, "later": 510, "opens_at": opens}
    facts = {"people": 992, "currency": "USD", "at": EVENING, "new": [later], "same": [], "renamed": [], "gone": {},
             "opening": {}, "changed": [], "stocks": [], "mistakes": [], "questions": [], "warnings": []}  # fmt: skip
    _, estimate, begins = plain(terminal.plan(facts, ZONES[0]))
    assert estimate.endswith("510 parts, 3.64 USD")
    assert begins.split() == ["begins", "Wed", "18:30"]
    run = {"state": "waiting", "due": opens, "matched": 0}
    assert terminal.audience_line(run, ZONES[0], EVENING) == "waiting, begins Wed 18:30"


def test_a_stock_that_nobody_draws_from_asks_for_nothing() -> None:
    stock = {"coupon": "latte", "codes": 5000, "left": 4656, "needed": 0}
    assert terminal.stock_words(stock) == "5,000 codes (4,656 left)"


def test_a_verdict_is_said_in_words() -> None:
    assert terminal.outlook("sent") == "would be sent"
    assert terminal.outlook("later", " until Wed 09:00 there") == "would wait for their hours until Wed 09:00 there"
    assert terminal.outlook("left") == 'would be refused, "left"'


def test_lines_are_without_colour_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.show([terminal.labelled("spring", "x" * 300, "bold red")])
    out = capsys.readouterr().out
    assert out == f"  spring     {'x' * 300}\n"


CANDIDATE: dict[str, Any] = {
    "sender": "seattle", "channel": "us_sms", "price": 7_900, "cost": 15_800, "rate": 0.9812, "latency_ms": 2_140,
    "samples": 1204, "is_known": True, "is_out": False,
}  # fmt: skip
BACKUP = {**CANDIDATE, "sender": "backup", "cost": 7_900, "samples": 12, "is_known": False, "is_out": True}
SHUT = {"lines": 2, "bound": 1, "trouble": "wrong password", "standing": "shut", "why": "wrong password", "held_by": ""}
ROUTE: dict[str, Any] = {
    "number": "+12065550142", "country": "US", "line_type": "mobile or landline", "network": "", "lane": "campaigns",
    "campaign": "spring", "currency": "USD", "has_routes": True, "named": "", "skipped": [],
    "rule": {"name": "locals", "when": "prefix +1206", "order": "cost", "place": "config.yaml:40"},
    "candidates": [CANDIDATE, BACKUP],
    "out": [{"sender": "shanghai", "why": "serves CN, not US"}],
    "chosen": {"sender": "seattle", "number": "+12065550100", "why": "of their area", "of": 3},
    "fallback": [{"channel": "us_two", "number": "20657"}, {"channel": "us_three", "number": "20658"}],
    "channels": {"us_sms": SHUT, "us_two": None},
}  # fmt: skip


def test_a_route_reads_from_the_phone_to_who_stands_in() -> None:
    assert plain(terminal.route(ROUTE)) == [
        "  +12065550142, US, mobile or landline, network not known",
        "  lane       campaigns of spring",
        "  rule       locals (config.yaml:40): prefix +1206; the cheapest first",
        "  1 seattle  us_sms, 0.0079 USD per part (0.0158 USD a text); 98.1% of 1,204 delivered, after 2.1 s",
        "  2 backup   us_sms, 0.0079 USD per part; only 12 texts, too few to judge; out at this moment",
        "  - shanghai serves CN, not US",
        "  from       +12065550100, of 3: of their area",
        "  instead    20657 through us_two, then 20658 through us_three",
        "  us_sms     1 of 2 lines bound, out: wrong password",
        "  us_two     nobody serves, so its state is not known",
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rule": None, "named": "config.yaml:88"}, "none fits: as spring names them (config.yaml:88)"),
        ({"rule": None}, "none fits"),
        ({"rule": None, "has_routes": False}, "there are none: whoever serves the country"),
        ({"rule": {**ROUTE["rule"], "when": "", "order": "listed"}}, "locals (config.yaml:40): everybody; as listed"),
    ],
)
def test_what_stands_for_a_rule_is_said_in_words(changes: dict[str, Any], said: str) -> None:
    assert terminal.rule_words({**ROUTE, **changes}) == said


def test_rules_of_campaigns_that_nobody_named_are_told() -> None:
    lines = plain(terminal.route({**ROUTE, "skipped": ["spring_only", "fall_only"]}))
    assert lines[3] == "             not asked, being for one campaign only: spring_only, fall_only"


def test_whom_nobody_may_text_is_told_with_the_reason_of_the_report() -> None:
    lines = plain(terminal.route({**ROUTE, "candidates": [], "chosen": None, "fallback": [], "channels": {}}))
    assert lines[-1] == '  from       nobody: refused, "no sender"'


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, "bound"),
        ({"bound": 0}, "0 of 1 lines bound"),
        ({"standing": "trying", "why": "9 of 20 failed"}, "bound, being tried with a few texts: 9 of 20 failed"),
        ({"standing": "shut", "why": "no line", "bound": 0}, "0 of 1 lines bound, out: no line"),
        ({"lines": 0, "bound": 0, "held_by": "another process"}, "held by another process"),
    ],
)
def test_how_a_channel_stands_is_said_in_words(facts: dict[str, Any], said: str) -> None:
    sound = {"lines": 1, "bound": 1, "trouble": "", "standing": "open", "why": "", "held_by": ""}
    assert terminal.channel_words(sound | facts) == said
