"""Figures are true, and say nothing of anybody: real traffic goes through, then every label is looked at."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

import run
from campaigns.business import Business
from campaigns.wishes import Submission, Wish
from gateway.ids import Ids
from gateway.messages import Lane, Purpose
from gateway.outbox import Message, ensure_queue, put
from gateway.store import Store, Tx
from gateway.store.door import SCHEMA
from handlers.app import App
from handlers.console import operations
from handlers.console.health import Health, LoopWatch, StoreWatch
from handlers.console.metrics import REASONS, SOURCES, Figures
from tests.conftest import People
from tests.handlers.console.conftest import ROOT, Edit, hush

MAYA, SECRET = "+12065550142", "tulip-4711-tulip"
WORDS = re.compile(r"[A-Za-z_][A-Za-z_ ]*")

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


async def read(app: App) -> Samples:
    """Every sample of an exposition, by name and labels."""
    figures = Figures(app, Health(LoopWatch(), StoreWatch(app.store, app.brand)))
    text = (await figures.exposition()).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[f"gateway_{name}", tuple(sorted(labels.items()))]


@pytest.fixture
async def busy(peopled: App, edit: Edit, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[App]:
    """The shipped business after its campaign has gone out, with people who answered in every way."""
    monkeypatch.setattr(operations, "ANSWER_S", 0.5)  # some of what she texts has no answer
    path = edit("people: lively", "people: quiet")
    for rate in ("rate: 50/s", "rate: 100/s"):
        path = edit(rate, "rate: 2000/s")
    await operations.apply(peopled, hush, config=path)
    async with run.serving(peopled, {}) as app:
        for words in (SECRET, "LATTE", "VOTE 3", "VOTE 2", "HOURS", "STOP", "STOP", "\u202e\n" + SECRET):
            await operations.text(app, hush, number=MAYA, words=words)
        for n in range(3):
            await operations.text(app, hush, number=f"+1206555019{n}", words="START LATTE")
        assert app.intake is not None
        callback = '{"door": "kannel", "url": "https://shop.example/dlr", "mask": 1}'
        wish = Wish("+15005550010", "hi", callback=callback)
        await app.intake.submit(Submission(app.business.clients["shop"], [wish], is_test=True))
        await until_settled(app)
        yield app


async def until_settled(app: App) -> None:
    end = time.monotonic() + 40
    while True:
        samples = await read(app)
        moving = sum(value(samples, "messages", state=state) for state in ("queued", "sent", "in doubt"))
        if not moving and value(samples, "messages", state="delivered") > 300:
            return
        assert time.monotonic() < end, samples
        await asyncio.sleep(0.2)


async def test_figures_are_true_and_no_label_holds_a_number_a_code_or_what_somebody_wrote(busy: App) -> None:
    samples = await read(busy)

    made = sum(value(samples, "messages", state=state) for state in states(samples))
    accepted = sum(n for (name, _), n in samples.items() if name == "gateway_messages_accepted_total")
    assert accepted >= made > 300
    taken = value(samples, "sent_total", channel="us_sms", result="taken")
    assert value(samples, "segments_total", channel="us_sms") >= taken > 100
    assert value(samples, "optouts_total", source="text") == 1
    assert value(samples, "suppressed_total", reason="no consent") > 0
    assert value(samples, "votes_total", result="counted") >= 1
    assert value(samples, "votes_total", result="already voted") >= 1
    assert value(samples, "contest_votes", contest="cup") == 1
    assert value(samples, "client_messages", client="shop", state="delivered") == 1
    assert value(samples, "notices_waiting", client="shop", door="kannel") >= 1
    assert value(samples, "queue_depth", lane="bulk") == value(samples, "queue_oldest_age_seconds", lane="bulk") == 0
    assert value(samples, "smpp_bind_state", channel="us_sms") == 1
    assert value(samples, "breaker_state", channel="us_sms") == 0
    for noun in ("send_seconds", "receipt_latency_seconds"):
        some = value(samples, f"{noun}_count", channel="us_sms")
        assert 0 < some == value(samples, f"{noun}_bucket", channel="us_sms", le="+Inf")
        assert 0 < value(samples, f"{noun}_sum", channel="us_sms") < 60 * some

    codes, wrote = await busy.store.read(secrets_of, busy.brand)
    assert len(codes) > 100
    assert SECRET in wrote
    channels, contests = set(busy.business.config.channels), set(busy.business.config.contests)
    for name, labels in samples:
        for label, said in labels:
            if name == "gateway_info" or label == "le":
                continue
            assert said in channels | contests or WORDS.fullmatch(said), (name, label, said)
            assert said not in codes | wrote
            assert not re.search(r"\d{3}|tulip", said), (name, label, said)


def states(samples: Samples) -> list[str]:
    return [dict(labels)["state"] for name, labels in samples if name == "gateway_messages"]


async def secrets_of(tx: Tx, brand: int) -> tuple[set[str], set[str]]:
    """Every code that was given, and every text that people wrote."""
    people = [row[0] for row in await tx.rows("person_export", brand=brand, after=0, limit=2_000)]
    codes = {row[0] for person in people for row in await tx.rows("coupon_of_person", person=person)}
    texts = {row[3] for person in people for row in await tx.rows("inbound_of_person", person=person)}
    return codes, texts


async def test_a_word_that_no_label_may_show_is_counted_as_other(peopled: App, edit: Edit) -> None:
    await operations.apply(peopled, hush, config=edit())
    said = f"the carrier says {MAYA}"

    async def write(tx: Tx) -> None:
        await tx.run("tally_add", run=0, state=41, reason=said, brand=peopled.brand, n=3)
        await tx.run(
            "ledger_insert", brand=peopled.brand, person=1, program="", change="left", at=0, source=said, words=said,
            wording=None, inbound=None,
        )  # fmt: skip

    await peopled.store.write(write)
    samples = await read(peopled)
    assert value(samples, "suppressed_total", reason="other") == 3
    assert value(samples, "optouts_total", source="other") == 1
    assert not any(MAYA in str(labels) for _, labels in samples)
    assert {dict(labels)["reason"] for name, labels in samples if name == "gateway_suppressed_total"} == {
        *REASONS, "other",
    }  # fmt: skip
    assert {dict(labels)["source"] for name, labels in samples if name == "gateway_optouts_total"} >= SOURCES


async def test_what_waits_and_is_due_has_an_age_and_what_is_paused_has_none(peopled: App, edit: Edit) -> None:
    await operations.apply(peopled, hush, config=edit())
    async with run.serving(peopled, {}) as app:
        end = time.monotonic() + 20
        while not (await operations.show_status(app, hush))["campaigns"][0]["states"]["delivered"]:
            assert time.monotonic() < end
            await asyncio.sleep(0.05)
        running = await read(app)
        await operations.pause(app, hush, campaign="spring")
        paused = await read(app)
    assert value(running, "queue_depth", lane="bulk") > 0
    assert 0 < value(running, "queue_oldest_age_seconds", lane="bulk") < 60
    assert value(paused, "queue_depth", lane="bulk") > 0
    assert value(paused, "queue_oldest_age_seconds", lane="bulk") == 0


async def test_figures_stand_before_anything_is_applied_and_where_nobody_serves(app: App) -> None:
    samples = await read(app)
    assert value(samples, "queue_depth", lane="urgent") == 0
    assert samples["process_resident_memory_bytes", ()] > 0


async def test_both_engines_answer_what_figures_and_health_ask(
    business: Business, store: Store, make_people: People
) -> None:
    await make_people(3)
    message = Message(1 << 50, 1, 0, 1, Purpose.REPLY, "", "us_sms", "20655", MAYA, "UTC", "hi", 1, 100)

    async def write(tx: Tx) -> None:
        queue = await ensure_queue(tx, Ids(lambda: 1_800_000_000_000), 1, "us_sms", Lane.URGENT)
        await put(tx, [message], queue, 1_800_000_000_000)

    await store.write(write)
    watch = StoreWatch(store, 1)
    assert await watch.is_writable(), watch.trouble
    assert watch.schema == SCHEMA
    app = SimpleNamespace(store=store, brand=1)
    kept = await store.read(Figures(app, Health(LoopWatch(), watch))._read, 1)  # type: ignore[arg-type]
    assert kept.tally == [(False, 0, 1)]
    assert kept.oldest == {"urgent": 1_800_000_000_000}


# --- the documents

ROW = re.compile(r"^\| `(gateway_\w+|process_\w+)(?:\{(\w+(?:,\w+)*)\})?` \| (\w+) \|", re.MULTILINE)
DOCUMENT = (ROOT / "docs" / "operations.md").read_text("utf-8")


async def test_the_table_of_metrics_is_what_is_exposed(app: App) -> None:
    figures = Figures(app, Health(LoopWatch(), StoreWatch(app.store, app.brand)))
    text = (await figures.exposition()).decode()
    exposed = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
    told = {name: kind for name, _, kind in ROW.findall(DOCUMENT)}
    assert told == exposed


async def test_the_labels_of_the_table_are_those_that_are_exposed(busy: App) -> None:
    told = {name: set(labels.split(",")) - {""} for name, labels, _ in ROW.findall(DOCUMENT)}
    for name, labels in await read(busy):
        family = re.sub(r"_(bucket|count|sum|created)$", "", name) if name not in told else name
        assert {label for label, _ in labels} - {"le"} == told[family], name


def rules() -> list[dict[str, Any]]:
    """The alert rules of the document."""
    (block,) = re.findall(r"^```yaml\n(groups:\n.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    return [rule for group in yaml.safe_load(block)["groups"] for rule in group["rules"]]


def test_the_alert_rules_name_metrics_and_labels_that_there_are() -> None:
    told = {name: set(labels.split(",")) for name, labels, _ in ROW.findall(DOCUMENT)}
    seen = set()
    for rule in rules():
        assert set(rule) == {"alert", "expr", "for", "annotations"}, rule
        assert re.fullmatch(r"\d+[smh]", rule["for"])
        assert set(rule["annotations"]) == {"summary"}
        names = re.findall(r"\b(gateway_\w+|process_\w+)(?:\{([^}]*)\})?", rule["expr"])
        assert names, rule
        for name, matchers in names:
            family = name if name in told else re.sub(r"_(bucket|count|sum)$", "", name)
            assert family in told, name
            assert set(re.findall(r"(\w+)=", matchers)) <= told[family], rule
        assert rule["expr"].count("(") == rule["expr"].count(")")
        seen.add(rule["alert"])
    assert len(seen) == len(rules()) >= 10
