"""People are known by their phone; a file adds to what is known and lifts no STOP."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import pytest

from campaigns import consent, exporting, importing, people
from campaigns.business import Business
from campaigns.importing import Batch, Row
from campaigns.people import Counts
from gateway.store import Store
from tests.conftest import People

CLUB = "lantern_club"
MAYA = Row(
    2, "+12065550142", "US", "America/Los_Angeles", ("America/Los_Angeles",), "WA", first_name="Maya", city="Seattle",
    tags=("student",), attributes={"tier": "gold"}, consent=True, consent_ms=900, consent_source="form",
)  # fmt: skip


def row(**changes: Any) -> Row:
    return dataclasses.replace(MAYA, **changes)


async def do_import(store: Store, business: Business, *rows: Row, program: str = CLUB, now: int = 1_000) -> Counts:
    return await store.write(people.import_rows, business, rows, program, now)


async def exported(store: Store, business: Business) -> list[dict[str, Any]]:
    return (await store.read(people.export_page, business, 0))[1]


@pytest.mark.parametrize(
    ("typed", "address", "zone", "language"),
    [
        ("+12065550142", "+12065550142", "America/Los_Angeles", "en"),
        ("(206) 555-0142", "+12065550142", "America/Los_Angeles", "en"),
        ("+8615900001785", "+8615900001785", "Asia/Shanghai", "zh"),
        ("+80012345678", "+80012345678", "America/Los_Angeles", "en"),  # of no country, so of no zone
    ],
)
async def test_a_stranger_is_known_from_the_first_text_on(
    store: Store, business: Business, typed: str, address: str, zone: str, language: str
) -> None:
    made = await store.write(people.find_or_create, business, typed, 1)
    again = await store.write(people.find_or_create, business, address, 2)

    assert made == again
    assert made is not None
    assert (made.address, made.zone, made.language) == (address, zone, language)


async def test_a_later_value_that_is_not_empty_wins_and_lists_add_up(store: Store, business: Business) -> None:
    first = await do_import(store, business, MAYA)
    second = await do_import(
        store, business, row(first_name="", city="Tacoma", tags=("gold",), attributes={"favourite": "latte"})
    )

    assert (first.new, first.merged, second.new, second.merged) == (1, 0, 0, 1)
    [maya] = await exported(store, business)
    assert (maya["first_name"], maya["city"], maya["tags"]) == ("Maya", "Tacoma", ["gold", "student"])
    assert (maya["tier"], maya["favourite"]) == ("gold", "latte")


async def test_a_consent_is_kept_with_its_time_its_source_and_its_wording(store: Store, business: Business) -> None:
    counts = await do_import(store, business, MAYA)
    again = await do_import(store, business, MAYA, now=2_000)

    assert (counts.joined, again.joined) == (1, 0)
    maya = await store.read(people.find_by_address, business, MAYA.e164)
    assert maya
    [entry] = await store.read(lambda tx: tx.rows("ledger_of_person", person=maya.id))
    wording = "Offers by text from Lantern Coffee, up to 4 a month. Not needed to buy anything."
    assert entry == (CLUB, "joined", 900, "import: form", "", wording, None)


async def test_an_import_never_lifts_a_stop(store: Store, business: Business) -> None:
    await do_import(store, business, MAYA)
    maya = await store.read(people.find_by_address, business, MAYA.e164)
    assert maya
    await store.write(consent.leave, business, maya.id, at=1_500, source="text", said="STOP")

    counts = await do_import(store, business, row(consent_ms=9_999), now=10_000)

    assert (counts.joined, counts.left) == (0, 1)
    after = await store.read(people.find, business, maya.id)
    assert after
    assert after.stopped_at == 1_500
    assert await store.read(lambda tx: tx.rows("consent_list", person=maya.id)) == []


@pytest.mark.parametrize(("said_no_at", "is_in"), [(899, True), (901, False), (None, False)])
async def test_a_no_in_a_file_counts_unless_it_is_older_than_the_yes(
    store: Store, business: Business, said_no_at: int | None, is_in: bool
) -> None:
    await do_import(store, business, MAYA)
    await do_import(store, business, row(consent=False, consent_ms=said_no_at))
    [maya] = await exported(store, business)
    assert (maya["programs"] == [CLUB]) is is_in


async def test_a_newer_position_wins_and_one_without_a_time_is_old(store: Store, business: Business) -> None:
    for lat, seen in ((1.0, None), (2.0, 500), (3.0, 400)):
        await do_import(store, business, row(lat=lat, lon=lat, seen_ms=seen))
    [maya] = await exported(store, business)
    assert (maya["lat"], maya["lon"]) == (2.0, 2.0)


async def test_a_zone_that_we_were_told_is_not_replaced_by_a_guess(store: Store, business: Business) -> None:
    await do_import(store, business, row(zone="America/New_York", zones=("America/New_York",)))
    await do_import(store, business, MAYA)
    [maya] = await exported(store, business)
    assert maya["zone"] == "America/New_York"


async def test_an_import_goes_on_where_its_last_commit_was(store: Store, business: Business) -> None:
    batch = Batch((MAYA,), 2, (), (), 4, 300, "utf-8", ())

    assert await store.read(people.progress_of, business, "d1") is None
    counts = await store.write(people.import_batch, business, batch, CLUB, "d1", "people.csv", Counts(), 1_000)

    assert counts == Counts(new=1, merged=2, joined=1)
    assert await store.read(people.progress_of, business, "d1") == people.Progress(4, counts)


async def test_an_export_comes_in_pages_and_shows_who_has_left(
    store: Store, business: Business, make_people: People
) -> None:
    ids = await make_people(5)
    await store.write(consent.leave, business, ids[4], at=1_500, source="text")

    pages, after = [], 0
    while True:
        after, rows = await store.read(people.export_page, business, after, 2)
        if not rows:
            break
        pages.append([each["phone"] for each in rows])

    assert [len(page) for page in pages] == [2, 2, 1]
    assert [phone for page in pages for phone in page] == [f"+1206555{n:04}" for n in range(5)]
    last = (await exported(store, business))[-1]
    assert (last["consent"], last["left"].isoformat()) == ("no", "1970-01-01T00:00:01.500000+00:00")


async def test_what_was_exported_can_be_imported_again(store: Store, business: Business) -> None:
    await do_import(
        store, business, row(lat=47.6, lon=-122.3, seen_ms=5_000, birthday="2004-03-14", last_name="Okafor")
    )
    before = await exported(store, business)
    file = io.BytesIO("".join(exporting.csv_lines(people.export_headings(business), before)).encode())
    attributes = {key: each.values for key, each in business.config.attributes.items()}

    [batch] = importing.read(
        file, country="US", languages=["en", "zh"], attributes=attributes, now_ms=business.clock.now_ms()
    )

    assert batch.rejects == batch.notes == ()
    await do_import(store, business, *batch.rows)
    assert await exported(store, business) == before


async def test_of_whoever_joins_the_kind_and_the_network_of_the_number_are_kept(
    store: Store, business: Business
) -> None:
    texting = await store.write(people.find_or_create, business, "+8613812345678", 0)
    assert texting is not None
    assert await store.read(lambda tx: tx.rows("person_line", person=texting.id)) == [("mobile", "China Mobile")]
