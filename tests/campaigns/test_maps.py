"""Positions from Chinese maps come to where they are on earth."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.maps import to_gcj02, to_wgs84


def test_a_known_pair_agrees() -> None:
    # A row for Shanghai from the test table of googollee/eviltransform.
    assert to_gcj02(31.1774276, 121.5272106) == pytest.approx((31.17530398364597, 121.531541859215), abs=1e-6)
    assert to_wgs84(31.17530398364597, 121.531541859215) == pytest.approx((31.1774276, 121.5272106), abs=1e-6)


@given(st.floats(18.2, 53.5), st.floats(73.7, 135.0))
def test_there_and_back_is_the_same_place_to_a_decimetre(latitude: float, longitude: float) -> None:
    assert to_wgs84(*to_gcj02(latitude, longitude)) == pytest.approx((latitude, longitude), abs=1e-6)


@given(st.floats(18.2, 53.5), st.floats(73.7, 135.0))
def test_the_shift_is_hundreds_of_metres_at_most(latitude: float, longitude: float) -> None:
    assert to_wgs84(latitude, longitude) == pytest.approx((latitude, longitude), abs=0.012)


def test_a_place_outside_china_stays() -> None:
    assert to_wgs84(47.6097, -122.3425) == (47.6097, -122.3425)
