"""One person's text as the handlers see it: who, in which language, what we asked before, and how to answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from campaigns import consent, contests, replies
from campaigns.business import Business
from campaigns.people import Person
from campaigns.settings import Keyword
from campaigns.words import Intent
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


class Talk:
    """Texts that are answered together: what they ask about is looked up at once, what is answered is written at once.

    What is read here for all of them holds for the first text of each person; another's cannot change it.
    """

    __slots__ = ("_ballots", "_heard", "_people", "_replies", "_said", "_told", "business", "texts", "tx")

    def __init__(self, tx: Tx, business: Business, texts: Sequence[Kept]) -> None:
        self.tx, self.business, self.texts = tx, business, texts
        self._people: dict[int, tuple[Any, ...]] = {}
        self._said: dict[tuple[int, str], int] = {}
        self._told: dict[tuple[int, str], int] = {}  # what of that is new
        self._replies: list[replies.Reply] = []
        self._ballots: list[contests.Ballot] = []
        self._heard: dict[int, list[int]] = {}  # who answers a campaign of ours, perhaps; by the time of the text

    async def begin(self) -> None:
        """Look up who texts, and what we said to them."""
        people = [*{kept.person for kept in self.texts if kept.person}]
        if people:
            texting, said = await self.tx.look(
                ("people_texting", {"people": people}), ("said_among", {"people": people})
            )  # fmt: skip
            self._people = {row[0]: row for row in texting}
            self._said = {(person, what): at for person, what, at in said}

    async def turn(self, kept: Kept) -> Turn | None:
        """The turn of a text; None when it came from no phone."""
        row = self._people.pop(kept.person, None)
        if row is None and kept.person:  # an earlier text of the same person may have changed something
            row = next(iter(await self.tx.rows("people_texting", people=[kept.person])), None)
        if row is None:
            return None
        waits = row[10] is not None and row[10] >= kept.at
        dialog = Dialog(*row[7:10]) if waits else NO_DIALOG
        return Turn(self, kept, Person._make(row[:7]), dialog, self.business.language(row[4]))

    def may_say(self, person: int, what: str, now: int, every_ms: int, at_once: int) -> bool:
        """Whether a thing may be said now: `at_once` times in a row, then once in `every_ms`. Counts it if so.

        The time kept runs ahead of the clock by one `every_ms` for each time it was said: a leaky bucket in one number.
        """
        at = self._said.get((person, what))
        if at is not None and at > now + every_ms * (at_once - 2):
            return False
        self._said[person, what] = self._told[person, what] = now if at is None else max(at + every_ms, now)
        return True

    def reply(self, reply: replies.Reply) -> None:
        """Put this in the end."""
        self._replies.append(reply)

    def ballot(self, ballot: contests.Ballot) -> None:
        """Count this vote in the end."""
        self._ballots.append(ballot)

    def hear(self, kept: Kept) -> None:
        """The text may answer the campaign that last wrote to the person."""
        self._heard.setdefault(kept.at, []).append(kept.person)

    def is_followed_by_stop(self, kept: Kept) -> bool:
        """Whether the person asked to leave by a later one of these texts."""
        later = (each for each in self.texts if each.person == kept.person and each.id > kept.id)
        return any(each.intent in LEAVING for each in later)

    async def end(self) -> None:
        """Write everything down."""
        tx, brand = self.tx, self.business.brand
        for at, people in self._heard.items():
            await tx.run("activity_replied", brand=brand, people=people, at=at)
        if self._ballots:
            await contests.count(tx, self.business, self._ballots)
        if self._told:
            await tx.many("said_put", [(person, what, brand, at) for (person, what), at in self._told.items()])
        await replies.put(tx, self._replies, self.business.clock.now_ms())


LEAVING = frozenset((Intent.STOP, Intent.WRONG_NUMBER, consent.STOPPED, consent.OBEYED_STOP))


class Turn(NamedTuple):
    """A text that is to be answered, inside its transaction."""

    talk: Talk
    kept: Kept
    person: Person
    dialog: Dialog
    language: str

    @property
    def tx(self) -> Tx:
        """The transaction."""
        return self.talk.tx

    @property
    def business(self) -> Business:
        """Whose customer the person is."""
        return self.talk.business

    def say(self, name: str, /, **values: str) -> str:
        """One of our own texts in the person's language."""
        return self.business.say(name, self.language, **values)

    async def reply(self, text: str) -> None:
        """Answer with one text."""
        kept = self.kept
        reply = await replies.reply(
            self.tx, self.business, self.person, kept.recipient, kept.channel, text, answers=kept.id,
            now=self.business.clock.now_ms(),
        )  # fmt: skip
        if reply is not None:
            self.talk.reply(reply)

    async def reply_bounded(self, text: str, about: str) -> bool:
        """Answer what may be asked any number of times; False, without a text, when it was often enough.

        `about` is the keyword or rule that is counted, so that one thing asked often silences no other.
        """
        may = self.may_say(about, EVERY_MS, AT_ONCE)
        if may:
            await self.reply(text)
        return may

    def may_say(self, what: str, every_ms: int, at_once: int = 1) -> bool:
        """Whether a thing may be said now: `at_once` times in a row, then once in `every_ms`. Counts it if so."""
        return self.talk.may_say(self.person.id, what, self.kept.at, every_ms, at_once)

    async def has_left_since(self) -> bool:
        """Whether the person left after this text, by a later one or another way."""
        kept = self.kept
        return self.talk.is_followed_by_stop(kept) or bool(
            await self.tx.value("stop_follows", person=self.person.id, inbound=kept.id, at=kept.at)
        )

    async def ask(self, topic: str, subject: str, detail: str, *, for_ms: int) -> None:
        """Wait for the answer to a question."""
        await self.tx.run(
            "dialog_put", person=self.person.id, brand=self.business.brand, topic=topic, subject=subject,
            detail=detail, until=self.kept.at + for_ms,
        )  # fmt: skip


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
