"""The gate lets a text leave only to who stayed, within their hours, and under every cap: a model on paper agrees."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.gate import CAPPED, HOURS, LEFT, NO_PROGRAM, Gatekeeper, Rule
from campaigns.settings import Config, Program
from gateway.clock import to_ms
from gateway.messages import ALL_PARTS, Purpose
from gateway.outbox import EXPIRED, Go, Later, Never, Waiting, without

NOON = to_ms(datetime(2026, 12, 1, 20, 0, tzinfo=UTC))  # in Seattle
HOUR = 3_600_000
DAY = 24 * HOUR


def program(*caps: str, hours: str = "0:00-24:00") -> Program:
    return Program.model_validate({"key": "club", "name": "Club", "consent": "yes", "at_most": caps, "hours": hours})


def waiting(
    *,
    purpose: Purpose = Purpose.MARKETING,
    valid_until: int = 0,
    stopped_at: int | None = None,
    reached: bytes | None = None,
    named: str = "club",
) -> Waiting:
    return Waiting(
        0, 1, 1, 0, ALL_PARTS, 0, 7, purpose, named, "20655", "+12065550142", "America/Los_Angeles", "hi", 1,
        valid_until, 0, stopped_at, reached.hex() if reached else None,
    )  # fmt: skip


def ask(one: Program, what: Waiting, now: int = NOON) -> Go | Later | Never:
    return Gatekeeper({"club": one})(what, now)


def test_marketing_never_reaches_who_has_left_and_a_reply_does() -> None:
    assert ask(program(), waiting(stopped_at=NOON)) == Never(LEFT)
    assert ask(program(), waiting(stopped_at=NOON, purpose=Purpose.REPLY, named="")) == Go()


def test_a_campaigns_text_to_a_tester_obeys_a_stop_that_came_while_it_waited() -> None:
    trial = waiting(purpose=Purpose.REPLY, stopped_at=NOON)

    assert ask(program(), trial) == Never(LEFT)
    assert ask(program(), trial._replace(stopped_at=None)) == Go()


def test_what_waited_too_long_expires_whatever_it_is() -> None:
    for purpose in Purpose:
        assert ask(program(), waiting(purpose=purpose, valid_until=NOON)) == Never(EXPIRED)
        assert isinstance(ask(program(), waiting(purpose=purpose, valid_until=NOON + 1)), Go)


def test_a_programme_that_is_gone_sends_nothing() -> None:
    assert ask(program(), waiting(named="gone")) == Never(NO_PROGRAM)


def test_outside_the_hours_it_waits_for_the_opening_or_is_dropped_when_that_is_too_late() -> None:
    one = program(hours="9:00-20:00")
    night, morning = NOON + 10 * HOUR, NOON + 21 * HOUR

    assert ask(one, waiting(), night) == Later(morning)
    assert ask(one, waiting(valid_until=morning + 1), night) == Later(morning)
    assert ask(one, waiting(valid_until=morning), night) == Never(HOURS)


def test_over_a_cap_it_waits_until_the_cap_is_free_or_is_dropped() -> None:
    one = program("1 per 24 h")
    reached = Rule(one).charge(None, NOON - HOUR)

    assert ask(one, waiting(reached=reached)) == Later(NOON + 23 * HOUR)
    assert ask(one, waiting(reached=reached, valid_until=NOON + 23 * HOUR)) == Never(CAPPED)
    assert isinstance(ask(one, waiting(reached=reached), NOON + 23 * HOUR), Go)


def test_what_was_reached_once_in_all_is_never_reached_again() -> None:
    one = program("1 in all")

    assert ask(one, waiting(reached=Rule(one).charge(None, NOON), valid_until=NOON + 400 * DAY), NOON + 300 * DAY) == (
        Never(CAPPED)
    )


def test_a_programme_without_caps_remembers_nobody() -> None:
    assert ask(program(), waiting()) == Go(b"")


def test_a_new_config_holds_from_the_next_text(shipped_config: Config) -> None:
    gate = Gatekeeper(shipped_config.programs)
    gate.update({"club": program()})

    assert gate(waiting(), NOON) == Go(b"")
    assert gate(waiting(named="lantern_club"), NOON) == Never(NO_PROGRAM)


SPANS = {"1 h": HOUR, "24 h": DAY, "7 d": 7 * DAY}
CAPS = st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["1 h", "24 h", "7 d"])), min_size=1, max_size=3)


@given(CAPS, st.lists(st.tuples(st.integers(0, 10 * HOUR), st.booleans()), max_size=60))
def test_no_rolling_span_ever_holds_more_than_its_cap_and_nobody_waits_without_need(
    caps: list[tuple[int, str]], tries: list[tuple[int, bool]]
) -> None:
    # given attempts at rising times, some of which the carrier surely refuses and which are given back
    one = program(*(f"{count} per {span}" for count, span in caps))
    sent: list[int] = []
    reached, now = b"", NOON
    for pause, fails in tries:
        now += pause
        verdict = ask(one, waiting(reached=reached or None), now)
        allowed = all(sum(at > now - SPANS[span] for at in sent) < count for count, span in caps)

        assert isinstance(verdict, Go) is allowed
        if isinstance(verdict, Go):
            reached = verdict.reached
            if fails:
                reached = without(reached, now)
            else:
                sent.append(now)
        elif isinstance(verdict, Later):  # and then it may
            due = verdict.due
            assert all(sum(at > due - SPANS[span] for at in sent) < count for count, span in caps)


def test_a_failure_gives_back_its_own_charge_and_not_a_later_ones() -> None:
    rule = Rule(program("3 per 24 h"))
    reached = rule.charge(rule.charge(None, NOON), NOON + HOUR)

    assert without(reached, NOON) == rule.charge(None, NOON + HOUR)
    assert without(reached, NOON + 1) == reached


@pytest.mark.parametrize(("cap", "span"), [("1 per day", 1), ("1 per week", 7), ("1 per month", 31)])
def test_a_calendars_period_is_read_the_strict_way_as_rolling_days(cap: str, span: int) -> None:
    one = program(cap)
    reached = Rule(one).charge(None, NOON)

    assert ask(one, waiting(reached=reached), NOON + 1) == Later(
        NOON + int(timedelta(days=span).total_seconds()) * 1000
    )


rows = st.builds(
    Waiting._replace,
    st.just(waiting()),
    missing=st.sampled_from([ALL_PARTS, 1]),
    crashes=st.integers(0, 1),
    purpose=st.sampled_from([Purpose.MARKETING, Purpose.SERVICE, Purpose.REPLY]),
    program=st.sampled_from(["club", "", "other"]),
    zone=st.sampled_from(["America/Los_Angeles", "Asia/Tokyo"]),
    valid_until=st.sampled_from([0, NOON, NOON + HOUR, NOON + 12 * HOUR]),
    stopped_at=st.sampled_from([None, NOON - HOUR]),
    reached=st.sampled_from([None, "", (NOON - HOUR).to_bytes(8, "little").hex()]),
)


@given(st.lists(st.tuples(rows, st.sampled_from([NOON, NOON + HOUR, NOON + 8 * HOUR])), max_size=30))
def test_what_was_said_of_one_is_said_of_nobody_who_differs(asked: list[tuple[Waiting, int]]) -> None:
    programs = {"club": program("1 per 24 h", hours="9:00-21:00")}
    keeper = Gatekeeper(programs)

    assert [keeper(each, now) for each, now in asked] == [Gatekeeper(programs)(each, now) for each, now in asked]
