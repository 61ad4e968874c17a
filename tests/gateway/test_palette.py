from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gateway.palette import LEGIBLE, PAPER, PAPER_DARK, contrast, palette

colours = some.integers(0, 0xFFFFFF).map("#{:06x}".format)


@given(colours)
def test_any_brand_colour_can_be_written_on_and_written_with(brand: str) -> None:
    found = palette(brand)
    assert contrast(found.on_brand, found.brand) >= LEGIBLE
    assert contrast(found.accent, PAPER) >= LEGIBLE
    assert contrast(found.accent_dark, PAPER_DARK) >= LEGIBLE


def test_a_colour_that_is_already_legible_stays_as_it_is() -> None:
    assert palette("#7A3E1D").accent == "#7a3e1d"


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [
        ("#ffffff", "#000000", 21.0),  # the two ends of the scale
        ("#777777", "#ffffff", 4.48),  # the grey that just fails, of WCAG's own examples
        ("#123456", "#123456", 1.0),
    ],
)
def test_contrast_is_the_ratio_of_wcag(one: str, other: str, ratio: float) -> None:
    assert contrast(one, other) == pytest.approx(ratio, abs=0.005)


@pytest.mark.parametrize("word", ["brown", "#7A3", "#7A3E1D;}body{display:none", ""])
def test_what_is_no_colour_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="not a colour"):
        palette(word)
