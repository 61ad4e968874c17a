"""Where Twilio reaches us: checks who calls, reads a text or a receipt, and thanks only when it is on disk."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import orjson

from gateway.channels.base import Call, Reply, Upward
from gateway.channels.twilio import failures
from gateway.codecs import twilio_signature
from gateway.errors import Failure
from gateway.messages import Inbound, Media, Receipt, State

log = logging.getLogger(__name__)

KEPT_S: Final = 10.0  # Twilio gives up after 15 s (error 11205)
COME_AGAIN_S: Final = 2
CALLS_A_LINE: Final = 1000  # anybody may knock; that must not fill the log
FIELDS: Final = 200
PICTURES: Final = 10  # in one message
XML: Final = "text/xml; charset=utf-8"

# twilio.com/docs/messaging/guides/outbound-message-status-in-status-callbacks
STATES: Final[Mapping[str, State]] = {
    "scheduled": State.SENT,
    "accepted": State.SENT,
    "queued": State.SENT,
    "sending": State.SENT,
    "sent": State.SENT,
    "partially_delivered": State.SENT,
    "delivered": State.DELIVERED,
    "read": State.DELIVERED,
    "undelivered": State.FAILED,
    "failed": State.FAILED,
    "canceled": State.FAILED,
}
OBEYED: Final = {"STOP": "stop", "START": "start", "HELP": "help"}


class Heard(NamedTuple):
    """A receipt, with the text that its address names (0 where it names none) and what its error means."""

    receipt: Receipt
    message: int
    attempt: int
    failure: Failure | None


def receipt(sid: str, status: str, error: int, sender: str, recipient: str, handle: object) -> Receipt | None:
    """What a status says of a text; None for one that nobody knows yet. `error` is Twilio's number, or 0."""
    state = STATES.get(status)
    if state is None:
        return None
    if state is State.FAILED and error == failures.VALIDITY_OVER:
        state = State.EXPIRED
    code = "" if state in {State.SENT, State.DELIVERED} else str(error or status)
    return Receipt((sid,), state, code, sender, recipient, handle)


class Doors:
    """Takes Twilio's calls for one channel. `tokens` are what it may sign with; `heard` learns of each receipt."""

    def __init__(self, name: str, tokens: Sequence[str], upward: Upward, heard: Callable[[Heard], None]) -> None:
        self.turned_away = 0  # calls that Twilio has not signed
        self._name = name
        self._tokens = tuple(tokens)
        self._upward = upward
        self._heard = heard

    async def serve(self, call: Call) -> Reply:
        """Answer one call. A call that brings a status is a receipt, whichever door it chose; any other is a text."""
        if call.method != "POST":
            return Reply(405, "POST is expected here", headers={"Allow": "POST"})
        fields = self._genuine(call)
        if fields is None:
            self.turned_away += 1
            if self.turned_away % CALLS_A_LINE == 1:
                log.warning("%s: calls that Twilio has not signed were turned away: %d", self._name, self.turned_away)
            return Reply(403, "the signature is not right")
        handle: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if "MessageStatus" in fields:
            heard = self._read_status(fields, call.url, handle)
            if heard is None:
                return _taken()
            self._heard(heard)
            self._upward.arrived(self._name, [heard.receipt], [])
        else:
            text = _read_text(fields, handle)
            if text is None:
                log.warning("%s: a call without a sender was kept here only: %s", self._name, sorted(fields))
                return _taken()
            self._upward.arrived(self._name, [], [text])
        return await _when_kept(handle)

    def _genuine(self, call: Call) -> dict[str, str] | None:
        """The fields of a call that Twilio signed."""
        shown = call.headers.get("x-twilio-signature", "")
        kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
        content: list[tuple[str, str]] | bytes
        try:
            content = _form(call.body) if kind in {"application/x-www-form-urlencoded", ""} else call.body
            if not twilio_signature.is_genuine(self._tokens, call.url, shown, content):
                return None
            return dict(content) if isinstance(content, list) else _json(content)
        except ValueError:  # neither a form nor JSON
            return None

    def _read_status(self, fields: Mapping[str, str], url: str, handle: object) -> Heard | None:
        sid = fields.get("MessageSid") or fields.get("SmsSid", "")
        status, error = fields["MessageStatus"], _number(fields.get("ErrorCode", ""))
        found = receipt(sid, status, error, fields.get("From", ""), fields.get("To", ""), handle) if sid else None
        if found is None:
            log.warning("%s: Twilio says %r of %s, which we do not know", self._name, status[:40], sid or "nothing")
            return None
        named = dict(parse_qsl(urlsplit(url).query))
        message, attempt = _number(named.get("message", "")), _number(named.get("attempt", ""))
        failure = failures.failure(error) if error else None
        return Heard(found._replace(failure=failure), message, attempt, failure)


def _read_text(fields: Mapping[str, str], handle: object) -> Inbound | None:
    """What a person texted (twilio.com/docs/messaging/guides/webhook-request)."""
    sender = fields.get("From", "")
    if not sender:
        return None
    count = min(_number(fields.get("NumMedia", "")), PICTURES)
    media = tuple(
        Media(url, fields.get(f"MediaContentType{n}", "")) for n in range(count) if (url := fields.get(f"MediaUrl{n}"))
    )
    return Inbound(
        sender=sender,
        recipient=fields.get("To", ""),
        text=fields.get("Body", ""),
        carrier_id=fields.get("MessageSid") or fields.get("SmsSid", ""),
        handle=handle,
        media=media,
        obeyed=OBEYED.get(fields.get("OptOutType", ""), ""),
    )


def _form(body: bytes) -> list[tuple[str, str]]:
    """Every field, also the empty ones: they are signed. ValueError for what is not UTF-8, and for too many."""
    return parse_qsl(
        body.decode("ascii"), keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=FIELDS
    )


def _json(body: bytes) -> dict[str, str]:
    """The fields of a JSON object, as a form would hold them."""
    found = orjson.loads(body)
    if not isinstance(found, dict):
        raise ValueError("no object")
    return {name: value if isinstance(value, str) else orjson.dumps(value).decode() for name, value in found.items()}


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0


async def _when_kept(handle: asyncio.Future[bool]) -> Reply:
    try:
        async with asyncio.timeout(KEPT_S):
            kept = await handle
    except TimeoutError:
        kept = False
    if kept:
        return _taken()
    return Reply(503, "busy, come again", headers={"Retry-After": str(COME_AGAIN_S)})


def _taken() -> Reply:
    return Reply(200, twilio_signature.NO_REPLY, XML)
