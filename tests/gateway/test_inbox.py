"""What arrives is kept before it is thanked, has one effect, and a long text comes together from its pieces."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.clock import StoppedClock
from gateway.codecs import parts
from gateway.ids import Ids
from gateway.inbox import AT_ONCE, PIECES_MS, REPEAT_MS, RETURN_MS, Heard, Inbox, Kept
from gateway.journal import Arrived, Journal, Parked
from gateway.messages import Inbound, Joint, Receipt, State
from gateway.store import Store, Tx
from tests.conftest import EVENING, EmptyStores
from tests.gateway.carrier import Carrier
from tests.tables import run_out_of_room

ANNA, BEN = "+12065550161", "+12065550162"


class Desk:
    """An inbox with its carrier; `heard` is what was thought about, in order."""

    def __init__(self, store: Store, clock: StoppedClock) -> None:
        self.store, self.clock = store, clock
        self.carrier = Carrier()
        self.heard: list[tuple[str, str]] = []
        self.thinking: list[list[str]] = []  # the texts of each try
        self.troubles: list[Exception] = []  # what the next tries meet
        self.inbox = self._inbox()
        self.line = clock.now_ms()
        self.carrier.living = [self.line]

    def _inbox(self) -> Inbox:
        inbox = Inbox(
            store=self.store, clock=self.clock, ids=Ids(self.clock.now_ms), brand=1, journal=Journal(1),
            recognise=self._recognise, answer=self._answer, replied=lambda: None,
        )  # fmt: skip
        inbox.channels = {"us": self.carrier}
        return inbox

    async def _recognise(self, tx: Tx, channel: str, texts: Sequence[Inbound], at: int) -> list[Heard]:
        return [Heard(1, "")] * len(texts)

    async def _answer(self, tx: Tx, texts: Sequence[Kept]) -> list[str]:
        self.thinking.append([kept.text for kept in texts])
        if self.troubles:
            raise self.troubles.pop(0)
        if any(kept.text == "TRAP" for kept in texts):
            raise ValueError("a trap")
        tx.after_commit(self.heard.extend, [(kept.sender, kept.text) for kept in texts])
        return ["heard"] * len(texts)

    async def settled(self) -> None:
        """Until everything is kept and thought about."""
        for _ in range(2_000):
            if self.inbox.is_idle:
                return
            await asyncio.sleep(0.001)
        raise AssertionError("the inbox does not come to rest")

    async def bring(self, *texts: Inbound) -> None:
        """One read of the line."""
        self.inbox.arrived("us", [], list(texts))
        await self.settled()

    async def fall(self) -> None:
        """The line falls now, having been seen alive to the last."""
        await self.store.write(self._alive)
        self.carrier.living = []

    def bind(self) -> None:
        """A new line, a moment later."""
        self.clock.advance(ms=500)
        self.line = self.clock.now_ms()
        self.carrier.living = [*self.carrier.living, self.line]

    async def _alive(self, tx: Tx) -> None:
        now = self.clock.now_ms()
        await tx.many("line_alive", [("us", line, 1, now) for line in self.carrier.living])

    def text(self, words: str, sender: str = ANNA, *, id_: str = "", joint: Joint | None = None) -> Inbound:
        """A text as SMPP brings it: without an id, with a fingerprint of its bytes."""
        fingerprint = "" if id_ else hashlib.sha256(f"{sender}|{words}|{joint}".encode()).hexdigest()
        return Inbound(sender, "20655", words, id_, fingerprint, joint, self.line, (sender, words))


@pytest.fixture
def desk(store: Store, clock: StoppedClock) -> Desk:
    return Desk(store, clock)


# --- repeats ---------------------------------------------------------------------------------------------------------


async def test_the_same_words_on_one_line_are_two_texts_even_in_one_read(desk: Desk) -> None:
    await desk.bring(desk.text("VOTE 3"), desk.text("VOTE 3"))
    await desk.bring(desk.text("VOTE 3"))

    assert desk.heard == [(ANNA, "VOTE 3")] * 3
    assert len(desk.carrier.thanked) == 3


async def test_after_the_line_fell_the_same_text_is_a_repeat_that_is_thanked_and_not_heard(desk: Desk) -> None:
    await desk.bring(desk.text("VOTE 3"))
    desk.clock.advance(ms=REPEAT_MS)
    await desk.fall()
    desk.bind()
    await desk.bring(desk.text("VOTE 3"))

    assert desk.heard == [(ANNA, "VOTE 3")]
    assert len(desk.carrier.thanked) == 2


async def test_a_text_from_more_than_a_minute_before_the_fall_was_thanked_so_the_same_words_are_new(desk: Desk) -> None:
    await desk.bring(desk.text("VOTE 3"))
    desk.clock.advance(ms=REPEAT_MS + 1)
    await desk.fall()
    desk.bind()
    await desk.bring(desk.text("VOTE 3"))

    assert desk.heard == [(ANNA, "VOTE 3")] * 2


async def test_another_line_that_lives_brings_new_texts_and_no_repeats(desk: Desk) -> None:
    await desk.bring(desk.text("VOTE 3"))
    desk.bind()
    await desk.bring(desk.text("VOTE 3"))

    assert desk.heard == [(ANNA, "VOTE 3")] * 2


async def test_other_words_or_another_phone_are_no_repeat(desk: Desk) -> None:
    await desk.bring(desk.text("VOTE 3"))
    await desk.fall()
    desk.bind()
    await desk.bring(desk.text("VOTE 2"), desk.text("VOTE 3", BEN))

    assert len(desk.heard) == 3


async def test_of_two_equal_texts_each_may_come_back_once_and_a_third_is_new(desk: Desk) -> None:
    await desk.bring(desk.text("VOTE 3"), desk.text("VOTE 3"))
    await desk.fall()
    desk.bind()
    await desk.bring(desk.text("VOTE 3"), desk.text("VOTE 3"))
    assert len(desk.heard) == 2

    await desk.bring(desk.text("VOTE 3"))
    assert len(desk.heard) == 3


async def test_a_text_that_is_brought_again_on_each_of_several_lines_is_heard_once(desk: Desk) -> None:
    await desk.bring(desk.text("LATTE"))
    for _ in range(4):
        await desk.fall()
        desk.bind()
        await desk.bring(desk.text("LATTE"))

    assert desk.heard == [(ANNA, "LATTE")]


async def test_the_next_days_vote_counts_though_a_line_fell_after_yesterdays(desk: Desk) -> None:
    await desk.bring(desk.text("VOTE 3"))
    await desk.fall()
    desk.bind()
    desk.clock.advance(ms=RETURN_MS + 1000)
    await desk.bring(desk.text("VOTE 3"))

    assert desk.heard == [(ANNA, "VOTE 3")] * 2


async def test_what_the_carrier_brings_when_we_come_back_after_a_night_is_still_a_repeat(desk: Desk) -> None:
    await desk.bring(desk.text("VOTE 3"))
    await desk.fall()
    desk.clock.advance(seconds=9 * 3600)
    desk.bind()
    await desk.bring(desk.text("VOTE 3"))

    assert desk.heard == [(ANNA, "VOTE 3")]


async def test_after_a_restart_a_repeat_is_known(desk: Desk) -> None:
    await desk.bring(desk.text("LATTE"))
    again = Desk(desk.store, desk.clock)
    again.carrier.living = []
    again.bind()
    await again.bring(again.text("LATTE"))

    assert again.heard == []


async def test_a_carriers_own_id_has_one_effect_on_any_line_at_any_time(desk: Desk) -> None:
    await desk.bring(desk.text("LATTE", id_="SM1"), desk.text("LATTE", id_="SM1"), desk.text("LATTE", id_="SM2"))
    desk.clock.advance(seconds=6 * 86_400)
    desk.bind()
    await desk.bring(desk.text("LATTE", id_="SM1"))

    assert desk.heard == [(ANNA, "LATTE")] * 2
    assert len(desk.carrier.thanked) == 4


# --- pieces ----------------------------------------------------------------------------------------------------------


def pieces_of(desk: Desk, words: str, reference: int, sender: str = ANNA) -> list[Inbound]:
    """A long text as its phone cuts it."""
    coding, octets = parts.split(words, reference)
    found = []
    for piece in octets:
        text, joint = parts.read(piece, coding, True)
        assert joint is not None
        found.append(desk.text(text, sender, joint=joint))
    return found


LONG = ["I would like to tell you very much indeed. " * 9, "我想说很多很多的话。" * 30, "🦊🦉 " * 60]


@given(st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_long_texts_come_together_from_pieces_in_any_order_doubled_and_mingled(
    empty_stores: EmptyStores, data: st.DataObject
) -> None:
    sent = data.draw(
        st.lists(st.tuples(st.sampled_from([ANNA, BEN]), st.sampled_from(LONG)), min_size=1, max_size=4, unique=True)
    )

    async def play(store: Store) -> list[tuple[str, str]]:
        desk = Desk(store, StoppedClock(EVENING))
        pieces = [
            piece
            for reference, (sender, words) in enumerate(sent)
            for piece in pieces_of(desk, words, reference, sender)
        ]
        doubled = pieces + data.draw(st.lists(st.sampled_from(pieces), max_size=6))
        order = data.draw(st.permutations(doubled))
        cut = data.draw(st.integers(0, len(order)))
        await desk.bring(*order[:cut])
        await desk.bring(*order[cut:])
        desk.clock.advance(ms=PIECES_MS + 1)
        assert await store.write(desk.inbox.complete_stale, desk.clock.now_ms()) == 0
        assert len(desk.carrier.thanked) == len(order)
        return desk.heard

    with empty_stores() as store:
        assert sorted(asyncio.run(play(store))) == sorted(sent)


async def test_a_long_text_said_twice_is_two_texts(desk: Desk) -> None:
    await desk.bring(*pieces_of(desk, LONG[0], 1), *pieces_of(desk, LONG[0], 2))

    assert desk.heard == [(ANNA, LONG[0])] * 2


async def test_two_phones_that_count_alike_do_not_mix(desk: Desk) -> None:
    mingled = [
        piece for pair in zip(pieces_of(desk, LONG[0], 9, ANNA), pieces_of(desk, LONG[0], 9, BEN), strict=True)
        for piece in pair
    ]  # fmt: skip
    await desk.bring(*mingled)

    assert sorted(desk.heard) == [(ANNA, LONG[0]), (BEN, LONG[0])]


async def test_what_there_is_of_a_text_whose_piece_never_comes_is_kept_after_ten_minutes(desk: Desk) -> None:
    first, second, *_ = pieces_of(desk, LONG[0], 5)
    await desk.bring(second)
    desk.clock.advance(ms=PIECES_MS - 1)
    await desk.bring(first)
    desk.clock.advance(ms=PIECES_MS)
    assert await desk.store.write(desk.inbox.complete_stale, desk.clock.now_ms()) == 0
    desk.clock.advance(ms=1)
    assert await desk.store.write(desk.inbox.complete_stale, desk.clock.now_ms()) == 1
    desk.inbox.think()
    await desk.settled()

    assert desk.heard == [(ANNA, first.text + second.text)]
    assert await desk.store.write(desk.inbox.complete_stale, desk.clock.now_ms()) == 0


async def test_pieces_on_both_sides_of_a_fall_make_one_text(desk: Desk) -> None:
    first, second, third = pieces_of(desk, LONG[0], 5)
    await desk.bring(first, second)
    await desk.fall()
    desk.bind()
    await desk.bring(*(piece._replace(line=desk.line) for piece in (second, third)))

    assert desk.heard == [(ANNA, LONG[0])]


# --- when the store fails --------------------------------------------------------------------------------------------


async def test_what_could_not_be_kept_is_refused_so_that_the_carrier_brings_it_again(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.inbox.arrived("us", [], [desk.text("LATTE")._replace(recipient=None)])  # type: ignore[arg-type]
    await desk.settled()
    await desk.bring(desk.text("VOTE 3"))

    assert (len(desk.carrier.refused), len(desk.carrier.thanked)) == (1, 1)
    assert desk.heard == [(ANNA, "VOTE 3")]
    assert "could not be kept" in caplog.text


async def test_a_thought_that_could_not_be_committed_is_thought_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.inbox.THINK_AGAIN_S", 0.02)
    think, tries = desk.inbox._think, 0

    async def fails_once(tx: Tx) -> int:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise OSError("the disk is full")
        return await think(tx)

    monkeypatch.setattr(desk.inbox, "_think", fails_once)
    desk.troubles = [ValueError("so it waits")]
    with caplog.at_level(logging.CRITICAL):
        await desk.bring(desk.text("LATTE"))
    await asyncio.sleep(0.1)
    await desk.settled()

    assert desk.heard == [(ANNA, "LATTE")]


async def test_a_text_that_met_a_full_disk_is_thought_again_and_not_called_a_failure(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.inbox.THINK_AGAIN_S", 0.02)
    hear, tries = desk._answer, 0

    async def answer(tx: Tx, texts: Sequence[Kept]) -> list[str]:
        nonlocal tries
        tries += 1
        if tries == 2:
            await run_out_of_room(tx)
        return await hear(tx, texts)

    monkeypatch.setattr(desk.inbox, "_answer", answer)
    desk.troubles = [ValueError("so it waits")]
    await desk.bring(desk.text("LATTE"))
    await asyncio.sleep(0.1)
    await desk.settled()

    assert desk.heard == [(ANNA, "LATTE")]
    assert desk.inbox.failed == 0
    assert "trying again" in caplog.text


async def test_a_text_that_meets_a_full_disk_before_it_is_kept_is_refused_and_answered_when_it_comes_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hear = desk._answer

    async def answer(tx: Tx, texts: Sequence[Kept]) -> list[str]:
        if not desk.carrier.refused:
            await run_out_of_room(tx)
        return await hear(tx, texts)

    monkeypatch.setattr(desk.inbox, "_answer", answer)
    await desk.bring(desk.text("LATTE", id_="a"))
    assert (len(desk.carrier.refused), desk.carrier.thanked, desk.heard) == (1, [], [])
    await desk.bring(desk.text("LATTE", id_="a"))

    assert (len(desk.carrier.thanked), desk.heard) == (1, [(ANNA, "LATTE")])
    assert "could not be kept" in caplog.text


# --- thinking --------------------------------------------------------------------------------------------------------


async def kept_texts(desk: Desk) -> list[tuple[str, int, str]]:
    """What is on disk: words, whether it was thought about, and what came of it."""
    rows = await desk.store.read(lambda tx: tx.rows("inbound_of_person", person=1))
    return [(row[3], row[6], row[7]) for row in rows]


async def test_what_is_kept_is_thought_about_in_the_same_transaction(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(tx: Tx) -> int:
        raise AssertionError("there is nothing left to think about")

    monkeypatch.setattr(desk.inbox, "_think", never)
    await desk.bring(desk.text("VOTE 3"), desk.text("LATTE", BEN))

    assert await kept_texts(desk) == [("VOTE 3", 1, "heard"), ("LATTE", 1, "heard")]
    assert desk.thinking == [["VOTE 3", "LATTE"]]


async def test_one_text_that_makes_trouble_is_found_and_the_others_of_its_read_are_answered(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.CRITICAL):
        await desk.bring(desk.text("VOTE 3"), desk.text("TRAP"), desk.text("LATTE"))

    assert desk.heard == [(ANNA, "VOTE 3"), (ANNA, "LATTE")]
    assert desk.inbox.failed == 1
    assert len(desk.carrier.thanked) == 3
    failed = "the program failed: ValueError('a trap')"
    assert await kept_texts(desk) == [("VOTE 3", 1, "heard"), ("TRAP", 2, failed), ("LATTE", 1, "heard")]


async def test_a_text_is_not_thought_about_before_one_that_waits(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    think = desk.inbox._think
    may_think = asyncio.Event()

    async def later(tx: Tx) -> int:
        if not may_think.is_set():
            raise OSError("the disk is full")
        return await think(tx)

    monkeypatch.setattr("gateway.inbox.THINK_AGAIN_S", 0.02)
    monkeypatch.setattr(desk.inbox, "_think", later)
    desk.troubles = [ValueError("so it waits")]
    with caplog.at_level(logging.CRITICAL):
        await desk.bring(desk.text("VOTE 3"))
        await desk.bring(desk.text("LATTE"))
        assert (desk.heard, len(desk.carrier.thanked)) == ([], 2)
        may_think.set()
        await asyncio.sleep(0.1)
        await desk.settled()

    assert desk.heard == [(ANNA, "VOTE 3"), (ANNA, "LATTE")]


async def test_more_than_one_transaction_may_hold_is_kept_in_several_in_its_order(desk: Desk) -> None:
    words = [f"VOTE {n}" for n in range(2 * AT_ONCE + 1)]
    await desk.bring(*(desk.text(each) for each in words))

    assert [text for _, text in desk.heard] == words
    assert [len(each) for each in desk.thinking] == [AT_ONCE, AT_ONCE, 1]
    assert len(desk.carrier.thanked) == len(words)


async def test_texts_that_one_call_brought_are_kept_together_for_they_are_thanked_for_together(desk: Desk) -> None:
    call = object()
    before = [desk.text(f"VOTE {n}") for n in range(AT_ONCE - 1)]
    await desk.bring(*before, *(desk.text(f"LATTE {n}")._replace(handle=call) for n in range(3)), desk.text("HELP"))

    assert [len(each) for each in desk.thinking] == [AT_ONCE + 2, 1]


async def test_a_flood_on_one_channel_does_not_hold_up_what_comes_on_another(desk: Desk) -> None:
    desk.inbox.channels = {"us": desk.carrier, "cn": Carrier()}
    desk.inbox.arrived("us", [], [desk.text(f"VOTE {n}") for n in range(5 * AT_ONCE)])
    desk.inbox.arrived("cn", [], [desk.text("LATTE", BEN)])
    await desk.settled()

    assert len(desk.heard) == 5 * AT_ONCE + 1
    assert desk.heard.index((BEN, "LATTE")) == 2 * AT_ONCE


async def test_a_repeat_and_its_first_copy_in_one_read_are_one_text(desk: Desk) -> None:
    await desk.bring(desk.text("VOTE 3", id_="a"), desk.text("VOTE 3", id_="a"))
    older = desk.text("LATTE")
    desk.clock.advance(ms=500)
    desk.carrier.living = [desk.clock.now_ms()]
    younger = older._replace(line=desk.clock.now_ms(), handle="younger")
    await desk.bring(older, younger)

    assert desk.heard == [(ANNA, "VOTE 3"), (ANNA, "LATTE")]
    assert len(desk.carrier.thanked) == 4


async def test_a_receipt_that_could_not_be_kept_is_refused_and_matched_when_it_is_brought_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    journal = desk.inbox._journal
    journal.learn("us:c1", (7, 1, 0, 1))
    receipt = Receipt(("c1",), State.DELIVERED, "", "20655", ANNA, "handle")
    record = journal.record

    async def full(tx: Tx, arrived: Arrived) -> list[Parked]:
        await record(tx, arrived)
        raise OSError("the disk is full")

    with monkeypatch.context() as patched, caplog.at_level(logging.CRITICAL):
        patched.setattr(journal, "record", full)
        desk.inbox.arrived("us", [receipt], [])
        await desk.settled()
    assert (desk.carrier.refused, desk.carrier.thanked) == (["handle"], [])
    for _ in range(2):  # the carrier brings it again, and once more, for it did not hear our thanks
        desk.inbox.arrived("us", [receipt], [])
        await desk.settled()

    async def events(tx: Tx) -> list[tuple[int, int]]:
        return [(row[2], row[5]) for row in await tx.rows("event_after", n=0, limit=9)]

    assert desk.carrier.thanked == ["handle"] * 2
    assert await desk.store.read(events) == [(1, State.DELIVERED)]
    assert not journal.shelf.receipts
