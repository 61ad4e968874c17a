"""Where on our site a contest or a coupon is shown: the keys of `pages` in config.yaml are the addresses."""

from __future__ import annotations

from campaigns.business import Business


def vote_page(business: Business, contest: str) -> str:
    """The page to vote on, or an empty text."""
    return next((f"/{key}" for key, page in business.config.pages.items() if page.vote == contest), "")


def results_page(business: Business, contest: str) -> str:
    """The page that shows how a contest stands: its own, else the one beside its vote; or an empty text."""
    own = next((f"/{key}" for key, page in business.config.pages.items() if page.results == contest), "")
    vote = vote_page(business, contest)
    return own or (f"{vote}/results" if vote else "")


def till_page(business: Business, coupon: str) -> str:
    """The till that redeems a coupon, or an empty text."""
    return next((f"/{key}" for key, page in business.config.pages.items() if coupon in page.redeem), "")
