"""Takes texts that a program wants sent, one or ten thousand, and tells what has become of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from pydantic import ValidationError

from campaigns.client_settings import Client, is_inside
from campaigns.wishes import Outcome, Refused, Submission, Taken, Why, Wish
from gateway import numbers, web
from gateway.clock import to_ms
from gateway.codecs import parts
from gateway.ids import first_at, moment
from gateway.messages import Content, State
from gateway.store import Tx
from gateway.values import Money
from handlers.api import bodies, cancelling, models, timelines
from handlers.api.calls import WALK, Call, Operation, next_cursor, paged, time_of, told
from handlers.api.problems import Flaw, Problem, of_refusal

PATH, BATCH_PATH = "/v1/messages", "/v1/messages/batch"
REPLAYED = "Idempotent-Replayed"
LATEST = (1 << 63) - 1  # beyond every id
FARTHEST_MS = 366 * 24 * 3_600_000  # how far ahead a text may be planned
# A message that was asked for, and the flaw of one that cannot be.
Ready = tuple[Wish, models.MessageWanted | models.TextToMany]


async def create(call: Call) -> web.Response:
    """Accept one message."""
    body = bodies.parse(await bodies.read(call.request, bodies.SMALL))
    wanted = bodies.checked(models.MessageWanted, body)
    key = bodies.idempotency_key(call.request, is_test=call.login.is_test)
    wish = _wish(call, wanted, wanted.to)
    limits = await call.limited(1)
    login = call.login
    digest = bodies.digest(PATH, body) if key else ""
    result = await call.submit(Submission(login.client, (wish,), key, digest, login.is_test))
    headers = _headers(limits.headers, is_repeat=result.is_repeat)
    outcome = result.outcomes[0]
    if isinstance(outcome, Refused):
        flaw = of_refusal(outcome)
        raise Problem(flaw.type, flaw.detail, pointer=flaw.pointer, headers=headers)
    message = _accepted(call, outcome, wanted)
    headers["Location"] = f"{PATH}/{message['id']}"
    return told(message, 201, headers)


async def create_many(call: Call) -> web.Response:
    """Accept a batch: what is right, or all or none."""
    body = bodies.parse(await bodies.read(call.request, bodies.LARGE))
    key = bodies.idempotency_key(call.request, is_test=call.login.is_test)
    batch = _batch(call, body)
    limits = await call.limited(batch.size)
    if batch.is_all_or_none and batch.flaws:
        raise _all_refused(list(batch.flaws.values()), limits.headers)
    if not batch.ready:
        raise _all_refused(list(batch.flaws.values()), limits.headers)
    login = call.login
    digest = bodies.digest(BATCH_PATH, body) if key else ""
    wishes = [wish for wish, _ in batch.ready]
    submission = Submission(login.client, wishes, key, digest, login.is_test, batch.is_all_or_none)
    if excess := submission.excess():
        raise Problem("too-large", excess, headers=limits.headers)
    result = await call.submit(submission)
    headers = _headers(limits.headers, is_repeat=result.is_repeat)
    results = _results(call, batch, result.outcomes)
    accepted = sum("message" in each for each in results)
    if not accepted:
        flaws = [of_refusal(each, place) for place, each in zip(batch.places, result.outcomes, strict=True)
                 if isinstance(each, Refused) and each.why is not Why.NOT_ALL]  # fmt: skip
        raise _all_refused(sorted([*flaws, *batch.flaws.values()], key=lambda flaw: flaw.place or 0), headers)
    return told({"accepted": accepted, "refused": batch.size - accepted, "results": results}, 201, headers)


class _Batch(NamedTuple):
    """What a batch asks for: the wishes that have the right shape, their places, and the flaws of the others."""

    size: int
    ready: Sequence[Ready]
    places: Sequence[int]
    flaws: dict[int, Flaw]
    is_all_or_none: bool


def _batch(call: Call, body: Any) -> _Batch:
    if isinstance(body, dict) and "messages" not in body and "to" in body:
        many = bodies.checked(models.TextToMany, body)
        first = _wish(call, many, many.to[0])
        ready = [(first._replace(to=phone), many) for phone in many.to]
        return _Batch(len(ready), ready, range(len(ready)), {}, many.mode == "all")
    try:
        asked = bodies.adapter(models.ManyMessages).validate_python(body)
    except ValidationError:
        return _piecewise(call, body)
    return _wished(call, list(enumerate(asked.messages)), {}, asked.mode == "all")


def _piecewise(call: Call, body: Any) -> _Batch:
    """A batch of which some messages do not have the right shape: each is looked at by itself."""
    items = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(items, list) or not 1 <= len(items) <= models.MOST:
        bodies.checked(models.ManyMessages, body)
        raise Problem("bad-request")
    sample = {"to": "+1", "text": "-"}
    outer = bodies.checked(models.ManyMessages, {**body, "messages": [sample]})
    read, flaws = [], {}
    reader = bodies.adapter(models.MessageWanted)
    for place, item in enumerate(items):
        try:
            read.append((place, reader.validate_python(item)))
        except ValidationError as error:
            first = bodies.flaws(models.MessageWanted, error.errors(include_url=False), place)[0]
            flaws[place] = first._replace(type="bad-request")
    return _wished(call, read, flaws, outer.mode == "all")


def _wished(
    call: Call, read: Sequence[tuple[int, models.MessageWanted]], flaws: dict[int, Flaw], is_all_or_none: bool
) -> _Batch:
    ready: list[Ready] = []
    places = []
    for place, wanted in read:
        try:
            ready.append((_wish(call, wanted, wanted.to), wanted))
            places.append(place)
        except Problem as problem:
            flaws[place] = Flaw(problem.detail, problem.pointer, place=place, type=problem.name)
    return _Batch(len(ready) + len(flaws), ready, places, flaws, is_all_or_none)


def _results(call: Call, batch: _Batch, outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    results: dict[int, dict[str, Any]] = {
        place: {"index": place, "problem": flaw.shown()} for place, flaw in batch.flaws.items()
    }
    for place, (_, wanted), outcome in zip(batch.places, batch.ready, outcomes, strict=True):
        if isinstance(outcome, Refused):
            results[place] = {"index": place, "problem": of_refusal(outcome, place).shown()}
        else:
            results[place] = {"index": place, "message": _accepted(call, outcome, wanted)}
    return [results[place] for place in sorted(results)]


def _all_refused(flaws: Sequence[Flaw], headers: Mapping[str, str]) -> Problem:
    first = flaws[0]
    more = f" (and {len(flaws) - 1:,} more)" if len(flaws) > 1 else ""
    detail = f"message {first.place}: {first.detail}{more}; nothing was accepted"
    return Problem("batch-refused", detail, flaws=flaws, headers=headers)


def _headers(limits: Mapping[str, str], *, is_repeat: bool) -> dict[str, str]:
    return {**limits, REPLAYED: "true"} if is_repeat else dict(limits)


def _wish(call: Call, wanted: models.MessageWanted | models.TextToMany, to: str) -> Wish:
    """What is asked for in the words of the core. Raises Problem for what only looks right."""
    content = _content(wanted).or_none()
    if wanted.send_at is None and wanted.valid_for is None and wanted.valid_until is None and wanted.callback is None:
        return Wish(to, wanted.text, wanted.from_, wanted.program, wanted.urgent, reference=wanted.reference,
                    content=content)  # fmt: skip
    now = call.app.clock.now_ms()
    send_at = _ms(wanted.send_at)
    if send_at > now + FARTHEST_MS:
        raise Problem("bad-value", "it lies more than a year ahead", pointer="/send_at")
    until = _ms(wanted.valid_until)
    if wanted.valid_for is not None:
        if until:
            raise Problem("bad-value", "valid_until stands already; give one of the two", pointer="/valid_for")
        until = max(send_at, now) + wanted.valid_for * 1000
    if until > max(send_at, now) + FARTHEST_MS:
        raise Problem("bad-value", "it lies more than a year ahead", pointer="/valid_until")
    callback = _callback(call.login.client, wanted.callback.url) if wanted.callback else ""
    return Wish(to, wanted.text, wanted.from_, wanted.program, wanted.urgent, send_at, until,
                reference=wanted.reference, callback=callback, content=content)  # fmt: skip


def _content(wanted: models.MessageWanted | models.TextToMany) -> Content:
    """What it is beyond its letters. Raises Problem."""
    octets = None if wanted.octets is None else bytes.fromhex(wanted.octets)
    if octets is not None and (wanted.text or wanted.media):
        raise Problem("bad-value", "octets stand in the place of a text and of pictures", pointer="/octets")
    if octets is not None and wanted.waiting is not None:
        raise Problem("bad-value", "octets cannot say what waits; that is for texts", pointer="/waiting")
    if wanted.waiting is not None and wanted.message_class is not None:
        raise Problem("bad-value", "it has a class or says what waits; no data coding says both", pointer="/waiting")
    if wanted.media and wanted.header:
        raise Problem("bad-value", "pictures have no header", pointer="/header")
    try:
        header = parts.read_header(bytes.fromhex(wanted.header)) if wanted.header else None
        if header is not None and len(wanted.header) > 2 * len(header.elements) + 2:
            raise ValueError("something stands behind the header")
    except ValueError as error:
        raise Problem("bad-value", f"{error}; the first octet counts those behind it", pointer="/header") from None
    elements = header.elements if header else b""
    if header is not None and octets is None:
        if header.joint:
            raise Problem("bad-value", "send the text whole; we cut it ourselves", pointer="/header")
        if not Content(header=elements).kinds.isdisjoint(parts.LANGUAGES):
            raise Problem("bad-value", "leave the elements 24 and 25 out; we choose the alphabet", pointer="/header")
        elements = header.others
    content = Content(
        tuple(wanted.media), octets, elements, wanted.message_class,
        wanted.short_class and wanted.message_class is not None, wanted.waiting,
    )  # fmt: skip
    if excess := content.excess():
        raise Problem("too-long", excess, pointer="/media" if wanted.media else "/octets")
    return content


def _ms(at: datetime | None) -> int:
    return max(to_ms(at), 1) if at is not None else 0


def _callback(client: Client, url: str) -> str:
    try:
        is_ours = is_inside(url)
    except ValueError:
        raise Problem("bad-callback", "this is no web address", pointer="/callback/url") from None
    if not client.settings.private and (is_ours or url.startswith("http:")):
        why = "it leads into a private network" if is_ours else "everybody on the way could read along; say https://"
        raise Problem("bad-callback", why, pointer="/callback/url")
    return orjson.dumps({"door": "webhook", "url": url}).decode()


def _accepted(call: Call, taken: Taken, wanted: models.MessageWanted | models.TextToMany) -> dict[str, Any]:
    """A message as it was accepted; the same again for the same idempotency key."""
    message = {
        "id": str(taken.id), "to": taken.to, "from": taken.sender, "state": "queued", "parts": taken.parts,
        "price": price_of(call, taken.price), "channel": taken.channel, "reference": wanted.reference,
        "test": call.login.is_test, "created_at": time_of(moment(taken.id)),
    }  # fmt: skip
    if wanted.send_at is not None:
        message["send_at"] = time_of(taken.due)
    return message


def price_of(call: Call, millionths: int) -> dict[str, str]:
    """An amount as programs take it: a decimal number in text, so that nobody rounds it."""
    return _price(millionths, call.business.config.brand.currency)


@lru_cache(1024)
def _price(millionths: int, currency: str) -> dict[str, str]:
    return Money(millionths, currency).for_programs()


# --- reading ---------------------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """A message of a client, in the order of the api_message queries."""

    id: int
    to: str
    sender: str
    text: str
    parts: int
    price: int
    channel: str
    program: str
    valid_until: int
    is_test: int
    reference: str
    state: int
    code: str
    changed_at: int
    content: str | None


async def find(tx: Tx, client: Client, message: int, is_test: bool) -> Row | None:
    """A message of this client; with a test key only those of test keys, and the other way round."""
    return await tx.one(Row, "api_message", client=client.id, message=message, test=int(is_test))


async def show(call: Call) -> web.Response:
    """One message."""
    return told(_shown(call, await _found(call)))


async def timeline(call: Call) -> web.Response:
    """What happened to one message."""
    row = await _found(call)
    now = call.app.clock.now_ms()
    entries = await call.app.store.read(timelines.entries, row.id, row.parts, State(row.state), row.changed_at, now)
    shown = [entry._asdict() | {"at": time_of(entry.at)} for entry in entries]
    return told({"id": str(row.id), "state": State(row.state).name.lower(), "entries": shown})


async def cancel(call: Call) -> web.Response:
    """Cancel a message that has not left."""
    await bodies.nothing(call.request)
    row = await _found(call)
    now = call.app.clock.now_ms()
    outcome = await call.app.store.write(cancelling.cancel, call.business, call.login.client, row.id, now)
    if outcome == cancelling.LEFT and row.code != cancelling.CODE:
        raise Problem("left-already", f"message {row.id} is {State(row.state).word}, or on its way at this moment")
    return told(_shown(call, row._replace(state=State.STOPPED, code=cancelling.CODE, changed_at=row.changed_at or now)))


async def listing(call: Call) -> web.Response:
    """A page of messages."""
    query: models.MessagesPage = call.query
    rows, walked = await call.app.store.read(_page, call, query)
    cursor = next_cursor([row.id for row in rows], query.limit, walked)
    return paged(call, [_shown(call, row) for row in rows], cursor)


async def _page(tx: Tx, call: Call, query: models.MessagesPage) -> tuple[list[Row], tuple[int, int]]:
    before, since = bounds(query.cursor, query.since, query.until)
    to = spelled(call, query.to) if query.to else ""
    span = {"client": call.login.client.id, "before": before, "since": since}
    asked = {
        **span, "test": int(call.login.is_test), "reference": query.reference or "", "to": to, "limit": query.limit,
        "state": int(models.STATES[query.state]) if query.state else -1,
    }  # fmt: skip
    if to and not call.login.is_test:
        return await tx.all(Row, "api_messages_to", brand=call.app.brand, **asked), (0, 0)
    rows = await tx.all(Row, "api_messages", **asked, walk=WALK)
    (walked,) = await tx.rows("api_messages_walked", **span, walk=WALK)
    return rows, (int(walked[0]), int(walked[1]))


def bounds(cursor: str | None, since: datetime | None, until: datetime | None) -> tuple[int, int]:
    """The ids of a page: below the first, from the second on."""
    before = min(int(cursor), LATEST) if cursor else LATEST
    if until is not None:
        before = min(before, first_at(_ms(until)))
    return before, min(first_at(_ms(since)), LATEST) if since is not None else 0


def spelled(call: Call, phone: str) -> str:
    """A phone as it is kept; what is none stays as it is, and finds nothing.

    Behind a question mark a bare plus is read as a space (URL Standard, 5.1), which nobody writes before a number.
    """
    phone = f"+{phone.lstrip()}" if phone.startswith(" ") else phone
    try:
        return numbers.parse(phone, call.business.config.brand.country).e164
    except numbers.BadNumber:
        return phone


async def _found(call: Call) -> Row:
    message = bodies.path_id(call.request)
    row = await call.app.store.read(find, call.login.client, message, call.login.is_test)
    if row is None:
        other = "live" if call.login.is_test else "test"
        raise Problem("not-found", f"{call.login.client.name} has no message {message} (those of {other} keys apart)")
    return row


def _shown(call: Call, row: Row) -> dict[str, Any]:
    return {
        "id": str(row.id), "to": row.to, "from": row.sender, "text": row.text,
        "state": State(row.state).name.lower(), "code": row.code, "parts": row.parts,
        "price": price_of(call, row.price), "channel": row.channel, "program": row.program,
        "reference": row.reference, "test": bool(row.is_test), "created_at": time_of(moment(row.id)),
        "valid_until": time_of(row.valid_until), "changed_at": time_of(row.changed_at or moment(row.id)),
        **(Content.read(row.content).told() if row.content else {}),
    }  # fmt: skip


_ID = {"id": "The message's id."}
_SENDING = (
    "bad-number", "landline", "no-text", "bad-text", "too-long", "sender-not-yours", "no-sender", "left", "no-program",
    "no-consent", "too-late", "cannot-carry", "bad-callback", "bad-value", "bad-idempotency-key",
    "idempotency-key-reused", "rate",
)  # fmt: skip
OPERATIONS = [
    Operation(
        "POST", PATH, "createMessage", "Send a text", create, "send",
        {201: ("It is on disk, and will reach exactly one final state.", models.MessageAccepted)},
        "With an Idempotency-Key the call may be made again as often as you like, for 48 hours: it has one effect, and "
        "the same answer, with `Idempotent-Replayed: true`.",
        body=(models.MessageWanted,), is_repeatable=True, problems=_SENDING,
        links=("getMessage", "getTimeline", "cancelMessage"),
    ),
    Operation(
        "POST", BATCH_PATH, "createMessages", "Send up to 10,000 texts", create_many, "send",
        {201: ("At least one was accepted; the results tell which.", models.BatchAccepted)},
        "Either different messages, or one text to many phones. With `mode: each` what is right is accepted and the "
        "rest is told by its index; with `mode: all` nothing is accepted unless everything is right.",
        body=(models.ManyMessages, models.TextToMany), is_repeatable=True,
        problems=("batch-refused", "bad-value", "too-late", "bad-callback", "bad-idempotency-key",
                  "idempotency-key-reused", "rate"),
    ),
    Operation(
        "GET", PATH, "listMessages", "Look for messages", listing, "read",
        {200: ("The newest first.", models.Messages)}, query=models.MessagesPage,
        detail="Only this client's; with a test key those of test keys, else those of live ones.",
    ),
    Operation(
        "GET", PATH + "/{id}", "getMessage", "One message", show, "read",
        {200: ("The message as it stands now.", models.Message)}, paths=_ID,
    ),
    Operation(
        "GET", PATH + "/{id}/timeline", "getTimeline", "What happened to a message", timeline, "read",
        {200: ("Everything, part by part, in the order of time.", models.Timeline)}, paths=_ID,
    ),
    Operation(
        "POST", PATH + "/{id}/cancel", "cancelMessage", "Cancel a message that has not left", cancel, "send",
        {200: ("It will not be sent.", models.Message)}, paths=_ID, problems=("left-already",),
        detail="For texts that were planned ahead. Once it was tried it cannot be taken back. May be called again.",
    ),
]  # fmt: skip
