"""The people whom we know: found by their phone, made at their first text, merged from a customer file."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

import orjson
from phonenumbers.timezone import UNKNOWN_TIMEZONE

from campaigns.business import Business
from campaigns.importing import Batch, Row
from gateway import numbers
from gateway.clock import from_ms
from gateway.store import Tx

CHINA, CHINESE = "CN", "zh"


class Person(NamedTuple):
    """One phone, as rules and handlers ask about it. `stopped_at` is when it left, None while it may be texted."""

    id: int
    address: str
    country: str
    zone: str
    language: str
    first_name: str
    stopped_at: int | None


@dataclass(frozen=True, slots=True)
class Counts:
    """What an import came to so far. `joined` said yes to the programme, `left` did but have left: they stay out."""

    new: int = 0
    merged: int = 0
    rejected: int = 0
    joined: int = 0
    left: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(Counts)))


class Progress(NamedTuple):
    """How far a file has been imported: through `line`, with these counts."""

    line: int
    counts: Counts


async def find(tx: Tx, business: Business, person_id: int) -> Person | None:
    """A person of this brand by id."""
    return await tx.one(Person, "person_by_id", brand=business.brand, person=person_id)


async def find_by_address(tx: Tx, business: Business, address: str) -> Person | None:
    """A person by a number however it is written; None for strangers and for what is no number."""
    known = await tx.one(Person, "person_by_address", brand=business.brand, address=address)
    if known or numbers.SHAPE.fullmatch(address):
        return known
    try:
        number = numbers.parse(address, business.config.brand.country)
    except numbers.BadNumber:
        return None
    return await tx.one(Person, "person_by_address", brand=business.brand, address=number.e164)


async def find_or_create(tx: Tx, business: Business, address: str, now: int) -> Person | None:
    """Whoever texts us from this number; None for short codes, names and what else is no phone."""
    found = await find_or_create_all(tx, business, [address], now)
    return await find(tx, business, found[address]) if address in found else None


async def find_or_create_all(tx: Tx, business: Business, addresses: Sequence[str], now: int) -> dict[str, int]:
    """The people who text us from these numbers, however they are written; nobody for what is no phone."""
    known = await _ids_of(tx, business, {*addresses})
    strange = {each: number for each in addresses if each not in known and (number := _number_of(business, each))}
    if not strange:
        return known
    met = await _ids_of(tx, business, {number.e164 for address, number in strange.items() if number.e164 != address})
    rows = []
    for address, number in strange.items():
        if number.e164 not in met:
            met[number.e164] = business.ids.next()
            rows.append(_stranger(business, met[number.e164], number, now))
        known[address] = met[number.e164]
    await tx.many("person_insert", rows)
    return known


async def _ids_of(tx: Tx, business: Business, addresses: Collection[str]) -> dict[str, int]:
    if not addresses:
        return {}
    return {address: id_ for id_, address in await tx.rows("person_ids", brand=business.brand, addresses=[*addresses])}


def _number_of(business: Business, address: str) -> numbers.Number | None:
    """The number of a phone; None for short codes, names and what else is none."""
    if not numbers.SHAPE.fullmatch(address) and (numbers.is_short_code(address) or numbers.is_alphanumeric(address)):
        return None
    try:
        return numbers.parse(address, business.config.brand.country)
    except numbers.BadNumber:
        return None


def _stranger(business: Business, id_: int, number: numbers.Number, now: int) -> tuple[object, ...]:
    """A row of person_insert."""
    language = business.language(CHINESE if number.country == CHINA else "")
    line = numbers.line_of(number.e164)
    return (
        id_, business.brand, number.e164, number.country, zone_of(business, number.zone), line.type, line.network,
        language, now,
    )  # fmt: skip


def zone_of(business: Business, guess: str) -> str:
    """A zone that has a clock: numbers of no country (+800, satellites) are taken to be at home with the brand."""
    return business.config.brand.timezone if guess == UNKNOWN_TIMEZONE else guess


# --- importing -------------------------------------------------------------------------------------------------------


async def progress_of(tx: Tx, business: Business, digest: str) -> Progress | None:
    """How far a file with this digest has been imported, None if never."""
    rows = await tx.rows("import_get", brand=business.brand, digest=digest)
    return Progress(rows[0][0], Counts(**orjson.loads(rows[0][1]))) if rows else None


async def import_batch(
    tx: Tx, business: Business, batch: Batch, program: str, digest: str, name: str, so_far: Counts, now: int
) -> Counts:
    """Merge a batch and note how far the file `name` with this digest has been read, in one transaction."""
    merged = Counts(merged=batch.merged, rejected=len(batch.rejects))
    counts = so_far + merged + await import_rows(tx, business, batch.rows, program, now)
    await tx.run(
        "import_put", brand=business.brand, digest=digest, name=name, line=batch.line, counts=asdict(counts), at=now
    )
    return counts


async def import_rows(tx: Tx, business: Business, rows: Sequence[Row], program: str, now: int) -> Counts:
    """Merge rows with what we know: a later value that is not empty wins, tags and attributes add up.

    A yes joins `program` (empty: nobody joins), a no leaves it. An import never lifts a STOP: who has left
    stays out, whatever the file says. (R-6.5)
    """
    fresh = business.ids.take(len(rows))
    await tx.many("person_upsert", [_columns(row, id_, business, now) for row, id_ in zip(rows, fresh, strict=True)])
    found = await tx.rows("person_ids", brand=business.brand, addresses=[row.e164 for row in rows])
    ids = {address: id_ for id_, address in found}
    await tx.many("tag_add", [(business.brand, ids[row.e164], tag) for row in rows for tag in row.tags])
    new = len(set(ids.values()).intersection(fresh))
    joined, left = await _import_consent(tx, business, rows, ids, program, now) if program else (0, 0)
    return Counts(new=new, merged=len(rows) - new, joined=joined, left=left)


def _columns(row: Row, id_: int, business: Business, now: int) -> tuple[object, ...]:
    """A row in the order of person_upsert. A position without a time is an old one: its time is 0."""
    seen_at = None if row.lat is None else row.seen_ms or 0
    attributes = orjson.dumps(row.attributes).decode() if row.attributes else "{}"
    return (
        id_, business.brand, row.e164, row.country, zone_of(business, row.zone), row.region, row.line_type, row.network,
        row.language, row.first_name, row.last_name, row.city, row.gender, row.birthday, attributes, row.lat, row.lon,
        seen_at, now,
        _is_stated(row),
    )  # fmt: skip


def _is_stated(row: Row) -> bool:
    """True when the file told the zone: a guess from the number must not replace what we were told before."""
    return len(row.zones) == 1 and row.zone != numbers.parse(row.e164, row.country).zone


async def _import_consent(
    tx: Tx, business: Business, rows: Sequence[Row], ids: dict[str, int], program: str, now: int
) -> tuple[int, int]:
    """Apply the yes and no of rows; how many joined, and how many did not because they had left."""
    brand = business.brand
    yes = {ids[row.e164]: row for row in rows if row.consent}
    no = {ids[row.e164]: row for row in rows if row.consent is False}
    asked = [[person, row.consent_ms or now] for person, row in yes.items()]
    joined = {person for (person,) in await tx.rows("consent_import", brand=brand, program=program, people=asked)}
    refused = [[person, row.consent_ms or now] for person, row in no.items()]
    ended = [person for (person,) in await tx.rows("consent_withdraw", program=program, people=refused)]
    changes = [(person, yes[person], "joined") for person in yes if person in joined]
    changes += [(person, no[person], "left") for person in ended]
    await tx.many(
        "ledger_insert",
        [
            (brand, person, program, change, row.consent_ms or now, _source(row), "",
             business.wordings[program, business.language(row.language)], None)
            for person, row, change in changes
        ],
    )  # fmt: skip
    await tx.many(
        "activity_insert",
        [(brand, person, change, program, row.consent_ms or now, "import") for person, row, change in changes],
    )
    stopped: int = await tx.value("stop_count", people=list(yes))
    return len(joined), stopped


def _source(row: Row) -> str:
    return f"import: {row.consent_source}" if row.consent_source else "import"


# --- exporting -------------------------------------------------------------------------------------------------------


def export_headings(business: Business) -> list[str]:
    """The columns of an export, under names that the import understands."""
    known = "phone first_name last_name language city birthday gender tags lat lon seen consent consent_time zone"
    return [*known.split(), *business.config.attributes, "programs", "left"]


async def export_page(tx: Tx, business: Business, after: int, limit: int = 1_000) -> tuple[int, list[dict[str, Any]]]:
    """The next people after an id, as rows for `exporting`, and the last id; no rows at the end."""
    rows = await tx.rows("person_export", brand=business.brand, after=after, limit=limit)
    return (rows[-1][0] if rows else after), [_exported(row) for row in rows]


def _exported(row: tuple[Any, ...]) -> dict[str, Any]:
    values = dict(zip(_EXPORTED, row[1:], strict=True))
    own: dict[str, Any] = orjson.loads(values["attributes"])
    since, left, seen = values["consent_time"], values["left"], values["seen"]
    return own | values | {
        "tags": sorted(orjson.loads(values["tags"])),
        "programs": sorted(orjson.loads(values["programs"])),
        "seen": from_ms(seen) if seen else None,
        "consent": "yes" if since else "no" if left else None,
        "consent_time": from_ms(since) if since else None,
        "left": from_ms(left) if left else None,
    }  # fmt: skip


_EXPORTED = (  # the columns of person_export after the id
    "phone", "zone", "language", "first_name", "last_name", "city", "gender", "birthday", "attributes", "lat", "lon",
    "seen", "tags", "programs", "consent_time", "left",
)  # fmt: skip
