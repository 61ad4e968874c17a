"""A list of those who have left elsewhere holds here from that moment on, and each line of it is accounted for."""

from __future__ import annotations

import io
from functools import partial

import pytest

from campaigns import consent, people, stop_lists
from campaigns.business import Business
from campaigns.spreadsheets import BadFile
from campaigns.stop_lists import Batch, Counts, Stop
from gateway.store import Store

MAYA, LEO, ANA = "+12065550142", "+12065550143", "+8613812345678"
CLUB = "lantern_club"
NOW = 1_800_000_000_000
MARCH = 1_772_389_800_000  # 2026-03-01 10:30 in Los Angeles

read = partial(stop_lists.read, country="US", now_ms=NOW, timezone="America/Los_Angeles")


def whole(text: str, column: str = "", start_line: int = 0) -> Batch:
    (batch,) = read(io.BytesIO(text.encode()), column=column, start_line=start_line)
    return batch


def told(batch: Batch) -> list[tuple[int, str, bool]]:
    return [(reject.line, reject.reason, reject.kept) for reject in batch.rejects]


async def take(
    store: Store, business: Business, *stops: Stop, program: str = "", source: str = "import: list", now: int = NOW
) -> Counts:
    return await store.write(stop_lists.record, business, stops, program, source, now)


async def person_of(store: Store, business: Business, phone: str) -> people.Person:
    person = await store.read(people.find_by_address, business, phone)
    assert person
    return person


def test_one_number_a_line_is_a_list_however_the_numbers_are_written() -> None:
    batch = whole("+1 206 555 0142\n(206) 555-0143\n\n＋8613812345678\n2065550142\n")
    assert batch.stops == (Stop(MAYA, 0), Stop(LEO, 0), Stop(ANA, 0))
    assert (batch.repeated, batch.rejects) == (1, ())


def test_what_is_no_number_is_told_by_its_line_and_the_others_are_taken() -> None:
    batch = whole("2065550142\nMaya\n555\n2065550143\n")
    assert [stop.phone for stop in batch.stops] == [MAYA, LEO]
    assert [(line, is_kept) for line, _, is_kept in told(batch)] == [(2, False), (3, False)]
    assert batch.repeated == 0


def test_a_list_with_headings_tells_when_each_left() -> None:
    batch = whole("name;Mobile;Unsubscribed At\nMaya;2065550142;2026-03-01 10:30\nLeo;2065550143;2026-03-01T18:30Z\n")
    assert batch.stops == (Stop(MAYA, MARCH), Stop(LEO, MARCH))


def test_of_two_lines_of_one_phone_the_later_time_counts() -> None:
    batch = whole("phone,left_at\n2065550142,2026-03-01 10:30\n2065550142,2026-02-01\n")
    assert (batch.stops, batch.repeated) == ((Stop(MAYA, MARCH),), 1)


def test_who_has_no_time_of_leaving_in_a_list_of_everybody_is_not_stopped_in_silence() -> None:
    batch = whole("phone,left\n2065550142,2026-03-01 10:30\n2065550143,\n")
    assert batch.stops == (Stop(MAYA, MARCH),)
    assert told(batch) == [(3, "nothing stands under left: has this person left?", False)]


def test_yes_and_no_may_stand_for_the_time() -> None:
    batch = whole("phone,opted_out\n2065550142,yes\n2065550143,no\n")
    assert batch.stops == (Stop(MAYA, 0),)
    assert told(batch) == [(3, 'opted_out says "no": no STOP', False)]


@pytest.mark.parametrize(
    "word",
    ["opted_out", "Opted-Out", "opted out", "unsubscribed", "STOPPED", "stop", "left", "退订", "已退订", "不同意"],
)
def test_a_word_that_says_that_somebody_left_is_a_stop(word: str) -> None:
    batch = whole(f"phone,opted_out\n2065550142,{word}\n")
    assert (batch.stops, batch.rejects) == ((Stop(MAYA, 0),), ())


@pytest.mark.parametrize("word", ["subscribed", "opted_in", "Opted-In", "active"])
def test_a_word_that_says_that_somebody_stayed_is_no_stop(word: str) -> None:
    batch = whole(f"phone,unsubscribed\n2065550142,{word}\n")
    assert (batch.stops, told(batch)) == ((), [(2, f'unsubscribed says "{word}": no STOP', False)])


@pytest.mark.parametrize("word", ["no", "0", "subscribed", "active"])
def test_a_word_under_a_heading_of_any_time_undoes_no_stop(word: str) -> None:
    batch = whole(f"phone,received\n2065550142,{word}\n")
    assert (batch.stops, batch.rejects[0].kept) == ((Stop(MAYA, 0),), True)


@pytest.mark.parametrize("day", ["2026-03-01", "20260301", "2026/03/01"])
def test_a_day_without_a_time_counts_to_its_end(day: str) -> None:
    (stop,) = whole(f"phone,left_at\n2065550142,{day}\n").stops
    assert stop == Stop(MAYA, MARCH + 13 * 3_600_000 + 1_799_999)  # 23:59:59.999


def test_today_without_a_time_is_now() -> None:
    (stop,) = whole("phone,left_at\n2065550142,2027-01-15\n").stops
    assert stop == Stop(MAYA, NOW)


@pytest.mark.parametrize("heading", ["created_at", "Date Created", "date", "日期"])
def test_the_time_at_which_a_row_was_made_is_not_when_somebody_left(heading: str) -> None:
    assert whole(f"phone,{heading}\n2065550142,2026-03-01 10:30\n").stops == (Stop(MAYA, 0),)


def test_of_two_columns_of_numbers_one_must_be_named_so_that_none_is_passed_over() -> None:
    text = "Mobile,Name,Phone\n2065550142,Maya,2065550143\n"
    with pytest.raises(BadFile, match='2 columns hold numbers: "Mobile", "Phone"; say --column'):
        whole(text)
    assert whole(text, column="phone").stops == (Stop(LEO, 0),)


def test_two_numbers_in_a_line_without_headings_are_never_one_stop_in_silence() -> None:
    with pytest.raises(BadFile, match=r'line 1 holds 2 numbers: "2065550142", "2065550143"; .* --column'):
        whole("2065550142,2065550143\n")
    batch = whole("2065550142\n2065550143,8005550199\n2065550143,+13605550142\n")
    assert batch.stops == (Stop(MAYA, 0), Stop(LEO, 0))
    assert (3, "+13605550142 not stopped: write one number a line", True) in told(batch)


def test_a_time_that_cannot_be_read_loses_no_stop() -> None:
    batch = whole("phone,time\n2065550142,last spring\n2065550143,\n")
    assert batch.stops == (Stop(MAYA, 0), Stop(LEO, 0))
    ((line, reason, is_kept),) = told(batch)
    assert (line, is_kept) == (2, True)
    assert reason.endswith("the STOP counts from now")


def test_any_column_may_be_named_as_that_of_the_number() -> None:
    batch = whole("From,To,Date Sent\n2065550142,20655,2026-03-01 10:30\n", column="from")
    assert batch.stops == (Stop(MAYA, MARCH),)
    with pytest.raises(BadFile, match='no column "sender": found "From", "To"'):
        whole("From,To\n2065550142,20655\n", column="sender")


def test_a_file_without_a_number_in_sight_is_told_what_was_found() -> None:
    with pytest.raises(BadFile, match='found "who", "why"; say --column'):
        whole("who,why\nMaya,STOP\n")


def test_a_list_that_was_broken_off_goes_on_behind_the_last_line() -> None:
    assert [stop.phone for stop in whole("2065550142\n2065550143\n", start_line=1).stops] == [LEO]
    assert [stop.phone for stop in whole("phone\n2065550142\n2065550143\n", start_line=2).stops] == [LEO]


async def test_a_stop_of_a_list_ends_everything_and_stands_in_the_ledger(store: Store, business: Business) -> None:
    maya = await store.write(people.find_or_create, business, MAYA, 1)
    assert maya
    await store.write(consent.join, business, maya.id, CLUB, language="en", at=1, source="page")

    counts = await take(store, business, Stop(MAYA, MARCH), Stop(LEO, 0), source="import: Twilio")

    assert counts == Counts(added=2)
    assert (await person_of(store, business, MAYA)).stopped_at == MARCH
    assert (await person_of(store, business, LEO)).stopped_at == NOW
    assert await store.read(lambda tx: tx.rows("consent_list", person=maya.id)) == []
    ledger = await store.read(lambda tx: tx.rows("ledger_of_person", person=maya.id))
    assert [row[:4] for row in ledger][1:] == [("", "left", MARCH, "import: Twilio")]


async def test_the_same_list_again_changes_nothing(store: Store, business: Business) -> None:
    stops = Stop(MAYA, MARCH), Stop(LEO, 0)
    await take(store, business, *stops)

    assert await take(store, business, *stops, now=NOW + 1) == Counts(already=2)

    maya = await person_of(store, business, MAYA)
    assert maya.stopped_at == MARCH
    assert len(await store.read(lambda tx: tx.rows("ledger_of_person", person=maya.id))) == 1


async def test_a_start_after_the_time_in_the_list_outweighs_it_and_an_older_one_does_not(
    store: Store, business: Business
) -> None:
    for phone in (MAYA, LEO):
        person = await store.write(people.find_or_create, business, phone, 1)
        assert person
        await store.write(consent.leave, business, person.id, at=2, source="text")
        await store.write(consent.come_back, business, person.id, language="en", at=MARCH, source="text")

    counts = await take(store, business, Stop(MAYA, MARCH - 1), Stop(LEO, MARCH + 1))

    assert counts == Counts(added=1, returned=1)
    assert (await person_of(store, business, MAYA)).stopped_at is None
    assert (await person_of(store, business, LEO)).stopped_at == MARCH + 1


async def test_who_left_by_a_list_comes_back_by_their_own_start(store: Store, business: Business) -> None:
    maya = await store.write(people.find_or_create, business, MAYA, 1)
    assert maya
    await store.write(consent.join, business, maya.id, CLUB, language="en", at=1, source="page")
    await take(store, business, Stop(MAYA, MARCH))

    back = await store.write(consent.come_back, business, maya.id, language="en", at=NOW, source="text")

    assert back == [CLUB]


async def test_a_list_of_one_programme_leaves_only_that(store: Store, business: Business) -> None:
    maya, leo = [await store.write(people.find_or_create, business, phone, 1) for phone in (MAYA, LEO)]
    assert maya
    assert leo
    for person, source in ((maya, "import"), (leo, "text")):
        await store.write(consent.join, business, person.id, CLUB, language="en", at=NOW - 1, source=source)

    counts = await take(store, business, Stop(MAYA, MARCH), Stop(LEO, MARCH), Stop(ANA, 0), program=CLUB)

    # Leo has said yes by his own text since; Maya's time is that of our import.
    assert counts == Counts(added=1, already=1, returned=1)
    assert (await person_of(store, business, MAYA)).stopped_at is None
    assert await store.read(lambda tx: tx.rows("consent_list", person=maya.id)) == []
    assert len(await store.read(lambda tx: tx.rows("consent_list", person=leo.id))) == 1
