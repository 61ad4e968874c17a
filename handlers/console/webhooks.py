"""Shows what programs were told, tells it again, and puts both into lines for a terminal."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from campaigns.business import Business
from campaigns.client_settings import KINDS, Client
from gateway import notices, numbers
from gateway.clock import Clock, to_ms
from gateway.codecs import webhook_signature
from gateway.errors import CarillonError
from gateway.ids import first_at, moment
from gateway.notices import DOORS, GIVEN_UP, KEPT, TOLD, WAITS, WEBHOOK, Listed
from gateway.store import Store, Tx
from gateway.values import parse_duration, parse_moment
from gateway.wording import nearest
from handlers.api import webhooks
from handlers.console import terminal
from handlers.console.facts import Facts
from handlers.console.keys import client_named

DAY: Final = timedelta(days=1)
LATEST: Final = 20  # notices that are shown of one client
STATES: Final = {WAITS: "waiting", TOLD: "told", GIVEN_UP: "given up", KEPT: "kept"}
NEWS_S: Final = 20.0  # how long a question for news waits for some
LOOK_S: Final = 0.25
OVERLAP_MS: Final = 5_000  # what was made so shortly before is looked at again: another process may commit later
NEWS: Final = 100
EVER: Final = (1 << 63) - 1


async def overview(store: Store, business: Business, clock: Clock) -> Facts:
    """Every client that is told something by HTTP: how many wait, and since a day ago were told and given up."""
    since = clock.now_ms() - DAY // timedelta(milliseconds=1)
    clients = {each.id: each for each in business.clients.values()}

    async def read(tx: Tx) -> tuple[list[notices.Count], dict[int, str]]:
        counts = await notices.counts(tx, [*clients], since)
        return counts, await notices.troubles(tx, [each.last for each in counts if each.last])

    counts, troubles = await store.read(read)
    return {
        "now": clock.now_ms(),
        "since": since,
        "clients": [
            _client(client, [each for each in counts if each.client == client.id], troubles)
            for client in clients.values()
        ],
    }


def _client(client: Client, counts: Sequence[notices.Count], troubles: Mapping[int, str]) -> Facts:
    sums = dict.fromkeys(STATES.values(), 0)
    for each in counts:
        sums[STATES[each.state]] += each.n
    last = max((each.last for each in counts), default=0)
    webhook = client.settings.webhook
    return {
        "client": client.name,
        "url": webhook.url if webhook else "",
        "private": client.settings.private,
        "doors": sorted({each.door for each in counts} | ({WEBHOOK} if webhook else set())),
        **{state.replace(" ", "_"): n for state, n in sums.items()},
        "trouble": troubles.get(last, ""),
        "trouble_at": moment(last) if last else None,
    }


async def shown(store: Store, business: Business, clock: Clock, name: str) -> Facts:
    """One client, with the latest that it was told or shall be, newest first. Numbers of people are masked."""
    client, facts = client_named(business, name), await overview(store, business, clock)

    async def read(tx: Tx) -> list[Listed]:
        return await notices.before(tx, client.id, EVER, LATEST)

    latest = [_notice(each) for each in await store.read(read)]
    own = next(each for each in facts["clients"] if each["client"] == client.name)
    return {"now": facts["now"], "since": facts["since"], **own, "latest": latest}


def _notice(listed: Listed) -> Facts:
    notice, kind, about = listed.notice, *listed.notice.subject.split(":", 1)
    return {
        "id": str(notice.id),
        "type": notice.kind,
        "about": numbers.mask(about) if kind == "p" else about,
        "door": notice.door,
        "made_at": moment(notice.id),
        "state": STATES[listed.state],
        "tries": notice.tries,
        "due": listed.due if listed.state == WAITS else None,
        "trouble": listed.trouble,
    }


def secret(business: Business, name: str) -> Facts:
    """What a client's receiver checks our signatures with, the present one first."""
    client = client_named(business, name)
    return {"client": name, "secrets": [webhook_signature.written(each) for each in webhooks.secrets(business, client)]}


# --- telling again


async def replay(
    store: Store, business: Business, clock: Clock, name: str, since: str, until: str, kinds: Collection[str]
) -> Facts:  # fmt: skip
    """Tell a client again what was made in a span of time, in its order. Raises CarillonError."""
    client, now = client_named(business, name), clock.now_ms()
    first, last = _time("--since", since, business, now), _time("--until", until, business, now) if until else now
    if first >= last:
        raise CarillonError("--since: expected a time before --until, which is now where it is not named")
    for kind in kinds:
        if kind not in KINDS:
            near = nearest(kind, KINDS)
            raise CarillonError(f'--kind: no kind "{kind}"; {f"did you mean {near}?" if near else ", ".join(KINDS)}')
    return await again(store, clock, client, first, last, kinds)


async def again(
    store: Store, clock: Clock, client: Client, first: int, last: int, kinds: Collection[str] = ()
) -> Facts:
    """The same, from one millisecond to before another."""
    doors = [door for door in DOORS if door != WEBHOOK or client.settings.webhook]
    count = after = 0
    while True:
        piece, after = await store.write_bulk(
            notices.replay, client.id, first, last, [*kinds], clock.now_ms(), after=after, doors=doors
        )
        count += piece
        if piece < notices.PIECE:
            break
    if not count and WEBHOOK not in doors:
        raise CarillonError(f"{client.name} has no webhook; add one under clients: in the file, and say run.py apply")
    return {"client": client.name, "since": first, "until": last, "again": count}


def _time(option: str, text: str, business: Business, now: int) -> int:
    """A moment on the brand's clock, or so long ago: `2026-12-01 18:00`, `24 h`."""
    try:
        return now - parse_duration(text) // timedelta(milliseconds=1)
    except ValueError:
        pass
    try:
        found: datetime = parse_moment(text)
    except ValueError as error:
        raise CarillonError(f"{option}: {error}, or how long ago, such as 24 h") from None
    return to_ms(found.replace(tzinfo=business.zone))


# --- listening


async def news(store: Store, business: Business, clock: Clock, name: str, after: str, known: Collection[str]) -> Facts:
    """What is told to a client's webhook from now on, as it is made, each as it would be called just now.

    `after` and `known` are as the last answer gave them, both empty at first. Waits some seconds for something to tell.
    """
    client = client_named(business, name)
    if client.settings.webhook is None and "events" not in client.settings.model_fields_set:
        raise CarillonError(
            f"nothing is kept for {name}: it has no webhook; add events: [...] to it in the file, and apply"
        )
    last = int(after) if after else first_at(clock.now_ms())
    end = asyncio.get_running_loop().time() + (NEWS_S if after else 0)
    while True:
        found = await store.read(_after, client.id, first_at(moment(last) - OVERLAP_MS) if after else last)
        fresh = [each for each in found if str(each.notice.id) not in known]
        if fresh or asyncio.get_running_loop().time() >= end:
            break
        await asyncio.sleep(LOOK_S)
    last = max([last, *(each.notice.id for each in fresh)])
    return {
        "after": str(last),
        "known": [str(each.notice.id) for each in found if moment(each.notice.id) >= moment(last) - OVERLAP_MS],
        "notices": [_news(business, client, each) for each in fresh],
    }


async def _after(tx: Tx, client: int, last: int) -> list[Listed]:
    return await notices.after(tx, client, last - 1, NEWS, doors=[WEBHOOK])


def _news(business: Business, client: Client, listed: Listed) -> Facts:
    notice = listed.notice
    return {**_notice(listed), "headers": webhooks.headers(business, client, notice), "body": notice.body}


# --- for people


def list_lines(facts: Facts) -> list[Any]:
    """All clients in a table."""
    if not facts["clients"]:
        return ["No program is in the file: write one under clients:, and say run.py apply"]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("client", no_wrap=True)
    for heading in ("waiting", "told", "given up"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("where to", no_wrap=True)
    table.add_column("last trouble", no_wrap=True)
    for each in facts["clients"]:
        sums = (f"{each[state]:,}" for state in ("waiting", "told", "given_up"))
        style = "bold red" if each["given_up"] else "yellow" if each["waiting"] and each["trouble"] else ""
        table.add_row(*map(Text, (each["client"], *sums, _where(each), each["trouble"])), style=style)
    return [table, "Told and given up: in the last 24 hours."]


def _where(each: Facts) -> str:
    others = ", ".join(door for door in each["doors"] if door != WEBHOOK)
    return " and ".join(filter(None, (each["url"], others))) or "nowhere: no webhook"


def shown_lines(facts: Facts, zone: str) -> list[Any]:
    """One client with its latest notices."""
    kept = f", {facts['kept']:,} kept for who asks" if facts["kept"] else ""
    lines: list[Any] = [
        terminal.labelled(facts["client"], _where(facts)),
        terminal.labelled("", f"{facts['waiting']:,} waiting; in the last 24 hours {facts['told']:,} told, "
                              f"{facts['given_up']:,} given up{kept}"),
    ]  # fmt: skip
    if not facts["latest"]:
        return lines
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("id", "made", "type", "about", "state", "tries", "trouble"):
        table.add_column(heading, no_wrap=True, justify="right" if heading == "tries" else "left")
    for each in facts["latest"]:
        made = terminal.moment(each["made_at"], zone, facts["now"])
        cells = (each["id"], made, each["type"], each["about"], each["state"], str(each["tries"]), each["trouble"])
        table.add_row(*map(Text, cells))
    return [*lines, table]


def replay_lines(facts: Facts) -> list[Any]:
    """What is told again."""
    n = terminal.several(facts["again"], "notice")
    return [terminal.labelled(facts["client"], f"{n} will be told again, in order, under the same ids", "bold green")]


def show(lines: Sequence[Any]) -> None:
    """Print lines and tables; a table that nobody looks at is as wide as it needs."""
    out = Console(highlight=False, soft_wrap=True, markup=False, width=None if sys.stdout.isatty() else 1_000)
    for line in lines:
        out.print(line)
