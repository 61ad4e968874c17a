"""The command that takes over a list of STOPs: reads it where it was typed, hands it over, tells what it came to."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.errors import CarillonError
from gateway.store import Store, Tx
from handlers.console import terminal

if TYPE_CHECKING:
    from campaigns.business import Business

SHOWN = 5  # of the lines that could not be read; the rest stand in the file


class _Undone(Exception):
    """Carries what a batch would come to out of the transaction that is undone by it."""

    def __init__(self, counts: dict[str, Any]) -> None:
        super().__init__(counts)
        self.counts = counts


async def begin(store: Store, business: Business, digest: str, column: str, program: str) -> dict[str, Any]:
    """How to read a list, and how far one with this digest has been taken over before."""
    from campaigns import stop_lists  # noqa: PLC0415  so that the commands that need none of it start at once

    brand = business.config.brand
    digest = hashlib.sha256(f"stops {digest} {column} {program} {brand.country}".encode()).hexdigest()
    progress = await store.read(stop_lists.progress_of, business, digest)
    line, counts = progress or (0, stop_lists.Counts())
    return {
        "digest": digest, "line": line, "counts": asdict(counts), "program": program, "country": brand.country,
        "timezone": brand.timezone, "now": business.clock.now_ms(),
    }  # fmt: skip


async def batch(
    store: Store, business: Business, stops: Sequence[Sequence[Any]], *, digest: str, name: str, program: str,
    source: str, was: int, line: int, repeated: int, rejected: int, is_trial: bool,
) -> dict[str, Any]:  # fmt: skip
    """Take over the lines that follow line `was` of a list, in one transaction; a trial is undone."""
    from campaigns import stop_lists  # noqa: PLC0415  the same

    asked = [stop_lists.Stop(phone, at) for phone, at in stops]
    now = business.clock.now_ms()

    async def write(tx: Tx) -> dict[str, Any]:
        before = await stop_lists.progress_of(tx, business, digest) or stop_lists.Progress(0, stop_lists.Counts())
        if before.line != was and not is_trial:
            raise CarillonError("another import of this list has gone on meanwhile; start this one again")
        told = await stop_lists.record(tx, business, asked, program, source, now)
        told += stop_lists.Counts(already=repeated, rejected=rejected)
        if is_trial:
            raise _Undone(asdict(told))
        progress = stop_lists.Progress(line, before.counts + told)
        await stop_lists.keep_progress(tx, business, digest, name, progress, now)
        return asdict(progress.counts)

    try:
        return await store.write_bulk(write)
    except _Undone as undone:
        return undone.counts


def take(
    ask: Callable[..., dict[str, Any]], config: str, file: Path, known: Mapping[str, Any], rejects: Path,
    count: Callable[[int], None], *, column: str, source: str, is_trial: bool,
) -> dict[str, Any]:  # fmt: skip
    """Read the list from where it was left and hand it over in batches. Raises CarillonError for what is no list."""
    from campaigns import importing, stop_lists  # noqa: PLC0415  loads the tables of all numbering plans

    counts, line = known["counts"], known["line"]
    first: list[tuple[int, str]] = []
    if is_trial:
        counts = asdict(stop_lists.Counts())
    importing.begin_rejects(rejects, 0 if is_trial else line)
    with file.open("rb") as stream:
        batches = stop_lists.read(
            stream, country=known["country"], now_ms=known["now"], timezone=known["timezone"], column=column,
            start_line=line,
        )  # fmt: skip
        for each in batches:
            importing.write_rejects(rejects, each.rejects)
            first += [(reject.line, reject.reason) for reject in each.rejects[: SHOWN - len(first)]]
            told = ask(
                "stops_batch", config=config, stops=each.stops, digest=known["digest"], name=file.name,
                program=known["program"], source=f"import: {source or file.name}", was=line, line=each.line,
                repeated=each.repeated, rejected=sum(not reject.kept for reject in each.rejects), is_trial=is_trial,
            )  # fmt: skip
            counts = {name: counts[name] + told[name] for name in told} if is_trial else told
            line = each.line
            count(each.bytes_read)
    return {
        **counts, "before": known["line"], "program": known["program"], "is_trial": is_trial, "problems": first,
        "rejects": str(rejects) if rejects.exists() else "",
    }  # fmt: skip


def lines(answer: Mapping[str, Any], name: str) -> list[Any]:
    """What a list came to, for people."""
    of = f"of {answer['program']}" if answer["program"] else "stopped"
    verb = "would be " if answer["is_trial"] else ""
    already = "were not in it" if answer["program"] else "had left already"
    told = f"{answer['added']:,} {verb}taken out {of}" if answer["program"] else f"{answer['added']:,} {verb}{of}"
    where = f": {terminal.nearby(answer['rejects'])}" if answer["rejects"] else ""
    shown = [terminal.labelled("STOP", f"{told}, {answer['already']:,} {already} ({name})")]
    if answer["returned"]:
        since = "have said yes here since" if answer["program"] else "have texted START here since"
        shown.append(terminal.labelled("", f"{answer['returned']:,} {since}, and stay in"))
    if answer["before"]:
        shown.append(terminal.labelled("", f"it had been read through line {answer['before']:,} before", "dim"))
    if answer["rejected"] or answer["problems"]:
        lines_of = (
            "1 line that is no STOP" if answer["rejected"] == 1 else f"{answer['rejected']:,} lines that are no STOP"
        )
        shown.append(terminal.labelled("rejected", f"{lines_of} we can read{where}"))
    shown += [terminal.labelled("", f"line {line:,}: {reason}", "dim") for line, reason in answer["problems"]]
    return shown
