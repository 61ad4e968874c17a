"""Writes our texts, accounts and lists as Twilio writes them, so that its helper libraries read them unchanged.

Shape: twilio.com/docs/messaging/api/message-resource. Numbers of parts and of media are strings, dates are those of
RFC 2822, money that was spent is negative.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping, Sequence
from email.utils import format_datetime
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import urlencode

import orjson

from gateway.clock import from_ms
from gateway.codecs import parts
from gateway.ids import moment
from gateway.messages import Content, State
from handlers.api import twilio_fates

API: Final = "2010-04-01"
UNSAID: Final = "application/octet-stream"  # of a file whose type nobody told
MILLION: Final = 1_000_000
_SID: Final = re.compile("(?:SM|MM)([0-9a-fA-F]{32})")
_GREATEST: Final = (1 << 63) - 1
_TOKEN: Final = re.compile("PASM((?:[0-9a-f]{16})+)")
REMEMBERED: Final = 64  # pages to go back from one; an address has its bounds


class Text(NamedTuple):
    """A text as it is listed. `price` is in millionths, `at` when its state changed last, `taken` bits of its parts.

    `callback` is the JSON that came with it, `content` that of what it is beyond its letters. One that came in has no
    state, and perhaps `media`, so many files.
    """

    id: int
    sender: str
    recipient: str
    text: str
    parts: int = 0
    price: int = 0
    state: int | None = None
    code: str = ""
    at: int = 0
    taken: int = 0
    callback: str = ""
    content: str | None = None
    media: int = 0


class Picture(NamedTuple):
    """One file that came with a text. `kind` is its media type."""

    inbound: int
    n: int
    kind: str


def pictures_sent(text: Text) -> dict[Picture, str]:
    """The pictures of a text that we sent, each with its address; its type is what the address looks like."""
    media = Content.read(text.content).media if text.content else ()
    return {
        Picture(text.id, n, mimetypes.guess_type(url.partition("?")[0])[0] or UNSAID): url
        for n, url in enumerate(media)
    }


def sid(message: int) -> str:
    """A text's name: `SM` and 32 hexadecimal digits."""
    return f"SM{message:032x}"


def read_sid(text: str) -> int | None:
    """Which text a name stands for; None where it can be none of ours."""
    found = _SID.fullmatch(text)
    number = int(found[1], 16) if found else 0
    return number if 0 < number <= _GREATEST else None


def picture_sid(picture: Picture) -> str:
    """A file's name: `ME` and 32 hexadecimal digits."""
    return f"ME{picture.inbound:028x}{picture.n:04x}"


def date(ms: int) -> str:
    """A moment as in `Sun, 22 Nov 2026 08:00:00 +0000`."""
    return _second(ms // 1000)


@lru_cache(maxsize=1024)  # texts come many a second
def _second(second: int) -> str:
    return format_datetime(from_ms(second * 1000))


def message(text: Text, account: str, currency: str, now: int) -> dict[str, object]:
    """The resource of one text."""
    if text.state is None:
        received = _resource(text, account, "received", "inbound", currency)
        return received | {"date_sent": received["date_created"], "num_segments": segments(text.text),
                           "num_media": str(text.media)}  # fmt: skip
    state = State(text.state)
    kept: Mapping[str, object] = orjson.loads(text.callback) if text.callback else {}
    status = twilio_fates.status(state, is_taken=text.taken != 0)
    if state is State.QUEUED and kept.get("service"):
        status = "accepted"
    if state is State.QUEUED and _number(kept.get("send_at")) > now:
        status = "scheduled"
    error = twilio_fates.error(state, text.code)
    return _resource(text, account, status, "outbound-api", currency) | {
        "date_updated": date(text.at or moment(text.id)),
        "date_sent": date(text.at) if state >= State.SENT and text.at else None,
        "error_code": error,
        "error_message": twilio_fates.WORDS.get(error) if error else None,
        "messaging_service_sid": kept.get("service") or None,
        "num_media": str(len(pictures_sent(text))),
        "price": price(text.price),
    }


def _resource(text: Text, account: str, status: str, direction: str, currency: str) -> dict[str, object]:
    made = date(moment(text.id))
    path = f"/{API}/Accounts/{account}/Messages/{sid(text.id)}"
    return {
        "account_sid": account,
        "api_version": API,
        "body": text.text,
        "date_created": made,
        "date_sent": None,
        "date_updated": made,
        "direction": direction,
        "error_code": None,
        "error_message": None,
        "from": text.sender,
        "messaging_service_sid": None,
        "num_media": "0",
        "num_segments": str(text.parts),
        "price": None,
        "price_unit": currency,
        "sid": sid(text.id),
        "status": status,
        "subresource_uris": {"media": f"{path}/Media.json"},
        "tags": None,
        "to": text.recipient,
        "uri": f"{path}.json",
    }


def segments(text: str) -> str:
    """How many parts a text that came in was made of, as far as can be told from its length."""
    try:
        return str(parts.measure(text).parts)
    except ValueError:  # a carrier that is none of SMS brings texts of any length
        return str(parts.MOST_PARTS)


def price(millionths: int) -> str:
    """What a text costs: `-0.00790`, with as many places as it has, at least five."""
    whole, fraction = divmod(millionths, MILLION)
    places = f"{fraction:06d}"
    return f"-{whole}.{places[:5] if places.endswith('0') else places}"


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def picture(one: Picture, account: str) -> dict[str, object]:
    """The resource of one file; without .json at the end its address is that of the file itself."""
    made = date(moment(one.inbound))
    return {
        "account_sid": account,
        "content_type": one.kind,
        "date_created": made,
        "date_updated": made,
        "parent_sid": sid(one.inbound),
        "sid": picture_sid(one),
        "uri": f"{picture_path(one, account)}.json",
    }


def picture_path(one: Picture, account: str) -> str:
    """The path of one file at this door."""
    return f"/{API}/Accounts/{account}/Messages/{sid(one.inbound)}/Media/{picture_sid(one)}"


def account(name: str, sid_: str, made_at: int) -> dict[str, object]:
    """The resource of an account, by which programs see that they may come in."""
    path = f"/{API}/Accounts/{sid_}"
    return {
        "auth_token": None,
        "date_created": date(made_at),
        "date_updated": date(made_at),
        "friendly_name": name,
        "owner_account_sid": sid_,
        "sid": sid_,
        "status": "active",
        "subresource_uris": {"messages": f"{path}/Messages.json"},
        "type": "Full",
        "uri": f"{path}.json",
    }


class Place(NamedTuple):
    """Where a page of a list stands: which it is, counted from 0, how long it may be, and what its address holds.

    `starts` are the ids before which the pages up to this one begin, the first page's left out: the last few of them.
    """

    path: str
    page: int
    size: int
    starts: Sequence[int]
    asked: Sequence[tuple[str, str]]

    def uri(self, page: int, starts: Sequence[int]) -> str:
        """The address of another page of the same list."""
        where = [*self.asked, ("PageSize", str(self.size)), ("Page", str(page))]
        return f"{self.path}?{urlencode([*where, ('PageToken', page_token(starts))] if starts else where)}"

    @property
    def previous(self) -> str | None:
        """The address of the page before; None on the first, and where it is not remembered any more."""
        starts = self.starts[:-1]
        return self.uri(self.page - 1, starts) if self.page == 1 or (self.page > 1 and starts) else None


def page_token(starts: Sequence[int]) -> str:
    """The token of a page that begins before the last of these ids, by which those before it are found again."""
    return "PASM" + "".join(f"{start:016x}" for start in starts[-REMEMBERED:])


def read_page_token(token: str) -> list[int] | None:
    """What a token of ours holds; None for any other."""
    digits = _TOKEN.fullmatch(token)
    return [int(digits[1][at : at + 16], 16) for at in range(0, len(digits[1]), 16)] if digits else None


def listed(noun: str, items: Sequence[object], place: Place, following: int = 0) -> dict[str, object]:
    """A page of a list. The next one begins before the id `following`; 0 where this is the last."""
    first = place.page * place.size
    return {
        noun: items,
        "end": first + max(len(items) - 1, 0),
        "first_page_uri": place.uri(0, ()),
        "next_page_uri": place.uri(place.page + 1, (*place.starts, following)) if following else None,
        "page": place.page,
        "page_size": place.size,
        "previous_page_uri": place.previous,
        "start": first,
        "uri": place.uri(place.page, place.starts),
    }
