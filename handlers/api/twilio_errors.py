"""What is wrong with a call, in the numbers and the shape that Twilio's helper libraries understand.

Numbers: twilio.com/docs/api/errors. `more_info` names a page of our own documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway import web

PAGE: Final = "docs/twilio-door.md"

DENIED, NO_METHOD, LATER_TO_DELETE, FORBIDDEN, NOT_FOUND, CONFLICT = 20003, 20004, 20009, 20403, 20404, 20409
BAD_FIELD, TOO_MANY, BROKEN, AWAY = 20422, 20429, 20500, 20503
BAD_TO, BAD_FROM, NO_TEXT, NO_FROM, NO_TO, NOT_YOURS = 21211, 21212, 21602, 21603, 21604, 21606
BAD_CALLBACK, LEFT, NO_WAY, LANDLINE, TOO_LONG = 21609, 21610, 21612, 21614, 21617
BAD_PICTURE, NO_PICTURES, TOO_MANY_PICTURES = 21620, 21621, 21623
NO_SERVICE, NOBODY_IN_SERVICE, TOO_LATE_TO_CANCEL, NO_SEND_AT, BAD_SEND_AT, BAD_LIFE = (
    21701, 21703, 30409, 35111, 35114, 90007,
)  # fmt: skip

TEXTS: Final[Mapping[int, tuple[int, str]]] = {
    DENIED: (401, "Authenticate"),
    NO_METHOD: (405, "This method is not allowed here"),
    LATER_TO_DELETE: (400, "The text is still on its way; its words can be removed once it has ended"),
    FORBIDDEN: (403, "This key may not do that"),
    NOT_FOUND: (404, "The requested resource was not found"),
    CONFLICT: (409, "Conflict"),
    BAD_FIELD: (400, "Invalid parameter"),
    TOO_MANY: (429, "Too many requests; nothing was accepted, so it is safe to try again"),
    BROKEN: (500, "Something went wrong on our side"),
    AWAY: (503, "Nothing can be written down at this moment; come again"),
    BAD_TO: (400, "Invalid 'To' phone number"),
    BAD_FROM: (400, "Invalid 'From' phone number"),
    NO_TEXT: (400, "Message body is required"),
    NO_FROM: (400, "A 'From' phone number or a 'MessagingServiceSid' is required"),
    NO_TO: (400, "A 'To' phone number is required"),
    NOT_YOURS: (400, "The 'From' phone number is not one that this account may send from"),
    BAD_CALLBACK: (400, "Invalid 'StatusCallback' URL"),
    LEFT: (400, "Attempt to send to unsubscribed recipient"),
    NO_WAY: (400, "The 'To' phone number cannot be reached from this 'From'"),
    LANDLINE: (400, "'To' number is not a valid mobile number"),
    TOO_LONG: (400, "The message body exceeds the 1600 character limit"),
    BAD_PICTURE: (400, "Invalid media URL"),
    TOO_MANY_PICTURES: (400, "Number of media files exceeds allowed limit"),
    NO_PICTURES: (400, "The 'From' phone number has not been enabled for picture messaging"),
    NO_SERVICE: (400, "The Messaging Service does not exist"),
    NOBODY_IN_SERVICE: (400, "The Messaging Service has no phone number that fits"),
    TOO_LATE_TO_CANCEL: (409, "This message cannot be canceled"),
    NO_SEND_AT: (400, "SendAt is missing, though ScheduleType says fixed"),
    BAD_SEND_AT: (400, "SendAt must be UTC, as 2027-03-20T10:00:00Z, and at most 35 days ahead"),
    BAD_LIFE: (400, "ValidityPeriod must be a whole number of seconds from 1 to 36000"),
}

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Trouble(Exception):
    """Ends a call with one of Twilio's numbers. `detail` is a sentence that names what was found and the cure."""

    def __init__(self, code: int, detail: str = "", headers: Mapping[str, str] = _NOTHING) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.headers = headers


def answer(trouble: Trouble) -> web.Response:
    """The answer that tells of it."""
    status, words = TEXTS[trouble.code]
    message = f"{words}: {trouble.detail}" if trouble.detail else words
    about = {"code": trouble.code, "message": message, "more_info": f"{PAGE}#errors", "status": status}
    response = web.data(about, status=status)
    response.headers.update(trouble.headers)
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Basic realm="Twilio API"'
    return response
