"""Holds what a carrier took against what our store says, in the manner of Jepsen's total queue."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from gateway.messages import State
from gateway.outbox import POISON, SENT_AGAIN
from tests.faults.carriers import Carrier, Copy

SENT_AGAIN_TIMES = """
SELECT message, max(times) FROM (
  SELECT message, part, count(*) AS times FROM event WHERE state = 10 AND code = ? GROUP BY message, part
) each_part GROUP BY message
"""
TAKEN = {State.SENT, State.DELIVERED}
NOT_SENT = {State.REFUSED, State.STOPPED, State.EXPIRED, State.FAILED}


class Judged(Protocol):
    """A business and its carrier, whatever serves it."""

    number: str
    people: int

    @property
    def carrier(self) -> Carrier:
        """Who keeps a log of what it took."""
        ...

    def rows(self, sql: str, *values: object) -> list[Any]:
        """What the store holds; values stand where a question mark does."""
        ...


class Message(NamedTuple):
    """One message of the store."""

    id: int
    address: str
    text: str
    parts: int
    repeat: int
    state: State
    code: str

    @classmethod
    def read(cls, id_: int, address: str, text: str, parts: int, repeat: int, state: int, code: str) -> Message:
        """One row."""
        return cls(id_, address, text, parts, repeat, State(state), code)


@dataclass
class Verdict:
    """What became of everything that was accepted. Only `recovered` and `doubted` may hold anything."""

    lost: list[Message] = field(default_factory=list)  # accepted, and neither sent nor decided about
    unsent: list[Message] = field(default_factory=list)  # taken, says the store; the carrier knows nothing of it
    untold: list[Message] = field(default_factory=list)  # never left, says the store; the carrier has it
    too_often: list[Message] = field(default_factory=list)  # more copies than the class allows
    missed: list[Message] = field(default_factory=list)  # at least once, and not once
    unexpected: list[Copy] = field(default_factory=list)  # sent, and nobody had accepted it
    after_stop: list[object] = field(default_factory=list)  # claimed after the STOP was committed
    sums: list[str] = field(default_factory=list)  # sums that do not add up
    recovered: list[Message] = field(default_factory=list)  # more than one copy, as often as it was sent again
    doubted: list[Message] = field(default_factory=list)

    def wrong(self, *, at_the_end: bool = True) -> dict[str, Sequence[object]]:
        """What must not be, by name, the first few of each; before the end much may still be on its way."""
        names = ["unsent", "untold", "too_often", "unexpected", "after_stop", "sums"]
        names += ["lost", "missed"] if at_the_end else []
        return {name: getattr(self, name)[:3] for name in names if getattr(self, name)}


def judge(folder: Judged) -> Verdict:
    """Only while nothing serves."""
    query = (
        "SELECT m.id, m.address, m.text, m.parts, m.repeat, coalesce(s.state, 0), coalesce(s.code, '')"
        " FROM message m LEFT JOIN state s ON s.message = m.id ORDER BY m.id"
    )
    messages = [Message.read(*row) for row in folder.rows(query)]
    again = dict(folder.rows(SENT_AGAIN_TIMES, SENT_AGAIN))
    verdict = Verdict()
    copies = _by_message(messages, folder.carrier.copies(folder.number), verdict)
    for message in messages:
        _judge_one(verdict, message, copies.get(message.id, Counter()), again.get(message.id, 0))
    verdict.after_stop = [id_ for (id_,) in folder.rows("SELECT message FROM claimed_after_stop")]
    verdict.sums = _sums(folder)
    return verdict


def _by_message(messages: Sequence[Message], copies: Sequence[Copy], verdict: Verdict) -> Mapping[int, Counter[int]]:
    """How often each part of each message was taken."""
    of_phone: defaultdict[str, list[Message]] = defaultdict(list)
    for message in messages:
        of_phone[message.address].append(message)
    found: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for copy in copies:
        owner = next((message for message in of_phone[copy.recipient] if copy.text in message.text), None)
        if owner is None:
            verdict.unexpected.append(copy)
        else:
            found[owner.id].update(range(owner.parts) if copy.part < 0 else [copy.part])
    return found


def _judge_one(verdict: Verdict, message: Message, copies: Counter[int], times_again: int) -> None:
    counts = [copies[part] for part in range(message.parts)]
    is_poison = message.state is State.IN_DOUBT and message.code == "poison" and times_again >= POISON - 1
    if message.state is State.QUEUED:
        verdict.lost.append(message)
    if message.state in TAKEN and not all(counts):
        verdict.unsent.append(message)
    if message.state in NOT_SENT and any(counts) and not times_again:
        verdict.untold.append(message)
    if max(counts) > 1:
        is_allowed = message.repeat and max(counts) <= 1 + times_again
        (verdict.recovered if is_allowed else verdict.too_often).append(message)
    if message.repeat and message.state not in NOT_SENT and not all(counts) and not is_poison:
        verdict.missed.append(message)
    if message.state is State.IN_DOUBT:
        verdict.doubted.append(message)


def _sums(folder: Judged) -> list[str]:
    """The waterfall against its people, and each tally against a recount: both hold at every moment."""
    found: list[str] = []
    for run, planned, matched in folder.rows("SELECT id, planned_at, matched FROM run"):
        ((refused,),) = folder.rows("SELECT count(*) FROM refusal WHERE run = ?", run)
        ((made,),) = folder.rows("SELECT coalesce(sum(n), 0) FROM tally WHERE run = ?", run)
        if matched != refused + made or (planned and matched != folder.people):
            found.append(f"{matched} matched of {folder.people}: {refused} refused and {made} made")
    sums = "SELECT run || ' ' || state, sum(n) FROM tally WHERE state <> 0 GROUP BY 1 HAVING sum(n) <> 0"
    tally = dict(folder.rows(sums))
    count = dict(folder.rows("SELECT run || ' ' || state, count(*) FROM state WHERE state <> 0 GROUP BY 1"))
    if tally != count:
        found.append(f"tally {tally}, recount {count}")
    return found
