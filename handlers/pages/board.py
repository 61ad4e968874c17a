"""The live board: every campaign, contest, coupon and carrier at one glance, read-only, on the private listener."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from campaigns import contests
from campaigns.business import Business
from campaigns.words import Intent
from gateway import numbers, rendering, web
from gateway.clock import from_ms
from gateway.inbox import FAILED
from gateway.messages import State
from gateway.store import Tx
from handlers.app import App
from handlers.console.facts import Facts
from handlers.console.status import ELSEWHERE, lines, status
from handlers.pages.guest import Guest
from handlers.pages.private import frame
from handlers.pages.results import rows_of

LATEST = 8
NEWS = {"joined": "page_board_joined", "left": "page_board_left", "voted": "page_board_voted",
        "redeemed": "page_board_used"}  # fmt: skip
RUN_STATES = {"waiting": "scheduled", "sending": "running", "stopping": "stopped", "done": "finished"}
OUTCOMES = (State.DELIVERED, State.SENT, State.QUEUED, State.IN_DOUBT, State.FAILED)
RARE = (State.UNKNOWN, State.EXPIRED, State.REFUSED, State.STOPPED)
KNOWN_REASONS = frozenset(
    ("left", "no consent", "capped", "hours", "no programme", "no sender", "budget", "no code left", "coupon used",
     "coupon over", "expired", "tester")
)  # fmt: skip
FRESH_S = 0.5  # any number of screens cost one look in this time


class Board:
    """Looks at everything for all who watch. A look that took long is shown for ten times as long."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._kept: Facts = {}
        self._facts: Facts = {}
        self._sent: Mapping[str, int] = {}
        self._looked_at = 0.0

    async def show(self, guest: Guest) -> web.Response:
        """The board as a page."""
        facts = await self.look()
        currency = guest.business.config.brand.currency
        return guest.page(
            "board.html", here="/", **frame(guest),
            campaigns=[_campaign(guest, each, currency) for each in facts["campaigns"]],
            contests=[_contest(guest, each) for each in facts["contests"]],
            coupons=[_coupon(guest, each) for each in facts["coupons"]],
            clients=[_client(each) for each in facts["clients"]],
            channels=[_channel(each) for each in facts["channels"]],
            feed=[(from_ms(each["at"]), _news(guest, each)) for each in facts["news"]],
            look=[(from_ms(each["at"]), f"{each['phone']}: {each['text']}") for each in facts["unread"]],
        )  # fmt: skip

    async def data(self, _guest: Guest) -> web.Response:
        """The same as JSON; times are milliseconds since 1970, money is in millionths."""
        return web.data(await self.look())

    async def look(self) -> Facts:
        """How everything stands, at most a moment ago. What is kept is looked up once for all processes."""
        kept = await self._app.shared.look("board", str(self._app.business.version), self._look, FRESH_S)
        if kept is not self._kept:
            self._kept, self._facts = kept, {**kept, "channels": self._channels(time.monotonic())}
        return self._facts

    async def _look(self) -> Facts:
        app = self._app
        facts = await status(app)
        del facts["channels"]  # each process has lines of its own
        names = [each["campaign"] for each in facts["campaigns"]]
        extra = await app.store.read(_extra, app.business, names)
        for each, replies in zip(facts["campaigns"], extra.pop("replies"), strict=True):
            each["replies"] = replies
        return {**facts, **extra, "now": app.clock.now_ms()}

    def _channels(self, now: float) -> list[Facts]:
        """The lines of this process, and how many parts a second each channel has sent since the last look."""
        channels = lines(self._app)
        span, self._looked_at = max(now - self._looked_at, 0.001), now
        for each in channels:
            before = self._sent.get(each["channel"], each["sent_parts"])
            each["sent_per_s"] = round((each["sent_parts"] - before) / span, 1)
        self._sent = {each["channel"]: each["sent_parts"] for each in channels}
        return channels


async def _extra(tx: Tx, business: Business, campaigns: Sequence[str]) -> Facts:
    """What the board tells beyond the status: replies, the latest news (numbers masked), texts for a person."""
    brand = business.brand
    news = await tx.rows("page_news", brand=brand, kinds=list(NEWS), limit=LATEST)
    unread = await tx.rows("page_unread", brand=brand, failed=FAILED, intent=str(Intent.ANGRY), limit=LATEST)
    return {
        "replies": [await tx.value("replies_to_campaign", brand=brand, campaign=key) for key in campaigns],
        "news": [
            {"at": at, "kind": kind, "subject": subject, "detail": detail, "phone": numbers.mask(phone)}
            for at, kind, subject, detail, phone in news
        ],
        "unread": [
            {"at": at, "phone": numbers.mask(phone), "text": text, "outcome": outcome}
            for at, phone, text, outcome in unread
        ],
    }


def _campaign(guest: Guest, facts: Facts, currency: str) -> dict[str, Any]:
    states = facts["states"]
    shown = [*OUTCOMES, *(state for state in RARE if states[state.word])]
    return {
        "name": facts["campaign"],
        "state": RUN_STATES.get(facts["state"], facts["state"]),
        "why": facts["why"],
        "matched": facts["matched"],
        "reasons": [(_reason(guest, why), n) for why, n in facts["refused"].items()],
        "sending": facts["sending"],
        "outcomes": [(state.name.lower(), states[state.word]) for state in shown],
        "cost": rendering.money(facts["spent"], currency, guest.language),
        "replies": facts["replies"],
    }


def _reason(guest: Guest, why: str) -> str:
    return guest.say(f"page_reason_{why.replace(' ', '_')}") if why in KNOWN_REASONS else why


def _client(facts: Facts) -> Facts:
    """A program: how many of its texts arrived, will not arrive, and are on their way."""
    states, texts = facts["states"], facts["texts"]
    failed = sum(states[word] for word in ("failed", "expired", "refused", "stopped", "unknown"))
    arrived = states["delivered"]
    return {
        "name": facts["client"], "texts": texts, "delivered": arrived, "failed": failed,
        "open": texts - arrived - failed,
    }  # fmt: skip


def _contest(guest: Guest, facts: Facts) -> dict[str, Any]:
    key = facts["contest"]
    rows = rows_of(guest.business, key, contests.Results(facts["votes"]), guest.language)
    question = guest.read(guest.business.config.contests[key].question)
    return {"question": question, "open": facts["is_open"], "votes": facts["total"], "rows": rows}


def _coupon(guest: Guest, facts: Facts) -> dict[str, Any]:
    return {**facts, "offer": guest.read(guest.business.config.coupons[facts["coupon"]].offer)}


def _channel(facts: Facts) -> dict[str, Any]:
    return {
        "name": facts["channel"], "carrier": facts["trouble"] or facts["carrier"],
        "up": 0 < facts["lines"] == facts["bound"], "elsewhere": facts["held_by"] == ELSEWHERE,
        "rate": f"{facts['sent_per_s']:g}/s", "limit": f"{facts['rate']:g}/s", "flying": facts["in_flight"],
    }  # fmt: skip


def _news(guest: Guest, facts: Facts) -> str:
    return guest.say(NEWS[facts["kind"]], phone=facts["phone"], what=_what(guest, facts))


def _what(guest: Guest, facts: Facts) -> str:
    config, subject = guest.business.config, facts["subject"]
    match facts["kind"]:
        case "voted" if subject in config.contests and facts["detail"] in config.contests[subject].options:
            return guest.read(config.contests[subject].options[facts["detail"]])
        case "redeemed" if subject in config.coupons:
            return guest.read(config.coupons[subject].offer)
        case "joined" if subject in config.programs:
            return guest.read(config.programs[subject].name)
    return str(subject)
