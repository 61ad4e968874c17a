"""The rules of the simulated carrier, drawn from a seed."""

from __future__ import annotations

from collections import Counter

import pytest

from gateway.channels.simulator.fates import DELIVERED, UNDELIVERABLE, Fates, Rules
from gateway.codecs import smpp

NUMBER = "12065550142"


def words(fates: Fates, count: int) -> list[tuple[int, bytes]]:
    return [(fate.status, fate.word) for fate in (fates.of(NUMBER, 0.0) for _ in range(count))]


def test_without_rules_everything_is_delivered() -> None:
    assert set(words(Fates(Rules(), 1), 1000)) == {(smpp.OK, DELIVERED)}


def test_shares_come_out_near_what_the_rules_say() -> None:
    found = Counter(words(Fates(Rules(lose=0.1, fail=0.2, reject=0.3), 1), 10_000))
    assert 2700 < found[0x0B, DELIVERED] < 3300
    assert 1800 < found[smpp.OK, UNDELIVERABLE] < 2200
    assert 850 < found[smpp.OK, b""] < 1150


def test_the_same_seed_draws_the_same_fates() -> None:
    rules = Rules(lose=0.3, fail=0.3)
    assert words(Fates(rules, 5), 100) == words(Fates(rules, 5), 100)
    assert words(Fates(rules, 5), 100) != words(Fates(rules, 6), 100)


@pytest.mark.parametrize(
    ("ending", "status", "word"),
    [("0000", 0, UNDELIVERABLE), ("0001", 0x0B, DELIVERED), ("0002", 0, b""), ("0003", 0, DELIVERED)],
)
def test_magic_numbers_always_meet_their_fate(ending: str, status: int, word: bytes) -> None:
    fate = Fates(Rules(reject=0.5), 1).of("1206555" + ending, 0.0)
    assert (fate.status, fate.word) == (status, word)


def test_delays_stay_within_their_range_and_the_slow_number_takes_20_seconds() -> None:
    fates = Fates(Rules(delay_ms=(300, 1500)), 1)
    delays = [fates.delay_s(fates.of(NUMBER, 0.0)) for _ in range(1000)]
    assert 0.3 <= min(delays) < 0.35
    assert 1.45 < max(delays) <= 1.5
    assert fates.delay_s(fates.of("12065550003", 0.0)) == 20


def test_submits_over_the_rate_are_throttled_until_the_next_second() -> None:
    fates = Fates(Rules(throttle=3), 1)
    first = [fates.of(NUMBER, 10.1).status for _ in range(5)]
    assert first == [0, 0, 0, smpp.THROTTLED, smpp.THROTTLED]
    assert fates.of(NUMBER, 11.0).status == 0


@pytest.mark.parametrize(
    "wrong", [{"lose": 0.6, "fail": 0.5}, {"reject": -0.1}, {"delay_ms": (9, 3)}, {"delay_ms": (-1, 3)}]
)
def test_rules_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"shares|least"):
        Rules(**wrong)  # type: ignore[arg-type]
