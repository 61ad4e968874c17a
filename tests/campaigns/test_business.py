"""A business is what was applied, with what must outlive an apply."""

from __future__ import annotations

from datetime import timedelta

import pytest

from campaigns.business import Business, dialled
from campaigns.settings import Config
from gateway.clock import StoppedClock
from gateway.store import Store
from gateway.values import Calendar, Frequency
from tests.conftest import Apply


async def test_the_secret_and_the_queues_outlive_an_apply(
    apply: Apply, business: Business, shipped_config: Config, clock: StoppedClock
) -> None:
    clock.advance(seconds=3_600)
    again = await apply(shipped_config)
    assert again.secret == business.secret
    assert again.queues == business.queues
    assert again.wordings == business.wordings
    assert len(business.secret) == 32


async def test_more_codes_in_the_file_are_more_codes_in_the_pool(
    store: Store, apply: Apply, business: Business, shipped_config: Config
) -> None:
    latte = shipped_config.coupons["latte"].model_copy(update={"codes": 6_000})
    await apply(shipped_config.model_copy(update={"coupons": {"latte": latte}}))
    assert await store.read(lambda tx: tx.rows("pool_of", coupon="latte")) == [(6_000, 0)]


@pytest.mark.parametrize(("wanted", "ours"), [("zh", "zh"), ("zh-Hant", "zh"), ("es", "en"), ("", "en")])
def test_a_reader_gets_a_language_that_we_speak(business: Business, wanted: str, ours: str) -> None:
    assert business.language(wanted) == ours


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ((Frequency(4, timedelta(days=30)), Frequency(2, timedelta(hours=24))), "up to 4 texts a month"),
        ((Frequency(3, Calendar.WEEK),), "up to 3 texts a week"),
        ((Frequency(1, Calendar.DAY),), "up to 1 texts a day"),
        ((Frequency(5, timedelta(days=10)),), "up to 5 texts in 10 days"),
        ((Frequency(5, None),), "message frequency varies"),
        ((), "message frequency varies"),
    ],
)
def test_how_often_we_write_is_said_by_the_longest_limit(
    business: Business, limits: tuple[Frequency, ...], said: str
) -> None:
    club = business.config.programs["lantern_club"].model_copy(update={"at_most": limits})
    assert business.often(club, "en") == said


def test_a_telephone_number_is_said_as_it_is_dialled_at_home() -> None:
    assert dialled("+1 206 555 0100", "US") == "206-555-0100"
    assert dialled("+86 21 6279 8888", "CN") == "021 6279 8888"


def test_testers_are_known_by_their_whole_number(business: Business) -> None:
    assert business.testers == {"+12065550142"}
