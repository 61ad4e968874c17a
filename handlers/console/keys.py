"""Makes, lists and ends the keys of programs, and puts them into lines for a terminal."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from campaigns import clients
from campaigns.business import Business
from campaigns.client_settings import Client
from campaigns.clients import Key, Kind
from gateway.clock import Clock
from gateway.errors import CarillonError
from gateway.store import Store, Tx
from gateway.values import duration_text, parse_duration
from gateway.wording import nearest
from handlers.console import terminal
from handlers.console.facts import Facts

NOW = "now"
LONGEST_LABEL = 80
UNBROKEN = 1_000  # columns of a table that nobody looks at


class Wanted(NamedTuple):
    """A key that is asked for: whose, of which kind (live, test, smpp), what it may do (nothing named: all that the
    client may), what it is for, and for how long its predecessors go on beside it (`24 h`, `now`; empty: for ever).
    """

    client: str
    kind: str
    may: Collection[str]
    label: str
    expires_old: str


async def new(store: Store, business: Business, clock: Clock, wanted: Wanted) -> Facts:
    """Make a key; what is told here is the only word of it. Raises CarillonError."""
    client, now = client_named(business, wanted.client), clock.now_ms()
    label = wanted.label.strip()
    if len(label) > LONGEST_LABEL or not label.isprintable():
        raise CarillonError(f"--label: expected at most {LONGEST_LABEL} printable characters")
    grace = _span("--expires-old", wanted.expires_old) if wanted.expires_old else None

    async def write(tx: Tx) -> tuple[clients.Made, list[Key]]:
        made = await clients.make_key(tx, business, client, Kind(wanted.kind), wanted.may, label, now)
        ended = [] if grace is None else await clients.end_others(tx, business, made.key, now, grace)
        return made, ended

    made, ended = await store.write(write)
    return {
        **_facts(made.key, client.name, now),
        "key": made.shown,
        "ended": [_facts(key, client.name, now) for key in ended],
    }


async def listed(store: Store, business: Business, clock: Clock, client: str) -> Facts:
    """All keys that were ever made, of one client or (empty) of all. None of them can be shown again."""
    only = client_named(business, client).id if client else None
    names, now = await store.read(_names, business.brand), clock.now_ms()
    keys = await store.read(clients.all_keys, business.brand)
    return {
        "now": now,
        "keys": [
            {**_facts(key, names[key.client], now), "is_in_file": names[key.client] in business.clients}
            for key in keys
            if only in (None, key.client)
        ],
    }


async def end(store: Store, business: Business, clock: Clock, id_: str, after: str) -> Facts:
    """End a key, at once or after a time (`24 h`). Raises CarillonError."""
    grace = _span("--after", after) if after else timedelta()
    now = clock.now_ms()
    key = await store.write(clients.end_key, business, id_, now, grace)
    names = await store.read(_names, business.brand)
    return {"now": now, **_facts(key, names[key.client], now)}


async def _names(tx: Tx, brand: int) -> dict[int, str]:
    return dict(await tx.rows("client_list", brand=brand))


def client_named(business: Business, name: str) -> Client:
    """A client of the applied file. Raises CarillonError with the nearest name."""
    client = business.clients.get(name)
    if client is not None:
        return client
    near = nearest(name, business.clients)
    there = f"there {'is' if len(business.clients) == 1 else 'are'} {', '.join(business.clients)}"
    hint = f"did you mean {near}?" if near else there if business.clients else "write it under clients:"
    raise CarillonError(f'no client "{name}" in the applied file; {hint} (after an edit: run.py apply)')


def _span(option: str, text: str) -> timedelta:
    if text == NOW:
        return timedelta()
    try:
        return parse_duration(text)
    except ValueError as error:
        raise CarillonError(f"{option}: {error}; or {NOW}") from None


def _facts(key: Key, client: str, now: int) -> dict[str, Any]:
    return {
        "id": key.id, "client": client, "kind": key.kind, "may": list(key.scopes), "label": key.label,
        "made_at": key.made_at, "ended_at": key.ended_at, "is_live": key.is_live(now),
    }  # fmt: skip


# --- for people


def made_lines(answer: Facts) -> list[Text | str]:
    """A new key, which is shown this once."""
    is_smpp = answer["kind"] == Kind.SMPP
    label = f", {answer['label']}" if answer["label"] else ""
    about = f"{answer['kind']} key {answer['id']}{label}; may {', '.join(answer['may'])}"
    lines: list[Text | str] = [terminal.labelled(answer["client"], about, "bold green")]
    if is_smpp:
        lines.append(terminal.labelled("system_id", answer["client"]))
    lines.append(terminal.labelled("password" if is_smpp else "key", answer["key"]))
    lines += [terminal.labelled("ends", _ending(each, answer["made_at"])) for each in answer["ended"]]
    lines.append("Keep it now: we have only its hash, and cannot show it again.")
    return lines


def ended_lines(answer: Facts) -> list[Text | str]:
    """A key that ends."""
    return [terminal.labelled(answer["client"], _ending(answer, answer["now"]), "bold red")]


def _ending(facts: Mapping[str, Any], now: int) -> str:
    left = facts["ended_at"] - now
    when = (
        f"opens doors for {duration_text(timedelta(milliseconds=left))} more" if left > 0 else "opens no door any more"
    )
    label = f" ({facts['label']})" if facts["label"] else ""
    return f"{facts['kind']} key {facts['id']}{label} {when}"


def show_list(answer: Facts, zone: str) -> None:
    """A table of keys; those that have ended are dim."""
    keys: Sequence[Mapping[str, Any]] = answer["keys"]
    if not keys:
        terminal.show(["No key has been made yet: run.py key new CLIENT"])
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("key", "client", "kind", "may", "made", "ends", "label"):
        table.add_column(heading, no_wrap=True)
    for key in keys:
        client = key["client"] if key["is_in_file"] else f"{key['client']} (not in the file)"
        made = terminal.moment(key["made_at"], zone, answer["now"])
        ends = "" if key["ended_at"] is None else terminal.moment(key["ended_at"], zone, answer["now"])
        ends = ends if key["is_live"] else f"ended {ends}"
        cells = (key["id"], client, key["kind"], ", ".join(key["may"]), made, ends, key["label"])
        table.add_row(*map(Text, cells), style="" if key["is_live"] and key["is_in_file"] else "dim")
    Console(highlight=False, width=None if sys.stdout.isatty() else UNBROKEN).print(table)
