"""The simulated carrier remembers many texts, and not for ever."""

from __future__ import annotations

import pytest

from gateway.channels.simulator import book
from gateway.channels.simulator.book import Book, Entry
from gateway.channels.simulator.fates import DELIVERED, UNDELIVERABLE


def test_at_least_the_younger_half_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "MOST", 10)
    kept = Book()
    for number in range(100):
        kept.note(str(number), Entry("20655", DELIVERED, 0.0))

    assert all(kept.find(str(number), "20655") for number in range(90, 100))
    assert kept.find("50", "20655") is None


def test_a_text_of_the_older_half_may_be_cancelled_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "MOST", 1)
    kept = Book()
    for number in range(2):
        kept.note(str(number), Entry("20655", UNDELIVERABLE, 5.0))

    assert kept.cancel("0", "20655", 1.0)
    assert not kept.cancel("0", "20655", 1.0)
    assert kept.cancel("1", "20655", 4.9)
    assert not kept.cancel("2", "20655", 1.0)
