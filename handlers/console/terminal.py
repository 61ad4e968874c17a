"""Puts what the console knows into lines for a terminal: plain words, aligned, in colour only where somebody looks."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from gateway.clock import from_ms, wall_ms
from gateway.rendering import money

LABEL = 11  # columns of the word at the beginning of a line
REAL_MINUTES = 1.5  # a clock that is off by more is not the machine's own

Facts = Mapping[str, Any]


def console() -> Console:
    """Standard output, without colour when it is no terminal; lines are never broken, so that they can be searched."""
    return Console(highlight=False, soft_wrap=True, markup=False, emoji=False)


def show(lines: Sequence[Text | str]) -> None:
    """Print lines."""
    out = console()
    for line in lines:
        out.print(line)


def labelled(word: str, rest: str, style: str = "bold") -> Text:
    """A line with its first word in a column."""
    return Text.assemble("  ", (f"{word:<{LABEL}}", style), " " if len(word) >= LABEL else "", rest)


# --- the head --------------------------------------------------------------------------------------------------------


def head(facts: Facts) -> list[Text | str]:
    """SIMULATOR or LIVE, which carriers, and what time it is where."""
    clock = clocks(facts["now"], facts["zones"])
    if facts["mode"] == "SIMULATOR":
        return [labelled("SIMULATOR", f"no text leaves this machine. Clock: {clock}", "bold green")]
    carriers = ", ".join(f"{name}: {carrier}" for name, carrier in facts["carriers"].items())
    return [labelled("LIVE", f"texts go to real phones through {carriers}. Clock: {clock}", "bold white on red")]


def clocks(now: int, zones: Sequence[str]) -> str:
    """`Tue 18:30 Los Angeles, Wed 10:30 Shanghai`, and the machine's own time where it is another."""
    shown = ", ".join(f"{day_time(now, zone)} {city(zone)}" for zone in zones)
    mine = from_ms(wall_ms()).astimezone()
    differs = abs(now - wall_ms()) > REAL_MINUTES * 60_000
    return f"{shown} (yours: {mine:%H:%M})" if differs or len(zones) > 1 else shown


def city(zone: str) -> str:
    """The city that a zone is named after."""
    return zone.rpartition("/")[2].replace("_", " ")


def day_time(at: int, zone: str) -> str:
    """`Tue 18:30`."""
    return f"{from_ms(at).astimezone(ZoneInfo(zone)):%a %H:%M}"


def moment(at: int, zone: str, now: int) -> str:
    """A time as briefly as it can be understood: `18:30` today, `Tue 18:30` this week, else with its date."""
    there, today = from_ms(at).astimezone(ZoneInfo(zone)), from_ms(now).astimezone(ZoneInfo(zone))
    if there.date() == today.date():
        return f"{there:%H:%M}"
    near = abs((there.date() - today.date()).days) < 7
    return f"{there:%a %H:%M}" if near else f"{there:%Y-%m-%d %H:%M}"


# --- sums ------------------------------------------------------------------------------------------------------------


def waterfall(facts: Facts, last: str = "sending") -> str:
    """`matched 612 = left 14 + no consent 31 + capped 0 + sending 510`."""
    terms = [f"{reason} {n:,}" for reason, n in facts["refused"].items()]
    terms.append(f"{last} {facts['sending']:,}")
    return f"matched {facts['matched']:,} = {' + '.join(terms)}"


def span(seconds: float) -> str:
    """About how long: `11 s`, `4 min`, `2.5 h`."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def several(n: int, word: str) -> str:
    """`1 part`, `2 parts`."""
    return f"{n:,} {word}" if n == 1 else f"{n:,} {word}s"


# --- plan and apply --------------------------------------------------------------------------------------------------


def plan(facts: Facts, zone: str) -> list[Text | str]:
    """What an apply would do."""
    lines: list[Text | str] = [labelled("people", f"{facts['people']:,} known")]
    currency = facts["currency"]
    for each in facts["new"]:
        lines.append(labelled(each["campaign"], f"new: {estimate(each, currency)}", "bold green"))
        if each["later"]:
            opens = moment(each["opens_at"], zone, facts["at"])
            waits = f"{each['later']:,} of them wait for their hours, the first until {opens}"
            lines.append(labelled("", f"begins {opens}" if each["later"] == each["sending"] else waits))
        if each["straightened"]:
            saved = several(each["parts_saved"], "part")
            lines.append(labelled("", f"straightened: writes {each['straightened']}; saves {saved}"))
    lines += [labelled(key, "runs already, nothing changes", "dim") for key in facts["same"]]
    lines += [labelled(name, f"was {was}, and keeps its run", "bold green") for was, name in facts["renamed"]]
    lines += [
        labelled(key, f"taken out of the file: {n:,} unsent will be stopped", "bold red")
        for key, n in facts["gone"].items()
    ]
    for key, (_, until) in facts["opening"].items():
        lines.append(labelled(key, f"opens, until {moment(until, zone, facts['at'])}", "bold green"))
    if facts["changed"]:
        lines.append(labelled("changed", ", ".join(facts["changed"]), "bold green"))
    lines += [labelled(stock["coupon"], stock_words(stock)) for stock in facts["stocks"] if stock["needed"]]
    lines += complaints(facts)
    return lines


def estimate(each: Facts, currency: str) -> str:
    """A campaign's audience, what it costs, and how long it takes if any of it may leave at once."""
    cost = money(each["cost"], currency, "en")
    takes = f", about {span(each['seconds'])}" if each["later"] < each["sending"] else ""
    return f"{waterfall(each)}; {several(each['parts'], 'part')}, {cost}{takes}"


def stock_words(stock: Facts) -> str:
    """`5,000 codes, at most 510 needed`."""
    left = "" if stock["left"] == stock["codes"] else f" ({stock['left']:,} left)"
    needed = f", at most {stock['needed']:,} needed" if stock["needed"] else ""
    return f"{stock['codes']:,} codes{left}{needed}"


def complaints(facts: Facts) -> list[Text | str]:
    """Mistakes, questions and warnings, the worst first."""
    return [
        *(Text(each, "bold red") for each in facts["mistakes"]),
        *(Text(each, "yellow") for each in facts["questions"]),
        *(Text(f"warning: {each}", "yellow") for each in facts["warnings"]),
    ]


def planned(facts: Facts) -> str:
    """The last line of `plan`: what to say next."""
    if facts["mistakes"]:
        return "Nothing changed."
    if facts["changes_nothing"]:
        return f"plan {facts['id']}: nothing to do; everything in the file runs already."
    wants = " --accept" if facts["questions"] else ""
    return f"plan {facts['id']}: nothing changed yet. To go on: run.py apply{wants}"


def applied(facts: Facts) -> list[Text | str]:
    """What an apply did."""
    lines: list[Text | str] = [f"applied: version {facts['version']} of the file."]
    for key, n in facts["to_testers"].items():
        lines.append(f"{key}: sent to {several(n, 'tester')} first.")
    if facts["launched"]:
        lines.append(f"launched: {', '.join(facts['launched'])}.")
    if facts["stopped"]:
        lines.append(f"stopped: {', '.join(facts['stopped'])}.")
    lines += [f"renamed: {was} is {name} now." for was, name in facts["renamed"]]
    if facts["waiting"]:
        lines.append(f"Look at your own phones, then say: run.py apply --go   ({', '.join(facts['waiting'])} waits)")
    if not facts["is_served"]:
        lines.append("Nothing leaves until somebody serves: run.py serve")
    return lines


# --- doctor ----------------------------------------------------------------------------------------------------------

VERDICTS = {"ok": "green", "warn": "yellow", "wrong": "bold red"}


def doctor(lines: Sequence[tuple[str, str, str, str]]) -> None:
    """What was looked at, each with how it stands, what was found, and the cure."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for may_wrap in (False, False, True, True):
        table.add_column(no_wrap=not may_wrap)
    for subject, verdict, found, cure in lines:
        table.add_row(Text(subject), Text(verdict, VERDICTS[verdict]), Text(found), Text(cure))
    sums = [f"{sum(line[1] == verdict for line in lines)} {verdict}" for verdict in VERDICTS]
    # Only a terminal is narrow: elsewhere lines are never broken, so that they can be searched.
    out = Console(highlight=False, width=None if sys.stdout.isatty() else UNBROKEN)
    out.print(table)
    out.print(Text(", ".join(sums)))


UNBROKEN = 1_000


# --- status, report, explain, preview --------------------------------------------------------------------------------


def audience_line(each: Facts, zone: str, now: int) -> str:
    """A run in one line: its state, its audience, and what became of the messages; when it begins, if it has not."""
    if each["state"] in ("waiting", "planning") and not each["matched"]:
        return f"waiting, begins {moment(each['due'], zone, now)}" if each["due"] > now else "about to begin"
    states = ", ".join(f"{word} {n:,}" for word, n in each["states"].items() if n)
    so_far = " so far" if each["planned_at"] is None and each["ended_at"] is None else ""
    why = f" ({each['why']})" if each["why"] else ""
    return f"{each['state']}{why}: {waterfall(each)}{so_far}" + (f"; {states}" if states else "")


def status(facts: Facts, zone: str, now: int) -> list[Text | str]:
    """How everything stands."""
    if facts["version"] is None:
        return ["Nothing has been applied yet: look with run.py plan, then run.py apply."]
    lines: list[Text | str] = [labelled("people", f"{facts['people']:,}; version {facts['version']} of the file")]
    lines += [labelled(each["campaign"], audience_line(each, zone, now)) for each in facts["campaigns"]]
    for each in facts["contests"]:
        until = moment(each["closes_at"], zone, now)
        votes = ", ".join(f"{option}: {n:,}" for option, n in each["votes"].items())
        state = f"open until {until}" if each["is_open"] else "closed"
        lines.append(labelled(each["contest"], f"{state}; {several(each['total'], 'vote')} ({votes})"))
    for each in facts["coupons"]:
        given = f"{each['given']:,} of {each['codes']:,} given, {each['redeemed']:,} redeemed"
        lines.append(labelled(each["coupon"], given))
    for each in facts["clients"]:
        ends = ", ".join(f"{n:,} {word}" for word, n in each["states"].items() if n)
        lines.append(
            labelled(each["client"], f"{several(each['texts'], 'text')} of a program" + (f": {ends}" if ends else ""))
        )
    for each in facts["channels"]:
        words = f"{each['carrier']}, {channel_words(each)}; {each['in_flight']:,} in flight"
        lines.append(labelled(each["channel"], words))
    if not facts["channels"]:
        lines.append("Nobody serves: run.py serve")
    return lines


def report(facts: Facts, zone: str, now: int) -> list[Text | str]:
    """What a campaign came to."""
    currency = facts["currency"]
    why = f" ({facts['why']})" if facts["why"] else ""
    begun = f"began {moment(facts['started_at'], zone, now)}" if facts["started_at"] else "has not begun"
    ended = f", ended {moment(facts['ended_at'], zone, now)}" if facts["ended_at"] else ""
    speed = f", {facts['per_second']:,} a second" if facts["per_second"] else ""
    lines: list[Text | str] = [labelled(facts["campaign"], f"{facts['state']}{why}, {begun}{ended}{speed}")]
    so_far = "" if facts["is_complete"] else "  so far"
    lines.append(f"  {'audience':<14}{facts['matched']:>9,}{so_far}")
    for line in facts["lines"]:
        words = line["words"] or ""
        code = f"  [{line['reason']}]" if line["reason"].startswith("0x") or line["reason"].isdigit() else ""
        lines.append(f"  {line['state']:<14}{line['n']:>9,}  {words}{code}".rstrip())
    if not facts["adds_up"]:
        lines.append(Text("  these do not add up to the audience: please report this", "bold red"))
    taken = money(facts["taken_cost"], currency, "en")
    planned_cost = money(facts["cost"], currency, "en")
    lines.append(
        labelled("cost", f"{several(facts['taken_parts'], 'part')} taken, {taken}; "
                         f"all {several(facts['parts'], 'part')}: {planned_cost}")
    )  # fmt: skip
    answers = f"{several(facts['replies'], 'person')} replied".replace("persons", "people")
    if facts["given"]:
        answers += f"; {several(facts['given'], 'code')} given, {facts['redeemed']:,} redeemed"
    for contest, votes in facts["votes"].items():
        answers += f"; {several(votes, 'vote')} in {contest} by everybody"
    lines.append(labelled("answers", answers))
    return lines


def explain(facts: Facts, zone: str, now: int) -> list[Text | str]:
    """One person's story, and what would happen now."""
    name = f" {facts['name']}" if facts["name"] else ""
    lines: list[Text | str] = [
        f"  {facts['number']}{name}, {facts['country']}, {city(facts['zone'])}, reads {facts['language'] or 'unknown'}"
    ]
    for each in facts["story"]:
        lines.append(labelled(moment(each["at"], zone, now), each["words"], "dim"))
    for each in facts["now"]:
        until = f" until {moment(each['due'], facts['zone'], now)} there" if each["due"] else ""
        lines.append(labelled("now", f"a text of {each['program']} {outlook(each['verdict'], until)}"))
    return lines


def outlook(verdict: str, until: str = "") -> str:
    """What would happen to a text now."""
    if verdict in OUTLOOKS:
        return OUTLOOKS[verdict] + until
    return f'would be refused, "{verdict}"'


OUTLOOKS = {"sent": "would be sent", "later": "would wait for their hours"}


def route(facts: Facts) -> list[Text | str]:
    """Who texts a number, from where, and why; what stands in for it."""
    network = facts["network"] or "network not known"
    lines: list[Text | str] = [
        f"  {facts['number']}, {facts['country'] or 'no country'}, {facts['line_type']}, {network}"
    ]
    of = f" of {facts['campaign']}" if facts["campaign"] else ""
    lines.append(labelled("lane", f"{facts['lane']}{of}"))
    if facts["lane"] == "replies":
        lines.append(labelled("", "an answer leaves from the number that was texted; this is for one that is gone"))
    lines.append(labelled("rule", rule_words(facts)))
    if facts["skipped"]:
        lines.append(labelled("", f"not asked, being for one campaign only: {', '.join(facts['skipped'])}", "dim"))
    for place, each in enumerate(facts["candidates"], 1):
        lines.append(labelled(f"{place} {each['sender']}", candidate(each, facts), "bold green" if place == 1 else ""))
    lines += [labelled(f"- {each['sender']}", each["why"], "dim") for each in facts["out"]]
    if facts["chosen"]:
        chosen = facts["chosen"]
        pool = f", of {chosen['of']}: {chosen['why']}" if chosen["of"] > 1 else ""
        lines.append(labelled("from", f"{chosen['number']}{pool}", "bold green"))
        others = ", then ".join(f"{each['number']} through {each['channel']}" for each in facts["fallback"])
        lines.append(labelled("instead", others or "nobody: no fallback"))
    else:
        lines.append(labelled("from", 'nobody: refused, "no sender"', "bold red"))
    lines += [labelled(name, channel_words(each)) for name, each in facts["channels"].items()]
    return lines


def rule_words(facts: Facts) -> str:
    """`locals (config.yaml:40): country US, prefix +1206; the cheapest first`, or what holds without a rule."""
    rule = facts["rule"]
    if rule is None:
        if facts["named"]:
            return f"none fits: as {facts['campaign']} names them ({facts['named']})"
        return "none fits" if facts["has_routes"] else "there are none: whoever serves the country"
    orders = {"listed": "as listed", "cost": "the cheapest first", "quality": "the best delivered first"}
    return f"{rule['name']} ({rule['place']}): {rule['when'] or 'everybody'}; {orders[rule['order']]}"


def candidate(each: Facts, facts: Facts) -> str:
    """What a text from a sender costs, how its channel delivers, and whether it is out."""
    text = f" ({money(each['cost'], facts['currency'], 'en')} a text)" if each["cost"] != each["price"] else ""
    price = f"{each['channel']}, {millionths(each['price'], facts['currency'])} per part{text}"
    if each["is_known"]:
        quality = f"{each['rate']:.1%} of {each['samples']:,.0f} delivered, after {each['latency_ms'] / 1000:.1f} s"
    elif each["samples"]:
        quality = f"only {each['samples']:,.0f} texts, too few to judge"
    else:
        quality = "not measured yet"
    return f"{price}; {quality}" + ("; out at this moment" if each["is_out"] else "")


def millionths(amount: int, currency: str) -> str:
    """A price that may be less than a cent: `0.0079 USD`."""
    return f"{Decimal(amount) / 1_000_000:f} {currency}"


def channel_words(each: Facts | None) -> str:
    """How a channel stands."""
    if each is None:
        return "nobody serves, so its state is not known"
    if each["held_by"]:
        return f"held by {each['held_by']}"
    bound = "bound" if each["lines"] == each["bound"] else f"{each['bound']} of {each['lines']} lines bound"
    trouble = each["trouble"] or each["why"]
    standing = {"shut": ", out", "trying": ", being tried with a few texts"}.get(each["standing"], "")
    return f"{bound}{standing}" + (f": {trouble}" if trouble else "")


def preview(facts: Facts) -> list[Text | str]:
    """A text as phones show it, with what it costs."""
    lines: list[Text | str] = []
    for each in facts["texts"]:
        price = money(each["price"], each["currency"], "en")
        dear = f"; {each['dear']!r} makes it {each['alphabet']}" if each["dear"] else ""
        dear += f"; straightened: writes {each['straightened']}" if each["straightened"] else ""
        lines.append(Text(f"  {each['language']} from {each['sender']}", "bold"))
        lines.append(Text(f"  {each['text']}"))
        verdict = f"; now it {outlook(each['verdict'])}" if "verdict" in each else ""
        lines.append(
            Text(f"  {several(each['parts'], 'part')}, {price}, {each['units']} {each['alphabet']} characters"
                 f"{dear}{verdict}", "dim")
        )  # fmt: skip
    return lines


def reply(facts: Facts) -> list[Text | str]:
    """What a handset got back."""
    got = facts["reply"]
    if got is None:
        return [Text("  < (no answer)", "dim")]
    took = f"{got['seconds']:.2f} s" if got["seconds"] >= 0.01 else "under 0.01 s"
    tail = f"({took}, {several(got['parts'], 'part')})"
    gap = max(2, 90 - cell_len(got["text"]) - len(tail))  # Chinese letters are two columns wide
    return [Text.assemble("  < ", got["text"], (" " * gap + tail, "dim"))]


def imported(counts: Facts, name: str, rejects: str) -> str:
    """`1,000 imported from sample.csv (992 new, 5 merged, 3 rejected: data/sample.rejects.csv)`."""
    total = counts["new"] + counts["merged"] + counts["rejected"]
    where = f": {rejects}" if rejects else ""
    return (
        f"{total:,} imported from {name} ({counts['new']:,} new, {counts['merged']:,} merged, "
        f"{counts['rejected']:,} rejected{where})"
    )


# --- progress --------------------------------------------------------------------------------------------------------


@contextmanager
def counting(what: str, total: int | None = None) -> Iterator[Any]:
    """A moving count on standard error, only where somebody looks; call what it gives with the number so far."""
    err = Console(stderr=True)
    if not sys.stderr.isatty():
        yield lambda n: None
        return
    columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda n: progress.update(task, completed=n)


def nearby(path: str) -> str:
    """A file's name as seen from where the command was typed."""
    seen = os.path.relpath(path) if path else ""
    return path if seen.startswith("..") else seen
