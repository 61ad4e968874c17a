"""Accepts what programs bring: each call has one effect and one answer, however often it comes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from campaigns.business import Business
from campaigns.judging import Batch, Rows
from campaigns.wishes import KeyReused, Outcome, Refused, Result, Submission, Taken, Why
from gateway import failpoints
from gateway.store import Tx, beside


@dataclass(slots=True)
class Accepted:
    """What a transaction came to: a result or an error for each submission.

    `queues` are those into which something was put; `is_new`: some are nobody's yet.
    """

    results: list[Result | Exception]
    queues: set[int] = field(default_factory=set)
    is_new: bool = False


@beside
async def accept(tx: Tx, business: Business, submissions: Sequence[Submission], now: int) -> Accepted:
    """Accept what several calls brought, in one transaction; each gets its own result.

    Of two transactions with one key beside each other, one finds the key taken when it writes; it is run again then,
    and sees what the first was answered.
    """
    batch = Batch(business, now)
    before = await _looked_up(tx, batch, submissions)
    results: list[Result | Exception | None] = [_known(each, before) for each in submissions]
    new: list[int] = []
    first: dict[tuple[int, str], int] = {}
    for place, each in enumerate(submissions):
        if results[place] is None and (not each.key or first.setdefault((each.client.id, each.key), place) == place):
            new.append(place)
    await batch.complete(tx, [submissions[place] for place in new])
    decided = {place: batch.decide(submissions[place]) for place in new}
    await batch.write(
        tx, _remembered(business, [(submissions[place], result) for place, result in decided.items()], now)
    )
    for place, each in enumerate(submissions):
        if place in decided:
            results[place] = decided[place]
        elif results[place] is None:  # the same key twice in one batch
            earlier = first[each.client.id, each.key]
            results[place] = _again(each, submissions[earlier].digest, decided[earlier])
    failpoints.hit("accept")
    return Accepted([each for each in results if each is not None], batch.queues, batch.is_new)


Answers = dict[tuple[int, str], tuple[str, str]]  # the digest of a body and what it was answered, by client and key


async def _looked_up(tx: Tx, batch: Batch, submissions: Sequence[Submission]) -> Answers:
    keys = {each.key for each in submissions if each.key}
    if not keys:
        await batch.look_up(tx, submissions)
        return {}
    clients = {each.client.id for each in submissions if each.key}
    (rows,) = await batch.look_up(tx, submissions, ("idem_among", {"clients": [*clients], "keys": [*keys]}))
    return {(client, key): (digest, result) for client, key, digest, result in rows}


def _known(submission: Submission, before: Answers) -> Result | Exception | None:
    found = before.get((submission.client.id, submission.key)) if submission.key else None
    if found is None:
        return None
    digest, kept = found
    return _again(submission, digest, Result([_read(row) for row in orjson.loads(kept)]))


def _again(submission: Submission, digest: str, result: Result) -> Result | Exception:
    """The answer of an earlier call with the same key, if it had the same body."""
    if submission.digest != digest:
        return KeyReused(f"the key {submission.key} was used with another body; take a new key for a new request")
    return result._replace(is_repeat=True)


def _read(row: list[Any]) -> Outcome:
    return Refused(Why(row[0]), row[1]) if len(row) == len(Refused._fields) else Taken(*row)


def _remembered(business: Business, answered: Iterable[tuple[Submission, Result]], now: int) -> Rows:
    """In the order of the keys: of two who bring the same ones, neither waits for the other while it is waited for."""
    rows = []
    for each, result in answered:
        if each.key:
            kept = orjson.dumps([[*one] for one in result.outcomes]).decode()
            rows.append((each.client.id, each.key, business.brand, each.digest, kept, now))
    return "idem_insert", sorted(rows)
