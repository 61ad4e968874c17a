"""Answers programs that were made for Twilio: its helper libraries send, fetch, list and cancel here unchanged.

Resources: twilio.com/docs/messaging/api/message-resource. What differs stands in docs/twilio-door.md.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import logging
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, TypeVar
from urllib.parse import parse_qsl

import orjson
from aiohttp import hdrs

from campaigns.client_settings import Client, is_inside
from campaigns.wishes import KeyReused, Refused, Submission, Taken, Why, Wish
from gateway import media, numbers, web
from gateway.clock import to_ms
from gateway.codecs.straighten import straighten
from gateway.errors import StoreError
from gateway.ids import first_at, moment
from gateway.intake import Busy
from gateway.messages import MOST_PICTURES, Content, State
from gateway.store import Tx
from handlers.api import twilio_errors as errors
from handlers.api import twilio_resources as resources
from handlers.api.calls import WALK
from handlers.api.cancelling import CANCELLED, cancel
from handlers.api.desk import Login, limited
from handlers.api.twilio_errors import Trouble
from handlers.api.twilio_resources import API, UNSAID, Picture, Place, Text
from handlers.api.twilio_shape import is_address
from handlers.app import App

log = logging.getLogger("carillon.api")

FIELDS: Final = 100
FORM_LIMIT: Final = 64 * 1024
PAGE_SIZE, MOST_ON_PAGE = 50, 1000
LONGEST_LIFE_S: Final = 36_000
LONGEST_URL: Final = 4_000
FURTHEST: Final = timedelta(days=35)
SEND, READ = "send", "read"
EVER_MS: Final = 1 << 52
FORM: Final = "application/x-www-form-urlencoded"

Answer = Callable[[web.Request, App, Login], Awaitable[web.Response]]

_SERVICE: Final = re.compile("MG[0-9a-fA-F]{32}")
_SENDER: Final = re.compile(r"\+?[0-9]{3,15}|(?=.*[A-Za-z])[A-Za-z0-9 &_+.-]{1,11}")
_DAY: Final = re.compile(r"(\d{4}-\d\d-\d\d)(?:T.*)?")
_MEDIA: Final = re.compile("MediaUrl[0-9]?")
_ANY_MEDIA: Final = "MediaUrl"
_PICTURE: Final = re.compile("[!-~]+")
_IDEMPOTENCY: Final = re.compile("[!-~]{1,255}")
_UNREAD: Final = {408: "the body took too long to arrive", 413: "the body is too large"}
# What would change what the person gets: better refused than left out unseen.
_NOT_HERE: Final = ("ContentSid", "ContentVariables", "PersistentAction", "ApplicationSid")
_WHY: Final[Mapping[Why, int]] = {
    Why.BAD_NUMBER: errors.BAD_TO,
    Why.LANDLINE: errors.LANDLINE,
    Why.NO_TEXT: errors.NO_TEXT,
    Why.TOO_LONG: errors.TOO_LONG,
    Why.NOT_YOURS: errors.NOT_YOURS,
    Why.NO_SENDER: errors.NO_WAY,
    Why.CANNOT_CARRY: errors.NO_PICTURES,
    Why.LEFT: errors.LEFT,
    Why.NO_CONSENT: errors.LEFT,  # nobody may text them either, and programs know what to do about it
}


# The doors


def routes(_app: App) -> list[tuple[str, str, Callable[[web.Request, App], Awaitable[web.Response]]]]:
    """Method, path and handler of everything that is answered here; the last one takes what the others leave."""
    account = f"/{API}/Accounts/{{account}}"
    text = account + "/Messages/{sid}"
    doors: list[tuple[str, str, str, Answer]] = [
        ("POST", f"{account}/Messages.json", SEND, _create),
        ("GET", f"{account}/Messages.json", READ, _list),
        ("GET", f"{text}.json", READ, _fetch),
        ("POST", f"{text}.json", SEND, _update),
        ("GET", f"{text}/Media.json", READ, _media),
        ("GET", f"{text}/Media/{{media}}.json", READ, _picture),
        ("GET", f"{text}/Media/{{media}}", READ, _file),
        ("GET", f"{account}.json", "", _account),
    ]
    return [
        *((method, path, _door(scope, answer)) for method, path, scope, answer in doors),
        ("*", f"/{API}/{{rest:.*}}", _nothing),
    ]


_KNOWN: Final = re.compile(
    rf"/{API}/Accounts/[^/]+(?:(?:/Messages(?:/[^/]+(?:/Media)?)?)?\.json|/Messages/[^/]+/Media/[^/]+)"
)


async def _nothing(request: web.Request, app: App) -> web.Response:
    """Any other address, and any other method."""
    code = errors.NO_METHOD if _KNOWN.fullmatch(request.path) else errors.NOT_FOUND
    return errors.answer(Trouble(code, f"{request.method} {request.path}"))


def _door(scope: str, answer: Answer) -> Callable[[web.Request, App], Awaitable[web.Response]]:
    """Around each answer: who calls, whether that key may, and every error in Twilio's shape."""

    async def opened(request: web.Request, app: App) -> web.Response:
        try:
            login = await _login(request, app)
            if scope and scope not in login.scopes:
                raise Trouble(errors.FORBIDDEN, f"it lacks the right to {scope}")
            return await answer(request, app, login)
        except Trouble as trouble:
            return errors.answer(trouble)
        except Busy as busy:
            return errors.answer(Trouble(errors.TOO_MANY, headers=_wait(busy.retry_after_s)))
        except StoreError:
            log.exception("the store could not take a call of a program")
            return errors.answer(Trouble(errors.AWAY, headers=_wait(1)))
        except web.Refused as refused:
            return errors.answer(Trouble(errors.BAD_FIELD, _UNREAD.get(refused.status, "it cannot be read")))
        except Exception:
            log.exception("a call of a program failed")
            return errors.answer(Trouble(errors.BROKEN))

    return opened


def _wait(seconds: float) -> dict[str, str]:
    return {hdrs.RETRY_AFTER: str(max(1, round(seconds)))}


async def _login(request: web.Request, app: App) -> Login:
    """Who shows the account and its token, or one of our keys: its id and itself (Basic, RFC 7617)."""
    account = request.match_info["account"]
    scheme, _, shown = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    try:
        user, colon, password = base64.b64decode(shown.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        user, colon, password = "", "", ""
    login = None
    if scheme.lower() == "basic" and colon:
        login = await app.keys.login_twilio(account, password)
    if login is None or user not in {account, login.key_id}:
        raise Trouble(errors.DENIED)
    return login


async def _form(request: web.Request) -> list[tuple[str, str]]:
    """The fields of the form that a helper library posts; what may stand twice does."""
    if request.content_type not in {FORM, "application/octet-stream"}:  # the latter where no type is said
        raise Trouble(errors.BAD_FIELD, f"send a form ({FORM}), not {request.content_type}")
    try:
        body = (await web.read_body(request, FORM_LIMIT)).decode("ascii")
        return parse_qsl(body, keep_blank_values=True, errors="strict", max_num_fields=FIELDS)
    except ValueError:
        raise Trouble(errors.BAD_FIELD, "the form is not UTF-8, or has too many fields") from None


def _first(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Of a field that stands twice, the first."""
    return dict(reversed(pairs))


# Sending


async def _create(request: web.Request, app: App, login: Login) -> web.Response:
    pairs = await _form(request)
    fields = _first(pairs)
    now = app.clock.now_ms()
    wish = _wish(fields, _pictures(pairs), app, login.client, now)
    limits = await limited(app, login, 1)
    if limits.wait_s:
        raise Trouble(errors.TOO_MANY, headers={**_wait(limits.wait_s), **limits.headers})
    key = request.headers.get("I-Twilio-Idempotency-Token", "")
    if key and not _IDEMPOTENCY.fullmatch(key):
        raise Trouble(errors.BAD_FIELD, "I-Twilio-Idempotency-Token has at most 255 printable characters of ASCII")
    digest = hashlib.sha256(repr(sorted(pairs)).encode()).hexdigest() if key else ""
    submission = Submission(login.client, [wish], f"twilio:{key}" if key else "", digest, login.is_test)
    if app.intake is None:
        raise Trouble(errors.AWAY, headers=_wait(1))
    try:
        outcome = (await app.intake.submit(submission)).outcomes[0]
    except KeyReused as error:
        raise Trouble(errors.CONFLICT, str(error)) from None
    if isinstance(outcome, Refused):
        raise _refused(outcome, wish, fields)
    response = _shown(app, login, _taken(outcome, wish), status=201)
    response.headers.update(limits.headers)
    return response


def _pictures(pairs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The addresses of pictures that a form names. Raises Trouble."""
    for name, _ in pairs:
        if name.startswith(_ANY_MEDIA) and not _MEDIA.fullmatch(name):
            raise Trouble(errors.BAD_FIELD, f"{name[:40]}: say MediaUrl, as often as there are pictures")
    found = tuple(value for name, value in pairs if _MEDIA.fullmatch(name))
    if len(found) > MOST_PICTURES:
        raise Trouble(errors.TOO_MANY_PICTURES, f"found {len(found)}, at most {MOST_PICTURES}")
    for url in found:
        if not _PICTURE.fullmatch(url) or not is_address(url, LONGEST_URL):
            raise Trouble(errors.BAD_PICTURE, f"{url[:80]}: give a web address, with %20 and its kin for other signs")
    return found


def _wish(fields: Mapping[str, str], pictures: tuple[str, ...], app: App, client: Client, now: int) -> Wish:
    """What a form asks for. Raises Trouble for what cannot be read, and for what we cannot do."""
    for name in _NOT_HERE:
        if any(field.startswith(name) for field in fields):
            raise Trouble(errors.BAD_FIELD, f"{name} is not offered here; what is to be said must stand in Body")
    if fields.get("SendAsMms") == "true" and not pictures:
        raise Trouble(errors.NO_PICTURES, "a text without MediaUrl goes as a text; leave SendAsMms out")
    if not fields.get("To", "").strip():
        raise Trouble(errors.NO_TO)
    text = fields.get("Body", "")
    if not text and not pictures:
        raise Trouble(errors.NO_TEXT)
    send_at = _send_at(fields, now)
    service = fields.get("MessagingServiceSid", "")
    return Wish(
        to=fields["To"].strip(),
        text=straighten(text) if fields.get("SmartEncoded") == "true" else text,
        sender=_sender(fields, service, app, client),
        send_at=send_at,
        valid_until=_valid_until(fields, send_at or now),
        callback=_callback(fields, service, send_at, client),
        content=Content(pictures) if pictures else None,
    )


def _sender(fields: Mapping[str, str], service: str, app: App, client: Client) -> str:
    """Which number a text is to leave from; empty: we choose, as a messaging service does."""
    sender = fields.get("From", "").strip()
    if sender:
        if not _SENDER.fullmatch(sender):
            raise Trouble(errors.BAD_FROM, sender[:40])
        return sender
    if not service:
        raise Trouble(errors.NO_FROM)
    if _SERVICE.fullmatch(service):
        return ""
    if service not in app.business.config.senders:
        raise Trouble(errors.NO_SERVICE, f"{service[:40]}: give MG and 32 hexadecimal digits, or the name of a sender")
    return service


def _send_at(fields: Mapping[str, str], now: int) -> int:
    """When a text is to leave; 0 for at once. Only what says ScheduleType=fixed is put off, as at Twilio."""
    written = fields.get("SendAt", "")
    if fields.get("ScheduleType") != "fixed":
        return 0
    if not written:
        raise Trouble(errors.NO_SEND_AT)
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        raise Trouble(errors.BAD_SEND_AT, written[:40]) from None
    ms = to_ms(at if at.tzinfo else at.replace(tzinfo=UTC))
    if not now <= ms <= now + FURTHEST // timedelta(milliseconds=1):
        raise Trouble(errors.BAD_SEND_AT, written[:40])
    return ms


def _valid_until(fields: Mapping[str, str], due: int) -> int:
    written = fields.get("ValidityPeriod", "")
    if not written:
        return 0
    seconds = int(written) if re.fullmatch("[0-9]{1,6}", written) else 0
    if not 1 <= seconds <= LONGEST_LIFE_S:
        raise Trouble(errors.BAD_LIFE, written[:40])
    return due + seconds * 1000


def _callback(fields: Mapping[str, str], service: str, send_at: int, client: Client) -> str:
    """What is kept with a text: where its fate is told, and what its resource shows that we do not know otherwise."""
    url = fields.get("StatusCallback", "")
    if url and not is_address(url, LONGEST_URL):
        raise Trouble(errors.BAD_CALLBACK, url[:80])
    if url and not client.settings.private and is_inside(url):
        raise Trouble(errors.BAD_CALLBACK, f"it leads into our own network, where {client.name} is told nothing")
    kept = {"url": url, "service": service if _SERVICE.fullmatch(service) else "", "send_at": send_at}
    if not any(kept.values()):
        return ""
    return orjson.dumps({"door": "twilio", **{name: value for name, value in kept.items() if value}}).decode()


def _refused(refused: Refused, wish: Wish, fields: Mapping[str, str]) -> Trouble:
    code = _WHY.get(refused.why, errors.BAD_FIELD)
    if refused.why is Why.NO_SENDER and not wish.sender and "From" not in fields:
        code = errors.NOBODY_IN_SERVICE
    return Trouble(code, refused.detail)


def _taken(taken: Taken, wish: Wish) -> Text:
    """The resource at its birth, without another look at the store."""
    return Text(
        taken.id, taken.sender, taken.to, wish.text, taken.parts, taken.price, State.QUEUED, callback=wish.callback,
        content=wish.content.written() if wish.content else None,
    )  # fmt: skip


# Changing


async def _update(request: web.Request, app: App, login: Login) -> web.Response:
    """Cancels a text that has not left, or blanks the words of one whose story is over."""
    fields = _first(await _form(request))
    text = await _find(request, app, login)
    if fields.get("Status") == "canceled":
        return await _cancel(app, login, text, request)
    if fields.get("Body") == "":
        return await _blank(app, login, text)
    raise Trouble(errors.BAD_FIELD, "only Status=canceled and an empty Body change a text")


async def _cancel(app: App, login: Login, text: Text, request: web.Request) -> web.Response:
    if text.state is None:
        raise Trouble(errors.TOO_LATE_TO_CANCEL, "it came in")
    done = await app.store.write(cancel, app.business, login.client, text.id, app.clock.now_ms())
    if done != CANCELLED and text.state != State.STOPPED:
        raise Trouble(errors.TOO_LATE_TO_CANCEL, "it has left, or is leaving")
    return _shown(app, login, text._replace(state=State.STOPPED))


async def _blank(app: App, login: Login, text: Text) -> web.Response:
    if text.state is not None and not State(text.state).is_final:
        raise Trouble(errors.LATER_TO_DELETE)
    if not await app.store.write(_blank_words, app.brand, login.client, text):
        raise Trouble(errors.LATER_TO_DELETE)
    return _shown(app, login, text._replace(text="", content=None))


async def _blank_words(tx: Tx, brand: int, client: Client, text: Text) -> bool:
    """Whether it could be; not while some of it waits to be sent again."""
    if text.state is None:
        return await tx.run("twilio_blank_came", message=text.id, brand=brand) > 0
    return await tx.run("twilio_blank_sent", message=text.id, client=client.id) > 0


# Reading


async def _fetch(request: web.Request, app: App, login: Login) -> web.Response:
    return _shown(app, login, await _find(request, app, login))


async def _find(request: web.Request, app: App, login: Login) -> Text:
    message = resources.read_sid(request.match_info["sid"])
    text = await app.store.read(_one, app, login, message) if message else None
    if text is None:
        raise Trouble(errors.NOT_FOUND, request.path)
    return text


async def _one(tx: Tx, app: App, login: Login, message: int) -> Text | None:
    text = await tx.one(Text, "twilio_one", client=login.client.id, message=message, test=int(login.is_test))
    if text is None:
        numbers_ = _numbers(app, login.client)
        came = await tx.all(_came_in, "api_inbound_one", brand=app.brand, inbound=message, numbers=numbers_)
        text = next(iter(await _with_media(tx, came)), None)
    return text


async def _with_media(tx: Tx, came: list[Text]) -> list[Text]:
    """Texts that came in, each with how many files came with it."""
    counts = Counter(row[0] for row in await tx.rows("api_media", ids=[text.id for text in came]))
    return [text._replace(media=counts[text.id]) for text in came]


def _came_in(id_: int, _channel: str, sender: str, recipient: str, text: str, *_: object) -> Text:
    return Text(id_, sender, recipient, text)


def _numbers(app: App, client: Client) -> list[str]:
    """The numbers of ours whose texts are for this client."""
    senders = app.business.config.senders
    return [number for key in client.settings.receives if key in senders for number in senders[key].numbers]


def _shown(app: App, login: Login, text: Text, status: int = 200) -> web.Response:
    return web.data(_resource(app, login, text), status=status)


def _resource(app: App, login: Login, text: Text) -> dict[str, object]:
    twilio = login.client.settings.twilio
    account = twilio.account if twilio else ""
    return resources.message(text, account, app.business.config.brand.currency, app.clock.now_ms())


class Span(NamedTuple):
    """What a list is asked for: from `since` on and before `before` (ids), to and from whom; empty for anybody."""

    since: int
    before: int
    to: str
    sender: str
    limit: int


async def _list(request: web.Request, app: App, login: Login) -> web.Response:
    query = request.query
    size = _whole(query.get("PageSize", ""), PAGE_SIZE, "PageSize")
    size = min(max(size, 1), MOST_ON_PAGE)
    page = _whole(query.get("Page", ""), 0, "Page")
    token = query.get("PageToken", "")
    starts = resources.read_page_token(token) if token else []
    if starts is None:
        raise Trouble(errors.BAD_FIELD, "the PageToken is none of ours: follow next_page_uri")
    if page and not token:
        raise Trouble(errors.BAD_FIELD, "Page needs the PageToken beside it: follow next_page_uri")
    asked = [(name, query[name]) for name in ("To", "From", "DateSent", "DateSent<", "DateSent>") if name in query]
    span = _span(dict(asked), starts[-1:], size + 1, app.business.config.brand.country)
    texts, floor = await app.store.read(_texts, app, login, span)
    place = Place(request.path, page, size, starts, asked)
    last = texts[size - 1].id if len(texts) > size else floor
    shown = [_resource(app, login, text) for text in texts[:size]]
    return web.data(resources.listed("messages", shown, place, last))


def _whole(text: str, default: int, name: str) -> int:
    if not text:
        return default
    if not re.fullmatch("[0-9]{1,9}", text):
        raise Trouble(errors.BAD_FIELD, f"{name} must be a whole number")
    return int(text)


def _span(asked: Mapping[str, str], start: list[int], limit: int, country: str) -> Span:
    """Which texts a list is about, before the id where the page starts. Days are of UTC, by when it was taken over."""
    since, before = 0, EVER_MS
    if day := asked.get("DateSent"):
        since, before = _midnight(day), _midnight(day) + 86_400_000
    if day := asked.get("DateSent>"):
        since = max(since, _midnight(day))
    if day := asked.get("DateSent<"):
        before = min(before, _midnight(day))
    last = _GREATEST if before == EVER_MS else first_at(before)
    last = min([last, *start])
    to, sender = (_phone(asked.get(name, ""), country) for name in ("To", "From"))
    return Span(min(first_at(since), _GREATEST), min(last, _GREATEST), to, sender, limit)


_GREATEST: Final = (1 << 63) - 1


def _midnight(text: str) -> int:
    found = _DAY.fullmatch(text)
    try:
        return to_ms(datetime.fromisoformat(found[1] if found else text).replace(tzinfo=UTC))
    except ValueError:
        raise Trouble(errors.BAD_FIELD, f"DateSent must be a day, as 2027-03-20; found {text[:40]}") from None


def _phone(text: str, country: str) -> str:
    """A number as it is kept; what is no telephone number (a short code, a name) as it is written."""
    text = text.strip().replace("\0", "")
    try:
        return numbers.parse(text, country).e164 if text and not numbers.is_short_code(text) else text
    except numbers.BadNumber:
        return text


async def _texts(tx: Tx, app: App, login: Login, span: Span) -> tuple[list[Text], int]:
    """What the client sent and what came in for it, the latest first; and, where there may be more, from which id on
    all is there.
    """
    sent, sent_floor = await _sent(tx, app, login, span)
    came, came_floor = await _came(tx, app, login, span)
    floor = max(sent_floor, came_floor)
    texts = [text for text in (*sent, *came) if text.id >= floor]
    return sorted(texts, key=lambda text: -text.id)[: span.limit], floor


async def _sent(tx: Tx, app: App, login: Login, span: Span) -> tuple[list[Text], int]:
    if span.sender and span.sender not in app.business.senders:
        return [], 0
    within = {"since": span.since, "before": span.before, "walk": WALK}
    these = {"client": login.client.id, "test": int(login.is_test), "sender": span.sender, "limit": span.limit}
    if not span.to:
        texts = await tx.all(Text, "twilio_sent", **within, **these)
        return texts, await _floor(tx, texts, "api_messages_walked", client=login.client.id, **within)
    person = await tx.value("twilio_person", brand=app.brand, address=span.to) or 0
    person = 0 if login.is_test else person
    return await tx.all(Text, "twilio_sent_to", person=person, address=span.to, **within, **these), 0


async def _came(tx: Tx, app: App, login: Login, span: Span) -> tuple[list[Text], int]:
    ours = [number for number in _numbers(app, login.client) if span.to in {"", number}]
    if not ours or span.sender in ours:
        return [], 0
    within = {"since": span.since, "before": span.before, "walk": WALK}
    texts = await tx.all(
        _came_in, "api_inbound", brand=app.brand, numbers=ours, sender=span.sender, limit=span.limit, **within
    )  # fmt: skip
    return await _with_media(tx, texts), await _floor(tx, texts, "api_inbound_walked", **within)


async def _floor(tx: Tx, texts: list[Text], query: str, **within: int) -> int:
    """From which id on everything that fits was found: 0 where no row is left below those that were looked at."""
    last, count = (await tx.rows(query, **within))[0]
    return int(last) if count == WALK else 0


async def _media(request: web.Request, app: App, login: Login) -> web.Response:
    """The files that came with a text, or that were sent with it."""
    text = await _find(request, app, login)
    pictures = [*resources.pictures_sent(text)] or [picture for picture, _ in await _files(app, text)]
    shown = [resources.picture(picture, request.match_info["account"]) for picture in pictures]
    return web.data(resources.listed("media_list", shown, Place(request.path, 0, PAGE_SIZE, (), ())))


async def _picture(request: web.Request, app: App, login: Login) -> web.Response:
    text = await _find(request, app, login)
    sent = _among(request, resources.pictures_sent(text).items())
    picture, _ = sent or await _one_file(request, app, text)
    return web.data(resources.picture(picture, request.match_info["account"]))


async def _file(request: web.Request, app: App, login: Login) -> web.Response:
    """The file itself, as its own type, which a browser must not take for another."""
    text = await _find(request, app, login)
    if sent := _among(request, resources.pictures_sent(text).items()):
        return web.Response(status=307, headers={hdrs.LOCATION: sent[1]})  # where the program has it itself
    picture, kept = await _one_file(request, app, text)
    if kept.state == media.WAITING:
        raise Trouble(errors.AWAY, "the carrier has not brought the file yet", headers=_wait(5))
    try:
        octets = await asyncio.to_thread((app.media / kept.path).read_bytes) if kept.path else None
    except OSError:  # kept by a process on another machine, or taken away by hand
        octets = None
    if octets is None:
        raise Trouble(errors.NOT_FOUND, "the file could not be had, or is not on this machine")
    headers = {
        "Content-Type": picture.kind, "X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-store",
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }  # fmt: skip
    if not picture.kind.startswith(("image/", "audio/", "video/")):
        headers["Content-Disposition"] = "attachment"
    return web.Response(body=octets, headers=headers)


async def _files(app: App, text: Text) -> list[tuple[Picture, media.Kept]]:
    kept = await app.store.read(media.of_text, text.id) if text.state is None else []
    told = dict(await app.store.read(_said, text.id)) if kept else {}
    return [(Picture(text.id, each.n, each.kind or told.get(each.n, "") or UNSAID), each) for each in kept]


async def _said(tx: Tx, inbound: int) -> list[tuple[int, str]]:
    return [(n, said) for n, said in await tx.rows("media_told", inbound=inbound)]


async def _one_file(request: web.Request, app: App, text: Text) -> tuple[Picture, media.Kept]:
    found = _among(request, await _files(app, text))
    if found is None:
        raise Trouble(errors.NOT_FOUND, request.path)
    return found


Where = TypeVar("Where")


def _among(request: web.Request, files: Iterable[tuple[Picture, Where]]) -> tuple[Picture, Where] | None:
    """The file that the address names, and where it is."""
    wanted = request.match_info["media"].lower()
    return next((each for each in files if resources.picture_sid(each[0]).lower() == wanted), None)


async def _account(request: web.Request, app: App, login: Login) -> web.Response:
    return web.data(resources.account(login.client.name, request.match_info["account"], moment(login.client.id)))
