"""Who guesses passwords waits, and the hall before the door does not fill up."""

from __future__ import annotations

import pytest

from gateway.channels.smpp_server import doorkeeper


def test_the_doorkeeper_forgets_so_that_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorkeeper, "MOST_REMEMBERED", 3)
    keeper = doorkeeper.Doorkeeper()
    for n in range(5):
        keeper.was_wrong(f"203.0.113.{n}", 0)
    assert [keeper.wait_s(f"203.0.113.{n}", 0) > 0 for n in range(5)] == [False, False, True, True, True]
    assert keeper.wait_s("203.0.113.4", doorkeeper.FORGOTTEN_S * 2) == 0


def test_each_wrong_password_makes_the_next_try_wait_longer_up_to_a_bound() -> None:
    keeper = doorkeeper.Doorkeeper()
    waits = []
    for _ in range(12):
        keeper.was_wrong("203.0.113.1", 0)
        waits.append(keeper._wrong["203.0.113.1"].until)
    assert waits[:4] == [0.5, 1.0, 2.0, 4.0]
    assert max(waits) == doorkeeper.LONGEST_S
    keeper.was_right("203.0.113.1")
    assert keeper.wait_s("203.0.113.1", 0) == 0


@pytest.mark.parametrize(
    ("host", "place"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_lines_are_counted_by_where_they_come_from(host: str, place: str) -> None:
    assert doorkeeper.place_of(host) == place


def test_tries_at_the_same_moment_wait_one_after_the_other() -> None:
    keeper = doorkeeper.Doorkeeper()
    keeper.was_wrong("203.0.113.1", 0)
    assert [keeper.wait_s("203.0.113.1", 0) for _ in range(3)] == [0.5, 1.0, 1.5]
    assert keeper.wait_s("203.0.113.2", 0) == 0


def test_only_so_many_wait_to_be_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorkeeper, "MOST_WAITING", 5)
    monkeypatch.setattr(doorkeeper, "MOST_WAITING_EACH", 3)
    keeper = doorkeeper.Doorkeeper()
    assert [keeper.enters("203.0.113.1") for _ in range(4)] == [True, True, True, False]
    assert [keeper.enters("203.0.113.2") for _ in range(3)] == [True, True, False]
    keeper.leaves("203.0.113.1")
    assert keeper.enters("203.0.113.3")
