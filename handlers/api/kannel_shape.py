"""The shape in which a program made for Kannel is told: a GET of its dlr-url, with the escapes filled in.

Escapes and mask: the Kannel user guide, "Parameters (escape codes)" and "Delivery reports". What each is filled with
was compared with the reports of Kannel 1.4.5.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, quote_plus
from uuid import UUID

import orjson

from campaigns.business import Business
from gateway.courier import Outgoing
from gateway.messages import State
from gateway.notices import Notice
from handlers.api.twilio_shape import called
from handlers.api.webhooks import AGENT, client_of

DELIVERED, FAILED, TAKEN, NOT_TAKEN = 1, 2, 8, 16  # 4, buffered at the carrier, is nothing that we learn

_STAT: Final[Mapping[State, str]] = {
    State.DELIVERED: "DELIVRD", State.EXPIRED: "EXPIRED", State.FAILED: "UNDELIV", State.REFUSED: "REJECTD",
    State.STOPPED: "DELETED",
}  # fmt: skip
_ESCAPE: Final = re.compile("%(.)", re.DOTALL)
_PRINTABLE: Final = "".join(map(chr, range(0x21, 0x7F)))
_HTTP: Final = "!*'()~"  # what Kannel, too, leaves as it is


def shape(notice: Notice, business: Business) -> Outgoing | None:
    """The call that tells a notice; None where the mask did not ask for it."""
    client = client_of(business, notice.client)
    told: Mapping[str, Any] = orjson.loads(notice.body)
    target: Mapping[str, Any] = orjson.loads(notice.target)
    fate = fate_of(State[told["data"]["state"].upper()], is_taken=told["data"].get("taken", True))
    if not fate & target["mask"]:
        return None
    values = Values(client.name, fate, told, target)
    url, login = called(quote(fill(target["url"], values), safe=_PRINTABLE))
    return Outgoing("GET", url, {"User-Agent": AGENT, **login}, b"", client.settings.private)


def fate_of(state: State, *, is_taken: bool) -> int:
    """The bit of the mask that a state is; 0 for one that Kannel tells nothing of."""
    match state:
        case State.DELIVERED:
            return DELIVERED
        case State.SENT:
            return TAKEN
        case State.FAILED | State.EXPIRED | State.REFUSED | State.STOPPED:
            return FAILED if is_taken else NOT_TAKEN
    return 0


class Values:
    """What the escapes stand for in one report."""

    def __init__(self, client: str, fate: int, told: Mapping[str, Any], target: Mapping[str, Any]) -> None:
        data = told["data"]
        self.at = datetime.fromisoformat(told["at"]).astimezone(UTC)
        self.reply = _reply(data, fate, self.at)
        self.words = self.reply.split()
        phone, ours = target.get("to") or data["to"], target.get("from") or data["from"]
        # Sender and receiver are those of the report, which comes from the phone: so p is the phone, P is ours.
        self.plain: Mapping[str, str] = {
            "A": self.reply, "b": self.reply, "B": target.get("binfo", ""), "c": "-1", "C": "UTF-8", "d": str(fate),
            "D": target.get("meta", ""), "f": "", "F": data["id"], "i": data["channel"],
            "I": str(UUID(int=int(data["id"]))), "k": self.words[0] if self.words else "", "m": "-1", "M": "-1",
            "n": client, "o": target.get("account", ""), "O": "00", "p": phone, "P": ours, "q": _plus(phone),
            "Q": _plus(ours), "R": target["url"], "T": str(int(self.at.timestamp())), "u": "",
        }  # fmt: skip


def fill(pattern: str, values: Values) -> str:
    """An address with its escapes filled in, each encoded; what is no escape stays as it stands."""
    words, place = values.words, 1  # the next word that %s or %S takes

    def filled(found: re.Match[str]) -> str:
        nonlocal place
        letter = found[1]
        if letter in values.plain:
            return quote_plus(values.plain[letter], safe=_HTTP)
        match letter:
            case "a":
                return _joined(words)
            case "r":
                return _joined(words[place:])
            case "s" | "S":
                word = words[place] if place < len(words) else ""
                place += 1
                word = word.replace("*", "~") if letter == "S" else word
                return quote_plus(word, safe=_HTTP + (":" if letter == "S" else ""))
            case "t":
                return f"{values.at:%Y-%m-%d+%H:%M:%S}"
            case "%":
                return "%"
        return found[0]

    return _ESCAPE.sub(filled, pattern)


def _joined(words: Sequence[str]) -> str:
    return "+".join(quote_plus(word, safe=_HTTP) for word in words)


def _plus(number: str) -> str:
    return f"+{number[2:]}" if number.startswith("00") else number


def _reply(data: Mapping[str, Any], fate: int, at: datetime) -> str:
    """What the carrier said, as Kannel words it: ACK/ or NACK/ for an answer, the text of a receipt (SMPP 3.4, B)."""
    if fate == TAKEN:
        return "ACK/"
    if fate == NOT_TAKEN:
        return f"NACK/{data['code'] or data['state']}"
    made = datetime.fromisoformat(data["created_at"]).astimezone(UTC)
    count = data["parts"] if fate == DELIVERED else 0
    return (
        f"id:{data['id']} sub:{data['parts']:03} dlvrd:{count:03} submit date:{made:%y%m%d%H%M} "
        f"done date:{at:%y%m%d%H%M} stat:{_STAT[State[data['state'].upper()]]} err:{_error(data['code'])} text:"
    )


def _error(code: str) -> str:
    """Three digits, as receipts have; 000 where the carrier's code is none."""
    return code[-3:] if re.fullmatch("[0-9]{1,3}", code) else "000"
