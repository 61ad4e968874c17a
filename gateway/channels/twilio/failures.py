"""Twilio's error numbers in plain words, with what to do about each (twilio.com/docs/api/errors)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from gateway.errors import Failure, Retry

TOO_LONG: Final = 21617
VALIDITY_OVER: Final = 30036

_NEVER, _ONCE, _LATER = Retry.NEVER, Retry.ONCE, Retry.LATER
_THROTTLED, _STOP = Retry.THROTTLED, Retry.STOP_CHANNEL

# Only what is wrong for everybody stops the channel. A country that is not switched on (21408) or a trial account's
# unknown phone (21608) is a matter of one recipient, who would otherwise hold everybody else back for ever.
_ROWS: Final[tuple[tuple[int, str, Retry], ...]] = (
    (20429, "Twilio asks us to slow down", _THROTTLED),
    (14107, "Twilio asks this number to slow down", _THROTTLED),
    (21611, "too much already waits at Twilio for this number", _THROTTLED),
    (30001, "too much waited at Twilio for this number", _THROTTLED),
    (30017, "the phone's network is congested", _THROTTLED),
    (30022, "the brand sends faster than US carriers allow it", _THROTTLED),
    (63018, "the channel's limit is reached", _THROTTLED),
    (30023, "the brand's daily limit at US carriers is reached", _LATER),
    (30027, "T-Mobile's daily limit for the brand is reached", _LATER),
    (30003, "the phone is switched off or out of reach", _ONCE),
    (30008, "the phone's carrier did not say why", _ONCE),
    (30410, "the phone's carrier did not answer Twilio in time", _ONCE),
    (21211, "this is no telephone number", _NEVER),
    (21214, "this number cannot be reached", _NEVER),
    (21612, "Twilio has no way from our number to this one", _NEVER),
    (21614, "this is no mobile number", _NEVER),
    (30005, "the number does not exist, or not any more", _NEVER),
    (30006, "this is a landline, or its carrier cannot be reached", _NEVER),
    (21610, "the person has left this number at Twilio", _NEVER),
    (11751, "the picture or file is too large", _NEVER),
    (21602, "the text is empty", _NEVER),
    (TOO_LONG, "the text is longer than the 1,600 characters that Twilio takes", _NEVER),
    (21620, "a picture's address is not right", _NEVER),
    (21623, "too many pictures", _NEVER),
    (30007, "a filter took the text for spam", _NEVER),
    (30011, "this number cannot take pictures here", _NEVER),
    (30019, "the content is too large for the phone's carrier", _NEVER),
    (VALIDITY_OVER, "its time was over before Twilio could send it", _NEVER),
    (21408, "this country is not switched on in our Twilio account", _NEVER),
    (21608, "a trial account may text phones only that Twilio has verified", _NEVER),
    (20003, "Twilio does not accept the account or its token", _STOP),
    (20404, "Twilio does not know this account or address", _STOP),
    (21603, "no number to send from was named", _STOP),
    (21606, "our number is not this account's, or cannot send texts", _STOP),
    (21703, "the messaging service has no number that fits", _STOP),
    (21704, "the messaging service cannot send to this country", _STOP),
    (21705, "Twilio does not know this messaging service", _STOP),
    (30002, "the Twilio account is suspended", _STOP),
    (30024, "our number is not provisioned at the carriers", _STOP),
    (30032, "our toll-free number is not verified", _STOP),
    (30034, "our number belongs to no registered US campaign", _STOP),
)
_ELSEWHERE: Final = frozenset({21408, 21612, 30001, 30017, 30023, 30027, 30410})  # Twilio's way there, not the phone
_LEFT: Final = frozenset({21610})

FAILURES: Final[Mapping[int, Failure]] = {
    code: Failure(str(code), words, retry, elsewhere=code in _ELSEWHERE, left=code in _LEFT)
    for code, words, retry in _ROWS
}
_BY_STATUS: Final = {429: 20429, 401: 20003, 403: 20003, 404: 20404}  # where an answer names no error of Twilio's


@lru_cache(maxsize=1024)
def failure(code: int) -> Failure:
    """What one of Twilio's numbers means. One that is not in the table is refused for good, and once."""
    # Twilio's own words are not shown: they often hold the person's number.
    return FAILURES.get(code) or Failure(str(code), f"Twilio refuses it with error {code}", _NEVER)


def refusal(status: int, code: int) -> Failure | None:
    """What an HTTP status from 300 on means with Twilio's own number (0: none); None is that nobody knows.

    A server's fault (5xx) and a request that did not arrive whole (408) say nothing of the text's fate.
    """
    if status >= 500 or status == 408:
        return None
    if status == 429:
        return FAILURES[_BY_STATUS[429]]
    if code:
        return failure(code)
    if status < 400:
        return Failure(f"HTTP {status}", "what answers there is not Twilio; see api in config.yaml", _STOP)
    known = _BY_STATUS.get(status)
    return FAILURES[known] if known else Failure(f"HTTP {status}", "Twilio refuses the request", _NEVER)
