"""Numbers for tests: what is refused at once, what becomes of the rest, and that the document says the same."""

import re
from pathlib import Path

import pytest

from campaigns import practice
from campaigns.wishes import Why
from gateway import numbers
from gateway.channels.practice import FATES

DOCUMENT = Path(__file__).parents[2] / "docs" / "test-keys.md"


@pytest.mark.parametrize("address", [*practice.REFUSED, *FATES])
def test_every_number_is_one_that_can_be_written_down(address: str) -> None:
    assert numbers.SHAPE.fullmatch(address)


def test_a_number_is_refused_at_once_or_has_a_fate() -> None:
    assert not practice.REFUSED.keys() & FATES.keys()
    assert practice.refusal("+12065550142") == ""
    assert all(practice.refusal(address) == "" for address in FATES)


def test_refusals_are_in_the_words_of_the_accept_function() -> None:
    assert {address: Why(practice.refusal(address)) for address in practice.REFUSED} == {
        "+15005550001": Why.BAD_NUMBER,
        "+15005550002": Why.NO_SENDER,
        "+15005550003": Why.NO_SENDER,
        "+15005550004": Why.LEFT,
        "+15005550009": Why.LANDLINE,
    }


def test_the_document_names_every_number_once() -> None:
    told = re.findall(r"^\| `(\+\d+)` \|", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert told == [*practice.REFUSED, *FATES]
