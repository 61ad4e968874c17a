"""Obeys what a program made for Twilio answers to a text that came in: `<Response><Message>...</Message></Response>`.

Language: twilio.com/docs/messaging/twiml. Only texts are sent; whatever else the answer asks for is left.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urljoin
from xml.parsers import expat  # document types, and so entities, are refused

import orjson

from campaigns.business import Business
from campaigns.telling import RECEIVED
from campaigns.wishes import Refused, Submission, Wish
from gateway.errors import CarillonError
from gateway.notices import Notice
from handlers.api.webhooks import client_of
from handlers.app import App

log = logging.getLogger("carillon.api")

MOST_REPLIES: Final = 10
DEEPEST: Final = 16
_VERBS: Final = frozenset({"Message", "Sms"})


class NoTwiml(CarillonError):
    """What came back is no TwiML that we would read."""


class Reply(NamedTuple):
    """One text that an answer asks for; an empty number is that of the conversation."""

    text: str
    to: str = ""
    sender: str = ""
    callback: str = ""


def read(document: bytes) -> list[Reply]:
    """The texts that an answer asks for. Raises NoTwiml for what is no XML, and for one that declares entities."""
    reading = _Reading()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reading.refuse  # no entities, so nothing that grows or fetches
    parser.StartElementHandler = reading.begin
    parser.EndElementHandler = reading.end
    parser.CharacterDataHandler = reading.say
    try:
        parser.Parse(document, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise NoTwiml(f"the answer is no TwiML: {error}") from None
    return reading.replies


class _Reading:
    """What has been read of an answer so far."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self._open: list[str] = []
        self._draft: Reply | None = None

    def refuse(self, *_: object) -> None:
        raise NoTwiml("the answer declares a document type, which we do not read")

    def begin(self, name: str, attributes: Mapping[str, str]) -> None:
        if not self._open and name != "Response":
            raise NoTwiml(f"the answer begins with {name[:40]}, expected Response")
        if len(self._open) == DEEPEST:
            raise NoTwiml("the answer is nested too deep")
        if len(self._open) == 1 and name in _VERBS:
            callback = attributes.get("statusCallback") or attributes.get("action", "")
            self._draft = Reply("", attributes.get("to", ""), attributes.get("from", ""), callback)
        self._open.append(name)

    def say(self, words: str) -> None:
        # The words stand in Message itself, or in a Body inside it.
        if self._draft and (len(self._open) == 2 or (len(self._open) == 3 and self._open[-1] == "Body")):
            self._draft = self._draft._replace(text=self._draft.text + words)

    def end(self, _name: str) -> None:
        self._open.pop()
        if self._draft and len(self._open) == 1:
            draft, self._draft = self._draft, None
            if (text := draft.text.strip()) and len(self.replies) < MOST_REPLIES:
                self.replies.append(draft._replace(text=text))


def answered(app: App) -> Callable[[Notice, Business, Mapping[str, str], bytes], Awaitable[None]]:
    """What is done with an answer to a notice: its texts are accepted, once however often the notice is told."""

    async def obey(notice: Notice, business: Business, headers: Mapping[str, str], body: bytes) -> None:
        if notice.kind != RECEIVED or not body.strip():
            return
        try:
            replies = _replies(headers, body)
        except NoTwiml as error:  # the program has the text; telling it again would not mend its answer
            log.warning("%s", error, extra={"id": notice.id, "client": notice.client})
            return
        if replies:
            await _submit(app, business, notice, replies)

    return obey


def _replies(headers: Mapping[str, str], body: bytes) -> list[Reply]:
    """Plain text is a reply as it stands (twilio.com/docs/messaging/twiml, "MIME types"); all else is TwiML."""
    kind = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    if kind.partition(";")[0].strip().lower() == "text/plain":
        return [Reply(body.decode("utf-8", "replace").strip())]
    return read(body)


async def _submit(app: App, business: Business, notice: Notice, replies: list[Reply]) -> None:
    client = client_of(business, notice.client)
    data = orjson.loads(notice.body)["data"]
    target = orjson.loads(notice.target) if notice.target else {}
    base = target.get("url") or (client.settings.twilio and client.settings.twilio.inbound_url) or ""
    wishes = [_wish(reply, data, base) for reply in replies]
    if app.intake is None:
        raise CarillonError("nothing can be accepted while we do not serve")
    result = await app.intake.submit(Submission(client, wishes, f"twiml:{notice.id}"))
    for outcome in result.outcomes:
        if isinstance(outcome, Refused) and not result.is_repeat:
            log.warning("a reply of a program was refused: %s", outcome.why, extra={"client": client.name})


def _wish(reply: Reply, data: Mapping[str, Any], base: str) -> Wish:
    """A reply as a text to be sent: to whoever wrote, from the number that was texted, and soon."""
    callback = ""
    if reply.callback:
        url = urljoin(base, reply.callback)
        callback = orjson.dumps({"door": "twilio", "url": url}).decode() if url.startswith("http") else ""
    return Wish(
        to=reply.to or data["from"],
        text=reply.text,
        sender=reply.sender or data["to"],
        program="",
        urgent=True,
        callback=callback,
    )
