"""What a monitoring program reads: counts of the whole business in the Prometheus text format, nothing about anyone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gateway.messages import State
from gateway.store import Tx
from handlers.app import App
from handlers.console.status import line_states

LAG_S = 0.25
CONTENT_TYPE = CONTENT_TYPE_LATEST


class LoopWatch:
    """Notices how late the event loop wakes what has slept; `worst` is the longest delay since it was last read."""

    def __init__(self) -> None:
        self._worst = 0.0

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            asked = time.monotonic()
            await asyncio.sleep(LAG_S)
            self._worst = max(self._worst, time.monotonic() - asked - LAG_S)

    def take(self) -> float:
        """The worst delay in seconds since the last call."""
        worst, self._worst = self._worst, 0.0
        return worst


class Kept(NamedTuple):
    """What the store counts."""

    tally: Sequence[tuple[bool, int, int]]  # of a campaign, state, messages
    votes: Sequence[tuple[str, int]]
    redemptions: Sequence[tuple[str, int]]
    left: Sequence[tuple[str, int]]


async def _read(tx: Tx, brand: int) -> Kept:
    return Kept(
        [(bool(of_run), state, n) for of_run, state, n in await tx.rows("tally_all", brand=brand)],
        [(contest, n) for contest, n in await tx.rows("ballot_all", brand=brand)],
        [(change, n) for change, n in await tx.rows("redemption_count", brand=brand)],
        [(source.partition(":")[0], n) for source, n in await tx.rows("left_count", brand=brand)],
    )


class _Prepared(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


async def exposition(app: App, watch: LoopWatch) -> bytes:
    """Everything at this moment, in the text format (Prometheus exposition formats, text 0.0.4)."""
    kept = await app.store.read(_read, app.brand)
    registry = CollectorRegistry()
    registry.register(_Prepared([*_counted(kept), *_carriers(app), _gauge("loop_lag_seconds", LAG, watch.take())]))
    return generate_latest(registry)


LAG = "How late the event loop was at worst since the last look."


def _counted(kept: Kept) -> list[Metric]:
    accepted = CounterMetricFamily("gateway_messages_accepted", "Messages made and kept.", labels=["purpose"])
    depth = GaugeMetricFamily("gateway_queue_depth", "Messages that wait.", labels=["lane"])
    for of_run, purpose, lane in ((True, "campaign", "bulk"), (False, "reply", "urgent")):
        mine = [(state, n) for is_run, state, n in kept.tally if is_run is of_run]
        accepted.add_metric([purpose], sum(n for _, n in mine))
        depth.add_metric([lane], sum(n for state, n in mine if state == State.QUEUED))
    results = GaugeMetricFamily("gateway_messages", "Messages by what has become of them.", labels=["state"])
    for each in State:
        results.add_metric([each.word], sum(n for _, state, n in kept.tally if state == each))
    doubt = sum(n for _, state, n in kept.tally if state == State.IN_DOUBT)
    return [
        accepted,
        depth,
        results,
        _gauge("in_doubt", "Messages that may have left without an answer.", doubt),
        _counter("optouts", "People who left, by how.", "source", kept.left),
        _counter("votes", "Votes that count.", "contest", kept.votes),
        _counter("coupon_redeem", "Redemptions and undoings.", "result", kept.redemptions),
    ]


def _carriers(app: App) -> list[Metric]:
    sent = CounterMetricFamily("gateway_sent", "Parts that a carrier answered, since the start.",
                               labels=["channel", "result"])  # fmt: skip
    bound = GaugeMetricFamily("gateway_smpp_bind_state", "Lines that are bound.", labels=["channel"])
    flying = GaugeMetricFamily("gateway_smpp_window_in_flight", "Parts without an answer.", labels=["channel"])
    throttled = CounterMetricFamily("gateway_smpp_throttled", "Times a carrier asked us to slow down.",
                                    labels=["channel"])  # fmt: skip
    for name, dispatcher in (app.gateway.dispatchers if app.gateway else {}).items():
        lines, counters = line_states(dispatcher), dispatcher.counters
        sent.add_metric([name, "taken"], counters.sent_parts)
        sent.add_metric([name, "refused"], counters.refused_parts)
        sent.add_metric([name, "in doubt"], counters.doubtful_parts)
        bound.add_metric([name], sum(line.bound for line in lines))
        flying.add_metric([name], sum(line.in_flight for line in lines))
        throttled.add_metric([name], sum(line.throttled for line in lines))
    failed = app.gateway.inbox.failed if app.gateway else 0
    return [sent, bound, flying, throttled, _gauge("inbound_failed", "Texts that a person must look at.", failed)]


def _gauge(name: str, what: str, value: float) -> Metric:
    family = GaugeMetricFamily(f"gateway_{name}", what)
    family.add_metric([], value)
    return family


def _counter(name: str, what: str, label: str, values: Sequence[tuple[str, int]]) -> Metric:
    family = CounterMetricFamily(f"gateway_{name}", what, labels=[label])
    for value, n in values:
        family.add_metric([value], n)
    return family
