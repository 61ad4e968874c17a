"""What a monitoring program reads: counts of the whole business in the Prometheus text format, nothing about anyone.

No label ever holds what somebody wrote, or a number, or a code: labels are names of the file and words of this module.
What is counted by the store is the business's, and every process tells the same; all else is this process's own, since
it started.
"""

from __future__ import annotations

import asyncio
import platform
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from campaigns.audience import BUDGET, COUPON_OVER, COUPON_USED, NO_CODE, NO_CONSENT, NO_SENDER
from campaigns.gate import CAPPED, HOURS, LEFT, NO_PROGRAM
from gateway.breaking import Standing
from gateway.channels.smpp import SmppCarrier
from gateway.clock import Clock
from gateway.counting import Spans, counted
from gateway.dispatcher import Dispatcher
from gateway.messages import Lane, State
from gateway.outbox import EXPIRED
from gateway.store import Tx
from handlers.app import App
from handlers.console.health import Health, zone_data
from handlers.console.status import line_states

CONTENT_TYPE = CONTENT_TYPE_LATEST
OTHER: Final = "other"  # whatever is not among the words that a label may show
REASONS: Final = frozenset(
    {LEFT, CAPPED, HOURS, NO_PROGRAM, NO_CONSENT, NO_SENDER, BUDGET, NO_CODE, COUPON_USED, COUPON_OVER, EXPIRED}
)
SOURCES: Final = frozenset({"text", "page", "carrier", "import"})
STANDINGS: Final = {Standing.OPEN: 0, Standing.TRYING: 1, Standing.SHUT: 2}

Sums = Mapping[str, int]


class Kept(NamedTuple):
    """What the store counts."""

    tally: Sequence[tuple[bool, int, int]]  # of a campaign, state, messages
    votes: Sequence[tuple[str, int]]
    redemptions: Sequence[tuple[str, int]]
    left: Sequence[tuple[str, int]]
    suppressed: Sums
    oldest: Mapping[str, int]  # by lane, when the first of what waits was due
    texts: Sequence[tuple[str, int, int]]  # client, state, messages
    notices: Sequence[tuple[str, str, int]]  # client, door, how many wait


@dataclass(slots=True)
class Figures:
    """Reads the figures of one process. What a run that is planned has refused is counted once, and remembered."""

    app: App
    health: Health
    _refused: dict[int, Sums] = field(default_factory=dict)

    async def exposition(self) -> bytes:
        """Everything at this moment, in the text format (Prometheus exposition formats, text 0.0.4)."""
        began = time.monotonic()
        kept = await self.app.store.read(self._read, self.app.brand)
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        families = [*_business(kept, self.app.clock), *_carriers(self.app), *_process(self.app, self.health)]
        families.append(
            _gauge("scrape_seconds", "How long the store took to count for this.", time.monotonic() - began)
        )
        registry.register(_Prepared(families))
        return generate_latest(registry)

    async def _read(self, tx: Tx, brand: int) -> Kept:
        return Kept(
            [(bool(of_run), state, int(n)) for of_run, state, n in await tx.rows("tally_all", brand=brand)],
            [(contest, int(n)) for contest, n in await tx.rows("ballot_all", brand=brand)],
            [(change, n) for change, n in await tx.rows("redemption_count", brand=brand)],
            [(source.partition(":")[0], n) for source, n in await tx.rows("left_count", brand=brand)],
            await self._suppressed(tx, brand),
            dict(await tx.all(_lane_and_time, "outbox_oldest", brand=brand)),
            [(client, state, int(n)) for client, state, n in await tx.rows("client_tally", brand=brand)],
            [(client, door, n) for client, door, n in await tx.rows("notices_waiting", brand=brand)],
        )

    async def _suppressed(self, tx: Tx, brand: int) -> Sums:
        """People whom a campaign was not made for, and messages that the gate kept back, by reason."""
        total = Counter({reason: int(n) for reason, n in await tx.rows("suppressed_all", brand=brand)})
        for run, is_planned in await tx.rows("runs_planned", brand=brand):
            refused = self._refused.get(run)
            if refused is None:
                refused = dict(await tx.all(_reason_and_sum, "refusals_of_run", run=run))
                if is_planned:
                    self._refused[run] = refused
            total.update(refused)
        return total


def _lane_and_time(lane: str, at: int) -> tuple[str, int]:
    return lane, at


def _reason_and_sum(reason: str, n: int) -> tuple[str, int]:
    return reason, n


class _Prepared(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


# --- the business ----------------------------------------------------------------------------------------------------


def _business(kept: Kept, clock: Clock) -> Iterable[Metric]:
    by_state: Counter[int] = Counter()
    waiting: Counter[str] = Counter()
    for of_run, state, n in kept.tally:
        by_state[state] += n
        if state == State.QUEUED:
            waiting[Lane.BULK if of_run else Lane.URGENT] += n
    now = clock.now_ms()
    ages = {str(lane): max(0.0, (now - kept.oldest[lane]) / 1000) if lane in kept.oldest else 0.0 for lane in Lane}
    yield _family("messages", "Messages by what has become of them.", "state", {s.word: by_state[s] for s in State})
    yield _gauge("in_doubt", "Messages that may have left without an answer.", by_state[State.IN_DOUBT])
    yield _family("queue_depth", "Messages that wait.", "lane", {str(lane): waiting[lane] for lane in Lane})
    yield _family("queue_oldest_age_seconds", "How long ago the first of what waits was due.", "lane", ages)
    yield _counter("suppressed", "People and messages kept back by a rule.", "reason", _known(kept.suppressed, REASONS))
    yield _counter("optouts", "People who left, by how.", "source", _known(Counter(dict(kept.left)), SOURCES))
    yield _family("contest_votes", "Votes that count.", "contest", dict(kept.votes))
    yield _family("coupon_redemptions", "Redemptions and undoings on record.", "change", dict(kept.redemptions))
    texts = {(client, State(state).word): n for client, state, n in kept.texts}
    yield _pairs("client_messages", "Texts of programs by what has become of them.", ("client", "state"), texts)
    waiting_for = {(client, door): n for client, door, n in kept.notices}
    yield _pairs("notices_waiting", "What programs are still to be told.", ("client", "door"), waiting_for)


def _known(sums: Sums, words: frozenset[str]) -> Sums:
    """The same with each word that a label may not show under one that it may; every word is there."""
    found = dict.fromkeys(sorted(words), 0)
    for word, n in sums.items():
        label = word if word in words else OTHER
        found[label] = found.get(label, 0) + n
    return found


# --- carriers --------------------------------------------------------------------------------------------------------


def _carriers(app: App) -> Iterable[Metric]:
    """What each channel of this process does."""
    each = app.gateway.dispatchers if app.gateway else {}
    counters = {name: one.counters for name, one in each.items()}
    watch = app.gateway.watch if app.gateway else None
    yield _counter("messages_accepted", "Messages put into a queue by this process.", "channel", counted("accepted"))
    sent = CounterMetricFamily("gateway_sent", "Answers of carriers to what we sent.", labels=["channel", "result"])
    for name, own in counters.items():
        for result, n in (("taken", own.sent_parts), ("refused", own.refused_parts), ("in doubt", own.doubtful_parts)):
            sent.add_metric([name, result], n)
    yield sent
    for noun, what, sums in (
        (
            "segments",
            "Parts handed to the carrier, each try.",
            {name: own.written_parts for name, own in counters.items()},
        ),
        ("retried", "Messages that are tried again.", {name: own.retried for name, own in counters.items()}),
        ("moved", "Messages given to another channel.", {name: own.moved for name, own in counters.items()}),
        ("throttled", "Times the carrier asked us to slow down.", _of_lines(each, "throttled")),
        ("lines_lost", "Lines that fell.", _of_lines(each, "lost")),
    ):
        yield _counter(noun, what, "channel", sums)
    yield _spans("send_seconds", "From the claim to the carrier's answer; a sample.", watch.sending if watch else {})
    yield _spans(
        "receipt_latency_seconds", "From the answer to the last receipt; a sample.", watch.latency if watch else {}
    )
    yield from _lines(app, each)
    now = asyncio.get_running_loop().time()
    standing = {name: STANDINGS[one.breaker.state(now)] for name, one in each.items()}
    yield _family("breaker_state", "0: open, 1: being tried, 2: out.", "channel", standing)


def _lines(app: App, dispatchers: Mapping[str, Dispatcher]) -> Iterable[Metric]:
    """The lines of SMPP under their usual names, those of all other kinds under one."""
    kinds = app.business.config.channels if app.has_business else {}
    smpp = {name: each for name, each in dispatchers.items() if isinstance(kinds.get(name), SmppCarrier)}
    others = {name: each for name, each in dispatchers.items() if name not in smpp}
    yield _family("smpp_bind_state", "Lines that are bound.", "channel", _of_lines(smpp, "bound"))
    yield _family("smpp_window_in_flight", "Parts without an answer.", "channel", _of_lines(smpp, "in_flight"))
    yield _family("lines_bound", "Lines that stand, of carriers without SMPP.", "channel", _of_lines(others, "bound"))
    yield _family(
        "lines_in_flight", "Parts without an answer, without SMPP.", "channel", _of_lines(others, "in_flight")
    )


def _of_lines(dispatchers: Mapping[str, Dispatcher], what: str) -> Sums:
    return {name: sum(getattr(line, what) for line in line_states(each)) for name, each in dispatchers.items()}


# --- the process -----------------------------------------------------------------------------------------------------


def _process(app: App, health: Health) -> Iterable[Metric]:
    gateway = app.gateway
    yield _counter("votes", "Votes asked for, by what came of them.", "result", counted("votes"))
    yield _counter("coupon_redeem", "Codes shown at tills, by what came of them.", "result", counted("redemptions"))
    yield _counter("webhook_rejected", "Carriers' calls turned away.", "reason", counted("webhook_rejected"))
    yield _gauge("inbound_failed", "Texts that a person must look at.", gateway.inbox.failed if gateway else 0)
    yield _gauge(
        "receipts_parked", "Receipts that fit no message yet.", len(gateway.journal.shelf.receipts) if gateway else 0
    )
    yield _total("events_folded", "Events brought into states and sums.", gateway.folded if gateway else 0)
    yield _gauge("loop_lag_seconds", "How late the event loop was at worst in the last minute.", health.loop.worst)
    yield _total(
        "store_errors", "Failures in the log for which the store is to blame.", counted("store_errors").get("", 0)
    )
    yield _spans("store_commit_seconds", "A small write, tried every five seconds.", {"": health.store.commits})
    yield _counter("log_records", "Warnings and errors in the log.", "level", counted("log_records"))
    info = GaugeMetricFamily("gateway_info", "Always 1.", labels=["python", "tzdata", "schema"])
    info.add_metric([platform.python_version(), zone_data()[0], str(health.store.schema)], 1)
    yield info


# --- families of the text format ----------------------------------------------------------------------------------


def _gauge(noun: str, what: str, value: float) -> Metric:
    family = GaugeMetricFamily(f"gateway_{noun}", what)
    family.add_metric([], value)
    return family


def _total(noun: str, what: str, value: float) -> Metric:
    family = CounterMetricFamily(f"gateway_{noun}", what)
    family.add_metric([], value)
    return family


def _family(noun: str, what: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"gateway_{noun}", what, labels=[label])
    for value, n in values.items():
        family.add_metric([value], n)
    return family


def _pairs(noun: str, what: str, labels: tuple[str, str], values: Mapping[tuple[str, str], float]) -> Metric:
    family = GaugeMetricFamily(f"gateway_{noun}", what, labels=labels)
    for pair, n in values.items():
        family.add_metric(pair, n)
    return family


def _counter(noun: str, what: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(f"gateway_{noun}", what, labels=[label])
    for value, n in values.items():
        family.add_metric([value], n)
    return family


def _spans(noun: str, what: str, values: Mapping[str, Spans]) -> Metric:
    """A histogram for each channel; for the store, which has none, one without a label."""
    family = HistogramMetricFamily(f"gateway_{noun}", what, labels=[] if "" in values else ["channel"])
    for value, spans in values.items():
        family.add_metric([value] if value else [], spans.buckets(), spans.sum)
    return family
