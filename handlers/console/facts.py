"""What the console tells, as plain data: the head of every command, plans, runs and audiences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from campaigns.estimates import Estimate
from campaigns.planning import Plan
from campaigns.runs import Run, Waterfall
from campaigns.settings import Config
from gateway.clock import Clock
from gateway.messages import State

Facts = dict[str, Any]


def zones(config: Config) -> list[str]:
    """The zones in which clocks are shown: the brand's, then those of its shops."""
    shops = [place.timezone for place in config.places.values() if place.timezone]
    return list(dict.fromkeys([config.brand.timezone, *shops]))


def header(config: Config, clock: Clock, is_served: bool) -> Facts:
    """Simulator or live and with which carriers: nobody may ever be in doubt."""
    return {
        "mode": "SIMULATOR" if config.is_simulated else "LIVE",
        "carriers": {name: channel.place for name, channel in config.channels.items()},
        "now": clock.now_ms(),
        "zones": zones(config),
        "is_served": is_served,
    }


def plan_of(made: Plan, config: Config) -> Facts:
    """A plan as JSON can carry it."""
    return {
        "id": made.id,
        "at": made.at,
        "people": made.people,
        "currency": config.brand.currency,
        "new": [estimate_of(each, is_straightened=config.campaigns[each.campaign].straighten) for each in made.new],
        "same": made.same,
        "renamed": [list(pair) for pair in made.renamed],
        "gone": made.gone,
        "both": [[one, other, n] for (one, other), n in made.both.items()],
        "stocks": [asdict(stock) | {"is_short": stock.is_short} for stock in made.stocks],
        "opening": {key: list(window) for key, window in made.opening.items()},
        "changed": made.changed,
        "mistakes": made.mistakes,
        "questions": made.questions,
        "warnings": made.warnings,
        "changes_nothing": made.changes_nothing,
    }


def estimate_of(estimate: Estimate, *, is_straightened: bool = False) -> Facts:
    """An estimate as JSON can carry it."""
    return {
        "campaign": estimate.campaign,
        "matched": estimate.matched,
        "refused": refusals(estimate.refused),
        "sending": estimate.sending,
        "parts": estimate.parts,
        "cost": estimate.cost,
        "seconds": round(estimate.seconds, 1),
        "later": estimate.later,
        "opens_at": estimate.opens_at or None,
        "codes": estimate.codes,
        "straightened": estimate.typography if is_straightened else "",
        "parts_saved": estimate.parts_saved if is_straightened else 0,
    }


ALWAYS_SHOWN: Sequence[str] = ("left", "no consent", "capped")  # also when nobody was refused for it


def refusals(refused: dict[str, int]) -> dict[str, int]:
    """Refusals by reason, those that people look for first and also when there are none."""
    return {reason: refused.get(reason, 0) for reason in ALWAYS_SHOWN} | {
        reason: n for reason, n in sorted(refused.items()) if reason not in ALWAYS_SHOWN
    }


def run_of(run: Run) -> Facts:
    """A run as JSON can carry it."""
    return {
        "campaign": run.campaign,
        "state": run.state,
        "why": run.why,
        "version": run.config,
        "due": run.due,
        "until": run.until,
        "started_at": run.started_at,
        "planned_at": run.planned_at,
        "ended_at": run.ended_at,
        "spent": run.spent,
    }


def audience_of(counted: Waterfall) -> Facts:
    """An audience counted out; `is_settled` when every message has met its end."""
    by_state: dict[str, int] = {state.word: 0 for state in State}
    for (state, _), n in counted.states.items():
        by_state[state.word] += n
    return {
        "matched": counted.matched,
        "refused": refusals(dict(counted.refused)),
        "sending": counted.sending,
        "states": by_state,
        "adds_up": counted.adds_up,
    }
