"""Reads a carrier's answer to a request: taken, refused and when to try again, or nobody can know."""

from __future__ import annotations

from typing import Final, NamedTuple

from gateway.channels.http.reading import Content
from gateway.channels.http.settings import AnswerWords
from gateway.errors import Failure, Retry

TOO_MANY: Final = 429
SET_UP: Final = frozenset({401, 402, 403, 404, 405, 407, 410})  # our account or the address is wrong, not the text
IN_VAIN: Final = frozenset({408, 425})  # the request did not come through (RFC 9110, 15.5.9; RFC 8470)
RETRIES: Final = {
    "throttled": Retry.THROTTLED,
    "later": Retry.LATER,
    "once": Retry.ONCE,
    "never": Retry.NEVER,
    "stop": Retry.STOP_CHANNEL,
}
LONGEST_CODE: Final = 40
LONGEST_WORDS: Final = 200


class Verdict(NamedTuple):
    """What the carrier said of one text, or of one part of it."""

    carrier_id: str = ""
    failure: Failure | None = None
    in_doubt: bool = False


class Judge:
    """Knows what the carrier's codes mean."""

    def __init__(self, settings: AnswerWords) -> None:
        self._settings = settings
        self._good = frozenset(settings.good)
        self._retries = {code: RETRIES[name] for name, codes in settings.by_name() if name in RETRIES for code in codes}
        self._elsewhere, self._left = frozenset(settings.elsewhere), frozenset(settings.left)

    def judge(self, status: int, content: Content) -> list[Verdict]:
        """One verdict for the whole text, or one for each part where the carrier tells of each."""
        settings = self._settings
        ids = content.each(settings.id) if settings.id else []
        codes = content.each(settings.code) if settings.code else []
        words = content.each(settings.words) if settings.words else []
        count = max(1, len(ids), len(codes))
        rows = zip(*(_filled(column, count) for column in (ids, codes, words)), strict=True)
        return [self._verdict(status, *row) for row in rows]

    def _verdict(self, status: int, carrier_id: str, own_code: str, words: str) -> Verdict:
        code = own_code or str(status)
        is_fine = 200 <= status < 300
        if code in self._retries or code in self._elsewhere or code in self._left:
            retry = self._retries.get(code, Retry.NEVER)
        elif code in self._good or (is_fine and not own_code and self._is_enough(carrier_id)):
            return Verdict(carrier_id)
        elif is_fine and not own_code:
            return Verdict(in_doubt=True)  # an answer that is not what was described
        elif status >= 500 and not self._settings.safe_5xx:
            return Verdict(in_doubt=True)
        else:
            retry = _usual(status)
        return Verdict(failure=self._failure(code, words, retry))

    def _is_enough(self, carrier_id: str) -> bool:
        """Where the file names no good code, an id (or, where it asks for none, the status alone) says yes."""
        return not self._good and bool(carrier_id or self._settings.id is None)

    def _failure(self, code: str, words: str, retry: Retry) -> Failure:
        said = "".join(sign if sign.isprintable() else " " for sign in words[:LONGEST_WORDS])
        is_left = code in self._left
        return Failure(code[:LONGEST_CODE], said or "the carrier refused it", retry, code in self._elsewhere, is_left)


def _usual(status: int) -> Retry:
    """What an HTTP status means where the file says nothing else (RFC 9110, section 15)."""
    if status == TOO_MANY:
        return Retry.THROTTLED
    if status >= 500 or status in IN_VAIN:
        return Retry.LATER
    return Retry.STOP_CHANNEL if status in SET_UP or 300 <= status < 400 else Retry.NEVER


def _filled(column: list[str], count: int) -> list[str]:
    """A column as long as the others; one value alone is about all."""
    if len(column) == count:
        return column
    return column * count if len(column) == 1 else [*column, *[""] * (count - len(column))]
