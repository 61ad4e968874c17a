"""One person's text as the handlers see it: who, in which language, what we asked before, and how to answer."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from campaigns import replies
from campaigns.business import Business
from campaigns.people import Person
from campaigns.settings import Keyword
from gateway.inbox import Kept
from gateway.store import Tx
from handlers.keywords import matching

MINUTE_MS = 60_000
# A machine that answers our answers is not told the same thing for ever: so many at once, then one in this time.
AT_ONCE, EVERY_MS = 10, 5 * MINUTE_MS
TOLD = ", told often enough"  # the end of the outcome then


class Dialog(NamedTuple):
    """A question of ours that waits: `topic` vote or join, about `subject`; `detail` is the answer we guess."""

    topic: str
    subject: str
    detail: str


NO_DIALOG = Dialog("", "", "")


class Turn(NamedTuple):
    """A text that is to be answered, inside its transaction."""

    tx: Tx
    business: Business
    kept: Kept
    person: Person
    dialog: Dialog
    language: str

    def say(self, name: str, /, **values: str) -> str:
        """One of our own texts in the person's language."""
        return self.business.say(name, self.language, **values)

    async def reply(self, text: str) -> None:
        """Answer with one text."""
        kept = self.kept
        await replies.reply(
            self.tx, self.business, self.person, kept.recipient, kept.channel, text, answers=kept.id,
            now=self.business.clock.now_ms(),
        )  # fmt: skip

    async def reply_bounded(self, text: str, about: str) -> bool:
        """Answer what may be asked any number of times; False, without a text, when it was often enough.

        `about` is the keyword or rule that is counted, so that one thing asked often silences no other.
        """
        may = await self.may_say(about, EVERY_MS, AT_ONCE)
        if may:
            await self.reply(text)
        return may

    async def may_say(self, what: str, every_ms: int, at_once: int = 1) -> bool:
        """Whether a thing may be said now: `at_once` times in a row, then once in `every_ms`. Counts it if so."""
        touched = await self.tx.run(
            "said_again", person=self.person.id, what=what, brand=self.business.brand, now=self.kept.at,
            every=every_ms, burst=at_once,
        )  # fmt: skip
        return touched > 0

    async def ask(self, topic: str, subject: str, detail: str, *, for_ms: int) -> None:
        """Wait for the answer to a question."""
        await self.tx.run(
            "dialog_put", person=self.person.id, brand=self.business.brand, topic=topic, subject=subject,
            detail=detail, until=self.kept.at + for_ms,
        )  # fmt: skip


async def begin(tx: Tx, business: Business, kept: Kept) -> Turn | None:
    """The turn of a kept text; None when it came from no phone."""
    rows = await tx.rows("person_texting", person=kept.person) if kept.person else []
    if not rows:
        return None
    row = rows[0]
    person = Person._make(row[:7])
    waits = row[10] is not None and row[10] >= kept.at
    dialog = Dialog(*row[7:10]) if waits else NO_DIALOG
    return Turn(tx, business, kept, person, dialog, business.language(person.language))


@lru_cache(8)
def _matcher(business: Business) -> matching.Matcher:
    """All keywords of the applied config."""
    return matching.Matcher({key: _spelling(keyword) for key, keyword in business.config.keywords.items()})


@lru_cache(4096)  # most texts that arrive are the same few hundred
def match_of(business: Business, text: str) -> matching.Match | None:
    """The keyword that a text opens with."""
    return _matcher(business).match(text)


@lru_cache(4096)
def option_of(business: Business, contest: str, text: str) -> matching.Option | None:
    """The choice of a contest that a text names."""
    return _options(business, contest).option_of(text)


def _spelling(keyword: Keyword) -> matching.Keyword:
    return matching.Keyword(keyword.also, takes_argument=bool(keyword.vote or keyword.redeem))


@lru_cache(64)
def _options(business: Business, contest: str) -> matching.Options:
    """The choices of a contest of the applied config."""
    return matching.Options(
        {key: text.texts.values() for key, text in business.config.contests[contest].options.items()}
    )


def word(business: Business, keyword: str, language: str) -> str:
    """A keyword as a reader would text it: its own script's spelling, if there is one."""
    if language.partition("-")[0] == "zh":
        return next((also for also in business.config.keywords[keyword].also if not also.isascii()), keyword)
    return keyword
