"""Another phone in the same network reaches our pages, whatever the links in texts say."""

from __future__ import annotations

import pytest

from campaigns import links
from handlers.pages import coupon, reach
from tests.handlers.pages.conftest import Shop


@pytest.mark.parametrize("site", ["http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080"])
def test_a_site_that_is_every_machine_itself_is_reached_by_this_machines_address(site: str) -> None:
    assert reach.phone_site(site, 8080) == f"http://{reach.own_address()}:8080"


@pytest.mark.parametrize("site", ["https://lantern.example", "http://192.168.1.20:8080"])
def test_a_site_that_phones_can_open_stays_as_it_is(site: str) -> None:
    assert reach.phone_site(site, 8080) == site


async def test_the_qr_code_of_a_coupon_can_be_opened_by_the_phone_at_the_till(shop: Shop) -> None:
    code = await shop.give()
    link = links.coupon_link(shop.business, code)
    assert link.startswith("http://localhost:8080/c/")
    async with shop.browser() as guest:
        seen = await guest.open(shop.coupon_path(code))
    assert coupon.qr(f"http://{reach.own_address()}:8080{shop.coupon_path(code)}") in seen.text
    assert coupon.qr(link) not in seen.text
