"""STOP is confirmed once; coming back takes the person's own word."""

from __future__ import annotations

from campaigns import consent
from campaigns.settings import Config
from gateway.clock import StoppedClock
from gateway.store import Store
from tests.conftest import Apply
from tests.handlers.keywords.conftest import Phone

CONFIRMATION = "Lantern Coffee: you are unsubscribed and will get no more texts from us. Changed your mind? Text START."
WELCOME_BACK = (
    "Welcome back to Lantern Club: up to 4 texts a month. Msg&data rates may apply. HELP for help, STOP to end."
)
ASKED = (
    "Lantern Coffee: reply YES to join Lantern Club, up to 4 texts a month. Msg&data rates may apply. "
    "HELP for help, STOP to end."
)


async def test_a_stop_is_confirmed_once_and_the_second_gets_no_text(phone: Phone) -> None:
    assert await phone.texts("STOP") == [CONFIRMATION]
    assert phone.said == 'left by text "STOP"'
    assert await phone.texts("STOP!!") == []
    assert await phone.texts("please stop texting me") == []
    assert phone.said == "has left already, no answer"


async def test_start_brings_back_what_was_left(phone: Phone) -> None:
    await phone.texts("LATTE")
    await phone.texts("STOP")
    assert await phone.texts("START") == [WELCOME_BACK]
    assert await phone.count("consent_list", person=phone.person) == 1
    assert await phone.texts("unstop") == [
        "Lantern Coffee: you are subscribed to Lantern Club. HELP for help, STOP to end."
    ]


async def test_yes_is_start_for_a_person_who_left(phone: Phone) -> None:
    await phone.texts("LATTE")
    await phone.texts("STOP")
    assert await phone.texts("YES") == [WELCOME_BACK]


async def test_a_start_that_is_thought_about_after_a_later_stop_is_not_obeyed(phone: Phone) -> None:
    await phone.texts("LATTE")
    for text in ("STOP", "START", "STOP"):
        await phone.keeps(text)
    await phone.thinks()

    assert (await phone.got())[1:] == [CONFIRMATION]
    assert await phone.count("consent_list", person=phone.person) == 0
    assert await phone.count("stop_get", person=phone.person) == 1


async def test_a_start_that_is_thought_about_after_the_person_left_by_page_is_not_obeyed(
    phone: Phone, clock: StoppedClock
) -> None:
    await phone.texts("LATTE")
    await phone.keeps("START")
    clock.advance(ms=1)
    await phone.store.write(
        consent.leave, phone.business, phone.person, at=clock.now_ms(), source="page"
    )  # fmt: skip
    await phone.thinks()

    assert phone.said == "START, but a STOP came after it: not obeyed"
    assert await phone.count("stop_get", person=phone.person) == 1


async def test_a_stranger_who_texts_start_joins_only_by_yes(phone: Phone) -> None:
    assert await phone.texts("START") == [ASKED]
    assert await phone.count("consent_list", person=phone.person) == 0
    [welcome] = await phone.texts("YES")
    assert welcome.startswith("Welcome to Lantern Club: up to 4 texts a month.")
    assert await phone.count("consent_list", person=phone.person) == 1


async def test_the_question_to_join_does_not_wait_for_ever(phone: Phone, clock: StoppedClock) -> None:
    await phone.texts("START")
    clock.advance(seconds=24 * 3_600 + 1)
    await phone.texts("YES")
    assert await phone.count("consent_list", person=phone.person) == 0


async def test_a_stop_after_our_question_to_join_makes_yes_a_start(phone: Phone) -> None:
    await phone.texts("START")
    await phone.texts("STOP")
    assert await phone.texts("YES") == [ASKED]


async def test_a_wrong_number_gets_one_apology_and_nothing_more(phone: Phone) -> None:
    await phone.texts("LATTE")
    apology = ["Lantern Coffee: sorry, our mistake. This number will get no more texts from us."]
    assert await phone.texts("sorry, wrong number") == apology
    assert await phone.texts("wrong number!!") == []
    assert await phone.count("stop_get", person=phone.person) == 1


async def test_start_without_programmes_tells_who_we_are(store: Store, apply: Apply, shipped_config: Config) -> None:
    bare = shipped_config.model_copy(update={"programs": {}, "campaigns": {}, "keywords": {}})
    phone = Phone(store, await apply(bare), "+12065550142")
    [text] = await phone.texts("START")
    assert text.startswith("Lantern Coffee (Lantern Coffee)")
