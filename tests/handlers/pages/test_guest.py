"""What a page needs to know of its reader."""

from __future__ import annotations

import pytest

from campaigns.business import Business
from campaigns.settings import Config
from handlers.pages import paths
from handlers.pages.guest import country_of, digits, own_name, sender_for
from tests.conftest import Apply


@pytest.mark.parametrize(
    ("country", "number"), [("US", "20655"), ("CA", "20655"), ("CN", "10690555"), ("DE", "20655"), ("", "20655")]
)
def test_a_phone_texts_to_the_sender_of_its_country_else_to_the_first(
    business: Business, country: str, number: str
) -> None:
    assert sender_for(business, country).number == number


@pytest.mark.parametrize(
    ("language", "country"), [("en", "US"), ("zh", "CN"), ("zh-Hans", "CN"), ("de", "US"), ("xx", "US")]
)
def test_a_reader_of_a_language_is_where_it_is_spoken_if_we_text_there(
    business: Business, language: str, country: str
) -> None:
    assert country_of(business, language) == country


@pytest.mark.parametrize(("code", "name"), [("en", "English"), ("zh", "中文"), ("es", "español")])
def test_a_language_is_called_by_its_own_name(code: str, name: str) -> None:
    assert own_name(code) == name


def test_a_phone_is_known_by_its_last_two_digits() -> None:
    assert digits("+12065550142") == "42"


async def test_a_contest_or_coupon_without_a_page_has_no_address(apply: Apply, shipped_config: Config) -> None:
    business = await apply(shipped_config)
    assert (paths.vote_page(business, "cup"), paths.results_page(business, "cup")) == ("/cup", "/cup/results")
    assert paths.till_page(business, "latte") == "/till"
    bare = await apply(shipped_config.model_copy(update={"pages": {}}))
    assert paths.vote_page(bare, "cup") == paths.results_page(bare, "cup") == paths.till_page(bare, "latte") == ""
