"""What can be wrong with a call, each under a name that stays: what was found, where, and the cure (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from campaigns.wishes import Refused, Why
from gateway.web import Response

CONTENT_TYPE = "application/problem+json"


class Kind(NamedTuple):
    """A kind of problem: the HTTP status, its title, and what to do about it."""

    status: int
    title: str
    cure: str


KINDS: Mapping[str, Kind] = {
    "bad-json": Kind(400, "The body is not JSON", "Send JSON (RFC 8259) in UTF-8, and nothing behind it."),
    "bad-request": Kind(
        400, "The request does not have the right shape",
        "`errors` says for each place what was found and what is expected. Field names are exact.",
    ),
    "bad-idempotency-key": Kind(
        400, "The Idempotency-Key cannot be used", "Send 1 to 255 printable ASCII characters, a random UUID say."
    ),
    "no-key": Kind(
        401, "No key, or not a right one",
        "Send `Authorization: Bearer ck_live_...`; run.py key new makes one. A key that was ended is not right.",
    ),
    "scope": Kind(403, "The key may not do this", "Use a key that has the scope which `detail` names."),
    "not-found": Kind(404, "There is no such thing", "See the list of addresses; a client sees only what is its own."),
    "method": Kind(405, "This method is not for this address", "The header Allow says which are."),
    "slow": Kind(408, "The request took too long to arrive", "Send it again."),
    "left-already": Kind(409, "It is too late to cancel", "It has left, or ended otherwise; look at its state."),
    "opted-out": Kind(
        409, "This person has opted out",
        "Only a START from that very phone lifts a STOP. There is no call that does.",
    ),
    "too-large": Kind(
        413, "The body is too large",
        "At most 64 KB for one message, 10 MB for a batch of 10,000; of pictures and octets 4 MB for all its phones.",
    ),
    "media-type": Kind(415, "The body must be JSON", "Send `Content-Type: application/json`, in UTF-8."),
    "bad-number": Kind(422, "This is no number that could be reached", "Write it as +12065550142."),
    "landline": Kind(422, "This is a landline", "A landline gets no texts; ask the person for a mobile number."),
    "no-text": Kind(422, "The text is empty", "Say something."),
    "bad-text": Kind(422, "The text cannot be sent", "Take out the character that `detail` names."),
    "too-long": Kind(422, "The text is too long", "Make it shorter; 1,600 characters are the most."),
    "sender-not-yours": Kind(422, "The client may not use this sender", "GET /v1/me lists those that it may use."),
    "no-sender": Kind(
        422, "No sender serves this number", "A sender serves the countries that config.yaml names for it."
    ),
    "left": Kind(
        422, "This person has opted out", "Do not text them. Only a START from that very phone lifts a STOP."
    ),
    "no-program": Kind(422, "There is no such programme", "Name one that stands in config.yaml."),
    "no-consent": Kind(
        422, "This person has not said yes to the programme",
        "Marketing needs a yes: PUT /v1/subscribers/PHONE/programs/PROGRAM once the person has given it.",
    ),
    "cannot-carry": Kind(
        422, "No channel can carry this",
        "Pictures go by channels of Twilio and of HTTP, octets by SMPP; `detail` says what is missing.",
    ),
    "too-late": Kind(422, "It would be void before it could leave", "Give it a later end, or an earlier `send_at`."),
    "not-all": Kind(
        422, "Another message of the batch was refused",
        'All or none were asked for. Mend what `errors` names, or send `"mode": "each"`.',
    ),
    "batch-refused": Kind(422, "Nothing of the batch was accepted", "`errors` says why, message by message."),
    "bad-callback": Kind(
        422, "This address cannot be called",
        "Give an https:// address that the world can reach; private: yes in config.yaml allows those inside.",
    ),
    "bad-value": Kind(422, "A value cannot be used", "`errors` says which, and what may stand there."),
    "idempotency-key-reused": Kind(
        422, "The Idempotency-Key was used with another body", "A new request wants a new key."
    ),
    "rate": Kind(429, "Too many requests", "Wait for as long as Retry-After says; RateLimit tells what is left."),
    "failed": Kind(500, "Something went wrong on our side", "Try again; if it stays, tell us the `request_id`."),
    "busy": Kind(503, "Too busy at this moment", "Nothing was accepted. Try again after Retry-After."),
    "not-kept": Kind(
        503, "The store cannot be written", "Nothing is known to be accepted. Try again with the same Idempotency-Key."
    ),
}  # fmt: skip

_OF_STATUS = {400: "bad-request", 401: "no-key", 404: "not-found", 405: "method", 408: "slow", 413: "too-large",
              415: "media-type", 429: "rate", 503: "busy"}  # fmt: skip
_OF_WHY = {why: why.value.replace(" ", "-").replace("programme", "program") for why in Why}
_WHERE = {
    Why.BAD_NUMBER: "/to", Why.LANDLINE: "/to", Why.LEFT: "/to", Why.NO_SENDER: "/to", Why.NO_CONSENT: "/to",
    Why.NO_TEXT: "/text", Why.BAD_TEXT: "/text", Why.TOO_LONG: "/text", Why.NOT_YOURS: "/from",
    Why.CANNOT_CARRY: "", Why.NO_PROGRAM: "/program", Why.TOO_LATE: "/valid_until",
}  # fmt: skip


class Flaw(NamedTuple):
    """One thing that is wrong: what, where (a JSON pointer, RFC 6901, or a parameter), and in which of a batch."""

    detail: str
    pointer: str = ""
    parameter: str = ""
    place: int | None = None
    type: str = ""

    def shown(self) -> dict[str, Any]:
        """As it stands among `errors`."""
        told: dict[str, Any] = {"detail": self.detail}
        if self.type:
            told["type"] = address(self.type)
        if self.pointer:
            told["pointer"] = self.pointer
        if self.parameter:
            told["parameter"] = self.parameter
        if self.place is not None:
            told["index"] = self.place
        return told


class Problem(Exception):
    """Ends a call with a problem document. `name` is one of KINDS."""

    def __init__(
        self, name: str, detail: str = "", *, pointer: str = "", flaws: Sequence[Flaw] = (), retry_after_s: float = 0,
        headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name)
        self.name = name
        self.kind = KINDS[name]
        self.detail = detail or self.kind.cure
        self.pointer = pointer
        self.flaws = flaws
        self.headers = dict(headers or {})
        if retry_after_s:
            self.headers.setdefault("Retry-After", str(max(1, -int(-retry_after_s // 1))))

    @classmethod
    def of_status(cls, status: int, retry_after_s: float = 0) -> Problem:
        """What the web server itself refuses."""
        return cls(_OF_STATUS.get(status, "bad-request" if status < 500 else "failed"), retry_after_s=retry_after_s)

    def document(self, request_id: str = "") -> dict[str, Any]:
        """The problem document (RFC 9457, section 3)."""
        told: dict[str, Any] = {
            "type": address(self.name), "title": self.kind.title, "status": self.kind.status, "detail": self.detail,
        }  # fmt: skip
        if self.pointer:
            told["pointer"] = self.pointer
        if self.flaws:
            told["errors"] = [flaw.shown() for flaw in self.flaws]
        if request_id:
            told["request_id"] = request_id
        return told

    def response(self, request_id: str = "") -> Response:
        """The whole answer."""
        headers = {"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store", **self.headers}
        return Response(body=orjson.dumps(self.document(request_id)), status=self.kind.status, headers=headers)


def address(name: str) -> str:
    """The `type` of a problem: a page of this very server that explains it, under an address that stays."""
    return f"/problems/{name}"


def of_refusal(refused: Refused, place: int | None = None) -> Flaw:
    """A text that was not accepted, as one of `errors`."""
    return Flaw(refused.detail, _WHERE.get(refused.why, ""), place=place, type=_OF_WHY[refused.why])
