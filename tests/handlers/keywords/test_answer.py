"""In which order a text is understood, and what is never answered."""

from __future__ import annotations

import pytest

from campaigns.business import Business
from gateway.clock import StoppedClock
from gateway.store import Store
from tests.handlers.keywords.conftest import US, Phone

UNSURE = "Did you mean 3, The owl? Reply 3. Choices: 1 fox, 2 crane, 3 owl."
COUNTED = "Got it: 3, The owl. Next vote from this phone: tomorrow."


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("Liked “Lantern Coffee: 2 for 1. Reply STOP to end”", "a phone's reaction, no answer"),
        ("Liked “VOTE 3”", "a phone's reaction, no answer"),
        ("I'm driving right now and will see your message later", "an auto-reply, no answer"),
        ("you are idiots", "angry: a person should read this, no answer"),
    ],
)
async def test_machines_and_anger_are_kept_and_not_answered(phone: Phone, text: str, outcome: str) -> None:
    assert await phone.texts(text) == []
    assert phone.said == outcome
    assert await phone.texts("STOP") != [], "nothing had been stopped by it"


@pytest.mark.parametrize("number", ["20655", "10690123", "Lantern"])
async def test_a_sender_that_is_no_phone_is_never_answered(store: Store, business: Business, number: str) -> None:
    robot = Phone(store, business, number)
    for text in ("HELP", "STOP", "LATTE", "what?"):
        assert await robot.texts(text) == []
    assert robot.said == "not from a phone, no answer"


async def test_yes_is_the_answer_to_our_question_and_not_a_start(phone: Phone) -> None:
    await phone.texts("STOP")
    assert await phone.texts("votee 3") == [UNSURE]
    assert await phone.texts("Yes") == [COUNTED]
    assert phone.said == "vote 3 counted"
    assert await phone.texts("yes") != []
    assert phone.said.startswith("START"), "no question waits any more"


async def test_yes_from_a_member_whom_nobody_asked_is_not_understood(phone: Phone) -> None:
    await phone.texts("LATTE")
    await phone.texts("yes")
    assert phone.said == "not understood, named LATTE, VOTE, HOURS"


async def test_a_stop_is_a_stop_while_a_question_waits(phone: Phone) -> None:
    await phone.texts("votee 3")
    [confirmation] = await phone.texts("END")
    assert "unsubscribed" in confirmation
    assert await phone.texts("3") == []
    assert phone.said == "not understood, has left: no answer"


async def test_a_keyword_is_followed_while_a_question_waits(phone: Phone) -> None:
    await phone.texts("votee 3")
    assert await phone.texts("HOURS") == ["Pike Place: 7am-7pm every day."]
    assert await phone.texts("the owl please") == [COUNTED]


async def test_a_guess_at_our_question_is_asked_about(phone: Phone) -> None:
    await phone.texts("VOTE")
    assert await phone.texts("owll") == [UNSURE]
    assert await phone.texts("3") == [COUNTED]


async def test_a_bare_number_is_no_vote_without_a_question_or_an_hour_after_it(
    phone: Phone, clock: StoppedClock
) -> None:
    await phone.texts("3")
    assert phone.said.startswith("not understood")
    await phone.texts("VOTE")
    clock.advance(seconds=3_601)
    assert await phone.texts("3") == []
    assert phone.said == "not understood, told today"


async def test_what_we_do_not_understand_is_answered_once_a_day(phone: Phone, clock: StoppedClock) -> None:
    default = ["Lantern Coffee: we do not know this word. Try LATTE, VOTE, HOURS, or HELP."]

    assert await phone.texts("good morning") == default
    assert await phone.texts("good night") == []
    clock.advance(seconds=24 * 3_600)
    assert await phone.texts("good morning") == default


async def test_a_keyword_that_is_nearly_right_is_named_and_not_acted_upon(phone: Phone) -> None:
    assert await phone.texts("lattee") == ["Lantern Coffee: we do not know this word. Try LATTE, or HELP."]
    assert await phone.count("consent_list", person=phone.person) == 0


async def test_two_robots_do_not_talk_for_ever(phone: Phone) -> None:
    for word in ("HOURS", "HELP", "VOTE 3"):
        answers = [await phone.texts(word) for _ in range(30)]
        assert sum(map(len, answers)) <= 11
        assert phone.said.endswith(", told often enough")


async def test_a_text_answers_the_campaign_that_wrote_last(store: Store, phone: Phone) -> None:
    await phone.texts("hello")
    await store.write(
        lambda tx: tx.run("run_insert", id=7, brand=1, campaign="spring", occurrence="1", config=1, due=0, until=0)
    )
    message = (9, 1, 7, phone.person, "marketing", "", *US, phone.number, "", "", 1, 0, 0, 0, 0)
    await store.write(lambda tx: tx.many("message_insert", [message]))

    await phone.texts("HOURS")

    done = await store.read(lambda tx: tx.rows("activity_of_person", person=phone.person))
    assert [row[:2] for row in done] == [("replied", "spring")]


async def test_a_reader_of_chinese_is_answered_in_chinese_behind_the_senders_sign(chinese_phone: Phone) -> None:
    assert await chinese_phone.texts("投票3") == ["【灯笼咖啡】已收到：3号 猫头鹰。本机明天可再投。"]
    assert await chinese_phone.texts("退订") == ["【灯笼咖啡】您已退订，不会再收到我们的短信。如需恢复，请回复START。"]
