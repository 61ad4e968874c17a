"""Pictures are noted with their text, fetched once, kept whole, and given up only after a day."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway import media
from gateway.clock import StoppedClock
from gateway.fetching import Fetched, FetchRefused, Login
from gateway.media import GIVEN_UP, KEPT, WAITING, Gallery
from gateway.messages import Media
from gateway.store import Store, Tx
from tests.gateway.channels.twilio.conftest import ACCOUNT, TOKEN, serving
from tests.peers.fake_twilio import PICTURE, FakeTwilio, options_from

GIF = b"GIF89a" + b"x" * 20
TEXT = 4711


@pytest.fixture
async def twilio(tmp_path: Path) -> AsyncIterator[str]:
    """The fake Twilio, which shows pictures only to us and from another place."""
    fake = FakeTwilio(options_from(["--log", str(tmp_path / "l"), "--account", ACCOUNT, "--token", TOKEN]))
    async with serving(fake.app()) as api:
        yield api


@pytest.fixture
def gallery(store: Store, clock: StoppedClock, tmp_path: Path, twilio: str) -> Gallery:
    logins = {"tw": Login(twilio, ACCOUNT, TOKEN)}
    return Gallery(store=store, clock=clock, folder=tmp_path / "media", logins=logins)


def picture_at(api: str, n: int = 0) -> Media:
    return Media(f"{api}/2010-04-01/Accounts/{ACCOUNT}/Messages/MM1/Media/ME{n}", "image/png")


async def note(store: Store, clock: StoppedClock, *found: Media, text: int = TEXT, channel: str = "tw") -> None:
    await store.write(media.keep, 1, text, channel, found, clock.now_ms())


async def kept(store: Store, text: int = TEXT) -> list[media.Kept]:
    async def look(tx: Tx) -> list[media.Kept]:
        return await media.of_text(tx, text)

    return await store.read(look)


async def test_three_pictures_are_fetched_and_kept(
    store: Store, clock: StoppedClock, gallery: Gallery, twilio: str
) -> None:
    await note(store, clock, *(picture_at(twilio, n) for n in range(3)))
    assert not await gallery.fetch_due()

    found = await kept(store)
    assert [(each.n, each.state, each.kind, each.size) for each in found] == [
        (n, KEPT, "image/png", len(PICTURE)) for n in range(3)
    ]
    assert [gallery.path(each).read_bytes() for each in found] == [PICTURE] * 3
    assert len({each.path for each in found}) == 3
    assert gallery.path(found[0]).parent.stat().st_mode & 0o077 == 0


async def test_a_picture_is_fetched_while_it_runs(
    store: Store, clock: StoppedClock, gallery: Gallery, twilio: str
) -> None:
    running = asyncio.create_task(gallery.run())
    await asyncio.sleep(0.05)
    await note(store, clock, picture_at(twilio))
    gallery.wake()
    async with asyncio.timeout(3):
        while (await kept(store))[0].state != KEPT:  # noqa: ASYNC110  the store has no bell
            await asyncio.sleep(0.01)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_a_password_that_is_wrong_is_tried_again_and_given_up_after_a_day(
    store: Store, clock: StoppedClock, tmp_path: Path, twilio: str
) -> None:
    gallery = Gallery(store=store, clock=clock, folder=tmp_path / "m", logins={"tw": Login(twilio, ACCOUNT, "wrong")})
    await note(store, clock, picture_at(twilio))
    tries = 0
    while (await kept(store))[0].state == WAITING:
        await gallery.fetch_due()
        assert (await kept(store))[0].trouble == "HTTP 401"
        tries += 1
        await gallery.fetch_due()  # not due yet: nothing is asked
        clock.advance(seconds=61 * 60)
    assert 20 <= tries <= 26
    assert (await kept(store))[0].state == GIVEN_UP


async def test_the_first_pause_is_short_and_each_is_longer(store: Store, clock: StoppedClock, gallery: Gallery) -> None:
    await note(store, clock, Media("https://nowhere.invalid/x", "image/png"))
    pauses = []
    for _ in range(5):
        await gallery.fetch_due()

        before = 0
        while not await store.read(media._due, clock.now_ms() + before):
            before += 5_000
        pauses.append(before)
        clock.advance(ms=before)
    assert pauses == [10_000, 20_000, 40_000, 80_000, 160_000]


@pytest.mark.parametrize("url", ["https://127.0.0.1/x", "file:///etc/passwd", "http://127.0.0.1:1/x", "nonsense"])
async def test_an_address_of_our_own_house_is_given_up_at_once(
    store: Store, clock: StoppedClock, gallery: Gallery, url: str
) -> None:
    await note(store, clock, Media(url, "image/png"))
    await gallery.fetch_due()
    [found] = await kept(store)
    assert (found.state, found.path) == (GIVEN_UP, "")
    assert found.trouble


async def test_another_channels_picture_is_asked_for_without_our_password(
    store: Store, clock: StoppedClock, gallery: Gallery, twilio: str
) -> None:
    await note(store, clock, picture_at(twilio), channel="other")
    await gallery.fetch_due()
    assert (await kept(store))[0].state == GIVEN_UP  # for it, that is an address of our own house


@pytest.mark.parametrize(
    ("octets", "said", "kind"),
    [
        (GIF, "image/gif", "image/gif"),
        (GIF, "image/jpeg", "image/gif"),
        (GIF, "text/vcard", "image/gif"),
        (b"\xff\xd8\xff\xe0", "image/jpeg", "image/jpeg"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp", "image/webp"),
        (b"BEGIN:VCARD", "text/vcard", "text/vcard"),
        (b"\0\0\0\x18ftyp3gp4", "video/3gpp", "video/3gpp"),
        (b"<html><script>", "image/jpeg", ""),
        (b"<svg onload='x'>", "image/svg+xml", ""),
        (b"<html xmlns='http://www.w3.org/1999/xhtml'>", "image/x+xml", ""),
    ],
)
def test_a_file_is_what_its_octets_show(octets: bytes, said: str, kind: str) -> None:
    if kind:
        assert media.kind_of(Fetched(octets, said)) == kind
    else:
        with pytest.raises(FetchRefused):
            media.kind_of(Fetched(octets, said))


async def test_what_a_crash_left_without_a_row_is_removed_at_the_start_and_nothing_else(
    store: Store, clock: StoppedClock, gallery: Gallery, twilio: str, tmp_path: Path
) -> None:
    await note(store, clock, picture_at(twilio))
    await gallery.fetch_due()
    [found] = await kept(store)
    folder = tmp_path / "media"
    for name in ("0" * 32, "1" * 32 + ".part", "mine.txt"):
        (folder / name).write_bytes(b"x")
    running = asyncio.create_task(gallery.run())
    await asyncio.sleep(0.1)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert sorted(path.name for path in folder.iterdir()) == sorted([found.path, "mine.txt"])


async def test_a_picture_that_cannot_be_written_is_tried_again_later(
    store: Store, clock: StoppedClock, gallery: Gallery, twilio: str, tmp_path: Path
) -> None:
    (tmp_path / "media").write_text("a file where the folder should be")
    await note(store, clock, picture_at(twilio))
    await gallery.fetch_due()
    [found] = await kept(store)
    assert (found.state, found.trouble) == (WAITING, "it cannot be written: File exists")
    (tmp_path / "media").unlink()
    clock.advance(seconds=10)
    await gallery.fetch_due()
    assert (await kept(store))[0].state == KEPT


async def test_what_is_forgotten_is_gone_from_the_disk(
    store: Store, clock: StoppedClock, gallery: Gallery, twilio: str
) -> None:
    await note(store, clock, picture_at(twilio), Media("https://10.0.0.1/", ""))
    await gallery.fetch_due()
    path = gallery.path((await kept(store))[0])
    await gallery.forget(TEXT)
    assert not path.exists()
    assert await kept(store) == []


async def test_a_text_without_pictures_notes_nothing(store: Store, clock: StoppedClock) -> None:
    await note(store, clock)
    assert await kept(store) == []
