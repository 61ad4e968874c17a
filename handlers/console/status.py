"""How everything stands at one moment: campaigns, contests, coupons and the lines to carriers."""

from __future__ import annotations

import asyncio

from campaigns import contests, runs
from campaigns.business import Business
from campaigns.client_settings import Client
from campaigns.runs import Run
from gateway.channels import BuiltIn
from gateway.channels.base import LineState
from gateway.dispatcher import Dispatcher
from gateway.fleet import Fleet, slots_in
from gateway.messages import State
from gateway.store import Tx
from handlers.app import App
from handlers.console.facts import Facts, audience_of, run_of


async def status(app: App) -> Facts:
    """Everything that runs, as plain data; before the first apply nothing does."""
    if not app.has_business:
        return {"version": None, "campaigns": [], "contests": [], "coupons": [], "clients": [], "channels": []}
    business, now = app.business, app.clock.now_ms()
    return {"version": business.version, **await app.store.read(_kept, business, now), "channels": lines(app)}


async def _kept(tx: Tx, business: Business, now: int) -> Facts:
    campaigns = [await _campaign(tx, run) for run in await runs.every(tx, business.brand)]
    return {
        "campaigns": campaigns,
        "contests": [await _contest(tx, business, key, now) for key in business.config.contests],
        "coupons": [await _coupon(tx, business, key) for key in business.config.coupons],
        "clients": [await _client(tx, client) for client in business.clients.values()],
        "people": await tx.value("people_count", brand=business.brand),
    }


async def _campaign(tx: Tx, run: Run) -> Facts:
    return {**run_of(run), **audience_of(await runs.waterfall(tx, run))}


async def _contest(tx: Tx, business: Business, key: str, now: int) -> Facts:
    window = business.windows[key]
    results = await contests.results(tx, business, key)
    is_open = window.opens_at <= now < window.closes_at
    return {
        "contest": key,
        "is_open": is_open,
        "opens_at": window.opens_at,
        "closes_at": window.closes_at,
        "total": results.total,
        "votes": dict(results.votes),
    }


async def _coupon(tx: Tx, business: Business, key: str) -> Facts:
    rows = await tx.rows("pool_of", coupon=key)
    size, given = rows[0] if rows else (business.config.coupons[key].codes, 0)
    redeemed = await tx.value("redeemed_of_coupon", brand=business.brand, coupon=key)
    return {"coupon": key, "codes": size, "given": given, "redeemed": redeemed}


async def _client(tx: Tx, client: Client) -> Facts:
    """A program: what has become of its texts, those of test keys among them."""
    by_state = {state.word: 0 for state in State}
    for state, _, n in await tx.rows("tally_of_run", run=client.id):
        by_state[State(state).word] += n
    return {"client": client.name, "texts": sum(by_state.values()), "states": by_state}


def lines(app: App) -> list[Facts]:
    """Each channel with its lines to the carrier, while this process serves."""
    if app.gateway is None:
        return []
    return [
        _channel(app.business, name, each) | {"held_by": _held_by(app.fleet, name)}
        for name, each in app.gateway.dispatchers.items()
        if not isinstance(app.business.config.carriers.get(name), BuiltIn)  # nobody's line
    ]


ELSEWHERE = "another process"


def _held_by(fleet: Fleet | None, channel: str) -> str:
    """Who else holds the lines of a channel, for people; empty where this process does."""
    if fleet is None or channel in slots_in(fleet.held):
        return ""
    return ELSEWHERE if channel in slots_in(fleet.taken) else "nobody"


def _channel(business: Business, name: str, dispatcher: Dispatcher) -> Facts:
    settings, counters = business.config.carriers[name], dispatcher.counters
    bound = [line.bound for line in line_states(dispatcher)]
    return {
        "channel": name,
        "carrier": settings.place,
        "rate": settings.rate.per_s,
        "lines": len(bound),
        "bound": sum(bound),
        "in_flight": dispatcher.in_flight,
        "sent_parts": counters.sent_parts,
        "refused_parts": counters.refused_parts,
        "trouble": dispatcher.trouble.words if dispatcher.trouble else "",
        "standing": str(dispatcher.breaker.state(asyncio.get_running_loop().time())),
        "why": dispatcher.breaker.why,
    }


def line_states(dispatcher: Dispatcher) -> list[LineState]:
    """The lines of a channel."""
    return list(dispatcher.channel.lines())
