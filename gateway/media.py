"""Brings home the pictures that people send: noted in the text's own transaction, fetched afterwards, kept as files.

They are kept as files beside the store and not in it: one picture of five megabytes would hold up every commit behind
it, fill the log, and make each backup carry it again. A file is written whole under a random name before the row that
names it; a crash between the two leaves a file without a row, which the next start removes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from gateway.clock import Clock
from gateway.fetching import Fetched, Fetcher, FetchFailed, FetchRefused, Limits, Login
from gateway.messages import Media
from gateway.store import Store, Tx

log = logging.getLogger(__name__)

WAITING, KEPT, GIVEN_UP = 0, 1, 2
POLL_S: Final = 5.0
AT_ONCE: Final = 4
FIRST_PAUSE_MS: Final = 10_000
LONGEST_PAUSE_MS: Final = 3_600_000
PATIENCE_MS: Final = 86_400_000
TROUBLE: Final = 120  # characters that are kept of a reason
LIMITS: Final = Limits(
    octets=5 * 1024 * 1024,
    seconds=60,
    kinds=("image/", "audio/", "video/", "text/vcard", "text/x-vcard", "text/calendar", "application/pdf"),
)
DANGEROUS: Final = "+xml"  # so end the types that a browser could run, such as image/svg+xml; they are never kept
NAME: Final = re.compile(r"[0-9a-f]{32}(\.part)?")
PICTURES: Final = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}


class Due(NamedTuple):
    """One file that is to be fetched."""

    inbound: int
    n: int
    channel: str
    url: str
    said: str
    at: int
    tries: int


class Kept(NamedTuple):
    """One file of a text as it stands; `path` is relative to the folder, empty until it is kept."""

    n: int
    state: int
    path: str
    kind: str
    size: int
    trouble: str


async def keep(tx: Tx, brand: int, inbound: int, channel: str, media: Sequence[Media], now: int) -> None:
    """Note the files of a text, in the transaction that keeps the text. Call `Gallery.wake` after the commit."""
    rows = [(inbound, n, brand, channel, each.url, each.kind, now, now) for n, each in enumerate(media)]
    await tx.many("media_insert", rows)


async def of_text(tx: Tx, inbound: int) -> list[Kept]:
    """The files of a text, in their order."""
    return await tx.all(Kept, "media_of", inbound=inbound)


class Gallery:
    """Fetches what waits and keeps it in `folder`. `logins` has what a channel's carrier wants to be shown."""

    def __init__(
        self, *, store: Store, clock: Clock, folder: Path, logins: Mapping[str, Login], fetcher: Fetcher | None = None
    ) -> None:
        self._store, self._clock, self._folder, self._logins = store, clock, folder, logins
        self._fetcher = fetcher or Fetcher()
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """There may be something to fetch."""
        self._wake.set()

    async def run(self) -> None:
        """Fetch until cancelled."""
        try:
            await self._clear()
        except Exception:
            log.exception("files that a crash left behind could not be removed")
        while True:
            try:
                more = await self.fetch_due()
            except Exception:  # a full disk, say: nothing is lost, it waits
                log.exception("media could not be fetched or kept")
                more = False
            if not more:
                await self._rest()

    async def fetch_due(self) -> bool:
        """Fetch a few of those that are due; whether there may be more."""
        self._wake.clear()
        waiting = await self._store.read(_due, self._clock.now_ms())
        async with asyncio.TaskGroup() as group:
            for due in waiting:
                group.create_task(self._fetch(due))
        return len(waiting) == AT_ONCE

    def path(self, kept: Kept) -> Path:
        """Where a kept file stands. Serve it as its `kind`, with nosniff, and never as a page."""
        return self._folder / kept.path

    async def forget(self, inbound: int) -> None:
        """Remove a text's files: the rows, then what they name."""
        for kept in await self._store.write(_forget, inbound):
            if kept.path:
                self.path(kept).unlink(missing_ok=True)

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(POLL_S):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _fetch(self, due: Due) -> None:
        try:
            fetched = await self._fetcher.get(due.url, LIMITS, self._logins.get(due.channel))
            kind, name = kind_of(fetched), secrets.token_hex(16)
            await asyncio.to_thread(_write, self._folder, name, fetched.octets)
        except FetchRefused as refused:
            await self._failed(due, str(refused), is_final=True)
        except FetchFailed as failed:
            await self._failed(due, str(failed), is_final=False)
        except OSError as error:
            await self._failed(due, f"it cannot be written: {error.strerror}", is_final=False)
        else:
            await self._store.write(_note_kept, due, name, kind, len(fetched.octets))

    async def _failed(self, due: Due, trouble: str, *, is_final: bool) -> None:
        now = self._clock.now_ms()
        pause = min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** min(due.tries, 20))
        state = GIVEN_UP if is_final or now + pause > due.at + PATIENCE_MS else WAITING
        if state == GIVEN_UP:  # the address may hold a key to the picture, so it is not written down
            log.warning("a file of text %d was given up: %s", due.inbound, trouble)
        await self._store.write(_note_failed, due, state, now + pause, trouble[:TROUBLE])

    async def _clear(self) -> None:
        """Remove files that no row names: what a crash left behind."""
        names = await asyncio.to_thread(_names, self._folder)
        known = await self._store.read(_known, names) if names else set()
        for name in set(names) - known:
            (self._folder / name).unlink(missing_ok=True)


def kind_of(fetched: Fetched) -> str:
    """The media type that the octets show, for pictures; for other files what was said.

    Raises FetchRefused for a picture that is none, and for what a browser could run.
    """
    octets, said = fetched.octets, fetched.kind
    shown = next((kind for begin, kind in PICTURES.items() if octets.startswith(begin)), "")
    if not shown and octets[:4] == b"RIFF" and octets[8:12] == b"WEBP":
        shown = "image/webp"
    if shown:
        return shown
    if said.endswith(DANGEROUS):
        raise FetchRefused(f"the media type {said}")
    if said in PICTURES.values() or said == "image/webp":
        raise FetchRefused(f"{said}, but it is none")
    return said


async def _due(tx: Tx, now: int) -> list[Due]:
    return await tx.all(Due, "media_due", now=now, limit=AT_ONCE)


async def _note_kept(tx: Tx, due: Due, file: str, kind: str, size: int) -> None:
    await tx.run("media_kept", inbound=due.inbound, n=due.n, file=file, kind=kind, size=size)


async def _note_failed(tx: Tx, due: Due, state: int, again_at: int, trouble: str) -> None:
    await tx.run("media_failed", inbound=due.inbound, n=due.n, state=state, due=again_at, trouble=trouble)


async def _known(tx: Tx, names: Sequence[str]) -> set[str]:
    return {row[0] for row in await tx.rows("media_named", files=list(names))}


async def _forget(tx: Tx, inbound: int) -> list[Kept]:
    kept = await of_text(tx, inbound)
    await tx.run("media_delete", inbound=inbound)
    return kept


def _write(folder: Path, name: str, octets: bytes) -> None:
    """On the disk before anything names it, whole or not at all."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = folder / f"{name}.part"
    with unfinished.open("xb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(folder / name)
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("*") if NAME.fullmatch(path.name)] if folder.is_dir() else []
