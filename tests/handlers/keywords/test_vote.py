"""Votes by text, in every spelling, and what is said when one does not count."""

from __future__ import annotations

import pytest

from campaigns import contests
from campaigns.settings import Config, Opening
from gateway.clock import StoppedClock
from gateway.store import Store
from gateway.values import Calendar, Frequency
from tests.conftest import Apply
from tests.handlers.keywords.conftest import Phone

COUNTED = "Got it: 3, The owl. Next vote from this phone: tomorrow."


async def with_cup(apply: Apply, config: Config, store: Store, **changes: object) -> Phone:
    cup = config.contests["cup"].model_copy(update=changes)
    return Phone(store, await apply(config.model_copy(update={"contests": {"cup": cup}})), "+12065550142")


@pytest.mark.parametrize("text", ["VOTE 3", "vote3", "Vote: 3!", "投票3", "ＶＯＴＥ　３", "vote the owl"])
async def test_a_vote_counts_however_it_is_written(phone: Phone, text: str) -> None:
    assert await phone.texts(text) == [COUNTED]
    assert phone.said == "vote 3 counted"


async def test_a_second_vote_is_told_that_the_first_still_counts(phone: Phone) -> None:
    await phone.texts("VOTE 3")
    assert await phone.texts("VOTE 1") == ["This phone voted today for 3, The owl. It still counts."]
    assert phone.said == "vote 1 not counted: voted 3 already"


async def test_a_vote_by_page_is_known_to_the_text(store: Store, phone: Phone) -> None:
    await phone.texts("VOTE")
    now = phone.business.clock.now_ms()
    await store.write(contests.vote, phone.business, "cup", phone.person, "2", contests.PAGE, now)
    assert await phone.texts("3") == ["This phone voted today for 2, The crane. It still counts."]


async def test_tomorrow_the_phone_may_vote_again(phone: Phone, clock: StoppedClock) -> None:
    await phone.texts("VOTE 3")
    clock.advance(seconds=6 * 3_600)
    assert await phone.texts("VOTE 3") == [COUNTED]


async def test_a_bare_keyword_asks_the_question(phone: Phone) -> None:
    assert await phone.texts("VOTE") == [
        "Which drawing goes on our next cup? Reply VOTE and a number: 1 fox, 2 crane, 3 owl."
    ]
    assert await phone.texts("3") == [COUNTED]


async def test_an_option_that_is_not_there_is_asked_for(phone: Phone) -> None:
    assert await phone.texts("VOTE 9") == ["Which one? Reply VOTE and a number. Choices: 1 fox, 2 crane, 3 owl."]


async def test_a_vote_of_a_person_who_left_counts_and_brings_no_offer(phone: Phone) -> None:
    await phone.texts("STOP")
    assert await phone.texts("VOTE 3") == [COUNTED]


async def test_votes_that_are_left_are_counted_down(store: Store, apply: Apply, shipped_config: Config) -> None:
    phone = await with_cup(apply, shipped_config, store, votes=Frequency(2, Calendar.WEEK))
    assert await phone.texts("VOTE 3") == ["Got it: 3, The owl. Votes left for this phone: 1."]
    assert await phone.texts("VOTE 3") == ["Got it: 3, The owl. Next vote from this phone: Mon 7 Dec at 12:00 am."]
    assert await phone.texts("VOTE 3") == ["This phone has voted for 3, The owl. It still counts."]


async def test_the_only_vote_is_thanked_for(store: Store, apply: Apply, shipped_config: Config) -> None:
    phone = await with_cup(apply, shipped_config, store, votes=Frequency(1, None))
    assert await phone.texts("VOTE 3") == ["Got it: 3, The owl. Thank you."]


async def test_before_and_after_the_window_we_say_when(
    store: Store, apply: Apply, shipped_config: Config, clock: StoppedClock
) -> None:
    opening = Opening.model_validate({"from": "2026-12-03", "until": "2026-12-04"})
    phone = await with_cup(apply, shipped_config, store, open=opening)

    assert await phone.texts("VOTE 3") == ["Voting opens on Thu 3 Dec at 12:00 am."]
    assert await phone.texts("VOTE") == ["Voting opens on Thu 3 Dec at 12:00 am."]
    clock.advance(seconds=4 * 86_400)
    assert await phone.texts("votee 3") == ["Voting ended on 4 Dec. Results: http://localhost:8080/cup"]


async def test_yes_to_an_option_that_was_taken_out_is_no_vote(
    store: Store, apply: Apply, shipped_config: Config, phone: Phone
) -> None:
    await phone.texts("votee 3")
    cup = shipped_config.contests["cup"]
    two = {key: option for key, option in cup.options.items() if key != "3"}
    phone.business = (await with_cup(apply, shipped_config, store, options=two)).business
    await phone.texts("yes")
    assert phone.said.startswith("not understood")


async def test_a_question_about_a_contest_that_was_taken_out_waits_for_nothing(
    store: Store, apply: Apply, shipped_config: Config, phone: Phone
) -> None:
    await phone.texts("VOTE")
    without = {"contests": {}, "keywords": {"HOURS": shipped_config.keywords["HOURS"]}, "pages": {}}
    phone.business = await apply(shipped_config.model_copy(update=without))
    await phone.texts("3")
    assert phone.said == "not understood, named HOURS"
