"""What must hold in every world: the promise, held against what the carrier and the people saw.

The numbers I1 to I8 are those of the promise's invariants: I1 accepted exists; I2 one terminal state, monotonic; I3
copies as the class promises; I4 nothing of a campaign after its person's STOP, outside hours, above a cap; I6 sums are
a recount; I7 parts sent are parts counted; I8 each text that came in kept once and thought about at most once.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from datetime import UTC, datetime
from math import inf
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from gateway.inbox import RETURN_MS
from gateway.messages import State
from gateway.outbox import SENT_AGAIN

if TYPE_CHECKING:
    from tests.simulation.smsc import Delivery, Taken
    from tests.simulation.world import Claim, World

EVERY = 5  # commits between two looks
LEAVES_S = 1.0  # what is claimed leaves within a second
OPENS, CLOSES = 9 * 60, 21 * 60  # minutes of the day
CAP, CAP_MS = 2, 2 * 3_600_000
DOUBTS = 3  # after so many lost answers a message is given up, of whatever class


class Kept(NamedTuple):
    """A message as the gateway keeps it."""

    id: int
    run: int
    person: int
    purpose: str
    address: str
    text: str
    parts: int
    repeat: int
    answers: int
    state: int
    sent: int
    delivered: int


class Watch:
    """Looks on, says what is wrong, and counts what it saw."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.counts: dict[str, int] = {}
        self._states: dict[int, int] = {}
        self._commits = self._changes = 0
        self._jumps: list[float] = []
        self._answered: set[str] = set()  # the carrier's ids that the gateway has recorded

    def wrong(self, words: str) -> None:
        self.world.wrong.append(words)

    def jumped(self) -> None:
        self._jumps.append(self.world.loop.time())

    # --- at each step

    def after_commit(self, connection: sqlite3.Connection) -> None:
        self._commits += 1
        if self._commits % EVERY == 0 and connection.total_changes != self._changes:
            self._changes = connection.total_changes
            self._look(connection)

    def _look(self, connection: sqlite3.Connection) -> None:
        """I6: the sums are those of the messages at every moment. I2: a state only rises, and once it is final only
        to delivered, or, of parts or copies that end differently, to the worst."""
        have = dict(connection.execute("SELECT run, count(*) FROM message GROUP BY run"))
        sums = dict(connection.execute("SELECT run, sum(n) FROM tally GROUP BY run"))
        if have != {run: n for run, n in sums.items() if n}:
            self.wrong(f"I6 at {self.world.loop.time():.3f}: {have} messages, but sums of {sums}")
        if any(n < 0 for (n,) in connection.execute("SELECT n FROM tally")):
            self.wrong("I6: a sum is below nothing")
        for message, parts, state in connection.execute("SELECT message, parts, state FROM state"):
            before = self._states.get(message, 0)
            if state != before:
                is_corrected = state == State.DELIVERED or parts > 1 or _has_copies(connection, message)
                if state < before or (State(before).is_final and not is_corrected):
                    self.wrong(f"I2: message {message} went from {State(before).name} to {State(state).name}")
                self._states[message] = state

    def at_claim(self, claim: Claim, connection: sqlite3.Connection) -> None:
        """I4 at the claim, exactly: read inside its transaction."""
        if claim.purpose != "marketing":
            return
        if connection.execute("SELECT 1 FROM stop WHERE person = ?", (claim.person,)).fetchone():
            self.wrong(f"I4: message {claim.id} was claimed after the STOP of its person")
        if not is_open(claim.now, claim.zone):
            self.wrong(f"I4: message {claim.id} was claimed outside the hours of {claim.zone}")

    # --- at rest

    def _connection(self) -> sqlite3.Connection:
        house = self.world.house
        assert house is not None
        return house.store.connections[1]

    def next_due(self) -> int | None:
        """When something of what waits may go on, in business time; None when nothing waits."""
        read = self._connection().execute
        busy = read(
            "SELECT EXISTS (SELECT 1 FROM flight) OR EXISTS (SELECT 1 FROM inbound WHERE thought = 0)"
            " OR EXISTS (SELECT 1 FROM run WHERE state IN ('planning', 'stopping', 'paused'))"
        ).fetchone()[0]
        found: int | None = read(  # a run that was launched before the clock was put back waits as its texts do
            "SELECT min(due) FROM (SELECT due FROM outbox UNION ALL SELECT due FROM run WHERE state = 'waiting')"
        ).fetchone()[0]
        return 0 if busy else found

    def paused(self) -> list[str]:
        """The campaigns that wait for an operator."""
        rows = self._connection().execute("SELECT campaign FROM run WHERE state = 'paused' ORDER BY id")
        return [campaign for (campaign,) in rows]

    def unrest(self) -> str:
        """What still waits, for a report."""
        read, house = self._connection().execute, self.world.house
        waits = {
            "outbox": read("SELECT queue, count(*), min(due) FROM outbox GROUP BY queue").fetchall(),
            "flight": read("SELECT count(*) FROM flight").fetchone(),
            "inbound": read("SELECT count(*) FROM inbound WHERE thought = 0").fetchone(),
            "runs": read("SELECT campaign, state FROM run").fetchall(),
            "deliveries": self.world.smsc.open_deliveries,
            "lines": [line for each in house.gateway.channels.values() for line in each.lines()] if house else [],
        }
        return f"{waits}, idle {house and house.is_idle}, at {self.world.clock.now_ms()}"

    def at_rest(self) -> None:
        """Nothing waits: the sums equal a recount of what happened."""
        connection = self._connection()
        self._look(connection)
        folded_to, last = connection.execute(
            "SELECT (SELECT n FROM cursor WHERE name = 'fold'), (SELECT max(n) FROM event)"
        ).fetchone()
        if folded_to == last:  # else a receipt has come this very moment
            self._recount(connection)

    def _recount(self, connection: sqlite3.Connection) -> None:
        """I6: states and sums once more from the events alone."""
        runs: dict[int, Counter[int]] = defaultdict(Counter)
        events: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for message, part, state in connection.execute("SELECT message, part, state FROM event"):
            events[message].append((part, state))
        states = dict(connection.execute("SELECT message, state FROM state"))
        for message, run, parts in connection.execute("SELECT id, run, parts FROM message"):
            state = folded(events[message], parts)
            runs[run][state] += 1
            if state != states.get(message, 0):
                self.wrong(f"I6: message {message} is {state} by its events, but {states.get(message)} by the fold")
        sums: dict[int, Counter[int]] = defaultdict(Counter)
        for run, state, n in connection.execute("SELECT run, state, n FROM tally WHERE n <> 0"):
            sums[run][state] += n
        if runs != sums:
            self.wrong(f"I6: a recount gives {dict(runs)}, the sums say {dict(sums)}")
        for run, matched in connection.execute("SELECT id, matched FROM run"):
            refused = connection.execute("SELECT count(*) FROM refusal WHERE run = ?", (run,)).fetchone()[0]
            if matched != refused + sum(runs[run].values()):
                self.wrong(f"I6: run {run} matched {matched}, but {refused} + {sum(runs[run].values())} are told of")

    # --- at the end

    def at_the_end(self) -> None:
        """Everything, when all is over."""
        connection = self._connection()
        self._look(connection)
        self._recount(connection)
        kept = {
            row[0]: Kept(*row)
            for row in connection.execute(
                "SELECT id, m.run, person, purpose, address, text, m.parts, repeat, answers, coalesce(state, 0),"
                " coalesce(sent, 0), coalesce(delivered, 0) FROM message m LEFT JOIN state s ON s.message = m.id"
            )
        }
        self.counts |= {
            State(state).word: n for state, n in sorted(Counter(one.state for one in kept.values()).items())
        }
        self._accepted(kept)
        for one in kept.values():
            if not State(one.state).is_final:
                self.wrong(f"I2: message {one.id} ends as {State(one.state).word}")
        for table in ("outbox", "flight"):
            if n := connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]:
                self.wrong(f"{n} rows are left in {table}")
        taken = self._taken_of(connection, kept)
        self._copies(kept, taken)
        self._fates(kept, taken)
        self._leaving(kept, taken)
        self._caps(kept, taken)
        self._stops(kept, taken)
        self._texts(connection)
        self._votes(connection)

    def _accepted(self, kept: dict[int, Kept]) -> None:
        for one in self.world.accepted:
            if one.is_sure and one.id not in kept:
                self.wrong(f"I1: message {one.id} was accepted and is gone")
            if one.is_refused and one.id in kept:
                self.wrong(f"I1: message {one.id} was refused and is there")

    def _taken_of(self, connection: sqlite3.Connection, kept: dict[int, Kept]) -> dict[int, list[Taken]]:
        """Which message each part belongs to that the carrier took: by its id where that was answered, else by its
        words, which are a message's own save for replies: then it is of the one that was claimed last."""
        by_ref: dict[str, set[tuple[int, int]]] = defaultdict(set)
        for message, part, ref in connection.execute(
            "SELECT message, part, ref FROM event WHERE ref <> '' AND state = 20"
        ):
            by_ref[ref.partition(":")[2]].add((message, part))
        by_address: dict[str, list[Kept]] = defaultdict(list)
        for one in kept.values():
            by_address[one.address.lstrip("+")].append(one)
        found: dict[int, list[Taken]] = defaultdict(list)
        loose: list[Taken] = []
        for each in self.world.smsc.taken:
            named = by_ref.get(self.world.smsc.id_in_answer(each), set())
            if len(named) > 1:
                self.wrong(f"I3: the carrier's id {each.carrier_id} stands in {sorted(named)}")
            for message, part in named:
                if not fits(kept[message], each) or part not in (each.number - 1, -1):
                    self.wrong(
                        f"I3: id {each.carrier_id} of '{each.text[:20]}' {each.number} stands for {message} {part}"
                    )
                found[message].append(each)
                self._answered.add(each.carrier_id)
            if not named:
                loose.append(each)
        claims = self._claims()
        for each in loose:
            fitting = [
                (age_s(claims[one.id], each), has_copy(found[one.id], each), one.id)
                for one in by_address[each.address]
                if fits(one, each)
            ]
            if fitting:
                found[min(fitting)[-1]].append(each)
            else:
                self.wrong(f"the carrier took '{each.text[:30]}' for {each.address}, which no message says")
        return found

    def _copies(self, kept: dict[int, Kept], taken: dict[int, list[Taken]]) -> None:
        """I3 and I7."""
        for message, one in kept.items():
            copies = Counter(each.number for each in taken[message])
            if any(each.total != one.parts for each in taken[message]):
                self.wrong(f"I7: message {message} counts {one.parts} parts, the carrier {taken[message][0].total}")
            if not one.repeat and any(n > 1 for n in copies.values()):
                self.wrong(f"I3: message {message} reached the carrier {max(copies.values())} times")
            whole = set(copies) == set(range(1, one.parts + 1))
            if one.state in (State.SENT, State.DELIVERED) and not whole:
                self.wrong(f"I7: message {message} is {State(one.state).word}, the carrier took parts {sorted(copies)}")
            if one.sent.bit_count() > len(copies):
                self.wrong(
                    f"I7: {one.sent.bit_count()} parts of {message} count as sent, the carrier took {len(copies)}"
                )
            over = (State.REFUSED, State.EXPIRED, State.FAILED, State.STOPPED)
            if one.repeat and not whole and one.state not in over and self._doubts(message) < DOUBTS:
                self.wrong(f"I3: message {message} was to be sent at least once, the carrier took {sorted(copies)}")

    def _doubts(self, message: int) -> int:
        """How often an answer to it was lost, in the part that suffered most."""
        found: int = self._connection().execute(
            "SELECT coalesce(max(n), 0) FROM"
            " (SELECT count(*) AS n FROM event WHERE message = ? AND state = ? GROUP BY part)",
            (message, State.IN_DOUBT),
        ).fetchone()[0]  # fmt: skip
        return found

    def _fates(self, kept: dict[int, Kept], taken: dict[int, list[Taken]]) -> None:
        """What is called delivered was delivered; what was answered, delivered and thanked for is not called less."""
        for message, one in kept.items():
            good = {each.number for each in taken[message] if each.fate == "DELIVRD"}
            if one.state == State.DELIVERED and len(good) < one.parts:
                self.wrong(f"message {message} is delivered, the carrier delivered parts {sorted(good)} of {one.parts}")
            told = {
                each.number
                for each in taken[message]
                if each.fate == "DELIVRD" and each.is_thanked and each.carrier_id in self._answered
            }
            if len(told) == one.parts and one.state != State.DELIVERED:
                self.wrong(f"message {message} was delivered and is called {State(one.state).word}")

    def _leaving(self, kept: dict[int, Kept], taken: dict[int, list[Taken]]) -> None:
        """I4: what is claimed leaves within a second, and nothing leaves without a claim."""
        claims = self._claims()
        for message, parts in taken.items():
            for each in parts:
                before = [claim for claim in claims[message] if claim.at <= each.left_at]
                if not before and self._is_reply(kept, message):
                    continue  # equal words to one phone: which of two replies it was, only an answer could tell
                if not before:
                    self.wrong(f"I4: message {message} left at {each.left_at:.3f} without a claim")
                elif each.left_at - before[-1].at > LEAVES_S and not self._is_reply(kept, message):
                    self.wrong(f"I4: message {message} left {each.left_at - before[-1].at:.3f} s after its claim")

    def _claims(self) -> dict[int, list[Claim]]:
        """By message."""
        claims: dict[int, list[Claim]] = defaultdict(list)
        for claim in self.world.claims:
            claims[claim.id].append(claim)
        return claims

    @staticmethod
    def _is_reply(kept: dict[int, Kept], message: int) -> bool:
        """Two replies of the same words cannot be told apart by the carrier."""
        return kept[message].answers != 0

    def _caps(self, kept: dict[int, Kept], taken: dict[int, list[Taken]]) -> None:
        """I4: of a person's texts in the order of their claims, no more than the cap in its span."""
        last: dict[int, Claim] = {}
        times: dict[int, list[Claim]] = defaultdict(list)
        for message, parts in taken.items():
            if kept[message].purpose == "marketing" and parts:
                first = min(each.left_at for each in parts)
                mine = [claim for claim in self.world.claims if claim.id == message and claim.at <= first]
                # The rest of a text whose first part is in doubt goes under the claim of that part, which nobody saw.
                if mine and not (kept[message].parts > 1 and self._doubts(message)):
                    last[message] = mine[-1]
        for claim in sorted(last.values(), key=lambda each: each.at):
            earlier = times[claim.person]
            if len(earlier) >= CAP and claim.now - earlier[-CAP].now < CAP_MS:
                self.wrong(
                    f"I4: person {claim.person} got {CAP + 1} texts within the span of the cap, the last {claim.id}"
                )
            earlier.append(claim)

    def _stops(self, kept: dict[int, Kept], taken: dict[int, list[Taken]]) -> None:
        """I4 from outside: after a STOP was thanked for, nothing of a campaign leaves until a START is sent."""
        left: dict[str, list[tuple[float, float]]] = defaultdict(list)
        texts = self.world.smsc.texts
        for text in texts:
            if text.words.lower().startswith("stop") and text.delivery.thanked_at:
                until = min(
                    (each.at for each in texts if each.sender == text.sender and each.words in {"START", "YES"}
                     and (not each.delivery.thanked_at or each.delivery.thanked_at[-1] >= text.delivery.thanked_at[0])),
                    default=float("inf"),
                )  # fmt: skip
                left[text.sender].append((text.delivery.thanked_at[0], until))
        for message, parts in taken.items():
            if kept[message].purpose != "marketing":
                continue
            for each in parts:
                for since, until in left[f"+{each.address}"]:
                    if since + LEAVES_S < each.left_at < until:
                        self.wrong(
                            f"I4: message {message} left {each.left_at - since:.3f} s after a STOP was thanked for"
                        )

    def _texts(self, connection: sqlite3.Connection) -> None:
        """I8: as many rows as texts, fewer or more only where lines fell and nobody can tell.

        What is brought again more than an hour later is a new text (STORAGE rule 8); here the clock is put on by hours.
        """
        kept: dict[tuple[str, str], list[int]] = defaultdict(list)
        for sender, words, at in connection.execute("SELECT sender, text, at FROM inbound ORDER BY id"):
            kept[sender, words].append(at)
        rows = {key: len(times) for key, times in kept.items()}
        new = {key: sum(at - times[0] > RETURN_MS for at in times) for key, times in kept.items()}
        sent: dict[tuple[str, str], list[Delivery]] = defaultdict(list)
        for text in self.world.smsc.texts:
            sent[text.sender, text.words].append(text.delivery)
        for key in rows.keys() | sent.keys():
            deliveries, count = sent[key], rows.get(key, 0)
            least, most = self._texts_expected(deliveries, leaves=key[1].lower().startswith("stop"))
            if not least <= count <= most + new.get(key, 0):
                self.wrong(f"I8: {key[0]} texted '{key[1]}' {len(deliveries)} times, {count} are kept")
        for answers, n in connection.execute(
            "SELECT answers, count(*) FROM message WHERE answers <> 0 GROUP BY answers"
        ):
            if n > 1:
                self.wrong(f"I8: text {answers} was answered {n} times")
        if connection.execute("SELECT 1 FROM inbound WHERE thought <> 1").fetchone():
            self.wrong("I8: a text was not thought about")

    def _texts_expected(self, deliveries: list[Delivery], *, leaves: bool) -> tuple[int, int]:
        """How many rows may stand for equal texts of one person.

        Each is one. Equal texts on one line are as many; one on a later line may have been taken for the repeat of an
        earlier one. Around a jump of the clock a repeat may look like a new text; one that asks to leave may count as
        one when texts of that person waited, for in doubt it is a STOP.
        """
        once = Counter(each.lines[0] for each in deliveries if len(each.lines) == 1)
        most = len(deliveries)
        if self._jumps or leaves:
            most += sum(len(each.lines) - 1 for each in deliveries)
        return max(once.values(), default=0) if len(deliveries) > 1 else most and 1, most

    def _votes(self, connection: sqlite3.Connection) -> None:
        """I6 of contests: the running count is a recount."""
        recount = dict(connection.execute("SELECT choice, count(*) FROM vote GROUP BY choice"))
        if recount != dict(connection.execute("SELECT choice, votes FROM ballot WHERE votes <> 0")):
            self.wrong(f"I6: votes recounted are {recount}")
        if connection.execute("SELECT 1 FROM vote GROUP BY person, period HAVING count(*) > 1").fetchone():
            self.wrong("I6: a person voted twice in a period")


def folded(events: list[tuple[int, int]], parts: int) -> int:
    """The state that these events come to, told once more in other words than the gateway's."""
    sent, delivered, worst = set[int](), set[int](), 0
    for part, state in events:
        about = range(parts) if part < 0 else (part,)
        if state in (State.SENT, State.DELIVERED):
            sent.update(about)
        if state == State.DELIVERED:
            delivered.update(about)
        if state not in (State.SENT, State.DELIVERED):
            worst = max(worst, state)
    if len(delivered) == parts:
        return State.DELIVERED
    return max(State.SENT, worst) if len(sent) == parts else worst


def _has_copies(connection: sqlite3.Connection, message: int) -> bool:
    """Whether it may have been sent twice: each copy then has an end of its own."""
    found = connection.execute("SELECT 1 FROM event WHERE message = ? AND code = ?", (message, SENT_AGAIN))
    return found.fetchone() is not None


def fits(message: Kept, taken: Taken) -> bool:
    """Whether these can be the words of a part of this message."""
    if message.address.lstrip("+") != taken.address or message.parts != taken.total:
        return False
    return taken.text == message.text if message.parts == 1 else taken.text in message.text


def has_copy(parts: list[Taken], taken: Taken) -> int:
    return sum(each.number == taken.number for each in parts)


def age_s(claims: list[Claim], taken: Taken) -> float:
    """How long before this left the last of these was made."""
    return min((taken.left_at - claim.at for claim in claims if claim.at <= taken.left_at), default=inf)


def is_open(now: int, zone: str) -> bool:
    """Whether the wall clock stands within the hours."""
    there = datetime.fromtimestamp(now / 1000, UTC).astimezone(ZoneInfo(zone))
    return OPENS <= there.hour * 60 + there.minute < CLOSES
