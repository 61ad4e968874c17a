"""An applied config is kept whole: what it read, wherever that lay, it reads again, and leaves nothing behind."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import orjson
import pytest

from campaigns import versions
from campaigns.settings import Config
from campaigns.versions import Version
from gateway.channels.smpp import SmppCarrier
from gateway.config import ConfigErrors, Loaded, load
from gateway.store import Store
from tests.conftest import BRAND, ROOT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped config in a folder of its own."""
    home = tmp_path / "shop" / "live"
    home.mkdir(parents=True)
    (home / "config.yaml").write_text((ROOT / "config.yaml").read_text("utf-8"), "utf-8")
    return home


def loaded(folder: Path) -> Loaded[Config]:
    return load(folder / "config.yaml", Config, {})


async def keep(store: Store, folder: Path, now: int = 7) -> int:
    return await store.write(versions.keep, BRAND, loaded(folder), folder / "config.yaml", now)


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "config.yaml"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


async def test_before_the_first_apply_there_is_no_version(store: Store) -> None:
    assert await store.read(versions.latest, BRAND) is None
    with pytest.raises(LookupError):
        await store.read(versions.one, BRAND, 1)


async def test_the_same_content_again_is_the_same_version_and_an_older_content_is_a_new_one(
    store: Store, folder: Path
) -> None:
    assert [await keep(store, folder), await keep(store, folder, 8)] == [1, 1]
    edit(folder, "Lantern Coffee", "Lantern Tea")
    assert await keep(store, folder) == 2
    edit(folder, "Lantern Tea", "Lantern Coffee")
    assert await keep(store, folder) == 3

    first, third = await store.read(versions.one, BRAND, 1), await store.read(versions.latest, BRAND)
    assert third is not None
    assert (first.applied_at, third.number) == (7, 3)
    assert first.digest == third.digest


async def test_a_kept_version_reads_as_it_was_though_the_file_has_changed_or_gone(store: Store, folder: Path) -> None:
    before = loaded(folder).value
    await keep(store, folder)
    (folder / "config.yaml").unlink()

    assert versions.read(await store.read(versions.one, BRAND, 1), {}, folder) == before


async def test_files_that_it_includes_are_kept_too_also_those_of_another_folder(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "more").mkdir()
    (folder / "more" / "hours.yaml").write_text("keywords: {OPEN: {say: We are open.}}\n")
    (folder.parent / "shared.yaml").write_text("keywords: {WIFI: {say: The word is latte.}}\n")
    edit(folder, "# include: [campaigns/*.yaml]", "include: [more/*.yaml, ../shared.yaml]")
    before = loaded(folder).value
    await keep(store, folder)
    top = folder / "temporary"
    top.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(top))

    read = versions.read(await store.read(versions.one, BRAND, 1), {}, folder)

    assert read == before
    assert {"OPEN", "WIFI"} <= set(read.keywords)
    assert list(top.iterdir()) == []


async def test_secrets_are_found_where_the_file_lay_and_are_not_kept(store: Store, folder: Path) -> None:
    (folder / "secret").write_text("a quiet word")
    (folder / "secret").chmod(0o600)
    for shipped, own in (("2468", "8642"), ("1357", "7531"), ("clock: 18:30, ", "")):
        edit(folder, shipped, own)
    environ = {"US_CARRIER": "smpp.example.net:2776", "US_PASSWORD_FILE": "secret"}
    kept = load(folder / "config.yaml", Config, environ)
    await store.write(versions.keep, BRAND, kept, folder / "config.yaml", 7)
    version = await store.read(versions.one, BRAND, 1)

    assert "a quiet word" not in version.sources
    channel = versions.read(version, environ, folder).channels["us_sms"]
    assert isinstance(channel, SmppCarrier)
    assert channel.password_file is not None
    assert channel.password_file.text == "a quiet word"


def test_a_date_that_has_passed_since_the_apply_is_no_mistake(folder: Path) -> None:
    edit(folder, "at: apply, rate", "at: 2020-03-20 10:00, rate")
    source = (folder / "config.yaml").read_text("utf-8")
    then = Version(1, 7, "digest", orjson.dumps({"config.yaml": source}).decode())

    read = versions.read(then, {}, folder)

    assert read.campaigns["spring"].send.at != "apply"


def test_a_version_whose_environment_has_gone_is_named_and_not_its_scratch_folder(folder: Path) -> None:
    edit(folder, "${SITE:-http://localhost:8080}", "${SITE}")
    source = (folder / "config.yaml").read_text("utf-8")
    then = Version(3, 7, "digest", orjson.dumps({"config.yaml": source}).decode())

    with pytest.raises(ConfigErrors, match=r"^version 3 as applied, config\.yaml:\d+:\d+: SITE is not set"):
        versions.read(then, {}, folder)


async def test_a_version_that_holds_a_secret_as_earlier_ones_could_still_serves(folder: Path) -> None:
    text = (folder / "config.yaml").read_text("utf-8")
    assert "\nstore:" in text
    old = re.sub(r"\nstore:.*", "\nstore: postgresql://carillon:tulip@db.example/carillon", text)
    (folder / "config.yaml").write_text(old, "utf-8")
    with pytest.raises(ConfigErrors, match="found a secret in the file"):
        loaded(folder)
    kept = Version(1, 7, "digest", orjson.dumps({"config.yaml": old}).decode())
    assert versions.read(kept, {}, folder).store == "postgresql://carillon:tulip@db.example/carillon"
