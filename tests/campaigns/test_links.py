"""Links open one thing for one person, and nothing else."""

from __future__ import annotations

import dataclasses

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns import coupons, links
from campaigns.business import Business


def last(link: str) -> str:
    return link.rpartition("/")[2]


def test_a_coupon_link_is_short_and_opens_its_coupon_in_any_case(business: Business) -> None:
    code = coupons.new_code()
    link = links.coupon_link(business, code)

    assert len(link) <= 42
    assert link.startswith("http://localhost:8080/c/")
    assert links.coupon_of(business, last(link)) == links.coupon_of(business, last(link).upper()) == code


def test_no_other_last_character_opens_a_coupon(business: Business) -> None:
    token = last(links.coupon_link(business, coupons.new_code()))
    for place in range(len(token)):
        for other in coupons.ALPHABET.lower().replace(token[place], ""):
            assert links.coupon_of(business, token[:place] + other + token[place + 1 :]) is None


def test_a_link_of_another_business_opens_nothing(business: Business) -> None:
    other = dataclasses.replace(business, secret=b"another secret of thirty-two oct")
    assert links.coupon_of(other, last(links.coupon_link(business, coupons.new_code()))) is None
    assert links.voter_of(other, "cup", last(links.vote_link(business, "cup", 7))) is None


def test_a_vote_link_names_its_person_in_its_contest_only(business: Business) -> None:
    person = business.ids.next()
    link = links.vote_link(business, "cup", person)

    assert link.startswith("http://localhost:8080/v/cup/")
    assert links.voter_of(business, "cup", last(link)) == person
    assert links.voter_of(business, "mug", last(link)) is None
    assert links.person_of(business, "preferences", last(link)) is None


def test_a_token_ends_with_a_letter_or_digit_so_that_phones_underline_all_of_it(business: Business) -> None:
    tokens = [links.person_token(business, "vote:cup", person) for person in range(500)]
    assert all(token[-1].isalnum() and len(token) == 22 for token in tokens)


@given(text=st.text(max_size=30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # the business is only read
def test_what_we_did_not_make_opens_nothing(business: Business, text: str) -> None:
    assert links.person_of(business, "vote:cup", text) is None
    assert links.coupon_of(business, text) is None
