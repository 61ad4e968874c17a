"""What has become of a text, in the words and numbers that Twilio uses.

Statuses: twilio.com/docs/messaging/guides/outbound-message-status-in-status-callbacks; numbers:
twilio.com/docs/api/errors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from campaigns.gate import LEFT
from gateway.messages import State

LEFT_THE_SENDER, NO_SUCH_PHONE, FILTERED, NOT_KNOWN, VOID = 21610, 30005, 30007, 30008, 30036
WORDS: Final[Mapping[int, str]] = {
    LEFT_THE_SENDER: "Attempt to send to unsubscribed recipient",
    NO_SUCH_PHONE: "Unknown destination handset",
    FILTERED: "Message filtered",
    NOT_KNOWN: "Unknown error",
    VOID: "Validity Period Expired",
}
_STATUSES: Final[Mapping[State, str]] = {
    State.QUEUED: "queued",
    State.IN_DOUBT: "sending",
    State.SENT: "sent",
    State.STOPPED: "canceled",
    State.UNKNOWN: "sent",  # as at Twilio, where a text that no receipt ever comes for stays sent
    State.DELIVERED: "delivered",
}
_OF_TWILIO: Final = re.compile(r"[1-9][0-9]{4}")  # where Twilio itself was the carrier
_NO_SUCH_PHONE: Final = "0x0B "  # SMPP 3.4, 5.1.3: ESME_RINVDSTADR


def status(state: State, *, is_taken: bool) -> str:
    """The status of a text; `is_taken`: the carrier had taken it, or a part of it, before it failed."""
    return _STATUSES.get(state) or ("undelivered" if is_taken else "failed")


def error(state: State, code: str) -> int | None:
    """Why a text failed; None where it has not. `code` is what the journal holds."""
    match state:
        case State.REFUSED:
            return LEFT_THE_SENDER if code == LEFT else FILTERED
        case State.EXPIRED:
            return VOID
        case State.FAILED if _OF_TWILIO.fullmatch(code):
            return int(code)
        case State.FAILED:
            return NO_SUCH_PHONE if code.startswith(_NO_SUCH_PHONE) else NOT_KNOWN
    return None
