"""A way that is out gets no texts, is tried with a few, and is trusted again only when those went well."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.breaking import (
    DOWN_S,
    FIRST_PAUSE_S,
    LEAST,
    LONGEST_PAUSE_S,
    NO_LINE,
    PATIENCE_S,
    PROBES,
    WINDOW_S,
    Breaker,
    Standing,
)

Broken = Callable[[float], Breaker]


@pytest.fixture
def breaker() -> Breaker:
    return Breaker(0.0, random.Random(1))


@pytest.fixture
def shut() -> Breaker:
    """One that was shut at 0 for failures."""
    made = Breaker(0.0, random.Random(1))
    made.answered(0, LEAST, 0.0)
    return made


def test_everything_may_be_sent_while_nothing_is_wrong(breaker: Breaker) -> None:
    breaker.answered(1_000, 400, 1.0)
    assert (breaker.state(1.0), breaker.allowance(1.0), breaker.why) == (Standing.OPEN, None, "")


def test_half_of_enough_answers_shut_it(breaker: Breaker) -> None:
    breaker.answered(0, LEAST - 1, 1.0)
    assert breaker.state(1.0) is Standing.OPEN
    breaker.answered(LEAST - 1, 0, 1.5)
    assert breaker.state(1.5) is Standing.SHUT
    assert breaker.allowance(1.5) == 0
    assert breaker.why == "19 of 38 texts failed"


def test_failures_of_long_ago_say_nothing(breaker: Breaker) -> None:
    breaker.answered(0, LEAST - 1, 1.0)
    breaker.answered(0, 1, 2.0 + WINDOW_S)
    assert breaker.state(2.0 + WINDOW_S) is Standing.OPEN


def test_a_line_that_comes_back_soon_shuts_nothing(breaker: Breaker) -> None:
    breaker.line(bound=False, now=1.0)
    breaker.line(bound=False, now=DOWN_S)
    breaker.line(bound=True, now=DOWN_S + 0.5)
    assert breaker.state(100.0) is Standing.OPEN


def test_a_line_that_stays_down_shuts_it_until_it_is_back_and_then_it_is_tried_at_once(breaker: Breaker) -> None:
    breaker.line(bound=False, now=1.0)
    assert breaker.state(1.0 + DOWN_S) is Standing.SHUT
    assert breaker.why == NO_LINE
    assert breaker.state(10_000.0) is Standing.SHUT
    breaker.line(bound=True, now=10_001.0)
    assert (breaker.state(10_001.0), breaker.allowance(10_001.0)) == (Standing.TRYING, PROBES)


def test_a_line_that_is_back_does_not_end_a_pause_for_failures(shut: Breaker) -> None:
    shut.line(bound=False, now=0.1)
    shut.line(bound=True, now=0.2)
    assert shut.state(0.2) is Standing.SHUT


def test_a_refused_account_shuts_it_at_once(breaker: Breaker) -> None:
    breaker.trouble("wrong password", 1.0)
    assert (breaker.state(1.0), breaker.why) == (Standing.SHUT, "wrong password")


def test_a_few_texts_try_it_after_the_pause_and_no_more(shut: Breaker) -> None:
    at = shut.tries_at(0.0)
    assert FIRST_PAUSE_S / 2 <= at <= FIRST_PAUSE_S
    assert shut.allowance(at - 0.01) == 0
    assert shut.allowance(at) == PROBES
    shut.spent(PROBES - 2, at)
    assert shut.allowance(at) == 2
    shut.spent(5, at)
    assert shut.allowance(at) == 0


def test_it_is_trusted_again_when_all_of_them_went_well(shut: Breaker) -> None:
    at = shut.tries_at(0.0)
    shut.answered(PROBES - 1, 0, at)
    assert shut.state(at) is Standing.TRYING
    shut.answered(1, 0, at)
    assert (shut.state(at), shut.why) == (Standing.OPEN, "")
    shut.answered(0, LEAST - 1, at)  # and the failures of before are forgotten
    assert shut.state(at) is Standing.OPEN


def test_one_bad_answer_shuts_it_again_for_longer(shut: Breaker) -> None:
    at, longest = shut.tries_at(0.0), FIRST_PAUSE_S
    for _ in range(12):
        shut.answered(3, 1, at)
        longest = min(LONGEST_PAUSE_S, 2 * longest)
        pause = shut.tries_at(at) - at
        assert longest / 2 <= pause <= longest
        at += pause
    assert longest == LONGEST_PAUSE_S


def test_texts_that_tried_it_and_are_never_answered_are_bad_answers(shut: Breaker) -> None:
    at = shut.tries_at(0.0)
    shut.spent(PROBES, at)
    assert shut.state(at + PATIENCE_S - 0.01) is Standing.TRYING
    assert shut.state(at + PATIENCE_S) is Standing.SHUT


def test_two_channels_are_not_tried_in_one_moment() -> None:
    pauses = set()
    for seed in range(20):
        one = Breaker(0.0, random.Random(seed))
        one.trouble("down", 0.0)
        pauses.add(one.tries_at(0.0))
    assert len(pauses) == 20


class AnyCarrier(RuleBasedStateMachine):
    """A carrier and a clock that do what they like."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(0.0, random.Random(3))
        self.now = 0.0
        self.down_since: float | None = None
        self.handed = 0  # since it began to be tried
        self.bad_in_window: list[tuple[float, int]] = []
        self.was = Standing.OPEN
        self.blamed = False  # something was said that may shut it

    @rule(seconds=st.floats(0, 40))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        if self.down_since is not None and self.now - self.down_since >= DOWN_S:
            self.blamed = True

    @rule(good=st.integers(0, 40), bad=st.integers(0, 40))
    def answer(self, good: int, bad: int) -> None:
        self.blamed |= bad > 0
        self.breaker.answered(good, bad, self.now)

    @rule(bound=st.booleans())
    def line(self, bound: bool) -> None:
        if bound:
            self.down_since = None
        elif self.down_since is None:
            self.down_since = self.now
        self.breaker.line(bound=bound, now=self.now)

    @rule()
    def trouble(self) -> None:
        self.blamed = True
        self.breaker.trouble("refused", self.now)
        assert self.breaker.state(self.now) is Standing.SHUT

    @precondition(lambda self: self.breaker.allowance(self.now))
    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        allowed = self.breaker.allowance(self.now)
        assert allowed
        sent = data.draw(st.integers(1, allowed))
        self.breaker.spent(sent, self.now)
        assert self.breaker.allowance(self.now) == allowed - sent

    @invariant()
    def what_it_allows_is_what_it_says(self) -> None:
        state, allowed = self.breaker.state(self.now), self.breaker.allowance(self.now)
        assert (allowed is None) == (state is Standing.OPEN)
        assert state is not Standing.SHUT or allowed == 0
        assert allowed is None or 0 <= allowed <= PROBES
        assert bool(self.breaker.why) == (state is not Standing.OPEN)

    @invariant()
    def it_is_shut_only_when_something_was_wrong(self) -> None:
        assert self.blamed or self.breaker.state(self.now) is Standing.OPEN

    @invariant()
    def with_a_line_it_is_always_tried_again_within_the_longest_pause(self) -> None:
        if self.down_since is None:
            assert self.breaker.tries_at(self.now) <= self.now + LONGEST_PAUSE_S

    @invariant()
    def it_never_goes_from_shut_to_open_untried(self) -> None:
        state = self.breaker.state(self.now)
        assert not (self.was is Standing.SHUT and state is Standing.OPEN)
        self.was = state


TestAnyCarrier = AnyCarrier.TestCase


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.floats(0, 5)), max_size=30))
def test_while_most_answers_are_good_it_stays_open(batches: list[tuple[int, int, float]]) -> None:
    breaker, now = Breaker(0.0, random.Random(5)), 0.0
    for good, bad, wait in batches:
        now += wait
        breaker.answered(good + bad + 1, bad, now)
        assert breaker.state(now) is Standing.OPEN
