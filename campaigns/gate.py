"""May this message go to this person now: asked inside the claim, with the stop and the caps of that moment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial

from campaigns.hours import OpenHours
from campaigns.settings import Program
from gateway.messages import ALL_PARTS, Purpose
from gateway.outbox import EXPIRED, Go, Later, Never, Waiting
from gateway.values import Calendar, Frequency

LEFT, CAPPED, HOURS, NO_PROGRAM = "left", "capped", "hours", "no programme"
DAY = 24 * 60  # minutes
# Plain: to reach a member of an enumeration takes as long as the rest of a rule.
MARKETING, SERVICE = Purpose.MARKETING.value, Purpose.SERVICE.value
TIME = 8  # octets of one remembered time
ROLLING = {Calendar.DAY: timedelta(days=1), Calendar.WEEK: timedelta(weeks=1), Calendar.MONTH: timedelta(days=31)}


_go = partial(tuple.__new__, Go)  # half the time of Go(...), for every message


class Rule:
    """The hours and caps of one programme."""

    def __init__(self, program: Program) -> None:
        self.open = OpenHours(program.hours)
        self.closes = program.hours.end - program.hours.begin < DAY  # else one window follows upon the other
        self.caps = [(frequency.count, span_ms(frequency)) for frequency in program.at_most]
        self._keep = TIME * (max((count for count, _ in self.caps), default=0) - 1)

        self._marked = 0
        self._mark = b""

    def free_at(self, reached: bytes | None, now: int) -> int:
        """When the caps allow the next text: `now` itself, or later. Milliseconds since 1970."""
        free = now
        if reached:
            for count, span in self.caps:
                if len(reached) >= TIME * count:
                    at = len(reached) - TIME * count
                    free = max(free, int.from_bytes(reached[at : at + TIME], "little") + span)
        return free

    def charge(self, reached: bytes | None, now: int) -> bytes:
        """The times to remember after a text at `now`; empty when there are no caps."""
        if not self.caps:
            return b""
        if now != self._marked:
            self._marked, self._mark = now, now.to_bytes(TIME, "little")
        return reached[-self._keep :] + self._mark if reached and self._keep else self._mark


def span_ms(frequency: Frequency) -> int:
    """The period of a cap. A calendar month counts as 31 rolling days: the strictest reading."""
    period = frequency.period
    span = ROLLING[period] if isinstance(period, Calendar) else period
    return int((span or timedelta(days=36_500)).total_seconds() * 1000)


class Gatekeeper:
    """Says go, later or never to each waiting message. It costs about a microsecond and keeps no state of people."""

    judges_kinds = True  # nothing here asks who somebody is, or what the text says

    def __init__(self, programs: Mapping[str, Program]) -> None:
        self._rules = {name: Rule(program) for name, program in programs.items()}
        self._asked: object = None  # all by which rules go, of the last who had never been reached; and the verdict
        self._said = Go()

    def update(self, programs: Mapping[str, Program]) -> None:
        """Take over a newly applied config."""
        self._rules = {name: Rule(program) for name, program in programs.items()}

    def __call__(self, waiting: Waiting, now: int) -> Go | Later | Never:
        """The verdict on one message."""
        (
            _, _, _, _, missing, crashes, _, purpose, program, _, _, zone, _, _, valid_until, _, stopped_at, reached,
        ) = waiting  # fmt: skip
        rules = self._rules
        asked = rules, now, program, zone, valid_until, purpose, missing, crashes, stopped_at
        if not reached and asked == self._asked:  # as most of a campaign
            return self._said
        if valid_until and now >= valid_until:
            return Never(EXPIRED)
        if stopped_at is not None and (program or purpose == SERVICE):  # testers too; our answers are bound by nothing
            return Never(LEFT)
        if purpose != MARKETING:
            return Go()
        rule = rules.get(program)
        if rule is None:
            return Never(NO_PROGRAM)
        _, due, closes = rule.open.window(zone, now)
        if now < due:
            return self._later(waiting, due, HOURS)
        until = closes if rule.closes else 0
        if missing != ALL_PARTS or crashes:  # a part has left, or may have: it was counted then
            return Go(until=until)
        times = bytes.fromhex(reached) if reached else b""
        if times and now < (due := rule.free_at(times, now)):
            return self._later(waiting, due, CAPPED)
        verdict = _go((rule.charge(times, now), until))
        if not times:
            self._asked, self._said = asked, verdict
        return verdict

    def _later(self, waiting: Waiting, due: int, reason: str) -> Later | Never:
        if waiting.valid_until and due >= waiting.valid_until:
            return Never(reason)
        return Later(due)
