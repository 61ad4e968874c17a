"""What a campaign came to: its audience counted out by reason and state, parts and cost, answers, votes and coupons."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from campaigns import runs
from campaigns.business import Business
from campaigns.runs import Run, Waterfall
from gateway.codecs.smpp import RECEIPT_WORDS, STATUSES
from gateway.messages import State
from gateway.store import Store, Tx

REASONS = {  # what is kept, in the words that people read
    "left": "have left",
    "no consent": "never said yes to the programme",
    "capped": "had as many texts as the programme allows",
    "no sender": "live where no sender serves",
    "budget": "the budget was used up",
    "no code left": "no code was left",
    "coupon used": "have used their coupon",
    "coupon over": "have a coupon that is over",
    "hours": "could not be texted in time for their hours",
    "expired": "waited longer than the campaign may last",
    "blanked": "were blanked before they left",
    "no programme": "the programme is not in the file any more",
    "run stopped": "the campaign was stopped",
    "no answer": "the carrier has not answered; it may have left",
    "being sent again": "the carrier has not answered, so it is sent again",
    "no receipt": "the carrier never told what became of it",
    "interrupted": "we were cut off while it was leaving; it may have left",
    "poison": "given up after three crashes; it may have left",
}
_STATUS = re.compile(r"0x([0-9A-F]+)")


def words_of(code: str) -> str:
    """A reason or a carrier's code in plain words; the code itself where nobody knows any."""
    if code in REASONS:
        return REASONS[code]
    status = _STATUS.match(code)
    known = STATUSES.get(int(status[1], 16)) if status else None
    if known is not None:
        return known.words
    word, _, network = code.partition(" ")
    if word in RECEIPT_WORDS:
        return RECEIPT_WORDS[word] + (f" (the network's code {network})" if network else "")
    return f"the carrier's code {code}" if code else ""


@dataclass(frozen=True, slots=True)
class Sums:
    """What the messages of a run cost. Money is in millionths; `taken_` counts what a carrier has accepted."""

    messages: int
    parts: int
    cost: int
    taken_parts: int
    taken_cost: int


class Line(NamedTuple):
    """So many messages or people, in which state and why."""

    state: str
    reason: str
    words: str
    n: int


@dataclass(frozen=True, slots=True)
class Report:
    """A campaign's run: the audience in one snapshot, and what came back."""

    run: Run
    waterfall: Waterfall
    sums: Sums
    replies: int
    given: int
    redeemed: int
    votes: Mapping[str, int]  # by contest, of everybody

    def lines(self) -> list[Line]:
        """Every group of the audience, refusals first; their counts add up to the audience."""
        refused = [Line("refused", why, words_of(why), n) for why, n in sorted(self.waterfall.refused.items())]
        states = sorted(self.waterfall.states.items())
        return refused + [Line(state.word, why, words_of(why), n) for (state, why), n in states if n]

    @property
    def is_complete(self) -> bool:
        """False while people are still being added: then sums are "so far"."""
        return self.run.planned_at is not None or self.run.is_over

    def per_second(self, now: int) -> float:
        """Messages a second that have left, from the start of the run to its end or now."""
        begin, end = self.run.started_at, self.run.ended_at or now
        left = self.waterfall.in_state(State.SENT, State.DELIVERED, State.UNKNOWN, State.FAILED, State.IN_DOUBT)
        return left * 1000 / (end - begin) if begin is not None and end > begin else 0.0


async def report(store: Store, business: Business, run: Run) -> Report:
    """Count a run out, in one snapshot. It reads sums, and no messages: those may be millions, or have been dropped."""
    return await store.read(_report, business, run)


async def _report(tx: Tx, business: Business, run: Run) -> Report:
    fresh = await tx.one(Run, "run_by_id", id=run.id) or run
    counted = await runs.waterfall(tx, fresh)
    sums = Sums(counted.sending, fresh.parts, fresh.spent, fresh.taken_parts, fresh.taken_cost)
    return Report(fresh, counted, sums, *await _answers(tx, business, fresh))


async def _answers(tx: Tx, business: Business, run: Run) -> tuple[int, int, int, dict[str, int]]:
    replies: int = await tx.value("replies_to_campaign", brand=business.brand, campaign=run.campaign)
    given, redeemed = (await tx.rows("coupons_of_run", brand=business.brand, run=run.id))[0]
    votes: dict[str, int] = dict(await tx.all(_pair, "ballot_all", brand=business.brand))
    return replies, given, redeemed, votes


def _pair(name: str, n: int) -> tuple[str, int]:
    return name, n
