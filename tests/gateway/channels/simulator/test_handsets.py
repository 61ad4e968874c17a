"""Virtual phones: whole texts, the time they waited, and a bounded memory."""

from __future__ import annotations

import asyncio

import pytest

from gateway.channels.simulator import handsets
from gateway.channels.simulator.handsets import HandsetMessage, Handsets
from gateway.messages import Joint

ANN, BEN, OURS = "+12065550142", "+12065550143", "20655"


def test_the_parts_of_a_long_text_show_as_one_in_any_order() -> None:
    phones = Handsets(keep=10)
    assert phones.received(ANN, OURS, "two", Joint(7, 2, 2), 5) is None
    assert phones.received(BEN, OURS, "other", Joint(7, 2, 1), 5) is None
    assert phones.received(ANN, OURS, "one ", Joint(7, 2, 1), 6) == HandsetMessage(6, True, OURS, "one two", 2, None)


def test_a_reference_used_again_starts_a_new_text() -> None:
    phones = Handsets(keep=10)
    phones.received(ANN, OURS, "lost", Joint(7, 2, 1), 1)
    phones.received(ANN, OURS, "new ", Joint(7, 2, 1), 2)
    whole = phones.received(ANN, OURS, "text", Joint(7, 2, 2), 3)
    assert whole is not None
    assert whole.text == "new text"


def test_the_delay_is_counted_from_the_handsets_own_last_text() -> None:
    phones = Handsets(keep=10)
    phones.sent(ANN, OURS, "VOTE 3", 1, at_ms=1000)
    phones.received(ANN, OURS, "Got it", None, at_ms=1020)
    assert [(message.incoming, message.delay_ms) for message in phones.of(ANN).messages] == [(False, None), (True, 20)]


def test_a_handset_keeps_its_last_200_messages() -> None:
    phones = Handsets(keep=1000)
    for number in range(250):
        phones.received(ANN, OURS, str(number), None, number)
    assert [message.text for message in phones.of(ANN).messages] == [str(number) for number in range(50, 250)]
    assert phones.of(ANN).count == 250


def test_over_all_handsets_the_oldest_messages_go_first() -> None:
    phones = Handsets(keep=300)
    for number in range(250):
        phones.received(ANN, OURS, str(number), None, number)
    for number in range(150):
        phones.received(BEN, OURS, str(number), None, number)
    assert len(phones.of(BEN).messages) == 150
    assert [phones.of(ANN).messages[0].text, len(phones.of(ANN).messages)] == ["100", 150]


def test_a_great_campaign_leaves_no_more_handsets_than_messages_are_kept() -> None:
    phones = Handsets(keep=50)
    for number in range(1000):
        phones.received(f"+1206{number:07}", OURS, "Offer", None, number)
    assert len(phones._by_number) == 50


def test_texts_that_never_become_whole_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handsets, "MOST_UNJOINED", 3)
    phones = Handsets(keep=50)
    for number in range(10):
        phones.received(ANN, OURS, "half", Joint(number, 2, 1), number)
    assert len(phones._unjoined) == 3


async def test_waiting_returns_the_first_text_to_come_after_a_count() -> None:
    phones = Handsets(keep=10)
    phones.received(ANN, OURS, "old", None, 1)
    before = phones.of(ANN).count
    phones.sent(ANN, OURS, "HELP", 1, 2)
    waiting = asyncio.create_task(phones.of(ANN).wait(before, 1))
    await asyncio.sleep(0)
    phones.received(ANN, OURS, "answer", None, 3)
    assert (await waiting).text == "answer"
    assert (await phones.of(ANN).wait(before, 1)).text == "answer"
    assert (await phones.of(ANN).wait(0, 1)).text == "old"


async def test_waiting_hears_a_text_even_when_none_is_kept() -> None:
    phones = Handsets(keep=0)
    waiting = asyncio.create_task(phones.of(ANN).wait(0, 1))
    await asyncio.sleep(0)
    phones.received(ANN, OURS, "answer", None, 3)
    assert (await waiting).text == "answer"


async def test_waiting_in_vain_ends() -> None:
    phones = Handsets(keep=10)
    phones.sent(ANN, OURS, "HELP", 1, 2)
    with pytest.raises(TimeoutError):
        await phones.of(ANN).wait(0, 0.01)
