"""What programs are to be told, kept until they were told it: in order for each subject, and again when asked.

A notice that is taken is not locked: its next turn is put a minute off, and what became of it is written down when it
is known. So whoever dies in between leaves nothing behind, and the notice goes out again under the same id.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.ids import first_at
from gateway.store import Tx, beside

TOPIC: Final = "notice"  # told by the store after each commit that wrote some
WAITS, TOLD, GIVEN_UP, KEPT = 0, 1, 2, 3  # kept: there is nobody to tell, it is for who asks
WEBHOOK: Final = "webhook"
DOORS: Final = (WEBHOOK, "twilio", "kannel")  # those that are brought by HTTP
PARCEL: Final = "parcel"  # the subject of a row that holds many notices; its target says how many
LEASE_MS: Final = 60_000
PIECE: Final = 2_000  # rows that one commit changes where many may have to be
LONGEST_TROUBLE: Final = 200
EVER: Final = 1_000_000  # tries


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that a client is to be told. `body` and `target` are JSON; `at` is since when it is to be told.

    An empty `target` is the client's own address for this door.
    """

    id: int
    client: int
    door: str
    kind: str
    subject: str
    at: int
    body: str
    target: str
    tries: int


class Listed(NamedTuple):
    """A notice with how it stands. `trouble` is why the last try failed."""

    notice: Notice
    state: int
    due: int
    trouble: str


class Result(NamedTuple):
    """What became of a notice that was taken; made by `told`, `failed`, `given_up` and `put_back`."""

    notice: Notice
    state: int
    due: int
    tries: int
    trouble: str


class Count(NamedTuple):
    """How many notices of a client, by a door, are in a state; `last` is the id of the latest that has a trouble."""

    client: int
    door: str
    state: int
    n: int
    last: int


def told(notice: Notice) -> Result:
    """The client has it."""
    return Result(notice, TOLD, 0, notice.tries + 1, "")


def failed(notice: Notice, due: int, trouble: str) -> Result:
    """It is to be tried again at `due`, and those of the same subject after it."""
    return Result(notice, WAITS, due, notice.tries + 1, trouble[:LONGEST_TROUBLE])


def given_up(notice: Notice, trouble: str) -> Result:
    """It is tried no more, and the next of its subject goes on."""
    return Result(notice, GIVEN_UP, 0, notice.tries + 1, trouble[:LONGEST_TROUBLE])


def put_back(notice: Notice, due: int) -> Result:
    """It was not tried at all."""
    return Result(notice, WAITS, due, notice.tries, "")


@beside
async def claim(
    tx: Tx, doors: Sequence[str], rooms: Mapping[int, int], now: int, limit: int, lease_ms: int = LEASE_MS
) -> list[Notice]:
    """Take what is due by these doors: of each client at most its `rooms`, and at most `limit` of all.

    Only the first that waits of a subject is given, each client's first before any client's second. What is not
    settled within `lease_ms` is given again. A parcel counts as what it holds, and the last may hold more than there
    is room for.
    """
    left = {client: room for client, room in rooms.items() if room > 0}
    if not left or limit <= 0:
        return []
    await tx.turn(TOPIC)
    most = min(max(left.values()), limit)
    ids: list[int] = []
    for number, client, many, _ in await tx.rows("notice_due", clients=[*left], doors=[*doors], now=now, most=most):
        if left[client] > 0 and len(ids) < limit:
            ids.append(number)
            left[client] -= many
    if not ids:
        return []
    taken = await tx.all(Notice, "notice_take", ids=ids, until=now + lease_ms)
    order = {number: place for place, number in enumerate(ids)}
    return sorted(taken, key=lambda notice: order[notice.id])


@beside
async def free(tx: Tx, clients: Sequence[int], doors: Sequence[str], now: int) -> int:
    """Let what somebody had taken who is no more be due now, a piece of it; how many these were.

    Only for who knows that nobody else tells by these doors. What was to be tried again within a lease comes with it.
    """
    return await tx.run(
        "notice_free", clients=[*clients], doors=[*doors], now=now, until=now + LEASE_MS, limit=PIECE
    )  # fmt: skip


@beside
async def renew(tx: Tx, ids: Collection[int], until: int) -> None:
    """Go on holding what was taken."""
    await tx.run("notice_renew", ids=[*ids], until=until)


@beside
async def settle(tx: Tx, results: Iterable[Result]) -> None:
    """Write down what became of notices that were taken."""
    settled = [*results]
    arrived = [each.notice.id for each in settled if each.state == TOLD]
    if arrived:
        await tx.run("notice_told", ids=arrived)
    others = [each for each in settled if each.state != TOLD]
    rows = [(each.state, each.due, each.tries, each.trouble, each.notice.id) for each in others]
    await tx.many("notice_settle", rows)
    waiting = [each for each in others if each.state == WAITS]
    if waiting:
        held = [
            (each.due, each.notice.client, each.notice.subject, each.notice.door, each.notice.id) for each in waiting
        ]
        await tx.many("notice_hold", held)


@beside
async def put_off(tx: Tx, like: Notice, now: int, until: int) -> int:
    """Let what is due and goes where `like` goes wait until then, a piece of it; how many these were."""
    return await tx.run("notice_put_off", **_place(like), now=now, until=until, limit=PIECE)


@beside
async def hasten(tx: Tx, like: Notice, now: int, out: Collection[int], *, untried: bool = False) -> int:
    """Let what waits for a later time and goes where `like` goes be due now, save what is `out`; how many.

    If `untried`, only what was never tried.
    """
    tries = 0 if untried else EVER
    return await tx.run("notice_hasten", **_place(like), now=now, out=[*out], tries=tries, limit=PIECE)


@beside
async def abandon(tx: Tx, like: Notice, before: int, out: Collection[int], trouble: str) -> int:
    """Give up what waits since `before` and goes where `like` goes, save what is `out`; how many."""
    return await tx.run(
        "notice_abandon", **_place(like), before=before, out=[*out], trouble=trouble[:LONGEST_TROUBLE], limit=PIECE
    )


def _place(like: Notice) -> dict[str, object]:
    return {"client": like.client, "door": like.door, "target": like.target}


async def replay(
    tx: Tx, client: int, since: int, until: int, kinds: Sequence[str], now: int, *, after: int = 0,
    doors: Sequence[str] = DOORS,
) -> tuple[int, int]:  # fmt: skip
    """Let what was made within a span of time be told again, in its order; a piece of it.

    Times are in milliseconds since 1970, `until` is not of the span; no `kinds` are all. Returns how many these are,
    and the last id: ask again after it, until there are none.
    """
    span = {"after": max(after, first_at(since) - 1), "until": first_at(until)}
    rows = await tx.rows("notice_replay_next", client=client, doors=[*doors], **span, **_kinds(kinds), limit=PIECE)
    ids = [number for (number,) in rows]
    if ids:
        await tx.run("notice_replay", ids=ids, now=now)
        tx.notify(TOPIC)
    return len(ids), ids[-1] if ids else after


async def after(
    tx: Tx, client: int, last: int, limit: int, kinds: Sequence[str] = (), doors: Sequence[str] = DOORS
) -> list[Listed]:  # fmt: skip
    """The next notices of a client after an id, oldest first; no `kinds` are all."""
    values = {"client": client, "doors": [*doors], "limit": limit, **_kinds(kinds)}
    return [_listed(row) for row in await tx.rows("notice_after", after=last, **values)]


async def before(
    tx: Tx, client: int, first: int, limit: int, kinds: Sequence[str] = (), doors: Sequence[str] = DOORS
) -> list[Listed]:  # fmt: skip
    """The notices of a client before an id, the latest first; no `kinds` are all."""
    values = {"client": client, "doors": [*doors], "limit": limit, **_kinds(kinds)}
    return [_listed(row) for row in await tx.rows("notice_before", before=first, **values)]


def _kinds(kinds: Sequence[str]) -> dict[str, object]:
    return {"kinds": [*kinds], "all_kinds": int(not kinds)}


def _listed(row: Sequence[object]) -> Listed:
    return Listed(Notice(*row[:9]), *row[9:])  # type: ignore[arg-type]  # as the query has them


async def counts(tx: Tx, clients: Sequence[int], since: int, doors: Sequence[str] = DOORS) -> list[Count]:
    """How many notices there are of each client, door and state.

    What waits is counted however old it is, the others when they were made since `since`, in milliseconds.
    """
    return await tx.all(Count, "notice_counts", clients=[*clients], since=first_at(since), doors=[*doors])


async def troubles(tx: Tx, ids: Sequence[int]) -> dict[int, str]:
    """Why the last try of these failed."""
    return dict(await tx.rows("notice_troubles", ids=[*ids]))


async def tidy(tx: Tx, before: int, limit: int) -> int:
    """Forget what was told, given up or only kept before a time, in milliseconds since 1970; how many went."""
    return await tx.run("notice_tidy", before=first_at(before), at=before, limit=limit)
