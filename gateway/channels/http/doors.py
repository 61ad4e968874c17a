"""Our doors for a carrier that speaks HTTP: it brings receipts and texts, and is answered once they are on disk."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import quote, urlsplit

from gateway import numbers
from gateway.channels.base import Call, Door, Reply, Surroundings
from gateway.channels.http.proving import Guard
from gateway.channels.http.reading import Content, read
from gateway.channels.http.settings import HttpCarrier, Receipts, ReplyWords, Texts
from gateway.codecs.parts import MOST_PARTS
from gateway.messages import Inbound, Joint, Receipt, State

log = logging.getLogger(__name__)

SHORTEST_NUMBER: Final = 7  # digits; a shorter one is a short code
KEEP_S: Final = 15.0  # how long a call waits for the disk; the carrier then calls again
PROMPT_S: Final = 4.0  # an answer that took longer may have come too late: the same text may come again
MOST_STRANGE: Final = 50
SILENT_S: Final = 60.0
LONGEST_CODE: Final = 40
STATES: Final = {
    "delivered": State.DELIVERED, "failed": State.FAILED, "expired": State.EXPIRED, "unknown": State.UNKNOWN,
}  # fmt: skip

Visit = asyncio.Future[bool]  # what a call waits for: whether what it brought was kept


def settle(handles: Sequence[object], *, is_kept: bool) -> None:
    """Let the calls of these handles be answered."""
    for handle in handles:
        if isinstance(handle, asyncio.Future) and not handle.done():
            handle.set_result(is_kept)


class Desk:
    """Takes the carrier's calls. `line` is the number of `Inbound.line`, which changes whenever thanks may be lost."""

    def __init__(self, settings: HttpCarrier, around: Surroundings, secrets: Mapping[str, str]) -> None:
        if settings.proof is None:
            raise ValueError("no door without a proof")
        self._name, self._site = around.name, around.site.rstrip("/")
        self._upward, self._now_ms = around.upward, around.now_ms
        self._receipts, self._texts, self._country = settings.receipts, settings.inbound, settings.country
        self._guard = Guard(settings.proof, secrets, around.now_ms)
        self._only_number = around.own[0] if len(around.own) == 1 else ""
        self._own = {number.removeprefix("+"): number for number in around.own}
        self._states = _states(settings.receipts) if settings.receipts else {}
        self._strange: set[str] = set()
        self._unsaid, self._silent_until = 0, 0.0
        self.line = around.now_ms()

    def addresses(self) -> Iterator[tuple[str, str]]:
        """Each door's setting, and where the carrier finds it."""
        for name, settings in (("receipts", self._receipts), ("inbound", self._texts)):
            if settings is not None:
                yield name, f"{self._site}/carriers/{quote(self._name, safe='')}/{settings.path}"

    def doors(self) -> list[Door]:
        """Those that the file describes."""
        described = [settings for settings in (self._receipts, self._texts) if settings is not None]
        return [Door(settings.path, partial(self._serve, settings)) for settings in described]

    async def _serve(self, settings: Receipts | Texts, call: Call) -> Reply:
        try:
            return await self._take(settings, call)
        except Exception:
            log.exception("%s: a call could not be read", self._name)
            return Reply(500)

    async def _take(self, settings: Receipts | Texts, call: Call) -> Reply:
        """Let the carrier in, hand on what it brings, and answer once that is on disk."""
        content = read(call.headers, call.body, urlsplit(call.url).query)
        if not self._guard.lets_in(call, content):
            self._complain(f"to {settings.path} did not prove to be the carrier's")
            return Reply(403)
        items = content.items(settings.list)
        visit: Visit = asyncio.get_running_loop().create_future()
        receipts: list[Receipt] = []
        texts: list[Inbound] = []
        if isinstance(settings, Receipts):
            receipts = [one for item in items if (one := self._receipt(settings, content, item, visit))]
        else:
            texts = [text for item in items if (text := self._text(settings, content, item, visit))]
        brought = len(receipts) + len(texts)
        if brought < len(items) or content.tree is None:
            lacking = len(items) - brought
            self._complain(f"to {settings.path} lacks in {lacking} of {len(items)} what the file says stands there")
        if not brought:
            return Reply(400) if items or content.tree is None else _said(settings.reply)
        self._upward.arrived(self._name, receipts, texts)
        return await self._settled(visit, settings.reply)

    async def _settled(self, visit: Visit, reply: ReplyWords) -> Reply:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(KEEP_S):
                is_kept = await visit
        except TimeoutError:
            is_kept = False
        if not is_kept or loop.time() - began > PROMPT_S:
            self.line = max(self.line + 1, self._now_ms())
        return _said(reply) if is_kept else Reply(503, headers={"Retry-After": "10"})

    def _receipt(self, settings: Receipts, content: Content, item: Any, visit: Visit) -> Receipt | None:
        carrier_id, word = content.first(settings.id, item), content.first(settings.state, item)
        if not carrier_id or not word:
            return None
        if word not in self._states:
            self._wonder(word)
        return Receipt(
            (carrier_id,),
            self._states.get(word, State.SENT),
            (content.first(settings.code, item) or word)[:LONGEST_CODE],
            self._as_people_write(content.first(settings.sender, item)),
            self._as_people_write(content.first(settings.recipient, item)),
            visit,
        )

    def _complain(self, what: str) -> None:
        """Say what is wrong with a call, at most once a minute: anybody may knock, and must not fill our disk."""
        now = asyncio.get_running_loop().time()
        self._unsaid += 1
        if now >= self._silent_until:
            log.warning("%s: %s call(s), the last %s", self._name, self._unsaid, what)
            self._silent_until, self._unsaid = now + SILENT_S, 0

    def _wonder(self, word: str) -> None:
        """Say once of each word that the file does not name it: it is taken for one that says `on the way`."""
        if word not in self._strange and len(self._strange) < MOST_STRANGE:
            self._strange.add(word)
            log.info("%s: receipts say %r, which the file does not name; taken for on the way", self._name, word[:40])

    def _text(self, settings: Texts, content: Content, item: Any, visit: Visit) -> Inbound | None:
        sender = self._as_people_write(content.first(settings.sender, item))
        recipient = self._as_people_write(content.first(settings.recipient, item)) or self._only_number
        if not sender or not recipient:
            return None
        text = _decoded(content.first(settings.text, item), settings.encoding)
        joint = _joint(settings, content, item)
        return Inbound(
            sender, recipient, text,
            carrier_id=content.first(settings.id, item),
            fingerprint=_fingerprint(sender, recipient, text, joint),
            joint=joint, line=self.line, handle=visit,
        )  # fmt: skip

    def _as_people_write(self, who: str) -> str:
        compact = who.replace(" ", "")
        if own := self._own.get(compact.removeprefix("+")):
            return own
        if compact.startswith("+") or len(compact) < SHORTEST_NUMBER or not compact.isdecimal():
            return compact if compact.removeprefix("+").isdecimal() else who.strip()
        if self._country is None:
            return f"+{compact.removeprefix('00')}"
        try:
            return numbers.parse(compact, self._country).e164
        except numbers.BadNumber:
            return compact


def _states(settings: Receipts) -> dict[str, State]:
    return {word: state for name, state in STATES.items() for word in getattr(settings, name)}


def _said(reply: ReplyWords) -> Reply:
    return Reply(reply.status, reply.body, reply.type)


def _decoded(text: str, encoding: str) -> str:
    """The text itself; what is not written as the file says stays as it came, for nothing may be lost."""
    try:
        match encoding:
            case "hex_ucs2":
                return bytes.fromhex(text).decode("utf-16-be", "replace")
            case "hex_utf8":
                return bytes.fromhex(text).decode("utf-8", "replace")
            case "base64_utf8":
                return base64.b64decode(text, validate=True).decode("utf-8", "replace")
    except ValueError:  # as binascii.Error is
        log.warning("a text is not written as %s", encoding)
    return text


def _joint(settings: Texts, content: Content, item: Any) -> Joint | None:
    if settings.piece is None:
        return None
    places = (settings.piece.reference, settings.piece.total, settings.piece.number)
    said = [content.first(place, item) for place in places]
    if not all(each.isascii() and each.isdigit() and len(each) < 10 for each in said):
        return None
    joint = Joint(*map(int, said))
    return joint if 1 <= joint.number <= joint.total <= MOST_PARTS and joint.total > 1 else None


def _fingerprint(sender: str, recipient: str, text: str, joint: Joint | None) -> str:
    said = f"{sender}\0{recipient}\0{joint}\0{text}"
    return hashlib.blake2b(said.encode("utf-8", "replace"), digest_size=16).hexdigest()
