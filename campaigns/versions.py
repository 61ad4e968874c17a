"""The applied versions of config.yaml: kept whole in the store, so that a run keeps the words it was launched with."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import orjson

from campaigns.settings import Config
from gateway.config import ConfigErrors, Loaded, load
from gateway.store import Tx


class Version(NamedTuple):
    """One applied config. `sources` is JSON: file name, relative to the first, to text; the first is the main file."""

    number: int
    applied_at: int
    digest: str
    sources: str


async def latest(tx: Tx, brand: int) -> Version | None:
    """The version that serves, or None before the first apply."""
    return await tx.one(Version, "config_latest", brand=brand)


async def one(tx: Tx, brand: int, number: int) -> Version:
    """A version by its number."""
    found = await tx.one(Version, "config_version", brand=brand, version=number)
    if found is None:
        raise LookupError(number)
    return found


async def keep(tx: Tx, brand: int, loaded: Loaded[Config], path: Path, now: int) -> int:
    """Keep a config as the newest version; the same content again is the same version."""
    before = await latest(tx, brand)
    if before is not None and before.digest == loaded.digest:
        return before.number
    number = before.number + 1 if before else 1
    names = sorted(loaded.sources, key=lambda source: source != path)
    sources = {relative(name, path.parent): loaded.sources[name] for name in names}
    await tx.run(
        "config_insert",
        brand=brand,
        version=number,
        applied_at=now,
        digest=loaded.digest,
        sources=orjson.dumps(sources).decode(),
    )
    return number


def relative(path: Path, folder: Path) -> str:
    """A file's name as seen from a folder."""
    return os.path.relpath(path, folder)


def read(version: Version, environ: Mapping[str, str], home: Path) -> Config:
    """The config of a kept version. Files that it names (secrets) are found from `home`, where it was written.

    It is not checked against today's date: what was right when it was applied stays so. Raises ConfigErrors, each
    with the version's number, where what it names is gone from the environment or from `home`.
    """
    sources: dict[str, str] = orjson.loads(version.sources)
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top, *["in"] * max(Path(name).parts.count("..") for name in sources))  # an include may lie above
        for name, text in sources.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        try:
            return load(Path(folder, next(iter(sources))), Config, environ, home=home).value
        except ConfigErrors as errors:  # nobody could find the scratch folder that they name
            raise ConfigErrors(
                each._replace(file=f"version {version.number} as applied, {os.path.relpath(each.file, folder)}")
                for each in errors.mistakes
            ) from errors
