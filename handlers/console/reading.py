"""Reads a customer file where the command runs, and hands it over in batches, so that who serves stays quick."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gateway.errors import CarillonError
from handlers.console.client import Answer

CHUNK = 1 << 20


def digest(file: Path) -> str:
    """The SHA-256 of a file. Raises CarillonError when it cannot be read."""
    made = hashlib.sha256()
    try:
        with file.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                made.update(chunk)
    except OSError as error:
        raise CarillonError(f"{file}: cannot read this file: {error.strerror}") from None
    return made.hexdigest()


def import_file(
    ask: Callable[..., Answer], config: str, file: Path, known: Answer, rejects: Path, count: Callable[[int], None]
) -> Answer:
    """Read the file from where it was left and hand it over in batches. Raises CarillonError for no table."""
    from campaigns import importing  # noqa: PLC0415  loads the tables of all numbering plans

    counts, line = known["counts"], known["line"]
    importing.begin_rejects(rejects, line)
    unmapped: tuple[Any, ...] = ()
    with file.open("rb") as stream:
        batches = importing.read(
            stream, country=known["country"], languages=known["languages"], attributes=known["attributes"],
            now_ms=known["now"], timezone=known["timezone"], start_line=line,
        )  # fmt: skip
        for batch in batches:
            unmapped = batch.unmapped
            if batch.line > line:
                importing.write_rejects(rejects, (*batch.rejects, *batch.notes))
                counts = ask(
                    "import_batch", config=config, digest=known["digest"], name=file.name, program=known["program"],
                    was=line, line=batch.line, rows=[asdict(row) for row in batch.rows], merged=batch.merged,
                    rejected=len(batch.rejects),
                )  # fmt: skip
                line = batch.line
            count(batch.bytes_read)
    from campaigns.columns import paste  # noqa: PLC0415

    return {
        **counts,
        "before": known["line"],
        "rejects": str(rejects) if rejects.exists() else "",
        "paste": paste(unmapped),
    }
