"""Lets a program look at people, keep them up to date, write down their yes, and obey their STOP."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from campaigns import cells, consent, people, telling
from campaigns.business import Business
from gateway import numbers, web
from gateway.clock import from_ms
from gateway.errors import StoreError
from gateway.store import Tx
from handlers.api import bodies, models
from handlers.api.calls import WALK, Call, Operation, next_cursor, paged, time_of, told
from handlers.api.messages import LATEST
from handlers.api.problems import Flaw, Problem

PATH = "/v1/subscribers"
SOURCE = "api"
MOST_ATTRIBUTE = 200  # characters


class Row(NamedTuple):
    """A person, in the order of the api_subscriber queries."""

    id: int
    phone: str
    country: str
    zone: str
    language: str
    first_name: str
    last_name: str
    city: str
    gender: str
    birthday: str | None
    attributes: str
    line_type: str
    created_at: int
    left_at: int | None


Shown = dict[str, Any]


async def listing(call: Call) -> web.Response:
    """A page of people."""
    query: models.SubscribersPage = call.query
    rows, walked = await call.app.store.read(_page, call, query)
    cursor = next_cursor([int(row["id"]) for row in rows], query.limit, walked)
    return paged(call, rows, cursor)


async def _page(tx: Tx, call: Call, query: models.SubscribersPage) -> tuple[list[Shown], tuple[int, int]]:
    after = min(int(query.cursor), LATEST) if query.cursor else 0
    rows = await tx.all(
        Row, "api_subscribers", brand=call.app.brand, after=after, walk=WALK, language=query.language or "",
        tag=query.tag or "", program=query.program or "", limit=query.limit,
        left={None: -1, "no": 0, "yes": 1}[query.left],
    )  # fmt: skip
    (walked,) = await tx.rows("api_subscribers_walked", after=after, walk=WALK)
    return await _shown(tx, rows), (int(walked[0]), int(walked[1]))


async def show(call: Call) -> web.Response:
    """One person."""
    phone = _phone(call)
    person = await call.app.store.read(_of_phone, call.business, phone)
    if person is None:
        raise _stranger(phone)
    return told(person)


async def change(call: Call) -> web.Response:
    """Write down what a program knows of a person; who is not known yet becomes known."""
    phone = _phone(call)
    body = bodies.parse(await bodies.read(call.request, bodies.SMALL))
    wanted = bodies.checked(models.SubscriberChange, body)
    given = {name: getattr(wanted, name) for name in wanted.model_fields_set}
    now = call.app.clock.now_ms()
    _check(call, given, now)
    person, is_new = await call.app.store.write(_change, call.business, phone, given, now)
    return told(person, 201 if is_new else 200)


async def join(call: Call) -> web.Response:
    """Write down a yes to a programme."""
    phone, program = _phone(call), _program(call)
    raw = await web.read_body(call.request, bodies.SMALL)
    wanted = models.JoinWanted()
    if raw.strip():
        bodies.check_kind(call.request)
        wanted = bodies.checked(models.JoinWanted, bodies.parse(raw))
    language = _language(call, wanted.language) if wanted.language else ""
    try:
        person, is_new = await call.app.store.write(
            _join, call.business, phone, program, language, wanted.said, call.app.clock.now_ms()
        )
    except consent.HasLeft as left:
        detail = f"{phone} opted out on {from_ms(left.at):%d %B %Y}; only a START from that phone lifts it"
        raise Problem("opted-out", detail) from None
    return told(person, 201 if is_new else 200)


async def leave(call: Call) -> web.Response:
    """Write down that a person does not want this programme any more."""
    phone, program = _phone(call), _program(call)
    await bodies.nothing(call.request)
    person = await call.app.store.write(_leave, call.business, phone, program, call.app.clock.now_ms())
    if person is None:
        raise _stranger(phone)
    return told(person)


async def stop(call: Call) -> web.Response:
    """Obey a STOP that a person said elsewhere: from now on they get nothing."""
    phone = _phone(call)
    raw = await web.read_body(call.request, bodies.SMALL)
    wanted = models.StopWanted()
    if raw.strip():
        bodies.check_kind(call.request)
        wanted = bodies.checked(models.StopWanted, bodies.parse(raw))
    return told(await call.app.store.write(_stop, call.business, phone, wanted.said, call.app.clock.now_ms()))


async def lift(call: Call) -> web.Response:
    """There is no way: only the person's own START does it."""
    raise Problem("opted-out", "only a START from that very phone lifts a STOP; ask the person to text START")


# --- transactions ----------------------------------------------------------------------------------------------------


async def _change(tx: Tx, business: Business, phone: str, given: Mapping[str, Any], now: int) -> tuple[Shown, bool]:
    person, is_new = await _made(tx, business, phone, now)
    row = await _row(tx, business, person)
    attributes: dict[str, Any] = orjson.loads(row.attributes)
    for name, value in (given.get("attributes") or {}).items():
        if value is None:
            attributes.pop(name, None)
        else:
            attributes[name] = value
    if "attributes" in given and given["attributes"] is None:
        attributes = {}
    kept = {name: given.get(name, getattr(row, name)) or "" for name in _PLAIN}
    await tx.run("api_person_set", brand=business.brand, person=person, attributes=attributes, **kept)
    if "tags" in given:
        await tx.run("api_tags_clear", person=person)
        await tx.many("tag_add", [(business.brand, person, tag) for tag in given["tags"] or ()])
    return (await _shown(tx, [await _row(tx, business, person)]))[0], is_new


_PLAIN = ("language", "first_name", "last_name", "city", "gender", "birthday")


async def _join(
    tx: Tx, business: Business, phone: str, program: str, language: str, said: str, now: int
) -> tuple[Shown, bool]:
    person, _ = await _made(tx, business, phone, now)
    row = await _row(tx, business, person)
    is_new = await consent.join(
        tx, business, person, program, language=language or row.language, at=now, source=SOURCE, said=said
    )
    return (await _shown(tx, [row]))[0], is_new


async def _leave(tx: Tx, business: Business, phone: str, program: str, now: int) -> Shown | None:
    known = await people.find_by_address(tx, business, phone)
    if known is None:
        return None
    brand, person = business.brand, known.id
    if await tx.rows("consent_withdraw", program=program, people=[[person, now]]):
        wording = business.wordings.get((program, business.language(known.language)))
        await tx.run(
            "ledger_insert", brand=brand, person=person, program=program, change="left", at=now, source=SOURCE,
            words="", wording=wording, inbound=None,
        )  # fmt: skip
        await tx.many("activity_insert", [(brand, person, "left", program, now, SOURCE)])
        await telling.subscriber(tx, business, person, "left", program, now, SOURCE)
    return (await _shown(tx, [await _row(tx, business, person)]))[0]


async def _stop(tx: Tx, business: Business, phone: str, said: str, now: int) -> Shown:
    person, _ = await _made(tx, business, phone, now)
    await consent.leave(tx, business, person, at=now, source=SOURCE, said=said)
    return (await _shown(tx, [await _row(tx, business, person)]))[0]


async def _made(tx: Tx, business: Business, phone: str, now: int) -> tuple[int, bool]:
    known = await people.find_by_address(tx, business, phone)
    person = known or await people.find_or_create(tx, business, phone, now)
    if person is None:
        raise Problem("bad-number", f"{phone} is no phone")
    return person.id, known is None


async def _of_phone(tx: Tx, business: Business, phone: str) -> Shown | None:
    known = await people.find_by_address(tx, business, phone)
    return (await _shown(tx, [await _row(tx, business, known.id)]))[0] if known else None


async def _row(tx: Tx, business: Business, person: int) -> Row:
    row = await tx.one(Row, "api_subscriber", brand=business.brand, person=person)
    if row is None:
        raise StoreError(f"person {person} is gone")
    return row


async def _shown(tx: Tx, rows: Sequence[Row]) -> list[Shown]:
    ids = [row.id for row in rows]
    tags: dict[int, list[str]] = defaultdict(list)
    programs: dict[int, list[dict[str, str]]] = defaultdict(list)
    for person, tag in await tx.rows("api_tags", people=ids):
        tags[person].append(tag)
    for person, program, since in await tx.rows("api_programs", people=ids):
        programs[person].append({"program": program, "since": time_of(since)})
    return [
        {
            "id": str(row.id), "phone": row.phone, "country": row.country, "timezone": row.zone,
            "language": row.language, "first_name": row.first_name, "last_name": row.last_name, "city": row.city,
            "gender": row.gender, "birthday": row.birthday, "line_type": row.line_type, "tags": tags[row.id],
            "attributes": orjson.loads(row.attributes), "programs": programs[row.id],
            "left_at": time_of(row.left_at) if row.left_at is not None else None,
            "created_at": time_of(row.created_at),
        }
        for row in rows
    ]  # fmt: skip


# --- what stands in the call -----------------------------------------------------------------------------------------


def _phone(call: Call) -> str:
    """The phone in the path, as it is kept. Raises Problem."""
    word = bodies.path_word(call.request, "phone")
    try:
        return numbers.parse(word, call.business.config.brand.country).e164
    except numbers.BadNumber as error:
        raise Problem("bad-number", f"the phone in the address: {error.reason}") from None


def _program(call: Call) -> str:
    word = bodies.path_word(call.request, "program")
    if word not in call.business.config.programs:
        there = ", ".join(call.business.config.programs) or "none yet"
        raise Problem("no-program", f"the programmes of config.yaml: {there}")
    return word


def _stranger(phone: str) -> Problem:
    return Problem("not-found", f"nobody with {phone} is known")


def _language(call: Call, word: str) -> str:
    try:
        return cells.language(call.business.config.brand.languages)(word)
    except cells.Unusable as error:
        raise Problem("bad-value", f'"{word[:40]}" {error}', pointer="/language") from None


def _check(call: Call, given: dict[str, Any], now: int) -> None:
    """Bring values into the spelling that is kept. Raises Problem with all that cannot be used."""
    config = call.business.config
    today, country = from_ms(now).date(), config.brand.country

    def birthday(word: str) -> str:
        return cells.birthday(word, today=today, country=country)

    flaws = []
    for name, read in (("language", cells.language(config.brand.languages)), ("birthday", birthday)):
        if given.get(name):
            try:
                given[name] = read(given[name])
            except cells.Unusable as error:
                flaws.append(Flaw(f'"{given[name][:40]}" {error}', f"/{name}"))
    flaws += _check_attributes(call, given)
    if given.get("tags"):
        given["tags"] = [*dict.fromkeys(tag.casefold() for tag in given["tags"])]
    if flaws:
        raise Problem("bad-value", f"{flaws[0].pointer}: {flaws[0].detail}", pointer=flaws[0].pointer, flaws=flaws)


def _check_attributes(call: Call, given: dict[str, Any]) -> list[Flaw]:
    declared, flaws = call.business.config.attributes, []
    for name, value in (given.get("attributes") or {}).items():
        pointer = f"/attributes/{name}".replace("~", "~0") if "/" not in name else "/attributes"
        if name not in declared:
            there = ", ".join(declared) or "none"
            flaws.append(Flaw(f'no attribute "{name[:40]}" is declared in config.yaml; there are {there}', pointer))
        elif value is not None and declared[name].values:
            try:
                given["attributes"][name] = cells.one_of(declared[name].values)(value)
            except cells.Unusable as error:
                flaws.append(Flaw(f'"{value[:40]}" {error}', pointer))
    return flaws


_PHONE = {"phone": "The phone, as +12065550142."}
_BOTH = {**_PHONE, "program": "The programme's name in config.yaml."}
OPERATIONS = [
    Operation(
        "GET", PATH, "listSubscribers", "Look for people", listing, "subscribers",
        {200: ("In the order in which they came.", models.Subscribers)}, query=models.SubscribersPage,
    ),
    Operation(
        "GET", PATH + "/{phone}", "getSubscriber", "One person", show, "subscribers",
        {200: ("The person.", models.Subscriber)}, paths=_PHONE, problems=("bad-number",),
    ),
    Operation(
        "PATCH", PATH + "/{phone}", "changeSubscriber", "Change what is known of a person", change, "subscribers",
        {200: ("The person as they are now.", models.Subscriber),
         201: ("The person, who was not known before.", models.Subscriber)},
        "Makes the person known if they are not. It is no yes to anything.",
        body=(models.SubscriberChange,), paths=_PHONE, problems=("bad-number", "bad-value"),
    ),
    Operation(
        "PUT", PATH + "/{phone}/programs/{program}", "join", "Write down a yes", join, "subscribers",
        {200: ("They were in it already.", models.Subscriber), 201: ("They are in it from now on.", models.Subscriber)},
        "Only for a yes that the person has given; the wording that they were shown is kept with it, and `said` as "
        "evidence. Who has opted out cannot be brought back by a program.",
        body=(models.JoinWanted,), is_body_optional=True, paths=_BOTH,
        problems=("bad-number", "no-program", "opted-out", "bad-value"),
    ),
    Operation(
        "DELETE", PATH + "/{phone}/programs/{program}", "leave", "Write down a no", leave, "subscribers",
        {200: ("They are not in it.", models.Subscriber)}, paths=_BOTH, problems=("bad-number", "no-program"),
        detail="Leaves this programme only. For one who wants nothing any more there is `stop`.",
    ),
    Operation(
        "POST", PATH + "/{phone}/stop", "stop", "Obey a STOP", stop, "subscribers",
        {200: ("They get nothing from now on.", models.Subscriber)},
        "For a STOP that was said elsewhere: on the phone, by letter. It holds for everything, at once.",
        body=(models.StopWanted,), is_body_optional=True, paths=_PHONE, problems=("bad-number",),
    ),
    Operation(
        "DELETE", PATH + "/{phone}/stop", "liftStop", "Not possible: lift a STOP", lift, "subscribers", {},
        "Always 409. Only a START from that very phone lifts a STOP.", paths=_PHONE, problems=("opted-out",),
    ),
]  # fmt: skip
