"""Explains who would text a number: the rule, the senders in their order, the number of a pool, who stands in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from campaigns import people
from campaigns.audience import Casting
from campaigns.business import Business
from campaigns.people import Person
from gateway import numbers
from gateway.numbers import Number
from gateway.routes import SPREAD, Decision, Destination, Pool, Router, Weighed, substitutes
from gateway.settings import RouteSettings
from gateway.store import Tx
from gateway.wording import either
from handlers.console import previews
from handlers.console.facts import Facts


class Asked(NamedTuple):
    """Whom a text would be for, and of which campaign (empty: any) or lane. `business` is a draft of the file."""

    business: Business
    number: str
    campaign: str
    lane: str


async def explained(tx: Tx, asked: Asked) -> Facts:
    """The decision about one phone, with everything that it depends on. Raises CarillonError for what is no number."""
    business, config = asked.business, asked.business.config
    number = previews.parse_number(asked.number, config.brand.country)
    person = await people.find_by_address(tx, business, number.e164)
    to = await _destination(tx, number, person)
    language = business.language(person.language if person else "")
    decision = _decision(asked, to, language)
    known = [own for _, own in await tx.rows("sticky_among", first=person.id, last=person.id)] if person else []
    chosen = _chosen(decision, person, to, known)
    return {
        "number": to.address,
        "country": to.country,
        "line_type": to.line_type,
        "network": to.network,
        "is_known": person is not None,
        "lane": asked.lane,
        "campaign": asked.campaign,
        "currency": config.brand.currency,
        "has_routes": bool(config.routes),
        "rule": _rule(decision.rule) if decision.rule else None,
        "named": "",
        "skipped": [rule.key for rule in config.routes.values() if rule.campaign] if not asked.campaign else [],
        "candidates": [_candidate(each, business) for each in decision.senders],
        "out": [{"sender": name, "why": why} for name, why in decision.out],
        "chosen": chosen,
        "fallback": _fallback(decision, chosen, business),
    }


def channels(answer: Facts) -> list[str]:
    """The channels that an answer is about, the first choice first."""
    named = [each["channel"] for each in (*answer["candidates"][:1], *answer["fallback"], *answer["candidates"][1:])]
    return list(dict.fromkeys(named))


async def _destination(tx: Tx, number: Number, person: Person | None) -> Destination:
    """The phone as it is kept with the person; else, or where nobody has looked yet, as its digits say."""
    kept = await tx.rows("person_line", person=person.id) if person else []
    line = kept[0] if kept and kept[0][0] else numbers.line_of(number.e164)
    return Destination(number.e164, person.country if person else number.country, *line)


def _decision(asked: Asked, to: Destination, language: str) -> Decision:
    """What the planner decides for a campaign, and what a reply would be decided by."""
    business, config, now = asked.business, asked.business.config, asked.business.clock.now_ms()
    if asked.campaign:
        casting = Casting(business, config.campaigns[asked.campaign])
        casting.look(now)
        return casting.route(to, language)
    everybody = () if config.routes else tuple(config.senders)
    router = Router(config.senders, config.routes.values(), lane=asked.lane, wanted=everybody)
    return router.decide(
        to, lambda sender: config.channels[sender.channel].price.millionths, business.quality.scores(now),
        business.quality.out,
    )  # fmt: skip


def _rule(rule: RouteSettings) -> Facts:
    return {"name": rule.key, "when": condition(rule), "order": rule.order}


def condition(rule: RouteSettings) -> str:
    """What a rule asks, in words: `country US or CA, prefix +1206`; empty for one that asks nothing."""
    asked = [
        (word, value) for word, value in (
            ("country", rule.country), ("prefix", rule.prefix), ("type", rule.type), ("network", rule.network),
            ("campaign", rule.campaign), ("lane", (rule.lane,) if rule.lane else ()),
        ) if value
    ]  # fmt: skip
    return ", ".join(f"{word} {either(value)}" for word, value in asked)


def _candidate(each: Weighed, business: Business) -> Facts:
    sender, score = each.sender, each.score
    return {
        "sender": sender.key,
        "channel": sender.channel,
        "price": business.config.channels[sender.channel].price.millionths,
        "cost": each.cost,
        "rate": round(score.rate, 4),
        "latency_ms": round(score.latency_ms),
        "samples": round(score.samples),
        "is_known": score.is_known,
        "is_out": each.is_out,
    }


def _chosen(decision: Decision, person: Person | None, to: Destination, known: Sequence[str]) -> Facts | None:
    """The number of the first sender. A stranger has no id yet, by which a pool is spread: any may become theirs."""
    if not decision.senders:
        return None
    sender = decision.senders[0].sender
    found = Pool(sender.numbers).choose(person.id if person else 0, to.address, known)
    why = "any of them: settled when we come to know this phone" if found.why == SPREAD and not person else found.why
    return {"sender": sender.key, "number": found.number, "why": why, "of": len(sender.numbers)}


def _fallback(decision: Decision, chosen: Facts | None, business: Business) -> list[Facts]:
    if chosen is None:
        return []
    instead = substitutes(business.config.senders).get(decision.senders[0].sender.channel, {})
    return [{"channel": channel, "number": number} for channel, number in instead.get(chosen["number"], ())]
