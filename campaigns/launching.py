"""Carries out a plan: the config becomes the applied version, new campaigns are launched, removed ones stopped."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from campaigns import clients, runs, testers, versions
from campaigns.business import Business, remember
from campaigns.planning import Plan
from campaigns.settings import Campaign, Config
from gateway.config import Loaded
from gateway.store import Tx

REMOVED = "taken out of config.yaml"


@dataclass(slots=True)
class Outcome:
    """What an apply did. `to_testers` counts phones by campaign; `waiting` campaigns went to testers only so far."""

    version: int
    launched: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    renamed: list[tuple[str, str]] = field(default_factory=list)
    to_testers: dict[str, int] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)


async def keep(tx: Tx, brand: int, loaded: Loaded[Config], path: Path, made: Plan, now: int) -> Outcome:
    """Make the file the applied version, with the names that it gives to what runs already."""
    number = await versions.keep(tx, brand, loaded, path, now)
    for was, name in made.renamed:
        await tx.run("run_rename", brand=brand, was=was, name=name, config=number)
        await tx.run("activity_rename", brand=brand, was=was, name=name)
    return Outcome(number, renamed=list(made.renamed))


async def launch(tx: Tx, business: Business, made: Plan, outcome: Outcome, *, trial: bool, now: int) -> Outcome:
    """Stop what is gone and launch what is new, in one transaction.

    With `trial` a campaign goes to our own phones only, unless it has been there with the same words before. Queues of
    clients follow their rates.
    """
    await clients.repace(tx, business)
    for key in made.gone:
        run = await runs.find(tx, business.brand, key)
        if run is not None and await runs.stop(tx, business.brand, run, REMOVED):
            outcome.stopped.append(key)
    for estimate in made.new:
        campaign = business.config.campaigns[estimate.campaign]
        first_time = await _is_first_time(tx, business, campaign, now)
        if first_time:
            outcome.to_testers[campaign.key] = await testers.send(tx, business, campaign, now)
        if trial:
            outcome.waiting.append(campaign.key)
        else:
            await runs.launch(tx, business, campaign, now)
            outcome.launched.append(campaign.key)
    return outcome


async def _is_first_time(tx: Tx, business: Business, campaign: Campaign, now: int) -> bool:
    """Whether these words have not been to our own phones yet; from now on they have."""
    name = trial_fact(campaign)
    known = await tx.value("fact_get", brand=business.brand, name=name)
    await remember(tx, business.brand, name, str(now))
    return known is None


async def untried(tx: Tx, brand: int, campaigns: list[Campaign]) -> list[str]:
    """Campaigns whose words no tester has got yet."""
    return [each.key for each in campaigns if await tx.value("fact_get", brand=brand, name=trial_fact(each)) is None]


def trial_fact(campaign: Campaign) -> str:
    """The name of the fact that these very words went to testers."""
    digest = hashlib.sha256(repr(sorted(campaign.text.texts.items())).encode()).hexdigest()[:16]
    return f"tried:{campaign.key}:{digest}"
